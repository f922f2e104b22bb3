"""Log-likelihoods of right-censored rows: log f where the event was seen, log S where not.

Each law gives its value, slopes and curvatures per row in closed form; parameters are arrays (d,)
in the order of the family's, events e are 1 or 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from skgm._numerics.special import gamma_tail, log_gamma_tail, log_minus_digamma, trigamma_excess

__all__ = [
    "LAWS",
    "CensoredLaw",
    "CensoredRows",
    "check_event",
]


# Rows and which of their entries are right-censored, as statistics.


@dataclass(frozen=True)
class CensoredRows:
    """The rows, their weights and their events; merged by putting them one after the other.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    X : ndarray of shape (m, d)
        The rows: the time of the event, or the time at which it had not happened yet.
    weight : ndarray of shape (m,)
        Their weights.
    event : ndarray of shape (m, d)
        1 where the event was observed at X, 0 where it is only known to come after X.
    """

    n: float
    X: np.ndarray
    weight: np.ndarray
    event: np.ndarray

    @classmethod
    def from_chunk(
        cls, X: np.ndarray, event: np.ndarray, weight: np.ndarray | None = None
    ) -> "CensoredRows":
        """Keep the rows of X, (m, d), with their events (m, d) and weights."""
        X, event = np.array(X, dtype=np.float64), np.array(event, dtype=np.float64)
        weight = np.ones(len(X)) if weight is None else np.array(weight, dtype=np.float64)
        return cls(float(weight.sum()), X, weight, event)

    def __add__(self, other: "CensoredRows") -> "CensoredRows":
        X, event = np.concatenate([self.X, other.X]), np.concatenate([self.event, other.event])
        weight = np.append(self.weight, other.weight)
        return CensoredRows(self.n + other.n, X, weight, event)

    def column(self, j: int) -> "CensoredRows":
        """Return the rows of one column."""
        return CensoredRows(self.n, self.X[:, [j]], self.weight, self.event[:, [j]])

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted mean of per-row values (m, ...) over rows."""
        return np.tensordot(self.weight, values, axes=1) / self.n


