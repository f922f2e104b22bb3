"""Thousands of classes: NCEClassifier beside LogisticRegression and SGDClassifier, in one run.

    python benchmarks/nce_classifier.py [classes] [rows]

By default 3000 classes and 60,000 rows: nine minutes, eight of them scikit-learn's.

Rows are normal; their labels come from a linear softmax with frequencies that fall with the rank
of the class. Log-loss and accuracy on new rows, where a class not seen in training gets the
probability of half a row; seconds of the processor on one thread. The full softmax and
LogisticRegression, held to 30 iterations of L-BFGS, look at all classes for every row;
SGDClassifier, held to five epochs, fits a binary problem per class and normalizes their sigmoids.
"""

import sys
import time
import warnings

import numpy as np
from _report import header, table
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression, SGDClassifier
from threadpoolctl import threadpool_limits

from skgm import NCEClassifier

N_FEATURES, N_TEST = 50, 5000


def problem(n_classes, n_rows):
    rng = np.random.default_rng(0)
    W = rng.normal(scale=0.7, size=(n_classes, N_FEATURES))
    bias = -np.log(np.arange(n_classes) + n_classes / 50)
    X = rng.normal(size=(n_rows, N_FEATURES))
    y, log_p = np.empty(n_rows, dtype=np.intp), np.empty(n_rows)
    for start in range(0, n_rows, 1000):
        part = slice(start, start + 1000)
        scores = X[part] @ W.T + bias
        y[part] = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
        own = scores[np.arange(len(scores)), y[part]]
        log_p[part] = own - logsumexp(scores, axis=1)
    return X, y, log_p


def methods():
    for loss, n_noise in (("ranking", 256), ("ranking", 1000), ("nce", 256), ("nce", 1000)):
        model = NCEClassifier(loss, n_noise=n_noise, random_state=0)
        yield f"NCEClassifier {loss}, {n_noise} noise classes", model
    yield "NCEClassifier ranking, rank 30", NCEClassifier(rank=30, random_state=0)
    yield "NCEClassifier full softmax", NCEClassifier("full", random_state=0)
    yield "SGDClassifier log_loss", SGDClassifier("log_loss", max_iter=5, tol=None, random_state=0)
    yield "LogisticRegression", LogisticRegression(max_iter=30)


def seen_log_loss(classifier, X, y, n_train):
    place = np.minimum(np.searchsorted(classifier.classes_, y), len(classifier.classes_) - 1)
    seen = classifier.classes_[place] == y
    with np.errstate(divide="ignore"):
        logs = np.log(np.maximum(classifier.predict_proba(X), 1e-300))
    return -np.where(seen, logs[np.arange(len(y)), place], np.log(0.5 / n_train)).mean()


def main():
    n_classes = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    n_rows = int(sys.argv[2]) if len(sys.argv) > 2 else 60_000
    header("A linear choice among thousands of classes", ("numpy", "scikit-learn"))
    X, y, log_p = problem(n_classes, n_rows + N_TEST)
    X, X_test, y, y_test = X[:n_rows], X[n_rows:], y[:n_rows], y[n_rows:]
    counts = np.maximum(np.bincount(y, minlength=n_classes), 0.5)
    shares = -np.log(counts / n_rows)[y_test].mean()
    print(f"{n_rows} rows, {N_FEATURES} columns, {len(np.unique(y))} classes")
    print(f"log-loss of the truth {-log_p[n_rows:].mean():.3f}, of the frequencies {shares:.3f}\n")
    rows = []
    for name, model in methods():
        start = time.process_time()
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # of unfinished searches: the columns tell
            model.fit(X, y)
        seconds = time.process_time() - start
        epochs = int(np.max(model.n_iter_))
        loss = seen_log_loss(model, X_test, y_test, n_rows)
        rows.append([name, seconds, seconds / epochs, epochs, loss, model.score(X_test, y_test)])
        print(f"{name}: {seconds:.1f} s", flush=True)
    full = next(row for row in rows if row[0].endswith("full softmax"))
    print("\nRatios are to the full softmax: an epoch's speed, the whole fit's speed\n")
    table(
        ["method", "log-loss", "accuracy", "epochs", "s", "epoch x faster", "fit x faster"],
        [
            [name, f"{loss:.3f}", f"{hit:.3f}", n, s, full[2] / each, full[1] / s]
            for name, s, each, n, loss, hit in rows
        ],
    )


if __name__ == "__main__":
    main()
