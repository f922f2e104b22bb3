"""Hidden units of restricted Boltzmann machines as features of a linear classifier.

Digits of scikit-learn, 1297 for training and 500 for testing; the machine, 100 hidden units and all
else at its default, sees all training rows without labels, logistic regression the first of them
with labels. Mean over splits, and the standard error of the difference.
``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rbm_features.py``
"""

import numpy as np
from _report import header, table
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from skgm import BernoulliRBMCD
from skgm._sklearn import limit_blas_threads

LABELS = (50, 100, 200, 1297)
SPLITS = 5


def accuracies(X, y, split):
    """Accuracy on columns and on hidden units for each number of labels, (labels, 2)."""
    train, test, y_train, y_test = train_test_split(X, y, test_size=500, random_state=split)
    machine = BernoulliRBMCD(100, random_state=split).fit(train)
    inputs = (train, test), (machine.transform(train), machine.transform(test))
    found = np.empty((len(LABELS), 2))
    for i, n in enumerate(LABELS):
        for j, (seen, other) in enumerate(inputs):
            classifier = LogisticRegression(max_iter=2000).fit(seen[:n], y_train[:n])
            found[i, j] = classifier.score(other, y_test)
    return found


def main():
    header("Hidden units as features: accuracy of logistic regression")
    digits = load_digits()
    tables = {"black and white (> 7)": digits.data > 7, "grey, / 16": digits.data / 16}
    rows = []
    with limit_blas_threads(1):
        for name, X in tables.items():
            found = np.array([accuracies(X.astype(float), digits.target, s) for s in range(SPLITS)])
            error = (found[..., 1] - found[..., 0]).std(axis=0, ddof=1) / np.sqrt(SPLITS)
            for i, n in enumerate(LABELS):
                pixels, hidden = found[:, i].mean(axis=0)
                cells = [f"{pixels:.3f}", f"{hidden:.3f}", f"{error[i]:.3f}"]
                rows.append([name, n, *cells])
    table(["pixels", "labels", "on pixels", "on hidden units", "error of difference"], rows)


if __name__ == "__main__":
    main()
