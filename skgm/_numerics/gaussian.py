"""Computes densities, draws and factors of a Gaussian, on the scale of correlations.

Covariances enter as standard deviations and the Cholesky factor of the correlation matrix, so
that columns in units of 1e-12 and 1e12 can stand side by side.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri

from skgm._numerics.moments import mirror_lower

__all__ = [
    "RIDGE",
    "Factor",
    "Scaled",
    "cholesky_in_units",
    "conditional_draws",
    "constant_columns",
    "draws",
    "factorize",
    "factorize_diagonal",
    "gaussian_log_density",
    "gaussian_score_function",
    "in_units",
    "inverse_correlation",
    "log_determinant",
    "precision",
    "scaled_cholesky",
    "whiten",
]

# Values per block of rows: what is computed of a long table stays in the cache.
_BLOCK_VALUES = 2**18


class Scaled(NamedTuple):
    """Covariance as diag(sd) L L' diag(sd): sd, (d,), and L, (d, d), lower; None is identity."""

    sd: np.ndarray
    factor: np.ndarray | None


def in_units(matrix: np.ndarray, sd: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Return a matrix, (d, d), with rows and columns divided by `sd`; `out` may be the matrix."""
    divided = np.divide(matrix, sd, out=out)
    divided /= sd[:, None]
    return divided


def cholesky_in_units(covariance: np.ndarray, sd: np.ndarray, ridge: float = 0.0) -> Scaled | None:
    """Return the Cholesky factor in units of `sd`; None where that is not positive definite.

    In these units a variance is one, or zero for a constant column, and `ridge` is added to it.
    """
    correlation = in_units(covariance, sd)
    diagonal = np.einsum("ii->i", correlation)
    diagonal[:] = np.round(diagonal) + ridge
    # the transpose of a symmetric C-ordered matrix is the Fortran order that LAPACK wants
    column_major = correlation if correlation.flags.f_contiguous else correlation.T
    factor, failed = dpotrf(column_major, lower=1, clean=1, overwrite_a=1)
    return None if failed else Scaled(sd, factor)


def scaled_cholesky(covariance: np.ndarray) -> Scaled:
    """Return the scaled Cholesky factor of a covariance matrix, (d, d).

    Raises
    ------
    LinAlgError
        The matrix is not positive definite.
    """
    variance = covariance.diagonal()
    scaled = cholesky_in_units(covariance, np.sqrt(variance)) if (variance > 0).all() else None
    if scaled is None:
        raise LinAlgError("the covariance is not positive definite")
    return scaled


def log_determinant(scaled: Scaled) -> float:
    """Return the log-determinant of the covariance."""
    half = np.log(scaled.sd).sum()
    if scaled.factor is not None:
        half += np.log(scaled.factor.diagonal()).sum()
    return float(2 * half)


def inverse_correlation(scaled: Scaled) -> np.ndarray:
    """Return the inverse of L L', (d, d).

    From the Cholesky factor: a tenth of the cost of an eigen-decomposition.
    """
    return mirror_lower(dpotri(scaled.factor, lower=1)[0])


def precision(scaled: Scaled) -> np.ndarray:
    """Return the inverse covariance, (d, d)."""
    inverse = inverse_correlation(scaled)
    return in_units(inverse, scaled.sd, out=inverse)


def whiten(X: np.ndarray, mean: np.ndarray, scaled: Scaled) -> np.ndarray:
    """Return rows with identity covariance, (n, d)."""
    z = (X - mean) / scaled.sd
    if scaled.factor is None:
        return z
    return solve_triangular(scaled.factor, z.T, lower=True, check_finite=False).T


def gaussian_log_density(X: np.ndarray, mean: np.ndarray, scaled: Scaled) -> np.ndarray:
    """Return log densities, (n,); -inf for rows so far away that they leave float64."""
    distance = np.empty(len(X))
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in _blocks(X):
            z = whiten(X[rows], mean, scaled)
            distance[rows] = np.einsum("ij,ij->i", z, z)
    distance[np.isnan(distance)] = np.inf
    return -0.5 * (X.shape[1] * np.log(2 * np.pi) + log_determinant(scaled) + distance)


def gaussian_score_function(X: np.ndarray, mean: np.ndarray, scaled: Scaled) -> np.ndarray:
    """Return the gradient of the log density with respect to x, (n, d).

    Rows so far away that it overflows show as non-finite; the caller reports them.
    """
    gradient = np.empty(X.shape)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in _blocks(X):
            z = (X[rows] - mean) / scaled.sd
            if scaled.factor is not None:
                z = cho_solve((scaled.factor, True), z.T, check_finite=False).T
            gradient[rows] = -z / scaled.sd
    return gradient


def draws(mean: np.ndarray, scaled: Scaled, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n_samples, d) independent rows."""
    noise = rng.standard_normal((n_samples, len(scaled.sd)))
    if scaled.factor is not None:
        noise = noise @ scaled.factor.T
    return mean + scaled.sd * noise


def conditional_draws(
    mean: np.ndarray, scaled: Scaled, given: np.ndarray, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (m * n_samples, d) completions of rows with NaN, grouped by row.

    Rows that miss the same columns share one factorization.
    """
    z = np.repeat((given - mean) / scaled.sd, n_samples, axis=0)
    noise = rng.standard_normal(z.shape)
    if scaled.factor is None:
        return mean + scaled.sd * np.where(np.isnan(z), noise, z)
    correlation = scaled.factor @ scaled.factor.T
    patterns, group = np.unique(np.isnan(z), axis=0, return_inverse=True)
    group = group.reshape(-1)
    for index, missing in enumerate(patterns):
        if missing.any():
            rows = np.ix_(group == index, missing)
            seen = z[np.ix_(group == index, ~missing)]
            z[rows] = _fill(correlation, missing, seen, noise[rows])
    return mean + scaled.sd * z


def _blocks(X: np.ndarray) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES // X.shape[1])
    return (slice(start, start + step) for start in range(0, len(X), step))


def _fill(
    correlation: np.ndarray, missing: np.ndarray, seen: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Return draws of the missing standardized columns, (rows, missing)."""
    conditional = correlation[np.ix_(missing, missing)]
    center = np.zeros_like(noise)
    if not missing.all():
        cross = correlation[np.ix_(~missing, missing)]
        factor = cholesky(correlation[np.ix_(~missing, ~missing)], lower=True)
        half = solve_triangular(factor, cross, lower=True)
        center = solve_triangular(factor, seen.T, lower=True).T @ half
        conditional = conditional - half.T @ half
    return center + noise @ cholesky(conditional, lower=True).T


# When a covariance is singular, and its factorization, with a ridge where it is.
#
# One criterion for all Gaussian estimators: maximum likelihood refuses what score matching warns
# of.

# Half the digits of float64: the smallest ridge after which the precision still has the other half.
RIDGE = 2.0**-26

_EPS = np.finfo(np.float64).eps
# A spread below four rounding errors of the location is rounding, not data.
_RELATIVE_SPREAD = 4 * _EPS
# The square of a constant column's value below this is as good as zero.
_NO_MAGNITUDE = 1e-250
_NONE = np.empty(0, dtype=int)


@dataclass(frozen=True)
class Factor:
    """A covariance, its Cholesky factor and inverse, and what had to be done to get there.

    Attributes
    ----------
    covariance, precision : ndarray of shape (p, p) or (p,)
        Ridge included; diagonals alone for a diagonal covariance.
    scaled : Scaled
        Scales of the columns and Cholesky factor.
    ridge : float
        Added to the diagonal, relative to the squared scales of the columns; 0.0 where none was
        needed.
    constant, dependent : ndarray of shape (k,)
        Indices of constant columns, and of others that the rest determines.
    """

    covariance: np.ndarray
    precision: np.ndarray
    scaled: Scaled
    ridge: float = 0.0
    constant: np.ndarray = field(default_factory=lambda: _NONE)
    dependent: np.ndarray = field(default_factory=lambda: _NONE)


def constant_columns(variance: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Return a boolean array (p,): columns that are constant to rounding."""
    return np.sqrt(np.maximum(variance, 0)) <= _RELATIVE_SPREAD * np.abs(location)


@np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore")
def factorize(covariance: np.ndarray, location: np.ndarray) -> Factor:
    """Factorize a covariance, (p, p), adding ``RIDGE`` if it is singular to working precision.

    Singular means: some column is constant, or the others leave it less than a thousand roundings
    of its variance (1 - R^2 = 1 / VIF, read off the inverse correlation matrix). That criterion
    does not depend on the scales or on the order of the columns.
    """
    variance = covariance.diagonal()
    constant = constant_columns(variance, location)
    scale = _scale_of_columns(variance, location, constant)
    sd = np.sqrt(scale)
    if not constant.any():
        scaled = cholesky_in_units(covariance, sd)
        if scaled is not None:
            inverse = inverse_correlation(scaled)
            if (1 / inverse.diagonal() > 1e3 * _EPS * max(len(sd), 10)).all():
                return Factor(covariance, in_units(inverse, sd, out=inverse), scaled)
    scaled = cholesky_in_units(covariance, sd, RIDGE)
    if scaled is None:
        raise ValueError("The covariance has non-finite entries or is far from symmetric.")
    inverse = inverse_correlation(scaled)
    ridged = covariance.copy()
    np.einsum("ii->i", ridged)[:] += RIDGE * scale
    dependent = np.flatnonzero(~constant & (1 / inverse.diagonal() < 1e3 * RIDGE))
    found = np.flatnonzero(constant), dependent
    return Factor(ridged, in_units(inverse, sd, out=inverse), scaled, RIDGE, *found)


def factorize_diagonal(variance: np.ndarray, location: np.ndarray, *, pooled: bool) -> Factor:
    """Factorize a diagonal covariance, (p,), or its `pooled` spherical version."""
    constant = constant_columns(variance, location)
    scale = _scale_of_columns(variance, location, constant)
    if pooled:
        variance, scale = np.full_like(variance, variance.mean()), np.full_like(scale, scale.mean())
    singular = constant.all() if pooled else constant.any()
    ridge = RIDGE if singular else 0.0
    ridged = variance + ridge * scale
    scaled = Scaled(np.sqrt(ridged), None)
    return Factor(
        ridged, 1 / ridged, scaled, ridge, np.flatnonzero(constant) if singular else _NONE
    )


def _scale_of_columns(
    variance: np.ndarray, location: np.ndarray, constant: np.ndarray
) -> np.ndarray:
    """Return the squared scale that the ridge of each column is relative to, (p,).

    The variance; the squared value of a constant column; one for a column of zeros.
    """
    square = location**2
    return np.where(constant, np.where(square < _NO_MAGNITUDE, 1.0, square), variance)
