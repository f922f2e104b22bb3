"""Fits a Gaussian cut to a box by generalized score matching, and holds the fitted value."""

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.box_gaussian import BoxGaussian
from skgm._numerics.gaussian import factorize
from skgm._numerics.moments import Moments
from skgm._numerics.sandwich import meat, sandwich, standard_errors
from skgm._warnings import warn_user
from skgm.inference._parametric import check_training_table
from skgm.score_matching._bounds import (
    boundary_weight,
    check_bounds,
    check_inside_bounds,
    check_weight_at_boundary,
)
from skgm.score_matching._gaussian.dense import minimize_dense
from skgm.score_matching._gaussian.inference import graph_intervals
from skgm.score_matching._gaussian.regularization import check_graph, is_positive_definite
from skgm.score_matching._gaussian.truncated_system import (
    TruncatedProblem,
    TruncatedQuadratic,
    free_parameters,
    psi_and_bread,
    solve_truncated,
)
from skgm.tables._validation import check_finite, check_scales

__all__ = [
    "BoxedGaussian",
    "TruncatedFit",
    "fit_boxed",
    "fit_truncated",
    "solve_penalized",
    "truncated_problem",
]


SHRINK = 0.9  # per attempt to make a matrix positive definite
NO_ESTIMATE = 1e3  # residual, in standardized columns, of a system without a solution

_NO_ERRORS = (
    "The rows do not determine all entries of the precision, so there are no standard errors. "
    "Drop columns that determine one another, remove edges, or collect more rows."
)
_NOT_FINITE = (
    "The fit of the truncated Gaussian is not finite: weight_cap is too small or too large for "
    "the table, or values lie too far from the bounds. Use weight_cap=2.0, or rescale the columns."
)


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
        Optimality residual of the problem in standardized columns.
    damped : float
        What the off-diagonal entries were multiplied by to make K positive definite.
    loss : float
        The generalized loss, in standardized columns.
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
    """Return the problem in standardized columns, and the scales of the columns, (p,).

    The weight function sees distances in standard deviations, so that units do not matter.
    """
    X = np.asarray(X, dtype=np.float64)
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
        K, eta = solve_penalized(problem, alpha, tol=tol)
    else:
        K, eta, _ = solve_truncated(problem, 1e-3 * tol, mask)
    residual = _residual(problem, K, eta, alpha, mask)
    K, damped = _positive_definite(K)
    if damped < 1:
        eta = _natural(problem, K)
    loss = problem.loss(K, eta)
    return TruncatedFit(K / np.outer(scale, scale), eta / scale, residual, damped, loss)


