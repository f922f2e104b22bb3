"""Adapters of statsmodels' linear and generalized linear models."""

from typing import Any

import numpy as np
from scipy.special import gammaln, polygamma, psi, xlog1py, xlogy

from skgm.inference._likelihood.model import LikelihoodModel
from skgm.inference._likelihood.separation import is_extreme

__all__ = [
    "GeneralizedLinear",
    "LinearRegression",
]

# Links under which every coefficient is allowed and only infinity reaches the ends of the mean.
_ENDS_AT_INFINITY = {
    "Binomial": ["Logit", "Probit", "CLogLog", "LogLog", "Cauchy"],
    "Poisson": ["Log"],
    "NegativeBinomial": ["Log"],
}


class LinearRegression(LikelihoodModel):
    """OLS, WLS or GLS with a given covariance: the error variance is profiled out."""

    design: np.ndarray
    is_linear = True

    def __init__(self, result: Any, names: list[str]) -> None:
        model = result.model
        self.names = names
        self.estimate = self.start = np.asarray(result.params, dtype=np.float64)
        self.design = np.asarray(model.wexog, dtype=np.float64)
        self.response = np.asarray(model.wendog - getattr(model, "offset", 0.0), dtype=np.float64)
        self.n, k = float(len(self.response)), self.design.shape[1]
        self.lower = np.full(k, -np.inf)
        self.gram = self.design.T @ self.design
        with np.errstate(divide="ignore"):
            loglik = float(result.llf)
        if not np.isfinite(loglik):
            raise ValueError(
                f"The log-likelihood of the {type(model).__name__} is {loglik}: weights must be "
                "positive. Drop the rows that have none."
            )
        residuals = self._residuals(self.estimate)
        noise = k * np.finfo(np.float64).eps * np.linalg.norm(self.response)
        if self.n <= k or np.linalg.norm(residuals) <= noise:
            raise ValueError(
                f"The linear model fits its {self.n:g} observations exactly with {k} parameters, "
                "so the error variance is not estimable and no test or interval exists. Use fewer "
                "columns or more rows."
            )
        # what the likelihood holds beside the residual sum of squares: 2 pi, weights, |sigma|
        self.constant = loglik + self.n / 2 * np.log(residuals @ residuals)

    def _residuals(self, params: np.ndarray) -> np.ndarray:
        return self.response - self.design @ params

    def variance(self, params: np.ndarray) -> float:
        """Return the maximum-likelihood error variance given the coefficients."""
        residuals = self._residuals(params)
        return float(residuals @ residuals) / self.n

    def loglik(self, params: np.ndarray) -> float:
        """Return the log-likelihood, maximized over the variance."""
        return float(self.constant - self.n / 2 * np.log(self.n * self.variance(params)))

    def score(self, params: np.ndarray) -> np.ndarray:
        """Return X'e / variance."""
        return self.design.T @ self._residuals(params) / self.variance(params)

    def observed_information(self, params: np.ndarray) -> np.ndarray:
        """Return X'X / variance, which is also the expected information."""
        return self.gram / self.variance(params)

    def curvature_weights(self, params: np.ndarray, *, expected: bool) -> np.ndarray:
        """Return 1 / variance for every row."""
        return np.full(len(self.design), 1 / self.variance(params))

    def score_rows(self, params: np.ndarray) -> np.ndarray:
        """Return x e / variance for each row."""
        return self.design * (self._residuals(params) / self.variance(params))[:, None]


