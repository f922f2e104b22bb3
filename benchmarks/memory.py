"""Memory of score_samples and sample beyond input and output, as the number of rows grows.

``python benchmarks/memory.py [rows] [names...]``

Every density is fitted to 500 rows of five columns (zeros and ones for the RBM). The workspace is
the peak of what numpy and Python allocate during the call (tracemalloc), less the array that it
returns: at `rows` rows, at twice as many, and their ratio. A method in blocks has the ratio 1. The
slow densities get a tenth of the rows, those marked with a star a hundredth.
"""

import sys
import time
import tracemalloc
import warnings
from typing import Any

import numpy as np
from _report import header, table

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    GaussianMixtureDensity,
    KernelExpFamily,
    MLEDensity,
    NCEDensity,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
    StackedDensity,
    make_density_pipeline,
)

HEADINGS = ("density", "call", "rows", "MiB", "MiB at twice", "ratio", "wall s")
FAST: dict[str, Any] = {
    "MLE gamma": MLEDensity("gamma"),
    "MLE student_t": MLEDensity("student_t"),
    "MLE joint normal": MLEDensity("multivariate_normal"),
    "MLE auto": MLEDensity("auto"),
    "Gaussian": ScoreMatchingGaussian(),
    "pipeline": make_density_pipeline(ScoreMatchingGaussian()),
    "exp family": ScoreMatchingExpFamily(),
    "exp family, gamma": ScoreMatchingExpFamily("gamma"),
    "mixture": GaussianMixtureDensity(3, random_state=0),
    "RBM": BernoulliRBMCD(8, n_iter=20, random_state=0),
}
SLOW: dict[str, Any] = {
    "Gaussian, bounds": ScoreMatchingGaussian(bounds="positive"),
    "NCE trees": NCEDensity(random_state=0),
    "NCE quadratic": NCEDensity("quadratic", random_state=0),
    "chain": DensityChain(n_orders=1, random_state=0),
    "stack": StackedDensity(
        [("mixture", GaussianMixtureDensity(2)), ("normal", ScoreMatchingGaussian())],
        random_state=0,
    ),
}
SLOWEST: dict[str, Any] = {
    "DDPM*": DDPM(max_iter=50, random_state=0),
    "kernel*": KernelExpFamily(50, random_state=0),
}


def training_rows(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.gamma(3.0, 1.0, size=(n, 5)).cumsum(axis=1)


def workspace(density: Any, call: str, X: np.ndarray, n: int) -> float:
    """Return the peak allocation of one call beyond its result, in MiB."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    result = density.score_samples(X) if call == "score" else density.sample(n, random_state=0)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return (peak - result.nbytes) / 2**20


def main() -> None:
    arguments = sys.argv[1:]
    n_rows = int(float(arguments[0])) if arguments else 1_000_000
    wanted = arguments[1:]
    header(__doc__)
    found = []
    for group, share in ((FAST, 1), (SLOW, 10), (SLOWEST, 100)):
        for name, density in group.items():
            if wanted and name not in wanted:
                continue
            rows = training_rows(500)
            rows = (rows > np.median(rows, axis=0)).astype(float) if name == "RBM" else rows
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                density.fit(rows)
                n = n_rows // share
                table_rows = np.tile(rows, (-(-2 * n // 500), 1))
                for call in ("score", "sample"):
                    start = time.perf_counter()
                    one, two = (workspace(density, call, table_rows[:m], m) for m in (n, 2 * n))
                    seconds = time.perf_counter() - start
                    ratio = two / one
                    found.append(
                        (
                            name,
                            call,
                            f"{n:,}",
                            f"{one:.1f}",
                            f"{two:.1f}",
                            f"{ratio:.2f}",
                            f"{seconds:.0f}",
                        )
                    )
                    print(*found[-1], flush=True)
    table(HEADINGS, found)


if __name__ == "__main__":
    main()
