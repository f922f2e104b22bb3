"""Derivatives by central differences, extrapolated to the fourth order.

The step is a compromise: the truncation error grows with its fourth power, rounding with its
inverse (gradients) or the square of it (Hessians). In units in which the function varies on the
scale of one, gradients are right to about 1e-12 and Hessians to about 1e-9.
"""

from collections.abc import Callable

import numpy as np

__all__ = [
    "STEP",
    "gradient",
    "hessian",
]

STEP = 2e-3
_WIDE = 2.5  # Hessians take longer steps
Function = Callable[[np.ndarray], np.ndarray]


def _exact(step: np.ndarray) -> np.ndarray:
    """Return powers of two near `step`: adding them to a coordinate hardly rounds."""
    return np.exp2(np.round(np.log2(step)))


def _along(u: np.ndarray, k: int, step: np.ndarray) -> np.ndarray:
    moved = np.array(u)
    moved[:, k] += step
    return moved


def gradient(function: Function, u: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the derivatives of `function` along the coordinates of u.

    Parameters
    ----------
    function : callable
        From points (d, k) to values (..., d), column by column.
    u : ndarray of shape (d, k)
        The points.
    unit : ndarray of shape (d, k)
        The scales on which `function` varies.

    Returns
    -------
    gradient : ndarray of shape (..., d, k)
        One derivative per coordinate.
    """
    parts = []
    for k in range(u.shape[1]):
        step = _exact(STEP * unit[:, k])
        near = function(_along(u, k, step)) - function(_along(u, k, -step))
        far = function(_along(u, k, 2 * step)) - function(_along(u, k, -2 * step))
        parts.append((8 * near - far) / (12 * step))
    return np.stack(parts, axis=-1)


def hessian(function: Function, u: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return the second derivatives of `function`, from points (d, k) to values (d,).

    Parameters
    ----------
    function : callable
        From points (d, k) to values (d,).
    u : ndarray of shape (d, k)
        The points.
    unit : ndarray of shape (d, k)
        The scales on which `function` varies.

    Returns
    -------
    hessian : ndarray of shape (d, k, k)
        Symmetric.
    """
    d, k = u.shape
    step, center = _exact(_WIDE * STEP * unit), function(u)
    found = np.empty((d, k, k))
    for a in range(k):
        h = step[:, a]
        near = function(_along(u, a, h)) + function(_along(u, a, -h))
        far = function(_along(u, a, 2 * h)) + function(_along(u, a, -2 * h))
        found[:, a, a] = (16 * near - far - 30 * center) / (12 * h**2)
        for b in range(a):
            small = _mixed(function, u, (a, b), step)
            found[:, a, b] = (4 * small - _mixed(function, u, (a, b), 2 * step)) / 3
            found[:, b, a] = found[:, a, b]
    return found


def _mixed(
    function: Function, u: np.ndarray, pair: tuple[int, int], step: np.ndarray
) -> np.ndarray:
    a, b = pair
    total: np.ndarray | float = 0.0
    for s in (1, -1):
        for t in (1, -1):
            moved = _along(_along(u, a, s * step[:, a]), b, t * step[:, b])
            total = total + s * t * function(moved)
    return total / (4 * step[:, a] * step[:, b])
