"""From a training table to the rows that data are: weights, constant columns, lattices."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgWarning

from skgm._warnings import warn_user
from skgm.nce._lattice import (
    LatticeReport,
    dependent_columns,
    dequantize,
    duplicated_columns,
    inspect_lattice,
    warn_lattice,
)

__all__ = ["Prepared", "prepare_rows", "refuse_degenerate_columns", "repeat_rows"]

MAX_REPEATED = 1_000_000  # rows; beyond, whole-number weights stay weights


class Prepared(NamedTuple):
    """Rows ready for estimation.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Float64.
    weight : ndarray of shape (n,) or None
        Positive; None where all are one.
    lattice : LatticeReport or None
        None for tables of zeros and ones.
    """

    X: np.ndarray
    weight: np.ndarray | None
    lattice: LatticeReport | None


def prepare_rows(
    table: np.ndarray,
    weight: np.ndarray | None,
    names: list[str],
    *,
    lattice: str,
    discrete: bool,
    rng: np.random.Generator,
) -> Prepared:
    """Drop rows of weight zero, repeat rows of whole weight, and treat rounded columns."""
    X = table.astype(np.float64)
    if weight is not None:
        X, weight = X[weight > 0], weight[weight > 0]
    if len(X) < 2:
        raise ValueError(
            f"Found {len(X)} sample(s) with positive weight while a minimum of 2 is required."
        )
    if discrete:
        return Prepared(*repeat_rows(X, weight), None)
    refuse_degenerate_columns(X, names)
    report = inspect_lattice(X)
    if lattice == "warn":
        warn_lattice(report, names)
    elif lattice == "dequantize":
        X = dequantize(X, report, rng)
    _warn_of_singular_columns(X, names)
    return Prepared(*repeat_rows(X, weight), report)


def repeat_rows(X: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn whole-number weights into repetitions; others stay as they are."""
    if weight is None:
        return X, None
    if (weight == np.round(weight)).all() and weight.sum() <= MAX_REPEATED:
        return np.repeat(X, weight.astype(np.intp), axis=0), None
    return X, weight


def refuse_degenerate_columns(X: np.ndarray, names: list[str]) -> None:
    """Raise a ValueError that names a column that is constant or whose squares overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        spread = X.std(axis=0)
    constant = (np.ptp(X, axis=0) == 0) | (spread == 0)
    extreme = ~np.isfinite(spread) | (spread > 1e150)
    if constant.any():
        j = int(np.argmax(constant))
        raise ValueError(
            f"Column {names[j]!r} is constant ({X[0, j]:g}), so it has no density. Drop it "
            "(for example with sklearn.feature_selection.VarianceThreshold)."
        )
    if extreme.any():
        j = int(np.argmax(extreme))
        raise ValueError(
            f"The variance of column {names[j]!r} overflows. Rescale the columns before fitting."
        )


def _warn_of_singular_columns(X: np.ndarray, names: list[str]) -> None:
    twins = duplicated_columns(X)
    dependent = dependent_columns(X) if twins is None else []
    if twins is not None:
        one, other = (names[j] for j in twins)
        found, cure = f"{one!r} and {other!r} are equal up to scale and shift", "Drop one."
    elif dependent:
        shown = ", ".join(repr(names[j]) for j in dependent[:5])
        more = f" and {len(dependent) - 5} more" if len(dependent) > 5 else ""
        found, cure = f"{shown}{more} determine one another linearly", "Drop one of them."
    else:
        return
    warn_user(
        f"Columns {found}: they have no joint density, and the likelihood depends on the ridge "
        f"that replaces it. {cure}",
        LinAlgWarning,
    )
