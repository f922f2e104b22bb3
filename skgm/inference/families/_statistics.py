"""Sufficient statistics as mergeable objects: ``from_chunk`` and ``+``."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

__all__ = ["Moments", "Sums", "reduce_chunks"]

# Values per chunk: 256 KiB of float64 stay in the cache between the two passes over a chunk, and
# partial sums of short chunks keep rounding far below that of one long running sum.
_CHUNK_VALUES = 32_768


def reduce_chunks(
    from_chunk: Callable[[np.ndarray, np.ndarray | None], Any],
    X: np.ndarray,
    weight: np.ndarray | None,
) -> Any:
    """Return the sum of ``from_chunk(rows, weights)`` over chunks of rows in float64.

    Parameters
    ----------
    from_chunk : callable
        Takes float64 rows (m, d) and weights (m,) or None; its results add up with ``+``.
    X : ndarray of shape (n, d)
        The table.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.

    Returns
    -------
    total : object
        Of the type that `from_chunk` returns.
    """
    step = max(1, _CHUNK_VALUES // X.shape[1], 4 * X.shape[1])
    parts = (slice(start, start + step) for start in range(0, len(X), step))
    return reduce(
        add,
        (
            from_chunk(
                X[rows].astype(np.float64, copy=False), None if weight is None else weight[rows]
            )
            for rows in parts
        ),
    )


def _weighted_sum(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    if weight is None and values.shape[1] == 1:
        return values.sum(axis=0)  # numpy sums one column pairwise; several columns row by row,
    return (np.ones(len(values)) if weight is None else weight) @ values  # where BLAS is faster


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a + b rounded, and the rounding error, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@dataclass(frozen=True)
class Sums:
    """Number of rows, column sums, and the sums of the log base measure.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    total : ndarray of shape (d,)
        Column sums.
    log_base : ndarray of shape (d,)
        Sums of the part of the log-density that holds no parameter (0 where there is none).
    """

    n: float
    total: np.ndarray
    log_base: np.ndarray

    @classmethod
    def from_chunk(
        cls,
        X: np.ndarray,
        weight: np.ndarray | None = None,
        log_base: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> "Sums":
        """Sum the rows of X, (n, d), with their weights."""
        n = float(len(X) if weight is None else weight.sum())
        with np.errstate(over="ignore"):
            total = _weighted_sum(X, weight)
        base = np.zeros_like(total) if log_base is None else _weighted_sum(log_base(X), weight)
        return cls(n, total, base)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.n + other.n, self.total + other.total, self.log_base + other.log_base)

    @property
    def mean(self) -> np.ndarray:
        """Column means, (d,)."""
        return self.total / self.n


@dataclass(frozen=True)
class Moments:
    """Number of rows, column means, and the scatter about the means.

    Centred in two passes within a chunk and merged by the formula of Chan, Golub and LeVeque. The
    mean is kept as a rounded value plus its rounding error, so that a mean of 1e7 standard
    deviations costs the scatter nothing.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    mean : ndarray of shape (d,)
        Column means, rounded.
    mean_error : ndarray of shape (d,)
        What rounding took from the means.
    scatter : ndarray of shape (d,) or (d, d)
        Sums of squares (and products, for a joint family) of deviations from the means.
    """

    n: float
    mean: np.ndarray
    mean_error: np.ndarray
    scatter: np.ndarray

    @classmethod
    def from_chunk(
        cls, X: np.ndarray, weight: np.ndarray | None = None, *, joint: bool = False
    ) -> "Moments":
        """Summarise the rows of X, (n, d), with their weights; `joint` for (d, d) scatter."""
        n = float(len(X) if weight is None else weight.sum())
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            mean = _weighted_sum(X, weight) / n
            deviation = X - mean
            error = _weighted_sum(deviation, weight) / n
            if joint:
                left = deviation if weight is None else deviation * weight[:, None]
                scatter = left.T @ deviation - n * np.outer(error, error)
            else:
                scatter = _weighted_sum(deviation * deviation, weight) - n * error**2
        return cls(n, *_two_sum(mean, error), scatter)

    def __add__(self, other: "Moments") -> "Moments":
        n = self.n + other.n
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            delta = (other.mean - self.mean) + (other.mean_error - self.mean_error)
            mean = _two_sum(self.mean, self.mean_error + delta * (other.n / n))
            square = np.outer(delta, delta) if self.scatter.ndim == 2 else delta**2
            scatter = self.scatter + other.scatter + square * (self.n * other.n / n)
        return Moments(n, *mean, scatter)

    def deviation(self, mean: Any) -> np.ndarray:
        """Return the sample means minus `mean`, without the rounding of the sample means."""
        return np.asarray((self.mean - mean) + self.mean_error)

    def covariance(self, mean: Any = None) -> np.ndarray:
        """Return scatter / n, about the sample means or about `mean`."""
        if mean is None:
            return self.scatter / self.n
        shift = self.deviation(mean)
        square = np.outer(shift, shift) if self.scatter.ndim == 2 else shift**2
        return self.scatter / self.n + square
