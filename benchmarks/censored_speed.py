"""Fits of a censored Weibull column with errors and intervals, against lifelines and SurPyval.

One column of a thousand values, the same for all, in one run. The peers are measured where they
are installed. ``python benchmarks/censored_speed.py [rows]``.
"""

import sys
import warnings
from functools import partial
from importlib.util import find_spec

import numpy as np
from _report import best_of, header, table
from scipy import stats

from skgm import fit_family


def data(n, kind):
    """Return the ends between which each value lies."""
    rng = np.random.default_rng(0)
    x = stats.weibull_min.rvs(1.5, scale=2.0, size=n, random_state=rng)
    if kind == "right-censored":
        limit = rng.exponential(4.0, n)
        return np.minimum(x, limit), np.where(x > limit, np.inf, x)
    return np.floor(4 * x) / 4 + 1e-9, np.floor(4 * x) / 4 + 0.25


def ours(low, high):
    return fit_family(low, "weibull", upper=high).standard_errors()


def lifelines(low, high):
    from lifelines import WeibullFitter

    if np.isinf(high).any():
        return WeibullFitter().fit(low, np.isfinite(high)).summary
    return WeibullFitter().fit_interval_censoring(low, high).summary


def surpyval(low, high):
    import surpyval

    if np.isinf(high).any():
        return surpyval.Weibull.fit(low, c=np.isinf(high).astype(int))
    return surpyval.Weibull.fit(np.column_stack([low, high]), c=np.full(len(low), 2))


def scipys(low, high):
    seen = low == high
    between = np.column_stack([low, high])[~seen & np.isfinite(high)]
    data = stats.CensoredData(low[seen], right=low[np.isinf(high)], interval=between)
    return stats.weibull_min.fit(data, floc=0)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    warnings.simplefilter("ignore")
    header(f"A censored Weibull column of {n} rows: milliseconds, and times ours")
    peers = {"lifelines": lifelines, "surpyval": surpyval}
    found = {name: peer for name, peer in peers.items() if find_spec(name)}
    rows = []
    for kind in ("right-censored", "interval-censored"):
        ends = data(n, kind)
        base = best_of(partial(ours, *ends))
        for name, peer in {"skgm": ours, "scipy (no errors)": scipys, **found}.items():
            seconds = base if peer is ours else best_of(partial(peer, *ends))
            rows.append([kind, name, f"{1e3 * seconds:.2f}", f"{seconds / base:.0f}"])
    table(["rows", "package", "ms", "times ours"], rows)


if __name__ == "__main__":
    main()
