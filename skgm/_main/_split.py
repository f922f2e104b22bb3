"""Putting rows aside, and refusing tables to which no density can be fitted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from skgm._main._errors import JobError
from skgm._main._table import Table

__all__ = ["N_FOLDS", "Split", "split_table"]

TEST_SHARE = 0.25
N_FOLDS = 5
MIN_ROWS = 20
MAX_SPREAD = 1e100  # products of three still fit, as power transforms and moments need


@dataclass(frozen=True)
class Split:
    """Training and test rows, shuffled, and the folds of the training rows."""

    train: Any
    test: Any
    folds: Any


def split_table(table: Table, random_state: int) -> Split:
    """Put a quarter of the rows aside and cut the rest into folds.

    Raises
    ------
    JobError
        Too few rows for a joint normal in every fold, or a column that in the training rows of
        some fold is constant or a linear combination of the others.
    """
    from sklearn.model_selection import KFold, train_test_split

    _check_size(table)
    train, test = train_test_split(
        table.frame, test_size=TEST_SHARE, shuffle=True, random_state=random_state
    )
    folds = KFold(N_FOLDS, shuffle=True, random_state=random_state)
    for rows, _ in folds.split(train):
        _check_part(train.iloc[rows], table.origin)
    return Split(train, test, folds)


def _check_size(table: Table) -> None:
    n_rows, n_columns = table.frame.shape
    fitted_share = (1 - TEST_SHARE) * (1 - 1 / N_FOLDS)
    needed = max(MIN_ROWS, int(np.ceil((n_columns + 2) / fitted_share)))
    if n_rows < needed:
        raise JobError(
            f"{table.origin} has too few rows: {n_rows}; {n_columns} columns need at least {needed}"
        )


def _check_part(part: Any, origin: str) -> None:
    values = part.to_numpy(dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        spread = np.ptp(values, axis=0)
        _check_column(
            spread == 0,
            part,
            f"{origin}: column {{!r}} is almost constant (one value in all {len(part)} training "
            "rows of a fold); drop it",
        )
        _check_column(
            ~(spread < MAX_SPREAD),
            part,
            f"{origin}: column {{!r}} holds numbers whose squares overflow; rescale it",
        )
        _check_column(
            ~(spread > 1 / MAX_SPREAD),
            part,
            f"{origin}: column {{!r}} holds differences so small that their squares underflow; "
            "rescale it",
        )
    standardized = (values - values.mean(axis=0)) / spread
    name = _dependent_column(standardized, part.columns)
    if name is not None:
        raise JobError(
            f"{origin}: column {name!r} is a linear combination of other columns, so the table has "
            "no joint density; drop it"
        )


def _check_column(at_fault: np.ndarray, part: Any, message: str) -> None:
    if at_fault.any():
        raise JobError(message.format(part.columns[int(np.argmax(at_fault))]))


def _dependent_column(standardized: np.ndarray, names: Any) -> Any:
    """Return the last pivot of a rank-deficient table, or None; pivoted QR, eps ** (1/2) / 10."""
    r, pivots = linalg.qr(standardized, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(r))
    return names[pivots[-1]] if diagonal[-1] < 1e-9 * diagonal[0] else None
