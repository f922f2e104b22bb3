r"""Telescoping: the ratio of two distant densities as a product of ratios of near ones.

Between the data and the noise lie *waymarks*
:math:`x_\varphi = \bar z + \cos\varphi\,(x - \bar z) + \sin\varphi\,(z - \bar z)`, from the data
at :math:`\varphi = 0` to the noise at :math:`\varphi = \pi/2`; each neighbouring pair is told apart
by one logistic regression, and

.. math:: \log p - \log q = \sum_k \log\frac{p_k}{p_{k+1}}

(eq. nce-telescoping). Where a pair is still told apart too well, its angle is halved.
"""

from typing import NamedTuple

import numpy as np

from skgm.nce._contrast import LinearContrast, Rows
from skgm.nce._covariance import solve_curvature
from skgm.nce._forms import Statistics
from skgm.nce._newton import maximise

__all__ = ["Telescope", "path_starts", "sum_of_log_ratios", "telescope", "waymark"]

MIN_OVERLAP = 0.7  # of neighbouring waymarks: normals one standard deviation apart have 0.81
_MOST_BRIDGES = 100
_NARROWEST = np.pi / 2**20


class Telescope(NamedTuple):
    """The fitted bridges.

    Attributes
    ----------
    theta : ndarray of shape (k,)
        Coefficients and c of log p - log q.
    covariance : ndarray of shape (k, k)
        Of theta.
    bridges : ndarray of shape (n_bridges, k)
        Coefficients and c of each log-ratio.
    angles : ndarray of shape (n_bridges + 1,)
        Of the waymarks.
    overlap : float
        Least overlap of two neighbours.
    """

    theta: np.ndarray
    covariance: np.ndarray
    bridges: np.ndarray
    angles: np.ndarray
    overlap: float


def waymark(X: np.ndarray, noise: np.ndarray, angle: float) -> np.ndarray:
    """Return points between paired rows of data and noise, (n, d) each."""
    if angle == 0:
        return X
    if angle == np.pi / 2:
        return noise
    center = noise.mean(axis=0)
    return center + np.cos(angle) * (X - center) + np.sin(angle) * (noise - center)


def sum_of_log_ratios(statistics: np.ndarray, bridges: np.ndarray) -> np.ndarray:
    """Return log p - log q, (n,), from the statistics and all bridges (eq. nce-telescoping)."""
    return statistics @ bridges[:, :-1].sum(axis=0) + bridges[:, -1].sum()


def path_starts(X: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Return the rows at which paths begin, a weight w beginning w of them.

    In lexicographic order, so that a weighted table and one with repeated rows begin the same.
    """
    order = np.lexsort(X.T[::-1])
    if weight is None:
        return X[order]
    total = weight.sum()
    whole = np.array_equal(weight, np.round(weight))
    n_paths = int(total) if whole else max(4 * len(X), 1000)
    slots = (np.arange(n_paths) + 0.5) / n_paths * total
    return X[order[np.searchsorted(np.cumsum(weight[order]), slots)]]


def telescope(
    X: np.ndarray,
    noise: np.ndarray,
    statistics: Statistics,
    *,
    alpha: float = 0.0,
    n_rows: float | None = None,
) -> Telescope | None:
    """Fit as many bridges as are needed between paired rows of data and noise.

    Parameters
    ----------
    X, noise : ndarray of shape (n, d)
        Rows of data and independent draws of the noise.
    statistics : Statistics
        Of every bridge.
    alpha : float, default=0
        Ridge, as in the fit without bridges.
    n_rows : float, default=None
        How many rows of data the paths stand for, where weights are not whole; else their number.

    Returns
    -------
    telescope : Telescope or None
        None where neighbours are still told apart at the most bridges.
    """
    angles, table = [0.0, np.pi / 2], {}
    for angle in angles:
        table[angle] = statistics.transform(waymark(X, noise, angle))
    fits: list[tuple[np.ndarray, float, np.ndarray]] = []
    low = 0
    while low < len(angles) - 1:
        start, end = angles[low], angles[low + 1]
        fit = _bridge(table[start], table[end], alpha)
        if fit[1] < MIN_OVERLAP and len(angles) <= _MOST_BRIDGES and end - start > _NARROWEST:
            middle = (start + end) / 2
            angles.insert(low + 1, middle)
            table[middle] = statistics.transform(waymark(X, noise, middle))
        elif fit[1] < MIN_OVERLAP / 2:
            return None
        else:
            fits.append(fit)
            del table[start]
            low += 1
    bridges, overlaps, influence = zip(*fits)
    total = np.sum(influence, axis=0)
    n_rows = len(total) if n_rows is None else n_rows
    covariance = total.T @ total / len(total) / max(n_rows - 1, 1)
    return Telescope(
        np.sum(bridges, axis=0), covariance, np.array(bridges), np.array(angles), min(overlaps)
    )


def _bridge(
    near: np.ndarray, far: np.ndarray, alpha: float
) -> tuple[np.ndarray, float, np.ndarray]:
    """Return theta, overlap, and the influence of each path on theta, (n, k)."""
    rows = Rows(np.zeros(len(near)), np.zeros(len(far)), 0.0)
    contrast = LinearContrast(rows, near, far)
    fit = maximise(contrast, np.zeros(near.shape[1] + 1), alpha=alpha, max_iter=50)
    if fit.overlap < MIN_OVERLAP / 100:
        return fit.theta, fit.overlap, np.zeros_like(contrast.data)
    _, curvature = contrast.derivatives(fit.theta)
    of_near, of_far = contrast.pulls(fit.theta)
    inverse = solve_curvature(curvature + np.diag(np.append(np.full(near.shape[1], alpha), 0.0)))
    return fit.theta, fit.overlap, (of_near - of_far) @ inverse
