"""One column of a table beside the same column of drawn rows, as bars or histograms."""

from typing import Any

import numpy as np

from skgm.plotting._axes import axes_for, check_column
from skgm.tables._coded import Column, read_tables

__all__ = ["MarginDisplay", "coded_tables", "short", "show_times", "window"]

_MOST_BARS, _N_BINS = 10, 24


class MarginDisplay:
    """The distribution of one column in a table, and in rows drawn from a density.

    Histograms of numbers and dates, shares of categories. The range is that of 98% of the rows;
    what lies beyond stands in the last bins.

    Create it with :meth:`from_estimator` or :meth:`from_samples`.

    Parameters
    ----------
    column : Column
        Name and kind of the column.
    real, drawn : ndarray of shape (n_rows,)
        Its coded values, NaN for missing ones.

    Attributes
    ----------
    column_ : Column
        Name and kind of the column.
    real_, drawn_ : ndarray of shape (n_rows,)
        Its coded values without the missing ones.
    ax_, figure_ : Axes and Figure
        Of matplotlib, set by `plot`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_wine
    >>> from skgm import GaussianMixtureDensity, MarginDisplay
    >>> table = load_wine(as_frame=True).data[["alcohol", "proline"]]
    >>> density = GaussianMixtureDensity(random_state=0).fit(table)
    >>> ax = Figure().subplots()
    >>> display = MarginDisplay.from_estimator(density, table, "proline", random_state=0, ax=ax)
    >>> display.ax_.get_title()
    'proline'
    """

    colors = ("#0072b2", "#d55e00")  # Okabe and Ito's blue and vermilion; drawn rows also dashed

    def __init__(self, *, column: Column, real: np.ndarray, drawn: np.ndarray) -> None:
        self.column_ = column
        self.real_, self.drawn_ = (part[~np.isnan(part)] for part in (real, drawn))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        column: Any = 0,
        *,
        n_samples: int | None = None,
        random_state: Any = None,
        ax: Any = None,
    ) -> "MarginDisplay":
        """Draw rows from a fitted density, and show one column of them beside that of `X`.

        Parameters
        ----------
        estimator : fitted density
            Any estimator with `sample`.
        X : array-like or data frame of shape (n_rows, n_features)
            The table, at least ten rows.
        column : int or str, default=0
            Position or name of the column.
        n_samples : int, default=None
            Rows to draw; None: as many as `X` has.
        random_state : None, int, RandomState or Generator, default=None
            Of the rows drawn.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : MarginDisplay
            With the values as attributes.
        """
        rows = estimator.sample(len(X) if n_samples is None else n_samples, random_state)
        return cls.from_samples(X, rows, column, ax=ax)

    @classmethod
    def from_samples(
        cls, X: Any, drawn: Any, column: Any = 0, *, ax: Any = None
    ) -> "MarginDisplay":
        """Show one column of a table beside that of drawn rows, from whatever model they are.

        Parameters
        ----------
        X, drawn : array-like or data frame of shape (n_rows, n_features)
            The table, and the drawn rows; at least ten of each.
        column : int or str, default=0
            Position or name of the column.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : MarginDisplay
            With the values as attributes.
        """
        columns, real, rows = coded_tables(X, drawn, [column])
        return cls(column=columns[0], real=real[:, 0], drawn=rows[:, 0]).plot(ax)

    def plot(self, ax: Any = None) -> "MarginDisplay":
        """Draw both distributions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : MarginDisplay
            Itself, with `ax_` and `figure_`.
        """
        self.ax_ = axes_for(ax, "MarginDisplay")
        self.figure_ = self.ax_.figure
        if self.column_.is_category:
            self._draw_categories(self.ax_)
        else:
            self._draw_histograms(self.ax_)
        self.ax_.set_title(short(self.column_.name, 40), fontsize=9)
        self.ax_.legend(frameon=False, fontsize=7)
        return self

    def _draw_categories(self, ax: Any) -> None:
        n_values = len(self.column_.values)
        shares = [
            np.bincount(part.astype(np.intp), minlength=n_values) / max(len(part), 1)
            for part in (self.real_, self.drawn_)
        ]
        usual = np.argsort(-np.maximum(*shares), kind="stable")[:_MOST_BARS]
        place = np.arange(len(usual))
        for share, side, color, label, hatch in zip(
            shares, (-0.2, 0.2), self.colors, ("real", "synthetic"), (None, "////")
        ):
            ax.barh(place + side, share[usual], 0.38, color=color, label=label, hatch=hatch)
        ax.set_yticks(place, [short(self.column_.values[code], 18) for code in usual])
        ax.invert_yaxis()
        ax.set_xlabel("share of the rows" + (", most frequent" if n_values > len(usual) else ""))

    def _draw_histograms(self, ax: Any) -> None:
        low, high = window(self.real_, self.drawn_)
        edges, step = np.linspace(low, high, _N_BINS + 1), self.column_.step
        if step and (high - low) / step <= _N_BINS:
            edges = np.arange(low - step / 2, high + step, step)
        styles: tuple[dict[str, Any], ...] = (
            {"alpha": 0.45, "label": "real"},
            {"histtype": "step", "linewidth": 1.4, "ls": "--", "label": "synthetic"},
        )
        for part, color, style in zip((self.real_, self.drawn_), self.colors, styles):
            inside = np.clip(part, edges[0], edges[-1])
            weight = np.full(len(part), 1 / max(len(part), 1))
            ax.hist(inside, edges, weights=weight, color=color, **style)
        ax.set_ylabel("share of the rows")
        show_times(ax.xaxis, self.column_)


def coded_tables(X: Any, drawn: Any, columns: Any) -> tuple[list[Column], np.ndarray, np.ndarray]:
    """Return the named columns of a table and of drawn rows, coded alike."""
    tables = read_tables(X, drawn)
    places = [check_column(column, tables.names) for column in columns]
    chosen = [tables.columns[j] for j in places]
    return chosen, tables.real[:, places], tables.synthetic[:, places]


def short(name: Any, most: int = 22) -> str:
    """Return a name that fits beside an axis."""
    text = str(name).replace("$", r"\$")  # a dollar sign would start a formula
    return text if len(text) <= most else f"{text[: most - 1]}…"


def window(real: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """Return the range to show: that of 98% of the real rows and nearly all synthetic ones.

    Long tails stand in the last bins; synthetic rows widen the range threefold at the most.
    """
    known = real if len(real) else drawn
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, [0.01, 0.99])
    if len(drawn):
        ours = np.quantile(drawn, [0.01, 0.99])
        low, high = max(min(low, ours[0]), 2 * low - high), min(max(high, ours[1]), 2 * high - low)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def show_times(axis: Any, column: Column) -> None:
    """Write dates on the axis of a column that holds them."""
    if column.is_time:
        from matplotlib.ticker import MaxNLocator

        axis.set_major_locator(MaxNLocator(3))
        axis.set_major_formatter(lambda value, _: column.written(value)[:10])
