"""From the parameter `noise` to a fitted noise distribution."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skgm._numerics.distributions import Noise, open_uniform
from skgm._validation import DISCRETE_SUPPORTS
from skgm.nce._noise_fit import (
    fit_bernoulli,
    fit_gaussian,
    fit_marginals,
    fit_mixture,
    fit_stacked,
    fit_student,
    fit_uniform,
)

__all__ = [
    "NOISE_NAMES",
    "EstimatorNoise",
    "QuantileNoise",
    "ScipyNoise",
    "counts_or_coins",
    "fit_estimator_noise",
    "has_mass",
    "is_binary",
    "is_density",
    "is_scipy",
    "make_noise",
    "scipy_noise",
]

NOISE_NAMES = ("auto", "gaussian", "gmm", "student_t", "uniform", "marginals", "bernoulli")


def is_binary(X: np.ndarray) -> bool:
    """Tell whether a table holds zeros and ones alone."""
    return bool(((X == 0) | (X == 1)).all())


def is_density(noise: Any) -> bool:
    """Tell whether this is an estimator that can be cloned, fitted, sampled and scored."""
    return not isinstance(noise, type) and all(
        hasattr(noise, name) for name in ("fit", "sample", "score_samples")
    )


def has_mass(noise: Any, X: np.ndarray) -> bool:
    """Tell whether the noise that `noise` names for X has a mass, not a density."""
    if isinstance(noise, str):
        return noise == "bernoulli" or (noise == "auto" and is_binary(X))
    return counts_or_coins(noise)


def make_noise(
    noise: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    rng: np.random.Generator,
    *,
    stacked: bool = True,
) -> Noise:
    """Fit the noise that `noise` names to the rows of X, (n, d) float64.

    Parameters
    ----------
    noise : str or object
        "auto": coins for zeros and ones, else Gaussians stacked by held-out likelihood, or "gmm",
        the Gaussian mixture of the best BIC with a wide one of weight 1%;
        "gaussian", "student_t", "uniform", "marginals" (a mixture per column), "bernoulli"; a
        density estimator, which is cloned and fitted; a frozen distribution of scipy's; or an
        object with `sample(n, rng)` and `log_density(X)`, used as it is.
    stacked : bool, default=True
        Which of the two "auto" is. Stacked ones are the better density; the tails of "gmm" are the
        better noise for critics with parameters, whose density does not depend on it.
    """
    if isinstance(noise, str) and noise == "auto" and stacked and not is_binary(X):
        return fit_stacked(X, weight, rng)
    if isinstance(noise, str):
        return _named_noise(noise, X, weight, rng)
    if is_scipy(noise):
        return scipy_noise(noise, X.shape[1])
    if is_density(noise):
        return fit_estimator_noise(noise, X, weight)
    methods = hasattr(noise, "sample") and hasattr(noise, "log_density")
    if methods and not isinstance(noise, type):
        return noise
    raise TypeError(
        f"noise must be one of {list(NOISE_NAMES)}, a density estimator with `sample` and "
        "`score_samples`, or a frozen distribution of scipy (scipy.stats.norm(0, 3)); "
        f"got {noise!r}."
    )


def _named_noise(
    noise: str, X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> Noise:
    if noise == "bernoulli" or (noise == "auto" and is_binary(X)):
        if not is_binary(X):
            row, column = np.argwhere((X != 0) & (X != 1))[0]
            raise ValueError(
                f"noise='bernoulli' needs a table of 0 and 1; X holds {X[row, column]!r} at row "
                f"{row}, column {column}. Choose another noise, or noise='auto'."
            )
        return fit_bernoulli(X, weight)
    if noise in ("auto", "gmm"):
        return fit_mixture(X, weight, rng)
    if noise == "marginals":
        return fit_marginals(X, weight, rng)
    if noise == "uniform":
        return fit_uniform(X)
    if noise == "gaussian":
        return fit_gaussian(X, weight)
    return fit_student(X, weight)


# Noise from elsewhere: density estimators of scikit-learn's kind, and scipy's distributions.


@dataclass(frozen=True)
class EstimatorNoise:
    """A fitted density estimator with `sample` and `score_samples`."""

    estimator: Any
    discrete: bool = False

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) draws in random order, from a seed of `rng`'s."""
        seed = int(rng.integers(2**31))
        inner = self.estimator
        while isinstance(inner, FrozenEstimator):
            inner = inner.estimator
        if "random_state" in inspect.signature(inner.sample).parameters:
            drawn = inner.sample(n, random_state=seed)
        else:  # as GaussianMixture, which draws from its own random_state
            inner = copy.copy(inner)
            inner.random_state = np.random.RandomState(seed)
            drawn = inner.sample(n)
        rows = drawn[0] if isinstance(drawn, tuple) else drawn  # GaussianMixture adds labels
        rows = np.asarray(rows, dtype=np.float64).reshape(n, -1)
        return rows[rng.permutation(n)]  # GaussianMixture groups rows by component

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        return np.asarray(self.estimator.score_samples(X), dtype=np.float64)


