"""Arguments that lead astray are answered with what to write instead."""

import inspect
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose

from skgm import (
    MLEDensity,
    NCEDensity,
    ScoreMatchingGaussian,
    confidence_intervals,
    information_criteria,
    likelihood_ratio_test,
    score_test,
    wald_test,
)

X = np.random.default_rng(0).gamma(2.0, 3.0, size=(40, 1))
HEAVY = 1 + np.random.default_rng(1).standard_t(3, size=(40, 1))
TESTS = (score_test, likelihood_ratio_test, wald_test)


@pytest.mark.parametrize("test", TESTS)
def test_swapped_arguments(test):
    null, order = {"shape": 1.0}, rf"{test.__name__}\(estimator, X, null\)"
    with pytest.raises(TypeError, match=rf"ndarray where the estimator belongs.*{order}"):
        test(X, MLEDensity("gamma"), null)
    with pytest.raises(TypeError, match=rf"dict where the estimator belongs.*{order}"):
        test(null, X, MLEDensity("gamma"))
    for swapped in (null, MLEDensity("exponential")):
        with pytest.raises(TypeError, match=rf"X and null in the wrong order.*{order}"):
            test(MLEDensity("gamma"), swapped, X)
    with pytest.raises(TypeError, match="got the null where X belongs"):
        test(sm.OLS(X[:, 0], np.ones(40)).fit(), {"const": 0.0})
    with pytest.raises(TypeError, match="estimator must be a model"):
        test("gamma", X, null)


@pytest.mark.parametrize("test", TESTS)
def test_columns_may_have_any_name(test):
    frame = pd.DataFrame({"fit": X[:, 0], "params": X[::-1, 0]})
    tables, null = (frame, frame.to_numpy()), {"shape": 1.0}
    found, plain = (test(MLEDensity("gamma"), rows, null) for rows in tables)
    assert found.statistic == plain.statistic


def test_smaller_and_larger_model_swapped():
    with pytest.raises(ValueError, match="pass the larger model first"):
        likelihood_ratio_test(MLEDensity("exponential"), X, MLEDensity("gamma"))


@pytest.mark.parametrize(
    "call",
    [
        lambda **options: MLEDensity("gamma").fit(X).confidence_intervals(**options),
        lambda **options: MLEDensity("gamma").fit(X).summary(**options),
        lambda **options: ScoreMatchingGaussian().fit(X).confidence_intervals(**options),
        lambda **options: confidence_intervals(sm.OLS(X[:, 0], np.ones(40)).fit(), **options),
        lambda **options: NCEDensity(random_state=0).confidence_intervals(**options),
    ],
)
def test_alpha_for_level(call):
    with pytest.raises(
        TypeError, match=r"level = 1 - alpha, and not alpha=0\.1: pass level=0\.9\."
    ):
        call(alpha=0.1)


def test_signatures_are_kept():
    assert "level" in inspect.signature(MLEDensity.confidence_intervals).parameters
    assert "groups" in inspect.signature(confidence_intervals).parameters


@pytest.mark.parametrize("family", ["weibull", "student_t", "negative_binomial"])
def test_wald_test_takes_the_observed_information(family):
    """A parameter's statistic is its distance in `standard_errors("observed")`."""
    rows = {"negative_binomial": np.floor(X), "student_t": HEAVY}.get(family, X)
    model = MLEDensity(family).fit(rows)
    for name, error in model.standard_errors("observed").items():
        null = 0.9 * model.params_[name]
        found = wald_test(model, rows, {name: null}).statistic
        assert_allclose(found, ((model.params_[name] - null) / error) ** 2, rtol=1e-8)


FAMILIES = {
    "normal": ("mu", 0.8, 1),
    "lognormal": ("sigma", 0.9, 0),
    "exponential": ("rate", 0.8, -1),
    "gamma": ("shape", 1.5, 0),
    "weibull": ("scale", 0.8, 1),
    "laplace": ("loc", 0.8, 1),
    "cauchy": ("loc", 0.8, 1),
    "student_t": ("loc", 0.8, 1),
    "logistic": ("scale", 0.8, 1),
    "gumbel": ("loc", 0.8, 1),
    "inverse_gaussian": ("mu", 0.8, 1),
    "rayleigh": ("scale", 0.8, 1),
    "multivariate_normal": ("mean", 0.8, 1),
}


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e150, 1e-150, 1e100])
@pytest.mark.parametrize("family", FAMILIES)
def test_statistics_at_the_ends_of_floating_point(family, scale):
    """The same statistic as at scale one, or a ValueError; no other error, and no warning."""
    name, value, power = FAMILIES[family]
    rows = HEAVY if family == "student_t" else X / 6
    cases = [(test, False) for test in TESTS] + [(score_test, True), (wald_test, True)]
    for test, robust in cases:
        options = {"robust": True} if robust else {}
        expected = test(MLEDensity(family), rows, {name: value}, **options).statistic
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                null = {name: value * scale**power}
                found = test(MLEDensity(family), rows * scale, null, **options).statistic
            except ValueError:
                continue
        assert_allclose(found, expected, rtol=1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            criteria = information_criteria(MLEDensity(family).fit(rows * scale))
        except ValueError:
            return
    assert np.isfinite(criteria.aic)


def test_scale_1e100_is_within_reach():
    for family in ("normal", "exponential", "gamma", "logistic", "rayleigh"):
        name, value, power = FAMILIES[family]
        for test in TESTS:
            expected = test(MLEDensity(family), X / 6, {name: value}).statistic
            found = test(MLEDensity(family), X / 6 * 1e100, {name: value * 1e100**power})
            assert_allclose(found.statistic, expected, rtol=1e-6)