class GeneralizedLinear(LikelihoodModel):
    """GLM of statsmodels; an estimated dispersion is profiled out by maximum likelihood."""

    design: np.ndarray

    def __init__(self, result: Any, names: list[str]) -> None:
        model = self.model = result.model
        self.names = names
        self.estimate = self.start = np.asarray(result.params, dtype=np.float64)
        self.family = type(model.family).__name__
        self.y = np.asarray(model.endog, dtype=np.float64)
        self.design = np.asarray(model.exog, dtype=np.float64)
        self.trials = np.broadcast_to(np.asarray(model.n_trials, dtype=np.float64), self.y.shape)
        self.frequency = np.asarray(model.freq_weights, dtype=np.float64)
        self.precision = np.asarray(model.var_weights, dtype=np.float64)
        self.n = float(self.frequency.sum())
        self.lower = np.full(len(names), -np.inf)
        self.row_weights = self.frequency if model._has_freq_weights else None
        self.known = _known_dispersion(model, self.family)
        link = type(model.family.link).__name__
        self.is_linear = self.family == "Gaussian" and link == "Identity" and self.known is None
        self.can_diverge = link in _ENDS_AT_INFINITY.get(self.family, ())
        if link == "Cauchy":
            self.certain_at = np.inf
        upper = (self.y == 1) & (self.family == "Binomial")
        self.side = np.where(self.y == 0, -1, np.where(upper, 1, 0))
        if self.can_diverge:
            self.start = np.zeros_like(self.estimate)  # allowed, also where no estimate exists

    def _mean(self, params: np.ndarray) -> np.ndarray:
        return self.model.predict(params)

    def dispersion(self, params: np.ndarray) -> float:
        """Return the maximum-likelihood dispersion given the coefficients."""
        if self.known is not None:
            return self.known
        mean = self._mean(params)
        weight = self.frequency * self.precision
        if self.family == "Gamma":
            ratio = self.y / mean
            return _gamma_dispersion(self.frequency, self.precision, ratio - 1 - np.log(ratio))
        scaled = (self.y - mean) ** 2
        if self.family == "InverseGaussian":
            scaled = scaled / (self.y * mean**2)
        return float(weight @ scaled / self.frequency.sum())

    def loglik(self, params: np.ndarray) -> float:
        """Return the log-likelihood, maximized over the dispersion."""
        mean = self._mean(params)
        upper = 1.0 if self.family == "Binomial" else np.inf
        lower = -np.inf if self.family == "Gaussian" else 0.0
        if not ((mean >= lower) & (mean <= upper)).all():  # statsmodels would clip
            return -np.inf
        if self.family == "Binomial":
            value = self._binomial(mean)
        else:
            value = self.model.loglike(params, scale=self.dispersion(params))
        return float(value) if np.isfinite(value) else -np.inf

    def _binomial(self, mean: np.ndarray) -> float:
        """Return the log-likelihood from the trials of this model: families may be shared."""
        m, s = self.trials, self.trials * self.y
        constant = gammaln(m + 1) - gammaln(s + 1) - gammaln(m - s + 1)
        rows = constant + xlogy(s, mean) + xlog1py(m - s, -mean)
        return float(self.frequency * self.precision @ rows)

    def score(self, params: np.ndarray) -> np.ndarray:
        """Return the gradient at the dispersion that maximizes."""
        return self.model.score(params, scale=self.dispersion(params))

    def curvature_weights(self, params: np.ndarray, *, expected: bool) -> np.ndarray:
        """Return the weights of the rows in minus the Hessian, or in its expectation."""
        scale = self.dispersion(params)
        factor = self.model.hessian_factor(params, scale=scale, observed=not expected)
        mean = self._mean(params)
        near = np.finfo(np.float64).eps  # where statsmodels cuts the mean off
        certain = (self.side < 0) & (mean < near) | (self.side > 0) & (mean > 1 - near)
        # statsmodels divides by the weight, and by the variance
        return np.where((self.frequency > 0) & ~certain, factor, 0.0)

    def _information(self, params: np.ndarray, expected: bool) -> np.ndarray:
        weights = self.curvature_weights(params, expected=expected)
        return (self.design * weights[:, None]).T @ self.design

    def observed_information(self, params: np.ndarray) -> np.ndarray:
        """Return minus the Hessian at the dispersion that maximizes."""
        return self._information(params, expected=False)

    def expected_information(self, params: np.ndarray) -> np.ndarray:
        """Return X'WX; mean and dispersion are orthogonal, so no correction is due."""
        return self._information(params, expected=True)

    def score_rows(self, params: np.ndarray) -> np.ndarray:
        """Return the score of one observation of each row."""
        rows = self.model.score_obs(params, scale=self.dispersion(params))
        count = np.where(self.frequency > 0, self.frequency, 1.0)
        return rows / count[:, None]

    def one_sided_rows(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the design and ends of outcomes, for links with an edge at infinity only."""
        if not self.can_diverge:
            return None
        used = self.frequency > 0
        return self.design[used], self.side[used]

    def is_extreme(self, params: np.ndarray) -> bool:
        """Look for outcomes that are fitted as all but certain."""
        return self.can_diverge and is_extreme(self._mean(params), self.side)

    def check_estimate_exists(self) -> None:
        """Refuse an exact fit with an estimated dispersion."""
        if self.known is None and not self.dispersion(self.estimate) > 0:
            raise ValueError(
                "The model fits its observations exactly, so its dispersion is not estimable and "
                "no test or interval exists. Use fewer columns or more rows."
            )


def _known_dispersion(model: Any, family: str) -> float | None:
    """Return the fixed dispersion, or None where maximum likelihood estimates it."""
    estimated = family in ("Gaussian", "Gamma", "InverseGaussian")
    fixed = model.scaletype if isinstance(model.scaletype, float) else None
    if estimated:
        return fixed
    if family not in ("Binomial", "Poisson", "NegativeBinomial"):
        raise ValueError(
            f"GLM with family {family} has no likelihood in closed form; supported: Gaussian, "
            "Gamma, InverseGaussian, Binomial, Poisson, NegativeBinomial."
        )
    if model.scaletype is not None and fixed != 1.0:
        raise ValueError(
            f"GLM with family {family} and scale={model.scaletype!r} is a quasi-likelihood, which "
            "has no likelihood ratio. Refit without `scale` and ask for robust=True, or use a "
            "NegativeBinomial model."
        )
    return 1.0


def _gamma_dispersion(frequency: np.ndarray, precision: np.ndarray, half: np.ndarray) -> float:
    """Return phi with sum f w {log(w / phi) - psi(w / phi)} = sum f w d / 2, d the deviances.

    Newton in log phi on the logarithms of both sides, which are nearly linear there.
    """
    weight = frequency * precision
    target = float(weight @ half)
    if not target > 0:
        return 0.0
    log_phi = np.log(2 * target / frequency.sum())
    if np.ptp(precision) == 0:  # one shape for all rows, as a rule
        precision, weight = precision[:1], weight.sum(keepdims=True)
    for _ in range(100):
        shape = precision / np.exp(log_phi)
        # log - psi loses its digits for large shapes; there its series has six left over
        series = 1 / (2 * shape) + 1 / (12 * shape**2) - 1 / (120 * shape**4)
        gap = np.where(shape > 1e3, series, np.log(shape) - psi(shape))
        slope = np.where(
            shape > 1e3,
            1 / (2 * shape) + 1 / (6 * shape**2) - 1 / (30 * shape**4),
            shape * polygamma(1, shape) - 1,
        )
        step = np.log(target / (weight @ gap)) * (weight @ gap) / (weight @ slope)
        log_phi += step
        if abs(step) < 1e-12:  # the next one would be its square
            break
    return float(np.exp(log_phi))
