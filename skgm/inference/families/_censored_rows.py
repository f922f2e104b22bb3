"""Rows and which of their entries are right-censored, as statistics."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CensoredRows", "check_event"]


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


def check_event(event: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return events as an array of zeros and ones of that shape.

    Parameters
    ----------
    event : array-like of shape (n,) or (n, d)
        True or 1 where the event was observed, False or 0 where the value is a censoring time. One
        per row stands for all of its columns.
    shape : tuple of int
        Shape of the table, (n, d).

    Returns
    -------
    event : ndarray of shape (n, d)
        Floats.

    Raises
    ------
    ValueError
        Another shape, or values other than zero and one.
    """
    try:
        array = np.asarray(event, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "event must hold booleans, or zeros and ones: 1 where the value was observed, 0 where "
            f"it is a censoring time; got {event!r}."
        ) from error
    if array.shape == shape[:1]:
        array = array[:, None]
    if array.shape not in (shape, (shape[0], 1)):
        raise ValueError(
            f"event must have one entry per row, ({shape[0]},), or per value, {shape}; got shape "
            f"{array.shape}."
        )
    wrong = np.argwhere((array != 0) & (array != 1))
    if len(wrong):
        row = int(wrong[0][0])
        raise ValueError(
            "event must hold booleans, or zeros and ones: 1 where the value was observed, 0 where "
            f"it is a censoring time; got {array[tuple(wrong[0])]:g} in row {row}."
        )
    return np.broadcast_to(array, shape).copy()
