"""The lognormal family: the normal family of log x."""

from dataclasses import replace

import numpy as np
from scipy import special

from skgm.inference._moments import Moments
from skgm.inference.families._base import Params
from skgm.inference.families._normal import Normal

__all__ = ["LogNormal"]


def _logarithm(X: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.maximum(X, 0))


class LogNormal(Normal):
    r"""Lognormal distribution: log x is normal with mean mu and standard deviation sigma.

    .. math:: \log p(x) = -\tfrac12 \log 2\pi - \log\sigma - \log x
        - (\log x - \mu)^2 / (2\sigma^2)

    Notes
    -----
    Statistics are the moments of log x; every interval is the normal family's, exact ones too.
    """

    name = "lognormal"
    aliases = ("lognorm", "log_normal")
    support = "positive"
    equivariance = "scale"
    parameters = (Normal.parameters[0], replace(Normal.parameters[1], aliases=("s",)))

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Moments:
        """Return the moments of log x."""
        return Moments.from_chunk(np.log(X.astype(np.float64)), weight)

    def check_statistics(self, statistics: Moments, names: list[str]) -> None:
        """Raise for constant columns."""
        try:
            super().check_statistics(statistics, names)
        except ValueError as error:
            raise ValueError(str(error).replace("The normal", "The lognormal")) from error

    def log_likelihood(self, statistics: Moments, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,); sum of log x is in the moments."""
        jacobian = statistics.n * (statistics.mean + statistics.mean_error)
        return super().log_likelihood(statistics, params) - jacobian

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf outside the support."""
        t = _logarithm(X)
        with np.errstate(invalid="ignore"):
            return np.where(X > 0, super().log_density(t, params) - t, -np.inf)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores of mu and sigma, (n, d, 2)."""
        return super().score(_logarithm(X), params)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        return np.exp(super().sample(params, n_samples, rng))

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return special.ndtr((_logarithm(X) - params["mu"]) / params["sigma"])

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        slope = super().score_function(_logarithm(X), params) - 1
        inside = X > 0
        with np.errstate(invalid="ignore"):
            return np.where(inside, slope / np.where(inside, X, 1.0), 0.0)
