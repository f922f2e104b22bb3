"""Fits with standard errors, and intervals after a fit, against scipy, statsmodels and lifelines.

Two columns of ours: the formulas of a family on a clean array (what the peers' functions do), and
`MLEDensity` with all of its validation. One column of data, the same for all, in one run.
``python benchmarks/inference_speed.py``; lifelines is measured where it is installed.
"""

import warnings
from functools import partial
from importlib.util import find_spec

import numpy as np
from _report import best_of, header, table
from scipy import stats

from skgm import MLEDensity
from skgm.inference.families import get_family

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.base.model import GenericLikelihoodModel

# family: scipy's distribution, what scipy's fit holds, start of the generic fit
CASES = {
    "normal": (stats.norm(3, 2), {}, [1.0, 1.0]),
    "exponential": (stats.expon(scale=2.5), {"floc": 0}, [1.0]),
    "gamma": (stats.gamma(2.0, scale=3.0), {"floc": 0}, [1.0, 1.0]),
    "weibull": (stats.weibull_min(1.5, scale=2.0), {"floc": 0}, [1.0, 1.0]),
    "beta": (stats.beta(2.0, 5.0), {"floc": 0, "fscale": 1}, [1.0, 1.0]),
    "logistic": (stats.logistic(1, 2), {}, [0.0, 1.0]),
    "gumbel": (stats.gumbel_r(1, 2), {}, [0.0, 1.0]),
}
LOCATION = ("normal", "logistic", "gumbel")


def formulas(family, X):
    """Fit and model standard errors by the formulas alone."""
    statistics = family.summarize(X, None)
    family.check_statistics(statistics, ["x0"])
    estimate = family.estimate(statistics)
    return family.standard_errors(estimate, statistics.n)


def estimator(name, X):
    return MLEDensity(name).fit(X).standard_errors()


def log_density(distribution, name, x, params):
    """Parameters as the user of a generic model writes them: shapes, then scale."""
    positive = np.abs(params)
    if name in LOCATION:
        return distribution.dist.logpdf(x, params[0], positive[1])
    if name == "exponential":
        return distribution.dist.logpdf(x, scale=positive[0])
    if name == "beta":
        return distribution.dist.logpdf(x, *positive)
    return distribution.dist.logpdf(x, positive[0], scale=positive[1])


def generic(name, distribution, start, x):
    """Fit as statsmodels does it: a log-likelihood by the user, Nelder-Mead, numeric Hessian."""

    class Model(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return log_density(distribution, name, self.endog, params)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Model(x, np.ones_like(x)).fit(start_params=start, method="nm", disp=0, maxiter=5000)
        return found.bse


def lifelines_weibull(x):
    from lifelines import WeibullFitter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return WeibullFitter().fit(x).summary


def fits():
    rows = []
    for name, (distribution, held, start) in CASES.items():
        for n in (1_000, 100_000):
            x = distribution.rvs(size=n, random_state=np.random.default_rng(0))
            X, family = x[:, None].copy(), get_family(name)
            mine = best_of(partial(formulas, family, X), 25)
            whole = best_of(partial(estimator, name, X), 25)
            scipys = best_of(partial(distribution.dist.fit, x, **held), 9)
            peer = best_of(partial(generic, name, distribution, start, x), 1)
            row = [name, n, 1e3 * mine, 1e3 * whole, scipys / mine, scipys / whole]
            row += [peer / mine, peer / whole]
            if name == "weibull" and find_spec("lifelines"):
                other = best_of(partial(lifelines_weibull, x), 2)
                row += [other / mine, other / whole]
            rows.append(row + ["-"] * (10 - len(row)))
    headings = ["family", "n", "formulas ms", "MLEDensity ms"]
    for peer in ("scipy (no errors)", "statsmodels", "lifelines"):
        headings += [f"{peer} / formulas", f"{peer} / MLEDensity"]
    table(headings, rows)


def intervals():
    print("\nIntervals of one parameter after a fit, n = 1000, milliseconds (formulas)\n")
    rows = []
    for name, (distribution, _, _) in CASES.items():
        x = distribution.rvs(size=1000, random_state=np.random.default_rng(0))
        family = get_family(name)
        statistics = family.summarize(x[:, None], None)
        estimate = family.estimate(statistics)
        for parameter in family.parameters:
            cells = []
            for method in ("profile", "rstar"):
                find = getattr(family, f"{method}_interval")
                run = partial(find, parameter.name, statistics, estimate, 0.95)
                cells.append(1e3 * best_of(run, 25))
            rows.append([name, parameter.name, *cells])
    table(["family", "parameter", "profile", "rstar"], rows)


def columns():
    """Time a thousand columns at once against a loop over scipy's fit."""
    X = np.random.default_rng(0).gamma(2.0, 3.0, (1000, 1000))
    mine = best_of(lambda: estimator("gamma", X), 5)
    loop = best_of(lambda: [stats.gamma.fit(x, floc=0) for x in X.T], 1)
    print(f"\n1000 gamma columns of 1000 rows: {1e3 * mine:.1f} ms; scipy loop {loop / mine:.1f} x")


def main():
    header("Maximum likelihood, one column: fit and standard errors")
    fits()
    intervals()
    columns()


if __name__ == "__main__":
    main()
