"""`compare_densities`: against scipy, by simulation, and on every input it must refuse."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skgm import MLEDensity, ScoreMatchingGaussian
from skgm.metrics import DensityComparison, compare_densities

RNG = np.random.default_rng(0)
LOG_A, LOG_B = RNG.normal(-3.0, 1.0, 40), RNG.normal(-3.2, 1.0, 40)


class Gaussian:
    """A density of one column that knows its parameters."""

    def __init__(self, mean, sd):
        self.mean, self.sd = mean, sd

    def score_samples(self, X):
        return stats.norm.logpdf(np.asarray(X)[:, 0], self.mean, self.sd)


def test_agrees_with_scipy_paired_t_test():
    ours = compare_densities(LOG_A, LOG_B, level=0.9)
    theirs = stats.ttest_rel(LOG_A, LOG_B)
    interval = theirs.confidence_interval(0.9)
    found = [ours.statistic, ours.pvalue, ours.df, ours.low, ours.high]
    expected = [theirs.statistic, theirs.pvalue, theirs.df, interval.low, interval.high]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(ours.difference, LOG_A.mean() - LOG_B.mean(), rtol=1e-10)
    np.testing.assert_allclose(ours.standard_error, stats.sem(LOG_A - LOG_B), rtol=1e-10)
    assert ours.win_rate == np.mean(LOG_A > LOG_B)
    assert (ours.n_rows, ours.level) == (40, 0.9)


def test_swapping_the_densities_mirrors_the_result():
    ab, ba = compare_densities(LOG_A, LOG_B), compare_densities(LOG_B, LOG_A)
    assert (ab.difference, ab.low, ab.high) == (-ba.difference, -ba.high, -ba.low)
    assert ab.pvalue == ba.pvalue
    assert ab.win_rate == pytest.approx(1 - ba.win_rate)


def test_estimators_of_scikit_learn_in_any_combination():
    X = RNG.normal(size=(60, 2))
    a, b = GaussianMixture(2, random_state=0).fit(X), KernelDensity(bandwidth=0.5).fit(X)
    held_out = RNG.normal(size=(30, 2))
    whole = compare_densities(a, b, held_out)
    assert whole.mean_a == pytest.approx(a.score(held_out))  # a mean
    assert whole.mean_b == pytest.approx(b.score(held_out) / 30)  # a sum
    mixed = compare_densities(a, b.score_samples(held_out), held_out)
    assert mixed == whole
    assert (whole.kind_a, whole.kind_b) == ("unknown", "unknown")


@pytest.mark.parametrize(
    "theirs", [GaussianMixture(2, random_state=0), KernelDensity(bandwidth=0.5)], ids=lambda e: e
)
@pytest.mark.parametrize("ours", [MLEDensity("mvn"), ScoreMatchingGaussian()], ids=lambda e: e)
def test_ours_and_theirs_both_ways(ours, theirs):
    rng = np.random.default_rng(6)
    X, held_out = rng.normal(size=(60, 2)), rng.normal(size=(30, 2))
    ours.fit(X), theirs.fit(X)
    ab, ba = compare_densities(ours, theirs, held_out), compare_densities(theirs, ours, held_out)
    paired = stats.ttest_rel(ours.score_samples(held_out), theirs.score_samples(held_out))
    assert ab.pvalue == pytest.approx(paired.pvalue)
    assert ab.pvalue == ba.pvalue
    assert (ab.low, ab.high) == (-ba.high, -ba.low)
    assert (ab.kind_a, ab.kind_b, ab.nested) == ("exact", "unknown", None)


def test_expected_difference_is_the_kullback_leibler_divergence():
    """KL(N(0,1) || N(1,2^2)) = log 2 + 2/8 - 1/2; Monte-Carlo error: five standard errors."""
    X = np.random.default_rng(1).normal(size=(20_000, 1))
    result = compare_densities(Gaussian(0.0, 1.0), Gaussian(1.0, 2.0), X)
    truth = np.log(2) + 2 / 8 - 0.5
    assert abs(result.difference - truth) < 5 * result.standard_error
    assert result.standard_error < 0.01


@pytest.mark.slow
def test_interval_covers_the_kullback_leibler_divergence():
    """4000 replications at n = 100: the 95% interval covers within 4.5 binomial errors (1.55%).

    The log-ratio of the two densities is quadratic in x, so its distribution is skewed and the
    t interval is not exact; both facts are part of what is tested.
    """
    rng, n_replications = np.random.default_rng(2), 4000
    a, b = Gaussian(0.0, 1.0), Gaussian(0.5, 1.2)
    truth = np.log(1.2) + (1 + 0.25) / (2 * 1.44) - 0.5
    covered = 0
    for _ in range(n_replications):
        result = compare_densities(a, b, rng.normal(size=(100, 1)))
        covered += result.low <= truth <= result.high
    margin = 4.5 * np.sqrt(0.95 * 0.05 / n_replications)
    assert abs(covered / n_replications - 0.95) < margin


def mean_log_normal(mean, sd, at, variance):
    """E log N(x; mean, sd^2) for any x with mean `at` and that variance."""
    return -0.5 * np.log(2 * np.pi) - np.log(sd) - (variance + (at - mean) ** 2) / (2 * sd**2)


def exponential_against_normal(rng, n_train, n_rows):
    """Gamma(2) data, neither model right; the true difference given the two fits."""
    train, rows = rng.gamma(2.0, size=(n_train, 1)), rng.gamma(2.0, size=(n_rows, 1))
    a, b = MLEDensity("exponential").fit(train), MLEDensity("normal").fit(train)
    truth = np.log(a.params_["rate"]) - 2 * a.params_["rate"]
    return a, b, rows, truth - mean_log_normal(b.params_["mu"], b.params_["sigma"], 2.0, 2.0)


def nested_normals(rng, n_train, n_rows):
    """Independent normal columns: a is right, and b, which contains it, has one more parameter."""
    train, rows = rng.normal(size=(n_train, 2)), rng.normal(size=(n_rows, 2))
    a, b = MLEDensity("normal").fit(train), MLEDensity("mvn").fit(train)
    of_a = mean_log_normal(a.params_["mu"], a.params_["sigma"], 0.0, 1.0).sum()
    mean, covariance = b.params_["mean"], b.params_["covariance"]
    inverse = np.linalg.inv(covariance)
    log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
    return a, b, rows, of_a + 0.5 * (log_det + np.trace(inverse) + mean @ inverse @ mean)


def equally_wrong(rng, n_train, n_rows):
    """The null hypothesis of Vuong's test: two densities at the same distance from the truth."""
    return Gaussian(-0.3, 1.0), Gaussian(0.3, 1.0), rng.normal(size=(n_rows, 1)), 0.0


