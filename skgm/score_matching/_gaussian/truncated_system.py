"""Solves the linear system of generalized score matching for a Gaussian cut to a box.

log p(x) = -x' K x / 2 + eta' x + const on the box, so psi = eta - K x, and the loss

    mean over rows of sum_j [ h_j psi_j^2 / 2 - h_j K_jj + h_j' psi_j ]      (eq. sm-generalized)

is quadratic in (K, eta), K symmetric. The normalizing constant, an orthant probability, appears
nowhere. The system is never formed for many columns: its product with (D, d) costs two passes over
the rows and the memory of one more table.
"""

from dataclasses import dataclass

import numpy as np

from skgm._numerics.conjugate_gradients import conjugate_gradients
from skgm.score_matching._gaussian.dense import SINGLE, PenalizedQuadratic

__all__ = [
    "TruncatedProblem",
    "TruncatedQuadratic",
    "free_parameters",
    "psi_and_bread",
    "solve_truncated",
]

MAX_CG = 5000


@dataclass(frozen=True)
class TruncatedProblem:
    """Rows, weight functions and row weights of one fit.

    Attributes
    ----------
    X : ndarray of shape (n, p)
        Rows.
    h, slope : ndarray of shape (n, p)
        The weight function of each column at each value, and its derivative.
    share : ndarray of shape (n,)
        Weights of the rows, summing to one.
    centered : bool
        Whether eta is held at zero.
    extra : float
        What is added to the diagonal of the Hessian, relative to it: bounds the l1 problem where
        columns determine one another.
    """

    X: np.ndarray
    h: np.ndarray
    slope: np.ndarray
    share: np.ndarray
    centered: bool = False
    extra: float = 0.0

    def target(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the right-hand side: what the gradient at zero is, with its sign turned."""
        weighted = self.slope * self.share[:, None]
        for_K = self.X.T @ weighted
        for_K.flat[:: len(for_K) + 1] += self.share @ self.h
        return _symmetric(for_K), self._free(-weighted.sum(axis=0))

    def hessian(self, D: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the Hessian of the loss times (D, d)."""
        psi = d - self.X @ D
        psi *= self.h
        psi *= self.share[:, None]
        image = _symmetric(-(self.X.T @ psi))
        if self.extra:
            image += self.extra * self._squares() * D
        return image, self._free(psi.sum(axis=0))

    def diagonal(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the diagonal of the Hessian, symmetrized as it acts."""
        level = self.share @ self.h
        return (1 + self.extra) * self._squares(), level

    def _squares(self) -> np.ndarray:
        return _symmetric((self.X**2).T @ (self.h * self.share[:, None]))

    def loss(self, K: np.ndarray, eta: np.ndarray) -> float:
        """Return the loss at (K, eta)."""
        psi = eta - self.X @ K
        values = self.h * (0.5 * psi**2 - np.diag(K)) + self.slope * psi
        return float(self.share @ values.sum(axis=1))

    def _free(self, d: np.ndarray) -> np.ndarray:
        return np.zeros_like(d) if self.centered else d


def solve_truncated(
    problem: TruncatedProblem, tol: float = 1e-10, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return K, (p, p), eta, (p,), and whether conjugate gradients came to the end.

    `mask`, (p, p) bool, restricts K to a graph.
    """
    p = problem.X.shape[1]
    on = np.ones((p + 1, p))  # K above, eta in the last row
    if mask is not None:
        on[:p] = mask
    if problem.centered:
        on[p] = 0.0

    def operator(v: np.ndarray) -> np.ndarray:
        return on * np.vstack(problem.hessian(v[:p], v[p]))

    target, scale = (np.vstack(pair) for pair in (problem.target(), problem.diagonal()))
    limit = tol * np.abs(target).max()
    found, converged = conjugate_gradients(
        operator, on * target, scale, max_iter=MAX_CG, limit=limit
    )
    return found[:p], found[p], converged


def free_parameters(
    p: int, mask: np.ndarray | None, centered: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return row and column of the free entries of K, i <= j, and how many of eta are free."""
    allowed = np.ones((p, p), dtype=bool) if mask is None else mask | np.eye(p, dtype=bool)
    first, second = np.nonzero(np.triu(allowed))
    return first, second, 0 if centered else p


def psi_and_bread(
    problem: TruncatedProblem, K: np.ndarray, eta: np.ndarray, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return psi per row, (n, k), and the bread, (k, k), of the sandwich (eq. sm-covariance).

    The free parameters are the entries of K with i <= j, row by row, then eta.
    """
    X, h = problem.X, problem.h
    p = X.shape[1]
    first, second, n_eta = free_parameters(p, mask, problem.centered)
    off = first != second
    m = len(first)
    psi = eta - X @ K
    weighted = h * psi + problem.slope
    rows = np.empty((len(X), m + n_eta))
    rows[:, :m] = -(weighted[:, first] * X[:, second])
    rows[:, :m][:, off] -= (weighted[:, second] * X[:, first])[:, off]
    rows[:, :m][:, ~off] -= h
    rows[:, m:] = weighted[:, :n_eta]
    bread = np.zeros((m + n_eta, m + n_eta))
    for j in range(p):  # the j-th term of the loss sees row j of K, and eta_j
        touched = np.flatnonzero((first == j) | (second == j))
        other = np.where(first[touched] == j, second[touched], first[touched])
        features = -X[:, other]
        if n_eta:
            touched = np.append(touched, m + j)
            features = np.column_stack([features, np.ones(len(X))])
        scaled = features * (h[:, j] * problem.share)[:, None]
        bread[np.ix_(touched, touched)] += features.T @ scaled
    return rows, bread


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return 0.5 * (matrix + matrix.T)


# The loss of a Gaussian cut to a box as a quadratic in its precision alone.
#
# Given K, the best eta of column j is a mean over rows with weights h_j: taking it out centers
# the rows by column-wise weighted means, and leaves <K, H K> / 2 - <T, K> (eq. sm-generalized).
# Products with H are two passes over the rows.

POWER_STEPS = 30


class TruncatedQuadratic(PenalizedQuadratic):
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
