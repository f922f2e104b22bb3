"""Held-out likelihood of restricted Boltzmann machines, with defaults, per second of processor.

Exact log-likelihood of the test rows in nats, mean and standard deviation over seeds, beside the
Chow-Liu tree and scikit-learn's BernoulliRBM: with its own 20 epochs, and at the best of several
learning rates, chosen on the test rows themselves (in its favor). Binary tables of the DEBD
collection (splits train and test as published) from the folder that SKGM_BENCH_DATA names; digits
come with scikit-learn: pixels > 7, the first 1297 rows of ``default_rng(5).permutation`` train.
``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rbm_quality.py [quick|epochs]``

The default stops small tables after 150 epochs. That saves time; it is not the best on rows held
out of the training part of digits (``epochs``: 1037 rows train, 260 validate, eight splits), where
more epochs still help: -18.43 after 60, -18.21 after 150, -18.08 after 300.
"""

import sys
import time
import warnings

import numpy as np
from _report import header, table
from _tables import bits
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.neural_network import BernoulliRBM

from skgm import BernoulliRBMCD
from skgm._sklearn import limit_blas_threads
from skgm.rbm._energy import RBMParameters, free_energy
from skgm.rbm._enumeration import exact_log_partition

SHAPES = {"nltcs": 20, "digits": 16, "plants": 16, "jester": 16}
PASSES = 60
PEERS = [(100, 0.01), (100, 0.03), (100, 0.1), (100, 0.3), (10, 0.01), (10, 0.03), (10, 0.1)]


def load(name):
    """Return training and test rows as float64; None where the file is missing."""
    if name == "digits":
        X = (load_digits().data > 7).astype(np.float64)
        X = X[np.random.default_rng(5).permutation(len(X))]
        return X[:1297], X[1297:]
    if name in ("breast cancer", "wine"):
        X = one_hot(load_wine().data if name == "wine" else load_breast_cancer().data)
        X = X[np.random.default_rng(3).permutation(len(X))]
        return X[: int(0.7 * len(X))], X[int(0.7 * len(X)) :]
    parts = [bits(name, part) for part in ("train", "test")]
    return None if parts[0] is None else tuple(parts)


def one_hot(X):
    """Cut columns at their quartiles; a column of 0 and 1 for each quarter."""
    quarter = (X[:, None] > np.quantile(X, [0.25, 0.5, 0.75], axis=0)).sum(axis=1)
    return np.concatenate([quarter == level for level in range(4)], axis=1).astype(np.float64)


def chow_liu(train, test):
    """Mean log-likelihood of the best tree, with 1/4 added to each cell of each pair."""
    n, m = train.shape
    both = train.T @ train
    ones = np.broadcast_to(both.diagonal(), (m, m))
    cells = [[n - ones.T - ones + both, ones - both], [ones.T - both, both]]
    pair = (np.array(cells) + 0.25) / (n + 1)  # (value of i, value of j, i, j)
    margins = pair.sum(axis=1)[:, None] * pair.sum(axis=0)[None]
    information = (pair * np.log(pair / margins)).sum(axis=(0, 1))
    tree = minimum_spanning_tree(-information - 1.0)  # minus one: no edge may be zero
    order, parent = breadth_first_order(tree, 0, directed=False)
    X = test.astype(int)
    share = pair.sum(axis=1)[:, 0, 0]
    log_p = np.log(share)[X[:, 0]]
    for j in order[1:]:
        i = parent[j]
        given = pair[:, :, i, j] / pair[:, :, i, j].sum(axis=1, keepdims=True)
        log_p += np.log(given)[X[:, i], X[:, j]]
    return float(log_p.mean())


def exact_score(model, X):
    """Mean log-likelihood of a model with scikit-learn's fitted attributes."""
    p = RBMParameters(model.components_, model.intercept_hidden_, model.intercept_visible_)
    return float(-free_energy(X, p).mean() - exact_log_partition(p))


def timed(make, train, test, n_seeds):
    """Return mean and deviation of the score over seeds, and the median processor time."""
    scores, seconds = [], []
    for seed in range(n_seeds):
        model = make(seed)
        start = time.thread_time()
        model.fit(train)
        seconds.append(time.thread_time() - start)
        scores.append(exact_score(model, test))
    deviation = float(np.std(scores, ddof=1)) if n_seeds > 1 else float("nan")
    return float(np.mean(scores)), deviation, float(np.median(seconds))


