"""A cheap likelihood to watch training by: the pseudo-likelihood at fixed units of fixed rows."""

import numpy as np

from skgm.rbm._energy import softplus
from skgm.rbm._parameters import RBMParameters

__all__ = ["PseudoLikelihoodMonitor"]


class PseudoLikelihoodMonitor:
    """An estimate of the mean negative log pseudo-likelihood, comparable between calls.

    The same rows and, in each, the same randomly chosen units are used at every call, so that
    differences between calls are due to the parameters alone (eq. rbm-pseudolikelihood).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        Rows to watch.
    flips_per_row : int
        Units per row; all of them where this is m or more.
    rng : numpy Generator
        Chooses the units.
    """

    def __init__(self, rows: np.ndarray, flips_per_row: int, rng: np.random.Generator) -> None:
        n, m = rows.shape
        self.rows = rows.astype(np.float64)
        every = np.tile(np.arange(m), (n, 1))
        self._units = every if flips_per_row >= m else rng.integers(m, size=(n, flips_per_row))
        self._change = 1 - 2 * np.take_along_axis(self.rows, self._units, axis=1)

    def __call__(self, parameters: RBMParameters) -> float:
        p = parameters.as_float64()
        activation = self.rows @ p.components.T + p.intercept_hidden  # (n, k)
        before = softplus(activation).sum(axis=1)
        total = np.zeros(len(self.rows))
        for units, change in zip(self._units.T, self._change.T):
            flipped = activation + change[:, None] * p.components.T[units]
            gain = softplus(flipped).sum(axis=1) - before + change * p.intercept_visible[units]
            total += softplus(gain)
        m, n_flips = self.rows.shape[1], self._units.shape[1]
        return float(total.mean()) * m / n_flips
