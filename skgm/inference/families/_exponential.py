"""The exponential family of waiting times."""

import numpy as np
from scipy import stats

from skgm.inference.families._base import ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = ["Exponential"]


class Exponential(ExponentialFamily):
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
            methods=("wald", "wald-transformed", "score", "profile", "exact", "robust"),
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

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the interval from the chi-square distribution of 2 rate sum(x)."""
        tail = (1 - level) / 2
        low, high = stats.chi2.ppf([tail, 1 - tail], 2 * statistics.n) / (2 * statistics.n)
        return params["rate"] * low, params["rate"] * high

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the rates with n (1 - rate * mean)^2 <= chi-square quantile."""
        half = np.sqrt(stats.chi2.ppf(level, 1) / statistics.n)
        return params["rate"] * max(0.0, 1 - half), params["rate"] * (1 + half)
