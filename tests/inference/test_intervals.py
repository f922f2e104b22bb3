"""Intervals against scipy, statsmodels, brute-force optimization and inverted tests."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from sklearn.exceptions import ConvergenceWarning

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test
from skgm.inference.families._multivariate_normal import covariance_interval
from tests.inference import robust_forms
from tests.inference.test_mle import data

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.stats.proportion import proportion_confint
    from statsmodels.stats.rates import confint_poisson


CHI2 = stats.chi2.ppf(0.95, 1)


def interval(name, X, parameter, method, level=0.95, **kwargs):
    return MLEDensity(name).fit(X, **kwargs).confidence_intervals(level, method)[parameter]


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_normal_exact(level):
    x = data("normal", n=12, d=1)
    n, s = 12, x.std(ddof=1)
    t = stats.t(n - 1, x.mean(), s / np.sqrt(n)).interval(level)
    assert_allclose(interval("normal", x, "mu", "auto", level), t, rtol=1e-12)
    low, high = stats.chi2(n - 1).interval(level)
    expected = s * np.sqrt((n - 1) / np.array([high, low]))
    assert_allclose(interval("normal", x, "sigma", "auto", level), expected, rtol=1e-12)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_exponential_exact(level):
    """rate * sum(x) is Gamma(n)."""
    x = data("exponential", n=12, d=1)
    expected = np.array(stats.gamma(12).interval(level)) / x.sum()
    assert_allclose(interval("exponential", x, "rate", "auto", level), expected, rtol=1e-12)


@pytest.mark.parametrize("ones", [0, 1, 7, 19, 20])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bernoulli_against_scipy_and_statsmodels(ones, level):
    x = np.r_[np.ones(ones), np.zeros(20 - ones)][:, None]
    test = stats.binomtest(ones, 20)
    for method, theirs in (("auto", "wilson"), ("score", "wilson"), ("exact", "exact")):
        peer = tuple(test.proportion_ci(level, theirs))
        assert_allclose(interval("bernoulli", x, "p", method, level), peer, rtol=1e-9, atol=1e-15)
    low, high = interval("bernoulli", x, "p", "exact", level)
    assert_allclose((low, high), proportion_confint(ones, 20, 1 - level, "beta"), rtol=1e-12)


@pytest.mark.parametrize("total", [1, 4, 60])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_poisson_against_statsmodels(total, level):
    x = np.zeros((15, 1))
    x[0] = total
    for method, theirs in (("auto", "score"), ("exact", "exact-c")):
        peer = confint_poisson(total, 15, method=theirs, alpha=1 - level)
        assert_allclose(interval("poisson", x, "mu", method, level), peer, rtol=1e-9, atol=1e-12)


def test_poisson_of_zeros():
    """exact: exp(-n mu) = alpha/2; score: n mu = q; profile: 2 n mu = q."""
    x, q = np.zeros((15, 1)), stats.chi2.ppf(0.95, 1)
    for method, top in (("exact", -np.log(0.025)), ("score", q), ("profile", q / 2)):
        assert_allclose(interval("poisson", x, "mu", method), (0, top / 15), rtol=1e-9)


def test_plain_wald_is_the_textbooks():
    """eq. wald-interval: estimate -+ 1.96 standard errors."""
    x = data("normal", d=1)
    n, s = len(x), x.std()
    z = stats.norm.ppf(0.975)
    assert_allclose(
        interval("normal", x, "mu", "wald"), x.mean() + s / n**0.5 * z * np.array([-1, 1])
    )
    assert_allclose(
        interval("normal", x, "sigma", "wald"), s + s / (2 * n) ** 0.5 * z * np.array([-1, 1])
    )
    x = data("bernoulli", d=1)
    peer = proportion_confint(int(x.sum()), len(x), 0.05, "normal")
    assert_allclose(interval("bernoulli", x, "p", "wald"), peer, rtol=1e-9)


def test_transformed_wald_has_the_small_sample_factor():
    """log sigma: center log s with s^2 unbiased, variance 1 / (2 (n - 1)); logit p."""
    x = data("normal", n=10, d=1)
    z = stats.norm.ppf(0.975)
    expected = x.std(ddof=1) * np.exp(np.array([-1, 1]) * z / np.sqrt(18))
    assert_allclose(interval("normal", x, "sigma", "wald-transformed"), expected)
    x = data("bernoulli", d=1)
    p = x.mean()
    logit = np.log(p / (1 - p)) + z / np.sqrt(len(x) * p * (1 - p)) * np.array([-1, 1])
    mine = interval("bernoulli", x, "p", "wald-transformed")
    assert_allclose(mine, 1 / (1 + np.exp(-logit)), rtol=1e-12)


def test_robust_has_leverages_and_t():
    """Poisson mean: spread with leverages, on the log scale with n - 1 degrees of freedom."""
    x = np.random.default_rng(0).negative_binomial(2, 0.3, (40, 1)).astype(float)
    mean = x.mean()
    half = stats.t.ppf(0.975, 39) * robust_forms.error((x[:, 0] - mean) / 40) / mean
    model = MLEDensity("poisson").fit(x)
    mine = model.confidence_intervals(method="robust", X=x)["mu"]
    assert_allclose(mine, mean * np.exp([-half, half]), rtol=1e-10)
    assert_allclose(model.standard_errors("robust", X=x)["mu"], x.std() / np.sqrt(40), rtol=1e-10)


CASES = [
    (name, parameter)
    for name, parameters in [
        ("normal", ["mu", "sigma"]),
        ("exponential", ["rate"]),
        ("bernoulli", ["p"]),
        ("poisson", ["mu"]),
    ]
    for parameter in parameters
]


@pytest.mark.parametrize(("name", "parameter"), CASES)
@pytest.mark.parametrize(
    ("method", "test"), [("profile", likelihood_ratio_test), ("score", score_test)]
)
def test_ends_are_where_the_test_rejects(name, parameter, method, test):
    """The statistic at either end is the chi-square quantile."""
    X = data(name, n=25)
    low, high = interval(name, X, parameter, method, 0.9)
    for end in (low, high):
        for column in range(3):
            null = np.full(3, np.nan)
            null[column] = end[column]
            result = test(MLEDensity(name), X, {parameter: null})
            assert_allclose(result.statistic, stats.chi2.ppf(0.9, 1), rtol=1e-7)


def brute_profile(X, start, fixed, value):
    """Largest log-likelihood of a trivariate normal with one flat entry held, by search."""
    d = X.shape[1]
    lower = np.tril_indices(d)

    def unpack(free):
        vector = np.insert(free, fixed, value)
        covariance = np.zeros((d, d))
        covariance[lower] = vector[d:]
        return vector[:d], covariance + np.tril(covariance, -1).T

    def objective(free):
        mean, covariance = unpack(free)
        values, vectors = np.linalg.eigh(covariance)
        if values[0] <= 1e-9:
            return 1e10
        z = (X - mean) @ vectors / np.sqrt(values)
        return 0.5 * (len(X) * (d * np.log(2 * np.pi) + np.log(values).sum()) + np.sum(z * z))

    found = optimize.minimize(
        objective,
        np.delete(start, fixed),
        method="Nelder-Mead",
        options={
            "maxiter": 40000,
            "maxfev": 40000,
            "xatol": 1e-9,
            "fatol": 1e-11,
            "adaptive": True,
        },
    )
    return -found.fun


@pytest.mark.parametrize("fixed", range(5))
def test_multivariate_profile_against_brute_force(fixed):
    """At the ends of the profile interval a searched maximum has fallen by q / 2."""
    X = data("mvn", n=30)[:, :2] / 2
    lower = np.tril_indices(2)
    model = MLEDensity("mvn").fit(X)
    inflated = model.params_["covariance"] * [[2, 1], [1, 2]]  # feasible for every covariance
    start = np.r_[model.params_["mean"], inflated[lower]]
    ends = model.confidence_intervals(0.95, "profile")
    for side in (0, 1):
        value = np.r_[ends["mean"][side], ends["covariance"][side][lower]][fixed]
        fall = model.loglik_ - brute_profile(X, start, fixed, value)
        assert_allclose(2 * fall, stats.chi2.ppf(0.95, 1), rtol=1e-5)


@pytest.mark.parametrize("correlation", [-0.9, -0.2, 0.0, 0.6, 0.97])
def test_covariance_curve_is_the_cubics_root(correlation):
    """The restricted variance a solves a^3 - a^2 + (2 c r - c^2) a - c^2 = 0; others do worse."""
    from skgm.inference.families import _multivariate_normal as module

    r = np.array([correlation])
    low, high = module.covariance_interval("profile", r, 50.0, 0.95)
    for c in (low[0], high[0]):
        roots = np.roots([1, -1, 2 * c * r[0] - c**2, -(c**2)])
        real = roots[np.isclose(roots.imag, 0)].real
        real = real[real > abs(c)]
        fall = [
            np.log(a**2 - c**2) + 2 * (a - c * r[0]) / (a**2 - c**2) - np.log(1 - r[0] ** 2) - 2
            for a in real
        ]
        assert_allclose(50 * min(fall), stats.chi2.ppf(0.95, 1), rtol=1e-8)


def test_multivariate_score_ends_solve_the_score_equation():
    """U' I^-1 U of the dense score and information, at the restricted pair, equals q."""
    from skgm.inference.families import MultivariateNormal, _multivariate_normal

    X = data("mvn", n=60, d=2)
    family = MultivariateNormal()
    model = MLEDensity(family).fit(X)
    S = model.params_["covariance"]
    sd = np.sqrt(np.diag(S))
    r = np.array([S[0, 1] / sd.prod()])
    for end in _multivariate_normal.covariance_interval("score", r, 60.0, 0.95):
        c = end[0]

        def negative(log_a, c=c, r=r[0]):
            a = np.exp(log_a) + abs(c)
            return np.log(a**2 - c**2) + 2 * (a - c * r) / (a**2 - c**2)

        a = np.exp(optimize.minimize_scalar(negative, tol=1e-12).x) + abs(c)
        covariance = np.array([[a, c], [c, a]]) * np.outer(sd, sd)
        params = {"mean": model.params_["mean"], "covariance": covariance}
        total = family.score(X, params).sum(axis=0)
        statistic = total @ np.linalg.solve(60 * family.information(params), total)
        assert_allclose(statistic, stats.chi2.ppf(0.95, 1), rtol=1e-5)


