"""Bracketed roots of many functions at once."""

from collections.abc import Callable

import numpy as np

__all__ = [
    "find_root",
]

_TOLERANCE = 4 * np.finfo(np.float64).eps


def find_root(
    function: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    *,
    max_iter: int = 200,
) -> np.ndarray:
    """Return one root per element between `low` and `high`, by Chandrupatla's method.

    Chandrupatla's rule takes an inverse quadratic step where it is safe and halves the bracket
    elsewhere: as robust as bisection, about ten evaluations where that needs fifty. (scipy has
    an elementwise solver from 1.15 only.)

    Parameters
    ----------
    function : callable
        Elementwise, from (d,) to (d,); of opposite signs at the two ends.
    low, high : ndarray of shape (d,)
        Brackets.
    max_iter : int, default=200
        Upper limit of the number of evaluations.

    Returns
    -------
    root : ndarray of shape (d,)
        To a relative accuracy of a few rounding errors.
    """
    a, b = np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
    fa, fb = function(a), function(b)
    step = np.full_like(a, 0.5)
    for _ in range(max_iter):
        x = a + step * (b - a)
        fx = function(x)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        best = np.where(np.abs(fa) < np.abs(fb), a, b)
        width = np.abs(b - a)
        limit = _TOLERANCE * np.abs(best) + np.finfo(np.float64).tiny
        if np.all((width <= 2 * limit) | (fa == 0) | (fb == 0)):
            break
        step = _next_step(a, b, c, fa, fb, fc)
        margin = np.minimum(0.5, limit / np.maximum(width, limit))
        step = np.clip(step, margin, 1 - margin)
    return np.where(fa == 0, a, np.where(fb == 0, b, best))


def _next_step(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, fa: np.ndarray, fb: np.ndarray, fc: np.ndarray
) -> np.ndarray:
    with np.errstate(all="ignore"):
        xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
        safe = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)
        quadratic = fa / (fb - fa) * fc / (fb - fc)
        quadratic += (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    return np.where(safe & np.isfinite(quadratic), quadratic, 0.5)
