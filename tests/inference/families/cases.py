"""One parameter point and one scipy distribution per column of each columnwise family."""

import numpy as np
from scipy import stats

from skgm.inference.families import Bernoulli, Exponential, Normal, Poisson
from tests.inference.families import cases_discrete, cases_location_scale, cases_natural

# family, parameters (d = 2), frozen scipy distributions of the two columns
COLUMNWISE = [
    (
        Normal(),
        {"mu": np.array([0.3, -2.0]), "sigma": np.array([0.7, 3.0])},
        [stats.norm(0.3, 0.7), stats.norm(-2.0, 3.0)],
    ),
    (
        Exponential(),
        {"rate": np.array([0.5, 4.0])},
        [stats.expon(scale=2.0), stats.expon(scale=0.25)],
    ),
    (
        Bernoulli(),
        {"p": np.array([0.2, 0.85])},
        [stats.bernoulli(0.2), stats.bernoulli(0.85)],
    ),
    (Poisson(), {"mu": np.array([0.6, 5.0])}, [stats.poisson(0.6), stats.poisson(5.0)]),
    *cases_location_scale.CASES,
    *cases_natural.CASES,
    *cases_discrete.CASES,
]
IDS = [family.name for family, _, _ in COLUMNWISE]


def nodes(distribution):
    """Values (m,) and probabilities (m,) that integrate smooth functions under `distribution`.

    Between two ends, Gauss's rule on 80 panels; otherwise the trapezoidal rule after a
    substitution under which both tails fall off exponentially or faster.
    """
    if isinstance(distribution.dist, stats.rv_discrete):
        values = np.arange(0, int(distribution.ppf(1 - 1e-15)) + 30)
        return values.astype(float), distribution.pmf(values)
    low, high = distribution.support()
    if np.isfinite(low) and np.isfinite(high):
        x, w = np.polynomial.legendre.leggauss(60)
        edges = np.linspace(low, high, 81)
        half = np.diff(edges)[:, None] / 2
        values = (edges[:-1, None] + half * (x + 1)).ravel()
        return values, (half * w).ravel() * distribution.pdf(values)
    quarter, middle, other = distribution.ppf([0.25, 0.5, 0.75])
    if np.isfinite(low):
        u, step = np.linspace(-5.7, 5.7, 3001, retstep=True)
        values = low + (middle - low) * np.exp(np.sinh(u))
        slope = (values - low) * np.cosh(u)
    else:
        u, step = np.linspace(-45, 45, 6001, retstep=True)
        values = middle + (other - quarter) * np.sinh(u)
        slope = (other - quarter) * np.cosh(u)
    with np.errstate(over="ignore"):
        weight = distribution.pdf(values) * slope * step
    return values[weight > 0], weight[weight > 0]


def table(distributions, n, seed=0):
    rng = np.random.default_rng(seed)
    columns = [d.rvs(size=n, random_state=rng) for d in distributions]
    return np.column_stack(columns).astype(float)
