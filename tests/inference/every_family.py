"""A column of data and an estimator for each built-in family."""

import numpy as np

from skgm.inference import MLEDensity
from skgm.inference.families import FAMILIES

CONSTANTS = {
    "binomial": {"n": 6},
    "pareto": {"minimum": 1.0},
    "categorical": {"n_categories": 4},
}
_KNOWN = {family.name for family in FAMILIES}


def _registered(*names):
    return tuple(name for name in names if name in _KNOWN)


# two or more free parameters, one of them of the spread: no estimate for a constant column
SPREAD = _registered(
    "normal",
    "lognormal",
    "log_logistic",
    "gamma",
    "weibull",
    "beta",
    "laplace",
    "cauchy",
    "student_t",
    "logistic",
    "gumbel",
    "gumbel_min",
    "inverse_gaussian",
    "von_mises",
)
ONE_PARAMETER = _registered("exponential", "rayleigh", "pareto")
COUNTS = _registered(
    "bernoulli", "binomial", "poisson", "geometric", "negative_binomial", "categorical"
)
POSITIVE = _registered(
    "lognormal", "log_logistic", "gamma", "weibull", "inverse_gaussian", "rayleigh"
)
CONTINUOUS = SPREAD + ONE_PARAMETER
UNIVARIATE = CONTINUOUS + COUNTS


def model(name, **fixed):
    """Return an unfitted MLEDensity of that family, its constants given."""
    return MLEDensity(name, fixed={**CONSTANTS.get(name, {}), **fixed} or None)


def column(name, n=40, seed=0):
    """Return n draws, (n, 1), of a member of the family."""
    rng = np.random.default_rng(seed)
    draws = {
        "lognormal": lambda: rng.lognormal(0.3, 0.7, n),
        "gamma": lambda: rng.gamma(2.0, 1.5, n),
        "weibull": lambda: 2 * rng.weibull(1.5, n),
        "beta": lambda: rng.beta(2.0, 3.0, n),
        "laplace": lambda: rng.laplace(1.0, 2.0, n),
        "cauchy": lambda: rng.standard_cauchy(n),
        "student_t": lambda: rng.standard_t(3.0, n),
        "logistic": lambda: rng.logistic(1.0, 2.0, n),
        "gumbel_min": lambda: -rng.gumbel(1.0, 2.0, n),
        "log_logistic": lambda: np.exp(rng.logistic(0.3, 0.7, n)),
        "gumbel": lambda: rng.gumbel(1.0, 2.0, n),
        "inverse_gaussian": lambda: rng.wald(2.0, 3.0, n),
        "von_mises": lambda: rng.vonmises(0.5, 2.0, n),
        "exponential": lambda: rng.exponential(2.0, n),
        "rayleigh": lambda: rng.rayleigh(2.0, n),
        "pareto": lambda: 1 + rng.pareto(2.0, n),
        "bernoulli": lambda: rng.binomial(1, 0.4, n),
        "binomial": lambda: rng.binomial(6, 0.4, n),
        "poisson": lambda: rng.poisson(2.5, n),
        "geometric": lambda: rng.geometric(0.4, n),
        "categorical": lambda: rng.integers(0, 4, n),
        "negative_binomial": lambda: rng.negative_binomial(2, 0.4, n),
    }
    return draws.get(name, lambda: rng.normal(1.0, 2.0, n))()[:, None].astype(float)
