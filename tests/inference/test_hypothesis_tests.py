"""The three tests against closed forms, statsmodels, Hotelling and searched maxima."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import digamma

from skgm import ScoreMatchingGaussian
from skgm.inference import (
    MLEDensity,
    TestResult,
    likelihood_ratio_test,
    score_test,
    wald_test,
)
from skgm.inference._parametric import ParametricDensity
from skgm.inference.families._categorical import Categorical
from tests.inference import robust_forms
from tests.inference.test_mle import data

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.stats.proportion import proportions_ztest

TESTS = [score_test, likelihood_ratio_test, wald_test]


def test_bernoulli_against_statsmodels():
    """Wald squares statsmodels' z; score squares it with the null's variance."""
    x = data("bernoulli", d=1)
    ones, n = int(x.sum()), len(x)
    model = MLEDensity("bernoulli")
    z, p = proportions_ztest(ones, n, 0.55, prop_var=0.55)
    score = score_test(model, x, {"p": 0.55})
    assert_allclose([score.statistic, score.pvalue], [z**2, p], rtol=1e-10)
    z, p = proportions_ztest(ones, n, 0.55)
    wald = wald_test(model, x, {"p": 0.55})
    assert_allclose([wald.statistic, wald.pvalue], [z**2, p], rtol=1e-10)
    g, p = stats.power_divergence([ones, n - ones], [0.55 * n, 0.45 * n], lambda_="log-likelihood")
    ratio = likelihood_ratio_test(model, x, {"p": 0.55})
    assert_allclose([ratio.statistic, ratio.pvalue], [g, p], rtol=1e-10)


def test_normal_mean_is_a_function_of_students_t():
    """W = n log(1 + t^2/(n-1)), score = n t^2/(n-1+t^2), Wald = n t^2/(n-1)."""
    x = data("normal", n=15, d=1)
    t2, n = stats.ttest_1samp(x[:, 0], 4.0).statistic ** 2, 15
    expected = [n * t2 / (n - 1 + t2), n * np.log1p(t2 / (n - 1)), n * t2 / (n - 1)]
    found = [test(MLEDensity(), x, {"mu": 4.0}).statistic for test in TESTS]
    assert_allclose(found, expected, rtol=1e-10)


def test_normal_both_parameters():
    """Simple null: two degrees of freedom, from the definitions written out."""
    x = data("normal", n=15, d=1)
    n, mu, sigma = 15, 5.5, 1.5
    z = (x[:, 0] - mu) / sigma
    s = x.std()
    score = z.sum() ** 2 / n + (z @ z - n) ** 2 / (2 * n)
    ratio = 2 * (stats.norm.logpdf(x, x.mean(), s) - stats.norm.logpdf(x, mu, sigma)).sum()
    wald = n * (x.mean() - mu) ** 2 / s**2 + 2 * n * (s - sigma) ** 2 / s**2
    for test, expected in zip(TESTS, (score, ratio, wald)):
        result = test(MLEDensity(), x, {"mu": mu, "sigma": sigma})
        assert_allclose(result.statistic, expected, rtol=1e-10)
        assert result.df == 2
        assert_allclose(result.pvalue, stats.chi2(2).sf(expected), rtol=1e-8)


def test_exponential_and_poisson_closed_forms():
    x = data("exponential", n=30, d=1)
    n, u = 30, x.mean() * 0.7
    expected = [n * (1 - u) ** 2, 2 * n * (u - 1 - np.log(u)), n * (1 - u) ** 2]
    found = [test(MLEDensity("expon"), x, {"rate": 0.7}).statistic for test in TESTS]
    assert_allclose(found, expected, rtol=1e-10)
    x = data("poisson", n=30, d=1)
    m = x.mean()
    expected = [30 * (m - 2) ** 2 / 2, 60 * (m * np.log(m / 2) - m + 2), 30 * (m - 2) ** 2 / m]
    found = [test(MLEDensity("poisson"), x, {"mu": 2}).statistic for test in TESTS]
    assert_allclose(found, expected, rtol=1e-10)


def test_columns_add_up_and_nan_is_free():
    X = data("normal")
    for test in TESTS:
        joint = test(MLEDensity(), X, {"mu": [5.0, np.nan, 4.0], "sigma": [np.nan, 1.0, 2.0]})
        parts = [
            test(MLEDensity(), X[:, [0]], {"mu": 5.0}),
            test(MLEDensity(), X[:, [1]], {"sigma": 1.0}),
            test(MLEDensity(), X[:, [2]], {"mu": 4.0, "sigma": 2.0}),
        ]
        assert joint.df == 4
        assert_allclose(joint.statistic, sum(part.statistic for part in parts), rtol=1e-9)
        assert test(MLEDensity(), X, {"mu": 5.0}).df == 3


def test_hotelling():
    """All means: W = n log(1 + T2/(n-1)), score = n T2/(n-1+T2), Wald = n T2/(n-1)."""
    X = data("mvn", n=40)
    null = np.array([5.2, 4.8, 5.0])
    gap = X.mean(axis=0) - null
    t2, n = 40 * gap @ np.linalg.solve(np.cov(X.T), gap), 40
    expected = [n * t2 / (n - 1 + t2), n * np.log1p(t2 / (n - 1)), n * t2 / (n - 1)]
    found = [test(MLEDensity("mvn"), X, {"mean": null}).statistic for test in TESTS]
    assert_allclose(found, expected, rtol=1e-9)


def test_some_means_of_a_multivariate_normal():
    """Restricting a subset is Hotelling's test on that subset alone."""
    X = data("mvn", n=40)
    for test in TESTS:
        part = test(MLEDensity("mvn"), X, {"mean": [5.2, np.nan, 4.7]})
        alone = test(MLEDensity("mvn"), X[:, [0, 2]], {"mean": [5.2, 4.7]})
        assert_allclose(part.statistic, alone.statistic, rtol=1e-9)
        assert part.df == 2