def test_multivariate_margins_are_the_normal_familys():
    X = data("mvn")
    joint, columns = MLEDensity("mvn").fit(X), MLEDensity("normal").fit(X)
    for method in ("auto", "score", "profile", "wald-transformed"):
        wide, narrow = (m.confidence_intervals(method=method) for m in (joint, columns))
        for side in (0, 1):
            assert_allclose(wide["mean"][side], narrow["mu"][side], rtol=1e-10)
            variance = np.diag(wide["covariance"][side])
            rtol = 1e-10 if method != "wald-transformed" else 1e-2
            assert_allclose(variance, narrow["sigma"][side] ** 2, rtol=rtol)


def test_auto_says_what_it_chose():
    found = MLEDensity("mvn").fit(data("mvn")).confidence_intervals()
    frame = found.to_frame()
    assert set(frame.loc[["covariance[x0, x0]", "mean[x1]"], "method"]) == {"exact"}
    assert frame.loc["covariance[x1, x0]", "method"] == "profile"
    assert found.method == "auto"


@pytest.mark.parametrize(
    ("name", "method", "words"),
    [
        ("mvn", "exact", "No exact interval.*off the diagonal"),
        ("normal", "robust", "need the training table: pass it as X="),
        ("normal", "jackknife", "method must be one of 'auto', 'wald'"),
    ],
)
def test_refusals(name, method, words):
    with pytest.raises(ValueError, match=words):
        MLEDensity(name).fit(data(name)).confidence_intervals(method=method)


