"""Noise with a closed form: what data are told apart from, with its density and inverse map."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp, ndtri
from scipy.stats import chi2

__all__ = [
    "BernoulliNoise",
    "GaussianMixtureNoise",
    "KernelProposal",
    "Noise",
    "ProductNoise",
    "Proposal",
    "StudentNoise",
    "UniformNoise",
    "check_rows_inside",
    "has_inverse_map",
    "open_uniform",
]

LOG_2PI = np.log(2 * np.pi)


class Noise(Protocol):
    """A fitted noise distribution over rows.

    Those with an inverse map also have `n_uniforms` and ``transform(u)``, which turns uniforms
    (m, n_uniforms) into draws (m, d); smooth ones have ``score_function(X)``.
    """

    @property
    def discrete(self) -> bool:
        """Whether `log_density` is the log of a mass."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) draws."""
        ...

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        ...


def has_inverse_map(noise: Any) -> bool:
    """Tell whether uniforms can be turned into draws, as quasi-Monte-Carlo needs."""
    return hasattr(noise, "transform")


def check_rows_inside(log_density: np.ndarray) -> None:
    """Raise a ValueError where rows of the data have no density under the noise."""
    outside = ~np.isfinite(log_density)
    if outside.any():
        raise ValueError(
            f"Row {int(np.argmax(outside))} of X lies where the noise has no density, so it cannot "
            "be told from noise. Choose noise that covers the data."
        )


def open_uniform(u: np.ndarray) -> np.ndarray:
    """Keep uniforms off 0 and 1, where normal quantiles are infinite."""
    return np.clip(u, 2.0**-53, 1 - 2.0**-53)


@dataclass(frozen=True)
class GaussianMixtureNoise:
    """A mixture of Gaussians, given by lower Cholesky factors of the covariances.

    Attributes
    ----------
    weights : ndarray of shape (k,)
    means : ndarray of shape (k, d)
    cholesky : ndarray of shape (k, d, d)
    """

    weights: np.ndarray
    means: np.ndarray
    cholesky: np.ndarray
    discrete: bool = False

    @property
    def n_uniforms(self) -> int:
        """One number per column, and one that picks the component."""
        return self.means.shape[1] + (len(self.weights) > 1)

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, n_uniforms) into draws."""
        normal = ndtri(open_uniform(u))
        if len(self.weights) == 1:
            return self.means[0] + normal @ self.cholesky[0].T
        edges = np.cumsum(self.weights)[:-1]
        return self._shift(np.searchsorted(edges, u[:, 0], side="right"), normal[:, 1:])

    def _shift(self, component: np.ndarray, normal: np.ndarray) -> np.ndarray:
        drawn = np.empty_like(normal)
        for k in range(len(self.weights)):
            rows = component == k
            drawn[rows] = self.means[k] + normal[rows] @ self.cholesky[k].T
        return drawn

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws, not grouped by component."""
        component = rng.choice(len(self.weights), size=n, p=self.weights)
        return self._shift(component, rng.standard_normal((n, self.means.shape[1])))

    def log_joint(self, X: np.ndarray) -> np.ndarray:
        """Return log(weight) + log-density of each component, (n, k)."""
        joint = np.empty((len(X), len(self.weights)))
        with np.errstate(over="ignore"):  # rows too far away have a log-density of -inf
            for k, factor in enumerate(self.cholesky):
                whitened = (X - self.means[k]) @ _inverse_lower(factor).T
                joint[:, k] = -0.5 * np.einsum("ij,ij->i", whitened, whitened)
                joint[:, k] -= np.log(np.diag(factor)).sum() - np.log(self.weights[k])
        return joint - 0.5 * X.shape[1] * LOG_2PI

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        return logsumexp(self.log_joint(X), axis=1)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        joint = self.log_joint(X)
        weight = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        gradient = np.zeros_like(X)
        for k, factor in enumerate(self.cholesky):
            inverse = _inverse_lower(factor)
            gradient -= weight[:, [k]] * ((X - self.means[k]) @ inverse.T @ inverse)
        return gradient


def _inverse_lower(factor: np.ndarray) -> np.ndarray:
    return np.linalg.solve(factor, np.eye(len(factor)))


