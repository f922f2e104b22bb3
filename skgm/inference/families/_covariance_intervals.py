"""Intervals of the covariance of a pair of columns, the rest of a normal model being free.

Restricting one covariance touches only the pair's own marginal distribution. With both variances
scaled to one and sample correlation r, the estimate restricted to covariance c has equal
variances a, and with rho = c / a the stationarity condition solves to
a = (1 + rho^2 - 2 rho r) / (1 - rho^2): a curve in one parameter, so that no cubic is solved.
"""

from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._rootfinding import find_root

__all__ = ["covariance_interval"]


def covariance_interval(
    method: str, correlation: np.ndarray, n: float, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of a covariance in units of the two standard deviations.

    Parameters
    ----------
    method : {"profile", "score"}
        Which test is inverted.
    correlation : ndarray of shape (m,)
        Sample correlations, strictly between -1 and 1.
    n : float
        Number of observations.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (m,)
    """
    statistic = {"profile": _likelihood_ratio, "score": _score}[method]
    quantile = stats.chi2.ppf(level, 1) / n

    def excess(angle: np.ndarray) -> np.ndarray:
        return statistic(np.tanh(angle), correlation) - quantile

    low, high = (_end(excess, correlation, sign) for sign in (-1.0, 1.0))
    return low, high


def _end(excess: Any, r: np.ndarray, sign: float) -> np.ndarray:
    centre = np.arctanh(r)
    hump, dip = _turning_angles(r, sign)
    split = (excess(hump) > 0) & (excess(dip) <= 0)  # accepted, rejected, accepted again
    start = np.where(split, dip, centre)
    outer = _bracket(excess, start, sign)
    end = _curve(np.tanh(find_root(excess, start, outer)), r)[0]
    if not split.any():
        return end
    first = _curve(np.tanh(find_root(excess, centre, np.where(split, hump, outer))), r)[0]
    return sign * np.maximum(sign * end, sign * first)


def _turning_angles(r: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the covariance turns on the way from r outwards; atanh(r) where it does not.

    dc/drho = 0 where 1 - 4 rho r + 4 rho^2 - rho^4 = 0, which has roots in (-1, 1) where |r|
    exceeds 5 / sqrt(27) = 0.962, on the side of zero.
    """
    hump, dip = np.arctanh(r), np.arctanh(r)
    turns = -sign * r > 5 / np.sqrt(27)
    if turns.any():
        size, middle = np.abs(r[turns]), np.full(turns.sum(), 1 / np.sqrt(3))

        def slope(rho: np.ndarray) -> np.ndarray:
            return 1 - 4 * rho * size + 4 * rho**2 - rho**4

        hump[turns] = -sign * np.arctanh(find_root(slope, middle, size))
        dip[turns] = -sign * np.arctanh(find_root(slope, np.full_like(middle, 0.41), middle))
    return hump, dip


def _curve(rho: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the restricted covariance c and the common variance a at c / a = rho."""
    variance = (1 + rho**2 - 2 * rho * r) / (1 - rho**2)
    return rho * variance, variance


def _likelihood_ratio(rho: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return W / n = log|Sigma| + tr(Sigma^-1 S) - log|S| - 2."""
    a = _curve(rho, r)[1]
    log_det = 2 * np.log(a) + np.log1p(-(rho**2)) - np.log1p(-(r**2))
    return log_det + 2 * (1 - rho * r) / (a * (1 - rho**2)) - 2


def _score(rho: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Return the score statistic / n = tr[(Sigma^-1 S - I)^2] / 2."""
    a = _curve(rho, r)[1] * (1 - rho**2)
    diagonal, off = (1 - rho * r) / a - 1, (r - rho) / a
    return diagonal**2 + off**2


def _bracket(excess: Any, centre: np.ndarray, sign: float) -> np.ndarray:
    for width in 2.0 ** np.arange(-4, 5):
        outer = np.clip(centre + sign * width, -17.0, 17.0)  # tanh(17) is below one
        if (excess(outer) > 0).all():
            return outer
    raise ValueError(
        "The interval of a covariance is unbounded at this level with so few observations; use a "
        "lower level or more rows."
    )
