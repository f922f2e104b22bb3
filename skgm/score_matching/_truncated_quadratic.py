r"""The loss of a Gaussian cut to a box as a quadratic in its precision alone.

Given K, the best eta of column j is a mean over rows with weights h_j: taking it out centres the
rows by column-wise weighted means, and leaves <K, H K> / 2 - <T, K> (eq. sm-generalized). Products
with H are two passes over the rows.
"""

import numpy as np

from skgm.score_matching._dense_newton import SINGLE, PenalisedQuadratic
from skgm.score_matching._truncated_fit import TruncatedProblem

__all__ = ["TruncatedQuadratic"]

POWER_STEPS = 30


class TruncatedQuadratic(PenalisedQuadratic):
    """H and T of the rows of a `TruncatedProblem`, with an l1 penalty."""

    def __init__(self, problem: TruncatedProblem, alpha: float) -> None:
        weight = problem.h * problem.share[:, None]
        squares = problem.diagonal()[0]
        self.extra = problem.extra / (1 + problem.extra) * squares if problem.extra else None
        self.centered = problem.centered
        for_K, for_eta = problem.target()
        level = weight.sum(axis=0)
        mean = np.zeros_like(for_K) if problem.centered else problem.X.T @ weight / level
        scale = squares - _symmetric(mean**2 * level)
        super().__init__(for_K + _symmetric(mean * for_eta), scale, alpha)
        self.tables = {
            dtype: (problem.X.astype(dtype, copy=False), weight.astype(dtype, copy=False))
            for dtype in (weight.dtype, np.dtype(SINGLE))
        }
        self.levels = level

    def image(self, V: np.ndarray) -> np.ndarray:
        """Return the Hessian times V."""
        X, weight = self.tables[V.dtype]
        psi = X @ V
        if not self.centered:
            psi -= np.einsum("ij,ij->j", weight, psi) / self.levels.astype(V.dtype)
        psi *= weight
        product = X.T @ psi
        product = _symmetric(product)
        if self.extra is not None:
            product += self.extra.astype(V.dtype) * V
        return product

    def largest_eigenvalue(self) -> float:
        """Bound it by power iterations, with a margin for what they miss."""
        v, value = np.sqrt(self.scale), 1.0
        for _ in range(POWER_STEPS):
            v = self.hessian(v) / self.scale
            value = float(np.sqrt(np.vdot(v * self.scale, v)))
            v = v / value
        return 1.1 * value


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return 0.5 * (matrix + matrix.T)
