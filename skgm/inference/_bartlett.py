r"""Bartlett's correction: the likelihood ratio divided by its mean under the null.

.. math:: W' = W \, \frac{r}{E_0[W]}

Its law is chi-square with r degrees of freedom to the order :math:`n^{-2}`, where that of W is to
:math:`n^{-1}` (eq. bartlett). The mean is exact where it has a closed form, from the cumulants of
the sufficient statistics in exponential families, and elsewhere simulated at the restricted
estimate; in location-scale families it depends on the number of rows alone.

References
----------
M. S. Bartlett, "Properties of sufficiency and statistical tests", Proceedings of the Royal Society
A 160, 1937; D. N. Lawley, "A general method for approximating to the distribution of likelihood
ratio criteria", Biometrika 43, 1956.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference._inversion import Profile, invert
from skgm.inference._null_means import exact_mean, expanded_mean
from skgm.inference._simulated_means import simulated_mean

__all__ = ["bartlett_factor", "bartlett_interval", "column_means", "refuse_unknown_mean"]

Params = Mapping[str, np.ndarray]


def bartlett_factor(
    family: Any, name: str, statistics: Any, params: Params, value: np.ndarray
) -> np.ndarray:
    """Return E[W] where one parameter is tested, (d,), at the estimate under the null.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns.
    name : str
        The tested parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The full estimate, where the search for the restricted one begins.
    value : ndarray of shape (d,)
        The tested values.

    Returns
    -------
    factor : ndarray of shape (d,)
    """
    null = {**family.no_restriction(statistics), name: value}
    restricted = family.restricted_near(statistics, null, params)
    return column_means(family, _only(family, name), restricted, statistics.n)


def bartlett_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` whose corrected likelihood ratio is below its quantile.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the profile never falls far enough on that side.
    """
    profile = Profile(family, name, statistics, params)
    pattern, n = _only(family, name), statistics.n
    varies = expanded_mean(family, pattern, params, n) is not None
    constant = None if varies else column_means(family, pattern, params, n)

    def root(value: np.ndarray) -> np.ndarray:
        found, fall = profile.at(value)
        factor = constant if constant is not None else expanded_mean(family, pattern, found, n)
        with np.errstate(invalid="ignore"):
            corrected = np.sqrt(2 * fall / factor)
        return np.sign(params[name] - value) * corrected

    return invert(root, profile, level, "bartlett")


def _only(family: Any, name: str) -> np.ndarray:
    return np.array([parameter.name == name for parameter in family.parameters])


def column_means(family: Any, pattern: np.ndarray, params: Params, n: float) -> np.ndarray:
    """Return E[W] per column, (d,), where the parameters of `pattern` (k,) are restricted."""
    d = len(next(iter(params.values())))
    exact = exact_mean(family, pattern, n)
    if exact is not None:
        return np.full(d, exact)
    expanded = expanded_mean(family, pattern, params, n)
    if expanded is not None:
        return expanded
    if family.discrete or any(p.may_be_infinite for p in family.parameters):
        refuse_unknown_mean(family)
    return simulated_mean(family, pattern, params, n)


def refuse_unknown_mean(family: Any) -> None:
    """Raise a ValueError that says for which nulls the correction is known."""
    raise ValueError(
        f"correction='bartlett' is not known for this null of the {family.name} family; it is for "
        "continuous families whose estimates are finite. Use score_test, whose size is nearest "
        "the nominal one without a correction."
    )
