"""Regularised precisions on the scale of correlations: l1, l2, and known graphs."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from skgm.score_matching._refit import (
    fit_support,
    is_identified,
    is_positive_definite,
    likelihood_steps,
)
from skgm.score_matching._sparse_path import PathPoint, largest_alpha, solve_path
from skgm.score_matching._support import Support

__all__ = [
    "REFITS",
    "RegularizedFit",
    "bounded",
    "fit_graph",
    "fit_l1",
    "fit_l2",
    "graph_support",
    "refit_point",
]

# Steps of Fisher scoring after the score-matching estimate on the support; None: no refit at all.
REFITS: dict[str | None, int | None] = {
    None: None,
    "score_matching": 0,
    "one_step": 1,
    "mle": 100,
}


@dataclass(frozen=True)
class RegularizedFit:
    """A positive definite precision of standardised columns.

    Attributes
    ----------
    precision : ndarray of shape (p, p)
        On the scale of correlations.
    graph : ndarray of shape (p, p), bool
        Which pairs may be dependent given the rest; the diagonal is False.
    alpha_max : float
        Least l1 penalty without any pair; NaN for the others.
    kkt_residual : float
        Violation of optimality of the penalised problem; 0.0 for closed forms.
    damped : float
        What the off-diagonal entries were multiplied by to make the matrix positive definite.
    converged : bool
        Whether a maximum-likelihood refit came to its end.
    """

    precision: np.ndarray
    graph: np.ndarray
    alpha_max: float = float("nan")
    kkt_residual: float = 0.0
    damped: float = 1.0
    converged: bool = True


def bounded(R: np.ndarray) -> np.ndarray:
    """Return a correlation matrix for which the l1 problem is bounded from below.

    With no more rows than columns, or columns that determine one another, the loss has directions
    without curvature. A tenth more on the diagonal is enough for them, and costs little in the
    choice of edges.
    """
    eye = np.eye(len(R))
    return R if is_positive_definite(R - 1e-8 * eye) else R + 0.1 * eye


def fit_l2(R: np.ndarray, alpha: float) -> RegularizedFit:
    """Return the minimum of the loss plus alpha / 2 ||K||^2, which is (R + alpha I)^-1.

    It is also the denoising estimate with noise of variance alpha (eq. sm-denoising).
    """
    precision = linalg.inv(R + alpha * np.eye(len(R)))
    return RegularizedFit(0.5 * (precision + precision.T), _all_pairs(len(R)))


def fit_l1(
    R: np.ndarray, n_rows: float, alpha: float, refit: str | None, tol: float
) -> RegularizedFit:
    """Return the l1-penalised precision, refitted on its support (eq. sm-gaussian-sparse)."""
    most = largest_alpha(bounded(R))
    start = np.geomspace(most, alpha, 6)[1:-1] if 0 < alpha < most else np.empty(0)
    point = solve_path(bounded(R), np.append(start, alpha), tol=tol)[-1]
    return refit_point(R, point, n_rows, refit, most)


def refit_point(
    R: np.ndarray, point: PathPoint, n_rows: float, refit: str | None, alpha_max: float
) -> RegularizedFit:
    """Return a point of the path refitted without its penalty, and made positive definite."""
    values, damped = _positive_definite(point.support, point.values)
    converged = True
    if REFITS[refit] is not None:
        refitted = _refit(R, point.support, values, damped, n_rows, refit)
        if is_identified(point.support, refitted[0]):  # otherwise the penalised one stands
            values, damped, converged = refitted
    graph = _graph_of(point.support)
    precision = point.support.to_sparse(values).toarray()
    return RegularizedFit(precision, graph, alpha_max, point.kkt_residual, damped, converged)


def fit_graph(R: np.ndarray, n_rows: float, graph: np.ndarray, refit: str) -> RegularizedFit:
    """Return the precision that is zero outside a known graph.

    Raises
    ------
    ValueError
        Column with as many neighbours as there are rows: its entries are not identified.
    """
    support = graph_support(graph)
    most = int(np.diff(support.starts).max())
    if most > n_rows:
        raise ValueError(
            f"graph gives column number {int(np.diff(support.starts).argmax())} "
            f"{most - 1} neighbours, too many for {n_rows:g} rows. Remove edges, collect more "
            "rows, or use penalty='l1'."
        )
    start = np.where(support.off_diagonal(), 0.0, 1.0)
    values, damped, converged = _refit(R, support, start, 1.0, n_rows, refit)
    if not is_identified(support, values):
        worst = int(values[support.diagonal].argmax())
        raise ValueError(
            f"On this graph, the neighbours of column number {worst} determine it, so that its "
            "precision has no finite estimate. Drop collinear columns, remove edges, or use "
            "penalty='l1'."
        )
    precision = support.to_sparse(values).toarray()
    return RegularizedFit(precision, _graph_of(support), damped=damped, converged=converged)


def graph_support(graph: np.ndarray) -> Support:
    """Return the support of a symmetric boolean matrix, (p, p)."""
    first, second = np.nonzero(np.triu(graph, 1))
    return Support.from_pairs(len(graph), first, second)


def _refit(
    R: np.ndarray,
    support: Support,
    start: np.ndarray,
    damped: float,
    n_rows: float,
    refit: str | None,
) -> tuple[np.ndarray, float, bool]:
    """Return values on the support, their damping, and whether the likelihood is at its maximum."""
    values = start
    if np.diff(support.starts).max() < n_rows:  # otherwise the loss is flat in some direction
        unpenalised = fit_support(R, support, start)
        if REFITS[refit] == 0 or is_positive_definite(support.to_sparse(unpenalised)):
            values, damped = _positive_definite(support, unpenalised)
    n_steps = REFITS[refit] or 0
    if n_steps == 0:
        return values, damped, True
    values, converged = likelihood_steps(R, support, values, n_steps)
    return values, 1.0, converged or n_steps == 1


def _positive_definite(support: Support, values: np.ndarray) -> tuple[np.ndarray, float]:
    """Halve the off-diagonal entries until the matrix is positive definite."""
    off, damped = support.off_diagonal(), 1.0
    for _ in range(60):
        trial = np.where(off, damped * values, values)
        if is_positive_definite(support.to_sparse(trial)):
            return trial, damped
        damped /= 2
    return np.where(off, 0.0, 1.0), 0.0  # values that are no numbers, or a negative diagonal


def _graph_of(support: Support) -> np.ndarray:
    graph = np.zeros((support.n, support.n), dtype=bool)
    graph[support.rows, support.columns] = support.off_diagonal()
    return graph


def _all_pairs(n: int) -> np.ndarray:
    return ~np.eye(n, dtype=bool)