def solve_penalized(
    problem: TruncatedProblem,
    alpha: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
    tol: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimize the loss plus alpha times the off-diagonal entries' absolute values.

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


@dataclass(frozen=True)
class BoxedGaussian:
    """A Gaussian cut to a box, and what its standard errors need of the fit.

    Attributes
    ----------
    precision, natural, lower, upper
        As in `BoxGaussian`.
    log_normalizer : float
        Log of the integral over the box.
    weight, cap
        The weight function, as the estimator's parameters.
    centered : bool
        Whether eta is zero by assumption.
    allowed : ndarray of shape (p, p), bool, or None
        Entries of the precision that a known graph leaves free, the diagonal among them.
    penalized : bool
        Whether the fit had a penalty.
    n : float
        Total weight of the training table.
    """

    precision: np.ndarray
    natural: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    log_normalizer: float
    weight: Any
    cap: float
    centered: bool
    allowed: np.ndarray | None
    penalized: bool
    n: float

    @property
    def box(self) -> BoxGaussian:
        """The density."""
        return BoxGaussian(self.precision, self.natural, self.lower, self.upper)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,); -inf outside the box."""
        return self.box.log_density(X.astype(np.float64), self.log_normalizer)

    def score_function(self, X: np.ndarray, names: list[str]) -> np.ndarray:
        """Return the gradient of the log-density, (n, p); raise outside the box."""
        check_inside_bounds(X, self.lower, self.upper, names)
        return self.box.score_function(X.astype(np.float64))

    def divergence(self, precision: Any) -> float:
        """Refuse losses that know no boundary."""
        raise ValueError(
            "These losses are wrong where the density is cut off at bounds; use "
            "skgm.score_matching.generalized_loss(density, X, bounds=...)."
        )

    def draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return rows within the box, (n_samples, p)."""
        return self.box.draw(n_samples, rng)

    def draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator, names: list[str]
    ) -> np.ndarray:
        """Return completions of rows with NaN, (m * n_samples, p), grouped by row."""
        observed = np.where(np.isnan(given), np.clip(0.0, self.lower, self.upper), given)
        check_inside_bounds(observed, self.lower, self.upper, names)
        return self.box.draw_given(np.repeat(given.astype(np.float64), n_samples, axis=0), rng)

    def standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        """Return sandwich errors of K and eta, in the units of the table (eq. sm-covariance)."""
        if cov != "robust":
            raise ValueError(
                f"A truncated Gaussian has errors by the sandwich alone; got cov={cov!r}. Use "
                "cov='robust' with X."
            )
        if self.penalized:
            raise ValueError(
                "A penalized fit has no standard errors: the penalty biases it, and the graph it "
                "chose is not a known one. Fit without penalty, or on a known graph."
            )
        check_training_table(X, sample_weight, self.n)
        options = {"weight": self.weight, "cap": self.cap, "centered": self.centered}
        problem, scale = truncated_problem(X, sample_weight, self.lower, self.upper, **options)
        unit = np.outer(scale, scale)
        psi, bread = psi_and_bread(
            problem, self.precision * unit, self.natural * scale, self.allowed
        )
        covariance = sandwich(bread, meat(psi, problem.share), self.n, singular=_NO_ERRORS)
        errors = standard_errors(covariance)
        p = len(scale)
        first, second, n_eta = free_parameters(p, self.allowed, self.centered)
        for_K, for_eta, m = np.zeros((p, p)), np.zeros(p), len(first)
        for_K[first, second] = for_K[second, first] = errors[:m]
        for_eta[:n_eta] = errors[m:]
        return {"precision": for_K / unit, "natural_param": for_eta / scale}

    def intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return low, high and method of K and eta."""
        if method not in ("auto", "robust"):
            raise ValueError(
                f"A truncated Gaussian has intervals by 'auto' or 'robust'; got {method!r}."
            )
        errors = self.standard_errors("robust", X, sample_weight)
        of_K = graph_intervals(self.precision, errors["precision"], level, log_scale=True)
        of_eta = graph_intervals(self.natural, errors["natural_param"], level, log_scale=False)
        low, high = (dict(zip(errors, pair)) for pair in zip(of_K, of_eta))
        return low, high, dict.fromkeys(errors, "robust")

    def _refuse_tests(self, *_: Any) -> NoReturn:
        """Refuse Wald tests, whose covariance needs the training table."""
        raise ValueError(
            "There are no Wald tests with bounds; confidence_intervals(X=X) has the sandwich "
            "intervals of the precision."
        )

    estimate = check_wald = estimating_functions = _refuse_tests

    def edge_tests(
        self, partial: np.ndarray, precision: np.ndarray, X: Any
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Refuse edge tests."""
        raise ValueError(
            "There are no edge tests with bounds; confidence_intervals(X=X) has the sandwich "
            "intervals of the precision."
        )


