"""Solves sparse Gaussian score matching along a path of penalties.

min over symmetric K of  1/2 tr(K S K) - tr K + alpha sum_{i != j} |K_ij|   (eq. sm-gaussian-sparse)

Column by column this is a quadratic with Hessian S, and off the support nothing moves: so the
method is a working set of pairs, chosen by the gradient, on which a semismooth Newton iteration
(the primal-dual active set) solves sparse systems by conjugate gradients; then the gradient is
formed once in full. Where most pairs are connected, the same is done with dense matrices.
Coordinate descent, the usual choice, is as fast only in compiled code; ADMM and proximal gradients
are ten to a hundred times slower.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from skgm._numerics.conjugate_gradients import conjugate_gradients
from skgm.score_matching._gaussian.dense import GaussianQuadratic, minimize_dense

__all__ = [
    "PathPoint",
    "Support",
    "largest_alpha",
    "solve_path",
]


# Symmetric matrices on a sparse support, and a dense one acting on them within it.


@dataclass(frozen=True)
class Support:
    """Positions (i, j) that a symmetric matrix may fill: all diagonal ones, and both of a pair.

    A matrix is a vector of its entries in column order. Restricted to the support, the map
    K -> (S K + K S) / 2 is a block per column, S at the rows of the column, and an average with
    the transpose: its cost is the sum of squared column counts.

    Attributes
    ----------
    rows, columns : ndarray of shape (m,)
        Positions, sorted by column, then row.
    starts : ndarray of shape (p + 1,)
        Where each column begins.
    transposed : ndarray of shape (m,)
        Where the entry (j, i) stands.
    diagonal : ndarray of shape (p,)
        Where the diagonal entries stand.
    """

    rows: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    transposed: np.ndarray
    diagonal: np.ndarray

    @classmethod
    def from_pairs(cls, n: int, first: np.ndarray, second: np.ndarray) -> "Support":
        """Build the support of the pairs i < j, (m,) each, in any order, and the diagonal."""
        own = np.arange(n)
        keys = np.concatenate([second * n + first, first * n + second, own * (n + 1)])
        keys.sort()
        columns, rows = keys // n, keys % n
        starts = np.searchsorted(columns, np.arange(n + 1))
        transposed = np.searchsorted(keys, rows * n + columns)
        diagonal = np.flatnonzero(rows == columns)
        return cls(rows, columns, starts, transposed, diagonal)

    @classmethod
    def of_matrix(cls, K: np.ndarray) -> tuple["Support", np.ndarray]:
        """Return the support of a dense symmetric matrix and its entries on it."""
        support = cls.from_pairs(len(K), *np.nonzero(np.triu(K, 1)))
        return support, support.read(K)

    def keep(self, on: np.ndarray) -> "Support":
        """Return the support of some of the entries, (m,) bool: both of a pair, or none."""
        if on.all():
            return self
        new = np.cumsum(on) - 1
        before = np.append(0, new + 1)
        rows, columns, starts = self.rows[on], self.columns[on], before[self.starts]
        return Support(rows, columns, starts, new[self.transposed[on]], new[self.diagonal])

    @property
    def n(self) -> int:
        """Number of columns of the matrix."""
        return len(self.starts) - 1

    def is_dense(self) -> bool:
        """Tell whether products of dense matrices cost less than those with `blocks`.

        A dense product makes some fifty multiplications in the time of one of a sparse matrix;
        the passes over the whole matrix count as well.
        """
        n, counts = self.n, np.diff(self.starts)
        return float(counts @ counts) > n * n * (n / 50 + 1.5)

    def off_diagonal(self) -> np.ndarray:
        """Return which entries are off the diagonal, (m,) bool."""
        return self.rows != self.columns

    def read(self, matrix: np.ndarray) -> np.ndarray:
        """Return the entries of a dense matrix, (m,)."""
        return matrix[self.rows, self.columns]

    def to_sparse(self, values: np.ndarray) -> sparse.csc_matrix:
        """Return the matrix of these entries."""
        return sparse.csc_matrix((values, self.rows, self.starts), shape=(self.n, self.n))

    def blocks(self, S: np.ndarray) -> sparse.csr_matrix:
        """Return the (m, m) matrix whose block of column j is S at the rows of column j."""
        counts = np.diff(self.starts)
        size = counts[self.columns]  # entries of each row of the block matrix
        indptr = np.append(0, np.cumsum(size))
        index = np.int32 if indptr[-1] < np.iinfo(np.int32).max else np.int64
        shift = self.starts[self.columns] - indptr[:-1]  # from a place in the data to its column
        indices = np.arange(indptr[-1], dtype=index)
        indices += np.repeat(shift.astype(index), size)
        places = np.repeat(self.rows * self.n, size)
        places += self.rows.take(indices)
        m = len(self.rows)
        return sparse.csr_matrix((S.take(places), indices, indptr.astype(index)), shape=(m, m))

    def symmetrize(self, values: np.ndarray) -> np.ndarray:
        """Return the average with the transpose, (m,)."""
        return 0.5 * (values + values[self.transposed])

    def expand(self, values: np.ndarray, other: "Support") -> np.ndarray:
        """Return the entries on another support, zero where they are new."""
        own = self.columns * self.n + self.rows
        asked = other.columns * other.n + other.rows
        places = np.minimum(np.searchsorted(own, asked), len(own) - 1)
        return np.where(own[places] == asked, values[places], 0.0)


MAX_ROUNDS = 50  # working sets per penalty
MAX_NEWTON = 30  # active sets per working set
MAX_CG = 500
MAX_PROXIMAL = 2000


@dataclass(frozen=True)
class PathPoint:
    """The solution at one penalty.

    Attributes
    ----------
    alpha : float
        The penalty.
    support : Support
        Positions of the entries.
    values : ndarray of shape (m,)
        Entries of the precision.
    kkt_residual : float
        Largest violation of the optimality conditions, over all p * p entries.
    """

    alpha: float
    support: Support
    values: np.ndarray
    kkt_residual: float

    @property
    def precision(self) -> sparse.csc_matrix:
        """The precision, sparse."""
        return self.support.to_sparse(self.values)


def largest_alpha(S: np.ndarray) -> float:
    """Return the least penalty at which no pair enters.

    There K is diagonal, 1 / S_ii, and the gradient at a pair is S_ij (1 / S_ii + 1 / S_jj) / 2.
    """
    inverse = 1 / np.diag(S)
    gradient = np.abs(S) * 0.5 * (inverse[:, None] + inverse)
    np.fill_diagonal(gradient, 0.0)
    return float(gradient.max(initial=0.0))


def solve_path(
    S: np.ndarray, alphas: np.ndarray, *, tol: float = 1e-6, max_pairs: int | None = None
) -> list[PathPoint]:
    """Return the solutions at decreasing penalties, each started from the one before.

    Parameters
    ----------
    S : ndarray of shape (p, p)
        Covariance or correlation matrix, symmetric, with a positive diagonal.
    alphas : ndarray of shape (k,)
        Penalties, decreasing.
    tol : float
        Bound of the optimality residual.
    max_pairs : int, default=None
        Stop the path before the second or a later solution that has more pairs than this, or that
        did not converge.

    Returns
    -------
    path : list of PathPoint
        One per penalty, fewer where `max_pairs` cut it short.
    """
    none = np.zeros(0, dtype=np.int64)
    support = Support.from_pairs(len(S), none, none)
    values, gradient, above = 1 / np.diag(S), None, max(largest_alpha(S), alphas[0])
    path: list[PathPoint] = []
    for alpha in alphas:
        if gradient is None:
            gradient = _gradient(S, support, values)
        # strong rule: a pair whose gradient cannot rise by the fall of the penalty stays out
        rule = max(2 * alpha - above, 0.93 * alpha)
        start = values if len(path) < 2 else _ahead(path[-2], path[-1], alpha)
        point, gradient = _solve(S, float(alpha), support, start, gradient, rule, tol)
        support, values, above = point.support, point.values, alpha
        too_dense = max_pairs is not None and len(values) - len(S) > 2 * max_pairs
        if path and (too_dense or (max_pairs is not None and point.kkt_residual > tol)):
            break
        path.append(point)
    return path


def _ahead(before: PathPoint, last: PathPoint, alpha: float) -> np.ndarray:
    """Extrapolate: while no pair comes or goes, the solution is linear in the penalty."""
    if before.alpha == last.alpha:
        return last.values
    change = last.values - before.support.expand(before.values, last.support)
    return last.values + (alpha - last.alpha) / (last.alpha - before.alpha) * change


def _solve(
    S: np.ndarray,
    alpha: float,
    support: Support,
    values: np.ndarray,
    gradient: np.ndarray,
    rule: float,
    tol: float,
) -> tuple[PathPoint, np.ndarray]:
    """Grow the working set until the full gradient agrees; return the solution and gradient."""
    for _ in range(MAX_ROUNDS):
        wider = support if support.is_dense() else _with_pairs(support, gradient, rule)
        if wider.is_dense():
            start = support.to_sparse(values).toarray()
            dense, gradient = minimize_dense(GaussianQuadratic(S, alpha), start, 0.5 * tol)
            support, values = Support.of_matrix(dense)
            residual = _residual(gradient, support, values, alpha)
            break
        values = _newton(S, wider, support.expand(values, wider), alpha, 0.5 * tol)
        support, values = _nonzero(wider, values)
        gradient = _gradient(S, support, values)
        residual = _residual(gradient, support, values, alpha)
        inside = support.read(gradient) + alpha * np.sign(values) * support.off_diagonal()
        if residual <= tol or np.abs(inside).max() > tol:  # solved; or what was asked for was not
            break
        rule = alpha
    return PathPoint(alpha, support, values, residual), gradient


def _gradient(S: np.ndarray, support: Support, values: np.ndarray) -> np.ndarray:
    """Return (S K + K S) / 2 - I."""
    half = support.to_sparse(0.5 * values)
    product = half.T @ S  # K is symmetric: rows are read as columns
    product += product.T.copy()
    product.flat[:: len(S) + 1] -= 1.0
    return product


def _residual(gradient: np.ndarray, support: Support, values: np.ndarray, alpha: float) -> float:
    """Return the largest violation of optimality, over the support and outside it."""
    off = support.off_diagonal()
    inside = support.read(gradient) + np.where(off, alpha * np.sign(values), 0.0)
    worst = np.abs(inside).max()
    excess = max(gradient.max(), -gradient.min()) - alpha
    if excess <= worst:  # nothing outside can be worse
        return float(worst)
    outside = np.abs(gradient)
    outside[support.rows, support.columns] = 0.0
    return float(max(worst, outside.max() - alpha))


def _with_pairs(support: Support, gradient: np.ndarray, least: float) -> Support:
    """Return the support widened by the pairs whose gradient is at least `least`."""
    wanted = gradient >= least
    wanted |= gradient <= -least
    wanted[support.rows, support.columns] = True
    first, second = np.divmod(np.flatnonzero(wanted), support.n)
    upper = first < second
    return Support.from_pairs(support.n, first[upper], second[upper])


def _nonzero(support: Support, values: np.ndarray) -> tuple[Support, np.ndarray]:
    on = (values != 0) | ~support.off_diagonal()
    return support.keep(on), values[on]


class _Restricted:
    """The problem on one support: Hessian, penalty, and how far a point is from optimal."""

    def __init__(self, S: np.ndarray, support: Support, alpha: float) -> None:
        off = support.off_diagonal()
        self.support, self.blocks = support, support.blocks(S)
        self.target = np.where(off, 0.0, 1.0)
        self.penalty = np.where(off, alpha, 0.0)
        self.scale = support.symmetrize(np.diag(S)[support.rows])  # the diagonal of the Hessian

    def hessian(self, v: np.ndarray) -> np.ndarray:
        return self.support.symmetrize(self.blocks @ v)

    def shrink(self, z: np.ndarray, step: np.ndarray | float) -> np.ndarray:
        return np.sign(z) * np.maximum(np.abs(z) - step * self.penalty, 0.0)


def _newton(S: np.ndarray, support: Support, x: np.ndarray, alpha: float, tol: float) -> np.ndarray:
    """Minimize over the entries of the support, from x: primal-dual active sets.

    The active sets settle within a few steps, but may cycle where the Hessian is nearly singular
    (small penalties, fewer rows than columns): then proximal gradients take over, which cannot.
    """
    problem = _Restricted(S, support, alpha)
    best, least = x, np.inf
    for _ in range(MAX_NEWTON):
        gradient = problem.hessian(x) - problem.target
        z = x - gradient / problem.scale
        shrunk = problem.shrink(z, 1 / problem.scale)
        residual = np.abs((x - shrunk) * problem.scale).max()
        if residual < least:
            best, least = x, residual
        if residual <= tol or not residual < 1e3 * least:
            break
        active = (shrunk != 0).astype(np.float64)  # the others are held at zero
        target = active * (problem.target - problem.penalty * np.sign(z))
        limit = max(0.02 * residual, 0.2 * tol)
        restricted = lambda v, on=active: on * problem.hessian(v)  # noqa: E731
        x, _ = conjugate_gradients(
            restricted, target, problem.scale, active * x, max_iter=MAX_CG, limit=limit
        )
    return best if least <= tol else _proximal_gradients(problem, best, tol)


def _proximal_gradients(problem: _Restricted, x: np.ndarray, tol: float) -> np.ndarray:
    """Minimize by accelerated proximal gradients, restarted where the gradient turns back."""
    bound = _largest_eigenvalue(problem)
    ahead, momentum = x, 1.0
    for _ in range(MAX_PROXIMAL):
        gradient = problem.hessian(ahead) - problem.target
        new = problem.shrink(ahead - gradient / bound, 1 / bound)
        if np.abs(ahead - new).max() * bound <= tol:
            return new
        if (ahead - new) @ (new - x) > 0:
            momentum = 1.0
        longer = 0.5 * (1 + np.sqrt(1 + 4 * momentum**2))
        ahead = new + (momentum - 1) / longer * (new - x)
        x, momentum = new, longer
    return x


def _largest_eigenvalue(problem: _Restricted) -> float:
    """Bound the Hessian by a few power iterations, and a margin for what they miss."""
    v = problem.scale / np.linalg.norm(problem.scale)
    value = 0.0
    for _ in range(20):
        v = problem.hessian(v)
        value = float(np.linalg.norm(v))
        v /= value
    return 1.1 * value
