"""Coverage of the intervals for log Z, and whether the warning fires where they miss.

    python benchmarks/rbm_log_partition.py [replicates, default 50]

Machines small enough to enumerate, of many temperatures: random weights of growing scale, machines
with needle modes, and machines trained by exact maximum likelihood on scikit-learn's digits (and on
nltcs and plants, from the folder that SKGM_BENCH_DATA names). Each is treated as if it could not be
enumerated, `replicates` times. For comparison: the interval of plain annealing upwards, mean and
standard error of its weights, from the same run.
"""

import sys
import time
import warnings

import numpy as np
from _report import header, table
from _tables import bits
from sklearn.datasets import load_digits

from skgm.rbm._annealing import base_log_odds
from skgm.rbm._energy import RBMParameters
from skgm.rbm._enumeration import exact_moments
from skgm.rbm._exact import fit_exact
from skgm.rbm._log_partition import log_partition


def random_machines():
    """Symmetric about 1/2 up to small intercepts: many modes where the weights are large."""
    for k, m in ((10, 20), (16, 16)):
        for scale in (0.1, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0):
            rng = np.random.default_rng([k, m, int(100 * scale)])
            weights = scale * rng.standard_normal((k, m)) * 4 / np.sqrt(max(k, m))
            hidden = 0.3 * scale * rng.standard_normal(k) - weights.sum(axis=1) / 2
            visible = 0.3 * scale * rng.standard_normal(m) - weights.sum(axis=0) / 2
            yield f"random {k} x {m}, scale {scale}", RBMParameters(weights, hidden, visible)


def machines_with_two_modes():
    """Modes of mass about .04 and .3 opposite to the main one, as far away as can be."""
    pattern = np.repeat([1.0, -1.0], 6)
    for lag in (0.8, 3.2):
        hidden = np.array([-22.0, -22.0 - lag])
        yield (
            f"two modes, lag {lag}",
            RBMParameters(6 * np.array([pattern, -pattern]), hidden, np.zeros(12)),
        )


def tables():
    yield "digits", load_digits().data > 7
    for name in ("nltcs", "plants"):
        rows = bits(name, "train")
        if rows is not None:
            yield name, rows[:3000]


def trained_machines():
    for name, rows in tables():
        rows = rows.astype(np.float64)
        rng = np.random.default_rng(0)
        start = RBMParameters(
            0.1 * rng.standard_normal((12, rows.shape[1])),
            np.zeros(12),
            base_log_odds(rows.mean(axis=0)),
        )
        for n_iter in (20, 60, 200):
            fit = fit_exact(rows, None, start, max_iter=n_iter)
            yield f"{name}, 12 hidden, {n_iter} iterations", fit.parameters


def estimates(parameters, mean, n_replicates):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(n_replicates):
            yield log_partition(parameters, mean, np.random.default_rng(seed), max_exact_units=0)


def measure(name, parameters, n_replicates):
    truth = exact_moments(parameters)
    start = time.thread_time()
    found = list(estimates(parameters, truth.visible, n_replicates))
    seconds = (time.thread_time() - start) / n_replicates
    low, high = np.array([f.interval for f in found]).T
    covered = (low <= truth.log_partition) & (truth.log_partition <= high)
    warned = np.array([not f.reliable for f in found])
    values = np.array([f.value for f in found])
    errors = np.array([f.standard_error for f in found])
    ups = np.array([f.lower for f in found])
    up_errors = np.sqrt((256 / np.array([f.ess_up for f in found]) - 1) / 256)  # delta method
    up_covered = np.abs(ups - truth.log_partition) <= 1.96 * up_errors
    row = [
        name,
        f"{covered.mean():.2f}",
        f"{warned.mean():.2f}",
        f"{values.mean() - truth.log_partition:+.4f}",
        f"{values.std():.4f}",
        f"{np.median(errors):.4f}",
        f"{up_covered.mean():.2f}",
        f"{ups.std():.4f}",
        f"{np.median([f.ess for f in found]):.0f}",
        f"{max(f.r_hat for f in found):.2f}",
        f"{seconds:.2f}",
    ]
    return row, covered, warned, up_covered


def main():
    n_replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    header(f"Intervals for log Z, nominal 95%, {n_replicates} replicates", ("numpy", "scipy"))
    rows, covered, warned, up_covered = [], [], [], []
    for source in (random_machines, machines_with_two_modes, trained_machines):
        for name, parameters in source():
            row, *flags = measure(name, parameters, n_replicates)
            print(*row, flush=True)
            rows.append(row)
            for total, flag in zip((covered, warned, up_covered), flags, strict=True):
                total.append(flag)
    print()
    headings = "machine, covered, warned, bias, sd, median se, up alone covers, its sd, median ESS,"
    table((headings + " largest R-hat, seconds each").split(", "), rows)
    covered, warned, up_covered = (np.array(flags) for flags in (covered, warned, up_covered))
    print(f"\n{len(rows)} machines, {covered.size} intervals")
    print(f"covered: {covered.mean():.3f}; annealing upwards alone: {up_covered.mean():.3f}")
    print(f"machines covered in less than 90%: {(covered.mean(axis=1) < 0.9).sum()}")
    print(f"warned, of the covered: {warned[covered].mean():.3f}")
    print(f"warned, of those not covered: {warned[~covered].mean() if (~covered).any() else 1:.3f}")
    print(f"covered, of those without a warning: {covered[~warned].mean():.3f}")


if __name__ == "__main__":
    main()
