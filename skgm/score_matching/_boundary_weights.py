"""The weight functions h of generalised score matching, which vanish at a boundary."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["WEIGHTS", "WeightFunction", "boundary_weight", "refuse_weight_at_boundary", "weight_at"]

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
        A callable that returns other shapes, numbers that are not finite, or a negative h.
    """
    if not callable(weight):
        return WEIGHTS[weight](distance, cap)
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


def refuse_weight_at_boundary(weight: Any, shape: tuple[int, ...]) -> None:
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
