"""Differences of special functions that lose all their digits when taken as they read.

Each has a direct branch where nothing cancels, and a series beyond it. Checked against mpmath.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special

__all__ = [
    "ATANH",
    "STIRLING",
    "GammaTail",
    "bessel_gap",
    "bessel_slope",
    "curvature_ratio",
    "digamma_gaps",
    "gamma_gap",
    "gamma_tail",
    "gap_ratio",
    "log1p_gap",
    "log_gamma_tail",
    "log_minus_digamma",
    "log_rising",
    "trigamma_excess",
]

# Beyond it nine terms of Stirling's series are exact to rounding.
_LARGE = 10.0
# Bernoulli numbers B_2, B_4, ..., B_18.
_BERNOULLI = np.array(
    [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798]
)
_TWICE = 2.0 * np.arange(1, len(_BERNOULLI) + 1)
STIRLING = _BERNOULLI / (_TWICE * (_TWICE - 1))
_DIGAMMA = _BERNOULLI / _TWICE
_DIGAMMA_LIST, _BERNOULLI_LIST = _DIGAMMA.tolist(), _BERNOULLI.tolist()
_STIRLING_LIST, _FEW = STIRLING.tolist(), 4
# atanh(r) = r + r^3 / 3 + ...: 1/3, 1/5, ..., enough for |r| <= 1/3; nine do for |r| <= 0.1
ATANH = 1 / np.arange(3.0, 41.0, 2.0)
_ATANH = ATANH[:9]
_NEAR = 0.18


def _horner(coefficients: np.ndarray, z: Any) -> Any:
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = total * z + coefficient
    return total


def _split(a: Any, large: float) -> tuple[np.ndarray, bool, bool]:
    """Return a as an array, and whether some of it is small, and some large."""
    a = np.asarray(a, dtype=np.float64)
    far = a >= large
    return a, not far.all(), bool(far.any())


def _choose(a: np.ndarray, large: float, direct: Any, series: Any) -> np.ndarray:
    """Return `direct` below `large` and `series` from there on, evaluating only what is needed."""
    a, some_small, some_large = _split(a, large)
    if not some_large:
        return np.asarray(direct(a))
    if not some_small:
        return np.asarray(series(a))
    return np.where(a >= large, series(np.maximum(a, large)), direct(np.minimum(a, large)))


def log1p_gap(u: Any, grown: Any = None) -> np.ndarray:
    """Return u - log(1 + u), for u > -1; near zero about u^2 / 2.

    `grown` is 1 + u where the caller knows it better than the sum would: close to u = -1.
    """
    u = np.asarray(u, dtype=np.float64)
    near = np.abs(u) < _NEAR
    if not near.any():
        return np.asarray(u - (np.log1p(u) if grown is None else np.log(grown)))
    # u = 2 r / (1 - r) and log(1 + u) = 2 atanh(r)
    small = u if near.all() else np.where(near, u, 0.0)
    r = small / (2 + small)
    square = r * r
    gap = r * (small - 2 * square * _horner(_ATANH, square))
    if near.all():
        return np.asarray(gap)
    return np.where(near, gap, u - (np.log1p(u) if grown is None else np.log(grown)))


def _few(function: Any, a: Any) -> np.ndarray | None:
    """Return values of a function of floats where there are few, and all inside its domain.

    For one column of a table plain floats take a third of the time of arrays of one.
    """
    a = np.asarray(a, dtype=np.float64)
    if a.size > _FEW:
        return None
    try:
        return np.array([function(x) for x in a.ravel().tolist()]).reshape(a.shape)
    except (ValueError, OverflowError, ZeroDivisionError):  # zero, infinity
        return None


def gamma_gap(a: Any) -> np.ndarray:
    """Return log Gamma(a) - a log a + a, for a > 0; for large a about log(2 pi / a) / 2."""

    def series(a: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 * np.log(2 * np.pi / a) + _horner(STIRLING, a**-2.0) / a)

    few = _few(_gamma_gap, a)
    if few is not None:
        return few
    return _choose(a, _LARGE, lambda a: special.gammaln(a) - special.xlogy(a, a) + a, series)


def log_minus_digamma(a: Any) -> np.ndarray:
    """Return log a - digamma(a), for a > 0; for large a about 1 / (2 a)."""

    def series(a: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 / a + _horner(_DIGAMMA, a**-2.0) * a**-2.0)

    few = _few(lambda x: digamma_gaps(x)[0], a)
    if few is not None:
        return few
    return _choose(a, _LARGE, lambda a: np.log(a) - special.digamma(a), series)


def trigamma_excess(a: Any) -> np.ndarray:
    """Return a trigamma(a) - 1, for a > 0; for large a about 1 / (2 a)."""

    def series(a: np.ndarray) -> np.ndarray:
        return np.asarray(0.5 / a + _horner(_BERNOULLI, a**-2.0) * a**-2.0)

    few = _few(lambda x: digamma_gaps(x)[1], a)
    if few is not None:
        return few
    return _choose(a, _LARGE, lambda a: a * special.zeta(2.0, a) - 1, series)


def _gamma_gap(a: float) -> float:
    if a < _LARGE:
        return math.lgamma(a) - a * math.log(a) + a
    z, total = 1 / (a * a), _STIRLING_LIST[-1]
    for k in range(len(_STIRLING_LIST) - 2, -1, -1):
        total = total * z + _STIRLING_LIST[k]
    return 0.5 * math.log(2 * math.pi / a) + total / a


def digamma_gaps(a: float) -> tuple[float, float]:
    """Return log a - digamma(a) and a trigamma(a) - 1 of one number."""
    if a < _LARGE:
        return math.log(a) - float(special.digamma(a)), a * float(special.zeta(2.0, a)) - 1
    z = 1 / (a * a)
    first, second = _DIGAMMA_LIST[-1], _BERNOULLI_LIST[-1]
    for k in range(len(_DIGAMMA_LIST) - 2, -1, -1):
        first, second = first * z + _DIGAMMA_LIST[k], second * z + _BERNOULLI_LIST[k]
    return 0.5 / a + first * z, 0.5 / a + second * z


def _gap_series(n_terms: int) -> np.ndarray:
    """Return the coefficients of 1 - I_1(k) / I_0(k) in 1/k, from those of the two functions."""

    def bessel(order: int) -> list[float]:
        terms = [1.0]
        for j in range(1, n_terms):
            terms.append(-terms[-1] * (4 * order**2 - (2 * j - 1) ** 2) / (8 * j))
        return terms

    zero, one = bessel(0), bessel(1)
    gap: list[float] = []
    for j in range(n_terms):
        rest = sum(gap[i] * zero[j - i] for i in range(j))
        gap.append(zero[j] - one[j] - rest)
    return np.array(gap[1:])


_BESSEL = 30.0
_GAP = _gap_series(20)
_SLOPE = _GAP * np.arange(1, len(_GAP) + 1)


def bessel_gap(k: Any) -> np.ndarray:
    """Return 1 - I_1(k) / I_0(k), for k >= 0; for large k about 1 / (2 k)."""

    def direct(k: np.ndarray) -> np.ndarray:
        return np.asarray(1 - special.i1e(k) / special.i0e(k))

    return _choose(k, _BESSEL, direct, lambda k: _horner(_GAP, 1 / k) / k)


def bessel_slope(k: Any) -> np.ndarray:
    """Return the derivative of I_1(k) / I_0(k), for k >= 0: 1/2 at zero, then about 1 / (2 k^2)."""

    def direct(k: np.ndarray) -> np.ndarray:
        ratio = special.i1e(k) / special.i0e(k)
        with np.errstate(invalid="ignore", divide="ignore"):
            per_k = np.where(k > 1e-8, ratio / k, 0.5)
        return np.asarray(1 - per_k - ratio**2)

    return _choose(k, _BESSEL, direct, lambda k: _horner(_SLOPE, 1 / k) / k**2)


# The logarithm of the regularized upper incomplete gamma function, with its derivatives.
#
# Those in the shape are not in scipy. With W = log(T / y) and T a gamma variable beyond y, they are
#
#     d log Q / da = log y - digamma(a) + E W,    d^2 log Q / da^2 = Var W - trigamma(a),
#
# and the moments of W come from Gauss-Legendre quadrature of exp{a w - y (e^w - 1)} over the part
# of w >= 0 that counts. Where y is small the lower function's power series is taken instead, whose
# terms are all positive: it keeps its digits as Q tends to one.

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


# The part of the negative binomial log-likelihood that binds counts to the dispersion.
#
# .. math:: L(x, \alpha) = \sum_{j<x} \log(1 + j\alpha)
#
# It equals log Gamma(x + k) - log Gamma(k) - x log k at alpha = 1 / k, but keeps its digits as k
# grows, and exists at alpha = 0, the Poisson limit. The first terms are summed as they stand; the
# rest is Euler and Maclaurin's formula, an integral with Stirling's corrections.

_DIRECT = 16  # terms summed as they stand; beyond them Stirling's six corrections are exact
_STIRLING = tuple(zip((1, 3, 5, 7, 9, 11), STIRLING[:6].tolist(), strict=True))


def _series(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1/3 + y/5 + y^2/7 + ... and its derivative, by Horner's rule."""
    value, slope = np.zeros_like(y), np.zeros_like(y)
    for coefficient in ATANH[::-1]:
        slope = slope * y + value
        value = value * y + coefficient
    return value, slope


