"""The null law of r* for a Cauchy scale in very small samples: its mean and standard deviation.

r* is a pivot there: its law depends on the number of rows only. The family takes the constants
that this prints (`_SCALE_ROOT` and, of the plain root r with three and four rows, `_PLAIN_ROOT` of
the Cauchy family). Beyond a dozen rows the law is standard normal to simulation error.
``python benchmarks/inference_cauchy_root.py [replicates]``.
"""

import contextlib
import sys

import numpy as np
from _report import header, table

from skgm.inference._likelihood.inversion import Profile
from skgm.inference._likelihood.rstar import rstar
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


def plain_roots(n, name, replicates):
    """Draws of r at the true value of n rows."""
    family, rng, found = get_family("cauchy"), np.random.default_rng(2000 + n), []
    truth = np.full(100, float(name == "scale"))
    for _ in range(-(-replicates // 100)):
        statistics = family.summarize(rng.standard_cauchy((n, 100)), None)
        profile = Profile(family, name, statistics, family.estimate(statistics))
        with contextlib.suppress(ValueError):  # a table, one in 10^4, whose search ends astray
            found.append(profile.root(truth))
    return np.concatenate(found)


def main():
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 120_000
    header(f"r* of a Cauchy scale under the null: {replicates} replicates")
    rows = []
    for n in (5, 6, 7, 8, 9, 10, 11, 12, 20):
        found = roots(n, replicates)
        tails = [100 * np.mean(found > 1.959964), 100 * np.mean(found < -1.959964)]
        rows.append(
            ["r*", n, f"{found.mean():.4f}", f"{found.std():.4f}", *(f"{t:.2f}" for t in tails)]
        )
    for n, name in ((3, "scale"), (4, "loc"), (4, "scale")):
        found = plain_roots(n, name, replicates)
        z = (found - found.mean()) / found.std()
        tails = [100 * np.mean(z > 1.959964), 100 * np.mean(z < -1.959964)]
        moments = [f"{found.mean():.4f}", f"{found.std():.4f}"]
        rows.append([f"r of {name}, standardized", n, *moments, *(f"{t:.2f}" for t in tails)])
    table(["root", "n", "mean", "standard deviation", "upper tail %", "lower tail %"], rows)


if __name__ == "__main__":
    main()
