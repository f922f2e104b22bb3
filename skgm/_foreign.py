"""Densities of other libraries: drawing rows from them as from ours."""

import inspect
from copy import copy
from typing import Any

import numpy as np

__all__ = ["draw_rows"]


def draw_rows(density: Any, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n_samples, n_features) rows from a fitted density's `sample`, in random order.

    `sample` may take a `random_state` (skgm, KernelDensity) or read it from the estimator
    (GaussianMixture, which also returns its components and groups the rows by them). The density
    itself is never changed.
    """
    if hasattr(density, "__density_tags__"):
        return np.asarray(density.sample(n_samples, random_state=rng))
    seed = int(rng.integers(2**31))
    if "random_state" in inspect.signature(density.sample).parameters:
        drawn = density.sample(n_samples, random_state=seed)
    elif hasattr(density, "random_state"):
        twin = copy(density)  # a shallow copy shares the fitted arrays, and its seed is its own
        twin.random_state = seed
        drawn = twin.sample(n_samples)
    else:
        drawn = density.sample(n_samples)
    rows = np.asarray(drawn[0] if isinstance(drawn, tuple) else drawn)
    return rows[rng.permutation(len(rows))]
