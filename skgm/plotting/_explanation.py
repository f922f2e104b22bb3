"""Which columns make rows improbable, as bars."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm.compose import DensityOutlierDetector
from skgm.plotting._axes import axes_for

__all__ = ["ExplanationDisplay"]


class ExplanationDisplay:
    """Bars of how much less probable each value of a row is, given the others, than is usual.

    Create it with :meth:`from_estimator`.

    Parameters
    ----------
    columns : list
        Labels of the columns, the most surprising first.
    values : list
        The values of the row.
    excess : ndarray of shape (n_columns,)
        Surprise of each value beyond the usual one, in nats.

    Attributes
    ----------
    columns_, values_ : list
        As above.
    excess_ : ndarray of shape (n_columns,)
        What is drawn.
    ax_ : matplotlib Axes
        Where it was drawn last.
    figure_ : matplotlib Figure
        The figure of these axes.
    bars_ : matplotlib BarContainer
        The bars drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import DensityOutlierDetector, ExplanationDisplay
    >>> X = np.random.default_rng(0).normal(size=(300, 3))
    >>> detector = DensityOutlierDetector().fit(X)
    >>> ExplanationDisplay.from_estimator(detector, [[0.1, 7.0, -0.2]]).columns_[0]
    'x1'
    """

    def __init__(self, *, columns: list[Any], values: list[Any], excess: np.ndarray) -> None:
        self.columns_, self.values_, self.excess_ = columns, values, excess

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, row: int = 0, *, most: int = 12, ax: Any = None
    ) -> "ExplanationDisplay":
        """Explain one row of X, and draw it.

        Parameters
        ----------
        estimator : fitted DensityOutlierDetector
            The detector.
        X : array-like or data frame of shape (n_samples, n_features)
            Rows.
        row : int, default=0
            Position of the row to explain.
        most : int, default=12
            Largest number of columns to draw, the most surprising ones.
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : ExplanationDisplay
            With the numbers as attributes.

        Raises
        ------
        TypeError
            An estimator that is no DensityOutlierDetector.
        ValueError
            A row that X does not have.
        ImportError
            Without matplotlib.
        """
        if not isinstance(estimator, DensityOutlierDetector):
            raise TypeError(
                "ExplanationDisplay needs a fitted DensityOutlierDetector; got "
                f"{type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        found = estimator.explain(X)
        lines = found[found["row"] == row].head(most)
        if not len(lines):
            raise ValueError(f"row must be the position of a row of X with values; got {row!r}.")
        return cls(
            columns=lines["column"].tolist(),
            values=lines["value"].tolist(),
            excess=lines["excess"].to_numpy(),
        ).plot(ax)

    def plot(self, ax: Any = None) -> "ExplanationDisplay":
        """Draw the bars.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None: a new figure.

        Returns
        -------
        display : ExplanationDisplay
            Itself, with `ax_`, `figure_` and `bars_`.
        """
        self.ax_ = axes_for(ax, "ExplanationDisplay")
        self.figure_ = self.ax_.figure
        place = np.arange(len(self.columns_))
        finite = self.excess_[np.isfinite(self.excess_)]
        top = 1.1 * max(float(finite.max()), 1.0) if len(finite) else 1.0
        self.bars_ = self.ax_.barh(place, np.minimum(self.excess_, top))  # impossible: to the edge
        labels = [f"{name} = {_short(v)}" for name, v in zip(self.columns_, self.values_)]
        self.ax_.set_yticks(place, [label.replace("$", r"\$") for label in labels])
        self.ax_.invert_yaxis()
        self.ax_.axvline(0, color="0.6", linewidth=0.8)
        self.ax_.set_xlabel("surprise given the other columns, beyond the usual (nats)")
        return self


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
