"""Nulls about functions of the parameters: they reject what lies outside the intervals."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import optimize, stats

from skgm import (
    MLEDensity,
    confidence_intervals,
    likelihood_ratio_test,
    score_test,
    wald_test,
)
from tests.inference.every_family import CONTINUOUS, UNIVARIATE, column, model

CORRECTIONS = {"profile": None, "bartlett": "bartlett", "rstar": "rstar"}


def pvalue(fit, x, method, null):
    """Return the p-value of the test that belongs to a method of intervals."""
    if method in CORRECTIONS:
        return likelihood_ratio_test(fit, x, null, correction=CORRECTIONS[method]).pvalue
    if method == "score":
        return score_test(fit, x, null).pvalue
    return wald_test(fit, x, null, robust=method == "robust").pvalue


SLOW = [pytest.param(n, marks=pytest.mark.slow) for n in ("student_t", "laplace", "cauchy")]


@pytest.mark.parametrize(
    "name", [n for n in UNIVARIATE if n not in ("categorical", "student_t", "cauchy")] + SLOW[::2]
)
def test_a_test_rejects_what_its_interval_leaves_out(name):
    """The p-value at an end of the 95 % interval of the same method is 5 %."""
    x = column(name, 40 if name == "student_t" else 23)  # where df is finite
    fit = model(name).fit(x)
    methods = set.intersection(*(set(p.methods) for p in fit._family().parameters)) - {"exact"}
    if name == "laplace":
        methods -= {"score"}  # its score jumps
    for method in methods - {"wald-transformed", "bootstrap"}:
        for parameter in fit.params_:
            table = x if method == "robust" else None
            ends = fit.confidence_intervals(method=method, X=table)[parameter]
            space = fit._family().parameter(parameter)
            for end in ends:
                if space.low < end < space.high:
                    found = pvalue(model(name), x, method, {parameter: float(end)})
                    assert_allclose(found, 0.05, atol=1e-7)


@pytest.mark.parametrize("method", ["profile", "wald"])
@pytest.mark.parametrize(
    "name", [n for n in CONTINUOUS if n not in ("cauchy", "student_t", "laplace")] + SLOW
)
def test_of_functions_too(name, method):
    x = column(name, 40 if name == "student_t" else 23)  # where df is finite
    fit = model(name).fit(x)
    of = ("survival", float(np.median(x)))
    for end in fit.confidence_intervals(of={"S": of}, method=method)["S"]:
        found = pvalue(model(name), x, method, {of: float(end)})
        assert_allclose(found, 0.05, atol=1e-6)


def test_mean_of_a_gamma_by_a_constrained_search():
    """Under {"mean": 6} the scale is 6 / shape: one parameter is left."""
    x = column("gamma", 30)
    fit = MLEDensity("gamma").fit(x)

    def fall(log_shape):
        shape = np.exp(log_shape)
        return -stats.gamma.logpdf(x, shape, scale=6 / shape).sum()

    best = optimize.minimize_scalar(fall, bounds=(-3, 3), method="bounded")
    result = likelihood_ratio_test(MLEDensity("gamma"), x, {"mean": 6.0}, alternative="less")
    assert_allclose(result.statistic, -np.sqrt(2 * (fit.loglik_ + best.fun)), rtol=1e-8)
    assert_allclose(np.log(result.restricted_params["shape"]), best.x, atol=1e-5)
    written = score_test(fit, x, 6.0, of=lambda p: p["shape"] * p["scale"])
    assert_allclose(written.statistic, score_test(fit, x, {"mean": 6.0}).statistic, rtol=1e-6)
    assert_allclose(written.multiplier**2 > 0, True)


@pytest.mark.parametrize("test", [score_test, likelihood_ratio_test, wald_test])
def test_identity_is_the_parameter_itself(test):
    X = np.random.default_rng(0).gamma(2.0, 3.0, (30, 2))
    for robust in [False] if test is likelihood_ratio_test else [False, True]:
        options = {"robust": True} if robust else {}
        by_name = test(MLEDensity("gamma"), X, {"shape": [1.5, np.nan]}, **options)
        by_function = test(
            MLEDensity("gamma"), X, [1.5, np.nan], of={"k": lambda p: p["shape"]}, **options
        )
        assert by_function.df == by_name.df == 1
        if not (robust and test is wald_test):  # which is on the scale of the logarithm
            assert_allclose(by_function.statistic, by_name.statistic, rtol=1e-6)


def test_censored_rows_and_an_infinite_parameter():
    x = column("weibull", 30)
    upper = np.where(x > 2.5, np.inf, x)
    x = np.minimum(x, 2.5)
    fit = MLEDensity("weibull").fit(x, upper=upper)
    low, high = fit.confidence_intervals(of="mean")["mean"]
    for end in (low, high):
        found = likelihood_ratio_test(MLEDensity("weibull"), x, {"mean": end}, upper=upper)
        assert_allclose(found.pvalue, 0.05, atol=1e-7)
    t = column("student_t", 40)
    end = MLEDensity("student_t").fit(t).confidence_intervals(of=("survival", 9.0))
    low = end["survival(9)"][0]  # df is infinite there
    result = likelihood_ratio_test(MLEDensity("student_t"), t, {("survival", 9.0): low})
    assert_allclose(result.pvalue, 0.05, atol=1e-4)
    assert result.restricted_params["df"] == np.inf


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    return sm.Poisson(rng.poisson(np.exp(0.3 + 0.4 * x[:, 0])), sm.add_constant(x)).fit(disp=0)


@pytest.mark.parametrize("method", ["profile", "score", "wald"])
def test_functions_of_statsmodels_results(counts, method):
    def rate(p):
        return np.exp(p["const"] + p["x1"])

    test = {"profile": likelihood_ratio_test, "score": score_test, "wald": wald_test}[method]
    for end in confidence_intervals(counts, of=rate, method=method)["rate"]:
        assert_allclose(test(counts, null=float(end), of=rate).pvalue, 0.05, atol=1e-7)
    linear = test(counts, null={"d": 0.1}, of={"d": {"x1": 1, "x2": -1}})
    written = test(counts, null="x1 - x2 = 0.1")
    assert_allclose(linear.statistic, written.statistic, rtol=1e-8)
    smooth = test(counts, null=0.1, of=lambda p: p["x1"] - p["x2"])
    assert_allclose(smooth.statistic, written.statistic, rtol=1e-6)


@pytest.mark.parametrize("null", ["x1 = x2 = 0", "x1, x2", ["x1 = 0", "(x1 + 2 * x2) / 3 = 0"]])
def test_strings_of_statsmodels(counts, null):
    theirs = counts.wald_test(null if isinstance(null, str) else ", ".join(null), scalar=True)
    assert_allclose(wald_test(counts, null=null).statistic, theirs.statistic, rtol=1e-6)


@pytest.mark.parametrize(
    ("null", "options", "words"),
    [
        ({"mean": 6.0, "shape": 1.0}, {}, "beside parameters"),
        ({"mean": 6.0, "median": 1.0}, {}, "one after the other"),
        ({"meen": 6.0}, {}, "unknown parameters"),
        (-1.0, {"of": "mean"}, "does not take the value -1"),
        (np.inf, {"of": "mean"}, "finite"),
        ({"median": 1.0}, {"of": "mean"}, "the function in of"),
        ({"mean": 6.0}, {"correction": "bartlett"}, "correction must be None"),
    ],
)
def test_refusals(null, options, words):
    with pytest.raises(ValueError, match=words):
        likelihood_ratio_test(MLEDensity("gamma"), column("gamma", 20), null, **options)
