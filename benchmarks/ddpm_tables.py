"""Synthetic copies of small tables, judged by ForestDiffusion's protocol.

``python benchmarks/ddpm_tables.py [splits] [generations] [forest] [forest-wine]``

Three stratified splits, 80 to 20 (random_state 0, 1, 2). Per split: one fit, five synthetic tables
as long as the training part, averages over both. Columns and label are brought to [0, 1] by the
training part's range; labels of three classes and more are one-hot, halved. W1 is the cost of
optimal transport between two tables under the L1 distance. Coverage is the share of real rows with
a synthetic row within the distance of their (k + 1)-th real neighbor, k the smallest for which the
real table covers 95 % of itself (as in their code, which counts once more). F1 is the macro score
on the test part of four classifiers trained on synthetic rows: LogisticRegression without penalty,
AdaBoost, RandomForest of depth 28, XGBoost (HistGradientBoosting where that is not installed); one
seed each. Variance is the within-class variance of the synthetic rows over that of the training
part, summed over the columns so scaled; shrinking towards class means would game W1. Nearest is the
share of synthetic rows whose nearest real row is a training row, the test part against training
parts of the same length: 0.5 is no memory of the training rows.

DDPM has one configuration, DDPM(class_conditional=True, clip=True). Peers draw labels stratified
as well. "published" rows are those of ForestDiffusion's repository (mean over its own runs).
Seconds are CPU time of fit and all generations, per split. With `forest`, and if it is installed,
ForestDiffusion (flow) runs on the first split of iris, on one core; its time is of the process
(`forest-wine`: on that of wine too, which takes many minutes).

What W1 is attainable? Rows drawn from the truth itself have that of the copy of the training rows
and, as they are not spread evenly, of the bootstrap of it: 1.44 to 1.47 on wine, 1.85 to 1.89 on
breast cancer. Everything below that shrinks, and says so in the column of variances: the normals of
the classes, clipped, go on wine from 1.55 to 1.51 and 1.47 as their variance is multiplied by 1, .9
and .8, on breast cancer from 2.06 to 2.00 and 1.96. So W1 cannot tell models apart, unless their
variances are alike; nor can coverage, .93 for the bootstrap on breast cancer.
"""

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import header, table
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split

from skgm import DDPM

TABLES = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
PUBLISHED = {  # W1_test, coverage_test, F1
    "iris": {"ForestFlow": (0.328, 0.931, 0.976), "TabDDPM": (0.329, None, None)},
    "wine": {"ForestFlow": (1.421, 0.954, 0.944), "TabDDPM": (1.531, None, None)},
    "breast cancer": {"ForestFlow": (1.749, 0.976, 0.944), "TabDDPM": (3.438, None, None)},
}
HEADINGS = ("table", "model", "W1 train", "W1 test", "coverage", "F1", "variance", "nearest", "s")
Rows = tuple[np.ndarray, np.ndarray]


