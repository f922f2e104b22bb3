"""Likelihood-ratio and score tests of any columnwise family turned into intervals, by search."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference._inversion import Profile, invert
from skgm.inference._likelihood_ends import followed

__all__ = ["profile_interval", "score_interval"]

Params = Mapping[str, np.ndarray]


def profile_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` whose likelihood-ratio statistic is below its quantile.

    Parameters
    ----------
    family : Family
        Its `log_likelihood` and `restricted_estimate` define the profile.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the profile never falls far enough on that side.
    """
    profile = Profile(family, name, statistics, params)
    found = followed(profile, level)
    return invert(profile.root, profile, level, "profile") if found is None else found


def score_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` around the estimate that the score test does not reject.

    Parameters
    ----------
    family : Family
        One that defines `mean_score`.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the statistic never grows large enough on that side.

    Raises
    ------
    ValueError
        In small samples the statistic may stay below its quantile out to infinity.
    """
    profile = Profile(family, name, statistics, params)

    def root(value: np.ndarray) -> np.ndarray:
        restricted, _ = profile.at(value)
        with np.errstate(all="ignore"):
            slope = family.mean_score(statistics, restricted)
            information = family.model_information(statistics, restricted)
            usable = np.isfinite(information).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
            safe = np.where(usable[:, None, None], information, np.eye(slope.shape[1]))
            solved = np.linalg.solve(safe, slope[..., None])[..., 0]
            statistic = statistics.n * np.einsum("dk,dk->d", slope, solved)
        size = np.where(usable, np.sqrt(np.maximum(statistic, 0.0)), np.inf)
        return np.sign(params[name] - value) * size

    estimate, space = params[name], family.parameter(name)
    try:
        low, high = invert(root, profile, level, "score")
        beyond = low - 1e-6 * (estimate - low), high + 1e-6 * (high - estimate)
        # an end beyond which nothing can be computed is none: the search ran until numbers failed
        lost = [
            (end != bound) & ~np.isfinite(root(np.where(end == bound, estimate, outside)))
            for end, bound, outside in zip(
                (low, high), (space.low, space.high), beyond, strict=True
            )
        ]
    except (ArithmeticError, np.linalg.LinAlgError):
        lost = [np.array(True)]
    if np.any(lost):
        raise ValueError(
            f"The score interval of {name!r} is unbounded at this level with n = "
            f"{statistics.n:g} observations; use method='auto', or a lower level."
        )
    return low, high
