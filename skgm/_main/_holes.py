"""Puts holes into drawn rows where the rows of a table have them, given its complete columns."""

from typing import Any

import numpy as np

__all__ = ["with_holes"]

_MOST_ROWS = 5_000  # of the table that the classifiers of holes see


def with_holes(drawn: Any, frame: Any, rng: np.random.Generator) -> Any:
    """Return drawn rows with holes in the shares of the table, where its rows would have them.

    A chain of classifiers gives the probability of a hole in one column after another, given the
    columns without holes and the holes before it.
    """
    missing = frame.isna().to_numpy()
    holed = np.flatnonzero(missing.any(axis=0))
    if not len(holed):
        return drawn
    complete = [name for name in frame if not frame[name].isna().any()]
    if not complete:
        every = rng.permutation(np.arange(len(drawn)) % len(missing))
        return drawn.mask(missing[every])
    found = np.zeros((len(drawn), frame.shape[1]), dtype=bool)
    found[:, holed] = _draw(frame[complete], drawn[complete], missing[:, holed], rng)
    return drawn.mask(found)


def _draw(frame: Any, drawn: Any, missing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where drawn rows have holes, (m, h), from where the table has them, (n, h)."""
    from skgm.chain._categories import CategoryChain

    features, drawn_features = _coded(frame, drawn)
    h = missing.shape[1]
    coded = np.hstack([features, missing])
    chosen = rng.permutation(len(coded))[:_MOST_ROWS]
    columns: list[dict[str, Any]] = [{"name": name, "kind": "real"} for name in frame]
    hole = {"kind": "category", "values": [False, True], "ordered": False}
    columns += [{"name": f"hole {j}", **hole} for j in range(h)]
    seed = int(rng.integers(2**31))
    chain = CategoryChain.fit(coded[chosen], columns, None, 0, None, seed)
    empty = np.hstack([drawn_features, np.zeros((len(drawn), h))])
    return chain.draw(empty, None, rng)[:, -h:] > 0.5


def _coded(frame: Any, drawn: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both tables as numbers; categories by how often the first table has them."""
    first, second = [], []
    for name, column in frame.items():
        if column.dtype.kind in "fiub":
            first.append(column.to_numpy(dtype=float))
            second.append(drawn[name].to_numpy(dtype=float))
            continue
        places = {value: i for i, value in enumerate(column.value_counts().index)}
        first.append(column.map(places).to_numpy(dtype=float))
        second.append(drawn[name].map(places).to_numpy(dtype=float))
    return np.column_stack(first), np.column_stack(second)