def fit_boxed(
    X: np.ndarray,
    row_weight: np.ndarray | None,
    names: list[str],
    *,
    covariance_type: str,
    assume_centered: bool,
    penalty: str | None,
    alpha: float,
    graph: Any,
    tol: float,
    bounds: Any,
    weight: Any,
    weight_cap: float,
) -> tuple[BoxedGaussian, dict[str, Any]]:
    """Fit a Gaussian cut to bounds; return it and the estimator's public attributes in float64.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Training table.
    row_weight : ndarray of shape (n,) or None
        Its weights.
    names : list of str
        Of the columns.
    covariance_type, ..., weight_cap
        Parameters of the estimator.
    """
    p = X.shape[1]
    if row_weight is not None:  # a row of weight zero is absent
        X, row_weight = X[row_weight > 0], row_weight[row_weight > 0]
    lower, upper = check_bounds(bounds, p)
    _check_table(X, row_weight, names, lower, upper, weight)
    dependent = _check_parameters(X, names, covariance_type, penalty, graph)
    options = {"weight": weight, "cap": weight_cap, "centered": assume_centered}
    with np.errstate(all="ignore"):  # what overflows is refused
        problem, scale = truncated_problem(X, row_weight, lower, upper, **options)
    _check_weight_function(problem, lower / scale, upper / scale, names)
    if dependent and penalty == "l1":  # as without bounds: a tenth more on the diagonal
        problem = replace(problem, extra=0.1)
    allowed = None if graph is None else check_graph(graph, p) | np.eye(p, dtype=bool)
    strength = alpha if penalty == "l1" else 0.0
    with np.errstate(all="ignore"):  # what overflows is refused below
        fit = fit_truncated(problem, scale, alpha=strength, mask=allowed, tol=tol)
    _check_fit(fit, len(X), penalty, allowed)
    _warn_of_fit(fit, len(X), penalty, alpha, tol)
    box = BoxGaussian(fit.precision, fit.natural, lower, upper)
    public = _public(fit, box, X, row_weight)
    plain = (fit.precision, fit.natural, lower, upper, public["log_normalizer_"])
    total = public["n_samples_seen_"]
    fitted = BoxedGaussian(
        *plain, weight, weight_cap, assume_centered, allowed, penalty is not None, total
    )
    return fitted, public


def _public(
    fit: TruncatedFit, box: BoxGaussian, X: np.ndarray, row_weight: np.ndarray | None
) -> dict[str, Any]:
    """Return the estimator's attributes."""
    graph = (fit.precision != 0) & ~np.eye(len(fit.natural), dtype=bool)
    log_normalizer, error = box.log_normalizer()
    log_density = box.log_density(X.astype(np.float64), log_normalizer)
    loglik = float(log_density.sum() if row_weight is None else row_weight @ log_density)
    if not np.isfinite([log_normalizer, error, loglik]).all():
        raise ValueError(_NOT_FINITE)
    return {
        "location_": box.location,
        "precision_": fit.precision,
        "natural_param_": fit.natural,
        "covariance_": box.covariance,
        "ridge_": 0.0,
        "loss_": fit.loss,
        "loglik_": loglik,
        "kkt_residual_": fit.residual,
        "graph_": graph,
        "n_edges_": int(graph.sum()) // 2,
        "alpha_max_": float("nan"),
        "log_normalizer_": log_normalizer,
        "log_normalizer_se_": error,
        "n_samples_seen_": float(len(X) if row_weight is None else row_weight.sum()),
        "log_density_kind_": "exact" if len(fit.natural) == 1 else "estimate",
    }


def _check_table(
    X: np.ndarray,
    row_weight: np.ndarray | None,
    names: list[str],
    lower: np.ndarray,
    upper: np.ndarray,
    weight: Any,
) -> None:
    """Raise for values that are not finite, of extreme scale, or outside the bounds."""
    check_finite(X, names, cure="Drop such rows: with bounds there is no missing='em'.")
    check_scales(X, row_weight, Moments.from_chunk(X, row_weight), names)
    check_inside_bounds(X, lower, upper, names)
    if np.isfinite(lower).any() or np.isfinite(upper).any():
        check_weight_at_boundary(weight, X.shape)


