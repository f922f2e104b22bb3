"""Infinite estimates: their likelihood ratios, one-sided intervals, and what stays finite.

The oracle is the fit to the rows that are not certain in the limit, and profiles by statsmodels'
own GLM with an offset.
"""

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats
from scipy.optimize import brentq

from skgm import confidence_intervals, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.separation import find_recession, infinite_signs

Binomial, Poisson, links = sm.families.Binomial, sm.families.Poisson, sm.families.links
Y = np.r_[np.tile([0.0, 1.0], 20), np.ones(12)]
GROUP = np.r_[np.zeros(40), np.ones(12)]
X = np.random.default_rng(0).normal(size=52)
DESIGN = np.column_stack([np.ones(52), GROUP, X])
MODELS = {
    "Logit": lambda y, x: sm.Logit(y, x),
    "Probit": lambda y, x: sm.Probit(y, x),
    "GLM logit": lambda y, x: sm.GLM(y, x, family=Binomial()),
    "GLM probit": lambda y, x: sm.GLM(y, x, family=Binomial(link=links.Probit())),
    "GLM cloglog": lambda y, x: sm.GLM(y, x, family=Binomial(link=links.CLogLog())),
    "Poisson": lambda y, x: sm.Poisson(1 - y, x),
    "GLM Poisson": lambda y, x: sm.GLM(1 - y, x, family=Poisson()),
}


