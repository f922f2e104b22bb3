"""Linear restrictions R theta = q: closed forms, searched maxima, Hotelling, robust forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import optimize, stats

from skgm import ScoreMatchingGaussian
from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.nulls import read_equations
from skgm.inference.families import Gamma, Weibull
from tests.inference import robust_forms
from tests.inference.test_mle import data

TESTS = [score_test, likelihood_ratio_test, wald_test]
DIFFERENCE = np.array([[1.0, -1.0]])


def two_columns(law, n=30, seed=0):
    return law.rvs(size=(n, 2), random_state=seed) * [1.0, 1.3]


@pytest.mark.parametrize("test", TESTS)
def test_rows_that_pick_one_entry_are_the_same_as_a_dict(test):
    X = data("normal")
    R = np.zeros((2, 6))
    R[0, 1], R[1, 5] = 2.0, -1.0  # 2 mu[1] = 10, -sigma[2] = -2
    nan = np.nan
    by_matrix = test(MLEDensity(), X, (R, [10.0, -2.0]))
    by_name = test(MLEDensity(), X, {"mu": [nan, 5.0, nan], "sigma": [nan, nan, 2.0]})
    assert_allclose(by_matrix.statistic, by_name.statistic, rtol=1e-12)
    assert by_matrix.df == 2
    assert set(by_matrix.null) == {"R", "q"}
    mvn = MLEDensity("mvn")
    R = np.zeros((1, 9))
    R[0, 6] = 1.0  # lower triangle by rows after the means: covariance[2, 0]
    covariance = np.full((3, 3), nan)
    covariance[2, 0] = covariance[0, 2] = 0.1
    by_matrix, by_name = (
        wald_test(mvn, X, null) for null in ((R, 0.1), {"covariance": covariance})
    )
    assert_allclose(by_matrix.statistic, by_name.statistic, rtol=1e-12)


def test_equal_rates():
    """Pooled rate 2 n / (S1 + S2); everything in closed form."""
    X = two_columns(stats.expon(scale=2.0))
    n, S = 30, X.sum(axis=0)
    rates, pooled = n / S, 2 * n / S.sum()
    score = np.sum((n / pooled - S) ** 2) * pooled**2 / n
    ratio = 2 * (n * np.log(rates).sum() - 2 * n * np.log(pooled))
    wald = (rates[0] - rates[1]) ** 2 / np.sum(rates**2 / n)
    for test, expected in zip(TESTS, (score, ratio, wald)):
        result = test(MLEDensity("exponential"), X, (DIFFERENCE, 0.0))
        assert_allclose(result.statistic, expected, rtol=1e-10)
        assert result.df == 1
        assert_allclose(abs(result.signed_root), np.sqrt(expected), rtol=1e-10)
        assert np.sign(result.signed_root) == np.sign(rates[0] - rates[1])


@pytest.mark.parametrize("family", [Gamma(), Weibull()])
def test_equal_shapes_against_a_search(family):
    X = two_columns(stats.gamma(2.0))
    law = stats.gamma if family.name == "gamma" else stats.weibull_min

    def minus(theta):
        shape, *scales = np.exp(theta)
        return -law.logpdf(X, shape, scale=scales).sum()

    tight = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    lowest = optimize.minimize(minus, np.zeros(3), method="Nelder-Mead", options=tight)
    best = MLEDensity(family).fit(X).loglik_
    R = np.array([[1.0, -1.0, 0.0, 0.0]])
    result = likelihood_ratio_test(MLEDensity(family), X, (R, 0.0))
    assert_allclose(result.statistic, 2 * (best + lowest.fun), atol=1e-7)
    assert_allclose(result.restricted_params["shape"], np.exp(lowest.x[0]), rtol=1e-5)
    # the score is orthogonal to what the null leaves free
    total = family.score(X, result.restricted_params).sum(axis=0)  # (column, parameter)
    assert_allclose([total[0, 0] + total[1, 0], *total[:, 1]], 0, atol=1e-6)


def test_a_restriction_within_one_column():
    """mu = 2 sigma (a known coefficient of variation): a search along one line."""
    x = data("normal", n=30, d=1)

    def minus(sigma):
        return -stats.norm.logpdf(x, 2 * sigma, sigma).sum()

    lowest = optimize.minimize_scalar(
        minus, bounds=(0.1, 20), method="bounded", options={"xatol": 1e-12}
    )
    best = stats.norm.logpdf(x, x.mean(), x.std()).sum()
    result = likelihood_ratio_test(MLEDensity(), x, (np.array([1.0, -2.0]), 0.0))
    assert_allclose(result.statistic, 2 * (best + lowest.fun), rtol=1e-9)
    assert_allclose(result.restricted_params["sigma"], lowest.x, rtol=1e-6)
    sigma = lowest.x
    z = (x - 2 * sigma) / sigma
    U = np.array([z.sum(), (z**2 - 1).sum()]) / sigma
    expected = U @ np.diag([sigma**2, sigma**2 / 2]) @ U / 30
    score = score_test(MLEDensity(), x, (np.array([1.0, -2.0]), 0.0))
    assert_allclose(score.statistic, expected, rtol=1e-6)


def test_equal_means_of_a_multivariate_normal():
    """Hotelling's T2 of the contrasts: n log(1 + T2/(n-1)), n T2/(n-1+T2), n T2/(n-1)."""
    X, n = data("mvn", n=40), 40
    R = np.zeros((2, 9))
    R[0, :2], R[1, 1:3] = (1, -1), (1, -1)
    contrasts = X @ R[:, :3].T
    gap = contrasts.mean(axis=0) - [0.1, 0.2]
    t2 = n * gap @ np.linalg.solve(np.cov(contrasts.T), gap)
    expected = [n * t2 / (n - 1 + t2), n * np.log1p(t2 / (n - 1)), n * t2 / (n - 1)]
    for test, value in zip(TESTS, expected):
        result = test(MLEDensity("mvn"), X, (R, [0.1, 0.2]))
        assert_allclose(result.statistic, value, rtol=1e-9)
        assert result.df == 2


