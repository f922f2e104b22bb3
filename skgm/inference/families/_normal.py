"""The normal family, and the intervals of normal means and variances."""

import math

import numpy as np
from scipy import special

from skgm._numerics.gaussian import constant_columns
from skgm._numerics.moments import Moments
from skgm.inference.families._base import Interval, Parameter, Params
from skgm.inference.families._natural import METHODS, NaturalFamily
from skgm.inference.families._statistics import check_no_underflow

__all__ = [
    "Normal",
    "chi2_quantile",
    "deviance_roots",
    "mean_interval",
    "student_df",
    "variance_interval",
]

_MAX_STEPS = 100
_ALL = (*METHODS, "exact")


def student_df(n: float) -> float:
    """Return n - 1, the degrees of freedom of a sample variance."""
    if n <= 1:
        raise ValueError(
            f"Exact and small-sample intervals need more than one observation; the sample weights "
            f"sum to {n:g}. Weights count repetitions: scale them so that they do."
        )
    return n - 1


def chi2_quantile(level: float) -> float:
    """Return the quantile of chi-square on one degree of freedom, the square of a normal's."""
    return float(special.ndtri((1 + level) / 2)) ** 2


def mean_interval(
    method: str, mean: np.ndarray, variance: np.ndarray, n: float, level: float
) -> Interval:
    """Return the interval of a normal mean; `variance` is the maximum-likelihood one."""
    q = chi2_quantile(level)
    if method == "exact":  # Student's t
        df = student_df(n)
        half = special.stdtrit(df, (1 + level) / 2) * np.sqrt(variance / df)
    elif method == "score":  # n d^2 / (variance + d^2) <= q
        half = np.sqrt(variance * q / (n - q)) if n > q else np.full_like(variance, np.inf)
    else:  # profile: n log(1 + d^2 / variance) <= q
        half = np.sqrt(variance * np.expm1(q / n))
    return mean - half, mean + half


def variance_interval(method: str, variance: np.ndarray, n: float, level: float) -> Interval:
    """Return the interval of a normal variance; `variance` is the maximum-likelihood one."""
    q = chi2_quantile(level)
    if method == "exact":
        tail = (1 - level) / 2
        half_df = student_df(n) / 2
        small = 2 * special.gammaincinv(half_df, tail) / n
        large = 2 * special.gammainccinv(half_df, tail) / n
    elif method == "score":  # n/2 (u - 1)^2 <= q with u = variance_hat / variance
        small, large = max(1 - np.sqrt(2 * q / n), 0.0), 1 + np.sqrt(2 * q / n)
    else:  # profile: n (u - 1 - log u) <= q
        small, large = deviance_roots(q / n)
    high = variance / small if np.all(small > 0) else np.full_like(variance, np.inf)
    return variance / large, high


def deviance_roots(c: float) -> np.ndarray:
    """Return the two solutions of u - 1 - log u = c, solved in log u, where nothing cancels."""
    # e^v - 1 - v >= v^2/2 for v > 0: both starts lie outside, and Newton's steps on a convex
    # function then come in from there
    roots = []
    for v in (-c - 1.0, 2 * math.sqrt(c)):
        for _ in range(_MAX_STEPS):
            slope = math.expm1(v)
            step = (slope - v - c) / slope
            v -= step
            if abs(step) <= 2e-16 * abs(v):
                break
        roots.append(math.exp(v))
    return np.array(roots)


