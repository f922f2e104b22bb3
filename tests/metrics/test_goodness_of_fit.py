"""Whether a family fits: statistics beside scipy's, sizes, and what has no test."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import GaussianMixtureDensity, MLEDensity, goodness_of_fit
from skgm.inference.families._schemes import turnbull
from skgm.metrics._censored_fit import censored_statistic
from skgm.metrics._distribution_statistics import continuous_statistic, discrete_statistic

RNG = np.random.default_rng(0)
WAITS = RNG.weibull(2.0, size=(60, 1))


@pytest.mark.parametrize("kind", ["ks", "cvm", "ad"])
def test_statistics_and_p_values_are_those_of_scipy(kind):
    ours = goodness_of_fit(MLEDensity("weibull"), WAITS, statistic=kind, random_state=0)
    theirs = stats.goodness_of_fit(
        stats.weibull_min,
        WAITS[:, 0],
        known_params={"loc": 0},
        statistic=kind,
        n_mc_samples=199,
        rng=1,
    )
    assert_allclose(ours.statistic, theirs.statistic, rtol=1e-3)  # their fit ends early
    error = np.sqrt(theirs.pvalue * (1 - theirs.pvalue) * (1 / 199 + 1 / 999))
    assert abs(ours.pvalue - theirs.pvalue) < 4 * error


@pytest.mark.parametrize("kind", ["ks", "cvm", "ad"])
def test_discrete_statistics_of_a_fine_law_are_the_continuous_ones(kind):
    x = np.sort(RNG.uniform(size=(15, 1)), axis=0)
    points = np.arange(1, 200_001) / 200_000
    shares = np.searchsorted(x[:, 0], points, side="right")[:, None] / 15
    fine = discrete_statistic(kind, 15, shares, points[:, None])
    assert_allclose(fine, continuous_statistic(kind, x), rtol=2e-3)


def test_discrete_cvm_is_the_sum_over_the_counts():
    counts = RNG.poisson(2.0, size=(30, 1)).astype(float)
    law = stats.poisson(counts.mean())
    found = goodness_of_fit(
        MLEDensity("poisson"), counts, statistic="cvm", n_resamples=19, random_state=0
    )
    k = np.arange(40)
    gap = (counts <= k).mean(axis=0) - law.cdf(k)
    assert_allclose(found.statistic, 30 * np.sum(law.pmf(k) * gap**2), rtol=1e-5)


@pytest.mark.parametrize("family", ["normal", "poisson"])
def test_p_values_are_uniform_if_the_family_is_right(family):
    """200 columns: the share below 0.1 is within four errors of 0.1, the mean of 1/2."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(20, 200)) if family == "normal" else rng.poisson(3.0, size=(20, 200))
    p = goodness_of_fit(MLEDensity(family), X.astype(float), n_resamples=199, random_state=0).pvalue
    assert p.shape == (200,)
    assert abs(np.mean(p <= 0.1) - 0.1) < 4 * np.sqrt(0.1 * 0.9 / 200)
    assert abs(p.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 200)


def test_wrong_families_are_rejected_in_every_statistic():
    x = np.random.default_rng(1).exponential(size=(80, 1))
    for kind in ("ad", "ks", "cvm", "energy"):
        result = goodness_of_fit(MLEDensity("normal"), x, statistic=kind, random_state=0)
        assert result.pvalue <= 0.01
    spread = np.random.default_rng(1).negative_binomial(2, 0.3, size=(80, 1)).astype(float)
    assert goodness_of_fit(MLEDensity("poisson"), spread, random_state=0).pvalue <= 0.01


def test_p_values_do_not_depend_on_units():
    results = [
        goodness_of_fit(MLEDensity("gamma"), WAITS * unit, random_state=0) for unit in (1, 1e-9)
    ]
    assert_allclose(results[0].statistic, results[1].statistic, rtol=1e-6)
    assert_allclose(results[0].pvalue, results[1].pvalue, atol=2e-3)


def test_weights_are_repetitions():
    x = np.array([[0.0], [1.0], [2.0], [5.0]])
    weight = np.array([2, 1, 0, 3])
    short = goodness_of_fit(MLEDensity(), x, sample_weight=weight, random_state=0)
    long = goodness_of_fit(MLEDensity(), np.repeat(x, weight, axis=0), random_state=0)
    assert_allclose(short.statistic, long.statistic)
    assert short.pvalue == long.pvalue
    with pytest.raises(ValueError, match="whole numbers"):
        goodness_of_fit(MLEDensity(), x, sample_weight=[1, 1, 0.5, 1])


