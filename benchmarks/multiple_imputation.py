"""Coverage of pooled intervals of regression coefficients with 30% of the values missing.

``python benchmarks/multiple_imputation.py [replications] [of the peers] [truths...]``

Two truths. "gaussian": three jointly normal columns; y given two regressors. "mixed": a category, a
real column and their interaction in y; the analysis fits the interaction. The holes are in y and in
one regressor, and depend on the third, complete column (missing at random). Intervals of 95% for
all coefficients from 10 completions, each method at its defaults. Peers see the first of the same
tables: complete cases alone; statsmodels' MICE (10 cycles of burn-in, one completion in 4 cycles,
main effects); IterativeImputer with posterior draws. "MC error" is that of one coverage of 95%, in
percent; CPU is that of one replication, completions and pooling.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from _report import header, table
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from statsmodels.imputation.mice import MICEData

from skgm import MultipleImputer, pool

N_IMPUTATIONS = 10
BURN_IN, CYCLES = 10, 4  # of MICE, as its `fit` and `n_skip` have them
HEADINGS = ("truth", "n", "method", "replications", "coverage %", "MC error", "length", "CPU s")


def gaussian(rng, n):
    z = rng.normal(size=n)
    x = 0.6 * z + 0.8 * rng.normal(size=n)
    y = 1 + 0.5 * x - 0.7 * z + rng.normal(size=n)
    return pd.DataFrame({"z": z, "x": x, "y": y}), np.array([1.0, 0.5, -0.7])


def mixed(rng, n):
    group = rng.random(n) < 0.4
    x = rng.normal(size=n) + 0.5 * group
    y = 1 + 0.5 * x + 0.3 * group - 0.8 * group * x + rng.normal(size=n)
    z = np.where(group, "treated", "control")
    return pd.DataFrame({"z": z, "x": x, "y": y}), np.array([1.0, 0.5, 0.3, -0.8])


def punch(table, rng):
    driver = table["z"].to_numpy()
    driver = np.where(driver == "treated", 0.8, -0.5) if driver.dtype == object else driver
    table = table.copy()
    for name in ("x", "y"):
        logit = 1.2 * driver - 0.95
        table.loc[rng.random(len(table)) < 1 / (1 + np.exp(-logit)), name] = np.nan
    return table


def analyze(table):
    z = table["z"]
    if z.dtype != float:
        z = (z == "treated").astype(float)
        design = np.column_stack([np.ones(len(z)), table["x"], z, z * table["x"]])
    else:
        design = np.column_stack([np.ones(len(z)), table["x"], z])
    return sm.OLS(table["y"].to_numpy(dtype=float), design.astype(float)).fit()


def coded(table):
    if table["z"].dtype == float:
        return table
    return table.assign(z=(table["z"] == "treated").astype(float))


def ours(table, seed):
    imputer = MultipleImputer(n_imputations=N_IMPUTATIONS, random_state=seed).fit(table)
    return imputer.transform_all(table)


def iterative(table, seed):
    table, completed = coded(table), []
    for i in range(N_IMPUTATIONS):
        imputer = IterativeImputer(sample_posterior=True, random_state=1000 * seed + i)
        completed.append(pd.DataFrame(imputer.fit_transform(table), columns=table.columns))
    return completed


def mice(table, seed):
    np.random.seed(seed)  # noqa: NPY002 -- the only seed that MICEData takes
    data, completed = MICEData(coded(table)), []
    data.update_all(BURN_IN)
    for _ in range(N_IMPUTATIONS):
        data.update_all(CYCLES)
        completed.append(data.data.copy())
    return completed


PEERS = {"statsmodels MICE": mice, "IterativeImputer": iterative}
OURS, COMPLETE = "MultipleImputer", "complete cases"


def covered(fit, truth, pooled):
    if pooled:
        intervals = fit.confidence_intervals()
        low, high = (
            np.array([side[name] for name in fit.names]) for side in (intervals.low, intervals.high)
        )
    else:
        low, high = fit.conf_int().T
    return (low <= truth) & (truth <= high), high - low


def recode(table):
    """Turn a coded group back into the text that `analyze` reads."""
    if table["z"].dtype == object or set(np.unique(table["z"])) - {0.0, 1.0}:
        return table
    return table.assign(z=np.where(table["z"] == 1, "treated", "control"))


def run(make, n, counts):
    """Yield a line of the table for each method."""
    methods = {COMPLETE: None, OURS: ours, **PEERS}
    found = {name: [] for name in methods}
    seconds = dict.fromkeys(methods, 0.0)
    for seed in range(max(counts)):
        rng = np.random.default_rng(seed)
        full, truth = make(rng, n)
        rows = punch(full, rng)
        for name, method in methods.items():
            if seed >= counts[name in PEERS]:
                continue
            start = time.process_time()
            if method is None:
                fit = analyze(rows.dropna())
            else:
                fit = pool([analyze(recode(one)) for one in method(rows, seed)])
            found[name].append(covered(fit, truth, method is not None))
            seconds[name] += time.process_time() - start
    for name, each in found.items():
        hits, lengths = (np.mean(part, axis=0) for part in zip(*each))
        m = len(each)
        yield (
            make.__name__,
            n,
            name,
            m,
            " ".join(f"{100 * hit:.1f}" for hit in hits),
            f"{100 * np.sqrt(0.95 * 0.05 / m):.1f}",
            " ".join(f"{length:.2f}" for length in lengths),
            f"{seconds[name] / m:.2f}",
        )


def main():
    arguments = sys.argv[1:]
    counts = [int(count) for count in (*arguments[:2], *(200, 50)[len(arguments[:2]) :])]
    warnings.simplefilter("ignore")
    header(__doc__)
    lines = []
    for make in (gaussian, mixed):
        if arguments[2:] and make.__name__ not in arguments[2:]:
            continue
        for n in (100, 500):
            for line in run(make, n, counts):
                print(*line, sep="  ", flush=True)
                lines.append(line)
    table(HEADINGS, lines)


if __name__ == "__main__":
    main()
