"""Families of distributions that :class:`skgm.inference.MLEDensity` fits."""

from skgm.inference._moments import Moments
from skgm.inference.families._base import ExponentialFamily, Family, Parameter
from skgm.inference.families._bernoulli import Bernoulli
from skgm.inference.families._exponential import Exponential
from skgm.inference.families._multivariate_normal import MultivariateNormal
from skgm.inference.families._normal import Normal
from skgm.inference.families._poisson import Poisson
from skgm.inference.families._registry import FAMILIES, get_family
from skgm.inference.families._statistics import Sums, reduce_chunks

__all__ = [
    "FAMILIES",
    "Bernoulli",
    "Exponential",
    "ExponentialFamily",
    "Family",
    "Moments",
    "MultivariateNormal",
    "Normal",
    "Parameter",
    "Poisson",
    "Sums",
    "get_family",
    "reduce_chunks",
]
