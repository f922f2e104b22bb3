"""What changes in a Gaussian that is cut to a box."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.box_gaussian import BoxGaussian
from skgm._numerics.gaussian import factorize
from skgm._numerics.moments import Moments
from skgm._validation import check_finite, check_scales
from skgm._warnings import warn_user
from skgm.inference._parametric import check_training_table
from skgm.score_matching._bounds import (
    boundary_weight,
    check_bounds,
    check_inside_bounds,
    check_weight_at_boundary,
)
from skgm.score_matching._gaussian.dense import minimize_dense
from skgm.score_matching._gaussian.regularization import check_graph, is_positive_definite
from skgm.score_matching._gaussian.truncated_system import (
    TruncatedProblem,
    TruncatedQuadratic,
    free_parameters,
    sandwich,
    solve_truncated,
)

__all__ = [
    "TruncatedFit",
    "TruncatedMethods",
    "fit_truncated",
    "solve_penalized",
    "truncated_problem",
]


# Fitting a Gaussian cut to a box: standardize, solve, make positive definite, scale back.

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


NO_ESTIMATE = 1e3  # residual, in standardized columns, of a system without a solution


class TruncatedMethods:
    """Fit, density and errors of a Gaussian with `bounds`; the box is kept as plain arrays."""

    _truncation: dict[str, np.ndarray] | None = None

    def _box(self: Any) -> BoxGaussian:
        return BoxGaussian(**self._truncation)

    def _problem(self: Any, X: np.ndarray, weight: np.ndarray | None) -> Any:
        lower, upper = self._truncation["lower"], self._truncation["upper"]
        return truncated_problem(
            np.asarray(X, dtype=np.float64),
            weight,
            lower,
            upper,
            weight=self.weight,
            cap=self.weight_cap,
            centered=self.assume_centered,
        )

    def _fit_truncated(self: Any, X: np.ndarray, weight: np.ndarray | None) -> Any:
        names = self._column_names()
        check_finite(X, names)
        if weight is not None:  # a row of weight zero is absent
            X, weight = X[weight > 0], weight[weight > 0]
        check_scales(X, weight, Moments.from_chunk(X, weight), names)
        lower, upper = check_bounds(self.bounds, X.shape[1])
        check_inside_bounds(X, lower, upper, names)
        if np.isfinite(lower).any() or np.isfinite(upper).any():
            check_weight_at_boundary(self.weight, X.shape)
        dependent = self._check_with_bounds(X, names)
        p = X.shape[1]
        self._truncation = {"lower": lower, "upper": upper}
        problem, scale = self._problem(X, weight)
        if dependent and self.penalty == "l1":  # as without bounds: a tenth more on the diagonal
            problem = replace(problem, extra=0.1)
        mask = None if self.graph is None else check_graph(self.graph, p) | np.eye(p, dtype=bool)
        alpha = self.alpha if self.penalty == "l1" else 0.0
        fit = fit_truncated(problem, scale, alpha=alpha, mask=mask, tol=self.tol)
        if alpha == 0 and not fit.residual < NO_ESTIMATE:
            raise ValueError(
                f"The {len(X)} rows do not determine a truncated Gaussian"
                f"{'' if mask is None else ' on this graph'}: some columns determine another, or "
                "all of their values lie at a bound or are two numbers only. Drop such columns, "
                "collect more rows, remove edges, or use penalty='l1'."
            )
        self._warn_of_truncated(fit, len(X))
        self._truncation |= {"precision": fit.precision, "natural": fit.natural}
        self._store_truncated(fit, X, weight)
        return self

    def _check_with_bounds(self: Any, X: np.ndarray, names: list[str]) -> bool:
        """Raise for what has no estimate; return whether columns determine one another."""
        if self.covariance_type != "full":
            raise ValueError(
                f"bounds need covariance_type='full'; got {self.covariance_type!r}. For "
                "independent columns give graph=numpy.eye(n_features)."
            )
        if self.penalty == "l2":
            raise ValueError("bounds go with penalty='l1' or none; got 'l2'.")
        if self.penalty is not None and self.graph is not None:
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
        if found.dependent.size and self.penalty is None and self.graph is None:
            named = ", ".join(repr(names[j]) for j in found.dependent[:10])
            raise ValueError(
                f"{len(X)} rows leave columns that determine one another ({named}), so a "
                "truncated Gaussian has no estimate. Drop some of them, collect more rows, or use "
                "penalty='l1' or a graph."
            )
        return found.dependent.size > 0

    def _warn_of_truncated(self: Any, fit: TruncatedFit, n_rows: int) -> None:
        if not fit.residual <= self.tol:
            warn_user(
                f"The linear system of {n_rows} rows did not converge (optimality residual "
                f"{fit.residual:.2g}, tol={self.tol:g}): columns determine one another, or there "
                "are too few rows. Use penalty='l1', or a graph.",
                ConvergenceWarning,
            )
        off = fit.precision[~np.eye(len(fit.precision), dtype=bool)]
        if self.penalty == "l1" and off.size and not off.any() and fit.damped > 0:
            warn_user(
                f"alpha={self.alpha:g} is so large that no two columns are connected: they are "
                "fitted as independent. Choose a smaller alpha.",
                ConvergenceWarning,
            )
        if fit.damped < 1:
            warn_user(
                "The estimate was not positive definite; its off-diagonal entries were multiplied "
                f"by {fit.damped:.3g}. Collect more rows, or use penalty='l1' with a larger alpha.",
                LinAlgWarning,
            )

    def _store_truncated(
        self: Any, fit: TruncatedFit, X: np.ndarray, weight: np.ndarray | None
    ) -> None:
        dtype, box = np.dtype(self._sample_dtype), self._box()
        self._center, self._n_rows = box.location, len(X)
        self.log_normalizer_, self.log_normalizer_se_ = box.log_normalizer()
        self.location_ = box.location.astype(dtype)
        self.precision_ = fit.precision.astype(dtype)
        self.natural_param_ = fit.natural.astype(dtype)
        self.covariance_ = box.covariance.astype(dtype)
        self.ridge_, self.loss_, self.kkt_residual_ = 0.0, fit.loss, fit.residual
        self.graph_ = (fit.precision != 0) & ~np.eye(len(fit.natural), dtype=bool)
        self.n_edges_, self.alpha_max_ = int(self.graph_.sum()) // 2, float("nan")
        self.params_ = {"precision": self.precision_, "natural_param": self.natural_param_}
        self.n_samples_seen_ = float(len(X) if weight is None else weight.sum())
        log_density = box.log_density(X.astype(np.float64), self.log_normalizer_)
        self.loglik_ = float(log_density.sum() if weight is None else weight @ log_density)
        self.log_density_kind_ = "exact" if len(fit.natural) == 1 else "estimate"

    def _truncated_errors(self: Any, X: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        """Return sandwich errors of K and eta, in the units of the table (eq. sm-covariance)."""
        if self.penalty is not None:
            raise ValueError(
                "A penalized fit has no standard errors: the penalty biases it, and the graph it "
                "chose is not a known one. Fit without penalty, or on a known graph."
            )
        check_training_table(X, sample_weight, self.n_samples_seen_)
        problem, scale = self._problem(X, sample_weight)
        p = len(scale)
        mask = None if self.graph is None else check_graph(self.graph, p) | np.eye(p, dtype=bool)
        K = self._truncation["precision"] * np.outer(scale, scale)
        psi, bread = sandwich(problem, K, self._truncation["natural"] * scale, mask)
        inverse = np.linalg.inv(bread)
        meat = psi.T @ (psi * problem.share[:, None])
        variance = np.diag(inverse @ meat @ inverse) / self.n_samples_seen_
        first, second, n_eta = free_parameters(p, mask, self.assume_centered)
        errors = np.sqrt(np.maximum(variance, 0.0))
        for_K, m = np.zeros((p, p)), len(first)
        for_K[first, second] = for_K[second, first] = errors[:m]
        for_eta = np.zeros(p)
        for_eta[:n_eta] = errors[m:]
        return {"precision": for_K / np.outer(scale, scale), "natural_param": for_eta / scale}

    def _truncated_intervals(
        self: Any, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if method not in ("auto", "robust"):
            raise ValueError(
                f"A truncated Gaussian has intervals by 'auto' or 'robust'; got {method!r}."
            )
        errors = self._truncated_errors(X, sample_weight)
        z = stats.norm.ppf(0.5 + level / 2)
        box = self._truncation
        center = {"precision": box["precision"], "natural_param": box["natural"]}
        low = {name: value - z * errors[name] for name, value in center.items()}
        high = {name: value + z * errors[name] for name, value in center.items()}
        own = np.diag(center["precision"])  # positive: on the log scale
        ratio = np.exp(z * np.diag(errors["precision"]) / own)
        np.fill_diagonal(low["precision"], own / ratio)
        np.fill_diagonal(high["precision"], own * ratio)
        return low, high, dict.fromkeys(low, "robust")
