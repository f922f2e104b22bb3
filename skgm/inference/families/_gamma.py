"""The gamma family, and the statistics of positive columns."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from skgm._numerics.special import (
    digamma_gaps,
    gamma_gap,
    log1p_gap,
    log_gamma_tail,
    log_minus_digamma,
    trigamma_excess,
)
from skgm.inference.families._base import Parameter, Params, SpecialCase, reciprocal
from skgm.inference.families._natural import METHODS, NaturalFamily
from skgm.inference.families._statistics import check_not_constant, choose, reduce_chunks

__all__ = ["Gamma", "LogMoments"]

_TINY = np.finfo(np.float64).tiny
# Where log(mean) - mean(log) is smaller, the logarithms of the ratios to the mean cancel.
_SMALL_GAP = 1e-2
_BLOCK = 2**13
_MAX_STEPS = 60
_PLAIN = 600.0  # digamma values whose exponentials plain floats hold


@dataclass(frozen=True)
class LogMoments:
    """Number of rows, column means, and by how much mean logarithms fall short of their logs.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    mean : ndarray of shape (d,)
        Column means.
    gap : ndarray of shape (d,)
        log(mean) - mean(log x), never negative, accurate also where the spread is tiny.
    """

    n: float
    mean: np.ndarray
    gap: np.ndarray

    @classmethod
    def from_chunk(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "LogMoments":
        """Summarize positive rows X, (m, d), with their weights."""
        n = float(len(X) if weight is None else weight.sum())
        if weight is None and X.shape[1] == 1:
            mean_and_gap = _one_column(X[:, 0])
            if mean_and_gap is not None:
                return cls(n, *mean_and_gap)

        share = np.ones(len(X)) if weight is None else weight  # BLAS sums short rows faster
        X = np.ascontiguousarray(X)  # the same digits from any layout

        def mean_of(values: np.ndarray) -> np.ndarray:
            return np.asarray(share @ values / n)

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = mean_of(X)
            ratio = X / mean
            gap = -mean_of(np.log(ratio, out=ratio))
            close = np.flatnonzero(gap < _SMALL_GAP)
            if len(close):
                part = X if len(close) == X.shape[1] else X[:, close]
                u = (part - mean[close]) / mean[close]
                offset = mean_of(u)  # what rounding took from the mean
                gap[close] = np.maximum(mean_of(log1p_gap(u)) - log1p_gap(offset), 0)
                mean[close] *= 1 + offset
        return cls(n, mean, gap)

    def __add__(self, other: "LogMoments") -> "LogMoments":
        n = self.n + other.n
        with np.errstate(over="ignore", invalid="ignore"):
            mean = self.mean + (other.mean - self.mean) * (other.n / n)
            gap = np.zeros_like(mean)
            for part in (self, other):
                apart = log1p_gap((part.mean - mean) / mean, part.mean / mean)
                gap += (part.gap + apart) * (part.n / n)
        return LogMoments(n, mean, gap)

    @property
    def mean_log(self) -> np.ndarray:
        """Mean logarithms, (d,)."""
        return np.log(self.mean) - self.gap


def _one_column(x: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return mean and gap of one column, by blocks that stay in the cache; None if cancelling."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mean, total = float(np.add.reduce(x)) / len(x), 0.0
        for start in range(0, len(x), _BLOCK):
            ratio = x[start : start + _BLOCK] / mean
            total += float(np.add.reduce(np.log(ratio, out=ratio)))
    gap = -total / len(x)
    return (np.array([mean]), np.array([gap])) if gap >= _SMALL_GAP else None


def shape_from_gap(gap: np.ndarray) -> np.ndarray:
    """Return the shape a with log a - digamma(a) = gap, to rounding."""
    if gap.size == 1 and gap.flat[0] > 0:
        return np.array(_one_shape(float(gap.flat[0]))).reshape(gap.shape)
    a = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(_MAX_STEPS):
        found = log_minus_digamma(a)  # nearly a straight line on log-log paper
        step = np.log(found / gap) * found / trigamma_excess(a)
        a = a * np.exp(step)
        if not (np.abs(step) > 1e-8).any():  # Newton squares it; NaN stays NaN
            break
    return a


def _one_shape(gap: float) -> float:
    """Return the same for one number, in plain floats: a third of the time of arrays of one."""
    a = (3 - gap + math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap)
    for _ in range(_MAX_STEPS):
        found, excess = digamma_gaps(a)
        step = math.log(found / gap) * found / excess
        a *= math.exp(step)
        if abs(step) <= 1e-8:
            break
    return a


def shape_from_digamma(y: np.ndarray) -> np.ndarray:
    """Return the shape a with digamma(a) = y, to rounding."""
    if y.size <= 2 and (np.abs(y) < _PLAIN).all():
        return np.array([_one_inverse(value) for value in y.ravel().tolist()]).reshape(y.shape)
    with np.errstate(over="ignore", divide="ignore"):
        a = np.where(y >= -2.22, np.exp(y) + 0.5, -1 / (y + np.euler_gamma))
    for _ in range(_MAX_STEPS):
        step = (y - np.log(a) + log_minus_digamma(a)) / (1 + trigamma_excess(a))
        a = a * np.exp(np.clip(step, -2, 2))
        if not (np.abs(step) > 1e-8).any():
            break
    return a


def _one_inverse(y: float) -> float:
    """Return the same for one number, in plain floats."""
    a = math.exp(y) + 0.5 if y >= -2.22 else -1 / (y + np.euler_gamma)
    for _ in range(_MAX_STEPS):
        gap, excess = digamma_gaps(a)
        step = (y - math.log(a) + gap) / (1 + excess)
        a *= math.exp(min(max(step, -2.0), 2.0))
        if abs(step) <= 1e-8:
            break
    return a


class Gamma(NaturalFamily):
    r"""Gamma distribution with shape a and scale s, per column.

    .. math:: \log p(x) = (a - 1)\log x - x/s - \log\Gamma(a) - a\log s, \quad x > 0

    Notes
    -----
    Statistics, likelihood and standard errors are written in the ratio of x to the mean a s and
    in remainders of Stirling's series, so that a mean of 1e7 standard deviations (a shape of
    1e14) costs no digits. Constant columns have no estimate and are refused.

    References
    ----------
    T. P. Minka, "Estimating a Gamma distribution", Microsoft Research, 2002.
    """

    name = "gamma"
    special_cases = (SpecialCase("exponential", {"shape": 1.0}, {"scale": ("rate", reciprocal)}),)
    support = "positive"
    equivariance = "scale"
    parameters = (
        Parameter("shape", low=0.0, link="log", methods=METHODS, auto="rstar", aliases=("a",)),
        Parameter("scale", low=0.0, link="log", methods=METHODS, auto="rstar"),
    )
    statistics_type = LogMoments

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> LogMoments:
        """Return means and gaps of mean logarithms."""
        return reduce_chunks(LogMoments.from_chunk, X, weight)

    def cumulants(self, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return cumulants of (log x, x) at scale one: derivatives of log Gamma(a) - a log(b)."""
        a = np.asarray(params["shape"], dtype=np.float64)
        one = np.ones_like(a)
        tensors = [np.zeros((len(a),) + (2,) * order) for order in (2, 3, 4)]
        for order, tensor in enumerate(tensors, start=2):
            # one derivative in a and m in b: (m - 1)!; none in a and m in b: a (m - 1)!
            mixed = [one * math.factorial(m - 1) * (m == order - 1) for m in range(1, order)]
            values = [special.polygamma(order - 1, a), *mixed, a * math.factorial(order - 1)]
            for index in np.ndindex(*(2,) * order):
                tensor[(slice(None), *index)] = values[sum(index)]
        return tensors[0], tensors[1], tensors[2]

    def check_statistics(self, statistics: LogMoments, names: list[str]) -> None:
        """Raise for constant columns."""
        spread = np.sqrt(2 * statistics.gap)
        why = "the likelihood grows without bound as the shape grows"
        check_not_constant(self.name, spread, statistics.n, names, why)

    def estimate(self, statistics: LogMoments) -> dict[str, np.ndarray]:
        """Return the maximum-likelihood estimate."""
        shape = shape_from_gap(statistics.gap)
        return {"shape": shape, "scale": statistics.mean / shape}

    def restricted_estimate(self, statistics: LogMoments, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed."""
        mean, gap = statistics.mean, statistics.gap
        held_shape, held_scale = ~np.isnan(null["shape"]), ~np.isnan(null["scale"])
        if held_shape.all():
            shape = null["shape"] + np.zeros_like(mean)
        elif held_scale.all():
            alone = shape_from_digamma(np.log(mean / null["scale"]) - gap)
            shape = choose(null["shape"], alone)
        else:
            shape = shape_from_gap(gap)
            if held_scale.any():
                with np.errstate(invalid="ignore"):
                    alone = shape_from_digamma(np.log(mean / null["scale"]) - gap)
                shape = np.where(held_scale, alone, shape)
            shape = choose(null["shape"], shape)
        return {"shape": shape, "scale": choose(null["scale"], mean / shape)}

    def log_likelihood(self, statistics: LogMoments, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        shape = params["shape"]
        ratio, apart = _ratio(statistics.mean, params)
        fit = shape * (log1p_gap(apart, ratio) + statistics.gap) + gamma_gap(shape)
        return -statistics.n * (fit + statistics.mean_log)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf for x <= 0."""
        inside = X > 0
        x = np.where(inside, X, 1.0)
        ratio, apart = _ratio(x, params)
        gap = log1p_gap(apart, np.maximum(ratio, _TINY))
        tiny = ratio < _TINY  # the ratio underflows, its logarithm does not
        if tiny.any():
            log_ratio = np.log(x) - np.log(params["shape"]) - np.log(params["scale"])
            gap = np.where(tiny, apart - log_ratio, gap)
        fit = params["shape"] * gap + gamma_gap(params["shape"]) + np.log(x)
        return np.where(inside, -fit, -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the regularized incomplete gamma function of x / s, (n, d)."""
        return special.gammainc(params["shape"], np.maximum(X, 0) / params["scale"])

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        shape, y = np.broadcast_arrays(params["shape"], np.maximum(X, 0) / params["scale"])
        below = special.gammainc(shape, y)
        first = shape * np.log(y) - y - special.gammaln(shape + 1)  # below underflow
        return np.where(below > 1e-300, np.log(below), first), log_gamma_tail(shape, y)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log(x / s) - digamma(a) and (x / s - a) / s, (n, d, 2)."""
        return _scores(X, 0.0, params)

    def mean_score(self, statistics: LogMoments, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 2)."""
        return _scores(statistics.mean, statistics.gap, params)

    def information(self, params: Params) -> np.ndarray:
        """Return [[trigamma(a), 1/s], [1/s, a/s^2]], (d, 2, 2)."""
        shape, scale = params["shape"], params["scale"]
        return _symmetric(special.zeta(2.0, shape), 1 / scale, shape / scale**2)

    def observed_information(self, statistics: LogMoments, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, 2, 2)."""
        information = self.information(params)
        _, apart = _ratio(statistics.mean, params)
        information[..., 1, 1] *= 1 + 2 * apart
        return information

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return standard errors from the information's inverse, in closed form."""
        shape, scale = params["shape"], params["scale"]
        if np.shape(shape) == (1,):
            return _one_error(float(shape[0]), float(scale[0]), n)
        excess = trigamma_excess(shape)  # the determinant, times scale squared
        error = np.sqrt(shape / (n * excess))
        return {"shape": error, "scale": scale / shape * np.sqrt(1 + excess) * error}

    def observed_standard_errors(
        self, statistics: LogMoments, params: Params
    ) -> dict[str, np.ndarray]:
        """Return standard errors from the curvature, in closed form."""
        shape, scale, n = params["shape"], params["scale"], statistics.n
        excess = trigamma_excess(shape)
        turn = 2 * _ratio(statistics.mean, params)[1]
        determinant = excess + turn * (1 + excess)
        return {
            "shape": np.sqrt(shape * (1 + turn) / (n * determinant)),
            "scale": scale * np.sqrt((1 + excess) / (n * shape * determinant)),
        }

    def canonical(
        self, statistics: LogMoments, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (a, a - m/s), natural for log(x/m) - x/m and x/m with m the sample mean."""
        shape, scale, mean = params["shape"], params["scale"], statistics.mean
        one, zero = np.ones_like(scale), np.zeros_like(scale)
        phi = np.stack([shape, (shape * scale - mean) / scale], axis=-1)
        rows = [np.stack([one, zero], axis=-1), np.stack([one, mean / scale**2], axis=-1)]
        return phi, np.stack(rows, axis=-2)

    def standardized(
        self, name: str, statistics: LogMoments, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        top, shape = estimate["shape"], restricted["shape"]
        excess = statistics.n * trigamma_excess(top)
        if name == "shape":
            return (top - shape) / top * np.sqrt(excess * shape)
        away = (estimate["scale"] - restricted["scale"]) / restricted["scale"]
        return away * np.sqrt(excess * shape / (1 + trigamma_excess(shape)))

    def mean(self, params: Params) -> np.ndarray:
        return params["shape"] * params["scale"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        shape = params["shape"]
        draws = rng.standard_gamma(shape, size=(n_samples, len(shape)))
        return np.maximum(draws * params["scale"], _TINY)  # tiny shapes underflow to zero

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return (a - 1) / x - 1 / s, (n, d), for x > 0 (zero outside the support)."""
        inside = X > 0
        slope = (params["shape"] - 1) / np.where(inside, X, 1.0) - 1 / params["scale"]
        return np.where(inside, slope, 0.0)


def _one_error(shape: float, scale: float, n: float) -> dict[str, np.ndarray]:
    """Return the standard errors of one column, in plain floats."""
    try:
        excess = digamma_gaps(shape)[1]
        error = math.sqrt(shape / (n * excess))
        both = error, scale / shape * math.sqrt(1 + excess) * error
    except (ArithmeticError, ValueError):  # no finite shape
        both = math.nan, math.nan
    return {"shape": np.array(both[:1]), "scale": np.array(both[1:])}


def _ratio(x: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Return x / (a s), and that minus one."""
    center = params["shape"] * params["scale"]
    return x / center, (x - center) / center


def _scores(x: np.ndarray, gap: np.ndarray | float, params: Params) -> np.ndarray:
    """Return the scores where log x is log(x) - gap."""
    shape, scale = params["shape"], params["scale"]
    ratio, apart = _ratio(x, params)
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(np.abs(apart) < 0.5, np.log1p(apart), np.log(ratio))
    return np.stack([log - gap + log_minus_digamma(shape), shape / scale * apart], axis=-1)


def _symmetric(aa: np.ndarray, ab: np.ndarray, bb: np.ndarray) -> np.ndarray:
    """Return matrices [[aa, ab], [ab, bb]], (..., 2, 2)."""
    aa, ab, bb = np.broadcast_arrays(aa, ab, bb)
    return np.stack([np.stack([aa, ab], axis=-1), np.stack([ab, bb], axis=-1)], axis=-2)
