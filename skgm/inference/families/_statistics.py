"""Sums as mergeable statistics (``from_chunk`` and ``+``), and the loop over chunks of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

__all__ = ["Sums", "reduce_chunks"]

# Values per chunk: 1 MiB of float64 stays in the cache for what is computed of a chunk, and partial
# sums keep rounding far below that of one long running sum.
_CHUNK_VALUES = 2**17


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
    if len(X) <= step:
        return from_chunk(X.astype(np.float64, copy=False), weight)
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
