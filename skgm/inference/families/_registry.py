"""Finds families by name, with their constants given and what is known of them held."""

from collections.abc import Mapping
from typing import Any

from scipy import stats

from skgm.inference.families._base import Family
from skgm.inference.families._beta import Beta
from skgm.inference.families._binomial import Bernoulli, Binomial
from skgm.inference.families._categorical import Categorical
from skgm.inference.families._censored import censored as as_censored
from skgm.inference.families._counts import Geometric, Poisson
from skgm.inference.families._exponential import Exponential, Pareto, Rayleigh
from skgm.inference.families._extreme_value import Gumbel, Weibull
from skgm.inference.families._fixed import FixedFamily
from skgm.inference.families._gamma import Gamma
from skgm.inference.families._heavy_tails import Cauchy
from skgm.inference.families._inverse_gaussian import InverseGaussian
from skgm.inference.families._laplace import Laplace
from skgm.inference.families._logistic import Logistic
from skgm.inference.families._multivariate_normal import MultivariateNormal
from skgm.inference.families._negative_binomial import NegativeBinomial
from skgm.inference.families._normal import LogNormal, Normal
from skgm.inference.families._scipy import ScipyFamily
from skgm.inference.families._student_t import StudentT
from skgm.inference.families._von_mises import VonMises

__all__ = ["FAMILIES", "get_family", "resolve_family"]

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
    StudentT(),
    Weibull(),
    Binomial(),
    Geometric(),
    NegativeBinomial(),
    Categorical(),
    MultivariateNormal(),
)

_BY_NAME = {name: family for family in FAMILIES for name in (family.name, *family.aliases)}


def get_family(family: Any) -> Family:
    """Return the family of that name.

    Parameters
    ----------
    family : str, Family or scipy distribution
        A name or alias from the registry; else the name of a distribution of scipy.stats, or the
        distribution itself (continuous or discrete, not frozen), see :class:`ScipyFamily`. A
        Family instance is returned as it is.

    Returns
    -------
    family : Family
        The family. For a distribution of scipy.stats that is also in the registry under a name of
        its own, that one is returned where it is given by name, and the numerical one where the
        distribution is given.

    Raises
    ------
    ValueError
        Anything else; the message lists the known names.
    """
    if isinstance(family, Family):
        return family
    if isinstance(family, str) and family in _BY_NAME:
        return _BY_NAME[family]
    distribution = getattr(stats, family, None) if isinstance(family, str) else family
    if isinstance(distribution, stats.rv_continuous | stats.rv_discrete):
        return ScipyFamily(distribution)
    raise ValueError(
        f"family must be one of {', '.join(map(repr, _BY_NAME))}, another univariate distribution "
        f"of scipy.stats (or its name), not frozen, or a Family; got {family!r}."
    )


# scipy's location and scale, of families that have none: accepted at the values that change nothing
_NEUTRAL = {"loc": 0.0, "scale": 1.0}


def resolve_family(family: Any, fixed: Any = None, *, censored: bool = False) -> Family:
    """Return the family of that name with its constants given and its fixed parameters held.

    Parameters
    ----------
    family : str, Family or scipy distribution
        As in :class:`skgm.MLEDensity`.
    fixed : mapping of str to float or array-like, default=None
        Known values of parameters and constants; scipy's names are understood.
    censored : bool, default=False
        Return the family of right-censored rows.

    Returns
    -------
    family : Family
        With only the free parameters in ``parameters``.

    Raises
    ------
    ValueError
        An unknown name, a value outside the parameter space, a missing constant, nothing left.
    """
    found = get_family(family)
    values = _parse_fixed(found, fixed)
    constants = {name: values.pop(name) for name in found.constants if name in values}
    if constants:
        found = found.given(**constants)
    elif found.constants and not found.constants_given:
        raise ValueError(
            f"The {found.name} family needs its {found.constants[0]!r}: pass "
            f"fixed={{{found.constants[0]!r}: ...}}."
        )
    if censored:
        found = as_censored(found)
    return FixedFamily(found, values) if values else found


def _parse_fixed(family: Family, fixed: Any) -> dict[str, Any]:
    """Return known values by the family's own names."""
    if fixed is None:
        return {}
    if not isinstance(fixed, Mapping):
        raise ValueError(
            f"fixed must be None or a dict from parameter names to values; got {fixed!r}."
        )
    names = {name: name for name in family.constants}
    for parameter in family.parameters:
        names |= dict.fromkeys((parameter.name, *parameter.aliases), parameter.name)
    names |= family.constant_aliases
    values: dict[str, Any] = {}
    for name, value in fixed.items():
        if name in names:
            values[names[name]] = value
        elif _NEUTRAL.get(name) != value:
            raise ValueError(
                f"fixed names an unknown parameter {name!r}; the {family.name} family has "
                f"{', '.join(dict.fromkeys(names.values()))}."
            )
    return values
