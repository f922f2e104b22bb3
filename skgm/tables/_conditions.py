"""Reads conditions as people write them: parts of frames, dicts of values, one row, or counts.

Whatever the form, what comes out is a table of all columns with NaN for those to be drawn.
"""

import numbers
import re
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from skgm.tables._frames import frame_schema, real_schema

__all__ = ["Conditions", "read_conditions"]

_FORMS = (
    "Give a frame or array with NaN where values are to be drawn, a frame with some of the "
    "columns, a dict of values by column, a row of a frame, or counts of conditions "
    "(value_counts)."
)


@dataclass(frozen=True, eq=False)
class Conditions:
    """Rows to complete.

    Attributes
    ----------
    table : array or frame
        With all columns of the model, NaN or nulls where values are to be drawn.
    schema : dict or None
        Of the frame to return: the one of `table`, but columns that were not given have the dtype
        that `fit` saw. Without a frame, real columns keep all bits of what is given.
    times : int
        Completions of each row.
    """

    table: Any
    schema: dict[str, Any] | None
    times: int


def read_conditions(
    given: Any, n_samples: Any, labels: list[Any], fitted: dict[str, Any] | None
) -> Conditions:
    """Read `given`, and the number of completions: one for all rows, or one for each.

    Parameters
    ----------
    given : table, dict or pandas Series
        A table of all columns; a frame with some of them; ``{column: value}`` or
        ``{column: values}``; a Series with columns as its index, one row; or a Series of whole
        numbers whose index has columns as its names, as `value_counts` gives it: each condition as
        often as its number says.
    n_samples : int or array-like of int
        Completions of each row.
    labels : list
        The columns of the model.
    fitted : dict or None
        Schema of the frame of the training rows.

    Raises
    ------
    ValueError
        A column that the model has not, none at all, values of unequal numbers, unusable counts.
    """
    table, absent = _full_table(given, labels, fitted)
    schema = frame_schema(table)
    if schema is None:
        schema = real_schema(fitted)
    elif absent and fitted is not None:
        schema = _with_fitted(schema, absent, fitted)
    if isinstance(n_samples, numbers.Integral):
        return Conditions(table, schema, int(n_samples))
    return Conditions(_repeat_rows(table, _counts(n_samples, table)), schema, 1)


def _full_table(
    given: Any, labels: list[Any], fitted: dict[str, Any] | None
) -> tuple[Any, set[Any]]:
    """Return a table of all columns, and the columns that were not given."""
    if isinstance(given, dict):
        return _from_dict(given, labels, fitted)
    if nw.dependencies.is_pandas_series(given):
        return _from_series(given, labels, fitted)
    if isinstance(given, np.ndarray):
        return given, set()
    frame = nw.from_native(given, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return given, set()
    columns = list(frame.columns)
    if fitted is None and len(columns) < len(labels):  # the model has no names, but positions
        return _from_dict(dict(zip(columns, frame.iter_columns())), labels, fitted)
    if columns == list(labels) or not set(columns) & set(labels):
        return given, set()  # another table altogether: its own checks say what is wrong
    _check_known(columns, labels)
    absent = set(labels) - set(columns)
    if nw.dependencies.is_pandas_dataframe(given):
        return given.reindex(columns=labels), absent
    holes = [nw.lit(None).cast(nw.Float64).alias(name) for name in labels if name in absent]
    return frame.with_columns(*holes).select(*labels).to_native(), absent


def _with_fitted(
    schema: dict[str, Any], absent: set[Any], fitted: dict[str, Any]
) -> dict[str, Any]:
    """Return a schema in which columns that were not given have the dtypes of `fit`."""
    own = schema["backend"] == fitted["backend"]
    missing = [label in absent for label in fitted["columns"]]
    merged = dict(schema)
    for key in ("dtypes", "native"):
        if key in schema:
            known = fitted.get(key) if own or key == "dtypes" else None
            other = known or [None] * len(missing)
            merged[key] = [f if hole else s for hole, f, s in zip(missing, other, schema[key])]
    return merged


def _counts(n_samples: Any, table: Any) -> np.ndarray:
    counts, m = np.asarray(n_samples), len(table)
    if counts.shape != (m,) or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(
            f"n_samples must be an integer >= 1, or one integer >= 0 for each of the {m} rows of "
            f"given; got {n_samples!r}."
        )
    return counts


def _repeat_rows(table: Any, counts: np.ndarray) -> Any:
    """Return every row of a table as often as its count says."""
    if not counts.sum():
        raise ValueError("The counts of the conditions are all zero: there is nothing to draw.")
    places = np.repeat(np.arange(len(counts)), counts)
    frame = nw.from_native(table, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        return frame[places.tolist()].to_native()
    return np.asarray(table)[places]


def _check_known(columns: list[Any], labels: list[Any]) -> None:
    foreign = [column for column in columns if column not in labels]
    if foreign or not columns:
        what = f"names {foreign[0]!r}" if foreign else "names no column"
        raise ValueError(f"given {what}; the columns of the model are {labels}.")


def _from_dict(
    given: dict[Any, Any], labels: list[Any], schema: dict[str, Any] | None
) -> tuple[Any, set[Any]]:
    by_label = {_label(key, labels, schema): value for key, value in given.items()}
    _check_known(list(by_label), labels)
    by_label = {key: value for key, value in by_label.items() if not _is_hole(value)}
    values = {key: _as_list(value) for key, value in by_label.items()}
    lengths = {key: len(value) for key, value in values.items() if _is_listed(by_label[key])}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"given has columns of unequal numbers of values: {lengths}. Give each column as many "
            "values as there are conditions, or a single one for all."
        )
    m = next(iter(lengths.values()), 1)
    columns = [
        (values[label] if label in lengths else m * values[label])
        if label in values
        else m * [np.nan]
        for label in labels
    ]
    return _table(columns, labels, schema), set(labels) - set(by_label)


def _is_hole(value: Any) -> bool:
    return value is None or (np.ndim(value) == 0 and not isinstance(value, str) and value != value)


def _label(key: Any, labels: list[Any], schema: dict[str, Any] | None) -> Any:
    """Return the label that a key of a dict means: a number is one where there is no frame."""
    is_number = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
    if key not in labels and schema is None and is_number and 0 <= key < len(labels):
        return labels[int(key)]
    return key


def _is_listed(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray)) or hasattr(value, "to_list")


