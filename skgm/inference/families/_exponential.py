"""The exponential family of waiting times."""

import math

import numpy as np
from scipy import special

from skgm.inference.families._base import Interval, Parameter, Params
from skgm.inference.families._natural import METHODS, NaturalFamily
from skgm.inference.families._normal import chi2_quantile, deviance_roots
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = ["Exponential", "rate_interval"]


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
    aliases = ("expon",)
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

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        rate = params["rate"]
        return rng.standard_exponential((n_samples, len(rate))) / rate

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -rate, (n, d), for x >= 0 (zero outside the support)."""
        return np.where(X >= 0, -params["rate"], 0.0)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 - exp(-rate x), (n, d)."""
        return -np.expm1(-params["rate"] * np.maximum(X, 0))

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return 1 / rate - mean, (d, 1)."""
        return (1 / params["rate"] - statistics.mean)[..., None]

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return rate / sqrt(n)."""
        return {"rate": params["rate"] / np.sqrt(n)}

    def canonical(
        self, statistics: Sums, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rate, natural for -x."""
        return params["rate"][..., None], np.ones((*np.shape(params["rate"]), 1, 1))

    def standardised(
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
