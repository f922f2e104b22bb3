r"""The part of the negative binomial log-likelihood that binds counts to the dispersion.

.. math:: L(x, \alpha) = \sum_{j<x} \log(1 + j\alpha)

It equals log Gamma(x + k) - log Gamma(k) - x log k at alpha = 1 / k, but keeps its digits as k
grows, and exists at alpha = 0, the Poisson limit. The first terms are summed as they stand; the
rest is Euler and Maclaurin's formula, an integral with Stirling's corrections.
"""

import numpy as np

from skgm.inference._special import ATANH, STIRLING

__all__ = ["curvature_ratio", "gap_ratio", "log_rising"]

_DIRECT = 16  # terms summed as they stand; beyond them Stirling's six corrections are exact
_STIRLING = tuple(zip((1, 3, 5, 7, 9, 11), STIRLING[:6].tolist(), strict=True))


def _series(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return 1/3 + y/5 + y^2/7 + ... and its derivative, by Horner's rule."""
    value, slope = np.zeros_like(y), np.zeros_like(y)
    for coefficient in ATANH[::-1]:
        slope = slope * y + value
        value = value * y + coefficient
    return value, slope


def gap_ratio(u: np.ndarray) -> np.ndarray:
    """Return (log(1 + u) - u) / u^2, for u >= 0; -1/2 at zero."""
    near = np.minimum(u, 1.0)
    r = near / (2 + near)
    series = -1 / (2 + near) + 2 * near / (2 + near) ** 3 * _series(r * r)[0]
    far = np.maximum(u, 1.0)
    return np.where(u < 1, series, (np.log1p(far) - far) / far / far)


def curvature_ratio(u: np.ndarray) -> np.ndarray:
    """Return the derivative of `gap_ratio`; 1/3 at zero."""
    near = np.minimum(u, 1.0)
    r = near / (2 + near)
    value, slope = _series(r * r)
    series = 1 / (2 + near) ** 2 + (4 - 4 * near) / (2 + near) ** 4 * value
    series = series + 8 * near * r / (2 + near) ** 5 * slope
    far = np.maximum(u, 1.0)
    return np.where(u < 1, series, -(1 / (1 + far) + 2 * gap_ratio(far)) / far)


def log_rising(x: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L(x, alpha) and its first two derivatives in alpha.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Counts.
    alpha : ndarray of shape (d,)
        Dispersions >= 0.

    Returns
    -------
    value, slope, curvature : ndarray of shape (n, d)
        To a few rounding errors of each.
    """
    shape = np.broadcast_shapes(np.shape(x), np.shape(alpha))
    value, slope, curvature = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    top = np.max(x, initial=0.0)
    for j in range(1, int(min(_DIRECT, top))):
        above = x > j
        share = j / (1 + j * alpha)
        value += above * np.log1p(j * alpha)
        slope += above * share
        curvature -= above * share**2
    if top > _DIRECT:
        ends = _integrated(np.maximum(x, float(_DIRECT)), alpha)
        starts = _integrated(np.full(np.shape(alpha), float(_DIRECT)), alpha)
        value, slope, curvature = (
            part + end - begin
            for part, end, begin in zip((value, slope, curvature), ends, starts, strict=True)
        )
    return value, slope, curvature


def _integrated(t: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the integral of log(1 + j alpha) to t with corrections, and its derivatives."""
    u = t * alpha
    one, log = 1 + u, np.log1p(u)
    share, w = t / one, alpha / one
    s0, s1, s2 = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for power, factor in _STIRLING:
        s0 += factor * w**power
        s1 += factor * power * w ** (power - 1)
        if power > 1:
            s2 += factor * power * (power - 1) * w ** (power - 2)
    value = t * u * gap_ratio(u) + t * log - log / 2 + s0
    slope = -(t**2) * gap_ratio(u) - share / 2 + s1 / one**2
    curvature = -(t**3) * curvature_ratio(u) + share**2 / 2
    return value, slope, curvature + s2 / one**4 - 2 * t * s1 / one**3