def test_linear_functions_of_a_covariance_need_the_wald_test():
    """Equal variances of two dependent columns: V(S_ii, S_jj) = 2 S_ij^2 / n."""
    X, n = data("mvn", n=40), 40
    R = np.zeros(9)
    R[3], R[5] = 1.0, -1.0
    S = np.cov(X.T, bias=True)
    variance = 2 * (S[0, 0] ** 2 + S[1, 1] ** 2 - 2 * S[0, 1] ** 2) / n
    result = wald_test(MLEDensity("mvn"), X, (R, 0.0))
    assert_allclose(result.statistic, (S[0, 0] - S[1, 1]) ** 2 / variance, rtol=1e-9)
    for test in TESTS[:2]:
        with pytest.raises(ValueError, match=r"entries of the mean only.*Use wald_test"):
            test(MLEDensity("mvn"), X, (R, 0.0))


def dependent_counts(n=60):
    rng = np.random.default_rng(3)
    common = rng.negative_binomial(2, 0.4, (n, 1))
    return (common + rng.poisson([1.0, 1.4], (n, 2))).astype(float)


def test_robust_wald_of_equal_means_is_the_paired_test():
    X = dependent_counts()
    result = wald_test(MLEDensity("poisson"), X, (DIFFERENCE, 0.0), robust=True)
    gap = X[:, 0] - X[:, 1]
    pull = (gap - gap.mean()) / 60
    assert_allclose(result.statistic, robust_forms.wald(gap.mean(), pull), rtol=1e-8)
    naive = wald_test(MLEDensity("poisson"), X, (DIFFERENCE, 0.0))
    assert naive.statistic < 0.8 * result.statistic  # dependence makes the difference steadier


