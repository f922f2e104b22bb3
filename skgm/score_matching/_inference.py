"""Inference for a fitted Gaussian: from its stored moments, or from the training table."""

from typing import Any

import numpy as np

from skgm.inference._moments import Moments
from skgm.inference._nulls import check_covariance
from skgm.inference._parametric import (
    ParametricDensity,
    check_robust_errors,
    check_training_table,
)
from skgm.score_matching._graph_errors import graph_errors, graph_intervals
from skgm.score_matching._intervals import gaussian_intervals
from skgm.score_matching._matching_errors import matching_errors, system_residual
from skgm.score_matching._sandwich import gaussian_psi, model_errors, robust_errors

__all__ = ["METHODS", "GaussianInference"]

METHODS = ("auto", "wald", "wald-transformed", "robust")
SOLVED = 1e-4  # of the linear system on a graph; rounding of near-collinear columns stays below


class GaussianInference(ParametricDensity):
    """Standard errors, intervals and estimating functions of location and covariance."""

    # A Gaussian's score-matching estimate is the maximum-likelihood one, so psi may be scaled to
    # the parameter score, whose bread is the Fisher information.
    _bread_is_information = True

    covariance_type: str
    assume_centered: bool
    ridge_: float
    _center: np.ndarray
    _moments: dict[str, Any]
    _n_rows: int
    _is_incomplete = False
    _fitted_graph: np.ndarray | None
    _sd: np.ndarray
    _cholesky: np.ndarray | None
    refit: str | None
    _truncation: dict[str, np.ndarray] | None
    _truncated_errors: Any
    _truncated_intervals: Any

    def _inference_state(self) -> tuple[np.ndarray, Any, float]:
        """Return location, covariance in float64, and n; refuse where a ridge was added."""
        if self.ridge_:
            raise ValueError(
                "The covariance is singular and was given a ridge (ridge_ > 0), so there are no "
                "standard errors or intervals. Drop constant and collinear columns, collect more "
                "rows, or use another covariance_type."
            )
        if self._is_incomplete:
            raise ValueError(
                "There are no standard errors or intervals of a fit to missing values: the stored "
                "moments count its rows as complete. Bootstrap the rows instead."
            )
        if hasattr(self, "graph_"):
            raise ValueError(
                "A regularised fit has no standard errors of its covariance: a penalty biases it, "
                "and a graph chosen by the data is not a known one. edges() tests pairs of "
                "columns; without a penalty there are standard errors and intervals."
            )
        moments = Moments(**self._moments)
        covariance = moments.covariance(0.0 if self.assume_centered else None)
        if self.covariance_type == "spherical":
            return self._center, float(covariance.mean()), moments.n
        return self._center, covariance, moments.n

    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        if self._truncation is not None:
            if cov != "robust":
                raise ValueError(
                    f"A truncated Gaussian has errors by the sandwich alone; got cov={cov!r}. Use "
                    "cov='robust' with X."
                )
            return self._truncated_errors(X, sample_weight)
        if self._fitted_graph is not None:
            return self._errors_on_graph(cov, X, sample_weight)
        location, covariance, n = self._inference_state()
        if cov == "robust":
            check_training_table(X, sample_weight, n)
            errors = robust_errors(X - location, sample_weight, covariance)
            check_robust_errors(self._named(errors), self._standard_errors("model", None, None))
        else:  # at the optimum the observed information is the expected one
            errors = model_errors(covariance, len(location), n)
        return self._named(errors)

    def _errors_on_graph(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        """Return errors of location and precision; at the maximum observed = expected."""
        if self.ridge_ or self._is_incomplete:
            raise ValueError(
                "On a graph there are standard errors with complete rows and no constant column."
            )
        scaled = self._sd[:, None] * np.asarray(self._cholesky)
        covariance, n, rows = scaled @ scaled.T, Moments(**self._moments).n, None
        if cov == "robust":
            check_training_table(X, sample_weight, n)
            rows = np.asarray(X, dtype=np.float64) - self._center
            of_location, _ = robust_errors(rows, sample_weight, covariance)
        else:
            of_location, _ = model_errors(covariance, len(self._center), n)
        graph = np.asarray(self._fitted_graph)
        if self.refit in ("one_step", "mle"):
            of_precision = graph_errors(covariance, graph, n, rows, sample_weight)
        else:
            of_precision = self._matching_errors(covariance, graph, n, rows, sample_weight)
        errors = {"location": of_location, "precision": of_precision}
        return {name: errors[name] for name in self.params_}

    def _matching_errors(
        self, covariance: np.ndarray, graph: np.ndarray, n: float, rows: Any, weight: Any
    ) -> np.ndarray:
        """Return errors of the precision where it solves the linear system of score matching."""
        moment = Moments(**self._moments).covariance(0.0 if self.assume_centered else None)
        scale = np.sqrt(moment.diagonal())
        precision = np.linalg.inv(covariance / scale / scale[:, None])
        precision *= graph | np.eye(len(graph), dtype=bool)  # exact zeros, not those of rounding
        if system_residual(moment / scale / scale[:, None], precision, graph) > SOLVED:
            raise ValueError(
                "The score-matching estimate on this graph was not positive definite and was "
                "changed to be, so it has no standard errors. Use refit='one_step' or 'mle', or "
                "collect more rows."
            )
        return matching_errors(precision / scale / scale[:, None], graph, n, moment, rows, weight)

    def _intervals_on_graph(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        self._check_method(method)
        if method == "auto":
            method = "wald-transformed" if X is None else "robust"
        errors = self._standard_errors(
            "robust" if method == "robust" else "model", X, sample_weight
        )
        low, high = {}, {}
        for name, error in errors.items():
            value = np.asarray(self.params_[name], dtype=np.float64)
            log_scale = name == "precision" and method != "wald"
            low[name], high[name] = graph_intervals(value, error, level, log_scale=log_scale)
        return low, high, dict.fromkeys(low, method)

    def _check_method(self, method: str) -> None:
        if method not in METHODS:
            raise ValueError(
                f"{type(self).__name__} has intervals by {', '.join(map(repr, METHODS))}; "
                f"got method={method!r}."
            )

    def _named(self, errors: tuple[Any, Any]) -> dict[str, Any]:
        return {k: v for k, v in zip(("location", "covariance"), errors) if k in self.params_}

    def _intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if self._truncation is not None:
            return self._truncated_intervals(level, method, X, sample_weight)
        if self._fitted_graph is not None:
            return self._intervals_on_graph(level, method, X, sample_weight)
        location, covariance, n = self._inference_state()
        self._check_method(method)
        if method == "auto":
            method = "wald-transformed" if X is None else "robust"
        cov = "robust" if method == "robust" else "model"
        errors = self._standard_errors(cov, X, sample_weight)
        found = gaussian_intervals(
            method, level, location, covariance, errors, n, centered=self.assume_centered
        )
        low, high = ({k: v[end] for k, v in found.items()} for end in (0, 1))
        return low, high, dict.fromkeys(found, method)

    def _wald_estimate(self) -> dict[str, Any]:
        location, covariance, _ = self._inference_state()  # params_ may be rounded to float32
        values = {"location": location, "covariance": covariance}
        return {name: values[name] for name in self.params_}

    def _check_wald(self, null: dict[str, np.ndarray]) -> None:
        check_covariance("covariance", null["covariance"])

    def _estimating_functions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return psi (n, k) and bread (k, k); a full covariance as its lower triangle."""
        location, covariance, _ = self._inference_state()
        psi, bread = gaussian_psi(X, location, covariance)
        free = slice(len(location) if self.assume_centered else 0, None)
        return psi[:, free], bread[free, free]
