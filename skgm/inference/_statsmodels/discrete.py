"""Adapters of statsmodels' discrete models and of GenericLikelihoodModel."""

from typing import Any

import numpy as np
from scipy.special import gammaln, log_ndtr, xlogy

from skgm.inference._likelihood.model import LikelihoodModel
from skgm.inference._likelihood.separation import is_extreme
from skgm.inference._statsmodels.derivatives import NumericalDerivatives

__all__ = [
    "DiscreteModel",
    "GenericModel",
]


class DiscreteModel(LikelihoodModel):
    """Logit, Probit, Poisson and the negative binomial models, by their analytic derivatives."""

    def __init__(self, result: Any, names: list[str]) -> None:
        self.model = result.model
        self.names, self.kind = names, type(result.model).__name__
        self.estimate = np.asarray(result.params, dtype=np.float64)
        self.n, self.design = float(len(self.model.endog)), self.model.exog
        self.has_alpha = len(self.estimate) > self.model.exog.shape[1]
        self.lower = np.full(len(self.estimate), -np.inf)
        y = self.model.endog
        upper = (y == 1) & (self.kind in ("Logit", "Probit"))
        self.side = np.where(y == 0, -1, np.where(upper, 1, 0))
        self.start = np.zeros_like(self.estimate)  # allowed, also where no estimate exists
        if self.has_alpha:
            self.lower[-1], self.start = 0.0, self.estimate

    def loglik(self, params: np.ndarray) -> float:
        """Return the log-likelihood."""
        if (params <= self.lower).any():
            return -np.inf
        with np.errstate(all="ignore"):
            value = float(self.model.loglike(params))
            if np.isnan(value) and self.has_alpha:  # zero times log(0) where a mean is tiny
                rows = self.model.loglikeobs(params)
                near = (self.side < 0) & (self.model.predict(params) < np.finfo(np.float64).eps)
                value = float(np.where(near, 0.0, rows).sum())
        return value if np.isfinite(value) else -np.inf

    def score(self, params: np.ndarray) -> np.ndarray:
        """Return the gradient."""
        return np.asarray(self.model.score(params))

    def observed_information(self, params: np.ndarray) -> np.ndarray:
        """Return minus the Hessian."""
        return -np.asarray(self.model.hessian(params))

    def expected_information(self, params: np.ndarray) -> np.ndarray:
        """Return X'WX for Probit; Logit and Poisson are canonical, so the two agree."""
        if self.kind != "Probit":
            return self.observed_information(params)
        weights = self._probit_weights(self.model.predict(params, which="linear"), True)
        return (self.model.exog * weights[:, None]).T @ self.model.exog

    def curvature_weights(self, params: np.ndarray, *, expected: bool) -> np.ndarray | None:
        """Return the weights of the rows in the information, for models without overdispersion."""
        if self.kind == "Probit":
            return self._probit_weights(self.model.predict(params, which="linear"), expected)
        if self.kind not in ("Logit", "Poisson"):
            return None
        mean = self.model.predict(params)
        return mean if self.kind == "Poisson" else mean * (1 - mean)

    def _probit_weights(self, eta: np.ndarray, expected: bool) -> np.ndarray:
        log_density = -(eta**2) / 2 - np.log(2 * np.pi) / 2
        if expected:
            return np.exp(2 * log_density - log_ndtr(eta) - log_ndtr(-eta))
        side = 2 * self.model.endog - 1
        ratio = side * np.exp(log_density - log_ndtr(side * eta))
        return ratio * (ratio + eta)

    def score_rows(self, params: np.ndarray) -> np.ndarray:
        """Return the gradients of the rows."""
        return np.asarray(self.model.score_obs(params))

    def one_sided_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the design, without a part of the overdispersion, and ends of binary outcomes."""
        still = np.zeros((len(self.side), int(self.has_alpha)))
        return np.hstack([self.model.exog, still]), self.side

    def is_extreme(self, params: np.ndarray) -> bool:
        """Look for outcomes that are fitted as all but certain."""
        return is_extreme(self.model.predict(params), self.side)

    def check_estimate_exists(self) -> None:
        """Refuse an overdispersion at zero, the edge of its space."""
        if not self.has_alpha:
            return
        y, mean = self.model.endog, self.model.predict(self.estimate)
        poisson = float(np.sum(xlogy(y, mean) - mean - gammaln(y + 1)))
        if not self.loglik(self.estimate) > poisson + 1e-6:
            raise ValueError(
                f"The estimate of {self.names[-1]!r} lies on the edge of the parameter space "
                f"({self.estimate[-1]:.3g}): the counts are not overdispersed, so its intervals "
                "and tests are not chi-square. Fit a Poisson model."
            )


class GenericModel(LikelihoodModel):
    """Any GenericLikelihoodModel, by numerical derivatives in steps of its standard errors."""

    def __init__(self, result: Any, names: list[str]) -> None:
        self.model, self.names = result.model, names
        # a matrix, of MNLogit, column by column
        self.estimate = self.start = np.asarray(result.params, dtype=np.float64).ravel(order="F")
        self.n = float(len(self.model.endog))
        self.lower = np.full(len(self.estimate), -np.inf)
        if not np.isfinite(self.loglik(self.estimate)):
            raise ValueError(
                f"The log-likelihood is not finite at the estimate {self.estimate}: the fit failed "
                "(missing or out-of-support data, or an optimizer that left the parameter space). "
                "Check the data and refit with other start_params."
            )
        self.derivatives = NumericalDerivatives(self.loglik, self.estimate, self.n, names)

    def loglik(self, params: np.ndarray) -> float:
        """Return the log-likelihood."""
        with np.errstate(all="ignore"):
            value = np.asarray(self.model.loglike(params), dtype=np.float64)
        if value.size != 1:
            raise ValueError(
                f"loglike of {type(self.model).__name__} must return one number, the total; got "
                f"shape {value.shape}."
            )
        total = float(value.ravel()[0])
        return total if np.isfinite(total) else -np.inf

    def score(self, params: np.ndarray) -> np.ndarray:
        """Return the gradient, by differences."""
        return self.derivatives.gradient(params)

    def observed_information(self, params: np.ndarray) -> np.ndarray:
        """Return minus the Hessian, by differences."""
        return -self.derivatives.hessian(params)

    def score_rows(self, params: np.ndarray) -> np.ndarray:
        """Return the gradients of the rows, by differences of loglikeobs."""
        try:
            rows = np.asarray(self.model.loglikeobs(params))
        except (AttributeError, NotImplementedError, RecursionError) as error:
            raise ValueError(_NO_ROWS) from error
        if rows.shape != (len(self.model.endog),):
            raise ValueError(_NO_ROWS)
        with np.errstate(all="ignore"):
            return self.derivatives.gradient(params, self.model.loglikeobs)


_NO_ROWS = (
    "robust methods need the log-likelihood of each row: define loglikeobs or nloglikeobs of the "
    "model, with one value per row of endog, instead of loglike alone."
)
