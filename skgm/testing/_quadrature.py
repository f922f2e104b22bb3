"""Nodes that cover a support, for total probability and for probabilities of cells.

A continuous axis is an even grid in u, mapped onto the support by x(u); nodes carry the volume
dx/du * du, which is the trapezoidal rule, exact to rounding for smooth densities that vanish at
both ends of u. Cells are bounded by midpoints between nodes, where that rule is still of second
order. A density with jumps is integrated by scattered points instead: an even grid meets a jump in
all rows of its nodes at once.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

from skgm.base import DensityTags
from skgm.tables._validation import DISCRETE_SUPPORTS

__all__ = ["Axis", "Grid", "cell_pvalue", "grid_for", "make_axis", "make_grid"]

_LOG2_SCATTERED = 14  # scrambled Sobol points


@dataclass(frozen=True)
class Axis:
    """Nodes of one column, the log of the volume of each, and the bounds between them."""

    nodes: np.ndarray
    log_volume: np.ndarray
    bounds: np.ndarray


@dataclass(frozen=True)
class Grid:
    """The product of axes: nodes (m, d), log-volumes (m,), and cell edges per column."""

    nodes: np.ndarray
    log_volume: np.ndarray
    edges: list[np.ndarray]

    def cell_of(self, X: np.ndarray) -> np.ndarray:
        """Return the number of the cell that each row of X falls in."""
        places = [np.searchsorted(edge, column) for edge, column in zip(self.edges, X.T)]
        return np.ravel_multi_index(places, [len(edge) + 1 for edge in self.edges])

    def cell_probabilities(self, log_density: np.ndarray) -> np.ndarray:
        """Return the probability of every cell, from the log-density at the nodes."""
        n_cells = int(np.prod([len(edge) + 1 for edge in self.edges]))
        mass = np.exp(log_density + self.log_volume)
        return np.bincount(self.cell_of(self.nodes), weights=mass, minlength=n_cells)


def _log_logistic(u: np.ndarray) -> np.ndarray:
    return special.log_expit(u) + special.log_expit(-u)


# Per support: x(u) at unit scale, log dx/du, and the range of u.
_MAPS: dict[str, tuple[Any, Any, float, float]] = {
    "real": (np.sinh, lambda u: np.log(np.cosh(u)), -7.0, 7.0),  # out to 548 deviations
    "positive": (np.exp, lambda u: u, -20.0, 5.0),
    "non-negative": (np.exp, lambda u: u, -20.0, 5.0),
    "unit": (special.expit, _log_logistic, -20.0, 20.0),
    "circle": (np.asarray, np.zeros_like, -np.pi * (1 - 1e-12), np.pi),
}


def make_axis(support: str, column: np.ndarray, n_nodes: int) -> Axis:
    """Return an axis that covers the support, with the location and scale of `column`."""
    if support in DISCRETE_SUPPORTS:
        top = 1 if support == "binary" else int(column.max()) + 40
        nodes = np.arange(1.0 if support == "positive-counts" else 0.0, top + 1.0)
        return Axis(nodes, np.zeros(len(nodes)), nodes[:-1] + 0.5)
    forward, log_slope, low, high = _MAPS[support]
    location = column.mean() if support == "real" else 0.0
    scale = 1.0 if support in ("unit", "circle") else column.std()
    u = np.linspace(low, high, n_nodes)
    step = u[1] - u[0]
    log_volume = log_slope(u) + np.log(scale * step)
    if support == "circle":  # densities need not vanish at the ends, which are one point
        log_volume[[0, -1]] -= np.log(2)
    return Axis(
        location + scale * forward(u), log_volume, location + scale * forward(u[:-1] + step / 2)
    )


def make_grid(support: str, X: np.ndarray, n_cells: int = 4, n_nodes: int = 0) -> Grid:
    """Return a grid over all columns of X, with about `n_cells` cells per column."""
    n_nodes = n_nodes or {1: 2001, 2: 161}[X.shape[1]]
    axes = [make_axis(support, column, n_nodes) for column in X.T]
    levels = np.arange(1, n_cells) / n_cells
    edges = []
    for axis, column in zip(axes, X.T):
        wanted = np.quantile(column, levels)
        nearest = np.abs(axis.bounds - wanted[:, None]).argmin(axis=1)
        edges.append(axis.bounds[np.unique(nearest)])
    nodes = np.stack(np.meshgrid(*[a.nodes for a in axes], indexing="ij"), axis=-1)
    volumes = np.stack(np.meshgrid(*[a.log_volume for a in axes], indexing="ij"), axis=-1)
    return Grid(nodes.reshape(-1, X.shape[1]), volumes.sum(axis=-1).ravel(), edges)


def grid_for(tags: DensityTags, X: np.ndarray) -> Grid:
    """Return the grid that suits a density of these tags."""
    if tags.smooth or tags.support in DISCRETE_SUPPORTS or X.shape[1] == 1:
        return make_grid(tags.support, X)
    return _scattered_grid(tags.support, X)


def _scattered_grid(support: str, X: np.ndarray, n_cells: int = 4) -> Grid:
    """Return scrambled Sobol points over all columns of X, for continuous supports."""
    sampler = stats.qmc.Sobol(X.shape[1], seed=np.random.default_rng(0))
    uniforms = sampler.random_base2(_LOG2_SCATTERED)
    forward, log_slope, low, high = _MAPS[support]
    scale = np.ones(X.shape[1]) if support in ("unit", "circle") else X.std(axis=0)
    location = X.mean(axis=0) if support == "real" else 0.0
    u = low + (high - low) * uniforms
    log_volume = (log_slope(u) + np.log(scale * (high - low))).sum(axis=1)
    levels = np.arange(1, n_cells) / n_cells
    edges = [np.unique(np.quantile(column, levels)) for column in X.T]
    return Grid(location + scale * forward(u), log_volume - np.log(len(u)), edges)


def cell_pvalue(grid: Grid, log_density: np.ndarray, draws: np.ndarray) -> float:
    """Return the p-value of Pearson's chi-square test that `draws` follow the log-density.

    Only the shape is compared: probabilities are divided by their sum. The smallest cells are
    pooled until five draws are expected in the pool.
    """
    probability = grid.cell_probabilities(log_density)
    expected = len(draws) * probability / probability.sum()
    observed = np.bincount(grid.cell_of(draws), minlength=len(expected))
    order = np.argsort(expected)
    n_pooled = 1 + int(np.argmax(np.cumsum(expected[order]) >= 5))
    starts = np.append(0, np.arange(n_pooled, len(order)))
    expected = np.add.reduceat(expected[order], starts)
    observed = np.add.reduceat(observed[order], starts)
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, max(len(expected) - 1, 1)))
