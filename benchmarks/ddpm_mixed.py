"""Synthetic copies of mixed tables: numbers, whole numbers and categories, against simple models.

``python benchmarks/ddpm_mixed.py [splits] [rows]``

Three tables that ship with scikit-learn: diabetes in its own units (sex a category, eight columns
whole numbers, two of them after rounding the few fractions in bp and s4), wine (the cultivar and
two columns cut at their quartiles, proline whole) and breast cancer (the diagnosis, three columns
in quartiles, six real ones). Per split, a random half is fitted, and as many rows as the other half
has are drawn, of which:

- one column, two columns: total variation to the unseen half, of categories and of other columns
  cut at the deciles (one column) or quartiles (pairs) of the training half; mean over all of them;
- AUC: of a random forest that tells drawn from unseen rows, by cross-validation; 0.5 is perfect;
- accuracy: on the unseen half, of a random forest trained on drawn rows to predict the category;
- nats: mean log-probability of unseen rows, of DDPM a lower bound;
- s: seconds of CPU of fit and draw.

"One-hot bits" are DDPM and GaussianMixture (components by BIC) on 0-1 columns of a category, the
largest taken, whole numbers rounded. "Independent columns" resamples every column by itself.
"""

import sys
import time
import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from _report import header, table
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_val_score

from skgm import DDPM

QUARTERS = ["lowest", "low", "high", "highest"]
HEADINGS = ("table", "model", "one column", "two columns", "AUC", "accuracy", "nats", "s")


def diabetes() -> tuple[pd.DataFrame, str]:
    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame[["bp", "s4"]] = frame[["bp", "s4"]].round()
    whole = [name for name in frame if (frame[name] == np.rint(frame[name])).all()]
    sex = frame["sex"].map({1.0: "first", 2.0: "second"})
    return frame.astype(dict.fromkeys(whole, int)).assign(sex=sex), "sex"


def wine() -> tuple[pd.DataFrame, str]:
    bunch = load_wine(as_frame=True)
    frame = bunch.data.assign(cultivar=np.array(["one", "two", "three"])[bunch.target])
    for name in ("malic_acid", "ash"):
        frame[name] = pd.qcut(frame[name], 4, QUARTERS)
    return frame.astype({"proline": int}), "cultivar"


def breast_cancer() -> tuple[pd.DataFrame, str]:
    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.data.iloc[:, :9].copy()
    for name in ("mean texture", "mean smoothness", "mean symmetry"):
        frame[name] = pd.qcut(frame[name], 4, QUARTERS)
    return frame.assign(benign=bunch.target == 1), "benign"


TABLES = {"diabetes": diabetes, "wine": wine, "breast cancer": breast_cancer}


def is_category(column: Any) -> bool:
    return not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)


def mixed(train: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, Any]:
    model = DDPM(random_state=seed).fit(train)
    return model.sample(n, random_state=seed), model


def from_bits(
    draw: Callable[[np.ndarray, int, int], np.ndarray],
) -> Callable[[pd.DataFrame, int, int], tuple[pd.DataFrame, Any]]:
    """Make a model of mixed tables from one of real columns: 0-1 columns, the largest taken."""

    def run(train: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, Any]:
        parts = [
            pd.get_dummies(train[name].astype(str)).astype(float)
            if is_category(train[name])
            else train[[name]].astype(float)
            for name in train
        ]
        rows, at, columns = draw(np.hstack([part.to_numpy() for part in parts]), n, seed), 0, {}
        for name, part in zip(train, parts):
            block, at = rows[:, at : at + part.shape[1]], at + part.shape[1]
            if is_category(train[name]):
                columns[name] = part.columns.to_numpy()[block.argmax(axis=1)]
            elif pd.api.types.is_integer_dtype(train[name]):
                columns[name] = np.rint(block[:, 0]).clip(train[name].min(), train[name].max())
            else:
                columns[name] = block[:, 0]
        return pd.DataFrame(columns), None

    return run


def bits_ddpm(X: np.ndarray, n: int, seed: int) -> np.ndarray:
    return DDPM(random_state=seed).fit(X).sample(n, random_state=seed)


