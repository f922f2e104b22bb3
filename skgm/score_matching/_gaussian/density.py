"""What every fitted Gaussian can do: score rows, differentiate, draw, complete, compare losses."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from skgm._numerics.gaussian import (
    Factor,
    Scaled,
    conditional_draws,
    draws,
    gaussian_log_density,
    gaussian_score_function,
)
from skgm._sklearn import check_sample_weight
from skgm.score_matching._bounds import check_inside_bounds
from skgm.score_matching._gaussian.edges import GraphMethods
from skgm.score_matching._gaussian.inference import GaussianInference
from skgm.score_matching._gaussian.regularization import RegularizedFit
from skgm.score_matching._gaussian.truncated import TruncatedMethods
from skgm.score_matching._objectives import explicit_rows, implicit_rows

__all__ = [
    "GaussianDensity",
]


class GaussianDensity(TruncatedMethods, GraphMethods, GaussianInference):
    """A Gaussian with location `_center` and scaled Cholesky factor `_sd`, `_cholesky`."""

    _sd: np.ndarray
    _cholesky: np.ndarray | None
    _fitted_graph: np.ndarray | None = None  # a graph that was given, not chosen

    def _publish(self, factor: Factor) -> None:
        """Store the public arrays in the floating dtype of the training table."""
        dtype = np.dtype(self._sample_dtype)
        arrays = {
            "location": self._center,
            "covariance": factor.covariance,
            "precision": factor.precision,
        }
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
            setattr(self, f"{name}_", value)
        self.params_ = {"location": self.location_, "covariance": self.covariance_}
        if self._fitted_graph is not None:  # its entries are the free parameters
            self.params_["precision"] = self.precision_
            del self.params_["covariance"]
        if self.assume_centered:
            del self.params_["location"]

    def _scaled(self) -> Scaled:
        # not covariance_: rounded to float32 it need not be positive definite
        return Scaled(self._sd, self._cholesky)

    def _publish_graph(self, fit: RegularizedFit) -> None:
        self.graph_ = fit.graph
        self.n_edges_ = int(fit.graph.sum()) // 2
        self.alpha_max_ = fit.alpha_max
        self.kkt_residual_ = fit.kkt_residual

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, float64; -inf for rows so far away that it leaves the range of float64.
        """
        X = self._begin_scoring(X)
        if self._truncation is not None:
            return self._box().log_density(X.astype(np.float64), self.log_normalizer_)
        return gaussian_log_density(X, self._center, self._scaled())

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
        if self._truncation is not None:
            box = self._box()
            check_inside_bounds(X, box.lower, box.upper, self._column_names())
            gradient = box.score_function(X.astype(np.float64))
        else:
            gradient = gaussian_score_function(X, self._center, self._scaled())
        if not np.isfinite(gradient).all():
            row = int(np.argwhere(~np.isfinite(gradient))[0, 0])
            raise ValueError(
                f"The score function overflows at row {row} of X, which lies too far from the "
                "location. Drop that row or rescale the table before fitting."
            )
        return gradient

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        if self._truncation is not None:
            return self._box().draw(n_samples, rng)
        return draws(self._center, self._scaled(), n_samples, rng)

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        if self._truncation is not None:
            return self._draw_given_in_box(given, n_samples, rng)
        return conditional_draws(self._center, self._scaled(), given, n_samples, rng)

    def _draw_given_in_box(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        box = self._box()
        observed = np.where(np.isnan(given), np.clip(0.0, box.lower, box.upper), given)
        check_inside_bounds(observed, box.lower, box.upper, self._column_names())
        return box.draw_given(np.repeat(given.astype(np.float64), n_samples, axis=0), rng)

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
        if self._truncation is not None:
            raise ValueError(
                "These losses are wrong where the density is cut off at bounds; use "
                "skgm.score_matching.generalized_loss(density, X, bounds=...)."
            )
        if kind not in ("implicit", "explicit"):
            raise ValueError(f"kind must be 'implicit' or 'explicit'; got {kind!r}.")
        score = self.score_function(X)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, score)
        if (score_data is None) == (kind == "explicit"):
            need = (
                "needs score_data, the data's score function at X"
                if score_data is None
                else ("takes no score_data; use kind='explicit'")
            )
            raise ValueError(f"kind={kind!r} {need}.")
        if kind == "explicit":
            score_data = check_array(score_data, dtype=np.float64, input_name="score_data")
            if score_data.shape != score.shape:
                raise ValueError(
                    f"score_data must have the shape of X, {score.shape}; got {score_data.shape}."
                )
            return float(np.average(explicit_rows(score, score_data), weights=weight))
        rows = implicit_rows(score, -self._precision_trace())
        return float(np.average(rows, weights=weight))

    def _precision_trace(self) -> float:
        if np.ndim(self.precision_) == 2:
            return float(np.trace(self.precision_, dtype=np.float64))
        return float(np.sum(1 / self._sd**2))
