"""Means of likelihood-ratio statistics under the null, simulated where no formula is known."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["simulated_mean"]

Params = Mapping[str, np.ndarray]
_SEED = 20260515  # private: a correction must not depend on who asks
_VALUES, _FEWEST_VALUES, _MOST_ROWS = 500_000, 20_000, 50


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
        excess = np.array([_excess(family, held, one, rows, budget) for one in each])
    return pattern.sum() + excess * min(rows / n, 1.0)


def _is_pivotal(family: Any) -> bool:
    """Whether W has one law at all parameters: a location-scale family with no shape beside."""
    return hasattr(family, "from_location_scale") and len(family.parameters) == 2


@lru_cache(maxsize=256)
def _pivotal_excess(kind: Callable[[], Any], held: tuple[bool, ...], rows: int) -> float:
    family = kind()
    unit = family.from_location_scale(np.zeros(1), np.ones(1))
    return _excess(family, held, unit, rows)


def _excess(
    family: Any, held: tuple[bool, ...], params: Params, rows: int, budget: int = _VALUES
) -> float:
    """Return E[W] - r at the parameters of one column.

    The score statistic of the tested parameters, the free ones being known, has mean r exactly;
    it follows W closely, so the mean of the difference needs few replicates.
    """
    rng = np.random.default_rng(_SEED)
    replicates = max(budget // rows, 1000)
    truth = {name: np.repeat(value, replicates) for name, value in params.items()}
    with np.errstate(all="ignore"):
        X = family.sample(truth, rows, rng)
        statistics = family.summarize(X, None)
        full = family.estimate(statistics)
        theta = family.pack(truth)
        null = family.unpack(np.where(np.array(held), theta, np.nan))
        small = family.restricted_near(statistics, null, truth)
        best = family.log_likelihood(statistics, full)
        W = 2 * (best - family.log_likelihood(statistics, small))
        difference = W - _efficient_score(family, X, truth, np.array(held))
    usable = np.isfinite(difference)
    if usable.mean() < 0.99:
        raise ValueError(
            f"correction='bartlett': too few simulated tables of {rows} rows have an estimate in "
            f"the {family.name} family; use score_test."
        )
    return float(difference[usable].mean())


def _efficient_score(family: Any, X: np.ndarray, truth: Params, held: np.ndarray) -> np.ndarray:
    """Return the squared efficient score of the tested parameters at the truth, (d,)."""
    total = family.score(X, truth).sum(axis=0)
    information = family.information({name: value[:1] for name, value in truth.items()})[0]
    inner, cross = information[np.ix_(held, held)], information[np.ix_(held, ~held)]
    pull = cross @ np.linalg.inv(information[np.ix_(~held, ~held)]) if (~held).any() else cross
    efficient = total[:, held] - total[:, ~held] @ pull.T
    variance = (inner - pull @ cross.T) * len(X)
    return np.einsum("di,ij,dj->d", efficient, np.linalg.inv(variance), efficient)
