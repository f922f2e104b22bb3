"""The linear system of score matching for exponential families, and its sandwich.

With log p = theta' t + b - A(theta), the generalized loss is quadratic in theta:
theta' G theta / 2 - g' theta, with G = mean sum_j h_j dt_j dt_j' and
g = -mean sum_j [h_j d_j^2 t + h_j' d_j t + h_j d_j t d_j b]   (eq. sm-generalized).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from skgm._numerics.importance import NotIntegrableError
from skgm._numerics.moments import Moments
from skgm.score_matching._bounds import boundary_weight, check_bounds, check_inside_bounds
from skgm.score_matching._exp_family.statistics import (
    Gamma,
    Polynomial,
    Quadratic,
    SquareRoot,
    Statistics,
)
from skgm.tables._validation import check_support

__all__ = [
    "FAMILIES",
    "SPHERE",
    "LinearSystem",
    "SystemSums",
    "check_domain",
    "family_of",
    "linear_system",
    "solve_equilibrated",
    "solve_proper",
    "standardize",
]

BLOCK = 4096  # rows at a time
RIDGES = 4.0 ** np.arange(-12, 12)
MARGIN = 0.01  # of the least eigenvalue of an interaction matrix with unit diagonal
MOST_CROSSED = 20  # statistics up to which sums keep what the covariance needs: 53,000 numbers
RELATIVE = 1e-13  # smallest eigenvalue, of a matrix with unit diagonal, that determines theta


@dataclass(frozen=True)
class LinearSystem:
    """Rows, their weight functions and their statistics.

    Attributes
    ----------
    statistics : Statistics
    Z : ndarray of shape (n, d)
        Standardized rows.
    h, slope : ndarray of shape (n, d)
        Weight function of each column and its derivative.
    share : ndarray of shape (n,)
        Weights of the rows, summing to one.
    """

    statistics: Statistics
    Z: np.ndarray
    h: np.ndarray
    slope: np.ndarray
    share: np.ndarray

    def _blocks(self) -> Iterator[slice]:
        return (slice(i, i + BLOCK) for i in range(0, len(self.Z), BLOCK))

    def _parts(self, rows: slice, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return d_j t, what its mean contributes to -g, and h_j, of some rows."""
        Z, h = self.Z[rows], self.h[rows, j, None]
        first, second = self.statistics.slopes(Z, j)
        base = self.statistics.base_slope(Z, j)[:, None]
        pull = h * second + (self.slope[rows, j, None] + h * base) * first
        if not (np.isfinite(first).all() and np.isfinite(pull).all()):
            raise ValueError(
                f"The statistics have derivatives that are not finite in column number {j}. Drop "
                "rows at the boundary, or give statistics that are smooth inside the bounds."
            )
        return first, pull, h

    def matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Return G, (m, m), and g, (m,)."""
        m = len(self.statistics.names)
        G, g = np.zeros((m, m)), np.zeros(m)
        for rows in self._blocks():
            share = self.share[rows, None]
            for j in range(self.Z.shape[1]):
                first, pull, h = self._parts(rows, j)
                own = self.statistics.depends(j)
                G[np.ix_(own, own)] += (first * (share * h)).T @ first
                g[own] -= (share * pull).sum(axis=0)
        return G, g

    def estimating_functions(self, theta: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield G_i theta - g_i of the rows of each block, (n, m)."""
        for rows in self._blocks():
            psi = np.zeros((len(self.Z[rows]), len(theta)))
            for j in range(self.Z.shape[1]):
                first, pull, h = self._parts(rows, j)
                own = self.statistics.depends(j)
                psi[:, own] += first * (h[:, 0] * (first @ theta[own]))[:, None] + pull
            yield rows, psi

    def sums(self) -> "SystemSums":
        """Return what the rows add to the sums of all, `share` being their weights as given."""
        m, parts = len(self.statistics.names), []
        for rows in self._blocks():
            Z, weight = self.Z[rows], self.share[rows]
            G, pull = np.zeros((len(Z), m, m)), np.zeros((len(Z), m))
            for j in range(Z.shape[1]):
                first, own_pull, h = self._parts(rows, j)
                own = self.statistics.depends(j)
                G[:, own[:, None], own] += (first * h)[:, :, None] * first[:, None, :]
                pull[:, own] += own_pull
            log_p = float(weight @ self.statistics.base(Z)), weight @ self.statistics.values(Z)
            parts.append(SystemSums.of(weight, G, -pull, *log_p))
        return reduce(add, parts)

    def covariance(self, theta: np.ndarray, total: float) -> np.ndarray:
        """Return the sandwich covariance of theta, (m, m), with divisor n - 1.

        eq. sm-covariance
        """
        G, _ = self.matrices()
        meat = np.zeros(G.shape)
        for rows, psi in self.estimating_functions(theta):
            meat += psi.T @ (psi * self.share[rows, None])
        return _sandwich(G, meat, total)


