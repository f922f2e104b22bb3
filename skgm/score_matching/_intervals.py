"""Confidence intervals of Gaussian location and covariance."""

from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._links import wald_interval
from skgm.inference._moments import mirror_lower
from skgm.inference.families import MultivariateNormal

__all__ = ["covariance_interval", "gaussian_intervals"]


def gaussian_intervals(
    method: str,
    level: float,
    location: np.ndarray,
    covariance: Any,
    errors: dict[str, Any],
    n: float,
    *,
    centered: bool,
) -> dict[str, tuple[Any, Any]]:
    """Return the intervals of the parameters that `errors` names.

    Parameters
    ----------
    method : {"wald", "wald-transformed", "robust"}
        Plain Wald; the others with Student's t, the unbiased covariance and transformed scales.
    level : float
        Confidence level.
    location : ndarray of shape (p,)
        Estimated mean.
    covariance : ndarray of shape (p, p) or (p,), or float
        Estimated covariance with divisor n.
    errors : dict
        Standard errors of "location" and "covariance", from divisor n.
    n : float
        Number of rows.
    centered : bool
        The mean was known, which leaves n degrees of freedom instead of n - 1.

    Returns
    -------
    intervals : dict
        Name to (low, high).
    """
    if method == "wald":
        estimates = {"location": location, "covariance": covariance}
        return {k: wald_interval(estimates[k], errors[k], level) for k in errors}
    df = n if centered else n - 1
    if df <= 0:
        raise ValueError(f"Intervals need a total weight above 1; got {n:g}.")
    factor = n / df  # makes the covariance unbiased, and its sandwich the one called HC1
    unbiased, error = covariance * factor, errors["covariance"] * factor**1.5
    with np.errstate(over="ignore", invalid="ignore"):
        if np.ndim(covariance) < 2:
            pair = wald_interval(unbiased, error, level, link="log", df=df)
        elif method == "robust":
            family = MultivariateNormal()
            pair = family.transformed_interval("covariance", unbiased, error, level, df)
        else:
            pair = covariance_interval(unbiased, df, float(stats.t.ppf((1 + level) / 2, df)))
        found = {"covariance": pair}
        if "location" in errors:
            of_location = wald_interval(
                location, errors["location"] * np.sqrt(factor), level, df=df
            )
            found = {"location": of_location} | found
    if not np.isfinite(np.concatenate([np.ravel(pair) for pair in found.values()])).all():
        raise ValueError(
            f"The {method} interval at this level is unbounded with n = {n:g} observations; use a "
            "lower level or more rows."
        )
    return found


def covariance_interval(
    covariance: np.ndarray, df: float, quantile: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return intervals of all covariance entries under the Gaussian model.

    With both columns scaled to variance one, 4 S_ij is the variance of their sum minus that of
    their difference, which are independent: each has its interval on the log scale, and the
    interval of the difference recovers its variances from theirs (MOVER). On the diagonal the
    second variance is zero and the log-scale interval remains.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        Unbiased, divisor `df`.
    df : float
        Degrees of freedom.
    quantile : float
        Of Student's t.

    Returns
    -------
    low, high : ndarray of shape (p, p)
    """
    sd = np.sqrt(covariance.diagonal())
    unit = np.outer(sd, sd) / 4
    correlation = np.clip(covariance / sd / sd[:, None], -1, 1)
    of_sum, of_difference = 2 * (1 + correlation), 2 * (1 - correlation)
    width = quantile * np.sqrt(2 / df)
    down, up = -np.expm1(-width), np.expm1(width)
    low = covariance - unit * np.hypot(of_sum * down, of_difference * up)
    high = covariance + unit * np.hypot(of_sum * up, of_difference * down)
    # some processors round the lanes of a vector differently: the two triangles must agree exactly
    return mirror_lower(low), mirror_lower(high)
