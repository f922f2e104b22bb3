"""Sufficient statistics of ready-made exponential families, of standardized columns z."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import comb
from typing import Any

import numpy as np

from skgm._numerics.box_gaussian import BoxGaussian
from skgm._numerics.importance import NotIntegrableError
from skgm.score_matching._exp_family.closed_forms import (
    FamilyDensity,
    FreeGaussian,
    GammaProduct,
    LineProduct,
)
from skgm.score_matching._exp_family.line_map import LineDensity, LineMap

__all__ = [
    "Gamma",
    "Polynomial",
    "Quadratic",
    "SquareRoot",
    "Statistics",
]


@dataclass(frozen=True)
class Statistics:
    """Statistics t(z) of rows whose columns are z = (x - shift) / scale.

    Derivatives with respect to column j are given for the statistics that depend on it alone.

    Attributes
    ----------
    shift, scale : ndarray of shape (d,)
        From the units of the table to z.
    columns : list of str
        Names of the columns.
    """

    shift: np.ndarray
    scale: np.ndarray
    columns: list[str] = field(repr=False)

    positive = False  # the support is x > 0
    knows_domain = False  # check_proper knows the natural parameter space

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.scale)

    @property
    def names(self) -> list[str]:
        """Names of the statistics, (m,)."""
        raise NotImplementedError  # abstract: every kind writes it

    def depends(self, j: int) -> np.ndarray:
        """Return which statistics depend on column j, (q,)."""
        raise NotImplementedError  # abstract: every kind writes it

    def values(self, Z: np.ndarray) -> np.ndarray:
        """Return the statistics, (n, m)."""
        raise NotImplementedError  # abstract: every kind writes it

    def slopes(self, Z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return first and second derivatives with respect to column j, (n, q) each."""
        raise NotImplementedError  # abstract: every kind writes it

    def base(self, Z: np.ndarray) -> np.ndarray:
        """Return the part of the log-density without parameters, (n,)."""
        return np.zeros(len(Z))

    def base_slope(self, Z: np.ndarray, j: int) -> np.ndarray:
        """Return its derivative with respect to column j, (n,)."""
        return np.zeros(len(Z))

    def kernel(self, Z: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the log-density up to its normalizer, (n,); -inf where it has no value."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            found = self.values(Z) @ theta + self.base(Z)
        return np.where(np.isnan(found), -np.inf, found)

    def score(self, Z: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the gradient of the log-density, (n, d)."""
        return np.column_stack(
            [
                self.slopes(Z, j)[0] @ theta[self.depends(j)] + self.base_slope(Z, j)
                for j in range(self.d)
            ]
        )

    def reporting_map(self) -> np.ndarray:
        """Return the matrix from coefficients of t(z) to those of t(x), (m, m)."""
        return np.eye(len(self.names))

    def report(self, theta: np.ndarray) -> np.ndarray:
        """Return the coefficients of t(x), (m,)."""
        return self.reporting_map() @ theta

    def report_errors(self, covariance: np.ndarray | None) -> Any:
        """Return the covariance of the coefficients of t(x), (m, m), if that of t(z) is known."""
        mapping = self.reporting_map()
        return None if covariance is None else mapping @ covariance @ mapping.T

    def constant(self, theta: np.ndarray) -> float:
        """Return theta' t(z) minus the reported coefficients times t(x), the same for all rows."""
        return 0.0

    def interactions(self) -> np.ndarray:
        """Return which statistics belong to two columns, (m,) bool."""
        return np.zeros(len(self.names), dtype=bool)

    def check_proper(self, theta: np.ndarray, margin: float = 1e-14) -> None:
        """Raise a NotIntegrableError for theta outside the natural parameter space, if known."""

    def density(
        self, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> FamilyDensity | None:
        """Return a density with a normalizer and draws of its own; None without one.

        Raises
        ------
        NotIntegrableError
            `theta` outside the natural parameter space; the message says how.
        """
        return None


class Quadratic(Statistics):
    """z_i and z_i z_j: Gaussians, free or cut to bounds."""

    @property
    def names(self) -> list[str]:
        """x0, x1, x0^2, x0*x1, x1^2."""
        pairs = zip(*self._pairs())
        squares = [
            f"{self.columns[i]}^2" if i == j else f"{self.columns[i]}*{self.columns[j]}"
            for i, j in pairs
        ]
        return [*self.columns, *squares]

    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        return np.triu_indices(self.d)

    def _place(self) -> np.ndarray:
        """Return where the statistic of each pair stands, (d, d)."""
        first, second = self._pairs()
        place = np.empty((self.d, self.d), dtype=int)
        place[first, second] = place[second, first] = self.d + np.arange(len(first))
        return place

    def depends(self, j: int) -> np.ndarray:
        """Return the linear statistic of column j and those of its pairs."""
        return np.append(j, self._place()[j])

    def values(self, Z: np.ndarray) -> np.ndarray:
        """Return columns and products."""
        first, second = self._pairs()
        return np.hstack([Z, Z[:, first] * Z[:, second]])

    def slopes(self, Z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives with respect to column j."""
        first = np.hstack([np.ones((len(Z), 1)), Z])
        second = np.zeros(first.shape)
        first[:, 1 + j] *= 2
        second[:, 1 + j] = 2.0
        return first, second

    def reporting_map(self) -> np.ndarray:
        """Return the effect of shift and scale on the coefficients."""
        first, second = self._pairs()
        d, m = self.d, self.d + len(first)
        result = np.zeros((m, m))
        result[np.arange(d), np.arange(d)] = 1 / self.scale
        own = np.arange(d, m)
        result[own, own] = 1 / (self.scale[first] * self.scale[second])
        np.add.at(result, (first, own), -self.shift[second] * result[own, own])
        np.add.at(result, (second, own), -self.shift[first] * result[own, own])
        return result

    def constant(self, theta: np.ndarray) -> float:
        """Return the value at x = 0, where all t(x) are zero."""
        origin = -(self.shift / self.scale)[None]
        return float(Quadratic.kernel(self, origin, theta)[0])

    def report(self, theta: np.ndarray) -> np.ndarray:
        """Return the coefficients of t(x), without the matrix of the map."""
        K = self.precision(theta) / np.outer(self.scale, self.scale)
        return self.coefficients(theta[: self.d] / self.scale + K @ self.shift, K)

    def precision(self, theta: np.ndarray) -> np.ndarray:
        """Return K of exp(eta' z - z' K z / 2)."""
        K = -theta[self._place()]
        return K + np.diag(np.diag(K))

    def kernel(self, Z: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the log-density up to its normalizer; by a factor of K where there is one."""
        K = self.precision(theta)
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                square = ((Z @ np.linalg.cholesky(K)) ** 2).sum(axis=1)
            except np.linalg.LinAlgError:
                square = np.einsum("ij,ij->i", Z @ K, Z)
            found = Z @ theta[: self.d] - 0.5 * square
        return np.where(np.isnan(found), -np.inf, found)

    def interactions(self) -> np.ndarray:
        """Return which statistics are products of two columns."""
        first, second = self._pairs()
        return np.append(np.zeros(self.d, dtype=bool), first != second)

    def check_proper(self, theta: np.ndarray, margin: float = 1e-14) -> None:
        """Raise a NotIntegrableError unless K is positive definite."""
        if not _least_eigenvalue(self.precision(theta)) > margin:
            raise NotIntegrableError("has a precision matrix that is not positive definite")

    def coefficients(self, eta: np.ndarray, K: np.ndarray) -> np.ndarray:
        """Return theta of eta and K."""
        first, second = self._pairs()
        return np.append(eta, -K[first, second] * np.where(first == second, 0.5, 1.0))

    def density(
        self, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> FamilyDensity | None:
        """Return the Gaussian, cut where there are bounds."""
        self.check_proper(theta)
        K = self.precision(theta)
        if np.isfinite(lower).any() or np.isfinite(upper).any():
            return BoxGaussian(K, theta[: self.d], lower, upper)
        return FreeGaussian(K, theta[: self.d])


def _least_eigenvalue(K: np.ndarray) -> float:
    """Return that of the matrix scaled to a unit diagonal; -1 if the diagonal is not positive."""
    own = np.diag(K)
    if not (own > 0).all():
        return -1.0
    return float(np.linalg.eigvalsh(K / np.sqrt(np.outer(own, own)))[0])


class SquareRoot(Quadratic):
    """Quadratic in the square roots of positive columns, whose interactions it models."""

    positive = True
    knows_domain = True

    @property
    def names(self) -> list[str]:
        """sqrt(x0), sqrt(x1), x0, sqrt(x0*x1), x1."""
        pairs = zip(*self._pairs())
        squares = [
            self.columns[i] if i == j else f"sqrt({self.columns[i]}*{self.columns[j]})"
            for i, j in pairs
        ]
        return [*(f"sqrt({name})" for name in self.columns), *squares]

    def values(self, Z: np.ndarray) -> np.ndarray:
        """Return roots and their products."""
        return super().values(np.sqrt(Z))

    def kernel(self, Z: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the log-density up to its normalizer."""
        return super().kernel(np.sqrt(Z), theta)

    def slopes(self, Z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives with respect to z_j, by the chain rule."""
        root = np.sqrt(Z)
        first, second = super().slopes(root, j)
        own = root[:, j : j + 1]
        return first / (2 * own), second / (4 * own**2) - first / (4 * own**3)

    def report(self, theta: np.ndarray) -> np.ndarray:
        """Return the coefficients of the statistics of x."""
        return Statistics.report(self, theta)

    def reporting_map(self) -> np.ndarray:
        """Return the effect of the scale."""
        first, second = self._pairs()
        of_pairs = self.scale[first] * self.scale[second]
        return np.diag(np.append(self.scale, of_pairs) ** -0.5)

    def check_proper(self, theta: np.ndarray, margin: float = 1e-14) -> None:
        """Raise a NotIntegrableError unless K is known to be positive on positive vectors.

        It is where it is positive definite, or its negative entries with the diagonal are.
        """
        K = self.precision(theta)
        repelling = np.where(np.eye(self.d, dtype=bool), K, np.minimum(K, 0))
        if not max(_least_eigenvalue(K), _least_eigenvalue(repelling)) > margin:
            raise NotIntegrableError("grows without bound where columns are large together")

    def density(
        self, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> FamilyDensity | None:
        """Return None: the normalizer is a general integral."""
        self.check_proper(theta)
        return None


class Gamma(Statistics):
    """log z_j and z_j of every column: independent gamma columns."""

    positive = True

    @property
    def names(self) -> list[str]:
        """log(x0), log(x1), x0, x1."""
        return [*(f"log({name})" for name in self.columns), *self.columns]

    def depends(self, j: int) -> np.ndarray:
        """Return the two statistics of column j."""
        return np.array([j, self.d + j])

    def values(self, Z: np.ndarray) -> np.ndarray:
        """Return logs and columns."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.hstack([np.log(Z), Z])

    def slopes(self, Z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return 1/z and 1; -1/z^2 and 0."""
        z, zero = Z[:, j], np.zeros(len(Z))
        return np.column_stack([1 / z, zero + 1]), np.column_stack([-1 / z**2, zero])

    def reporting_map(self) -> np.ndarray:
        """Return the effect of the scale."""
        return np.diag(np.append(np.ones(self.d), 1 / self.scale))

    def constant(self, theta: np.ndarray) -> float:
        """Return what log(x / scale) leaves."""
        return float(-theta[: self.d] @ np.log(self.scale))

    def density(
        self, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> FamilyDensity | None:
        """Return the product of gamma densities."""
        shape, rate = theta[: self.d] + 1, -theta[self.d :]
        if not (shape > 0).all() or not (rate > 0).all():
            raise NotIntegrableError(
                f"has shapes {np.round(shape, 3)} and rates {np.round(rate / self.scale, 3)}, "
                "which must be positive"
            )
        return GammaProduct(shape, rate)


@dataclass(frozen=True)
class Polynomial(Statistics):
    """Powers 1 to `degree` of every column: independent columns."""

    degree: int = 4

    @property
    def names(self) -> list[str]:
        """x0, x0^2, x0^3, ..., x1, x1^2, ..."""
        powers = range(2, self.degree + 1)
        return [n for name in self.columns for n in (name, *(f"{name}^{k}" for k in powers))]

    def depends(self, j: int) -> np.ndarray:
        """Return the powers of column j."""
        return np.arange(j * self.degree, (j + 1) * self.degree)

    def values(self, Z: np.ndarray) -> np.ndarray:
        """Return the powers."""
        powers = Z[:, :, None] ** np.arange(1, self.degree + 1)
        return powers.reshape(len(Z), -1)

    def slopes(self, Z: np.ndarray, j: int) -> tuple[np.ndarray, np.ndarray]:
        """Return k z^(k-1) and k (k-1) z^(k-2)."""
        k, z = np.arange(1, self.degree + 1), Z[:, j : j + 1]
        return k * z ** (k - 1), k * (k - 1) * z ** np.maximum(k - 2, 0)

    def reporting_map(self) -> np.ndarray:
        """Return the binomial expansions of ((x - shift) / scale)^k."""
        k = self.degree
        result = np.zeros((self.d * k, self.d * k))
        for j in range(self.d):
            for power in range(1, k + 1):
                for p in range(1, power + 1):
                    part = comb(power, p) * (-self.shift[j]) ** (power - p)
                    result[j * k + p - 1, j * k + power - 1] = part / self.scale[j] ** power
        return result

    def constant(self, theta: np.ndarray) -> float:
        """Return the value at x = 0, where all t(x) are zero."""
        return float(self.values(-(self.shift / self.scale)[None])[0] @ theta)

    def density(
        self, theta: np.ndarray, lower: np.ndarray, upper: np.ndarray
    ) -> FamilyDensity | None:
        """Return the product of the columns' densities, by quadrature."""
        parts = []
        for j, own in enumerate(theta.reshape(self.d, self.degree)):
            with np.errstate(invalid="ignore"):
                at_ends = own[-1] * np.array([lower[j], upper[j]]) ** self.degree
            if (at_ends[np.isinf(at_ends)] > 0).any() or np.isnan(at_ends).any():
                raise NotIntegrableError(
                    f"grows without bound in column {self.columns[j]!r} (an odd degree, or a "
                    "leading coefficient of the wrong sign)"
                )
            line = LineMap(lower[j : j + 1], upper[j : j + 1])
            parts.append(LineDensity(_power_series(own), line, 0.0, 1.0))
        return LineProduct(parts)


def _power_series(coefficients: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the polynomial without constant, from (n, 1) to (n,), by Horner's rule."""
    return lambda Z: np.polyval(np.append(coefficients[::-1], 0.0), Z[:, 0])
