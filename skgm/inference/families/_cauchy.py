"""The Cauchy family."""

import numpy as np

from skgm.inference._inversion import Profile, invert
from skgm.inference._rstar import rstar_interval
from skgm.inference.families._base import Interval, Params
from skgm.inference.families._heavy_tails import HeavyTailedFamily
from skgm.inference.families._location_scale import location_and_scale
from skgm.inference.families._rows import Rows

__all__ = ["Cauchy"]

# Number of rows: mean and standard deviation of r* at the true scale, 120,000 replicates.
_SCALE_ROOT = {
    5: (0.0147, 1.0224),
    6: (0.0231, 1.0721),
    7: (0.0071, 1.0233),
    8: (0.0011, 1.0235),
    9: (0.0017, 1.0123),
    10: (0.0026, 1.0082),
    11: (0.0, 1.0099),
    12: (-0.0025, 1.0058),
}
# Where r* is far from normal, of three and four rows: the same of the signed root r itself.
_PLAIN_ROOT = {
    (3, "scale"): (-0.7160, 1.1695),
    (4, "loc"): (0.0, 1.2494),
    (4, "scale"): (-0.5058, 1.0472),
}


class Cauchy(HeavyTailedFamily):
    r"""Cauchy distribution with location and scale, per column.

    .. math:: \log p(x) = -\log\pi - \log(1 + z^2) - \log s, \quad z = (x - m) / s

    Notes
    -----
    The joint likelihood has one maximum; with the scale held it may have many, of which the
    highest is found. Columns with half of their weight or more on one value are refused.

    The law of r* depends on the number of rows only. For the scale of a dozen rows or fewer it is
    a little wider than the standard normal, so r* is centred and scaled by its simulated mean and
    standard deviation (``benchmarks/inference_cauchy_root.py``). With four rows r* has heavy tails
    (its interval for the scale would cover 85 % of the time, not 95), with three it is askew: there
    the signed root of the profile likelihood is centred and scaled instead. Four distinct values
    among more rows have the profile interval.

    References
    ----------
    J. B. Copas, "On the unimodality of the likelihood for the Cauchy distribution", Biometrika
    62, 1975.
    """

    name = "cauchy"
    equivariance = "location-scale"
    parameters = location_and_scale()

    def rstar_interval(self, name: str, statistics: Rows, params: Params, level: float) -> Interval:
        """Return the values at which r*, standardised by its simulated law, is not extreme."""
        plain = _PLAIN_ROOT.get((int(statistics.n), name))
        if plain is None and _four_values(statistics):
            return self.profile_interval(name, statistics, params, level)
        if plain is not None:
            profile, (mean, spread) = Profile(self, name, statistics, params), plain
            return invert(lambda v: (profile.root(v) - mean) / spread, profile, level, "rstar")
        law = _SCALE_ROOT.get(int(statistics.n)) if name == "scale" else None
        return rstar_interval(self, name, statistics, params, level, law=law)

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return -log(pi) - log(1 + z^2) and its derivatives."""
        square = z * z
        share = 1 / (1 + square)
        g1 = z * share
        g1 *= -2
        return -np.log(np.pi) - np.log1p(square), g1, g1 * g1 - 2 * share

    def tail_index(self, params: Params) -> float:
        """Return one."""
        return 1.0

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1/2, 1/2)."""
        return np.diag([0.5, 0.5])

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return 1/2 + arctan(z) / pi, without cancellation far below."""
        return np.arctan2(1.0, -z) / np.pi

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z."""
        return rng.standard_cauchy(size=size)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for columns with half of the weight or more on one value."""
        super().check_statistics(statistics, names)
        self.refuse_ties(statistics, {}, names)


def _four_values(statistics: Rows) -> bool:
    """Whether a column of five rows or more holds four distinct values."""
    if statistics.n <= 4:
        return False
    ordered = np.sort(statistics.X[statistics.weight > 0], axis=0)
    return bool((1 + (ordered[1:] != ordered[:-1]).sum(axis=0) == 4).any())
