"""Sparse Gaussians: speed and optimality of the path, quality of the graph that is chosen.

``python benchmarks/score_matching_graphs.py [repeats] [--peer-path]``

Speed: twelve penalties from the largest down to a share of it, CPU time of one BLAS thread, the
best of three, on tables of a chain and of a random graph (three neighbors on average, mixed signs)
with as many rows as columns. scikit-learn's graphical_lasso_path runs on the same correlations and
penalties at p = 50 and 100, and at p = 500 with ``--peer-path``; solutions at which it gave up
count as not converged.

Quality: 50 columns, 200 rows, four graphs; ScoreMatchingGaussianCV with its defaults against
GraphicalLassoCV with its own. F1 of the edges, Kullback-Leibler divergence from the truth in nats,
and CPU time, averaged over the repeats (10).
"""

import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _report import header, table
from sklearn.covariance import GraphicalLassoCV
from sklearn.covariance._graph_lasso import graphical_lasso_path  # not exported, but documented
from threadpoolctl import threadpool_limits

from skgm import ScoreMatchingGaussianCV
from skgm.score_matching._gaussian.sparse import largest_alpha, solve_path

GRAPHS = ("chain", "random", "hub", "block")


def precision(kind: str, p: int, rng: np.random.Generator) -> np.ndarray:
    """Return a precision whose inverse is a correlation matrix."""
    A = np.zeros((p, p))
    if kind == "chain":
        A[np.arange(p - 1), np.arange(1, p)] = 0.4
    elif kind == "random":
        signs = rng.choice([-1, 1], (p, p))
        A = np.triu(rng.random((p, p)) < 3 / p, 1) * rng.uniform(0.3, 0.6, (p, p)) * signs
    for start in range(0, p, 10 if kind == "hub" else 5):
        if kind == "hub":
            A[start, start + 1 : start + 10] = 0.3
        elif kind == "block":
            A[start : start + 5, start : start + 5] = np.triu(np.full((5, 5), 0.3), 1)
    A = A + A.T
    K = A + np.eye(p) * (max(-np.linalg.eigvalsh(A).min(), 0) + 0.2)
    scale = np.sqrt(np.diag(np.linalg.inv(K)))
    return K * np.outer(scale, scale)


def rows_of(K: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    L = np.linalg.cholesky(np.linalg.inv(K))
    return rng.standard_normal((n, len(K))) @ L.T


def cpu_time(function: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """Return the shortest CPU time in seconds, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        result = function()
        times.append(time.thread_time() - start)
    return min(times), result


def path_row(kind: str, p: int, share: float, with_peer: bool) -> list[Any]:
    rng = np.random.default_rng(0)
    R = np.corrcoef(rows_of(precision(kind, p, rng), p, rng), rowvar=False)
    most = largest_alpha(R)
    alphas = np.geomspace(most, share * most, 13)[1:]
    seconds, path = cpu_time(lambda: solve_path(R, alphas))
    row: list[Any] = [
        kind,
        p,
        share,
        1e3 * seconds / 12,
        seconds,
        max(q.kkt_residual for q in path),
    ]
    row.append((len(path[-1].values) - p) // 2)
    if not with_peer:
        return [*row, "not run", "not run"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        peer, _ = cpu_time(lambda: graphical_lasso_path(R, alphas), repeats=1)
    return [*row, peer / seconds, sum("converge" in str(w.message) for w in caught)]


def quality(kind: str, repeats: int) -> list[list[Any]]:
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(repeats):
        rng = np.random.default_rng(1000 + seed)
        K = precision(kind, 50, rng)
        Sigma, X = np.linalg.inv(K), rows_of(K, 200, rng)
        for model in (ScoreMatchingGaussianCV(), GraphicalLassoCV()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                seconds, fitted = cpu_time(partial(model.fit, X), repeats=1)
            estimate = fitted.precision_
            upper = np.triu_indices(50, 1)
            chosen, true = np.abs(estimate[upper]) > 1e-10, K[upper] != 0
            f1 = 2 * (chosen & true).sum() / max(chosen.sum() + true.sum(), 1)
            log_ratio = np.linalg.slogdet(K)[1] - np.linalg.slogdet(estimate)[1]
            divergence = 0.5 * (np.vdot(estimate, Sigma) - 50 + log_ratio)
            found.setdefault(type(model).__name__, []).append((f1, divergence, seconds))
    return [[kind, name, *map(float, np.mean(v, axis=0))] for name, v in found.items()]


def main() -> None:
    peer_path = "--peer-path" in sys.argv
    numbers = [a for a in sys.argv[1:] if a.isdigit()]
    header("Sparse Gaussian score matching", ("numpy", "scipy", "scikit-learn"))
    with threadpool_limits(1):
        sizes = ((50, 0.1), (100, 0.3), (100, 0.1), (500, 0.3), (500, 0.15), (1000, 0.3))
        rows = [
            path_row(kind, p, share, with_peer=p <= 100 or (p == 500 and peer_path))
            for p, share in sizes
            for kind in ("chain", "random")
        ]
        heads = [
            "graph",
            "p = n",
            "down to",
            "ms per penalty",
            "s for 12",
            "KKT residual",
            "edges at the end",
        ]
        table([*heads, "scikit-learn / skgm", "its fits that did not converge"], rows)
        print()
        rows = [row for kind in GRAPHS for row in quality(kind, int(numbers[0]) if numbers else 10)]
        table(["graph", "estimator", "F1", "KL (nats)", "CPU s"], rows)


if __name__ == "__main__":
    main()