def test_an_unbounded_interval_leaves_the_others_alone():
    """n <= 2 q: the score test rejects no large variance, but does reject means far away."""
    x = data("normal", n=5, d=1)
    fit = MLEDensity().fit(x)
    found = fit.confidence_intervals(method="score")
    assert found["sigma"][1] == np.inf
    assert 0 < found["sigma"][0] < fit.params_["sigma"]
    half = x.std() * np.sqrt(CHI2 / (5 - CHI2))
    assert_allclose(found["mu"], [x.mean() - half, x.mean() + half])
    assert fit.confidence_intervals(0.99, "score")["mu"] == (-np.inf, np.inf)


def test_few_rows_bound_no_covariance_by_its_score():
    """The score statistic of a covariance tends to n / 2 as the correlation does to one."""
    X = np.random.default_rng(0).normal(size=(5, 3))
    fit = MLEDensity("mvn").fit(X)
    found = fit.confidence_intervals(method="score")
    off = ~np.eye(3, dtype=bool)
    assert CHI2 > 5 / 2
    assert (found.low["covariance"][off] == -np.inf).all()
    assert (found.high["covariance"][off] == np.inf).all()
    assert np.isfinite(found.low["covariance"][~off]).all()
    assert np.isfinite([found.low["mean"], found.high["mean"]]).all()
    half = fit.confidence_intervals(0.8, "score")
    assert np.isfinite(half.low["covariance"][off]).all()


