r"""Inverts information matrices and computes sandwich covariances, for every estimator.

An M-estimator solves :math:`\sum_i \psi(x_i; \theta) = 0`. With the bread
:math:`A = -E[\partial\psi/\partial\theta]`, which is symmetric, and the meat
:math:`B = Cov[\psi]`, :math:`\sqrt n (\hat\theta - \theta) \to N(0, A^{-1} B A^{-1})`; under a
correct likelihood :math:`A = B` is the Fisher information (eq. mle-asymptotic-normality,
sm-covariance).

=====================================  ==========================================================
covariance of the model                ``inverse_information(A, n, singular="what to do")``
sandwich from rows                     ``sandwich(A, meat(psi, weight), n)``
several meats, or A^-1 known already   ``sandwich_of(inverse, B, n)``
standard errors                        ``standard_errors(covariance)``
one matrix for each column, (d, k, k)  all of them: leading axes are a batch
whether a covariance is singular       ``is_singular(matrix)``
=====================================  ==========================================================
"""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "columnwise_meat",
    "columnwise_total",
    "corrected_errors",
    "diagonal_units",
    "errors_from_information",
    "errors_from_sandwich",
    "inverse_information",
    "is_singular",
    "leverages",
    "meat",
    "sandwich",
    "sandwich_of",
    "skewness_root",
    "standard_errors",
    "sum_groups",
    "total_weight",
]


# An eigenvalue of a k x k matrix with unit diagonal below this times k is rounding error.
_ROUNDING = 64 * np.finfo(np.float64).eps
_SINGULAR = (
    "The information matrix is singular, so there are no standard errors, intervals or tests: the "
    "data do not determine a parameter. Drop or fix that parameter, or collect more rows."
)

_NOT_FINITE = (
    "The information matrix leaves the range of float64, so there are no standard errors, "
    "intervals or tests. Rescale the columns before fitting."
)


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
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by the inverse
        return (psi * weight[:, None]).T @ psi / weight.sum()


def inverse_information(
    information: np.ndarray,
    n: float = 1.0,
    *,
    singular: str | None = _SINGULAR,
    definite: bool = True,
) -> np.ndarray:
    """Return the inverse of symmetric matrices, divided by n: the covariance I^-1 / n.

    Parameters
    ----------
    information : ndarray of shape (..., k, k)
        Information per observation with n, the total information without.
    n : float, default=1.0
        Number of observations.
    singular : str or None
        Message of the error for a singular matrix. None gives NaN for each singular matrix of a
        batch instead.
    definite : bool, default=True
        Whether a negative eigenvalue counts as singular. An observed curvature away from the
        estimate may have one.

    Returns
    -------
    inverse : ndarray of shape (..., k, k)

    Raises
    ------
    ValueError
        A matrix is singular to working precision or not finite, and `singular` is a message.
    """
    finite = np.isfinite(information)
    if not finite.all():
        finite = finite.all(axis=(-2, -1), keepdims=True)
        information = np.where(finite, information, np.eye(information.shape[-1]))
    unit = diagonal_units(information)
    values, vectors = np.linalg.eigh(_scaled(information, unit))
    finite = finite.all(axis=(-2, -1))
    lost = _vanishing(values if definite else np.abs(values)) | ~finite
    if lost.any():
        if singular is not None:
            raise ValueError(singular if finite.all() else _NOT_FINITE)
        values = np.where(lost[..., None], np.nan, values)
    inverse = (vectors / values[..., None, :]) @ np.swapaxes(vectors, -2, -1)
    return _scaled(inverse, unit) / n


def sandwich(
    bread: np.ndarray, meat: np.ndarray, n: float = 1.0, *, singular: str | None = _SINGULAR
) -> np.ndarray:
    """Return the covariance A^-1 B A^-1 / n of the estimate, (..., k, k).

    `singular` is as in `inverse_information`; the bread may be indefinite.
    """
    return sandwich_of(inverse_information(bread, singular=singular, definite=False), meat, n)


def sandwich_of(inverse: np.ndarray, meat: np.ndarray, n: float = 1.0) -> np.ndarray:
    """Return A^-1 B A^-1 / n, (..., k, k), from the inverse of the bread."""
    return inverse @ meat @ inverse / n


