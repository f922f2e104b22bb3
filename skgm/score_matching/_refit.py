"""Precisions with a known sparse support: score matching, and from it maximum likelihood."""

import numpy as np
from scipy import linalg, sparse

from skgm.score_matching._conjugate_gradients import conjugate_gradients
from skgm.score_matching._support import Support

__all__ = [
    "fit_support",
    "is_identified",
    "is_positive_definite",
    "likelihood_steps",
    "log_likelihood",
]

MAX_CG = 1000
MAX_PRECISION = 1e6  # of standardised columns: the reciprocal of a conditional variance


def fit_support(S: np.ndarray, support: Support, start: np.ndarray | None = None) -> np.ndarray:
    """Return the entries of the score-matching precision on a support, (m,).

    The minimum of 1/2 tr(K S K) - tr K over symmetric matrices on the support: one linear system,
    (S K + K S) / 2 = I there, by conjugate gradients.
    """
    blocks = support.blocks(S)
    target = np.where(support.off_diagonal(), 0.0, 1.0)
    scale = support.symmetrize(np.diag(S)[support.rows])
    start = target / scale if start is None else start
    found, _ = conjugate_gradients(
        lambda v: support.symmetrize(blocks @ v), target, start, scale, 1e-10, MAX_CG
    )
    return found


def likelihood_steps(
    S: np.ndarray, support: Support, values: np.ndarray, n_steps: int, tol: float = 1e-9
) -> tuple[np.ndarray, bool]:
    """Take Fisher-scoring steps towards the maximum of the likelihood on a support.

    One step from a root-n consistent estimate, such as that of `fit_support`, is as efficient as
    the maximum itself. Each step solves P(Sigma D Sigma) = P(Sigma - S), P the restriction to the
    support, and is halved until the matrix is positive definite and the likelihood no lower. Where
    neighbours determine a column there is no maximum, and the steps end on the way to infinity.

    Returns
    -------
    values : ndarray of shape (m,)
        Entries of the precision.
    converged : bool
        Whether the gradient P(Sigma - S) is within `tol`.
    """
    precision = support.to_sparse(values).toarray()
    height = log_likelihood(precision, S)
    slack = 1e-9 * (1 + abs(height))
    for _ in range(n_steps):
        if not is_identified(support, values):
            return values, False
        Sigma = _inverse(precision)
        gradient = support.read(Sigma - S)
        if np.abs(gradient).max() <= tol:
            return values, True
        step = _fisher_direction(Sigma, support, gradient)
        size = 1.0
        while size > 1e-10:
            trial = support.to_sparse(values + size * step).toarray()
            new = log_likelihood(trial, S)
            if new >= height - slack:  # near the maximum the rest is rounding
                break
            size /= 2
        else:
            break
        values, precision, height = values + size * step, trial, new
    gradient = support.read(_inverse(precision) - S)
    return values, bool(np.abs(gradient).max() <= tol)


def _fisher_direction(Sigma: np.ndarray, support: Support, gradient: np.ndarray) -> np.ndarray:
    def information(v: np.ndarray) -> np.ndarray:
        product = (support.to_sparse(v).T @ Sigma).T  # Sigma D, dense
        return support.read(product @ Sigma)

    own = np.diag(Sigma)
    scale = own[support.rows] * own[support.columns] + support.read(Sigma) ** 2
    scale[support.diagonal] /= 2
    limit = 1e-6 * np.abs(gradient).max()
    return conjugate_gradients(
        information, gradient, np.zeros_like(gradient), scale, limit, MAX_CG
    )[0]


def log_likelihood(precision: np.ndarray, S: np.ndarray) -> float:
    """Return log det K - tr K S, twice the log-likelihood per row up to a constant; -inf off it."""
    try:
        factor = linalg.cholesky(precision, lower=True)
    except linalg.LinAlgError:
        return -np.inf
    return float(2 * np.log(np.diag(factor)).sum() - np.vdot(precision, S))


def is_identified(support: Support, values: np.ndarray) -> bool:
    """Tell whether no column is left less than a millionth of its variance by its neighbours."""
    return bool(values[support.diagonal].max() < MAX_PRECISION)


def _inverse(precision: np.ndarray) -> np.ndarray:
    """Return the inverse of a positive definite matrix, however near to a singular one."""
    factor = linalg.cholesky(precision, lower=True)
    lower = linalg.lapack.dpotri(factor, lower=1)[0]
    return np.tril(lower) + np.tril(lower, -1).T


def is_positive_definite(precision: sparse.spmatrix | np.ndarray) -> bool:
    """Tell whether a symmetric matrix has a Cholesky factor."""
    dense = precision if isinstance(precision, np.ndarray) else precision.toarray()
    return linalg.lapack.dpotrf(dense)[1] == 0
