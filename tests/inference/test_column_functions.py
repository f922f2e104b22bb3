"""One column at a time: fit_family, distribution functions, quantiles, means, named functions."""

from html import escape

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity, confidence_intervals, fit_family
from tests.inference.families.cases import COLUMNWISE
from tests.inference.families.cases_location_scale import LAPLACE

X = np.random.default_rng(0).gamma(2.0, 3.0, 40)
CASES = [case for case in [*COLUMNWISE, LAPLACE] if case[0].name != "von_mises"]


def peer(distribution):
    return getattr(distribution, "law", distribution)


@pytest.mark.parametrize(("family", "params", "laws"), CASES, ids=[c[0].name for c in CASES])
def test_quantiles_and_means_are_scipys(family, params, laws):
    q = np.repeat([[1e-6], [0.01], [0.3], [0.5], [0.75], [0.999]], 2, axis=1)
    expected = np.column_stack([law.ppf(q[:, 0]) for law in laws])
    assert_allclose(family.quantile(q, params), expected, rtol=1e-11, atol=1e-11)
    assert_allclose(family.mean(params), [law.mean() for law in laws], rtol=1e-12)


def test_quantiles_of_angles_invert_their_distribution_function():
    angles = np.random.default_rng(1).vonmises(0.5, 2.0, 30)
    model = fit_family(angles, "von_mises")
    q = np.array([0.001, 0.2, 0.5, 0.999])
    assert_allclose(model.cdf(model.quantile(q)[:, None])[:, 0], q, rtol=1e-11)
    assert model.mean() == model.params_["mu"]


@pytest.mark.parametrize("family", [stats.gengamma, "negative_binomial", "student_t"])
def test_of_a_fit_through_the_estimator(family):
    x = np.floor(X) if family == "negative_binomial" else X
    model = fit_family(x, family)
    values = model.quantile([0.2, 0.5])
    below = model.cdf(values[:, None])[:, 0]
    assert (below > np.array([0.2, 0.5]) - 1e-12).all()
    if family != "negative_binomial":
        assert_allclose(below, [0.2, 0.5], rtol=1e-10)
    assert model.quantile(0.5) == values[1]
    assert np.isfinite(model.mean())


def test_shapes_for_several_columns():
    model = MLEDensity("gamma").fit(np.column_stack([X, X * 2]))
    assert model.quantile([0.1, 0.5, 0.9]).shape == (3, 2)
    assert_allclose(model.quantile(0.5)[1], 2 * model.quantile(0.5)[0], rtol=1e-9)
    assert_allclose(model.mean(), [X.mean(), 2 * X.mean()], rtol=1e-12)
    assert model.cdf(np.ones((4, 2))).shape == (4, 2)


@pytest.mark.parametrize("method", ["auto", "wald"])
def test_named_functions_are_those_written_out(method):
    model = fit_family(X, "weibull")
    wanted = {
        "median": lambda p: p["scale"] * np.log(2) ** (1 / p["shape"]),
        "survival(5)": lambda p: np.exp(-((5 / p["scale"]) ** p["shape"])),
    }
    found = model.confidence_intervals(method=method, of=["median", ("survival", 5)])
    expected = model.confidence_intervals(method=method, of=wanted)
    assert list(found) == list(wanted)
    for name in wanted:
        assert_allclose(found[name], expected[name], rtol=1e-7)
    one = model.confidence_intervals(method=method, of={"low end": ("quantile", 0.1)})
    assert one["low end"][0] < model.quantile(0.1) < one["low end"][1]


def test_the_mean_of_an_exponential_is_the_reciprocal_of_its_rate():
    model = fit_family(X, "exponential")
    low, high = model.confidence_intervals(method="profile")["rate"]
    found = model.confidence_intervals(of="mean")
    assert_allclose(found["mean"], [1 / high, 1 / low], rtol=1e-8)
    assert found.estimate["mean"] == model.mean()


