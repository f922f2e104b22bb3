"""Means of likelihood-ratio statistics under the null, simulated where no formula is known."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["simulated_mean"]

Params = Mapping[str, np.ndarray]
_SEED = 20260515  # private: a correction must not depend on who asks
_VALUES, _FEWEST_VALUES, _MOST_ROWS, _BATCH = 500_000, 20_000, 50, 5000


def simulated_mean(family: Any, pattern: np.ndarray, params: Params, n: float) -> np.ndarray:
    """Return E[W] per column, (d,), from replicates drawn at the restricted estimate.

    Beyond 50 rows the excess over the number of restrictions is that at 50 rows, scaled by 1/n.
    The same seed is used in every call, so that the correction is a smooth function of the
    parameters.

    Parameters
    ----------
    family : Family
        Of independent columns.
    pattern : ndarray of bool, shape (k,)
        The restricted parameters.
    params : dict of str to ndarray of shape (d,)
        The estimate under the null.
    n : float
        Number of rows.

    Returns
    -------
    mean : ndarray of shape (d,)
    """
    rows = int(min(max(round(n), 2), _MOST_ROWS))
    d = len(next(iter(params.values())))
    held = tuple(bool(entry) for entry in pattern)
    if _is_pivotal(family):
        kind: Any = type(family)
        excess = np.full(d, _pivotal_excess(kind, held, rows))
    else:
        each = [{name: value[[j]] for name, value in params.items()} for j in range(d)]
        budget = max(_VALUES // d, _FEWEST_VALUES)  # many columns share the work
        families = [family.columns([j]) for j in range(d)]
        excess = np.array(
            [_excess(own, held, one, rows, budget) for own, one in zip(families, each)]
        )
    return pattern.sum() + excess * min(rows / n, 1.0)


def _is_pivotal(family: Any) -> bool:
    """Whether W has one law at all parameters: a location-scale family with no shape beside."""
    two = hasattr(family, "from_location_scale") and len(family.parameters) == 2
    return two and not vars(family)  # settings of an instance may be a shape


@lru_cache(maxsize=256)
def _pivotal_excess(kind: Callable[[], Any], held: tuple[bool, ...], rows: int) -> float:
    family = kind()
    unit = family.from_location_scale(np.zeros(1), np.ones(1))
    return _excess(family, held, unit, rows)


def _excess(
    family: Any, held: tuple[bool, ...], params: Params, rows: int, budget: int = _VALUES
) -> float:
    """Return E[W] - r at the parameters of one column.

    Control variates: the total scores at the truth, and their products, have known means; the
    mean of W is the intercept of a regression on them.
    """
    rng = np.random.default_rng(_SEED)
    waiting, parts = max(budget // rows, 1000), []
    while waiting > 0:  # in batches: one slow search holds up its own batch alone
        batch = min(waiting, _BATCH)
        parts.append(_ratios_and_controls(family, held, params, (rows, batch), rng))
        waiting -= batch
    table = np.concatenate(parts)
    usable = np.isfinite(table).all(axis=1)
    if usable.mean() < 0.99:
        raise ValueError(
            f"correction='bartlett': too few simulated tables of {rows} rows have an estimate in "
            f"the {family.name} family; use score_test."
        )
    W, controls = table[usable, 0], table[usable, 1:]
    design = np.column_stack([np.ones(len(W)), controls])
    return float(np.linalg.lstsq(design, W, rcond=None)[0][0]) - sum(held)


def _ratios_and_controls(
    family: Any,
    held: tuple[bool, ...],
    params: Params,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return W of simulated tables and what has mean zero beside it, (replicates, 1 + ...)."""
    rows, replicates = size
    truth = {name: np.repeat(value, replicates) for name, value in params.items()}
    information = family.information(params)[0] * rows
    family = family.columns(np.zeros(replicates, dtype=int))
    with np.errstate(all="ignore"):
        X = family.sample(truth, rows, rng)
        statistics = family.summarize(X, None)
        full = family.estimate(statistics)
        null = family.unpack(np.where(np.array(held), family.pack(truth), np.nan))
        small = family.restricted_near(statistics, null, truth)
        best = family.log_likelihood(statistics, full)
        W = 2 * (best - family.log_likelihood(statistics, small))
        total = family.score(X, truth).sum(axis=0)
    z = np.linalg.solve(np.linalg.cholesky(information), total.T).T  # mean 0, covariance 1
    i, j = np.tril_indices(len(held))
    return np.column_stack([W, z, z[:, i] * z[:, j] - (i == j)])
