"""What the Cauchy and Student's t families share: ties, and likelihoods of many maxima."""

from typing import Any

import numpy as np

from skgm.inference._likelihood.inversion import Profile, invert
from skgm.inference._likelihood.rstar import rstar_interval
from skgm.inference.families._base import Interval, Params
from skgm.inference.families._location_scale import (
    LocationScaleFamily,
    climb,
    location_and_scale,
    weighted_quantiles,
)
from skgm.inference.families._statistics import Rows

__all__ = [
    "Cauchy",
    "HeavyTailedFamily",
    "heaviest_tie",
]

# With the scale held, starts are all rows up to this many, or as many quantiles.
_MANY_STARTS, _FEW_STARTS = 256, 5
# From so many of the highest starts it climbs: where there are few hills, and where many.
_FEW_ASCENTS, _ASCENTS = 2, 4


class HeavyTailedFamily(LocationScaleFamily):
    """Symmetric family with tails |z|^-(tail index + 1).

    With the location held, or both free, the likelihood has one maximum where the tail index is
    one or more. With the scale held it may have one near every row: the search then starts at
    many places.
    """

    one_maximum = False
    symmetric = True

    def tail_index(self, params: Params) -> Any:
        """Return the tail index per column."""
        raise NotImplementedError  # abstract: every kind writes it

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the median and half the distance of the quartiles."""
        low, middle, high = weighted_quantiles(statistics.X, statistics.weight, (0.25, 0.5, 0.75))
        distance = statistics.weight @ np.abs(statistics.X - middle) / statistics.n
        scale = (high - low) / 2
        return self.from_location_scale(middle, np.where(scale > 0, scale, distance))

    def check_no_ties(self, statistics: Rows, params: Params, names: list[str]) -> None:
        """Raise where so much weight lies on one value that the likelihood is unbounded there."""
        index = np.asarray(self.tail_index(params))
        tied = heaviest_tie(statistics)
        bad = np.flatnonzero(tied * (1 + index) >= statistics.n * index * (1 - 1e-12))
        if len(bad):
            j = int(bad[0])
            raise ValueError(
                f"The {self.name} family has no estimate for column {names[j]!r}: {tied[j]:g} of "
                f"{statistics.n:g} observations lie on one value, and the likelihood grows without "
                "bound as the distribution shrinks onto it. Collect more rows, or undo their "
                "rounding."
            )

    def _search(
        self, statistics: Rows, null: Params, near: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        location, scale = self.location_scale(null)
        many = np.isnan(location) & ~np.isnan(scale)
        many = np.broadcast_to(many, statistics.X.shape[1:])
        if not many.any():
            return super()._search(statistics, null, near)
        scale = np.broadcast_to(scale, many.shape)
        if many.all():
            return self._highest(statistics, near, scale), scale
        columns = np.flatnonzero(many)
        part = Rows(statistics.n, statistics.X[:, columns], statistics.weight)
        there = {name: np.broadcast_to(v, many.shape)[columns] for name, v in near.items()}
        highest = self._highest(part, there, scale[columns])
        stand_in = {
            name: np.where(many, np.nan, np.broadcast_to(value, many.shape))
            for name, value in null.items()
        }
        found, spread = super()._search(statistics, stand_in, near)
        found, spread = np.array(found), np.where(many, scale, spread)
        found[columns] = highest
        return found, spread

    def _highest(self, statistics: Rows, near: Params, scale: np.ndarray) -> np.ndarray:
        """Return the location of the highest maximum at a held scale."""
        here = self.location_scale(near)[0]
        places, few = self._starts(statistics, scale)
        starts = np.vstack([here[None], places])
        heights = np.stack([self._height(statistics, near, m, scale) for m in starts])
        order = np.argsort(-heights, axis=0, kind="stable")[: _FEW_ASCENTS if few else _ASCENTS]
        best, top = here, np.full(here.shape, -np.inf)
        free = (np.ones(here.shape, dtype=bool), np.zeros(here.shape, dtype=bool))
        for row in order:
            start = np.take_along_axis(starts, row[None], axis=0)[0]
            found, _ = climb(self, statistics, near, start, scale, free)
            height = self._height(statistics, near, found, scale)
            best, top = np.where(height > top, found, best), np.maximum(height, top)
        return best

    def _height(
        self, statistics: Rows, params: Params, location: np.ndarray, scale: np.ndarray
    ) -> np.ndarray:
        return statistics.weight @ self.kernel((statistics.X - location) / scale, params)[0]

    def _starts(self, statistics: Rows, scale: np.ndarray) -> tuple[np.ndarray, bool]:
        """Return places (k, d) from one of which the highest maximum is uphill, and if few do.

        Where the scale is not small beside the spread of the middle half, the likelihood is
        unimodal or nearly so, and a few quantiles do.
        """
        X, weight = statistics.X, statistics.weight
        low, high = weighted_quantiles(X, weight, (0.25, 0.75))
        few = len(X) > 10 * _FEW_STARTS and bool((scale > (high - low) / 4).all())
        count = _FEW_STARTS if few else _MANY_STARTS
        if len(X) <= count:
            return X, few
        levels = tuple((np.arange(count) + 0.5) / count)
        return np.stack(weighted_quantiles(X, weight, levels)), few


def heaviest_tie(statistics: Rows) -> np.ndarray:
    """Return the largest weight that lies on one value, per column."""
    ordered = np.sort(statistics.X, axis=0)
    if (ordered[1:] != ordered[:-1]).all():  # no ties: the heaviest row
        return np.full(ordered.shape[1], statistics.weight.max())
    order = np.argsort(statistics.X, axis=0)
    ordered = np.take_along_axis(statistics.X, order, axis=0)
    cumulative = np.cumsum(statistics.weight[order], axis=0)
    last = np.ones(ordered.shape, dtype=bool)  # last row of its run of equal values
    last[:-1] = ordered[1:] != ordered[:-1]
    before = np.maximum.accumulate(np.where(last, cumulative, 0.0), axis=0)
    before = np.vstack([np.zeros((1, before.shape[1])), before[:-1]])
    return np.max(np.where(last, cumulative - before, 0.0), axis=0)


# The Cauchy family.

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
    a little wider than the standard normal, so r* is centered and scaled by its simulated mean and
    standard deviation (``benchmarks/inference_cauchy_root.py``). With four rows r* has heavy tails
    (its interval for the scale would cover 85 % of the time, not 95), with three it is askew: there
    the signed root of the profile likelihood is centered and scaled instead. Four distinct values
    among more rows have the profile interval.

    References
    ----------
    J. B. Copas, "On the unimodality of the likelihood for the Cauchy distribution", Biometrika
    62, 1975.
    """

    name = "cauchy"
    unit_mean = np.nan  # there is none
    equivariance = "location-scale"
    parameters = location_and_scale()

    def rstar_interval(self, name: str, statistics: Rows, params: Params, level: float) -> Interval:
        """Return the values at which r*, standardized by its simulated law, is not extreme."""
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
        return rng.standard_cauchy(size=size)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for columns with half of the weight or more on one value."""
        super().check_statistics(statistics, names)
        self.check_no_ties(statistics, {}, names)


def _four_values(statistics: Rows) -> bool:
    """Whether a column of five rows or more holds four distinct values."""
    if statistics.n <= 4:
        return False
    ordered = np.sort(statistics.X[statistics.weight > 0], axis=0)
    return bool((1 + (ordered[1:] != ordered[:-1]).sum(axis=0) == 4).any())
