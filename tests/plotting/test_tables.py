"""Displays of tables, filters and graphs: what they draw against the rows and the parameters."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.testing import assert_allclose

from skgm import (
    BernoulliRBMCD,
    ConditionalDisplay,
    FilterDisplay,
    GraphDisplay,
    MarginDisplay,
    PairDisplay,
    ScoreMatchingGaussian,
)

RNG = np.random.default_rng(0)
N = 60
FRAME = pd.DataFrame(
    {
        "size": RNG.normal(size=N),
        "kids": RNG.poisson(2.0, N),
        "kind": RNG.choice(["a", "b", "c"], N),
        "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), "D"),
    }
)
HOLED = FRAME.mask(RNG.random(FRAME.shape) < 0.2)


class Doubling:
    """Draws rows of FRAME; given values decide all others."""

    def sample(self, n_samples=1, random_state=None, *, given=None):
        if given is None:
            return FRAME.sample(n_samples, random_state=0, replace=True)
        ((name, values),) = given.items()
        rows = pd.DataFrame({name: np.repeat(values, n_samples)})
        place = rows[name].map({value: i for i, value in enumerate(sorted(set(values)))})
        rows["half"] = np.where(np.arange(len(rows)) % n_samples < n_samples // 2, 0.0, 2.0)
        rows["half"] += 10 * place
        rows["word"] = np.where(rows["half"] % 10 == 0, "low", "high")
        return rows


def axes(n):
    return Figure().subplots(1, n, squeeze=False).ravel() if n > 1 else Figure().subplots()


@pytest.mark.parametrize("X", [FRAME, HOLED], ids=["complete", "holes"])
@pytest.mark.parametrize("column", list(FRAME))
def test_margins_are_shares_of_the_rows(X, column):
    drawn = FRAME.iloc[::2]
    display = MarginDisplay.from_samples(X, drawn, column, ax=axes(1))
    if column == "kind":
        widths = [bar.get_width() for bar in display.ax_.patches]
        found = dict(zip([t.get_text() for t in display.ax_.get_yticklabels()], widths))
        assert found == pytest.approx(X[column].value_counts(normalize=True).to_dict())
    else:
        bars = [patch for patch in display.ax_.patches if isinstance(patch, Rectangle)]
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1.0)
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize(
    "columns", [("size", "kids"), ("since", 0), ("kind", "kids"), ("size", "kind")]
)
def test_pairs_show_both_tables(columns):
    display = PairDisplay.from_estimator(Doubling(), HOLED, columns, ax=axes(2))
    first, second = (FRAME.columns[c] if isinstance(c, int) else c for c in columns)
    known = HOLED[[first, second]].dropna()
    if "kind" not in columns:
        (points,) = display.ax_[0].lines
        assert len(points.get_xdata()) == len(known)
    elif first == "kind":
        cells = display.ax_[0].collections[0].get_array()
        assert_allclose(cells.sum(axis=0), 1.0)
    else:
        labels = [t.get_text() for t in display.ax_[0].get_yticklabels()]
        assert sorted(labels) == ["a", "b", "c"]
    assert [panel.get_title() for panel in display.ax_] == ["real", "synthetic"]


def test_conditional_quantiles_are_those_of_the_draws():
    table = Doubling().sample(4, given={"x": np.arange(20.0)})
    pair = ("x", "half")
    display = ConditionalDisplay.from_estimator(Doubling(), table, pair, n_samples=40, ax=axes(1))
    assert_allclose(display.conditional_[:, 0], 10.0 * np.arange(len(display.at_)))
    assert_allclose(display.conditional_[:, 4] - display.conditional_[:, 0], 2.0)
    shares = ConditionalDisplay.from_estimator(Doubling(), table, ("x", "word"), ax=axes(1))
    assert_allclose(shares.conditional_, 0.5)
    table["name"] = np.where(table["x"] < 7, "u", "v")
    display = ConditionalDisplay.from_estimator(Doubling(), table, ("name", "half"), ax=axes(1))
    labels = [text.get_text() for text in display.ax_.get_xticklabels()]
    assert labels == ["u", "v"]
    assert_allclose(display.conditional_[:, 0], [0.0, 10.0])
    (rows,) = [line for line in display.ax_.lines if line.get_label() == "rows"]
    assert_allclose(rows.get_xdata() + 0.2, table["name"].map({"u": 0, "v": 1}))


def test_conditional_of_a_gaussian_is_its_regression():
    X = RNG.multivariate_normal([1, 2], [[1, 0.8], [0.8, 2]], size=300)
    density = ScoreMatchingGaussian().fit(X)
    options = {"n_samples": 4000, "n_values": 3, "random_state": 0}
    display = ConditionalDisplay.from_estimator(density, X, **options, ax=axes(1))
    slope, constant = np.polyfit(*X.T, 1)
    error = 1.3 * np.std(X[:, 1]) / np.sqrt(4000)
    assert_allclose(display.conditional_[:, 2], constant + slope * display.at_, atol=4 * error)


def test_filters_are_the_weights():
    machine = BernoulliRBMCD(3, n_iter=2, random_state=0).fit(RNG.integers(0, 2, (30, 6)))
    display = FilterDisplay.from_estimator(machine, shape=(2, 3), ax=axes(3))
    for unit, panel in zip(display.units_, display.ax_):
        assert_allclose(panel.images[0].get_array().ravel(), machine.components_[unit])
    with pytest.raises(ValueError, match=r"height and width of images of 6 columns; got None"):
        FilterDisplay.from_estimator(machine)
    with pytest.raises(TypeError, match="needs a fitted BernoulliRBMCD; got Doubling"):
        FilterDisplay.from_estimator(Doubling())


def test_graphs_show_partial_correlations():
    X = RNG.normal(size=(100, 4)) @ RNG.normal(size=(4, 4))
    density = ScoreMatchingGaussian().fit(X)
    reference = np.eye(4, k=1) + np.eye(4, k=-1)
    display = GraphDisplay.from_estimator(density, reference=reference, ax=axes(1))
    assert len(display.lines_) == 6
    others = np.column_stack([np.ones(100), X[:, 2:]])
    rest = X[:, :2] - others @ np.linalg.lstsq(others, X[:, :2], rcond=None)[0]
    assert display.correlation_[0, 1] == pytest.approx(np.corrcoef(rest.T)[0, 1])
    colors = [to_hex(line.get_color()) for line in display.lines_]
    assert [color == MarginDisplay.colors[0] for color in colors] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    with pytest.raises(TypeError, match="an estimator with precision_; BernoulliRBMCD has none"):
        GraphDisplay.from_estimator(BernoulliRBMCD(2, n_iter=1).fit(np.eye(4)))


@pytest.mark.parametrize("columns", ["size", (0,), ("size", "weight")])
def test_wrong_columns_are_refused(columns):
    with pytest.raises(ValueError, match=r"columns? must be"):
        PairDisplay.from_samples(FRAME, FRAME, columns, ax=axes(2))
