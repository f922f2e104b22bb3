"""Finds families by name, with their constants given and what is known of them held."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from numbers import Number
from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._likelihood.nulls import did_you_mean
from skgm.inference.families._base import Family
from skgm.inference.families._censored import censored as as_censored
from skgm.inference.families._exposed import exposed as as_exposed
from skgm.inference.families._fixed import FixedFamily
from skgm.inference.families._observed import ObservedFamily
from skgm.inference.families._scipy import ScipyFamily

__all__ = [
    "HOMES",
    "all_families",
    "get_family",
    "has_many",
    "load_family",
    "resolve_family",
]

# One line per family: its name, and the module and class that MLEDensity, tests and the package
# find it by. A module is loaded when its family is asked for.
HOMES: Mapping[str, str] = {
    "normal": "_normal.Normal",
    "exponential": "_exponential.Exponential",
    "bernoulli": "_binomial.Bernoulli",
    "poisson": "_counts.Poisson",
    "beta": "_beta.Beta",
    "gamma": "_gamma.Gamma",
    "inverse_gaussian": "_inverse_gaussian.InverseGaussian",
    "pareto": "_transformed.Pareto",
    "rayleigh": "_exponential.Rayleigh",
    "von_mises": "_von_mises.VonMises",
    "cauchy": "_heavy_tails.Cauchy",
    "gumbel": "_extreme_value.Gumbel",
    "gumbel_min": "_extreme_value.GumbelMin",
    "laplace": "_laplace.Laplace",
    "logistic": "_logistic.Logistic",
    "lognormal": "_transformed.LogNormal",
    "log_logistic": "_transformed.LogLogistic",
    "student_t": "_student_t.StudentT",
    "weibull": "_transformed.Weibull",
    "binomial": "_binomial.Binomial",
    "geometric": "_counts.Geometric",
    "negative_binomial": "_negative_binomial.NegativeBinomial",
    "categorical": "_categorical.Categorical",
    "multivariate_normal": "_multivariate_normal.MultivariateNormal",
}


@cache
def load_family(name: str) -> Family:
    """Return the family called `name` in the table above."""
    module, kind = HOMES[name].split(".")
    family: Family = getattr(import_module(f"skgm.inference.families.{module}"), kind)()
    return family


@cache
def all_families() -> tuple[Family, ...]:
    """Return every family of the table."""
    return tuple(map(load_family, HOMES))


@cache
def _aliases() -> dict[str, str]:
    """Return the other names of families, to their own."""
    return {alias: family.name for family in all_families() for alias in family.aliases}


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
    if isinstance(family, str) and family in HOMES:
        return load_family(family)
    if isinstance(family, str) and family in _aliases():
        return load_family(_aliases()[family])
    distribution = getattr(stats, family, None) if isinstance(family, str) else family
    if isinstance(distribution, stats.rv_continuous | stats.rv_discrete):
        return ScipyFamily(distribution)
    if isinstance(getattr(family, "dist", None), stats.rv_continuous | stats.rv_discrete):
        raise ValueError(
            f"family must not be a frozen distribution: pass scipy.stats.{family.dist.name} "
            "itself, and the parameters that are known as fixed={...}."
        )
    known = [*HOMES, *_aliases()]
    raise ValueError(
        f"family must be one of {', '.join(map(repr, known))}, another univariate distribution "
        f"of scipy.stats (or its name), not frozen, or a Family; got {family!r}."
        f"{did_you_mean(family, [*known, *_scipy_names()])}"
    )


def _scipy_names() -> list[str]:
    kinds = stats.rv_continuous | stats.rv_discrete
    return [name for name in stats.__all__ if isinstance(getattr(stats, name), kinds)]


def resolve_family(
    family: Any,
    fixed: Any = None,
    *,
    censored: bool = False,
    scheme: bool = False,
    exposed: bool = False,
    window: Any = None,
) -> Family:
    """Return the family of that name with its constants given and its fixed parameters held.

    Parameters
    ----------
    family : str, Family or scipy distribution
        As in :class:`skgm.MLEDensity`.
    fixed : mapping of str to float or array-like, default=None
        Known values of parameters and constants; scipy's names are understood.
    censored : bool, default=False
        Return the family of right-censored rows, which has formulas.
    scheme : bool, default=False
        Return the family of rows that were seen through any scheme.
    exposed : bool, default=False
        Return the family of counts with a constant per row.
    window : pair of float or ndarray, default=None
        Where its values are seen; not None only with `scheme`.

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
    constants = {
        name: _one_number(name, values.pop(name)) for name in found.constants if name in values
    }
    if constants:
        found = found.given(**constants)
    elif found.constants and not found.constants_given:
        raise ValueError(
            f"The {found.name} family needs its {found.constants[0]!r}: pass "
            f"fixed={{{found.constants[0]!r}: ...}}."
        )
    if censored:
        found = as_censored(found)
    elif exposed:
        found = as_exposed(found)
    elif scheme:
        found = ObservedFamily(found, window)
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
        elif name in family.scipy_names or not _is_neutral(name, value):
            raise ValueError(
                f"fixed names an unknown parameter {name!r}; the {family.name} family has "
                f"{', '.join(dict.fromkeys(names.values()))}.{_advice(family, name, names)}"
            )
    return values


def _is_neutral(name: str, value: Any) -> bool:
    """Whether a location or scale that the family lacks has the value that changes nothing."""
    return bool(np.all(np.asarray(value) == {"loc": 0.0, "scale": 1.0}.get(name)))


def _advice(family: Family, name: str, names: Mapping[str, str]) -> str:
    """Return what to write instead of an unknown name."""
    if name in family.scipy_names:
        return f" scipy's {name} is none of them: {family.scipy_names[name]}."
    if name == "loc":
        return (
            " It has no location: subtract loc from the column, or pass the distribution of "
            "scipy.stats itself as the family."
        )
    return did_you_mean(name, names)


def _one_number(name: str, value: Any) -> Any:
    """Return a constant of the family, which must be one number."""
    if isinstance(value, Number) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value
    raise ValueError(
        f"fixed[{name!r}] must be one number, the same for all columns; got {value!r}. Fit columns "
        "with other values by an estimator of their own."
    )


def has_many(family: Any) -> bool:
    """Whether the parameter `family` gives each column a family of its own."""
    return isinstance(family, Mapping | list | tuple) or (
        isinstance(family, str) and family == "auto"
    )
