"""Coverage of the default 95 % intervals of censored, zero-truncated and zero-inflated samples.

Of each sample 30 % are right-censored at a fixed time, or left-censored at a limit of detection, or
all values are known between five inspections only. A sample without an estimate (all values may be
the same) is counted apart. ``python benchmarks/censored_coverage.py [replicates [family ...]]``.
"""

import sys
import warnings

import numpy as np
from _report import header, table
from scipy import stats

from skgm import MLEDensity
from skgm.inference.families import ZeroInflated

LAWS = {
    "normal": (stats.norm(0, 1), {"mu": 0.0, "sigma": 1.0}),
    "lognormal": (stats.lognorm(0.5), {"mu": 0.0, "sigma": 0.5}),
    "exponential": (stats.expon(), {"rate": 1.0}),
    "weibull": (stats.weibull_min(1.5), {"shape": 1.5, "scale": 1.0}),
    "gamma": (stats.gamma(2.0), {"shape": 2.0, "scale": 1.0}),
}


def right(x, law):
    limit = law.ppf(0.7)
    return np.minimum(x, limit), np.where(x > limit, np.inf, x)


def left(x, law):
    limit = law.ppf(0.3)
    return np.where(x < limit, -np.inf, x), np.maximum(x, limit)


def grid(x, law):
    ends = np.concatenate([[-np.inf], law.ppf(np.arange(1, 6) / 6), [np.inf]])
    cell = np.searchsorted(ends, x)
    return ends[cell - 1], ends[cell]


BLOCK = 250  # replicates, which are columns of one table
SCHEMES = {"right": right, "left": left, "grid of 5": grid}


def ends_of(fit, table):
    """Return low and high ends by parameter, and the columns that have them, of a table's columns.

    A table that has no fit as a whole is halved.
    """
    d = table[0].shape[1]
    try:
        ends = fit(table).confidence_intervals()
        return [{name: np.reshape(ends[name], (2, d)) for name in ends}]
    except ValueError:
        if d == 1:
            return []
    parts = [part for part in np.array_split(np.arange(d), 2) if len(part)]
    return [found for part in parts for found in ends_of(fit, [t[:, part] for t in table])]


def misses(fit, draw, truth, replicates):
    """Count intervals above and below the truth by parameter, and samples without an estimate."""
    found = []
    for seed, start in enumerate(range(0, replicates, BLOCK)):
        size = min(BLOCK, replicates - start)
        found += ends_of(fit, draw(np.random.default_rng(seed), size))
    for name, value in truth.items():
        low, high = np.concatenate([ends[name] for ends in found], axis=1)
        kept = len(low)
        above, below = 100 * np.mean(low > value), 100 * np.mean(high < value)
        endless = 100 * np.mean(~np.isfinite(low + high))
        shares = (100 - above - below, above, below, endless, 100 * (1 - kept / replicates))
        yield [name, *(f"{share:.1f}" for share in shares)]


def censored(families, replicates):
    for family in families:
        law, truth = LAWS[family]
        for scheme, see in SCHEMES.items():
            for n in (10, 20):

                def draw(rng, size, law=law, n=n, see=see):
                    return see(law.rvs((n, size), random_state=rng), law)

                def fit(ends, family=family):
                    return MLEDensity(family).fit(ends[0], upper=ends[1])

                for row in misses(fit, draw, truth, replicates):
                    yield [family, scheme, n, *row]


def counts(replicates):
    def truncated(rng, size):
        x = stats.poisson(1.5).rvs((400, size), random_state=rng).astype(float)
        return [np.column_stack([column[column > 0][:50] for column in x.T])]

    def inflated(rng, size):
        x = stats.poisson(2.0).rvs((50, size), random_state=rng)
        return [np.where(rng.random(x.shape) < 0.3, 0.0, x)]

    truncated_model = MLEDensity("poisson", window=(1, np.inf))
    for row in misses(lambda t: truncated_model.fit(t[0]), truncated, {"mu": 1.5}, replicates):
        yield ["poisson", "no zeros", 50, *row]
    inflated_model, truth = MLEDensity(ZeroInflated("poisson")), {"mu": 2.0, "inflation": 0.3}
    for row in misses(lambda t: inflated_model.fit(t[0]), inflated, truth, replicates):
        yield ["poisson", "zero-inflated", 50, *row]


def main():
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    families = sys.argv[2:] or [*LAWS, "poisson"]
    header(f"Coverage of 95 % intervals: {replicates} replicates, percent")
    warnings.simplefilter("ignore")
    rows = list(censored([family for family in families if family in LAWS], replicates))
    if "poisson" in families:
        rows += list(counts(replicates))
    headings = [
        "family",
        "seen",
        "n",
        "parameter",
        "covered",
        "above",
        "below",
        "endless",
        "no fit",
    ]
    table(headings, rows)


if __name__ == "__main__":
    main()
