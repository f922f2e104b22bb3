"""The families by name."""

from skgm.inference.families._base import Family
from skgm.inference.families._bernoulli import Bernoulli
from skgm.inference.families._beta import Beta
from skgm.inference.families._binomial import Binomial
from skgm.inference.families._cauchy import Cauchy
from skgm.inference.families._exponential import Exponential
from skgm.inference.families._gamma import Gamma
from skgm.inference.families._geometric import Geometric
from skgm.inference.families._gumbel import Gumbel
from skgm.inference.families._inverse_gaussian import InverseGaussian
from skgm.inference.families._laplace import Laplace
from skgm.inference.families._logistic import Logistic
from skgm.inference.families._lognormal import LogNormal
from skgm.inference.families._multivariate_normal import MultivariateNormal
from skgm.inference.families._negative_binomial import NegativeBinomial
from skgm.inference.families._normal import Normal
from skgm.inference.families._pareto import Pareto
from skgm.inference.families._poisson import Poisson
from skgm.inference.families._rayleigh import Rayleigh
from skgm.inference.families._von_mises import VonMises
from skgm.inference.families._weibull import Weibull

__all__ = ["FAMILIES", "get_family"]

# One line per family: MLEDensity, its tests and its documentation follow.
FAMILIES: tuple[Family, ...] = (
    Normal(),
    Exponential(),
    Bernoulli(),
    Poisson(),
    Beta(),
    Gamma(),
    InverseGaussian(),
    Pareto(),
    Rayleigh(),
    VonMises(),
    Cauchy(),
    Gumbel(),
    Laplace(),
    Logistic(),
    LogNormal(),
    Weibull(),
    Binomial(),
    Geometric(),
    NegativeBinomial(),
    MultivariateNormal(),
)

_BY_NAME = {name: family for family in FAMILIES for name in (family.name, *family.aliases)}


def get_family(family: str | Family) -> Family:
    """Return the family of that name.

    Parameters
    ----------
    family : str or Family
        A name or alias from the registry; a Family instance is returned as it is.

    Returns
    -------
    family : Family
        The family.

    Raises
    ------
    ValueError
        An unknown name; the message lists the known ones.
    """
    if isinstance(family, Family):
        return family
    if family not in _BY_NAME:
        raise ValueError(f"family must be one of {', '.join(map(repr, _BY_NAME))}; got {family!r}.")
    return _BY_NAME[family]
