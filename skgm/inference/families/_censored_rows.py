"""Rows and which of their entries are right-censored, as statistics."""

from dataclasses import dataclass

import numpy as np

__all__ = ["CensoredRows"]


@dataclass(frozen=True)
class CensoredRows:
    """The rows, their weights and their events; merged by putting them one after the other.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    X : ndarray of shape (m, d)
        The rows: the time of the event, or the time at which it had not happened yet.
    weight : ndarray of shape (m,)
        Their weights.
    event : ndarray of shape (m, d)
        1 where the event was observed at X, 0 where it is only known to come after X.
    """

    n: float
    X: np.ndarray
    weight: np.ndarray
    event: np.ndarray

    @classmethod
    def from_chunk(
        cls, X: np.ndarray, event: np.ndarray, weight: np.ndarray | None = None
    ) -> "CensoredRows":
        """Keep the rows of X, (m, d), with their events (m, d) and weights."""
        X, event = np.array(X, dtype=np.float64), np.array(event, dtype=np.float64)
        weight = np.ones(len(X)) if weight is None else np.array(weight, dtype=np.float64)
        return cls(float(weight.sum()), X, weight, event)

    def __add__(self, other: "CensoredRows") -> "CensoredRows":
        X, event = np.concatenate([self.X, other.X]), np.concatenate([self.event, other.event])
        weight = np.append(self.weight, other.weight)
        return CensoredRows(self.n + other.n, X, weight, event)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted mean of per-row values (m, ...) over rows."""
        return np.tensordot(self.weight, values, axes=1) / self.n
