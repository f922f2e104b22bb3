"""One update of the diffusion network, and sampling, against the matrix products they consist of.

``python benchmarks/ddpm_speed.py [repeats]``

The floor of an update is its matrix products alone, in float32, into buffers that exist: forward,
and the gradients of weights and inputs. An update of ours is one of the loop that `fit` runs: it
takes rows of a table, draws noise, evaluates, differentiates and makes the step of Adam.
MLPRegressor's is one `partial_fit` on noisy pairs made beforehand (no noise is drawn), with relu;
torch's is a plain loop with Adam, if torch is installed. The floor of sampling is the products of
25 evaluations. All on one BLAS thread; contenders take turns; medians of CPU time of this thread,
so that other work on the machine does not count.
"""

import sys
import time
import warnings
from collections.abc import Callable
from itertools import chain, count, pairwise
from typing import Any

import numpy as np
from _report import header, table
from sklearn.neural_network import MLPRegressor

from skgm import DDPM
from skgm._numerics.optimizers import Adam
from skgm.diffusion._network import Architecture, Network, NetworkLearner, one_blas_thread
from skgm.diffusion._process import NoiseLevels
from skgm.diffusion._training import Batches, OptimizerOptions, Plan, Table

CASES = ((2, 128, 256), (4, 128, 128), (30, 128, 256), (30, 256, 128), (30, 256, 256))
LEVELS = NoiseLevels(np.arctan(0.02), np.arctan(80.0))
INNER = 40  # calls between two looks at the clock: a whole epoch of ours


def products(d: int, width: int, n: int, *, backward: bool) -> Callable[[], None]:
    """Return the matrix products of a network with three hidden layers."""
    rng = np.random.default_rng(0)
    widths = [d, width, width, width, d]
    values = [rng.standard_normal((n, k)).astype(np.float32) for k in widths]
    weights = [rng.standard_normal(s).astype(np.float32) for s in pairwise(widths)]
    out, gradients = [np.empty_like(v) for v in values], [np.empty_like(w) for w in weights]

    def run() -> None:
        for i, weight in enumerate(weights):
            np.matmul(values[i], weight, out=out[i + 1])
            if backward:
                np.matmul(values[i].T, values[i + 1], out=gradients[i])
                if i:
                    np.matmul(values[i + 1], weight.T, out=out[i])

    return run


def our_update(d: int, width: int, n: int) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    architecture = Architecture(d, (width,) * 3)
    network = Network(architecture, architecture.initial(rng).astype(np.float32))
    learner = NetworkLearner(network, Adam(network.flat), OptimizerOptions(3e-3, lambda k: 1.0))
    table = Table(rng.standard_normal((40 * n, d)).astype(np.float32))
    plan = Plan(LEVELS, n_updates=1, batch_size=n)
    batches = chain.from_iterable(Batches(table, plan, rng).epoch(learner) for _ in count())
    return lambda: learner.update(next(batches)[0], 0)


def sklearn_update(d: int, width: int, n: int) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((n, d + 1)).astype(np.float32)
    target = rng.standard_normal((n, d)).astype(np.float32)
    network = MLPRegressor(hidden_layer_sizes=(width,) * 3, batch_size=n)
    return lambda: network.partial_fit(inputs, target)


def torch_update(d: int, width: int, n: int) -> Callable[[], None] | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    sizes = [d + 8, width, width, width]
    layers = [m for a, b in pairwise(sizes) for m in (torch.nn.Linear(a, b), torch.nn.SiLU())]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(width, d))
    optimizer = torch.optim.Adam(network.parameters())
    inputs, target = torch.randn(n, d + 8), torch.randn(n, d)

    def run() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(inputs), target).backward()
        optimizer.step()

    return run


def medians(contenders: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median CPU time of one call of each contender, in microseconds."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.thread_time()
            for _ in range(INNER):
                run()
            taken[name].append((time.thread_time() - start) / INNER)
    return {name: 1e6 * float(np.median(seconds)) for name, seconds in taken.items()}


def update_row(d: int, width: int, n: int, repeats: int) -> list[Any]:
    contenders = {
        "floor": products(d, width, n, backward=True),
        "skgm": our_update(d, width, n),
        "sklearn": sklearn_update(d, width, n),
    }
    torch_contender = torch_update(d, width, n)
    if torch_contender is not None:
        contenders["torch"] = torch_contender
    time_of = medians(contenders, repeats)
    ratios = [time_of[name] / time_of["floor"] for name in ("skgm", "sklearn")]
    of_torch = time_of["torch"] / time_of["floor"] if "torch" in time_of else "not installed"
    return [d, width, n, time_of["floor"], *ratios, of_torch]


def sampling_row(width: int, repeats: int) -> list[Any]:
    X = np.random.default_rng(0).standard_normal((2000, 30))
    model = DDPM(hidden_layer_sizes=(width,) * 3, max_iter=20, random_state=0).fit(X)
    forward = products(30, width, 500, backward=False)  # blocks of rows that stay in cache

    def floor() -> None:
        for _ in range(20 * 25):
            forward()

    taken: dict[str, list[float]] = {"skgm": [], "floor": []}
    contenders = {"skgm": lambda: model.sample(10_000, random_state=0), "floor": floor}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = time.thread_time()
            run()
            taken[name].append(time.thread_time() - start)
    ours, least = (float(np.median(taken[name])) for name in ("skgm", "floor"))
    return [width, least, ours, ours / least]


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    header("Diffusion: an update and sampling against their matrix products")
    warnings.simplefilter("ignore")
    with one_blas_thread((1,)):
        rows = [update_row(*case, repeats) for case in CASES]
        headings = ("columns", "width", "batch", "floor us", "skgm x", "MLPRegressor x", "torch x")
        table(headings, rows)
        print()
        rows = [sampling_row(width, max(3, repeats // 5)) for width in (128, 256)]
        table(("width", "floor s", "10,000 x 30 in 25 steps, s", "ratio"), rows)


if __name__ == "__main__":
    main()