def fitted(name, y, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # statsmodels announces the separation
        model = MODELS[name](y, x)
        return model.fit(**({} if name.startswith("GLM") else {"disp": 0}))


def test_a_separated_dummy():
    """40 rows alternating, 12 all ones: statsmodels #1705."""
    result = fitted("Logit", Y, DESIGN[:, :2])
    test = likelihood_ratio_test(result, null={"x1": 0.0})
    total = 2 * (40 * np.log(0.5) - 32 * np.log(32 / 52) - 20 * np.log(20 / 52))
    assert_allclose(test.statistic, total, rtol=1e-10)
    assert_allclose(test.statistic, 13.841184, atol=1e-6)
    intervals = confidence_intervals(result)
    low, high = intervals["x1"]
    assert_allclose(low, 1.66533, atol=1e-5)
    assert high == np.inf == intervals.estimate["x1"]
    half = brentq(  # the rows of the first group alone
        lambda b: 40 * np.log(0.5) + 40 * np.log(2 * np.cosh(b / 2)) - stats.chi2.ppf(0.95, 1) / 2,
        0,
        5,
    )
    assert_allclose(intervals["const"], [-half, half], rtol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_finite_coefficients_are_those_of_the_uncertain_rows(name):
    result, small = fitted(name, Y, DESIGN), fitted(name, Y[:40], DESIGN[:40][:, [0, 2]])
    for method in ("profile", "score", "wald"):
        found = confidence_intervals(result, method=method, of=["const", "x2"])
        other = confidence_intervals(small, method=method)
        assert_allclose(found["const"], other["const"], rtol=1e-6)
        assert_allclose(found["x2"], other["x1"], rtol=1e-6)
    null, own = {"const": 0.3, "x2": -0.2}, {"const": 0.3, "x1": -0.2}
    for test in (likelihood_ratio_test, wald_test):
        assert_allclose(
            test(result, null=null).statistic, test(small, null=own).statistic, rtol=1e-6
        )
    ratio = {"ratio": lambda p: np.exp(p["const"]) * p["x2"]}
    other = {"ratio": lambda p: np.exp(p["const"]) * p["x1"]}
    for method in ("profile", "wald"):
        found = confidence_intervals(result, method=method, of=ratio)["ratio"]
        assert_allclose(
            found, confidence_intervals(small, method=method, of=other)["ratio"], rtol=1e-5
        )


@pytest.mark.parametrize("name", MODELS)
def test_infinite_coefficients_have_one_end(name):
    """Where the GLM with this coefficient as an offset is 1.92 below the limit."""
    result, small = fitted(name, Y, DESIGN), fitted(name, Y[:40], DESIGN[:40][:, [0, 2]])
    intervals = confidence_intervals(result)
    counts = "Poisson" in name
    sign = -1 if counts else 1
    link = {"Probit": links.Probit, "GLM probit": links.Probit, "GLM cloglog": links.CLogLog}
    family = Poisson() if counts else Binomial(link=link.get(name, links.Logit)())

    def profile(value):
        model = sm.GLM(
            1 - Y if counts else Y, DESIGN[:, [0, 2]], family=family, offset=value * GROUP
        )
        return model.fit(tol=1e-13).llf

    end = intervals["x1"][0 if sign > 0 else 1]
    assert intervals["x1"][1 if sign > 0 else 0] == sign * np.inf == intervals.estimate["x1"]
    assert_allclose(2 * (small.llf - profile(end)), stats.chi2.ppf(0.95, 1), rtol=1e-6)
    test = likelihood_ratio_test(result, null={"x1": 0.0})
    assert_allclose(test.statistic, 2 * (small.llf - profile(0.0)), rtol=1e-7)
    right = likelihood_ratio_test(
        result, null={"x1": 0.0}, alternative="greater" if sign > 0 else "less"
    )
    assert_allclose(right.pvalue, test.pvalue / 2, rtol=1e-10)
    with pytest.raises(ValueError, match=r"'x1' is infinite.*profile"):
        confidence_intervals(result, method="wald")
    with pytest.raises(ValueError, match=r"estimate is infinite.*likelihood_ratio_test"):
        wald_test(result, null={"x1": 0.0})
    with pytest.raises(ValueError, match="depends on a coefficient that is infinite"):
        confidence_intervals(result, of={"p": lambda p: 1 / (1 + np.exp(-p["const"] - p["x1"]))})


@pytest.mark.parametrize("name", ["Logit", "Probit", "GLM logit"])
def test_perfect_separation(name):
    """Every row is certain in the limit, so the likelihood tends to one."""
    y = (X > 0.1).astype(float)
    result = fitted(name, y, DESIGN[:, [0, 2]])
    n1 = y.sum()
    null = n1 * np.log(n1 / 52) + (52 - n1) * np.log(1 - n1 / 52)
    assert_allclose(likelihood_ratio_test(result, null={"x1": 0.0}).statistic, -2 * null, rtol=1e-8)
    low, high = confidence_intervals(result, of="x1")["x1"]
    assert 0 < low < np.inf == high
    with pytest.raises(ValueError, match="depends on a coefficient that is infinite"):
        confidence_intervals(result, of={"cut": lambda p: -p["const"] / p["x1"]})


def test_null_that_is_separated_itself():
    """Two empty cells: the null about one of them leaves the other infinite."""
    cells = np.repeat([0, 1, 2], [20, 8, 10])
    design = np.column_stack([np.ones(38), cells == 1, cells == 2]).astype(float)
    y = np.where(cells == 0, np.tile([0.0, 1.0], 19), 1.0)
    result = fitted("Logit", y, design)
    found = likelihood_ratio_test(result, null={"x1": 0.0})
    pooled = 18 * np.log(18 / 28) + 10 * np.log(10 / 28)
    assert_allclose(found.statistic, 2 * (20 * np.log(0.5) - pooled), rtol=1e-8)
    with pytest.raises(ValueError, match="restricted estimate is infinite"):
        score_test(result, null={"x1": 0.0})
    difference = confidence_intervals(result, of={"difference": {"x1": 1, "x2": -1}})
    assert difference["difference"] == (-np.inf, np.inf)
    assert np.isnan(difference.estimate["difference"])
    with pytest.raises(ValueError, match="does not determine the sign"):
        likelihood_ratio_test(result, null=([[0, 1, -1]], [0]), alternative="greater")


def test_score_test_of_a_separated_regression_agrees_with_statsmodels():
    result = fitted("Logit", Y, DESIGN)
    small = sm.GLM(Y, DESIGN[:, [0, 2]], family=Binomial()).fit(tol=1e-12)
    theirs = small.score_test(exog_extra=DESIGN[:, [1]], observed=False, return_object=True)
    assert_allclose(score_test(result, null={"x1": 0.0}).statistic, theirs.statistic, rtol=1e-7)


def test_links_with_heavy_tails_and_robust_covariances_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cauchy = sm.GLM(Y, DESIGN, family=Binomial(link=links.Cauchy())).fit()
        robust = sm.Logit(Y, DESIGN).fit(disp=0, cov_type="HC0")
    with pytest.raises(ValueError, match="For this link"):
        confidence_intervals(cauchy)
    for call in (confidence_intervals, lambda fit: wald_test(fit, null={"const": 0.0})):
        with pytest.raises(ValueError, match=r"cov_type='HC0' does not exist"):
            call(robust)


@pytest.mark.parametrize("seed", range(8))
def test_recession_is_found_whole(seed):
    """Rows are certain if, and only if, some random direction on the right side moves them."""
    rng = np.random.default_rng(seed)
    design = rng.integers(-1, 2, size=(12, 3)).astype(float)
    direction = rng.normal(size=3) if seed % 2 else np.eye(3)[seed // 2 % 3]
    side = np.where(design @ direction > 0, 1, np.where(design @ direction < 0, -1, 0))
    found = find_recession(design, side, np.eye(3))
    assert found is not None
    z = design @ rng.normal(size=(3, 200_000)) * side[:, None]
    allowed = (z >= 0).all(axis=0) & (side != 0).all()
    if allowed.any():
        assert_allclose(found.certain, (z[:, allowed] > 0).any(axis=1))
    assert (design @ found.deepest * side >= -1e-12).all()
    assert found.certain[design @ direction != 0].all()
    signs = infinite_signs(found, design, side, direction)
    assert 1 in signs


def test_negative_binomial_on_the_edge_is_named():
    """Counts less dispersed than Poisson's: alpha = 0, whatever the optimizer says of it."""
    y = np.tile([3.0, 4.0, 5.0], 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sm.NegativeBinomial(y, np.ones(60)).fit(disp=0)
    for call in (
        confidence_intervals,
        lambda fit: wald_test(fit, null={"const": 1.0}),
        lambda fit: likelihood_ratio_test(fit, null={"const": 1.0}),
    ):
        with pytest.raises(ValueError, match=r"'alpha' lies on the edge.*Poisson"):
            call(result)


def test_negative_binomial_with_an_empty_cell():
    rng = np.random.default_rng(5)
    group = np.r_[np.zeros(60), np.ones(10)]
    y = np.where(group == 1, 0, rng.negative_binomial(2, 0.4, size=70)).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = sm.NegativeBinomial(y, np.column_stack([np.ones(70), group])).fit(disp=0)
        small = sm.NegativeBinomial(y[:60], np.ones(60)).fit(disp=0, maxiter=200)
    found, other = confidence_intervals(result), confidence_intervals(small)
    for name in ("const", "alpha"):
        assert_allclose(found[name], other[name], rtol=1e-5)
    assert found["x1"][0] == -np.inf == found.estimate["x1"]
    assert found["x1"][1] < 0
