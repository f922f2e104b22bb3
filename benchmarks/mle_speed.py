"""Fit plus standard errors: MLEDensity, scipy's fit (no errors) and statsmodels' generic model.

All on the same data in the same run. ``python benchmarks/mle_speed.py``.
"""

import warnings

import numpy as np
from _report import best_of, header, table
from scipy import stats

from skgm import MLEDensity

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from statsmodels.base.model import GenericLikelihoodModel


def ours(name, X):
    model = MLEDensity(name).fit(X)
    return model.standard_errors()


def generic(log_density, start, x):
    """Fit as statsmodels does it: a log-likelihood by the user, Nelder-Mead, numeric Hessian."""

    class Model(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return log_density(self.endog, *params)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Model(x, np.ones_like(x))
        found = model.fit(start_params=start, method="nm", disp=0, maxiter=5000)
        return found.bse


CASES = {
    "normal": (
        lambda rng, n: rng.normal(3, 2, n),
        stats.norm.fit,
        (lambda x, m, s: stats.norm.logpdf(x, m, abs(s)), [1.0, 1.0]),
    ),
    "exponential": (
        lambda rng, n: rng.exponential(2.5, n),
        lambda x: stats.expon.fit(x, floc=0),
        (lambda x, r: stats.expon.logpdf(x, scale=1 / abs(r)), [1.0]),
    ),
    "bernoulli": (
        lambda rng, n: 1.0 * (rng.random(n) < 0.3),
        None,
        (lambda x, p: stats.bernoulli.logpmf(x, np.clip(p, 1e-9, 1 - 1e-9)), [0.5]),
    ),
    "poisson": (
        lambda rng, n: 1.0 * rng.poisson(2.0, n),
        None,
        (lambda x, m: stats.poisson.logpmf(x, abs(m)), [1.0]),
    ),
}


def main():
    header("Maximum likelihood: milliseconds for fit and standard errors, one column")
    rows = []
    for name, (draw, scipy_fit, (log_density, start)) in CASES.items():
        for n in (1_000, 100_000, 1_000_000):
            x = draw(np.random.default_rng(0), n)
            rows.append([name, n, *measure(name, x, scipy_fit, log_density, start)])
    headings = ["family", "n", "skgm ms", "scipy fit without errors / skgm", "statsmodels / skgm"]
    table(headings, rows)
    columns()


def measure(name, x, scipy_fit, log_density, start):
    mine = best_of(lambda: ours(name, x[:, None]), 15)
    peer = "none" if scipy_fit is None else best_of(lambda: scipy_fit(x), 15) / mine
    if len(x) > 100_000:
        return 1e3 * mine, peer, "-"
    return 1e3 * mine, peer, best_of(lambda: generic(log_density, start, x), 1) / mine


def columns():
    """Time a thousand columns at once against a loop over scipy's fit."""
    X = np.random.default_rng(0).normal(3, 2, (1000, 1000))
    mine = best_of(lambda: ours("normal", X), 5)
    loop = best_of(lambda: [stats.norm.fit(x) for x in X.T], 3)
    print(
        f"\n1000 normal columns of 1000 rows: {1e3 * mine:.1f} ms; scipy loop {loop / mine:.1f} x"
    )


if __name__ == "__main__":
    main()
