"""Kullback-Leibler divergence from known densities in the plane: DDPM and its peers.

``python benchmarks/ddpm_toys.py [seeds] [rows]``

Eight normals on a circle, two moons, a swiss roll; 2000 training rows, 2000 for the divergence.
GaussianMixture chooses the number of components by BIC among 1, 2, 4, 8, 16, 32; KernelDensity its
bandwidth by cross-validation among 20. DDPM is as constructed by default. Seconds are CPU time of
this thread, fit and choice included.

A second table: how far the evidence lower bound of the chain of 50 steps lies below the
log-density by the flow, of 400 rows, with the covariance of every noisy row and with the variances
of the levels; the standard error is that of the noise. Seconds are of the evaluations alone.
"""

import sys
import time
import warnings
from typing import Any
from unittest.mock import patch

import numpy as np
from _report import header, table
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from skgm import DDPM

# Every toy is a curve, or a set of points, with normal noise: (points, noise).
GRID = (np.arange(4000) + 0.5) / 4000


def moons(t: np.ndarray) -> np.ndarray:
    """Map [0, 1) to the two half circles, one after the other."""
    angle = 2 * np.pi * (t % 0.5)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return np.where(t[:, None] < 0.5, upper, lower)


def eight(t: np.ndarray) -> np.ndarray:
    angle = np.floor(8 * t) * np.pi / 4
    return 4 * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def swiss(t: np.ndarray) -> np.ndarray:
    angle = 1.5 * np.pi * (1 + 2 * t)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / 7


TOYS = {"8 normals": (eight, 0.5), "moons": (moons, 0.1), "swiss roll": (swiss, 0.05)}


def draw(name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    curve, noise = TOYS[name]
    return curve(rng.random(n)) + noise * rng.standard_normal((n, 2))


def log_density(name: str, X: np.ndarray) -> np.ndarray:
    """Return the true log-density, by a sum over 4000 points of the curve."""
    curve, noise = TOYS[name]
    exponents = -cdist(X, curve(GRID), "sqeuclidean") / (2 * noise**2)
    return logsumexp(exponents, axis=1) - np.log(len(GRID) * 2 * np.pi * noise**2)


def fit_mixture(X: np.ndarray, seed: int) -> Any:
    fits = [GaussianMixture(k, random_state=seed, n_init=2).fit(X) for k in (1, 2, 4, 8, 16, 32)]
    return min(fits, key=lambda fit: fit.bic(X))


def fit_kernel(X: np.ndarray, seed: int) -> Any:
    grid = {"bandwidth": np.geomspace(0.02, 0.6, 20) * X.std()}
    return GridSearchCV(KernelDensity(), grid, cv=5).fit(X).best_estimator_


def fit_diffusion(X: np.ndarray, seed: int) -> Any:
    return DDPM(random_state=seed).fit(X)


PEERS = {
    "DDPM": fit_diffusion,
    "GaussianMixture, BIC": fit_mixture,
    "KernelDensity, CV": fit_kernel,
}


def bound_gaps(model: Any, X: np.ndarray) -> list[float]:
    """Return the gaps with standard errors, by covariances and variances, and seconds of three."""
    start = time.thread_time()
    flow, found = model.score(X), []
    seconds = [time.thread_time() - start]
    for most in (10, 0):  # columns up to which a noisy row has a covariance of its own
        start = time.thread_time()
        with patch("skgm.diffusion._elbo._JACOBIAN_UP_TO", most):
            bound, error = model.elbo(X, return_se=True)
        found += [flow - bound, error]
        seconds.append(time.thread_time() - start)
    return found + seconds


GAPS = ("density", "gap, covariances", "error", "gap, variances", "error")
SECONDS = ("flow, CPU s", "covariances, CPU s", "variances, CPU s")


def main() -> None:
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    header(f"KL(truth || model) in nats, {n} rows, {n_seeds} seeds")
    warnings.simplefilter("ignore")
    rows, gaps = [], []
    for name in TOYS:
        of_bounds = []
        for peer, fit in PEERS.items():
            divergences, seconds = [], []
            for seed in range(n_seeds):
                rng = np.random.default_rng(seed)
                X, fresh = draw(name, n, rng), draw(name, 2000, rng)
                start = time.thread_time()
                model = fit(X, seed)
                seconds.append(time.thread_time() - start)
                if peer == "DDPM":
                    of_bounds.append(bound_gaps(model, fresh[:400]))
                divergences.append(np.mean(log_density(name, fresh) - model.score_samples(fresh)))
            mean, spread = float(np.mean(divergences)), float(np.std(divergences))
            rows.append([name, peer, mean, spread, float(np.mean(seconds))])
            print(*rows[-1], file=sys.stderr, flush=True)
        means = np.mean(of_bounds, axis=0)
        means[[1, 3]] = np.sqrt(np.mean(np.square(of_bounds), axis=0)[[1, 3]] / n_seeds)
        gaps.append([name, *means.tolist()])
        print(*gaps[-1], file=sys.stderr, flush=True)
    table(("density", "model", "KL, mean", "KL, sd over seeds", "CPU s"), rows)
    print()
    table(GAPS + SECONDS, gaps)


if __name__ == "__main__":
    main()
