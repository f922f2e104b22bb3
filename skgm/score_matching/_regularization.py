"""From a second moment and the regularisation parameters of an estimator to a fitted Gaussian."""

import numbers
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm._sklearn import Interval, StrOptions
from skgm._warnings import warn_user
from skgm.inference._factor import RIDGE, Factor, factorise_diagonal
from skgm.inference._gaussian import cholesky_in_units
from skgm.score_matching._regularized import REFITS, RegularizedFit, fit_graph, fit_l1, fit_l2

__all__ = [
    "CONSTRAINTS",
    "RegularizedMethods",
    "check_graph",
    "correlations",
    "factor_of",
    "regularize",
    "warn_of",
]

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

    A constant column has no correlations, and the variance of the ridge that `factorise` would
    give it.
    """
    ridged = factorise_diagonal(second_moment.diagonal(), location, pooled=False)
    constant = ridged.constant
    sd = np.sqrt(second_moment.diagonal())
    sd[constant] = np.sqrt(ridged.covariance[constant])
    R = second_moment / sd / sd[:, None]
    R[constant] = R[:, constant] = 0.0
    np.fill_diagonal(R, 1.0)
    return R, sd, constant


def regularize(
    R: np.ndarray,
    n_rows: float,
    *,
    penalty: str | None,
    alpha: float,
    graph: Any,
    refit: str | None,
    tol: float,
) -> RegularizedFit:
    """Fit a precision on the scale of correlations."""
    if penalty == "l2":
        return fit_l2(R, alpha)
    if penalty == "l1":
        return fit_l1(R, n_rows, alpha, refit, tol)
    if REFITS[refit] is None:
        refit = "score_matching"  # a known graph has no penalty whose bias could be kept
    return fit_graph(R, n_rows, check_graph(graph, len(R)), refit or "score_matching")


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
        raise ValueError(
            "The regularised covariance is singular to working precision. Choose a larger alpha, "
            "or drop columns that determine one another."
        )
    ridge = RIDGE if constant.size else 0.0
    precision = fit.precision / sd / sd[:, None]
    return Factor(covariance, precision, scaled, ridge, constant)


def warn_of(fit: RegularizedFit, alpha: float | None, tol: float, *, penalised: bool) -> None:
    """Warn of an empty graph, a path that did not converge, and a matrix that was damped.

    `alpha` is None on a known graph.
    """
    more = "Collect more rows" if alpha is None else "Choose a larger alpha, or collect more rows"

    if penalised and not fit.graph.any() and len(fit.graph) > 1:
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


class RegularizedMethods:
    """What `penalty` and `graph` change in the fit of a Gaussian."""

    def _is_regularized(self: Any) -> bool:
        return self.penalty is not None or self.graph is not None

    def _regularize(self: Any, second_moment: np.ndarray, n_rows: float) -> Factor:
        """Fit under the penalty or on the graph, and publish what it says of the graph."""
        if self.covariance_type != "full":
            raise ValueError(
                f"penalty and graph need covariance_type='full'; got {self.covariance_type!r}, "
                "which has no off-diagonal entries."
            )
        if self.penalty is not None and self.graph is not None:
            raise ValueError("Give penalty or graph, not both: a known graph needs no penalty.")
        R, sd, constant = correlations(second_moment, self._center)
        names = ("penalty", "alpha", "graph", "refit", "tol")
        fit = regularize(R, n_rows, **{name: getattr(self, name) for name in names})
        alpha = self.alpha if self.graph is None else None
        warn_of(fit, alpha, self.tol, penalised=self.penalty == "l1")
        self._publish_graph(fit)
        self._fitted_graph = None if self.graph is None else fit.graph
        return factor_of(fit, sd, constant)
