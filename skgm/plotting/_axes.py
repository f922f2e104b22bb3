"""Where to draw, which column, and what every display asks of an estimator."""

import numbers
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm.inference import MLEDensity

__all__ = ["axes_for", "check_column", "check_mle", "check_pair", "panels_for"]


def axes_for(ax: Any, display: str) -> Any:
    """Return `ax`, or the axes of a new figure of pyplot."""
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt  # only drawing needs it, and it is an extra
    except ImportError as error:
        raise ImportError(
            f"{display}.plot needs matplotlib, which is not installed: pip install 'skgm[plot]'."
        ) from error
    return plt.subplots()[1]


def panels_for(ax: Any, n: int, display: str) -> np.ndarray:
    """Return n axes: those given, or a row of them in a new figure of pyplot."""
    if ax is not None:
        panels = np.array(ax, dtype=object).ravel()
        if len(panels) != n:
            raise ValueError(f"{display} has {n} panels to draw; got {len(panels)} axes in ax.")
        return panels
    figure = axes_for(None, display).figure
    figure.clear()
    figure.set_size_inches(2.6 * n, 2.8)
    figure.set_layout_engine("constrained")
    return figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)[0]


def check_pair(columns: Any) -> list[Any]:
    """Return a pair of columns as a list; a ValueError for anything else."""
    pair = [] if isinstance(columns, (str, numbers.Integral)) else list(columns)
    if len(pair) != 2:
        raise ValueError(f"columns must be a pair of columns, by name or number; got {columns!r}.")
    return pair


def check_mle(estimator: Any, display: str) -> None:
    """Refuse what is no fitted MLEDensity."""
    if not isinstance(estimator, MLEDensity):
        raise TypeError(f"{display} needs a fitted MLEDensity; got {type(estimator).__name__}.")
    check_is_fitted(estimator)


def check_column(column: Any, names: list[str]) -> int:
    """Return the position of a column that is given by position or by name."""
    if isinstance(column, str) and column in names:
        return names.index(column)
    whole = isinstance(column, numbers.Integral) and not isinstance(column, bool)
    if whole and 0 <= column < len(names):
        return int(column)
    raise ValueError(
        f"column must be one of {', '.join(map(repr, names))} or a position from 0 to "
        f"{len(names) - 1}; got {column!r}."
    )
