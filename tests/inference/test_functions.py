"""Intervals of functions of the parameters, against closed forms and a constrained maximizer."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import optimize, special, stats

from skgm.inference import MLEDensity, confidence_intervals
from tests.inference.every_family import UNIVARIATE, column, model

RNG = np.random.default_rng(3)
X = RNG.normal(4.0, 2.0, (25, 2))


def test_a_parameter_itself_has_its_profile_interval():
    fit = MLEDensity("normal").fit(X)
    low, high = fit.confidence_intervals(of=lambda p: p["sigma"])["of"]
    assert_allclose([low, high], fit.confidence_intervals(method="profile")["sigma"], rtol=1e-9)


def test_profile_is_unchanged_by_a_monotone_map():
    fit = MLEDensity("normal").fit(X)
    low, high = fit.confidence_intervals(of=lambda p: -np.exp(p["mu"]))["of"]
    expected = fit.confidence_intervals(method="profile")["mu"]
    assert_allclose([np.log(-high), np.log(-low)], expected, rtol=1e-9)


def test_profile_of_a_ratio_by_constrained_maximization():
    x = X[:, :1]
    fit = MLEDensity("normal").fit(x)
    low, high = fit.confidence_intervals(of={"cv": lambda p: p["sigma"] / p["mu"]})["cv"]

    def fall(ratio):
        """The profile over mu with sigma = ratio * mu."""
        best = optimize.minimize_scalar(
            lambda m: -stats.norm.logpdf(x, m, ratio * m).sum(),
            bounds=(1.0, 10.0),
            options={"xatol": 1e-11},
        )
        return 2 * (fit.loglik_ + best.fun) - stats.chi2.ppf(0.95, 1)

    estimate = fit.params_["sigma"] / fit.params_["mu"]
    assert_allclose(low, optimize.brentq(fall, 0.2, estimate), rtol=1e-8)
    assert_allclose(high, optimize.brentq(fall, estimate, 2.0), rtol=1e-8)


def test_delta_method_in_closed_form():
    """Var(log sigma) = 1 / (2 n) for the normal."""
    fit = MLEDensity("normal").fit(X)
    found = fit.confidence_intervals(of=lambda p: np.log(p["sigma"]), method="wald")
    half = stats.norm.ppf(0.975) / np.sqrt(2 * len(X))
    center = np.log(fit.params_["sigma"])
    assert_allclose(found["of"], [center - half, center + half], rtol=1e-8)
    assert_allclose(found.estimate["of"], center)


def test_one_column_sees_numbers():
    fit = MLEDensity("normal").fit(X[:, :1])
    low, high = fit.confidence_intervals(of=lambda p: math.exp(p["mu"]))["of"]
    assert isinstance(low, float)
    assert low < math.exp(fit.params_["mu"]) < high


def test_correlation_of_a_joint_family():
    """The delta method for a correlation: its variance is (1 - r^2)^2 / n."""
    table = RNG.multivariate_normal([0, 0], [[1, 0.6], [0.6, 2]], 200)
    fit = MLEDensity("multivariate_normal").fit(table)

    def correlation(p):
        c = p["covariance"]
        return c[0, 1] / np.sqrt(c[0, 0] * c[1, 1])

    r = np.corrcoef(table.T)[0, 1]
    half = stats.norm.ppf(0.975) * (1 - r**2) / np.sqrt(200)
    found = fit.confidence_intervals(of=correlation)["of"]
    assert_allclose(np.ravel(found), [r - half, r + half], rtol=1e-5)


def test_fixed_parameters_reach_the_function():
    fit = MLEDensity("normal", fixed={"sigma": 2.0}).fit(X)
    low, high = fit.confidence_intervals(of=lambda p: p["mu"] + p["sigma"])["of"]
    assert_allclose([low, high], 2.0 + np.array(fit.confidence_intervals()["mu"]), rtol=1e-9)


@pytest.mark.parametrize(
    ("of", "method", "words"),
    [
        ("mu", "auto", "of must be a function"),
        (lambda p: p["mu"], "score", "method must be 'auto', 'profile' or 'wald'"),
        (lambda p: np.ones(3), "auto", "of must return one number per column"),
        (lambda p: 1.0 + 0 * p["mu"], "auto", "does not depend on the parameters"),
    ],
)
def test_refusals(of, method, words):
    with pytest.raises(ValueError, match=words):
        MLEDensity("normal").fit(X).confidence_intervals(of=of, method=method)


def test_a_parameter_that_the_family_has_not_is_named():
    model = MLEDensity("normal").fit(np.arange(9.0)[:, None])
    with pytest.raises(ValueError, match=r"unknown parameter 'sigm'; .*Did you mean 'sigma'"):
        model.confidence_intervals(of=lambda p: p["sigm"])


def test_a_vector_of_a_joint_family_is_no_function_value():
    model = MLEDensity("multivariate_normal").fit(np.random.default_rng(0).normal(size=(20, 2)))
    with pytest.raises(ValueError, match="of must return one finite number"):
        model.confidence_intervals(of=lambda p: p["mean"])


# The profile path, followed outwards: it cannot reach the wrong end.

LEVELS = (0.5, 0.9, 0.95, 0.99)
FEW = np.array([[1.0], [2.0], [4.0], [9.0], [30.0]])
AROUND_TEN = np.random.default_rng(0).normal(10.0, 1.0, (12, 1))


def cdf_at(fit, x):
    """Return P(X <= x) as a function of the parameters of a fit with one column."""
    family = fit._fit_record().family
    point = np.array([[x]])
    return lambda p: float(family.cdf(point, {k: np.atleast_1d(v) for k, v in p.items()})[0, 0])


def interval_of(fit, function, level=0.95):
    return fit.confidence_intervals(level, of=function)["of"]


def fall(fit, log_density, curve):
    """Twice the fall of the log-likelihood along a curve of constant f, by a search on it."""
    found = optimize.minimize_scalar(
        lambda t: -log_density(*curve(t)).sum(), bounds=(-3, 3), options={"xatol": 1e-10}
    )
    return 2 * (fit.loglik_ + found.fun)


def test_mean_of_a_lognormal_has_two_ends():
    """Newton's method once landed on the other stationary point: low = high = 3.2648."""
    fit = MLEDensity("lognormal").fit(FEW)
    found = interval_of(fit, lambda p: math.exp(p["mu"] + p["sigma"] ** 2 / 2))
    assert_allclose(found, (3.2648252, 186.9686759), rtol=1e-7)
    for end in found:
        drop = fall(
            fit,
            lambda mu, sigma: stats.norm.logpdf(np.log(FEW), mu, sigma) - np.log(FEW),
            lambda t, end=end: (math.log(end) - math.exp(2 * t) / 2, math.exp(t)),
        )
        assert_allclose(drop, stats.chi2.ppf(0.95, 1), rtol=1e-7)


