r"""Estimating equations: bread, meat and sandwich, written once for every estimator.

An M-estimator solves :math:`\sum_i \psi(x_i; \theta) = 0`. With
:math:`A = -E[\partial\psi/\partial\theta]` (bread) and :math:`B = Cov[\psi]` (meat),
:math:`\sqrt n (\hat\theta - \theta) \to N(0, A^{-1} B A^{-T})`; under a correct likelihood
:math:`A = B` is the Fisher information (eq. mle-asymptotic-normality, sm-covariance).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.linalg import inv, solve

__all__ = [
    "columnwise_meat",
    "columnwise_total",
    "diagonal_units",
    "errors_from_information",
    "errors_from_sandwich",
    "inverse_information",
    "meat",
    "sandwich",
    "total_weight",
]


def total_weight(psi: np.ndarray, sample_weight: np.ndarray | None) -> float:
    """Return the number of rows that the weights stand for."""
    return float(len(psi) if sample_weight is None else sample_weight.sum())


def meat(
    psi: np.ndarray, sample_weight: np.ndarray | None = None, *, strata: Any = None
) -> np.ndarray:
    """Return the mean outer product of the estimating functions, per row.

    Parameters
    ----------
    psi : ndarray of shape (n, k)
        Estimating functions at the estimate.
    sample_weight : ndarray of shape (n,), default=None
        A weight w counts the row w times.
    strata : ndarray of shape (n,), default=None
        Labels of strata of fixed size (data and noise in NCE): psi is centered within each, because
        only the variation within strata is random. None: no centering; psi sums to zero anyway.

    Returns
    -------
    meat : ndarray of shape (k, k)
    """
    weight = np.ones(len(psi)) if sample_weight is None else sample_weight
    if strata is not None:
        psi = psi.astype(np.float64, copy=True)
        for label in np.unique(strata):
            rows = strata == label
            psi[rows] -= np.average(psi[rows], axis=0, weights=weight[rows])
    return (psi * weight[:, None]).T @ psi / weight.sum()


def sandwich(bread: np.ndarray, meat: np.ndarray, n: float) -> np.ndarray:
    """Return the covariance A^-1 B A^-T / n of the estimate, (k, k)."""
    unit = diagonal_units(bread)
    scaled = bread * unit * unit[:, None]
    half = solve(scaled, meat * unit * unit[:, None])
    return solve(scaled, half.T).T * unit * unit[:, None] / n


def inverse_information(information: np.ndarray, n: float) -> np.ndarray:
    """Return the covariance I^-1 / n of a maximum-likelihood estimate, (k, k)."""
    unit = diagonal_units(information)
    return inv(information * unit * unit[:, None]) * unit * unit[:, None] / n


def diagonal_units(bread: np.ndarray) -> np.ndarray:
    """Return units of the parameters, (k,), in which the diagonal of the bread is one.

    Solving is not invariant to units: columns in units of 1e-12 and 1e12 lose every digit.
    """
    diagonal = np.abs(np.diagonal(bread))
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))


# Standard errors of columnwise families from information matrices, and their sandwich.

_CHUNK_VALUES = 262_144


def errors_from_information(information: np.ndarray, n: float) -> np.ndarray:
    """Return standard errors (d, k) from information per observation, (d, k, k)."""
    return _root_diagonal(np.linalg.inv(information) / n)


def columnwise_meat(
    score: Callable[[np.ndarray], np.ndarray], X: np.ndarray, weight: np.ndarray | None
) -> np.ndarray:
    """Return the mean outer products of per-row scores (n, d, k), column by column, (d, k, k)."""
    step = max(1, _CHUNK_VALUES // X.shape[1])
    total: np.ndarray | float = 0.0
    for start in range(0, len(X), step):
        psi = score(X[start : start + step])
        left = psi if weight is None else psi * weight[start : start + step, None, None]
        total = total + np.einsum("nda,ndb->dab", left, psi)
    return np.asarray(total) / total_weight(X, weight)


def columnwise_total(
    score: Callable[[np.ndarray], np.ndarray], X: np.ndarray, weight: np.ndarray | None
) -> np.ndarray:
    """Return the total scores (d, k) from per-row scores (n, d, k)."""
    step = max(1, _CHUNK_VALUES // X.shape[1])
    total: np.ndarray | float = 0.0
    for start in range(0, len(X), step):
        psi = score(X[start : start + step])
        ones = np.ones(len(psi)) if weight is None else weight[start : start + step]
        total = total + np.tensordot(ones, psi, axes=1)
    return np.asarray(total)


def errors_from_sandwich(bread: np.ndarray, meat: np.ndarray, n: float) -> np.ndarray:
    """Return standard errors (d, k) from A^-1 B A^-T / n, all of shape (d, k, k)."""
    half = np.linalg.solve(bread, meat)
    return _root_diagonal(np.linalg.solve(bread, np.swapaxes(half, 1, 2)) / n)


def _root_diagonal(covariance: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaN, where rounding loses the sign, is refused later
        return np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
