"""Standard errors, intervals and estimating functions of an exponential family."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._parametric import ParametricDensity, check_training_table

__all__ = ["FamilyInference"]


class FamilyInference(ParametricDensity):
    """Inference by the sandwich alone; its covariance was found by `fit`, or X is needed."""

    n_samples_seen_: float
    ridge_: float
    theta_covariance_: np.ndarray | None
    _theta: np.ndarray

    def _sandwich(self, X: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
        """Return the covariance of the reported coefficients, (m, m)."""
        raise NotImplementedError

    def standard_errors(
        self, cov: str = "robust", *, X: Any = None, sample_weight: Any = None
    ) -> Mapping[str, Any]:
        """Return the standard error of each coefficient.

        Parameters
        ----------
        cov : {"robust"}, default="robust"
            The sandwich, the only one that score matching has.
        X : array-like of shape (n_samples, n_features), default=None
            The training table, needed where there are more than 300 statistics.
        sample_weight : array-like of shape (n_samples,), default=None
            Its weights, as given to `fit`.

        Returns
        -------
        standard_errors : dict of str to float
            With the keys of ``params_``.
        """
        return super().standard_errors(cov, X=X, sample_weight=sample_weight)

    def _standard_errors(self, cov: str, X: Any, sample_weight: Any) -> dict[str, Any]:
        if cov != "robust":
            raise ValueError(f"Score matching has errors by the sandwich alone; got cov={cov!r}.")
        if self.ridge_:
            raise ValueError(
                "The estimate took a ridge (ridge_ > 0), so there are no standard errors or "
                "intervals. Drop constant and collinear columns, or collect more rows."
            )
        covariance = self.theta_covariance_
        if X is not None:
            check_training_table(X, sample_weight, self.n_samples_seen_)
            covariance = self._sandwich(X, sample_weight)
        if covariance is None:
            check_training_table(None, None, self.n_samples_seen_, what="So many standard errors")
        errors = np.sqrt(np.maximum(np.diag(np.asarray(covariance)), 0.0))
        return dict(zip(self.params_, errors.tolist()))

    def _intervals(
        self, level: float, method: str, X: Any, sample_weight: Any
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        if method not in ("auto", "robust"):
            raise ValueError(
                f"{type(self).__name__} has intervals by 'auto' or 'robust'; got {method!r}."
            )
        errors = self._standard_errors("robust", X, sample_weight)
        z = float(stats.t.ppf(0.5 + level / 2, max(self.n_samples_seen_ - 1, 1)))
        low = {k: float(self.params_[k] - z * e) for k, e in errors.items()}
        high = {k: float(self.params_[k] + z * e) for k, e in errors.items()}
        return low, high, dict.fromkeys(low, "robust")
