"""Noise from elsewhere: density estimators of scikit-learn's kind, and scipy's distributions."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skgm._validation import DISCRETE_SUPPORTS
from skgm.nce._noise import open_uniform

__all__ = [
    "EstimatorNoise",
    "QuantileNoise",
    "ScipyNoise",
    "counts_or_coins",
    "fit_estimator_noise",
    "is_scipy",
    "scipy_noise",
]


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
