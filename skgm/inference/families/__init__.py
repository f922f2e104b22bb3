"""Families of distributions that :class:`skgm.inference.MLEDensity` fits."""

from skgm._numerics.moments import Moments
from skgm.inference.families._base import ExponentialFamily, Family, Parameter
from skgm.inference.families._beta import Beta
from skgm.inference.families._binomial import Bernoulli, Binomial
from skgm.inference.families._categorical import Categorical
from skgm.inference.families._counts import Geometric, Poisson
from skgm.inference.families._exponential import Exponential, Rayleigh
from skgm.inference.families._extreme_value import Gumbel, GumbelMin
from skgm.inference.families._gamma import Gamma
from skgm.inference.families._heavy_tails import Cauchy
from skgm.inference.families._inverse_gaussian import InverseGaussian
from skgm.inference.families._laplace import Laplace
from skgm.inference.families._logistic import Logistic
from skgm.inference.families._multivariate_normal import MultivariateNormal
from skgm.inference.families._negative_binomial import NegativeBinomial
from skgm.inference.families._normal import Normal
from skgm.inference.families._numerical import NumericalFamily
from skgm.inference.families._registry import FAMILIES, get_family
from skgm.inference.families._scipy import ScipyFamily
from skgm.inference.families._statistics import Sums, reduce_chunks
from skgm.inference.families._student_t import StudentT
from skgm.inference.families._transformed import LogLogistic, LogNormal, Pareto, Weibull
from skgm.inference.families._von_mises import VonMises

__all__ = [
    "FAMILIES",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Exponential",
    "ExponentialFamily",
    "Family",
    "Gamma",
    "Geometric",
    "Gumbel",
    "GumbelMin",
    "InverseGaussian",
    "Laplace",
    "LogLogistic",
    "LogNormal",
    "Logistic",
    "Moments",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "NumericalFamily",
    "Parameter",
    "Pareto",
    "Poisson",
    "Rayleigh",
    "ScipyFamily",
    "StudentT",
    "Sums",
    "VonMises",
    "Weibull",
    "get_family",
    "reduce_chunks",
]