def contestants(name):
    k = SHAPES[name]
    yield "skgm, defaults", 5, lambda seed: BernoulliRBMCD(k, random_state=seed)
    yield "skgm, method='cd'", 3, lambda seed: BernoulliRBMCD(k, random_state=seed, method="cd")
    for size, rate in PEERS:
        options = {"learning_rate": rate, "batch_size": size, "n_iter": 20}
        yield (
            f"scikit-learn, 20 epochs, batch {size}, rate {rate}",
            2 if size > 10 else 1,
            lambda seed, options=options: BernoulliRBM(k, random_state=seed, **options),
        )


def exact_fits():
    """Take the smallest table and the one most prone to overfitting."""
    for name in ("nltcs", "digits"):
        if (data := load(name)) is not None:
            for decay in ("auto", 0.0):
                options = {"method": "exact", "weight_decay": decay, "random_state": 0}
                make = lambda seed, k=SHAPES[name], o=options: BernoulliRBMCD(k, **o)  # noqa: E731
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # 400 iterations need not be the end
                    score, _, seconds = timed(make, *data, 1)
                yield [name, f"skgm, method='exact', weight_decay={decay}", score, "-", seconds]


def epochs_validated():
    """Likelihood of rows held out of the training part of digits, by the number of epochs."""
    X, _ = load("digits")
    counts = (60, 90, 120, 150, 200, 300)
    found = np.empty((8, len(counts)))
    for split in range(len(found)):
        order = np.random.default_rng(100 + split).permutation(len(X))
        train, held_out = X[order[:1037]], X[order[1037:]]
        for i, count in enumerate(counts):
            model = BernoulliRBMCD(16, n_iter=count, random_state=split).fit(train)
            found[split, i] = exact_score(model, held_out)
    lead = found - found[:, [counts.index(150)]]
    error = lead.std(axis=0, ddof=1) / np.sqrt(len(found))
    columns = zip(counts, found.mean(axis=0), lead.mean(axis=0), error, strict=True)
    rows = [[count, *(f"{x:.3f}" for x in cells)] for count, *cells in columns]
    table(["epochs", "held out", "more than 150 epochs", "error"], rows)


def last_batches(n_seeds):
    """Numbers of rows that leave a short last batch or none; and parts of a stream."""
    X, test = load("digits")
    rows = []
    for n in (1200, 1201, 1249):
        found = timed(lambda seed: BernoulliRBMCD(16, random_state=seed), X[:n], test, n_seeds)
        rows.append([f"fit, {n} rows (n mod 50 = {n % 50})", f"{found[0]:.3f}", f"{found[1]:.3f}"])
    found = timed(
        lambda seed: BernoulliRBMCD(16, random_state=seed, n_iter=PASSES), X[:1200], test, n_seeds
    )
    rows.append([f"fit, 1200 rows, n_iter={PASSES}", f"{found[0]:.3f}", f"{found[1]:.3f}"])
    for size in (1200, 49, 7):
        scores = []
        for seed in range(6):  # the parts make no difference, so few seeds will do
            model, rng = BernoulliRBMCD(16, random_state=seed), np.random.default_rng(seed)
            for _ in range(PASSES):
                part = X[rng.permutation(1200)]
                for start in range(0, 1200, size):
                    model.partial_fit(part[start : start + size])
            scores.append(exact_score(model, test))
        cells = [f"partial_fit, parts of {size} rows, {PASSES} passes", f"{np.mean(scores):.3f}"]
        rows.append([*cells, f"{np.std(scores, ddof=1):.3f}"])
    return rows


def main():
    quick = sys.argv[1:] == ["quick"]
    header("Restricted Boltzmann machines: exact log-likelihood of test rows, nats per row")
    rows = []
    if sys.argv[1:] == ["epochs"]:
        with limit_blas_threads(1):
            epochs_validated()
        return
    with limit_blas_threads(1):
        for name in SHAPES:
            if (data := load(name)) is None:
                continue
            rows.append([name, "Chow-Liu tree", f"{chow_liu(*data):.3f}", "-", "-"])
            for label, n_seeds, make in contestants(name):
                score, deviation, seconds = timed(make, *data, 1 if quick else n_seeds)
                spread = "-" if np.isnan(deviation) else f"{deviation:.3f}"
                rows.append([name, label, f"{score:.3f}", spread, f"{seconds:.2f}"])
        if not quick:
            for row in exact_fits():
                rows.append([*row[:2], f"{row[2]:.3f}", row[3], f"{row[4]:.2f}"])
        table(["table", "model", "test", "sd", "processor s"], rows)
        print("\nDigits again: numbers of rows, and parts of a stream\n")
        table(["training", "test", "sd"], last_batches(2 if quick else 20))


if __name__ == "__main__":
    main()