def test_full_covariance_of_a_multivariate_normal():
    """W = n (tr A - log|A| - d), score = n/2 tr (A - I)^2 with A = Sigma0^-1 S."""
    X = data("mvn", n=40)
    null = np.cov(X.T) * 1.2 + 0.3 * np.eye(3)
    A = np.linalg.solve(null, np.cov(X.T, bias=True))
    ratio = likelihood_ratio_test(MLEDensity("mvn"), X, {"covariance": null})
    assert_allclose(ratio.statistic, 40 * (np.trace(A) - np.linalg.slogdet(A)[1] - 3), rtol=1e-9)
    score = score_test(MLEDensity("mvn"), X, {"covariance": null})
    excess = A - np.eye(3)
    assert_allclose(score.statistic, 20 * np.trace(excess @ excess), rtol=1e-9)
    assert score.df == ratio.df == 6


def test_independence_of_a_multivariate_normal():
    """Zeros off the diagonal: W = -n log|R| and score = n sum of squared correlations."""
    X = data("mvn", n=40)
    R = np.corrcoef(X.T)
    null = {"covariance": np.where(np.eye(3, dtype=bool), np.nan, 0.0)}
    ratio = likelihood_ratio_test(MLEDensity("mvn"), X, null)
    assert_allclose(ratio.statistic, -40 * np.linalg.slogdet(R)[1], rtol=1e-9)
    score = score_test(MLEDensity("mvn"), X, null)
    assert_allclose(score.statistic, 40 * np.sum(np.tril(R, -1) ** 2), rtol=1e-9)
    assert score.df == 3


def test_independent_groups_with_means():
    """Columns (0, 2) independent of column 1, one mean fixed: the groups' likelihoods add."""
    X = data("mvn", n=40)
    nan = np.nan
    null = {
        "mean": [5.1, nan, nan],
        "covariance": [[nan, 0, nan], [0, nan, 0], [nan, 0, nan]],
    }
    result = likelihood_ratio_test(MLEDensity("mvn"), X, null)
    whole = MLEDensity("mvn").fit(X).loglik_
    pair, single = MLEDensity("mvn").fit(X[:, [0, 2]]), MLEDensity("mvn").fit(X[:, [1]])
    extra = likelihood_ratio_test(MLEDensity("mvn"), X[:, [0, 2]], {"mean": [5.1, nan]})
    expected = 2 * (whole - pair.loglik_ - single.loglik_) + extra.statistic
    assert_allclose(result.statistic, expected, rtol=1e-9)
    assert result.df == 3
    assert result.restricted_params["covariance"][0, 1] == 0


