"""Held-out log-likelihood of skgm's densities beside scikit-learn's, with paired intervals.

    python benchmarks/held_out_likelihood.py

The Gaussian and the normal columns choose their transform by cross-validation; the other densities
of skgm are as constructed by default. DDPM's log-density is that of its probability flow.

A density of recorded numbers can be made as high as one likes by narrow peaks at the values that
many rows share. So every number is drawn uniformly from the cell that is recorded as it (see
`dequantized`): what is scored is the probability of the cell over its width. Every table is treated
alike: repeated rows are dropped, a quarter of the rows is put aside for the test, and every method
standardizes the columns and chooses its options on the other rows alone. Larger tables are read
from the folder that the environment variable SKGM_BENCH_DATA names, where they are there.
"""

import time

import numpy as np
from _report import header, table
from _tables import FOLDS, SEED, bundled, dequantized, from_folder, kernel_by_cv, mixture_by_bic
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.preprocessing import PowerTransformer, StandardScaler

from skgm import (
    DDPM,
    DensityPipeline,
    MLEDensity,
    NCEDensity,
    ScoreMatchingGaussian,
    compare_densities,
)


def ours(density, grid):
    def log_density(train, test):
        scalers = [StandardScaler(), PowerTransformer()]
        pipeline = DensityPipeline([("scale", StandardScaler()), ("density", density)])
        search = GridSearchCV(pipeline, {"scale": scalers, **grid}, cv=FOLDS)
        return search.fit(train).best_estimator_.score_samples(test)

    return log_density


def by_default(density):
    def log_density(train, test):
        return clone(density).fit(train).score_samples(test)

    return log_density


def in_table_units(fit):
    """Standardize by the training rows, fit there, and return to the units of the table."""

    def log_density(train, test):
        scaler = StandardScaler().fit(train)
        density = fit(scaler.transform(train))
        return density.score_samples(scaler.transform(test)) - np.log(scaler.scale_).sum()

    return log_density


COVARIANCES = {"density__covariance_type": ["full", "diag", "spherical"]}
METHODS = {
    "skgm ScoreMatchingGaussian": ours(ScoreMatchingGaussian(), COVARIANCES),
    "skgm MLEDensity normal": ours(MLEDensity("normal"), {}),
    "skgm NCEDensity": by_default(NCEDensity(random_state=SEED)),
    "skgm DDPM": by_default(DDPM(random_state=SEED)),
    "sklearn GaussianMixture": in_table_units(mixture_by_bic),
    "sklearn KernelDensity": in_table_units(kernel_by_cv),
}
OURS = [name for name in METHODS if name.startswith("skgm")]
PEERS = [name for name in METHODS if name.startswith("sklearn")]


def measure(X):
    """Return the test log-densities and the seconds of every method."""
    train, test = train_test_split(X, test_size=0.25, random_state=SEED)
    log_densities, seconds = {}, {}
    for name, method in METHODS.items():
        start = time.process_time()
        log_densities[name] = method(train, test)
        seconds[name] = time.process_time() - start
    return log_densities, seconds


def difference(a, b):
    try:
        result = compare_densities(a, b)
    except ValueError:  # a density of zero: no mean difference
        return (
            f"undefined ({np.isneginf(a).sum()}, {np.isneginf(b).sum()} rows of zero density)",
            "",
        )
    verdict = "wins" if result.low > 0 else "loses" if result.high < 0 else "tie"
    return f"{result.difference:+.2f} [{result.low:+.2f}, {result.high:+.2f}]", verdict


def main():
    header("Held-out log-likelihood, nats per row", ("numpy", "scikit-learn"))
    levels, duels, times = [], [], []
    for name, frame in (*bundled(), *from_folder()):
        X = dequantized(frame)
        log_densities, seconds = measure(X)
        n_test = len(log_densities[PEERS[0]])
        size = f"{len(X) - n_test} + {n_test}, {X.shape[1]}"
        levels.append([name, size, *(f"{v.mean():.2f}" for v in log_densities.values())])
        best = max(PEERS, key=lambda peer: log_densities[peer].mean())
        for ours in OURS:
            duels.append([name, ours, best, *difference(log_densities[ours], log_densities[best])])
        slowest = max(seconds[peer] for peer in PEERS)
        times.append([name, slowest, *(seconds[m] / slowest for m in METHODS)])
    table(["table", "train + test rows, columns", *METHODS], levels)
    print("\nOurs minus the peer that is better on the test rows, 95% paired interval\n")
    table(["table", "ours", "theirs", "difference", "ours"], duels)
    print("\nProcessor seconds of the slower peer, selection included; those of all as ratios\n")
    table(["table", "seconds", *METHODS], times)


if __name__ == "__main__":
    main()
