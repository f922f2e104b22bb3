"""Bad and extreme input: a clear error or the documented result for each, in every family."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special
from sklearn.exceptions import ConvergenceWarning

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference.families import FAMILIES
from tests.inference.every_family import (
    COUNTS,
    ONE_PARAMETER,
    POSITIVE,
    SPREAD,
    UNIVARIATE,
    column,
    model,
)

TESTS = (score_test, likelihood_ratio_test, wald_test)


def test_every_family_is_listed():
    joint = {family.name for family in FAMILIES if family.joint}
    assert {*UNIVARIATE} | joint == {family.name for family in FAMILIES}


# outside the support


@pytest.mark.parametrize("value", [-1.0, -1e-300, 0.0])
@pytest.mark.parametrize("name", POSITIVE)
def test_families_of_positive_numbers(name, value):
    X = np.hstack([column(name, 5), column(name, 5)])
    X[3, 1] = value
    for method in (model(name).fit, model(name).partial_fit):
        with pytest.raises(ValueError, match=r"numbers > 0.*column 'x1' holds .* at row 3"):
            method(X)
    with pytest.raises(ValueError, match="numbers > 0"):
        likelihood_ratio_test(model(name), X, _null(name, 2))


def _null(name, d):
    """Return a null hypothesis inside the parameter space."""
    fit = model(name).fit(column(name))
    first, value = next(iter(fit.params_.items()))
    return {first: value if np.ndim(value) else np.full(d, value)}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("exponential", -0.5, "numbers >= 0"),
        ("beta", 1.0, "strictly between 0 and 1"),
        ("beta", 0.0, "strictly between 0 and 1"),
        ("von_mises", 3.2, "angles > -pi and <= pi"),
        ("pareto", 0.9, r"numbers >= 1 \(the minimum\)"),
        ("bernoulli", 2.0, "0 or 1"),
        ("binomial", 7.0, "whole numbers from 0 to 6"),
        ("binomial", 0.5, "whole numbers from 0 to 6"),
        ("poisson", 1.5, "whole numbers >= 0"),
        ("poisson", -1.0, "whole numbers >= 0"),
        ("geometric", 0.0, "whole numbers >= 1"),
        ("negative_binomial", 0.5, "whole numbers >= 0"),
    ],
)
def test_values_outside_the_support(name, value, words):
    X = column(name, 5)
    X[2] = value
    with pytest.raises(ValueError, match=rf"{words}.*column 'x0' holds {value} at row 2"):
        model(name).fit(X)


@pytest.mark.parametrize("name", UNIVARIATE)
def test_log_density_outside_the_support_is_minus_infinity(name):
    fit = model(name).fit(column(name))
    inside = fit.score_samples(column(name, 5, seed=1))
    assert np.isfinite(inside).all()
    if name in POSITIVE + COUNTS + ("exponential", "beta", "pareto"):
        assert (fit.score_samples([[-1.0], [-0.5]]) == -np.inf).all()


# too little data


@pytest.mark.parametrize("name", ONE_PARAMETER)
def test_one_row_of_a_one_parameter_family(name):
    """2 n theta / mean and its like are chi-square: the exact interval is there at n = 1."""
    x = column(name, 1)
    fit = model(name).fit(x)
    unit = {"exponential": x, "rayleigh": x**2 / 2, "pareto": np.log(x)}[name].item()
    gamma = special.gammaincinv(1, [0.025, 0.975])
    rate = gamma / unit  # of the exponential variable that `unit` is
    (parameter,) = fit.params_
    expected = np.sqrt(1 / rate[::-1]) if name == "rayleigh" else rate
    ends = fit.confidence_intervals()[parameter]
    assert fit.confidence_intervals().methods[parameter] == "exact"
    assert_allclose(ends, expected, rtol=1e-10)


@pytest.mark.parametrize("name", SPREAD)
def test_partial_fit_waits_for_a_second_value(name):
    X = column(name)
    waiting = model(name).partial_fit(X[:1])
    with pytest.raises(ValueError, match=r"not seen enough data.*no estimate"):
        waiting.score_samples(X)
    waiting.partial_fit(X[1:])
    assert_allclose(
        list(waiting.params_.values()), list(model(name).fit(X).params_.values()), rtol=1e-10
    )


@pytest.mark.parametrize("name", ["normal", "gamma", "weibull", "beta", "laplace", "logistic"])
def test_score_intervals_without_an_end(name):
    """In three rows no spread is so far off that the score test rejects it; none is made up.

    Every parameter has its interval all the same.
    """
    few = model(name).fit(column(name, 3))
    found = few.confidence_intervals(method="score")
    assert set(found) == set(few.params_)
    ends = np.array(list(found.values()))
    assert (np.isinf(ends) | (ends == 0)).any(), "an end of the parameter space"
    for key, (low, high) in found.items():
        assert low < few.params_[key] < high
    x = column(name)
    fit = model(name).fit(x)
    parameter = list(fit.params_)[-1]
    for end in fit.confidence_intervals(0.9, method="score")[parameter]:
        result = score_test(model(name), x, {parameter: end})
        assert_allclose(result.pvalue, 0.1, rtol=1e-6)


def refusal(call, *arguments):
    """Return the message of the ValueError, or nothing."""
    try:
        call(*arguments)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", SPREAD)
def test_constant_to_rounding(name):
    """A spread in the last places is hardly any: an error that says so, or finite results."""
    for value, places in ((0.5, 1), (0.5, 8), (0.7, 1), (0.9, 3)):
        x = np.full((6, 1), value)
        x[::2] += places * np.spacing(value)
        message = refusal(model(name).fit, x)
        if message:
            assert "no estimate" in message
            continue
        for low, high in model(name).fit(x).confidence_intervals().values():
            assert np.isfinite([low, high]).all()
            assert low <= high


@pytest.mark.parametrize("power", [-300, -200, 200, 300])
@pytest.mark.parametrize("name", ["exponential", "weibull", "gamma", "logistic", "laplace"])
def test_units_beyond_what_squares_can_hold(name, power):
    """Standard errors at 1e+-200 are right or refused; never zero, never infinite."""
    x, unit = column(name, 10), 10.0**power
    with np.errstate(all="ignore"):
        message = refusal(lambda: model(name).fit(x * unit).standard_errors())
        if message:
            assert "overflow or underflow" in message
            return
        scaled = model(name).fit(x * unit).standard_errors()
    plain = model(name).fit(x).standard_errors()
    powers = {"rate": -power, "shape": 0}
    for parameter, error in plain.items():
        assert_allclose(scaled[parameter], error * 10.0 ** powers.get(parameter, power), rtol=1e-9)


# zeros


def test_counts_of_zeros():
    """Estimate 0 with score intervals [0, z^2 / n] and LR intervals [0, chi2 / (2 n)]."""
    n, quantile = 8, special.ndtri(0.975) ** 2
    fit = MLEDensity("poisson").fit(np.zeros((n, 1)))
    assert fit.params_["mu"] == 0.0
    assert fit.loglik_ == 0.0
    for method, high in (("score", quantile / n), ("profile", quantile / (2 * n))):
        ends = fit.confidence_intervals(method=method)["mu"]
        assert_allclose(ends, (0, high), rtol=1e-12, atol=0)
    for refused in ("wald", "wald-transformed", "robust"):
        with pytest.raises(ValueError, match="edge of the parameter space"):
            fit.confidence_intervals(method=refused, X=np.zeros((n, 1)))
    with pytest.raises(ValueError, match="edge of the parameter space"):
        wald_test(MLEDensity("poisson"), np.zeros((n, 1)), {"mu": 1.0})
    assert_allclose(score_test(MLEDensity("poisson"), np.zeros((n, 1)), {"mu": 0.5}).statistic, 4)
    ratio = likelihood_ratio_test(MLEDensity("poisson"), np.zeros((n, 1)), {"mu": 0.5})
    assert_allclose(ratio.statistic, 8)


Q = special.ndtri(0.975) ** 2


@pytest.mark.parametrize(
    ("name", "value", "edge", "score_end", "profile_end"),
    [
        # Wilson: the statistic is N p / (1 - p) at no success; LR: -2 N log(1 - p)
        ("bernoulli", 0.0, 0, Q / (10 + Q), -np.expm1(-Q / 20)),
        ("bernoulli", 1.0, 1, 10 / (10 + Q), np.exp(-Q / 20)),
        ("binomial", 6.0, 1, 60 / (60 + Q), np.exp(-Q / 120)),
        # the score of ten first-trial successes is 10 / p, its variance 10 / (p^2 (1 - p))
        ("geometric", 1.0, 1, 1 - Q / 10, np.exp(-Q / 20)),
    ],
)
def test_proportions_on_an_edge(name, value, edge, score_end, profile_end):
    fit = model(name).fit(np.full((10, 1), value))
    assert fit.params_["p"] == edge
    with pytest.raises(ValueError, match="edge of the parameter space"):
        fit.standard_errors()
    for method, end in (("score", score_end), ("profile", profile_end)):
        expected = (0, end) if edge == 0 else (end, 1)
        assert_allclose(fit.confidence_intervals(method=method)["p"], expected, rtol=1e-11)


def test_zeros_of_the_exponential_and_of_the_negative_binomial():
    with pytest.raises(ValueError, match="columns of zeros"):
        model("exponential").fit(np.zeros((5, 1)))
    with pytest.raises(ValueError, match=r"columns of zeros.*poisson"):
        model("negative_binomial").fit(np.zeros((5, 1)))


def test_counts_that_vary_less_than_poisson_counts():
    """The negative binomial's size is then infinite: the Poisson distribution, and it says so."""
    x = np.array([[2.0], [3.0], [2.0], [3.0], [2.0]])
    fit, poisson = MLEDensity("negative_binomial").fit(x), MLEDensity("poisson").fit(x)
    assert fit.params_["size"] == np.inf
    assert_allclose(fit.params_["mu"], 2.4, rtol=1e-12)
    assert_allclose(fit.loglik_, poisson.loglik_, rtol=1e-12)
    assert_allclose(fit.score_samples(x), poisson.score_samples(x), rtol=1e-12)
    for cov in ("model", "observed", "robust"):
        found = fit.standard_errors(cov, X=x)
        assert_allclose(found["mu"], poisson.standard_errors(cov, X=x)["mu"], rtol=1e-10)
        assert np.isnan(found["size"])
    with pytest.warns(ConvergenceWarning, match="no 'wald' interval of 'size' .* is infinite"):
        wald = fit.confidence_intervals(method="wald")
    assert np.isnan(wald["size"]).all()
    assert_allclose(wald["mu"], poisson.confidence_intervals(method="wald")["mu"], rtol=1e-10)
    low, high = fit.confidence_intervals()["size"]
    assert 0 < low < high == np.inf