def _check_parameters(
    X: np.ndarray, names: list[str], covariance_type: str, penalty: str | None, graph: Any
) -> bool:
    """Raise for what has no estimate; return whether columns determine one another."""
    if covariance_type != "full":
        raise ValueError(
            f"bounds need covariance_type='full'; got {covariance_type!r}. For "
            "independent columns give graph=numpy.eye(n_features)."
        )
    if penalty == "l2":
        raise ValueError("bounds go with penalty='l1' or none; got 'l2'.")
    if penalty is not None and graph is not None:
        raise ValueError("Give penalty or graph, not both: a known graph needs no penalty.")
    covariance = np.cov(X.T.astype(np.float64), bias=True).reshape(2 * X.shape[1:])
    found = factorize(covariance, X.mean(axis=0))
    constant = np.ptp(X, axis=0) == 0  # where the covariance may still hold its rounding
    constant[found.constant] = True
    if constant.any():
        raise ValueError(
            f"Column {names[int(np.argmax(constant))]!r} is constant; a truncated Gaussian "
            "has no estimate there. Drop that column."
        )
    if found.dependent.size and penalty is None and graph is None:
        named = ", ".join(repr(names[j]) for j in found.dependent[:10])
        raise ValueError(
            f"{len(X)} rows leave columns that determine one another ({named}), so a "
            "truncated Gaussian has no estimate. Drop some of them, collect more rows, or use "
            "penalty='l1' or a graph."
        )
    return found.dependent.size > 0


def _check_weight_function(
    problem: TruncatedProblem, lower: np.ndarray, upper: np.ndarray, names: list[str]
) -> None:
    """Raise for a weight function out of scale; warn of one that is flat up to the bounds.

    `lower` and `upper` are in standardized columns, as the problem is.
    """
    level = problem.share @ problem.h
    extreme = (level != 0) & ~((level >= 1e-8) & (level <= 1e8))
    if extreme.any():
        j = int(extreme.argmax())
        raise ValueError(
            f"The weight function has the mean {level[j]:.2g} over the rows of column "
            f"{names[j]!r}, where single precision fails. Use weight_cap=2.0, or multiply your "
            "own function by a constant."
        )
    near = np.minimum(problem.X - lower, upper - problem.X).min(axis=0) < 1
    blind = near & (np.abs(problem.slope) < 1e-6).all(axis=0)
    if blind.any():
        j = int(blind.argmax())
        warn_user(
            f"The weight function is constant over all rows of column {names[j]!r}, also of those "
            "near its bound, so the fit does not see the bound and is biased. Use a larger "
            "weight_cap.",
            UserWarning,
        )


def _check_fit(
    fit: TruncatedFit, n_rows: int, penalty: str | None, allowed: np.ndarray | None
) -> None:
    """Raise where the linear system has no solution, or one that leaves the range of float64."""
    if penalty is None and not fit.residual < NO_ESTIMATE:
        raise ValueError(
            f"The {n_rows} rows do not determine a truncated Gaussian"
            f"{'' if allowed is None else ' on this graph'}: some columns determine another, or "
            "all of their values lie at a bound or are two numbers only. Drop such columns, "
            "collect more rows, remove edges, or use penalty='l1'."
        )
    values = (fit.precision, fit.natural, fit.loss, fit.residual)
    if not all(np.isfinite(value).all() for value in values):
        raise ValueError(_NOT_FINITE)


def _warn_of_fit(
    fit: TruncatedFit, n_rows: int, penalty: str | None, alpha: float, tol: float
) -> None:
    """Warn of a system that did not converge, an empty graph, and a matrix that was damped."""
    if not fit.residual <= tol:
        warn_user(
            f"The linear system of {n_rows} rows did not converge (optimality residual "
            f"{fit.residual:.2g}, tol={tol:g}): columns determine one another, or there "
            "are too few rows. Use penalty='l1', or a graph.",
            ConvergenceWarning,
        )
    off = fit.precision[~np.eye(len(fit.precision), dtype=bool)]
    if penalty == "l1" and off.size and not off.any() and fit.damped > 0:
        warn_user(
            f"alpha={alpha:g} is so large that no two columns are connected: they are "
            "fitted as independent. Choose a smaller alpha.",
            ConvergenceWarning,
        )
    if fit.damped < 1:
        warn_user(
            "The estimate was not positive definite; its off-diagonal entries were multiplied "
            f"by {fit.damped:.3g}. Collect more rows, or use penalty='l1' with a larger alpha.",
            LinAlgWarning,
        )