def test_small_tail_of_a_normal():
    """P(x < 5) of rows around 10: z = (5 - mu) / sigma has a linear restriction as its profile."""
    fit = MLEDensity("normal").fit(AROUND_TEN)
    low, high = interval_of(fit, lambda p: special.ndtr((5 - p["mu"]) / p["sigma"]))
    assert low < special.ndtr((5 - fit.params_["mu"]) / fit.params_["sigma"]) < high
    assert low < 1e-20
    assert high > 1e-7
    for z in special.ndtri([low, high]):
        drop = fall(
            fit,
            lambda mu, sigma: stats.norm.logpdf(AROUND_TEN, mu, sigma),
            lambda t, z=z: (5 - z * math.exp(t), math.exp(t)),
        )
        assert_allclose(drop, stats.chi2.ppf(0.95, 1), rtol=1e-8)


@pytest.mark.parametrize(
    "name", [n for n in UNIVARIATE if n not in ("categorical", "laplace", "student_t")]
)
def test_intervals_of_functions_are_ordered_nested_and_equivariant(name):
    x = column(name, 13)
    fit = model(name).fit(x)
    names = list(fit.params_)
    functions = [lambda p: p[names[-1]] ** 2 * 2, cdf_at(fit, np.floor(np.quantile(x, 0.3) + 0.5))]
    if len(names) > 1:
        functions.append(lambda p: p[names[0]] / p[names[1]])
    for f in functions:
        value, inner = f(fit.params_), None
        if not 0 < abs(value) < np.inf or value == 1:
            continue
        for level in LEVELS:
            low, high = interval_of(fit, f, level)
            assert low < value < high
            assert inner is None or (low <= inner[0] and inner[1] <= high)
            inner = low, high
        low, high = interval_of(fit, f)
        maps = [(np.arcsinh, False), (lambda v: -(v**3), True)]
        if low > 0:
            maps += [(np.log, False), (np.reciprocal, True)]
        if low > 0 and high < 1:
            maps.append((special.logit, False))
        for g, falls in maps:
            ends = interval_of(fit, lambda p, f=f, g=g: g(f(p)))
            assert_allclose(ends[::-1] if falls else ends, g(np.array([low, high])), rtol=1e-7)


