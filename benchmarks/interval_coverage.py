"""Coverage of 95 % confidence intervals: ours, plain Wald, and peers on the same samples.

Replicates are columns of one table, so one call gives them all; peers that take one sample at a
time see fewer of the same columns. ``python benchmarks/interval_coverage.py [replicates]``.
"""

import sys
import warnings

import numpy as np
from _report import header, table
from scipy import stats

from skgm import MLEDensity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.stats.proportion import proportion_confint
    from statsmodels.stats.rates import confint_poisson

PEER_REPLICATES = 2000


def cases():
    """Family, parameter, true value, sampler, and a peer's interval."""
    return [
        ("normal", "mu", 3.0, lambda rng, size: rng.normal(3, 2, size), scipy_mean),
        ("normal", "sigma", 2.0, lambda rng, size: rng.normal(3, 2, size), None),
        ("exponential", "rate", 0.4, lambda rng, size: rng.exponential(2.5, size), None),
        ("bernoulli", "p", 0.1, lambda rng, size: 1.0 * (rng.random(size) < 0.1), sm_proportion),
        ("bernoulli", "p", 0.5, lambda rng, size: 1.0 * (rng.random(size) < 0.5), sm_proportion),
        ("poisson", "mu", 0.2, lambda rng, size: 1.0 * rng.poisson(0.2, size), sm_poisson),
        ("poisson", "mu", 2.0, lambda rng, size: 1.0 * rng.poisson(2.0, size), sm_poisson),
    ]


def scipy_mean(x):
    """Student's t of scipy."""
    found = stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    return found.low, found.high


def sm_proportion(x):
    """Return the normal approximation, the default of statsmodels."""
    return proportion_confint(int(x.sum()), len(x), 0.05)


def sm_poisson(x):
    """Exact interval of statsmodels (it has no default for a rate)."""
    return confint_poisson(x.sum(), len(x), method="exact-c", alpha=0.05)


def covers(ends, truth):
    return (np.asarray(ends[0]) <= truth) & (truth <= np.asarray(ends[1]))


def coverage(name, parameter, truth, X, method):
    """Percentage; columns on the boundary, where Wald is refused, count as missed."""
    inside = np.ones(X.shape[1], dtype=bool)
    if method != "auto" and name in ("bernoulli", "poisson"):
        mean = X.mean(axis=0)
        inside = (mean > 0) & ((mean < 1) | (name == "poisson"))
    ends = MLEDensity(name).fit(X[:, inside]).confidence_intervals(method=method)[parameter]
    return 100 * covers(ends, truth).sum() / X.shape[1]


def main(replicates):
    header(f"Coverage of 95 % intervals in percent, {replicates} replicates")
    rows = []
    for name, parameter, truth, draw, peer in cases():
        for n in (10, 50, 200):
            X = draw(np.random.default_rng(n), (n, replicates))
            row = [f"{name} {parameter} = {truth:g}", n]
            for method in ("auto", "wald", "wald-transformed"):
                row.append(f"{coverage(name, parameter, truth, X, method):.1f}")
            row.append(peer_coverage(peer, X, truth))
            rows.append(row)
    table(["parameter", "n", "auto", "plain Wald", "transformed Wald", "peer"], rows)
    rows = [multivariate(n, min(replicates, PEER_REPLICATES)) for n in (10, 50, 200)]
    print("\nMultivariate normal, 2 columns, correlation 0.6: the covariance entry")
    table(["n", "auto", "plain Wald", "transformed Wald", "score"], rows)


def peer_coverage(peer, X, truth):
    if peer is None:
        return "none"
    hits = [covers(peer(x), truth) for x in X.T[:PEER_REPLICATES]]
    return f"{100 * np.mean(hits):.1f} ({peer.__name__})"


def multivariate(n, replicates):
    rng, methods = np.random.default_rng(n), ("auto", "wald", "wald-transformed", "score")
    root, hits = np.array([[1.0, 0.0], [0.6, 0.8]]), np.zeros(len(methods))
    for _ in range(replicates):
        model = MLEDensity("multivariate_normal").fit(rng.standard_normal((n, 2)) @ root.T)
        for k, method in enumerate(methods):
            low, high = model.confidence_intervals(method=method)["covariance"]
            hits[k] += covers((low[0, 1], high[0, 1]), 0.6)
    return [n, *(f"{100 * hit / replicates:.1f}" for hit in hits)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
