"""The methods of every Gaussian fitted by score matching: density, draws, losses, inference."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from skgm._numerics.gaussian import Factor, log_determinant
from skgm._numerics.moments import Moments
from skgm._sklearn import check_sample_weight
from skgm.base import in_blocks
from skgm.inference._parametric import ParametricDensity
from skgm.score_matching._gaussian.edges import EdgeTable, edge_table
from skgm.score_matching._gaussian.fitted import (
    FreeGaussian,
    GraphGaussian,
    Intervals,
    PenalizedGaussian,
    UnboundedGaussian,
)
from skgm.score_matching._gaussian.regularization import RegularizedFit
from skgm.score_matching._gaussian.truncated import BoxedGaussian
from skgm.score_matching._losses import explicit_rows, implicit_rows
from skgm.tables._validation import check_finite, column_names, validate_table, warn_singular

__all__ = ["GaussianDensity", "gaussian_implicit_loss"]

Fitted = FreeGaussian | PenalizedGaussian | GraphGaussian | BoxedGaussian
_KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (FreeGaussian, PenalizedGaussian, GraphGaussian, BoxedGaussian)
}
# Attributes that only some fits have.
_OPTIONAL = (
    "graph_",
    "n_edges_",
    "alpha_max_",
    "kkt_residual_",
    "natural_param_",
    "log_normalizer_",
    "log_normalizer_se_",
)


class GaussianDensity(ParametricDensity):
    """A Gaussian whose fitted value is one of four kinds, kept as a name and a plain dict."""

    # A Gaussian's score-matching estimate is the maximum-likelihood one, so psi may be scaled to
    # the parameter score, whose bread is the Fisher information.
    _bread_is_information = True

    covariance_type: str
    assume_centered: bool
    _kind: str
    _state: dict[str, Any]

    def _fitted(self) -> Fitted:
        return _KINDS[self._kind](**self._state)

    def _keep(self, fitted: Fitted, public: dict[str, Any]) -> None:
        """Store a fitted value and the public attributes, and forget those of another fit."""
        for name in _OPTIONAL:
            self.__dict__.pop(name, None)
        for name in ("loss_", "loglik_"):
            _check_range({name: public[name]}, "fit")
        self._kind, self._state = type(fitted).__name__, dict(vars(fitted))
        for name, value in public.items():
            setattr(self, name, value)

    def _keep_factor(
        self,
        factor: Factor,
        moments: Moments,
        n_rows: int,
        *,
        fit: RegularizedFit | None = None,
        incomplete: bool = False,
    ) -> UnboundedGaussian:
        """Store and return a Gaussian on the whole space; `fit` is that of a penalty or a graph."""
        p, centered = len(moments.mean), self.assume_centered
        center = np.zeros(p) if centered else moments.mean
        second_moment = moments.covariance(0.0 if centered else None)
        if factor.ridge:
            warn_singular(factor, n_rows, column_names(self, p))
        precision = factor.precision
        diagonal = precision if precision.ndim == 1 else precision.diagonal()
        trace, loss = float(p), float(-0.5 * diagonal.sum())  # K S = I; eq. sm-gaussian
        if factor.ridge or fit is not None:
            trace = float(np.vdot(precision, second_moment))
            loss = gaussian_implicit_loss(precision, second_moment)
        constant = p * np.log(2 * np.pi) + log_determinant(factor.scaled)
        public = self._public_arrays(center, factor) | {
            "ridge_": factor.ridge,
            "loss_": loss,
            "loglik_": -0.5 * moments.n * (constant + trace),
            "n_samples_seen_": moments.n,
        }
        spherical = self.covariance_type == "spherical"
        plain = (center, *factor.scaled, dict(vars(moments)), n_rows)
        flags = (centered, spherical, incomplete, factor.ridge)
        fitted: FreeGaussian | PenalizedGaussian | GraphGaussian = FreeGaussian(*plain, *flags)
        parameters = {"location": public["location_"], "covariance": public["covariance_"]}
        if fit is not None:
            fitted = PenalizedGaussian(*plain, *flags)
            public |= fit.public()
        if fit is not None and getattr(self, "graph", None) is not None:
            fitted = GraphGaussian(*plain, *flags, precision, fit.graph, self.refit)
            parameters = {"location": public["location_"], "precision": public["precision_"]}
        if centered:
            del parameters["location"]
        self._keep(fitted, public | {"params_": parameters})
        return fitted

    def _public_arrays(self, center: np.ndarray, factor: Factor) -> dict[str, Any]:
        """Return location_, covariance_ and precision_ in the floating dtype of the table."""
        dtype = np.dtype(self._sample_dtype)
        arrays = {"location": center, "covariance": factor.covariance}
        arrays["precision"] = factor.precision
        with np.errstate(over="ignore", under="ignore"):
            public: dict[str, Any] = {k: v.astype(dtype, copy=False) for k, v in arrays.items()}
        if self.covariance_type == "spherical":
            public |= {k: float(arrays[k][0]) for k in ("covariance", "precision")}
        for name, value in public.items():
            diagonal = value.diagonal() if np.ndim(value) == 2 else value
            if not np.isfinite(value).all() or (name != "location" and not np.all(diagonal > 0)):
                raise ValueError(
                    f"The {name} leaves the range of {dtype}. Rescale the columns before fitting, "
                    "or pass float64."
                )
        return {f"{name}_": value for name, value in public.items()}

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        takes_holes = self.__sklearn_tags__().input_tags.allow_nan
        X = self._begin_scoring(X, finite=not takes_holes)
        check_finite(np.where(np.isnan(X), 0.0, X) if takes_holes else X, self._column_names())
        return self._fitted().log_density(X)

    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, -(x - location) precision.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Float64. Its mean over the training table is zero (eq. sm-data-score-mean-zero), unless
            `assume_centered`.

        Raises
        ------
        ValueError
            A row so far away that the gradient overflows, or outside `bounds`.
        """
        X = self._begin_scoring(X)
        gradient = self._fitted().score_function(X, self._column_names())
        if not np.isfinite(gradient).all():
            row = int(np.argwhere(~np.isfinite(gradient))[0, 0])
            raise ValueError(
                f"The score function overflows at row {row} of X, which lies too far from the "
                "location. Drop that row or rescale the table before fitting."
            )
        return gradient

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        return self._fitted().draw(n_samples, rng)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        return self._fitted().draw_given(given, n_samples, rng, self._column_names())

    def loss(
        self, X: Any, kind: str = "implicit", *, score_data: Any = None, sample_weight: Any = None
    ) -> float:
        """Return a score-matching loss of the fitted density on X, in the half convention.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        kind : {"implicit", "explicit"}, default="implicit"
            "implicit": mean of half the squared score function plus its divergence (eq.
            sm-implicit); "explicit": half the mean squared distance to `score_data` (eq.
            sm-explicit). The two differ by a constant that does not depend on the model.
        score_data : array-like of shape (n_samples, n_features), default=None
            Score function of the data's own density at X; needed by, and only for, "explicit".
        sample_weight : array-like of shape (n_samples,), default=None
            Weights in the mean.

        Returns
        -------
        loss : float
            In units of squared inverse columns: rescaling the table changes it.

        Raises
        ------
        ValueError
            A fit with `bounds`; an unknown `kind`; `score_data` missing, superfluous, of another
            shape than X, or not finite.
        """
        check_is_fitted(self)
        divergence = self._fitted().divergence(self.precision_)
        if kind not in ("implicit", "explicit"):
            raise ValueError(f"kind must be 'implicit' or 'explicit'; got {kind!r}.")
        score = self.score_function(X)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, score)
        if kind == "implicit" and score_data is not None:
            raise ValueError("kind='implicit' takes no score_data; use kind='explicit'.")
        if kind == "implicit":
            return _average(implicit_rows, score, divergence, weight)
        if score_data is None:
            raise ValueError("kind='explicit' needs score_data, the data's score function at X.")
        score_data = check_array(score_data, dtype=np.float64, input_name="score_data")
        if score_data.shape != score.shape:
            raise ValueError(
                f"score_data must have the shape of X, {score.shape}; got {score_data.shape}."
            )
        return _average(explicit_rows, score, score_data, weight)

    def partial_correlation(self) -> np.ndarray:
        """Return the correlation of each pair of columns given all others.

        Returns
        -------
        partial_correlation : ndarray of shape (n_features, n_features)
            -K_ij / sqrt(K_ii K_jj) of the fitted precision K, with ones on the diagonal. Zeros of
            a sparse precision are exact.

        Raises
        ------
        ValueError
            Where `covariance_type` is not "full".
        """
        check_is_fitted(self)
        if np.ndim(self.precision_) != 2:
            raise ValueError(
                f"covariance_type={self.covariance_type!r} takes all columns for independent; "
                "partial correlations need 'full'."
            )
        K = np.asarray(self.precision_, dtype=np.float64)
        scale = np.sqrt(K.diagonal())
        result = 0.0 - K / scale / scale[:, None]  # no negative zeros
        np.fill_diagonal(result, 1.0)
        return result

    def edges(self, fdr: float = 0.05, *, X: Any = None) -> EdgeTable:
        """Test every pair of columns for dependence given the others.

        Unlike the graph of a penalized fit, which is a choice without an error rate, the pairs
        returned here have a controlled false discovery rate.

        Parameters
        ----------
        fdr : float, default=0.05
            Of the pairs returned, at most this share is expected to be false; 1 returns all.
        X : array-like of shape (n_samples, n_features), default=None
            The training table. With it the tests of a regularized fit do not rest on normal rows.

        Returns
        -------
        edges : EdgeTable
            Pairs with an adjusted p-value of at most `fdr`, the most significant first. Without
            regularization by exact t tests; with `penalty` by the debiased precision, an
            approximation for many rows.

        Raises
        ------
        ValueError
            `fdr` not above 0 and at most 1; a known `graph` (its edges are not in question); a
            singular covariance, a constant column, or a fit to missing values.
        """
        partial = self.partial_correlation()
        if not isinstance(fdr, numbers.Real) or not 0 < float(fdr) <= 1:
            raise ValueError(f"fdr must be a number above 0 and at most 1; got {fdr!r}.")
        finite = not self._state.get("incomplete")  # the others are refused by `edge_tests`
        rows = None if X is None else validate_table(self, X, reset=False, finite=finite)
        with np.errstate(all="ignore"):
            statistic, pvalue, method = self._fitted().edge_tests(partial, self.precision_, rows)
        names = self._column_names()
        return edge_table(partial, statistic, pvalue, names, fdr=float(fdr), method=method)

    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        with np.errstate(all="ignore"):  # what overflows is refused
            errors = self._fitted().standard_errors(cov, X, sample_weight)
        _check_range(errors, "standard errors")
        return errors

    def _intervals(self, level: float, method: str, X: Any, sample_weight: Any) -> Intervals:
        with np.errstate(all="ignore"):
            low, high, methods = self._fitted().intervals(level, method, X, sample_weight)
        for end in (low, high):
            _check_range(end, "intervals", "use a lower level, or more rows")
        return low, high, methods

    def _wald_estimate(self) -> dict[str, Any]:
        return self._fitted().estimate()  # params_ may be rounded to float32

    def _check_wald(self, null: dict[str, np.ndarray]) -> None:
        self._fitted().check_wald(null)

    def _estimating_functions(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._fitted().estimating_functions(X)


def gaussian_implicit_loss(precision: np.ndarray, second_moment: np.ndarray) -> float:
    """Return the implicit loss of a Gaussian from moments (eq. sm-gaussian).

    The second moment is taken about the model's mean, which is how the loss depends on it (eq.
    sm-mean-gradient).

    Parameters
    ----------
    precision : ndarray of shape (d, d) or (d,)
        Inverse covariance of the model, or its diagonal.
    second_moment : ndarray of shape (d, d) or (d,)
        Mean of (x - mu)(x - mu)' over the data, mu the model's mean; or its diagonal.

    Returns
    -------
    loss : float
    """
    if precision.ndim == 1:  # K S is near one, where K^2 may overflow
        return float((0.5 * precision * (precision * second_moment) - precision).sum())
    return float(0.5 * np.vdot(precision @ second_moment, precision) - np.trace(precision))


def _average(rows: Callable[..., np.ndarray], score: Any, other: Any, weight: Any) -> float:
    with np.errstate(over="ignore"):
        value = float(np.average(rows(score, other), weights=weight))
    _check_range({"mean": value}, "loss")
    return value


def _check_range(values: Mapping[str, Any], what: str, more: str = "") -> None:
    """Raise a ValueError where a value is not finite."""
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise ValueError(
                f"The {what} of this Gaussian leave the range of float64 ({name} is not finite): "
                f"rescale the columns before fitting{', ' if more else ''}{more}."
            )
