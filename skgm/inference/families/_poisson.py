"""The Poisson family: columns of counts."""

import numpy as np
from scipy import special, stats

from skgm._validation import inside_support
from skgm.inference.families._base import ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = ["Poisson"]


_TABLE = -special.gammaln(np.arange(1.0, 1025.0))  # -log x! for x < 1024


def _log_base(X: np.ndarray) -> np.ndarray:
    if X.size and X.max() < len(_TABLE):  # ten times faster, and the same numbers
        return _TABLE[X.astype(np.intp)]
    return -special.gammaln(X + 1)


class Poisson(ExponentialFamily):
    r"""Poisson distribution with mean mu, per column.

    .. math:: \log p(x) = x \log\mu - \mu - \log x!, \quad x \in \{0, 1, 2, \dots\}

    Notes
    -----
    A column of zeros has the legitimate estimate mu = 0, on the boundary: every count but zero
    then has log-density -inf, standard errors and Wald intervals are refused, and score, profile
    and exact (Garwood) intervals are one-sided.
    """

    name = "poisson"
    support = "counts"
    discrete = True
    parameters = (
        Parameter(
            "mu",
            low=0.0,
            link="log",
            methods=(
                "wald",
                "wald-transformed",
                "score",
                "profile",
                "exact",
                "robust",
                "bootstrap",
            ),
            auto="score",
        ),
    )
    statistics_type = Sums

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the column sums and those of -log x!."""
        return reduce_chunks(lambda rows, w: Sums.from_chunk(rows, w, _log_base), X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Accept any table of counts."""

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return the means, or what `null` fixes."""
        return {"mu": np.where(np.isnan(null["mu"]), statistics.mean, null["mu"])}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        fit = special.xlogy(statistics.total, params["mu"]) - statistics.n * params["mu"]
        return fit + statistics.log_base

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses, (n, d), -inf outside the counts."""
        inside = inside_support(X, "counts")
        x = np.where(inside, X, 0.0)
        log_mass = special.xlogy(x, params["mu"]) - params["mu"] + _log_base(x)
        return np.where(inside, log_mass, -np.inf)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return x / mu - 1, (n, d, 1)."""
        return (X / params["mu"] - 1)[..., None]

    def information(self, params: Params) -> np.ndarray:
        """Return 1 / mu, (d, 1, 1)."""
        return (1 / params["mu"])[..., None, None]

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        return self.score(statistics.mean, params)

    def observed_information(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return mean / mu^2, (d, 1, 1)."""
        return (statistics.mean / params["mu"] ** 2)[..., None, None]

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return stats.poisson.cdf(X, params["mu"])

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        mu = params["mu"]
        return rng.poisson(mu, size=(n_samples, len(mu))).astype(np.float64)

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return Garwood's interval."""
        tail, total = (1 - level) / 2, statistics.total
        zero = total == 0
        low = np.where(zero, 0.0, stats.gamma.ppf(tail, np.where(zero, 1, total)))
        return low / statistics.n, stats.gamma.ppf(1 - tail, total + 1) / statistics.n

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the means mu0 with n (mean - mu0)^2 / mu0 <= chi-square quantile."""
        mu, half = params["mu"], stats.chi2.ppf(level, 1) / (2 * statistics.n)
        width = np.sqrt(half * (2 * mu + half))
        # mu^2 / high: the two ends multiply to mu^2, and nothing cancels
        return mu**2 / (mu + half + width), mu + half + width
