"""Extreme-value families: the location in closed form, the scale by Newton in one dimension."""

import math

import numpy as np

from skgm.inference.families._base import Params
from skgm.inference.families._location_scale import (
    KernelMeans,
    LocationScaleFamily,
    location_and_scale,
    one_dimension,
)
from skgm.inference.families._statistics import Rows

__all__ = [
    "EULER",
    "ExtremeValueFamily",
    "Gumbel",
    "GumbelMin",
    "scale_from_series",
    "tilted_series",
]

EULER = np.euler_gamma
_MAX_ITERATIONS = 200
# Newton squares the error of log(1 / scale): a step below this leaves one below rounding.
_LAST = 1e-8
_LONGEST = 3.0
_LONG = 500  # rows from which on columns are searched one by one
_ENOUGH = 4096  # rows that moments need for a start


class ExtremeValueFamily(LocationScaleFamily):
    r"""Family of largest (sign = -1) or smallest (sign = 1) extreme values.

    .. math:: g(z) = y - e^{y}, \quad y = \text{sign} \cdot z

    Notes
    -----
    With kappa = 1 / scale, the score of the scale is zero where kappa D(kappa) = 1; D is the
    mean of y under weights exp(kappa y) less its plain mean (or, with the location held, the mean
    of y (exp(kappa y) - 1)), which rises with kappa. In logarithms that equation is nearly
    straight, and Newton's method meets it from any start.
    """

    sign: float

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return y - exp(y), y = sign * z, and its derivatives in z."""
        y = z if self.sign > 0 else -z
        with np.errstate(over="ignore"):
            e = np.exp(y)
        return y - e, (1 - e if self.sign > 0 else e - 1), -e

    def means(
        self, statistics: Rows, params: Params, location: np.ndarray, scale: np.ndarray
    ) -> KernelMeans:
        """Return the means over rows of the kernel and its derivatives, from three of exp(y)."""
        weight, n, sign = statistics.weight, statistics.n, self.sign
        X, location, scale = one_dimension(statistics.X, location, scale)
        y = X - location if sign > 0 else location - X
        y /= scale
        plain = weight.dot(y) / n
        e = np.exp(y)
        zero = weight.dot(e) / n
        e *= y
        one = weight.dot(e) / n
        e *= y
        two = weight.dot(e) / n
        return KernelMeans(plain - zero, sign * (1 - zero), plain - one, -zero, -sign * one, -two)

    def unit_information(self, params: Params) -> np.ndarray:
        """Return [[1, sign (1 - g)], [., pi^2/6 + (1 - g)^2]], g being Euler's constant."""
        cross = self.sign * (1 - EULER)
        return np.array([[1.0, cross], [cross, np.pi**2 / 6 + cross**2]])

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return exp(-exp(-z)) of largest values, 1 - exp(-exp(z)) of smallest ones."""
        with np.errstate(over="ignore"):
            tail = np.exp(self.sign * z)
            return -np.expm1(-tail) if self.sign > 0 else np.exp(-tail)

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        tail = np.exp(self.sign * self._standardize(X, params)[0])
        rest = np.log(-np.expm1(-tail))
        return (rest, -tail) if self.sign > 0 else (-tail, rest)

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        return -self.sign * rng.gumbel(size=size)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the estimate by moments, of some of the rows where these are many."""
        X, weight = statistics.X, statistics.weight
        if len(X) > 2 * _ENOUGH:
            every = len(X) // _ENOUGH
            X, weight = X[::every], weight[::every]
        start = self._moments(X, weight)
        if X is statistics.X or (start[1] > 0).all():
            return self.from_location_scale(*start)
        return self.from_location_scale(*self._moments(statistics.X, statistics.weight))

    def _moments(self, X: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return location and scale with the mean and standard deviation of the rows."""
        total = weight.sum()
        mean = weight @ X / total
        deviation = X - mean
        deviation *= deviation
        scale = np.sqrt(weight @ deviation * (6 / np.pi**2 / total))
        return mean + self.sign * EULER * scale, scale

    def estimate(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the maximum-likelihood estimate."""
        scale = self.location_scale(self.start(statistics))[1]
        return self.from_location_scale(*self._search_both(statistics, scale))

    def _search(
        self, statistics: Rows, null: Params, near: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        location, scale = self.location_scale(null)
        no_location, no_scale = np.isnan(location), np.isnan(scale)
        shape = statistics.X.shape[1:]
        if no_location.all() and no_scale.all():
            return self._search_both(
                statistics, np.broadcast_to(self.location_scale(near)[1], shape)
            )
        top, y, weight = self._from_top(statistics)
        if no_scale.any():
            u = -np.log(self.location_scale(near)[1])
            start, scale = scale, np.exp(-u)
            if no_location.all():
                scale = np.exp(-_free_location(y, weight, u))
            elif not no_location.any():
                scale = np.exp(-_held_location(y, weight, u, self.sign * (top - location)))
            else:
                free = _free_location(y, weight, u)
                held = _held_location(y, weight, u, self.sign * (top - np.nan_to_num(location)))
                scale = np.exp(-np.where(no_location, free, held))
            scale = np.where(no_scale, scale, start)
        if no_location.any():
            found = top + self.sign * scale * np.log(weight @ np.exp(y / scale))
            location = np.where(no_location, found, location)
        return np.broadcast_to(location, shape), np.broadcast_to(scale, shape)

    def _from_top(self, statistics: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the extreme rows, the others from there, and weights that sum to one."""
        top = statistics.X.max(axis=0) if self.sign > 0 else statistics.X.min(axis=0)
        # the largest is zero: exponentials do not overflow
        y = statistics.X - top if self.sign > 0 else top - statistics.X
        return top, y, statistics.weight / statistics.n

    def _search_both(self, statistics: Rows, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return location and scale, both free: one column, or long ones, by series."""
        X, weight = statistics.X, statistics.weight
        found: list[tuple[float, float] | None] = [None]
        if X.shape[1] == 1 or len(X) >= _LONG:
            top = X.max(axis=0) if self.sign > 0 else X.min(axis=0)
            columns = X.T if X.shape[1] == 1 else np.ascontiguousarray(X.T)
            starts = zip(columns, top.tolist(), (1 / scale).tolist())
            found = [scale_from_series(x, weight, t, self.sign, kappa) for x, t, kappa in starts]
        pairs = [pair for pair in found if pair is not None]
        if len(pairs) == X.shape[1]:
            kappa, height = np.array(pairs).T
            return top + self.sign * height / kappa, 1 / kappa
        top, y, weight = self._from_top(statistics)
        scale = np.exp(-_free_location(y, weight, -np.log(scale)))
        return top + self.sign * scale * np.log(weight @ np.exp(y / scale)), scale


def _free_location(y: np.ndarray, weight: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return log(1 / scale) where the scale's score is zero, the location following."""
    mean = weight @ y
    for _ in range(_MAX_ITERATIONS):
        kappa = np.exp(u)
        e = np.exp(y * kappa)
        total = weight @ e
        e *= y
        tilted = weight @ e / total
        e *= y
        distance = tilted - mean
        slope = 1 + kappa * (weight @ e / total - tilted**2) / distance
        step = -(u + np.log(distance)) / slope
        u = u + np.clip(step, -_LONGEST, _LONGEST)
        if (np.abs(step) < _LAST).all():
            break
    return u


def _held_location(y: np.ndarray, weight: np.ndarray, u: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Return log(1 / scale) where the scale's score is zero, y + top being held."""
    y = y + top
    mean = weight @ y
    for _ in range(_MAX_ITERATIONS):
        kappa = np.exp(u)
        shift = np.maximum(kappa * top, 0.0)
        e = np.exp(y * kappa - shift)
        e *= y
        excess = weight @ e - np.exp(-shift) * mean
        e *= y
        slope = 1 + kappa * (weight @ e) / excess
        step = -(u + shift + np.log(excess)) / slope
        u = u + np.clip(step, -_LONGEST, _LONGEST)
        if (np.abs(step) < _LAST).all():
            break
    return u


# The Gumbel families of maxima and minima.


class Gumbel(ExtremeValueFamily):
    r"""Gumbel distribution of maxima with location and scale, per column.

    .. math:: \log p(x) = -z - e^{-z} - \log s, \quad z = (x - m) / s
    """

    name = "gumbel"
    aliases = ("gumbel_r",)
    equivariance = "location-scale"
    parameters = location_and_scale()
    sign, unit_mean = -1.0, EULER


class GumbelMin(ExtremeValueFamily):
    r"""Gumbel distribution of minima with location and scale, per column.

    .. math:: \log p(x) = z - e^{z} - \log s, \quad z = (x - m) / s
    """

    name = "gumbel_min"
    aliases = ("gumbel_l",)
    equivariance = "location-scale"
    parameters = location_and_scale()
    sign, unit_mean = 1.0, -EULER


# One column of extreme values: Newton's method on a Taylor series, from one pass over the rows.
#
# With c_j the mean of exp(kappa y) (kappa y)^j / j!, the mean of exp(kappa (1 + t) y) is the
# series of c_j t^j. Its terms fall like (t / 2)^j, so that a series made two percent away from
# the estimate gives it to rounding, and an end of an interval of a thousand rows nearly so.

# Terms of a series: for the search among some of the rows, for many rows, for few.
_ORDER_OF_SOME, _ORDER_OF_MANY, _ORDER = 6, 7, 10
_MAX_SERIES, _MAX_STEPS = 30, 20
_LONGEST_STEP, _NEAR = (
    3.0,
    0.3,
)  # steps in log kappa: of the search, and those that a series may make
_CHUNK = 2**13  # values whose temporaries stay in the cache, and off fresh memory pages
# Where there are more rows than _MANY, some of them tell where the one series is made.
_MANY, _SOME = 30_000, 2**14
_LAST_TERM, _ROUGH = 1e-13, 1e-4  # what the first missing term may add to the equation


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
        return _search(x, weight, top, sign, kappa, order, _LAST_TERM)
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
        v += min(max(step, -_LONGEST_STEP), _LONGEST_STEP)
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