def fit_estimator_noise(estimator: Any, X: np.ndarray, weight: np.ndarray | None) -> EstimatorNoise:
    """Clone and fit a density estimator; one in a FrozenEstimator stays as it is."""
    fitted = clone(estimator)
    takes_weight = "sample_weight" in inspect.signature(fitted.fit).parameters
    if weight is not None and takes_weight:
        fitted.fit(X, sample_weight=weight)
    else:
        fitted.fit(X, None)
    return EstimatorNoise(fitted, counts_or_coins(fitted))


def counts_or_coins(noise: Any) -> bool:
    """Tell whether an estimator or a distribution of scipy's has a mass, not a density."""
    if hasattr(noise, "logpmf"):
        return not hasattr(noise, "logpdf")
    tags = getattr(noise, "__density_tags__", None)
    return tags is not None and tags().support in DISCRETE_SUPPORTS


def is_scipy(noise: Any) -> bool:
    """Tell whether this is a frozen distribution of scipy's."""
    return hasattr(noise, "rvs") and (hasattr(noise, "logpdf") or hasattr(noise, "logpmf"))


@dataclass(frozen=True)
class ScipyNoise:
    """A frozen distribution: of one variable, used for every column, or of `d` variables."""

    distribution: Any
    n_columns: int
    discrete: bool = False

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, d) draws."""
        size = (n, self.n_columns) if self._is_univariate() else n
        rows = self.distribution.rvs(size=size, random_state=rng)
        return np.asarray(rows, dtype=np.float64).reshape(n, self.n_columns)

    def _is_univariate(self) -> bool:
        return hasattr(self.distribution, "ppf")

    def log_density(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of each row, (n,)."""
        log = self.distribution.logpmf if self.discrete else self.distribution.logpdf
        values = np.asarray(log(X), dtype=np.float64)
        return values.sum(axis=1) if self._is_univariate() else values.reshape(len(X))


class QuantileNoise(ScipyNoise):
    """A frozen distribution of one variable, whose quantile function is an inverse map."""

    @property
    def n_uniforms(self) -> int:
        """One number per column."""
        return self.n_columns

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Turn uniforms (m, d) into draws."""
        return np.asarray(self.distribution.ppf(open_uniform(u)), dtype=np.float64)


def scipy_noise(distribution: Any, n_columns: int) -> ScipyNoise:
    """Wrap a frozen distribution for a table with `n_columns` columns.

    Raises
    ------
    ValueError
        A multivariate distribution of another dimension.
    """
    if hasattr(distribution, "ppf"):
        return QuantileNoise(distribution, n_columns, counts_or_coins(distribution))
    width = np.size(distribution.rvs(size=1, random_state=np.random.default_rng(0)))
    if width != n_columns:
        raise ValueError(
            f"noise is a distribution over {width} columns, but X has {n_columns}. Give one of "
            "as many dimensions, or a distribution of one variable, which serves every column."
        )
    return ScipyNoise(distribution, n_columns, counts_or_coins(distribution))
