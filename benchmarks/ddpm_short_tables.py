"""Held-out log-likelihood of short tables: does the trial run of DDPM help, and against peers.

``python benchmarks/ddpm_short_tables.py [seeds] [rows]``

Training on so many rows (300), mean log-density of at most 400 others in nats per row; columns in
standard units, duplicates dropped and lattices filled by uniform noise of a step. "two and a half
updates per row" is DDPM with that number of updates, without the trial run that calibrates the
network. GaussianMixture chooses 1 to 32 components by BIC, KernelDensity its bandwidth by
cross-validation. The tables of SKGM_BENCH_DATA are left out where it does not name a folder. The
constants of the trial run were chosen on these tables and on the toys of ddpm_toys.py; so was the
least gain for which a column is bent, on the power plant.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _report import header, table
from ddpm_toys import TOYS, draw, fit_kernel, fit_mixture
from sklearn.preprocessing import StandardScaler

from skgm import DDPM

FILES = {
    "concrete": "Concrete_Data.csv",
    "power plant": "CCPP.csv",
    "red wine": "winequality-red.csv",
}


def fit_untried(X: np.ndarray, seed: int) -> Any:
    return DDPM(max_iter=int(2.5 * len(X)), random_state=seed).fit(X)


def fit_diffusion(X: np.ndarray, seed: int) -> Any:
    return DDPM(random_state=seed).fit(X)


PEERS = {
    "DDPM": fit_diffusion,
    "2.5 updates per row": fit_untried,
    "GaussianMixture, BIC": fit_mixture,
    "KernelDensity, CV": fit_kernel,
}


def load(path: Path, rng: np.random.Generator) -> np.ndarray:
    rows = np.genfromtxt(path, delimiter=",", comments="#")
    rows = np.unique(rows[np.isfinite(rows).all(axis=1)], axis=0)
    if "wine" in path.name:
        rows = rows[:, :-1]  # the grade
    step = [np.diff(np.unique(column)).min() for column in rows.T]
    return np.asarray(StandardScaler().fit_transform(rows + rng.random(rows.shape) * step))


def split(name: str, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if name in TOYS:
        return draw(name, n, rng), draw(name, 400, rng)
    rows = load(Path(os.environ["SKGM_BENCH_DATA"]) / FILES[name], rng)
    order = rng.permutation(len(rows))
    return rows[order[:n]], rows[order[n : n + 400]]


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:]]
    n_seeds, n = [*numbers, *(3, 300)[len(numbers) :]]
    header(f"Held-out log-likelihood after {n} rows, {n_seeds} seeds")
    warnings.simplefilter("ignore")
    folder = Path(os.environ.get("SKGM_BENCH_DATA", ""))
    names = list(TOYS)
    for name, file in FILES.items():
        if "SKGM_BENCH_DATA" in os.environ and (folder / file).exists():
            names.append(name)
        else:
            print(f"{name}: {file} is not in SKGM_BENCH_DATA\n")
    rows: list[list[Any]] = []
    for name in names:
        parts = list(enumerate(split(name, n, seed) for seed in range(n_seeds)))
        means = [
            float(np.mean([fit(X, k).score_samples(fresh).mean() for k, (X, fresh) in parts]))
            for fit in PEERS.values()
        ]
        rows.append([name, *means])
        print(*rows[-1], file=sys.stderr, flush=True)
    table(("table", *PEERS), rows)


if __name__ == "__main__":
    main()
