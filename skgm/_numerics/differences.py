"""Derivatives by central differences, extrapolated to the fourth order.

The step is a compromise: the truncation error grows with its fourth power, rounding with its
inverse (gradients) or the square of it (Hessians). In units in which the function varies on the
scale of one, gradients are right to about 1e-12 and Hessians to about 1e-9.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

__all__ = [
    "STEP",
    "expansion",
    "gradient",
    "hessian",
]

STEP = 2e-3
_WIDE = 2.5  # Hessians take longer steps
Function = Callable[[np.ndarray], np.ndarray]


def _exact(step: np.ndarray) -> np.ndarray:
    """Return powers of two near `step`: adding them to a coordinate hardly rounds."""
    return np.exp2(np.round(np.log2(step)))


def gradient(
    function: Function, u: np.ndarray, unit: np.ndarray, *, together: bool = False
) -> np.ndarray:
    """Return the derivatives of `function` along the coordinates of u.

    Parameters
    ----------
    function : callable
        From points (d, k) to values (..., d), column by column.
    u : ndarray of shape (d, k)
        The points.
    unit : ndarray of shape (d, k)
        The scales on which `function` varies.
    together : bool, default=False
        Whether `function` also takes m times d points, (m d, k), to values (..., m d): one call
        for all differences, which is faster where a call costs more than its arithmetic.

    Returns
    -------
    gradient : ndarray of shape (..., d, k)
        One derivative per coordinate.
    """
    step = _exact(STEP * unit)
    points = u + _both_ways(u.shape[1])[:, None] * step
    return _slopes(_values(function, points, together), step)


def hessian(
    function: Function, u: np.ndarray, unit: np.ndarray, *, together: bool = False
) -> np.ndarray:
    """Return the second derivatives of `function`, from points (d, k) to values (d,).

    Parameters
    ----------
    function : callable
        From points (d, k) to values (d,).
    u : ndarray of shape (d, k)
        The points.
    unit : ndarray of shape (d, k)
        The scales on which `function` varies.
    together : bool, default=False
        As in `gradient`.

    Returns
    -------
    hessian : ndarray of shape (d, k, k)
        Symmetric.
    """
    step = _exact(_WIDE * STEP * unit)
    points = u + _all_ways(u.shape[1])[:, None] * step
    return _bends(_values(function, points, together), step)


def expansion(
    function: Function, u: np.ndarray, unit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values (d,), derivatives (d, k) and second derivatives (d, k, k), from one call.

    Parameters
    ----------
    function : callable
        From m times d points, (m d, k), to values (m d,).
    u, unit : ndarray of shape (d, k)
        As in `gradient`.

    Returns
    -------
    value, gradient, hessian : ndarray
    """
    short, wide, k = _exact(STEP * unit), _exact(_WIDE * STEP * unit), u.shape[1]
    near = u + _both_ways(k)[:, None] * short
    far = u + _all_ways(k)[:, None] * wide
    values = _values(function, np.concatenate([near, far]), True)
    first, second = values[: len(near)], values[len(near) :]
    return second[0], _slopes(first, short), _bends(second, wide)


@cache
def _both_ways(k: int) -> np.ndarray:
    """Return the multiples of the steps, (4 k, k), of points on both sides of each coordinate."""
    return np.concatenate([np.outer([1, -1, 2, -2], row) for row in np.eye(k)])


def _slopes(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    parts = []
    for a in range(step.shape[1]):
        up, down, up_twice, down_twice = values[4 * a : 4 * a + 4]
        parts.append((8 * (up - down) - (up_twice - down_twice)) / (12 * step[:, a]))
    return np.stack(parts, axis=-1)


def _pairs(k: int) -> list[tuple[int, int]]:
    return [(a, b) for a in range(k) for b in range(a)]


@cache
def _all_ways(k: int) -> np.ndarray:
    """Return the multiples of the center, of `_both_ways`, and of corners in pairs."""
    unit = np.eye(k)
    corners = [s * unit[a] + t * unit[b] for a, b in _pairs(k) for s, t in _CORNERS]
    return np.vstack([np.zeros(k), _both_ways(k), *corners])


def _bends(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    d, k = step.shape
    found, center = np.empty((d, k, k)), values[0]
    for a in range(k):
        up, down, up_twice, down_twice = values[4 * a + 1 : 4 * a + 5]
        bend = 16 * (up + down) - (up_twice + down_twice) - 30 * center
        found[:, a, a] = bend / (12 * step[:, a] ** 2)
    for first, (a, b) in enumerate(_pairs(k)):
        # of two sizes of steps, four corners each: f(+, +) - f(+, -) - f(-, +) + f(-, -)
        corners = values[8 * first + 4 * k + 1 :]
        small, large = (
            (corners[i] - corners[i + 1] - corners[i + 2] + corners[i + 3])
            / (4 * scale * step[:, a] * scale * step[:, b])
            for i, scale in ((0, 1), (4, 2))
        )
        found[:, a, b] = found[:, b, a] = (4 * small - large) / 3
    return found


_CORNERS = [(size * s, size * t) for size in (1, 2) for s in (1, -1) for t in (1, -1)]


def _values(function: Function, points: np.ndarray, together: bool) -> np.ndarray:
    """Return the values (m, ..., d) at points (m, d, k)."""
    if not together:
        return np.stack([function(point) for point in points])
    m, d, k = points.shape
    values = function(points.reshape(m * d, k))
    return np.moveaxis(values.reshape(*values.shape[:-1], m, d), -2, 0)
