"""Rows drawn from a density beside real ones: can they be told apart, do margins and pairs agree.

    python benchmarks/tabular_c2st.py [adult] [magic] [--seeds 3] [--models DensityChain DDPM ...]

The protocol is that of the published comparisons of synthesizers. Of each table a tenth is put
aside; the density, as constructed by default, is fitted to the rest and draws as many rows.

score, train and held-out
    1 - mean over 3 folds of (2 max(.5, AUC) - 1), of xgboost with its defaults on one-hot columns,
    told to separate drawn rows from as many training rows, or held-out rows: 1 where it cannot.
shape, trend
    Column shapes and pair trends of sdmetrics' quality report, against the training rows.
near
    Share of drawn rows that are nearer to a training row than to a held-out one, of as many of
    either: 0.5 where nothing is copied. Its standard error is .5 / sqrt(rows).
utility
    AUC on held-out rows of xgboost trained on drawn rows, less that of one trained on real rows.

The first score is the published one. It is near 1 for copies of the training rows, so read it with
the second and with `near`. The tables are read from the folder that the environment variable
SKGM_BENCH_DATA names; xgboost and sdmetrics must be installed.
"""

import argparse
import time
import warnings
from itertools import product

import numpy as np
import pandas as pd
import xgboost
from _report import header, table
from _tables import data_file
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import NearestNeighbors
from xgboost import XGBClassifier

from skgm import DDPM, DensityChain, GaussianMixtureDensity, StackedDensity

ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation"),
    *("relationship", "race", "sex", "capital_gain", "capital_loss", "hours_per_week"),
    *("native_country", "income"),
]
MODELS = {m.__name__: m for m in (DensityChain, DDPM, GaussianMixtureDensity, StackedDensity)}
FILES = {"adult": "adult-train.csv.gz", "magic": "magic.csv.gz"}
TARGETS = {"adult": "income", "magic": "label"}
# of the paper that compares these methods; its own splits of the same tables
PUBLISHED = [
    ["adult", "best circuit, published", 0.855, "", 0.994, 0.986, 0.543, ""],
    ["adult", "best diffusion, published", 0.841, "", 0.993, 0.985, 0.549, ""],
    ["magic", "best circuit, published", 0.860, "", 0.990, 0.983, 0.530, ""],
    ["magic", "best diffusion, published", 0.773, "", 0.992, 0.992, 0.501, ""],
]


def read(name):
    """Return a table with its text columns, and the missing values of adult as a category."""
    path = data_file(FILES[name])
    if path is None:
        return None
    names = ADULT if name == "adult" else None
    return pd.read_csv(path, names=names, skipinitialspace=True, keep_default_na=False)


def encoded(*frames):
    """Return frames with text columns one-hot, over the categories of all of them."""
    whole = pd.get_dummies(pd.concat(frames), dtype=float).to_numpy(dtype=np.float64)
    return np.split(whole, np.cumsum([len(frame) for frame in frames])[:-1])


def two_sample_score(real, drawn, seed):
    X = np.vstack(encoded(real, drawn))
    y = np.repeat([0, 1], [len(real), len(drawn)])
    advantages = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=seed).split(X, y):
        model = XGBClassifier(random_state=seed).fit(X[train], y[train])
        auc = roc_auc_score(y[test], model.predict_proba(X[test])[:, 1])
        advantages.append(2 * max(0.5, auc) - 1)
    return 1 - np.mean(advantages)


def quality(real, drawn):
    """Return column shapes and pair trends of sdmetrics, of all pairs with no threshold."""
    from sdmetrics.reports.single_table import QualityReport

    kinds = {True: "numerical", False: "categorical"}
    columns = {c: {"sdtype": kinds[pd.api.types.is_numeric_dtype(real[c])]} for c in real}
    report = QualityReport()
    report.real_correlation_threshold = report.real_association_threshold = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        report.generate(real, drawn, {"columns": columns}, verbose=False)
    return [report.get_details(f"Column {p}")["Score"].mean() for p in ("Shapes", "Pair Trends")]


def near_share(train, held_out, drawn, seed):
    n = len(held_out)
    some = [frame.sample(n, random_state=seed) for frame in (train, drawn)]
    X, Z, Y = encoded(some[0], held_out, some[1])
    scale = np.where(np.vstack([X, Z]).std(axis=0) > 0, np.vstack([X, Z]).std(axis=0), 1.0)
    to_train, to_held_out = (
        NearestNeighbors(n_neighbors=1).fit(rows / scale).kneighbors(Y / scale)[0][:, 0]
        for rows in (X, Z)
    )
    return np.mean(to_train < to_held_out) + 0.5 * np.mean(to_train == to_held_out)


def utility(train, held_out, drawn, target, seed):
    """Return AUC of a model trained on drawn rows less that of one trained on real ones."""
    y = [(frame[target] == train[target].iloc[0]).to_numpy() for frame in (train, drawn, held_out)]
    X = encoded(*(frame.drop(columns=target) for frame in (train, drawn, held_out)))
    real, synthetic = (
        roc_auc_score(
            y[2], XGBClassifier(random_state=seed).fit(X[i], y[i]).predict_proba(X[2])[:, 1]
        )
        for i in (0, 1)
    )
    return synthetic - real


def measure(name, model, seed):
    """Return a row of the report, and the seconds of fit and draws."""
    train, held_out = train_test_split(read(name), test_size=0.1, random_state=seed)
    start, cpu = time.perf_counter(), time.process_time()
    density = MODELS[model](random_state=seed).fit(train)
    fit, fit_cpu = time.perf_counter() - start, time.process_time() - cpu
    start = time.perf_counter()
    drawn = density.sample(len(train), random_state=seed)
    draw = time.perf_counter() - start
    shape, trend = quality(train, drawn)
    return [
        name,
        f"{model}, seed {seed}",
        two_sample_score(train, drawn, seed),
        two_sample_score(held_out, drawn.sample(len(held_out), random_state=seed), seed),
        shape,
        trend,
        near_share(train, held_out, drawn, seed),
        utility(train, held_out, drawn, TARGETS[name], seed),
        density.score(held_out),
        f"{fit:.0f} ({fit_cpu:.0f})",
        f"{draw:.0f}",
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="*", default=list(FILES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", default=["DensityChain"], choices=list(MODELS))
    options = parser.parse_args()
    title = f"Drawn rows beside real ones, told apart by xgboost {xgboost.__version__}"
    header(title, ("numpy", "scikit-learn", "sdmetrics"))
    names = [name for name in options.tables if read(name) is not None]
    cases = product(names, options.models, range(options.seeds))
    rows = [measure(*case) for case in cases]
    rows += [[*row, "", "", ""] for row in PUBLISHED if row[0] in names]
    table(
        [
            *("table", "method", "score, train", "score, held-out", "shape", "trend", "near"),
            *("utility", "held-out nats", "fit, s (cpu)", "draw, s"),
        ],
        rows,
    )


if __name__ == "__main__":
    main()
