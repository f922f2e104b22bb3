"""What makes a row improbable: the right columns, with the surprise of the definition."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.mixture import GaussianMixture

from skgm import (
    DDPM,
    DensityChain,
    DensityOutlierDetector,
    ExplanationDisplay,
    GaussianMixtureDensity,
    MLEDensity,
)
from skgm.compose._location_model import LocationModel
from tests.compose.densities import FullNormal

MIXING = np.array([[1.0, 0.9, 0.0], [0.0, 0.3, 0.5], [0.0, 0.0, 2.0]])
ROWS = np.array([[0.1, 3.0, 0.0], [0.0, 0.1, 9.0]])


def table(n=400, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3)) @ MIXING


def surprise_of(density, rows):
    """Return -log p of each value given the others of a Gaussian, by its precision matrix."""
    mean, precision = density.means_[0], np.linalg.inv(density.covariances_[0])
    spread = 1 / np.sqrt(np.diag(precision))
    center = rows - (rows - mean) @ precision * spread**2
    return -stats.norm.logpdf(rows, center, spread)


@pytest.mark.parametrize(
    ("density", "error"), [(GaussianMixtureDensity(1), 1e-9), (GaussianMixture(1), 1e-2)]
)
def test_surprise_is_that_of_the_definition(density, error):
    # the second density scores complete rows only: its columns are integrated out
    detector = DensityOutlierDetector(density).fit(table())
    found = detector.explain(ROWS)
    expected = surprise_of(detector.density_, ROWS)
    for row in (0, 1):
        lines = found[found["row"] == row].set_index("column")["surprise"]
        ours = lines.loc[["x0", "x1", "x2"]].to_numpy()
        np.testing.assert_allclose(ours, expected[row], rtol=0, atol=error)
    assert found[found["row"] == 1]["column"].iloc[0] == "x2"
    usual = found.drop_duplicates("column").set_index("column")["usual"]
    typical = np.median(surprise_of(detector.density_, table(4000, 1)), axis=0)
    np.testing.assert_allclose(usual.loc[["x0", "x1", "x2"]], typical, atol=0.25)


def test_whole_numbers_are_summed_out():
    X = np.random.default_rng(0).poisson([3.0, 20.0], size=(300, 2))
    detector = DensityOutlierDetector(MLEDensity("poisson")).fit(X)
    found = detector.explain([[3, 60]])
    rates = X.mean(axis=0)
    lines = found.set_index("column")["surprise"]
    expected = -stats.poisson.logpmf([3, 60], rates)  # independent columns
    np.testing.assert_allclose(lines.loc[["x0", "x1"]], expected, rtol=1e-6)
    assert found["column"].iloc[0] == "x1"
    assert found["pvalue"].iloc[0] == pytest.approx(1 / 201)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame])
def test_mixed_and_incomplete_rows(library):
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b"], 400)
    size = np.where(kind == "a", 10.0, 50.0) + rng.normal(size=400)
    rooms = rng.poisson(4, 400)
    train = {"kind": kind.tolist(), "size": size, "rooms": rooms, "yes": (rooms > 4).tolist()}
    odd = {"kind": ["a", "b"], "size": [50.0, None], "rooms": [4, 4], "yes": [False, True]}
    trees = HistGradientBoostingClassifier(max_iter=15, early_stopping=False)
    chain = DensityChain(trees, n_orders=1, random_state=0)
    detector = DensityOutlierDetector(chain).fit(library(train))
    found = detector.explain(library(odd), n_draws=50)
    first, second = (found[found["row"] == k] for k in (0, 1))
    assert set(first["column"][:2]) == {"kind", "size"}  # they do not go together
    assert set(second["column"]) == {"kind", "rooms", "yes"}
    assert second["column"].iloc[0] in ("rooms", "yes")
    assert first["excess"].is_monotonic_decreasing
    assert np.isfinite(found["excess"]).all()


def test_display():
    names = ["p", "q", "r$"]
    detector = DensityOutlierDetector().fit(pd.DataFrame(table(), columns=names))
    rows = pd.DataFrame(ROWS, columns=names)
    display = ExplanationDisplay.from_estimator(detector, rows, 1, ax=Figure().subplots())
    assert display.columns_[0] == "r$"
    assert display.values_[0] == 9.0
    assert len(display.bars_) == 3
    assert (np.diff(display.excess_) <= 0).all()


def test_refusals():
    detector = DensityOutlierDetector().fit(table())
    with pytest.raises(TypeError, match="needs a fitted DensityOutlierDetector"):
        ExplanationDisplay.from_estimator(GaussianMixture(), ROWS)
    with pytest.raises(ValueError, match="row must be the position"):
        ExplanationDisplay.from_estimator(detector, ROWS, 7, ax=Figure().subplots())
    with pytest.raises(ValueError, match="n_samples"):
        detector.explain(ROWS, n_draws=0)


class CompleteRows(LocationModel):
    """A density of mixed tables that scores no incomplete rows."""

    def score_samples(self, X):
        if X.isna().any(axis=None):
            raise ValueError("X has holes")
        return super().score_samples(X)


def test_columns_of_mixed_tables_are_summed_and_integrated_out():
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], size=150)
    x = rng.normal(size=150) + 3 * (kind == "b")
    mixed = pd.DataFrame({"kind": kind, "x": x, "y": 2 * x + rng.normal(size=150)})
    rows = mixed.iloc[[0, 7]].set_axis([5, 3]).assign(x=[6.0, 0.0])
    known, other = (
        DensityOutlierDetector(density).fit(mixed).explain(rows, n_draws=20)
        for density in (LocationModel(), CompleteRows())
    )
    assert known["column"].tolist() == other["column"].tolist()
    np.testing.assert_allclose(other["surprise"], known["surprise"], atol=1e-2)


def test_holes_of_rows_are_filled_by_a_density_that_scores_complete_rows_alone():
    """p(x_j | rest) is the mean over completions; its error is that of 40 draws."""
    rng = np.random.default_rng(0)
    kind = rng.choice(["a", "b", "c"], size=150)
    x = rng.normal(size=150) + 3 * (kind == "b")
    mixed = pd.DataFrame({"kind": kind, "x": x, "y": 2 * x + rng.normal(size=150)})
    rows = mixed.iloc[:3].assign(x=[np.nan, 9.0, x[2]], kind=["a", None, "b"])
    known, other = (
        DensityOutlierDetector(density).fit(mixed).explain(rows, n_draws=20)
        for density in (LocationModel(), CompleteRows())
    )
    ours, exact = (f.set_index(["row", "column"])["surprise"].sort_index() for f in (other, known))
    assert ours.index.equals(exact.index)
    np.testing.assert_allclose(ours, exact, rtol=0.1, atol=0.4)


class ZeroOrNormal(FullNormal):
    """0 with probability .4, else N(3, 1); and a normal number with that mean."""

    def fit(self, X, y=None):
        self._begin_fit(X)
        return self

    def score_samples(self, X):
        X = self._begin_scoring(X)
        zero = X[:, 0] == 0
        first = np.where(zero, np.log(0.4), np.log(0.6) + stats.norm.logpdf(X[:, 0], 3))
        return first + stats.norm.logpdf(X[:, 1], X[:, 0])

    def _draw(self, n_samples, rng):
        x = np.where(rng.random(n_samples) < 0.4, 0.0, rng.normal(3, size=n_samples))
        return np.column_stack([x, rng.normal(x)])

    def _base_measures(self):
        return ["Lebesgue, and counting at [0.0]", "Lebesgue"]


def test_point_masses_are_added_where_their_column_is_integrated_out():
    rows = np.array([[0.0, 3.0], [4.0, -1.0], [2.9, 3.0]])
    detector = DensityOutlierDetector(ZeroOrNormal()).fit(ZeroOrNormal()._draw(50, np.random))
    found = detector.explain(rows, n_draws=5).set_index(["row", "column"])["surprise"]
    x, y = rows.T
    both = np.log(0.4 * stats.norm.pdf(y) + 0.6 * stats.norm.pdf(y, 3, np.sqrt(2)))
    expected = both - ZeroOrNormal().fit(rows).score_samples(rows)
    np.testing.assert_allclose(found.loc[pd.IndexSlice[:, "x0"]], expected, atol=1e-3)
    np.testing.assert_allclose(
        found.loc[pd.IndexSlice[:, "x1"]], -stats.norm.logpdf(y, x), atol=1e-3
    )


def test_a_diffusion_explains_zeros_and_holes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=150)
    table = pd.DataFrame({"x": x, "gain": np.where(x > 0, 0.0, np.exp(x + rng.normal(size=150)))})
    model = DDPM(max_iter=3, n_steps=4, n_score_steps=2, random_state=0)
    detector = DensityOutlierDetector(model).fit(table)
    odd = pd.DataFrame({"x": [0.1, np.nan], "gain": [60.0, 0.0]})
    found = detector.explain(odd, n_draws=3)
    assert set(found["row"]) == {0, 1}
    assert found["column"].iloc[0] == "gain"
    assert np.isfinite(found["surprise"]).all()
    assert found[found["row"] == 1]["surprise"].item() == pytest.approx(np.log(2), abs=0.5)