@pytest.mark.slow
@pytest.mark.parametrize("draw", [exponential_against_normal, nested_normals, equally_wrong])
def test_interval_covers_the_true_difference_between_two_fits(draw):
    """Fits on 60 rows, 400 held out: 95% intervals cover the mean difference of new rows.

    4000 replications; 4.5 binomial errors (1.55%), and 0.5% for the skewness of log-ratios. That of
    the normal against the exponential, quadratic in gamma(2) data, puts most misses on one side;
    where log-ratios are normal, the misses on either side differ by chance alone.
    """
    rng, n_replications = np.random.default_rng(7), 4000
    below = above = 0
    for _ in range(n_replications):
        a, b, rows, truth = draw(rng, 60, 400)
        result = compare_densities(a, b, rows)
        below += result.high < truth
        above += result.low > truth
    error = 4.5 * np.sqrt(0.95 * 0.05 / n_replications)
    assert abs((below + above) / n_replications - 0.05) < error + 0.005
    if draw is equally_wrong:
        assert abs(below - above) < 4.5 * np.sqrt(0.05 * n_replications)


def test_pairing_narrows_the_interval():
    X = np.random.default_rng(3).normal(size=(200, 1))
    a, b = Gaussian(0.0, 1.0), Gaussian(0.1, 1.0)
    result = compare_densities(a, b, X)
    separate = np.hypot(stats.sem(a.score_samples(X)), stats.sem(b.score_samples(X)))
    assert result.standard_error < separate / 3


def test_integer_weights_are_repetitions():
    weight = RNG.integers(0, 4, 40)
    weighted = compare_densities(LOG_A, LOG_B, sample_weight=weight)
    repeated = compare_densities(np.repeat(LOG_A, weight), np.repeat(LOG_B, weight))
    for field in dataclasses.fields(DensityComparison):
        expected = getattr(repeated, field.name)
        if expected is None or isinstance(expected, str):
            continue
        np.testing.assert_allclose(getattr(weighted, field.name), expected, rtol=1e-10)


