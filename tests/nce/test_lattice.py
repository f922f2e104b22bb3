"""Rounded and repeated rows are found, named, and spread out."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm.nce._preparation import (
    dequantize,
    duplicated_columns,
    inspect_lattice,
    lattice_step,
    warn_lattice,
)

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=500)


@pytest.mark.parametrize("step", [1.0, 0.1, 0.005, 0.25, 1 / 3])
def test_step_of_rounded_values(step):
    assert_allclose(lattice_step(step * np.round(REAL / step / 3) + 7), step, rtol=1e-6)


def test_a_few_values_with_more_digits_do_not_hide_the_lattice():
    x = np.round(REAL, 1)
    x[:10] = REAL[:10]
    assert_allclose(lattice_step(x), 0.1, rtol=1e-6)


def test_real_values_and_spikes_are_no_lattice():
    assert lattice_step(REAL) == 0
    spike = np.where(RNG.uniform(size=500) < 0.9, 0.0, REAL)
    assert lattice_step(spike) == 0
    assert lattice_step(np.full(30, 2.0)) == 0


def test_report_and_warning():
    X = np.column_stack([REAL, np.round(REAL[::-1], 1)])
    X = np.concatenate([X, X[:50]])
    report = inspect_lattice(X)
    assert report.suspicious
    assert report.step[0] == 0
    assert_allclose(report.step[1], 0.1, rtol=1e-6)
    assert report.duplicate_share == pytest.approx(50 / 550)
    with pytest.warns(UserWarning, match=r"in 'b' only .*9\.1% of the rows repeat .*inflated"):
        warn_lattice(report, ["a", "b"])


def test_real_tables_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_lattice(inspect_lattice(RNG.normal(size=(200, 3))), ["a", "b", "c"])


def test_dequantize_spreads_within_cells():
    X = np.round(RNG.normal(size=(400, 2)), 1)
    X[:, 1] = RNG.normal(size=400)
    spread = dequantize(X, inspect_lattice(X), np.random.default_rng(0))
    assert_allclose(spread[:, 1], X[:, 1])
    moved = spread[:, 0] - X[:, 0]
    assert np.abs(moved).max() <= 0.05 + 1e-9
    assert abs(moved.var() - 0.01 / 12) < 5 * 0.01 / 12 / np.sqrt(400)
    assert len(np.unique(spread[:, 0])) == 400


def test_columns_equal_up_to_scale_are_found():
    X = RNG.normal(size=(50, 3))
    assert duplicated_columns(X) is None
    X[:, 2] = 3 - 2 * X[:, 0]
    assert duplicated_columns(X) == (0, 2)