def test_robust_score_of_equal_means():
    """Written out: scores x/m - 1 at the pooled mean m, slopes mean(x)/m^2."""
    X = dependent_counts()
    m = X.mean()
    psi, slopes = X / m - 1, X.mean(axis=0) / m**2
    influence = psi / slopes
    expected = robust_forms.score(influence @ [1, -1])
    result = score_test(MLEDensity("poisson"), X, (DIFFERENCE, 0.0), robust=True)
    assert_allclose(result.statistic, expected, rtol=1e-8)
    assert result.method == "robust score"


def test_wald_of_estimating_functions():
    X = data("normal", n=40)
    model = ScoreMatchingGaussian()
    size = len(wald_row(model.fit(X)))
    R = np.zeros(size)
    R[:2] = 1.0, -1.0
    result = wald_test(model, X, (R, 0.0), robust=True)
    gap = X[:, 0] - X[:, 1]
    assert_allclose(result.statistic, 40 * gap.mean() ** 2 / gap.var(), rtol=1e-8)


def wald_row(fitted):
    shapes = fitted._parameter_shapes().values()
    return np.zeros(sum(s[0] if len(s) == 1 else s[0] * (s[0] + 1) // 2 for s in shapes))


@pytest.mark.parametrize("test", TESTS)
def test_weights_are_repetitions(test):
    X = two_columns(stats.gamma(2.0), n=25)
    weight = np.random.default_rng(0).integers(0, 4, 25)
    null = (np.array([1.0, -1.0, 0.0, 0.0]), 0.2)
    for family in (Gamma(), "normal"):
        a = test(MLEDensity(family), X.repeat(weight, axis=0), null)
        b = test(MLEDensity(family), X, null, sample_weight=weight)
        assert_allclose(a.statistic, b.statistic, rtol=1e-8)


@pytest.mark.parametrize("unit", [1e-12, 1e-3, 1e12])
def test_units_do_not_matter(unit):
    X = two_columns(stats.gamma(2.0))
    for test in TESTS:
        plain = test(MLEDensity(Gamma()), X, (np.array([0.0, 0, 1, -1]), 0.1)).statistic
        scaled = test(MLEDensity(Gamma()), X * unit, (np.array([0.0, 0, 1, -1]), 0.1 * unit))
        assert_allclose(scaled.statistic, plain, rtol=1e-7)


def test_a_projection_outside_the_parameter_space():
    """rate0 = 4 rate1 + 6: the nearest point of the plane has a negative rate; a search agrees."""
    X = np.array([[4.0, 2.0], [6.0, 3.0], [5.0, 1.0]])

    def minus(rate):
        return -stats.expon.logpdf(X, scale=[1 / (4 * rate + 6), 1 / rate]).sum()

    lowest = optimize.minimize_scalar(minus, bounds=(1e-9, 2), method="bounded")
    result = score_test(MLEDensity("exponential"), X, (np.array([1.0, -4.0]), 6.0))
    assert_allclose(result.restricted_params["rate"][1], lowest.x, rtol=1e-3)


def test_mean_far_from_zero():
    """Equal means, 1e7 spreads from zero: as at zero."""
    X = np.random.default_rng(0).normal(0, [1.0, 2.0], (40, 2))
    for name in ("normal", "mvn"):
        k = 4 if name == "normal" else 5
        R = np.append([1.0, -1.0], np.zeros(k - 2))
        near, far = (
            [test(MLEDensity(name), X + shift, (R, 0.0)).statistic for test in TESTS]
            for shift in (0.0, 1e7)
        )
        assert_allclose(far, near, rtol=1e-6)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("null", "words"),
    [
        ((np.ones((1, 3)), 0.0), r"one column per parameter \(2: .*\); got shape \(1, 3\)"),
        ((np.ones((2, 2)), [0.0, 1.0]), "linearly dependent"),
        ((DIFFERENCE, [0.0, 1.0]), "one entry per row of R"),
        ((DIFFERENCE, np.nan), "finite"),
        (("a", "b"), "matrix and a vector of numbers"),
        ((np.array([[1.0, 0.0]]), -2.0), "must be a number > 0"),
        (DIFFERENCE, r"or a tuple \(R, q\)"),
    ],
)
def test_impossible_restrictions(test, null, words):
    X = two_columns(stats.expon(scale=2.0))
    with pytest.raises(ValueError, match=words):
        test(MLEDensity("exponential"), X, null)


@pytest.mark.parametrize("test", TESTS[:2])
def test_restrictions_that_nothing_satisfies(test):
    X = two_columns(stats.expon(scale=2.0))
    with pytest.raises(ValueError, match="No point of the parameter space"):
        test(MLEDensity("exponential"), X, (np.array([1.0, 1.0]), -1.0))


@pytest.mark.slow
def test_size_of_equal_shapes():
    """n = 40, 2000 tables: 5 % is known to half a percent; four errors, and 1 % for the sample."""
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, [1.0, 3.0], (2000, 40, 2))
    null = (np.array([1.0, -1.0, 0.0, 0.0]), 0.0)
    for test in TESTS[:2]:
        pvalues = [test(MLEDensity(Gamma()), table, null).pvalue for table in X]
        assert abs(np.mean(np.array(pvalues) < 0.05) - 0.05) < 0.03