@dataclass(frozen=True)
class StudentNoise:
    """Multivariate Student t: heavier tails than a Gaussian of the same center.

    Attributes
    ----------
    df : float
    location : ndarray of shape (d,)
    cholesky : ndarray of shape (d, d)
        Factor of the scale matrix, which is (df - 2) / df times the covariance.
    """

    df: float
    location: np.ndarray
    cholesky: np.ndarray
    discrete: bool = False

    @property
    def n_uniforms(self) -> int:
        """One number per column, and one for the common scale."""
        return len(self.location) + 1

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, d + 1) into draws."""
        u = open_uniform(u)
        return self._scale(ndtri(u[:, 1:]), chi2.ppf(u[:, 0], self.df))

    def _scale(self, normal: np.ndarray, chi_square: np.ndarray) -> np.ndarray:
        spread = np.sqrt(self.df / chi_square)[:, None]
        return self.location + spread * (normal @ self.cholesky.T)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws."""
        chi_square = rng.chisquare(self.df, size=n)
        return self._scale(rng.standard_normal((n, len(self.location))), chi_square)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        d, df = len(self.location), self.df
        with np.errstate(over="ignore"):
            whitened = (X - self.location) @ _inverse_lower(self.cholesky).T
            distance = np.einsum("ij,ij->i", whitened, whitened)
        constant = gammaln((df + d) / 2) - gammaln(df / 2) - 0.5 * d * np.log(df * np.pi)
        constant -= np.log(np.diag(self.cholesky)).sum()
        return constant - 0.5 * (df + d) * np.log1p(distance / df)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        inverse = _inverse_lower(self.cholesky)
        whitened = (X - self.location) @ inverse.T
        distance = np.einsum("ij,ij->i", whitened, whitened)[:, None]
        return -(self.df + X.shape[1]) / (self.df + distance) * (whitened @ inverse)


@dataclass(frozen=True)
class UniformNoise:
    """Uniform over a box; rows outside have no density.

    Attributes
    ----------
    low, high : ndarray of shape (d,)
    """

    low: np.ndarray
    high: np.ndarray
    discrete: bool = False

    @property
    def n_uniforms(self) -> int:
        """One number per column."""
        return len(self.low)

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, d) into draws."""
        return self.low + (self.high - self.low) * u

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws."""
        return self.transform(rng.uniform(size=(n, len(self.low))))

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        inside = ((self.low <= X) & (self.high >= X)).all(axis=1)
        return np.where(inside, -np.log(self.high - self.low).sum(), -np.inf)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density with respect to x: zero."""
        return np.zeros_like(X)


@dataclass(frozen=True)
class BernoulliNoise:
    """Independent coins for columns of zeros and ones; a mass, not a density.

    Attributes
    ----------
    mean : ndarray of shape (d,)
        Probabilities of a one, strictly between 0 and 1.
    """

    mean: np.ndarray
    discrete: bool = True

    @property
    def n_uniforms(self) -> int:
        """One number per column."""
        return len(self.mean)

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, d) into draws."""
        return (u < self.mean).astype(np.float64)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws."""
        return self.transform(rng.uniform(size=(n, len(self.mean))))

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-mass of each row, (n,)."""
        inside = ((X == 0) | (X == 1)).all(axis=1)
        mass = np.where(X > 0.5, np.log(self.mean), np.log1p(-self.mean)).sum(axis=1)
        return np.where(inside, mass, -np.inf)


@dataclass(frozen=True)
class ProductNoise:
    """Independent columns, each with its own mixture of Gaussians.

    Attributes
    ----------
    margins : tuple of GaussianMixtureNoise of one column
    """

    margins: tuple[GaussianMixtureNoise, ...]
    discrete: bool = False

    @property
    def n_uniforms(self) -> int:
        """The numbers of all margins."""
        return sum(margin.n_uniforms for margin in self.margins)

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, n_uniforms) into draws."""
        ends = np.cumsum([margin.n_uniforms for margin in self.margins])[:-1]
        parts = np.split(u, ends, axis=1)
        return np.hstack([margin.transform(part) for margin, part in zip(self.margins, parts)])

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws."""
        return np.hstack([margin.sample(n, rng) for margin in self.margins])

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        columns = enumerate(self.margins)
        return np.sum([margin.log_density(X[:, [j]]) for j, margin in columns], axis=0)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        columns = enumerate(self.margins)
        return np.hstack([margin.score_function(X[:, [j]]) for j, margin in columns])


