"""The search for location and scale: Newton steps from one pass over the rows each."""

import weakref
from typing import Any, NamedTuple

import numpy as np

from skgm.inference.families._rows import Rows

__all__ = [
    "KernelMeans",
    "climb",
    "kernel_means",
    "latest_means",
    "one_dimension",
    "weighted_quantiles",
]

_MAX_ITERATIONS = 200
# Decrements, in units of the mean log-likelihood. Newton squares the error, so that a step below
# _LAST leaves an error below rounding; below _BLIND the likelihood cannot see the gain.
_LAST, _BLIND = 1e-15, 1e-11
_SMALLEST_STEP = 1e-10
_LONGEST_STEP, _LONGEST_TURN = 2.0, 3.0
_LOST = (
    "The {} family has no estimate for column number {}: the likelihood still rises where the "
    "search ended. Check for constant, tied or extreme values, or fix a parameter."
)


class KernelMeans(NamedTuple):
    """Means over rows, (d,) each, of g, g', z g', g'', z g'' and z^2 g''."""

    g: np.ndarray
    g1: np.ndarray
    zg1: np.ndarray
    g2: np.ndarray
    zg2: np.ndarray
    zzg2: np.ndarray


def kernel_means(
    family: Any, statistics: Rows, params: Any, location: np.ndarray, scale: np.ndarray
) -> KernelMeans:
    """Return the means of the kernel of `family` and of its derivatives, in one pass.

    A family that needs fewer sums over the rows writes `means` itself.
    """
    z = statistics.X - location
    z /= scale
    g, g1, g2 = family.kernel(z, params)
    weight = statistics.weight
    first = weight @ g, weight @ g1
    g1 *= z
    middle = weight @ g1, weight @ g2
    g2 *= z
    mixed = weight @ g2
    g2 *= z
    return KernelMeans._make(
        total / statistics.n for total in (*first, *middle, mixed, weight @ g2)
    )


def one_dimension(X: np.ndarray, *params: Any) -> tuple[Any, ...]:
    """Return one column as a vector and its parameters as numbers, others as they are.

    Sums over a vector then are numbers, and take half the time.
    """
    if X.shape[1] > 1:
        return X, *params
    return X[:, 0], *[np.asarray(value).item() for value in params]


# The last result of `latest_means`: one tuple, replaced as a whole.
_latest: list[Any] = [None]


def latest_means(
    family: Any, statistics: Rows, params: Any, location: np.ndarray, scale: np.ndarray
) -> KernelMeans:
    """Return `kernel_means`, at once where the last call asked for the same.

    r* asks for value, gradient, curvature and canonical parameter at one point after the other:
    the same pass over the rows gives them all.
    """
    things = (family, statistics.X, statistics.weight)
    key = tuple(np.asarray(value).tobytes() for value in params.values())
    known = _latest[0]
    if known is not None and known[1] == key:
        same = [reference() is thing for reference, thing in zip(known[0], things)]
        if all(same):
            return known[2]
    means = family.means(statistics, params, location, scale)
    _latest[0] = (tuple(map(weakref.ref, things)), key, means)
    return means


