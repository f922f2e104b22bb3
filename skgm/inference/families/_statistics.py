"""Sums as mergeable statistics (``from_chunk`` and ``+``), and the loop over chunks of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

__all__ = [
    "Rows",
    "Sums",
    "check_no_underflow",
    "check_not_constant",
    "choose",
    "plain_fields",
    "reduce_chunks",
]

# Values per chunk: 1 MiB of float64 stays in the cache for what is computed of a chunk, and partial
# sums keep rounding far below that of one long running sum.
_CHUNK_VALUES = 2**17
_EPS = np.finfo(np.float64).eps
_FEWER_DIGITS = 1e-290  # numbers below 1e-308 have fewer digits, and so have sums with such terms


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
    with np.errstate(over="ignore"):  # sums that overflow are refused with the statistics
        return (np.ones(len(values)) if weight is None else weight) @ values  # by BLAS: faster


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


def check_no_underflow(square: np.ndarray, names: list[str]) -> None:
    """Raise for columns with squares, (d,), so small that they have lost digits."""
    small = [names[j] for j in np.flatnonzero(square < _FEWER_DIGITS)]
    if small:
        raise ValueError(
            f"The squares of columns {', '.join(small)} underflow; rescale the columns."
        )


def plain_fields(statistics: Any) -> dict[str, Any]:
    """Return the fields of statistics by name, without what they have computed of them."""
    return {name: vars(statistics)[name] for name in statistics.__dataclass_fields__}


def choose(null: Any, free: np.ndarray) -> np.ndarray:
    """Return what `null` holds fixed, and `free` where it is NaN."""
    return np.where(np.isnan(null), free, null)


def check_not_constant(
    family: str, spread: np.ndarray, n: float, names: list[str], why: str
) -> None:
    """Raise for columns whose spread, relative to their values, is rounding."""
    constant = [names[j] for j in np.flatnonzero(~(spread > 4 * _EPS))]
    if constant:
        raise ValueError(
            f"The {family} family has no estimate for constant columns ({', '.join(constant)}; "
            f"n_samples = {n:g}): {why}. Drop them or collect more rows."
        )


# Rows as statistics, for families whose likelihood has no smaller summary.

_ONES = np.ones(2**17)  # weights of most tables: fresh memory takes longer than a pass over rows
_ONES.flags.writeable = False


def _ones(n: int) -> np.ndarray:
    return _ONES[:n] if n <= len(_ONES) else np.ones(n)


@dataclass(frozen=True)
class Rows:
    """The rows themselves and their weights; merged by putting them one after the other.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    X : ndarray of shape (m, d)
        The rows.
    weight : ndarray of shape (m,)
        Their weights.
    """

    n: float
    X: np.ndarray
    weight: np.ndarray

    @classmethod
    def from_chunk(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "Rows":
        """Keep the rows of X, (m, d), with their weights."""
        X = np.array(X, dtype=np.float64)  # a copy: what the caller does to its table is its own
        return cls.of(X, weight)

    @classmethod
    def of(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "Rows":
        """Keep the float64 array X itself, which nobody else writes to."""
        if weight is None:
            return cls(float(len(X)), X, _ones(len(X)))
        weight = np.array(weight, dtype=np.float64)
        return cls(float(weight.sum()), X, weight)

    def __add__(self, other: "Rows") -> "Rows":
        X, weight = np.concatenate([self.X, other.X]), np.append(self.weight, other.weight)
        return Rows(self.n + other.n, X, weight)

    @property
    def total(self) -> np.ndarray:
        """Column sums, (d,)."""
        return self.weight @ self.X

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted mean of per-row values (m, ...) over rows."""
        return np.tensordot(self.weight, values, axes=1) / self.n
