"""Noise fitted to a table: moments, boxes, and Gaussian mixtures chosen by BIC."""

import warnings
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skgm.nce._noise import (
    BernoulliNoise,
    GaussianMixtureNoise,
    ProductNoise,
    StudentNoise,
    UniformNoise,
)

__all__ = [
    "best_mixture",
    "cholesky_factors",
    "fit_bernoulli",
    "fit_gaussian",
    "fit_marginals",
    "fit_mixture",
    "fit_quietly",
    "fit_student",
    "fit_uniform",
    "moments",
    "nearly_cholesky",
    "weighted_rows",
]

RIDGE = 1e-9  # relative to each column's variance
COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SURELY_TRIED = 8  # components: a few narrow ones may only pay off together
ROWS_PER_COMPONENT = 10  # at least; below, a component can shrink onto a few rows
MAX_ROWS = 10_000  # for choosing and fitting a mixture
GUARD_WEIGHT, GUARD_INFLATION = 0.01, 9.0  # a wide component, so that no tail is uncovered
STUDENT_DF = 5.0
BOX_MARGIN = 0.1  # of each column's range, on either side
PSEUDO_COUNT = 0.5


def weighted_rows(
    X: np.ndarray, weight: np.ndarray | None, n_rows: int, rng: np.random.Generator
) -> np.ndarray:
    """Return n_rows rows in proportion to their weights, by systematic resampling.

    Without weights, and with n_rows = n, these are the rows themselves.
    """
    if weight is None and n_rows >= len(X):
        return X
    share = np.full(len(X), 1.0) if weight is None else weight
    edges = np.cumsum(share) / share.sum()
    picks = (np.arange(n_rows) + rng.uniform()) / n_rows
    order = rng.permutation(len(X)) if weight is None else np.arange(len(X))
    return X[order[np.minimum(np.searchsorted(edges, picks), len(X) - 1)]]


def moments(X: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and the Cholesky factor of the covariance, barely ridged."""
    mean = np.average(X, axis=0, weights=weight)
    centred = X - mean
    scale = np.sqrt(np.average(centred**2, axis=0, weights=weight))
    z = centred / scale
    share = np.full(len(X), 1 / len(X)) if weight is None else weight / weight.sum()
    correlation = (z * share[:, None]).T @ z
    return mean, scale[:, None] * nearly_cholesky(correlation)


def nearly_cholesky(correlation: np.ndarray) -> np.ndarray:
    """Return the lower factor, of a ridged matrix where columns determine one another."""
    ridge = RIDGE
    while True:
        try:
            return np.linalg.cholesky(correlation + ridge * np.eye(len(correlation)))
        except np.linalg.LinAlgError:  # columns determined by others
            ridge *= 10


def fit_gaussian(X: np.ndarray, weight: np.ndarray | None = None) -> GaussianMixtureNoise:
    """Return the Gaussian with the mean and covariance of the table."""
    mean, factor = moments(X, weight)
    return GaussianMixtureNoise(np.ones(1), mean[None], factor[None])


def fit_student(X: np.ndarray, weight: np.ndarray | None = None) -> StudentNoise:
    """Return a Student t with five degrees of freedom and the moments of the table."""
    mean, factor = moments(X, weight)
    return StudentNoise(STUDENT_DF, mean, factor * np.sqrt((STUDENT_DF - 2) / STUDENT_DF))


def fit_uniform(X: np.ndarray) -> UniformNoise:
    """Return the uniform distribution over the table's box and a tenth more on each side."""
    margin = BOX_MARGIN * np.ptp(X, axis=0)
    return UniformNoise(X.min(axis=0) - margin, X.max(axis=0) + margin)


def fit_bernoulli(X: np.ndarray, weight: np.ndarray | None = None) -> BernoulliNoise:
    """Return coins with the column means, half a pseudo-count added to either side."""
    weight = np.ones(len(X)) if weight is None else weight
    return BernoulliNoise((weight @ X + PSEUDO_COUNT) / (weight.sum() + 2 * PSEUDO_COUNT))


def fit_mixture(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator, *, guard: bool = True
) -> GaussianMixtureNoise:
    """Return the mixture of Gaussians with the best BIC, plus a wide component as a guard."""
    mean, factor = moments(X, weight)
    scale = np.sqrt(np.einsum("ij,ij->i", factor, factor))
    n_rows = min(len(X), MAX_ROWS)
    Z = (weighted_rows(X, weight, n_rows, rng) - mean) / scale
    best = best_mixture(Z, rng)
    weights, means = best.weights_, mean + scale * best.means_
    cholesky = scale[:, None] * cholesky_factors(best)
    if guard:
        weights = np.append((1 - GUARD_WEIGHT) * weights, GUARD_WEIGHT)
        means = np.vstack([means, mean])
        cholesky = np.concatenate([cholesky, np.sqrt(GUARD_INFLATION) * factor[None]])
    return GaussianMixtureNoise(weights / weights.sum(), means, cholesky)


def best_mixture(Z: np.ndarray, rng: np.random.Generator) -> GaussianMixture:
    """Return the mixture of the best BIC, of full or of diagonal covariances."""
    types = ("full", "diag") if Z.shape[1] > 1 else ("full",)
    return min((_best_of_ladder(Z, kind, rng) for kind in types), key=lambda pair: pair[0])[1]


def _best_of_ladder(
    Z: np.ndarray, kind: str, rng: np.random.Generator
) -> tuple[float, GaussianMixture]:
    """Climb the numbers of components, to eight and until BIC has risen twice in a row."""
    best: tuple[float, Any] = (np.inf, None)
    rises = 0
    for k in COMPONENTS:
        if k > 1 and k * ROWS_PER_COMPONENT > len(Z):
            break
        model = fit_quietly(k, kind, Z, rng)
        bic = model.bic(Z)
        rises = 0 if bic < best[0] else rises + 1
        if bic < best[0]:
            best = (bic, model)
        if rises >= 2 and k >= SURELY_TRIED:
            break
    return best


def fit_quietly(k: int, kind: str, Z: np.ndarray, rng: np.random.Generator) -> GaussianMixture:
    """Fit a mixture, which need not be at its optimum to serve as noise."""
    model = GaussianMixture(k, covariance_type=kind, random_state=int(rng.integers(2**31)))
    # with dispatch to other arrays scikit-learn refuses the starts by k-means, which these numpy
    # rows can have
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(Z)


def cholesky_factors(model: GaussianMixture) -> np.ndarray:
    """Return the lower factors of the covariances, (k, d, d)."""
    if model.covariance_type == "diag":
        return np.stack([np.diag(np.sqrt(variance)) for variance in model.covariances_])
    return np.linalg.cholesky(model.covariances_)


def fit_marginals(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> ProductNoise:
    """Return the product of one mixture per column."""
    columns: list[Any] = [X[:, [j]] for j in range(X.shape[1])]
    return ProductNoise(tuple(fit_mixture(column, weight, rng) for column in columns))
