"""The defaults of NCEDensity's trees and noise ratio, compared inside the training rows.

    python benchmarks/nce_choices.py [table ...]

The tables are those of nce_density.py; so are their training rows, a quarter of which are put aside
to validate on, two splits of each table (one of digits). The test rows are never looked at. Figures
are differences of the validation log-likelihood to the defaults, in nats per row, with the paired
standard error of one split.
"""

import sys
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
from _report import header, table
from nce_density import dequantized, split, tables

from skgm._numerics.importance import estimate
from skgm._sklearn import boosting_to_best_iteration
from skgm.nce._classifiers import boosted_trees, fit_classifier_critic
from skgm.nce._noise import make_noise

DEFAULT = (10, 31, 0.2)  # noise ratio, leaves, learning rate
CHOICES = [
    DEFAULT,
    *((ratio, 31, 0.2) for ratio in (5, 20)),
    *((10, leaves, 0.2) for leaves in (8, 15, 63)),
    *((10, leaves, 0.1) for leaves in (15, 31)),
    (5, 15, 0.1),
    (20, 15, 0.1),
]


def log_density(train, noise, choice):
    """Return the normalized density of a bag of three as NCEDensity fits it, but for the choice."""
    ratio, leaves, rate = choice
    rng = np.random.default_rng(0)
    trees = boosted_trees(len(train)).set_params(max_leaf_nodes=leaves, learning_rate=rate)
    options = {"noise_ratio": ratio, "rng": rng}
    critic = fit_classifier_critic(
        [train] * 3, None, noise, trees, step=lambda name, member: nullcontext(), **options
    )
    members = tuple(boosting_to_best_iteration(member) for member in critic.members)
    critic = replace(critic, members=members)
    found = estimate(critic.log_ratio, noise, rng, tol=0.01, max_rows=100_000)
    return lambda X: noise.log_density(X) + critic.log_ratio(X) - found.log_z


def compare(X, name):
    """Yield, for each choice, mean difference to the default, its standard error, and seconds."""
    gains, seconds = {choice: [] for choice in CHOICES}, dict.fromkeys(CHOICES, 0.0)
    seeds = 1 if name == "digits" else 2
    for seed in range(seeds):
        rows, _ = split(X, name, seed)
        cut = int(0.75 * len(rows))
        order = np.random.default_rng(seed).permutation(len(rows))
        train, held_out = rows[order[:cut]], rows[order[cut:]]
        noise = make_noise("auto", train, None, np.random.default_rng(0))
        values = {}
        for choice in CHOICES:
            start = time.thread_time()
            values[choice] = log_density(train, noise, choice)(held_out)
            seconds[choice] += (time.thread_time() - start) / seeds
            gains[choice].append(values[choice] - values[DEFAULT])
    for choice in CHOICES:
        error = np.mean([gap.std(ddof=1) / np.sqrt(len(gap)) for gap in gains[choice]])
        yield choice, np.mean([gap.mean() for gap in gains[choice]]), error, seconds[choice]


def main():
    header("Choices inside the training rows", ("numpy", "scikit-learn"))
    wanted = sys.argv[1:]
    shown, results = [], []
    for name, frame in tables():
        if wanted and name not in wanted:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = list(compare(dequantized(frame), name))
        shown.append([name, *(f"{mean:+.3f} ± {error:.3f}" for _, mean, error, _ in found[1:])])
        results.append([[mean, mean / error if error else 0.0, s] for _, mean, error, s in found])
    table(["table", *(f"{r}, {leaves}, {rate:g}" for r, leaves, rate in CHOICES[1:])], shown)
    print("\nOver the tables: median difference, tables better and worse by 2 errors, seconds\n")
    table(
        ["noise ratio", "leaves", "learning rate", "median", "better", "worse", "seconds"],
        [
            [*choice, f"{np.median(gain):+.3f}", (z > 2).sum(), (z < -2).sum(), f"{s.sum():.0f}"]
            for choice, (gain, z, s) in zip(CHOICES, np.array(results).transpose(1, 2, 0))
        ],
    )


if __name__ == "__main__":
    main()
