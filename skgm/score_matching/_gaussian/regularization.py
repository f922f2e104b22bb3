"""Fits the precision of a Gaussian under an l1 or l2 penalty, or on a known graph."""

import numbers
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.conjugate_gradients import conjugate_gradients
from skgm._numerics.gaussian import RIDGE, Factor, cholesky_in_units, factorize_diagonal
from skgm._sklearn import Interval, StrOptions
from skgm._warnings import warn_user
from skgm.score_matching._gaussian.sparse import (
    PathPoint,
    Support,
    largest_alpha,
    solve_path,
)

__all__ = [
    "CONSTRAINTS",
    "REFITS",
    "RegularizedFit",
    "bounded",
    "check_graph",
    "correlations",
    "factor_of",
    "fit_graph",
    "fit_l1",
    "fit_l2",
    "fit_support",
    "graph_support",
    "is_identified",
    "is_positive_definite",
    "likelihood_steps",
    "log_likelihood",
    "refit_point",
    "regularize",
    "warn_of",
]


# Regularized precisions on the scale of correlations: l1, l2, and known graphs.

# Steps of Fisher scoring after the score-matching estimate on the support; None: no refit at all.
REFITS: dict[str | None, int | None] = {
    None: None,
    "score_matching": 0,
    "one_step": 1,
    "mle": 100,
}

_TOO_SINGULAR = (
    "The regularized covariance is singular to working precision. Choose a larger alpha, or drop "
    "columns that determine one another."
)


@dataclass(frozen=True)
class RegularizedFit:
    """A positive definite precision of standardized columns.

    Attributes
    ----------
    precision : ndarray of shape (p, p)
        On the scale of correlations.
    graph : ndarray of shape (p, p), bool
        Which pairs may be dependent given the rest; the diagonal is False.
    alpha_max : float
        Least l1 penalty without any pair; NaN for the others.
    kkt_residual : float
        Violation of optimality of the penalized problem; 0.0 for closed forms.
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

    def public(self) -> dict[str, Any]:
        """Return the estimator's attributes that a regularized fit has beyond the others."""
        return {
            "graph_": self.graph,
            "n_edges_": int(self.graph.sum()) // 2,
            "alpha_max_": self.alpha_max,
            "kkt_residual_": self.kkt_residual,
        }


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
    with warnings.catch_warnings():  # of an inverse that has lost its digits
        warnings.simplefilter("error", LinAlgWarning)
        try:
            precision = linalg.inv(R + alpha * np.eye(len(R)))
        except (linalg.LinAlgError, LinAlgWarning) as error:
            raise ValueError(_TOO_SINGULAR) from error
    return RegularizedFit(0.5 * (precision + precision.T), _all_pairs(len(R)))


def fit_l1(
    R: np.ndarray, n_rows: float, alpha: float, refit: str | None, tol: float
) -> RegularizedFit:
    """Return the l1-penalized precision, refitted on its support (eq. sm-gaussian-sparse)."""
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
        if is_identified(point.support, refitted[0]):  # otherwise the penalized one stands
            values, damped, converged = refitted
    graph = _graph_of(point.support)
    precision = point.support.to_sparse(values).toarray()
    return RegularizedFit(precision, graph, alpha_max, point.kkt_residual, damped, converged)


