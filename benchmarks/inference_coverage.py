"""Coverage of 95 % intervals in small samples: the default one, the profile and plain Wald.

Replicates are columns of one table, so one fit and one call give them all. Discrete families are
enumerated, without Monte-Carlo error. Peers take one sample at a time and see fewer of the same
columns. ``python benchmarks/inference_coverage.py [replicates]``.
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

# family, fixed, true parameters, scipy's distribution
CONTINUOUS = [
    ("normal", None, {"mu": 3.0, "sigma": 2.0}, stats.norm(3, 2)),
    ("lognormal", None, {"mu": 1.0, "sigma": 0.5}, stats.lognorm(0.5, scale=np.e)),
    ("exponential", None, {"rate": 0.4}, stats.expon(scale=2.5)),
    ("gamma", None, {"shape": 0.5, "scale": 3.0}, stats.gamma(0.5, scale=3)),
    ("gamma", None, {"shape": 2.0, "scale": 3.0}, stats.gamma(2.0, scale=3)),
    ("gamma", None, {"shape": 10.0, "scale": 3.0}, stats.gamma(10.0, scale=3)),
    ("weibull", None, {"shape": 1.5, "scale": 2.0}, stats.weibull_min(1.5, scale=2)),
    ("beta", None, {"a": 0.5, "b": 0.5}, stats.beta(0.5, 0.5)),
    ("beta", None, {"a": 2.0, "b": 2.0}, stats.beta(2, 2)),
    ("beta", None, {"a": 2.0, "b": 5.0}, stats.beta(2, 5)),
    ("laplace", None, {"loc": 1.0, "scale": 2.0}, stats.laplace(1, 2)),
    ("cauchy", None, {"loc": 1.0, "scale": 2.0}, stats.cauchy(1, 2)),
    ("student_t", {"df": 5.0}, {"loc": 1.0, "scale": 2.0}, stats.t(5, 1, 2)),
    ("student_t", {"df": 3.0}, {"loc": 1.0, "scale": 2.0}, stats.t(3, 1, 2)),
    ("logistic", None, {"loc": 1.0, "scale": 2.0}, stats.logistic(1, 2)),
    ("gumbel", None, {"loc": 1.0, "scale": 2.0}, stats.gumbel_r(1, 2)),
    ("inverse_gaussian", None, {"mu": 1.0, "lam": 1.0}, stats.invgauss(1.0)),
    ("inverse_gaussian", None, {"mu": 1.0, "lam": 5.0}, stats.invgauss(0.2, scale=5)),
    ("rayleigh", None, {"scale": 2.0}, stats.rayleigh(scale=2)),
    ("pareto", {"minimum": 1.0}, {"shape": 2.0}, stats.pareto(2)),
    ("von_mises", None, {"mu": 0.0, "kappa": 1.0}, stats.vonmises(1)),
    ("von_mises", None, {"mu": 0.0, "kappa": 4.0}, stats.vonmises(4)),
]


def misses(ends, truth):
    """Percentages of intervals that lie wholly above, and wholly below, the truth."""
    low, high = ends
    return 100 * np.mean(low > truth), 100 * np.mean(high < truth)


def continuous(replicates):
    rows = []
    for family, fixed, truth, distribution in CONTINUOUS:
        for n in (5, 10):
            rng = np.random.default_rng(n)
            X = distribution.rvs(size=(n, replicates), random_state=rng)
            fit = MLEDensity(family, fixed=fixed).fit(X)
            found = {m: fit.confidence_intervals(method=m) for m in ("auto", "profile", "wald")}
            for name, value in truth.items():
                above, below = misses(found["auto"][name], value)
                method = np.ravel(found["auto"].methods[name])[0]
                others = (100 - sum(misses(found[m][name], value)) for m in ("profile", "wald"))
                label = f"{family} {fixed or ''} {truth}".replace("'", "")
                cells = [100 - above - below, above, below, *others]
                rows.append([label, name, n, method, *(f"{c:.2f}" for c in cells)])
    headings = ["family", "parameter", "n", "auto is", "auto", "above", "below", "profile", "wald"]
    table(headings, rows)


def enumerated(family, n, grid, masses, peers):
    """Coverage over `grid` of each method, by summing the mass of every outcome of n rows."""
    totals = np.arange(masses.shape[1])
    rows = np.zeros((n, len(totals)))
    for j, total in enumerate(totals):  # any rows with that total have the same interval
        rows[:, j] = total // n
        rows[: total % n, j] += 1
    fit = MLEDensity(family).fit(rows)
    ends = {m: next(iter(fit.confidence_intervals(method=m).values())) for m in ("auto", "profile")}
    ends |= {name: np.array([peer(t, n) for t in totals]).T for name, peer in peers.items()}
    for name, (low, high) in ends.items():
        inside = (low <= grid[:, None]) & (grid[:, None] <= high)
        coverage = 100 * (masses * inside).sum(axis=1)
        yield [family, n, name, f"{coverage.mean():.2f}", f"{coverage.min():.2f}"]


def discrete():
    rows = []
    p = np.linspace(0.02, 0.98, 481)
    for n in (5, 10, 20, 50):
        masses = stats.binom.pmf(np.arange(n + 1), n, p[:, None])
        peer = {"statsmodels default": lambda t, n: proportion_confint(int(t), n, 0.05)}
        rows += enumerated("bernoulli", n, p, masses, peer)
    for n in (5, 10, 20, 50):
        mean = np.geomspace(0.2, 20, 481)  # of the total
        masses = stats.poisson.pmf(np.arange(120), mean[:, None])
        peer = {"statsmodels exact": lambda t, n: confint_poisson(t, n, "exact-c", 0.05)}
        rows += enumerated("poisson", n, mean / n, masses, peer)
    table(["family", "n", "interval", "mean coverage", "worst"], rows)


def main():
    replicates = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    header(f"Coverage of 95 % intervals: {replicates} replicates, percent")
    continuous(replicates)
    print("\nEnumerated: Bernoulli p in [.02, .98]; Poisson with total mean in [.2, 20]\n")
    discrete()


if __name__ == "__main__":
    main()
