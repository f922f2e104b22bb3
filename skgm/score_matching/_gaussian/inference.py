"""Computes standard errors and confidence intervals of the parameters of a Gaussian."""

from typing import Any

import numpy as np
from scipy import stats

from skgm._numerics.moments import mirror_lower
from skgm._numerics.sandwich import (
    inverse_information,
    meat,
    sandwich,
    standard_errors,
    total_weight,
)
from skgm.inference._likelihood.wald import wald_interval
from skgm.inference.families import MultivariateNormal

__all__ = [
    "covariance_interval",
    "gaussian_intervals",
    "gaussian_psi",
    "graph_errors",
    "graph_intervals",
    "matching_errors",
    "model_errors",
    "robust_errors",
    "system_residual",
]

_NO_ERRORS_ON_GRAPH = (
    "Columns determine one another on this graph, so its entries have no standard errors. Remove "
    "edges, drop such columns, or collect more rows."
)


# Confidence intervals of Gaussian location and covariance.


def gaussian_intervals(
    method: str,
    level: float,
    location: np.ndarray,
    covariance: Any,
    errors: dict[str, Any],
    n: float,
    *,
    centered: bool,
) -> dict[str, tuple[Any, Any]]:
    """Return the intervals of the parameters that `errors` names.

    Parameters
    ----------
    method : {"wald", "wald-transformed", "robust"}
        Plain Wald; the others with Student's t, the unbiased covariance and transformed scales.
    level : float
        Confidence level.
    location : ndarray of shape (p,)
        Estimated mean.
    covariance : ndarray of shape (p, p) or (p,), or float
        Estimated covariance with divisor n.
    errors : dict
        Standard errors of "location" and "covariance", from divisor n.
    n : float
        Number of rows.
    centered : bool
        The mean was known, which leaves n degrees of freedom instead of n - 1.

    Returns
    -------
    intervals : dict
        Name to (low, high).
    """
    if method == "wald":
        estimates = {"location": location, "covariance": covariance}
        return {k: wald_interval(estimates[k], errors[k], level) for k in errors}
    df = n if centered else n - 1
    if df <= 0:
        raise ValueError(f"Intervals need a total weight above 1; got {n:g}.")
    factor = n / df  # makes the covariance unbiased, and its sandwich the one called HC1
    unbiased, error = covariance * factor, errors["covariance"] * factor**1.5
    with np.errstate(over="ignore", invalid="ignore"):
        if np.ndim(covariance) < 2:
            pair = wald_interval(unbiased, error, level, link="log", df=df)
        elif method == "robust":
            family = MultivariateNormal()
            pair = family.transformed_interval("covariance", unbiased, error, level, df)
        else:
            pair = covariance_interval(unbiased, df, float(stats.t.ppf((1 + level) / 2, df)))
        found = {"covariance": pair}
        if "location" in errors:
            of_location = wald_interval(
                location, errors["location"] * np.sqrt(factor), level, df=df
            )
            found = {"location": of_location} | found
    if not np.isfinite(np.concatenate([np.ravel(pair) for pair in found.values()])).all():
        raise ValueError(
            f"The {method} interval at this level is unbounded with n = {n:g} observations; use a "
            "lower level or more rows."
        )
    return found


