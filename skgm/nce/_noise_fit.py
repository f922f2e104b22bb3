"""Noise fitted to a table: moments, boxes, and Gaussian mixtures chosen by BIC."""

import warnings
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.covariance import ledoit_wolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skgm._numerics.distributions import (
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
    "fit_stacked",
    "fit_student",
    "fit_uniform",
    "moments",
    "nearly_cholesky",
    "stacking_weights",
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
    centered = X - mean
    scale = np.sqrt(np.average(centered**2, axis=0, weights=weight))
    z = centered / scale
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


# Gaussians of three kinds, weighted by how well they predict rows that they have not seen.

N_FOLDS = 5
ONE_FOLD = 2_000  # rows from which one fifth held out tells enough
FEW_ROWS = 10  # fewer distinct ones cannot be held out
PSEUDO_ROWS = 0.5  # of the wide Gaussian: no tail is left uncovered
N_STEPS = 200  # of EM; a weight that is still falling then is dropped below half a row
START = (0.98, 0.01, 0.01)


def fit_stacked(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> GaussianMixtureNoise:
    """Return a mixture of the mixture of best BIC, a shrunk Gaussian and a wide one.

    BIC is for many rows: where they are few to the columns, its mixture fits them too closely and
    the shrunk Gaussian (Ledoit and Wolf) takes over. The wide one has three times its standard
    deviations. Their weights maximize the likelihood of rows held out, so that none costs anything
    where it is not needed.
    """
    mean, factor = moments(X, weight)
    scale = np.sqrt(np.einsum("ij,ij->i", factor, factor))
    n_rows = min(len(X), MAX_ROWS)
    Z = (weighted_rows(X, weight, n_rows, rng) - mean) / scale
    mixture = best_mixture(Z, rng)
    parts = _parts(Z, mixture)
    weights = np.array([0.0, 0.99, 0.01])
    if len(np.unique(Z, axis=0)) >= FEW_ROWS:
        weights = stacking_weights(_held_out(Z, mixture, rng), len(Z))
    shares = np.concatenate([w * part.weights for w, part in zip(weights, parts)])
    means = np.concatenate([part.means for part in parts])
    cholesky = np.concatenate([part.cholesky for part in parts])
    kept = shares > 0
    return GaussianMixtureNoise(
        shares[kept] / shares[kept].sum(),
        mean + scale * means[kept],
        scale[:, None] * cholesky[kept],
    )


def stacking_weights(log_density: np.ndarray, n_rows: float) -> np.ndarray:
    """Return the weights of densities that give held-out rows the highest likelihood.

    By EM, which climbs to the one maximum; the last density has half a pseudo-row.

    Parameters
    ----------
    log_density : ndarray of shape (m, k)
        Of the held-out rows, under each density.
    n_rows : float
        Number of rows that these stand for.

    Returns
    -------
    weights : ndarray of shape (k,)
        They sum to one; those below half a row are zero, save the last.
    """
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    pseudo = np.append(np.zeros(log_density.shape[1] - 1), PSEUDO_ROWS)
    weights = np.array(START)
    for _ in range(N_STEPS):
        share = density * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = n_rows * share.mean(axis=0) + pseudo
        weights /= weights.sum()
    weights[:-1][weights[:-1] < PSEUDO_ROWS / n_rows] = 0.0
    return weights / weights.sum()


def _held_out(Z: np.ndarray, mixture: GaussianMixture, rng: np.random.Generator) -> np.ndarray:
    """Return the log-density of rows under the three parts, fitted to the other rows, (m, 3).

    Copies of a row are held out together: one that was fitted to tells nothing of the other.
    """
    distinct = _numbered(Z)
    folds = np.array_split(rng.permutation(distinct.max() + 1), N_FOLDS)
    rows = []
    for numbers in folds[: 1 if len(Z) >= ONE_FOLD else N_FOLDS]:
        fold = np.isin(distinct, numbers)
        others = Z[~fold]
        n_components = min(mixture.n_components, len(others))
        again = fit_quietly(n_components, mixture.covariance_type, others, rng)
        rows.append(np.stack([part.log_density(Z[fold]) for part in _parts(others, again)], axis=1))
    return np.concatenate(rows)


def _numbered(Z: np.ndarray) -> np.ndarray:
    """Return the number of every row among the distinct ones, in order of first appearance."""
    _, first, which = np.unique(Z, axis=0, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[which.ravel()])


def _parts(Z: np.ndarray, mixture: GaussianMixture) -> tuple[GaussianMixtureNoise, ...]:
    covariance = ledoit_wolf(Z)[0] if Z.shape[1] > 1 else np.atleast_2d(np.var(Z))
    one, mean, factor = np.ones(1), Z.mean(axis=0)[None], nearly_cholesky(covariance)[None]
    return (
        GaussianMixtureNoise(mixture.weights_, mixture.means_, cholesky_factors(mixture)),
        GaussianMixtureNoise(one, mean, factor),
        GaussianMixtureNoise(one, mean, np.sqrt(GUARD_INFLATION) * factor),
    )
