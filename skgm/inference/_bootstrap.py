"""Bootstrap intervals of columnwise families: resamples are columns of one vectorised fit."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

__all__ = ["bootstrap_intervals"]

Params = Mapping[str, np.ndarray]
Interval = tuple[np.ndarray, np.ndarray]

_RESAMPLES = 1999
_MAX_FAILURES = 20  # resamples, one in a hundred: more of them would bend the interval
_BLOCK_VALUES = 2**21  # values of resampled tables in memory at a time


def bootstrap_intervals(
    family: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    params: Params,
    level: float,
    rng: np.random.Generator,
) -> dict[str, Interval]:
    """Return BCa intervals of every parameter.

    The rows are resampled (a weight w counts as w repetitions) and the family is fitted to each
    resample. Resamples without an estimate (one repeated value, to which no scale can be
    fitted) are left out.

    Parameters
    ----------
    family : Family
        A columnwise family.
    X : ndarray of shape (n, d)
        The training table.
    weight : ndarray of shape (n,) or None
        Its weights.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.
    rng : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    intervals : dict of str to (ndarray, ndarray)
        Low and high, (d,) each.

    References
    ----------
    B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical
    Association 82, 1987.
    """
    influence = _influence(family, X, weight, params)
    ends: dict[str, list[tuple[float, float]]] = {name: [] for name in params}
    for j in range(X.shape[1]):
        column = {name: value[j : j + 1] for name, value in params.items()}
        replicates = _replicates(family.columns([j]), X[:, j], weight, rng)
        for k, name in enumerate(params):
            ends[name].append(
                _bca(replicates[name], column[name][0], influence[:, j, k], weight, level)
            )
    return {name: (np.array(e)[:, 0], np.array(e)[:, 1]) for name, e in ends.items()}


def _replicates(
    family: Any, x: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    share = None if weight is None else weight / weight.sum()
    n = len(x) if weight is None else max(round(float(weight.sum())), 1)
    block = max(1, _BLOCK_VALUES // n)
    parts = []
    for start in range(0, _RESAMPLES, block):
        size = (n, min(block, _RESAMPLES - start))
        table = x[rng.choice(len(x), size=size, p=share)]
        table = table[:, table.min(axis=0) < table.max(axis=0)] if not family.discrete else table
        if table.shape[1]:
            parts.extend(_fits(family, table))
    if not parts:
        raise ValueError(
            "No bootstrap resample of the rows determines the parameters: the rows vary too "
            "little. Use method='auto', or more rows."
        )
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _fits(family: Any, table: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Return the estimates of the columns that have one."""
    try:
        found = _estimates(family, table)
    except ValueError:  # ties, say, on which a Cauchy distribution shrinks to a point
        table = table[:, [_determines(family, column[:, None]) for column in table.T]]
        return _halved(family, table, [_MAX_FAILURES]) if table.shape[1] else []
    known = ~np.any([np.isnan(value) for value in found.values()], axis=0)
    return [{name: value[known] for name, value in found.items()}] if known.any() else []


def _estimates(family: Any, table: np.ndarray) -> dict[str, np.ndarray]:
    family = family.columns(np.zeros(table.shape[1], dtype=int))  # resamples of one column
    with np.errstate(invalid="ignore", divide="ignore"):  # those without an estimate are dropped
        return family.estimate(family.summarize(table, None))


def _determines(family: Any, column: np.ndarray) -> bool:
    try:
        family.check_statistics(family.summarize(column, None), ["resample"])
    except ValueError:
        return False
    return True


def _halved(family: Any, table: np.ndarray, left: list[int]) -> list[dict[str, np.ndarray]]:
    """Return the estimates of the columns whose search ends, found by halving the table."""
    try:
        return [_estimates(family, table)]
    except ValueError:
        if table.shape[1] > 1:
            half = table.shape[1] // 2
            return _halved(family, table[:, :half], left) + _halved(family, table[:, half:], left)
    left[0] -= 1
    if not left[0]:
        raise ValueError(
            f"Too many bootstrap resamples have no estimate in the {family.name} family. Use "
            "method='auto', or more rows."
        )
    return []


def _influence(family: Any, X: np.ndarray, weight: np.ndarray | None, params: Params) -> np.ndarray:
    """Return each row's pull on the estimates, (n, d, k), up to a factor."""
    statistics = family.summarize(X, weight)
    bread = family.observed_information(statistics, params)
    return np.einsum("dab,ndb->nda", np.linalg.inv(bread), family.score(X, params))


def _bca(
    replicates: np.ndarray,
    estimate: float,
    influence: np.ndarray,
    weight: np.ndarray | None,
    level: float,
) -> tuple[float, float]:
    """Return the bias-corrected and accelerated quantiles of the replicates."""
    ones = np.ones(len(influence)) if weight is None else weight
    spread = np.sum(ones * influence**2)
    acceleration = np.sum(ones * influence**3) / (6 * spread**1.5) if spread > 0 else 0.0
    tied = np.isclose(replicates, estimate, rtol=1e-9, atol=0)  # a search ends up to rounding
    below = np.mean((replicates < estimate) & ~tied) + np.mean(tied) / 2
    limit = 1 / (2 * len(replicates))
    bias = special.ndtri(np.clip(below, limit, 1 - limit))
    z = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    # past the pole of 1 - acceleration * z the outermost replicate is all that is left
    room = np.maximum(1 - acceleration * z, 1e-3)
    # infinite replicates (the size of a negative binomial) are ordered, not interpolated
    finite = np.isfinite(replicates).all()
    rule: Any = "linear" if finite else "inverted_cdf"
    return tuple(np.quantile(replicates, special.ndtr(bias + z / room), method=rule))
