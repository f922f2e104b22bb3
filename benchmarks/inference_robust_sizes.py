"""Sizes of robust tests and misses of robust intervals in small samples.

    python benchmarks/inference_robust_sizes.py [replicates]

Nominal 5%, families that are right, n = 15 and 50. The intervals miss where the robust Wald test
rejects.
"""

import sys

import numpy as np
from _report import header, table

from skgm import MLEDensity, score_test, wald_test
from skgm.inference.families import get_family

CASES = [
    ("gamma", {"shape": 2.0, "scale": 1.0}, "shape"),
    ("weibull", {"shape": 2.0, "scale": 1.0}, "shape"),
    ("inverse_gaussian", {"mu": 1.0, "lam": 1.0}, "lam"),
    ("normal", {"mu": 0.0, "sigma": 1.0}, "sigma"),
    ("normal", {"mu": 0.0, "sigma": 1.0}, "mu"),
    ("poisson", {"mu": 2.0}, "mu"),
]


def sizes(name, truth, parameter, n, replicates, rng) -> list[float]:
    """Return rejections in % of the robust Wald and score tests."""
    X = get_family(name).sample({k: np.full(replicates, v) for k, v in truth.items()}, n, rng)
    null = {parameter: truth[parameter]}
    found = [
        [test(MLEDensity(name), x[:, None], null, robust=True).pvalue < 0.05 for x in X.T]
        for test in (wald_test, score_test)
    ]
    return [100 * float(np.mean(part)) for part in found]


def main(replicates: int) -> None:
    """Print the table."""
    header(f"Robust tests: size in % of nominal 5% tests, {replicates} replicates")
    rng = np.random.default_rng(0)
    rows = [
        [
            f"{name} {parameter}",
            n,
            *(f"{s:.1f}" for s in sizes(name, truth, parameter, n, replicates, rng)),
        ]
        for name, truth, parameter in CASES
        for n in (15, 50)
    ]
    table(["parameter", "n", "robust Wald (and interval)", "robust score"], rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