def check_event(event: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return events as an array of zeros and ones of that shape.

    Parameters
    ----------
    event : array-like of shape (n,) or (n, d)
        True or 1 where the event was observed, False or 0 where the value is a censoring time. One
        per row stands for all of its columns.
    shape : tuple of int
        Shape of the table, (n, d).

    Returns
    -------
    event : ndarray of shape (n, d)
        Floats.

    Raises
    ------
    ValueError
        Another shape, or values other than zero and one.
    """
    try:
        array = np.asarray(event, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "event must hold booleans, or zeros and ones: 1 where the value was observed, 0 where "
            f"it is a censoring time; got {event!r}."
        ) from error
    if array.shape == shape[:1]:
        array = array[:, None]
    if array.shape not in (shape, (shape[0], 1)):
        raise ValueError(
            f"event must have one entry per row, ({shape[0]},), or per value, {shape}; got shape "
            f"{array.shape}."
        )
    wrong = np.argwhere((array != 0) & (array != 1))
    if len(wrong):
        row = int(wrong[0][0])
        raise ValueError(
            "event must hold booleans, or zeros and ones: 1 where the value was observed, 0 where "
            f"it is a censoring time; got {array[tuple(wrong[0])]:g} in row {row}."
        )
    return np.broadcast_to(array, shape).copy()


Rows = list[np.ndarray]
_FAR = 25.0
_SHAPE_STEPS, _SHAPE_LAST = 12, 1e-8  # Newton squares the error
# Gauss-Legendre in standard normal units of time, from where nothing has happened yet
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_EARLY, _LATE = -9.0, 37.0
_BLOCK_VALUES = 2**18
# x (M(x) - x) - 1 in powers of 1/x^2, M being the inverse of Mills's ratio
_MILLS = (-2.0, 10.0, -74.0, 706.0, -8162.0, 110410.0)


class CensoredLaw(ABC):
    """Log-likelihood per row of one family, with derivatives, under right censoring.

    Attributes
    ----------
    constant_refused : bool
        Whether the likelihood is unbounded where all events fall on one value.
    """

    constant_refused = True

    @abstractmethod
    def start(self, rows: CensoredRows) -> Rows:
        """Return rough estimates, (d,) each; the estimate itself where there is one parameter."""

    def best_scale(self, rows: CensoredRows, theta: Rows) -> np.ndarray | None:
        """Return the second parameter that is about best for the first, (d,), where one is known.

        Far from it the likelihood is flat or steep, and a search has nothing to go by.
        """
        return None

    @abstractmethod
    def value(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> np.ndarray:
        """Return log-likelihoods, (m, d)."""

    @abstractmethod
    def slopes(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        """Return derivatives in each parameter, (m, d) each."""

    @abstractmethod
    def curvatures(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        """Return second derivatives, (m, d) each: the lower triangle by rows."""

    @abstractmethod
    def predictable(self, X: np.ndarray, theta: Rows) -> Rows:
        """Return integrals of u u' h over time from 0 to X, (m, d) each: the lower triangle.

        h is the hazard and u the derivative of its logarithm.
        """


class _Exponential(CensoredLaw):
    constant_refused = False

    def start(self, rows: CensoredRows) -> Rows:
        """Return events per total time: the maximum-likelihood estimate."""
        return [rows.mean(rows.event) / rows.mean(rows.X)]

    def value(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> np.ndarray:
        """Return e log(rate) - rate x."""
        return e * np.log(theta[0]) - theta[0] * X

    def slopes(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        """Return e / rate - x."""
        return [e / theta[0] - X]

    def curvatures(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        """Return -e / rate^2."""
        return [-e / theta[0] ** 2]

    def predictable(self, X: np.ndarray, theta: Rows) -> Rows:
        """Return x / rate."""
        return [X / theta[0]]


class _Weibull(CensoredLaw):
    """With z = shape log(x / scale): e (log shape - log x + z) - exp(z)."""

    def start(self, rows: CensoredRows) -> Rows:
        """Return the estimate: the shape by Newton's method from the spread of log x.

        With the best scale for it, the likelihood of the shape k is concave in log k, and its slope
        1 / k + (mean of log x over events) - (mean of log x weighted by x^k).
        """
        log = np.log(rows.X)
        shape = np.pi / np.sqrt(6 * _spread(rows, log))
        log = log - log.max(axis=0)
        with np.errstate(all="ignore"):  # columns without an event are refused later
            goal = rows.mean(rows.event * log) / rows.mean(rows.event)
            for _ in range(_SHAPE_STEPS):
                power = np.exp(shape * log)
                total, mean = rows.mean(power), rows.mean(power * log)
                mean, square = mean / total, rows.mean(power * log * log) / total
                step = (1 / shape + goal - mean) / (1 / shape**2 + square - mean**2) / shape
                shape = shape * np.exp(np.clip(np.nan_to_num(step), -1, 1))
                if not (np.abs(step) > _SHAPE_LAST).any():
                    break
            return [shape, self.best_scale(rows, [shape])]

    def best_scale(self, rows: CensoredRows, theta: Rows) -> np.ndarray:
        """Return (sum of x^shape / number of events)^(1 / shape)."""
        log = np.log(rows.X)
        top = log.max(axis=0)
        mean_power = rows.mean(np.exp(theta[0] * (log - top))) / rows.mean(rows.event)
        return np.asarray(np.exp(top + np.log(mean_power) / theta[0]))

    def value(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> np.ndarray:
        log = np.log(X)
        z = theta[0] * (log - np.log(theta[1]))
        return e * (np.log(theta[0]) - log + z) - np.exp(z)

    def slopes(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        shape, scale = theta
        z = shape * (np.log(X) - np.log(scale))
        power = np.exp(z)
        return [(e * (1 + z) - z * power) / shape, (power - e) * shape / scale]

    def curvatures(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        shape, scale = theta
        z = shape * (np.log(X) - np.log(scale))
        power = np.exp(z)
        return [
            -(e + z * z * power) / shape**2,
            (power * (1 + z) - e) / scale,
            (e - power * (1 + shape)) * shape / scale**2,
        ]

    def predictable(self, X: np.ndarray, theta: Rows) -> Rows:
        """Return the second derivatives, negated, with exp(z) in the place of e."""
        shape, scale = theta
        z = shape * (np.log(X) - np.log(scale))
        power = np.exp(z)
        return [power * (1 + z * z) / shape**2, -z * power / scale, power * (shape / scale) ** 2]


class _ByQuadrature(CensoredLaw):
    """A law whose predictable information has no closed form."""

    @abstractmethod
    def to_normal(self, X: np.ndarray, theta: Rows) -> np.ndarray:
        """Return the times at which a standard normal variable is as unlikely to last, (m, d)."""

    @abstractmethod
    def from_normal(self, z: np.ndarray, theta: Rows) -> np.ndarray:
        """Return the inverse of `to_normal`."""

    def predictable(self, X: np.ndarray, theta: Rows) -> Rows:
        """Return the integrals over the normal variable z of which t is a function.

        Both have the same cumulative hazard, so that h dt is the normal hazard times dz.
        """
        size = max(_BLOCK_VALUES // (len(_NODES) * X.shape[1]), 1)
        blocks = [self._integrals(X[k : k + size], theta) for k in range(0, len(X), size)]
        return [np.concatenate(part) for part in zip(*blocks, strict=True)]

    def _integrals(self, X: np.ndarray, theta: Rows) -> Rows:
        top = np.clip(self.to_normal(X, theta), -_LATE, _LATE)
        half = (top - np.minimum(_EARLY, top - 2)) / 2
        z = np.reshape(top - half * (1 - _NODES[:, None, None]), (-1, X.shape[1]))
        t = np.maximum(self.from_normal(z, theta), np.finfo(np.float64).tiny)
        slopes = (self.slopes(t, np.full(t.shape, e), theta) for e in (1.0, 0.0))
        u = [density - tail for density, tail in zip(*slopes, strict=True)]
        rise, many = _mills(z)[0], (len(_NODES), *X.shape)
        parts = [np.reshape(u[i] * u[j] * rise, many) for i, j in zip(*np.tril_indices(len(u)))]
        return [half * np.tensordot(_WEIGHTS, part, axes=1) for part in parts]


class _Lognormal(_ByQuadrature):
    """With z = (log x - mu) / sigma: log phi(z) - log(sigma x) or log Phi(-z)."""

    def start(self, rows: CensoredRows) -> Rows:
        """Return mean and deviation of log x after one step of the EM algorithm."""
        log = np.log(rows.X)
        mu, sigma = rows.mean(log), np.sqrt(_spread(rows, log))
        hazard, _ = _mills((log - mu) / sigma)
        filled = np.where(rows.event == 1, log, mu + sigma * hazard)
        mu = rows.mean(filled)
        return [mu, np.sqrt(np.maximum(rows.mean((filled - mu) ** 2), sigma**2))]

    def value(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> np.ndarray:
        log = np.log(X)
        z = (log - theta[0]) / theta[1]
        seen = -0.5 * (z * z + np.log(2 * np.pi)) - np.log(theta[1]) - log
        return np.where(e == 1, seen, special.log_ndtr(-z))

    def slopes(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        mu, sigma = theta
        z = (np.log(X) - mu) / sigma
        pull = np.where(e == 1, z, _mills(z)[0])
        return [pull / sigma, (z * pull - e) / sigma]

    def curvatures(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        mu, sigma = theta
        z = (np.log(X) - mu) / sigma
        hazard, rise = _mills(z)
        pull, rise = np.where(e == 1, z, hazard), np.where(e == 1, 1.0, rise)
        return [
            -rise / sigma**2,
            -(pull + z * rise) / sigma**2,
            (e - z * (2 * pull + z * rise)) / sigma**2,
        ]

    def to_normal(self, X: np.ndarray, theta: Rows) -> np.ndarray:
        return (np.log(X) - theta[0]) / theta[1]

    def from_normal(self, z: np.ndarray, theta: Rows) -> np.ndarray:
        return np.exp(theta[0] + theta[1] * z)


class _Gamma(_ByQuadrature):
    """With y = x / scale: (a - 1) log y - y - log Gamma(a) - log scale, or log Q(a, y)."""

    def start(self, rows: CensoredRows) -> Rows:
        """Return the shape of the spread of log x, and a mean that allows for the censoring."""
        spread = _spread(rows, np.log(rows.X))
        shape = (1 + np.sqrt(1 + 4 * spread)) / (2 * spread)  # trigamma(a) is about 1/a + 1/a^2
        return [shape, self.best_scale(rows, [shape])]

    def best_scale(self, rows: CensoredRows, theta: Rows) -> np.ndarray:
        """Return the scale at which the share of events is expected by the mean time.

        Where most are events, the scale at which the mean time is expected.
        """
        share, mean = rows.mean(rows.event), rows.mean(rows.X)
        quantile = special.gammaincinv(theta[0], np.minimum(share, 0.5))
        return np.asarray(mean / np.where(share > 0.5, theta[0] * share, quantile))

    def value(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> np.ndarray:
        shape, scale = theta
        y = X / scale
        seen = (shape - 1) * np.log(y) - y - special.gammaln(shape) - np.log(scale)
        hidden, a_hidden, y_hidden = _hidden(e, shape, y)
        seen[hidden] = log_gamma_tail(a_hidden, y_hidden)
        return seen

    def slopes(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        shape, scale = theta
        y = X / scale
        in_shape = np.log(y / shape) + log_minus_digamma(shape)
        in_scale = y - shape
        hidden, a_hidden, y_hidden = _hidden(e, shape, y)
        tail = gamma_tail(a_hidden, y_hidden)
        in_shape[hidden], in_scale[hidden] = tail.slope, tail.hazard
        return [in_shape, in_scale / scale]

    def curvatures(self, X: np.ndarray, e: np.ndarray, theta: Rows) -> Rows:
        shape, scale = theta
        y = X / scale
        in_shape = np.broadcast_to(-(1 + trigamma_excess(shape)) / shape, y.shape).copy()
        mixed, in_scale = np.full(y.shape, -1.0), shape - 2 * y
        hidden, a_hidden, y_hidden = _hidden(e, shape, y)
        tail = gamma_tail(a_hidden, y_hidden)
        in_shape[hidden], mixed[hidden] = tail.curvature, tail.hazard_slope
        in_scale[hidden] = -tail.hazard * (1 + a_hidden - y_hidden + tail.hazard)
        return [in_shape, mixed / scale, in_scale / scale**2]

    def to_normal(self, X: np.ndarray, theta: Rows) -> np.ndarray:
        below, above = (f(theta[0], X / theta[1]) for f in (special.gammainc, special.gammaincc))
        return np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))

    def from_normal(self, z: np.ndarray, theta: Rows) -> np.ndarray:
        late, share = z > 0, special.ndtr(-np.abs(z))
        early = special.gammaincinv(theta[0], np.where(late, 0.5, share))
        return theta[1] * np.where(
            late, special.gammainccinv(theta[0], np.where(late, share, 0.5)), early
        )


def _hidden(e: np.ndarray, shape: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return where the event is censored, with shapes and times there."""
    hidden = e == 0
    return hidden, np.broadcast_to(shape, y.shape)[hidden], y[hidden]


def _spread(rows: CensoredRows, log: np.ndarray) -> np.ndarray:
    """Return the variance of log x, one where it vanishes."""
    variance = rows.mean((log - rows.mean(log)) ** 2)
    return np.where(variance > 0, variance, 1.0)


def _mills(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal hazard phi(z) / Phi(-z) and its derivative."""
    with np.errstate(over="ignore"):
        hazard = np.sqrt(2 / np.pi) / special.erfcx(z / np.sqrt(2))
    far = z > _FAR
    excess = hazard - z
    if far.any():
        inverse = 1 / np.where(far, z, 1.0) ** 2
        excess = np.where(far, (1 + inverse * _horner(inverse)) / np.where(far, z, 1.0), excess)
    return hazard, hazard * excess


def _horner(u: np.ndarray) -> np.ndarray:
    total = np.full_like(u, _MILLS[-1])
    for coefficient in _MILLS[-2::-1]:
        total = total * u + coefficient
    return total


LAWS: Mapping[str, CensoredLaw] = {
    "exponential": _Exponential(),
    "weibull": _Weibull(),
    "lognormal": _Lognormal(),
    "gamma": _Gamma(),
}