@pytest.mark.parametrize("known", [False, True])
def test_restricted_multivariate_estimate_has_no_slope_in_what_is_free(known):
    """The free means' scores vanish at the restricted estimate (covariance free or known)."""
    X = data("mvn", n=40)
    null = {"mean": [5.3, np.nan, np.nan]}
    if known:
        null["covariance"] = np.cov(X.T) + np.eye(3)
    model = MLEDensity("mvn")
    params = score_test(model, X, null).restricted_params
    total = MLEDensity("mvn").fit(X)._fit_record().family.score(X, params).sum(axis=0)
    free = slice(1, 3) if known else slice(1, None)
    assert_allclose(total[free], 0, atol=1e-8)
    assert params["mean"][0] == 5.3


def test_wald_takes_any_restriction_of_a_multivariate_normal():
    """One covariance and one variance: delta' V^-1 delta with V from Isserlis' formula."""
    X = data("mvn", n=50)
    S = np.cov(X.T, bias=True)
    null = np.full((3, 3), np.nan)
    null[0, 1] = null[1, 0] = 0.2
    null[2, 2] = 1.5
    entries = [(0, 1), (2, 2)]
    V = [[(S[i, k] * S[j, m] + S[i, m] * S[j, k]) / 50 for k, m in entries] for i, j in entries]
    gap = np.array([S[0, 1] - 0.2, S[2, 2] - 1.5])
    result = wald_test(MLEDensity("mvn"), X, {"covariance": null})
    assert_allclose(result.statistic, gap @ np.linalg.solve(V, gap), rtol=1e-9)
    assert result.df == 2
    assert result.restricted_params == {}


def test_robust_tests_of_a_mean():
    """Poisson: Wald on the log scale, where rows pull by (x - m) / m; rows' scores are x - m0."""
    x = np.random.default_rng(0).negative_binomial(2, 0.4, (60, 1)).astype(float)
    m = x.mean()
    wald = wald_test(MLEDensity("poisson"), x, {"mu": 2.5}, robust=True)
    pull = (x[:, 0] - m) / m / 60
    assert_allclose(wald.statistic, robust_forms.wald(np.log(m / 2.5), pull), rtol=1e-8)
    score = score_test(MLEDensity("poisson"), x, {"mu": 2.5}, robust=True)
    assert_allclose(score.statistic, robust_forms.score(x[:, 0] - 2.5), rtol=1e-8)
    assert (wald.method, score.method) == ("robust Wald", "robust score")


def test_robust_wald_sees_dependence_between_columns():
    """Two equal exponential columns hold one column's evidence; up to singularity."""
    x = data("exponential", n=60, d=1)
    noise = np.random.default_rng(1).normal(1, 1e-3, (60, 1))
    X = np.hstack([x, x * np.abs(noise)])
    model, null = MLEDensity("expon"), {"rate": [2.5, 2.5]}
    one = wald_test(model, x, {"rate": 2.5}).statistic
    assert_allclose(wald_test(model, X, null).statistic, 2 * one, rtol=0.02)
    with pytest.raises(ValueError, match="singular"):
        wald_test(model, np.hstack([x, x]), null, robust=True)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("robust", [False, True])
def test_weights_are_repetitions(test, robust):
    if robust and test is likelihood_ratio_test:
        return
    options = {"robust": True} if robust else {}
    X = data("normal", n=40)
    weight = np.random.default_rng(0).integers(0, 4, 40)
    for name, null in (("normal", {"mu": 5.0}), ("mvn", {"mean": [5.0, 5.0, np.nan]})):
        a = test(MLEDensity(name), X.repeat(weight, axis=0), null, **options)
        b = test(MLEDensity(name), X, null, sample_weight=weight, **options)
        assert_allclose(a.statistic, b.statistic, rtol=1e-9)


@pytest.mark.parametrize("test", TESTS)
def test_result_and_estimator_untouched(test):
    X = data("exponential")
    model = MLEDensity("exponential").fit(X[:50])
    before = model.loglik_
    result = test(model, X, {"rate": 1.0})
    assert isinstance(result, TestResult)
    assert model.loglik_ == before
    assert result.statistic == test(MLEDensity("exponential"), X, {"rate": 1.0}).statistic
    assert dict(result.null) == {"rate": 1.0}
    with pytest.raises(AttributeError):
        result.pvalue = 0.0


