"""Confidence intervals of a fitted family, method by method."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from skgm.inference._links import wald_interval
from skgm.inference.families._base import Family

__all__ = ["Fit", "fit_interval", "refuse_boundary"]

Interval = tuple[np.ndarray, np.ndarray]


class Fit(NamedTuple):
    """A family with its statistics and estimate, and robust standard errors where asked for."""

    family: Family
    statistics: Any
    params: Mapping[str, np.ndarray]
    columns: list[str]
    robust_errors: Mapping[str, np.ndarray] | None = None


def fit_interval(
    fit: Fit, name: str, method: str, level: float
) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return low, high and the method used for one parameter.

    Parameters
    ----------
    fit : Fit
        The fitted family.
    name : str
        The parameter.
    method : str
        One of the interval methods, or "auto".
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray
        Shaped as the estimate.
    method : str or ndarray of str
        What "auto" chose.

    Raises
    ------
    ValueError
        The family lacks the method for this parameter, or the interval does not exist.
    """
    parameter = fit.family.parameter(name)
    if method == "auto":
        return fit.family.auto_interval(name, fit.statistics, fit.params, level)
    if method not in parameter.methods:
        raise ValueError(
            f"The {fit.family.name} family has no {method!r} interval for {name!r}; available: "
            f"auto, {', '.join(parameter.methods)}."
        )
    low, high = _METHODS[method](fit, name, level)
    return low, high, method


def refuse_boundary(fit: Fit, name: str, what: str) -> None:
    """Raise where the estimate of `name` lies on the edge of its space."""
    parameter = fit.family.parameter(name)
    edge = np.flatnonzero(parameter.on_boundary(fit.params[name]))
    if not len(edge):
        return
    column = int(edge[0])
    methods = [m for m in ("score", "profile", "exact") if m in parameter.methods]
    ways = f"'auto' or {', '.join(map(repr, methods))}" if methods else "'auto'"
    raise ValueError(
        f"{what} of {name!r} do not exist for column {fit.columns[column]!r}: the estimate "
        f"{fit.params[name][column]:g} lies on the edge of the parameter space. Use "
        f"confidence_intervals with method {ways}, or drop the column."
    )


def _wald(fit: Fit, name: str, level: float) -> Interval:
    """Return estimate -+ normal quantile * standard error (eq. wald-interval)."""
    refuse_boundary(fit, name, "Wald intervals")
    errors = fit.family.model_standard_errors(fit.statistics, fit.params)[name]
    return wald_interval(fit.params[name], errors, level)


def _transformed(fit: Fit, name: str, level: float) -> Interval:
    refuse_boundary(fit, name, "Transformed Wald intervals")
    centre, widen = fit.family.small_sample(name, fit.statistics.n)
    errors = fit.family.model_standard_errors(fit.statistics, fit.params)[name]
    return fit.family.transformed_interval(
        name, fit.params[name] * centre, errors * centre * widen, level
    )


def _robust(fit: Fit, name: str, level: float) -> Interval:
    """Return the sandwich interval: HC1 factor, Student's t, the scale of the link."""
    assert fit.robust_errors is not None
    refuse_boundary(fit, name, "Robust intervals")
    n = fit.statistics.n
    if n <= 1:
        raise ValueError(f"Robust intervals need more than one observation; n = {n:g}.")
    centre, _ = fit.family.small_sample(name, n)
    errors = fit.robust_errors[name] * np.sqrt(n / (n - 1))
    return fit.family.transformed_interval(
        name, fit.params[name] * centre, errors * centre, level, df=n - 1
    )


def _score(fit: Fit, name: str, level: float) -> Interval:
    return fit.family.score_interval(name, fit.statistics, fit.params, level)


def _profile(fit: Fit, name: str, level: float) -> Interval:
    return fit.family.profile_interval(name, fit.statistics, fit.params, level)


def _rstar(fit: Fit, name: str, level: float) -> Interval:
    refuse_boundary(fit, name, "r* intervals")
    return fit.family.rstar_interval(name, fit.statistics, fit.params, level)


def _bartlett(fit: Fit, name: str, level: float) -> Interval:
    return fit.family.bartlett_interval(name, fit.statistics, fit.params, level)


def _exact(fit: Fit, name: str, level: float) -> Interval:
    return fit.family.exact_interval(name, fit.statistics, fit.params, level)


_METHODS: dict[str, Callable[[Fit, str, float], Interval]] = {
    "wald": _wald,
    "wald-transformed": _transformed,
    "score": _score,
    "profile": _profile,
    "bartlett": _bartlett,
    "rstar": _rstar,
    "exact": _exact,
    "robust": _robust,
}
