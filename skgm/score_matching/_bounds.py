"""Checks `bounds` and rows against them, and computes weight functions that vanish there."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "WEIGHTS",
    "WeightFunction",
    "boundary_weight",
    "check_bounds",
    "check_inside_bounds",
    "check_weight_at_boundary",
    "weight_at",
]


def check_bounds(bounds: Any, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bound of each column, (d,) each, from a `bounds` parameter.

    Raises
    ------
    ValueError
        Neither "positive" nor a pair of numbers or arrays of length d with lower < upper.
    """
    if isinstance(bounds, str) and bounds == "positive":
        return np.zeros(n_columns), np.full(n_columns, np.inf)
    try:
        lower, upper = (
            np.array(np.broadcast_to(np.asarray(end, dtype=np.float64), (n_columns,)))
            for end in bounds
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bounds must be 'positive' or a pair (lower, upper) of numbers or of {n_columns} "
            f"numbers each; got {bounds!r}."
        ) from error
    crossed = ~(lower < upper)
    if crossed.any():
        j = int(np.argmax(crossed))
        raise ValueError(
            f"bounds must have lower < upper in every column; column number {j} has "
            f"{lower[j]:g} and {upper[j]:g}."
        )
    return lower, upper


def check_inside_bounds(
    X: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    names: list[str] | None = None,
    *,
    shown: np.ndarray | None = None,
) -> None:
    """Raise a ValueError that names the first column and row of X outside the bounds.

    `shown`, (n, d), are the rows in the units of the user, where X and the bounds are not.
    """
    outside = ~((lower <= X) & (upper >= X))
    if not outside.any():
        return
    row, j = (int(k) for k in np.argwhere(outside)[0])
    label = f"x{j}" if names is None else names[j]
    where = f" [{lower[j]:g}, {upper[j]:g}]" if shown is None else ""
    value = float((X if shown is None else shown)[row, j])
    raise ValueError(
        f"Column {label!r} holds {value!r} at row {row}, outside its bounds{where}. Drop such "
        "rows, or widen `bounds`."
    )


# The weight functions h of generalized score matching, which vanish at a boundary.

WeightFunction = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _min(t: np.ndarray, cap: float) -> tuple[np.ndarray, np.ndarray]:
    return np.minimum(t, cap), (t < cap).astype(np.float64)


def _minlog(t: np.ndarray, cap: float) -> tuple[np.ndarray, np.ndarray]:
    value = np.log1p(t)
    return np.minimum(value, cap), np.where(value < cap, 1 / (1 + t), 0.0)


def _power(t: np.ndarray, cap: float) -> tuple[np.ndarray, np.ndarray]:
    return t**cap, cap * t ** (cap - 1)


# Each maps the distance t >= 0 to the boundary, and a constant, to h(t) and h'(t).
WEIGHTS: dict[str, Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]] = {
    "min": _min,  # min(t, cap)
    "minlog": _minlog,  # min(log(1 + t), cap)
    "power": _power,  # t ** cap
}


def weight_at(
    distance: np.ndarray, weight: str | WeightFunction, cap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return h and h' at distances from the boundary, each of the shape of `distance`.

    Raises
    ------
    ValueError
        A callable that returns other shapes, numbers that are not finite, or a negative h; a cap
        with which h or its derivative is infinite at some distance.
    """
    if not callable(weight):
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            value, slope = WEIGHTS[weight](distance, cap)
        if np.isfinite(value).all() and np.isfinite(slope).all():
            return value, slope
        raise ValueError(
            f"weight={weight!r} with weight_cap={cap:g} is infinite, or has an infinite "
            "derivative, at some value of X, such as one at its bound. Use weight_cap=2.0."
        )
    value, slope = _call(weight, distance)
    if value.shape != distance.shape or slope.shape != distance.shape:
        raise ValueError(
            f"weight must return h and its derivative, both of shape {distance.shape}; got "
            f"{value.shape} and {slope.shape}."
        )
    if not (np.isfinite(value).all() and np.isfinite(slope).all()) or (value < 0).any():
        raise ValueError("weight returned a negative h, or numbers that are not finite.")
    return value, slope


def _call(weight: WeightFunction, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = weight(distance)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise ValueError(
            "weight must return a pair, h and its derivative at the distances it is given; got "
            f"{type(found).__name__}."
        )
    value, slope = (np.asarray(part, dtype=np.float64) for part in found)
    return value, slope


def check_weight_at_boundary(weight: Any, shape: tuple[int, ...]) -> None:
    """Raise a ValueError for a callable weight that does not vanish at distance zero."""
    if not callable(weight):
        return
    with np.errstate(all="ignore"):  # the derivative may have a pole there
        at_zero = _call(weight, np.zeros(shape))[0]
    if (at_zero > 1e-8).any():
        raise ValueError(
            "weight must return h(0) = 0: where the density does not vanish at a bound, h has to; "
            f"got h(0) = {at_zero.max():g}. Multiply it by min(t, 1), for example."
        )


def boundary_weight(
    X: np.ndarray, lower: np.ndarray, upper: np.ndarray, weight: Any, cap: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return h_j(x_j) and its derivative, (n, d), for columns between `lower` and `upper`, (d,).

    h is a function of the distance to the nearer boundary, and 1 in a column without one.
    """
    below, above = X - lower, upper - X
    nearer_low = below <= above
    distance = np.where(nearer_low, below, above)
    bounded = np.isfinite(distance)
    value, slope = weight_at(np.where(bounded, distance, 1.0), weight, cap)
    signed = np.where(nearer_low, slope, -slope)
    return np.where(bounded, value, 1.0), np.where(bounded, signed, 0.0)
