"""Corrects the masses of a score-matching fit, and chooses it, by the held-out likelihood.

The score-matching loss sees gradients only. A function that is nearly constant on each of two
clusters, and differs between them, costs it nothing: their relative mass is not determined. Such
functions have a small energy c' G c for their variance c' V c under the rows. The directions with
the largest c' V c / c' (G + alpha K) c are these, and along them maximum likelihood takes the place
of score matching: it makes the means of the directions under the density those of the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh

from skgm._numerics.distributions import KernelProposal
from skgm._numerics.newton import MEAN_LOGLIK, Stopping, maximize, minimum_norm
from skgm._numerics.qmc import sobol_points
from skgm._parallel import ordered_map
from skgm.score_matching._kernel.fit import KernelFunction, Sums, solve_ridge

__all__ = ["Choice", "Pool", "choose", "correct", "peak_bound"]

RIDGE = 0.01  # rows, on corrections of the masses
LEAST_VARIANCE = 1e-12  # of a direction, relative to the first
ROUGH = Stopping(last=1e-6, blind=1e-9, stuck=1e-4, short=1e-3)  # for a choice
LEAST_ESS = 0.01  # of the pool, below which a candidate's likelihood is not known


@dataclass(frozen=True)
class Pool:
    """Rows of a proposal with the logs of their weights for the base density.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
    log_weight : ndarray of shape (n,)
        Their exponentials sum to about one.
    """

    rows: np.ndarray
    log_weight: np.ndarray

    @classmethod
    def of(cls, proposal: KernelProposal, size: int) -> "Pool":
        """Return a net of `size` points, always the same, in the columns that vary."""
        points = sobol_points(proposal.n_uniforms, np.random.default_rng(0))(size)
        rows = proposal.transform(points)
        base = -0.5 * (rows**2).sum(axis=1) - 0.5 * rows.shape[1] * np.log(2 * np.pi)
        log_weight = base - proposal.log_density(rows) - np.log(size)
        return cls(rows[:, proposal.active], log_weight)


def correct(
    function: KernelFunction, sums: Sums, gram: np.ndarray, coef: np.ndarray, pool: Pool, count: int
) -> np.ndarray:
    """Return the coefficients with the masses along `count` directions corrected (eq. sm-masses).

    Parameters
    ----------
    function : KernelFunction
    sums : Sums
        Over all rows.
    gram : ndarray of shape (m, m)
        Kernel matrix of the centers.
    coef : ndarray of shape (m,)
        The score-matching fit.
    pool : Pool
    count : int
        Number of directions; 0 for none.

    Returns
    -------
    coef : ndarray of shape (m,)
    """
    directions = _directions(function, sums, gram, count)
    if not directions.shape[1]:
        return coef
    kernel = function.kernel(pool.rows)
    offset = pool.log_weight + kernel @ coef
    theta = _likeliest(
        (sums.mean().kernel @ directions)[None], kernel @ directions, offset[:, None], sums.total
    )
    return coef + directions @ theta[0]


class Choice(NamedTuple):
    """The fit of the highest held-out likelihood.

    Attributes
    ----------
    function : KernelFunction
        Of the chosen bandwidth.
    alpha : float
    n_directions : int
        Number of corrected directions.
    gain : float
        Held-out log-likelihood per row, relative to the base; 0 where there is one fold only,
        -inf where the pool cannot tell.
    gains : ndarray of shape (n_bandwidths, n_alphas)
        Those of all bandwidths and ridges.
    sums : Sums
        Over all rows.
    """

    function: KernelFunction
    alpha: float
    n_directions: int
    gain: float
    gains: np.ndarray
    sums: Sums


def choose(
    functions: Sequence[KernelFunction],
    alphas: Sequence[Sequence[float]],
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    pool: Pool,
    counts: Sequence[int],
    n_jobs: int | None = None,
    around: Callable[[int, bool], Any] | None = None,
) -> Choice:
    """Return the bandwidth, ridge and number of directions of the highest held-out likelihood.

    Parameters
    ----------
    functions : sequence of KernelFunction
        One for each bandwidth.
    alphas : sequence of sequences of float
        The ridges to try with each of them.
    folds : sequence of tuples
        Rows and weights of each fold.
    pool : Pool
    counts : sequence of int
        Numbers of directions to try; those after the second only with the best of the others.
    n_jobs : int, default=None
        Bandwidths at a time, in threads.
    around : callable, default=None
        The context around each of them, as of `ordered_map`.

    Returns
    -------
    choice : Choice
    """
    try_out = partial(_tried, folds, pool, counts[:2])
    work = zip(functions, alphas)
    tried = ordered_map(try_out, work, n_jobs=n_jobs, threads=True, around=around)
    parts, each = zip(*tried)
    gains = np.array(each)
    b, a, k = (int(i) for i in np.unravel_index(int(np.argmax(gains)), gains.shape))
    best, count = gains[b, a, k], counts[k]
    for more in counts[2:]:
        gain = _gains(functions[b], [alphas[b][a]], parts[b], pool, [more])[0, 0]
        if gain > best:
            best, count = gain, more
    summary = gains.max(axis=2)
    summary[b, a] = best
    return Choice(
        functions[b], float(alphas[b][a]), count, float(best), summary, reduce(Sums.plus, parts[b])
    )


def _tried(
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    pool: Pool,
    counts: Sequence[int],
    candidate: tuple[KernelFunction, Sequence[float]],
) -> tuple[list[Sums], np.ndarray]:
    """Return the sums of the folds for one bandwidth, and the gains of its ridges."""
    function, alphas = candidate
    parts = [function.sums(*fold) for fold in folds]
    return parts, _gains(function, alphas, parts, pool, counts)


def _gains(
    function: KernelFunction,
    alphas: Sequence[float],
    parts: Sequence[Sums],
    pool: Pool,
    counts: Sequence[int],
) -> np.ndarray:
    """Return the held-out gains of one bandwidth, (n_alphas, n_counts), from the sums of folds."""
    if len(parts) < 2:
        return np.zeros((len(alphas), len(counts)))
    total = reduce(Sums.plus, parts)
    gram, kernel = function.kernel(function.centers), function.kernel(pool.rows)
    directions = _directions(function, total, gram, max(counts))
    features = kernel @ directions
    rest = [total.minus(part).mean() for part in parts] * len(alphas)
    ridges = np.repeat(alphas, len(parts))
    coef = np.array([solve_ridge(s.G, s.g, gram, alpha) for s, alpha in zip(rest, ridges)]).T
    means = np.array([s.kernel @ directions for s in rest])
    held = np.array([part.kernel for part in parts] * len(alphas)) / total.total
    share = np.array([part.total for part in parts] * len(alphas)) / total.total
    offset = pool.log_weight[:, None] + kernel @ coef
    gains = np.empty((len(alphas), len(counts)))
    for column, count in enumerate(counts):
        tilted, own = offset, coef
        if count and directions.shape[1]:
            n_rows = total.total * (1 - share.max())
            theta = _likeliest(means[:, :count], features[:, :count], offset, n_rows, ROUGH)
            tilted = offset + features[:, :count] @ theta.T
            own = coef + directions[:, :count] @ theta.T
        log_z = _log_sum(tilted)
        ess = np.exp(2 * log_z - _log_sum(2 * tilted)) / len(tilted)
        log_z = np.maximum(log_z, peak_bound(function, own, gram))
        each = (held * own.T).sum(axis=1) - share * log_z
        each[~(ess > LEAST_ESS)] = -np.inf
        gains[:, column] = each.reshape(len(alphas), len(parts)).sum(axis=1)
    return gains


def _directions(function: KernelFunction, sums: Sums, gram: np.ndarray, count: int) -> np.ndarray:
    """Return the directions that score matching sees least, of unit variance, (m, <= count)."""
    m, d = function.centers.shape
    if not count:
        return np.empty((m, 0))
    mean = sums.mean()
    variance = mean.products - np.outer(mean.kernel, mean.kernel)
    # the ridge under which a row without others near it raises f by one nat
    energy = mean.G + d / (sums.total * function.bandwidth**2) * gram
    energy[np.diag_indices(m)] += 1e-8 * np.trace(energy) / m
    size, directions = eigh(variance, energy, subset_by_index=[max(m - count, 0), m - 1])
    kept = size[::-1] > LEAST_VARIANCE * max(size[-1], 1e-300)
    return directions[:, ::-1][:, kept] / np.sqrt(size[::-1][kept])


def _likeliest(
    means: np.ndarray,
    features: np.ndarray,
    offset: np.ndarray,
    n_rows: float,
    stop: Stopping = MEAN_LOGLIK,
) -> np.ndarray:
    """Return theta that maximizes the likelihood of exp(offset + features' theta), (D, k).

    Its gradient is the mean of the features over the rows, less that under the density. A ridge of
    a hundredth of a row keeps theta finite where a direction separates the rows; a ridge of one row
    took half of the mass of a cluster far from others that are close together.

    Parameters
    ----------
    means : ndarray of shape (D, k)
        Of the features over the rows, for each of D fits.
    features : ndarray of shape (P, k)
        At the rows of the pool.
    offset : ndarray of shape (P, D)
        Log-weights.
    n_rows : float
    stop : Stopping

    Returns
    -------
    theta : ndarray of shape (D, k)
    """
    ridge, k = RIDGE / n_rows, features.shape[1]
    above, beside = np.triu_indices(k)
    products = features[:, above] * features[:, beside]

    def value(theta: np.ndarray) -> np.ndarray:
        log_z = _log_sum(offset + features @ theta.T)
        return (means * theta).sum(axis=1) - log_z - 0.5 * ridge * (theta**2).sum(axis=1)

    def derivatives(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = offset + features @ theta.T
        share = np.exp(share - share.max(axis=0))
        share /= share.sum(axis=0)
        mean, upper = share.T @ features, share.T @ products
        curvature = np.empty((len(theta), k, k))
        curvature[:, above, beside] = curvature[:, beside, above] = upper
        curvature += ridge * np.eye(k) - mean[:, :, None] * mean[:, None, :]
        return means - mean - ridge * theta, curvature

    start = np.zeros(means.shape)
    return maximize(value, derivatives, start, stop=stop, invert=minimum_norm).point


def _log_sum(log_weight: np.ndarray) -> np.ndarray:
    """Return the log of the sum of exponentials of each column."""
    top = log_weight.max(axis=0)
    return np.log(np.exp(log_weight - top).sum(axis=0)) + top


def peak_bound(function: KernelFunction, coef: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Return a lower bound of log Z for each column of coefficients, (m, D) to (D,).

    Around any point log p curves by at most 1 + sum |c| / h^2, so that the mass there is at least
    that of a Gaussian of this precision.
    """
    d = function.centers.shape[1]
    bend = 1 + np.abs(coef).sum(axis=0) / function.bandwidth**2
    base = -0.5 * (function.centers**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
    height = (base[:, None] + gram @ coef).max(axis=0)
    return height + 0.5 * d * np.log(2 * np.pi / bend)
