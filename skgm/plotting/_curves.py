"""The numbers behind a profile display: values of a parameter, and signed roots at them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm.inference._intervals import Fit, fit_interval
from skgm.inference._rstar import rstar

__all__ = ["Curves", "parameter_curves"]

# How far the curves reach beyond the intervals, in lengths of the longest.
_MARGIN = 0.25


class Curves(NamedTuple):
    """Values of one parameter, and per method the signed roots at them and the interval."""

    estimate: float
    values: np.ndarray
    roots: dict[str, np.ndarray]
    intervals: dict[str, tuple[float, float]]


def parameter_curves(
    fit: Fit, name: str, column: int, error: float, level: float, n_points: int
) -> Curves:
    """Return the curves of one parameter of one column.

    Parameters
    ----------
    fit : Fit
        The fitted family.
    name : str
        The parameter.
    column : int
        Position of the column.
    error : float
        Standard error; NaN where the estimate lies on the edge of its space (then no Wald curve).
    level : float
        Confidence level of the intervals.
    n_points : int
        Number of values.

    Returns
    -------
    curves : Curves
        Methods in the order profile, rstar, wald; those that exist.
    """
    estimate = float(fit.params[name][column])
    if not np.isfinite(estimate):
        raise ValueError(
            f"The estimate of {name!r} for column {fit.columns[column]!r} is {estimate}, so its "
            "curves have no centre; confidence_intervals gives the finite end."
        )
    intervals: dict[str, tuple[float, float]] = {}
    for method in ("profile", "rstar"):
        if method in fit.family.parameter(name).methods:
            low, high, _ = fit_interval(fit, name, method, level)
            intervals[method] = (float(low[column]), float(high[column]))
    if np.isfinite(error):
        half = special.ndtri((1 + level) / 2) * error
        intervals["wald"] = (float(estimate - half), float(estimate + half))
    values = _grid(fit.family.parameter(name), estimate, intervals, n_points)
    roots: dict[str, np.ndarray] = {}
    for method in intervals:
        if method == "wald":
            roots[method] = (estimate - values) / error
        else:
            root = _profile_root if method == "profile" else _rstar_root
            roots[method] = np.array([root(fit, name, column, value) for value in values])
    return Curves(estimate, values, roots, intervals)


def _grid(
    parameter: Any, estimate: float, intervals: Mapping[str, tuple[float, float]], n_points: int
) -> np.ndarray:
    """Return values that reach beyond all intervals, or half-way to the end of the space."""
    ends = np.array([end for pair in intervals.values() for end in pair])
    inside = np.isfinite(ends) & (ends > parameter.low) & (ends < parameter.high)
    reach = np.append(ends[inside], estimate)
    low, high = reach.min(), reach.max()
    if high == estimate:  # no end above: an infinite one
        high += estimate - low
    margin = _MARGIN * (high - low)
    start = max(low - margin, (low + parameter.low) / 2)
    stop = min(high + margin, (high + parameter.high) / 2)
    return np.unique(np.append(np.linspace(start, stop, n_points), estimate))


def _at(fit: Fit, name: str, column: int, value: float, others: Any) -> np.ndarray:
    array = np.array(np.broadcast_to(others, np.shape(fit.params[name])), dtype=np.float64)
    array[column] = value
    return array


def _profile_root(fit: Fit, name: str, column: int, value: float) -> float:
    """Return the signed root of the likelihood-ratio statistic, positive below the estimate."""
    family, statistics = fit.family, fit.statistics
    free = family.no_restriction(statistics)
    null = {**free, name: _at(fit, name, column, value, np.nan)}
    with np.errstate(all="ignore"):
        restricted = family.restricted_estimate(statistics, null)
        fall = family.log_likelihood(statistics, fit.params)
        fall = np.atleast_1d(fall - family.log_likelihood(statistics, restricted))
    fall = fall[0 if family.joint else column]
    return float(np.sign(fit.params[name][column] - value) * np.sqrt(2 * max(fall, 0.0)))


def _rstar_root(fit: Fit, name: str, column: int, value: float) -> float:
    values = _at(fit, name, column, value, fit.params[name])
    return float(rstar(fit.family, name, fit.statistics, fit.params, values)[1][column])
