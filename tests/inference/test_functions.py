"""Intervals of functions of the parameters, against closed forms and a constrained maximizer."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from skgm.inference import MLEDensity

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


def test_a_vector_of_a_joint_family_is_no_function_value():
    model = MLEDensity("multivariate_normal").fit(np.random.default_rng(0).normal(size=(20, 2)))
    with pytest.raises(ValueError, match="of must return one finite number"):
        model.confidence_intervals(of=lambda p: p["mean"])
