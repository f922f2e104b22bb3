"""Parameters held at known values: smaller families in every respect."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from skgm.inference import MLEDensity, likelihood_ratio_test

RNG = np.random.default_rng(7)
X = RNG.normal(2.0, 3.0, (40, 2))


def test_fixed_values_stay_and_are_not_counted():
    fit = MLEDensity("normal", fixed={"sigma": 3.0}).fit(X)
    assert_allclose(fit.params_["sigma"], [3.0, 3.0])
    assert list(fit.params_) == ["mu", "sigma"]
    assert fit.n_params_ == 2
    assert list(fit.standard_errors()) == ["mu"]
    assert list(fit.confidence_intervals()) == ["mu"]


def test_mean_with_known_sigma_has_the_z_interval():
    """The normal mean with known sigma: score, profile and r* all are mean -+ z sigma / sqrt(n)."""
    fit = MLEDensity("normal", fixed={"sigma": 3.0}).fit(X)
    half = stats.norm.ppf(0.975) * 3.0 / np.sqrt(len(X))
    for method in ("auto", "wald", "score", "profile", "rstar"):
        low, high = fit.confidence_intervals(method=method)["mu"]
        assert_allclose([low, high], [X.mean(axis=0) - half, X.mean(axis=0) + half], rtol=1e-9)


def test_sigma_with_known_mean_has_the_chi_square_interval():
    """n sigma_hat^2 / sigma^2 is chi-square on n degrees of freedom, not n - 1; r* is exact for a
    gamma law to the third order, about 1e-4 at n = 40."""
    fit = MLEDensity("normal", fixed={"mu": 2.0}).fit(X)
    total = ((X - 2.0) ** 2).sum(axis=0)
    assert_allclose(fit.params_["sigma"], np.sqrt(total / len(X)), rtol=1e-12)
    low, high = fit.confidence_intervals()["sigma"]
    exact = np.sqrt(total / stats.chi2.ppf([[0.975], [0.025]], len(X)))
    assert_allclose([low, high], exact, rtol=2e-4)


def test_one_value_per_column():
    fit = MLEDensity("normal", fixed={"sigma": [3.0, 5.0]}).fit(X)
    errors = fit.standard_errors()["mu"]
    assert_allclose(errors, np.array([3.0, 5.0]) / np.sqrt(len(X)))


def test_fixed_stays_fixed_in_the_profile():
    """By a maximizer that shares no code: weibull with known shape, profile of the scale."""
    x = RNG.weibull(1.5, (30, 1)) * 4
    fit = MLEDensity("weibull", fixed={"shape": 1.5}).fit(x)
    low, high = fit.confidence_intervals(method="profile")["scale"]

    def fall(scale):
        best = optimize.minimize_scalar(
            lambda s: -stats.weibull_min.logpdf(x, 1.5, scale=s).sum(),
            bounds=(1, 10),
            options={"xatol": 1e-10},
        )
        at = stats.weibull_min.logpdf(x, 1.5, scale=scale).sum()
        return 2 * (-best.fun - at) - stats.chi2.ppf(0.95, 1)

    estimate = fit.params_["scale"]
    assert_allclose(low, optimize.brentq(fall, 1, estimate), rtol=1e-7)
    assert_allclose(high, optimize.brentq(fall, estimate, 20), rtol=1e-7)


def test_scipys_names_and_neutral_values():
    x = RNG.gamma(2.0, 3.0, (30, 1))
    mine = MLEDensity("gamma", fixed={"shape": 2.0}).fit(x)
    scipys = MLEDensity("gamma", fixed={"a": 2.0, "loc": 0}).fit(x)
    assert mine.params_ == scipys.params_
    assert_allclose(mine.params_["scale"], x.mean() / 2.0)


def test_constant_column_is_fitted_where_the_scale_is_known():
    fit = MLEDensity("normal", fixed={"sigma": 1.0}).fit([[5.0], [5.0]])
    assert fit.params_["mu"] == 5.0


def test_test_of_a_parameter_next_to_a_fixed_one():
    x = X[:, :1]
    result = likelihood_ratio_test(MLEDensity("normal", fixed={"sigma": 3.0}), x, {"mu": 1.0})
    assert_allclose(result.statistic, len(x) * (x.mean() - 1) ** 2 / 9)


@pytest.mark.parametrize(
    ("family", "fixed", "words"),
    [
        ("normal", {"sd": 1.0}, "unknown parameter 'sd'; the normal family has mu, sigma"),
        ("normal", {"sigma": -1.0}, r"fixed\['sigma'\] must be a number > 0"),
        ("normal", {"sigma": np.inf}, r"fixed\['sigma'\] must be"),
        ("normal", {"sigma": "one"}, r"fixed\['sigma'\] must hold numbers"),
        ("normal", {"mu": 0.0, "sigma": 1.0}, "fixed holds every parameter"),
        ("normal", {"sigma": [1.0, 2.0, 3.0]}, "one value per column"),
        ("exponential", {"loc": 1.0}, "unknown parameter 'loc'"),
        ("mvn", {"mean": 0.0}, "is joint"),
        ("binomial", None, "needs its 'n'"),
    ],
)
def test_refusals(family, fixed, words):
    table = np.abs(X) if family == "exponential" else X
    with pytest.raises(ValueError, match=words):
        MLEDensity(family, fixed=fixed).fit(table)


def test_exact_is_refused():
    fit = MLEDensity("normal", fixed={"mu": 0.0}).fit(X)
    with pytest.raises(ValueError, match="'exact'"):
        fit.confidence_intervals(method="exact")


@pytest.mark.parametrize("correction", ["bartlett", "rstar"])
@pytest.mark.parametrize(
    ("family", "fixed", "tested"),
    [
        pytest.param("student_t", "df", "scale", marks=pytest.mark.slow),
        ("gamma", "scale", "shape"),
    ],
)
def test_values_fixed_per_column_are_those_of_the_tested_column(correction, family, fixed, tested):
    X = np.random.default_rng(5).gamma(3.0, 1.0, (12, 2))
    values = [4.0, 7.0]
    joint = MLEDensity(family, fixed={fixed: values})
    for j, value in enumerate(values):
        null = [np.nan, np.nan]
        null[j] = 1.5
        of_two = likelihood_ratio_test(joint, X, {tested: null}, correction=correction)
        alone = MLEDensity(family, fixed={fixed: value})
        of_one = likelihood_ratio_test(alone, X[:, [j]], {tested: 1.5}, correction=correction)
        assert_allclose(of_two.statistic, of_one.statistic, rtol=1e-9)


def test_bootstrap_with_values_fixed_per_column():
    X = np.random.default_rng(6).gamma(3.0, 1.0, (20, 2))
    ends = [
        MLEDensity("gamma", fixed={"scale": scale})
        .fit(X)
        .confidence_intervals(method="bootstrap", X=X, random_state=0)["shape"]
        for scale in (1.5, [1.5, 1.5])
    ]
    assert_allclose(ends[0], ends[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("family", "fixed", "message"),
    [
        ("gamma", {"loc": 0.7}, "has shape, scale. It has no location: subtract loc from the col"),
        ("lognorm", {"loc": 0.7}, "has mu, sigma. It has no location"),
        ("lognorm", {"scale": 1.0}, r"scipy's scale is none of them: mu = log\(scale\)"),
        ("expon", {"scale": 1.0}, "has rate. scipy's scale is none of them: rate = 1 / scale"),
        ("invgauss", {"scale": 1.0}, "lam = scale, and mu is scipy's mu times its scale"),
        ("gamma", {"shap": 2.0}, "has shape, scale. Did you mean 'shape'?"),
        ("binomial", {"n": [5, 6]}, r"fixed\['n'\] must be one number.*got \[5, 6\]"),
        ("binomial", {"n": "five"}, r"fixed\['n'\] must be one number"),
        ("pareto", {"minimum": [0.1, 0.2]}, r"fixed\['minimum'\] must be one number"),
        ("categorical", {"n_categories": [3, 3]}, r"fixed\['n_categories'\] must be one number"),
        (stats.betabinom, {"n": [3, 3]}, r"fixed\['n'\] must be one number"),
        ("guassian", None, "got 'guassian'. Did you mean 'gaussian'?"),
        ("Weibul", None, "got 'Weibul'. Did you mean 'weibull'?"),
        ("gengama", None, "got 'gengama'. Did you mean 'gengamma'?"),
        (
            stats.gamma(2.0),
            None,
            "pass scipy.stats.gamma itself, and the parameters",
        ),
    ],
)
def test_names_and_values_that_are_not_understood_are_answered(family, fixed, message):
    X = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 2.0]])
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        MLEDensity(family, fixed=fixed).fit(X)


def test_scipys_location_and_scale_of_the_normal_are_its_parameters():
    """A location of zero was taken for one that changes nothing."""
    X = np.array([[1.0], [2.0], [4.0]])
    held = MLEDensity("norm", fixed={"loc": 0.0}).fit(X)
    assert held.params_["mu"] == 0.0
    assert_allclose(held.params_["sigma"], np.sqrt(7.0))
    assert_allclose(MLEDensity("norm", fixed={"scale": 1.0}).fit(X).params_["mu"], 7 / 3)
    assert MLEDensity("gamma", fixed={"loc": 0}).fit(X).params_.keys() == {"shape", "scale"}
