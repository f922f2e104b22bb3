"""Coverage of pooled intervals of regression coefficients with 30% of the values missing.

    python benchmarks/multiple_imputation.py [n_replications]

Two truths. "gaussian": three jointly normal columns; y given two regressors. "mixed": a category, a
real column and their interaction in y; the analysis fits the interaction. The holes are in y and in
one regressor, and depend on the third, complete column (missing at random). Intervals of 95% for
all coefficients, 20 completions. Peers: complete cases alone, statsmodels' MICE, and
IterativeImputer with posterior draws.
"""

import sys
import time
import warnings

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from statsmodels.imputation.mice import MICEData

from skgm import MultipleImputer, pool

N_IMPUTATIONS = 20


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
    for _ in range(N_IMPUTATIONS):
        data.update_all(10)
        completed.append(data.data.copy())
    return completed


METHODS = {"MultipleImputer": ours, "statsmodels MICE": mice, "IterativeImputer": iterative}


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


def run(make, n, n_replications):
    hits = {name: [] for name in ["complete cases", *METHODS]}
    lengths, seconds = {name: [] for name in hits}, dict.fromkeys(hits, 0.0)
    for seed in range(n_replications):
        rng = np.random.default_rng(seed)
        full, truth = make(rng, n)
        table = punch(full, rng)
        fit = analyze(table.dropna())
        hit, length = covered(fit, truth, False)
        hits["complete cases"].append(hit)
        lengths["complete cases"].append(length)
        for name, method in METHODS.items():
            start = time.process_time()
            fits = [analyze(recode(one)) for one in method(table, seed)]
            hit, length = covered(pool(fits), truth, True)
            seconds[name] += time.process_time() - start
            hits[name].append(hit)
            lengths[name].append(length)
    for name in hits:
        cover = 100 * np.mean(hits[name], axis=0)
        mean = np.mean(lengths[name], axis=0)
        print(
            f"{make.__name__:9s} {n:4d} {name:17s} coverage % {np.round(cover, 1)} "
            f"length {np.round(mean, 3)} CPU ms {1000 * seconds[name] / n_replications:.0f}",
            flush=True,
        )


def main():
    n_replications = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    warnings.simplefilter("ignore")
    for make in (gaussian, mixed):
        for n in (100, 500):
            run(make, n, n_replications)


if __name__ == "__main__":
    main()
