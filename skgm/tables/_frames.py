"""Data frames in, the same kind of data frame out (pandas or polars, through narwhals).

What `fit` saw is remembered as a plain dict, so that fitted estimators persist anywhere.
"""

from typing import Any

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError

__all__ = [
    "frame_fault",
    "frame_schema",
    "keep_index",
    "name_columns",
    "non_numeric_column",
    "restore_frame",
]


def frame_schema(X: Any) -> dict[str, Any] | None:
    """Describe a data frame as ``{"backend", "columns", "dtypes"}``; None for anything else.

    Where the columns of a pandas frame have level names or several levels, there are
    ``"levels"``, the names of these, as well.
    """
    if isinstance(X, np.ndarray):  # narwhals takes longer to find out than a small fit does
        return None
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    schema = {
        "backend": frame.implementation.value,
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.schema.values()],
    }
    levels = list(getattr(X.columns, "names", [None]))
    return schema if levels == [None] else schema | {"levels": levels}


def frame_fault(X: Any) -> str | None:
    """Return why a data frame (or array) is no table of numbers by its types alone, or None."""
    if isinstance(X, np.ndarray):
        return _no_dates("X") if X.dtype.kind in ("m", "M") else None
    try:
        frame = nw.from_native(X, pass_through=True)
    except DuplicateError:
        names = list(X.columns)
        twice = next(name for name in names if names.count(name) > 1)
        return f"X has several columns called {twice!r}. Rename or drop all but one of them."
    if isinstance(frame, nw.LazyFrame):
        return "X is a lazy frame, which has no rows yet. Call its collect() first."
    if not isinstance(frame, nw.DataFrame):
        kind = getattr(getattr(X, "dtype", None), "kind", "")
        return _no_dates("X") if kind in ("m", "M") else None
    if not frame.columns:
        return "X has 0 columns; at least one is needed."
    dated = next((name for name, dtype in frame.schema.items() if dtype.is_temporal()), None)
    return None if dated is None else _no_dates(f"Column {dated!r} of X")


def _no_dates(where: str) -> str:
    return (
        f"{where} holds values that are not numbers but dates, times or durations. Drop it, or "
        "turn it into numbers of a stated unit (for example days since the first)."
    )


def non_numeric_column(X: Any) -> Any:
    """Return the first column of a data frame that holds no numbers, or None."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    for name, column in zip(frame.columns, frame.iter_columns()):  # names need not be text
        if column.dtype.is_numeric() or column.dtype == nw.Boolean:
            continue
        try:
            np.asarray(column.to_list(), dtype=np.float64)
        except (TypeError, ValueError):
            return name
    return None


def restore_frame(rows: np.ndarray, schema: dict[str, Any], *, discrete: bool = False) -> Any:
    """Put `rows`, (n, d), into the kind of frame that `schema` describes.

    Floating columns get their dtype back. Integer columns do so only where the model is
    `discrete`; elsewhere a real-valued draw would be truncated, so they come back as float64.
    A draw too large for the dtype (a Poisson count of 300 in a column of bytes) makes that column
    Int64: it must not wrap around.
    """
    names = [f"c{j}" for j in range(rows.shape[1])]  # narwhals wants text, pandas any name
    frame = nw.from_numpy(np.asarray(rows), schema=names, backend=schema["backend"])
    casts = [
        nw.col(name).cast(_target_dtype(dtype, discrete, column))
        for name, dtype, column in zip(names, schema["dtypes"], np.asarray(rows).T)
    ]
    return name_columns(frame.with_columns(casts).to_native(), names, schema)


def name_columns(native: Any, names: list[str], schema: dict[str, Any]) -> Any:
    """Give a frame whose columns are called `names` the column names of `schema`."""
    if schema["backend"] == "pandas":
        native.columns = schema["columns"]
        if "levels" in schema:
            native.columns = _pandas_index(schema["columns"], schema["levels"])
        return native
    return nw.from_native(native).rename(dict(zip(names, schema["columns"]))).to_native()


def keep_index(frame: Any, given: Any, times: int) -> Any:
    """Give a pandas frame the index of the pandas frame `given`, each entry `times` over.

    So that ``given.fillna(density.impute(given))`` meets the right rows.
    """
    if nw.dependencies.is_pandas_dataframe(frame) and nw.dependencies.is_pandas_dataframe(given):
        frame.index = given.index.repeat(times)
    return frame


def _pandas_index(columns: list[Any], levels: list[Any]) -> Any:
    import pandas as pd  # the frame is one of pandas, so it is loaded

    if len(levels) == 1:
        return pd.Index(columns, name=levels[0], tupleize_cols=False)
    return pd.MultiIndex.from_tuples(columns, names=levels)


def _target_dtype(dtype: str, discrete: bool, column: np.ndarray) -> Any:
    if dtype in ("Float32", "Float64"):
        return getattr(nw, dtype)
    is_integer = dtype.startswith(("Int", "UInt")) or dtype == "Boolean"
    if not (discrete and is_integer):
        return nw.Float64
    largest = 1 if dtype == "Boolean" else np.iinfo(dtype.lower()).max
    fits = len(column) == 0 or column.max() <= largest
    return getattr(nw, dtype if fits else "Int64")
