"""Draws from distributions with a density in closed form, and most with an inverse map."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp, ndtri
from scipy.stats import chi2

from skgm._numerics.gaussian_mixture import GaussianMixtureModel

__all__ = [
    "BernoulliNoise",
    "GaussianMixtureNoise",
    "KernelProposal",
    "Noise",
    "ProductNoise",
    "RepeatedDraws",
    "StudentNoise",
    "UniformNoise",
    "check_rows_inside",
    "fresh_completions",
    "has_inverse_map",
    "open_uniform",
]

LOG_2PI = np.log(2 * np.pi)


class Noise(Protocol):
    """A fitted noise distribution over rows.

    Those with an inverse map also have `n_uniforms` and ``transform(u)``, which turns uniforms
    (m, n_uniforms) into draws (m, d); smooth ones have ``score_function(X)``; those with exact
    conditionals have ``sample_given(given, n, rng)``, which completes rows with NaN, (m, d), to
    (m, n, d).
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


def fresh_completions(
    noise: Any, given: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return completions of rows with NaN, (m, n, d), under noise of independent columns."""
    m, d = given.shape
    rows = noise.sample(m * n, rng).reshape(m, n, d)
    return np.where(np.isnan(given)[:, None], rows, given[:, None])


def _patterns(given: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the masks of holes that occur, (d,), and the rows of each."""
    masks, which = np.unique(np.isnan(given), axis=0, return_inverse=True)
    return [(mask, np.flatnonzero(which.ravel() == i)) for i, mask in enumerate(masks)]


def open_uniform(u: np.ndarray) -> np.ndarray:
    """Keep uniforms off 0 and 1, where normal quantiles are infinite."""
    return np.clip(u, 2.0**-53, 1 - 2.0**-53)


class RepeatedDraws(NamedTuple):
    """Random numbers that are the same for each of some rows, in place of a generator."""

    n_rows: int
    rng: np.random.Generator

    def random(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return uniform numbers of a shape whose first axis is that of the rows, or of draws."""
        return np.tile(self.rng.random((shape[0] // self.n_rows, *shape[1:])), self._times(shape))

    def standard_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return normal numbers likewise."""
        one = self.rng.standard_normal((shape[0] // self.n_rows, *shape[1:]))
        return np.tile(one, self._times(shape))

    def _times(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.n_rows, *(1 for _ in shape[1:]))


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

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN given the rest of each row, (m, n, d)."""
        center, unit, mixture = self._standardized()
        rows = center + unit * mixture.complete((given - center) / unit, n, rng)
        return rows.reshape(len(given), n, -1)

    def complete_alike(
        self, given: np.ndarray, n: int, seed: int | np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what `sample_given` draws for every row by itself from one seed, and zeros."""
        repeated: Any = RepeatedDraws(len(given), np.random.default_rng(seed))
        return self.sample_given(given, n, repeated), np.zeros((len(given), n))

    def _standardized(self) -> tuple[np.ndarray, np.ndarray, GaussianMixtureModel]:
        """Return a center, units, and the mixture on the scale that these give."""
        variances = np.einsum("kij,kij->ki", self.cholesky, self.cholesky)
        center, unit = self.weights @ self.means, np.sqrt(self.weights @ variances)
        factors = self.cholesky / unit[:, None]
        covariances = factors @ np.swapaxes(factors, 1, 2)
        model = GaussianMixtureModel(self.weights, (self.means - center) / unit, covariances)
        return center, unit, model

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
        """Return the log-density of each row, of its observed part where it has holes, (n,)."""
        seen = ~np.isnan(X)
        if seen.all():
            return logsumexp(self.log_joint(X), axis=1)
        center, unit, mixture = self._standardized()
        joint = mixture.log_joint((X - center) / unit)
        return np.asarray(logsumexp(joint, axis=1) - seen @ np.log(unit))

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

    @classmethod
    def around(cls, X: np.ndarray, share: np.ndarray, df: float = 5.0) -> "StudentNoise":
        """Return Student's t with twice the covariance of rows, (n, d), of shares (n,)."""
        location = share @ X
        centered = X - location
        covariance = (centered * share[:, None]).T @ centered
        covariance += np.diag(1e-8 * np.diag(covariance) + 1e-12)
        scale = covariance * (2 * (df - 2) / df)
        return cls(df, location, np.linalg.cholesky(scale).reshape(scale.shape))

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

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN given the rest of each row, (m, n, d): Student's t again."""
        rows = np.repeat(given[:, None], n, axis=1)
        for hole, which in _patterns(given):
            n_seen = int((~hole).sum())
            rows_of_factor = self.cholesky[np.argsort(hole, kind="stable")]  # holes last
            factor = np.asarray(np.linalg.qr(rows_of_factor.T, mode="r")).T
            seen = given[which][:, ~hole] - self.location[~hole]
            z = np.zeros((len(which), 0))
            if n_seen:  # older LAPACKs refuse empty systems
                z = solve_triangular(factor[:n_seen, :n_seen], seen.T, lower=True).T
            df = self.df + n_seen
            normal = rng.standard_normal((len(which), n, len(hole) - n_seen))
            chi_square = rng.chisquare(df, size=(len(which), n, 1))
            spread = np.sqrt((self.df + (z**2).sum(axis=1))[:, None, None] / chi_square)
            center = self.location[hole] + z @ factor[n_seen:, :n_seen].T
            filled = rows[which]
            filled[:, :, hole] = center[:, None] + spread * (normal @ factor[n_seen:, n_seen:].T)
            rows[which] = filled
        return rows

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

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN, independent of the rest of each row, (m, n, d)."""
        return fresh_completions(self, given, n, rng)

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

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN, independent of the rest of each row, (m, n, d)."""
        return fresh_completions(self, given, n, rng)

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

    def sample_given(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws of what is NaN, independent of the rest of each row, (m, n, d)."""
        return fresh_completions(self, given, n, rng)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        columns = enumerate(self.margins)
        return np.sum([margin.log_density(X[:, [j]]) for j, margin in columns], axis=0)

    def score_function(self, X: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        columns = enumerate(self.margins)
        return np.hstack([margin.score_function(X[:, [j]]) for j, margin in columns])


SHARE = 0.5  # of the base, which bounds every weight: the kernels may miss a part of the mass


@dataclass(frozen=True)
class KernelProposal:
    """A mixture on whitened columns that is where the rows are, and has the tails of the base.

    Half of it is the standard normal, half are spherical Gaussians of equal weights.

    Attributes
    ----------
    centers : ndarray of shape (m, d_active)
        Rows, in the columns that vary.
    widths : ndarray of shape (m,)
        Standard deviations of the Gaussians around them.
    active : ndarray of shape (d,), bool
        Those columns; the others are standard normal.
    """

    centers: np.ndarray
    widths: np.ndarray
    active: np.ndarray
    discrete: bool = False

    @classmethod
    def near(cls, centers: np.ndarray, active: np.ndarray) -> "KernelProposal":
        """Return Gaussians whose widths follow the distance of the third nearest center."""
        m, d = centers.shape
        third = np.partition(cdist(centers, centers), min(3, m - 1), axis=1)[:, min(3, m - 1)]
        return cls(centers, np.clip(1.3 * third / np.sqrt(d), 1e-8, 1.0), active)

    @property
    def n_uniforms(self) -> int:
        """One number per column, and one that picks the part."""
        return len(self.active) + 1

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, d + 1) into draws."""
        rows = ndtri(open_uniform(u[:, 1:]))
        place = (u[:, 0] - SHARE) / (1 - SHARE) * len(self.centers)
        near = place >= 0
        picked = np.minimum(place[near].astype(int), len(self.centers) - 1)
        cells = np.ix_(near, self.active)
        rows[cells] = self.centers[picked] + self.widths[picked, None] * rows[cells]
        return rows

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) independent draws."""
        return self.transform(rng.uniform(size=(n, self.n_uniforms)))

    def unwhitened(self, center: np.ndarray, factor: np.ndarray) -> GaussianMixtureNoise:
        """Return the same mixture of rows center + factor z, which draws conditionally."""
        m, d = len(self.centers), len(center)
        weights = np.append(SHARE, np.full(m, (1 - SHARE) / m))
        means, widths = np.zeros((m + 1, d)), np.ones((m + 1, d))
        means[1:, self.active], widths[1:, self.active] = self.centers, self.widths[:, None]
        return GaussianMixtureNoise(weights, center + means @ factor.T, factor * widths[:, None])

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        inside, d = X[:, self.active], self.centers.shape[1]
        near = -0.5 * cdist(inside, self.centers, "sqeuclidean") / self.widths**2
        near -= d * np.log(self.widths)
        near -= np.log(len(self.centers)) - np.log((1 - SHARE) / SHARE)
        base = -0.5 * (inside**2).sum(axis=1)
        top = np.maximum(near.max(axis=1), base)
        total = np.exp(near - top[:, None]).sum(axis=1) + np.exp(base - top)
        rest = -0.5 * (X[:, ~self.active] ** 2).sum(axis=1) - 0.5 * X.shape[1] * LOG_2PI
        return np.log(total * SHARE) + top + rest