def test_values_of_a_window_are_drawn_inside_it():
    x = np.random.default_rng(8).normal(1.0, 1.0, size=(200, 1))
    x = x[x[:, 0] > 0.5]
    inside = MLEDensity("normal", window=(0.5, np.inf))
    assert goodness_of_fit(inside, x, n_resamples=199, random_state=0).pvalue > 0.05
    assert goodness_of_fit(MLEDensity("normal"), x, n_resamples=199, random_state=0).pvalue < 0.05


def test_fixed_parameters_stay_fixed():
    x = np.random.default_rng(2).normal(3.0, 1.0, size=(60, 1))
    assert goodness_of_fit(MLEDensity(fixed={"mu": 0.0}), x, random_state=0).pvalue <= 0.01
    assert goodness_of_fit(MLEDensity(fixed={"mu": 3.0}), x, random_state=0).pvalue > 0.01


def test_columns_with_families_of_their_own_and_holes():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"wait": rng.gamma(2.0, size=70), "count": rng.poisson(4, size=70)})
    frame.loc[::7, "wait"] = np.nan
    model = MLEDensity({"wait": "gamma", "count": "poisson"})
    result = goodness_of_fit(model, frame, n_resamples=199, random_state=0)
    assert list(result.to_frame().index) == ["wait", "count"]
    assert (result.pvalue > 0.01).all()
    alone = goodness_of_fit(MLEDensity("gamma"), frame["wait"].dropna(), random_state=0)
    assert_allclose(result.statistic[0], alone.statistic)


def test_energy_sees_columns_that_depend_on_each_other():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(100, 1)) + 0.5 * rng.normal(size=(100, 2))
    columns = goodness_of_fit(MLEDensity(), X, n_resamples=199, random_state=0)
    assert (columns.pvalue > 0.05).all()
    options = {"statistic": "energy", "n_resamples": 19, "random_state": 0}
    assert goodness_of_fit(MLEDensity(), X, **options).pvalue == 0.05
    assert goodness_of_fit(MLEDensity("mvn"), X, **options).pvalue > 0.05
    mixture = goodness_of_fit(GaussianMixtureDensity(1), X, n_resamples=19, random_state=0)
    assert mixture.method == "energy"
    assert mixture.pvalue > 0.05


def test_the_result_prints_and_names_what_it_left_out():
    rounded = np.round(np.random.default_rng(6).normal(size=(80, 1)), 1)
    result = goodness_of_fit(MLEDensity(), rounded, n_resamples=99, random_state=0)
    assert "ties" in result.summary()
    assert "Anderson-Darling" in str(result)
    assert "pvalue" in result._repr_html_()
    binary = goodness_of_fit(MLEDensity("bernoulli"), [[0], [1], [1]], random_state=0)
    assert binary.pvalue == 1
    assert "Bernoulli" in binary.summary()


def test_what_has_no_test_is_refused():
    with pytest.raises(TypeError, match="two_sample_test"):
        goodness_of_fit(stats.norm, WAITS)
    censored = stats.CensoredData([1.0, 2.0], right=[3.0])
    with pytest.raises(ValueError, match="compares rows that were seen"):
        goodness_of_fit(MLEDensity("exponential"), censored, statistic="energy")
    with pytest.raises(ValueError, match="which only MLEDensity takes"):
        goodness_of_fit(GaussianMixtureDensity(1), WAITS, event=np.ones(60))
    with pytest.raises(ValueError, match="must be one of 'auto'"):
        goodness_of_fit(MLEDensity(), WAITS, statistic="lilliefors")
    with pytest.raises(ValueError, match="is categorical"):
        goodness_of_fit(MLEDensity("categorical"), [["a"], ["b"], ["a"]])
    with pytest.raises(ValueError, match="n_resamples must be"):
        goodness_of_fit(MLEDensity(), WAITS, n_resamples=5)
    with pytest.raises(ValueError, match="statistic='energy'"):
        goodness_of_fit(MLEDensity("mvn"), WAITS, statistic="ks")


# Censored rows.


def _right(x, rng):
    limit = rng.weibull(1.5, x.shape) + 0.3
    return np.minimum(x, limit), np.where(x > limit, np.inf, x)


def _left(x, rng):
    return np.where(x < 0.6, -np.inf, x), np.maximum(x, 0.6)


def _grid(x, rng):
    ends = np.array([-np.inf, 0.3, 0.6, 0.9, 1.3, np.inf])
    cell = np.searchsorted(ends, x)
    return ends[cell - 1], ends[cell]


def _own_looks(x, rng):
    start = 0.7 * rng.random(x.shape)
    low = np.floor((x - start) / 0.7) * 0.7 + start
    return np.where(low <= 0, -np.inf, low), low + 0.7


def _seen_early(x, rng):
    low, high = _grid(x, rng)
    return np.where(x < 0.6, x, low), np.where(x < 0.6, x, high)


