"""Runs independent parts of a computation on several cores; the only module that imports joblib."""

import numbers
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Any

import numpy as np
from joblib import effective_n_jobs as n_workers
from joblib import hash as content_hash
from joblib import parallel_config
from sklearn.utils.parallel import Parallel, delayed

from skgm._numerics.blocks import row_blocks
from skgm._sklearn import limit_blas_threads, limit_openmp_threads, limit_threads
from skgm._warnings import warn_user

__all__ = [
    "LARGE",
    "N_JOBS",
    "content_hash",
    "map_rows",
    "n_workers",
    "ordered_map",
    "worker_threads",
]

# The entry for `_parameter_constraints` of constructors that take `n_jobs`.
N_JOBS: list[Any] = [numbers.Integral, None]

# Values that a task of many seconds may send to a worker process; threads share larger tables.
LARGE = 2**23

Around = Callable[[int, bool], AbstractContextManager[Any]]


def ordered_map(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    n_jobs: int | None = None,
    threads: bool = False,
    around: Around | None = None,
    labels: Iterable[str] | None = None,
) -> Iterator[Any]:
    """Yield `function` of each item in their order, `n_jobs` of them at a time.

    The results do not depend on `n_jobs`: an item brings its own random stream or seed, drawn
    before it is handed out. Every worker has one thread for linear algebra and OpenMP loops; an
    explicit ``n_jobs=1`` has one too, so that its sums have the same order. Items may come from a
    generator, which runs in this process, a few items ahead of the workers.

    Parameters
    ----------
    function : callable
        Takes one item. In processes function, items and results are pickled.
    items : iterable
        The work.
    n_jobs : int, default=None
        As in scikit-learn: None is one worker unless ``joblib.parallel_config`` says otherwise,
        -1 all cores.
    threads : bool, default=False
        Whether threads serve, for work that leaves Python's lock alone and issues no warnings of
        ours. A backend that ``joblib.parallel_config`` names goes before.
    around : callable, default=None
        Takes the number of an item and whether it is computed here; returns the context in which
        it is computed, or in which its end is announced where a worker has computed it.
    labels : iterable of str, default=None
        What each item is, for the note on the error of a worker.

    Yields
    ------
    result : object
        What `function` returned. Warnings of workers are issued again here.
    """
    around = around or (lambda i, here: nullcontext())
    pairs = zip(items, repeat("") if labels is None else labels)
    if n_workers(n_jobs) == 1:
        for i, (item, label) in enumerate(pairs):
            with around(i, True), limit_threads(None if n_jobs is None else 1):
                result = _noted(function, item, label)
            yield result
        return
    work = (delayed(_work)(function, item, label) for item, label in pairs)
    with limit_blas_threads(1):  # one limit for all threads of this process
        for i, (result, caught) in enumerate(_jobs(n_jobs, threads)(work)):
            for warning in caught:
                warn_user(warning)
            with around(i, False):
                pass
            yield result


def worker_threads(n_jobs: int) -> AbstractContextManager[Any]:
    """Return a context in which maps with ``n_jobs=None`` have that many workers, threads."""
    return parallel_config(backend="threading", n_jobs=n_jobs)


def _jobs(n_jobs: int | None, threads: bool) -> Parallel:
    prefer = "threads" if threads else "processes"
    # no memory maps: fitted attributes may be views of what a worker was given
    options: dict[str, Any] = {"n_jobs": n_jobs, "prefer": prefer, "max_nbytes": None}
    try:
        return Parallel(return_as="generator", **options)
    except ValueError:  # a backend without generators
        return Parallel(**options)


def _work(function: Callable[[Any], Any], item: Any, label: str) -> tuple[Any, list[Warning]]:
    """Return the result and the warnings of one item, in a worker."""
    if threading.current_thread() is not threading.main_thread():
        with limit_openmp_threads(1):  # filters of warnings belong to all threads
            return _noted(function, item, label), []
    with warnings.catch_warnings(record=True) as caught, limit_threads(1):
        warnings.simplefilter("always")
        result = _noted(function, item, label)
    return result, [warning.message for warning in caught]  # type: ignore[misc]


def _noted(function: Callable[[Any], Any], item: Any, label: str) -> Any:
    try:
        return function(item)
    except Exception as error:
        if label:
            error.add_note(f"The error came in {label}.")
        raise


def map_rows(
    function: Callable[[np.ndarray], np.ndarray],
    X: np.ndarray,
    *,
    size: int,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Return `function` of the rows of X, computed a block at a time, `n_jobs` blocks at once.

    `function` maps (b, d) to (b, ...), each row by itself. Blocks of `size` rows do not depend on
    `n_jobs`. Memory beyond the result is that of a few blocks.
    """
    if len(X) <= size:
        return function(X)
    blocks = list(row_blocks(len(X), size))
    parts = ordered_map(
        function,
        (X[block] for block in blocks),
        n_jobs=n_jobs,
        labels=(f"rows {block.start} to {block.stop - 1}" for block in blocks),
    )
    first = next(parts)
    result = np.empty((len(X), *first.shape[1:]), dtype=first.dtype)
    result[blocks[0]] = first
    for block, part in zip(blocks[1:], parts):
        result[block] = part
    return result
