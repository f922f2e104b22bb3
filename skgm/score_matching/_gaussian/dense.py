"""Minimizes quadratic losses of a symmetric matrix with an l1 penalty, by dense Newton steps.

min over symmetric K of  <K, H K> / 2 - <T, K> + alpha sum_{i != j} |K_ij|

For a Gaussian, H K = (S K + K S) / 2 and T = I (eq. sm-gaussian-sparse): where most pairs are
connected a product of dense matrices is cheaper than one with the sparse Hessian of the support.
For a Gaussian cut to a box, H has a matrix of its own for each column (eq. sm-generalized).

The method is a semismooth Newton iteration, made to descend: entries that the step carries across
zero stay at zero, the step is shortened where the objective would still rise, and where that does
not help either, accelerated proximal gradients take its place. The inner systems are solved in
single precision, to a tenth of the residual; residual and objective are in double.
"""

import numpy as np
from scipy import linalg

from skgm._numerics.conjugate_gradients import conjugate_gradients

__all__ = [
    "GaussianQuadratic",
    "PenalizedQuadratic",
    "minimize_dense",
]

MAX_PRODUCTS = 10_000  # with the Hessian, per penalty
MAX_CG = 500  # of them in one Newton step
PROXIMAL_RUN = 20  # steps, doubled each time that Newton steps fail again
SHORTER = (0.5, 0.2)  # shares of a Newton step that are tried where the objective would rise
ROUNDING = 1e-12  # of the objective
INNER = 0.1  # what a Newton step leaves of the residual
SINGLE = np.float32


def minimize_dense(
    problem: "PenalizedQuadratic", K: np.ndarray, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the minimum and its gradient without the penalty, both (p, p).

    Parameters
    ----------
    problem : PenalizedQuadratic
    K : ndarray of shape (p, p)
        Where to start, symmetric.
    tol : float
        Bound of the optimality residual.
    """
    gradient, height = problem.at(K)
    run = PROXIMAL_RUN
    while problem.n_products < MAX_PRODUCTS:
        z = K - gradient / problem.scale
        sign = np.sign(z) * (np.abs(z) > problem.threshold)  # zero where held at zero
        shrunk = (sign != 0) * z - problem.threshold * sign
        residual = np.abs((K - shrunk) * problem.scale).max()
        if not residual > tol:  # solved, or no longer finite
            break
        target = problem.newton(K, sign)
        for size in (1.0, *SHORTER):
            trial = problem.clip(K + size * (target - K), sign)
            its_gradient, its_height = problem.at(trial)
            if its_height <= height + ROUNDING * abs(height):
                run = PROXIMAL_RUN
                break
        else:
            trial = problem.proximal_run(K, gradient, run)
            its_gradient, its_height = problem.at(trial)
            run *= 2
        if not np.isfinite(its_height):
            break
        K, gradient, height = trial, its_gradient, its_height
    return K, gradient


class PenalizedQuadratic:
    """Target, penalty and diagonal of one problem, and the two kinds of steps."""

    def __init__(self, target: np.ndarray, scale: np.ndarray, alpha: float) -> None:
        self.target, self.scale, self.n_products = target, scale, 0
        self.single_scale = scale.astype(SINGLE)
        self.penalty = np.full_like(scale, alpha)
        np.fill_diagonal(self.penalty, 0.0)
        self.threshold = self.penalty / scale
        self._bound: float | None = None

    def image(self, V: np.ndarray) -> np.ndarray:
        """Return H V, symmetric like V, and in its precision."""
        raise NotImplementedError  # abstract: every kind writes it

    def largest_eigenvalue(self) -> float:
        """Return a bound of H relative to its diagonal."""
        raise NotImplementedError  # abstract: every kind writes it

    def hessian(self, V: np.ndarray) -> np.ndarray:
        self.n_products += 1
        return self.image(V)

    def at(self, K: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the gradient without the penalty, and the objective with it."""
        image = self.hessian(K)
        height = np.vdot(K, 0.5 * image - self.target) + np.vdot(self.penalty, np.abs(K))
        image -= self.target
        return image, float(height)

    def newton(self, K: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Solve for the entries with a sign, from K; the others are zero."""
        on = sign != 0
        K = K * on
        missing = on * (self.target - self.penalty * sign - self.hessian(K))
        single = on.astype(SINGLE)
        step, _ = conjugate_gradients(
            lambda v: np.multiply(image := self.hessian(v), single, out=image),
            missing.astype(SINGLE),
            self.single_scale,
            max_iter=MAX_CG,
            drop=INNER,
        )
        return K + step

    def clip(self, K: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Hold at zero what has crossed it."""
        return np.where((K * sign < 0) & (self.penalty > 0), 0.0, K)

    def proximal_run(self, K: np.ndarray, gradient: np.ndarray, n_steps: int) -> np.ndarray:
        """Take accelerated proximal gradients, restarted where the gradient turns back."""
        if self._bound is None:
            self._bound = self.largest_eigenvalue()
        metric, threshold = self._bound * self.scale, self.threshold / self._bound
        ahead, momentum = K, 1.0
        for step in range(n_steps):
            if step:
                gradient = self.hessian(ahead) - self.target
            z = ahead - gradient / metric
            new = z - np.clip(z, -threshold, threshold)
            if np.vdot(metric * (ahead - new), new - K) > 0:
                momentum = 1.0
            longer = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
            ahead = new + (momentum - 1) / longer * (new - K)
            K, momentum = new, longer
        return K


class GaussianQuadratic(PenalizedQuadratic):
    """H K = (S K + K S) / 2, T = I."""

    def __init__(self, S: np.ndarray, alpha: float) -> None:
        own = np.diag(S)
        super().__init__(np.eye(len(S)), 0.5 * (own[:, None] + own), alpha)
        self.S = S
        self.halves = {S.dtype: 0.5 * S, np.dtype(SINGLE): (0.5 * S).astype(SINGLE)}

    def image(self, V: np.ndarray) -> np.ndarray:
        """Return (S V + V S) / 2."""
        product = self.halves[V.dtype] @ V
        return product + product.T

    def largest_eigenvalue(self) -> float:
        """Return that of the correlations, with a margin for rounding."""
        root = np.sqrt(np.diag(self.S))
        return 1.001 * float(linalg.eigvalsh(self.S / root / root[:, None])[-1])
