"""Rows of the model given some of their visible units."""

import numpy as np

from skgm.rbm._chains import TemperedChains
from skgm.rbm._parameters import RBMParameters
from skgm.rbm._tempering import burn, draw_enumerated, sample_rows, warn_unmixed

__all__ = ["draw_given"]

_MAX_ENUMERATED = 16  # units, for every distinct row of `given`
_BLOCK = 2**21  # values of the visible units of all chains: 16 MB


def draw_given(
    parameters: RBMParameters, given: np.ndarray, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Complete rows; exactly where the free units or the hidden layer can be enumerated.

    Holding visible units leaves a smaller machine: the known units only move the intercepts of the
    hidden ones. Where neither its free visible units nor the hidden units are at most 16, tempered
    chains of all rows run side by side, two or more for each, until they have mixed.

    Parameters
    ----------
    parameters : RBMParameters
    given : ndarray of shape (r, m)
        0 or 1 where known, NaN where to be drawn.
    n_samples : int
        Completions per row.
    rng : Generator

    Returns
    -------
    rows : ndarray of shape (r * n_samples, m)
        Grouped by row of `given`; independent within a group.
    """
    p = parameters.as_float64()
    given = np.asarray(given, dtype=np.float64)
    drawn = np.empty((len(given), n_samples, p.n_visible))
    chained: list[int] = []
    for asked in _alike(given):
        row = given[asked[0]]
        free = int(np.isnan(row).sum())
        if min(free, p.n_hidden) <= _MAX_ENUMERATED:
            rows = _enumerated(p, row, len(asked) * n_samples, rng)
        elif free == p.n_visible:
            rows = sample_rows(p, len(asked) * n_samples, rng)[0]
        else:
            chained.extend(asked.tolist())
            continue
        drawn[asked] = rows.reshape(len(asked), n_samples, -1)
    for block in _blocks(np.array(chained, dtype=np.intp), max(2, n_samples) * p.n_visible):
        drawn[block] = _chained(p, given[block], n_samples, rng)
    return drawn.reshape(-1, p.n_visible)


def _alike(given: np.ndarray) -> list[np.ndarray]:
    """Return the indices of equal rows, group by group."""
    _, which = np.unique(np.where(np.isnan(given), -1.0, given), axis=0, return_inverse=True)
    which = which.ravel()
    order = np.argsort(which, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(which[order])) + 1)


def _enumerated(p: RBMParameters, row: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    known = ~np.isnan(row)
    rows = np.tile(row, (n, 1))
    if not known.all():
        rows[:, ~known] = draw_enumerated(p.clamped(known, row[known]), n, rng)
    return rows


def _chained(
    p: RBMParameters, given: np.ndarray, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (rows, n_samples, m); at least two chains per row, for R-hat to compare."""
    copies = max(2, n_samples)
    chains = TemperedChains(p, len(given), copies, rng, given=given)
    burn_in, r_hat = burn(chains)
    warn_unmixed(r_hat, burn_in)
    return chains.top.reshape(len(given), copies, -1)[:, :n_samples]


def _blocks(indices: np.ndarray, width: int) -> list[np.ndarray]:
    size = max(1, _BLOCK // (8 * width))  # eight temperatures, or so
    return [indices[i : i + size] for i in range(0, len(indices), size)]
