"""Steps of fitting an exponential family: its statistics, its scales, its weight functions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skgm._validation import check_support
from skgm.inference._moments import Moments
from skgm.score_matching._boundary_weights import boundary_weight
from skgm.score_matching._bounds import check_bounds, refuse_outside_bounds
from skgm.score_matching._family_statistics import (
    Gamma,
    Polynomial,
    Quadratic,
    SquareRoot,
    Statistics,
)
from skgm.score_matching._linear_system import LinearSystem

__all__ = ["FAMILIES", "SPHERE", "check_domain", "family_of", "linear_system", "standardise"]

SPHERE = "von_mises_fisher"  # the one family that is not on a box
FAMILIES: dict[str, type[Statistics]] = {
    "quadratic": Quadratic,
    "polynomial": Polynomial,
    "gamma": Gamma,
    "exponential_square_root": SquareRoot,
}


def _capped_power(exponent: float) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the weight function min(t, 2)^exponent of distances in standard deviations."""

    def weight(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = t < 2.0
        return np.minimum(t, 2.0) ** exponent, exponent * t ** (exponent - 1) * inside

    return weight


# Derivatives of log x and of roots have poles at zero, which the weight must outgrow: with these
# exponents every term of the linear system is bounded near zero, whatever the parameters.
POLES = {"gamma": _capped_power(2.0), "exponential_square_root": _capped_power(1.5)}


def family_of(
    statistics: str, shift: np.ndarray, scale: np.ndarray, columns: list[str], degree: int
) -> Statistics:
    """Return the ready-made statistics of that name."""
    if statistics == "polynomial":
        return Polynomial(shift, scale, columns, degree)
    return FAMILIES[statistics](shift, scale, columns)


def check_domain(
    X: np.ndarray, statistics: Any, bounds: Any, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return lower and upper bounds of the columns, (d,) each; refuse rows outside.

    Raises
    ------
    ValueError
        Unusable bounds, bounds for a family of positive columns, or rows outside.
    """
    d = X.shape[1]
    named = statistics if isinstance(statistics, str) else None
    if named is not None and FAMILIES[named].positive:
        if bounds is not None and not (isinstance(bounds, str) and bounds == "positive"):
            raise ValueError(f"{named!r} is for positive columns: bounds must be None.")
        check_support(X, "positive", names, model=f"The family {named!r}")
        return np.zeros(d), np.full(d, np.inf)
    if bounds is None:
        return np.full(d, -np.inf), np.full(d, np.inf)
    lower, upper = check_bounds(bounds, d)
    refuse_outside_bounds(X, lower, upper, names)
    return lower, upper


def standardise(moments: Moments, statistics: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the shift and scale of the columns z, and the spread of z, (d,) each."""
    mean, sd = moments.mean, np.sqrt(moments.variance)
    constant = sd <= 4 * np.finfo(np.float64).eps * np.abs(mean)
    size = np.where(np.abs(mean) > 0, np.abs(mean), 1.0)
    sd = np.where(constant, size, sd)
    if not isinstance(statistics, str):
        return np.zeros(len(sd)), np.ones(len(sd)), sd
    positive = FAMILIES[statistics].positive
    return np.zeros(len(sd)) if positive else mean, sd, np.ones(len(sd))


def linear_system(
    family: Statistics,
    Z: np.ndarray,
    share: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    spread: np.ndarray,
    *,
    statistics: Any,
    weight: Any,
    cap: float,
) -> LinearSystem:
    """Return the linear system; the weight function sees distances in standard deviations."""
    if isinstance(weight, str) and weight == "auto":
        weight = POLES.get(statistics, "minlog") if isinstance(statistics, str) else "minlog"
    lower, upper = bounds
    h, slope = boundary_weight(Z / spread, lower / spread, upper / spread, weight, cap)
    return LinearSystem(family, Z, h, slope / spread, share)