def test_functions_of_students_t_reach_the_normal_family():
    """Where df runs off to infinity, the path goes on along the normal family."""
    fit = MLEDensity("student_t").fit(column("student_t", 40))
    assert 30 < fit.params_["df"] < np.inf
    assert interval_of(fit, lambda p: p["df"])[1] == np.inf
    assert_allclose(interval_of(fit, lambda p: 1 / p["df"])[0], 0.0, atol=1e-8)
    high = interval_of(fit, lambda p: p["scale"], 0.9)[1]
    drop = fall(
        fit,
        lambda loc, scale: stats.norm.logpdf(column("student_t", 40), loc, scale),
        lambda t: (t, high),
    )
    assert_allclose(drop, stats.chi2.ppf(0.9, 1), rtol=1e-6)


def test_gamma_tail_against_a_constrained_search():
    x = np.random.default_rng(1).gamma(2.0, 1.0, (15, 1))
    fit = MLEDensity("gamma").fit(x)
    for end in interval_of(fit, cdf_at(fit, 0.01)):
        drop = fall(
            fit,
            lambda shape, rate: stats.gamma.logpdf(x, shape, scale=1 / rate),
            lambda t, end=end: (math.exp(t), special.gammaincinv(math.exp(t), end) / 0.01),
        )
        assert_allclose(drop, stats.chi2.ppf(0.95, 1), rtol=1e-7)


def test_a_square_ends_at_its_own_least_value():
    x = AROUND_TEN - AROUND_TEN.mean() + 0.1
    fit = MLEDensity("normal").fit(x)
    low, high = interval_of(fit, lambda p: p["mu"] ** 2)
    assert_allclose(low, 0.0, atol=1e-12)
    assert_allclose(high, fit.confidence_intervals(method="profile")["mu"][1] ** 2, rtol=1e-9)


def test_a_probability_that_rounds_to_one():
    fit = MLEDensity("normal").fit(AROUND_TEN)
    below, above = (
        interval_of(fit, f)
        for f in (
            lambda p: special.ndtr((5 - p["mu"]) / p["sigma"]),
            lambda p: special.ndtr((p["mu"] - 5) / p["sigma"]),
        )
    )
    assert_allclose(above, [1 - below[1], 1 - below[0]], rtol=1e-12)


def test_functions_of_a_likelihood_with_kinks():
    """The quantile loc - scale log 2 of a Laplace law, against a fine grid."""
    x = np.random.default_rng(4).laplace(1.0, 2.0, (11, 1))
    fit = MLEDensity("laplace").fit(x)
    low, high = interval_of(fit, lambda p: p["loc"] - p["scale"] * math.log(2))
    loc, scale = np.meshgrid(np.linspace(-4, 6, 1001), np.exp(np.linspace(-1, 2.5, 801)))
    height = -11 * np.log(2 * scale) - sum(np.abs(v - loc) for v in x[:, 0]) / scale
    inside = 2 * (fit.loglik_ - height) < stats.chi2.ppf(0.95, 1)
    values = (loc - scale * math.log(2))[inside]
    assert_allclose([low, high], [values.min(), values.max()], atol=0.03)
    assert low <= values.min()
    assert values.max() <= high


def test_survival_far_in_the_tail_of_censored_rows():
    """S(720) of a Weibull law from few events: its interval spans twenty orders of magnitude."""
    times = np.array([5.0, 11.0, 14.0, 30.0, 62.0, 90.0, 90.0, 90.0])[:, None]
    event = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    fit = MLEDensity("weibull").fit(times, event=event)
    low, high = interval_of(fit, lambda p: math.exp(-((720 / p["scale"]) ** p["shape"])))
    inner = interval_of(fit, lambda p: p["shape"] * math.log(720 / p["scale"]))
    assert_allclose(np.log(-np.log([high, low])), inner, rtol=1e-8)
    assert 0 < low < 1e-10
    assert 0.2 < high < 1


def test_predicted_probabilities_and_ratios_of_statsmodels():
    """A probability is a monotone map of its linear predictor, however far out."""
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(5)
    dose = np.linspace(-2, 2, 40)
    fit = sm.Logit(
        (rng.uniform(size=40) < special.expit(dose)).astype(float), sm.add_constant(dose)
    )
    fit = fit.fit(disp=0)
    for at in (0.0, 3.0, -8.0, 20.0):
        predictor = {"eta": {"const": 1.0, "x1": at}}
        eta = confidence_intervals(fit, of=predictor)["eta"]
        p = confidence_intervals(fit, of=lambda b, at=at: special.expit(b["const"] + at * b["x1"]))
        assert_allclose(p["of"], special.expit(eta), rtol=1e-8)
        score = confidence_intervals(fit, method="score", of=predictor)["eta"]
        p = confidence_intervals(
            fit, method="score", of=lambda b, at=at: special.expit(b["const"] + at * b["x1"])
        )
        assert_allclose(p["of"], special.expit(score), rtol=1e-8)


