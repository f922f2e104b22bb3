"""Confidence intervals of a fitted family, method by method."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from skgm.inference._likelihood.wald import wald_interval
from skgm.inference.families import Family
from skgm.inference.families._limits import infinite_estimates, limit_errors

__all__ = ["Fit", "check_off_boundary", "fit_interval"]

Interval = tuple[np.ndarray, np.ndarray]
Params = Mapping[str, np.ndarray]


class Fit(NamedTuple):
    """A family with its statistics and estimate; robust errors and clusters where asked for."""

    family: Family
    statistics: Any
    params: Mapping[str, np.ndarray]
    columns: list[str]
    robust_errors: Mapping[str, np.ndarray] | None = None
    codes: np.ndarray | None = None


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


def check_off_boundary(fit: Fit, name: str, what: str) -> None:
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
    """Return estimate -+ normal quantile * standard error (eq. wald-interval).

    The error is that of the observed information, as in the Wald test.
    """
    errors = _model_errors(fit, name, "Wald intervals", "observed")
    return wald_interval(fit.params[name], errors, level)


def _model_errors(fit: Fit, name: str, what: str, cov: str = "model") -> np.ndarray:
    """Return the model's standard errors of `name`, (d,), NaN where its estimate is infinite."""
    infinite = infinite_estimates(fit.family, fit.params)
    if not infinite:
        check_off_boundary(fit, name, what)
        errors = getattr(fit.family, f"{cov}_standard_errors")
        return np.asarray(errors(fit.statistics, fit.params)[name])
    if name not in infinite:
        check_off_boundary(fit, name, what)
    return limit_errors(fit.family, fit.statistics, fit.params, cov)[name]


def _transformed(fit: Fit, name: str, level: float) -> Interval:
    center, widen = fit.family.small_sample(name, fit.statistics.n)
    errors = _model_errors(fit, name, "Transformed Wald intervals")
    return fit.family.transformed_interval(
        name, fit.params[name] * center, errors * center * widen, level
    )


def _robust(fit: Fit, name: str, level: float) -> Interval:
    """Return the sandwich interval: leverages, Student's t, the scale of the link."""
    assert fit.robust_errors is not None
    n = fit.statistics.n
    if n <= 1:
        raise ValueError(f"Robust intervals need more than one observation; n = {n:g}.")
    center, _ = fit.family.small_sample(name, n)
    errors, estimate = fit.robust_errors[name], fit.params[name]
    df = n - 1 if fit.codes is None else float(fit.codes.max())
    low, high = fit.family.transformed_interval(
        name, estimate * center, errors * center, level, df=df
    )
    # the spread of a column of two values hardly varies: less than the bias that `center` removes
    plain = fit.family.transformed_interval(name, estimate, errors, level, df=df)
    low = np.where(low < estimate, low, plain[0])
    return low, np.where(high > estimate, high, plain[1])


def _score(fit: Fit, name: str, level: float) -> Interval:
    return fit.family.score_interval(name, fit.statistics, fit.params, level)


def _profile(fit: Fit, name: str, level: float) -> Interval:
    return fit.family.profile_interval(name, fit.statistics, fit.params, level)


def _rstar(fit: Fit, name: str, level: float) -> Interval:
    check_off_boundary(fit, name, "r* intervals")
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
