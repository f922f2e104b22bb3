"""Holds the fitted value of a Gaussian on the whole space: free, penalized, or on a known graph.

Each class answers the same questions (log-density, score function, draws, standard errors,
intervals, edge tests), as does `BoxedGaussian` in ``truncated``. Fields are plain arrays and
numbers, which the estimator stores as a dict, so that fitted estimators persist anywhere.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from skgm._numerics.gaussian import (
    Scaled,
    conditional_draws,
    draws,
    gaussian_log_density,
    gaussian_score_function,
    in_units,
)
from skgm._numerics.moments import Moments
from skgm.inference._likelihood.nulls import check_covariance
from skgm.inference._parametric import check_robust_errors, check_training_table
from skgm.score_matching._gaussian.edges import debiased_statistics, exact_statistics
from skgm.score_matching._gaussian.inference import (
    gaussian_intervals,
    gaussian_psi,
    graph_errors,
    graph_intervals,
    matching_errors,
    model_errors,
    robust_errors,
    system_residual,
)
from skgm.score_matching._gaussian.missing import observed_log_density

__all__ = [
    "FreeGaussian",
    "GraphGaussian",
    "Intervals",
    "PenalizedGaussian",
    "UnboundedGaussian",
]

Intervals = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]  # low, high, methods

METHODS = ("auto", "wald", "wald-transformed", "robust")
_SOLVED = 1e-4  # of the linear system on a graph; rounding of near-collinear columns stays below


@dataclass(frozen=True)
class UnboundedGaussian:
    """Location, scaled Cholesky factor and moments of a Gaussian; no inference by itself.

    Attributes
    ----------
    center, sd : ndarray of shape (p,)
        Location and scales of the columns.
    cholesky : ndarray of shape (p, p) or None
        Factor of the correlations. The public covariance may be rounded to float32, after which
        it need not be positive definite.
    moments : dict
        Fields of the `Moments` of the training table.
    n_rows : int
        Number of rows with a positive weight.
    centered, spherical, incomplete : bool
        Whether the location is zero by assumption, the variances are equal by assumption, and
        the table had missing entries.
    ridge : float
        As `Factor.ridge`.
    """

    center: np.ndarray
    sd: np.ndarray
    cholesky: np.ndarray | None
    moments: dict[str, Any]
    n_rows: int
    centered: bool
    spherical: bool
    incomplete: bool
    ridge: float

    @property
    def scaled(self) -> Scaled:
        """The covariance as scales and Cholesky factor."""
        return Scaled(self.sd, self.cholesky)

    @property
    def covariance(self) -> np.ndarray:
        """The covariance in float64, (p, p)."""
        if self.cholesky is None:
            return np.diag(self.sd**2)
        root = self.sd[:, None] * self.cholesky
        return root @ root.T

    @property
    def second_moment(self) -> np.ndarray:
        """Second moments of the training table about the location, with divisor n."""
        return Moments(**self.moments).covariance(0.0 if self.centered else None)

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of the observed entries of each row, (n,)."""
        if np.isnan(X).any():
            return observed_log_density(X, self.center, self.scaled)
        return gaussian_log_density(X, self.center, self.scaled)

    def score_function(self, X: np.ndarray, names: list[str]) -> np.ndarray:
        """Return the gradient of the log-density, (n, p); `names` are those of the columns."""
        return gaussian_score_function(X, self.center, self.scaled)

    def divergence(self, precision: Any) -> float:
        """Return the divergence of the score function, -tr K."""
        if np.ndim(precision) == 2:
            return -float(np.trace(precision, dtype=np.float64))
        return -float(np.sum(1 / self.sd**2))

    def draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return independent rows, (n_samples, p)."""
        return draws(self.center, self.scaled, n_samples, rng)

    def draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator, names: list[str]
    ) -> np.ndarray:
        """Return completions of rows with NaN, (m * n_samples, p), grouped by row."""
        return conditional_draws(self.center, self.scaled, given, n_samples, rng)

    def check_inference(self) -> None:
        """Raise a ValueError where there are no standard errors of location and covariance."""
        if self.ridge:
            raise ValueError(
                "The covariance is singular and was given a ridge (ridge_ > 0), so there are no "
                "standard errors or intervals. Drop constant and collinear columns, collect more "
                "rows, or use another covariance_type."
            )
        if self.incomplete:
            raise ValueError(
                "There are no standard errors or intervals of a fit to missing values: the stored "
                "moments count its rows as complete. Bootstrap the rows instead."
            )


@dataclass(frozen=True)
class FreeGaussian(UnboundedGaussian):
    """A Gaussian whose location and covariance are those of the table."""

    def estimate(self) -> dict[str, Any]:
        """Return location and covariance in float64; raise where there is no inference."""
        self.check_inference()
        covariance: Any = self.second_moment
        if self.spherical:
            covariance = float(covariance.mean())
        return self._named(self.center, covariance)

    def standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        """Return standard errors of location and covariance."""
        covariance, n = self.estimate()["covariance"], self.moments["n"]
        # at the optimum the observed information is the expected one
        model = self._named(*model_errors(covariance, len(self.center), n))
        if cov != "robust":
            return model
        check_training_table(X, sample_weight, n)
        robust = self._named(*robust_errors(X - self.center, sample_weight, covariance))
        check_robust_errors(robust, model)
        return robust

    def intervals(self, level: float, method: str, X: Any, sample_weight: Any) -> Intervals:
        """Return low, high and method of each parameter."""
        covariance = self.estimate()["covariance"]
        method = _chosen_method(method, X)
        errors = self.standard_errors(_kind_of_errors(method), X, sample_weight)
        n = self.moments["n"]
        found = gaussian_intervals(
            method, level, self.center, covariance, errors, n, centered=self.centered
        )
        low, high = ({k: v[end] for k, v in found.items()} for end in (0, 1))
        return low, high, dict.fromkeys(found, method)

    def check_wald(self, null: dict[str, np.ndarray]) -> None:
        """Raise a ValueError for a null covariance that is none."""
        check_covariance("covariance", null["covariance"])

    def estimating_functions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return psi, (n, k), and bread, (k, k); a full covariance as its lower triangle."""
        psi, bread = gaussian_psi(X, self.center, self.estimate()["covariance"])
        free = slice(len(self.center) if self.centered else 0, None)
        return psi[:, free], bread[free, free]

    def edge_tests(
        self, partial: np.ndarray, precision: np.ndarray, X: Any
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Return exact t statistics of the partial correlations, p-values, and the method."""
        self.check_inference()
        df = self.moments["n"] - len(partial) + self.centered
        return *exact_statistics(partial - np.eye(len(partial)), df), "t"

    def _named(self, location: Any, covariance: Any) -> dict[str, Any]:
        return ({} if self.centered else {"location": location}) | {"covariance": covariance}


def _refuse(fitted: UnboundedGaussian, *_: Any) -> NoReturn:
    """Refuse what needs standard errors of the covariance."""
    fitted.check_inference()
    raise ValueError(
        "A regularized fit has no standard errors of its covariance: a penalty biases it, "
        "and a graph chosen by the data is not a known one. edges() tests pairs of "
        "columns; without a penalty there are standard errors and intervals."
    )


@dataclass(frozen=True)
class PenalizedGaussian(UnboundedGaussian):
    """A Gaussian whose precision is penalized; only its pairs of columns can be tested."""

    estimate = standard_errors = intervals = check_wald = estimating_functions = _refuse

    def edge_tests(
        self, partial: np.ndarray, precision: np.ndarray, X: Any
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Return normal statistics of the debiased precision, p-values, and the method."""
        self.check_inference()
        second_moment = self.second_moment
        sd = np.sqrt(second_moment.diagonal())
        rows = None if X is None else (X - self.center) / sd
        R, K = in_units(second_moment, sd), precision * sd * sd[:, None]
        statistic, pvalue = debiased_statistics(K, R, self.moments["n"], rows)
        if not np.isfinite(statistic).all():
            raise ValueError(
                "The rows of X vary too little for the tests of some pair of columns, or too far. "
                "Use more rows, or call edges() without X."
            )
        return statistic, pvalue, "debiased"


@dataclass(frozen=True)
class GraphGaussian(UnboundedGaussian):
    """A Gaussian whose precision is zero off a known graph; the other entries are parameters.

    Attributes
    ----------
    precision : ndarray of shape (p, p)
        Inverse covariance.
    graph : ndarray of shape (p, p), bool
        The pairs.
    refit : str or None
        How the entries were fitted, as the estimator's parameter.
    """

    precision: np.ndarray
    graph: np.ndarray
    refit: str | None

    estimate = estimating_functions = _refuse

    def standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        """Return errors of location and precision; at the maximum observed = expected."""
        if self.ridge or self.incomplete:
            raise ValueError(
                "On a graph there are standard errors with complete rows and no constant column."
            )
        covariance, n, rows = self.covariance, self.moments["n"], None
        if cov == "robust":
            check_training_table(X, sample_weight, n)
            rows = np.asarray(X, dtype=np.float64) - self.center
            of_location, _ = robust_errors(rows, sample_weight, covariance)
        else:
            of_location, _ = model_errors(covariance, len(self.center), n)
        if self.refit in ("one_step", "mle"):
            of_precision = graph_errors(covariance, self.graph, n, rows, sample_weight)
        else:
            of_precision = self._matching_errors(rows, sample_weight)
        return self._named(of_location, of_precision)

    def _named(self, location: Any, precision: Any) -> dict[str, Any]:
        return ({} if self.centered else {"location": location}) | {"precision": precision}

    def _matching_errors(self, rows: Any, weight: Any) -> np.ndarray:
        """Return errors of the precision where it solves the linear system of score matching."""
        moment, graph, K = self.second_moment, self.graph, self.precision
        scale = np.sqrt(moment.diagonal())
        R = in_units(moment, scale)
        if system_residual(R, K * scale * scale[:, None], graph) > _SOLVED:
            raise ValueError(
                "The score-matching estimate on this graph was not positive definite and was "
                "changed to be, so it has no standard errors. Use refit='one_step' or 'mle', or "
                "collect more rows."
            )
        return matching_errors(K, graph, self.moments["n"], moment, rows, weight)

    def intervals(self, level: float, method: str, X: Any, sample_weight: Any) -> Intervals:
        """Return low, high and method of location and precision."""
        method = _chosen_method(method, X)
        errors = self.standard_errors(_kind_of_errors(method), X, sample_weight)
        low, high = {}, {}
        for name, value in self._named(self.center, self.precision).items():
            log_scale = name == "precision" and method != "wald"
            low[name], high[name] = graph_intervals(value, errors[name], level, log_scale=log_scale)
        return low, high, dict.fromkeys(low, method)

    def check_wald(self, null: dict[str, np.ndarray]) -> NoReturn:
        """Refuse Wald tests."""
        raise ValueError(
            "There are no Wald tests of a precision on a graph; confidence_intervals() has the "
            "intervals of its entries."
        )

    def edge_tests(
        self, partial: np.ndarray, precision: np.ndarray, X: Any
    ) -> tuple[np.ndarray, np.ndarray, str]:
        """Refuse to test a graph that was given."""
        raise ValueError(
            "The graph was given, so its edges are not in question; standard_errors() has the "
            "uncertainty of their values."
        )


def _chosen_method(method: str, X: Any) -> str:
    """Return the method of intervals that "auto" stands for; raise for one that does not exist."""
    if method not in METHODS:
        raise ValueError(
            f"ScoreMatchingGaussian has intervals by {', '.join(map(repr, METHODS))}; "
            f"got method={method!r}."
        )
    if method == "auto":
        return "wald-transformed" if X is None else "robust"
    return method


def _kind_of_errors(method: str) -> str:
    return "robust" if method == "robust" else "model"