def transport_cost(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cost of optimal transport between two tables, L1, every row of equal mass."""
    cost = cdist(a, b, "cityblock")
    try:
        import ot
    except ImportError:
        return linear_programme(cost)
    return float(ot.emd2([], [], cost, numItermax=10_000_000))


def linear_programme(cost: np.ndarray) -> float:
    n, m = cost.shape
    pairs = np.arange(n * m)
    rows = np.concatenate([pairs // m, n + pairs % m])
    constraints = coo_array((np.ones(2 * n * m), (rows, np.tile(pairs, 2))), (n + m, n * m))
    mass = np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)])
    return float(linprog(cost.ravel(), A_eq=constraints.tocsr(), b_eq=mass, method="highs").fun)


def coverage(real: np.ndarray, fake: np.ndarray) -> float:
    among = np.sort(cdist(real, real, "cityblock"), axis=1)  # column 0: the row itself
    k = 1
    while (among[:, k] > 0).mean() < 0.95:
        k += 1
    return float((cdist(real, fake, "cityblock").min(axis=1) < among[:, k + 1]).mean())


def boosted(seed: int) -> Any:
    try:
        from xgboost import XGBClassifier
    except ImportError:
        return HistGradientBoostingClassifier(random_state=seed)
    return XGBClassifier(reg_lambda=0.0, random_state=seed, n_jobs=1)


def usefulness(fake: Rows, test: Rows) -> float:
    models = [
        LogisticRegression(C=np.inf, max_iter=500),
        AdaBoostClassifier(random_state=0),
        RandomForestClassifier(max_depth=28, random_state=0),
        boosted(0),
    ]
    predicted = [model.fit(*fake).predict(test[0]) for model in models]
    return float(np.mean([f1_score(test[1], labels, average="macro") for labels in predicted]))


def variance_within(X: np.ndarray, y: np.ndarray) -> float:
    parts = [X[y == k] for k in np.unique(y)]
    return sum(len(part) * part.var(axis=0, ddof=1).sum() for part in parts) / len(X)


def nearest_share(train: np.ndarray, test: np.ndarray, fake: np.ndarray) -> float:
    order = np.random.default_rng(0).permutation(len(train))
    to_test = cdist(fake, test).min(axis=1)
    parts = [order[i : i + len(test)] for i in range(0, len(order) - len(test) + 1, len(test))]
    return float(np.mean([cdist(fake, train[part]).min(axis=1) < to_test for part in parts]))


def judge(train: Rows, test: Rows, fake: Rows) -> list[float]:
    low, width = train[0].min(axis=0), np.ptp(train[0], axis=0)
    n_classes = len(np.unique(train[1]))

    def scaled(X: np.ndarray, y: np.ndarray) -> np.ndarray:
        labels = np.eye(n_classes)[y] / 2 if n_classes > 2 else y[:, None]
        return np.hstack([(X - low) / width, labels])

    a, b, c = scaled(*train), scaled(*test), scaled(*fake)
    d = train[0].shape[1]
    ratio = variance_within(c[:, :d], fake[1]) / variance_within(a[:, :d], train[1])
    return [
        transport_cost(a, c),
        transport_cost(b, c),
        coverage(b, c),
        usefulness(fake, test),
        ratio,
        nearest_share(a, b, c),
    ]


def diffusion(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    model = DDPM(class_conditional=True, clip=True, random_state=seed).fit(X, y)
    return lambda: model.sample(len(X), return_labels=True)


def mixture(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    """Fit one GaussianMixture per class, 1 to 4 components by BIC."""
    models = {}
    for k in np.unique(y):
        fits = [GaussianMixture(m, random_state=seed).fit(X[y == k]) for m in (1, 2, 4)]
        models[k] = min(fits, key=lambda fit: fit.bic(X[y == k]))
    rng = np.random.default_rng(seed)

    def draw() -> Rows:
        labels = rng.permutation(y)
        fake = np.empty_like(X)
        for k, model in models.items():
            fake[labels == k] = rng.permutation(model.sample((labels == k).sum())[0])
        return np.clip(fake, X.min(axis=0), X.max(axis=0)), labels

    return draw


def interpolation(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    """Draw on the line from a row to one of its five nearest of the same class."""
    rng = np.random.default_rng(seed)

    def draw() -> Rows:
        fake = np.empty_like(X)
        for k in np.unique(y):
            part = X[y == k]
            near = np.argsort(cdist(part, part), axis=1)[:, 1:6]
            other = part[near[np.arange(len(part)), rng.integers(near.shape[1], size=len(part))]]
            fake[y == k] = part + rng.random((len(part), 1)) * (other - part)
        return fake, y

    return draw


def gaussian(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    """Fit a normal distribution per class, its correlations shrunk by Ledoit and Wolf's rule."""
    rng = np.random.default_rng(seed)

    def draw() -> Rows:
        fake = np.empty_like(X)
        for k in np.unique(y):
            part = X[y == k]
            scale = np.maximum(part.std(axis=0, ddof=1), 1e-12)
            shrunk = ledoit_wolf((part - part.mean(axis=0)) / scale)[0]
            noise = rng.multivariate_normal(np.zeros(len(scale)), shrunk, size=len(part))
            fake[y == k] = part.mean(axis=0) + scale * noise
        return np.clip(fake, X.min(axis=0), X.max(axis=0)), y

    return draw


def bootstrap(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    """Draw training rows with replacement, as many of each class as there are."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(y == k) for k in np.unique(y)]

    def draw() -> Rows:
        rows = np.concatenate([rng.choice(mine, size=len(mine)) for mine in members])
        return X[rows], y[rows]

    return draw


def copy(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    return lambda: (X, y)


def forest(X: np.ndarray, y: np.ndarray, seed: int) -> Callable[[], Rows]:
    from ForestDiffusion import ForestDiffusionModel

    np.random.seed(seed)  # noqa: NPY002  (it draws from the global state)
    model = ForestDiffusionModel(X, label_y=y, n_t=50, duplicate_K=100, n_jobs=1, seed=seed)

    def draw() -> Rows:
        fake = model.generate(batch_size=len(X))
        return fake[:, :-1], fake[:, -1].astype(int)

    return draw


PEERS: dict[str, Callable[[np.ndarray, np.ndarray, int], Callable[[], Rows]]] = {
    "DDPM": diffusion,
    "normal per class, Ledoit-Wolf": gaussian,
    "GaussianMixture per class": mixture,
    "interpolation (SMOTE)": interpolation,
    "bootstrap of the rows": bootstrap,
    "copy of the training rows": copy,
}


def run(X: np.ndarray, y: np.ndarray, fit: Any, splits: int, generations: int) -> list[float]:
    clock = time.process_time if fit is forest else time.thread_time
    results, seconds = [], []
    for split in range(splits):
        parts = train_test_split(X, y, test_size=0.2, random_state=split, stratify=y)
        train, test = (parts[0], parts[2]), (parts[1], parts[3])
        start = clock()
        draw = fit(*train, split)
        fakes = [draw() for _ in range(generations)]
        seconds.append(clock() - start)
        fakes = fakes[:1] if fit is copy else fakes
        results += [judge(train, test, fake) for fake in fakes]
    return [*np.mean(results, axis=0).tolist(), float(np.mean(seconds))]


def main() -> None:
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    splits, generations = [*numbers, *(3, 5)[len(numbers) :]]
    header(f"Synthetic tables, {splits} splits, {generations} generations")
    warnings.simplefilter("ignore")
    rows: list[list[Any]] = []
    for name, load in TABLES.items():
        X, y = load(return_X_y=True)
        for peer, fit in PEERS.items():
            rows.append([name, peer, *run(X, y, fit, splits, generations)])
            print(*rows[-1], file=sys.stderr, flush=True)
        if {"iris": "forest", "wine": "forest-wine"}.get(name) in sys.argv:
            try:
                rows.append([name, "ForestFlow, 1 split", *run(X, y, forest, 1, generations)])
            except ImportError as error:
                print(f"ForestDiffusion does not import: {error}\n")
        for peer, (w1, covered, f1) in PUBLISHED[name].items():
            known = ["" if v is None else v for v in ("", w1, covered, f1)]
            rows.append([name, f"{peer}, published", *known, "", "", ""])
    table(HEADINGS, rows)


if __name__ == "__main__":
    main()
