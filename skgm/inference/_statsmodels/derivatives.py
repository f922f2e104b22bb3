"""Numerical derivatives of a log-likelihood, in steps of a fraction of a standard error.

A step relative to the parameter fails where the parameter is near zero or far larger than its
standard error. Here the step is the one that lowers the log-likelihood by a fixed small amount, so
the derivatives are the same in any units of the parameters and of the data. Richardson's
extrapolation of two steps removes the error of second order.

In standard errors h, the error left in the Hessian is of order h^4 / n^2, and that of rounding of
order eps n / h^2: they balance where h grows as the root of n.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["NumericalDerivatives"]

_STEP = 5e-3  # times the root of n, in standard errors
_STEP_RANGE = (0.01, 0.1)
_SEARCH = 80
_EPS = np.finfo(np.float64).eps


class NumericalDerivatives:
    """Gradient and Hessian of a function near a point, by differences.

    Parameters
    ----------
    function : callable
        From (k,) to a float.
    origin : ndarray of shape (k,)
        A point near the maximum; the steps are found there.
    n : float
        Number of observations.
    names : list of str
        For messages.
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], float],
        origin: np.ndarray,
        n: float,
        names: list[str],
    ) -> None:
        self.function, self.origin, self.names = function, origin, names
        self.value = function(origin)
        self.target = np.clip(_STEP * np.sqrt(n), *_STEP_RANGE) ** 2 / 2
        self.steps = np.array([self._find_step(j) for j in range(len(origin))])
        for j in range(len(origin)):
            self._check_no_kink(j)

    def gradient(self, params: np.ndarray, function: Callable[..., Any] | None = None) -> Any:
        """Return the derivatives along each parameter, stacked last.

        `function` may be another one, with values of any shape (contributions of the rows).
        """
        function = self.function if function is None else function
        columns = []
        for j, step in enumerate(self.steps):
            shift = np.zeros_like(params)
            shift[j] = step
            wide = (function(params + shift) - function(params - shift)) / (2 * step)
            narrow = (function(params + shift / 2) - function(params - shift / 2)) / step
            columns.append((4 * narrow - wide) / 3)
        return np.stack(columns, axis=-1)

    def hessian(self, params: np.ndarray) -> np.ndarray:
        """Return the second derivatives, (k, k)."""
        k = len(params)
        value = self.function(params)
        hessian = np.empty((k, k))
        for i in range(k):
            for j in range(i + 1):
                wide, narrow = (self._second(params, value, i, j, factor) for factor in (1, 0.5))
                hessian[i, j] = hessian[j, i] = (4 * narrow - wide) / 3
        return hessian

    def _second(self, params: np.ndarray, value: float, i: int, j: int, factor: float) -> float:
        a, b = np.zeros_like(params), np.zeros_like(params)
        a[i], b[j] = factor * self.steps[i], factor * self.steps[j]
        if i == j:
            rise = self.function(params + a) - 2 * value + self.function(params - a)
            return rise / a[i] ** 2
        f = self.function
        same, opposite = (
            f(params + a + b) + f(params - a - b),
            f(params + a - b) + f(params - a + b),
        )
        return (same - opposite) / (4 * a[i] * b[j])

    def _drop(self, j: int, step: float) -> float:
        """Return how far the function falls on average one step to both sides."""
        shift = np.zeros_like(self.origin)
        shift[j] = step
        ends = self.function(self.origin + shift) + self.function(self.origin - shift)
        return self.value - ends / 2

    def _find_step(self, j: int) -> float:
        step, small, large = 1e-3 * (abs(self.origin[j]) or 1.0), 0.0, np.inf
        noise = 64 * _EPS * max(abs(self.value), 1e-8)
        for _ in range(_SEARCH):
            drop = self._drop(j, step)
            if self.target / 2 <= drop <= 2 * self.target:
                return step
            if drop < self.target:
                small = max(small, step)
                factor = min(np.sqrt(self.target / drop), 1e3) if drop > noise else 30.0
            else:  # too far, or out of the parameter space
                large = min(large, step)
                factor = max(np.sqrt(self.target / drop), 1e-3) if np.isfinite(drop) else 1 / 30
            step *= factor
            if not small < step < large:
                step = np.sqrt(small * large) if small > 0 else large / 2
        raise ValueError(
            f"The log-likelihood has no maximum in {self.names[j]!r} that a step of any size "
            "shows: it is flat there, or the estimate lies on the edge of the parameter space. Fix "
            "the parameter, or check the fit."
        )

    def _check_no_kink(self, j: int) -> None:
        """Raise where the second difference does not settle as the step shrinks.

        Where the function has a second derivative it changes by a few per cent at most over
        steps of a tenth of a standard error and less. At a kink, such as that of the
        Laplace likelihood in its location, it grows without bound, or jumps to zero.
        """
        steps = self.steps[j] * np.array([1, 1 / 4, 1 / 16, 1 / 64])
        drops = np.array([self._drop(j, step) for step in steps])
        curvature = drops / steps**2
        noise = 64 * _EPS * max(abs(self.value), 1.0) / (self.target * (steps / steps[0]) ** 2)
        if (np.abs(curvature / curvature[0] - 1) > 0.08 + noise).any():
            ratio = curvature[-1] / curvature[0]
            raise ValueError(
                f"The log-likelihood is not smooth in {self.names[j]!r}: its second difference "
                f"changes by a factor {ratio:.3g} as the step shrinks 64-fold, so standard errors, "
                "score tests and intervals from its curvature do not exist (a Laplace or quantile "
                "likelihood has a kink at every observation). Use a smooth likelihood, or "
                "MLEDensity, which knows the information of the Laplace family."
            )
