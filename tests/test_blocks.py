"""Long tables are scored and drawn in blocks: the same numbers and errors, in bounded memory."""

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import PowerTransformer

from skgm import (
    DensityChain,
    GaussianMixtureDensity,
    MLEDensity,
    NCEDensity,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
    StackedDensity,
    make_density_pipeline,
)

X = np.random.default_rng(0).gamma(3.0, 1.0, size=(200, 3)).cumsum(axis=1)
LONG = np.tile(X, (30, 1))
DENSITIES = [
    MLEDensity("gamma"),
    MLEDensity("student_t"),
    MLEDensity("auto"),
    ScoreMatchingGaussian(),
    ScoreMatchingExpFamily("gamma"),
    GaussianMixtureDensity(2, random_state=0),
    NCEDensity("quadratic", random_state=0),
    DensityChain(n_orders=1, n_cells=4, random_state=0),
    StackedDensity([("normal", ScoreMatchingGaussian())], random_state=0),
    make_density_pipeline(PowerTransformer(), ScoreMatchingGaussian()),
]


@pytest.fixture
def blocks(monkeypatch):
    monkeypatch.setattr("skgm.base._ROWS_AT_ONCE", 256)


def workspace(call, *arguments):
    call(*arguments)  # what is made once
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    result = call(*arguments)
    peak = tracemalloc.get_traced_memory()[1] - before - result.nbytes
    tracemalloc.stop()
    return peak


@pytest.mark.filterwarnings("ignore::UserWarning")  # of short fits
@pytest.mark.parametrize("density", DENSITIES, ids=lambda d: str(d)[:40])
def test_blocks_change_nothing_but_memory(density, monkeypatch):
    whole = density.fit(X).score_samples(LONG)
    monkeypatch.setattr("skgm.base._ROWS_AT_ONCE", 256)
    assert_allclose(density.score_samples(LONG), whole, rtol=1e-12, atol=1e-12)
    one, two = (workspace(density.score_samples, LONG[:n]) for n in (2000, 4000))
    assert two < 1.1 * one + 4096


@pytest.mark.parametrize("density", DENSITIES[:6], ids=lambda d: str(d)[:40])
def test_draws_in_blocks(density, blocks):
    density.fit(X)
    rows = density.sample(1000, random_state=0)
    assert_array_equal(rows, density.sample(1000, random_state=0))
    assert rows.shape == (1000, 3)
    assert len(np.unique(rows, axis=0)) > 900
    one, two = (workspace(density.sample, n, 0) for n in (3000, 6000))
    assert two < 1.1 * one + 4096


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_frames_in_blocks(kind, blocks):
    density = MLEDensity("gamma").fit(kind(dict(zip("abc", X.T))))
    frame = kind(dict(zip("abc", LONG.T)))
    assert_array_equal(
        density.score_samples(frame), np.tile(density.score_samples(frame[:200]), 30)
    )


def test_errors_count_the_rows_of_the_whole_table(blocks):
    bad = LONG.copy()
    bad[5000, 1] = np.nan
    with pytest.raises(ValueError, match=r"column 'x1' .first at row 5000"):
        MLEDensity("gamma").fit(X).score_samples(bad)
