"""When a covariance is singular, and its factorisation, with a ridge where it is.

One criterion for all Gaussian estimators: maximum likelihood refuses what score matching warns of.
"""

from dataclasses import dataclass, field

import numpy as np

from skgm.inference._gaussian import Scaled, cholesky_in_units, in_units, inverse_correlation

__all__ = ["RIDGE", "Factor", "constant_columns", "factorise", "factorise_diagonal"]

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
def factorise(covariance: np.ndarray, location: np.ndarray) -> Factor:
    """Factorise a covariance, (p, p), adding ``RIDGE`` if it is singular to working precision.

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


def factorise_diagonal(variance: np.ndarray, location: np.ndarray, *, pooled: bool) -> Factor:
    """Factorise a diagonal covariance, (p,), or its `pooled` spherical version."""
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
