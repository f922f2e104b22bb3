"""The Laplace family: median and mean distance from it, never a Hessian."""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm._numerics.roots import find_root
from skgm.inference.families._base import EXACT_TOO, Interval, Params
from skgm.inference.families._location_scale import LocationScaleFamily, location_and_scale
from skgm.inference.families._statistics import Rows

__all__ = [
    "Laplace",
    "location_limits",
    "scale_limits",
]


class Laplace(LocationScaleFamily):
    r"""Laplace distribution with location and scale, per column.

    .. math:: \log p(x) = -|z| - \log 2 - \log s, \quad z = (x - m) / s

    Notes
    -----
    The likelihood has a kink at every row: its Hessian in the location is zero almost everywhere
    and says nothing about the error of the median. Standard errors, the bread of sandwiches
    included, therefore come from the expected information diag(1, 1) / s^2, the variance of the
    score. Any point between the two middle rows maximizes the likelihood of an even number of
    rows: their midpoint is returned. Two different rows are enough.

    Exact intervals are conditional on the ancillary shape of the sample; see
    ``_laplace_exact``.
    """

    name = "laplace"
    equivariance = "location-scale"
    symmetric = True
    parameters = location_and_scale(EXACT_TOO, "exact")
    one_maximum = False  # no search by derivatives

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return -abs(z) - log 2 and its derivatives off the kink."""
        return -np.abs(z) - np.log(2), -np.sign(z), np.zeros_like(z)

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1, 1)."""
        return np.eye(2)

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return exp(z) / 2 below zero and 1 - exp(-z) / 2 above."""
        tail = np.exp(-np.abs(z)) / 2
        return np.where(z < 0, tail, 1 - tail)

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        return rng.laplace(size=size)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the estimate."""
        location = _median(statistics)
        return {"loc": location, "scale": _mean_distance(statistics, location)}

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return median and mean distance, or what `null` fixes."""
        location, scale = (np.asarray(null[name], dtype=np.float64) for name in ("loc", "scale"))
        free, shape = np.isnan(location), statistics.X.shape[1:]
        if free.any():
            location = np.where(free, _median(statistics), location)
        if np.isnan(scale).any():
            scale = np.where(np.isnan(scale), _mean_distance(statistics, location), scale)
        return {"loc": np.broadcast_to(location, shape), "scale": np.broadcast_to(scale, shape)}

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        """Return median and mean distance, or what `null` fixes."""
        return self.restricted_near(statistics, null, {})

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information: the likelihood has no useful Hessian."""
        return self.information(params)

    def expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and expected information."""
        height = self.log_likelihood(statistics, params) / statistics.n
        return height, self.mean_score(statistics, params), self.information(params)

    def canonical_free(
        self, statistics: Rows, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Refuse: r* needs derivatives that a kinked likelihood lacks."""
        raise NotImplementedError("The laplace family has exact intervals in the place of r*.")

    def exact_interval(self, name: str, statistics: Rows, params: Params, level: float) -> Interval:
        """Return the conditional interval, which covers exactly."""
        limits = location_limits if name == "loc" else scale_limits
        return limits(statistics, level)


def _median(statistics: Rows) -> np.ndarray:
    X, weight = statistics.X, statistics.weight
    if (weight == weight[0]).all():
        return np.median(X, axis=0)
    order = np.argsort(X, axis=0)
    cumulative = np.cumsum(weight[order], axis=0)
    half = cumulative[-1] / 2
    columns = np.arange(X.shape[1])
    low = X[order[np.argmax(cumulative >= half, axis=0), columns], columns]
    high = X[order[np.argmax(cumulative > half, axis=0), columns], columns]
    return low + (high - low) / 2


def _mean_distance(statistics: Rows, location: np.ndarray) -> np.ndarray:
    return statistics.weight @ np.abs(statistics.X - location) / statistics.n


