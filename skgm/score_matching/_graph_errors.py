"""Standard errors of a precision on a known graph, at or near the maximum of the likelihood."""

from typing import Any

import numpy as np
from scipy import stats

__all__ = ["graph_errors", "graph_intervals"]


def graph_errors(
    covariance: np.ndarray, graph: np.ndarray, n: float, rows: Any = None, weight: Any = None
) -> np.ndarray:
    """Return the standard error of each entry of the precision, (p, p); zeros off the graph.

    The parameter score of K_ij is Sigma_ij - x_i x_j (half of it on the diagonal), its variance
    under the model Sigma_ii Sigma_jj + Sigma_ij^2. With centred training `rows`, (n, p), the
    sandwich (eq. sm-covariance); without, the inverse information.
    """
    scale = np.sqrt(covariance.diagonal())
    S = covariance / scale / scale[:, None]  # in units of the columns, for the inverse's sake
    first, second = np.nonzero(np.triu(graph | np.eye(len(S), dtype=bool)))
    half = np.where(first == second, 0.5, 1.0)
    information = S[np.ix_(first, first)] * S[np.ix_(second, second)]
    information += S[np.ix_(first, second)] * S[np.ix_(second, first)]
    information *= half * half[:, None]
    inverse = np.linalg.inv(information)
    variance = inverse.diagonal()
    if rows is not None:
        Z = rows / scale
        psi = half * (S[first, second] - Z[:, first] * Z[:, second])
        weighted = psi if weight is None else psi * weight[:, None]
        variance = np.einsum("ij,jk,ki->i", inverse, psi.T @ weighted / n, inverse)
    errors = np.zeros_like(S)
    errors[first, second] = errors[second, first] = np.sqrt(variance / n)
    return errors / scale / scale[:, None]


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