# A proposal for kernel families: half the Gaussian base, half kernels at the centers.

SHARE = 0.5  # of the base, which bounds every weight: the kernels may miss a part of the mass


@dataclass(frozen=True)
class KernelProposal:
    """A mixture on whitened columns that is where the rows are, and has the tails of the base.

    Attributes
    ----------
    centers : ndarray of shape (m, d_active)
        Rows, in the columns that vary.
    active : ndarray of shape (d,), bool
        Those columns; the others are standard normal.
    """

    centers: np.ndarray
    active: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """The origin, (d,)."""
        return np.zeros(len(self.active))

    @property
    def factor(self) -> np.ndarray:
        """The scale of moves, (d, d)."""
        return np.eye(len(self.active))

    @property
    def width(self) -> float:
        """Standard deviation of the kernels: the rule for m normal rows of unit variance."""
        m, d = self.centers.shape
        return float(m ** (-1 / (d + 4)))

    def transform(self, uniforms: np.ndarray) -> np.ndarray:
        """Return rows from uniforms in the open cube, (n, d + 1); the first one picks the part."""
        rows = stats.norm.ppf(uniforms[:, 1:])
        place = (uniforms[:, 0] - SHARE) / (1 - SHARE) * len(self.centers)
        near = place >= 0
        picked = self.centers[np.minimum(place[near].astype(int), len(self.centers) - 1)]
        cells = np.ix_(near, self.active)
        rows[cells] = picked + self.width * rows[cells]
        return rows

    def log_density(self, U: np.ndarray) -> np.ndarray:
        """Return the log-density of rows, (n,)."""
        inside, d = U[:, self.active], self.centers.shape[1]
        base = -0.5 * (inside**2).sum(axis=1) + np.log(SHARE)
        square = cdist(inside, self.centers, "sqeuclidean") / self.width**2
        near = logsumexp(-0.5 * square, axis=1) - np.log(len(self.centers)) - d * np.log(self.width)
        rest = -0.5 * (U[:, ~self.active] ** 2).sum(axis=1) - 0.5 * U.shape[1] * np.log(2 * np.pi)
        return np.logaddexp(base, near + np.log(1 - SHARE)) + rest


@dataclass(frozen=True)
class Proposal:
    """Student's t, or a Gaussian with `df` infinite, around `center` with scale `factor`.

    Attributes
    ----------
    center : ndarray of shape (d,)
    factor : ndarray of shape (d, d)
        Lower triangular.
    df : float
    """

    center: np.ndarray
    factor: np.ndarray
    df: float

    @classmethod
    def around(cls, U: np.ndarray, share: np.ndarray, df: float = 5.0) -> "Proposal":
        """Return Student's t with twice the covariance of rows, (n, d), of shares (n,)."""
        d = U.shape[1]
        center = share @ U
        centered = U - center
        covariance = (centered * share[:, None]).T @ centered
        covariance += np.diag(1e-8 * np.diag(covariance) + 1e-12)
        return cls(center, np.linalg.cholesky(covariance * (2 * (df - 2) / df)).reshape(d, d), df)

    def transform(self, uniforms: np.ndarray) -> np.ndarray:
        """Return rows from uniforms in the open cube, (n, d + 1)."""
        normal = stats.norm.ppf(uniforms[:, 1:])
        if np.isfinite(self.df):
            normal /= np.sqrt(stats.chi2.ppf(uniforms[:, :1], self.df) / self.df)
        return self.center + normal @ self.factor.T

    def log_density(self, U: np.ndarray) -> np.ndarray:
        """Return the log-density of rows, (n,)."""
        d, df = len(self.center), self.df
        standard = np.linalg.solve(self.factor, (U - self.center).T)
        square = (standard**2).sum(axis=0)
        log_det = np.log(np.diag(self.factor)).sum()
        if not np.isfinite(df):
            return -0.5 * (square + d * np.log(2 * np.pi)) - log_det
        constant = gammaln((df + d) / 2) - gammaln(df / 2) - 0.5 * d * np.log(df * np.pi)
        return constant - log_det - 0.5 * (df + d) * np.log1p(square / df)