@pytest.mark.parametrize("method", ["wald", "wald-transformed", "robust"])
def test_an_infinite_estimate_leaves_the_others_their_intervals(method):
    X = np.linspace(-1, 1, 12)[:, None]  # lighter tails than any t
    model, normal = MLEDensity("t").fit(X), MLEDensity("normal").fit(X)
    rows = {"X": X} if method == "robust" else {}
    with pytest.warns(ConvergenceWarning, match="interval of 'df' for column 'x0'.*infinite"):
        found = model.confidence_intervals(method=method, **rows)
    assert np.isnan(found["df"]).all()
    if method == "wald":
        there = normal.confidence_intervals(method=method)
        assert_allclose([*found["loc"], *found["scale"]], [*there["mu"], *there["sigma"]])
    assert found["scale"][0] < model.params_["scale"] < found["scale"][1]


@pytest.mark.slow
def test_heavy_tails_bound_no_degrees_of_freedom_from_below():
    """Towards df = 0 the likelihood of Student's t grows without bound."""
    X = np.random.default_rng(0).standard_t(1, size=(7, 1))
    found = MLEDensity("t").fit(X).confidence_intervals(0.999)
    assert found["df"] == (0.0, np.inf)
    assert np.isfinite([*found["loc"], *found["scale"]]).all()


@pytest.mark.parametrize("rest", [1e-8, 1e-12])
def test_standard_errors_may_be_far_smaller_than_the_interval(rest):
    """Next to one the likelihood is that of 20 successes: p^20 falls to exp(-q / 2)."""
    model = MLEDensity("bernoulli").fit([[1.0], [0.0]], sample_weight=[20.0, 20 * rest])
    low = model.confidence_intervals(method="profile")["p"][0]
    assert_allclose(low, np.exp(-CHI2 / 40), rtol=1e-6)


def test_weights_below_one_row_have_no_exact_interval():
    x = data("normal", n=5, d=1)
    with pytest.raises(ValueError, match=r"weights sum to 0.2"):
        MLEDensity().fit(x, sample_weight=np.full(5, 0.04)).confidence_intervals()


