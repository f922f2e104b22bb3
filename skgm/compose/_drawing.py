"""Draws of the last step, taken back through the transformers."""

from typing import Any

import numpy as np

from skgm.compose._bijections import Chain

__all__ = ["complete_rows", "draw_rows"]

_MAX_ROUNDS = 1000


def draw_rows(density: Any, chain: Chain, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows in original units, (n_samples, d); draws outside the image are rejected."""
    rows = _back(density.sample(n_samples, random_state=rng), chain)
    for _ in range(_MAX_ROUNDS):
        lost = np.isnan(rows).any(axis=1)
        if not lost.any():
            return rows
        rows[lost] = _back(density.sample(int(lost.sum()), random_state=rng), chain)
    raise ValueError(
        f"After {_MAX_ROUNDS} rounds the last step still draws values that the transformers "
        "cannot produce. Use a transformer that maps onto the whole line (log in place of sqrt)."
    )


def complete_rows(
    density: Any,
    chain: Chain,
    given: np.ndarray,
    n_samples: int,
    rng: np.random.Generator,
    names: list[str],
) -> np.ndarray:
    """Return completions in original units, (m * n_samples, d), grouped by row of `given`."""
    given = given.astype(np.float64)
    with np.errstate(all="ignore"):
        given_z = chain.forward(given)
        lost = np.isnan(chain.inverse(given_z)) & ~np.isnan(given)
    if lost.any():
        row, column = np.argwhere(lost)[0]
        raise ValueError(
            f"given holds {float(given[row, column])!r} in column {names[column]!r} (row {row}), "
            "outside the support of the pipeline."
        )
    rows = _back(density.sample(n_samples, random_state=rng, given=given_z), chain)
    repeated = np.repeat(given_z, n_samples, axis=0)
    for _ in range(_MAX_ROUNDS):
        bad = np.isnan(rows).any(axis=1)
        if not bad.any():
            return rows
        rows[bad] = _back(density.sample(1, random_state=rng, given=repeated[bad]), chain)
    raise ValueError(
        f"After {_MAX_ROUNDS} rounds some rows of `given` still have no completion that the "
        "transformers can produce. They lie too far outside the training table."
    )


def _back(drawn: Any, chain: Chain) -> np.ndarray:
    with np.errstate(all="ignore"):
        return chain.inverse(np.asarray(drawn, dtype=np.float64))