def test_score_test_needs_no_full_estimate():
    """All zeros, and a constant normal column: the restricted fits exist."""
    zeros = np.zeros((20, 1))
    assert_allclose(score_test(MLEDensity("poisson"), zeros, {"mu": 0.5}).statistic, 10.0)
    constant = np.full((20, 1), 3.0)
    assert_allclose(score_test(MLEDensity(), constant, {"mu": 2.0}).statistic, 20.0)
    ratio = likelihood_ratio_test(MLEDensity("bernoulli"), zeros, {"p": 0.5})
    assert_allclose(ratio.statistic, 40 * np.log(2), rtol=1e-12)
    with pytest.raises(ValueError, match="do not exist for column 'x0'"):
        wald_test(MLEDensity("bernoulli"), zeros, {"p": 0.5})
    with pytest.raises(ValueError, match="constant"):
        likelihood_ratio_test(MLEDensity(), constant, {"mu": 2.0})
    with pytest.raises(ValueError, match="restricted estimate of 'sigma' for column 'x0'"):
        score_test(MLEDensity(), constant, {"mu": 3.0})


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("name", "null", "words"),
    [
        ("normal", {"nu": 1.0}, "unknown parameters .'nu'.; this model has mu, sigma"),
        ("normal", {}, "restricts nothing"),
        ("normal", {"mu": np.nan}, "restricts nothing"),
        ("normal", {"mu": [1.0, 2.0]}, r"shape \(3,\) or a single number; got shape \(2,\)"),
        ("normal", {"mu": np.inf}, "finite"),
        ("normal", {"mu": "a"}, "numbers"),
        ("normal", {"sigma": 0.0}, "'sigma'.* must be a number > 0 .*got 0"),
        ("normal", 3.0, "null must be a dict"),
        ("bernoulli", {"p": 1.0}, "strictly between 0 and 1"),
        ("poisson", {"mu": -1.0}, "a number > 0"),
        ("mvn", {"covariance": 1.0}, r"shape \(3, 3\)"),
        ("mvn", {"covariance": [[1, 2, 0], [0, 1, 0], [0, 0, 1]]}, "symmetric"),
    ],
)
def test_impossible_nulls(test, name, null, words):
    with pytest.raises(ValueError, match=words):
        test(MLEDensity(name), data(name), null)


@pytest.mark.parametrize("test", TESTS[:2])
def test_covariance_nulls_without_a_closed_form(test):
    nan = np.nan
    chain = [[nan, 0, nan], [0, nan, nan], [nan, nan, nan]]  # one zero: no partition
    with pytest.raises(ValueError, match="use wald_test"):
        test(MLEDensity("mvn"), data("mvn"), {"covariance": chain})


IMPOSSIBLE = {
    "negative": (np.diag([1.0, -1.0, 1.0]), "positive variances"),
    "beyond one": ([[1, 5, 0], [5, 1, 0], [0, 0, 1]], "positive definite"),
    "together": ([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], "positive definite"),
}


@pytest.mark.parametrize("model", [MLEDensity("mvn"), ScoreMatchingGaussian()])
@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_impossible_covariances_are_refused(model, kind):
    null, message = IMPOSSIBLE[kind]
    for test in TESTS if isinstance(model, MLEDensity) else [wald_test]:
        with pytest.raises(ValueError, match=message):
            test(model, data("mvn"), {"covariance": null})


@pytest.mark.parametrize("model", [MLEDensity("mvn"), ScoreMatchingGaussian()])
@pytest.mark.parametrize("robust", [False, True])
def test_wald_test_of_a_covariance_does_not_depend_on_units(model, robust):
    nan = np.nan
    null = {"covariance": [[nan, 0, 0], [0, nan, nan], [0, nan, nan]]}
    x = data("mvn")
    plain = wald_test(model, x, null, robust=robust).statistic
    for units in ([1e-6, 1.0, 1e6], [1e-12, 1.0, 1e12]):
        scaled = wald_test(model, x * units, null, robust=robust).statistic
        assert_allclose(scaled, plain, rtol=1e-8)
    full = np.cov(x.T) * np.outer([1e-12, 1.0, 1e12], [1e-12, 1.0, 1e12])
    wald_test(model, x * [1e-12, 1.0, 1e12], {"covariance": full}, robust=robust)


def test_wald_test_of_float32_data_does_not_use_rounded_estimates():
    x = np.random.default_rng(0).normal(1e4, 1.0, (100_000, 1)).astype(np.float32)
    for model in (ScoreMatchingGaussian(), MLEDensity("mvn")):
        name = "location" if isinstance(model, ScoreMatchingGaussian) else "mean"
        wide = wald_test(model, x.astype(np.float64), {name: [1e4]}).statistic
        assert_allclose(wald_test(model, x, {name: [1e4]}).statistic, wide, rtol=1e-9)


