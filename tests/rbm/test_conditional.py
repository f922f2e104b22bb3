"""Completions against conditional probabilities from the list of all states."""

import numpy as np
import pytest
from scipy import stats

from skgm.rbm import _sampling
from skgm.rbm._sampling import draw_given
from tests.rbm.enumerated import Joint, machine

NAN = np.nan


def conditional(joint, row):
    """Probabilities of the free bits' states given the known ones, in order of counting."""
    known = ~np.isnan(row)
    fits = (joint.v[:, known] == row[known]).all(axis=1)
    p = joint.p_visible[fits]
    return joint.v[fits][:, ~known], p / p.sum()


@pytest.mark.parametrize("limit", [16, 1])
@pytest.mark.parametrize("row", [[1, NAN, 0, NAN, 1], [NAN, NAN, NAN, NAN, 0], [NAN] * 4 + [1]])
def test_completions_have_the_conditional_probabilities(monkeypatch, limit, row):
    """Limit 16: by enumeration; limit 1: by tempered chains, held at the known units."""
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", limit)
    parameters, row, n = machine(3, 5), np.array(row, dtype=float), 4000
    rows = draw_given(parameters, row[None], n, np.random.default_rng(0))
    known = ~np.isnan(row)
    assert (rows[:, known] == row[known]).all()
    states, p = conditional(Joint(parameters), row)
    index = {tuple(s): i for i, s in enumerate(states)}
    counts = np.bincount([index[tuple(r)] for r in rows[:, ~known]], minlength=len(states))
    rare = n * p < 5
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(n * p[~rare], max(n * p[rare].sum(), 1e-9))
    assert stats.chisquare(counts[expected > 1e-6], expected[expected > 1e-6]).pvalue > 1e-3


@pytest.mark.parametrize("limit", [16, 1])
def test_a_known_probability_enters_the_energy_as_it_is(monkeypatch, limit):
    """As in `transform`; means of 4000 rows within five standard errors of the listed ones."""
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", limit)
    parameters, row = machine(3, 5, scale=2.0), np.array([0.3, NAN, 1, NAN, 0.6])
    rows = draw_given(parameters, row[None], 4000, np.random.default_rng(0))
    free = np.isnan(row)
    np.testing.assert_allclose(rows[:, ~free], np.tile(row[~free], (4000, 1)), rtol=1e-6)
    whole = np.tile(row, (4, 1))
    whole[:, free] = [[0, 0], [0, 1], [1, 0], [1, 1]]
    weights, hidden, visible = vars(parameters).values()
    p = np.exp(whole @ visible) * (1 + np.exp(whole @ weights.T + hidden)).prod(axis=1)
    mean = p @ whole[:, free] / p.sum()
    error = np.sqrt(mean * (1 - mean) / 4000)
    assert (np.abs(rows[:, free].mean(axis=0) - mean) < 5 * error).all()


@pytest.mark.parametrize("limit", [16, 1])
def test_rows_are_grouped_and_their_order_kept(monkeypatch, limit):
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", limit)
    given = np.array(
        [[1, NAN, 0, NAN, 1], [0, 1, 0, 1, 1], [NAN] * 5, [1, NAN, 0, NAN, 1], [0, NAN, NAN, 1, 0]]
    )
    rows = draw_given(machine(3, 5), given, 3, np.random.default_rng(0)).reshape(5, 3, 5)
    for row, drawn in zip(given, rows, strict=True):
        known = ~np.isnan(row)
        assert (drawn[:, known] == row[known]).all()
    assert np.isin(rows, (0, 1)).all()
    again = draw_given(machine(3, 5), given, 3, np.random.default_rng(0))
    assert (again == rows.reshape(-1, 5)).all()


def test_equal_rows_get_different_completions():
    """400 equal rows with two free bits: every state of probability above .05 appears."""
    row = np.array([1, NAN, 0, NAN, 1])
    rows = draw_given(machine(3, 5), np.tile(row, (400, 1)), 1, np.random.default_rng(0))
    p = conditional(Joint(machine(3, 5)), row)[1]
    assert len(np.unique(rows, axis=0)) >= (p > 0.05).sum() > 1


def test_blocks_of_many_rows(monkeypatch):
    """Two rows per block of chains: means within five standard errors of their probabilities."""
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", 1)
    monkeypatch.setattr(_sampling, "_BLOCK", 8 * 300 * 5 * 2)
    given = np.array([[1, NAN, 0, NAN, b] for b in (0, 1)] + [[NAN, NAN, a, 0, 1] for a in (0, 1)])
    rows = draw_given(machine(3, 5), given, 300, np.random.default_rng(0)).reshape(4, 300, 5)
    joint = Joint(machine(3, 5))
    for row, drawn in zip(given, rows, strict=True):
        states, p = conditional(joint, row)
        mean = p @ states
        error = np.sqrt(mean * (1 - mean) / 300) + 1e-3
        assert (np.abs(drawn[:, np.isnan(row)].mean(axis=0) - mean) < 5 * error).all()