def covariance_interval(
    covariance: np.ndarray, df: float, quantile: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return intervals of all covariance entries under the Gaussian model.

    With both columns scaled to variance one, 4 S_ij is the variance of their sum minus that of
    their difference, which are independent: each has its interval on the log scale, and the
    interval of the difference recovers its variances from theirs (MOVER). On the diagonal the
    second variance is zero and the log-scale interval remains.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        Unbiased, divisor `df`.
    df : float
        Degrees of freedom.
    quantile : float
        Of Student's t.

    Returns
    -------
    low, high : ndarray of shape (p, p)
    """
    sd = np.sqrt(covariance.diagonal())
    unit = np.outer(sd, sd) / 4
    correlation = np.clip(covariance / sd / sd[:, None], -1, 1)
    of_sum, of_difference = 2 * (1 + correlation), 2 * (1 - correlation)
    width = quantile * np.sqrt(2 / df)
    down, up = -np.expm1(-width), np.expm1(width)
    low = covariance - unit * np.hypot(of_sum * down, of_difference * up)
    high = covariance + unit * np.hypot(of_sum * up, of_difference * down)
    # some processors round the lanes of a vector differently: the two triangles must agree exactly
    return mirror_lower(low), mirror_lower(high)


# Standard errors and estimating functions of Gaussian location and covariance.
#
# The saturated Gaussian's score-matching estimating equations are an invertible linear map of
# x - mu and (x - mu)(x - mu)' - Sigma, so their sandwich needs no (n, p^2) table: the variances of
# all covariance entries are one Gram matrix of squared deviations (eq. sm-covariance).


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
    centered: np.ndarray, sample_weight: np.ndarray | None, covariance: Any
) -> tuple[np.ndarray, Any]:
    """Return sandwich standard errors of location and covariance.

    Parameters
    ----------
    centered : ndarray of shape (n, p)
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
        errors = MultivariateNormal().robust_standard_errors(centered, sample_weight, params)
        return errors["mean"], errors["covariance"]
    n = total_weight(centered, sample_weight)
    weight = np.ones(len(centered)) if sample_weight is None else sample_weight
    square = centered**2
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
    p, centered = len(location), X - location
    pull = centered / covariance
    spread = (centered * pull - 1) / (2 * covariance)
    of_variance = 1 / (2 * np.square(covariance))
    if np.ndim(covariance) == 0:
        spread, of_variance = spread.sum(axis=1, keepdims=True), np.atleast_1d(p * of_variance)
    of_location = np.broadcast_to(1 / covariance, (p,))
    return np.hstack([pull, spread]), np.diag(np.concatenate([of_location, of_variance]))


# Standard errors of a precision on a known graph, at or near the maximum of the likelihood.


def graph_errors(
    covariance: np.ndarray, graph: np.ndarray, n: float, rows: Any = None, weight: Any = None
) -> np.ndarray:
    """Return the standard error of each entry of the precision, (p, p); zeros off the graph.

    The parameter score of K_ij is Sigma_ij - x_i x_j (half of it on the diagonal), its variance
    under the model Sigma_ii Sigma_jj + Sigma_ij^2. With centered training `rows`, (n, p), the
    sandwich (eq. sm-covariance); without, the inverse information.
    """
    scale = np.sqrt(covariance.diagonal())
    S = covariance / scale / scale[:, None]
    first, second, half = _free_entries(graph)
    information = S[np.ix_(first, first)] * S[np.ix_(second, second)]
    information += S[np.ix_(first, second)] * S[np.ix_(second, first)]
    information *= half * half[:, None]
    if rows is None:
        variance = inverse_information(information, n, singular=_NO_ERRORS_ON_GRAPH)
    else:
        Z = rows / scale
        psi = half * (S[first, second] - Z[:, first] * Z[:, second])
        variance = sandwich(information, meat(psi, weight), n, singular=_NO_ERRORS_ON_GRAPH)
    return _on_graph(standard_errors(variance), graph) / scale / scale[:, None]


def _free_entries(graph: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row and column of the free entries, (m,), and their share: 1/2 on the diagonal.

    A symmetric matrix has each of its other entries twice.
    """
    first, second = np.nonzero(np.triu(graph | np.eye(len(graph), dtype=bool)))
    return first, second, np.where(first == second, 0.5, 1.0)


def _on_graph(values: np.ndarray, graph: np.ndarray) -> np.ndarray:
    """Return the symmetric matrix with these free entries, (m,), and zeros elsewhere."""
    first, second, _ = _free_entries(graph)
    matrix = np.zeros(graph.shape)
    matrix[first, second] = matrix[second, first] = values
    return matrix


def graph_intervals(
    precision: np.ndarray, errors: np.ndarray, level: float, *, log_scale: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return normal intervals of the precision, (p, p) each; the diagonal on the log scale."""
    z = stats.norm.ppf(0.5 + level / 2)
    low, high = precision - z * errors, precision + z * errors
    if log_scale:
        own = precision.diagonal()
        ratio = np.exp(z * errors.diagonal() / own)
        np.fill_diagonal(low, own / ratio)
        np.fill_diagonal(high, own * ratio)
    return low, high


# Standard errors of a precision fitted by score matching on a known graph.
#
# In standardized columns z = (x - mean) / sd with correlations R, the estimate K solves
# (R K + K R) / 2 = I on the graph: one linear system, whose sandwich is in closed form.


def system_residual(R: np.ndarray, K: np.ndarray, graph: np.ndarray) -> float:
    """Return the largest violation of (R K + K R) / 2 = I on the graph."""
    free = graph | np.eye(len(R), dtype=bool)
    product = R @ K
    return float(np.abs((0.5 * (product + product.T) - np.eye(len(R)))[free]).max())


def matching_errors(
    precision: np.ndarray,
    graph: np.ndarray,
    n: float,
    moment: np.ndarray,
    rows: Any = None,
    weight: Any = None,
) -> np.ndarray:
    """Return the standard error of each entry of the precision, (p, p); zeros off the graph.

    With centered training `rows`, (n, p), and their second `moment`, the sandwich, which sees that
    the scales of the columns are estimated too; it needs neither normal rows nor a right graph.
    Without rows, that of normal rows with this precision.

    eq. sm-covariance
    """
    scale = np.sqrt(moment.diagonal())
    first, second, half = _free_entries(graph)
    K = precision * scale * scale[:, None]
    if rows is None:
        S = np.linalg.inv(K)
        bread, of_psi = _bread(S, first, second), _meat(S, K, first, second)
        of_psi *= half * half[:, None]
        errors = standard_errors(sandwich(bread, of_psi, n, singular=_NO_ERRORS_ON_GRAPH))
    else:
        influence = _influence(K, moment / scale / scale[:, None], rows / scale, first, second)
        share = np.full(len(rows), 1 / n) if weight is None else weight / n
        errors = np.sqrt(share @ influence**2 / n)
    return _on_graph(errors, graph) / scale / scale[:, None]


def _bread(S: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the second derivatives of tr(K S K) / 2 in the free entries of K, halved, (m, m).

    d/dK_kl of ((S K + K S) / 2)_ij, with a factor 1/2 for the diagonal entries of either pair.
    """
    i, j = first[:, None], second[:, None]
    k, l = first, second  # noqa: E741
    terms = S[i, k] * (j == l) + S[i, l] * (j == k) + S[j, l] * (i == k) + S[j, k] * (i == l)
    half = np.where(first == second, 0.5, 1.0)
    return 0.5 * terms * half * half[:, None]


def _meat(S: np.ndarray, K: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the covariance of (z_i y_j + z_j y_i) / 2, y = K z, of normal z; K S = I."""
    i, j = first[:, None], second[:, None]
    k, l = first, second  # noqa: E741
    total = S[i, k] * K[j, l] + S[i, l] * K[j, k] + S[j, k] * K[i, l] + S[j, l] * K[i, k]
    same = 2.0 * ((i == k) & (j == l)) + 2.0 * ((i == l) & (j == k))
    return 0.25 * (total + same)


def _influence(
    K: np.ndarray, R: np.ndarray, Z: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return what each row does to each free entry of K in units of the columns, (n, m).

    A row z moves R by z z' less half of each entry's two squares; that moves K along the inverse
    of the bread, and the scales move it once more.
    """
    Y, square, product = Z @ K, Z**2, R @ K
    moved = 0.5 * (Z[:, first] * Y[:, second] + Z[:, second] * Y[:, first])
    moved -= 0.25 * square[:, first] * product[first, second]
    moved -= 0.25 * square[:, second] * product[second, first]
    moved -= 0.25 * square @ (R[:, first] * K[:, second] + R[:, second] * K[:, first])
    moved *= np.where(first == second, 0.5, 1.0)
    inverse = inverse_information(_bread(R, first, second), singular=_NO_ERRORS_ON_GRAPH)
    change = -moved @ inverse
    return change - 0.5 * K[first, second] * (square[:, first] + square[:, second] - 2)
