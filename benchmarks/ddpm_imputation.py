"""Imputing with a diffusion model: two methods of conditioning, against scikit-learn, in one run.

``python benchmarks/ddpm_imputation.py [splits]``

First a Gaussian table, where the exact conditional law is known: errors of the mean and of the
spread of completions, in units of the conditional standard deviation. Then three clusters, where
the known column decides the odds of the cluster: total variation between the shares of the clusters
among completions and their true odds. Then iris and wine with 20% of the entries of held-out rows
missing completely at random: mean absolute error in units of the column's standard deviation, of
one draw and of the mean of ten; the energy distance between completed and true rows (smaller is
better, zero is noise); seconds of CPU. The twisted filter is
what ``DDPM.impute`` runs; RePaint replaces the known coordinates at every level and repeats each
step, noise added again, as often as is said.
"""

import sys
import time
import warnings
from typing import Any

import numpy as np
from _report import header, table
from scipy.spatial.distance import cdist
from sklearn.datasets import load_iris, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer

from skgm import DDPM, ScoreMatchingGaussian
from skgm.diffusion._conditional import constraints, draw_given
from skgm.diffusion._process import posterior_weights

LEVELS = 50


def repaint(model: DDPM, given: np.ndarray, n: int, seed: int, repeats: int) -> np.ndarray:
    """Complete rows by replacement: known coordinates get the noise of each level."""
    rng, fitted = np.random.default_rng(seed), model._model()
    scaler, schedule = fitted.scaler, fitted.schedule.respace(LEVELS)
    errors, denoiser = fitted.errors_at(schedule).mean(axis=1), fitted.denoiser(np.float32)
    known = constraints(np.repeat(given, n, axis=0), scaler)
    w, r = rng.standard_normal(known.values.shape), scaler.n_active
    bar = np.concatenate([[1.0], schedule.alpha_bar])
    for t in range(LEVELS, 0, -1):
        phi, (of_noisy, of_data, variance) = (
            schedule.angles[t - 1],
            posterior_weights(bar[t], bar[t - 1]),
        )
        for repeat in range(repeats if t > 1 else 1):
            u = known.rotate_back(w)
            data = np.cos(phi) * u
            data[:, :r] += np.sin(phi) * denoiser.velocity(u[:, :r].astype(np.float32), phi, None)
            data = known.rotate(data)
            spread = np.sqrt(variance + of_data**2 * errors[t - 1])
            w = of_noisy * w + of_data * data + spread * rng.standard_normal(w.shape)
            noisy = np.sqrt(bar[t - 1]) * known.values
            noisy += np.sqrt(1 - bar[t - 1]) * rng.standard_normal(w.shape)
            w = np.where(known.mask, noisy, w)
            if repeat < repeats - 1 and t > 1:
                alpha = bar[t] / bar[t - 1]
                w = np.sqrt(alpha) * w + np.sqrt(1 - alpha) * rng.standard_normal(w.shape)
    return scaler.unscale(known.rotate_back(w))


def twisted(model: DDPM, given: np.ndarray, n: int, seed: int, particles: int) -> np.ndarray:
    fitted = model._model()
    schedule = fitted.schedule.respace(LEVELS)
    return draw_given(
        fitted.denoiser(np.float32),
        fitted.scaler,
        given,
        n,
        np.random.default_rng(seed),
        schedule,
        fitted.errors_at(schedule),
        n_particles=particles,
    )


METHODS: dict[str, Any] = {
    "twisted filter, 1 particle": lambda *a: twisted(*a, 1),
    "twisted filter, 4 particles": lambda *a: twisted(*a, 4),
    "twisted filter, 16 particles": lambda *a: twisted(*a, 16),
    "twisted filter, 64 particles": lambda *a: twisted(*a, 64),
    "RePaint, 1 pass": lambda *a: repaint(*a, 1),
    "RePaint, 5 passes": lambda *a: repaint(*a, 5),
    "RePaint, 10 passes": lambda *a: repaint(*a, 10),
}


def gaussian_rows() -> list[list[Any]]:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, 4))
    X = rng.standard_normal((1000, 4)) @ mixing
    given = X[:20].copy()
    given[rng.random(given.shape) < 0.4] = np.nan
    given[np.isnan(given).all(axis=1), 0] = 0.0
    hole = np.isnan(given)
    exact = ScoreMatchingGaussian().fit(X).sample(4000, given=given, random_state=0)
    exact = exact.reshape(20, 4000, 4)
    spread = exact.std(axis=1)[hole]
    model = DDPM(random_state=0).fit(X)
    rows = []
    for name, method in METHODS.items():
        start = time.thread_time()
        drawn = method(model, given, 100, 0).reshape(20, 100, 4)
        seconds = time.thread_time() - start
        bias = (drawn.mean(axis=1) - exact.mean(axis=1))[hole] / spread
        ratio = drawn.std(axis=1)[hole] / spread
        rows.append([name, float(np.sqrt(np.mean(bias**2))), float(np.median(ratio)), seconds])
    return rows


