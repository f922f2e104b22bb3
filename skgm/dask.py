"""Fits densities to dask collections, and scores, completes and draws their rows lazily.

Needs dask (``pip install "skgm[dask]"``). Without a cluster it runs on dask's threads; with a
``distributed.Client`` on its workers.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from dask import dataframe as dd
from dask.base import is_dask_collection
from dask.delayed import delayed
from sklearn.base import clone

from skgm._random import as_generator, spawn
from skgm._sklearn import check_sample_weight
from skgm._warnings import warn_user
from skgm.compose import StackedDensity
from skgm.diffusion import DDPM
from skgm.inference import MLEDensity
from skgm.metrics import ComparisonSums, DensityComparison
from skgm.mixture import GaussianMixtureDensity
from skgm.rbm import BernoulliRBMCD
from skgm.score_matching import ScoreMatchingExpFamily
from skgm.tables._summary import TableSummary
from skgm.tables._validation import check_n_samples

__all__ = ["compare", "fit", "impute", "plan", "sample", "score_samples"]

_SPLIT_EVERY = 8  # summaries that one task adds up
_HELD_OUT = 0.1  # of the rows of a shard
_START_ROWS = 20_000  # from which a mixture starts


def plan(estimator: Any) -> str:
    """Return how `fit` goes about an estimator.

    Parameters
    ----------
    estimator : density
        An unfitted density.

    Returns
    -------
    plan : {"merge", "passes", "stream", "shard"}
        "merge": workers summarize partitions, and the sums are added in a tree: one pass, exact.
        "passes": the same after a fit to some rows, for a mixture once for each step of EM.
        "stream": partitions come to this process one after the other, in random order, for
        `partial_fit`. "shard": workers fit a copy to some rows each, and the copies are stacked.

    Examples
    --------
    >>> from skgm import DDPM, MLEDensity, NCEDensity
    >>> from skgm.dask import plan
    >>> plan(MLEDensity("gamma")), plan(DDPM()), plan(NCEDensity())
    ('merge', 'stream', 'shard')
    """
    if isinstance(estimator, (GaussianMixtureDensity, ScoreMatchingExpFamily)):
        return "passes"
    if hasattr(estimator, "summarize"):
        return "merge"
    if isinstance(estimator, (BernoulliRBMCD, DDPM)):
        return "stream"
    if isinstance(estimator, MLEDensity):
        estimator._can_summarize()  # says why it has no sums
    return "shard"


def fit(
    estimator: Any,
    X: Any,
    *,
    sample_weight: str | None = None,
    n_epochs: int = 10,
    rows_per_shard: int = 100_000,
    random_state: Any = None,
) -> Any:
    """Return a copy of an estimator, fitted to a dask collection.

    Parameters
    ----------
    estimator : density
        Unfitted; it does not change.
    X : dask DataFrame or dask array of shape (n_samples, n_features)
        Training table. Partitions may be empty.
    sample_weight : str, default=None
        Name of the column of X that holds the weights of the rows, and is no feature.
    n_epochs : int, default=10
        Passes over the partitions, for the plan "stream"; for "passes", steps of EM at most.
    rows_per_shard : int, default=100_000
        Rows that each copy of the plan "shard" is fitted to, drawn from its partition.
    random_state : None, int, RandomState or Generator, default=None
        Orders the partitions, and seeds the copies and the draws of rows.

    Returns
    -------
    fitted : density
        Of the class of `estimator`; with the plan "shard" and several partitions a
        :class:`skgm.StackedDensity` of the copies, weighted by rows that none of them has seen.

    Raises
    ------
    TypeError
        X is no dask collection.
    ValueError
        What the estimator refuses, with the number of the partition; a density that has no plan.

    See Also
    --------
    plan : Which way `fit` takes.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from dask import dataframe as dd
    >>> from skgm import MLEDensity
    >>> from skgm.dask import fit
    >>> waits = pd.DataFrame({"minutes": np.arange(1.0, 101.0)})
    >>> model = fit(MLEDensity("exponential"), dd.from_pandas(waits, npartitions=4))
    >>> round(model.params_["rate"], 4)
    0.0198
    """
    try:
        chosen = plan(estimator)
    except AttributeError as error:
        raise ValueError(f"{error} It has no plan for a collection.") from None
    fitted, rng = clone(estimator), as_generator(random_state)
    parts = _parts_of(X)
    if chosen == "merge":
        return fitted.fit_statistics(_total(fitted, parts, sample_weight))
    if chosen == "passes":
        return _fit_by_passes(fitted, parts, sample_weight, n_epochs, rng)
    if chosen == "stream":
        return _fit_stream(fitted, parts, sample_weight, n_epochs, rng)
    return _fit_shards(fitted, parts, sample_weight, rows_per_shard, rng)


def score_samples(density: Any, X: Any) -> Any:
    """Return the log-density of each row, lazily.

    Parameters
    ----------
    density : fitted density
        Sent to the workers once.
    X : dask DataFrame of shape (n_samples, n_features)
        Rows to score.

    Returns
    -------
    log_density : dask Series of shape (n_samples,)
        In nats, with the index and the partitions of X.
    """
    parts, shared = _parts_of(X, frame=True), delayed(density)
    scored = [delayed(_score)(shared, part, i) for i, part in enumerate(parts)]
    meta = pd.Series([], dtype=np.float64, name="log_density", index=X._meta.index[:0])
    return dd.from_delayed(scored, meta=meta, divisions=X.divisions, verify_meta=False)


def impute(density: Any, X: Any, random_state: Any = None) -> Any:
    """Fill the holes of each row with one draw given what it observes, lazily.

    Parameters
    ----------
    density : fitted density with `impute`
        Sent to the workers once.
    X : dask DataFrame of shape (n_samples, n_features)
        Rows with holes.
    random_state : None, int, RandomState or Generator, default=None
        Every partition has a random stream of its own, chosen now: computing twice gives the same.

    Returns
    -------
    rows : dask DataFrame of shape (n_samples, n_features)
        With the index and the partitions of X.
    """
    parts, shared = _parts_of(X, frame=True), delayed(density)
    seeds = _seeds(random_state, len(parts))
    filled = [delayed(_impute)(shared, part, i, s) for i, (part, s) in enumerate(zip(parts, seeds))]
    return dd.from_delayed(filled, meta=X._meta, divisions=X.divisions, verify_meta=False)


def sample(density: Any, n_samples: int, npartitions: int = 1, random_state: Any = None) -> Any:
    """Draw rows lazily.

    Parameters
    ----------
    density : fitted density
        Sent to the workers once.
    n_samples : int
        Number of rows in all.
    npartitions : int, default=1
        Partitions, of equal size to one row, each with a random stream of its own.
    random_state : None, int, RandomState or Generator, default=None
        Chosen now: computing twice gives the same rows.

    Returns
    -------
    rows : dask DataFrame of shape (n_samples, n_features)
        With the columns that the density was fitted to; x0, x1, ... after an array.
    """
    n_samples = check_n_samples(n_samples)
    sizes = np.diff(np.linspace(0, n_samples, min(npartitions, n_samples) + 1).astype(np.int64))
    shared, seeds = delayed(density), _seeds(random_state, len(sizes))
    drawn = [delayed(_draw)(shared, int(size), seed) for size, seed in zip(sizes, seeds)]
    meta = _draw(density, 1, 0).iloc[:0]
    return dd.from_delayed(drawn, meta=meta, verify_meta=False)


def compare(
    a: Any, b: Any, X: Any, *, sample_weight: str | None = None, level: float = 0.95
) -> DensityComparison:
    """Compare two fitted densities on the same held-out rows, from sums over partitions.

    Parameters
    ----------
    a, b : fitted densities
        Sent to the workers once.
    X : dask DataFrame or dask array of shape (n_samples, n_features)
        Held-out rows.
    sample_weight : str, default=None
        Name of the column of X that holds how often each row counts, and is no feature.
    level : float, default=0.95
        Confidence level, strictly between 0 and 1.

    Returns
    -------
    comparison : DensityComparison
        As :func:`skgm.compare_densities` returns it for a table in memory.
    """
    both = delayed((a, b))
    work = [delayed(_compare)(both, part, i, sample_weight) for i, part in enumerate(_parts_of(X))]
    total = _tree_sum(work)
    if not isinstance(total, ComparisonSums):
        raise ValueError("X has no rows, so there is nothing to compare.")
    return total.compared(a, b, level=level)


# Work on one partition, in a worker. All errors name the partition.


def _named(part: Any, weight: str | None) -> tuple[Any, Any]:
    """Return the features of a partition, and its weights."""
    if weight is None:
        return part, None
    if not hasattr(part, "columns") or weight not in part.columns:
        raise ValueError(f"there is no column {weight!r}, which sample_weight names.")
    return part.drop(columns=weight), part[weight].to_numpy()


def _in_partition(number: int, error: Exception) -> ValueError:
    return ValueError(f"Partition {number} of X (rows are numbered within it, from 0): {error}")


def _summarize(estimator: Any, part: Any, number: int, weight: str | None) -> TableSummary:
    try:
        return estimator.summarize(*_named(part, weight))
    except ValueError as error:
        raise _in_partition(number, error) from error


def _score(density: Any, part: Any, number: int) -> pd.Series:
    try:
        values = density.score_samples(part) if len(part) else np.empty(0)
    except ValueError as error:
        raise _in_partition(number, error) from error
    return pd.Series(values, index=part.index, name="log_density")


def _compare(both: tuple[Any, Any], part: Any, number: int, weight: str | None) -> Any:
    """Return the sums of one partition; 0 where no row counts."""
    try:
        rows, share = _named(part, weight)
        share = None if share is None else check_sample_weight(share, rows) if len(rows) else share
        if not len(rows) or (share is not None and not share.any()):
            return 0
        a, b = (np.asarray(density.score_samples(rows), np.float64) for density in both)
        return ComparisonSums.of(a, b, share)
    except ValueError as error:
        raise _in_partition(number, error) from error


def _impute(density: Any, part: Any, number: int, seed: int) -> Any:
    try:
        return density.impute(part, random_state=seed) if len(part) else part
    except ValueError as error:
        raise _in_partition(number, error) from error


def _draw(density: Any, n_samples: int, seed: int) -> pd.DataFrame:
    rows = density.sample(n_samples, random_state=seed)
    if isinstance(rows, np.ndarray):
        names = getattr(density, "feature_names_in_", [f"x{j}" for j in range(rows.shape[1])])
        return pd.DataFrame(rows, columns=names)
    return rows if isinstance(rows, pd.DataFrame) else rows.to_pandas()


def _fit_shard(
    estimator: Any, part: Any, number: int, weight: str | None, n_rows: int, seed: int
) -> tuple[Any, Any]:
    """Return a copy fitted to rows of one partition, and rows that it has not seen."""
    rng = np.random.default_rng(seed)
    picked = rng.permutation(len(part))[: round(n_rows / (1 - _HELD_OUT))]
    n_held = round(len(picked) * _HELD_OUT)
    held, kept = (_take(part, np.sort(rows)) for rows in np.split(picked, [n_held]))
    twin = clone(estimator)
    params = twin.get_params()
    seeds = [key for key in sorted(params) if key.split("__")[-1] == "random_state"]
    twin.set_params(**{key: int(rng.integers(2**31)) for key in seeds if params[key] is None})
    try:
        rows, share = _named(kept, weight)
        return twin.fit(rows, **({} if share is None else {"sample_weight": share})), held
    except ValueError as error:
        raise _in_partition(number, error) from error


def _take(part: Any, rows: np.ndarray) -> Any:
    return part.iloc[rows] if hasattr(part, "iloc") else part[rows]


# The plans.


def _parts_of(X: Any, *, frame: bool = False) -> list[Any]:
    """Return the partitions of a collection, delayed."""
    if not is_dask_collection(X) or (frame and not hasattr(X, "_meta")):
        wanted = "a dask DataFrame" if frame else "a dask DataFrame or array"
        raise TypeError(
            f"X must be {wanted}; got {type(X).__name__}. For tables in memory call the methods of "
            "the density itself."
        )
    if hasattr(X, "rechunk"):
        X = X.rechunk({1: -1})
    return list(np.ravel(X.to_delayed()))


def _seeds(random_state: Any, n: int) -> list[int]:
    return [int(rng.integers(2**31)) for rng in spawn(random_state, n)]


def _total(estimator: Any, parts: list[Any], weight: str | None) -> TableSummary:
    """Return the sum of the summaries of all partitions, added in a tree."""
    shared = delayed(estimator)
    return _tree_sum([delayed(_summarize)(shared, part, i, weight) for i, part in enumerate(parts)])


def _tree_sum(level: list[Any]) -> Any:
    """Return the sum of delayed terms, added in a tree by the workers."""
    while len(level) > 1:
        groups = (level[i : i + _SPLIT_EVERY] for i in range(0, len(level), _SPLIT_EVERY))
        level = [delayed(sum)(group) for group in groups]
    return level[0].compute()


def _fit_by_passes(
    density: Any, parts: list[Any], weight: str | None, n_steps: int, rng: np.random.Generator
) -> Any:
    """Fit to a sample of the rows, then go on with all: steps of EM, or one linear system."""
    share = [
        delayed(_some_rows)(part, -(-_START_ROWS // len(parts)), seed)
        for part, seed in zip(parts, _seeds(rng, len(parts)))
    ]
    start = delayed(_stacked)(share).compute()
    rows, mass = _named(start, weight)
    density.fit(rows, sample_weight=mass)
    before = -np.inf
    for _ in range(n_steps):
        total = _total(density, parts, weight)
        density.fit_statistics(total)
        if not isinstance(density, GaussianMixtureDensity):
            break
        height = density.loglik_ / total.statistics.mass.sum()
        if height - before <= density.tol:
            break
        before = height
    return density


def _some_rows(part: Any, n_rows: int, seed: int) -> Any:
    return _take(part, np.sort(np.random.default_rng(seed).permutation(len(part))[:n_rows]))


def _stacked(parts: list[Any]) -> Any:
    full = [part for part in parts if len(part)] or parts[:1]
    return pd.concat(full) if hasattr(full[0], "iloc") else np.concatenate(full)


def _fit_stream(
    estimator: Any, parts: list[Any], weight: str | None, n_epochs: int, rng: np.random.Generator
) -> Any:
    """Train on one partition after the other, in random order, while the next is fetched."""
    params = estimator.get_params(deep=False)
    if params.get("random_state", 0) is None:
        estimator.set_params(random_state=int(rng.integers(2**31)))
    for _ in range(n_epochs):
        order = rng.permutation(len(parts))
        for number, part in zip(order.tolist(), _fetched(parts[i] for i in order)):
            if not len(part):
                continue
            try:
                rows, share = _named(part, weight)
                estimator.partial_fit(rows, sample_weight=share)
            except ValueError as error:
                raise _in_partition(number, error) from error
    if not hasattr(estimator, "n_features_in_"):
        raise ValueError("X has no rows, so there is nothing to fit.")
    return estimator


def _fetched(parts: Iterable[Any]) -> Iterator[Any]:
    """Yield computed partitions; the next one is computed meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for part in parts:
            following = pool.submit(part.compute)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def _fit_shards(
    estimator: Any, parts: list[Any], weight: str | None, n_rows: int, rng: np.random.Generator
) -> Any:
    """Fit a copy to each partition that has rows, and stack them."""
    sizes = delayed([delayed(len)(part) for part in parts]).compute()
    full = [i for i, size in enumerate(sizes) if size]
    if not full:
        raise ValueError("X has no rows, so there is nothing to fit.")
    shared = delayed(estimator)
    fits = [
        delayed(_fit_shard, nout=2)(shared, parts[i], i, weight, n_rows, seed)
        for i, seed in zip(full, _seeds(rng, len(full)))
    ]
    found = delayed(fits).compute()
    if len(found) == 1:
        return found[0][0]
    held, mass = _named(_stacked([rows for _, rows in found]), weight)
    if not len(held):
        warn_user(
            "The partitions have too few rows to hold some out, so all copies have the same "
            "weight. Repartition X into fewer, larger partitions.",
            UserWarning,
        )
    members = [(f"partition-{i}", density) for i, (density, _) in zip(full, found)]
    return StackedDensity.of_fitted(members, held, mass)
