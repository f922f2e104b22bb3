"""What a scheme of observation could have shown: outcomes and their probabilities.

Expectations over the rows need the law of the scheme. Where it can be read off the table it is:
limits of detection and times of censoring by the estimate of Kaplan and Meier, cells of a grid
from their ends. Elsewhere the rows that were seen stand for what could have been.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm.inference.families._base import Params

__all__ = ["Limits", "outcomes", "product_limit", "read_limits", "turnbull"]

_FAR = 7.0  # standard normal units, beyond which no value is expected
_FEW = 6  # limits, between which integrals are taken piece by piece
_PIECE, _WHOLE = np.polynomial.legendre.leggauss(24), np.polynomial.legendre.leggauss(160)


class Limits(NamedTuple):
    """The scheme of one column.

    Attributes
    ----------
    cells : ndarray of shape (m, 2)
        Intervals of which no value is seen, only that it lies there.
    below, above : tuple of (ndarray, ndarray)
        Limits of detection and of follow-up, and the probabilities of each; what is missing to
        one is that of no limit.
    has_values : bool
        Whether values are seen outside the cells.
    """

    cells: np.ndarray
    below: tuple[np.ndarray, np.ndarray]
    above: tuple[np.ndarray, np.ndarray]
    has_values: bool


def read_limits(rows: Any) -> Limits | None:
    """Return the scheme of one column of `ObservedRows`; None where the rows do not tell it."""
    if not np.isneginf(rows.entry).all():
        return None
    low, high, weight = rows.X[:, 0], rows.upper[:, 0], rows.weight
    seen = low == high
    first, last = np.isneginf(low), np.isposinf(high)
    between = ~(seen | first | last)
    if not seen.any():
        ends = np.unique(np.concatenate([low[np.isfinite(low)], high[np.isfinite(high)]]))
        if not len(ends):
            return None
        cells = np.column_stack([np.append(-np.inf, ends), np.append(ends, np.inf)])
        places = np.searchsorted(cells[:, 0], low)
        alone = (cells[places, 0] == low) & (cells[places, 1] == high)
        none = (np.empty(0), np.empty(0))
        return Limits(cells, none, none, False) if alone.all() else None
    cells = np.unique(np.column_stack([low[between], high[between]]), axis=0)
    if (cells[1:, 0] < cells[:-1, 1]).any():
        return None
    for x in low[seen] if len(cells) else ():
        if ((cells[:, 0] < x) & (x < cells[:, 1])).any():
            return None
    place = np.where(first, high, low)
    below = product_limit(-place[~last], first[~last], weight[~last])
    above = product_limit(place[~first], last[~first], weight[~first])
    return Limits(cells, (-below[0], below[1]), above, True)


def product_limit(
    x: np.ndarray, ended: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the places and masses of the estimate of Kaplan and Meier of what `ended` at x."""
    places = np.unique(x[ended])
    left, masses = 1.0, np.zeros(len(places))
    for k, place in enumerate(places):
        # a value seen at the limit itself came before it
        at_risk = weight[(x > place) | ((x == place) & ended)].sum()
        masses[k] = left * weight[(x == place) & ended].sum() / at_risk
        left -= masses[k]
    return places, masses


