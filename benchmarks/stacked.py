"""Held-out log-likelihood of StackedDensity beside its members and scikit-learn's densities.

    python benchmarks/stacked.py [TABLE ...]

Every table is treated alike: repeated rows are dropped, every number is drawn uniformly from the
cell that is recorded as it, and a quarter of the rows is put aside for the test. The densities of
skgm are as constructed by default; those of scikit-learn standardize the columns and choose their
options on the training rows (components and covariances by BIC, bandwidth by cross-validation).

Tables that ship with scikit-learn are always there. Larger ones are read from the folder that the
environment variable SKGM_BENCH_DATA names, and from its folder "uci". Names on the command line
choose among them. While the settings of GaussianMixtureDensity were chosen, iris, wine, diabetes,
breast cancer and red wine were looked at, and no table for those of StackedDensity.
"""

import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from _report import header, table
from _tables import SEED, bundled, dequantized, from_folder, kernel_by_cv, mixture_by_bic
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skgm import (
    DDPM,
    DensityChain,
    GaussianMixtureDensity,
    NCEDensity,
    StackedDensity,
    compare_densities,
)

MOST_ROWS = 2_000  # of a table, drawn at random
OURS = {
    "GaussianMixtureDensity": GaussianMixtureDensity(random_state=SEED),
    "DensityChain": DensityChain(random_state=SEED),
    "NCEDensity": NCEDensity(random_state=SEED),
    "DDPM": DDPM(random_state=SEED),
}
PEERS = {"sklearn GaussianMixture": mixture_by_bic, "sklearn KernelDensity": kernel_by_cv}


def from_uci():
    """Tables without a header, one column per number."""
    folder = Path(os.environ.get("SKGM_BENCH_DATA", ".")) / "uci"
    for path in sorted(folder.glob("*.csv.gz")):
        frame = pd.read_csv(path, header=None)
        yield path.name.removesuffix(".csv.gz"), frame.loc[:, frame.nunique() > 2]


def in_table_units(fit, train, test):
    scaler = StandardScaler().fit(train)
    density = fit(scaler.transform(train))
    return density.score_samples(scaler.transform(test)) - np.log(scaler.scale_).sum()


def timed(function):
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def measure(train, test):
    """Return the test log-densities of all, their seconds, and the fitted stack."""
    found, seconds = {}, {}
    for name, density in OURS.items():
        found[name], seconds[name] = timed(lambda d=density: d.fit(train).score_samples(test))
    for name, fit in PEERS.items():
        found[name], seconds[name] = timed(lambda f=fit: in_table_units(f, train, test))
    stack = StackedDensity(random_state=SEED)
    values, seconds["StackedDensity"] = timed(lambda: stack.fit(train).score_samples(test))
    return {"StackedDensity": values} | found, seconds, stack


def difference(a, b):
    try:
        result = compare_densities(a, b)
    except ValueError:  # a density of zero: no mean difference
        return "undefined: rows of zero density"
    return f"{result.difference:+.2f} [{result.low:+.2f}, {result.high:+.2f}]"


def main():
    header("StackedDensity on held-out rows, nats per row", ("numpy", "scikit-learn"))
    levels, duels, weights, times = [], [], [], []
    for name, frame in (*bundled(), *from_folder(), *from_uci()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        X = dequantized(frame)
        X = np.random.default_rng(SEED).permutation(X)[:MOST_ROWS]
        train, test = train_test_split(X, test_size=0.25, random_state=SEED)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, seconds, stack = measure(train, test)
        size = f"{len(train)} + {len(test)}, {X.shape[1]}"
        levels.append([name, size, *(f"{v.mean():.2f}" for v in found.values())])
        for group, names in (("member", OURS), ("peer", PEERS)):
            best = max(names, key=lambda rival: found[rival].mean())
            stacked = found["StackedDensity"]
            duels.append([name, f"{group} {best}", difference(stacked, found[best])])
        kept = ", ".join(f"{member} {share:.2f}" for member, share in stack.weights_.items())
        weights.append([name, kept])
        times.append([name, *(f"{seconds[rival]:.1f}" for rival in found)])
        print(levels[-1], duels[-2:], kept, file=sys.stderr, flush=True)
    rivals = ["StackedDensity", *OURS, *PEERS]
    table(["table", "train + test rows, columns", *rivals], levels)
    print("\nThe stack minus the best member alone, and minus the best peer, on the test rows\n")
    table(["table", "against the best", "difference, 95% paired interval"], duels)
    print("\nWeights\n")
    table(["table", "members kept"], weights)
    print("\nSeconds, fit and score\n")
    table(["table", *rivals], times)


if __name__ == "__main__":
    main()