@dataclass(frozen=True, eq=False)
class SystemSums:
    """Sums over rows from which theta, its sandwich and the log-likelihood follow.

    Attributes
    ----------
    mass : float
        Number of rows, or the sum of their weights.
    G, g : ndarray of shape (m, m) and (m,)
        Of the linear system, summed.
    base, values : float and ndarray of shape (m,)
        Of the log-density without its normalizer: b, and the statistics.
    products : ndarray of shape (q + m, q + m) or None
        Products of the q = m (m + 1) / 2 entries of G_i and the m of g_i of each row; None with
        too many statistics. The meat for any theta is a contraction of them.
    """

    mass: float
    G: np.ndarray
    g: np.ndarray
    base: float
    values: np.ndarray
    products: np.ndarray | None

    @classmethod
    def of(
        cls, weight: np.ndarray, G: np.ndarray, g: np.ndarray, base: float, values: np.ndarray
    ) -> "SystemSums":
        """Sum over rows: G (n, m, m), g (n, m); base and values are sums already."""
        products, (first, second) = None, np.tril_indices(g.shape[1])
        if g.shape[1] <= MOST_CROSSED:
            entries = np.concatenate([G[:, first, second], g], axis=1)
            products = entries.T @ (entries * weight[:, None])
        return cls(
            float(weight.sum()), np.tensordot(weight, G, 1), weight @ g, base, values, products
        )

    @classmethod
    def of_sphere(cls, X: np.ndarray, weight: np.ndarray) -> "SystemSums":
        """Sum over rows x of unit length: G_i = I - x x' and g_i = (d - 1) x."""
        d = X.shape[1]
        G = np.eye(d) - X[:, :, None] * X[:, None, :]
        return cls.of(weight, G, (d - 1) * X, 0.0, weight @ X)

    def __add__(self, other: "SystemSums") -> "SystemSums":
        products = self.products
        if products is not None and other.products is not None:
            products = products + other.products
        return SystemSums(
            self.mass + other.mass,
            self.G + other.G,
            self.g + other.g,
            self.base + other.base,
            self.values + other.values,
            products,
        )

    def covariance(self, theta: np.ndarray) -> np.ndarray | None:
        """Return the sandwich covariance of theta, (m, m), with divisor n - 1, if it is known.

        G_i theta - g_i is linear in the entries of G_i and g_i; eq. sm-covariance
        """
        if self.products is None:
            return None
        m = len(theta)
        first, second = np.tril_indices(m)
        to_psi, entry = np.zeros((m, len(first) + m)), np.arange(len(first))
        to_psi[first, entry] = theta[second]
        to_psi[second, entry] = theta[first]  # the diagonal twice the same
        to_psi[np.arange(m), len(first) + np.arange(m)] = -1.0
        meat = to_psi @ (self.products / self.mass) @ to_psi.T
        return _sandwich(self.G / self.mass, meat, self.mass)


def _sandwich(G: np.ndarray, meat: np.ndarray, total: float) -> np.ndarray:
    unit = np.sqrt(np.diag(G))
    inverse = np.linalg.inv(G / unit / unit[:, None]) / unit / unit[:, None]
    return np.asarray(inverse @ meat @ inverse / max(total - 1, 1))


def solve_proper(statistics: Statistics, G: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float]:
    """Return theta within the natural parameter space, and the ridge that this took.

    The ridge is on the interactions of columns, relative to the diagonal of G: the smallest of a
    geometric series with which the estimate is proper with a margin. Without interactions there
    is none, and theta is left as it is.
    """
    theta = solve_equilibrated(G, g, statistics.names)
    penalized = np.diag(np.diag(G) * statistics.interactions())
    try:
        statistics.check_proper(theta)
        return theta, 0.0
    except NotIntegrableError:
        for ridge in RIDGES if penalized.any() else ():
            bounded = solve_equilibrated(G + ridge * penalized, g, statistics.names)
            try:
                statistics.check_proper(bounded, MARGIN)
                return bounded, float(ridge)
            except NotIntegrableError:
                continue
    return theta, 0.0


