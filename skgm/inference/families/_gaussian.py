"""Formulas of the multivariate normal distribution, on the scale of correlations.

Covariances enter as standard deviations and the Cholesky factor of the correlation matrix, so
that columns in units of 1e-12 and 1e12 can stand side by side.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpstrf

__all__ = [
    "Scaled",
    "conditional_draws",
    "dependent_columns",
    "gaussian_log_density",
    "precision",
    "scaled_cholesky",
    "whiten",
]


class Scaled(NamedTuple):
    """Standard deviations (d,) and the lower Cholesky factor of the correlations, (d, d)."""

    sd: np.ndarray
    factor: np.ndarray


def scaled_cholesky(covariance: np.ndarray) -> Scaled:
    """Return the scaled Cholesky factor of a covariance matrix, (d, d).

    Raises
    ------
    LinAlgError
        The matrix is not positive definite.
    """
    variance = np.diag(covariance)
    if not (variance > 0).all():
        raise LinAlgError("a variance is not positive")
    sd = np.sqrt(variance)
    return Scaled(sd, cholesky(covariance / sd / sd[:, None], lower=True))


def dependent_columns(covariance: np.ndarray) -> np.ndarray:
    """Return indices of columns that are linear combinations of the others, to rounding.

    Variances must be positive. The tolerance is relative: a share of the column's own variance
    of a few rounding errors per column.
    """
    sd = np.sqrt(np.diag(covariance))
    tolerance = 64 * len(sd) * np.finfo(np.float64).eps
    _, pivots, rank, _ = dpstrf(covariance / sd / sd[:, None], tol=tolerance, lower=1)
    return np.sort(pivots[rank:] - 1)


def whiten(X: np.ndarray, mean: np.ndarray, scaled: Scaled) -> np.ndarray:
    """Return rows with identity covariance, (n, d)."""
    return solve_triangular(scaled.factor, ((X - mean) / scaled.sd).T, lower=True).T


def gaussian_log_density(X: np.ndarray, mean: np.ndarray, scaled: Scaled) -> np.ndarray:
    """Return log densities, (n,)."""
    z = whiten(X, mean, scaled)
    log_det = np.log(scaled.sd).sum() + np.log(np.diag(scaled.factor)).sum()
    return -0.5 * np.einsum("ij,ij->i", z, z) - log_det - 0.5 * z.shape[1] * np.log(2 * np.pi)


def precision(scaled: Scaled) -> np.ndarray:
    """Return the inverse covariance, (d, d)."""
    inverse = cho_solve((scaled.factor, True), np.eye(len(scaled.sd)))
    return inverse / scaled.sd / scaled.sd[:, None]


def conditional_draws(
    mean: np.ndarray,
    covariance: np.ndarray,
    given: np.ndarray,
    n_samples: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return (m * n_samples, d) completions of rows with NaN, grouped by row.

    Rows that miss the same columns share one factorisation.
    """
    sd = np.sqrt(np.diag(covariance))
    correlation = covariance / sd / sd[:, None]
    z = np.repeat((given - mean) / sd, n_samples, axis=0)
    noise = rng.standard_normal(z.shape)
    patterns, group = np.unique(np.isnan(z), axis=0, return_inverse=True)
    group = group.reshape(-1)
    for index, missing in enumerate(patterns):
        if missing.any():
            rows = np.ix_(group == index, missing)
            seen = z[np.ix_(group == index, ~missing)]
            z[rows] = _fill(correlation, missing, seen, noise[rows])
    return mean + sd * z


def _fill(
    correlation: np.ndarray, missing: np.ndarray, seen: np.ndarray, noise: np.ndarray
) -> np.ndarray:
    """Return draws of the missing standardised columns, (rows, missing)."""
    conditional = correlation[np.ix_(missing, missing)]
    centre = np.zeros_like(noise)
    if not missing.all():
        cross = correlation[np.ix_(~missing, missing)]
        factor = cholesky(correlation[np.ix_(~missing, ~missing)], lower=True)
        half = solve_triangular(factor, cross, lower=True)
        centre = solve_triangular(factor, seen.T, lower=True).T @ half
        conditional = conditional - half.T @ half
    return centre + noise @ cholesky(conditional, lower=True).T
