"""The scale without ends on which parameters are searched: the line, log or logit of each."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["Line"]

_TINY = np.finfo(np.float64).tiny


class Line:
    """Maps arrays of parameters (..., k) to unconstrained coordinates and back.

    A parameter with a finite lower end moves as log(theta - low), one between two finite ends as
    the logit of its place between them, any other as it is.

    Parameters
    ----------
    parameters : tuple of Parameter
        In the order of the last axis.
    """

    def __init__(self, parameters: Any) -> None:
        self._ends = [(k, p.low, p.high) for k, p in enumerate(parameters) if np.isfinite(p.low)]

    def outward(self, theta: np.ndarray) -> np.ndarray:
        """Return the coordinates of parameters."""
        u = np.array(theta, dtype=np.float64)
        for k, low, high in self._ends:
            away = np.maximum(theta[..., k] - low, _TINY)
            u[..., k] = np.log(away)
            if np.isfinite(high):
                u[..., k] -= np.log(np.maximum(high - theta[..., k], _TINY))
        return u

    def inward(self, u: np.ndarray) -> np.ndarray:
        """Return the parameters at coordinates."""
        theta = np.array(u, dtype=np.float64)
        for k, low, high in self._ends:
            if np.isfinite(high):
                theta[..., k] = low + (high - low) / (1 + np.exp(-u[..., k]))
            else:
                theta[..., k] = low + np.exp(u[..., k])
        return theta

    def slopes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d theta / du and d^2 theta / du^2 at parameters, shaped as `theta`."""
        first, second = np.ones(theta.shape), np.zeros(theta.shape)
        for k, low, high in self._ends:
            away = theta[..., k] - low
            if np.isfinite(high):
                share = away / (high - low)
                first[..., k] = away * (1 - share)
                second[..., k] = first[..., k] * (1 - 2 * share)
            else:
                first[..., k] = second[..., k] = away
        return first, second

    def expand(self, u: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
        """Return parameter, d theta / du and d^2 theta / du^2 for each component of coordinates.

        Components are arrays of one shape, or numbers: quick where there is one column. Numbers
        too large raise an OverflowError.
        """
        places: list[tuple[Any, Any, Any]] = [(x, 1.0, 0.0) for x in u]
        exp: Any = math.exp if isinstance(u[0], float) else np.exp
        for k, low, high in self._ends:
            if high < np.inf:
                share = 1 / (1 + exp(-u[k]))
                slope = (high - low) * share * (1 - share)
                places[k] = (low + (high - low) * share, slope, slope * (1 - 2 * share))
            else:
                away = exp(u[k])
                places[k] = (low + away, away, away)
        return places