def turnbull(
    low: np.ndarray,
    high: np.ndarray,
    share: np.ndarray | None = None,
    *,
    tolerance: float = 1e-5,
    most: int = 500,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return innermost intervals and their masses, by the EM algorithm, column by column.

    Parameters
    ----------
    low, high : ndarray of shape (n, d)
        Each value lies in (low, high], or at both where they are equal.
    share : ndarray of shape (n,), default=None
        Weights of the rows that add up to one; None: the same for all.
    tolerance : float, default=1e-5
        Change of the masses at which the search ends.
    most : int, default=500
        Number of rounds at the most.

    Returns
    -------
    first, last, mass : ndarray of shape (m, d)
        In ascending order; columns with fewer intervals end with some of no mass at their last end.
    """
    n, d = low.shape
    column = np.arange(d)
    ends = np.concatenate([low, high])
    # at the same place a value begins before anything ends, and open intervals begin thereafter
    rank = np.concatenate([np.where(low < high, 2, 0), np.ones((n, d), dtype=int)])
    order = np.lexsort((rank, ends), axis=0)
    ends, right = np.take_along_axis(ends, order, 0), order >= n
    inner = np.zeros((2 * n, d), dtype=bool)
    inner[:-1] = ~right[:-1] & right[1:]
    before = np.cumsum(inner, axis=0)
    m = int(before[-1].max())
    place = np.empty((2 * n, d), dtype=np.intp)
    np.put_along_axis(place, order, before - inner, 0)
    start, stop = place[:n], place[n:]  # the innermost intervals inside each row's
    k, j = before[inner] - 1, np.broadcast_to(column, inner.shape)[inner]
    first, last = np.tile(ends[-1], (m, 1)), np.tile(ends[-1], (m, 1))
    first[k, j] = ends[inner]
    last[k, j] = ends[1:][inner[:-1]]
    mass = np.zeros((m, d))
    mass[k, j] = 1 / before[-1][j]
    weight = np.full((n, 1), 1 / n) if share is None else share[:, None]
    at_start, at_stop = (start * d + column).ravel(), (stop * d + column).ravel()
    for _ in range(most):
        total = np.concatenate([np.zeros((1, d)), np.cumsum(mass, axis=0)]).ravel()
        pull = (weight / (total[at_stop] - total[at_start]).reshape(n, d)).ravel()
        rise = np.bincount(at_start, pull, (m + 1) * d) - np.bincount(at_stop, pull, (m + 1) * d)
        moved = mass * np.cumsum(rise.reshape(m + 1, d), axis=0)[:-1]
        change = np.abs(moved - mass).max()
        mass = moved
        if change < tolerance:
            break
    return first, last, mass


def outcomes(
    family: Any, limits: Limits, params: Params
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lower ends, upper ends and probabilities (m,) of what can be seen of one value.

    Parameters
    ----------
    family : ObservedFamily
        The law of the values.
    limits : Limits
        The scheme.
    params : dict of str to ndarray of shape (1,)
        The parameters.
    """
    (below, of_below), (above, of_above) = limits.below, limits.above
    ends = [limits.cells, np.column_stack([np.full(len(below), -np.inf), below])]
    ends += [np.column_stack([above, np.full(len(above), np.inf)])]
    low, high = np.concatenate(ends).T
    share = np.concatenate([np.ones(len(limits.cells)), of_below, of_above])
    with np.errstate(all="ignore"):
        mass = np.exp(family.interval(low[:, None], high[:, None], params)[:, 0])
    mass = share * np.where(np.isfinite(mass), mass, 0.0)
    if not limits.has_values:
        return low, high, mass
    x, weight = _values(family, np.concatenate([limits.cells.ravel(), below, above]), params)
    for start, end in limits.cells:
        weight = np.where((start < x) & (x < end), 0.0, weight)
    weight = weight * (1 - _passed(-x, -below, of_below)) * (1 - _passed(x, above, of_above))
    return np.append(low, x), np.append(high, x), np.append(mass, weight)


def _passed(x: np.ndarray, places: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Return the mass at places below x."""
    total = np.append(0.0, np.cumsum(masses[np.argsort(places)]))
    return total[np.searchsorted(np.sort(places), x)]


def _values(family: Any, limits: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes x (m,) and weights of integrals over the law of the values.

    They are Gauss's, in the normal variable of which x is an increasing function, between limits
    where there are few.
    """
    limits = np.unique(limits[np.isfinite(limits)])
    edges, (nodes, shares) = np.array([-_FAR, _FAR]), _WHOLE
    if 0 < len(limits) <= _FEW:
        with np.errstate(all="ignore"):
            below, above = (
                np.exp(tail[:, 0]) for tail in family.log_tails(limits[:, None], params)
            )
        z = np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))
        edges = np.unique(np.clip(np.concatenate([edges, z]), -_FAR, _FAR))
        nodes, shares = _PIECE
    half = np.diff(edges)[:, None] / 2
    z = ((edges[:-1] + edges[1:])[:, None] / 2 + half * nodes).ravel()
    weight = (half * shares).ravel() * np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    with np.errstate(all="ignore"):
        x = family.quantile(special.ndtr(z)[:, None], params)[:, 0]
    weight = np.where(np.isfinite(x), weight, 0.0)
    return np.where(np.isfinite(x), x, family._somewhere()), weight
