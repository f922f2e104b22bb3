"""Speed of one update, and of a whole fit, of a restricted Boltzmann machine.

The floor is what the arithmetic costs: the five matrix products of an update (three between the
layers, two for the gradient), nothing else. All contestants take turns, on one BLAS thread, and
are timed by the processor time of this thread; each figure is the lower quartile of many turns.
A turn of a small machine is five updates in a row, as in training, where its arrays stay in cache.
``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rbm_speed.py``
"""

import itertools
import time

import numpy as np
from _report import header, table
from sklearn.neural_network import BernoulliRBM

from skgm import BernoulliRBMCD
from skgm._sklearn import limit_blas_threads
from skgm.rbm._rows import TrainingRows
from skgm.rbm._training import fast_generator, initial_parameters, make_kernel
from skgm.rbm._update import QUIET, UpdateRule

SHAPES = [(128, 784, 500), (128, 64, 100), (50, 64, 16), (10, 64, 256)]
TURNS = {128 * 784 * 500: (100, 1)}


def in_turns(contestants, n_turns, n_runs=1):
    """Lower quartile of processor seconds of a run of each, of `n_runs` in a row per turn."""
    spent = {name: [] for name in contestants}
    for _ in range(n_turns):
        for name, run in contestants.items():
            start = time.thread_time_ns()
            for _ in range(n_runs):
                run()
            spent[name].append(time.thread_time_ns() - start)
    return {name: 1e-9 / n_runs * np.percentile(times, 25) for name, times in spent.items()}


def floor(b, m, k):
    """Return a run of the five products, float32, into arrays that are there."""
    rng = np.random.default_rng(0)
    V, W, H = (rng.standard_normal(s).astype(np.float32) for s in ((b, m), (m, k), (b, k)))
    to_h, to_v, gradient = (np.empty_like(a) for a in (H, V, W))

    def run():
        np.dot(V, W, out=to_h)
        np.dot(H, W.T, out=to_v)
        np.dot(V, W, out=to_h)
        np.dot(V.T, H, out=gradient)
        np.dot(V.T, H, out=gradient)

    return run


def ours(X, k, rule, *, center, size=None):
    """Return an update by all rows of X, or by `size` of them, in turn from all over the table."""
    b = len(X) if size is None else size
    rng = fast_generator(0)
    rows = TrainingRows(X, None)
    start = initial_parameters(rows.mean(), k, rng)
    chains = rng.integers(0, 2, size=(b, k))
    kernel = make_kernel(start, rule, b, chains, rows.mean() if center else None, draw_ahead=True)
    rows.center(kernel.center_visible)
    batches = itertools.cycle(np.array_split(rng.permutation(len(X)), len(X) // b))

    def run():
        rows.write(next(batches)[:b], kernel.batch(b))
        kernel.update(b, 0.01, rng)

    return run


def theirs(X, k, dtype):
    """scikit-learn's update, by the method that its fit calls for every batch."""
    X = X.astype(dtype)
    model = BernoulliRBM(k, batch_size=len(X), n_iter=1, random_state=0).fit(X)
    rng = np.random.RandomState(0)
    return lambda: model._fit(X, rng)


def updates():
    rows = []
    for b, m, k in SHAPES:
        X = (np.random.default_rng(0).random((b, m)) < 0.3).astype(np.float32)
        contestants = {
            "floor": floor(b, m, k),
            "PCD-1": ours(X, k, UpdateRule(), center=False),
            "CD-1": ours(X, k, UpdateRule(persistent=False), center=False),
            "PCD-1 as by default": ours(X, k, UpdateRule(weight_decay=1e-3), center=True),
            "sklearn f32": theirs(X, k, np.float32),
            "sklearn f64": theirs(X, k, np.float64),
        }
        with np.errstate(**QUIET):
            seconds = in_turns(contestants, *TURNS.get(b * m * k, (400, 5)))
        least = seconds["floor"]
        row = [f"{b} x {m} x {k}", 1e3 * least]
        row += [seconds[name] / least for name in contestants if name != "floor"]
        row += [seconds[f"sklearn {kind}"] / seconds["PCD-1"] for kind in ("f32", "f64")]
        rows.append(row)
    names = ["PCD-1", "CD-1", "PCD-1 as by default", "sklearn f32", "sklearn f64"]
    ratios = ["sklearn f32 / PCD-1", "sklearn f64 / PCD-1"]
    table(
        ["batch x visible x hidden", "floor, ms", *(f"{n} / floor" for n in names), *ratios], rows
    )


def fit_over_updates(n, m, k, n_iter):
    """Time a whole fit against its number of updates times the time of one on its rows."""
    X = (np.random.default_rng(0).random((n, m)) < 0.3).astype(np.float32)
    rbm = BernoulliRBMCD(k, random_state=0, n_iter=n_iter)
    update = ours(X, k, UpdateRule(weight_decay=1e-3), center=True, size=50)
    n_updates = -(-n // 50) * rbm.fit(X).n_iter_
    n_alone = min(n_updates, 400)

    def alone():
        for _ in range(n_alone):
            update()

    with np.errstate(**QUIET):
        seconds = in_turns({"fit": lambda: rbm.fit(X), "alone": alone}, 9)
    expected = seconds["alone"] / n_alone * n_updates
    return [f"{n} x {m} x {k}", n_updates, seconds["fit"], expected, seconds["fit"] / expected]


def fits():
    print("\nA whole fit over its updates alone (validation, order, averages, looks at the loss)\n")
    shapes = [(16_000, 16, 20, "auto"), (1_300, 64, 16, "auto"), (3_000, 784, 200, 4)]
    rows = [fit_over_updates(*shape) for shape in shapes]
    table(["rows x visible x hidden", "updates", "fit, s", "updates, s", "ratio"], rows)


def main():
    header("Restricted Boltzmann machines: one update, float32")
    with limit_blas_threads(1):
        updates()
        fits()


if __name__ == "__main__":
    main()