def standard_errors(covariance: np.ndarray) -> np.ndarray:
    """Return the roots of the diagonal, (..., k); NaN where rounding made a variance negative."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))


def is_singular(matrix: np.ndarray) -> bool:
    """Tell whether a covariance or information matrix, (..., k, k), is singular or not finite."""
    if not np.isfinite(matrix).all():
        return True
    return bool(_vanishing(np.linalg.eigvalsh(_scaled(matrix, diagonal_units(matrix)))).any())


def diagonal_units(matrix: np.ndarray) -> np.ndarray:
    """Return units of the parameters, (..., k), in which the diagonal of the matrix is one.

    Solving is not invariant to units: columns in units of 1e-12 and 1e12 lose every digit.
    """
    diagonal = np.abs(np.diagonal(matrix, axis1=-2, axis2=-1))
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))


def _scaled(matrix: np.ndarray, unit: np.ndarray) -> np.ndarray:
    return matrix * unit[..., None, :] * unit[..., :, None]


def _vanishing(values: np.ndarray) -> np.ndarray:
    """Tell where the smallest eigenvalue of a matrix with unit diagonal is rounding error."""
    return values.min(axis=-1, initial=np.inf) <= _ROUNDING * values.shape[-1]


# Small samples: the rows that pull an estimate most also hide most of their spread from it.

_MOST_LEVERAGE = 0.99


def leverages(pull: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return each row's share of the spread, (n,), of what the rows sum to; they sum to r.

    Parameters
    ----------
    pull : ndarray of shape (n, r)
        R A^-1 psi, how far each row moves r combinations of the estimates.
    weight : ndarray of shape (n,), default=None
        A weight w counts its row w times.
    """
    unit = np.sqrt(np.maximum((pull**2).mean(axis=0), np.finfo(np.float64).tiny))
    u = pull / unit
    spread = u.T @ (u if weight is None else u * weight[:, None])
    share = np.einsum("nr,rs,ns->n", u, np.linalg.pinv(spread, hermitian=True), u)
    return np.clip(share, 0.0, _MOST_LEVERAGE)


def sum_groups(psi: np.ndarray, weight: np.ndarray | None, codes: np.ndarray) -> np.ndarray:
    """Return the weighted sums of psi, (n, k), over the rows of each group, (G, k)."""
    sums = np.zeros((int(codes.max()) + 1, psi.shape[1]))
    np.add.at(sums, codes, psi if weight is None else psi * weight[:, None])
    return sums


def skewness_root(pull: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Return Student's statistic for the mean of `pull`, (n,), with its skewness removed.

    P. Hall, "On the removal of skewness by transformation", Journal of the Royal Statistical
    Society B 54, 1992: monotone in the statistic, and of Student's law up to 1/n on either side.
    """
    n = total_weight(pull, weight)
    ones = np.ones(len(pull)) if weight is None else weight
    mean = ones @ pull / n
    away = pull - mean
    share = leverages(away[:, None], weight)
    error = np.sqrt(ones @ (away**2 / (1 - share))) / n
    spread = np.sqrt(ones @ away**2 / n)
    skew = ones @ away**3 / n / spread**3 / np.sqrt(n)
    t = mean / error
    return float(t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6)


# Standard errors of columnwise families from information matrices, and their sandwich.

_CHUNK_VALUES = 262_144


def errors_from_information(information: np.ndarray, n: float) -> np.ndarray:
    """Return standard errors (d, k) from information per observation, (d, k, k), or NaN."""
    return standard_errors(inverse_information(information, n, singular=None))


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
    """Return standard errors (d, k) from A^-1 B A^-1 / n, of shape (d, k, k), or NaN."""
    return standard_errors(sandwich(bread, meat, n, singular=None))


def corrected_errors(
    score: Callable[[np.ndarray], np.ndarray],
    bread: np.ndarray,
    X: np.ndarray,
    weight: np.ndarray | None,
) -> np.ndarray:
    """Return the sandwich's standard errors (d, k) with each row's leverage removed.

    A row with the share h of the sum of squared pulls on an estimate counts 1 / (1 - h) times:
    n / (n - 1) times if all pull alike, more where few rows pull hard.
    """
    inverse = inverse_information(bread, singular=None, definite=False)

    def squares(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("dab,ndb->nda", inverse, score(rows)) ** 2)

    total = columnwise_total(squares, X, weight)

    def raised(rows: np.ndarray) -> np.ndarray:
        square = squares(rows)
        return square / (1 - np.minimum(square / total, _MOST_LEVERAGE))

    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(columnwise_total(raised, X, weight)) / total_weight(X, weight)
