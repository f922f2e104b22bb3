"""Ends of intervals for angles: arcs that may close to a circle, and concentrations from zero."""

from typing import Any

import numpy as np
from scipy import special

from skgm.inference._inversion import Profile
from skgm.inference._rootfinding import find_root
from skgm.inference._special import bessel_slope
from skgm.inference.families._base import Interval
from skgm.inference.families._natural import ModifiedRoot, follow

__all__ = ["circular_ends", "circular_search"]


def circular_ends(root: Any, profile: Profile, level: float) -> Interval:
    """Return the interval by the secant rule where that works, and by a bracketed search."""
    circular = profile.name == "mu"
    found = follow(root, profile, level)
    if found is not None and (not circular or (found[1] - found[0] < 3).all()):
        return found
    again = Profile(profile.family, profile.name, profile.statistics, profile.params)
    root = again.root if root == profile.root else ModifiedRoot(profile.family, again)
    return circular_search(root, again, level)


def circular_search(root: Any, profile: Profile, level: float) -> Interval:
    """Return the interval of mu, around the circle, or of kappa, by a bracketed search."""
    return (_arc if profile.name == "mu" else _concentrations)(root, profile, level)


def _arc(root: Any, profile: Profile, level: float) -> Interval:
    """Return the arc around the mean direction on which `root` is not extreme.

    Beyond a right angle the restricted kappa is zero and the data have no more to say: an arc that
    reaches so far is the whole circle.
    """
    quantile = special.ndtri((1 + level) / 2)
    mu, n = profile.params["mu"], profile.statistics.n

    def excess(width: np.ndarray) -> np.ndarray:
        return np.asarray(root(mu - width) - quantile)

    quarter = np.full(mu.shape, np.pi / 2)
    whole = excess(quarter) <= 0
    with np.errstate(divide="ignore"):
        near = 8 / np.sqrt(n * profile.params["kappa"] * profile.statistics.length)
    far = np.where(near < quarter, near, quarter)
    far = np.where(excess(far) > 0, far, quarter)
    width = find_root(excess, np.where(whole, quarter, 0.0), far)
    width = np.where(whole, np.pi, width)
    return mu - width, mu + width


def _concentrations(root: Any, profile: Profile, level: float) -> Interval:
    """Return the concentrations around the estimate at which `root` is not extreme.

    Close to zero r* turns back: its first crossing is the end, or zero where there is none.
    """
    quantile = special.ndtri((1 + level) / 2)
    kappa, n = profile.params["kappa"], profile.statistics.n

    def below(value: np.ndarray) -> np.ndarray:
        return np.asarray(root(value) - quantile)

    def above(value: np.ndarray) -> np.ndarray:
        return np.asarray(-root(value) - quantile)

    shares = 0.8 ** np.arange(1, 40)[:, None]
    low = _first_crossing(below, kappa, kappa * shares)
    step = np.minimum(1 / np.sqrt(n * bessel_slope(kappa)), kappa + 1)
    high = _first_crossing(above, kappa, kappa + step * 2.0 ** np.arange(-1, 60)[:, None])
    return np.where(np.isnan(low), 0.0, low), high


def _first_crossing(excess: Any, start: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return where `excess` first turns positive along a grid (m, d) from `start`; NaN: nowhere.

    It may be so at `start`: at low levels the ends of a corrected interval need not hold the
    estimate between them. `start` is then the end.
    """
    grid = np.concatenate([start[None, :], grid])
    with np.errstate(all="ignore"):
        positive = excess(grid) > 0
    first, columns = positive.argmax(axis=0), np.arange(len(start))
    none = ~positive.any(axis=0)
    outer = grid[first, columns]
    inner = np.where(first > 0, grid[first - 1, columns], outer)
    with np.errstate(all="ignore"):
        found = find_root(excess, inner, np.where(none, inner, outer))
    return np.where(none, np.nan, found)
