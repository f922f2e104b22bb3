"""Discrete values as regions of space: a point for each category, a cell for each whole number.

The categories of a column with shares pi are the points whose weighted mean is zero and whose
weighted covariance is the identity (the coordinates of multiple correspondence analysis): K
categories take K - 1 columns, two are +- sqrt of their odds, and two points lie
sqrt(1 / pi_i + 1 / pi_j) >= 2 apart. One-hot bits would be collinear, and the rarest category
would set no scale of its own. A category is every place nearest to its point, a whole number
every place that rounds to it. Training sees a category as its point plus normal noise, NOISE wide,
and a whole number as itself plus uniform noise: smooth densities, which a network learns, where
points without width would be spikes. NOISE is as wide as can be: a fifth of the least distance
to another category's places, so that one draw in a million strays. Ordered categories of many
levels are whole numbers, their ranks.
"""

import numpy as np
from scipy.special import ndtr

__all__ = ["NOISE", "category_points", "cell_noise", "log_noise_density", "nearest_point"]

NOISE = 0.2


def category_points(share: np.ndarray) -> np.ndarray:
    """Return the points of K categories with positive shares that sum to 1, (K, K - 1)."""
    root = np.sqrt(np.asarray(share, dtype=np.float64))[:, None]
    complement = np.linalg.qr(root, mode="complete")[0][:, 1:]
    return complement / root


def nearest_point(points: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the number of the point nearest to each row of z, (n,)."""
    return np.asarray(np.argmin((points**2).sum(axis=1) - 2 * (z @ points.T), axis=1))


def cell_noise(normal: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Turn standard normal numbers, (..., J), into the noise of J columns of discrete values.

    `whole`, (J,), marks columns of whole numbers, whose noise is uniform on (-1/2, 1/2).
    """
    noise = NOISE * normal
    noise[..., whole] = ndtr(normal[..., whole]) - 0.5
    return noise


def log_noise_density(normal: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the log-density of `cell_noise(normal, whole)`, (...); uniform noise has density 1."""
    squares = normal[..., ~whole] ** 2 + np.log(2 * np.pi * NOISE**2)
    return np.asarray(-0.5 * squares.sum(axis=-1))
