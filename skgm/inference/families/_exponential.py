"""The exponential family of waiting times."""

import math
from typing import ClassVar

import numpy as np
from scipy import special

from skgm.inference.families._base import Interval, Parameter, Params
from skgm.inference.families._natural import METHODS, NaturalFamily
from skgm.inference.families._normal import chi2_quantile, deviance_roots
from skgm.inference.families._statistics import Sums, check_no_underflow, choose, reduce_chunks

__all__ = [
    "Exponential",
    "Rayleigh",
    "rate_interval",
]


def rate_interval(method: str, rate: np.ndarray, n: float, level: float) -> Interval:
    """Return the interval of a rate from n waiting times, `rate` being its estimate.

    The likelihood-ratio statistic is 2 n (u - 1 - log u), the score statistic n (u - 1)^2, with
    u = rate / estimate; 2 n u is chi-square with 2 n degrees of freedom.
    """
    if method == "exact":
        tail = (1 - level) / 2
        low, high = special.gammaincinv(n, tail) / n, special.gammainccinv(n, tail) / n
    elif method == "score":
        half = math.sqrt(chi2_quantile(level) / n)
        low, high = max(0.0, 1 - half), 1 + half
    else:
        low, high = deviance_roots(chi2_quantile(level) / (2 * n))
    return rate * low, rate * high


