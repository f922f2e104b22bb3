"""Extreme-value families: the location in closed form, the scale by Newton in one dimension."""

import numpy as np

from skgm.inference.families._base import Params
from skgm.inference.families._location_scale import LocationScaleFamily
from skgm.inference.families._rows import Rows

__all__ = ["EULER", "ExtremeValueFamily"]

EULER = np.euler_gamma
_MAX_ITERATIONS = 200
# Newton squares the error of log(1 / scale): a step below this leaves one below rounding.
_LAST = 1e-8
_LONGEST = 3.0


class ExtremeValueFamily(LocationScaleFamily):
    r"""Family of largest (sign = -1) or smallest (sign = 1) extreme values of t(x).

    .. math:: g(z) = y - e^{y}, \quad y = \text{sign} \cdot z

    Notes
    -----
    With kappa = 1 / scale, the score of the scale is zero where kappa D(kappa) = 1; D is the
    mean of y under weights exp(kappa y) less its plain mean (or, with the location held, the mean
    of y (exp(kappa y) - 1)), which rises with kappa. In logarithms that equation is nearly
    straight, and Newton's method meets it from any start.
    """

    sign: float

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return y - exp(y), y = sign * z, and its derivatives in z."""
        y = z if self.sign > 0 else -z
        with np.errstate(over="ignore"):
            e = np.exp(y)
        return y - e, (1 - e if self.sign > 0 else e - 1), -e

    def unit_information(self, params: Params) -> np.ndarray:
        """Return [[1, sign (1 - g)], [., pi^2/6 + (1 - g)^2]], g being Euler's constant."""
        cross = self.sign * (1 - EULER)
        return np.array([[1.0, cross], [cross, np.pi**2 / 6 + cross**2]])

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return exp(-exp(-z)) of largest values, 1 - exp(-exp(z)) of smallest ones."""
        with np.errstate(over="ignore"):
            tail = np.exp(self.sign * z)
            return -np.expm1(-tail) if self.sign > 0 else np.exp(-tail)

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z."""
        return -self.sign * rng.gumbel(size=size)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the estimate by moments."""
        weight = statistics.weight / statistics.n
        mean = weight @ statistics.X
        deviation = statistics.X - mean
        deviation *= deviation
        scale = np.sqrt(weight @ deviation * (6 / np.pi**2))
        return self.from_location_scale(mean + self.sign * EULER * scale, scale)

    def _search(
        self, statistics: Rows, null: Params, near: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return location and scale where the likelihood is highest."""
        location, scale = self.location_scale(null)
        no_location, no_scale = np.isnan(location), np.isnan(scale)
        top = statistics.X.max(axis=0) if self.sign > 0 else statistics.X.min(axis=0)
        y = (statistics.X - top) * self.sign  # largest zero: exponentials do not overflow
        weight = statistics.weight / statistics.n
        if no_scale.any():
            u = -np.log(self.location_scale(near)[1])
            start, scale = scale, np.exp(-u)
            if no_location.all():
                scale = np.exp(-_free_location(y, weight, u))
            elif not no_location.any():
                scale = np.exp(-_held_location(y, weight, u, self.sign * (top - location)))
            else:
                free = _free_location(y, weight, u)
                held = _held_location(y, weight, u, self.sign * (top - np.nan_to_num(location)))
                scale = np.exp(-np.where(no_location, free, held))
            scale = np.where(no_scale, scale, start)
        if no_location.any():
            found = top + self.sign * scale * np.log(weight @ np.exp(y / scale))
            location = np.where(no_location, found, location)
        shape = top.shape
        return np.broadcast_to(location, shape), np.broadcast_to(scale, shape)


def _free_location(y: np.ndarray, weight: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return log(1 / scale) where the scale's score is zero, the location following."""
    mean = weight @ y
    for _ in range(_MAX_ITERATIONS):
        kappa = np.exp(u)
        e = np.exp(y * kappa)
        total = weight @ e
        e *= y
        tilted = weight @ e / total
        e *= y
        distance = tilted - mean
        slope = 1 + kappa * (weight @ e / total - tilted**2) / distance
        step = -(u + np.log(distance)) / slope
        u = u + np.clip(step, -_LONGEST, _LONGEST)
        if (np.abs(step) < _LAST).all():
            break
    return u


def _held_location(y: np.ndarray, weight: np.ndarray, u: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Return log(1 / scale) where the scale's score is zero, y + top being held."""
    y = y + top
    mean = weight @ y
    for _ in range(_MAX_ITERATIONS):
        kappa = np.exp(u)
        shift = np.maximum(kappa * top, 0.0)
        e = np.exp(y * kappa - shift)
        e *= y
        excess = weight @ e - np.exp(-shift) * mean
        e *= y
        slope = 1 + kappa * (weight @ e) / excess
        step = -(u + shift + np.log(excess)) / slope
        u = u + np.clip(step, -_LONGEST, _LONGEST)
        if (np.abs(step) < _LAST).all():
            break
    return u