def test_a_missing_method_names_the_parameter_and_the_available():
    from skgm.inference.families import Normal, Parameter

    class Plain(Normal):
        parameters = (Parameter("mu"), Parameter("sigma", low=0.0, link="log"))

    model = MLEDensity(Plain()).fit(data("normal"))
    with pytest.raises(ValueError, match="no 'exact' interval for 'mu'; available: auto, wald"):
        model.confidence_intervals(method="exact")


def test_search_agrees_with_the_closed_form():
    """The generic profile search against the normal family's closed form."""
    from skgm.inference.families import Family, Normal

    class Searched(Normal):
        profile_interval = Family.profile_interval

    X = data("normal", n=30)
    a = MLEDensity(Normal()).fit(X).confidence_intervals(0.99, "profile")
    b = MLEDensity(Searched()).fit(X).confidence_intervals(0.99, "profile")
    for name in ("mu", "sigma"):
        assert_allclose(a[name], b[name], rtol=1e-9)


def profile_statistic(c, r):
    """W / n of a covariance c in the standardized bivariate normal, by numerical minimization."""
    deviance = optimize.minimize_scalar(
        lambda t: (
            np.log((abs(c) + np.exp(t)) ** 2 - c**2)
            + 2 * ((abs(c) + np.exp(t)) - c * r) / ((abs(c) + np.exp(t)) ** 2 - c**2)
        ),
        bounds=(-14, 6),
        method="bounded",
        options={"xatol": 1e-12},
    ).fun
    return deviance - np.log(1 - r**2) - 2


def test_profile_of_a_covariance_near_correlation_one_reaches_its_outermost_end():
    """For |r| > 0.962 the profile crosses its limit more than once; the interval is the hull."""
    r, n, level = 0.995, 3, 0.9999
    (low,), (high,) = covariance_interval("profile", np.array([r]), n, level)
    limit = stats.chi2.ppf(level, 1) / n
    assert_allclose([profile_statistic(c, r) for c in (low, high)], limit, rtol=1e-6)
    beyond = np.concatenate([low - np.geomspace(1e-3, 1e3, 40), high + np.geomspace(1e-3, 1e3, 40)])
    assert min(profile_statistic(c, r) for c in beyond) > limit


def test_rows_of_zero_weight_are_absent_from_robust_errors():
    x = np.array([[1.0], [2.0], [4.0], [-1.0]])
    weight = np.array([1.0, 1.0, 2.0, 0.0])
    model = MLEDensity("exponential").fit(x, sample_weight=weight)
    repeated = np.array([[1.0], [2.0], [4.0], [4.0]])
    expected = MLEDensity("exponential").fit(repeated).standard_errors("robust", X=repeated)
    found = model.standard_errors("robust", X=x, sample_weight=weight)
    assert_allclose(found["rate"], expected["rate"])


@pytest.mark.parametrize(
    ("family", "x"),
    [("poisson", [3.0, 3.0]), ("exponential", [1.0, 1.0]), ("normal", [0.0, 1.0])],
)
def test_a_sandwich_of_zero_is_no_standard_error(family, x):
    X = np.array(x)[:, None]
    model = MLEDensity(family).fit(X)
    for ask in (model.standard_errors, lambda how, X: model.confidence_intervals(method=how, X=X)):
        with pytest.raises(ValueError, match=r"robust standard error of .* is zero"):
            ask("robust", X=X)


def test_robust_intervals_want_the_whole_training_table():
    x = data("normal")
    model = MLEDensity().fit(x)
    with pytest.raises(ValueError, match="must be the whole training table"):
        model.confidence_intervals(method="robust", X=x[:10])


@pytest.mark.parametrize("ones", [41, 42, 50, 70])
def test_a_robust_interval_holds_the_estimate_where_the_spread_hardly_varies(ones):
    X = np.repeat([1.0, 0.0], [ones, 80 - ones])[:, None]
    model = MLEDensity("normal").fit(X)
    low, high = model.confidence_intervals(method="robust", X=X)["sigma"]
    assert low < model.params_["sigma"] < high
