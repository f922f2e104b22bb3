"""The logistic family."""

import numpy as np
from scipy import special

from skgm.inference.families._base import Params
from skgm.inference.families._location_scale import LocationScaleFamily, location_and_scale
from skgm.inference.families._rows import Rows

__all__ = ["Logistic"]


class Logistic(LocationScaleFamily):
    r"""Logistic distribution with location and scale, per column.

    .. math:: \log p(x) = -z - 2 \log(1 + e^{-z}) - \log s, \quad z = (x - m) / s
    """

    name = "logistic"
    equivariance = "location-scale"
    parameters = location_and_scale()

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return -abs(z) - 2 log(1 + exp(-abs(z))) and its derivatives."""
        away = np.abs(z)
        e = np.exp(-away)
        share = 1 / (1 + e)
        g = -away - 2 * np.log1p(e)
        return g, np.copysign((1 - e) * share, -z), -2 * e * share * share

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1/3, (3 + pi^2) / 9)."""
        return np.diag([1 / 3, (3 + np.pi**2) / 9])

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 / (1 + exp(-z))."""
        return special.expit(z)

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z."""
        return rng.logistic(size=size)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the mean and a scale from the mean distance to it."""
        weight = statistics.weight / statistics.n
        mean = weight @ statistics.X
        distance = weight @ np.abs(statistics.X - mean)
        return {"loc": mean, "scale": distance / (2 * np.log(2))}
