"""The beta family of columns between zero and one."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from skgm._numerics.special import digamma_gaps, gamma_gap, log_minus_digamma, trigamma_excess
from skgm.inference.families._base import Parameter, Params
from skgm.inference.families._natural import METHODS, NaturalFamily
from skgm.inference.families._statistics import reduce_chunks

__all__ = ["Beta", "LogitMoments"]

_MAX_STEPS = 100
# Half the squared relative spread below which the mean logarithms hold too few digits of it.
_NARROW = 1e-12
_EDGE = 2.0**-53  # the spacing below one: samples stay this far from both ends


@dataclass(frozen=True)
class LogitMoments:
    """Number of rows, mean logarithms of x and of 1 - x.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    log_x, log_rest : ndarray of shape (d,)
        Means of log x and of log(1 - x).
    """

    n: float
    log_x: np.ndarray
    log_rest: np.ndarray

    @classmethod
    def from_chunk(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "LogitMoments":
        """Summarize rows X, (m, d), between zero and one, with their weights."""
        log_x, log_rest = np.log(X), np.log1p(-X)
        if weight is None:
            return cls(float(len(X)), log_x.mean(axis=0), log_rest.mean(axis=0))
        n = float(weight.sum())
        return cls(n, weight @ log_x / n, weight @ log_rest / n)

    def __add__(self, other: "LogitMoments") -> "LogitMoments":
        n = self.n + other.n
        share = other.n / n
        log_x = self.log_x + (other.log_x - self.log_x) * share
        return LogitMoments(n, log_x, self.log_rest + (other.log_rest - self.log_rest) * share)

    def shortfall(self) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much the geometric means of x and 1 - x fail to sum to one, (d,).

        And the same relative to the smaller side: half the squared coefficient of variation.
        """
        small = np.minimum(self.log_x, self.log_rest)  # of the side that is near zero
        large = np.maximum(self.log_x, self.log_rest)
        room = -np.expm1(large)
        missing = room - np.exp(small)
        return missing, missing / room