def test_functions_with_a_parameter_known_and_with_censored_rows():
    known = fit_family(X, "gamma", fixed={"shape": 2.0})
    low, high = known.confidence_intervals(method="profile")["scale"]
    assert_allclose(known.confidence_intervals(of="mean")["mean"], (2 * low, 2 * high), rtol=1e-8)
    censored = fit_family(np.minimum(X, 8), "weibull", event=X <= 8)
    low, high = censored.confidence_intervals(of="median")["median"]
    assert low < censored.quantile(0.5) < high


def test_a_series_is_a_column_and_its_name_the_columns():
    frames = [pd.Series(X, name="wait"), pl.Series("wait", X), pd.DataFrame({"wait": X})]
    array = fit_family(X, "gamma")
    for column in frames:
        model = fit_family(column, "gamma")
        assert model.params_ == array.params_
        assert list(model.feature_names_in_) == ["wait"]
        assert list(model.sample(2).columns) == ["wait"]
        assert list(MLEDensity("gamma").fit(column).feature_names_in_) == ["wait"]
        assert_allclose(model.score_samples(column), array.score_samples(X[:, None]), rtol=1e-14)
    assert fit_family(list(X), "gamma").params_ == array.params_
    assert list(fit_family(pd.Series(X)).feature_names_in_) == ["x"]


def test_what_is_refused():
    model = fit_family(X, "gamma")
    with pytest.raises(ValueError, match=r"of must be a function, one of 'mean', 'median'"):
        model.confidence_intervals(of="mode")
    with pytest.raises(ValueError, match=r"of must be a function.* got \('quantile', 2\)"):
        model.confidence_intervals(of=("quantile", 2))
    with pytest.raises(ValueError, match="its quantiles jump"):
        fit_family(np.floor(X), "poisson").confidence_intervals(of="median")
    with pytest.raises(ValueError, match="has no mean; ask for quantile"):
        fit_family(X, "cauchy").mean()
    with pytest.raises(ValueError, match=r"categorical family defines no mean\.$"):
        fit_family(["a", "b", "a"], "categorical").mean()
    with pytest.raises(ValueError, match="q must be a probability in"):
        model.quantile(1.0)
    with pytest.raises(ValueError, match=r"x must be one column, got shape \(20, 2\)"):
        fit_family(X.reshape(20, 2))
    joint = MLEDensity("multivariate_normal").fit(X.reshape(20, 2))
    assert_allclose(joint.mean(), joint.params_["mean"])
    with pytest.raises(ValueError, match="no distribution function of a single column"):
        joint.quantile(0.5)
    with pytest.raises(ValueError, match="its columns depend on each other"):
        joint.confidence_intervals(of="mean")


def test_infinite_means_are_infinite():
    model = fit_family([1.0, 2.0, 50.0, 3000.0], "pareto", fixed={"minimum": 0.5})
    assert model.mean() == np.inf


@pytest.mark.parametrize(
    ("family", "fixed", "words"),
    [
        ("weibull", None, "Weibull distribution with shape and scale"),
        ("gamma", {"shape": 2.0}, "Gamma distribution with shape a and scale s"),
        (stats.invgamma, None, "scipy's invgamma, loc = 0"),
    ],
)
def test_the_summary_says_what_the_parameters_are(family, fixed, words):
    summary = fit_family(X, family, fixed=fixed).summary()
    assert words in str(summary)
    assert escape(words) in summary.as_html()
    name = family if isinstance(family, str) else family.name
    free = list(summary.intervals)
    assert summary.facts["family"] == f"{name}({', '.join(free)})"


@pytest.mark.parametrize(("family", "params", "laws"), CASES, ids=[c[0].name for c in CASES])
def test_hazard_and_survival_are_ratios_of_scipys(family, params, laws):
    draws = family.sample(params, 40, np.random.default_rng(0))
    model = MLEDensity(family).fit(draws)
    at = np.median(draws, axis=0, keepdims=True)
    assert_allclose(model.survival(at), 1 - model.cdf(at))
    f = np.exp(family.log_density(at, model._estimate))
    above = 1 - model.cdf(at) + (f if family.discrete else 0)
    assert_allclose(model.hazard(at), f / above, rtol=1e-10)
    assert_allclose(model.ppf(0.3), model.quantile(0.3))


