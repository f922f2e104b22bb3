"""One column of extreme values: Newton's method on a Taylor series, from one pass over the rows.

With c_j the mean of exp(kappa y) (kappa y)^j / j!, the mean of exp(kappa (1 + t) y) is the series
of c_j t^j. Its terms fall like (t / 2)^j, so that a series made two percent away from the estimate
gives it to rounding, and an end of an interval of a thousand rows nearly so.
"""

import math

import numpy as np

__all__ = ["scale_from_series", "tilted_series"]

# Terms of a series: for the search among some of the rows, for many rows, for few.
_ORDER_OF_SOME, _ORDER_OF_MANY, _ORDER = 6, 7, 10
_MAX_SERIES, _MAX_STEPS = 30, 20
_LONGEST, _NEAR = 3.0, 0.3  # steps in log kappa: of the search, and those that a series may make
_CHUNK = 2**13  # values whose temporaries stay in the cache, and off fresh memory pages
# Where there are more rows than _MANY, some of them tell where the one series is made.
_MANY, _SOME = 30_000, 2**14
_LAST, _ROUGH = 1e-13, 1e-4  # what the first missing term may add to the equation


def tilted_series(
    x: np.ndarray, weight: np.ndarray, top: float, sign: float, kappa: float, order: int = _ORDER
) -> list[float]:
    """Return c_0, ..., c_order, times the sum of the weights, of y = sign (x - top).

    Nothing as long as the rows is allocated: fresh memory costs more than the sums.
    """
    sums = np.zeros(order + 1)
    for start in range(0, len(x), _CHUNK):
        rows, share = x[start : start + _CHUNK], weight[start : start + _CHUNK]
        y = rows - top if sign > 0 else top - rows
        e = y * kappa
        np.exp(e, out=e)
        sums[0] += share @ e
        for j in range(1, order + 1):
            e *= y
            sums[j] += share @ e
    factor, series = 1.0, []
    for j, total in enumerate(sums.tolist()):
        series.append(total * factor)
        factor *= kappa / (j + 1)
    return series


def scale_from_series(
    x: np.ndarray, weight: np.ndarray, top: float, sign: float, kappa: float
) -> tuple[float, float] | None:
    """Return kappa where the scale's score is zero, the location following.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Rows.
    weight : ndarray of shape (n,)
        Their weights.
    top : float
        The largest row (sign = 1), or the smallest (sign = -1).
    sign : float
        Series are in y = sign (x - top), never positive, so that exponentials do not overflow.
    kappa : float
        Start.

    Returns
    -------
    kappa : float
        Where kappa (mean of y under weights exp(kappa y), less the plain mean) is one.
    log_mean : float
        Logarithm of the mean of exp(kappa y). None in the place of both where nothing is found.
    """
    order = _ORDER
    try:
        if len(x) > _MANY:
            every, order = len(x) // _SOME, _ORDER_OF_MANY
            some = np.ascontiguousarray(x[::every]), weight[::every].copy()
            kappa = _search(*some, top, sign, kappa, _ORDER_OF_SOME, _ROUGH)[0]
        return _search(x, weight, top, sign, kappa, order, _LAST)
    except (ArithmeticError, ValueError):  # a logarithm of zero or less, an overflow
        return None


def _search(
    x: np.ndarray,
    weight: np.ndarray,
    top: float,
    sign: float,
    kappa: float,
    order: int,
    tolerance: float,
) -> tuple[float, float]:
    total = float(weight.sum())
    mean = sign * (float(weight @ x) / total - top)
    for _ in range(_MAX_SERIES):
        series = tilted_series(x, weight, top, sign, kappa, order)
        t, sum_exp = _solve(series, kappa * mean)
        missing = (order + 1) * abs(series[-1] / series[0] * t**order)
        kappa *= 1 + t
        if missing < tolerance and abs(t) < _NEAR:
            return kappa, math.log(sum_exp / total)
    raise ArithmeticError("no scale within reach")


def _solve(series: list[float], middle: float) -> tuple[float, float]:
    """Return the t where (1 + t) (P'(t) / P(t) - middle) is one, and P(t); one step if far away.

    In log(1 + t) the logarithm of that equation is nearly straight.
    """
    v = t = 0.0
    for k in range(_MAX_STEPS):
        p, slope, turn = _expand(series, t)
        ratio = slope / p
        distance = ratio - middle
        rate = 1 + (1 + t) * (turn / p - ratio * ratio) / distance
        step = -(v + math.log(distance)) / rate
        v += min(max(step, -_LONGEST), _LONGEST)
        before, t = t, math.expm1(v)
        if abs(step) < 1e-8 or (k == 0 and abs(step) > _NEAR):
            break
    return t, p + slope * (t - before)


def _expand(series: list[float], t: float) -> tuple[float, float, float]:
    """Return the polynomial and its first two derivatives."""
    value, slope, half_turn = series[-1], 0.0, 0.0
    for coefficient in series[-2::-1]:
        half_turn = half_turn * t + slope
        slope = slope * t + value
        value = value * t + coefficient
    return value, slope, 2 * half_turn
