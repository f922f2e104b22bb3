"""Distances between the distribution function of a sample and that of a law, column by column."""

import numpy as np

__all__ = ["COLUMN_STATISTICS", "continuous_statistic", "discrete_statistic"]

COLUMN_STATISTICS = ("ad", "ks", "cvm")


def continuous_statistic(kind: str, below: np.ndarray) -> np.ndarray:
    r"""Return the statistic of each column of a continuous law; eq. anderson-darling.

    Parameters
    ----------
    kind : {"ad", "ks", "cvm"}
        Anderson and Darling, Kolmogorov and Smirnov, Cramer and von Mises.
    below : ndarray of shape (n, d)
        F(x) of the values of each column in ascending order.
    """
    n = len(below)
    i = np.arange(1, n + 1)[:, None]
    if kind == "ks":
        return np.asarray(np.maximum(i / n - below, below - (i - 1) / n).max(axis=0))
    middle = (2 * i - 1) / (2 * n)
    if kind == "cvm":
        return np.asarray(1 / (12 * n) + ((below - middle) ** 2).sum(axis=0))
    info = np.finfo(np.float64)
    below = np.clip(below, info.tiny, 1 - info.epsneg)  # else one far value is infinitely far
    logs = np.log(below) + np.log1p(-below[::-1])
    return np.asarray(-n - 2 * (middle * logs).sum(axis=0))


def discrete_statistic(kind: str, n: int, shares: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return the statistic of each column of a law on ordered points.

    Parameters
    ----------
    kind : {"ad", "ks", "cvm"}
        As above.
    n : int
        Number of rows.
    shares : ndarray of shape (m, d)
        Share of each column's values up to each point.
    below : ndarray of shape (m, d)
        F at these points.
    """
    gap = shares - below
    if kind == "ks":
        return np.asarray(np.abs(gap).max(axis=0))
    mass = np.diff(below, axis=0, prepend=0.0)
    if kind == "ad":
        spread = below * (1 - below)
        mass = np.where(spread > 1e-12, mass / np.where(spread > 1e-12, spread, 1.0), 0.0)
    return np.asarray(n * (mass * gap**2).sum(axis=0))
