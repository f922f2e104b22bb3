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

    centre = np.arctanh(correlation)
    ends = (find_root(excess, centre, _bracket(excess, centre, sign)) for sign in (-1.0, 1.0))
    low, high = (_curve(np.tanh(end), correlation)[0] for end in ends)
    return low, high


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
        "The interval of a covariance is unbounded at this level with so few observations; use "
        "method='profile', or a lower level."
    )
