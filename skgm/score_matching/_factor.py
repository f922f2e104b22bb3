"""Factorisation of a covariance on the correlation scale, with a ridge where it is singular."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from skgm.score_matching._moments import mirror_lower

__all__ = ["RIDGE", "Factor", "factorise", "factorise_diagonal", "scale_of_columns"]

# Half the digits of float64: the smallest ridge after which the precision still has the other half.
RIDGE = 2.0**-26


# The square of a constant column's value below this is as good as zero.
_NO_MAGNITUDE = 1e-250
_NONE = np.empty(0, dtype=int)


@dataclass(frozen=True)
class Factor:
    """covariance = diag(sd) L L' diag(sd), its inverse, and what had to be done to get there.

    Attributes
    ----------
    covariance, precision : ndarray of shape (p, p) or (p,)
        Ridge included; diagonals alone for a diagonal covariance.
    sd : ndarray of shape (p,)
        Scales of the columns.
    cholesky : ndarray of shape (p, p) or None
        L, lower triangular; None for a diagonal covariance.
    log_det : float
        Log-determinant of the covariance.
    ridge : float
        Added to the diagonal, relative to the squared scales of the columns; 0.0 where none was
        needed.
    constant, dependent : ndarray of shape (k,)
        Indices of constant columns, and of others that the rest determines.
    """

    covariance: np.ndarray
    precision: np.ndarray
    sd: np.ndarray
    cholesky: np.ndarray | None
    log_det: float
    ridge: float = 0.0
    constant: np.ndarray = field(default_factory=lambda: _NONE)
    dependent: np.ndarray = field(default_factory=lambda: _NONE)


def scale_of_columns(variance: np.ndarray, location: np.ndarray) -> np.ndarray:
    """Return the squared scale that the ridge of each column is relative to, (p,).

    The variance; the squared value of a constant column; one for a column of zeros.
    """
    square = location**2
    return np.where(variance > 0, variance, np.where(square < _NO_MAGNITUDE, 1.0, square))


def factorise(covariance: np.ndarray, location: np.ndarray) -> Factor:
    """Factorise a covariance, (p, p), adding ``RIDGE`` if it is singular to working precision.

    Singular means: some column is constant, or the others leave it less than a thousand roundings
    of its variance (1 - R^2 = 1 / VIF, read off the inverse correlation matrix). That criterion
    does not depend on the scales or on the order of the columns.
    """
    variance = covariance.diagonal()
    scale = scale_of_columns(variance, location)
    sd = np.sqrt(scale)
    tolerance = 1e3 * np.finfo(np.float64).eps * max(len(sd), 10)
    varies = variance > 0
    if varies.all():
        cholesky, inverse = _cholesky_and_inverse(_correlation(covariance, sd))
        if inverse is not None and inverse.diagonal().max() < 1 / tolerance:
            return _assemble(covariance, sd, cholesky, inverse)
    cholesky, inverse = _cholesky_and_inverse(_correlation(covariance, sd, RIDGE))
    if inverse is None:
        raise ValueError("The covariance has non-finite entries or is far from symmetric.")
    ridged = covariance.copy()
    np.einsum("ii->i", ridged)[:] += RIDGE * scale
    dependent = np.flatnonzero(varies & (1 / inverse.diagonal() < 1e3 * RIDGE))
    factor = _assemble(ridged, sd, cholesky, inverse)
    return replace(factor, ridge=RIDGE, constant=np.flatnonzero(~varies), dependent=dependent)


def factorise_diagonal(variance: np.ndarray, location: np.ndarray, *, pooled: bool) -> Factor:
    """Factorise a diagonal covariance, (p,), or its `pooled` spherical version."""
    scale = scale_of_columns(variance, location)
    constant = np.flatnonzero(variance <= 0)
    if pooled:
        variance, scale = np.full_like(variance, variance.mean()), np.full_like(scale, scale.mean())
    ridge = 0.0 if (variance > 0).all() else RIDGE
    ridged = variance + ridge * scale
    log_det = float(np.log(ridged).sum())
    constant = constant if ridge else _NONE
    return Factor(ridged, 1 / ridged, np.sqrt(ridged), None, log_det, ridge, constant)


def _correlation(covariance: np.ndarray, sd: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    correlation = covariance / sd
    correlation /= sd[:, None]
    np.einsum("ii->i", correlation)[:] = (covariance.diagonal() > 0) + ridge
    return correlation


def _cholesky_and_inverse(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the lower Cholesky factor and the inverse; None where the matrix is not positive."""
    # the transpose of a symmetric C-ordered matrix is the Fortran order that LAPACK wants
    column_major = matrix if matrix.flags.f_contiguous else matrix.T
    cholesky, failed = dpotrf(column_major, lower=1, clean=1, overwrite_a=1)
    if failed:
        return cholesky, None
    # potri on the Cholesky factor: a tenth of the cost of an eigen-decomposition
    return cholesky, dpotri(cholesky, lower=1)[0]


def _assemble(
    covariance: np.ndarray, sd: np.ndarray, cholesky: np.ndarray, inverse: np.ndarray
) -> Factor:
    log_det = float(2 * np.log(cholesky.diagonal()).sum() + 2 * np.log(sd).sum())
    precision = mirror_lower(inverse)
    precision /= sd
    precision /= sd[:, None]
    return Factor(covariance, precision, sd, cholesky, log_det)