def test_equations_say_what_dicts_and_matrices_say():
    names = ["a", "np.log(x)[T.b]", "a2"]
    assert read_equations("a = 1", names) == {"a": 1.0}
    assert read_equations("2 * a2 = -3e-1, a = 0", names) == {
        "a2": -0.15,
        "a": 0.0,
    }
    R, q = read_equations("a - 2 * np.log(x)[T.b] + 1 = 0.5*a2, a2 = a", names)
    assert_array_equal(R, [[1, -2, -0.5], [-1, 0, 1]])
    assert_array_equal(q, [-1, 0])
    assert read_equations("a", names) == {"a": 0.0}
    R, q = read_equations("a = (a2 - 1) / 2 = 2 * 3", names)
    assert_array_equal(R, [[1, 0, -0.5], [0, 0, 0.5]])
    assert_array_equal(q, [-0.5, 6.5])
    for text in (
        "a * a2 = 1",
        "1 / a = 1",
        "a = = 1",
        "a == 1",
        "a = 1,",
        "",
        "a = b",
        "a a2 = 1",
        "3a = 1",
    ):
        with pytest.raises(ValueError, match='must hold equations such as "a = 1"'):
            read_equations(text, names)


def test_equations_as_nulls():
    X = np.random.default_rng(0).gamma(2.0, 3.0, (40, 2))
    model = MLEDensity("gamma")
    for test in (score_test, likelihood_ratio_test, wald_test):
        assert test(model, X[:, :1], "shape = 2") == test(model, X[:, :1], {"shape": 2.0})
    values = {"shape": [2.0, np.nan]}
    by_text = likelihood_ratio_test(model, X, "shape[x0] = 2")
    assert_allclose(by_text.statistic, likelihood_ratio_test(model, X, values).statistic)
    R = np.array([[1.0, -1.0, 0.0, 0.0]])
    by_text = likelihood_ratio_test(model, X, "shape[x0] = shape[x1]")
    assert_allclose(by_text.statistic, likelihood_ratio_test(model, X, (R, 0.0)).statistic)


@pytest.mark.parametrize("null", [{"shpae": 1.0}, "shpae = 1"])
def test_a_misspelled_parameter_is_guessed(null):
    X = np.random.default_rng(0).gamma(2.0, 3.0, (40, 1))
    with pytest.raises(ValueError, match="Did you mean 'shape'"):
        score_test(MLEDensity("gamma"), X, null)
