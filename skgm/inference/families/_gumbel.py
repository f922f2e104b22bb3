"""The Gumbel family of maxima."""

from skgm.inference.families._extreme_value import ExtremeValueFamily
from skgm.inference.families._location_scale import location_and_scale

__all__ = ["Gumbel"]


class Gumbel(ExtremeValueFamily):
    r"""Gumbel distribution of maxima with location and scale, per column.

    .. math:: \log p(x) = -z - e^{-z} - \log s, \quad z = (x - m) / s
    """

    name = "gumbel"
    aliases = ("gumbel_r",)
    equivariance = "location-scale"
    parameters = location_and_scale()
    sign = -1.0
