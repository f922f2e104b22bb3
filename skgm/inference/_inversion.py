"""Ends of intervals: where a signed root of a test statistic crosses a normal quantile."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from skgm.inference._rootfinding import find_root

__all__ = ["Profile", "invert", "may_follow"]

Params = Mapping[str, np.ndarray]
Root = Callable[[np.ndarray], np.ndarray]
_MAX_STEPS = 1100  # doublings that cross the whole range of float64
_HUGE = np.finfo(np.float64).max


class Profile:
    """The restricted estimates of a family along one parameter; each search starts at the last."""

    def __init__(self, family: Any, name: str, statistics: Any, params: Params) -> None:
        self.family, self.name = family, name
        self.statistics, self.params = statistics, params
        self.highest = family.log_likelihood(statistics, params)
        self._near: Params = params

    @property
    def index(self) -> int:
        """Position of the parameter among those of the family."""
        return [parameter.name for parameter in self.family.parameters].index(self.name)

    def at(self, value: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the restricted estimate at `value`, and the fall of the log-likelihood, (d,)."""
        null = {**self.family.no_restriction(self.statistics), self.name: value}
        with np.errstate(all="ignore"):
            found = self.family.restricted_near(self.statistics, null, self._near)
            fall = self.highest - self.family.log_likelihood(self.statistics, found)
        if np.isfinite(fall).all():
            self._near = found
        return found, np.where(np.isfinite(fall), np.maximum(fall, 0.0), np.inf)

    def root(self, value: np.ndarray) -> np.ndarray:
        """Return the signed root of the likelihood-ratio statistic, positive below the estimate."""
        fall = self.at(value)[1]
        return np.sign(self.params[self.name] - value) * np.sqrt(2 * fall)


def may_follow(profile: Profile) -> bool:
    """Whether ends may be followed by Newton's method from an estimate inside the space."""
    family, params = profile.family, profile.params
    if not family.one_maximum or family.joint:
        return False
    return not any(p.on_boundary(params[p.name]).any() for p in family.parameters)


def invert(
    root: Root, profile: Profile, level: float, method: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values between which `root` lies within the normal quantiles of `level`.

    Parameters
    ----------
    root : callable
        From values (d,) of the parameter to roots (d,) that fall as the value rises.
    profile : Profile
        The parameter, its family and its estimate.
    level : float
        Confidence level.
    method : str
        For the message where an end is infinite.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the root never reaches the quantile on that side.
    """
    quantile = special.ndtri((1 + level) / 2)
    space = profile.family.parameter(profile.name)
    estimate = profile.params[profile.name]
    scale = _typical_width(profile)

    def below(value: np.ndarray) -> np.ndarray:
        return _bounded(root(value)) - quantile

    def above(value: np.ndarray) -> np.ndarray:
        return -_bounded(root(value)) - quantile

    low = _search(below, estimate, space.low, -scale, method, False)
    high = _search(above, estimate, space.high, scale, method, space.may_be_infinite)
    return low, high


def _bounded(root: np.ndarray) -> np.ndarray:
    return np.clip(np.where(np.isnan(root), np.inf, root), -_HUGE, _HUGE)


def _typical_width(profile: Profile) -> np.ndarray:
    """Return one standard error, or another positive step at a boundary estimate."""
    family, estimate, n = profile.family, profile.params[profile.name], profile.statistics.n
    with np.errstate(all="ignore"):
        try:
            width = family.model_standard_errors(profile.statistics, profile.params)[profile.name]
        except np.linalg.LinAlgError:  # another parameter lies on its boundary
            width = np.full(np.shape(estimate), np.nan)
    usable = np.isfinite(width) & (width > 0)
    size = np.where(np.isfinite(estimate), np.abs(estimate), 1.0)
    return np.where(usable, width, np.maximum(size, 1.0) / n)


def _search(
    excess: Root,
    estimate: np.ndarray,
    bound: float,
    scale: np.ndarray,
    method: str,
    may_be_infinite: bool,
) -> np.ndarray:
    """Return where `excess` turns positive between the estimate and the bound."""

    def at(step: int) -> np.ndarray:
        if np.isfinite(bound):
            # one standard error at first, then halve the distance to the end of the space
            near = estimate + scale * step
            inside = (near - bound) * np.sign(estimate - bound) > np.abs(estimate - bound) / 2
            return np.where(inside, near, bound + (estimate - bound) * 0.5**step)
        with np.errstate(over="ignore"):  # an end past the largest float is refused below
            return estimate + scale * (np.exp2(step) - 1)

    endless = np.zeros(np.shape(estimate), dtype=bool)
    if may_be_infinite:
        endless = ~(excess(np.full(np.shape(estimate), bound)) > 0)
    waiting = (estimate != bound) & ~endless
    inner, outer = _step_back(excess, estimate, scale), estimate
    outer = np.where(endless, inner, outer)
    for step in range(1, _MAX_STEPS):
        if not waiting.any():
            break
        inner, outer = (
            np.where(waiting & (step > 1), outer, inner),
            np.where(waiting, at(step), outer),
        )
        if not np.isfinite(outer[waiting]).all():
            break
        waiting &= (excess(outer) <= 0) & (outer != bound)
    if not np.isfinite(outer[~endless]).all() or waiting.any():
        raise ValueError(f"The {method} interval is unbounded at this level; use a lower level.")
    open_ended = excess(outer) <= 0
    return np.where(open_ended, bound, find_root(excess, inner, outer))


def _step_back(excess: Root, estimate: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return starting points inside the interval: the estimate, where it lies inside.

    The root of a corrected statistic need not vanish at the estimate; at low levels the interval
    may leave the estimate out.
    """
    inner, step = estimate, scale / 4
    for _ in range(60):
        outside = excess(inner) > 0
        if not outside.any():
            break
        inner, step = np.where(outside, inner - step, inner), step * 1.5
    return inner
