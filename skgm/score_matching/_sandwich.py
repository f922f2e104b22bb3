"""Standard errors and estimating functions of Gaussian location and covariance.

The saturated Gaussian's score-matching estimating equations are an invertible linear map of
x - mu and (x - mu)(x - mu)' - Sigma, so their sandwich needs no (n, p^2) table: the variances of
all covariance entries are one Gram matrix of squared deviations (eq. sm-covariance).
"""

from typing import Any

import numpy as np

from skgm.inference._estimating_equations import total_weight
from skgm.inference.families import MultivariateNormal

__all__ = ["gaussian_psi", "model_errors", "robust_errors"]


def model_errors(covariance: Any, p: int, n: float) -> tuple[np.ndarray, Any]:
    """Return standard errors of location and covariance under the Gaussian model.

    Parameters
    ----------
    covariance : ndarray of shape (p, p) or (p,), or float
        Full, diagonal or spherical; divisor n.
    p : int
        Number of columns.
    n : float
        Number of rows.

    Returns
    -------
    of_location : ndarray of shape (p,)
    of_covariance : ndarray or float
        sqrt((S_ii S_jj + S_ij^2) / n); the variance of a spherical model pools p columns.
    """
    if np.ndim(covariance) == 2:
        errors = MultivariateNormal().standard_errors({"covariance": covariance}, n)
        return errors["mean"], errors["covariance"]
    pooled = p if np.ndim(covariance) == 0 else 1
    of_location = np.broadcast_to(np.sqrt(covariance / n), (p,)).copy()
    return of_location, covariance * np.sqrt(2 / (n * pooled))


def robust_errors(
    centred: np.ndarray, sample_weight: np.ndarray | None, covariance: Any
) -> tuple[np.ndarray, Any]:
    """Return sandwich standard errors of location and covariance.

    Parameters
    ----------
    centred : ndarray of shape (n, p)
        Training rows minus the location.
    sample_weight : ndarray of shape (n,) or None
        A weight w counts the row w times.
    covariance : ndarray of shape (p, p) or (p,), or float
        Full, diagonal or spherical estimate from the same rows; divisor n.

    Returns
    -------
    of_location : ndarray of shape (p,)
    of_covariance : ndarray or float
    """
    if np.ndim(covariance) == 2:
        params = {"mean": np.zeros(len(covariance)), "covariance": covariance}
        errors = MultivariateNormal().robust_standard_errors(centred, sample_weight, params)
        return errors["mean"], errors["covariance"]
    n = total_weight(centred, sample_weight)
    weight = np.ones(len(centred)) if sample_weight is None else sample_weight
    square = centred**2
    variance = weight @ square / n
    if np.ndim(covariance) == 1:
        spread = weight @ (square - variance) ** 2 / n
    else:
        mean_square = square.mean(axis=1)
        spread = weight @ (mean_square - weight @ mean_square / n) ** 2 / n
    return np.sqrt(variance / n), np.sqrt(np.maximum(spread, 0) / n)


def gaussian_psi(
    X: np.ndarray, location: np.ndarray, covariance: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return estimating functions and bread of the location and the covariance, in this order.

    Scaled so that bread equals meat under the model. A full covariance is represented by its lower
    triangle, row by row.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows.
    location : ndarray of shape (p,)
        Mean of the model.
    covariance : ndarray of shape (p, p) or (p,), or float
        Full, diagonal or spherical.

    Returns
    -------
    psi : ndarray of shape (n, k)
    bread : ndarray of shape (k, k)
    """
    if np.ndim(covariance) == 2:
        family, params = MultivariateNormal(), {"mean": location, "covariance": covariance}
        return family.score(X, params), family.information(params)
    p, centred = len(location), X - location
    pull = centred / covariance
    spread = (centred * pull - 1) / (2 * covariance)
    of_variance = 1 / (2 * np.square(covariance))
    if np.ndim(covariance) == 0:
        spread, of_variance = spread.sum(axis=1, keepdims=True), np.atleast_1d(p * of_variance)
    of_location = np.broadcast_to(1 / covariance, (p,))
    return np.hstack([pull, spread]), np.diag(np.concatenate([of_location, of_variance]))
