"""Two columns of a table against each other, beside the same columns of drawn rows."""

from typing import Any

import numpy as np

from skgm.plotting._axes import check_pair, panels_for
from skgm.plotting._margin import MarginDisplay, coded_tables, short, show_times, window
from skgm.tables._coded import Column

__all__ = ["PairDisplay"]

_MOST_POINTS = 250


class PairDisplay:
    """Two columns against each other: rows of a table on the left, drawn rows on the right.

    Points of two columns of numbers or dates. If one column holds categories: the shares of the
    second column within each value, or sixth, of the first.

    Create it with :meth:`from_estimator` or :meth:`from_samples`.

    Parameters
    ----------
    columns : pair of Column
        Names and kinds of the columns.
    real, drawn : ndarray of shape (n_rows, 2)
        Their coded values, NaN for missing ones.

    Attributes
    ----------
    columns_ : pair of Column
        Names and kinds of the columns.
    real_, drawn_ : ndarray of shape (n_rows, 2)
        Their coded values.
    ax_ : ndarray of 2 Axes
        Of matplotlib, set by `plot`.
    figure_ : Figure
        Of these axes.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_wine
    >>> from skgm import GaussianMixtureDensity, PairDisplay
    >>> table = load_wine(as_frame=True).data[["alcohol", "proline"]]
    >>> density = GaussianMixtureDensity(random_state=0).fit(table)
    >>> axes = Figure().subplots(1, 2, sharex=True, sharey=True)
    >>> display = PairDisplay.from_estimator(density, table, random_state=0, ax=axes)
    >>> display.ax_[0].get_xlabel(), display.ax_[0].get_ylabel()
    ('alcohol', 'proline')
    """

    def __init__(self, *, columns: tuple[Column, Column], real: np.ndarray, drawn: np.ndarray):
        self.columns_, self.real_, self.drawn_ = columns, real, drawn

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        columns: Any = (0, 1),
        *,
        n_samples: int | None = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> "PairDisplay":
        """Draw rows from a fitted density, and show two columns of them beside those of `X`.

        Parameters
        ----------
        estimator : fitted density
            Any estimator with `sample`.
        X : array-like or data frame of shape (n_rows, n_features)
            The table, at least ten rows.
        columns : pair of int or str, default=(0, 1)
            Positions or names of the columns.
        n_samples : int, default=None
            Rows to draw; None: as many as `X` has.
        random_state : None, int, RandomState or Generator, default=None
            Of the rows drawn.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : PairDisplay
            With the values as attributes.
        """
        rows = estimator.sample(len(X) if n_samples is None else n_samples, random_state)
        return cls.from_samples(X, rows, columns, ax=ax)

    @classmethod
    def from_samples(
        cls, X: Any, drawn: Any, columns: Any = (0, 1), *, ax: Any = None
    ) -> "PairDisplay":
        """Show two columns of a table beside those of drawn rows, from whatever model they are.

        Parameters
        ----------
        X, drawn : array-like or data frame of shape (n_rows, n_features)
            The table, and the drawn rows; at least ten of each.
        columns : pair of int or str, default=(0, 1)
            Positions or names of the columns.
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : PairDisplay
            With the values as attributes.
        """
        chosen, real, rows = coded_tables(X, drawn, check_pair(columns))
        return cls(columns=(chosen[0], chosen[1]), real=real, drawn=rows).plot(ax)

    def plot(self, ax: Any = None) -> "PairDisplay":
        """Draw both tables.

        Parameters
        ----------
        ax : sequence of 2 matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : PairDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.ax_ = panels_for(ax, 2, "PairDisplay")
        self.figure_ = self.ax_[0].figure
        numbers = not any(column.is_category for column in self.columns_)
        sides = [rows[~np.isnan(rows).any(axis=1)] for rows in (self.real_, self.drawn_)]
        for panel, name in zip(self.ax_, ("real", "synthetic")):
            panel.set_title(name, fontsize=8)
            panel.set_xlabel(short(self.columns_[0].name))
            panel.tick_params(axis="x", labelrotation=0 if numbers else 60)
        self.ax_[0].set_ylabel(short(self.columns_[1].name))
        if numbers:
            self._draw_points(sides)
        else:
            self._draw_cells(sides)
        return self

    def _draw_points(self, sides: list[np.ndarray]) -> None:
        for panel, rows, color in zip(self.ax_, sides, MarginDisplay.colors):
            some = rows[:: max(1, len(rows) // _MOST_POINTS)]
            panel.plot(*some.T, ".", markersize=3, alpha=0.6, color=color)
        for k, column in enumerate(self.columns_):
            parts = (table[:, k] for table in (self.real_, self.drawn_))
            low, high = window(*(part[~np.isnan(part)] for part in parts))
            ends = low - 0.05 * (high - low), high + 0.05 * (high - low)
            for panel in self.ax_:
                (panel.set_ylim if k else panel.set_xlim)(*ends)
                show_times(panel.yaxis if k else panel.xaxis, column)

    def _draw_cells(self, sides: list[np.ndarray]) -> None:
        """Draw the share of each cell within a value of the first column."""
        shares, labels = [], [self._cells(sides[0], k)[1] for k in (0, 1)]
        for rows in sides:
            codes = [self._cells(rows, k)[0] for k in (0, 1)]
            counts, kept = np.zeros((len(labels[1]), len(labels[0]))), np.minimum(*codes) >= 0
            np.add.at(counts, (codes[1][kept], codes[0][kept]), 1.0)
            shares.append(counts / np.maximum(counts.sum(axis=0), 1.0))
        for panel, share in zip(self.ax_, shares):
            panel.pcolormesh(share, cmap="cividis", vmin=0, vmax=max(map(np.max, shares)))
            panel.set_xticks(np.arange(len(labels[0])) + 0.5, labels[0], fontsize=6)
            panel.set_yticks(np.arange(len(labels[1])) + 0.5, labels[1], fontsize=6)

    def _cells(self, rows: np.ndarray, k: int) -> tuple[np.ndarray, list[str]]:
        """Return the cell of each row in one column, -1 for none, and the labels of the cells."""
        column, known = self.columns_[k], self.real_[~np.isnan(self.real_[:, k]), k]
        if column.is_category:
            count = np.bincount(known.astype(np.intp), minlength=len(column.values))
            usual = np.argsort(-count, kind="stable")[:8]
            place = np.full(len(column.values), -1)
            place[usual] = np.arange(len(usual))
            return place[rows[:, k].astype(np.intp)], [short(column.values[c], 12) for c in usual]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, 7))) if len(known) else np.zeros(1)
        code = np.searchsorted(edges, rows[:, k], side="right") - 1
        code = np.clip(code, 0, max(len(edges) - 2, 0))
        if len(edges) < 2:
            return code, [column.written(edges[0])]
        ends = edges[:-1]
        words = [column.written(e)[:10] if column.is_time else f"{e:.3g}" for e in ends]
        return code, [f"≥ {word}" for word in words]
