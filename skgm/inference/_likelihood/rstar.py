r"""The modified signed root r* of the likelihood-ratio statistic.

.. math:: r^* = r + \frac{1}{r} \log\frac{q}{r}

It is standard normal to the order :math:`n^{-3/2}`, where r is to :math:`n^{-1/2}` (eq. rstar). q
compares estimate and restricted estimate on the scale of the canonical parameter of an exponential
family, or of the tangent exponential family elsewhere.

References
----------
O. E. Barndorff-Nielsen, "Modified signed log likelihood ratio", Biometrika 78, 1991; D. A. S.
Fraser, N. Reid and J. Wu, "A simple general formula for tail probabilities for frequentist and
Bayesian inference", Biometrika 86, 1999.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference._likelihood.inversion import Profile, followed, invert

__all__ = [
    "rstar",
    "rstar_interval",
]

Params = Mapping[str, np.ndarray]
# Where |r| is smaller than this, log(q / r) / r is 0 / 0 to rounding; it is a smooth function of
# the parameter, so it is interpolated between its values at either side, in standard errors.
_NEAR_ZERO, _SIDE = 0.03, 0.05


def rstar_interval(
    family: Any,
    name: str,
    statistics: Any,
    params: Params,
    level: float,
    *,
    law: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` at which r* lies within the normal quantiles of `level`.

    Parameters
    ----------
    family : Family
        One that defines `canonical`.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.
    law : tuple of float, default=None
        Mean and standard deviation of r* under the null, where they are known not to be 0 and 1.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where r* never reaches the quantile on that side.
    """
    profile = Profile(family, name, statistics, params)
    at_estimate = _AtEstimate(profile)
    if law is not None:
        mean, spread = law
        return invert(lambda v: (at_estimate.rstar(v) - mean) / spread, profile, level, "rstar")

    def correction(root: np.ndarray, restricted: Params) -> np.ndarray:
        return (at_estimate.log_q(restricted) - np.log(np.abs(root))) / root

    found = followed(profile, level, correction)
    return invert(at_estimate.rstar, profile, level, "rstar") if found is None else found


def rstar(
    family: Any, name: str, statistics: Any, params: Params, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return r and r* (d,) each, for the hypothesis that the parameter `name` equals `value`.

    Parameters
    ----------
    family : Family
        One that defines `canonical`.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    value : ndarray of shape (d,)
        Values inside the parameter space.

    Returns
    -------
    r, r_star : ndarray of shape (d,)
        Positive where `value` lies below the estimate.
    """
    profile = Profile(family, name, statistics, params)
    value = np.broadcast_to(np.asarray(value, dtype=np.float64), np.shape(params[name]))
    return profile.root(value), _AtEstimate(profile).rstar(value)


class _AtEstimate:
    """What r* needs of the unrestricted estimate, computed once."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        family, statistics, params = profile.family, profile.statistics, profile.params
        self.phi, jacobian = family.canonical(statistics, params, params)
        information = family.observed_information(statistics, params)
        self.nuisance = np.delete(np.arange(len(family.parameters)), profile.index)
        scale = 0.5 * np.log(statistics.n) - _log_determinant(jacobian)
        self.log_scale = scale + 0.5 * _log_determinant(information)
        self.error = family.model_standard_errors(statistics, params)[profile.name]

    def rstar(self, value: np.ndarray) -> np.ndarray:
        r, correction = self._parts(value)
        near = np.abs(r) < _NEAR_ZERO
        if near.any():
            estimate = self.profile.params[self.profile.name]
            (r_low, low), (r_high, high) = (
                self._parts(estimate + s * _SIDE * self.error) for s in (-1.0, 1.0)
            )
            with np.errstate(invalid="ignore"):  # all roots are 0 where the error is below rounding
                between = low + (high - low) * (r_low - r) / (r_low - r_high)
            correction = np.where(near & np.isfinite(between), between, correction)
        return r + correction

    def _parts(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return r and log(q / r) / r."""
        profile = self.profile
        restricted, fall = profile.at(value)
        r = np.sign(profile.params[profile.name] - value) * np.sqrt(2 * fall)
        with np.errstate(all="ignore"):
            log_q = self.log_q(restricted)
            correction = (log_q - np.log(np.abs(r))) / r
        return r, np.where(np.isfinite(correction), correction, 0.0)

    def log_q(self, restricted: Params) -> np.ndarray:
        """Return log |q| at restricted estimates, (d,)."""
        family, statistics = self.profile.family, self.profile.statistics
        phi, jacobian = family.canonical(statistics, self.profile.params, restricted)
        # Cramer's column of the parameter: its place does not matter to the size
        jacobian = np.array(jacobian)
        jacobian[:, :, self.profile.index] = self.phi - phi
        log_q = _log_determinant(jacobian) + self.log_scale
        if len(self.nuisance):
            information = family.observed_information(statistics, restricted)
            block = information[:, self.nuisance[:, None], self.nuisance]
            log_q = log_q - 0.5 * _log_determinant(block)
        return log_q


def _log_determinant(matrix: np.ndarray) -> np.ndarray:
    """Return log |det| of matrices (d, k, k); by hand for k < 3, where LAPACK is slow."""
    if matrix.shape[1] == 1:
        return np.log(np.abs(matrix[:, 0, 0]))
    if matrix.shape[1] == 2:
        # products of entries of very different units must not overflow before they cancel
        unit = np.abs(matrix).max(axis=2)
        (a, b), (c, d) = (matrix / unit[:, :, None]).transpose(1, 2, 0)
        return np.log(np.abs(a * d - b * c)) + np.log(unit).sum(axis=1)
    return np.linalg.slogdet(matrix)[1]
