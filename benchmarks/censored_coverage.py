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

from skgm import fit_family
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


SCHEMES = {"right": right, "left": left, "grid of 5": grid}


def misses(fit, draw, truth, replicates):
    """Count intervals above and below the truth by parameter, and samples without an estimate."""
    found = {name: np.zeros(3) for name in truth}
    lost = 0
    for seed in range(replicates):
        try:
            ends = fit(draw(np.random.default_rng(seed))).confidence_intervals()
        except ValueError:
            lost += 1
            continue
        for name, value in truth.items():
            low, high = ends[name]
            found[name] += [low > value, high < value, not np.isfinite(low + high)]
    kept = replicates - lost
    for name, (above, below, endless) in found.items():
        shares = (100 * count / kept for count in (kept - above - below, above, below, endless))
        yield [name, *(f"{share:.1f}" for share in shares), f"{100 * lost / replicates:.1f}"]


def censored(families, replicates):
    for family in families:
        law, truth = LAWS[family]
        for scheme, see in SCHEMES.items():
            for n in (10, 20):

                def draw(rng, law=law, n=n, see=see):
                    return see(law.rvs(n, random_state=rng), law)

                def fit(ends, family=family):
                    return fit_family(ends[0], family, upper=ends[1])

                for row in misses(fit, draw, truth, replicates):
                    yield [family, scheme, n, *row]


def counts(replicates):
    def truncated(rng):
        x = stats.poisson(1.5).rvs(400, random_state=rng)
        return x[x > 0][:50].astype(float)

    def inflated(rng):
        x = stats.poisson(2.0).rvs(50, random_state=rng)
        return np.where(rng.random(50) < 0.3, 0.0, x)

    def fit_truncated(x):
        return fit_family(x, "poisson", window=(1, np.inf))

    for row in misses(fit_truncated, truncated, {"mu": 1.5}, replicates):
        yield ["poisson", "no zeros", 50, *row]
    truth = {"mu": 2.0, "inflation": 0.3}
    for row in misses(
        lambda x: fit_family(x, ZeroInflated("poisson")), inflated, truth, replicates
    ):
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
