"""Draws from smooth densities by Metropolis-adjusted Langevin chains."""

from collections.abc import Callable

import numpy as np

__all__ = ["langevin"]

N_STEPS = 300
TARGET = 0.574  # acceptance rate of the optimal step size

HeightAndSlope = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def langevin(
    height_and_slope: HeightAndSlope,
    starts: np.ndarray,
    rng: np.random.Generator,
    *,
    factor: np.ndarray | None = None,
    n_steps: int = N_STEPS,
) -> np.ndarray:
    """Move every row of `starts` by a chain of its own, and return where the chains end.

    Proposals x + h C grad / 2 + sqrt(h) L e are preconditioned by C = L L'; the common step h is
    tuned to an acceptance rate of 0.574 in the first half.

    Parameters
    ----------
    height_and_slope : callable
        From rows (n, d) to the log-density up to a constant, (n,), and its gradient, (n, d).
    starts : ndarray of shape (n, d)
        First states.
    rng : numpy.random.Generator
    factor : ndarray of shape (d, d), default=None
        L; by default that of the covariance of the starts, if these are at least d + 2 rows.
    n_steps : int
        Length of the chains.

    Returns
    -------
    rows : ndarray of shape (n, d)

    Raises
    ------
    ValueError
        Starts that are not finite.
    """
    n, d = starts.shape
    factor = _factor(starts) if factor is None else factor
    height, slope = _whitened(height_and_slope, starts, factor)
    state, log_step = starts, np.log(d ** (-1 / 3))
    for i in range(n_steps):
        step = np.exp(log_step)
        noise = np.sqrt(step) * rng.standard_normal((n, d))
        move = 0.5 * step * slope + noise  # in whitened coordinates
        moved = state + move @ factor.T
        new_height, new_slope = _whitened(height_and_slope, moved, factor)
        back = move + 0.5 * step * new_slope
        # log p(y) q(x | y) / (p(x) q(y | x)), with q normal around x + h grad / 2
        gain = new_height - height
        gain -= ((back**2).sum(axis=1) - (noise**2).sum(axis=1)) / (2 * step)
        rate = np.exp(np.minimum(np.nan_to_num(gain, nan=-np.inf), 0.0))
        taken = rng.uniform(size=n) < rate
        state = np.where(taken[:, None], moved, state)
        height = np.where(taken, new_height, height)
        slope = np.where(taken[:, None], new_slope, slope)
        if 2 * i < n_steps:
            log_step += (rate.mean() - TARGET) / np.sqrt(i + 1)
    return state


def _whitened(
    height_and_slope: HeightAndSlope, rows: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    height, slope = height_and_slope(rows)
    return height, slope @ factor


def _factor(starts: np.ndarray) -> np.ndarray:
    """Return the Cholesky factor of the covariance, of unit scale where columns do not vary."""
    n, d = starts.shape
    if not np.isfinite(starts).all():
        raise ValueError(
            "The Langevin chains start at rows that are not finite: the density has no finite "
            "integral, or leaves the range of float64. Use sampler='resampling'."
        )
    if n < d + 2:
        return np.eye(d)
    largest = np.maximum(np.abs(starts).max(axis=0), np.finfo(np.float64).tiny)  # of 1e200, say
    scale = (starts / largest).std(axis=0, ddof=1) * largest
    varies = scale > 0
    scale = np.where(varies, scale, 1.0)
    correlation = np.cov((starts / scale).T).reshape(d, d)
    return scale[:, None] * np.linalg.cholesky(correlation + np.diag(np.where(varies, 1e-9, 1.0)))
