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
    step, k = _exact(STEP * unit), u.shape[1]
    points = [_along(u, a, times * step[:, a]) for a in range(k) for times in (1, -1, 2, -2)]
    values, parts = iter(_values(function, points, together)), []
    for a in range(k):
        near, far = next(values) - next(values), next(values) - next(values)
        parts.append((8 * near - far) / (12 * step[:, a]))
    return np.stack(parts, axis=-1)


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
    d, k = u.shape
    step = _exact(_WIDE * STEP * unit)
    pairs = [(a, b) for a in range(k) for b in range(a)]
    points = [u]
    points += [_along(u, a, times * step[:, a]) for a in range(k) for times in (1, -1, 2, -2)]
    points += [
        _along(_along(u, a, s * step[:, a]), b, t * step[:, b])
        for a, b in pairs
        for s, t in _CORNERS
    ]
    values, found = iter(_values(function, points, together)), np.empty((d, k, k))
    center = next(values)
    for a in range(k):
        near, far = next(values) + next(values), next(values) + next(values)
        found[:, a, a] = (16 * near - far - 30 * center) / (12 * step[:, a] ** 2)
    for a, b in pairs:
        # of two sizes of steps, four corners each: f(+, +) - f(+, -) - f(-, +) + f(-, -)
        small, large = (
            (next(values) - next(values) - next(values) + next(values))
            / (4 * scale * step[:, a] * scale * step[:, b])
            for scale in (1, 2)
        )
        found[:, a, b] = found[:, b, a] = (4 * small - large) / 3
    return found


_CORNERS = [(size * s, size * t) for size in (1, 2) for s in (1, -1) for t in (1, -1)]


def _values(function: Function, points: list[np.ndarray], together: bool) -> list[np.ndarray]:
    if not together:
        return [function(point) for point in points]
    values = function(np.concatenate(points))
    return np.split(values, len(points), axis=-1)