class Location(ParametricDensity):
    """Means and nothing else, by estimating functions that are no likelihood's scores."""

    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        self.params_ = {"location": np.average(X, axis=0, weights=weight)}
        return self

    def _estimating_functions(self, X):
        return 2 * (X - self.params_["location"]), 2 * np.eye(X.shape[1])

    # abstract in the base class, and never called here: a Wald test needs none of them
    def _standard_errors(self, cov, X, sample_weight):
        raise NotImplementedError

    def _intervals(self, level, method, X, sample_weight):
        raise NotImplementedError

    def score_samples(self, X):
        raise NotImplementedError

    def _draw(self, n_samples, rng):
        raise NotImplementedError


def test_wald_of_any_estimating_functions():
    X = data("normal", n=40)
    result = wald_test(Location(), X, {"location": 5.0}, robust=True)
    gap = X.mean(axis=0) - 5
    expected = 40 * gap @ np.linalg.solve(np.cov(X.T, bias=True), gap)
    assert_allclose(result.statistic, expected, rtol=1e-9)
    with pytest.raises(ValueError, match="only the sandwich covariance is right: pass robust=True"):
        wald_test(Location(), X, {"location": 5.0})
    with pytest.raises(TypeError, match="Use wald_test"):
        score_test(Location(), X, {"location": 5.0})
    with pytest.raises(TypeError, match="estimating functions"):
        wald_test(stats.norm, X, {"loc": 5.0})


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("robust", [False, True])
def test_one_side_of_a_normal_mean(test, robust):
    """z has the sign of Student's t; the p-values of both sides add to one."""
    if robust and test is likelihood_ratio_test:
        return
    options = {"robust": True} if robust else {}
    X = data("normal", n=20)
    null = {"mu": [np.nan, 4.9, np.nan]}
    t = stats.ttest_1samp(X[:, 1], 4.9).statistic
    both = test(MLEDensity(), X, null, **options)
    greater = test(MLEDensity(), X, null, alternative="greater", **options)
    less = test(MLEDensity(), X, null, alternative="less", **options)
    assert_allclose(greater.statistic, np.sign(t) * np.sqrt(both.statistic), rtol=1e-12)
    assert greater.statistic == less.statistic == both.signed_root
    assert_allclose(greater.pvalue, stats.norm.sf(greater.statistic), rtol=1e-12)
    assert_allclose(greater.pvalue + less.pvalue, 1.0, rtol=1e-12)
    assert_allclose(both.pvalue, 2 * min(greater.pvalue, less.pvalue), rtol=1e-9)
    assert (both.alternative, less.alternative) == ("two-sided", "less")
    flipped = test(MLEDensity(), -X, {"mu": [np.nan, -4.9, np.nan]}, alternative="less", **options)
    assert_allclose(flipped.pvalue, greater.pvalue, rtol=1e-9)


@pytest.mark.parametrize("test", TESTS)
def test_sides_that_do_not_exist(test):
    X = data("normal")
    for null in ({"mu": 5.0}, {"mu": [5.0, np.nan, np.nan], "sigma": [1.0, np.nan, np.nan]}):
        with pytest.raises(ValueError, match=r"needs a null with one restriction; this one has"):
            test(MLEDensity(), X, null, alternative="greater")
    with pytest.raises(
        ValueError, match=r"must be one of 'two-sided', 'greater', 'less'; got 'up'"
    ):
        test(MLEDensity(), X, {"mu": 5.0}, alternative="up")
    assert test(MLEDensity(), X, {"mu": 5.0}).signed_root is None


def test_one_sided_proportion_against_statsmodels():
    x = data("bernoulli", d=1)
    z, p = proportions_ztest(int(x.sum()), len(x), 0.55, alternative="smaller", prop_var=0.55)
    result = score_test(MLEDensity("bernoulli"), x, {"p": 0.55}, alternative="less")
    assert_allclose([result.statistic, result.pvalue], [z, p], rtol=1e-10)