def test_tails_no_heavier_than_a_normals():
    """Student's df is then infinite: location and scale have the normal's errors, per column."""
    flat, heavy = np.linspace(-1, 1, 41) ** 3, np.linspace(-1, 1, 41) ** 15 * 9
    X = np.stack([np.linspace(-1, 1, 41), heavy + flat], axis=1)
    fit, normal = MLEDensity("student_t").fit(X), MLEDensity("normal").fit(X)
    assert np.isinf(fit.params_["df"]).tolist() == [True, False]
    alone = MLEDensity("student_t").fit(X[:, [1]])
    for cov in ("model", "observed", "robust"):
        found, expected = fit.standard_errors(cov, X=X), normal.standard_errors(cov, X=X)
        assert np.isnan(found["df"]).tolist() == [True, False]
        for name, other in (("loc", "mu"), ("scale", "sigma")):
            assert_allclose(found[name][0], expected[other][0], rtol=1e-7)
        for name, error in alone.standard_errors(cov, X=X[:, [1]]).items():
            assert_allclose(found[name][1], error, rtol=1e-7)
    held = MLEDensity("student_t", fixed={"loc": 0.0}).fit(X[:, [0]])
    assert_allclose(held.standard_errors()["scale"], X[:, 0].std() / np.sqrt(82), rtol=1e-7)
    with pytest.raises(ValueError, match="need the training table"):
        fit.standard_errors("robust")


