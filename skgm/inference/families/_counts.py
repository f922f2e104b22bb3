"""The Poisson family: columns of counts."""

import numpy as np
from scipy import special, stats

from skgm.inference.families._base import EXACT_TOO, ExponentialFamily, Interval, Parameter, Params
from skgm.inference.families._statistics import Sums, reduce_chunks
from skgm.tables._validation import inside_support

__all__ = [
    "Geometric",
    "Poisson",
    "draw_poisson",
]


_TABLE = -special.gammaln(np.arange(1.0, 1025.0))  # -log x! for x < 1024


def _log_base(X: np.ndarray) -> np.ndarray:
    if X.size and X.max() < len(_TABLE):  # ten times faster, and the same numbers
        return _TABLE[X.astype(np.intp)]
    return -special.gammaln(X + 1)


def draw_poisson(mean: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return Poisson counts as floats, (n, d); of means past numpy's, normal numbers rounded.

    At a mean of 1e18 the two laws differ by 1e-9 of a standard deviation.
    """
    large = mean > 1e18
    counts = rng.poisson(np.where(large, 1.0, mean), size).astype(np.float64)
    if not large.any():
        return counts
    return np.where(large, np.rint(mean + np.sqrt(mean) * rng.standard_normal(size)), counts)


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
        base = _log_base(x)
        log_mass = special.xlogy(x, params["mu"]) - params["mu"] + np.where(inside, base, 0.0)
        return np.where(inside & np.isfinite(base), log_mass, -np.inf)

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

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        k = np.maximum(np.floor(X), -1.0) + 1
        none, k = k == 0, np.maximum(k, 1.0)
        below, above = special.gammaincc(k, params["mu"]), special.gammainc(k, params["mu"])
        return np.where(none, -np.inf, np.log(below)), np.where(none, 0.0, np.log(above))

    def mean(self, params: Params) -> np.ndarray:
        return params["mu"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return draw_poisson(params["mu"], (n_samples, len(params["mu"])), rng)

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


# The geometric family: numbers of trials up to the first success.


class Geometric(ExponentialFamily):
    r"""Geometric distribution of the number of trials up to the first success, per column.

    .. math:: \log p(x) = \log p + (x - 1) \log(1 - p), \quad x \in \{1, 2, 3, \dots\}

    Notes
    -----
    A column of ones has the legitimate estimate p = 1, on the boundary: other values then have
    log-density -inf, standard errors and Wald intervals are refused, and score, profile and exact
    intervals are one-sided. The score test never rejects small p where n is not above the
    chi-square quantile (3.84 at 95 %): "auto" then takes the exact interval, from the negative
    binomial distribution of the column's sum.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> MLEDensity("geometric").fit(np.array([[1.0], [4.0], [3.0], [2.0]])).params_
    {'p': 0.4}
    """

    name = "geometric"
    aliases = ("geom",)
    support = "positive-counts"
    discrete = True
    parameters = (Parameter("p", low=0.0, high=1.0, link="logit", methods=EXACT_TOO, auto="score"),)
    statistics_type = Sums

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Sums:
        """Return the column sums of x - 1, the failures."""
        return reduce_chunks(lambda rows, w: Sums.from_chunk(rows - 1, w), X, weight)

    def check_statistics(self, statistics: Sums, names: list[str]) -> None:
        """Accept any table of positive counts."""

    def restricted_estimate(self, statistics: Sums, null: Params) -> dict[str, np.ndarray]:
        """Return one over the means, or what `null` fixes."""
        return {"p": np.where(np.isnan(null["p"]), 1 / (1 + statistics.mean), null["p"])}

    def log_likelihood(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        with np.errstate(divide="ignore"):
            successes = statistics.n * np.log(params["p"])
        return successes + special.xlog1py(statistics.total, -params["p"])

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses, (n, d), -inf outside the support."""
        inside = self.inside(X)
        failures = np.where(inside, X - 1, 0.0)
        log_mass = np.log(params["p"]) + special.xlog1py(failures, -params["p"])
        return np.where(inside, log_mass, -np.inf)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return 1 / p - (x - 1) / (1 - p), (n, d, 1)."""
        return (1 / params["p"] - (X - 1) / (1 - params["p"]))[..., None]

    def mean_score(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        return self.score(statistics.mean + 1, params)

    def information(self, params: Params) -> np.ndarray:
        """Return 1 / (p^2 (1 - p)), (d, 1, 1)."""
        p = params["p"]
        return (1 / (p**2 * (1 - p)))[..., None, None]

    def observed_information(self, statistics: Sums, params: Params) -> np.ndarray:
        """Return 1 / p^2 + mean(x - 1) / (1 - p)^2, (d, 1, 1)."""
        p = params["p"]
        return (1 / p**2 + statistics.mean / (1 - p) ** 2)[..., None, None]

    def mean(self, params: Params) -> np.ndarray:
        return 1 / params["p"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws, by inversion: numpy's own overflow for small p."""
        p = params["p"]
        with np.errstate(divide="ignore"):
            waits = np.ceil(-rng.standard_exponential((n_samples, len(p))) / np.log1p(-p))
        return np.maximum(waits, 1.0)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        with np.errstate(divide="ignore"):
            tail = special.xlog1py(np.maximum(np.floor(X), 0.0), -params["p"])
        return -np.expm1(tail)

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        above = special.xlog1py(np.maximum(np.floor(X), 0.0), -params["p"])
        return np.log(-np.expm1(above)), above

    def auto_interval(
        self, name: str, statistics: Sums, params: Params, level: float
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Return the score interval, or the exact one where that has no lower end."""
        if statistics.n <= stats.chi2.ppf(level, 1):
            return *self.exact_interval(name, statistics, params, level), "exact"
        return *self.score_interval(name, statistics, params, level), "score"

    def exact_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the interval from the tails of the sum, a negative binomial count.

        At least t failures before the n-th success: at most n - 1 successes in the first
        n + t - 1 trials.
        """
        tail, n, failures = (1 - level) / 2, statistics.n, statistics.total
        at_one = failures == 0
        low = stats.beta.ppf(tail, n, failures + 1)
        high = stats.beta.ppf(1 - tail, n, np.where(at_one, 1, failures))
        return low, np.where(at_one, 1.0, high)

    def score_interval(self, name: str, statistics: Sums, params: Params, level: float) -> Interval:
        """Return the p with n (mean p - 1)^2 / (1 - p) <= chi-square quantile: a quadratic."""
        mean, ratio = 1 + statistics.mean, stats.chi2.ppf(level, 1) / statistics.n
        half = mean - ratio / 2  # mean^2 p^2 - 2 half p + 1 - ratio = 0
        gap = ratio * (ratio / 4 + mean * (mean - 1))
        high = np.minimum((half + np.sqrt(gap)) / mean**2, 1.0)
        # the ends multiply to (1 - ratio) / mean^2
        return np.maximum((1 - ratio) / (mean**2 * high), 0.0), high
