"""The graph of a Gaussian: which columns depend on each other given all others."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm.plotting._axes import axes_for
from skgm.plotting._margin import MarginDisplay, short
from skgm.tables._validation import column_names

__all__ = ["GraphDisplay"]

_MOST_NAMES = 40


class GraphDisplay:
    """Columns on a circle, and a line between two that are dependent given all others.

    The wider the line, the larger the partial correlation; lines of negative ones are dashed.

    Create it with :meth:`from_estimator` or :meth:`from_precision`.

    Parameters
    ----------
    correlation : ndarray of shape (n_columns, n_columns)
        Partial correlations, 0 where there is no edge.
    names : list of str
        Names of the columns.
    reference : ndarray of shape (n_columns, n_columns), default=None
        Another graph: edges that it has not are drawn in another color.

    Attributes
    ----------
    correlation_, names_, reference_ : ndarray, list of str, ndarray or None
        The parameters.
    ax_, figure_ : Axes and Figure
        Of matplotlib, set by `plot`.
    lines_ : list of artists
        One per edge.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from sklearn.datasets import load_wine
    >>> from skgm import GraphDisplay, ScoreMatchingGaussianCV
    >>> table = load_wine(as_frame=True).data
    >>> table = (table - table.mean()) / table.std()
    >>> density = ScoreMatchingGaussianCV().fit(table)
    >>> display = GraphDisplay.from_estimator(density, ax=Figure().subplots())
    >>> len(display.lines_), "of", 13 * 12 // 2
    (23, 'of', 78)
    """

    def __init__(
        self, *, correlation: np.ndarray, names: list[str], reference: np.ndarray | None = None
    ) -> None:
        self.correlation_, self.names_, self.reference_ = correlation, names, reference

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, reference: Any = None, ax: Any = None
    ) -> "GraphDisplay":
        """Draw the graph of a fitted Gaussian.

        Parameters
        ----------
        estimator : fitted ScoreMatchingGaussian, ScoreMatchingGaussianCV or GraphicalLasso
            Any estimator with `precision_`.
        reference : array-like of shape (n_columns, n_columns), default=None
            Another graph: edges that it has not are drawn in another color.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : GraphDisplay
            With the numbers as attributes.

        Raises
        ------
        TypeError
            An estimator without `precision_`.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "precision_"):
            name = type(estimator).__name__
            raise TypeError(f"GraphDisplay needs an estimator with precision_; {name} has none.")
        names = column_names(estimator, estimator.n_features_in_)
        return cls.from_precision(estimator.precision_, names, reference=reference, ax=ax)

    @classmethod
    def from_precision(
        cls,
        precision: Any,
        names: list[str] | None = None,
        *,
        reference: Any = None,
        ax: Any = None,
    ) -> "GraphDisplay":
        """Draw the graph of a precision matrix: an edge for each entry that is not zero.

        Parameters
        ----------
        precision : array-like of shape (n_columns, n_columns)
            The inverse of a covariance matrix.
        names : list of str, default=None
            Names of the columns; None: x0, x1, ...
        reference : array-like of shape (n_columns, n_columns), default=None
            Another graph: edges that it has not are drawn in another color.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : GraphDisplay
            With the numbers as attributes.
        """
        matrix = np.asarray(precision, dtype=float)
        scale = 1 / np.sqrt(np.diag(matrix))
        correlation = -matrix * scale * scale[:, None]
        np.fill_diagonal(correlation, 0.0)
        labels = [f"x{j}" for j in range(len(matrix))] if names is None else list(names)
        graph = None if reference is None else np.asarray(reference) != 0
        return cls(correlation=correlation, names=labels, reference=graph).plot(ax)

    def plot(self, ax: Any = None) -> "GraphDisplay":
        """Draw the graph.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : GraphDisplay
            Itself, with `ax_`, `figure_` and `lines_`.
        """
        self.ax_ = ax = axes_for(ax, "GraphDisplay")
        self.figure_ = ax.figure
        angle = 2 * np.pi * np.arange(len(self.names_)) / max(len(self.names_), 1)
        places = np.column_stack([np.cos(angle), np.sin(angle)])
        most = np.abs(self.correlation_).max(initial=0.0)
        self.lines_: list[Any] = []
        for i, j in np.argwhere(np.triu(self.correlation_, 1)):
            value = self.correlation_[i, j]
            known = self.reference_ is None or self.reference_[i, j]
            self.lines_ += ax.plot(
                *places[[i, j]].T,
                color=MarginDisplay.colors[0 if known else 1],
                linewidth=0.4 + 2.6 * abs(value) / most,
                linestyle="-" if value > 0 else "--",
                zorder=1,
            )
        ax.plot(*places.T, "o", color="gray", markersize=4)
        if len(self.names_) <= _MOST_NAMES:
            for name, (x, y), turn in zip(self.names_, places, np.degrees(angle)):
                left = 90 < turn < 270
                ax.text(
                    1.06 * x,
                    1.06 * y,
                    short(name),
                    fontsize=7,
                    rotation=turn - 180 * left,
                    rotation_mode="anchor",
                    ha="right" if left else "left",
                    va="center",
                )
        longest = max((len(short(name)) for name in self.names_), default=0)
        reach = 1.1 + (0.025 * longest if len(self.names_) <= _MOST_NAMES else 0.0)
        ax.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
        ax.set_axis_off()
        return self
