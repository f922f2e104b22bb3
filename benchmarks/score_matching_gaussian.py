"""Cost and accuracy of fitting a Gaussian: one Gram pass, ours, and the peers, in one run.

``python benchmarks/score_matching_gaussian.py [repeats]``

`gram` is ``X.T @ X`` alone. `skgm` is a whole ``ScoreMatchingGaussian().fit(X)``: validation, mean,
covariance, precision. numpy.cov computes no precision. The contenders take turns. Times, and ratios
but for the last column, are of the medians of the repeats; the last column is of the shortest.
Between two runs the process sleeps, because the idle threads of numpy's and scipy's BLAS go on
spinning for a while and would slow whoever comes next.
"""

import sys
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from _report import header, table
from sklearn.covariance import EmpiricalCovariance

from skgm import ScoreMatchingGaussian

SIZES = ((1_000_000, 20), (10_000, 1_000), (200_000, 100))
SETTLE_SECONDS = 0.1


def interleaved(contenders: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Return the wall times of each contender in seconds; they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            time.sleep(SETTLE_SECONDS)
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
    return taken


def speed_row(n: int, p: int, offset: float, repeats: int) -> list[Any]:
    X = np.random.default_rng(0).standard_normal((n, p))
    X += offset
    taken = interleaved(
        {
            "gram": lambda: X.T @ X,
            "skgm": lambda: ScoreMatchingGaussian().fit(X),
            "sklearn": lambda: EmpiricalCovariance().fit(X),
            "numpy": lambda: np.cov(X, rowvar=False),
        },
        repeats,
    )
    median = {name: float(np.median(seconds)) for name, seconds in taken.items()}
    times = [1e3 * seconds for seconds in median.values()]
    of_best = min(taken["skgm"]) / min(taken["gram"])
    ours = median["skgm"]
    return [n, p, offset, *times, ours / median["gram"], median["sklearn"] / ours, of_best]


def exact_covariance(X: np.ndarray) -> np.ndarray:
    """Return the covariance with divisor n in rational arithmetic, rounded once."""
    rows = [[Fraction(float(x)) for x in row] for row in X]
    n, p = X.shape
    mean = [sum(row[j] for row in rows) / n for j in range(p)]
    out = np.empty((p, p))
    for i in range(p):
        for j in range(p):
            out[i, j] = sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in rows) / n
    return out


def accuracy_rows(offset: float) -> list[list[Any]]:
    """Return the largest errors of covariance entries, relative to the two standard deviations."""
    X = np.random.default_rng(1).standard_normal((2_000, 4)) @ np.triu(np.ones((4, 4))) + offset
    exact = exact_covariance(X)
    sd = np.sqrt(np.diag(exact))
    found = {
        "skgm ScoreMatchingGaussian": ScoreMatchingGaussian().fit(X).covariance_,
        "sklearn EmpiricalCovariance": EmpiricalCovariance().fit(X).covariance_,
        "numpy.cov": np.cov(X, rowvar=False, bias=True),
    }
    return [
        [k, offset, float(np.abs((v - exact) / np.outer(sd, sd)).max())] for k, v in found.items()
    ]


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    header("Fitting a Gaussian: wall time in ms and ratios")
    headings = ("n", "p", "mean / sd", "gram", "skgm", "EmpiricalCovariance", "numpy.cov")
    rows = [speed_row(n, p, offset, repeats) for offset in (0.0, 1e7) for n, p in SIZES]
    ratios = ("skgm / gram", "EmpiricalCovariance / skgm", "skgm / gram, shortest")
    table((*headings, *ratios), rows)
    print("\nLargest error of a covariance entry against rational arithmetic, n = 2000, p = 4\n")
    table(("", "mean / sd", "relative error"), accuracy_rows(0.0) + accuracy_rows(1e7))


if __name__ == "__main__":
    main()
