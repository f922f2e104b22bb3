"""Cases of `tests.inference.families.cases`: family, parameters of two columns, scipy's pair."""

import numpy as np
from scipy import stats

from skgm.inference.families import Binomial, Geometric, NegativeBinomial

CASES = [
    (
        Binomial(n=5),
        {"p": np.array([0.2, 0.6])},
        [stats.binom(5, 0.2), stats.binom(5, 0.6)],
    ),
    (
        Geometric(),
        {"p": np.array([0.3, 0.8])},
        [stats.geom(0.3), stats.geom(0.8)],
    ),
    (
        NegativeBinomial(),
        {"mu": np.array([3.0, 0.8]), "size": np.array([2.0, 0.7])},
        [stats.nbinom(2.0, 2 / 5), stats.nbinom(0.7, 0.7 / 1.5)],
    ),
]
