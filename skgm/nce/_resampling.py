"""Draws from a density known as noise times a ratio: importance resampling and rejection."""

from collections.abc import Callable

import numpy as np

from skgm.nce._noise import Noise

__all__ = ["importance_resampling", "rejection_sampling", "systematic_picks"]

POOL_FACTOR = 20  # effective noise rows per draw
MIN_POOL = 2_000
MAX_POOL = 100_000
CHUNK = 10_000

LogRatio = Callable[[np.ndarray], np.ndarray]


def importance_resampling(
    log_ratio: LogRatio, noise: Noise, n: int, ess: float, rng: np.random.Generator
) -> np.ndarray:
    """Return n rows of a pool of noise, picked in proportion to their weights.

    The pool holds twenty effective rows per draw, up to 100,000 rows, or twenty rows per draw
    where these are more. Picks are systematic: a row is repeated only if its weight is above 1/n.
    """
    wanted = max(MIN_POOL, POOL_FACTOR * n) / max(ess, 1e-6)
    size = int(min(wanted, max(MAX_POOL, POOL_FACTOR * n)))
    pool, log_weights = [], []
    for start in range(0, size, CHUNK):
        rows = noise.sample(min(CHUNK, size - start), rng)
        pool.append(rows)
        log_weights.append(log_ratio(rows))
    every = np.concatenate(log_weights)
    picks = systematic_picks(np.exp(every - every.max()), n, rng)
    return np.concatenate(pool)[rng.permutation(picks)]


def systematic_picks(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n indices; index i comes up floor or ceil of n w_i / sum(w) times, in order."""
    order = rng.permutation(len(weights))
    edges = np.cumsum(weights[order])
    places = (np.arange(n) + rng.uniform()) / n * edges[-1]
    return order[np.minimum(np.searchsorted(edges, places, side="right"), len(weights) - 1)]


def rejection_sampling(
    log_ratio: LogRatio, noise: Noise, n: int, log_bound: float, rng: np.random.Generator
) -> np.ndarray:
    """Return n independent rows: noise, accepted with probability exp(log_ratio - log_bound).

    Exact if the bound holds. Where a draw exceeds it, the bound is raised and sampling starts
    again.

    Raises
    ------
    ValueError
        Fewer than one row in 10,000 is accepted.
    """
    kept: list[np.ndarray] = []
    n_kept = n_tried = 0
    while n_kept < n:
        rows = noise.sample(CHUNK, rng)
        values = log_ratio(rows)
        if values.max() > log_bound:
            log_bound = float(values.max())
            kept, n_kept = [], 0
        accepted = rows[np.log(rng.uniform(size=len(rows))) < values - log_bound]
        kept.append(accepted)
        n_kept, n_tried = n_kept + len(accepted), n_tried + len(rows)
        if n_tried >= 1e6 and n_kept < 1e-4 * n_tried:
            raise ValueError(
                f"Rejection sampling accepted {n_kept} of {n_tried} noise rows: the noise is too "
                "far from the data. Use sampling='sir', or noise nearer to the data."
            )
    return np.concatenate(kept)[:n]
