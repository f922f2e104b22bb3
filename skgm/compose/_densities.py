"""The density inside a classifier or an outlier detector: ours, scikit-learn's, or the default."""

import inspect
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skgm._sklearn import HasMethods, step_task
from skgm.score_matching import ScoreMatchingGaussian
from skgm.tables._frames import frame_schema

__all__ = [
    "DENSITY",
    "as_given",
    "draw_rows",
    "fit_density",
    "log_density",
    "prior_covariance",
]

# The entry for `_parameter_constraints` of estimators that take a `density`.
DENSITY: list[Any] = [HasMethods(["fit", "score_samples"]), None]


def as_given(owner: Any, X: Any, array: np.ndarray) -> Any:
    """Return what the owner's densities are fitted to and score: X if it is a frame, or `array`.

    The default density gets the array: `fit_density` adds rows that have no names.
    """
    return array if owner.density is None or frame_schema(X) is None else X


def fit_density(
    owner: Any,
    X: Any,
    weight: np.ndarray | None,
    context: Any,
    *,
    prior: np.ndarray | None = None,
    name: str = "density",
) -> Any:
    """Return a clone of the owner's density, or the default one, fitted to the rows of X.

    The default is a Gaussian whose covariance S of n rows in d columns is shrunk to
    (n S + d P) / (n + d), P the `prior` covariance, (d, d): as if there were d more rows. So a
    class of a few rows, even of one, and tables of more columns than rows have a usable density.

    Raises
    ------
    ValueError
        Weights for a density whose `fit` takes none.
    """
    density = ScoreMatchingGaussian() if owner.density is None else clone(owner.density)
    if weight is not None and not has_fit_parameter(density, "sample_weight"):
        raise ValueError(
            f"density={type(density).__name__} takes no sample_weight in fit. Repeat the rows by "
            "their weights and fit without it, or choose a density that does."
        )
    if prior is not None:
        X, weight = _with_prior_rows(X, weight, prior)
    with step_task(context, owner, name=name, step=density, X=X):
        density.fit(X, **({} if weight is None else {"sample_weight": weight}))
    return density


def prior_covariance(
    owner: Any, X: Any, weight: np.ndarray | None, codes: np.ndarray | None = None
) -> np.ndarray | None:
    """Return what the default density is shrunk towards, (d, d); None for other densities.

    The covariance S of the n rows within their classes `codes`, itself shrunk to its diagonal:
    (n S + d diag S) / (n + d).
    """
    if owner.density is not None:
        return None
    weight = np.ones(len(X)) if weight is None else weight
    codes = np.zeros(len(X), dtype=int) if codes is None else codes
    residual = X.astype(np.float64)
    for k in np.unique(codes):
        own = codes == k
        residual[own] -= np.average(residual[own], axis=0, weights=weight[own])
    n_rows, n_columns = weight.sum(), X.shape[1]
    scatter = (residual * weight[:, None]).T @ residual
    return (scatter + np.diag(np.diag(scatter)) * n_columns / n_rows) / (n_rows + n_columns)


def _with_prior_rows(
    X: np.ndarray, weight: np.ndarray | None, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and its weights with d pairs of rows, each of weight 1 and covariance `prior`."""
    weight = np.ones(len(X)) if weight is None else weight
    mean, n_columns = np.average(X, axis=0, weights=weight), len(prior)
    scale = np.sqrt(np.diag(prior))
    scale = np.where(scale > 0, scale, 1.0)  # factored as correlations: columns of any units
    values, vectors = np.linalg.eigh(prior / np.outer(scale, scale))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T * scale * np.sqrt(n_columns)
    rows = np.concatenate([X, mean + root, mean - root]).astype(X.dtype)
    return rows, np.concatenate([weight, np.full(2 * n_columns, 0.5)])


def log_density(density: Any, X: Any) -> np.ndarray:
    """Return the density's `score_samples` as float64, (n,).

    Raises
    ------
    ValueError
        NaN or +infinity among them.
    """
    values = np.asarray(density.score_samples(X), dtype=np.float64)
    bad = np.isnan(values) | np.isposinf(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"{type(density).__name__}.score_samples returned {values[row]} for row {row} of X; a "
            "log-density must be a finite number, or -inf outside the support."
        )
    return values


def draw_rows(density: Any, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n_samples, n_features) rows from a fitted density's `sample`, in random order.

    `sample` may take a `random_state` (skgm, KernelDensity) or read it from the estimator
    (GaussianMixture, which also returns its components and groups the rows by them). The density
    itself is never changed.
    """
    if hasattr(density, "__density_tags__"):
        return np.asarray(density.sample(n_samples, random_state=rng))
    seed = int(rng.integers(2**31))
    if "random_state" in inspect.signature(density.sample).parameters:
        drawn = density.sample(n_samples, random_state=seed)
    elif hasattr(density, "random_state"):
        twin = copy(density)  # a shallow copy shares the fitted arrays, and its seed is its own
        twin.random_state = seed
        drawn = twin.sample(n_samples)
    else:
        drawn = density.sample(n_samples)
    rows = np.asarray(drawn[0] if isinstance(drawn, tuple) else drawn)
    return rows[rng.permutation(len(rows))]
