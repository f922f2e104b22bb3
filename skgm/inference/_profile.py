"""Profile-likelihood intervals of any family, by search on the stored statistics."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference._inversion import Profile, invert

__all__ = ["profile_interval"]

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
    return invert(profile.root, profile, level, "profile")
