"""Sizes and power of goodness_of_fit beside scipy's, and the CPU time of both.

    python benchmarks/goodness_of_fit.py [tables] [tables of scipy] [ad ks cvm]

Sizes are of nominal 5% tests with the parameters estimated: tables of each family are columns of
one, so that one call tests them all. Power and time are of the same tables in both libraries, with
99 resamples, Anderson-Darling.
"""

import sys
import time

import numpy as np
from _report import header, table
from scipy import stats

from skgm import MLEDensity, goodness_of_fit
from skgm.inference.families import get_family

LEVEL, RESAMPLES = 0.05, 199
FAMILIES = [
    ("normal", {"mu": 0.0, "sigma": 1.0}),
    ("gamma", {"shape": 2.0, "scale": 1.0}),
    ("weibull", {"shape": 2.0, "scale": 1.0}),
    ("laplace", {"loc": 0.0, "scale": 1.0}),
    ("poisson", {"mu": 3.0}),
    ("negative_binomial", {"mu": 3.0, "size": 2.0}),
]
POWER = [
    ("weibull", stats.weibull_min, {"loc": 0}, stats.lognorm(0.7), "lognormal"),
    ("normal", stats.norm, {}, stats.t(4), "Student's t, 4 df"),
    ("gamma", stats.gamma, {"loc": 0}, stats.pareto(3, loc=-1), "Pareto from 0"),
]


def size(name, truth, n, kind, tables, rng) -> float:
    """Return the share of tables of the family that the test rejects, in %."""
    wide = {k: np.full(tables, v) for k, v in truth.items()}
    X = get_family(name).sample(wide, n, rng)
    p = goodness_of_fit(
        MLEDensity(name), X, statistic=kind, n_resamples=RESAMPLES, random_state=rng
    ).pvalue
    return 100 * float(np.mean(p <= LEVEL))


def beside_scipy(case, n, tables, rng):
    """Return rejections in % and CPU seconds a test, of scipy and of skgm."""
    name, distribution, known, law, label = case
    rejected, spent = np.zeros(2), np.zeros(2)
    for _ in range(tables):
        x = law.rvs(size=n, random_state=rng)
        start = time.process_time()
        theirs = stats.goodness_of_fit(
            distribution, x, known_params=known, statistic="ad", n_mc_samples=99, rng=rng
        ).pvalue
        between = time.process_time()
        ours = goodness_of_fit(
            MLEDensity(name), x[:, None], statistic="ad", n_resamples=99, random_state=rng
        ).pvalue
        spent += [between - start, time.process_time() - between]
        rejected += [theirs <= LEVEL, ours <= LEVEL]
    return [name, label, n, *(100 * rejected / tables), *(spent / tables), spent[0] / spent[1]]


def one_large_test(rng):
    """Return CPU seconds of one test of 100 Weibull rows with 999 resamples, and both answers."""
    x = rng.weibull(2.0, size=100)
    goodness_of_fit(MLEDensity("weibull"), x[:, None], random_state=0)  # imports
    start = time.process_time()
    theirs = stats.goodness_of_fit(
        stats.weibull_min, x, known_params={"loc": 0}, statistic="ad", n_mc_samples=999, rng=rng
    )
    between = time.process_time()
    ours = goodness_of_fit(MLEDensity("weibull"), x[:, None], random_state=0)
    end = time.process_time()
    return [
        ["scipy", between - start, f"{theirs.statistic:.5f}", theirs.pvalue],
        ["skgm", end - between, f"{ours.statistic:.5f}", ours.pvalue],
    ]


def main(tables: int, tables_of_scipy: int, kinds: list[str]) -> None:
    """Print the tables."""
    rng = np.random.default_rng(0)
    header(
        f"Goodness of fit: size in % of nominal 5% tests, {tables} tables, {RESAMPLES} resamples"
    )
    rows = [
        [name, n, *(f"{size(name, truth, n, kind, tables, rng):.2f}" for kind in kinds)]
        for name, truth in FAMILIES
        for n in (20, 100)
    ]
    table(["family", "n", *kinds], rows)
    print(f"\nPower in %, {tables_of_scipy} tables of 50 rows, and CPU seconds a test\n")
    found = [beside_scipy(case, 50, tables_of_scipy, rng) for case in POWER]
    heads = ["family", "truth", "n", "scipy", "skgm", "seconds, scipy", "seconds, skgm", "ratio"]
    table(heads, found)
    print("\nOne Weibull column of 100 rows, 999 resamples\n")
    table(["", "CPU seconds", "statistic", "p"], one_large_test(rng))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    counts = [int(a) for a in arguments[:2]] or [4000]
    tables, tables_of_scipy = counts[0], counts[1] if len(counts) > 1 else 100
    main(tables, tables_of_scipy, arguments[2:] or ["ad"])
