"""Standard errors of columnwise families from information matrices, and their sandwich."""

from collections.abc import Callable

import numpy as np

from skgm.inference._estimating_equations import total_weight

__all__ = ["columnwise_meat", "columnwise_total", "errors_from_information", "errors_from_sandwich"]

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
