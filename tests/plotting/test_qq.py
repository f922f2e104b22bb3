"""`QQDisplay`: residuals against scipy, the band against simulation and enumeration."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy import special, stats

from skgm import MLEDensity, QQDisplay, ScoreMatchingGaussian
from skgm.inference.families._extreme_value import Gumbel
from tests.inference.families.cases import COLUMNWISE, table

SCIPY = stats.gumbel_r(3.0, 2.0)
X = SCIPY.rvs(size=(40, 2), random_state=np.random.default_rng(0))


@pytest.fixture
def ax():
    return Figure().subplots()


def test_residuals_are_normal_quantiles_of_the_fitted_distribution(ax):
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = MLEDensity(Gumbel()).fit(frame)
    display = QQDisplay.from_estimator(model, frame[::-1], "b", ax=ax)
    fitted = stats.gumbel_r(model.params_["loc"][1], model.params_["scale"][1])
    assert_allclose(display.residuals_, stats.norm.ppf(fitted.cdf(np.sort(X[:, 1]))), rtol=1e-9)
    assert_allclose(display.theoretical_, stats.norm.ppf((np.arange(40) + 0.5) / 40), rtol=1e-12)
    assert_allclose(display.points_.get_xdata(), display.theoretical_)
    assert_allclose(display.points_.get_ydata(), display.residuals_)
    assert ax.get_ylabel() == "quantile residual of b"
    assert display.figure_ is ax.figure


def test_residuals_of_a_multivariate_normal_are_those_of_its_margins(ax):
    model = MLEDensity("mvn").fit(X)
    display = QQDisplay.from_estimator(model, X, 1, ax=ax)
    column = np.sort(X[:, 1])
    assert_allclose(display.residuals_, (column - column.mean()) / column.std(), rtol=1e-9)


def test_residuals_with_a_fixed_parameter(ax):
    model = MLEDensity("normal", fixed={"mu": 3.0}).fit(X)
    display = QQDisplay.from_estimator(model, X, ax=ax)
    column = np.sort(X[:, 0]) - 3.0
    assert_allclose(display.residuals_, column / np.sqrt(np.mean(column**2)), rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "distributions"),
    [(family, laws) for family, _, laws in COLUMNWISE if not family.discrete],
    ids=[family.name for family, _, _ in COLUMNWISE if not family.discrete],
)
def test_residuals_of_every_continuous_family_are_standard_normal_where_it_is_right(
    family, distributions, ax
):
    """Rows drawn by scipy; five standard errors of mean and mean square, more than fitting uses."""
    rows = table(distributions, 400, seed=3)
    display = QQDisplay.from_estimator(MLEDensity(family).fit(rows), rows, 1, ax=ax)
    assert abs(np.mean(display.residuals_)) < 5 / np.sqrt(400)
    assert abs(np.mean(display.residuals_**2) - 1) < 5 * np.sqrt(2 / 400)


def test_band_is_that_of_order_statistics_by_enumeration(ax):
    """P(U_(i) <= u) = P(Binomial(n, u) >= i), which shares nothing with the beta distribution."""
    model = MLEDensity(Gumbel()).fit(X)
    display = QQDisplay.from_estimator(model, X, level=0.9, ax=ax)
    i, n = np.arange(1, 41), 40
    for limit, probability in ((display.low_, 0.05), (display.high_, 0.95)):
        assert_allclose(stats.binom.sf(i - 1, n, special.ndtr(limit)), probability, rtol=1e-9)


@pytest.mark.slow
def test_points_of_the_right_family_leave_the_band_as_often_as_it_says():
    """New rows of a family whose parameters are nearly known: 5% of the points, on average.

    Fitted to 100 000 rows; 300 tables of 20 rows. The points of one table move together, so the
    standard error is taken over tables; tolerance 4.5 of them, and 0.2% for the fit.
    """
    rng = np.random.default_rng(1)
    model = MLEDensity(Gumbel()).fit(SCIPY.rvs(size=(100_000, 1), random_state=rng))
    ax = Figure().subplots()
    outside = []
    for _ in range(300):
        rows = SCIPY.rvs(size=(20, 1), random_state=rng)
        outside.append(QQDisplay.from_estimator(model, rows, ax=ax).outside_)
        ax.clear()
    error = np.std(outside) / np.sqrt(300)
    assert abs(np.mean(outside) - 0.05) < 4.5 * error + 0.002
    assert error < 0.01


def test_a_wrong_family_leaves_the_band(ax):
    """Skewed rows: a normal fit bends upwards at both ends."""
    rows = np.random.default_rng(2).exponential(size=(200, 1))
    display = QQDisplay.from_estimator(MLEDensity("mvn").fit(rows), rows, ax=ax)
    assert display.outside_ > 0.3
    assert display.residuals_[0] > display.high_[0]
    assert display.residuals_[-1] > display.high_[-1]


def test_rows_far_outside_have_finite_residuals(ax):
    """Where the probability ends in float64; a normal margin needs no probability."""
    far = [[0.0, -1e6], [0.0, 1e6]]
    gumbel = QQDisplay.from_estimator(MLEDensity(Gumbel()).fit(X), far, 1, ax=ax)
    assert_allclose(gumbel.residuals_, [-37.5, 8.2], atol=0.1)
    normal = QQDisplay.from_estimator(MLEDensity("mvn").fit(X), far, 1, ax=ax)
    assert_allclose(normal.residuals_, np.array([-1e6, 1e6]) / X[:, 1].std(), rtol=1e-4)


def test_a_figure_is_made_where_none_is_given_and_plot_can_be_called_again():
    display = QQDisplay.from_estimator(MLEDensity(Gumbel()).fit(X), X)
    first = display.figure_
    assert display.plot() is display
    assert display.figure_ is not first
    plt.close(first)
    plt.close(display.figure_)


def test_without_matplotlib_the_error_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"QQDisplay.plot needs matplotlib.*skgm\[plot\]"):
        QQDisplay.from_estimator(MLEDensity(Gumbel()).fit(X), X)


def test_wrong_input_is_refused_by_name(ax):
    model = MLEDensity(Gumbel()).fit(X)
    counts = np.round(np.abs(X))
    poisson = MLEDensity("poisson").fit(counts)
    with pytest.raises(ValueError, match=r"continuous family .* poisson family has none"):
        QQDisplay.from_estimator(poisson, counts, ax=ax)
    with pytest.raises(ValueError, match=r"column must be .* got 5"):
        QQDisplay.from_estimator(model, X, 5, ax=ax)
    with pytest.raises(ValueError, match=r"level must be .* got 0"):
        QQDisplay.from_estimator(model, X, level=0, ax=ax)
    with pytest.raises(ValueError, match="NaN in column 'x1'"):
        QQDisplay.from_estimator(model, [[1.0, np.nan]], ax=ax)
    with pytest.raises(TypeError, match="fitted MLEDensity; got ScoreMatchingGaussian"):
        QQDisplay.from_estimator(ScoreMatchingGaussian().fit(X), X, ax=ax)
    censored = MLEDensity("exponential").fit(np.abs(X), event=np.arange(40) % 3 > 0)
    with pytest.raises(ValueError, match="X must be None for a fit to censored rows"):
        QQDisplay.from_estimator(censored, np.abs(X), ax=ax)
    with pytest.raises(ValueError, match="X must be the rows"):
        QQDisplay.from_estimator(model, ax=ax)
    exponential = MLEDensity("exponential").fit(np.abs(X))
    with pytest.raises(ValueError, match="exponential family needs numbers >= 0"):
        QQDisplay.from_estimator(exponential, -np.abs(X), ax=ax)


def test_censored_residuals_are_at_the_steps_of_kaplan_and_meier(ax):
    rng = np.random.default_rng(1)
    x, limit = 2 * rng.weibull(1.5, 60), rng.exponential(4, 60)
    seen, event = np.minimum(x, limit), x <= limit
    model = MLEDensity("weibull").fit(seen[:, None], event=event)
    display = QQDisplay.from_estimator(model, ax=ax)
    curve = stats.ecdf(stats.CensoredData(seen[event], right=seen[~event])).cdf
    steps = np.append(0.0, curve.probabilities)
    rises = np.diff(steps) > 0
    law = stats.weibull_min(model.params_["shape"], scale=model.params_["scale"])
    residuals = stats.norm.ppf(law.cdf(curve.quantiles))[rises]
    middle = stats.norm.ppf((steps[1:] + steps[:-1])[rises] / 2)
    assert_allclose(display.residuals_, residuals, rtol=1e-8)
    assert_allclose(display.theoretical_, middle, atol=1e-6)
    assert display.outside_ < 0.1


def test_interval_censored_residuals_are_at_the_steps_of_turnbull(ax):
    # two disjoint cells and one that holds both: shares of two and of three fifths
    low, high = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0]), np.array([1.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    model = MLEDensity("exponential").fit(low[:, None], upper=high)
    display = QQDisplay.from_estimator(model, ax=ax)
    assert_allclose(display.theoretical_, stats.norm.ppf([0.2, 0.7]), atol=1e-6)
    cdf = stats.expon(scale=1 / model.params_["rate"]).cdf
    assert_allclose(display.residuals_, stats.norm.ppf([cdf(1) / 2, (cdf(1) + cdf(2)) / 2]))


def test_alpha_is_answered_with_level():
    model = MLEDensity("normal").fit(X)
    with pytest.raises(TypeError, match=r"pass level=0\.9"):
        QQDisplay.from_estimator(model, X, alpha=0.1)
