"""The inverse Gaussian family, in closed form."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import special

from skgm.inference.families._base import Interval, Parameter, Params
from skgm.inference.families._gamma import LogMoments
from skgm.inference.families._natural import METHODS, NaturalFamily
from skgm.inference.families._normal import chi2_quantile, deviance_roots, student_df
from skgm.inference.families._statistics import check_not_constant, choose, reduce_chunks

__all__ = ["InverseGaussian", "ReciprocalMoments"]


@dataclass(frozen=True)
class ReciprocalMoments:
    """Number of rows, means, and by how much the mean of 1/x exceeds 1/mean.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    mean : ndarray of shape (d,)
        Column means.
    excess : ndarray of shape (d,)
        mean * mean(1/x) - 1, the mean of (x - mean)^2 / (x mean), without cancellation.
    gap : ndarray of shape (d,)
        log(mean) - mean(log x).
    """

    n: float
    mean: np.ndarray
    excess: np.ndarray
    gap: np.ndarray

    @classmethod
    def from_chunk(cls, X: np.ndarray, weight: np.ndarray | None = None) -> "ReciprocalMoments":
        """Summarize positive rows X, (m, d), with their weights."""
        logs = LogMoments.from_chunk(X, weight)
        mean, w = logs.mean, np.ones(len(X)) if weight is None else weight
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            u = (X - mean) / mean
            excess = w @ (u * u / (X / mean)) / logs.n
        return cls(logs.n, mean, excess, logs.gap)

    def __add__(self, other: "ReciprocalMoments") -> "ReciprocalMoments":
        logs = LogMoments(self.n, self.mean, self.gap) + LogMoments(other.n, other.mean, other.gap)
        excess = np.zeros_like(logs.mean)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in (self, other):
                # mean of 1/x over the part, times the common mean, minus what adds up to zero
                u = (part.mean - logs.mean) / logs.mean
                ratio = logs.mean / part.mean
                excess += (part.excess * ratio + u * u * ratio) * (part.n / logs.n)
        return ReciprocalMoments(logs.n, logs.mean, excess, logs.gap)


class InverseGaussian(NaturalFamily):
    r"""Inverse Gaussian distribution with mean mu and shape lam, per column.

    .. math::
        \log p(x) = \tfrac12\log\frac{\lambda}{2\pi x^3} - \frac{\lambda (x-\mu)^2}{2\mu^2 x},
        \quad x > 0

    Notes
    -----
    The estimates are the mean and 1 / {mean(1/x) - 1/mean}. n lam / lam_hat is chi-square with
    n - 1 degrees of freedom and independent of the mean: the exact interval of lam; that of mu
    inverts Student's t test, whose two tails are equal only in sum. The default for mu is r*,
    which balances them. As mu grows without bound the distribution tends to Lévy's, so that the
    upper end for mu may be infinite; in small and skewed samples it often is.

    References
    ----------
    R. S. Chhikara and J. L. Folks, "The Inverse Gaussian Distribution", Dekker, 1989.
    """

    name = "inverse_gaussian"
    ratio_law = "gaussian"
    aliases = ("invgauss",)
    scipy_names: ClassVar = {"scale": "lam = scale, and mu is scipy's mu times its scale"}
    support = "positive"
    equivariance = "scale"
    parameters = (
        Parameter(
            "mu",
            low=0.0,
            link="log",
            methods=(*METHODS, "exact"),
            auto="rstar",
            aliases=("mean",),
            may_be_infinite=True,
        ),
        Parameter(
            "lam",
            low=0.0,
            link="log",
            methods=(*METHODS, "exact"),
            auto="exact",
            aliases=("lambda",),
        ),
    )
    statistics_type = ReciprocalMoments

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> ReciprocalMoments:
        """Return means and mean reciprocals."""
        return reduce_chunks(ReciprocalMoments.from_chunk, X, weight)

    def check_statistics(self, statistics: ReciprocalMoments, names: list[str]) -> None:
        """Raise for constant columns."""
        why = "the likelihood grows without bound as lam grows"
        check_not_constant(self.name, np.sqrt(statistics.excess), statistics.n, names, why)

    def restricted_estimate(
        self, statistics: ReciprocalMoments, null: Params
    ) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed."""
        mean = statistics.mean
        mu = choose(null["mu"], mean)
        with np.errstate(divide="ignore"):
            lam = mean / (statistics.excess + (mean / mu - 1) ** 2)
        return {"mu": mu, "lam": choose(null["lam"], lam)}

    def log_likelihood(self, statistics: ReciprocalMoments, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        mean, lam = statistics.mean, params["lam"]
        spread = (statistics.excess + (mean / params["mu"] - 1) ** 2) / mean
        log_base = np.log(2 * np.pi) + 3 * (np.log(mean) - statistics.gap)
        return -0.5 * statistics.n * (log_base - np.log(lam) + lam * spread)

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf for x <= 0."""
        mu, lam = params["mu"], params["lam"]
        inside = X > 0
        x = np.where(inside, X, 1.0)
        square = lam * ((x - mu) / mu) * ((x - mu) / x) / mu
        log_density = 0.5 * (np.log(lam) - square - np.log(2 * np.pi)) - 1.5 * np.log(x)
        return np.where(inside, log_density, -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the sum of two normal tails, (n, d)."""
        mu, lam = params["mu"], params["lam"]
        inside = X > 0
        x = np.where(inside, X, 1.0)
        root = np.sqrt(lam / x)
        up, down = root * (x - mu) / mu, -root * (x + mu) / mu
        second = np.exp(2 * lam / mu + special.log_ndtr(down))
        return np.where(inside, np.minimum(special.ndtr(up) + second, 1.0), 0.0)

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        mu, lam = params["mu"], params["lam"]
        inside = X > 0
        x = np.where(inside, X, 1.0)
        root = np.sqrt(lam / x)
        up, second = root * (x - mu) / mu, special.log_ndtr(-root * (x + mu) / mu) + 2 * lam / mu
        below, above = special.log_ndtr(up), special.log_ndtr(-up)
        tails = np.logaddexp(below, second), above + np.log1p(-np.exp(second - above))
        return np.where(inside, tails[0], -np.inf), np.where(inside, tails[1], 0.0)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return lam (x - mu) / mu^3 and {1 / lam - (x - mu)^2 / (mu^2 x)} / 2, (n, d, 2)."""
        mu, lam = params["mu"], params["lam"]
        u = (X - mu) / mu
        return np.stack([lam / mu * u / mu, 0.5 * (1 / lam - u * u / X)], axis=-1)

    def mean_score(self, statistics: ReciprocalMoments, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 2)."""
        mu, lam, mean = params["mu"], params["lam"], statistics.mean
        u = (mean - mu) / mu
        spread = (statistics.excess + u * u) / mean
        return np.stack([lam / mu * u / mu, 0.5 * (1 / lam - spread)], axis=-1)

    def information(self, params: Params) -> np.ndarray:
        """Return diag(lam / mu^3, 1 / (2 lam^2)), (d, 2, 2)."""
        mu, lam = params["mu"], params["lam"]
        return _matrix(lam / mu**3, np.zeros_like(lam), np.zeros_like(lam), 0.5 / lam**2)

    def observed_information(self, statistics: ReciprocalMoments, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, 2, 2)."""
        mu, lam = params["mu"], params["lam"]
        u = (statistics.mean - mu) / mu
        cross = -u / mu**2
        return _matrix(lam / mu**3 * (1 + 3 * u), cross, cross, 0.5 / lam**2)

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return sqrt(mu^3 / (n lam)) and lam sqrt(2 / n)."""
        mu, lam = params["mu"], params["lam"]
        return {"mu": mu * np.sqrt(mu / lam / n), "lam": lam * np.sqrt(2 / n)}

    def canonical(
        self, statistics: ReciprocalMoments, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (lam (1/mu - 1/m)(1/mu + 1/m), lam), natural for -x/2 and -(x/m^2 + 1/x)/2."""
        mu, lam, mean = params["mu"], params["lam"], statistics.mean
        first = (mean / mu - 1) * (mean / mu + 1) / mean**2
        phi = np.stack([lam * first, lam], axis=-1)
        one = np.ones_like(lam)
        return phi, _matrix(-2 * lam / mu**3, first, np.zeros_like(lam), one)

    def standardized(
        self, name: str, statistics: ReciprocalMoments, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar."""
        n, top = statistics.n, estimate["lam"]
        if name == "lam":
            ratio = restricted["lam"] / top
            return np.asarray((1 - ratio) * np.sqrt(n * ratio / 2))
        ratio = estimate["mu"] / restricted["mu"]
        size = restricted["lam"] / top * np.sqrt(top / estimate["mu"])
        return np.asarray((ratio - 1) * (ratio + 1) / 2 * size * np.sqrt(n))

    def mean(self, params: Params) -> np.ndarray:
        return params["mu"]

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        mu, lam = params["mu"], params["lam"]
        return rng.wald(mu / lam, 1.0, size=(n_samples, len(mu))) * lam

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return -3 / (2 x) + lam (1 / x^2 - 1 / mu^2) / 2, (n, d) (zero outside the support)."""
        mu, lam = params["mu"], params["lam"]
        inside = X > 0
        x = np.where(inside, X, 1.0)
        slope = (lam * ((mu - x) / mu) * ((mu + x) / x / mu) - 3) / x / 2
        return np.where(inside, slope, 0.0)

    def exact_interval(
        self, name: str, statistics: ReciprocalMoments, params: Params, level: float
    ) -> Interval:
        """Return the chi-square interval of lam, or mu by Student's t test."""
        df, tail = student_df(statistics.n), (1 - level) / 2
        if name == "lam":
            unit = params["lam"] * 2 / statistics.n
            low, high = special.gammaincinv(df / 2, tail), special.gammainccinv(df / 2, tail)
            return unit * low, unit * high
        return _mean_interval(params, special.stdtrit(df, 1 - tail) / np.sqrt(df))

    def profile_interval(
        self, name: str, statistics: ReciprocalMoments, params: Params, level: float
    ) -> Interval:
        """Return the inverted likelihood-ratio test, in closed form."""
        q = chi2_quantile(level) / statistics.n
        if name == "lam":
            low, high = deviance_roots(q)
            return params["lam"] * low, params["lam"] * high
        return _mean_interval(params, np.sqrt(np.expm1(q)))


def _mean_interval(params: Params, half: float) -> Interval:
    """Return the means mu with (m / mu - 1)^2 <= half^2 m / lam, m being the estimate."""
    mean = params["mu"]
    width = half * np.sqrt(mean / params["lam"])
    with np.errstate(divide="ignore"):
        return mean / (1 + width), np.where(width < 1, mean / (1 - width), np.inf)


def _matrix(aa: np.ndarray, ab: np.ndarray, ba: np.ndarray, bb: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([aa, ab], axis=-1), np.stack([ba, bb], axis=-1)], axis=-2)
