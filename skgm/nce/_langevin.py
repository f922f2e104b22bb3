"""Metropolis-adjusted Langevin chains: draws from smooth densities known up to a factor."""

from collections.abc import Callable

import numpy as np

__all__ = ["langevin_draws"]

N_STEPS = 300
ADAPTED = 150  # steps in which the step size is tuned
TARGET = 0.574  # acceptance rate of the optimal step size

RowFunction = Callable[[np.ndarray], np.ndarray]


def langevin_draws(
    log_density: RowFunction,
    score_function: RowFunction,
    starts: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Move every row of `starts` by a chain of its own, and return where the chains end.

    Proposals x + h C grad / 2 + sqrt(h) L e are preconditioned by the covariance C = L L' of the
    starts; the common step h is tuned to an acceptance rate of 0.574 in the first half.

    Parameters
    ----------
    log_density, score_function : callable
        From (n, d) to (n,), and to the gradient, (n, d).
    starts : ndarray of shape (n, d)
        First states, at least d + 2 rows, or the covariance is taken as the identity.
    rng : numpy.random.Generator

    Returns
    -------
    rows : ndarray of shape (n, d)
    """
    n, d = starts.shape
    spread = np.cov(starts.T).reshape(d, d) if n > d + 1 else np.eye(d)
    factor = np.linalg.cholesky(spread + 1e-9 * np.trace(spread) / d * np.eye(d))
    state, height, slope = starts, log_density(starts), score_function(starts) @ factor
    log_step = np.log(d ** (-1 / 3))
    for i in range(N_STEPS):
        step = np.exp(log_step)
        forward = np.sqrt(step) * rng.standard_normal((n, d))
        move = 0.5 * step * slope + forward  # in whitened coordinates
        proposal = state + move @ factor.T
        new_height, new_slope = log_density(proposal), score_function(proposal) @ factor
        backward = -move - 0.5 * step * new_slope
        gain = new_height - height
        gain -= 0.5 / step * ((backward**2).sum(axis=1) - (forward**2).sum(axis=1))
        rate = np.exp(np.minimum(np.nan_to_num(gain, nan=-np.inf), 0.0))
        accepted = rng.uniform(size=n) < rate
        state = np.where(accepted[:, None], proposal, state)
        height = np.where(accepted, new_height, height)
        slope = np.where(accepted[:, None], new_slope, slope)
        if i < ADAPTED:
            log_step += (rate.mean() - TARGET) / np.sqrt(i + 1)
    return state
