"""Densities of exponential families with a normalizer of their own."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import linalg, stats
from scipy.special import expit, gammaln, ive

from skgm.score_matching._exp_family.line_map import LineDensity

__all__ = [
    "OFF_SPHERE",
    "FamilyDensity",
    "FreeGaussian",
    "GammaProduct",
    "LineProduct",
    "SphereDensity",
    "check_on_sphere",
    "fit_sphere",
    "solve_sphere",
]


class FamilyDensity(Protocol):
    """What the estimator asks of a density of standardized columns."""

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z and its standard error."""

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows."""


@dataclass(frozen=True)
class FreeGaussian:
    """exp(eta' z - z' K z / 2) on the whole space."""

    precision: np.ndarray
    natural: np.ndarray

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z, exact."""
        factor = linalg.cholesky(self.precision, lower=True)
        half = linalg.solve_triangular(factor, self.natural, lower=True)
        log_det = 2 * np.log(np.diag(factor)).sum()
        return float(0.5 * (len(half) * np.log(2 * np.pi) - log_det + half @ half)), 0.0

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows."""
        factor = linalg.cholesky(self.precision, lower=True)
        location = linalg.cho_solve((factor, True), self.natural)
        noise = rng.standard_normal((len(location), n))
        return location + linalg.solve_triangular(factor, noise, lower=True, trans=1).T


@dataclass(frozen=True)
class GammaProduct:
    """Independent gamma columns."""

    shape: np.ndarray
    rate: np.ndarray

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z, exact."""
        return float((gammaln(self.shape) - self.shape * np.log(self.rate)).sum()), 0.0

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows, kept above zero where small shapes underflow."""
        rows = rng.gamma(self.shape, 1 / self.rate, size=(n, len(self.shape)))
        return np.maximum(rows, np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class LineProduct:
    """Independent columns, each by quadrature."""

    parts: list[LineDensity]

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z and the error of the quadrature."""
        found = np.array([part.log_normalizer() for part in self.parts])
        return float(found[:, 0].sum()), float(found[:, 1].sum())

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows by inverting the distribution functions."""
        uniforms = rng.uniform(2.0**-53, 1.0, size=(len(self.parts), n))
        return np.column_stack([p.quantile(u) for p, u in zip(self.parts, uniforms)])


# Von Mises-Fisher laws on the unit sphere by score matching, in closed form.
#
# On the sphere the gradient of t_j = x_j is the tangential part of the unit vector e_j, and its
# Laplacian -(d - 1) x_j: the loss is theta' mean(I - x x') theta / 2 - (d - 1) theta' mean(x).

OFF_SPHERE = 1e-5  # in float32 rows, unit length is no better


def check_on_sphere(X: np.ndarray) -> None:
    """Raise a ValueError that names the first row that is not of unit length."""
    if X.shape[1] < 2:
        raise ValueError(f"'von_mises_fisher' needs at least 2 columns; got {X.shape[1]}.")
    away = np.abs(np.linalg.norm(X, axis=1) - 1) > OFF_SPHERE
    if away.any():
        row = int(np.argmax(away))
        raise ValueError(
            f"'von_mises_fisher' needs rows of unit length; row {row} has length "
            f"{np.linalg.norm(X[row]):.6g}. Divide rows by their lengths, for example with "
            "sklearn.preprocessing.normalize."
        )


def fit_sphere(X: np.ndarray, share: np.ndarray, total: float) -> tuple[np.ndarray, np.ndarray]:
    """Return theta, (d,), and its sandwich covariance, from rows of unit length.

    eq. sm-covariance
    """
    d = X.shape[1]
    bread = np.eye(d) - (X * share[:, None]).T @ X
    theta = solve_sphere(bread, (d - 1) * (share @ X))
    psi = theta - X * (X @ theta)[:, None] - (d - 1) * X
    inverse = np.linalg.inv(bread)
    return theta, inverse @ ((psi * share[:, None]).T @ psi) @ inverse / max(total - 1, 1)


def solve_sphere(bread: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Return theta of bread theta = pull, (d,)."""
    if np.linalg.eigvalsh(bread)[0] <= 1e-12:
        raise ValueError(
            "All rows are equal or opposite, so their concentration has no estimate. Give rows in "
            "different directions."
        )
    return np.linalg.solve(bread, pull)


@dataclass(frozen=True)
class SphereDensity:
    """exp(theta' x) against the surface measure of the unit sphere."""

    theta: np.ndarray

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z, exact: (2 pi)^(d/2) I_v(kappa) / kappa^v with v = d/2 - 1."""
        kappa, d = float(np.linalg.norm(self.theta)), len(self.theta)
        order = d / 2 - 1
        value = ive(order, kappa)
        if kappa < 1e-8 or value == 0 or not np.isfinite(value):
            if kappa > 1:
                raise ValueError(
                    f"The normalizer of a concentration of {kappa:.3g} in {d} columns leaves the "
                    "range of float64. Use fewer columns, or rows that are less alike."
                )
            sphere = stats.vonmises_fisher(np.eye(d)[0], 1e-8)
            return float(-sphere.logpdf(np.eye(d)[0])), 0.0
        log_bessel = np.log(value) + kappa
        return float(0.5 * d * np.log(2 * np.pi) + log_bessel - order * np.log(kappa)), 0.0

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n rows of unit length."""
        kappa = float(np.linalg.norm(self.theta))
        direction = self.theta / kappa if kappa > 0 else np.eye(len(self.theta))[0]
        law = stats.vonmises_fisher(direction, max(kappa, 1e-8))
        return np.reshape(law.rvs(n, random_state=rng), (n, len(self.theta)))

    def complete(self, given: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows of unit length with the holes of `given` drawn, (m * n, d).

        What is left is a sphere of less radius, on which the law is of the same kind.
        """
        rows = np.repeat(given.astype(np.float64), n, axis=0)
        for i, row in enumerate(given):
            hole = np.isnan(row)
            rest = 1 - float((row[~hole].astype(np.float64) ** 2).sum())
            if rest < -OFF_SPHERE or (not hole.any() and rest > OFF_SPHERE):
                raise ValueError(
                    f"Row {i} of given is not of unit length: its known values alone have length "
                    f"{np.sqrt(1 - rest):.6g}. Divide rows by their lengths."
                )
            radius, own = np.sqrt(max(rest, 0.0)), slice(i * n, (i + 1) * n)
            theta = radius * self.theta[hole]
            if hole.sum() == 1:
                plus = rng.uniform(size=(n, 1)) < expit(2 * theta)
                rows[own, hole] = radius * np.where(plus, 1.0, -1.0)
            elif hole.any():
                rows[own, hole] = radius * SphereDensity(theta).draw(n, rng)
        return rows
