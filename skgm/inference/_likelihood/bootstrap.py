"""Bootstrap intervals of columnwise families: resamples are columns of one vectorized fit."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm._parallel import ordered_map
from skgm._random import spawn

__all__ = ["bootstrap_intervals", "fits_of_columns"]

Params = Mapping[str, np.ndarray]
Interval = tuple[np.ndarray, np.ndarray]

_RESAMPLES, _AT_ONCE = 1999, 500
_MAX_FAILURES = 20  # resamples, one in a hundred: more of them would bend the interval
_BLOCK_VALUES = 2**21  # values of resampled tables in memory at a time


def bootstrap_intervals(
    family: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    params: Params,
    level: float,
    rng: np.random.Generator,
    scheme: tuple[np.ndarray, ...] = (),
    n_jobs: int | None = None,
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
    scheme : tuple of ndarray of shape (n, d), default=()
        What the family must know of every value besides X (events, say); resampled with its row.
    n_jobs : int, default=None
        Blocks of resamples at a time, in threads.

    Returns
    -------
    intervals : dict of str to (ndarray, ndarray)
        Low and high, (d,) each.

    References
    ----------
    B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical
    Association 82, 1987.
    """
    influence = _influence(family, X, weight, params, scheme)
    columns = range(X.shape[1])
    each = [
        _Rows(family.columns([j]), X[:, j], tuple(part[:, j] for part in scheme)) for j in columns
    ]
    replicates = _replicates(each, weight, rng, n_jobs)
    ends: dict[str, list[tuple[float, float]]] = {name: [] for name in params}
    for j in columns:
        for k, (name, estimate) in enumerate(params.items()):
            ends[name].append(
                _bca(replicates[j][name], estimate[j], influence[:, j, k], weight, level)
            )
    return {name: (np.array(e)[:, 0], np.array(e)[:, 1]) for name, e in ends.items()}


class _Rows(NamedTuple):
    """The rows of one column, and what the family must know of them besides."""

    family: Any
    x: np.ndarray
    scheme: tuple[np.ndarray, ...]

    def statistics(self, picked: np.ndarray) -> Any:
        """Return the statistics of resamples, one per column of positions `picked`."""
        return self.family.summarize(self.x[picked], None, *(part[picked] for part in self.scheme))

    def telling(self, picked: np.ndarray) -> np.ndarray:
        """Return the resamples with an event, or of more than one value where they need it."""
        if self.family.scheme == ("event",):
            return picked[:, self.scheme[0][picked].any(axis=0)]
        if self.family.discrete or self.scheme:
            return picked
        table = self.x[picked]
        return picked[:, table.min(axis=0) < table.max(axis=0)]

    def estimates(self, picked: np.ndarray) -> dict[str, np.ndarray]:
        """Return the estimates from resamples, or raise where one has none."""
        family = self.family.columns(np.zeros(picked.shape[1], dtype=int))
        with np.errstate(invalid="ignore", divide="ignore"):  # NaN for those without an estimate
            return family.estimate(self._replace(family=family).statistics(picked))

    def determine(self, picked: np.ndarray) -> bool:
        """Whether one resample, (n, 1), determines the parameters."""
        try:
            self.family.check_statistics(self.statistics(picked), ["resample"])
        except ValueError:
            return False
        return True


def _replicates(
    each: list[_Rows], weight: np.ndarray | None, rng: np.random.Generator, n_jobs: int | None
) -> list[dict[str, np.ndarray]]:
    """Return the estimates from resamples of each column, a block of resamples at a time."""
    m = len(each[0].x)
    n = m if weight is None else max(round(float(weight.sum())), 1)
    block = min(max(1, _BLOCK_VALUES // n), _AT_ONCE)
    sizes = [min(block, _RESAMPLES - start) for start in range(0, _RESAMPLES, block)]
    streams = iter(spawn(rng, len(each) * len(sizes)))
    work = [(j, size, next(streams)) for j in range(len(each)) for size in sizes]
    share = None if weight is None else weight / weight.sum()
    draw = partial(_block, each, share, n)
    parts: list[list[dict[str, np.ndarray]]] = [[] for _ in each]
    for (j, *_), found in zip(work, ordered_map(draw, work, n_jobs=n_jobs, threads=True)):
        parts[j] += found
    if not all(parts):
        raise ValueError(
            "No bootstrap resample of the rows determines the parameters: the rows vary too "
            "little. Use method='auto', or more rows."
        )
    return [{name: np.concatenate([p[name] for p in own]) for name in own[0]} for own in parts]


def _block(
    each: list[_Rows],
    share: np.ndarray | None,
    n: int,
    work: tuple[int, int, np.random.Generator],
) -> list[dict[str, np.ndarray]]:
    """Return the estimates from some resamples of one column, in parts."""
    j, size, rng = work
    picked = each[j].telling(rng.choice(len(each[j].x), size=(n, size), p=share))
    if not picked.shape[1]:
        return []
    return [params for _, params in fits_of_columns(each[j], picked)]


def fits_of_columns(rows: Any, picked: np.ndarray) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Return the columns that have an estimate, (n, m), with their estimates, in parts.

    Parameters
    ----------
    rows : object
        With `family`, ``estimates(picked)``, the estimates from columns, which raises where one of
        them has none, and ``determine(column)``, whether one column has an estimate.
    picked : ndarray of shape (n, d)
        Resamples, or what stands for them, as columns.
    """
    try:
        found = rows.estimates(picked)
    except ValueError:  # ties, say, on which a Cauchy distribution shrinks to a point
        picked = picked[:, [rows.determine(column[:, None]) for column in picked.T]]
        return _halved(rows, picked, [_MAX_FAILURES]) if picked.shape[1] else []
    known = ~np.any([np.isnan(value) for value in found.values()], axis=0)
    some = {name: value[known] for name, value in found.items()}
    return [(picked[:, known], some)] if known.any() else []


def _halved(
    rows: Any, picked: np.ndarray, left: list[int]
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Return the columns whose search ends with their estimates, found by halving their number."""
    try:
        return [(picked, rows.estimates(picked))]
    except ValueError:
        if picked.shape[1] > 1:
            half = picked.shape[1] // 2
            return _halved(rows, picked[:, :half], left) + _halved(rows, picked[:, half:], left)
    left[0] -= 1
    if not left[0]:
        raise ValueError(
            f"Too many bootstrap resamples have no estimate in the {rows.family.name} family. Use "
            "method='auto', or more rows."
        )
    return []


def _influence(
    family: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    params: Params,
    scheme: tuple[np.ndarray, ...],
) -> np.ndarray:
    """Return each row's pull on the estimates, (n, d, k), up to a factor."""
    statistics = family.summarize(X, weight, *scheme)
    scores = family.score(X, params) if not scheme else family.kept_scores(statistics, params)
    bread = family.observed_information(statistics, params)
    return np.einsum("dab,ndb->nda", np.linalg.inv(bread), scores)


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
