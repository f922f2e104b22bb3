"""The Gumbel family of maxima."""

import numpy as np

from skgm.inference.families._base import Parameter, Params
from skgm.inference.families._location_scale import LocationScaleFamily

__all__ = ["Gumbel"]

_EULER = np.euler_gamma
_METHODS = ("wald", "wald-transformed", "score", "profile", "rstar", "robust", "bootstrap")


class Gumbel(LocationScaleFamily):
    r"""Gumbel distribution of maxima with location and scale, per column.

    .. math:: \log p(x) = -z - e^{-z} - \log s, \quad z = (x - m) / s
    """

    name = "gumbel"
    aliases = ("gumbel_r",)
    equivariance = "location-scale"
    parameters = (
        Parameter("loc", methods=_METHODS, auto="rstar"),
        Parameter("scale", low=0.0, link="log", methods=_METHODS, auto="rstar"),
    )

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return -z - exp(-z) and its derivatives."""
        with np.errstate(over="ignore"):
            e = np.exp(-z)
        return -z - e, e - 1, -e

    def unit_information(self, params: Params) -> np.ndarray:
        """Return [[1, -(1 - g)], [., pi^2/6 + (1 - g)^2]], g being Euler's constant."""
        cross = _EULER - 1
        return np.array([[1.0, cross], [cross, np.pi**2 / 6 + cross**2]])

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return exp(-exp(-z))."""
        with np.errstate(over="ignore"):
            return np.exp(-np.exp(-z))

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z."""
        return rng.gumbel(size=size)
