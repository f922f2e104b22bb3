"""Standard errors of a precision fitted by score matching on a known graph.

In standardised columns z = (x - mean) / sd with correlations R, the estimate K solves
(R K + K R) / 2 = I on the graph: one linear system, whose sandwich is in closed form.
"""

from typing import Any

import numpy as np

__all__ = ["matching_errors", "system_residual"]


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

    With centred training `rows`, (n, p), and their second `moment`, the sandwich, which sees that
    the scales of the columns are estimated too; it needs neither normal rows nor a right graph.
    Without rows, that of normal rows with this precision.

    eq. sm-covariance
    """
    scale = np.sqrt(moment.diagonal())
    first, second = np.nonzero(np.triu(graph | np.eye(len(moment), dtype=bool)))
    K = precision * scale * scale[:, None]
    if rows is None:
        S = np.linalg.inv(K)
        inverse = np.linalg.inv(_bread(S, first, second))
        variance = np.einsum("ij,jk,ik->i", inverse, _meat(S, K, first, second), inverse)
    else:
        influence = _influence(K, moment / scale / scale[:, None], rows / scale, first, second)
        share = np.full(len(rows), 1 / n) if weight is None else weight / n
        variance = share @ influence**2
    errors = np.zeros_like(K)
    errors[first, second] = errors[second, first] = np.sqrt(variance / n)
    return errors / scale / scale[:, None]


def _bread(S: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return derivatives of the entries of (S K + K S) / 2 in the free entries of K, (m, m)."""
    i, j = first[:, None], second[:, None]
    k, l = first, second  # noqa: E741
    terms = S[i, k] * (j == l) + S[i, l] * (j == k) + S[j, l] * (i == k) + S[j, k] * (i == l)
    return 0.5 * terms * np.where(first == second, 0.5, 1.0)


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
    change = -np.linalg.solve(_bread(R, first, second), moved.T).T
    return change - 0.5 * K[first, second] * (square[:, first] + square[:, second] - 2)
