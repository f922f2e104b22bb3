"""The Bernoulli family: columns of zeros and ones."""

import numpy as np
from scipy import special, stats

from skgm.inference.families._base import ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = ["Bernoulli"]


class Bernoulli(ExponentialFamily):
    r"""Bernoulli distribution with success probability p, per column.

    .. math:: \log p(x) = x \log p + (1 - x) \log(1 - p), \quad x \in \{0, 1\}

    Notes
    -----
    A column of zeros (ones) has the legitimate estimate p = 0 (p = 1), on the boundary: the other
    value then has log-density -inf, standard errors and Wald intervals are refused, and score
    (Wilson), profile and exact (Clopper-Pearson) intervals are one-sided.
    """

    name = "bernoulli"
    support = "binary"
    discrete = True
    parameters = (
        Parameter(
            "p",
            low=0.0,
            high=1.0,
            link="logit",
            methods=("wald", "wald-transformed", "score", "profile", "exact", "robust"),
            auto="score",
        ),
    )
    statistics_type = Sums

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the numbers of ones."""
        return reduce_chunks(Sums.from_chunk, X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Accept any table of zeros and ones."""

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return the proportions of ones, or what `null` fixes."""
        # weighted sums round, so that a column of ones could end above one
        return {"p": np.where(np.isnan(null["p"]), np.minimum(statistics.mean, 1.0), null["p"])}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        ones = statistics.total
        zeros = np.maximum(statistics.n - ones, 0.0)
        return special.xlogy(ones, params["p"]) + special.xlog1py(zeros, -params["p"])

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses, (n, d), -inf outside {0, 1}."""
        with np.errstate(divide="ignore"):
            zero, one = np.log1p(-params["p"]), np.log(params["p"])
        return np.where(X == 1, one, np.where(X == 0, zero, -np.inf))

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return (x - p) / (p (1 - p)), (n, d, 1)."""
        p = params["p"]
        return ((X - p) / (p * (1 - p)))[..., None]

    def information(self, params: Params) -> np.ndarray:
        """Return 1 / (p (1 - p)), (d, 1, 1)."""
        p = params["p"]
        return (1 / (p * (1 - p)))[..., None, None]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        p = params["p"]
        return (rng.random((n_samples, len(p))) < p).astype(np.float64)

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the Clopper-Pearson interval."""
        tail, ones = (1 - level) / 2, statistics.total
        zeros = np.maximum(statistics.n - ones, 0.0)
        at_zero, at_one = params["p"] == 0, params["p"] == 1
        low = stats.beta.ppf(tail, np.where(at_zero, 1, ones), zeros + 1)
        high = stats.beta.ppf(1 - tail, ones + 1, np.where(at_one, 1, zeros))
        return np.where(at_zero, 0.0, low), np.where(at_one, 1.0, high)

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return Wilson's interval."""
        p, n, q = params["p"], statistics.n, stats.chi2.ppf(level, 1)
        centre = (p + q / (2 * n)) / (1 + q / n)
        half = np.sqrt(q / n * (p * (1 - p) + q / (4 * n))) / (1 + q / n)
        low, high = np.where(p == 0, 0.0, centre - half), np.where(p == 1, 1.0, centre + half)
        return np.maximum(low, 0.0), np.minimum(high, 1.0)