def test_rows_of_zero_weight_are_as_if_absent_even_where_a_density_is_zero():
    weight = np.r_[np.ones(39), 0.0]
    log_a = np.r_[LOG_A[:39], -np.inf]
    log_b = np.r_[LOG_B[:39], np.nan]
    with_row = compare_densities(log_a, log_b, sample_weight=weight)
    assert with_row == compare_densities(LOG_A[:39], LOG_B[:39])


def test_agreement_to_rounding_is_no_difference():
    nearly = LOG_A * (1 + 1e-14)
    assert np.ptp(nearly - LOG_A) > 0
    result = compare_densities(nearly, LOG_A)
    assert (result.difference, result.low, result.high, result.pvalue) == (0.0, 0.0, 0.0, 1.0)
    assert (result.statistic, result.win_rate) == (0.0, 0.5)


def test_small_real_differences_are_kept():
    result = compare_densities(LOG_A + 1e-5 * LOG_B, LOG_A)
    assert result.difference == pytest.approx(1e-5 * LOG_B.mean(), rel=1e-6)


def test_result_is_frozen_and_readable():
    result = compare_densities(LOG_A, LOG_B)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.difference = 0.0
    text = str(result)
    for value in (f"{result.difference:+.4g}", f"{result.low:+.4g}", "40 rows", "0.95"):
        assert value in text
    frame = result.to_frame()
    assert frame.shape == (1, len(dataclasses.fields(result)))
    assert frame.loc[0, "difference"] == result.difference
    assert "<table" in result._repr_html_()


def test_a_bound_is_called_a_bound():
    bound = Gaussian(0.0, 1.0)
    bound.log_density_kind_ = "lower_bound"
    result = compare_densities(Gaussian(0.2, 1.0), bound, RNG.normal(size=(20, 1)))
    assert result.kind_b == "lower_bound"
    assert "the log-density of b is a lower bound" in str(result)


def zero_at(log_density, *rows):
    copy = log_density.copy()
    copy[list(rows)] = -np.inf
    return copy


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (zero_at(LOG_A, 3, 5), LOG_B, r"in 2 rows for a and in 0 .* row 3.* is -inf \(b is better"),
        (LOG_A, zero_at(LOG_B, 7), r"in 0 rows for a and in 1 .* row 7.* is \+inf \(a is better"),
        (zero_at(LOG_A, 2), zero_at(LOG_B, 2), "in 1 rows for a and in 1 .* row 2.* is undefined"),
    ],
)
def test_zero_density_is_refused_with_the_verdict(a, b, verdict):
    with pytest.raises(ValueError, match=verdict):
        compare_densities(a, b)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((LOG_A, LOG_B[:-1]), {}, "40 log-densities for a and 39 for b"),
        ((LOG_A[:1], LOG_B[:1]), {}, "at least 2 held-out rows; got 1"),
        ((LOG_A, LOG_B), {"sample_weight": np.full(40, 1 / 40)}, "do not normalize"),
        ((LOG_A, LOG_B), {"sample_weight": -np.ones(40)}, "[Nn]egative"),
        ((LOG_A, LOG_B), {"sample_weight": np.ones(3)}, r"shape"),
        ((LOG_A, LOG_B), {"level": 1.0}, "level must be .* got 1.0"),
        ((LOG_A, LOG_B), {"level": "high"}, "level must be .* got 'high'"),
        ((LOG_A, LOG_A + 1.0), {}, "is -1 in each of the 40 rows"),
        ((np.where(LOG_A > -3, np.nan, LOG_A), LOG_B), {}, "log-density of a is nan in"),
        ((LOG_A, np.where(LOG_A > -3, np.inf, LOG_A)), {}, "log-density of b is inf in"),
        ((LOG_A[:, None], LOG_B), {}, r"one log-density per row.*\(40, 1\)"),
        (("model", LOG_B), {}, "a must be a fitted estimator .* got str"),
        ((Gaussian(0, 1), LOG_B), {}, "a is an estimator; pass the held-out rows"),
        ((LOG_A, LOG_B, np.zeros((39, 1))), {}, "a has 40 log-densities, but X has 39 rows"),
    ],
)
def test_wrong_input_is_refused_by_name(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        compare_densities(*arguments, **options)


def test_unfitted_estimator_is_refused():
    with pytest.raises(NotFittedError):
        compare_densities(GaussianMixture(), LOG_B, np.zeros((40, 1)))
