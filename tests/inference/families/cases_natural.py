"""Cases of `tests.inference.families.cases`: family, parameters of two columns, scipy's pair."""

import numpy as np
from scipy import stats

from skgm.inference.families import Beta, Gamma, InverseGaussian, Pareto, Rayleigh, VonMises


class Angles:
    """scipy's von Mises distribution, cut at pi (scipy's goes round and round)."""

    dist = stats.vonmises

    def __init__(self, kappa, mu):
        self.law = stats.vonmises(kappa, mu)
        self.pdf, self.logpdf = self.law.pdf, self.law.logpdf

    def support(self):
        return -np.pi, np.pi

    def cdf(self, x):
        return self.law.cdf(x) - self.law.cdf(-np.pi)

    def rvs(self, size, random_state):
        return np.angle(np.exp(1j * self.law.rvs(size, random_state=random_state)))


CASES = [
    (
        Gamma(),
        {"shape": np.array([3.5, 20.0]), "scale": np.array([0.7, 3.0])},
        [stats.gamma(3.5, scale=0.7), stats.gamma(20.0, scale=3.0)],
    ),
    (
        Beta(),
        {"a": np.array([4.0, 7.0]), "b": np.array([6.0, 5.0])},
        [stats.beta(4.0, 6.0), stats.beta(7.0, 5.0)],
    ),
    (
        InverseGaussian(),
        {"mu": np.array([1.5, 0.4]), "lam": np.array([6.0, 3.0])},
        [stats.invgauss(1.5 / 6.0, scale=6.0), stats.invgauss(0.4 / 3.0, scale=3.0)],
    ),
    (
        Rayleigh(),
        {"scale": np.array([0.6, 4.0])},
        [stats.rayleigh(scale=0.6), stats.rayleigh(scale=4.0)],
    ),
    (
        Pareto(minimum=0.4),
        {"shape": np.array([40.0, 60.0])},
        [stats.pareto(40.0, scale=0.4), stats.pareto(60.0, scale=0.4)],
    ),
    (
        VonMises(),
        {"mu": np.array([0.5, 2.8]), "kappa": np.array([4.0, 0.7])},
        [Angles(4.0, 0.5), Angles(0.7, 2.8)],
    ),
]