def _as_list(value: Any) -> list[Any]:
    if not _is_listed(value):
        return [value]
    return value.to_list() if hasattr(value, "to_list") else list(value)


def _from_series(
    given: Any, labels: list[Any], schema: dict[str, Any] | None
) -> tuple[Any, set[Any]]:
    if all(_label(key, labels, schema) in labels for key in given.index):
        return _from_dict(given.to_dict(), labels, schema)
    names = list(given.index.names)
    counted = given.dtype.kind in "iu" and (given >= 0).all()
    if not counted or any(name not in labels for name in names):
        raise ValueError(
            f"given is a Series with the index {given.index.tolist()[:5]}, whose entries are no "
            f"columns of the model ({labels}), and no counts of conditions on them. {_FORMS}"
        )
    counts = given.to_numpy()
    by_name = {name: given.index.get_level_values(name).to_list() for name in names}
    table, absent = _from_dict(by_name, labels, schema)
    return _repeat_rows(table, counts), absent


def _table(columns: list[list[Any]], labels: list[Any], schema: dict[str, Any] | None) -> Any:
    """Return columns of values, None for holes, as a frame of the library of `fit`, or an array."""
    if schema is None:
        rows = np.array(columns, dtype=object).T
        try:
            return rows.astype(np.float64)
        except (TypeError, ValueError):  # text among them
            return rows
    if schema["backend"] == "pandas":
        import pandas as pd  # the frame of fit is one of pandas, so it is loaded

        kinds = zip(columns, schema["dtypes"])
        frame = pd.DataFrame({j: _pandas_column(*told) for j, told in enumerate(kinds)})
        frame.columns = pd.Index(labels, tupleize_cols=False)
        return frame
    series = {
        name: nw.new_series(name, [_plain(item) for item in column], backend=schema["backend"])
        for name, column in zip(labels, columns)
    }
    return nw.from_dict(series).to_native()


def _plain(item: Any) -> Any:
    return item.item() if isinstance(item, np.generic) else item


def _pandas_column(column: list[Any], dtype: str) -> Any:
    """Return values as a Series of pandas; texts and dates of Python as the times that they are."""
    import pandas as pd  # the frame of fit is one of pandas, so it is loaded

    if dtype == "Duration" or dtype.startswith("Duration("):
        return pd.Series(pd.to_timedelta(column))
    if not dtype.startswith("Date"):
        return pd.Series(column)
    times = pd.Series(pd.to_datetime(column))
    zone = re.search(r"time_zone='(.+)'", dtype)
    return times.dt.tz_localize(zone[1]) if zone and times.dt.tz is None else times
