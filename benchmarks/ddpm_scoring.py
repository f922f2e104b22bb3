"""Error and time of the log-densities of a fitted diffusion model.

``SKGM_BENCH_DATA=folder python benchmarks/ddpm_scoring.py``

The reference has four times the nodes; the first 100 held-out rows are scored. "even steps" is the
solver of earlier versions: 15 steps of Runge-Kutta, the trace at each of the four stages, in
float64 (with exact traces here). Times are those of this thread, on one core, the best of three.
Magic is read from magic.csv.gz in the folder.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from _report import header, table
from _tables import data_file
from sklearn.datasets import load_breast_cancer, make_moons

from skgm import DDPM
from skgm.diffusion._flow import trace_of_jacobian

N_SCORED, N_TIMED = 100, 500
NODES = (8, 12, 16, 20)


def tables() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield a name, training rows and held-out rows."""
    rng = np.random.default_rng(0)
    X = make_moons(1000, noise=0.1, random_state=0)[0]
    yield "moons", X[:500], X[500:]
    X = rng.permutation(load_breast_cancer().data)
    yield "breast cancer", X[:426], X[426:]
    path = data_file("magic.csv.gz")
    if path is not None:
        X = rng.permutation(pd.read_csv(path).to_numpy()[:, :10].astype(float))
        yield "magic, 3000 rows", X[:3000], X[3000:4000]
        yield "magic, 14,000 rows", X[:14_000], X[14_000:15_000]


def even_steps(model: Any, rows: np.ndarray, n_steps: int = 15) -> np.ndarray:
    """Return log-densities by even steps in log tan(phi / 2), traces along."""
    scaler, denoiser = model.scaler, model.denoiser(np.float64)
    scaled, d = scaler.scale(rows), scaler.n_active
    u, volume = np.cos(model.phi_min) * scaled[:, :d], np.zeros(len(rows))
    times = np.linspace(np.log(np.tan(model.phi_min / 2)), 0, 2 * n_steps + 1)
    h = times[2] - times[0]

    def slope(position: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        phi = 2 * np.arctan(np.exp(times[k]))
        velocity, trace = trace_of_jacobian(denoiser, position, phi)
        return -np.sin(phi) * velocity, np.sin(phi) * trace

    for i in range(0, 2 * n_steps, 2):
        k1, t1 = slope(u, i)
        k2, t2 = slope(u + 0.5 * h * k1, i + 1)
        k3, t3 = slope(u + 0.5 * h * k2, i + 1)
        k4, t4 = slope(u + h * k3, i + 2)
        u = u + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
        volume += (h / 6) * (t1 + 2 * t2 + 2 * t3 + t4)
    narrow = 0.5 * (scaled[:, d:] ** 2 + np.log(2 * np.pi)).sum(axis=1)
    prior = -0.5 * (u**2 + np.log(2 * np.pi)).sum(axis=1)
    constant = d * np.log(np.cos(model.phi_min)) + scaler.log_volume(rows)
    return np.asarray(prior - volume + constant - narrow)


def best_time(run: Callable[[], Any]) -> float:
    """Return the least time of this thread in three calls, in seconds."""
    taken = []
    for _ in range(3):
        start = time.thread_time()
        run()
        taken.append(time.thread_time() - start)
    return min(taken)


def rows_of(name: str, X: np.ndarray, held_out: np.ndarray) -> list[list[Any]]:
    fitted = DDPM(random_state=0).fit(X)
    model, rows = fitted._model(), held_out[:N_SCORED]
    many = np.resize(held_out, (N_TIMED, X.shape[1]))

    def by_nodes(n: int, rows: np.ndarray) -> np.ndarray:
        return replace(model, n_score_steps=n).class_log_density(rows)[:, 0]

    fine = by_nodes(100, rows)
    routes: list[tuple[Any, Callable[[np.ndarray], np.ndarray], np.ndarray]] = [
        ("even steps", lambda rows: even_steps(model, rows), fine)
    ]
    for n in NODES:
        routes.append((n, lambda rows, n=n: by_nodes(n, rows), by_nodes(4 * n, rows)))
    result = []
    for route, score, reference in routes:
        error = score(rows) - reference
        seconds = best_time(lambda score=score: score(many)) / N_TIMED
        sizes = (np.abs(error).mean(), error.mean(), np.abs(error).max())
        result.append([name, fitted.hidden_layer_sizes_[0], route, *sizes, 1e4 * seconds])
    return result


def main() -> None:
    header("DDPM: error of log-densities in nats per row, and seconds per 10,000 rows")
    rows = [row for case in tables() for row in rows_of(*case)]
    headings = ("table", "width", "nodes", "mean error", "bias", "largest", "s per 10,000 rows")
    table(headings, rows)


if __name__ == "__main__":
    main()
