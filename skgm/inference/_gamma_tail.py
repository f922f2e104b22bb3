"""The logarithm of the regularised upper incomplete gamma function, with its derivatives.

Those in the shape are not in scipy. With W = log(T / y) and T a gamma variable beyond y, they are

    d log Q / da = log y - digamma(a) + E W,    d^2 log Q / da^2 = Var W - trigamma(a),

and the moments of W come from Gauss-Legendre quadrature of exp{a w - y (e^w - 1)} over the part
of w >= 0 that counts. Where y is small the lower function's power series is taken instead, whose
terms are all positive: it keeps its digits as Q tends to one.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from skgm.inference._special import log_minus_digamma, trigamma_excess

__all__ = ["GammaTail", "gamma_tail", "log_gamma_tail"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(50)
_DROP = 40.0  # exp(-40) of the peak is below rounding
_TERMS = 70  # y < 1 or y < a / 2: each term is at most half of the last but for the first
_BLOCK = 65_536
_FLOOR = 1e-290  # scipy's Q underflows below


class GammaTail(NamedTuple):
    """Derivatives of log Q(a, y): in a, twice in a, minus in log y, and of that one in a."""

    slope: np.ndarray
    curvature: np.ndarray
    hazard: np.ndarray
    hazard_slope: np.ndarray


def log_gamma_tail(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return log Q(a, y) for arrays of one shape (n,), a > 0 and y >= 0."""
    with np.errstate(all="ignore"):
        tail = special.gammaincc(a, y)
        value = np.where(tail > 0.5, np.log1p(-special.gammainc(a, y)), np.log(tail))
    far = (tail < _FLOOR) & np.isfinite(y)
    if far.any():
        af, yf = a[far], y[far]
        value[far] = af * np.log(yf) - yf - special.gammaln(af) + _moments(af, yf)[0]
    return value


def gamma_tail(a: np.ndarray, y: np.ndarray) -> GammaTail:
    """Return the derivatives of log Q(a, y) for arrays of one shape (n,), a > 0 and y >= 0."""
    out = GammaTail(*(np.zeros(len(y)) for _ in range(4)))
    near = (y < 1) | (y < a / 2)
    for branch, chosen in ((_by_series, near & (y > 0)), (_by_quadrature, ~near)):
        places = np.flatnonzero(chosen)
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            for whole, part in zip(out, branch(a[block], y[block]), strict=True):
                whole[block] = part
    return out


def _by_quadrature(a: np.ndarray, y: np.ndarray) -> GammaTail:
    log_total, mean, variance = _moments(a, y)
    slope = np.log1p((y - a) / a) + log_minus_digamma(a) + mean
    hazard = np.exp(-log_total)
    return GammaTail(slope, variance - (1 + trigamma_excess(a)) / a, hazard, -hazard * mean)


def _moments(a: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log of the integral of exp{a w - y (e^w - 1)} over w >= 0, mean and variance of w."""
    mode = np.maximum(np.log(a / y), 0.0)
    peak = a * mode - y * np.expm1(mode)
    # to the right the exponent falls by s v + m (e^v - 1 - v), to the left by a (e^-u - 1 + u)
    s, m = np.maximum(y - a, 0.0), np.maximum(a, y)
    right = 2 * _DROP / (s + np.sqrt(s * s + 2 * _DROP * m))
    right = np.minimum(right, np.log1p(right + _DROP / m))
    low = np.maximum(mode - np.sqrt(_DROP / (0.35 * a)), 0.0)
    half = (mode + right - low) / 2
    w = low + half * (1 + _NODES[:, None])
    mass = _WEIGHTS[:, None] * np.exp((a - y) * w - y * (np.expm1(w) - w) - peak)
    total = mass.sum(axis=0)
    mean = (mass * w).sum(axis=0) / total
    variance = (mass * (w - mean) ** 2).sum(axis=0) / total
    return peak + np.log(half * total), mean, variance


def _by_series(a: np.ndarray, y: np.ndarray) -> GammaTail:
    term, harmonic, square = np.ones_like(y), np.zeros_like(y), np.zeros_like(y)
    s0, s1, s2 = np.ones_like(y), np.zeros_like(y), np.zeros_like(y)
    for j in range(1, _TERMS):
        unit = 1 / (a + j)
        term = term * (y * unit)
        harmonic, square = harmonic + unit, square + unit * unit
        s0, s1, s2 = s0 + term, s1 + term * harmonic, s2 + term * (harmonic**2 + square)
    log_y = np.log(y)
    front = np.exp(a * log_y - y - special.gammaln(a + 1))
    c = log_y - special.digamma(a + 1)
    q = special.gammaincc(a, y)
    p1 = front * (c * s0 - s1)
    p2 = front * ((c * c - special.polygamma(1, a + 1)) * s0 - 2 * c * s1 + s2)
    slope = -p1 / q
    hazard = a * front / q
    hazard_slope = hazard * (c + 1 / a - slope)
    return GammaTail(slope, -p2 / q - slope**2, hazard, hazard_slope)
