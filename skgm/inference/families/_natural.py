"""Full exponential families: r* in closed form, from small statistics that merge."""

from abc import abstractmethod
from typing import Any

import numpy as np
from scipy import special

from skgm.inference._likelihood.inversion import Profile, invert
from skgm.inference.families._base import ExponentialFamily, Interval, Params

__all__ = ["METHODS", "ModifiedRoot", "NaturalFamily", "follow"]

METHODS = (
    "wald",
    "wald-transformed",
    "score",
    "profile",
    "bartlett",
    "rstar",
    "robust",
    "bootstrap",
)

# Below it log(q / r) / r is 0 / 0 to rounding; both sides of the estimate stand in for it.
_NEAR_ZERO = 0.03
_SAFE_QUANTILE = 0.5  # at lower levels an end may lie on the other side of the estimate
# The secant rule's error is the product of the last two: after a gap of 1e-9 it is rounding.
_MAX_SECANTS, _LAST_GAP, _LAST_ERROR, _LONGEST = 15, 1e-9, 1e-11, 10.0


class NaturalFamily(ExponentialFamily):
    """A columnwise full exponential family that knows its r* in closed form.

    Beyond those of :class:`Family` a subclass writes `mean_score`, `observed_information` at any
    parameters, `canonical` (the natural parameter, up to an affine map that may depend on the
    statistics, so that nothing cancels) and `standardized`, the q of eq. rstar. Its restricted
    estimates, log-likelihood and `standardized` take held values of shape (2, d), so that both
    ends of an interval are found at once.
    """

    @abstractmethod
    def standardized(
        self, name: str, statistics: Any, estimate: Params, restricted: Params
    ) -> np.ndarray:
        """Return q of eq. rstar, positive where `name` lies below its estimate."""

    def rstar_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        profile = Profile(self, name, statistics, params)
        found = follow(ModifiedRoot(self, profile), profile, level)
        if found is not None:
            return found
        profile = Profile(self, name, statistics, params)
        return invert(ModifiedRoot(self, profile), profile, level, "rstar")

    def profile_interval(
        self, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        """Return the values that the likelihood-ratio test does not reject."""
        profile = Profile(self, name, statistics, params)
        found = follow(profile.root, profile, level)
        return super().profile_interval(name, statistics, params, level) if found is None else found


class ModifiedRoot:
    """The value of r* as a function of one parameter, falling as it rises.

    Parameters
    ----------
    family : NaturalFamily
        The family.
    profile : Profile
        The parameter, with statistics and estimate.
    """

    def __init__(self, family: NaturalFamily, profile: Profile) -> None:
        self.family, self.profile = family, profile
        self.estimate = profile.params[profile.name]
        self._middle: np.ndarray | None = None

    def __call__(self, value: np.ndarray) -> np.ndarray:
        r, correction = self._parts(value)
        near = np.abs(r) < _NEAR_ZERO
        if near.any():
            correction = np.where(near, self._at_estimate(), correction)
        return np.asarray(r + correction)

    def _parts(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return r and log(q / r) / r."""
        profile = self.profile
        restricted, fall = profile.at(value)
        r = np.sign(self.estimate - value) * np.sqrt(2 * fall)
        with np.errstate(all="ignore"):
            q = self.family.standardized(
                profile.name, profile.statistics, profile.params, restricted
            )
            correction = np.log(q / r) / r
        return r, np.where(np.isinf(r), 0.0, correction)

    def _at_estimate(self) -> np.ndarray:
        if self._middle is None:
            profile = self.profile
            errors = self.family.standard_errors(profile.params, profile.statistics.n)
            step = 0.1 * errors[profile.name]
            below, above = (self._parts(self.estimate + s * step)[1] for s in (-1.0, 1.0))
            self._middle = (below + above) / 2
        return self._middle


def follow(root: Any, profile: Profile, level: float) -> Interval | None:
    """Return both ends by the secant rule on the scale of the link; None where that fails.

    A root is close to a straight line there: six evaluations, where a bracket needs thirty.
    """
    quantile = special.ndtri((1 + level) / 2)
    parameter = profile.family.parameter(profile.name)
    estimate = profile.params[profile.name]
    if quantile < _SAFE_QUANTILE or parameter.on_boundary(estimate).any():
        return None
    error = profile.family.standard_errors(profile.params, profile.statistics.n)[profile.name]
    log = parameter.link == "log"
    forward, inverse = (np.log, np.exp) if log else (np.asarray, np.asarray)
    center, width = forward(estimate), error / estimate if log else error
    wanted = np.array([[quantile], [-quantile]])
    before, gap_before, gap_earlier = center, -wanted, np.zeros_like(wanted)
    with np.errstate(all="ignore"):
        u = center - wanted * width
        for _ in range(_MAX_SECANTS):
            gap = root(inverse(u)) - wanted
            slope = (gap - gap_before) / (u - before)
            slope = np.where(u == before, -1 / width, slope)
            step = gap / slope
            if not ((slope < 0) & (np.abs(step) < _LONGEST * width)).all():
                return None
            # the rule's errors follow e'' = C e e', so that the next gap is about this
            left = gap * gap / gap_earlier
            gap_earlier, before, gap_before, u = gap_before, u, gap, u - step
            if ((np.abs(gap) < _LAST_GAP) | (np.abs(left) < _LAST_ERROR)).all():
                right_side = (center - u) * wanted > 0
                return (inverse(u[0]), inverse(u[1])) if right_side.all() else None
    return None