def test_infinite_estimates_send_to_the_limit():
    model = MLEDensity("t").fit(np.linspace(-1, 1, 12)[:, None])
    with pytest.raises(ValueError, match=r"'df' of the student_t family is infinite. Fit MLEDensi"):
        model.confidence_intervals(of=lambda p: p["scale"])


def test_estimates_that_round_to_an_end_are_told():
    model = MLEDensity("bernoulli").fit([[1.0], [0.0]], sample_weight=[20.0, 2e-13])
    with pytest.raises(ValueError, match="'p' is 1 to rounding"):
        model.confidence_intervals(of=lambda p: p["p"])


def test_a_pole_ends_at_infinity_with_a_word():
    """1 / mu, where the interval of mu holds zero, is the reciprocal of the part below zero."""
    model = MLEDensity("normal").fit(np.random.default_rng(0).normal(0.1, 1, size=(20, 1)))
    mean = model.confidence_intervals(method="profile")["mu"]
    assert mean[0] < model.params_["mu"] < 0 < mean[1]
    with pytest.warns(UserWarning, match="has a pole among the parameters"):
        found = model.confidence_intervals(of=lambda p: 1 / p["mu"])["of"]
    assert found[0] == -np.inf
    assert_allclose(found[1], 1 / mean[0], rtol=1e-8)


@pytest.fixture(scope="module")
def weak_slope():
    """A probit model with a slope whose interval holds zero."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(60, 2))
    y = (rng.uniform(size=60) < 0.6).astype(float)
    return sm.Probit(y, sm.add_constant(x)).fit(disp=0)


def test_an_extreme_of_the_function_is_an_end(weak_slope):
    low, high = confidence_intervals(weak_slope)["x1"]
    assert low < 0 < high
    square = confidence_intervals(weak_slope, of=lambda p: p["x1"] ** 2)["of"]
    assert 0 <= square[0] < 1e-10
    assert_allclose(square[1], max(low**2, high**2), rtol=1e-6)


def test_a_ratio_with_a_pole_against_the_refitted_model(weak_slope):
    """With -const / x1 = r the model has x1 - r as a column, and no constant."""
    with pytest.warns(UserWarning, match="has a pole among the parameters"):
        found = confidence_intervals(weak_slope, of=lambda p: -p["const"] / p["x1"])["of"]
    y, X = weak_slope.model.endog, weak_slope.model.exog
    estimate = -weak_slope.params[0] / weak_slope.params[1]

    def excess(r):
        held = sm.Probit(y, np.column_stack([X[:, 1] - r, X[:, 2]])).fit(disp=0)
        return 2 * (weak_slope.llf - held.llf) - stats.chi2.ppf(0.95, 1)

    (finite,) = [end for end in found if np.isfinite(end)]
    (endless,) = [end for end in found if np.isinf(end)]
    assert (endless < 0) == (estimate < finite)
    assert abs(excess(finite)) < 1e-5
    assert excess(-1e6 * np.sign(endless)) < 0  # values of the other sign, as the warning says


def test_two_functions_of_one_name_are_refused():
    fit = MLEDensity("normal").fit(X)
    with pytest.raises(ValueError, match="several functions of the same name"):
        fit.confidence_intervals(of=[lambda p: p["mu"], lambda p: p["sigma"]])


@pytest.mark.parametrize("family", ["bernoulli", "geometric"])
def test_functions_of_probabilities_that_are_one_to_rounding(family):
    """Fractional failures: the end of the logit is near 96, where 1 - p is 1e-42 and p is 1."""
    values = {"bernoulli": [[1.0], [0.0]], "geometric": [[1.0], [2.0]]}[family]
    model = MLEDensity(family).fit(values, sample_weight=[3.0, 0.02])
    complement = MLEDensity("poisson").fit([[0.0], [1.0]], sample_weight=[3.0, 0.02])
    assert np.log(complement.confidence_intervals(method="profile")["mu"][0]) < -90
    for function in (
        lambda p: np.log(p["p"] / (1 - p["p"])),
        lambda p: math.log(p["p"]) - math.log(1 - p["p"]),
        lambda p: 1 / (1 - p["p"]),
    ):
        with pytest.warns(UserWarning, match="upper end .* to rounding"):
            low, high = model.confidence_intervals(of=function)["of"]
        assert_allclose(low, function({"p": model.confidence_intervals(method="profile")["p"][0]}))
        assert high == np.inf
    with pytest.warns(UserWarning, match="lower end .* to rounding"):
        assert model.confidence_intervals(of=lambda p: np.log1p(-p["p"]))["of"][0] == -np.inf
    assert model.confidence_intervals(of=lambda p: p["p"] ** 2)["of"][1] == 1  # in silence
