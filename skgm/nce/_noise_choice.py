"""From the parameter `noise` to a fitted noise distribution."""

from typing import Any

import numpy as np

from skgm.nce._noise import Noise
from skgm.nce._noise_adapters import (
    counts_or_coins,
    fit_estimator_noise,
    is_scipy,
    scipy_noise,
)
from skgm.nce._noise_fitting import (
    fit_bernoulli,
    fit_gaussian,
    fit_marginals,
    fit_mixture,
    fit_student,
    fit_uniform,
)
from skgm.nce._stacking import fit_stacked

__all__ = ["NOISE_NAMES", "has_mass", "is_binary", "is_density", "make_noise"]

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
