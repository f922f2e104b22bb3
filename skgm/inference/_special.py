"""Differences of special functions that lose all their digits when taken as they read.

Each has a direct branch where nothing cancels, and a series beyond it. Checked against mpmath.
"""

import math
from typing import Any

import numpy as np
from scipy import special

__all__ = [
    "ATANH",
    "STIRLING",
    "bessel_gap",
    "bessel_slope",
    "digamma_gaps",
    "gamma_gap",
    "log1p_gap",
    "log_minus_digamma",
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