def bits_mixture(X: np.ndarray, n: int, seed: int) -> np.ndarray:
    scale = X.std(axis=0)
    fits = [
        GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(X / scale) for k in range(1, 7)
    ]
    best = min(fits, key=lambda fit: fit.bic(X / scale))
    return best.sample(n)[0] * scale


def independent(train: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(seed)
    columns = {name: rng.choice(train[name].astype(object), size=n) for name in train}
    return pd.DataFrame(columns).astype(train.dtypes), None


def copy_of_rows(train: pd.DataFrame, n: int, seed: int) -> tuple[pd.DataFrame, Any]:
    return train.sample(n, replace=n > len(train), random_state=seed), None


MODELS = {
    "DDPM": mixed,
    "DDPM, one-hot bits": from_bits(bits_ddpm),
    "GaussianMixture, one-hot bits": from_bits(bits_mixture),
    "independent columns": independent,
    "copy of the training rows": copy_of_rows,
}


def coded(frame: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    """Return categories as numbers, for forests."""
    columns = []
    for name in train:
        column = frame[name]
        if is_category(train[name]):
            levels = sorted(train[name].astype(str).unique())
            column = pd.Categorical(column.astype(str), levels).codes
        columns.append(np.asarray(column, dtype=float))
    return np.column_stack(columns)


def variation(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """Return the total variation between two tables of bin numbers."""
    cells = [np.ravel_multi_index(part, [16] * len(part)) for part in (a, b)]
    counts = [np.bincount(c, minlength=16 ** len(a)) / len(c) for c in cells]
    return float(0.5 * np.abs(counts[0] - counts[1]).sum())


def judged(name: str, target: str, parts: tuple[Any, ...], model: Any, seed: int) -> list[float]:
    train, test = parts
    start = time.process_time()
    drawn, fitted = MODELS[model](train, len(test), seed)
    seconds = time.process_time() - start
    tables = [coded(part, train) for part in (drawn, test, train)]
    distances = []
    for k, quantiles in ((1, 10), (2, 4)):
        bins = [[], []]
        for j, column in enumerate(train):
            edges = np.quantile(tables[2][:, j], np.arange(1, quantiles) / quantiles)
            edges = np.arange(0.5, 15) if is_category(train[column]) else edges
            for side in (0, 1):
                bins[side].append(np.searchsorted(edges, tables[side][:, j]))
        chosen = list(combinations(range(train.shape[1]), k))
        sides = [[[bins[side][j] for j in group] for group in chosen] for side in (0, 1)]
        distances.append(float(np.mean([variation(a, b) for a, b in zip(*sides)])))
    forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
    origin = np.repeat([0, 1], [len(drawn), len(test)])
    auc = cross_val_score(forest, np.vstack(tables[:2]), origin, cv=5, scoring="roc_auc").mean()
    at = list(train).index(target)
    inputs = [np.delete(part, at, axis=1) for part in tables[:2]]
    forest.fit(inputs[0], tables[0][:, at])
    accuracy = forest.score(inputs[1], tables[1][:, at])
    nats = np.nan if fitted is None else fitted.score(test)
    return [*distances, float(auc), float(accuracy), float(nats), seconds]


def main() -> None:
    splits = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    warnings.simplefilter("ignore")
    header(f"Synthetic copies of mixed tables, {splits} splits")
    rows = []
    for name, load in TABLES.items():
        frame, target = load()
        for model in MODELS:
            found = []
            for split in range(splits):
                order = np.random.default_rng(split).permutation(len(frame))[:most]
                half = len(order) // 2
                parts = frame.iloc[order[:half]], frame.iloc[order[half:]]
                found.append(judged(name, target, parts, model, split))
            means = [
                "" if np.isnan(value) else float(value) for value in np.mean(found, axis=0).tolist()
            ]
            rows.append([name, model, *means])
            print(rows[-1], file=sys.stderr, flush=True)
    table(HEADINGS, rows)


if __name__ == "__main__":
    main()