SCHEMES = {"right": _right, "left": _left, "grid": _grid, "own": _own_looks, "mixed": _seen_early}


@pytest.mark.parametrize("kind", ["ks", "cvm", "ad"])
def test_statistics_of_values_that_were_all_seen_are_the_usual_ones(kind):
    u = np.sort(np.random.default_rng(0).random((30, 2)), axis=0)
    u[4] = u[5]  # ties
    assert_allclose(censored_statistic(kind, u, u), continuous_statistic(kind, u), rtol=1e-9)


@pytest.mark.parametrize("kind", ["cvm", "ad"])
def test_censored_statistics_are_the_integrals(kind):
    low = np.array([0.05, 0.1, 0.2, 0.3, 0.55, 0.7, 0.9])[:, None]
    high = np.array([0.05, 0.35, 0.2, 1.0, 0.8, 0.7, 1.0])[:, None]
    first, last, mass = (part[:, 0] for part in turnbull(low, high, tolerance=1e-12, most=9999))
    u = (np.arange(400_000) + 0.5) / 400_000
    inside = [np.clip((u - a) / b if b else u >= a, 0, 1) for a, b in zip(first, last - first)]
    gap = mass @ np.array(inside, dtype=float) - u
    weight = 1 / (u * (1 - u)) if kind == "ad" else 1
    found = censored_statistic(kind, low, high)
    assert_allclose(found, 7 * np.mean(gap**2 * weight), rtol=1e-3)


def test_turnbulls_estimate_of_right_censored_rows_is_that_of_kaplan_and_meier():
    low = np.array([1.0, 2.0, 2.0, 3.0, 4.0, 5.0])[:, None]
    event = np.array([1, 0, 1, 1, 0, 1])[:, None]
    first, _, mass = turnbull(low, np.where(event, low, np.inf), tolerance=1e-12, most=9999)
    survival = stats.ecdf(stats.CensoredData(low[event == 1], right=low[event == 0])).sf
    assert_allclose(1 - np.cumsum(mass[:, 0]), survival.evaluate(first[:, 0]), atol=1e-9)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_wrong_families_of_censored_rows_are_rejected(scheme):
    rng = np.random.default_rng(1)
    low, high = SCHEMES[scheme](0.15 + 0.5 * rng.exponential(size=(80, 1)), rng)
    right, wrong = (
        goodness_of_fit(MLEDensity(f), low, upper=high, n_resamples=99, random_state=0).pvalue
        for f in ("lognormal", "normal")
    )
    assert wrong <= 0.05 < right


def test_entries_events_weights_and_scipys_container():
    rng = np.random.default_rng(2)
    x, entry = rng.exponential(size=(50, 1)), 0.3 * rng.random((50, 1))
    x, entry = x[x > entry][:, None], entry[x > entry][:, None]
    event = (x < 1.2) * 1.0
    x = np.minimum(x, 1.2)
    options = {"n_resamples": 99, "random_state": 0}
    told = goodness_of_fit(MLEDensity("exponential"), x, event=event, **options)
    upper = np.where(event == 1, x, np.inf)
    assert (
        told.pvalue == goodness_of_fit(MLEDensity("exponential"), x, upper=upper, **options).pvalue
    )
    theirs = stats.CensoredData(x[event == 1], right=x[event == 0])
    boxed = goodness_of_fit(MLEDensity("exponential"), theirs, **options)
    assert_allclose(boxed.statistic, told.statistic)
    weight = np.arange(len(x)) % 3
    short = goodness_of_fit(
        MLEDensity("exponential"), x, event=event, sample_weight=weight, **options
    )
    rows = np.repeat(np.arange(len(x)), weight)
    long = goodness_of_fit(MLEDensity("exponential"), x[rows], event=event[rows], **options)
    assert_allclose(short.statistic, long.statistic)
    late = goodness_of_fit(MLEDensity("exponential"), x, event=event, entry=entry, **options)
    assert late.pvalue > 0.05
    both = np.column_stack([x, x])
    columns = goodness_of_fit(MLEDensity("weibull"), both, event=event, **options)
    assert_allclose(columns.statistic[0], columns.statistic[1])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
def test_p_values_of_censored_columns_are_uniform(scheme):
    """300 columns of 30 rows: rejections at 10 % within four errors, or fewer of own looks."""
    rng = np.random.default_rng(3)
    low, high = SCHEMES[scheme](rng.weibull(1.5, size=(30, 300)), rng)
    result = goodness_of_fit(MLEDensity("weibull"), low, upper=high, n_resamples=99, random_state=0)
    rejected, error = np.mean(result.pvalue <= 0.1), np.sqrt(0.1 * 0.9 / 300)
    assert rejected < 0.1 + 4 * error
    assert rejected > 0.1 - 4 * error or scheme == "own"
