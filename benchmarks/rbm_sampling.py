"""Time of rows, log Z and completions of large restricted Boltzmann machines.

Digits of scikit-learn, enlarged and made black and white; 30 epochs, all else at its default. The
chains of such machines need not mix in the time that is allowed: the calls say so, by warnings.
``OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rbm_sampling.py``
"""

import time
import warnings

import numpy as np
from _report import header, table
from scipy.ndimage import zoom
from sklearn.datasets import load_digits

from skgm import BernoulliRBMCD
from skgm._sklearn import limit_blas_threads
from skgm.rbm import sampling_diagnostics

SHAPES = [(24, 300), (28, 500)]


def timed(run):
    """Return the result, processor seconds, and whether it was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.thread_time()
        result = run()
        seconds = time.thread_time() - start
    return result, f"{seconds:.1f}", "yes" if caught else "no"


def measure(side, k):
    """Yield rows of the table for one machine."""
    images = load_digits().images
    X = np.array([zoom(image, side / 8, order=1) for image in images]).reshape(len(images), -1) > 7
    machine, seconds, warned = timed(
        lambda: BernoulliRBMCD(k, n_iter=30, random_state=0).fit(X.astype(np.float32))
    )
    name = f"{side**2} x {k}"
    yield [name, "fit, 30 epochs of 1797 rows", seconds, warned, "-"]
    for n in (10, 1000):
        found, seconds, warned = timed(lambda n=n: sampling_diagnostics(machine, n, random_state=0))
        yield [name, f"{n} rows", seconds, warned, f"{found.r_hat:.2f}"]
    found, seconds, warned = timed(machine.log_partition)
    yield [name, "log Z", seconds, warned, f"{found.r_hat:.2f}"]
    halves = X[:20].astype(float)
    halves[:, side**2 // 2 :] = np.nan
    _, seconds, warned = timed(lambda: machine.impute(halves, random_state=0))
    yield [name, "20 halves completed", seconds, warned, "-"]


def main():
    header("Large restricted Boltzmann machines: processor seconds of a call")
    with limit_blas_threads(1):
        rows = [row for shape in SHAPES for row in measure(*shape)]
    table(["visible x hidden", "call", "seconds", "warned", "R-hat"], rows)


if __name__ == "__main__":
    main()
