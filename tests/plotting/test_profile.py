"""`ProfileDisplay`: its curves against closed forms and optimizers, its drawing against them."""

import sys

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy import optimize, special, stats
from sklearn.exceptions import NotFittedError

from skgm import MLEDensity, ProfileDisplay, ScoreMatchingGaussian, confidence_intervals
from skgm.inference.families import Parameter
from skgm.inference.families._extreme_value import Gumbel
from skgm.plotting._profile import _grid

RNG = np.random.default_rng(0)
Z = stats.norm.ppf(0.975)
WAITS = RNG.exponential(2.0, size=(12, 2))
NORMAL = RNG.normal(1.0, 2.0, size=(9, 2))


@pytest.fixture
def ax():
    return Figure().subplots()


def exponential_root(values, x):
    """2 n {log(hat / rate) - 1 + rate / hat}."""
    ratio = values * x.mean()
    return np.sign(1 - ratio) * np.sqrt(2 * len(x) * np.maximum(ratio - 1 - np.log(ratio), 0))


def normal_mean_root(values, x):
    t_squared = (x.mean() - values) ** 2 / x.var()
    return np.sign(x.mean() - values) * np.sqrt(len(x) * np.log1p(t_squared))


def normal_sigma_root(values, x):
    u = x.var() / values**2
    return np.sign(x.std() - values) * np.sqrt(len(x) * np.maximum(u - 1 - np.log(u), 0))


@pytest.mark.parametrize(
    ("family", "name", "X", "expected"),
    [
        ("exponential", "rate", WAITS, exponential_root),
        ("normal", "mu", NORMAL, normal_mean_root),
        ("normal", "sigma", NORMAL, normal_sigma_root),
        ("mvn", "mean", NORMAL, normal_mean_root),
    ],
)
@pytest.mark.parametrize("column", [0, 1])
def test_curves_agree_with_closed_forms(family, name, X, expected, column, ax):
    model = MLEDensity(family).fit(X)
    display = ProfileDisplay.from_estimator(model, name, column, ax=ax)
    estimate = model.params_[name][column]
    assert display.estimate_ == estimate
    assert estimate in display.values_
    assert np.all(np.diff(display.values_) > 0)
    # the root is a difference of log-likelihoods: to 1e-7 beside the estimate
    assert_allclose(display.profile_, expected(display.values_, X[:, column]), atol=1e-6)
    error = model.standard_errors()[name][column]
    assert_allclose(display.wald_, (estimate - display.values_) / error, rtol=1e-10)
    low, high = model.confidence_intervals(method="profile")[name]
    assert display.intervals_["profile"] == (low[column], high[column])
    low, high = model.confidence_intervals(method="wald")[name]
    assert_allclose(display.intervals_["wald"], (low[column], high[column]), rtol=1e-12)