# Exact conditional intervals of the Laplace family, in closed form piece by piece.
#
# Given the ancillary shape of the sample, the pivots (m_hat - m) / s_hat and s_hat / s have a known
# distribution, and it is that of the parameters under the prior 1/s: the limits of that posterior
# cover exactly. With S(m) the sum of distances from m, which is linear between neighboring rows,
#
# .. math::
#     p(m) \propto S(m)^{-n}, \qquad P(s \le B) = \int p(m)\, Q\{n, S(m)/B\}\, dm
#
# Q being the upper regularized gamma function; both integrate over a piece in closed form, the
# second because :math:`S^{-n} Q(n, S/B)` is the derivative of :math:`-S^{1-n} Q(n-1, S/B) / (n-1)`.
#
# References
# ----------
# R. A. Fisher, "Two new properties of mathematical likelihood", Proceedings of the Royal Society A
# 144, 1934; J. F. Lawless, "Statistical Models and Methods for Lifetime Data", 2nd edition, Wiley,
# 2003, appendix E.

# A piece over which (n - 1) log S moves by less than this is integrated by Gauss's rule, where
# the difference of the closed form would cancel.
_FLAT = 0.5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
# Pieces whose mass is below exp(-_NOTHING) of the largest are left out of searches.
_NOTHING = 60.0
_MAX_STEPS = 60


class _Pieces(NamedTuple):
    """Where S is linear: from a base, the end where S is smaller, over a length; (p, d) each.

    The first and the last piece are the endless ones. Lengths and S are in units of the smallest
    S; `log_mass` is the log of the integral of S^-n.
    """

    base: np.ndarray
    direction: np.ndarray
    length: np.ndarray
    excess: np.ndarray  # S - 1 at the base
    slope: np.ndarray  # of S, away from the base
    log_mass: np.ndarray
    unit: np.ndarray
    n: float

    @property
    def bend(self) -> np.ndarray:
        """(n - 1) times the rise of log S over the piece."""
        with np.errstate(divide="ignore", invalid="ignore"):
            rise = np.where(self.slope > 0, self.slope * self.length, 0.0)
        return (self.n - 1) * np.log1p(rise / (1 + self.excess))


