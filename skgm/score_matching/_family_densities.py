"""Densities of exponential families with a normaliser of their own."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import linalg
from scipy.special import gammaln

from skgm.score_matching._line_map import LineDensity

__all__ = ["FamilyDensity", "FreeGaussian", "GammaProduct", "LineProduct"]


class FamilyDensity(Protocol):
    """What the estimator asks of a density of standardised columns."""

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
