"""`DiffusionDisplay`: positions against the sampler, noise by its moments, score by its density."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skgm import DDPM, DiffusionDisplay, ScoreMatchingGaussian

RNG = np.random.default_rng(0)
X = RNG.multivariate_normal([5.0, -2.0], [[4.0, 1.5], [1.5, 1.0]], size=300)
FRAME = pd.DataFrame(X, columns=["a", "b"])
SHORT = {"max_iter": 5, "hidden_layer_sizes": (8,), "random_state": 0}


@pytest.fixture(scope="module")
def model():
    return DDPM(**SHORT).fit(FRAME)


@pytest.fixture(scope="module")
def kernel():
    """The exact denoiser of 20 rows: on the way they are a mixture of 20 normals."""
    return DDPM("empirical", scaling="standard", sigma_min=0.1).fit(X[:20])


@pytest.fixture(scope="module")
def by_class():
    return DDPM(class_conditional=True, **SHORT).fit(X, np.where(X[:, 0] > 5, "high", "low"))


@pytest.fixture
def ax():
    return Figure().subplots()


def test_reverse_shows_the_trajectory_of_sample(model):
    axes = Figure().subplots(1, 3)
    display = DiffusionDisplay.from_estimator(
        model, n_samples=40, n_steps=10, n_angles=3, random_state=3, ax=axes
    )
    path = model.sample(40, 3, n_steps=10, sampler="ode", return_trajectory=True)
    assert_array_equal(display.positions_, path[[0, 5, 10]])
    assert_allclose(display.angles_[[0, -1]], [np.pi / 2, np.arctan(model.sigma_min)])
    drawn = axes[1].lines[0].get_xydata()
    assert_array_equal(drawn, path[5])
    assert_array_equal(display.ax_, axes)
    assert display.figure_ is axes[0].figure
    assert (axes[0].get_xlabel(), axes[0].get_ylabel()) == ("a", "b")
    assert display.score_.shape == (3, len(display.grid_), 2)


def test_at_pure_noise_the_score_is_that_of_the_gaussian_that_sampling_starts_from(model):
    """Whitened rows start as N(0, I), and so rows in the table's units as a known normal."""
    axes = Figure().subplots(1, 5)
    display = DiffusionDisplay.from_estimator(model, random_state=0, ax=axes)
    forward = model._scaler.forward[0]
    precision = forward.T @ forward
    assert_allclose(display.score_[0], (model.location_[0] - display.grid_) @ precision, rtol=1e-9)
    assert_allclose(np.linalg.inv(precision), np.cov(X.T, bias=True), rtol=0.05)


def test_score_is_the_gradient_of_the_density_on_the_way(kernel, ax):
    """Twenty normals with centers and widths that follow from the angle; central differences."""
    phi, sd = 0.6, X[:20].std(axis=0)
    display = DiffusionDisplay.from_estimator(kernel, X[:20], kind="score", angle=phi, ax=ax)
    center = X[:20].mean(axis=0)
    centers = center + np.cos(phi) * (X[:20] - center)

    def log_density(rows):
        parts = stats.norm.logpdf(rows[:, None, :], centers, np.sin(phi) * sd).sum(axis=2)
        return np.log(np.mean(np.exp(parts), axis=1))

    step = 1e-5
    numeric = [
        (log_density(display.grid_ + step * w) - log_density(display.grid_ - step * w)) / (2 * step)
        for w in np.eye(2)
    ]
    assert_allclose(display.score_[0], np.stack(numeric, axis=1), rtol=1e-5, atol=1e-6)
    assert_allclose(display.positions_[0], X[:20], rtol=1e-12)
    assert len(ax.collections) == 1


def test_score_draws_rows_where_it_gets_none(model, ax):
    display = DiffusionDisplay.from_estimator(
        model, kind="score", n_samples=7, random_state=1, ax=ax
    )
    assert_allclose(display.positions_[0], model.sample(7, 1).to_numpy(), rtol=1e-6)
    assert_allclose(display.angles_, np.arctan(model.sigma_min))


def test_forward_adds_noise_as_the_angle_says(model):
    """At each angle mean and covariance are known; 300 rows, five standard errors."""
    axes = Figure().subplots(1, 4)
    display = DiffusionDisplay.from_estimator(
        model, FRAME, kind="forward", n_angles=4, random_state=2, ax=axes
    )
    assert display.positions_.shape == (4, 300, 2)
    assert_allclose(display.positions_[-1], X, atol=5 * 0.02 * X.std(axis=0).max())
    scale = np.linalg.inv(model._scaler.forward[0])
    for phi, rows in zip(display.angles_, display.positions_, strict=True):
        noise = (rows - model.location_[0]) - np.cos(phi) * (X - model.location_[0])
        unit = noise @ np.linalg.inv(scale).T / np.sin(phi)
        assert_allclose(np.cov(unit.T), np.eye(2), atol=5 * np.sqrt(2 / 300))
    assert display.score_ is None


