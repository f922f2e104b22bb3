"""Profile-likelihood intervals of any column family, by search on the stored statistics."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._rootfinding import find_root

__all__ = ["profile_interval"]

Params = Mapping[str, np.ndarray]
_MAX_STEPS = 1100  # doublings that cross the whole range of float64


def profile_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` whose likelihood-ratio statistic is below its quantile.

    Parameters
    ----------
    family : Family
        Its `log_likelihood` and `restricted_estimate` define the profile.
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
    quantile = stats.chi2.ppf(level, 1)
    highest = family.log_likelihood(statistics, params)

    def excess(value: np.ndarray) -> np.ndarray:
        null = {**family.no_restriction(statistics), name: value}
        with np.errstate(all="ignore"):
            restricted = family.restricted_estimate(statistics, null)
            fall = 2 * (highest - family.log_likelihood(statistics, restricted)) - quantile
        return np.where(np.isfinite(fall), fall, np.finfo(np.float64).max)

    space, estimate = family.parameter(name), params[name]
    scale = _typical_width(family, name, params, statistics.n)
    ends = (
        _search(excess, estimate, bound, sign * scale)
        for bound, sign in ((space.low, -1.0), (space.high, 1.0))
    )
    low, high = ends
    return low, high


def _typical_width(family: Any, name: str, params: Params, n: float) -> np.ndarray:
    """Return one standard error, or another positive step at a boundary estimate."""
    index = [parameter.name for parameter in family.parameters].index(name)
    with np.errstate(all="ignore"):
        width = 1 / np.sqrt(n * family.information(params)[:, index, index])
    usable = np.isfinite(width) & (width > 0)
    return np.where(usable, width, np.maximum(np.abs(params[name]), 1.0) / n)


def _search(
    excess: Callable[[np.ndarray], np.ndarray],
    estimate: np.ndarray,
    bound: float,
    scale: np.ndarray,
) -> np.ndarray:
    """Return where `excess` turns positive between the estimate and the bound."""

    def at(step: int) -> np.ndarray:
        if np.isfinite(bound):  # halve the distance to the end of the space
            return bound + (estimate - bound) * 0.5**step
        return estimate + scale * (2.0**step - 1)

    inner, outer = estimate, estimate
    waiting = estimate != bound
    for step in range(1, _MAX_STEPS):
        if not waiting.any():
            break
        inner, outer = np.where(waiting, outer, inner), np.where(waiting, at(step), outer)
        waiting &= (excess(outer) <= 0) & (outer != bound)
    if not np.isfinite(outer).all() or waiting.any():
        raise ValueError("The profile interval is unbounded at this level; use a lower level.")
    open_ended = excess(outer) <= 0
    return np.where(open_ended, bound, find_root(excess, inner, outer))