def location_limits(statistics: Rows, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return exact conditional limits of the location, (d,) each.

    Parameters
    ----------
    statistics : Rows
        The rows.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The ends.

    Raises
    ------
    ValueError
        Weights that sum to one or less.
    """
    mirrored = Rows(statistics.n, -statistics.X, statistics.weight)
    tail = (1 - level) / 2
    return _location_quantile(_pieces(statistics), tail), -_location_quantile(
        _pieces(mirrored), tail
    )


def scale_limits(statistics: Rows, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return exact conditional limits of the scale, (d,) each.

    Parameters
    ----------
    statistics : Rows
        The rows.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The ends.

    Raises
    ------
    ValueError
        Weights that sum to one or less.
    """
    pieces = _pieces(statistics)
    heavy = (pieces.log_mass > pieces.log_mass.max(axis=0) - _NOTHING).any(axis=1)
    kept = {name: getattr(pieces, name)[heavy] for name in pieces._fields[:6]}
    pieces = pieces._replace(**kept)
    total = np.exp(pieces.log_mass).sum(axis=0)

    def below(log_scale: np.ndarray) -> np.ndarray:
        return _mass_below(pieces, np.exp(log_scale)) / total

    tail = (1 - level) / 2
    ends = (_root(below, -np.log(pieces.n), probability) for probability in (tail, 1 - tail))
    low, high = (np.exp(end) * pieces.unit for end in ends)
    return low, high


def _pieces(statistics: Rows) -> _Pieces:
    n = statistics.n
    if n <= 1:
        raise ValueError(
            f"Exact intervals need more than one observation; the sample weights sum to {n:g}. "
            "Weights count repetitions: scale them so that they do."
        )
    order = np.argsort(statistics.X, axis=0)
    x = np.take_along_axis(statistics.X, order, axis=0)
    slope = 2 * np.cumsum(statistics.weight[order], axis=0)[:-1] - n
    gap, none = np.diff(x, axis=0), np.zeros((1, x.shape[1]))
    # outward from the smallest S, where nothing cancels
    right = np.concatenate([none, np.cumsum(np.maximum(slope, 0) * gap, axis=0)])
    left = np.concatenate([np.cumsum((np.maximum(-slope, 0) * gap)[::-1], axis=0)[::-1], none])
    excess = left + right
    lowest = np.take_along_axis(x, np.argmin(excess, axis=0)[None], axis=0)[0]
    unit = statistics.weight @ np.abs(statistics.X - lowest)
    excess, gap, rising = excess / unit, gap / unit, slope >= 0
    inner = np.where(rising, excess[:-1], excess[1:])
    endless = np.full_like(none, np.inf)
    found = _Pieces(
        np.concatenate([x[:1], np.where(rising, x[:-1], x[1:]), x[-1:]]),
        np.concatenate([none - 1, np.where(rising, 1.0, -1.0), none + 1]),
        np.concatenate([endless, gap, endless]),
        np.concatenate([excess[:1], inner, excess[-1:]]),
        np.concatenate([none + n, np.abs(slope), none + n]),
        excess,
        unit,
        n,
    )
    return found._replace(log_mass=_log_mass(found))


def _log_mass(pieces: _Pieces) -> np.ndarray:
    """Return log of the integrals of S^-n over the pieces."""
    n, bend = pieces.n, pieces.bend
    height = -n * np.log1p(pieces.excess)
    with np.errstate(divide="ignore", invalid="ignore"):
        steep = -np.expm1(-bend) * (1 + pieces.excess) / ((n - 1) * pieces.slope)
        return height + np.log(np.where(bend > 0, steep, pieces.length))


def _location_quantile(pieces: _Pieces, probability: float) -> np.ndarray:
    """Return the location with `probability` of the posterior below it."""
    mass = np.exp(pieces.log_mass - pieces.log_mass.max(axis=0))
    cumulative = np.cumsum(mass, axis=0)
    wanted = probability * cumulative[-1]
    at = np.argmax(cumulative >= wanted, axis=0)[None]

    def here(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, at, axis=0)[0]

    beyond = here(cumulative) - wanted  # mass of the piece above the quantile
    direction, slope = here(pieces.direction), here(pieces.slope)
    share = np.where(direction > 0, here(mass) - beyond, beyond) / here(mass)
    share = np.clip(share, 0.0, 1.0)
    bent = -np.log1p(share * np.expm1(-here(pieces.bend))) / (pieces.n - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        steep = np.expm1(bent) * (1 + here(pieces.excess)) / slope
        away = np.where(here(pieces.bend) > 0, steep, share * here(pieces.length))
    return here(pieces.base) + direction * away * pieces.unit


def _mass_below(pieces: _Pieces, scale: np.ndarray) -> np.ndarray:
    """Return the sum over pieces of the integrals of S^-n Q(n, S / scale)."""
    n, bend = pieces.n, pieces.bend
    start = 1 + pieces.excess
    closed = np.zeros_like(start)
    flat = bend < _FLAT
    steep = ~flat
    scales = np.broadcast_to(scale, start.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        end = start + pieces.slope * pieces.length
    a, b, s = start[steep], end[steep], scales[steep]
    rise = _incomplete(n - 1, a, s) - np.where(np.isinf(b), 0.0, _incomplete(n - 1, b, s))
    closed[steep] = rise / ((n - 1) * pieces.slope[steep])
    length, slope, s = pieces.length[flat], pieces.slope[flat], scales[flat]
    inner = np.zeros_like(length)
    for node, weight in zip(_NODES, _WEIGHTS):
        S = start[flat] + slope * length * (1 + node) / 2
        inner += weight / 2 * length * np.exp(-n * np.log(S)) * special.gammaincc(n, S / s)
    closed[flat] = inner
    return closed.sum(axis=0)


def _incomplete(n: float, S: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.exp(-n * np.log(S)) * special.gammaincc(n, S / scale)


def _root(below: Any, start: float, probability: float) -> np.ndarray:
    """Return log scales with `probability` of the posterior below them."""

    def excess(log_scale: np.ndarray) -> np.ndarray:
        return below(log_scale) - probability

    low = high = np.full(below(start).shape, start)
    for step in range(_MAX_STEPS):
        too_high, too_low = excess(low) > 0, excess(high) < 0
        if not (too_high.any() or too_low.any()):
            break
        low, high = (
            np.where(too_high, low - 0.5 * 2**step, low),
            np.where(too_low, high + 0.5 * 2**step, high),
        )
    return find_root(excess, low, high)
