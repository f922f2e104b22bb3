"""Rows on the way between noise and data, drawn: points, lines, arrows."""

from typing import Any

import numpy as np

from skgm.plotting._axes import axes_for

__all__ = ["draw_field", "draw_lines", "draw_rows", "field_grid", "panels_for"]

_ARROWS = 17  # along an axis
_MARGIN = 0.05


def field_grid(positions: np.ndarray) -> np.ndarray:
    """Return a square of points, (n_points, 2), around positions (..., 2)."""
    flat = positions.reshape(-1, 2)
    low, high = flat.min(axis=0), flat.max(axis=0)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    axes = np.linspace(low, high, _ARROWS).T
    return np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)


def panels_for(ax: Any, n: int, display: str) -> np.ndarray:
    """Return n axes: those given, or a row of them in a new figure of pyplot."""
    if ax is not None:
        panels = np.array(ax, dtype=object).ravel()
        if len(panels) != n:
            raise ValueError(f"{display} has {n} angles to draw; got {len(panels)} axes in ax.")
        return panels
    figure = axes_for(None, display).figure
    figure.clear()
    figure.set_size_inches(2.6 * n, 2.8)
    figure.set_layout_engine("constrained")
    return figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)[0]


def draw_rows(ax: Any, rows: np.ndarray, names: list[str]) -> None:
    """Draw rows (n, 2) as points; of one column, as a histogram."""
    ax.set_xlabel(names[0])
    if len(names) == 1:
        ax.hist(rows[:, 0], bins="auto", density=True)
        return
    ax.plot(*rows.T, ".", markersize=3)
    ax.set_ylabel(names[1])


def draw_lines(ax: Any, path: np.ndarray, angles: np.ndarray, names: list[str]) -> None:
    """Draw the way of every row, (n_angles, n, 1 or 2), and where it ends."""
    if len(names) == 1:
        across, up, labels = np.broadcast_to(angles[:, None], path.shape[:2]), path[..., 0], names
        ax.invert_xaxis()
        labels = ["angle", names[0]]
    else:
        across, up, labels = path[..., 0], path[..., 1], names
    ax.plot(across, up, color="0.6", linewidth=0.5)
    ax.plot(across[0], up[0], ".", markersize=3, color="C1", label="noise")
    ax.plot(across[-1], up[-1], ".", markersize=3, color="C0", label="data")
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.legend()


def draw_field(ax: Any, grid: Any, score: np.ndarray) -> None:
    """Draw the score at the points of a grid, with compressed lengths."""
    length = np.linalg.norm(score, axis=1, keepdims=True)
    arrows = score / (length + np.median(length) + np.finfo(float).tiny)
    ax.quiver(*grid.T, *arrows.T, color="0.6", width=0.005, angles="xy")
