"""Handwritten digits by class: DDPM and its peers on 8 x 8 pixels.

``python benchmarks/ddpm_digits.py [seeds]``

Half of scikit-learn's digits (stratified) for training, half held out; one synthetic row for every
training row, with its label. Energy is the energy distance to the held-out rows, in units of
pixels (0 to 16), without bias: 0 on average for a perfect generator, and below it for rows near to
training rows that happen to lie near. Variance is the within-class variance of the synthetic rows
over that of the training rows. Nearest is the share of synthetic rows whose nearest real row is a
training row: 0.5 is no memory. The classifiers are trained on synthetic rows and judged on held-out
ones: SVC as constructed by default, and logistic regression.

Half of the pixels are 0, where a smooth density has as much mass below as above: clipping to 0..16
narrows it, and moves its mean. So every model is judged twice, as drawn and clipped, and clipped
is to be compared with clipped. Seconds are CPU time of this thread, for fit and draws.
"""

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from _report import header, table
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from skgm import DDPM

HEADINGS = ("model", "rows", "energy", "nearest", "SVC", "logistic", "variance", "CPU s")
Fit = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def energy(a: np.ndarray, b: np.ndarray) -> float:
    """Return twice the mean distance between tables, less that within each; pairs of two rows."""
    within = sum(cdist(x, x).sum() / (len(x) * (len(x) - 1)) for x in (a, b))
    return float(2 * cdist(a, b).mean() - within)


def variance_within(X: np.ndarray, y: np.ndarray) -> float:
    parts = [X[y == k] for k in np.unique(y)]
    return sum(len(part) * part.var(axis=0, ddof=1).sum() for part in parts) / len(X)


def judge(train: np.ndarray, y: np.ndarray, test: np.ndarray, labels: np.ndarray, fake: Any) -> Any:
    logistic = LogisticRegression(max_iter=1000)
    return [
        energy(fake, test),
        float((cdist(fake, train).min(axis=1) < cdist(fake, test).min(axis=1)).mean()),
        SVC().fit(fake, y).score(test, labels),
        logistic.fit(fake / 16, y).score(test / 16, labels),
        variance_within(fake, y) / variance_within(train, y),
    ]


def diffusion(X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    model = DDPM(class_conditional=True, random_state=seed).fit(X, y)
    return np.asarray(model.sample(random_state=seed, y=y))


def untried(X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Draw without the trial run that calibrates the network: two and a half updates per row."""
    model = DDPM(class_conditional=True, max_iter=int(2.5 * len(X)), random_state=seed)
    return np.asarray(model.fit(X, y).sample(random_state=seed, y=y))


def by_class(X: np.ndarray, y: np.ndarray, draw: Callable[[np.ndarray, int], Any]) -> np.ndarray:
    fake = np.empty_like(X)
    for k in np.unique(y):
        fake[y == k] = draw(X[y == k], int((y == k).sum()))
    return fake


def gaussian(X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return by_class(
        X, y, lambda part, n: rng.multivariate_normal(part.mean(axis=0), ledoit_wolf(part)[0], n)
    )


def mixture(n_components: int) -> Fit:
    def fit(X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
        def draw(part: np.ndarray, n: int) -> np.ndarray:
            model = GaussianMixture(n_components, reg_covar=0.1, random_state=seed)
            return np.asarray(model.fit(part).sample(n)[0])

        return by_class(X, y, draw)

    return fit


def copy(X: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    return X


PEERS: dict[str, Fit] = {
    "DDPM": diffusion,
    "DDPM without a trial run": untried,
    "Gaussian per class, Ledoit-Wolf": gaussian,
    "GaussianMixture(1) per class": mixture(1),
    "GaussianMixture(2) per class": mixture(2),
    "GaussianMixture(4) per class": mixture(4),
    "copy of the training rows": copy,
}


def main() -> None:
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    header(f"Digits by class, {n_seeds} seeds")
    warnings.simplefilter("ignore")
    X, y = load_digits(return_X_y=True)
    rows: list[list[Any]] = []
    for name, fit in PEERS.items():
        results, seconds = [], []
        for seed in range(n_seeds):
            train, test, codes, labels = train_test_split(
                X, y, test_size=0.5, random_state=seed, stratify=y
            )
            start = time.thread_time()
            fake = fit(train, codes, seed)
            seconds.append(time.thread_time() - start)
            both = (fake, np.clip(fake, 0, 16))
            results.append([judge(train, codes, test, labels, part) for part in both])
        means = np.mean(results, axis=0).tolist()
        for kind, mean in zip(("drawn", "clipped"), means):
            rows.append([name, kind, *mean, float(np.mean(seconds))])
            print(*rows[-1], file=sys.stderr, flush=True)
    table(HEADINGS, rows)


if __name__ == "__main__":
    main()
