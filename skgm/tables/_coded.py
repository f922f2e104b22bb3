"""Reads the tables of a report as columns that compare: numbers, or codes of categories."""

from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import narwhals as nw
import numpy as np

from skgm.tables._columns import column_kinds
from skgm.tables._frames import frame_fault
from skgm.tables._margins import resolution
from skgm.tables._times import TIMES

__all__ = [
    "Column",
    "Tables",
    "as_frame",
    "distance_codes",
    "places",
    "read_tables",
    "rounded",
    "thinned",
]

MIN_ROWS = 10
_MOST_POINTS = 30  # categories of a column that have a direction of their own in distances


@dataclass(frozen=True, eq=False)
class Column:
    """One column of all tables.

    Attributes
    ----------
    name : object
        Its label.
    kind : {"number", "category"}
        Dates and durations are numbers, of seconds.
    values : tuple
        For categories, the value of each code.
    step : float
        For numbers, the resolution to which the real ones are recorded; 0 for none.
    is_time : bool
        Whether the numbers stand for dates.
    """

    name: Any
    kind: str
    values: tuple[Any, ...] = ()
    step: float = 0.0
    is_time: bool = False

    @property
    def is_category(self) -> bool:
        """Whether the column holds categories."""
        return self.kind == "category"

    def written(self, value: float) -> str:
        """Return a coded value in words."""
        if self.is_category:
            return repr(self.values[int(value)])
        if self.is_time:
            return str(np.datetime64("1970-01-01T00:00:00") + np.timedelta64(round(value), "s"))
        return f"{value:.6g}"


@dataclass(frozen=True, eq=False)
class Tables:
    """Coded tables of the columns that real and synthetic rows share.

    Attributes
    ----------
    columns : tuple of Column
        The shared columns, in the order of the real table.
    real, synthetic : ndarray of shape (n_rows, n_columns)
        float64, NaN for a missing value.
    holdout : ndarray or None
        Real rows that were held out, where there are any.
    lacking, extra : tuple
        Columns of the real table alone, and of the synthetic one alone.
    """

    columns: tuple[Column, ...]
    real: np.ndarray
    synthetic: np.ndarray
    holdout: np.ndarray | None
    lacking: tuple[Any, ...] = ()
    extra: tuple[Any, ...] = ()

    @property
    def names(self) -> list[Any]:
        """Labels of the shared columns."""
        return [column.name for column in self.columns]

    @property
    def categories(self) -> np.ndarray:
        """Which columns hold categories, (n_columns,)."""
        return np.array([column.is_category for column in self.columns])


def rounded(tables: Tables) -> np.ndarray:
    """Return the synthetic rows rounded as the real ones are: decimals would tell all apart."""
    rows = tables.synthetic.copy()
    for j, column in enumerate(tables.columns):
        rows[:, j] = _on_grid(rows[:, j], column.step)
    return rows


def _on_grid(x: np.ndarray, step: float) -> np.ndarray:
    """Round to decimals: 28 * 0.1 is not 2.8, and trees would tell them apart."""
    return np.round(x, round(-np.log10(step))) if step else x


def _without_dust(x: np.ndarray, step: float) -> np.ndarray:
    """Round values that differ from a decimal fraction only by their form in binary."""
    decimal = _on_grid(x, step)
    return np.where(np.abs(x - decimal) <= 1e-9 * np.abs(x), decimal, x)


def as_frame(X: Any, what: str, names: list[Any] | None = None) -> Any:
    """Return a table as a pandas frame; the columns of an array get `names`, or x0, x1, ..."""
    import pandas as pd

    fault = frame_fault(X, dates=True)
    if fault is not None:
        raise ValueError(fault.replace("X", what, 1))
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        native = X if nw.dependencies.is_pandas_dataframe(X) else frame.to_pandas()
        return native.reset_index(drop=True)
    array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    if array.ndim != 2:
        raise ValueError(
            f"{what} must be a table, (n_rows, n_columns); got {array.ndim} dimensions. Reshape it "
            "to one row per sample."
        )
    fitting = names is not None and len(names) == array.shape[1]
    labels = names if fitting else [f"x{j}" for j in range(array.shape[1])]
    return pd.DataFrame(array, columns=labels).infer_objects()


