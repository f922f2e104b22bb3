"""Gaussians of three kinds, weighted by how well they predict rows that they have not seen."""

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.mixture import GaussianMixture

from skgm.nce._noise import GaussianMixtureNoise
from skgm.nce._noise_fitting import (
    GUARD_INFLATION,
    MAX_ROWS,
    best_mixture,
    cholesky_factors,
    fit_quietly,
    moments,
    nearly_cholesky,
    weighted_rows,
)

__all__ = ["fit_stacked", "stacking_weights"]

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
    deviations. Their weights maximise the likelihood of rows held out, so that none costs anything
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
