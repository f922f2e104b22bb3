"""The fast way to the ends of likelihood intervals: one Newton iteration for end and nuisances.

At an end the log-likelihood has fallen by r^2 / 2 and its slope along the nuisance parameters is
zero: k equations in k unknowns (Venzon and Moolgavkar, "A method for computing profile-likelihood
based confidence intervals", Applied Statistics 37, 1988). Five or six steps, where a bracketing
search would maximise over the nuisances a dozen times. It may fail far from a quadratic; the
caller then brackets.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from skgm.inference._line import Line

__all__ = ["LikelihoodEnds"]

_MAX_ITERATIONS = 40
# Steps in standard errors of the estimate. Newton squares the error, so that after a step of
# 1e-6 what is left is rounding.
_LAST_STEP, _LONGEST_STEP = 1e-6, 2.0
_NEAR = 0.03  # the error after such a step is about 1e-3: enough to see a correction
_ROOT_TOLERANCE = 1e-10


class LikelihoodEnds:
    """Ends of the likelihood intervals of one parameter, columns at once.

    Parameters
    ----------
    profile : Profile
        The parameter, its family, statistics and estimate.
    """

    def __init__(self, profile: Any) -> None:
        self.profile = profile
        family, statistics, params = profile.family, profile.statistics, profile.params
        self.line = Line(family.parameters)
        theta = family.pack(params)
        self.centre = self.line.outward(theta)
        slope, _ = self.line.slopes(theta)
        information = family.observed_information(statistics, params)
        covariance = np.linalg.inv(information * slope[:, :, None] * slope[:, None, :])
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        self.error = np.sqrt(variance / statistics.n)  # NaN or zero: nothing here will converge
        j = profile.index
        self.direction = covariance[:, :, j] / np.sqrt(variance[:, j : j + 1] * statistics.n)

    def find(self, root: np.ndarray) -> np.ndarray | None:
        """Return the coordinates (d, k) where the signed root equals `root`; None if not found."""
        u = self.centre - root[:, None] * self.direction
        for _ in range(_MAX_ITERATIONS):
            u, size = self._move(u, root)
            if not np.isfinite(size).all():
                return None
            if (size < _LAST_STEP).all():
                return u if self._on_its_side(u, root) else None
        return None

    def find_corrected(
        self, wanted: np.ndarray, correction: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray | None:
        """Return the coordinates where root + correction equals `wanted`; None if not found.

        `correction` takes roots (d,) and coordinates (d, k). It varies slowly along the interval,
        so root and coordinates are sought together: a secant step of the one, a Newton step of
        the other.
        """
        root, u = wanted, self.centre - wanted[:, None] * self.direction
        before: tuple[np.ndarray, np.ndarray] | None = None
        for _ in range(_MAX_ITERATIONS):
            u, size = self._move(u, root)
            if not np.isfinite(size).all():
                return None
            if (size > _NEAR).any():
                continue
            gap = root + correction(root, u) - wanted
            if not np.isfinite(gap).all():
                return None
            if (np.abs(gap) < _ROOT_TOLERANCE).all() and (size < _LAST_STEP).all():
                return u if self._on_its_side(u, wanted) else None
            rate = np.ones_like(gap)
            if before is not None:
                with np.errstate(all="ignore"):
                    rate = (gap - before[1]) / (root - before[0])
                rate = np.where((rate > 0.5) & (rate < 2), rate, 1.0)
            before = root, gap
            root = root - gap / rate
            if (root * wanted <= 0).any():
                return None
            u = self.centre + (u - self.centre) * (root / before[0])[:, None]
        return None

    def _move(self, u: np.ndarray, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return coordinates after one step, and its size in standard errors."""
        target = (self.profile.highest - root**2 / 2) / self.profile.statistics.n
        step = self._step(u, target)
        with np.errstate(all="ignore"):
            size = np.abs(step / self.error).max(axis=1)
            return u + step * np.minimum(1.0, _LONGEST_STEP / (size + 1e-300))[:, None], size

    def _on_its_side(self, u: np.ndarray, root: np.ndarray) -> bool:
        j = self.profile.index
        return bool(((self.centre[:, j] - u[:, j]) * root > 0).all())

    def value(self, u: np.ndarray) -> np.ndarray:
        """Return the parameter at coordinates, (d,)."""
        return self.line.inward(u)[:, self.profile.index]

    def params(self, u: np.ndarray) -> dict[str, np.ndarray]:
        """Return all parameters at coordinates."""
        return self.profile.family.unpack(self.line.inward(u))

    def _step(self, u: np.ndarray, target: np.ndarray) -> np.ndarray:
        family, j = self.profile.family, self.profile.index
        with np.errstate(all="ignore"):
            theta = self.line.inward(u)
            slope, turn = self.line.slopes(theta)
            height, gradient, information = family.expansion(
                self.profile.statistics, family.unpack(theta)
            )
            matrix = -information * slope[:, :, None] * slope[:, None, :]
            k = np.arange(u.shape[1])
            matrix[:, k, k] += gradient * turn
            residual = gradient * slope
            matrix[:, j] = residual
            residual[:, j] = height - target
            return -_solve(matrix, residual)


def _solve(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the solutions (d, k), NaN where singular; by hand for k < 3, where LAPACK is slow."""
    if vector.shape[1] == 1:
        return vector / matrix[:, 0]
    if vector.shape[1] == 2:
        (a, b), (c, d) = matrix[:, 0].T, matrix[:, 1].T
        x, y = vector.T
        return np.stack([d * x - b * y, a * y - c * x], axis=1) / (a * d - b * c)[:, None]
    try:
        return np.linalg.solve(matrix, vector[..., None])[..., 0]
    except np.linalg.LinAlgError:
        return np.full_like(vector, np.nan)
