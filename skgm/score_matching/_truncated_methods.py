"""What changes in a Gaussian that is cut to a box."""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm._validation import check_finite
from skgm._warnings import warn_user
from skgm.inference._factor import factorise
from skgm.inference._moments import Moments
from skgm.inference._parametric import check_training_table
from skgm.score_matching._boundary_weights import refuse_weight_at_boundary
from skgm.score_matching._bounds import check_bounds, refuse_outside_bounds
from skgm.score_matching._box_gaussian import BoxGaussian
from skgm.score_matching._diagnosis import refuse_extreme_scales
from skgm.score_matching._regularization import check_graph
from skgm.score_matching._truncated import TruncatedFit, fit_truncated, truncated_problem
from skgm.score_matching._truncated_fit import free_parameters, sandwich

__all__ = ["TruncatedMethods"]

NO_ESTIMATE = 1e3  # residual, in standardised columns, of a system without a solution


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
        refuse_extreme_scales(X, weight, Moments.from_chunk(X, weight), names)
        lower, upper = check_bounds(self.bounds, X.shape[1])
        refuse_outside_bounds(X, lower, upper, names)
        if np.isfinite(lower).any() or np.isfinite(upper).any():
            refuse_weight_at_boundary(self.weight, X.shape)
        dependent = self._refuse_with_bounds(X, names)
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

    def _refuse_with_bounds(self: Any, X: np.ndarray, names: list[str]) -> bool:
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
        found = factorise(covariance, X.mean(axis=0))
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
                "A penalised fit has no standard errors: the penalty biases it, and the graph it "
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
        centre = {"precision": box["precision"], "natural_param": box["natural"]}
        low = {name: value - z * errors[name] for name, value in centre.items()}
        high = {name: value + z * errors[name] for name, value in centre.items()}
        own = np.diag(centre["precision"])  # positive: on the log scale
        ratio = np.exp(z * np.diag(errors["precision"]) / own)
        np.fill_diagonal(low["precision"], own / ratio)
        np.fill_diagonal(high["precision"], own * ratio)
        return low, high, dict.fromkeys(low, "robust")
