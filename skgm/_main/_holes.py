"""Puts holes into drawn rows where the rows of a table have them."""

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

__all__ = ["with_holes"]

_MOST_ROWS = 5_000  # of the table that the classifiers of holes see


def with_holes(drawn: Any, frame: Any, rng: np.random.Generator) -> Any:
    """Return drawn rows with holes in the shares of the table, where its rows would have them.

    One column after another, those with the fewest holes first: a classifier gives the probability
    of a hole from the columns without holes, and from the values and the holes of those before.
    """
    missing = frame.isna()
    counts = missing.sum()
    holed = counts[counts > 0].sort_values(kind="stable").index
    parts = [_coded(frame[name], drawn[name]) for name in frame if not counts[name]]
    found = {}
    for name in holed:
        hole = missing[name].to_numpy()
        found[name] = _draw(parts, hole, len(drawn), rng)
        part, drawn_part = _coded(frame[name], drawn[name])
        low = np.nanmin(part) - max(float(np.ptp(part[~hole])), 1.0)  # trees split holes off
        parts.append((np.where(hole, low, part), np.where(found[name], low, drawn_part)))
    return drawn.assign(**{str(name): drawn[name].mask(hole) for name, hole in found.items()})


def _draw(
    parts: list[tuple[np.ndarray, np.ndarray]], hole: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return where n drawn rows have a hole in one column, from where the table has them."""
    from skgm.chain._categories import CategoryChain

    if not parts:
        return rng.permutation(n) < np.rint(hole.mean() * n)
    table, drawn = (np.column_stack(features) for features in zip(*parts))
    columns: list[dict[str, Any]] = [{"name": j, "kind": "real"} for j in range(len(parts))]
    columns.append({"name": "hole", "kind": "category", "values": [False, True], "ordered": False})
    chosen = rng.permutation(len(table))[:_MOST_ROWS]
    coded = np.column_stack([table, hole])[chosen]
    chain = CategoryChain.fit(coded, columns, None, 0, None, int(rng.integers(2**31)))
    there, gone = (
        chain.log_probability(np.column_stack([drawn, np.full(n, code)]), new=False)[:, 0]
        for code in (0.0, 1.0)
    )
    return _picked(gone - there, float(hole.mean()), rng)


def _picked(log_odds: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Pick this share of the rows, by their odds times one factor."""
    n = len(log_odds)
    odds = np.clip(log_odds, -50.0, 50.0)
    shift = brentq(lambda c: expit(odds + c).mean() - share, -200.0, 200.0)
    order = rng.permutation(n)
    total = np.cumsum(expit(odds + shift)[order])
    steps = np.floor(np.append(0.0, total) * (round(share * n) / total[-1]) + rng.random())
    picked = np.empty(n, dtype=bool)
    picked[order] = np.diff(steps) > 0.5
    return picked


def _coded(column: Any, drawn: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of both tables as numbers, NaN for holes; categories by their frequency."""
    if column.dtype.kind not in "fiub":
        places = {value: i for i, value in enumerate(column.value_counts().index)}
        column, drawn = column.map(places), drawn.map(places)
    return tuple(
        part.astype("Float64").to_numpy(dtype=float, na_value=np.nan) for part in (column, drawn)
    )
