"""A smaller model as the null hypothesis: families within families, and fixed parameters."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference._nesting import nested_null
from skgm.inference.families import Gamma, Geometric, NegativeBinomial, Rayleigh, Weibull

TESTS = [score_test, likelihood_ratio_test, wald_test]
WAITS = stats.gamma(1.4, scale=2.0).rvs(size=(40, 2), random_state=0)
NESTED = [
    (Gamma(), "exponential", {"shape": 1.0}),
    (Weibull(), "exponential", {"shape": 1.0}),
    (Weibull(), Rayleigh(), {"shape": 2.0}),
]


@pytest.mark.parametrize(("big", "small", "null"), NESTED)
def test_nested_families(big, small, null):
    """Twice the difference of the maxima of two separate fits; the same as the dict."""
    big, small = MLEDensity(big), MLEDensity(small)
    ratio = likelihood_ratio_test(big, WAITS, small)
    expected = 2 * (big.fit(WAITS).loglik_ - small.fit(WAITS).loglik_)
    assert_allclose(ratio.statistic, expected, rtol=1e-9)
    assert ratio.df == 2  # one per column
    for test in TESTS:
        by_model, by_dict = test(big, WAITS, small), test(big, WAITS, null)
        assert_allclose(by_model.statistic, by_dict.statistic, rtol=1e-12)
        assert_allclose(by_model.null["shape"], null["shape"])


def test_fixed_parameters_translate():
    """Exponential with rate 0.4 in gamma: shape 1 and scale 2.5; the search agrees."""
    small = MLEDensity("exponential", fixed={"rate": 0.4})
    result = likelihood_ratio_test(MLEDensity(Gamma()), WAITS, small)
    by_dict = likelihood_ratio_test(MLEDensity(Gamma()), WAITS, {"shape": 1.0, "scale": 2.5})
    assert_allclose(result.statistic, by_dict.statistic, rtol=1e-12)
    assert result.df == 4
    nested = nested_null(MLEDensity(Weibull()), MLEDensity(Rayleigh(), fixed={"scale": 3.0}), 1)
    assert nested.n_restrictions == 2
    assert_allclose(nested.null["scale"], 3.0 * np.sqrt(2))  # exp(-x^2/18) = exp(-(x/scale)^2)
    assert_allclose(nested.null["shape"], 2.0)


def test_the_same_family_with_more_fixed():
    X = np.random.default_rng(0).normal(0.3, 1.2, (30, 2))
    for test in TESTS:
        by_model = test(MLEDensity(), X, MLEDensity(fixed={"mu": 0.1}))
        assert_allclose(by_model.statistic, test(MLEDensity(), X, {"mu": 0.1}).statistic)
        assert by_model.df == 2
    # what the larger model knows stays known: sigma = 1, so that W is n (mean - 0.1)^2
    known = likelihood_ratio_test(MLEDensity(fixed={"sigma": 1.0}), X, {"mu": 0.1})
    assert_allclose(known.statistic, 30 * np.sum((X.mean(axis=0) - 0.1) ** 2), rtol=1e-9)
    for test in TESTS:
        by_dict = test(MLEDensity(fixed={"sigma": 1.0}), X, {"mu": 0.1})
        assert_allclose(by_dict.statistic, known.statistic, rtol=1e-9)  # quadratic: all agree


def test_gamma_fixed_inside_gamma():
    """W of shape 1 and scale 2.5 together, and of scale 2.5 given shape 1, add up."""
    x = WAITS[:, :1]
    whole = MLEDensity(Gamma())
    both = likelihood_ratio_test(whole, x, {"shape": 1.0, "scale": 2.5})
    shape = likelihood_ratio_test(whole, x, MLEDensity(Gamma(), fixed={"shape": 1.0}))
    rest = likelihood_ratio_test(MLEDensity(Gamma(), fixed={"shape": 1.0}), x, {"scale": 2.5})
    assert_allclose(shape.statistic + rest.statistic, both.statistic, rtol=1e-9)
    assert (both.df, shape.df, rest.df) == (2, 1, 1)
    exponential = likelihood_ratio_test(whole, x, MLEDensity("exponential"))
    assert_allclose(exponential.statistic, shape.statistic, rtol=1e-9)


def test_independent_normal_columns_in_the_multivariate_normal():
    X = np.random.default_rng(0).normal(size=(20, 3)) @ np.array(
        [[1, 0.4, 0], [0, 1, 0], [0, 0, 2]]
    )
    result = likelihood_ratio_test(MLEDensity("mvn"), X, MLEDensity("normal"))
    assert_allclose(result.statistic, -20 * np.linalg.slogdet(np.corrcoef(X.T))[1], rtol=1e-9)
    assert result.df == 3
    expected = 2 * (MLEDensity("mvn").fit(X).loglik_ - MLEDensity("normal").fit(X).loglik_)
    assert_allclose(result.statistic, expected, rtol=1e-9)
    unit = MLEDensity("normal", fixed={"sigma": [1.0, 1.0, 2.0]})
    whole = likelihood_ratio_test(MLEDensity("mvn"), X, unit)
    assert whole.df == 6
    assert_allclose(
        whole.statistic, 2 * (MLEDensity("mvn").fit(X).loglik_ - unit.fit(X).loglik_), rtol=1e-9
    )


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize(
    ("big", "small", "words"),
    [
        (
            "exponential",
            Gamma(),
            "special case: pass the larger model first",
        ),
        (Gamma(), Gamma(), "same model.*nothing to test"),
        (Gamma(), Weibull(), "compare_densities"),
    ],
)
def test_models_that_are_not_nested(test, big, small, words):
    with pytest.raises(ValueError, match=words):
        test(MLEDensity(big), WAITS, MLEDensity(small))


def test_fixed_values_must_agree():
    big = MLEDensity(Gamma(), fixed={"shape": 2.0})
    with pytest.raises(ValueError, match="fixes 'shape' at 2; give the null the same"):
        likelihood_ratio_test(big, WAITS, MLEDensity("exponential"))
    with pytest.raises(ValueError, match="fixes 'shape' at 2"):
        likelihood_ratio_test(big, WAITS, MLEDensity(Gamma(), fixed={"scale": 2.0}))


def test_geometric_counts_from_one_are_no_negative_binomial():
    with pytest.raises(ValueError, match="not known to be nested"):
        nested_null(MLEDensity(NegativeBinomial()), MLEDensity(Geometric()), 1)
