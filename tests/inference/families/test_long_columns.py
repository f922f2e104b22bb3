"""Families whose long columns are searched one by one, from some of their rows first."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm.inference.families import get_family
from skgm.inference.families._extreme_value import scale_from_series, tilted_series
from skgm.inference.families._logistic import location_and_scale_of

FAMILIES = ["gumbel", "weibull", "logistic"]
# Rows: on both sides of where columns are searched alone, and where some rows tell the start.
SIZES = [40, 700, 33_000]


def table(name, n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.weibull(1.7, (n, d)) if name == "weibull" else rng.logistic(3.0, 2.0, (n, d))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("ordered", [False, True])
def test_scores_vanish_at_the_estimate(name, n, ordered):
    """Also for sorted rows, data of another family, and weights."""
    family, X = get_family(name), table(name, n, 3)
    X = np.sort(X, axis=0) if ordered else X
    weight = np.random.default_rng(1).integers(1, 4, n).astype(float)
    for rows, own in ((X, None), (X, weight), (X[:, :1], None), (X[:, :1], weight)):
        statistics = family.summarize(rows, own)
        estimate = family.estimate(statistics)
        errors = family.standard_errors(estimate, 1.0)
        for k, parameter in enumerate(family.parameters):
            score = family.mean_score(statistics, estimate)[:, k]
            assert np.abs(score * errors[parameter.name]).max() < 3e-13


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_are_repetitions(name):
    family, X = get_family(name), table(name, 600, 1)
    weight = np.random.default_rng(1).integers(1, 4, 600)
    weighted = family.estimate(family.summarize(X, weight.astype(float)))
    repeated = family.estimate(family.summarize(np.repeat(X, weight, axis=0), None))
    for parameter, value in weighted.items():
        assert_allclose(value, repeated[parameter], rtol=1e-13)


@pytest.mark.parametrize("start", [0.01, 0.5, 1.7, 6.0, 100.0])
def test_series_from_any_start(start):
    x = np.log(table("weibull", 300, 1)[:, 0])
    found = scale_from_series(x, np.ones(300), x.max(), 1.0, start)
    kappa, log_mean = found
    e = np.exp(kappa * (x - x.max()))
    assert_allclose(kappa * ((e @ x) / e.sum() - x.mean()), 1, rtol=1e-12)
    assert_allclose(log_mean, np.log(e.mean()), rtol=1e-12)


def test_series_is_the_mean_exponential_nearby():
    x, weight = table("logistic", 50, 1)[:, 0], np.linspace(1, 2, 50)
    series = tilted_series(x, weight, x.min(), -1.0, 0.8, 20)
    for t in (-0.2, 0.1, 0.2):
        direct = weight @ np.exp(-0.8 * (1 + t) * (x - x.min()))
        assert_allclose(np.polynomial.polynomial.polyval(t, series), direct, rtol=1e-12)


def test_searches_that_find_nothing_say_so():
    """A column of one value, and a start from which Newton's steps do not settle."""
    same = np.full(5, 2.0)
    assert scale_from_series(same, np.ones(5), 2.0, 1.0, 1.0) is None
    assert location_and_scale_of(same, np.ones(5), 1e3, 1e-3) is None
