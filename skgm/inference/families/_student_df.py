"""The degrees of freedom of Student's t: the highest maximum of their profile, and its interval.

All of it in kappa = 1 / df, in which the normal limit is the end kappa = 0 of the space.
"""

from typing import Any

import numpy as np
from scipy import special

from skgm.inference._rootfinding import find_root
from skgm.inference.families._base import Params
from skgm.inference.families._heavy_tails import heaviest_tie
from skgm.inference.families._rows import Rows

__all__ = ["df_interval", "estimate_kappa"]

# Places where the profile is looked at; near zero they lie close, as it may bend there.
_GRID = np.array([0.0, 0.003, 0.01, 0.03, 0.08, 0.16, 0.3, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0, 6.5, 10.0])
_COARSE = np.array([0.0, 0.01, 0.08, 0.3, 0.8, 1.8, 4.0, 10.0])
_MANY_ROWS = 200  # from here on the profile is smooth enough for the coarse one
_MAX_ITERATIONS = 100
_LAST_STEP = 1e-9
_NEIGHBOURHOOD = 4.0
_NOTHING = 1e-12  # kappa below this is zero: no sample tells such df from infinite ones


def _inner(
    family: Any, statistics: Rows, null: Params, near: Params, kappa: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the best location and scale at a kappa."""
    with np.errstate(divide="ignore"):
        df = 1 / kappa
    held = {**null, "df": df}
    location, scale = family._search(statistics, held, {**near, "df": df})
    return {"df": df, **family._merge(null, location, scale)}


def _profile_slope(
    family: Any, statistics: Rows, null: Params, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and curvature of the profile log-likelihood in kappa, per row."""
    _, score, information = family.kappa_expansion(statistics, params)
    free = np.stack([np.isnan(null["loc"]), np.isnan(null["scale"])], axis=-1)
    cross = np.where(free, information[:, 0, 1:], 0.0)
    both = free[:, :, None] & free[:, None, :]
    block = np.where(both, information[:, 1:, 1:], np.eye(2))
    gained = np.linalg.solve(block, cross[..., None])[..., 0]
    return score[:, 0], -information[:, 0, 0] + np.sum(cross * gained, axis=1)


def estimate_kappa(
    family: Any, statistics: Rows, null: Params, near: Params
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return kappa, location and scale where the likelihood is highest; kappa is free.

    Parameters
    ----------
    family : StudentT
        The family.
    statistics : Rows
        The rows.
    null : dict of str to ndarray of shape (d,)
        Location and scale where they are held, NaN where they are free.
    near : dict of str to ndarray of shape (d,)
        Where to start.

    Returns
    -------
    kappa, location, scale : ndarray of shape (d,)
        kappa is zero where no finite degrees of freedom are more likely than the normal limit.

    Raises
    ------
    ValueError
        The likelihood rises towards df = 0.
    """
    tied = heaviest_tie(statistics)
    # there the likelihood is unbounded: the search stays at half that kappa
    ceiling = 0.5 * (statistics.n - tied) / tied
    places = _GRID if statistics.n < _MANY_ROWS else _COARSE
    grid = np.minimum(places[:, None], ceiling)
    kappa = 1 / near["df"]
    if not np.isnan(kappa).any():  # NaN where there is no estimate yet
        # a search that follows a profile: its maximum moves little from one value to the next
        low, high = kappa / _NEIGHBOURHOOD, np.minimum(kappa * _NEIGHBOURHOOD, ceiling)
        found, params = _climb(family, statistics, null, near, (low, kappa, high))
        slope, _ = _profile_slope(family, statistics, null, params)
        inside = (found > 1.01 * low) & (found < 0.99 * high)
        if np.where(kappa == 0, slope <= 0, inside).all():
            return found, params["loc"], params["scale"]
    bracket, params = _bracket(family, statistics, null, near, grid)
    kappa, params = _climb(family, statistics, null, params, bracket)
    return kappa, params["loc"], params["scale"]


def _climb(
    family: Any,
    statistics: Rows,
    null: Params,
    params: Params,
    bracket: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[np.ndarray, Params]:
    """Return where the slope of the profile turns negative inside a bracket: guarded Newton."""
    low, kappa, high = bracket
    normal = high == 0
    params = _inner(family, statistics, null, params, kappa)
    for _ in range(_MAX_ITERATIONS):
        slope, curvature = _profile_slope(family, statistics, null, params)
        low, high = np.where(slope > 0, kappa, low), np.where(slope > 0, high, kappa)
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = kappa - slope / curvature
        safe = (curvature < 0) & (moved >= low) & (moved <= high)
        moved = np.where(normal, 0.0, np.where(safe, moved, (low + high) / 2))
        change = np.abs(moved - kappa)
        kappa = np.where(moved < _NOTHING, 0.0, moved)
        params = _inner(family, statistics, null, params, kappa)
        if (change <= _LAST_STEP * kappa + _NOTHING).all():
            break
    return kappa, params


def _bracket(
    family: Any, statistics: Rows, null: Params, near: Params, grid: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], Params]:
    """Return lower end, start and upper end around the profile's highest maximum, and a fit."""
    heights, fits = [], []
    params: Any = near
    for kappa in grid:  # from the normal limit on
        params = _inner(family, statistics, null, params, kappa)
        fits.append(params)
        heights.append(family.log_likelihood(statistics, params))
    best = np.argmax(heights, axis=0)
    columns = np.arange(grid.shape[1])
    edge = np.flatnonzero((grid[best, columns] == grid[-1]) & (best > 0))
    if len(edge):
        raise ValueError(
            f"The student_t family has no estimate for column number {int(edge[0])}: the "
            "likelihood still rises where its degrees of freedom fall below "
            f"{1 / grid[-1, edge[0]]:.3g}, and grows without bound as the distribution shrinks "
            "onto one value. Hold the degrees of freedom (fixed={'df': ...})."
        )
    # a maximum next to the normal limit starts just inside it, if the profile rises there
    slope, _ = _profile_slope(family, statistics, null, fits[0])
    inside = (best == 0) & (slope > 0)
    best = np.where(inside, 1, best)
    low = np.where(inside, 0.0, grid[np.maximum(best - 1, 0), columns])
    high = np.where(best == 0, 0.0, grid[np.minimum(best + 1, len(grid) - 1), columns])
    high = np.where(inside, grid[1], high)
    start = {name: np.choose(best, [f[name] for f in fits]) for name in ("df", "loc", "scale")}
    return (low, np.where(inside, grid[1], grid[best, columns]), high), start


def df_interval(
    family: Any, statistics: Rows, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the profile interval of the degrees of freedom; its upper end may be infinite.

    Parameters
    ----------
    family : StudentT
        The family.
    statistics : Rows
        The rows.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The ends.

    Raises
    ------
    ValueError
        The profile never falls far enough towards df = 0.
    """
    allowed = special.chdtri(1, 1 - level) / 2
    top = family.log_likelihood(statistics, params)
    none = {name: np.full(top.shape, np.nan) for name in ("loc", "scale")}
    latest = [params]

    def excess(kappa: np.ndarray) -> np.ndarray:
        latest[0] = _inner(family, statistics, none, latest[0], kappa)
        return top - family.log_likelihood(statistics, latest[0]) - allowed

    estimate = 1 / params["df"]
    zero = np.zeros_like(estimate)
    open_ended = excess(zero) <= 0
    end = np.where(open_ended, zero, find_root(excess, estimate, np.where(open_ended, estimate, 0)))
    tied = heaviest_tie(statistics)
    ceiling = 0.98 * (statistics.n - tied) / tied
    outer = np.minimum(np.maximum(2 * estimate, 0.05), ceiling)
    for _ in range(60):
        inside = (excess(outer) < 0) & (outer < ceiling)
        if not inside.any():
            break
        outer = np.where(inside, np.minimum(2 * outer, ceiling), outer)
    if (excess(outer) < 0).any():
        raise ValueError(
            "The profile interval of 'df' is unbounded below at this level: the likelihood grows "
            "as the distribution shrinks onto one value. Use a lower level or more rows."
        )
    with np.errstate(divide="ignore"):
        return 1 / find_root(excess, estimate, outer), 1 / end
