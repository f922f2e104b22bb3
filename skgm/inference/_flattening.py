"""From named parameters to one flat vector, in the order of ``params_``.

Columns of the first parameter come first, then those of the next; of a symmetric matrix, the
lower triangle row by row, so that each free number stands once.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference.families._base import Family

__all__ = ["flat_information", "flat_scores", "flat_values"]


def flat_scores(family: Family, X: np.ndarray, params: Any, statistics: Any = None) -> np.ndarray:
    """Return parameter scores (n, k): all columns of the first parameter, then of the next.

    Where rows do not say all (right censoring), they are those of the rows in the statistics.
    """
    if family.has_information:
        psi = family.score(X, params)
    else:
        psi = family.kept_scores(statistics, params)
    return psi if psi.ndim == 2 else np.swapaxes(psi, 1, 2).reshape(len(psi), -1)


def flat_information(
    family: Family, params: Any, statistics: Any = None, *, model: bool = False
) -> np.ndarray:
    """Return the information per observation of the flat parameter vector, (k, k).

    Observed where `statistics` are given: a sandwich needs it, as its bread is right in a wrong
    model too (the two agree in exponential families). That of the model where `model` is true.
    """
    if statistics is None:
        information = family.information(params)
    elif model:
        information = family.model_information(statistics, params)
    else:
        information = family.observed_information(statistics, params)
    if information.ndim == 2:
        return information
    d, k, _ = information.shape
    flat = np.zeros((k, d, k, d))
    flat[:, np.arange(d), :, np.arange(d)] = information
    return flat.reshape(k * d, k * d)


def flat_values(params: Mapping[str, Any]) -> np.ndarray:
    """Return the parameters as one vector; of a symmetric matrix, the lower triangle by rows."""
    parts = []
    for value in params.values():
        array = np.asarray(value, dtype=np.float64)
        parts.append(array[np.tril_indices(len(array))] if array.ndim == 2 else np.ravel(array))
    return np.concatenate(parts)
