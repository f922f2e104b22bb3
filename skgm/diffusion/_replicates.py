"""Independent estimates of every row's bound: what they say of the mean over rows."""

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from skgm._random import as_generator

__all__ = ["N_REPLICATES", "as_seed", "jackknifed", "standard_error_of_mean"]

N_REPLICATES = 4
_SEEDS = 2**63


def as_seed(random_state: Any) -> int:
    """Return the seed of the noise of rows: a whole number as it is, or one drawn."""
    rng = as_generator(random_state)
    if isinstance(random_state, numbers.Integral):
        return int(random_state) % _SEEDS
    return int(rng.integers(_SEEDS))


def jackknifed(parts: np.ndarray, marginal: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return pseudo-values of the marginals, (n_replicates, n), from bounds (n_replicates, n, k).

    The logarithm of a sum over classes is convex: the mean of the marginals of noisy bounds is too
    high, and their marginal after averaging is too high by a quarter of that. The mean of the
    pseudo-values is not, to first order, and their spread is that of independent estimates.
    """
    m, lost = len(parts), np.isneginf(parts[0])  # too far away: the same in every replicate
    finite = np.where(lost, 0.0, parts)
    total = finite.sum(axis=0)

    def of(mean: np.ndarray) -> np.ndarray:
        return marginal(np.where(lost, -np.inf, mean))

    whole = of(total / m)
    with np.errstate(invalid="ignore"):  # of rows that every class has lost
        pseudo = [m * whole - (m - 1) * of((total - part) / (m - 1)) for part in finite]
    return np.where(np.isneginf(whole), -np.inf, np.stack(pseudo))


def standard_error_of_mean(bounds: np.ndarray, rows: np.ndarray) -> float:
    """Return the standard error of the mean of independent bounds, (n_replicates, n).

    Rows have noise of their own, except that equal rows share it: the variances over replicates
    of the sums over equal rows add up. Far more degrees of freedom than the spread of n_replicates
    means has.
    """
    if not np.isfinite(bounds).all():  # some row has density zero, whatever the noise
        return 0.0
    m, n = bounds.shape
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    sums = np.array([np.bincount(which.ravel(), part, len(first)) for part in bounds])
    return float(np.sqrt(sums.var(axis=0, ddof=1).sum() / m) / n)