def fit_graph(R: np.ndarray, n_rows: float, graph: np.ndarray, refit: str) -> RegularizedFit:
    """Return the precision that is zero outside a known graph.

    Raises
    ------
    ValueError
        Column with as many neighbors as there are rows: its entries are not identified.
    """
    support = graph_support(graph)
    most = int(np.diff(support.starts).max())
    if most > n_rows:
        raise ValueError(
            f"graph gives column number {int(np.diff(support.starts).argmax())} "
            f"{most - 1} neighbors, too many for {n_rows:g} rows. Remove edges, collect more "
            "rows, or use penalty='l1'."
        )
    start = np.where(support.off_diagonal(), 0.0, 1.0)
    values, damped, converged = _refit(R, support, start, 1.0, n_rows, refit)
    if not is_identified(support, values):
        worst = int(values[support.diagonal].argmax())
        raise ValueError(
            f"On this graph, the neighbors of column number {worst} determine it, so that its "
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
        unpenalized = fit_support(R, support, start)
        if REFITS[refit] == 0 or is_positive_definite(support.to_sparse(unpenalized)):
            values, damped = _positive_definite(support, unpenalized)
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


# Entries for `_parameter_constraints`.
CONSTRAINTS: dict[str, list[Any]] = {
    "penalty": [StrOptions({"l1", "l2"}), None],
    "alpha": [Interval(numbers.Real, 0, None, closed="neither")],
    "graph": ["array-like", "sparse matrix", None],
    "refit": [StrOptions({"score_matching", "one_step", "mle"}), None],
    "tol": [Interval(numbers.Real, 0, None, closed="neither")],
}


def check_graph(graph: Any, n_columns: int) -> np.ndarray:
    """Return the pairs of a `graph` parameter as a symmetric boolean matrix, diagonal False.

    Raises
    ------
    ValueError
        Not a square matrix of the right size, NaN, or not symmetric (the pair is named).
    """
    dense = np.asarray(graph.toarray() if sparse.issparse(graph) else graph)
    if dense.shape != (n_columns, n_columns) or dense.dtype.kind not in "biuf":
        raise ValueError(
            f"graph must be a matrix of zeros and non-zeros of shape ({n_columns}, {n_columns}), "
            f"one row and column per column of X; got shape {dense.shape}, dtype {dense.dtype}."
        )
    if dense.dtype.kind == "f" and not np.isfinite(dense).all():
        raise ValueError("graph contains NaN or infinity; mark absent edges with zeros.")
    pairs = dense != 0
    if not np.array_equal(pairs, pairs.T):
        i, j = (int(k) for k in np.argwhere(pairs & ~pairs.T)[0])
        raise ValueError(
            f"graph must be symmetric; it has the pair ({i}, {j}) but not ({j}, {i}). "
            "Use numpy.maximum(graph, graph.T)."
        )
    np.fill_diagonal(pairs, False)
    return pairs


def correlations(
    second_moment: np.ndarray, location: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the correlation matrix, (p, p), standard deviations, (p,), and constant columns.

    A constant column has no correlations, and the variance of the ridge that `factorize` would
    give it.
    """
    ridged = factorize_diagonal(second_moment.diagonal(), location, pooled=False)
    constant = ridged.constant
    sd = np.sqrt(second_moment.diagonal())
    sd[constant] = np.sqrt(ridged.covariance[constant])
    R = second_moment / sd / sd[:, None]
    R[constant] = R[:, constant] = 0.0
    np.fill_diagonal(R, 1.0)
    return R, sd, constant


def regularize(
    second_moment: np.ndarray,
    location: np.ndarray,
    n_rows: float,
    *,
    covariance_type: str,
    penalty: str | None,
    alpha: float,
    graph: Any,
    refit: str | None,
    tol: float,
) -> tuple[RegularizedFit, Factor]:
    """Fit a precision under a penalty or on a known graph; warn of what went wrong.

    Parameters
    ----------
    second_moment, location, n_rows
        Of the training table, as in `correlations`.
    covariance_type, penalty, alpha, graph, refit, tol
        Parameters of the estimator; either `penalty` or `graph` is not None.

    Returns
    -------
    fit : RegularizedFit
        On the scale of correlations.
    factor : Factor
        In the units of the table.
    """
    if covariance_type != "full":
        raise ValueError(
            f"penalty and graph need covariance_type='full'; got {covariance_type!r}, "
            "which has no off-diagonal entries."
        )
    if penalty is not None and graph is not None:
        raise ValueError("Give penalty or graph, not both: a known graph needs no penalty.")
    R, sd, constant = correlations(second_moment, location)
    if penalty == "l2":
        fit = fit_l2(R, alpha)
    elif penalty == "l1":
        fit = fit_l1(R, n_rows, alpha, refit, tol)
    else:  # a known graph has no penalty whose bias could be kept
        fit = fit_graph(R, n_rows, check_graph(graph, len(R)), refit or "score_matching")
    warn_of(fit, None if penalty is None else alpha, tol, penalized=penalty == "l1")
    return fit, factor_of(fit, sd, constant)


def factor_of(fit: RegularizedFit, sd: np.ndarray, constant: np.ndarray) -> Factor:
    """Return covariance and precision in the units of the table; zeros stay exact.

    Raises
    ------
    ValueError
        A precision so close to singular that its inverse has no Cholesky factor.
    """
    inverse = np.linalg.inv(fit.precision)
    covariance = 0.5 * (inverse + inverse.T) * sd * sd[:, None]
    scaled = cholesky_in_units(covariance, np.sqrt(covariance.diagonal()))
    if scaled is None:
        raise ValueError(_TOO_SINGULAR)
    ridge = RIDGE if constant.size else 0.0
    precision = fit.precision / sd / sd[:, None]
    return Factor(covariance, precision, scaled, ridge, constant)


def warn_of(fit: RegularizedFit, alpha: float | None, tol: float, *, penalized: bool) -> None:
    """Warn of an empty graph, a path that did not converge, and a matrix that was damped.

    `alpha` is None on a known graph.
    """
    more = "Collect more rows" if alpha is None else "Choose a larger alpha, or collect more rows"

    if penalized and not fit.graph.any() and len(fit.graph) > 1:
        warn_user(
            f"alpha={alpha:g} is not below alpha_max_={fit.alpha_max:.4g}, so no two columns are "
            "connected: they are fitted as independent. Choose a smaller alpha.",
            ConvergenceWarning,
        )
    if fit.kkt_residual > tol or not fit.converged:
        what = "The l1 problem" if fit.kkt_residual > tol else "The maximum-likelihood refit"
        warn_user(
            f"{what} did not converge (optimality residual {fit.kkt_residual:.2g}, tol={tol:g}). "
            f"{more}.",
            ConvergenceWarning,
        )
    if fit.damped < 1:
        warn_user(
            "The estimate was not positive definite; its off-diagonal entries were multiplied by "
            f"{fit.damped:g}. {more}, or use refit='mle'.",
            LinAlgWarning,
        )


# Precisions with a known sparse support: score matching, and from it maximum likelihood.

MAX_CG = 1000
MAX_PRECISION = 1e6  # of standardized columns: the reciprocal of a conditional variance


def fit_support(S: np.ndarray, support: Support, start: np.ndarray | None = None) -> np.ndarray:
    """Return the entries of the score-matching precision on a support, (m,).

    The minimum of 1/2 tr(K S K) - tr K over symmetric matrices on the support: one linear system,
    (S K + K S) / 2 = I there, by conjugate gradients.
    """
    blocks = support.blocks(S)
    target = np.where(support.off_diagonal(), 0.0, 1.0)
    scale = support.symmetrize(np.diag(S)[support.rows])
    start = target / scale if start is None else start
    hessian = lambda v: support.symmetrize(blocks @ v)  # noqa: E731
    return conjugate_gradients(hessian, target, scale, start, max_iter=MAX_CG, limit=1e-10)[0]


def likelihood_steps(
    S: np.ndarray, support: Support, values: np.ndarray, n_steps: int, tol: float = 1e-9
) -> tuple[np.ndarray, bool]:
    """Take Fisher-scoring steps towards the maximum of the likelihood on a support.

    One step from a root-n consistent estimate, such as that of `fit_support`, is as efficient as
    the maximum itself. Each step solves P(Sigma D Sigma) = P(Sigma - S), P the restriction to the
    support, and is halved until the matrix is positive definite and the likelihood no lower. Where
    neighbors determine a column there is no maximum, and the steps end on the way to infinity.

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
    return conjugate_gradients(information, gradient, scale, max_iter=MAX_CG, limit=limit)[0]


def log_likelihood(precision: np.ndarray, S: np.ndarray) -> float:
    """Return log det K - tr K S, twice the log-likelihood per row up to a constant; -inf off it."""
    try:
        factor = linalg.cholesky(precision, lower=True)
    except linalg.LinAlgError:
        return -np.inf
    return float(2 * np.log(np.diag(factor)).sum() - np.vdot(precision, S))


def is_identified(support: Support, values: np.ndarray) -> bool:
    """Tell whether no column is left less than a millionth of its variance by its neighbors."""
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
