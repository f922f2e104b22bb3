"""Cuts tables into blocks of rows, so that work on long ones needs bounded memory."""

from collections.abc import Callable, Iterator

import numpy as np

__all__ = ["BLOCK", "by_blocks", "row_blocks"]

BLOCK = 2048  # rows; with tens of columns, a block stays in cache


def row_blocks(n_rows: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices of at most `size` rows that cover `n_rows` rows in order."""
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def by_blocks(
    function: Callable[[np.ndarray], np.ndarray], X: np.ndarray, size: int = BLOCK
) -> np.ndarray:
    """Return `function` of the rows of X, computed block by block.

    `function` maps (b, d) to (b, ...), each row by itself.
    """
    if len(X) <= size:
        return function(X)
    return np.concatenate([function(X[part]) for part in row_blocks(len(X), size)])
