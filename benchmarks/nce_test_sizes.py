"""Sizes of the Wald, score and likelihood-ratio tests of noise-contrastive estimates.

    python benchmarks/nce_test_sizes.py [replications] [configuration ...]

Rejection rates of true nulls at a nominal 5%, 500 rows, 10,000 replications by default: of a
Gaussian in two columns told from one noise row per data row, and of a fourth power in one column
told from two. "fitted": Gaussian noise with the moments of the rows; "wide": N(0.2, 1.5 I).
Replications come in pieces of 1250, each with its own seed, spread over the processor's cores;
configurations 0 to 5 are the groups of rows of the table.
"""

import sys

import numpy as np
from _report import header, table
from joblib import Parallel, delayed
from nce_efficiency import fit_gaussian, natural, noise_for
from scipy import stats

from skgm.nce._inference import CriticNull
from skgm.nce._parametric import fit_parametric_critic
from skgm.nce._statistics import make_statistics

ROWS, PIECE = 500, 1250
CONFIGURATIONS = [
    (critic, ratio, noise, sampling)
    for critic, ratio in (("quadratic", 1), ("fourth power", 2))
    for noise, sampling in (("fitted", "iid"), ("fitted", "qmc"), ("wide", "qmc"))
]
GAUSSIAN = natural(np.zeros(2), np.eye(2))
FOURTH = np.array([0.0, -0.5, 0.0, 0.5 * np.log(2 * np.pi)])
NULLS = {
    "quadratic": (GAUSSIAN, {"interaction": [3], "log Z": [5], "two squares": [2, 4]}),
    "fourth power": (FOURTH, {"fourth power": [2]}),
}
NAMES = ("wald", "score", "likelihood_ratio")


def fitted(critic, ratio, noise, sampling, rng):
    if critic == "quadratic":
        return fit_gaussian(rng.standard_normal((ROWS, 2)), noise, ratio, sampling, rng)
    X = rng.standard_normal((ROWS, 1))
    form = make_statistics(lambda x: np.hstack([x, x**2, x**4]), X, None, ["x"], rng)
    options = {"noise_ratio": ratio, "noise_sampling": sampling, "rng": rng}
    return fit_parametric_critic(X, None, noise_for(X, noise), form, **options)


def statistics(configuration, piece, runs):
    """Return the three statistics of each null, (runs, 3)."""
    rng = np.random.default_rng([configuration, piece])
    choice = CONFIGURATIONS[configuration]
    truth, nulls = NULLS[choice[0]]
    found = {label: np.empty((runs, 3)) for label in nulls}
    for run in range(runs):
        critic = fitted(*choice, rng)
        for label, entries in nulls.items():
            R, q = np.eye(len(truth))[entries], truth[entries]
            null = CriticNull(critic, R, q)
            found[label][run] = [getattr(null, name)().statistic for name in NAMES]
    return found


def size_rows(configuration, runs):
    pieces = max(1, runs // PIECE)
    each = runs // pieces
    work = (delayed(statistics)(configuration, piece, each) for piece in range(pieces))
    found = Parallel(n_jobs=-1)(work)
    critic, ratio, noise, sampling = CONFIGURATIONS[configuration]
    for label, entries in NULLS[critic][1].items():
        values = np.concatenate([part[label] for part in found])
        rates = np.mean(values > stats.chi2.ppf(0.95, len(entries)), axis=0)
        yield [label, noise, ratio, sampling, *(f"{100 * rate:.2f}" for rate in rates)]


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    chosen = [int(number) for number in sys.argv[2:]] or range(len(CONFIGURATIONS))
    header("Sizes of tests of noise-contrastive estimates, in %, nominal 5%")
    error = 100 * np.sqrt(0.05 * 0.95 / runs)
    print(f"{ROWS} rows, {runs} replications; Monte-Carlo standard error {error:.2f}\n")
    rows = [row for configuration in chosen for row in size_rows(configuration, runs)]
    table(["null", "noise", "ratio", "sampling", "Wald", "score", "likelihood ratio"], rows)


if __name__ == "__main__":
    main()
