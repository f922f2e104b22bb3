"""Small-sample corrections of the likelihood-ratio statistic, as the tests apply them."""

from typing import Any

import numpy as np
from scipy.special import digamma

from skgm.inference._bartlett import column_means, refuse_unknown_mean
from skgm.inference._nulls import Null
from skgm.inference._rstar import rstar
from skgm.inference.families._base import Family, Params
from skgm.inference.families._gaussian_null import independent_groups

__all__ = ["CORRECTIONS", "mean_ratio", "modified_root", "refuse_correction"]

CORRECTIONS = (None, "bartlett", "rstar")


def mean_ratio(family: Family, n: float, null: Null, params: Params) -> float:
    """Return the mean under the null of the likelihood-ratio statistic; eq. bartlett.

    Parameters
    ----------
    family : Family
        Continuous.
    n : float
        Number of rows.
    null : Null
        The hypothesis.
    params : dict of str to ndarray
        The restricted estimate.

    Returns
    -------
    mean : float
        Summed over columns.

    Raises
    ------
    ValueError
        A discrete family, a null that couples entries, or one whose mean is not known.
    """
    if family.joint:
        return _gaussian_mean(family, n, null)
    if null.is_linear:
        raise ValueError(
            "correction='bartlett' needs a null that holds parameters at values; for restrictions "
            "that couple parameters the mean of the statistic is not known."
        )
    held = ~np.isnan(family.pack(null.values))
    total = 0.0
    for pattern in np.unique(held, axis=0):
        columns = (held == pattern).all(axis=1)
        if pattern.any():
            part = {name: value[columns] for name, value in params.items()}
            means = column_means(family.columns(columns), pattern, part, n)
            total += float(np.sum(means))
    return total


def _gaussian_mean(family: Family, n: float, null: Null) -> float:
    """Return E[W] of a multivariate normal, exactly.

    T. W. Anderson, "An Introduction to Multivariate Statistical Analysis", 3rd edition, Wiley,
    2003, sections 8.4, 9.3 and 10.8: the statistics are logarithms of Wishart determinants.
    """
    if [p.name for p in family.parameters] != ["mean", "covariance"]:
        refuse_unknown_mean(family)
    covariance = null.values["covariance"]
    d = len(covariance)
    if null.matrix is not None:
        return _of_means(n, len(null.matrix))
    held = ~np.isnan(null.values["mean"])
    if not np.isnan(covariance).any():
        # tr A - log|A| - d with n A Wishart on n - 1 degrees of freedom
        return float(held.sum() - d - n * (_mean_log_det(n - 1, d) - d * np.log(n)))
    groups = independent_groups(covariance) or [np.arange(d)]
    apart = sum(_mean_log_det(n - 1, len(group)) for group in groups)
    means = sum(_of_means(n, int(held[group].sum())) for group in groups)
    return n * (apart - _mean_log_det(n - 1, d)) + means


def _of_means(n: float, r: int) -> float:
    """Return E[W] where r linear functions of a mean are restricted, the covariance being free."""
    return float(n * (digamma(n / 2) - digamma((n - r) / 2)))  # Wilks' lambda is a beta variable


def _mean_log_det(df: float, d: int) -> float:
    """Return the mean log-determinant of a standard Wishart matrix."""
    return float(np.sum(digamma((df - np.arange(d)) / 2)) + d * np.log(2))


def modified_root(family: Family, rows: np.ndarray, weight: np.ndarray | None, null: Null) -> float:
    """Return r* for a null that holds one parameter of one column; eq. rstar.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns, and one that defines `canonical`.
    rows : ndarray of shape (n, d)
        The data.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.
    null : Null
        The hypothesis.

    Returns
    -------
    root : float
        Positive where the data point above the null.

    Raises
    ------
    ValueError
        Another null, or a family without r*.
    """
    held = np.argwhere(np.empty((0, 2)) if family.joint else ~np.isnan(family.pack(null.values)))
    if len(held) != 1 or family.discrete:
        raise ValueError(
            "correction='rstar' is for one parameter of one column of a continuous family of "
            f"independent columns; this null of the {family.name} family is not of that kind. Use "
            "correction='bartlett' or none."
        )
    column, index = held[0]
    name = family.parameters[index].name
    family = family.columns([column])
    statistics = family.summarize(rows[:, [column]], weight)
    estimate = family.estimate(statistics)
    try:
        _, root = rstar(family, name, statistics, estimate, null.values[name][[column]])
    except NotImplementedError as error:
        raise ValueError(
            f"correction='rstar' is not known for the {family.name} family: {error} Use "
            "correction='bartlett' or none."
        ) from error
    return float(root[0])


def refuse_correction(correction: str | None, event: Any) -> None:
    """Raise where a small-sample correction is asked for right-censored rows."""
    if correction is not None and event is not None:
        raise ValueError(
            f"correction={correction!r} needs the law of the censoring times, which is not "
            "modelled; use correction=None with event."
        )
