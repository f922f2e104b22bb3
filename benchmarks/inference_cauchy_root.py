"""The null law of r* for a Cauchy scale in very small samples: its mean and standard deviation.

r* is a pivot there: its law depends on the number of rows only. The family takes the constants
that this prints (`_SCALE_ROOT` of the Cauchy family). Beyond a dozen rows the law is standard
normal to simulation error. ``python benchmarks/inference_cauchy_root.py [replicates]``.
"""

import sys

import numpy as np
from _report import header, table

from skgm.inference._rstar import rstar
from skgm.inference.families import get_family

BLOCK = 15_000


def roots(n, replicates):
    """Draws of r* at the true scale of n rows."""
    family, rng, found = get_family("cauchy"), np.random.default_rng(1000 + n), []
    for _ in range(-(-replicates // BLOCK)):
        statistics = family.summarize(rng.standard_cauchy((n, BLOCK)), None)
        estimate = family.estimate(statistics)
        found.append(rstar(family, "scale", statistics, estimate, np.ones(BLOCK))[1])
    return np.concatenate(found)


def main():
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 120_000
    header(f"r* of a Cauchy scale under the null: {replicates} replicates")
    rows = []
    for n in (5, 6, 7, 8, 9, 10, 11, 12, 20):
        found = roots(n, replicates)
        tails = [100 * np.mean(found > 1.959964), 100 * np.mean(found < -1.959964)]
        rows.append([n, f"{found.mean():.4f}", f"{found.std():.4f}", *(f"{t:.2f}" for t in tails)])
    table(["n", "mean", "standard deviation", "upper tail %", "lower tail %"], rows)


if __name__ == "__main__":
    main()
