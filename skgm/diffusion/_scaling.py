"""Scaled rows: columns bent, then one affine map per class: every class is about N(0, I).

Directions in which the table does not vary (constant columns, columns determined by others) are
split off: no network sees them, and they keep a very narrow normal distribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skgm.diffusion._margins import bend, log_slopes, log_slopes_gradient, unbend
from skgm.inference._moments import Moments

__all__ = ["Scaler", "fit_scaler"]

# A standard deviation below this, relative to the mean, is rounding of a constant.
_CONSTANT = 1e-12
# An eigenvalue of the correlations below this is rounding: the columns are linearly dependent.
_DEPENDENT = 1e-11
# Standard deviation given to a direction without variation, relative to the column's size.
_RIDGE = 2.0**-13


@dataclass(frozen=True)
class Scaler:
    """Maps u = (bent x - location) forward' and back, one per class.

    Attributes
    ----------
    location : ndarray of shape (k, d)
        Mean of each class; one row without classes.
    forward, backward : ndarray of shape (k, d, d)
        Matrix of each class, and its inverse.
    n_active : int
        The first `n_active` scaled columns vary; the others are the narrow directions.
    bends : ndarray of shape (4, d), default=None
        How columns are bent first, for all classes alike; None: not at all.
    """

    location: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    n_active: int
    bends: np.ndarray | None = None

    @property
    def log_det(self) -> np.ndarray:
        """Logarithm of |det forward|, (k,): of the affine part of the map."""
        return np.linalg.slogdet(self.forward)[1]

    def log_volume(self, X: np.ndarray, code: int = 0) -> np.ndarray:
        """Return the logarithm of |det du/dx| at rows of one class, (n,)."""
        return np.asarray(self.log_det[code] + log_slopes(X, self.bends).sum(axis=1))

    def pull_back(self, gradient: np.ndarray, X: np.ndarray, code: int = 0) -> np.ndarray:
        """Return the gradient of a log-density in x at rows X from that in u, (n, d)."""
        result = gradient @ self.forward[code]
        if self.bends is None:
            return np.asarray(result)
        slope = np.exp(log_slopes(X, self.bends))
        return np.asarray(result * slope + log_slopes_gradient(X, self.bends))

    def scale(self, X: np.ndarray, code: int = 0) -> np.ndarray:
        """Return rows of one class scaled, (n, d) float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            return (bend(X, self.bends) - self.location[code]) @ self.forward[code].T

    def unscale(self, u: np.ndarray, code: int = 0) -> np.ndarray:
        """Return scaled rows of one class in the original units, (n, d) float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            bent = np.asarray(u, np.float64) @ self.backward[code].T + self.location[code]
            return unbend(bent, self.bends)

    def scale_each(self, X: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
        """Return rows scaled, each by the map of its class."""
        return _each(self.scale, X, codes)

    def unscale_each(self, u: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
        """Return scaled rows in the original units, each by the map of its class."""
        return _each(self.unscale, u, codes)


def _each(function: object, rows: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
    assert callable(function)
    if codes is None:
        return np.asarray(function(rows))
    result = np.empty(rows.shape)
    for code in np.unique(codes):
        mine = codes == code
        result[mine] = function(rows[mine], code)
    return result


def fit_scaler(classes: Sequence[Moments], kind: str, bends: np.ndarray | None = None) -> Scaler:
    """Return the maps for the moments of each class, of bent rows.

    "standard" divides every column by its standard deviation. "whiten" also removes the
    correlations. "shrink" and "auto" whiten by a covariance shrunk towards
    uncorrelated columns by as much as the sampling error of its estimate asks (the oracle
    approximating shrinkage): all the way from "standard" in short tables to "whiten" in long ones.
    A class of n rows borrows a share
    d / (d + n) of its covariance from the other classes.
    """
    n = sum(moments.n for moments in classes)
    within = np.sum([moments.scatter for moments in classes], axis=0) / n
    location = np.array([moments.mean + moments.mean_error for moments in classes])
    if not np.isfinite(within).all() or not np.isfinite(location).all():
        raise ValueError(
            "The squares of X overflow. Rescale the columns before fitting, for example to unit "
            "variance."
        )
    # no more rows than columns leave directions empty too, but that says nothing of the columns
    dependent = kind != "standard" and n > len(within)
    basis, narrow = _split_directions(within, location, dependent=dependent)
    r = len(basis)
    pooled = _shrunk(_in_basis(basis, within), n, kind)
    forward = []
    for moments in classes:
        covariance = pooled
        if len(classes) > 1:
            borrowed = r / (r + moments.n) if r else 0.0
            own = _in_basis(basis, moments.scatter / moments.n)
            own = np.diag(own.diagonal()) if kind == "standard" else own
            covariance = (1 - borrowed) * own + borrowed * pooled
        forward.append(np.vstack([_inverse_root(covariance) @ basis, narrow]))
    matrices = np.array(forward)
    return Scaler(location, matrices, np.linalg.inv(matrices), r, bends)


def _split_directions(
    within: np.ndarray, location: np.ndarray, *, dependent: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that map x - mean to unit variance, (r, d), and to the rest, (d - r, d)."""
    d = len(within)
    variance = within.diagonal()
    size = np.abs(location).max(axis=0)
    varies = np.sqrt(variance) > _CONSTANT * size  # of a column of zeros too: not above 0
    ridge = _RIDGE * np.where(size > 0, size, 1.0)
    narrow = np.eye(d)[~varies] / ridge[~varies, None]
    basis = np.eye(d)[varies] / np.sqrt(variance[varies, None])
    if dependent and len(basis):
        values, vectors = np.linalg.eigh(_in_basis(basis, within))
        zero = values < _DEPENDENT
        if zero.any():
            narrow = np.vstack([narrow, vectors[:, zero].T @ basis / _RIDGE])
            basis = (vectors[:, ~zero] / np.sqrt(values[~zero])).T @ basis
    return basis, narrow


def _in_basis(basis: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(basis @ matrix @ basis.T)


def _shrunk(correlation: np.ndarray, n: float, kind: str) -> np.ndarray:
    """Return (1 - share) correlation + share I; the share is 1, or 0, or for `n` rows the best."""
    r = len(correlation)
    identity = np.diag(correlation.diagonal())
    if kind == "standard" or r < 2:
        return identity
    if kind == "whiten" and n > r:
        return correlation
    square, trace = float(np.sum(correlation**2)), float(np.trace(correlation))
    excess = (n + 1) * (square - trace**2 / r)
    wanted = square + trace**2
    share = 1.0 if excess <= wanted else wanted / excess
    return (1 - share) * correlation + share * identity


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric inverse square root: the whitening that moves columns least."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)
