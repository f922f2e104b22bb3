"""Intervals where the estimate is infinite: of what is finite in it, and one-sided ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from skgm.inference._likelihood.functions import (
    FunctionTarget,
    LinearTarget,
    function_label,
    read_targets,
)
from skgm.inference._likelihood.model import LikelihoodModel, ModelFit, Slice
from skgm.inference._likelihood.separation import Recession, infinite_signs

__all__ = [
    "check_covariance_finite",
    "finite_problem",
    "infinite_interval",
    "signs_of_infinity",
    "targets_at_infinity",
]

_WIDENINGS = 60


class _FarFunction(FunctionTarget):
    """A function of the parameters, seen along the coordinates of what is finite."""

    def __init__(self, target: FunctionTarget, part: Slice, errors: np.ndarray) -> None:
        super().__init__(target.label, target.function, target.names, errors)
        self.part = part

    def value(self, params: np.ndarray) -> float:
        """Return the function at coordinates."""
        return super().value(self.part.origin + self.part.basis @ params)


class _FarCombination(LinearTarget):
    """A linear combination of the parameters, seen along the coordinates of what is finite."""

    def __init__(self, target: LinearTarget, part: Slice) -> None:
        super().__init__(target.combination @ part.basis)
        self.target, self.model, self.shift = target, part.model, target.value(part.origin)
        self.single = None

    def value(self, params: np.ndarray) -> float:
        """Return the combination at coordinates."""
        return self.shift + super().value(params)

    def edge(self, model: LikelihoodModel) -> float:
        """Return the lower end of the space of a single parameter."""
        return self.target.edge(self.model)

    def fit(self, model: LikelihoodModel, value: float, origin: np.ndarray) -> ModelFit:
        """Return the maximum where the combination has this value."""
        return super().fit(model, value - self.shift, origin)


class _Units(Slice):
    """The part of a likelihood that is finite, with names and units of all parameters."""

    def __init__(self, model: LikelihoodModel, fit: ModelFit, recession: Recession) -> None:
        super().__init__(model, fit.params, recession.finite)
        self.names, self.infinite = model.names, recession.infinite

    def covariance(self, params: np.ndarray, *, expected: bool = False) -> np.ndarray:
        """Return the covariance of the parameters as far as they are finite, (k, k).

        Along the other directions it is any, as units of numerical derivatives must not be zero.
        """
        outer = self.infinite @ self.infinite.T
        if self.basis.shape[1] == 0:
            return outer
        return self.basis @ super().covariance(self.start, expected=expected) @ self.basis.T + outer


def targets_at_infinity(of: Any, model: LikelihoodModel, fit: ModelFit) -> dict[str, Any]:
    """Return what intervals are wanted for, by label, at a maximum that is partly infinite.

    Raises
    ------
    ValueError
        Functions that move with what is infinite.
    """
    assert fit.recession is not None
    named = of if isinstance(of, Mapping) else {function_label(of): of}
    for label, function in named.items():
        if callable(function):
            _check_finite(FunctionTarget(label, function, model.names, fit.params), fit)
    return read_targets(of, _Units(model, fit, fit.recession), fit)


def signs_of_infinity(model: LikelihoodModel, fit: ModelFit, target: Any) -> set[int]:
    """Return the signs with which a target may be infinite at the maximum; none if it is finite."""
    rows = model.one_sided_rows()
    if fit.recession is None or rows is None or not isinstance(target, LinearTarget):
        return set()
    return infinite_signs(fit.recession, *rows, target.combination)


def _check_finite(target: FunctionTarget, fit: ModelFit) -> None:
    """Raise for a function that changes on the way back from infinity."""
    assert fit.recession is not None
    Q = np.linalg.qr(fit.recession.infinite)[0]
    far = Q @ (Q.T @ fit.params)
    shifts = [-share * far for share in (0.25, 0.5, 0.97)]
    shifts += [step - 0.97 * far for step in (*Q.T, *-Q.T)]
    here = target.value(fit.params)
    if not np.allclose([target.value(fit.params + s) for s in shifts], here, rtol=1e-9, atol=0.0):
        raise ValueError(
            f"of[{target.label!r}] depends on a coefficient that is infinite, because a "
            "combination of the columns separates the outcomes perfectly. Ask for linear "
            "combinations, or for functions of the finite coefficients."
        )


def finite_problem(
    model: LikelihoodModel, fit: ModelFit, target: Any
) -> tuple[LikelihoodModel, ModelFit, Any]:
    """Return model, maximum and target along the coordinates of what is finite."""
    if fit.recession is None:
        return model, fit, target
    part = Slice(model, fit.params, fit.recession.finite)
    start = ModelFit(part.start, fit.loglik)
    if isinstance(target, LinearTarget):
        return part, start, _FarCombination(target, part)
    errors = np.sqrt(np.diagonal(part.covariance(part.start)))
    return part, start, _FarFunction(target, part, errors)


def infinite_interval(
    model: LikelihoodModel, fit: ModelFit, target: LinearTarget, signs: set[int], level: float
) -> tuple[float, float, float]:
    """Return estimate and profile interval of an infinite combination of parameters.

    The likelihood rises to its limit as the combination goes to infinity, so the interval has one
    finite end, where 2 (limit - profile) is the chi-square quantile. Where it may be infinite with
    either sign there is none, and no estimate.
    """
    if len(signs) == 2:
        return np.nan, -np.inf, np.inf
    (sign,) = signs
    quantile, last = float(stats.norm.ppf((1 + level) / 2)), model.start

    def excess(value: float) -> float:
        nonlocal last
        try:
            restricted = target.fit(model, sign * value, last)
        except ValueError:
            return np.inf
        last = restricted.params if restricted.recession is None else last
        return float(np.sqrt(2 * max(fit.loglik - restricted.loglik, 0.0))) - quantile

    center = sign * target.value(model.start)
    covariance = model.covariance(model.start)
    step = float(np.sqrt(target.combination @ covariance @ target.combination))
    side = 1.0 if excess(center) > 0 else -1.0  # towards infinity, or away from it
    inner = center
    for widening in range(_WIDENINGS):
        outer = center + side * step * 2.0**widening
        if excess(outer) * side <= 0:
            end = sign * float(brentq(excess, *sorted((inner, outer)), xtol=1e-13 * step))
            return (np.inf, end, np.inf) if sign > 0 else (-np.inf, -np.inf, end)
        inner = outer
    raise ValueError(
        "The interval has no finite end at this level: the statistic stays below its quantile "
        "however far the value lies from the estimate, which is infinite. Use a lower level."
    )


def check_covariance_finite(model: LikelihoodModel, fit: ModelFit) -> None:
    """Raise where a covariance of statsmodels belongs to an estimate that is infinite."""
    if fit.recession is not None and model.stated is not None:
        raise ValueError(
            f"The covariance of cov_type={model.stated.kind!r} does not exist: the estimate is "
            "infinite, because a combination of the columns separates the outcomes perfectly. "
            "Drop or merge columns, or refit without cov_type."
        )
