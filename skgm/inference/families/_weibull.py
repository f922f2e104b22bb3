"""The Weibull family."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference.families._base import Parameter, Params
from skgm.inference.families._extreme_value import ExtremeValueFamily
from skgm.inference.families._location_scale import REGULAR, Pair, Triple

__all__ = ["Weibull"]


class Weibull(ExtremeValueFamily):
    r"""Weibull distribution with shape and scale, per column.

    .. math:: \log p(x) = \log(k/l) + (k - 1) \log(x/l) - (x/l)^k

    Notes
    -----
    log x has a smallest-extreme-value distribution with location log(scale) and scale 1 / shape.
    """

    name = "weibull"
    aliases = ("weibull_min",)
    support = "positive"
    equivariance = "scale"
    parameters = (
        Parameter("shape", 0.0, link="log", methods=REGULAR, auto="rstar", aliases=("c",)),
        Parameter("scale", 0.0, link="log", methods=REGULAR, auto="rstar"),
    )
    logarithmic = True
    sign = 1.0

    def location_scale(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Return log(scale) and 1 / shape."""
        return np.log(params["scale"]), 1 / np.asarray(params["shape"])

    def from_location_scale(self, location: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Return shape and scale from location and scale of log x."""
        return {"shape": 1 / scale, "scale": np.exp(location)}

    def location_scale_slopes(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of log(scale) and 1 / shape."""
        shape, scale = params["shape"], params["scale"]
        first, second = np.zeros((len(scale), 2, 2)), np.zeros((len(scale), 2, 2, 2))
        first[:, 0, 1], first[:, 1, 0] = 1 / scale, -1 / shape**2
        second[:, 0, 1, 1], second[:, 1, 0, 0] = -1 / scale**2, 2 / shape**3
        return first, second

    def turned(self, slope: Pair, curvature: Triple, params: Mapping[str, Any]) -> Any:
        """Return slopes and curvatures in shape k and scale l, from those in log l and 1 / k."""
        along, inverse = 1 / params["scale"], -1 / params["shape"] ** 2
        mm, ms, ss = curvature
        bend = 2 * slope[1] * inverse / params["shape"]
        turned = (
            ss * inverse**2 + bend,
            ms * along * inverse,
            (mm + slope[0]) * along**2,
        )
        return (slope[1] * inverse, slope[0] * along), turned

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the model's standard errors, from those of location and scale of log x."""
        shape, scale = params["shape"], params["scale"]
        location, spread = self.unit_errors(params, n)
        return {"shape": shape * spread, "scale": scale / shape * location}