def solve_equilibrated(G: np.ndarray, g: np.ndarray, names: list[str]) -> np.ndarray:
    """Return theta of G theta = g.

    Raises
    ------
    ValueError
        The rows do not determine theta: the statistics at fault are named.
    """
    if not (np.isfinite(G).all() and np.isfinite(g).all()):
        raise ValueError(
            "The derivatives of the statistics overflow. Rescale the columns before fitting (for "
            "example with sklearn.preprocessing.StandardScaler)."
        )
    unit = np.sqrt(np.diag(G))
    flat = ~(unit > 0)
    values, vectors = np.linalg.eigh(G / np.where(flat, 1, unit) / np.where(flat, 1, unit)[:, None])
    if flat.any() or values[0] <= RELATIVE * len(g):
        at_fault = np.flatnonzero(flat if flat.any() else np.abs(vectors[:, 0]) > 0.1)[:10]
        raise ValueError(
            "The rows do not determine the coefficients of the statistics "
            f"{', '.join(repr(names[k]) for k in at_fault)}: they are linearly dependent or "
            "constant on the data. Collect more rows, drop constant and repeated columns, or "
            "leave out statistics."
        )
    return vectors @ ((vectors.T @ (g / unit)) / values) / unit


# Steps of fitting an exponential family: its statistics, its scales, its weight functions.

SPHERE = "von_mises_fisher"  # the one family that is not on a box
FAMILIES: dict[str, type[Statistics]] = {
    "quadratic": Quadratic,
    "polynomial": Polynomial,
    "gamma": Gamma,
    "exponential_square_root": SquareRoot,
}


def _capped_power(exponent: float) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the weight function min(t, 2)^exponent of distances in standard deviations."""

    def weight(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = t < 2.0
        return np.minimum(t, 2.0) ** exponent, exponent * t ** (exponent - 1) * inside

    return weight


# Derivatives of log x and of roots have poles at zero, which the weight must outgrow: with these
# exponents every term of the linear system is bounded near zero, whatever the parameters.
POLES = {"gamma": _capped_power(2.0), "exponential_square_root": _capped_power(1.5)}


def family_of(
    statistics: str, shift: np.ndarray, scale: np.ndarray, columns: list[str], degree: int
) -> Statistics:
    """Return the ready-made statistics of that name."""
    if statistics == "polynomial":
        return Polynomial(shift, scale, columns, degree)
    return FAMILIES[statistics](shift, scale, columns)


def check_domain(
    X: np.ndarray, statistics: Any, bounds: Any, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of the columns, (d,) each; refuse rows outside.

    Raises
    ------
    ValueError
        Unusable bounds, bounds for a family of positive columns, or rows outside.
    """
    d = X.shape[1]
    named = statistics if isinstance(statistics, str) else None
    if named is not None and FAMILIES[named].positive:
        if bounds is not None and not (isinstance(bounds, str) and bounds == "positive"):
            raise ValueError(f"{named!r} is for positive columns: bounds must be None.")
        check_support(X, "positive", names, model=f"The family {named!r}")
        return np.zeros(d), np.full(d, np.inf)
    if bounds is None:
        return np.full(d, -np.inf), np.full(d, np.inf)
    lower, upper = check_bounds(bounds, d)
    check_inside_bounds(X, lower, upper, names)
    return lower, upper


def standardize(moments: Moments, statistics: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the shift and scale of the columns z, and the spread of z, (d,) each."""
    mean, sd = moments.mean, np.sqrt(moments.variance)
    constant = sd <= 4 * np.finfo(np.float64).eps * np.abs(mean)
    size = np.where(np.abs(mean) > 0, np.abs(mean), 1.0)
    sd = np.where(constant, size, sd)
    if not isinstance(statistics, str):
        return np.zeros(len(sd)), np.ones(len(sd)), sd
    positive = FAMILIES[statistics].positive
    return np.zeros(len(sd)) if positive else mean, sd, np.ones(len(sd))


def linear_system(
    family: Statistics,
    Z: np.ndarray,
    share: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    spread: np.ndarray,
    *,
    statistics: Any,
    weight: Any,
    cap: float,
) -> LinearSystem:
    """Return the linear system; the weight function sees distances in standard deviations."""
    if isinstance(weight, str) and weight == "auto":
        weight = POLES.get(statistics, "minlog") if isinstance(statistics, str) else "minlog"
    lower, upper = bounds
    h, slope = boundary_weight(Z / spread, lower / spread, upper / spread, weight, cap)
    return LinearSystem(family, Z, h, slope / spread, share)
