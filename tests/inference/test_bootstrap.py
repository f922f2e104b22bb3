"""Bootstrap intervals: against scipy's BCa, weights, and coverage."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.inference import MLEDensity

RNG = np.random.default_rng(11)
X = RNG.exponential(2.0, (60, 1))


def test_agrees_with_scipys_bca():
    """Both have Monte-Carlo error in the 2.5 % quantile of 1999 replicates: about 3 % of the width
    each (sqrt(.025 * .975 / 1999) / density, in standard errors .06), hence 6 standard errors of
    .06 * sqrt(2)."""
    fit = MLEDensity("exponential").fit(X)
    low, high = fit.confidence_intervals(method="bootstrap", X=X, random_state=0)["rate"]
    scipys = stats.bootstrap(
        (X[:, 0],),
        lambda x, axis: 1 / x.mean(axis=axis),
        n_resamples=1999,
        random_state=np.random.default_rng(1),
    ).confidence_interval
    tolerance = 6 * 0.06 * np.sqrt(2) * fit.standard_errors()["rate"]
    assert_allclose([low, high], [scipys.low, scipys.high], atol=tolerance, rtol=0)
    # and not the percentile interval, from which BCa differs where the estimate is skewed
    assert low < fit.params_["rate"] < high


def test_seeded_and_fresh():
    fit = MLEDensity("normal").fit(X)
    first, again = (
        fit.confidence_intervals(method="bootstrap", X=X, random_state=5)["mu"] for _ in range(2)
    )
    assert first == again
    one, other = (fit.confidence_intervals(method="bootstrap", X=X)["mu"] for _ in range(2))
    assert one != other


def test_integer_weights_are_repetitions():
    """Two Monte-Carlo runs of one bootstrap."""
    weight = RNG.integers(1, 4, len(X)).astype(float)
    repeated = X.repeat(weight.astype(int), axis=0)
    fit = MLEDensity("exponential").fit(X, sample_weight=weight)
    low, high = fit.confidence_intervals(
        method="bootstrap", X=X, sample_weight=weight, random_state=0
    )["rate"]
    other = MLEDensity("exponential").fit(repeated)
    expected = other.confidence_intervals(method="bootstrap", X=repeated, random_state=0)["rate"]
    # the Monte-Carlo error of the first test
    tolerance = 6 * 0.06 * np.sqrt(2) * other.standard_errors()["rate"]
    assert_allclose([low, high], expected, atol=tolerance, rtol=0)


def test_censored_rows_are_resampled_with_their_events():
    """Events per total time, against scipy's BCa of pairs; Monte-Carlo error as above."""
    cut = RNG.exponential(3.0, (60, 1))
    times, event = np.minimum(X, cut), (cut >= X)[:, 0]
    fit = MLEDensity("exponential").fit(times, event=event)
    low, high = fit.confidence_intervals(method="bootstrap", random_state=0)["rate"]
    scipys = stats.bootstrap(
        (event.astype(float), times[:, 0]),
        lambda e, t, axis: e.sum(axis=axis) / t.sum(axis=axis),
        n_resamples=1999,
        paired=True,
        random_state=np.random.default_rng(1),
    ).confidence_interval
    tolerance = 6 * 0.06 * np.sqrt(2) * fit.standard_errors()["rate"]
    assert_allclose([low, high], [scipys.low, scipys.high], atol=tolerance, rtol=0)
    given = fit.confidence_intervals(method="bootstrap", X=times, random_state=0)["rate"]
    assert given == (low, high)
    with pytest.raises(ValueError, match="rows are kept with their events"):
        fit.confidence_intervals(method="bootstrap", X=times * 2)


@pytest.mark.parametrize("family", ["weibull", "lognormal", "gamma"])
def test_censored_rows_with_weights(family):
    """Integer weights are repetitions, and rare events leave resamples without any."""
    times = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    weight, event = np.array([3.0, 1.0, 2.0, 4.0, 5.0]), np.array([1, 1, 0, 0, 0])
    few = MLEDensity(family).fit(times, event=event, sample_weight=weight)
    found = few.confidence_intervals(method="bootstrap", random_state=0)
    for name, (low, high) in found.items():
        assert np.isfinite([low, high]).all()
        assert low < few.params_[name] < high


def test_degenerate_resamples_are_left_out():
    """Of two rows half of the resamples repeat one; the normal has no estimate there."""
    x = np.array([[0.0], [1.0]])
    fit = MLEDensity("normal").fit(x)
    low, high = fit.confidence_intervals(method="bootstrap", X=x, random_state=0)["sigma"]
    assert low == high == fit.params_["sigma"]


def test_refusals():
    fit = MLEDensity("normal").fit(X)
    with pytest.raises(ValueError, match="Bootstrap intervals need the training table"):
        fit.confidence_intervals(method="bootstrap")
    joint = MLEDensity("multivariate_normal").fit(RNG.normal(size=(20, 2)))
    with pytest.raises(ValueError, match="independent columns"):
        joint.confidence_intervals(method="bootstrap", X=RNG.normal(size=(20, 2)))


@pytest.mark.slow
def test_coverage():
    """400 tables of 50 rows; the BCa interval of an exponential rate is a little short: 92 to 95.5
    in the literature. Monte-Carlo error 1.2 %, so above 89 % and below 98.5 %."""
    rng = np.random.default_rng(0)
    table = rng.exponential(1.0, (50, 400))
    fit = MLEDensity("exponential").fit(table)
    low, high = fit.confidence_intervals(method="bootstrap", X=table, random_state=0)["rate"]
    assert 0.89 < ((low < 1) & (high > 1)).mean() < 0.985
