"""Cases of `tests.inference.families.cases`: family, parameters of two columns, scipy's pair."""

import numpy as np
from scipy import stats

from skgm.inference.families import (
    Cauchy,
    Gumbel,
    GumbelMin,
    Laplace,
    Logistic,
    LogLogistic,
    LogNormal,
    StudentT,
    Weibull,
)

_LOC_SCALE = {"loc": np.array([0.3, -2.0]), "scale": np.array([0.7, 3.0])}


def _pair(distribution):
    return [distribution(0.3, 0.7), distribution(-2.0, 3.0)]


# location-scale families with smooth likelihoods, and families whose logarithm is one
SMOOTH = [
    (Gumbel(), _LOC_SCALE, _pair(stats.gumbel_r)),
    (Logistic(), _LOC_SCALE, _pair(stats.logistic)),
    (Cauchy(), _LOC_SCALE, _pair(stats.cauchy)),
    (
        Weibull(),
        {"shape": np.array([0.8, 2.5]), "scale": np.array([1.3, 0.4])},
        [stats.weibull_min(0.8, scale=1.3), stats.weibull_min(2.5, scale=0.4)],
    ),
]
STUDENT_T = (
    StudentT(),
    {"df": np.array([2.5, 6.0]), **_LOC_SCALE},
    [stats.t(2.5, 0.3, 0.7), stats.t(6.0, -2.0, 3.0)],
)
CASES = [
    *SMOOTH,
    STUDENT_T,
    (GumbelMin(), _LOC_SCALE, _pair(stats.gumbel_l)),
    (
        LogLogistic(),
        {"shape": np.array([1.2, 2.5]), "scale": np.array([1.3, 0.4])},
        [stats.fisk(1.2, scale=1.3), stats.fisk(2.5, scale=0.4)],
    ),
    (
        LogNormal(),
        {"mu": np.array([0.3, -1.0]), "sigma": np.array([0.7, 1.5])},
        [stats.lognorm(0.7, scale=np.exp(0.3)), stats.lognorm(1.5, scale=np.exp(-1.0))],
    ),
]
# its Hessian has no mean to compare with the information
LAPLACE = (Laplace(), _LOC_SCALE, _pair(stats.laplace))