def test_trajectories_are_lines_from_noise_to_data(model, ax):
    display = DiffusionDisplay.from_estimator(
        model, kind="trajectory", n_samples=6, n_steps=8, columns=("b", "a"), random_state=0, ax=ax
    )
    assert display.positions_.shape == (9, 6, 2)
    path = model.sample(6, 0, n_steps=8, sampler="ode", return_trajectory=True)
    for i in range(6):
        assert_array_equal(ax.lines[i].get_xydata(), path[:, i, ::-1])
    assert ax.get_xlabel() == "b"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["noise", "data"]


def test_one_column_is_shown_against_the_angle_and_as_histograms(ax):
    model = DDPM(**SHORT).fit(X[:, :1])
    display = DiffusionDisplay.from_estimator(model, kind="trajectory", n_samples=4, ax=ax)
    assert_allclose(ax.lines[0].get_xdata(), display.angles_)
    assert ax.get_xlabel() == "angle"
    axes = Figure().subplots(1, 2)
    display = DiffusionDisplay.from_estimator(model, n_angles=2, ax=axes)
    assert display.score_ is None
    assert all(len(panel.patches) for panel in axes)


def test_tables_of_more_columns_show_two_of_them(ax):
    wide = np.hstack([X, X @ [[1.0], [1.0]] + RNG.standard_normal((300, 1))])
    model = DDPM(**SHORT).fit(wide)
    display = DiffusionDisplay.from_estimator(model, kind="trajectory", columns=(2, 0), ax=ax)
    assert display.names_ == ["x2", "x0"]
    with pytest.raises(ValueError, match="table of two columns; this one has 3"):
        DiffusionDisplay.from_estimator(model, kind="score", ax=ax)


def test_classes(by_class, ax):
    one = DiffusionDisplay.from_estimator(
        by_class, y="high", n_angles=1, n_steps=5, random_state=0, ax=ax
    )
    assert one.score_ is not None
    path = by_class.sample(y=["high"] * 200, random_state=0, n_steps=5, return_trajectory=True)
    assert_array_equal(one.positions_[0], path[0])
    every = DiffusionDisplay.from_estimator(by_class, n_angles=1, ax=ax)
    assert every.score_ is None
    for kind in ("forward", "score"):
        with pytest.raises(ValueError, match=r"give its label as y, one of \['high', 'low'\]"):
            DiffusionDisplay.from_estimator(by_class, X, kind=kind, ax=ax)
    with pytest.raises(ValueError, match="'middle', which fit has not seen"):
        DiffusionDisplay.from_estimator(by_class, y="middle", ax=ax)


def test_a_figure_is_made_where_none_is_given_and_plot_can_be_called_again(model):
    display = DiffusionDisplay.from_estimator(model, n_samples=10, n_steps=4, n_angles=3)
    first = display.figure_
    assert len(first.axes) == 3
    assert display.plot() is display
    assert display.figure_ is not first
    single = DiffusionDisplay.from_estimator(model, kind="trajectory", n_samples=3, n_steps=3)
    for figure in (first, display.figure_, single.figure_):
        plt.close(figure)


def test_without_matplotlib_the_error_names_the_cure(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"DiffusionDisplay.plot needs matplotlib"):
        DiffusionDisplay.from_estimator(model, n_samples=3, n_steps=3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"kind": "backward"}, "kind must be one of .* got 'backward'"),
        ({"kind": "forward"}, "give them as X"),
        ({"y": "high"}, "class_conditional=True"),
        ({"columns": ("a", "z")}, "column must be .* got 'z'"),
        ({"columns": ("a", "b", "a")}, "columns must be a pair"),
        ({"columns": "ab"}, "columns must be a pair"),
        ({"n_samples": 0}, "n_samples must be an integer >= 1; got 0"),
        ({"n_steps": 2.5}, "n_steps must be .* got 2.5"),
        ({"n_angles": True}, "n_angles must be .* got True"),
        ({"kind": "score", "angle": 0.0}, r"angle must be above 0 .* got 0\.0"),
        ({"n_angles": 3}, "3 panels to draw; got 1 axes"),
    ],
)
def test_wrong_input_is_refused_by_name(model, ax, options, match):
    with pytest.raises(ValueError, match=match):
        DiffusionDisplay.from_estimator(model, ax=ax, **options)


def test_mixed_tables_are_refused(ax):
    model = DDPM(**SHORT).fit(FRAME.assign(c=pd.Categorical(["u", "v"] * 150)))
    with pytest.raises(ValueError, match=r"no trajectories .*\['c'\]"):
        DiffusionDisplay.from_estimator(model, kind="trajectory", ax=ax)


def test_other_estimators_are_refused(ax):
    with pytest.raises(TypeError, match="fitted DDPM; got ScoreMatchingGaussian"):
        DiffusionDisplay.from_estimator(ScoreMatchingGaussian().fit(X), ax=ax)


def test_a_table_of_constants_does_not_move():
    constant = DDPM(**SHORT).fit(np.full((9, 2), 3.0))
    axes = Figure().subplots(1, 4)
    display = DiffusionDisplay.from_estimator(constant, n_steps=6, n_angles=4, ax=axes)
    assert_allclose(display.positions_, 3.0, atol=0.01)
    assert constant.sample(5, n_steps=6, return_trajectory=True).shape == (7, 5, 2)