def gap_ratio(u: np.ndarray) -> np.ndarray:
    """Return (log(1 + u) - u) / u^2, for u >= 0; -1/2 at zero."""
    near = np.minimum(u, 1.0)
    r = near / (2 + near)
    series = -1 / (2 + near) + 2 * near / (2 + near) ** 3 * _series(r * r)[0]
    far = np.maximum(u, 1.0)
    return np.where(u < 1, series, (np.log1p(far) - far) / far / far)


def curvature_ratio(u: np.ndarray) -> np.ndarray:
    """Return the derivative of `gap_ratio`; 1/3 at zero."""
    near = np.minimum(u, 1.0)
    r = near / (2 + near)
    value, slope = _series(r * r)
    series = 1 / (2 + near) ** 2 + (4 - 4 * near) / (2 + near) ** 4 * value
    series = series + 8 * near * r / (2 + near) ** 5 * slope
    far = np.maximum(u, 1.0)
    return np.where(u < 1, series, -(1 / (1 + far) + 2 * gap_ratio(far)) / far)


def log_rising(x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L(x, alpha) and its first two derivatives in alpha.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Counts.
    alpha : ndarray of shape (d,)
        Dispersions >= 0.

    Returns
    -------
    value, slope, curvature : ndarray of shape (n, d)
        To a few rounding errors of each.
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(alpha))
    value, slope, curvature = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    top = np.max(x, initial=0.0)
    for j in range(1, int(min(_DIRECT, top))):
        above = x > j
        share = j / (1 + j * alpha)
        value += above * np.log1p(j * alpha)
        slope += above * share
        curvature -= above * share**2
    if top > _DIRECT:
        ends = _integrated(np.maximum(x, float(_DIRECT)), alpha)
        starts = _integrated(np.full(np.shape(alpha), float(_DIRECT)), alpha)
        value, slope, curvature = (
            part + end - begin
            for part, end, begin in zip((value, slope, curvature), ends, starts, strict=True)
        )
    return value, slope, curvature


def _integrated(t: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the integral of log(1 + j alpha) to t with corrections, and its derivatives."""
    u = t * alpha
    one, log = 1 + u, np.log1p(u)
    share, w = t / one, alpha / one
    s0, s1, s2 = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for power, factor in _STIRLING:
        s0 += factor * w**power
        s1 += factor * power * w ** (power - 1)
        if power > 1:
            s2 += factor * power * (power - 1) * w ** (power - 2)
    value = t * u * gap_ratio(u) + t * log - log / 2 + s0
    slope = -(t**2) * gap_ratio(u) - share / 2 + s1 / one**2
    curvature = -(t**3) * curvature_ratio(u) + share**2 / 2
    return value, slope, curvature + s2 / one**4 - 2 * t * s1 / one**3
