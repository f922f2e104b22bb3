"""Fitting a Gaussian cut to a box: standardise, solve, make positive definite, scale back."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm.score_matching._boundary_weights import boundary_weight
from skgm.score_matching._refit import is_positive_definite
from skgm.score_matching._truncated_fit import TruncatedProblem, solve_truncated

__all__ = ["TruncatedFit", "fit_truncated", "solve_penalised", "truncated_problem"]

MAX_PROXIMAL = 5000
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
    if damped < 1:  # eta given K has a closed form
        weighted = problem.h * problem.share[:, None]
        level = (weighted * (problem.X @ K)).sum(axis=0) - problem.share @ problem.slope
        eta = 0 * eta if problem.centered else level / weighted.sum(axis=0)
    loss = problem.loss(K, eta)
    return TruncatedFit(K / np.outer(scale, scale), eta / scale, residual, damped, loss)


def solve_penalised(
    problem: TruncatedProblem,
    alpha: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    tol: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the loss plus alpha times the off-diagonal entries' absolute values.

    Accelerated proximal gradients in the metric of the Hessian's diagonal, in memory of a few
    tables: the (p + 1)^2 matrices of each column, which others store, are never formed.
    """
    target, metric = problem.target(), problem.diagonal()
    bound = _largest_eigenvalue(problem, metric)
    p = len(metric[1])
    threshold = alpha / (bound * metric[0])
    np.fill_diagonal(threshold, 0.0)
    x = start if start is not None else (np.diag(1 / np.diag(metric[0])), np.zeros(p))
    ahead, momentum = x, 1.0
    for _ in range(MAX_PROXIMAL):
        image = problem.hessian(*ahead)
        moved = [a - (i - t) / (bound * m) for a, i, t, m in zip(ahead, image, target, metric)]
        K = np.sign(moved[0]) * np.maximum(np.abs(moved[0]) - threshold, 0.0)
        new = (K, 0 * moved[1] if problem.centered else moved[1])
        step = max(np.abs((a - b) * m).max() * bound for a, b, m in zip(ahead, new, metric))
        if step <= tol:
            return new
        turn = sum(float(np.vdot((a - n) * m, n - o)) for a, n, o, m in zip(ahead, new, x, metric))
        momentum = 1.0 if turn > 0 else momentum
        longer = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        pull = (momentum - 1) / longer
        ahead = (new[0] + pull * (new[0] - x[0]), new[1] + pull * (new[1] - x[1]))
        x, momentum = new, longer
    return x


def _largest_eigenvalue(problem: TruncatedProblem, metric: tuple[np.ndarray, np.ndarray]) -> float:
    """Return a bound of the Hessian relative to its diagonal, by power iterations and a margin."""
    v = (np.sqrt(metric[0]), np.sqrt(metric[1]))
    value = 1.0
    for _ in range(30):
        image = problem.hessian(*v)
        v = (image[0] / metric[0], image[1] / metric[1])
        value = float(np.sqrt(np.vdot(v[0] * metric[0], v[0]) + np.vdot(v[1] * metric[1], v[1])))
        v = (v[0] / value, v[1] / value)
    return 1.1 * value


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
