"""Hidden units of restricted Boltzmann machines as features of a linear classifier.

Digits of scikit-learn, 1297 for training and 500 for testing; the machine sees all training rows
without labels, logistic regression the first of them with labels. Its C is chosen from 1, 10 and
100 by cross-validation, for either kind of columns. Mean over splits, and the standard error of
the difference. The sparse machine has 200 units, each on for one row in twenty.

Then the digits as scikit-learn's own example has them: gray, and shifted by one pixel in four
directions too, after the split; logistic regression with C = 10, and all labels. scikit-learn's
machine has that example's settings.
``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rbm_features.py [SPLITS]``
"""

import sys
import time

import numpy as np
from _report import header, table
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neural_network import BernoulliRBM

from skgm import BernoulliRBMCD
from skgm._sklearn import limit_blas_threads

LABELS = (50, 100, 200, 1297)
THEIRS = (100, 200)
MACHINES = {
    "100, defaults": {"n_components": 100},
    "200, sparse": {"n_components": 200, "sparsity_target": 0.05, "sparsity_cost": 1.0},
}


def accuracies(X, y, split):
    """Accuracy for each number of labels, on columns and hidden units, (1 + machines, labels)."""
    train, test, y_train, y_test = train_test_split(X, y, test_size=500, random_state=split)
    inputs = [(train, test)]
    for options in MACHINES.values():
        machine = BernoulliRBMCD(random_state=split, **options).fit(train)
        inputs.append((machine.transform(train), machine.transform(test)))
    classifier = GridSearchCV(
        LogisticRegression(max_iter=5000), {"C": [1.0, 10.0, 100.0]}, cv=KFold(3)
    )
    return [
        [classifier.fit(seen[:n], y_train[:n]).score(other, y_test) for n in LABELS]
        for seen, other in inputs
    ]


def shifted(X, y):
    """Return the images and their shifts by one pixel, with labels."""
    padded = np.pad(X.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    starts = ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))
    images = [padded[:, i : i + 8, j : j + 8].reshape(len(X), 64) for i, j in starts]
    return np.concatenate(images), np.tile(y, len(starts))


def accuracies_shifted(X, y, split):
    """Accuracy on gray pixels and on the hidden units of each machine, and seconds of its fit."""
    train, test, y_train, y_test = train_test_split(X, y, test_size=360, random_state=split)
    (train, y_train), (test, y_test) = shifted(train, y_train), shifted(test, y_test)
    options = {"learning_rate": 0.06, "n_iter": 10, "random_state": split}
    machines = [BernoulliRBM(size, **options) for size in THEIRS]
    machines += [BernoulliRBMCD(random_state=split, **options) for options in MACHINES.values()]
    found = []
    for machine in [None, *machines]:
        start, columns = time.thread_time(), (train, test)
        if machine is not None:
            machine.fit(train)
        seconds = time.thread_time() - start
        if machine is not None:
            columns = machine.transform(train), machine.transform(test)
        classifier = LogisticRegression(C=10, max_iter=1000).fit(columns[0], y_train)
        found.append([classifier.score(columns[1], y_test), seconds])
    return found


def main():
    n_splits = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    header("Hidden units as features: accuracy of logistic regression")
    digits = load_digits()
    tables = {"black and white (> 7)": digits.data > 7, "gray, / 16": digits.data / 16}
    rows = []
    with limit_blas_threads(1):
        for name, X in tables.items():
            splits = range(n_splits)
            found = np.array([accuracies(X.astype(float), digits.target, s) for s in splits])
            for units, machine in enumerate(MACHINES, 1):
                lead = found[:, units] - found[:, 0]
                error = lead.std(axis=0, ddof=1) / np.sqrt(n_splits)
                for i, n in enumerate(LABELS):
                    cells = [found[:, 0, i].mean(), found[:, units, i].mean(), error[i]]
                    rows.append([name, machine, n, *(f"{cell:.3f}" for cell in cells)])
    columns = ["on pixels", "on hidden units", "error of difference"]
    table(["pixels", "hidden units", "labels", *columns], rows)
    print("\nShifted digits\n")
    with limit_blas_threads(1):
        found = [accuracies_shifted(digits.data / 16, digits.target, s) for s in range(n_splits)]
    mean, names = (
        np.mean(found, axis=0),
        ["gray pixels", *(f"scikit-learn, {k}" for k in THEIRS), *MACHINES],
    )
    rows = [[name, f"{a:.3f}", f"{seconds:.2f}"] for name, (a, seconds) in zip(names, mean)]
    table(["columns", "accuracy", "seconds of the machine's fit"], rows)


if __name__ == "__main__":
    main()
