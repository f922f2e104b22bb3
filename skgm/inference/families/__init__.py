"""Families of distributions that :class:`skgm.inference.MLEDensity` fits."""

from skgm.inference._moments import Moments
from skgm.inference.families._base import ExponentialFamily, Family, Parameter
from skgm.inference.families._bernoulli import Bernoulli
from skgm.inference.families._beta import Beta
from skgm.inference.families._exponential import Exponential
from skgm.inference.families._gamma import Gamma
from skgm.inference.families._inverse_gaussian import InverseGaussian
from skgm.inference.families._multivariate_normal import MultivariateNormal
from skgm.inference.families._normal import Normal
from skgm.inference.families._pareto import Pareto
from skgm.inference.families._poisson import Poisson
from skgm.inference.families._rayleigh import Rayleigh
from skgm.inference.families._registry import FAMILIES, get_family
from skgm.inference.families._statistics import Sums, reduce_chunks
from skgm.inference.families._von_mises import VonMises

__all__ = [
    "FAMILIES",
    "Bernoulli",
    "Beta",
    "Exponential",
    "ExponentialFamily",
    "Family",
    "Gamma",
    "InverseGaussian",
    "Moments",
    "MultivariateNormal",
    "Normal",
    "Parameter",
    "Pareto",
    "Poisson",
    "Rayleigh",
    "Sums",
    "VonMises",
    "get_family",
    "reduce_chunks",
]
