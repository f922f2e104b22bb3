"""One column given another, as the density has it, over the rows of the table."""

from typing import Any

import numpy as np

from skgm.plotting._axes import axes_for, check_column, check_pair
from skgm.plotting._margin import MarginDisplay, coded_tables, short, show_times
from skgm.tables._coded import Column, as_frame

__all__ = ["ConditionalDisplay"]

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_MOST_CATEGORIES, _MOST_LINES, _MOST_POINTS = 10, 6, 1000


class ConditionalDisplay:
    """The distribution of one column for given values of another, by conditional draws.

    Of a column of numbers: its median, and the ranges of the middle 50% and 90% of the draws, over
    the rows of the table. Of a column of categories: the share of each.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    columns : pair of Column
        Name and kind of the column that is given, and of the one that is drawn.
    at : ndarray of shape (n_values,)
        The given values, coded.
    conditional : ndarray of shape (n_values, 5) or (n_values, n_categories)
        Quantiles of the draws at 5, 25, 50, 75 and 95%, or shares of the categories.
    rows : ndarray of shape (n_rows, 2)
        The coded rows of the table, NaN for missing values.

    Attributes
    ----------
    columns_, at_, conditional_, rows_ : pair of Column, and arrays
        The parameters.
    ax_, figure_ : Axes and Figure
        Of matplotlib, set by `plot`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_wine
    >>> from skgm import ConditionalDisplay, GaussianMixtureDensity
    >>> table = load_wine(as_frame=True).data[["alcohol", "proline"]]
    >>> density = GaussianMixtureDensity(random_state=0).fit(table)
    >>> ax = Figure().subplots()
    >>> display = ConditionalDisplay.from_estimator(density, table, random_state=0, ax=ax)
    >>> display.conditional_[[0, -1], 2].round(-2)  # medians of proline at both ends of alcohol
    array([ 500., 1200.])
    """

    def __init__(
        self,
        *,
        columns: tuple[Column, Column],
        at: np.ndarray,
        conditional: np.ndarray,
        rows: np.ndarray,
    ) -> None:
        self.columns_, self.at_, self.conditional_, self.rows_ = columns, at, conditional, rows

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        columns: Any = (0, 1),
        *,
        n_values: int = 10,
        n_samples: int = 200,
        random_state: Any = None,
        ax: Any = None,
    ) -> "ConditionalDisplay":
        """Draw one column given values of another.

        Parameters
        ----------
        estimator : fitted density
            A density whose `sample` takes `given`.
        X : array-like or data frame of shape (n_rows, n_features)
            The table, at least ten rows. Its values say which ones are given.
        columns : pair of int or str, default=(0, 1)
            The column that is given and the one that is drawn, by position or name.
        n_values : int, default=10
            How many numbers to give: values of the table, evenly spread over the middle 96% of its
            range. Of categories, the ten most frequent ones are given.
        n_samples : int, default=200
            Rows to draw for each value.
        random_state : None, int, RandomState or Generator, default=None
            Of the draws.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : ConditionalDisplay
            With the numbers as attributes.
        """
        pair = check_pair(columns)
        (first, _), rows, _ = coded_tables(X, X, pair)
        some = _given_rows(first, rows[:, 0], n_values)
        frame = as_frame(X, "X")
        name = frame.columns[check_column(pair[0], list(frame.columns))]
        given = {name: frame[name].iloc[some].tolist()}
        drawn = estimator.sample(n_samples, random_state, given=given)
        chosen, _, codes = coded_tables(X, drawn, pair)
        draws = codes[:, 1].reshape(len(some), n_samples)
        if chosen[1].is_category:
            codes_of = np.arange(len(chosen[1].values))
            found = (draws[:, :, None] == codes_of).mean(axis=1)
        else:
            found = np.nanquantile(draws, _LEVELS, axis=1).T
        both = (chosen[0], chosen[1])
        return cls(columns=both, at=rows[some, 0], conditional=found, rows=rows).plot(ax)

    def plot(self, ax: Any = None) -> "ConditionalDisplay":
        """Draw the conditional distributions, and the rows.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : ConditionalDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.ax_ = ax = axes_for(ax, "ConditionalDisplay")
        self.figure_ = ax.figure
        first, second = self.columns_
        place = np.arange(len(self.at_)) if first.is_category else self.at_
        if second.is_category:
            self._draw_shares(ax, place)
        else:
            self._draw_ranges(ax, place)
        if first.is_category:
            ax.set_xticks(place, [short(first.values[int(code)], 12) for code in self.at_])
        show_times(ax.xaxis, first)
        ax.set_xlabel(short(first.name))
        ax.legend(frameon=False, fontsize=8)
        return self

    def _draw_ranges(self, ax: Any, place: np.ndarray) -> None:
        first, second = self.columns_
        real, color = MarginDisplay.colors
        x, y = self.rows_[~np.isnan(self.rows_).any(axis=1)].T[:, :_MOST_POINTS]
        low, lower, middle, upper, high = self.conditional_.T
        if first.is_category:
            known = np.isin(x, self.at_)
            order = np.argsort(self.at_)
            x, y = order[np.searchsorted(self.at_[order], x[known])], y[known]
            ax.vlines(place, low, high, color=color, linewidth=1.2)
            ax.vlines(place, lower, upper, color=color, linewidth=4)
            ax.plot(place, middle, "o", color=color, label="median, 50% and 90% of the draws")
        else:
            ax.fill_between(place, low, high, color=color, alpha=0.15, linewidth=0)
            ax.fill_between(place, lower, upper, color=color, alpha=0.3, linewidth=0)
            ax.plot(place, middle, color=color, label="median, 50% and 90% of the draws")
        side = 0.2 if first.is_category else 0.0  # beside the bars
        ax.plot(x - side, y, ".", color=real, markersize=3, alpha=0.4, label="rows", zorder=1)
        show_times(ax.yaxis, second)
        ax.set_ylabel(short(second.name))

    def _draw_shares(self, ax: Any, place: np.ndarray) -> None:
        """Draw the share of each category against the given values, the usual ones by name."""
        usual = np.argsort(-self.conditional_.sum(axis=0), kind="stable")[:_MOST_LINES]
        for code in usual:
            share = self.conditional_[:, code]
            label = short(self.columns_[1].values[code], 18)
            line = "o" if self.columns_[0].is_category else "o-"
            ax.plot(place, share, line, markersize=4, label=label)
        ax.set_ylabel(f"share of {short(self.columns_[1].name)}")


def _given_rows(column: Column, x: np.ndarray, n_values: int) -> np.ndarray:
    """Return rows that hold the values to give: numbers evenly spread, or frequent categories."""
    rows = np.flatnonzero(~np.isnan(x))
    if column.is_category:
        _, first, counts = np.unique(x[rows], return_index=True, return_counts=True)
        return rows[np.sort(first[np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES]])]
    order = rows[np.argsort(x[rows], kind="stable")]
    low, high = np.quantile(x[order], [0.02, 0.98])
    wanted = np.linspace(low, high, n_values)
    places = np.searchsorted(x[order], wanted).clip(max=len(order) - 1)
    _, first = np.unique(x[order[places]], return_index=True)
    return order[places][first]