class Normal(NaturalFamily):
    r"""Normal distribution with mean mu and standard deviation sigma, per column.

    .. math:: \log p(x) = -\tfrac12 \log 2\pi - \log\sigma - (x-\mu)^2 / (2\sigma^2)

    Notes
    -----
    eq. normal-score, normal-mean-information. Constant columns have no estimate (the likelihood
    is unbounded) and are refused. Exact intervals: Student's t and chi-square.
    """

    name = "normal"
    ratio_law = "gaussian"
    aliases = ("norm", "gaussian")
    equivariance = "location-scale"
    parameters = (
        Parameter("mu", methods=_ALL, auto="exact", aliases=("loc",)),
        Parameter("sigma", low=0.0, link="log", methods=_ALL, auto="exact", aliases=("scale",)),
    )
    statistics_type = Moments

    def variance_score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the score of each value with respect to sigma^2, (n, d); eq. normal-score.

        That of sigma, which `score` has, divided by d sigma^2 / d sigma = 2 sigma.
        """
        variance = np.square(params["sigma"])
        return ((X - params["mu"]) ** 2 / variance - 1) / (2 * variance)

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Moments:
        """Return the moments of the columns."""
        return Moments.from_chunk(X, weight)

    def check_statistics(self, statistics: Moments, names: list[str]) -> None:
        """Raise for constant columns, and for those whose squares underflow."""
        variance, mean = statistics.variance, statistics.mean
        small = (np.abs(mean) < 1e-140) & ((mean != 0) | (variance != 0))
        check_no_underflow(np.where(small, variance, 1.0), names)
        constant = np.flatnonzero(constant_columns(variance, mean))
        if len(constant):
            culprits = ", ".join(names[j] for j in constant)
            raise ValueError(
                f"The normal family has no estimate for constant columns ({culprits}; "
                f"n_samples = {statistics.n:g}): the likelihood grows without bound as sigma -> 0. "
                "Drop them or collect more rows."
            )

    def restricted_estimate(self, statistics: Moments, null: Params) -> dict[str, np.ndarray]:
        """Return mean and root mean square deviation, or what `null` fixes."""
        mu = np.where(np.isnan(null["mu"]), statistics.mean, null["mu"])
        spread = np.sqrt(
            np.where(
                np.isnan(null["mu"]), statistics.covariance(), statistics.covariance(null["mu"])
            )
        )
        return {"mu": mu, "sigma": np.where(np.isnan(null["sigma"]), spread, null["sigma"])}

    def log_likelihood(self, statistics: Moments, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        mu, sigma = params["mu"], params["sigma"]
        mean_square = statistics.covariance(mu) / sigma**2
        return -statistics.n * (0.5 * np.log(2 * np.pi) + np.log(sigma) + 0.5 * mean_square)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d)."""
        z = (X - params["mu"]) / params["sigma"]
        return -0.5 * z * z - np.log(params["sigma"]) - 0.5 * np.log(2 * np.pi)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores of mu and sigma, (n, d, 2); eq. normal-score."""
        z = (X - params["mu"]) / params["sigma"]
        return np.stack([z, z * z - 1], axis=-1) / params["sigma"][..., None]

    def information(self, params: Params) -> np.ndarray:
        """Return diag(1, 2) / sigma^2, (d, 2, 2); eq. normal-mean-information."""
        return np.diag([1.0, 2.0]) / (params["sigma"] ** 2)[..., None, None]

    def mean_score(self, statistics: Moments, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 2)."""
        sigma = params["sigma"]
        z = statistics.deviation(params["mu"]) / sigma
        square = statistics.covariance(params["mu"]) / sigma**2
        return np.stack([z, square - 1], axis=-1) / np.asarray(sigma)[..., None]

    def observed_information(self, statistics: Moments, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, 2, 2)."""
        sigma = params["sigma"]
        z = statistics.deviation(params["mu"]) / sigma
        square = statistics.covariance(params["mu"]) / sigma**2
        rows = np.array([[np.ones_like(z), 2 * z], [2 * z, 3 * square - 1]]) / sigma**2
        return np.moveaxis(rows, (0, 1), (-2, -1))

    def canonical(
        self, statistics: Moments, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (delta, -1/2) / sigma^2, natural for x - m and its square, m the sample mean."""
        delta, sigma = -statistics.deviation(params["mu"]), params["sigma"]
        one, zero = np.ones_like(delta), np.zeros_like(delta)
        phi = np.stack([delta, -0.5 * one], axis=-1) / np.asarray(sigma**2)[..., None]
        jacobian = np.array([[one, -2 * delta / sigma], [zero, 1 / sigma]]) / sigma**2
        return phi, np.moveaxis(jacobian, (0, 1), (-2, -1))

    def standardized(
        self, name: str, statistics: Moments, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        root, top = np.sqrt(statistics.n), estimate["sigma"]
        if name == "mu":
            z = (estimate["mu"] - restricted["mu"]) / restricted["sigma"]
            return np.asarray(z * top / restricted["sigma"] * root)
        ratio = top / restricted["sigma"]
        return np.asarray((ratio - 1) * (ratio + 1) * ratio * root / np.sqrt(2))

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the normal distribution function, (n, d)."""
        return special.ndtr((X - params["mu"]) / params["sigma"])

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        z = (X - params["mu"]) / params["sigma"]
        return special.log_ndtr(z), special.log_ndtr(-z)

    def mean(self, params: Params) -> np.ndarray:
        return params["mu"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        mu = params["mu"]
        return mu + params["sigma"] * rng.standard_normal((n_samples, len(mu)))

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -(x - mu) / sigma^2, (n, d)."""
        return -(X - params["mu"]) / params["sigma"] ** 2

    def small_sample(self, name: str, n: float) -> tuple[float, float]:
        """Return the factors of the unbiased variance: sigma is centered on its root."""
        factor = float(np.sqrt(n / student_df(n)))
        return (factor if name == "sigma" else 1.0), factor

    def exact_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> Interval:
        """Return Student's t interval of mu or the chi-square interval of sigma."""
        return _interval("exact", name, statistics, params, level)

    def score_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> Interval:
        """Return the inverted score test, in closed form."""
        return _interval("score", name, statistics, params, level)

    def profile_interval(
        self, name: str, statistics: Moments, params: Params, level: float
    ) -> Interval:
        """Return the inverted likelihood-ratio test, in closed form."""
        return _interval("profile", name, statistics, params, level)


def _interval(
    method: str, name: str, statistics: Moments, params: Params, level: float
) -> Interval:
    variance = params["sigma"] ** 2
    if name == "mu":
        return mean_interval(method, params["mu"], variance, statistics.n, level)
    low, high = variance_interval(method, variance, statistics.n, level)
    return np.sqrt(low), np.sqrt(high)
