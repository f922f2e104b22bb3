"""Held-out log-likelihood of StackedDensity beside NCEDensity and densities of other packages.

    python benchmarks/stacked.py [TABLE ...]

Every table is treated alike: repeated rows are dropped, every number is drawn uniformly from the
cell that is recorded as it, and a quarter of at most 1,000 rows is put aside for the test. The
densities of skgm and pyvinecopulib's VineDensity are as constructed by default; those of
scikit-learn standardize the columns and choose their options on the training rows (components and
covariances by BIC, bandwidth by cross-validation). arfpy's forest has no method for the density of
a row, which is computed here from its parameters: the mean over its trees of the truncated normals
of the leaf that the row falls into.

Tables that ship with scikit-learn and statsmodels are always there. Larger ones are read from the
folder that the environment variable SKGM_BENCH_DATA names, and from its folder "uci". Names on the
command line choose among them. LOOKED_AT names the tables that were looked at while a default of
skgm was chosen. The environment variable SKGM_BENCH_KEEP names a folder in which the results of
each table are kept, so that a run can be made in pieces.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.datasets
from _report import header, table
from _tables import (
    SEED,
    bundled,
    data_file,
    dequantized,
    from_folder,
    kernel_by_cv,
    mixture_by_bic,
)
from arfpy.arf import arf
from pyvinecopulib.sklearn import VineDensity
from scipy.special import logsumexp
from scipy.stats import truncnorm
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skgm import NCEDensity, StackedDensity, compare_densities

MOST_ROWS = 1_000  # of a table, drawn at random
LOOKED_AT = (
    *("iris", "wine", "diabetes", "breast cancer", "red wine", "power plant", "concrete"),
    *("magic", "abalone", "automobiles"),
)
SHIPPED = ("engel", "grunfeld", "macrodata", "star98", "randhie", "cancer")  # with statsmodels


def numbers(frame):
    """Return the columns of numbers with more than two values, complete rows only."""
    frame = frame.select_dtypes("number")
    return frame.loc[:, frame.nunique() > 2].dropna()


def from_files():
    """Tables of numbers of the folder, and of statsmodels."""
    folder = Path(os.environ.get("SKGM_BENCH_DATA", ".")) / "uci"
    for path in sorted(folder.glob("*.csv.gz")):
        yield path.name.removesuffix(".csv.gz"), numbers(pd.read_csv(path, header=None))
    for name, file in (("magic", "magic.csv.gz"), ("abalone", "abalone.csv")):
        path = data_file(file)
        if path is not None:
            yield name, numbers(pd.read_csv(path, header=0 if name == "magic" else None))
    path = data_file("auto_imports.csv")
    if path is not None:
        yield "automobiles", numbers(pd.read_csv(path, header=None, na_values="?"))
    for name in SHIPPED:
        yield name, numbers(getattr(statsmodels.datasets, name).load_pandas().data)


def in_table_units(fit):
    def log_density(train, test):
        scaler = StandardScaler().fit(train)
        density = fit(scaler.transform(train))
        return density.score_samples(scaler.transform(test)) - np.log(scaler.scale_).sum()

    return log_density


def by_default(density):
    return lambda train, test: density.fit(train).score_samples(test)


def by_forest(train, test):
    """Log-density of an adversarial random forest, from the parameters of its leaves."""
    np.__dict__.setdefault("in1d", np.isin)  # which arfpy calls and numpy 2.4 has no longer
    names = [f"x{j}" for j in range(train.shape[1])]
    forest = arf(pd.DataFrame(train, columns=names), verbose=False, random_state=SEED)
    found = forest.forde()["cnt"]
    coverage = forest.bnds.groupby(["tree", "nodeid"])["cvg"].first()
    leaves = forest.clf.apply(pd.DataFrame(test, columns=names))
    values = np.full(leaves.shape, -np.inf)
    for (tree, leaf), laws in found.groupby(["tree", "nodeid"]):
        rows = leaves[:, tree] == leaf
        if rows.any() and (laws["sd"] > 0).all():
            laws = laws.set_index("variable").loc[names]
            mean, sd = laws["mean"].to_numpy(), laws["sd"].to_numpy()
            low, high = (laws["min"] - mean) / sd, (laws["max"] - mean) / sd
            terms = truncnorm.logpdf(test[rows], low.to_numpy(), high.to_numpy(), mean, sd)
            values[rows, tree] = np.log(coverage[tree, leaf]) + terms.sum(axis=1)
    return logsumexp(values, axis=1) - np.log(leaves.shape[1])


OURS = {
    "StackedDensity": by_default(StackedDensity(random_state=SEED)),
    "NCEDensity": by_default(NCEDensity(random_state=SEED)),
}
PEERS = {
    "GaussianMixture": in_table_units(mixture_by_bic),
    "KernelDensity": in_table_units(kernel_by_cv),
    "VineDensity": by_default(VineDensity(random_state=SEED)),
    "arfpy": by_forest,
}


def measure(frame):
    """Return the size of a table, the test log-densities of all methods, and their seconds."""
    X = np.random.default_rng(SEED).permutation(dequantized(frame))[:MOST_ROWS]
    train, test = train_test_split(X, test_size=0.25, random_state=SEED)
    values, seconds = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, method in (OURS | PEERS).items():
            start = time.process_time()
            values[name] = np.asarray(method(train, test)).tolist()
            seconds[name] = time.process_time() - start
    return {
        "size": f"{len(train)} + {len(test)}, {X.shape[1]}",
        "values": values,
        "seconds": seconds,
    }


def kept(name, frame):
    """Return what `measure` does, from the folder of kept results if it is there."""
    folder = os.environ.get("SKGM_BENCH_KEEP")
    path = Path(folder or ".") / f"{name}.json"
    if folder and path.exists():
        return json.loads(path.read_text())
    found = measure(frame)
    print(
        name, {k: round(float(np.mean(v)), 2) for k, v in found["values"].items()}, file=sys.stderr
    )
    if folder:
        path.write_text(json.dumps(found))
    return found


def gap(ours, theirs):
    """Return the mean difference and its standard error; of rows of zero density how many."""
    lost = np.isneginf(theirs).sum()
    if lost:
        return np.inf, 0.0, f"{lost} rows of zero density"
    result = compare_densities(ours, theirs)
    text = f"{result.difference:+.2f} [{result.low:+.2f}, {result.high:+.2f}]"
    return result.difference, np.std(ours - theirs, ddof=1) / np.sqrt(len(ours)), text


def main():
    header("StackedDensity on held-out rows, nats per row", ("numpy", "scikit-learn"))
    levels, duels, times, wins = [], [], [], []
    for name, frame in (*bundled(), *from_folder(), *from_files()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        found = kept(name, frame)
        values = {method: np.array(rows) for method, rows in found["values"].items()}
        levels.append([name, found["size"], *(f"{rows.mean():.2f}" for rows in values.values())])
        best = max(PEERS, key=lambda peer: values[peer].mean())
        difference, error, text = gap(values["StackedDensity"], values[best])
        duels.append([name, "yes" if name in LOOKED_AT else "never", best, text])
        wins.append([name in LOOKED_AT, difference > -error, difference > 2 * error])
        times.append([name, *(f"{found['seconds'][method]:.1f}" for method in values)])
    rivals = [*OURS, *PEERS]
    table(["table", "train + test rows, columns", *rivals], levels)
    print("\nThe stack minus the best of the four peers on the test rows, 95% paired interval\n")
    table(["table", "looked at", "best peer", "difference"], duels)
    looked, level, above = np.array(wins).T
    for which, word in ((looked, "looked at"), (~looked, "never looked at")):
        print(
            f"\n{which.sum()} tables {word}: within one standard error of the best peer, or above, "
            f"on {level[which].sum()}; above by two on {above[which].sum()}."
        )
    print("\nProcessor seconds, fit and score\n")
    table(["table", *rivals], times)


if __name__ == "__main__":
    main()
