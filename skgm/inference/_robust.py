"""Corrects robust tests of families for few rows, as robust intervals are corrected."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from skgm._numerics.sandwich import (
    columnwise_total,
    corrected_errors,
    inverse_information,
    leverages,
    skewness_root,
    sum_groups,
    total_weight,
)
from skgm.inference._likelihood.nulls import Null
from skgm.inference._likelihood.statistics import Law, chi2_of_f, linear_quadratic
from skgm.inference._likelihood.wald import LINKS
from skgm.inference._statsmodels.covariance import cluster_codes
from skgm.inference.families._base import Family

__all__ = [
    "errors_of_parts",
    "group_codes",
    "linked_gap",
    "robust_law",
    "robust_score",
    "small_sample_errors",
]


def group_codes(groups: Any, X: Any, sample_weight: Any) -> np.ndarray | None:
    """Return the number of each row's cluster, of rows of positive weight; None without groups."""
    if groups is None:
        return None
    codes = cluster_codes(groups, np.shape(X)[0]).codes
    if sample_weight is not None:
        codes = codes[np.asarray(sample_weight) > 0]
    return np.asarray(np.unique(codes, return_inverse=True)[1])


def _independent(
    psi: np.ndarray, weight: np.ndarray | None, codes: np.ndarray | None, r: int
) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Return what is independent (rows, or sums over clusters), its weights and its number."""
    if codes is not None:
        psi, weight = sum_groups(psi, weight, codes), None
    count = total_weight(psi, weight)
    if count <= r:
        what = "rows" if codes is None else "clusters"
        raise ValueError(
            f"Robust tests need more {what} ({count:g}) than restrictions ({r}). Collect more, or "
            "test without robust=True."
        )
    return psi, weight, count


def robust_law(
    psi: np.ndarray,
    bread: np.ndarray,
    weight: np.ndarray | None,
    restriction: np.ndarray,
    codes: np.ndarray | None = None,
) -> Law:
    """Return the law of an estimate for a test of R theta: sandwich with leverages, Student's t.

    Parameters
    ----------
    psi : ndarray of shape (n, k)
        Parameter scores of the rows.
    bread : ndarray of shape (k, k)
        Information per row.
    weight : ndarray of shape (n,) or None
        A weight w counts its row w times.
    restriction : ndarray of shape (r, k)
        R; the leverages are those of rows on R theta.
    codes : ndarray of shape (n,), default=None
        The cluster of each row; None: rows are independent.
    """
    n, r = total_weight(psi, weight), len(restriction)
    psi, weight, count = _independent(psi, weight, codes, r)
    pull = psi @ inverse_information(bread, definite=False)
    share = leverages(pull @ restriction.T, weight)
    raised = (1.0 if weight is None else weight) / (1 - share)
    return Law((pull * raised[:, None]).T @ pull / n**2, count - r)


def robust_score(
    psi: np.ndarray,
    bread: np.ndarray,
    weight: np.ndarray | None,
    restriction: np.ndarray,
    codes: np.ndarray | None = None,
) -> float:
    """Return the robust score statistic on the chi-square scale, from scores under the null.

    The scores pull on R theta; their mean is compared with their spread about it by Student's t
    with leverages, and for one restriction without its skewness. Arguments as in `robust_law`.
    """
    r = len(restriction)
    psi, weight, count = _independent(psi, weight, codes, r)
    pull = psi @ inverse_information(bread, definite=False) @ restriction.T
    if r == 1:
        return chi2_of_f(skewness_root(pull[:, 0], weight) ** 2, 1, count - 1)
    ones = np.ones(len(pull)) if weight is None else weight
    mean = ones @ pull / count
    away = pull - mean
    raised = ones / (1 - leverages(away, weight))
    covariance = (away * raised[:, None]).T @ away / count**2
    return chi2_of_f(linear_quadratic(mean, covariance, np.eye(r)), r, count - r)


def linked_gap(
    family: Family, null: Null, theta: np.ndarray, n: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance from the null, (r,), on the scales of the links, and their slopes (r,).

    The robust interval of a parameter is formed on the same scale about the same center.
    """
    matrix, target = null.rows
    gap, slope = matrix @ theta - target, np.ones(len(target))
    if null.is_linear:
        return gap, slope
    d = len(theta) // len(family.parameters)
    for row, entry in enumerate(matrix.argmax(axis=1)):
        parameter = family.parameters[entry // d]
        link, center = LINKS[parameter.link], family.small_sample(parameter.name, n)[0]
        at = theta[entry] * center
        with np.errstate(all="ignore"):
            moved, held = link.forward(at), link.forward(target[row])
        gap[row], slope[row] = moved - held, center * link.derivative(at)
    return gap, slope


def errors_of_parts(fit: Any, parts: Iterable[np.ndarray]) -> tuple[dict[str, Any], float]:
    """Return the sandwich's standard errors, (d,) by parameter, from sums over parts of the table.

    The bread is that of the stored statistics; each part adds its squared pulls. Also the number
    of rows in all parts.
    """
    family, params = fit.family, fit.params
    bread = family.observed_information(fit.statistics, params)
    inverse = inverse_information(bread, singular=None, definite=False)

    def squares(rows: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("dab,ndb->nda", inverse, family.score(rows, params)) ** 2)

    total, n = np.zeros(inverse.shape[:2]), 0.0
    for rows in parts:
        total += columnwise_total(squares, rows, None)
        n += len(rows)
    found = np.sqrt(total) / max(n, 1.0)
    return {parameter.name: found[:, k] for k, parameter in enumerate(family.parameters)}, n


def small_sample_errors(fit: Any, X: np.ndarray, weight: np.ndarray | None) -> dict[str, Any]:
    """Return robust standard errors with leverages, (d,) by parameter, of rows or clusters.

    Parameters
    ----------
    fit : Fit
        Of a family of independent columns, with the clusters of the rows in `codes`, or None.
    X : ndarray of shape (n, d)
        The training table.
    weight : ndarray of shape (n,) or None
        Its weights.
    """
    family, params, n = fit.family, fit.params, fit.statistics.n

    def score(rows: np.ndarray) -> np.ndarray:
        return np.asarray(family.score(rows, params))

    rows, statistics = X, fit.statistics
    if family.has_information:
        statistics = family.summarize(X, weight)
    else:  # the statistics say which rows are censored, and keep all of them
        rows, weight = family.kept_scores(statistics, params), statistics.weight
    bread = family.observed_information(statistics, params)
    each = score if family.has_information else np.asarray
    if fit.codes is None:
        found = corrected_errors(each, bread, rows, weight)
    else:
        scores = each(rows)
        sums = sum_groups(scores.reshape(len(scores), -1), weight, fit.codes)
        sums = sums.reshape(-1, *scores.shape[1:])
        found = corrected_errors(np.asarray, bread, sums, None) * len(sums) / n
    return {parameter.name: found[:, k] for k, parameter in enumerate(family.parameters)}
