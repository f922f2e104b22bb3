"""The logistic family."""

import math

import numpy as np
from scipy import special

from skgm.inference.families._base import Params
from skgm.inference.families._location_scale import (
    KernelMeans,
    LocationScaleFamily,
    location_and_scale,
    one_dimension,
)
from skgm.inference.families._statistics import Rows

__all__ = [
    "Logistic",
    "location_and_scale_of",
]

_LONG = 500  # rows from which on columns are searched one by one
_ENOUGH = 4096  # rows that moments need for a start


class Logistic(LocationScaleFamily):
    r"""Logistic distribution with location and scale, per column.

    .. math:: \log p(x) = -z - 2 \log(1 + e^{-z}) - \log s, \quad z = (x - m) / s
    """

    name = "logistic"
    equivariance = "location-scale"
    symmetric = True
    parameters = location_and_scale()

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return -abs(z) - 2 log(1 + exp(-abs(z))) and its derivatives."""
        g = np.abs(z)
        np.negative(g, out=g)
        share = np.exp(g)
        share += 1
        log = np.log(share)
        log *= -2
        g += log
        np.divide(1, share, out=share)  # of 1 + exp(-abs(z))
        tanh = share + share
        tanh -= 1
        g2 = tanh * tanh
        g2 -= 1
        g2 *= 0.5
        return g, np.copysign(tanh, -z), g2

    def means(
        self, statistics: Rows, params: Params, location: np.ndarray, scale: np.ndarray
    ) -> KernelMeans:
        """Return the means over rows of the kernel and its derivatives."""
        weight, n = statistics.weight, statistics.n
        X, location, scale = one_dimension(statistics.X, location, scale)
        z = X - location
        z /= scale
        away = np.abs(z)
        share = np.exp(-away)
        share += 1
        np.divide(1, share, out=share)  # the distribution function at abs(z)
        height = (2 * weight.dot(np.log(share)) - weight.dot(away)) / n
        q = share * share
        np.subtract(share, q, out=q)
        share -= 0.5
        half = np.copysign(share, z, out=share)
        slope = -2 / n * weight.dot(half)
        half *= z
        turned, curvature = -2 / n * weight.dot(half), -2 / n * weight.dot(q)
        q *= z
        mixed = -2 / n * weight.dot(q)
        q *= z
        return KernelMeans(height, slope, turned, curvature, mixed, -2 / n * weight.dot(q))

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1/3, (3 + pi^2) / 9)."""
        return np.diag([1 / 3, (3 + np.pi**2) / 9])

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 / (1 + exp(-z))."""
        return special.expit(z)

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        return rng.logistic(size=size)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the mean and a scale from the mean distance to it."""
        return self._moments(statistics.X, statistics.weight)

    def _moments(self, X: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
        total = weight.sum()
        mean = weight @ X / total
        distance = weight @ np.abs(X - mean)
        return {"loc": mean, "scale": distance / (2 * np.log(2) * total)}

    def estimate(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the maximum-likelihood estimate: of one column, or long ones, in plain floats."""
        X, weight = statistics.X, statistics.weight
        if X.shape[1] > 1 and len(X) < _LONG:
            return super().estimate(statistics)
        every = max(len(X) // _ENOUGH, 1)
        start = self._moments(X[::every], weight[::every])
        columns = X.T if X.shape[1] == 1 else np.ascontiguousarray(X.T)
        starts = zip(columns, start["loc"].tolist(), start["scale"].tolist())
        found = [location_and_scale_of(x, weight, m, s) for x, m, s in starts]
        pairs = [pair for pair in found if pair is not None]
        if len(pairs) < len(found):
            return super().estimate(statistics)
        location, scale = np.array(pairs).T
        return {"loc": location, "scale": scale}


# One column of logistic rows: plain Newton steps in plain floats, from a start that is near.

_MAX_STEPS, _LAST = 12, 1e-7  # Newton squares the error: what a last step leaves is rounding
_LONGEST = 1.0
_CHUNK = 2**13  # values whose temporaries stay in the cache, and off fresh memory pages
# Where there are more rows than _MANY, some of them bring the start nearer.
_MANY, _SOME = 30_000, 2**14


def location_and_scale_of(
    x: np.ndarray, weight: np.ndarray, location: float, scale: float
) -> tuple[float, float] | None:
    """Return the estimates of location and scale, or None where steps do not settle.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Rows.
    weight : ndarray of shape (n,)
        Their weights.
    location, scale : float
        Start.
    """
    try:
        if len(x) > _MANY:
            every = len(x) // _SOME
            some = np.ascontiguousarray(x[::every]), weight[::every].copy()
            location, scale = _search(*some, location, scale, 1e-3)
        return _search(x, weight, location, scale, _LAST)
    except ArithmeticError:
        return None


def _search(
    x: np.ndarray, weight: np.ndarray, location: float, scale: float, tolerance: float
) -> tuple[float, float]:
    total = float(weight.sum())
    for _ in range(_MAX_STEPS):
        sums = _sums(x, weight, location, scale)
        z, p, zp, q, zq, zzq = (2 * value / total for value in sums)
        # score of location (times the scale) and log scale, and minus the Hessian
        first, second = p - 1, zp - z / 2 - 1
        a, b, c = q, first + zq, second + 1 + zzq
        determinant = a * c - b * b
        if not (a > 0 and determinant > 0):
            break
        step = (c * first - b * second) / determinant
        turn = (a * second - b * first) / determinant
        size = max(abs(step), abs(turn))
        if not size < _LONGEST:
            break
        location, scale = location + scale * step, scale * math.exp(turn)
        if size < tolerance:
            return location, scale
    raise ArithmeticError("steps do not settle")


def _sums(x: np.ndarray, weight: np.ndarray, location: float, scale: float) -> list[float]:
    """Return sums of z, p, z p, q, z q and z^2 q: p the distribution function, q = p (1 - p)."""
    sums = [0.0] * 6
    for start in range(0, len(x), _CHUNK):
        share = weight[start : start + _CHUNK]
        z = x[start : start + _CHUNK] - location
        z /= scale
        p = special.expit(z)
        q = p * p
        np.subtract(p, q, out=q)
        first = share @ z, share @ p
        shared = z * share
        z *= q
        parts = (*first, shared @ p, share @ q, shared @ q, shared @ z)
        sums = [total + float(part) for total, part in zip(sums, parts)]
    return sums
