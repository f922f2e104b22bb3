"""Puts rows aside, and says which tables normal densities cannot describe."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from skgm._main._errors import JobError
from skgm._main._models import Obstacles
from skgm._main._table import Table
from skgm.tables._margins import resolution

__all__ = ["MIN_ROWS", "Split", "find_obstacles", "split_table", "spread"]

TEST_SHARE = 0.25
N_FOLDS = 5
FOLDS_UP_TO = 500  # training rows; beyond, one validation part is precise enough
MIN_ROWS = 20
MAX_SPREAD = 1e100  # products of three still fit, as power transforms and moments need


@dataclass(frozen=True)
class Split:
    """Training and test rows, shuffled, and the folds of the training rows.

    In the spread rows each rounded number is drawn uniformly from the interval that is rounded to
    it, so that densities compare with probabilities over the width of the interval. Whole numbers
    of a mixed table stay whole.
    """

    train: Any
    test: Any
    spread_train: Any
    spread_test: Any
    folds: list[tuple[np.ndarray, np.ndarray]]
    obstacles: Obstacles
    n_rows: int


def split_table(table: Table, n_rows: int, random_state: int) -> Split:
    """Put a quarter of at most `n_rows` rows aside and cut the rest into folds.

    Raises
    ------
    JobError
        Too few rows.
    """
    from sklearn.model_selection import KFold, ShuffleSplit

    frame = table.frame
    if len(frame) < MIN_ROWS:
        raise JobError(
            f"{table.origin} has too few rows: {len(frame)}; a density needs at least {MIN_ROWS}"
        )
    rng = np.random.default_rng(random_state)
    chosen = frame.iloc[rng.permutation(len(frame))[:n_rows]]
    n_test = round(TEST_SHARE * len(chosen))
    test, train = chosen.iloc[:n_test], chosen.iloc[n_test:]
    test = test[_known(test, train)]
    empty = [str(name) for name in train if train[name].isna().all()]
    if empty:
        raise JobError(
            f"{table.origin}: column {empty[0]!r} has too few values to learn from; leave it out "
            f"by --drop {empty[0]}"
        )
    cut = (
        KFold(N_FOLDS, shuffle=True, random_state=random_state)
        if len(train) <= FOLDS_UP_TO
        else ShuffleSplit(1, test_size=TEST_SHARE, random_state=random_state)
    )
    folds = [
        (fitted, held[_known(train.iloc[held], train.iloc[fitted])])
        for fitted, held in cut.split(train)
    ]
    found = find_obstacles(table)
    whole = table.is_numeric
    parts = (train, test, spread(train, frame, rng, whole), spread(test, frame, rng, whole))
    return Split(*parts, folds, found, len(chosen))


def _known(rows: Any, seen: Any) -> np.ndarray:
    """Tell which rows have only categories that other rows have seen."""
    known = np.ones(len(rows), dtype=bool)
    for name, column in seen.items():
        if column.dtype == object:
            known &= (rows[name].isin(column.dropna().unique()) | rows[name].isna()).to_numpy()
    return known


def spread(rows: Any, frame: Any, rng: np.random.Generator, whole: bool) -> Any:
    """Return rows with numbers spread over the intervals that are rounded to them.

    Whole numbers are spread too, and become real ones, if `whole`.
    """
    found = rows.copy()
    for name, column in frame.items():
        if column.dtype.kind == "f" or (whole and column.dtype.kind == "i"):
            step = resolution(column.dropna().to_numpy(dtype=float))
            found[name] = rows[name].astype(float) + step * rng.uniform(-0.5, 0.5, len(rows))
    return found


def find_obstacles(table: Table) -> Obstacles:
    """Say which densities do not suit a table, and why."""
    frame = table.frame
    holes = frame.isna().any()
    reals = [name for name, style in table.styles.items() if style.kind == "real"]
    hole = f"column {frame.columns[int(np.argmax(holes))]!r} has missing values"
    masses = [name for name in reals if _has_point_mass(frame[name].dropna().to_numpy())]
    mass = f"column {masses[0]!r} has point masses" if masses else None
    to_mixed = hole if holes.any() else mass
    texts = [name for name, style in table.styles.items() if style.kind == "category"]
    if texts:
        text = f"column {texts[0]!r} holds categories"
        return Obstacles(text, to_mixed, mass or (None if reals else text))
    odd = [(name, _odd_column(frame[name].dropna().to_numpy(dtype=float))) for name in frame]
    why = next((f"column {name!r} {fault}" for name, fault in odd if fault), None)
    to_numbers = to_mixed or why or _joint_obstacle(frame)
    return Obstacles(to_numbers, to_mixed, mass or why)


def _joint_obstacle(frame: Any) -> str | None:
    values = frame.to_numpy(dtype=np.float64)
    needed = int(np.ceil((frame.shape[1] + 2) / ((1 - TEST_SHARE) * (1 - 1 / N_FOLDS))))
    if len(frame) < needed:
        return f"{frame.shape[1]} columns of numbers need {needed} rows"
    standardized = (values - values.mean(axis=0)) / np.ptp(values, axis=0)
    name = _dependent_column(standardized, frame.columns)
    if name is None:
        return None
    return (
        f"column {name!r} is a linear combination of others, which synthetic rows will not keep "
        f"(--drop {name})"
    )


def _has_point_mass(values: np.ndarray) -> bool:
    """Tell whether many rows share a real number that is not rounded."""
    if resolution(values):
        return False
    return bool(np.unique(values, return_counts=True)[1].max() > max(5, len(values) / 100))


def _odd_column(column: np.ndarray) -> str:
    if len(column) < MIN_ROWS:
        return f"has {len(column)} values only"
    with np.errstate(over="ignore", invalid="ignore"):
        reach = np.ptp(column)
    if not 1 / MAX_SPREAD < reach < MAX_SPREAD:
        return f"ranges over {reach:.3g}, whose square overflows or underflows"
    _, counts = np.unique(column, return_counts=True)
    if counts.max() > 0.75 * len(column):
        return f"is almost constant (one value in {counts.max()} rows)"
    return "takes two values only" if len(counts) == 2 else ""


def _dependent_column(standardized: np.ndarray, names: Any) -> Any:
    """Return the last pivot of a rank-deficient table, or None; pivoted QR, eps ** (1/2) / 10."""
    r, pivots = linalg.qr(standardized, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(r))
    return names[pivots[-1]] if diagonal[-1] < 1e-9 * diagonal[0] else None