def read_tables(real: Any, synthetic: Any, holdout: Any = None) -> Tables:
    """Return the tables coded alike.

    Raises
    ------
    ValueError
        Tables without a shared column, of fewer than ten rows, with infinite numbers, or with text
        where the real rows have numbers or dates; the column is named.
    """
    frame = as_frame(real, "real")
    names = list(frame.columns)
    frames = {"real": frame, "synthetic": as_frame(synthetic, "synthetic", names)}
    if holdout is not None:
        frames["holdout"] = as_frame(holdout, "holdout", names)
    for what, table in frames.items():
        if len(table) < MIN_ROWS:
            raise ValueError(f"{what} must have at least {MIN_ROWS} rows; got {len(table)}.")
    there = list(frames["synthetic"].columns)
    shared = [name for name in names if name in there]
    if not shared:
        raise ValueError(
            f"real and synthetic share no column: real has {names[:20]}, synthetic {there[:20]}."
        )
    gone = [name for name in shared if holdout is not None and name not in frames["holdout"]]
    if gone:
        raise ValueError(f"holdout lacks column {gone[0]!r} of real.")
    kinds = column_kinds(frame[shared], "from_dtype", "from_dtype") or ["real"] * len(shared)
    columns, coded = [], []
    for name, kind in zip(shared, kinds):
        column, parts = _coded(name, kind, {what: table[name] for what, table in frames.items()})
        columns.append(column)
        coded.append(parts)
    tables = [np.column_stack(parts) for parts in zip(*coded)]
    lacking = tuple(name for name in names if name not in there)
    extra = tuple(name for name in there if name not in names)
    held_out = tables[2] if holdout is not None else None
    return Tables(tuple(columns), tables[0], tables[1], held_out, lacking, extra)


def _coded(name: Any, kind: str, series: dict[str, Any]) -> tuple[Column, list[np.ndarray]]:
    """Return a column and its coded values in each table."""
    if kind == "category":
        values: dict[Any, int] = {}
        known = {what: _known(part) for what, part in series.items()}
        for items, missing in known.values():
            for item, hole in zip(items, missing):
                if not hole:
                    values.setdefault(item, len(values))
        parts = [
            np.array([np.nan if hole else values[item] for item, hole in zip(items, missing)])
            for items, missing in known.values()
        ]
        return Column(name, "category", tuple(values)), parts
    convert = _seconds if kind in TIMES else _numbers
    parts = [convert(part, name, kind, what) for what, part in series.items()]
    observed = parts[0][~np.isnan(parts[0])]
    step = 1.0 if kind == "integer" else resolution(observed)
    parts = [_without_dust(part, step) for part in parts]
    return Column(name, "number", step=step, is_time=kind == "datetime"), parts


def _known(series: Any) -> tuple[list[Any], list[bool]]:
    items = [item.item() if isinstance(item, np.generic) else item for item in series.tolist()]
    return items, series.isna().tolist()


def _numbers(series: Any, name: Any, kind: str, what: str) -> np.ndarray:
    import pandas as pd

    try:
        values = pd.to_numeric(series).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {name!r} of {what} holds values that are no numbers, where real has numbers. "
            "Give the column the same type in all tables."
        ) from error
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise ValueError(
            f"Column {name!r} of {what} holds infinity at row {row}; drop the row or make it NaN."
        )
    return values


def _seconds(series: Any, name: Any, kind: str, what: str) -> np.ndarray:
    import pandas as pd

    second = pd.Timedelta(seconds=1)
    try:
        if kind == "duration":
            return (pd.to_timedelta(series) / second).to_numpy(dtype=np.float64)
        moments = pd.to_datetime(series, utc=True)
        start = pd.Timestamp(0, tz="UTC")
        return ((moments - start) / second).to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {name!r} of {what} holds values that are no dates or durations, where real "
            "has them. Give the column the same type in all tables."
        ) from error


def thinned(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most that many of the rows, chosen at random without replacement."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(rng.choice(len(rows), most, replace=False))]


def distance_codes(columns: tuple[Column, ...], base: np.ndarray, *tables: np.ndarray) -> Any:
    """Return tables as points whose squared distances add up over columns.

    A number becomes its place among those of `base`, from 0 to 1 times the square root of 12, so
    that no unit and no long tail rules; two different categories, and a value and a hole, are
    at a squared distance of 2, as two independent values of a number are on average.
    """
    parts: list[list[np.ndarray]] = [[] for _ in tables]
    for j, column in enumerate(columns):
        known = np.sort(base[~np.isnan(base[:, j]), j])
        for table, part in zip(tables, parts):
            x = table[:, j]
            hole = np.isnan(x)
            if column.is_category:
                count = np.bincount(known.astype(np.intp), minlength=len(column.values))
                usual = np.argsort(-count, kind="stable")[:_MOST_POINTS]
                part.extend((x == code).astype(np.float64) for code in usual)
            else:
                part.append(np.where(hole, 0.5, places(known, x)) * np.sqrt(12.0))
            part.append(hole.astype(np.float64) * (1.0 if column.is_category else np.sqrt(2.0)))
    return [np.column_stack(part) for part in parts]


def places(known: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the share of the sorted `known` below each x, ties counted half."""
    if not len(known):
        return np.full(len(x), 0.5)
    below = np.searchsorted(known, x, side="left") + np.searchsorted(known, x, side="right")
    return np.asarray(below / (2.0 * len(known)))


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value if value is None else str(value)