def test_profile_of_a_family_with_a_nuisance_parameter_agrees_with_an_optimizer(ax):
    x = stats.gumbel_r.rvs(3.0, 2.0, size=15, random_state=np.random.default_rng(1))
    model = MLEDensity(Gumbel()).fit(x[:, None])
    display = ProfileDisplay.from_estimator(model, "loc", n_points=9, ax=ax)
    for value, root in zip(display.values_, display.profile_, strict=True):
        best = optimize.minimize_scalar(
            lambda s, v=value: -stats.gumbel_r.logpdf(x, v, s).sum(),
            bounds=(0.1, 50.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        fall = max(2 * (model.loglik_ + best.fun), 0.0)
        # the square: the root itself has no derivative at the estimate
        assert_allclose(root**2, fall, rtol=1e-6, atol=1e-8)


def test_curves_of_right_censored_rows(ax):
    """As of a sample whose size is the number of events: 2 m {log(hat / rate) - 1 + rate / hat}."""
    event = np.arange(12) % 3 > 0
    model = MLEDensity("exponential").fit(WAITS, event=event)
    display = ProfileDisplay.from_estimator(model, "rate", 1, ax=ax)
    ratio = display.values_ * WAITS[:, 1].sum() / event.sum()
    expected = 2 * event.sum() * np.maximum(ratio - 1 - np.log(ratio), 0)
    assert_allclose(display.profile_**2, expected, rtol=1e-9, atol=1e-9)


def test_a_fixed_parameter_stays_fixed(ax):
    model = MLEDensity("normal", fixed={"mu": 1.0}).fit(NORMAL)
    display = ProfileDisplay.from_estimator(model, "sigma", 1, ax=ax)
    n, u = len(NORMAL), np.mean((NORMAL[:, 1] - 1.0) ** 2) / display.values_**2
    assert_allclose(display.profile_**2, n * np.maximum(u - 1 - np.log(u), 0), atol=1e-6)
    with pytest.raises(ValueError, match=r"name must be one of 'sigma' .* got 'mu'"):
        ProfileDisplay.from_estimator(model, "mu", ax=ax)


@pytest.mark.parametrize("name", ["loc", "scale"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_every_curve_crosses_the_quantile_where_its_interval_ends(name, level, ax):
    X = stats.gumbel_r.rvs(3.0, 2.0, size=(8, 2), random_state=np.random.default_rng(2))
    model = MLEDensity(Gumbel()).fit(X)
    display = ProfileDisplay.from_estimator(model, name, 1, level=level, n_points=201, ax=ax)
    quantile = stats.norm.ppf((1 + level) / 2)
    roots = {"profile": display.profile_, "rstar": display.rstar_, "wald": display.wald_}
    assert set(display.intervals_) == set(roots)
    for method, root in roots.items():
        assert np.all(np.diff(root) < 0)
        ends = np.interp([-quantile, quantile], -root, display.values_)
        # linear interpolation between values 1/200 of the range apart
        assert_allclose(display.intervals_[method], ends, rtol=1e-3)


def test_r_star_is_none_for_families_without_it(ax):
    display = ProfileDisplay.from_estimator(
        MLEDensity("bernoulli").fit(np.eye(2)[[0, 1, 1, 0, 1]]), "p", ax=ax
    )
    assert display.rstar_ is None
    assert "rstar" not in display.intervals_


def test_a_boundary_estimate_has_no_wald_curve(ax):
    model = MLEDensity("poisson").fit(np.c_[np.zeros(10), np.arange(10)])
    display = ProfileDisplay.from_estimator(model, "mu", 0, ax=ax)
    assert display.wald_ is None
    assert list(display.intervals_) == ["profile"]
    assert display.values_[0] == display.estimate_ == 0
    assert_allclose(display.profile_, -np.sqrt(20 * display.values_), rtol=1e-10)
    inner = ProfileDisplay.from_estimator(model, "mu", 1, ax=Figure().subplots())
    assert np.isfinite(inner.wald_).all()


def test_values_reach_as_far_to_an_infinite_end_as_to_the_finite_one():
    parameter = Parameter("df", low=0.0)
    ends = {"profile": (2.0, np.inf), "wald": (-1.0, np.nan)}
    values = _grid(parameter, 5.0, ends, 11)
    # the interval is taken as 2 to 8; a quarter of it beyond, or half-way to the end of the space
    assert (values[0], values[-1]) == (1.0, 9.5)
    assert 5.0 in values


@pytest.mark.parametrize(("scale", "power", "n_limits"), [("root", 1, 2), ("deviance", 2, 1)])
def test_what_is_drawn_is_what_is_stored(scale, power, n_limits, ax):
    model = MLEDensity(Gumbel()).fit(pd.DataFrame(NORMAL, columns=["height", "width"]))
    display = ProfileDisplay.from_estimator(model, "loc", "width", scale=scale, ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert ax.get_xlabel() == "loc[width]"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "profile likelihood",
        "r*",
        "Wald",
    ]
    for method, line in display.lines_.items():
        assert_allclose(line.get_xdata(), display.values_)
        assert_allclose(line.get_ydata(), getattr(display, f"{method}_") ** power)
    flat = [line.get_ydata() for line in ax.lines if list(line.get_xdata()) == [0, 1]]
    assert_allclose(np.sort([y[0] for y in flat]), [-Z, Z] if n_limits == 2 else [Z**2])
    marks = [line for line in ax.lines if line.get_marker() == "|"]
    ends = {float(line.get_xdata()[0]): float(line.get_ydata()[0]) for line in marks}
    for low, high in display.intervals_.values():
        assert ends[low] == pytest.approx(Z**power)
        assert ends[high] == pytest.approx(-Z if power == 1 else Z**2)


def test_ends_outside_the_parameter_space_are_not_marked(ax):
    model = MLEDensity("exponential").fit([[1.0], [2.0]])
    display = ProfileDisplay.from_estimator(model, "rate", ax=ax)
    assert display.intervals_["wald"][0] < 0 < display.values_[0]
    marks = [line for line in ax.lines if line.get_marker() == "|"]
    assert len(marks) == 2 * len(display.intervals_) - 1


def test_a_figure_is_made_where_none_is_given_and_plot_can_be_called_again():
    display = ProfileDisplay.from_estimator(MLEDensity("exponential").fit(WAITS), "rate")
    first = display.figure_
    assert display.plot() is display
    assert display.figure_ is not first
    plt.close(first)
    plt.close(display.figure_)


def test_without_matplotlib_the_error_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"ProfileDisplay.plot needs matplotlib.*skgm\[plot\]"):
        ProfileDisplay.from_estimator(MLEDensity("exponential").fit(WAITS), "rate")


@pytest.mark.parametrize(
    ("family", "arguments", "options", "message"),
    [
        ("normal", ("rate",), {}, "name must be one of 'mu', 'sigma' for the normal .* got 'rate'"),
        ("mvn", ("covariance",), {}, "'covariance' of the multivariate_normal family has no"),
        ("normal", ("mu", 2), {}, "column must be one of 'x0', 'x1' or a position from 0 to 1"),
        ("normal", ("mu", -1), {}, "column must be .* got -1"),
        ("normal", ("mu", "age"), {}, "column must be .* got 'age'"),
        ("normal", ("mu",), {"level": 95}, "level must be .* got 95"),
        ("normal", ("mu",), {"scale": "log"}, "scale must be 'root' or 'deviance'; got 'log'"),
        ("normal", ("mu",), {"n_points": 2}, "n_points must be an integer >= 3; got 2"),
    ],
)
def test_wrong_input_is_refused_by_name(family, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ProfileDisplay.from_estimator(MLEDensity(family).fit(NORMAL), *arguments, **options)


def test_other_estimators_are_refused():
    with pytest.raises(TypeError, match="fitted MLEDensity; got ScoreMatchingGaussian"):
        ProfileDisplay.from_estimator(ScoreMatchingGaussian().fit(NORMAL), "location")
    with pytest.raises(NotFittedError):
        ProfileDisplay.from_estimator(MLEDensity(), "mu")


def test_a_statsmodels_result():
    """Its curve crosses the quantile where its profile interval ends."""
    x = np.arange(12.0)
    result = sm.Poisson(np.arange(12) % 5 + 1, sm.add_constant(x)).fit(disp=0)
    display = ProfileDisplay.from_estimator(result, "x1", n_points=9)
    low, high = confidence_intervals(result, of="x1", method="profile")["x1"]
    assert display.intervals_["profile"] == (low, high)
    inside = np.abs(display.profile_) <= special.ndtri(0.975)
    assert_allclose(inside, (display.values_ >= low) & (display.values_ <= high))
    assert display.rstar_ is None
    slopes = np.diff(display.wald_) / np.diff(display.values_)
    assert_allclose(slopes, slopes[0], rtol=1e-9)  # a straight line
