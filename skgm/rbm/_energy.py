"""Computes energy, free energy and what follows from them row by row, in float64.

A row's value does not depend on the rows beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from skgm._numerics.blocks import row_blocks
from skgm._parallel import ordered_map

__all__ = [
    "RBMParameters",
    "by_blocks",
    "energy",
    "free_energy",
    "hidden_probabilities",
    "pseudo_log_likelihood",
    "softplus",
    "visible_probabilities",
]

_BLOCK = 2**18  # elements of a temporary array: 2 MB
_BLOCKS_AT_ONCE = 16  # of a worker


@dataclass(frozen=True, eq=False)
class RBMParameters:
    """Weights and intercepts, in scikit-learn's layout.

    Attributes
    ----------
    components : ndarray of shape (k, m)
        Weights; row j belongs to hidden unit j.
    intercept_hidden : ndarray of shape (k,)
        Log-odds of the hidden units where the visible ones are zero.
    intercept_visible : ndarray of shape (m,)
        Log-odds of the visible units where the hidden ones are zero.
    """

    components: np.ndarray
    intercept_hidden: np.ndarray
    intercept_visible: np.ndarray

    @property
    def n_hidden(self) -> int:
        return self.components.shape[0]

    @property
    def n_visible(self) -> int:
        return self.components.shape[1]

    def as_float64(self) -> "RBMParameters":
        """Return the same parameters in float64."""
        return RBMParameters(
            np.asarray(self.components, dtype=np.float64),
            np.asarray(self.intercept_hidden, dtype=np.float64),
            np.asarray(self.intercept_visible, dtype=np.float64),
        )

    def transposed(self) -> "RBMParameters":
        """Return the machine whose hidden layer is the visible one, and the other way round."""
        return RBMParameters(self.components.T, self.intercept_visible, self.intercept_hidden)

    def between(self, base: np.ndarray, beta: float) -> "RBMParameters":
        """Return the machine at inverse temperature beta on the way from a base without weights.

        The base, beta = 0, has independent visible units with log-odds `base`, (m,).
        """
        return RBMParameters(
            beta * self.components,
            beta * self.intercept_hidden,
            (1 - beta) * base + beta * self.intercept_visible,
        )

    def clamped(self, known: np.ndarray, values: np.ndarray) -> "RBMParameters":
        """Return the machine of the other visible units where those of `known` have `values`.

        `known` is boolean, (m,); `values` holds the known units, (known.sum(),).
        """
        return RBMParameters(
            self.components[:, ~known],
            self.intercept_hidden + self.components[:, known] @ values,
            self.intercept_visible[~known],
        )


def softplus(x: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(x)); ten times faster than numpy.logaddexp(0, x)."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def energy(v: np.ndarray, h: np.ndarray, parameters: RBMParameters) -> np.ndarray:
    """Return E(v, h) of pairs of rows (eq. rbm-energy).

    Parameters
    ----------
    v : ndarray of shape (n, m)
        Visible units.
    h : ndarray of shape (n, k)
        Hidden units.
    parameters : RBMParameters

    Returns
    -------
    energy : ndarray of shape (n,)
        The joint log-probability is -energy - log Z (eq. rbm-joint).
    """
    v, h, p = _float64(v), _float64(h), parameters.as_float64()
    interaction = ((v @ p.components.T) * h).sum(axis=1)
    return -(v @ p.intercept_visible) - h @ p.intercept_hidden - interaction


def free_energy(v: np.ndarray, parameters: RBMParameters) -> np.ndarray:
    """Return F(v), the energy with the hidden units summed out (eq. rbm-free-energy).

    Parameters
    ----------
    v : ndarray of shape (n, m)
        Visible units.
    parameters : RBMParameters

    Returns
    -------
    free_energy : ndarray of shape (n,)
        The log-probability of v is -F(v) - log Z.
    """
    p = parameters.as_float64()

    def of(rows: np.ndarray) -> np.ndarray:
        rows = _float64(rows)
        activation = rows @ p.components.T + p.intercept_hidden  # (n, k)
        return -(rows @ p.intercept_visible) - softplus(activation).sum(axis=1)

    return by_blocks(of, v, p.n_hidden)


def hidden_probabilities(v: np.ndarray, parameters: RBMParameters) -> np.ndarray:
    """Return p(h_j = 1 | v), (n, k), of rows v, (n, m), in the dtype of v and the parameters."""
    return expit(v @ parameters.components.T + parameters.intercept_hidden)


def visible_probabilities(h: np.ndarray, parameters: RBMParameters) -> np.ndarray:
    """Return p(v_i = 1 | h), (n, m), of rows h, (n, k), in the dtype of h and the parameters."""
    return expit(h @ parameters.components + parameters.intercept_visible)


def pseudo_log_likelihood(v: np.ndarray, parameters: RBMParameters) -> np.ndarray:
    """Return the sum of log p(v_i | all other v), over every i (eq. rbm-pseudolikelihood).

    All units are flipped, one at a time; the cost is n m k.

    Parameters
    ----------
    v : ndarray of shape (n, m)
        Visible units, 0 or 1.
    parameters : RBMParameters

    Returns
    -------
    pseudo_log_likelihood : ndarray of shape (n,)
    """
    p = parameters.as_float64()
    weights = np.ascontiguousarray(p.components.T)  # (m, k)

    def of(rows: np.ndarray) -> np.ndarray:
        rows = _float64(rows)
        activation = rows @ p.components.T + p.intercept_hidden  # (n, k)
        change = 1 - 2 * rows  # (n, m), what a flip adds
        flipped = activation[:, None, :] + change[:, :, None] * weights  # (n, m, k)
        gain = softplus(flipped).sum(axis=2) - softplus(activation).sum(axis=1)[:, None]
        gain += change * p.intercept_visible  # F(v) - F(v with unit i flipped)
        return -softplus(gain).sum(axis=1)

    return by_blocks(of, v, p.n_hidden * p.n_visible)


def _float64(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, dtype=np.float64)


def by_blocks(
    function: Callable[[Any], np.ndarray], rows: Any, width: int, n_jobs: int | None = None
) -> np.ndarray:
    """Return what a function makes of the rows of a table, dense or sparse, block by block.

    The temporaries of the function have `width` values per row. `n_jobs` threads take some blocks
    each.
    """
    size = max(1, _BLOCK // width)
    if rows.shape[0] <= size:
        return function(rows)

    def of(part: slice) -> np.ndarray:
        inner = row_blocks(part.stop - part.start, size)
        own = rows[part]
        return np.concatenate([function(own[block]) for block in inner])

    parts = list(row_blocks(rows.shape[0], size * _BLOCKS_AT_ONCE))
    found = ordered_map(of, parts, n_jobs=n_jobs, threads=True)
    first = next(found)
    result = np.empty((rows.shape[0], *first.shape[1:]), dtype=first.dtype)
    result[parts[0]] = first
    for part, values in zip(parts[1:], found):
        result[part] = values
    return result
