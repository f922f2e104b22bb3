"""Truncated and heavy-tailed data: rates, coverage of intervals, memory.

``python benchmarks/score_matching_truncated.py [replicates]``

Rates: N(0, K^-1) cut to positive numbers, four columns, K a chain with ones on the diagonal and 0.3
beside it; the largest error of the precision at 1,000 to 400,000 rows, and the slope of its
logarithm against that of the rows, over 20 seeds (replicates / 50, if that is less); beside it the
plain Gaussian fit. How far off that stays is a matter of units: 2.5 in those of K, and 3.1 where
columns have unit variance before they are cut, so both are shown. The fits themselves do not depend
on units. Coverage: nominal 95% sandwich intervals of all 14 parameters of that law at 2,000 rows,
and of the covariances of multivariate Student's t data with 7 degrees of freedom in 5 columns at
1,000 and 4,000 rows, beside the model-based intervals (replicates: 1,000). Memory: four penalties
at 1,000 columns, in a process of its own, not with fewer than 100 replicates.
"""

import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from _report import header, table
from scipy.linalg import LinAlgWarning

from skgm import ScoreMatchingGaussian
from skgm._numerics.box_gaussian import BoxGaussian

SIZES = (1_000, 10_000, 100_000, 400_000)
PRECISION = np.eye(4) + 0.3 * (np.eye(4, k=1) + np.eye(4, k=-1))
UNITS = {"of K": np.ones((4, 4))}
UNITS["unit variance"] = np.outer(*[np.sqrt(np.diag(np.linalg.inv(PRECISION)))] * 2)


def positive_rows(n: int, rng: np.random.Generator) -> np.ndarray:
    """By rejection."""
    parts, found = [], 0
    factor = np.linalg.cholesky(np.linalg.inv(PRECISION))
    while found < n:
        rows = rng.standard_normal((4 * n, 4)) @ factor.T
        parts.append(rows[(rows > 0).all(axis=1)])
        found += len(parts[-1])
    return np.concatenate(parts)[:n]


def rates(seeds: int) -> list[list[object]]:
    errors = np.empty((2, seeds, len(SIZES), 2))
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for k, n in enumerate(SIZES):
            X = positive_rows(n, rng)
            for f, fit in enumerate(
                (ScoreMatchingGaussian(bounds="positive"), ScoreMatchingGaussian())
            ):
                away = np.abs(fit.fit(X).precision_ - PRECISION)
                for u, unit in enumerate(UNITS.values()):
                    errors[u, seed, k, f] = (away * unit).max()
    rows: list[list[object]] = []
    for units, found in zip(UNITS, errors):
        slope = np.polyfit(np.log(SIZES), np.log(found[..., 0]).mean(axis=0), 1)[0]
        rows += [[units, n, *map(float, pair), ""] for n, pair in zip(SIZES, found.mean(axis=0))]
        rows[-1][-1] = f"{slope:.3f}"
    return rows


def truncated_coverage(replicates: int) -> list[list[object]]:
    upper, hits = np.triu_indices(4), []
    for seed in range(replicates):
        X = positive_rows(2_000, np.random.default_rng(10_000 + seed))
        found = ScoreMatchingGaussian(bounds="positive").fit(X).confidence_intervals(X=X)
        inside = (found.low["precision"] <= PRECISION) & (found.high["precision"] >= PRECISION)
        level = (found.low["natural_param"] <= 0) & (found.high["natural_param"] >= 0)
        hits.append([*inside[upper], *level])
    share = 100 * np.mean(hits, axis=0)
    mean, low, high = map(float, (share.mean(), share.min(), share.max()))
    return [["truncated normal, sandwich", 2_000, mean, low, high]]


def student_coverage(n: int, replicates: int) -> list[list[object]]:
    lower, hits = np.tril_indices(5), {"sandwich": [], "model": []}
    shape = 0.5 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    truth = shape * 7 / 5  # covariance of a t with 7 degrees of freedom
    for seed in range(replicates):
        rng = np.random.default_rng(seed)
        X = rng.multivariate_normal(np.zeros(5), shape, size=n)
        X /= np.sqrt(rng.chisquare(7, size=(n, 1)) / 7)
        fitted = ScoreMatchingGaussian().fit(X)
        for name, method in (("sandwich", "robust"), ("model", "wald-transformed")):
            found = fitted.confidence_intervals(method=method, X=X if name == "sandwich" else None)
            inside = (found.low["covariance"] <= truth) & (found.high["covariance"] >= truth)
            hits[name].append(inside[lower])
    rows = []
    for name, inside in hits.items():
        share = 100 * np.mean(inside, axis=0)
        rows.append(
            [f"t7 covariances, {name}", n, *map(float, (share.mean(), share.min(), share.max()))]
        )
    return rows


def memory() -> None:
    rng = np.random.default_rng(0)
    p = 1_000
    K = np.eye(p) + 0.3 * (np.eye(p, k=1) + np.eye(p, k=-1))
    box = BoxGaussian(K, np.zeros(p), np.zeros(p), np.full(p, np.inf))
    X, rows = box.draw(300, rng), []
    for alpha in (0.15, 0.1, 0.06, 0.03):
        start = time.thread_time()
        with warnings.catch_warnings():  # the densest are not positive definite, and damped
            warnings.simplefilter("ignore", LinAlgWarning)
            model = ScoreMatchingGaussian(bounds="positive", penalty="l1", alpha=alpha).fit(X)
        seconds = time.thread_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        rows.append([alpha, model.n_edges_, seconds, model.kkt_residual_, peak])
    table(["alpha", "edges", "CPU s", "KKT residual", "peak memory so far, GB"], rows)


def main() -> None:
    if "--memory" in sys.argv:
        memory()
        return
    replicates = next((int(a) for a in sys.argv[1:] if a.isdigit()), 1_000)
    header("Truncated and heavy-tailed data", ("numpy", "scipy", "scikit-learn"))
    headings = ["units", "rows", "largest error, bounds='positive'", "largest error, plain"]
    table([*headings, "slope of the logarithms"], rates(min(20, max(2, replicates // 50))))
    print()
    rows = truncated_coverage(replicates)
    rows += [row for n in (1_000, 4_000) for row in student_coverage(n, replicates)]
    table(["intervals", "rows", "mean coverage, %", "least", "most"], rows)
    if replicates >= 100:
        print()
        subprocess.run([sys.executable, __file__, "--memory"], check=True)


if __name__ == "__main__":
    main()