class Beta(NaturalFamily):
    r"""Beta distribution with shapes a and b, per column.

    .. math:: \log p(x) = (a - 1)\log x + (b - 1)\log(1 - x) - \log B(a, b), \quad 0 < x < 1

    Notes
    -----
    The two mean logarithms are the statistics; a relative spread s costs the estimates about
    eps / s^2 (1e-10 for s = 1e-3). Constant columns have no estimate and are refused.
    """

    name = "beta"
    support = "unit"
    parameters = (
        Parameter("a", low=0.0, link="log", methods=METHODS, auto="rstar", aliases=("alpha",)),
        Parameter("b", low=0.0, link="log", methods=METHODS, auto="rstar", aliases=("beta",)),
    )
    statistics_type = LogitMoments

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> LogitMoments:
        """Return the mean logarithms of x and 1 - x."""
        return reduce_chunks(LogitMoments.from_chunk, X, weight)

    def cumulants(self, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return cumulants of (log x, log(1 - x)): derivatives of the log beta function."""
        a, b, tensors = params["a"], params["b"], []
        for order in (2, 3, 4):
            joint = special.polygamma(order - 1, a + b)
            tensor = np.empty((len(joint),) + (2,) * order)
            tensor[...] = -joint.reshape(-1, *(1,) * order)
            entries = tensor.reshape(len(joint), -1)  # a view
            entries[:, 0] += special.polygamma(order - 1, a)
            entries[:, -1] += special.polygamma(order - 1, b)
            tensors.append(tensor)
        return tensors[0], tensors[1], tensors[2]

    def check_statistics(self, statistics: LogitMoments, names: list[str]) -> None:
        """Raise for columns without spread, as far as their mean logarithms can tell."""
        narrow = [names[j] for j in np.flatnonzero(~(statistics.shortfall()[1] > _NARROW))]
        if narrow:
            raise ValueError(
                f"The beta family has no estimate for constant columns ({', '.join(narrow)}; "
                f"n_samples = {statistics.n:g}; constant to a millionth of their values): the "
                "likelihood grows without bound as the shapes grow. Drop them, collect more rows, "
                "or fit the normal family."
            )

    def estimate(self, statistics: LogitMoments) -> dict[str, np.ndarray]:
        """Return the maximum-likelihood estimate."""
        if len(statistics.log_x) > 1:
            return super().estimate(statistics)
        near = _start(statistics)
        try:
            a, b = _one_estimate(statistics, float(near["a"][0]), float(near["b"][0]))
        except (OverflowError, ZeroDivisionError):  # the fit reports it as an overflow
            a = b = math.nan
        return {"a": np.array([a]), "b": np.array([b])}

    def restricted_estimate(self, statistics: LogitMoments, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed."""
        return self.restricted_near(statistics, null, _start(statistics))

    def restricted_near(
        self, statistics: LogitMoments, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return the restricted estimate, searched from `near`."""
        held_a, held_b = ~np.isnan(null["a"]), ~np.isnan(null["b"])
        if len(statistics.log_x) == 1 and held_a.all() != held_b.all():
            return _one_nuisance(statistics, null, near, bool(held_a.all()))
        a: Any = np.where(held_a, null["a"], near["a"])
        b: Any = np.where(held_b, null["b"], near["b"])
        for _ in range(_MAX_STEPS):
            step_a, step_b = _newton(statistics, a, b, held_a, held_b)
            a, b = a * np.exp(np.clip(step_a, -1, 1)), b * np.exp(np.clip(step_b, -1, 1))
            # Newton squares the error; NaN, from statistics without an estimate, stays NaN
            if not ((np.abs(step_a) > 1e-8) | (np.abs(step_b) > 1e-8)).any():
                break
        return {"a": np.where(held_a, null["a"], a), "b": np.where(held_b, null["b"], b)}

    def log_likelihood(self, statistics: LogitMoments, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        log_x, log_rest = statistics.log_x, statistics.log_rest
        return np.asarray(statistics.n * _log_density(log_x, log_rest, params))

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf outside (0, 1)."""
        inside = (X > 0) & (X < 1)
        x = np.where(inside, X, 0.5)
        return np.where(inside, _log_density(np.log(x), np.log1p(-x), params), -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the regularized incomplete beta function, (n, d)."""
        return special.betainc(params["a"], params["b"], np.clip(X, 0, 1))

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        a, b, x = params["a"], params["b"], np.clip(X, 0, 1)
        return np.log(special.betainc(a, b, x)), np.log(special.betaincc(a, b, x))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log x - digamma(a) + digamma(a + b) and its mirror image, (n, d, 2)."""
        return np.stack(_scores(np.log(X), np.log1p(-X), params["a"], params["b"]), axis=-1)

    def mean_score(self, statistics: LogitMoments, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 2)."""
        scores = _scores(statistics.log_x, statistics.log_rest, params["a"], params["b"])
        return np.stack(scores, axis=-1)

    def information(self, params: Params) -> np.ndarray:
        """Return the covariance of log x and log(1 - x), (d, 2, 2)."""
        aa, bb, cross, _ = _information(params["a"], params["b"])
        return np.stack([np.stack([aa, -cross], axis=-1), np.stack([-cross, bb], axis=-1)], axis=-2)

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return standard errors from the information's inverse, in closed form."""
        a, b = params["a"], params["b"]
        if np.shape(a) == (1,):
            return _one_error(float(a[0]), float(b[0]), n)
        aa, bb, _, determinant = _information(a, b)
        return {"a": np.sqrt(bb / (n * determinant)), "b": np.sqrt(aa / (n * determinant))}

    def canonical(
        self, statistics: LogitMoments, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (a, b), natural for log x and log(1 - x)."""
        phi = self.pack(params)
        return phi, np.broadcast_to(np.eye(2), (*phi.shape, 2)).copy()

    def standardized(
        self, name: str, statistics: LogitMoments, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        determinant = _information(estimate["a"], estimate["b"])[3]
        aa, bb, _, _ = _information(restricted["a"], restricted["b"])
        nuisance = bb if name == "a" else aa
        away = estimate[name] - restricted[name]
        return np.asarray(away * np.sqrt(statistics.n * determinant / nuisance))

    def mean(self, params: Params) -> np.ndarray:
        return params["a"] / (params["a"] + params["b"])

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        a, b = params["a"], params["b"]
        return np.clip(rng.beta(a, b, size=(n_samples, len(a))), _EDGE, 1 - _EDGE)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return (a - 1) / x - (b - 1) / (1 - x), (n, d) (zero outside the support)."""
        inside = (X > 0) & (X < 1)
        x = np.where(inside, X, 0.5)
        slope = (params["a"] - 1) / x - (params["b"] - 1) / (1 - x)
        return np.where(inside, slope, 0.0)


def _start(statistics: LogitMoments) -> dict[str, np.ndarray]:
    """Return where the search begins: digamma(a) is about log(a - 1/2)."""
    missing = 2 * np.maximum(statistics.shortfall()[0], np.finfo(np.float64).tiny)
    a, b = np.exp(statistics.log_x) / missing, np.exp(statistics.log_rest) / missing
    return {"a": 0.5 + a, "b": 0.5 + b}


def _one_estimate(statistics: LogitMoments, a: float, b: float) -> tuple[float, float]:
    """Return the estimate of one column in plain floats: a fifth of the time of arrays of one."""
    log_x, log_rest = float(statistics.log_x[0]), float(statistics.log_rest[0])
    if not (log_x < 0 and log_rest < 0 and math.isfinite(a + b)):
        return math.nan, math.nan
    for _ in range(_MAX_STEPS):
        c = a + b
        (ag, at), (bg, bt), (cg, ct) = digamma_gaps(a), digamma_gaps(b), digamma_gaps(c)
        slope_a = log_x + math.log1p(b / a) + ag - cg
        slope_b = log_rest + math.log1p(a / b) + bg - cg
        aa, bb, cross, determinant = _entries(a, b, at, bt, ct)
        step_a = (bb * slope_a + cross * slope_b) / (determinant * a)
        step_b = (aa * slope_b + cross * slope_a) / (determinant * b)
        a *= math.exp(min(max(step_a, -1.0), 1.0))
        b *= math.exp(min(max(step_b, -1.0), 1.0))
        if max(abs(step_a), abs(step_b)) <= 1e-8:
            break
    return a, b


def _one_error(a: float, b: float, n: float) -> dict[str, np.ndarray]:
    """Return the standard errors of one column, in plain floats."""
    try:
        excesses = (digamma_gaps(x)[1] for x in (a, b, a + b))
        aa, bb, _, determinant = _entries(a, b, *excesses)
        squares = bb / (n * determinant), aa / (n * determinant)
    except ArithmeticError:  # shapes past what floats can square
        squares = math.nan, math.nan
    with np.errstate(invalid="ignore"):
        return {name: np.sqrt([square]) for name, square in zip("ab", squares)}


def _one_nuisance(
    statistics: LogitMoments, null: Params, near: Params, a_is_held: bool
) -> dict[str, np.ndarray]:
    """Return the estimates with one shape held, of one column, in plain floats."""
    held, free = ("a", "b") if a_is_held else ("b", "a")
    log = float((statistics.log_rest if a_is_held else statistics.log_x)[0])
    values = np.atleast_1d(np.asarray(null[held], dtype=np.float64))
    starts = np.broadcast_to(near[free], values.shape).ravel().tolist()
    found = [_nuisance(log, x, start) for x, start in zip(values.ravel().tolist(), starts)]
    return {held: values, free: np.array(found).reshape(values.shape)}


def _nuisance(log: float, a: float, b: float) -> float:
    """Return the b at which log + digamma(a + b) - digamma(b) vanishes, from a start."""
    if not (log < 0 < a < math.inf and 0 < b < math.inf):
        return math.nan
    for _ in range(_MAX_STEPS):
        (bg, bt), (cg, ct) = digamma_gaps(b), digamma_gaps(a + b)
        information = (a + (a + b) * bt - b * ct) / (a + b)  # times b
        step = (log + math.log1p(a / b) + bg - cg) / information
        b *= math.exp(min(max(step, -1.0), 1.0))
        if abs(step) <= 1e-8:
            break
    return b


def _log_density(log_x: np.ndarray, log_rest: np.ndarray, params: Params) -> np.ndarray:
    a, b = params["a"], params["b"]
    fit = a * (log_x + np.log1p(b / a)) + b * (log_rest + np.log1p(a / b)) - log_x - log_rest
    return np.asarray(fit - gamma_gap(a) - gamma_gap(b) + gamma_gap(a + b))


def _scores(
    log_x: np.ndarray, log_rest: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    both = log_minus_digamma(a + b)
    first = log_x + np.log1p(b / a) + log_minus_digamma(a) - both
    return first, log_rest + np.log1p(a / b) + log_minus_digamma(b) - both


def _information(a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    """Return I_aa, I_bb, -I_ab and the determinant."""
    return _entries(a, b, trigamma_excess(a), trigamma_excess(b), trigamma_excess(a + b))


def _entries(a: Any, b: Any, at: Any, bt: Any, ct: Any) -> tuple[Any, ...]:
    """Return the same from a trigamma(a) - 1 of a, b and a + b; large shapes cancel nowhere."""
    c = a + b
    aa, bb = (b + c * at - a * ct) / (a * c), (a + c * bt - b * ct) / (b * c)
    determinant = a * at + b * bt + c * at * bt - ct * (c + b * at + a * bt)
    return aa, bb, (1 + ct) / c, determinant / (a * b * c)


def _newton(
    statistics: LogitMoments, a: np.ndarray, b: np.ndarray, held_a: Any, held_b: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return Newton's steps of log a and log b, zero where held."""
    slope_a, slope_b = _scores(statistics.log_x, statistics.log_rest, a, b)
    aa, bb, cross, determinant = _information(a, b)
    step_a = np.where(held_b, slope_a / aa, (bb * slope_a + cross * slope_b) / determinant)
    step_b = np.where(held_a, slope_b / bb, (aa * slope_b + cross * slope_a) / determinant)
    return np.where(held_a, 0.0, step_a / a), np.where(held_b, 0.0, step_b / b)
