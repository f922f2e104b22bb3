"""Metropolis-adjusted Langevin chains: draws from smooth densities known up to a factor."""

from collections.abc import Callable

import numpy as np

from skgm._numerics.distributions import Proposal
from skgm._numerics.importance import resample

__all__ = ["langevin", "langevin_draws"]

N_STEPS = 300
ADAPTED = 150  # steps in which the step size is tuned
TARGET = 0.574  # acceptance rate of the optimal step size

CHAIN = 60  # steps of chains that start from a pool of weighted draws

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


def langevin(
    log_kernel: RowFunction,
    gradient: RowFunction,
    proposal: Proposal,
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return n rows: resampled from the proposal, then moved by Metropolis-adjusted Langevin.

    Moves are scaled by the factor of the proposal; the step is tuned in the first half.
    """
    state, d = resample(log_kernel, proposal, n, rng), len(proposal.center)
    factor, log_step = proposal.factor, np.log(0.5 * d ** (-1 / 3))
    height, slope = log_kernel(state), gradient(state) @ factor
    for i in range(CHAIN):
        step = np.exp(log_step)
        move = 0.5 * step * slope + np.sqrt(step) * rng.standard_normal(state.shape)
        moved = state + move @ factor.T
        new_height, new_slope = log_kernel(moved), gradient(moved) @ factor
        back = move + 0.5 * step * new_slope
        there = move - 0.5 * step * slope
        gain = new_height - height
        gain -= ((back**2).sum(axis=1) - (there**2).sum(axis=1)) / (2 * step)
        rate = np.exp(np.minimum(np.nan_to_num(gain, nan=-np.inf), 0.0))
        taken = rng.uniform(size=n) < rate
        state = np.where(taken[:, None], moved, state)
        slope = np.where(taken[:, None], new_slope, slope)
        height = np.where(taken, new_height, height)
        if 2 * i < CHAIN:
            log_step += (rate.mean() - TARGET) / np.sqrt(i + 1)
    return state