def cluster_rows() -> list[list[Any]]:
    """Return the largest and the mean error of the odds of three clusters, at five known values."""
    rng, centers = np.random.default_rng(0), np.array([[-1.0, -1.0], [0.0, 1.2], [1.0, -0.5]])
    X = centers[rng.integers(3, size=2000)] + 0.2 * rng.standard_normal((2000, 2))
    model = DDPM(random_state=0).fit(X)
    given = np.array([[x, np.nan] for x in (-0.6, -0.4, 0.4, 0.5, 0.6)])
    odds = np.exp(-0.5 * ((given[:, :1] - centers[:, 0]) / 0.2) ** 2)
    odds /= odds.sum(axis=1, keepdims=True)
    rows = []
    for name, method in METHODS.items():
        start = time.thread_time()
        drawn = method(model, given, 200, 0).reshape(5, 200, 2)[:, :, 1]
        nearest = np.abs(drawn[:, :, None] - centers[:, 1]).argmin(axis=2)
        shares = np.stack([(nearest == k).mean(axis=1) for k in range(3)], axis=1)
        distance = 0.5 * np.abs(shares - odds).sum(axis=1)
        seconds = time.thread_time() - start
        rows.append([name, float(distance.mean()), float(distance.max()), seconds])
    return rows


def energy(A: np.ndarray, B: np.ndarray) -> float:
    def within(Z: np.ndarray) -> float:
        return float(cdist(Z, Z).sum() / (len(Z) * (len(Z) - 1)))

    return 2 * float(cdist(A, B).mean()) - within(A) - within(B)


def table_rows(X: np.ndarray, splits: int) -> list[list[Any]]:
    found: dict[str, list[list[float]]] = {}
    for split in range(splits):
        rng = np.random.default_rng(split)
        order = rng.permutation(len(X))
        train, test = X[order[: len(X) // 2]], X[order[len(X) // 2 :]]
        hole = rng.random(test.shape) < 0.2
        given, scale = np.where(hole, np.nan, test), train.std(axis=0)

        def judge(name: str, one: np.ndarray, mean: np.ndarray, seconds: float) -> None:
            one, mean = (np.where(hole, a, test) for a in (one, mean))  # noqa: B023
            errors = [np.abs((a - test) / scale)[hole].mean() for a in (one, mean)]  # noqa: B023
            distance = energy(one / scale, test / scale)  # noqa: B023
            found.setdefault(name, []).append([*map(float, errors), distance, seconds])

        model = DDPM(random_state=split).fit(train)
        for name, method in METHODS.items():
            start = time.thread_time()
            drawn = method(model, given, 10, split).reshape(len(test), 10, -1)
            judge(name, drawn[:, 0], drawn.mean(axis=1), time.thread_time() - start)
        start = time.thread_time()
        drawn = [
            IterativeImputer(sample_posterior=True, random_state=10 * split + i, max_iter=10)
            .fit(train)
            .transform(given)
            for i in range(10)
        ]
        seconds = time.thread_time() - start
        judge("IterativeImputer, draws", drawn[0], np.mean(drawn, axis=0), seconds)
        filled = IterativeImputer(random_state=0, max_iter=20).fit(train).transform(given)
        judge("IterativeImputer, means", filled, filled, 0.0)
        filled = SimpleImputer().fit(train).transform(given)
        judge("column means", filled, filled, 0.0)
    return [[name, *map(float, np.mean(values, axis=0))] for name, values in found.items()]


def main() -> None:
    splits = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    warnings.simplefilter("ignore")
    header("Imputation by a diffusion model")
    table(("Gaussian table", "error of means", "spread / exact", "CPU s"), gaussian_rows())
    print()
    table(("Three clusters", "mean error", "largest error", "CPU s"), cluster_rows())
    for name, load in (("iris", load_iris), ("wine", load_wine)):
        print()
        heads = (name, "MAE, one draw", "MAE, mean of 10", "energy distance", "CPU s")
        table(heads, table_rows(load().data, splits))


if __name__ == "__main__":
    main()