class Exponential(NaturalFamily):
    r"""Exponential distribution with rate lambda = 1 / mean, per column.

    .. math:: \log p(x) = \log\lambda - \lambda x, \quad x \ge 0

    Notes
    -----
    eq. exponential-score. The exact interval rests on 2 lambda sum(x) being chi-square with 2 n
    degrees of freedom. A column of zeros has no estimate and is refused.
    """

    name = "exponential"
    ratio_law = "exponential"
    aliases = ("expon",)
    scipy_names: ClassVar = {"scale": "rate = 1 / scale"}
    support = "non-negative"
    equivariance = "scale"
    parameters = (
        Parameter(
            "rate",
            low=0.0,
            link="log",
            methods=(*METHODS, "exact"),
            auto="exact",
        ),
    )
    statistics_type = Sums

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the column sums."""
        return reduce_chunks(Sums.from_chunk, X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Raise for columns of zeros."""
        zero = [names[j] for j in np.flatnonzero(statistics.total == 0)]
        if zero:
            raise ValueError(
                f"The exponential family has no estimate for columns of zeros ({', '.join(zero)}; "
                f"n_samples = {statistics.n:g}): the rate is infinite. Drop them."
            )

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return 1 / mean, or what `null` fixes."""
        with np.errstate(divide="ignore", over="ignore"):
            free = statistics.n / statistics.total
        return {"rate": np.where(np.isnan(null["rate"]), free, null["rate"])}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        return statistics.n * np.log(params["rate"]) - params["rate"] * statistics.total

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf for x < 0."""
        return np.where(X >= 0, np.log(params["rate"]) - params["rate"] * X, -np.inf)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 / rate - x, (n, d, 1); eq. exponential-score."""
        return (1 / params["rate"] - X)[..., None]

    def information(self, params: Params) -> np.ndarray:
        """Return 1 / rate^2, (d, 1, 1)."""
        return (params["rate"] ** -2.0)[..., None, None]

    def mean(self, params: Params) -> np.ndarray:
        return 1 / params["rate"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        rate = params["rate"]
        return rng.standard_exponential((n_samples, len(rate))) / rate

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -rate, (n, d), for x >= 0 (zero outside the support)."""
        return np.where(X >= 0, -params["rate"], 0.0)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 - exp(-rate x), (n, d)."""
        return -np.expm1(-params["rate"] * np.maximum(X, 0))

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        spent = params["rate"] * np.maximum(X, 0)
        return np.log(-np.expm1(-spent)), -spent

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return 1 / rate - mean, (d, 1)."""
        return (1 / params["rate"] - statistics.mean)[..., None]

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return rate / sqrt(n), also where the squares of the information overflow."""
        return {"rate": params["rate"] / np.sqrt(n)}

    def canonical(
        self, statistics: Sums, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rate, natural for -x."""
        return params["rate"][..., None], np.ones((*np.shape(params["rate"]), 1, 1))

    def standardized(
        self, name: str, statistics: Sums, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        top = estimate["rate"]
        return np.asarray((top - restricted["rate"]) / top * np.sqrt(statistics.n))

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the interval from the chi-square distribution of 2 rate sum(x)."""
        return rate_interval("exact", params["rate"], statistics.n, level)

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the inverted score test, in closed form."""
        return rate_interval("score", params["rate"], statistics.n, level)

    def profile_interval(
        self, name: str, statistics: Sums, params: Params, level: float
    ) -> Interval:
        """Return the inverted likelihood-ratio test, in closed form."""
        return rate_interval("profile", params["rate"], statistics.n, level)


# The Rayleigh family: lengths of normal vectors in the plane.


def _sum_squares(X: np.ndarray, weight: np.ndarray | None) -> Sums:
    with np.errstate(over="ignore", under="ignore"):  # shows in the sums, and is refused there
        squares = Sums.from_chunk(X * X, weight)
    return Sums(squares.n, squares.total, Sums.from_chunk(X, weight, np.log).log_base)


class Rayleigh(NaturalFamily):
    r"""Rayleigh distribution with the given scale, per column.

    .. math:: \log p(x) = \log x - 2\log s - x^2 / (2 s^2), \quad x > 0

    Notes
    -----
    x^2 / 2 is exponential with rate 1 / s^2, and the exact interval is that of the rate.
    """

    name = "rayleigh"
    ratio_law = "exponential"
    support = "positive"
    equivariance = "scale"
    parameters = (
        Parameter("scale", low=0.0, link="log", methods=(*METHODS, "exact"), auto="exact"),
    )
    statistics_type = Sums

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the column sums of squares and of logarithms."""
        return reduce_chunks(_sum_squares, X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Raise where the squares underflow."""
        check_no_underflow(statistics.total, names)

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return the root of half the mean square, or what `null` fixes."""
        return {"scale": choose(null["scale"], np.sqrt(statistics.mean / 2))}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        scale = params["scale"]
        fit = 2 * np.log(scale) + statistics.mean / (2 * scale**2)
        return statistics.log_base - statistics.n * fit

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf for x <= 0."""
        scale = params["scale"]
        inside = X > 0
        x = np.where(inside, X, scale)
        z = x / scale
        return np.where(inside, np.log(x) - 2 * np.log(scale) - z * z / 2, -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 - exp(-x^2 / (2 s^2)), (n, d)."""
        return -np.expm1(-((np.maximum(X, 0) / params["scale"]) ** 2) / 2)

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        spent = (np.maximum(X, 0) / params["scale"]) ** 2 / 2
        return np.log(-np.expm1(-spent)), -spent

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return ((x / s)^2 - 2) / s, (n, d, 1)."""
        scale = params["scale"]
        return (((X / scale) ** 2 - 2) / scale)[..., None]

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        scale = params["scale"]
        return ((statistics.mean / scale**2 - 2) / scale)[..., None]

    def information(self, params: Params) -> np.ndarray:
        """Return 4 / s^2, (d, 1, 1)."""
        return (4 / params["scale"] ** 2)[..., None, None]

    def observed_information(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return minus the mean second derivative, (d, 1, 1)."""
        square = params["scale"] ** 2
        return ((3 * statistics.mean / square - 2) / square)[..., None, None]

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return scale / sqrt(4 n)."""
        return {"scale": params["scale"] / np.sqrt(4 * n)}

    def canonical(
        self, statistics: Sums, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return 1 / s^2, natural for -x^2 / 2."""
        scale = params["scale"]
        return scale[..., None] ** -2.0, -2 * scale[..., None, None] ** -3.0

    def standardized(
        self, name: str, statistics: Sums, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        ratio = estimate["scale"] / restricted["scale"]
        return np.asarray((ratio - 1) * (ratio + 1) * np.sqrt(statistics.n))

    def mean(self, params: Params) -> np.ndarray:
        return params["scale"] * np.sqrt(np.pi / 2)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        scale = params["scale"]
        return scale * rng.rayleigh(size=(n_samples, len(scale)))

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 / x - x / s^2, (n, d), for x > 0 (zero outside the support)."""
        inside = X > 0
        slope = 1 / np.where(inside, X, 1.0) - X / params["scale"] ** 2
        return np.where(inside, slope, 0.0)

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the interval from the chi-square distribution of sum(x^2) / s^2."""
        return _interval("exact", statistics, params, level)

    def profile_interval(
        self, name: str, statistics: Sums, params: Params, level: float
    ) -> Interval:
        """Return the inverted likelihood-ratio test, in closed form."""
        return _interval("profile", statistics, params, level)


def _interval(method: str, statistics: Sums, params: Params, level: float) -> Interval:
    # relative to the estimate, as the squares of small scales underflow
    unit = np.ones_like(params["scale"])
    low, high = rate_interval(method, unit, statistics.n, level)
    return params["scale"] / np.sqrt(high), params["scale"] / np.sqrt(low)
