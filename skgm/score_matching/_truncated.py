"""Fitting a Gaussian cut to a box: standardise, solve, make positive definite, scale back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm.score_matching._boundary_weights import boundary_weight
from skgm.score_matching._dense_newton import minimize_dense
from skgm.score_matching._refit import is_positive_definite
from skgm.score_matching._truncated_fit import TruncatedProblem, solve_truncated
from skgm.score_matching._truncated_quadratic import TruncatedQuadratic

__all__ = ["TruncatedFit", "fit_truncated", "solve_penalised", "truncated_problem"]

SHRINK = 0.9  # per attempt to make a matrix positive definite


@dataclass(frozen=True)
class TruncatedFit:
    """Parameters in the units of the table, and how they came about.

    Attributes
    ----------
    precision : ndarray of shape (p, p)
        K, positive definite.
    natural : ndarray of shape (p,)
        eta.
    residual : float
        Optimality residual of the problem in standardised columns.
    damped : float
        What the off-diagonal entries were multiplied by to make K positive definite.
    loss : float
        The generalised loss, in standardised columns.
    """

    precision: np.ndarray
    natural: np.ndarray
    residual: float
    damped: float
    loss: float


def truncated_problem(
    X: np.ndarray,
    row_weight: np.ndarray | None,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    weight: Any,
    cap: float,
    centered: bool,
) -> tuple[TruncatedProblem, np.ndarray]:
    """Return the problem in standardised columns, and the scales of the columns, (p,).

    The weight function sees distances in standard deviations, so that units do not matter.
    """
    share = np.full(len(X), 1 / len(X)) if row_weight is None else row_weight / row_weight.sum()
    mean = share @ X
    scale = np.sqrt(share @ (X - mean) ** 2)
    Z = X / scale
    h, slope = boundary_weight(Z, lower / scale, upper / scale, weight, cap)
    return TruncatedProblem(Z, h, slope, share, centered), scale


def fit_truncated(
    problem: TruncatedProblem,
    scale: np.ndarray,
    *,
    alpha: float = 0.0,
    mask: np.ndarray | None = None,
    tol: float = 1e-6,
) -> TruncatedFit:
    """Return the estimate; `alpha` > 0 adds an l1 penalty, `mask` holds entries of K at zero."""
    if alpha > 0:
        K, eta = solve_penalised(problem, alpha, tol=tol)
    else:
        K, eta, _ = solve_truncated(problem, 1e-3 * tol, mask)
    residual = _residual(problem, K, eta, alpha, mask)
    K, damped = _positive_definite(K)
    if damped < 1:
        eta = _natural(problem, K)
    loss = problem.loss(K, eta)
    return TruncatedFit(K / np.outer(scale, scale), eta / scale, residual, damped, loss)


def solve_penalised(
    problem: TruncatedProblem,
    alpha: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    tol: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the loss plus alpha times the off-diagonal entries' absolute values.

    In memory of a few tables: the (p + 1)^2 matrices of each column, which others store, are
    never formed.
    """
    quadratic = TruncatedQuadratic(problem, alpha)
    begin = start[0] if start is not None else np.diag(1 / np.diag(quadratic.scale))
    K, _ = minimize_dense(quadratic, begin, tol)
    return K, _natural(problem, K)


def _natural(problem: TruncatedProblem, K: np.ndarray) -> np.ndarray:
    """Return the eta that is best with K."""
    weighted = problem.h * problem.share[:, None]
    if problem.centered:
        return np.zeros(len(K))
    level = (weighted * (problem.X @ K)).sum(axis=0) - problem.share @ problem.slope
    return level / weighted.sum(axis=0)


def _residual(
    problem: TruncatedProblem,
    K: np.ndarray,
    eta: np.ndarray,
    alpha: float,
    mask: np.ndarray | None,
) -> float:
    """Return the largest violation of optimality."""
    image, target = problem.hessian(K, eta), problem.target()
    gradient = image[0] - target[0]
    off = ~np.eye(len(K), dtype=bool)
    on = off & (K != 0)
    violation = np.where(off & ~on, np.maximum(np.abs(gradient) - alpha, 0.0), 0.0)
    violation = np.where(on, np.abs(gradient + alpha * np.sign(K)), violation)
    violation = np.where(off, violation, np.abs(gradient))
    if mask is not None:
        violation = np.where(mask | ~off, violation, 0.0)
    level = 0.0 if problem.centered else np.abs(image[1] - target[1]).max()
    return float(max(violation.max(), level))


def _positive_definite(K: np.ndarray) -> tuple[np.ndarray, float]:
    """Shrink the off-diagonal entries until the matrix is positive definite."""
    diagonal, damped = np.diag(np.maximum(np.diag(K), 1e-6)), 1.0
    off = K - np.diag(np.diag(K))
    if (np.diag(K) <= 0).any():
        damped *= SHRINK
    margin = 1e-8 * diagonal  # so that the inverse keeps half of its digits
    for _ in range(200):
        if is_positive_definite(diagonal - margin + damped * off):
            return diagonal + damped * off, damped
        damped *= SHRINK
    return diagonal, 0.0