# no numbers


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", UNIVARIATE)
def test_not_finite(name, bad):
    X = column(name, 6)
    X[4] = bad
    words = "NaN" if np.isnan(bad) else "infinity"
    for call in (model(name).fit, model(name).partial_fit, model(name).fit(column(name)).score):
        with pytest.raises(ValueError, match=rf"{words} in column 'x0' \(first at row 4\)"):
            call(X)
    for test in TESTS:
        with pytest.raises(ValueError, match=rf"{words} in column 'x0'"):
            test(model(name), X, _null(name, 1))


@pytest.mark.parametrize("name", UNIVARIATE)
def test_text_and_shapes(name):
    if name != "categorical":  # text is its own
        with pytest.raises(ValueError, match="could not convert string"):
            model(name).fit(np.array([["a"], ["b"]]))
    with pytest.raises(ValueError, match="Expected 2D array"):
        model(name).fit(column(name)[:, 0])
    with pytest.raises(ValueError, match="minimum of 1 is required"):
        model(name).fit(np.empty((0, 1)))


# models without the theory


def test_a_minimum_is_not_estimated():
    """The smallest row is the estimate of a free minimum: not normal, and never too small."""
    with pytest.raises(ValueError, match=r"pareto family needs its 'minimum': pass fixed="):
        MLEDensity("pareto").fit(column("pareto"))
    with pytest.raises(ValueError, match=r"binomial family needs its 'n': pass fixed="):
        MLEDensity("binomial").fit(column("binomial"))


@pytest.mark.parametrize("name", ["gamma", "weibull", "lognormal", "exponential"])
def test_thresholds_are_not_parameters(name):
    with pytest.raises(ValueError, match="unknown parameter 'loc'"):
        MLEDensity(name, fixed={"loc": 0.5}).fit(column(name))
    with pytest.raises(ValueError, match=r"unknown parameters \['loc'\]"):
        likelihood_ratio_test(MLEDensity(name), column(name), {"loc": 0.5})