def climb(
    family: Any,
    statistics: Rows,
    params: Any,
    location: np.ndarray,
    scale: np.ndarray,
    free: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum in location and log scale that is uphill from a starting point.

    Newton steps. Where the curvature is not positive definite: the step of Fisher scoring, or, of
    one coordinate, its absolute value; both lead uphill. Steps are halved until they climb.

    Parameters
    ----------
    family : LocationScaleFamily
        Its kernel and `unit_information` are used.
    statistics : Rows
        Rows of t(x).
    params : dict of str to ndarray
        Shape parameters of the kernel, if it has any.
    location, scale : ndarray of shape (d,)
        Starting point.
    free : pair of bool arrays
        Whether location and scale move.

    Returns
    -------
    location, scale : ndarray of shape (d,)
        The maximum.

    Raises
    ------
    ValueError
        Where the search does not converge: the likelihood has no maximum there.
    """
    expected = family.unit_information(params)
    free = (np.broadcast_to(free[0], location.shape), np.broadcast_to(free[1], scale.shape))
    means = family.means(statistics, params, location, scale)
    height = means.g - np.log(scale)
    active = free[0] | free[1]
    for _ in range(_MAX_ITERATIONS):
        step, turn, decrement = _step(means, expected, free)
        step, turn = np.where(active, step, 0.0), np.where(active, turn, 0.0)
        moved = location + scale * step, scale * np.exp(turn)
        active = active & ~(decrement < _LAST)
        if not active.any():
            return moved
        left = np.flatnonzero(active)
        if len(left) < len(active) / 2:  # go on with these columns alone
            part = Rows(statistics.n, statistics.X[:, left], statistics.weight)
            shapes = {k: np.broadcast_to(v, active.shape)[left] for k, v in params.items()}
            some_free = (free[0][left], free[1][left])
            found = climb(family, part, shapes, location[left], scale[left], some_free)
            for whole, some in zip(moved, found):
                whole[left] = some
            return moved
        length = 1.0
        while True:
            means = family.means(statistics, params, *moved)
            reached = means.g - np.log(moved[1])
            worse = active & ~(reached >= height) & ~(decrement < _BLIND)
            if not worse.any():
                break
            length /= 2
            if length < _SMALLEST_STEP:
                raise ValueError(_LOST.format(family.name, int(np.flatnonzero(worse)[0])))
            moved = (
                np.where(worse, location + scale * length * step, moved[0]),
                np.where(worse, scale * np.exp(length * turn), moved[1]),
            )
        (location, scale), height = moved, reached
    raise ValueError(_LOST.format(family.name, int(np.flatnonzero(active)[0])))


def _step(
    means: KernelMeans, expected: np.ndarray, free: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return steps of location (in units of the scale) and log scale, and the decrement."""
    ga, gb = -means.g1, -1 - means.zg1
    a, b, c = -means.g2, -means.g1 - means.zg2, -means.zg1 - means.zzg2
    both = free[0] & free[1]
    convex = (a > 0) & (c > 0) & (~both | (a * c > b * b))
    if not convex.all():
        a, b, c = (
            np.where(convex, own, np.where(both, expected[..., i, j], np.abs(own)))
            for own, i, j in ((a, 0, 0), (b, 0, 1), (c, 1, 1))
        )
    b = np.where(both, b, 0.0)
    ga, gb = np.where(free[0], ga, 0.0), np.where(free[1], gb, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if both.all():
            determinant = a * c - b * b
            step, turn = (c * ga - b * gb) / determinant, (a * gb - b * ga) / determinant
        else:
            determinant = np.where(both, a * c - b * b, 1.0)
            step = np.where(both, (c * ga - b * gb) / determinant, ga / a)
            turn = np.where(both, (a * gb - b * ga) / determinant, gb / c)
            step, turn = np.where(free[0], step, 0.0), np.where(free[1], turn, 0.0)
    longest = np.maximum(1.0, np.abs(turn) / _LONGEST_TURN)
    if not both.all():  # near a lowest point of the location the curvature is no guide
        longest = np.maximum(longest, np.where(convex, 0.0, np.abs(step)) / _LONGEST_STEP)
    return step / longest, turn / longest, ga * step + gb * turn


def weighted_quantiles(
    X: np.ndarray, weight: np.ndarray, levels: tuple[float, ...]
) -> list[np.ndarray]:
    """Return quantiles of the columns of X, (d,) each; a weight w counts as w repetitions."""
    if (weight == weight[0]).all():
        places = [max(int(np.ceil(level * len(X))) - 1, 0) for level in levels]
        parted = np.partition(X, sorted(set(places)), axis=0)
        return [parted[place] for place in places]
    order = np.argsort(X, axis=0)
    cumulative = np.cumsum(weight[order], axis=0)
    ranks = [np.argmax(cumulative >= level * cumulative[-1], axis=0) for level in levels]
    columns = np.arange(X.shape[1])
    return [X[order[rank, columns], columns] for rank in ranks]
