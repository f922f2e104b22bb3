"""Normalizes a Gaussian cut to a box, and draws from it, freely or given some columns."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import log_ndtr, logsumexp, ndtri_exp
from scipy.stats import qmc

__all__ = [
    "BoxGaussian",
    "log_box_probability",
    "truncated_normal",
]

SCRAMBLES, LOG2_POINTS = 8, 12
SWEEPS = 40  # of Gibbs sampling after draws that are weighted for the joint law


@dataclass(frozen=True)
class BoxGaussian:
    """log p(x) = -x' K x / 2 + eta' x - log Z on lower <= x <= upper.

    Attributes
    ----------
    precision : ndarray of shape (p, p)
        K, positive definite.
    natural : ndarray of shape (p,)
        eta.
    lower, upper : ndarray of shape (p,)
        The box; infinite where there is no bound.
    """

    precision: np.ndarray
    natural: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def location(self) -> np.ndarray:
        """Mean of the Gaussian before it is cut, K^-1 eta."""
        return self.covariance @ self.natural

    @property
    def covariance(self) -> np.ndarray:
        """Covariance of the Gaussian before it is cut, inverted in units of the columns."""
        scale = np.diag(self.precision) ** -0.5
        factor = linalg.cholesky(self.precision * np.outer(scale, scale), lower=True)
        inverse = linalg.cho_solve((factor, True), np.eye(len(scale)))
        return inverse * np.outer(scale, scale)

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z and its standard error; exact for one column."""
        factor = linalg.cholesky(self.precision, lower=True)
        p, location = len(self.natural), self.location
        log_det = 2 * np.log(np.diag(factor)).sum()
        free = 0.5 * (p * np.log(2 * np.pi) - log_det + self.natural @ location)
        inside, error = log_box_probability(location, self.covariance, self.lower, self.upper)
        return float(free + inside), error

    def log_density(self, X: np.ndarray, log_normalizer: float) -> np.ndarray:
        """Return the log-density of each row, -inf outside the box."""
        inside = ((self.lower <= X) & (self.upper >= X)).all(axis=1)
        with np.errstate(over="ignore", invalid="ignore"):
            quadratic = np.einsum("ij,ij->i", X @ self.precision, X)
            value = X @ self.natural - 0.5 * quadratic - log_normalizer
        # K is positive definite: far away the quadratic term wins, and overflows first
        return np.where(inside & np.isfinite(value), value, -np.inf)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density, (n, p); not finite where it overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.natural - X @ self.precision

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, p) draws: weighted sequential ones, resampled, then swept by Gibbs."""
        covariance = self.covariance
        pool = max(4 * n, 1024)
        uniforms = rng.random((pool, len(self.natural)))
        rows, log_weight = _sequential(self.location, covariance, self.lower, self.upper, uniforms)
        share = np.exp(log_weight - logsumexp(log_weight))
        rows = rows[rng.choice(pool, size=n, p=share / share.sum())]
        return self._sweep(rows, np.ones(rows.shape, dtype=bool), rng)

    def draw_given(self, given: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return `given`, (n, p), with its NaN drawn from the conditional law."""
        missing = np.isnan(given)
        start = np.clip(self.location, self.lower, self.upper)
        rows = np.where(missing, start, given)
        return self._sweep(rows, missing, rng, n_sweeps=5 * SWEEPS)

    def _sweep(
        self,
        rows: np.ndarray,
        free: np.ndarray,
        rng: np.random.Generator,
        n_sweeps: int = SWEEPS,
    ) -> np.ndarray:
        K, own = self.precision, np.diag(self.precision)
        for _ in range(n_sweeps):
            for j in range(rows.shape[1]):
                changed = free[:, j]
                if not changed.any():
                    continue
                some = rows[changed]
                mean = (self.natural[j] - some @ K[:, j] + own[j] * some[:, j]) / own[j]
                rows[changed, j] = truncated_normal(
                    mean, own[j] ** -0.5, self.lower[j], self.upper[j], rng.random(len(some))
                )[0]
        return rows


def log_box_probability(
    mean: np.ndarray, covariance: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> tuple[float, float]:
    """Return the log-probability of a box under a Gaussian, and its standard error.

    Sequential conditioning (Genz, 1992) on scrambled Sobol points, in logarithms, so that boxes
    deep in the tail have a value too; columns are taken in the order of their own probability.
    Exact for one column. The points are fixed: the same arguments give the same value.
    """
    if len(mean) == 1:
        sd = np.sqrt(covariance[0, 0])
        _, exact = truncated_normal(mean, sd, lower[0], upper[0], np.array([0.5]))
        return float(exact[0]), 0.0
    estimates = np.empty(SCRAMBLES)
    for k in range(SCRAMBLES):
        points = qmc.Sobol(len(mean), seed=np.random.default_rng(k)).random_base2(LOG2_POINTS)
        _, log_weight = _sequential(mean, covariance, lower, upper, np.clip(points, 1e-16, 1.0))
        estimates[k] = logsumexp(log_weight) - np.log(len(points))
    value = float(logsumexp(estimates) - np.log(SCRAMBLES))
    spread = np.exp(estimates - value).std(ddof=1) / np.sqrt(SCRAMBLES)
    return value, float(spread)


def _sequential(
    mean: np.ndarray,
    covariance: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    uniforms: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw column after column within the box; return rows, (n, p), and log weights, (n,)."""
    sd = np.sqrt(np.diag(covariance))
    alone = truncated_normal(mean, sd, lower, upper, np.full(len(mean), 0.5))[1]
    order = np.argsort(alone)  # the tightest column first: its draws guide the others
    factor = linalg.cholesky(covariance[np.ix_(order, order)], lower=True)
    standard = np.empty(uniforms.shape)
    log_weight = np.zeros(len(uniforms))
    rows = np.empty(uniforms.shape)
    for i, j in enumerate(order):
        center = mean[j] + standard[:, :i] @ factor[i, :i]
        drawn, log_share = truncated_normal(
            center, factor[i, i], lower[j], upper[j], uniforms[:, i]
        )
        standard[:, i] = (drawn - center) / factor[i, i]
        log_weight += log_share
        rows[:, j] = drawn
    return rows, log_weight


def truncated_normal(mean, sd, lower, upper, uniform) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles of normals cut to intervals, and the logs of the intervals' probabilities.

    Arguments broadcast. Intervals above the mean are mirrored, where logarithms of the
    distribution function keep their digits; there `uniform` counts from the upper end.
    """
    low, high = (lower - mean) / sd, (upper - mean) / sd
    mirrored = low > 0
    a, b = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    log_a, log_b = log_ndtr(a), log_ndtr(b)
    gap = np.minimum(log_a - log_b, -1e-300)
    log_share = log_b + np.log(-np.expm1(gap))
    quantile = ndtri_exp(np.minimum(np.logaddexp(log_a, np.log(uniform) + log_share), 0.0))
    quantile = np.clip(quantile, a, b)  # rounding must not leave the interval
    value = mean + sd * np.where(mirrored, -quantile, quantile)
    return np.clip(value, lower, upper), log_share
