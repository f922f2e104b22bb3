"""Statistics of the user's own, with derivatives of theirs or by differences."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm.score_matching._exp_family.statistics import Statistics

__all__ = [
    "OwnStatistics",
    "count_statistics",
]

# Steps that balance the error of a difference against rounding, relative to the scale of a column.
FIRST, SECOND = np.finfo(np.float64).eps ** (1 / 3), np.finfo(np.float64).eps ** (1 / 4)
ROOM = 0.01  # of the distance to a bound, at most


@dataclass(frozen=True)
class OwnStatistics(Statistics):
    """Callables of rows in the units of the table: shift zero and scale one.

    Attributes
    ----------
    functions : dict
        "statistics", (n, d) to (n, m); or None: "gradient" and "second_derivatives", to
        (n, d, m), "base", to (n,), and "base_gradient", to (n, d).
    m : int
        Number of statistics.
    spread : ndarray of shape (d,)
        Standard deviations, the unit of the steps of differences.
    lower, upper : ndarray of shape (d,)
        Bounds that differences must not cross.
    """

    functions: dict[str, Callable[[np.ndarray], Any] | None] | None = None
    m: int = 0
    spread: np.ndarray | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """theta0, theta1, ..."""
        return [f"theta{k}" for k in range(self.m)]

    def depends(self, j: int) -> np.ndarray:
        """Return all statistics."""
        return np.arange(self.m)

    def _call(self, name: str, Z: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        function = (self.functions or {})[name]
        assert function is not None
        found = np.asarray(function(Z), dtype=np.float64)
        if found.shape != shape:
            raise ValueError(f"{name} must return an array of shape {shape}; got {found.shape}.")
        return found

    def _has(self, name: str) -> bool:
        return (self.functions or {}).get(name) is not None

    def values(self, Z: np.ndarray) -> np.ndarray:
        """Return the statistics."""
        return self._call("statistics", Z, (len(Z), self.m))

    def base(self, Z: np.ndarray) -> np.ndarray:
        """Return the base measure's logarithm."""
        return self._call("base", Z, (len(Z),)) if self._has("base") else np.zeros(len(Z))

    def _step(self, Z: np.ndarray, j: int, relative: float) -> np.ndarray:
        assert self.spread is not None
        assert self.lower is not None
        assert self.upper is not None
        room = ROOM * np.minimum(Z[:, j] - self.lower[j], self.upper[j] - Z[:, j])
        step = np.minimum(relative * self.spread[j], room)
        moved = Z[:, j] + np.maximum(step, np.spacing(np.abs(Z[:, j])) * 8)
        return moved - Z[:, j]

    def _difference(self, function: Callable[[np.ndarray], np.ndarray], Z: np.ndarray, j: int):
        """Return the central difference of a function of rows along column j."""
        step = self._step(Z, j, FIRST)
        up, down = Z.copy(), Z.copy()
        up[:, j] += step
        down[:, j] -= step
        rise = function(up) - function(down)
        return rise / (2 * step).reshape(-1, *[1] * (rise.ndim - 1))

    def _first(self, Z: np.ndarray, j: int) -> np.ndarray:
        if self._has("gradient"):
            return self._call("gradient", Z, (len(Z), self.d, self.m))[:, j]
        return self._difference(self.values, Z, j)

    def slopes(self, Z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return derivatives given by the user, differences of the gradient, or second ones."""
        first = self._first(Z, j)
        if self._has("second_derivatives"):
            return first, self._call("second_derivatives", Z, (len(Z), self.d, self.m))[:, j]
        if self._has("gradient"):
            return first, self._difference(lambda rows: self._first(rows, j), Z, j)
        step = self._step(Z, j, SECOND)
        up, down = Z.copy(), Z.copy()
        up[:, j] += step
        down[:, j] -= step
        bend = self.values(up) - 2 * self.values(Z) + self.values(down)
        return first, bend / step[:, None] ** 2

    def base_slope(self, Z: np.ndarray, j: int) -> np.ndarray:
        """Return the derivative of the base measure's logarithm."""
        if self._has("base_gradient"):
            return self._call("base_gradient", Z, (len(Z), self.d))[:, j]
        return self._difference(self.base, Z, j) if self._has("base") else np.zeros(len(Z))


def count_statistics(function: Callable[[np.ndarray], Any], Z: np.ndarray) -> int:
    """Return how many statistics a callable has, from some rows."""
    found = np.asarray(function(Z), dtype=np.float64)
    if found.ndim != 2 or len(found) != len(Z) or not found.shape[1]:
        raise ValueError(
            f"statistics must return an array of shape (n_samples, n_statistics); got "
            f"{found.shape} for {len(Z)} rows."
        )
    return found.shape[1]
