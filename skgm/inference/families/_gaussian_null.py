"""The multivariate normal fitted under a null hypothesis, where that has a closed form.

A null may fix any entries of the mean, and of the covariance either nothing, everything, or
blocks to zero (independence of groups of columns).
"""

from dataclasses import replace

import numpy as np

from skgm.inference._moments import Moments

__all__ = ["check_covariance_null", "independent_groups", "restricted_gaussian"]


def independent_groups(null: np.ndarray) -> list[np.ndarray] | None:
    """Return the groups of columns that zeros in `null` separate; None if it has no such form.

    NaN marks free entries. The zeros have a closed form exactly when the free entries are the
    blocks of a partition of the columns.
    """
    free = np.isnan(null)
    if free.all():
        return [np.arange(len(null))]
    if not np.all(null[~free] == 0) or not np.diag(free).all():
        return None
    groups = [np.flatnonzero(row) for row in np.unique(free, axis=0)]
    is_partition = sum(len(group) for group in groups) == len(null)
    return groups if is_partition and (free == free.T).all() else None


def check_covariance_null(null: np.ndarray) -> None:
    """Raise a ValueError for restrictions of the covariance without a closed-form estimate."""
    if np.isnan(null).any() and independent_groups(null) is None:
        raise ValueError(
            "null['covariance'] must be free (left out), a full positive-definite matrix, or "
            "zeros that separate groups of columns, NaN elsewhere (independence). Other "
            "restrictions have no closed-form restricted estimate: use wald_test, which needs "
            "none, or confidence_intervals(method='profile') for one entry."
        )


def restricted_gaussian(
    statistics: Moments, mean_null: np.ndarray, covariance_null: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (d,) and covariance (d, d) fitted under the null; NaN marks free entries."""
    d = len(statistics.mean)
    if not np.isnan(covariance_null).any():
        mean = _moved_mean(statistics, mean_null, _shift(statistics, mean_null, covariance_null))
        return mean, covariance_null
    mean, covariance = np.empty(d), np.zeros((d, d))
    for group in independent_groups(covariance_null) or [np.arange(d)]:
        part = _subset(statistics, group)
        mean[group], covariance[np.ix_(group, group)] = _free_covariance(part, mean_null[group])
    return mean, covariance


def _subset(statistics: Moments, columns: np.ndarray) -> Moments:
    return replace(
        statistics,
        mean=statistics.mean[columns],
        mean_error=statistics.mean_error[columns],
        scatter=statistics.scatter[np.ix_(columns, columns)],
    )


def _shift(statistics: Moments, mean_null: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return how far the null moves the mean, (d,): free columns follow their regression."""
    fixed = ~np.isnan(mean_null)
    shift = statistics.deviation(np.where(fixed, mean_null, statistics.mean))
    if not fixed.any():
        return np.zeros_like(shift)
    sd = np.sqrt(np.diag(covariance))  # solved on the scale of correlations
    correlation = covariance / sd / sd[:, None]
    pull = np.linalg.solve(correlation[np.ix_(fixed, fixed)], (shift / sd)[fixed])
    return np.where(fixed, shift, sd * (correlation[:, fixed] @ pull))


def _moved_mean(statistics: Moments, mean_null: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(mean_null), statistics.mean - shift, mean_null)


def _free_covariance(statistics: Moments, mean_null: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance when only entries of the mean are fixed."""
    covariance = statistics.covariance()
    shift = _shift(statistics, mean_null, covariance)
    # the regression on the fixed columns and its residual covariance stay; those gain shift^2
    return _moved_mean(statistics, mean_null, shift), covariance + np.outer(shift, shift)