def test_results_read_well():
    x = data("normal", n=20)
    result = likelihood_ratio_test(
        MLEDensity(), x, {"mu": [np.nan, 4.9, np.nan]}, correction="bartlett", alternative="less"
    )
    text = str(result)
    assert "Likelihood ratio test, bartlett correction" in text
    assert "null: mu = [free 4.9 free]; alternative: less" in text
    assert f"z = {result.statistic:.4g}, p-value = {result.pvalue:.4g}" in text
    frame = result.to_frame()
    assert list(frame.columns) == [
        "test", "null", "alternative", "correction", "statistic", "df", "pvalue"
    ]  # fmt: skip
    assert frame.loc[0, "pvalue"] == result.pvalue
    assert "mu = [free 4.9 free]" in result._repr_html_()
    plain = score_test(MLEDensity(), x[:, :1], {"mu": 5})
    assert f"chi-square = {plain.statistic:.4g}, df = 1" in str(plain)
    assert "null: mu = 5; " in str(plain)
    matrix = wald_test(MLEDensity(), x, (np.array([1.0, -1, 0, 0, 0, 0]), 0.0))
    assert "1 linear restriction R theta = q" in str(matrix)
    full = wald_test(MLEDensity(), x, {"mu": np.arange(3.0), "sigma": np.ones(3)})
    assert "mu = [0 1 2], sigma = [1 1 1]" in str(full)
    # the order of the fields is a promise
    old = TestResult(4.0, 1, 0.0455, "Wald", {"mu": 0.0}, "two-sided", None, {})
    assert old.signed_root is None


def test_goodness_of_fit_of_categories_is_pearsons():
    """The score statistic is scipy's chi-square, the likelihood ratio its G; K - 1 degrees."""
    p = np.array([0.1, 0.2, 0.3, 0.4])
    x = np.random.default_rng(0).choice(4, size=(80, 1), p=[0.2, 0.2, 0.3, 0.3]).astype(float)
    counts, family = np.bincount(x[:, 0].astype(int), minlength=4), Categorical(n_categories=4)
    for test, power in ((score_test, "pearson"), (likelihood_ratio_test, "log-likelihood")):
        result = test(MLEDensity(family), x, {"p": p})
        expected = stats.power_divergence(counts, 80 * p, lambda_=power)
        assert_allclose([result.statistic, result.pvalue], expected, rtol=1e-9)
        assert result.df == 3
    # two categories equally likely: the rest conditions out, and a binomial of the two remains
    R = np.array([1.0, -1.0, 0.0])
    a, b = counts[1], counts[2]
    equal = likelihood_ratio_test(MLEDensity(family), x, (R, 0.0))
    g = stats.power_divergence([a, b], lambda_="log-likelihood").statistic
    assert_allclose(equal.statistic, g, rtol=1e-8)
    pearson = score_test(MLEDensity(family), x, (R, 0.0))
    assert_allclose(pearson.statistic, stats.chisquare([a, b]).statistic, rtol=1e-8)


@pytest.mark.parametrize("test", [score_test, likelihood_ratio_test])
def test_multiplier_is_the_score_of_what_is_held(test):
    """It tells which way the likelihood rises; statsmodels results and critics have their own."""
    x = data("gamma", n=30, d=2)
    result = test(MLEDensity("gamma"), x, {"shape": [1.0, np.nan]})
    restricted = result.restricted_params
    step = 1e-5 * np.array([1.0, 0.0])
    up, down = (
        stats.gamma.logpdf(x, restricted["shape"] + s * step, scale=restricted["scale"]).sum()
        for s in (1, -1)
    )
    assert_allclose(result.multiplier, [(up - down) / 2e-5], rtol=1e-5)
    assert result.multiplier[0] * result.signed_root > 0
    assert wald_test(MLEDensity("gamma"), x, {"shape": [1.0, np.nan]}).multiplier is None


def test_multipliers_of_several_columns_are_the_summed_scores_of_their_rows():
    X = np.random.default_rng(0).gamma(2.0, 3.0, size=(30, 3))
    model = MLEDensity("gamma").fit(X)
    held = {"shape": [1.0, np.nan, 3.0], "scale": [np.nan, 2.0, np.nan]}
    result = likelihood_ratio_test(model, X, held)
    under = result.restricted_params
    for j, (name, by) in enumerate(
        [("shape", digamma), ("shape", digamma), ("scale", lambda a: a)]
    ):
        column = (0, 2, 1)[j]
        a, s = under["shape"][column], under["scale"][column]
        x = X[:, column]
        row = np.log(x / s) - by(a) if name == "shape" else (x / s - by(a)) / s
        assert_allclose(result.multiplier[j], row.sum(), rtol=1e-8)


def test_a_test_of_many_columns_costs_no_square_of_their_number():
    X = np.random.default_rng(0).normal(size=(4, 30_000))
    result = likelihood_ratio_test(MLEDensity(fixed={"sigma": 1.0}), X, {"mu": 0.0})
    assert_allclose(result.multiplier, X.sum(axis=0), rtol=1e-10)
