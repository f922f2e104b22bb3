"""One column of logistic rows: plain Newton steps in plain floats, from a start that is near."""

import math

import numpy as np
from scipy import special

__all__ = ["location_and_scale_of"]

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
