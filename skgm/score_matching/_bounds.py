"""Boundaries of the domain: what `bounds` may be, and rows outside."""

from typing import Any

import numpy as np

__all__ = ["check_bounds", "refuse_outside_bounds"]


def check_bounds(bounds: Any, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper bound of each column, (d,) each, from a `bounds` parameter.

    Raises
    ------
    ValueError
        Neither "positive" nor a pair of numbers or arrays of length d with lower < upper.
    """
    if isinstance(bounds, str) and bounds == "positive":
        return np.zeros(n_columns), np.full(n_columns, np.inf)
    try:
        lower, upper = (
            np.array(np.broadcast_to(np.asarray(end, dtype=np.float64), (n_columns,)))
            for end in bounds
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bounds must be 'positive' or a pair (lower, upper) of numbers or of {n_columns} "
            f"numbers each; got {bounds!r}."
        ) from error
    crossed = ~(lower < upper)
    if crossed.any():
        j = int(np.argmax(crossed))
        raise ValueError(
            f"bounds must have lower < upper in every column; column number {j} has "
            f"{lower[j]:g} and {upper[j]:g}."
        )
    return lower, upper


def refuse_outside_bounds(
    X: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    names: list[str] | None = None,
    *,
    shown: np.ndarray | None = None,
) -> None:
    """Raise a ValueError that names the first column and row of X outside the bounds.

    `shown`, (n, d), are the rows in the units of the user, where X and the bounds are not.
    """
    outside = ~((lower <= X) & (upper >= X))
    if not outside.any():
        return
    row, j = (int(k) for k in np.argwhere(outside)[0])
    label = f"x{j}" if names is None else names[j]
    where = f" [{lower[j]:g}, {upper[j]:g}]" if shown is None else ""
    value = float((X if shown is None else shown)[row, j])
    raise ValueError(
        f"Column {label!r} holds {value!r} at row {row}, outside its bounds{where}. Drop such "
        "rows, or widen `bounds`."
    )
