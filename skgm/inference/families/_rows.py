"""Rows as statistics, for families whose likelihood has no smaller summary."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Rows"]

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

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted mean of per-row values (m, ...) over rows."""
        return np.tensordot(self.weight, values, axes=1) / self.n