def test_hazards_by_name_have_intervals_and_all_digits_far_in_the_tail():
    model = fit_family(X, "weibull")
    shape, scale = model.params_["shape"], model.params_["scale"]
    expected = shape / scale * (4.0 / scale) ** (shape - 1)
    assert_allclose(model.hazard([[4.0]])[0, 0], expected, rtol=1e-10)
    found = model.confidence_intervals(of=("hazard", 4.0))
    written = model.confidence_intervals(
        of=lambda p: p["shape"] / p["scale"] * (4.0 / p["scale"]) ** (p["shape"] - 1)
    )
    assert_allclose(found["hazard(4)"], written["of"], rtol=1e-6)
    rate = fit_family(X, "exponential")
    low, high = rate.confidence_intervals(method="profile")["rate"]
    assert_allclose(
        rate.confidence_intervals(of=("hazard", 2.0))["hazard(2)"], (low, high), rtol=1e-6
    )
    # far in the tail too, where 1 - cdf is zero
    assert_allclose(rate.hazard([[900.0 / rate.params_["rate"]]])[0, 0], rate.params_["rate"])
    normal = fit_family(X, "normal")
    z = 12.0
    at = normal.params_["mu"] + z * normal.params_["sigma"]
    expected = np.exp(stats.norm.logpdf(z) - stats.norm.logsf(z)) / normal.params_["sigma"]
    assert_allclose(normal.hazard([[at]])[0, 0], expected, rtol=1e-10)


def test_simultaneous_intervals_are_bonferroni_s_and_goodman_s():
    counts = np.array([12, 20, 8])
    x = np.repeat(np.arange(3.0), counts)[:, None]
    model = MLEDensity("categorical").fit(x)
    found = model.confidence_intervals(method="score", simultaneous=True)
    q = stats.chi2.ppf(1 - 0.05 / 3, 1)  # Goodman 1965
    p, n = counts / 40, 40
    half = np.sqrt(q * (q + 4 * n * p * (1 - p)))
    expected = (q + 2 * n * p + np.outer([-1, 1], half)) / (2 * (n + q))
    assert_allclose([found["p1"], found["p2"]], expected.T[1:], rtol=1e-8)
    assert found.level == 0.95
    assert "simultaneous" in str(found)
    pair = fit_family(X, "gamma").confidence_intervals(of=["mean", "median"], simultaneous=True)
    alone = fit_family(X, "gamma").confidence_intervals(0.975, of="mean")
    assert_allclose(pair["mean"], alone["mean"])
    fit = sm.OLS(X, sm.add_constant(np.arange(40.0))).fit()
    several = confidence_intervals(fit, simultaneous=True)
    assert_allclose(several["x1"], confidence_intervals(fit, 0.975)["x1"])


@pytest.mark.parametrize(
    ("family", "tail"),
    [
        ("gamma", lambda x, p: stats.gamma.sf(x, p["shape"], scale=p["scale"])),
        ("normal", lambda x, p: stats.norm.sf(x, p["mu"], p["sigma"])),
        ("weibull", lambda x, p: stats.weibull_min.sf(x, p["shape"], scale=p["scale"])),
        ("lognormal", lambda x, p: stats.lognorm.sf(x, p["sigma"], scale=np.exp(p["mu"]))),
    ],
)
def test_survival_keeps_its_digits_far_in_the_tail(family, tail):
    model = MLEDensity(family).fit(np.random.default_rng(0).gamma(2.0, 1.0, (50, 1)))
    at = np.array([[5.0], [15.0], [40.0]])
    found, expected = model.survival(at)[:, 0], tail(at[:, 0], model.params_)
    assert (found > 0).all()
    assert_allclose(found, expected, rtol=1e-9)
