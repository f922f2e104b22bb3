"""What n_jobs=2 saves: pairs of runs with one worker and with two, of the same work.

``python benchmarks/parallel.py [pairs] [names...]``

Wall and CPU seconds are medians over the pairs, which run one after the other; the speed-up is the
median of the ratios of wall seconds within pairs. CPU is that of this process and its workers,
which are started before: where it does not grow, a second free core halves the time. "cores" is
what two spinning processes get in the same minute, relative to one: below 2 the machine is shared.
"same" says whether the two results are equal bit for bit.
"""

import contextlib
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _report import header, table

from skgm import (
    DDPM,
    DensityChain,
    GaussianMixtureDensity,
    MLEDensity,
    MultipleImputer,
    NCEDensity,
    ScoreMatchingGaussian,
    StackedDensity,
)

HEADINGS = ("work", "wall 1", "wall 2", "CPU 1", "CPU 2", "speed-up", "cores", "same")


def rows_of(n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d))
    X[:, 1:] += 0.5 * X[:, :-1] ** 2
    return X


def cpu() -> float:
    """Return the CPU seconds of this process and of its children that run (Linux)."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if os.getpid() in (int(stat.parent.name), int(fields[1])):
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def spin(_: int) -> float:
    start = time.perf_counter()
    sum(range(10**7))
    return time.perf_counter() - start


def cores() -> float:
    """Return how many cores two spinning processes have together."""
    alone = spin(0)
    with multiprocessing.Pool(2) as pool:
        return 2 * alone / statistics.mean(pool.map(spin, [0, 0], chunksize=1))


def stacked(n_jobs: int) -> Callable[[], Any]:
    X = rows_of(1000, 6)
    members = [("mixture", GaussianMixtureDensity()), ("chain", DensityChain(n_orders=1))]
    return lambda: StackedDensity(members, random_state=0, n_jobs=n_jobs).fit(X).score_samples(X)


def contrast(n_jobs: int) -> Callable[[], Any]:
    X, noise = rows_of(8_000, 6), ScoreMatchingGaussian()
    options = {"noise": noise, "n_critics": 4, "normalizer_tol": 0.1, "lattice": "ignore"}
    return lambda: NCEDensity(random_state=0, n_jobs=n_jobs, **options).fit(X).score_samples(X)


def diffusion(call: str) -> Callable[[int], Callable[[], Any]]:
    def prepare(n_jobs: int) -> Callable[[], Any]:
        X = rows_of(40_000, 10)
        density = DDPM(max_iter=100, random_state=0, n_jobs=n_jobs).fit(X[:2000])
        if call == "score":
            return lambda: density.score_samples(X[:10_000])
        return lambda: density.sample(40_000, random_state=0)

    return prepare


def imputed(n_jobs: int) -> Callable[[], Any]:
    X = rows_of(3000, 8)
    X[::3, 2] = np.nan
    density = GaussianMixtureDensity(4, random_state=0)
    imputer = MultipleImputer(density, n_imputations=10, random_state=0, n_jobs=n_jobs)
    return lambda: np.stack(imputer.fit(X).transform_all(X))


def chained(n_jobs: int) -> Callable[[], Any]:
    X = rows_of(4000, 8)
    return lambda: DensityChain(n_orders=1, random_state=0, n_jobs=n_jobs).fit(X).score_samples(X)


def bootstrapped(n_jobs: int) -> Callable[[], Any]:
    X = np.exp(rows_of(4000, 4) / 4)
    density = MLEDensity("gamma").fit(X)
    options = {"method": "bootstrap", "X": X, "random_state": 0, "n_jobs": n_jobs}
    return lambda: np.stack([*density.confidence_intervals(**options).low.values()])


WORK: dict[str, Callable[[int], Callable[[], Any]]] = {
    "StackedDensity.fit": stacked,
    "NCEDensity.fit": contrast,
    "DDPM.score_samples": diffusion("score"),
    "DDPM.sample": diffusion("sample"),
    "MultipleImputer": imputed,
    "DensityChain.fit": chained,
    "bootstrap intervals": bootstrapped,
}


def main() -> None:
    warnings.simplefilter("ignore")
    n_pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    header(__doc__)
    found = []
    for name in sys.argv[2:] or WORK:
        one, two = (WORK[name](n_jobs) for n_jobs in (1, 2))
        two()  # starts the workers
        pairs, same = [], True
        for _ in range(n_pairs):
            times, results = [], []
            for work in (one, two):
                start, used = time.perf_counter(), cpu()
                results.append(work())
                times += [time.perf_counter() - start, cpu() - used]
            pairs.append(times)
            same &= bool(np.array_equal(*results))
        gain = statistics.median(pair[0] / pair[2] for pair in pairs)
        one_wall, one_cpu, two_wall, two_cpu = (statistics.median(each) for each in zip(*pairs))
        seconds = (one_wall, two_wall, one_cpu, two_cpu)
        share = cores()
        line = (name, *(f"{s:.1f}" for s in seconds), f"{gain:.2f}", f"{share:.2f}", same)
        print(*line, flush=True)
        found.append(line)
    table(HEADINGS, found)


if __name__ == "__main__":
    main()
