"""Describes data frames, and restores rows to the same kind of frame, through narwhals.

What `fit` saw is kept as a plain dict, so that fitted estimators persist anywhere.
"""

import re
from typing import Any

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError

from skgm.tables._summary import chunks_of

__all__ = [
    "arrow_type",
    "as_series",
    "frame_fault",
    "frame_schema",
    "is_float_frame",
    "keep_index",
    "name_columns",
    "native_dtype",
    "native_dtypes",
    "non_numeric_column",
    "plain_numbers",
    "real_schema",
    "restore_column",
    "restore_frame",
    "with_holes",
]


def frame_schema(X: Any) -> dict[str, Any] | None:
    """Describe a data frame as ``{"backend", "columns", "dtypes"}``; None for anything else.

    Frames of pandas and arrow have ``"native"`` as well, that library's own dtypes, and those of
    pandas ``"levels"``, the names of the levels of its columns, if there are several or they have
    names.
    """
    if isinstance(X, np.ndarray):  # narwhals takes longer to find out than a small fit does
        return None
    try:
        frame = nw.from_native(X, eager_only=True, pass_through=True)
    except DuplicateError:  # `frame_fault` says so
        return None
    if not isinstance(frame, nw.DataFrame):
        return None
    schema = {
        "backend": frame.implementation.value,
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.schema.values()],
    }
    native = native_dtypes(X)
    if native is not None:
        schema["native"] = native
    levels = list(getattr(X.columns, "names", [None]))
    return schema if levels == [None] else schema | {"levels": levels}


def is_float_frame(X: Any) -> bool:
    """Tell quickly whether X is the usual table: of pandas, with floats of numpy alone."""
    if not nw.dependencies.is_pandas_dataframe(X) or not X.shape[1] or not X.columns.is_unique:
        return False
    return all(dtype in (np.float64, np.float32) for dtype in set(X.dtypes))


def frame_fault(X: Any, *, dates: bool = False) -> str | None:
    """Return why a data frame (or array) is no table of numbers by its types alone, or None.

    With `dates`, columns of dates and durations are no fault.
    """
    if isinstance(X, np.ndarray):
        return _no_dates("X") if X.dtype.kind in ("m", "M") else None
    if is_float_frame(X):
        return None
    if type(X) is dict:  # some sparse tables of scipy are dicts as well
        return "X is a dict. Make it a data frame, for example by pandas.DataFrame(X)."
    if chunks_of(X) is not None:
        return _IN_PARTS
    if hasattr(X, "__dask_graph__"):
        return (
            "X is a collection of dask, which may be larger than memory. Fit, score and complete "
            "it by skgm.dask, or call its compute() first."
        )
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
    known = (nw.Datetime, nw.Date, nw.Duration) if dates else ()
    temporal = ((n, dtype) for n, dtype in frame.schema.items() if dtype.is_temporal())
    dated = next((name for name, dtype in temporal if dtype not in known), None)
    return None if dated is None else _no_dates(f"Column {dated!r} of X")


_IN_PARTS = (
    "X comes in parts (a generator, or batches of pyarrow), and this model passes over its rows "
    "many times. Give one table that has all rows, or as many as memory holds; call partial_fit "
    "for each part where the model has that; or use MLEDensity or ScoreMatchingGaussian, which fit "
    "in one pass."
)


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
            numbers = np.asarray(column.to_list(), dtype=np.float64)
        except (TypeError, ValueError):
            return name
        if numbers.ndim > 1:  # lists
            return name
    return None


def plain_numbers(X: Any) -> Any:
    """Return a frame with its decimals as floats: numpy cannot convert those that are missing."""
    if isinstance(X, np.ndarray) or is_float_frame(X):
        return X
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame) or nw.Decimal not in frame.schema.values():
        return X
    columns = [
        column.cast(nw.Float64) if column.dtype == nw.Decimal else column
        for column in frame.iter_columns()
    ]
    names = [f"c{j}" for j in range(len(columns))]
    plain = nw.from_dict({name: part.alias(name) for name, part in zip(names, columns)})
    return name_columns(plain.to_native(), names, frame_schema(X) or {})


def restore_frame(rows: np.ndarray, schema: dict[str, Any], *, discrete: bool = False) -> Any:
    """Put `rows`, (n, d), into the kind of frame that `schema` describes.

    Columns of floats, decimals and objects get their dtype back. Integer and boolean columns do so
    only if the model is `discrete`; a real-valued draw would be truncated, so they come back as
    float64. A draw too large for its dtype (a Poisson count of 300 in a column of bytes) makes the
    column Int64 or Float64: it must neither wrap around nor become infinite.
    """
    names = [f"c{j}" for j in range(rows.shape[1])]  # narwhals wants text, pandas any name
    backend, own = schema["backend"], schema.get("native", [None] * len(names))
    if backend == "pandas" and set(own) == {"float64"}:
        import pandas as pd  # the frame of fit is one of pandas, so it is loaded

        frame = pd.DataFrame(np.array(rows, dtype=np.float64), columns=names)
        return name_columns(frame, names, schema)
    series = [
        restore_column(name, column, dtype, native, backend, discrete=discrete)
        for name, column, dtype, native in zip(names, np.asarray(rows).T, schema["dtypes"], own)
    ]
    return name_columns(nw.from_dict(dict(zip(names, series))).to_native(), names, schema)


def restore_column(
    name: str, column: np.ndarray, dtype: str, own: str | None, backend: Any, *, discrete: bool
) -> Any:
    """Return numbers as a narwhals Series with a dtype of narwhals, or the library's `own`.

    Real numbers keep only dtypes that hold them; with `discrete` they are whole and keep any.
    """
    target, native = _target_dtype(dtype, own, discrete, column)
    if native is not None:
        series = _native_series(name, column, native, backend)
    elif target == "Object":
        return nw.new_series(name, column.astype(object), nw.Object, backend=backend)
    else:
        series = nw.new_series(name, column, backend=backend).cast(_narwhals_dtype(target))
    if target.startswith("Float") and target != "Float64":
        lost = np.isinf(np.asarray(series.to_list(), np.float64)) & np.isfinite(column)
        if lost.any():
            return nw.new_series(name, column, nw.Float64, backend=backend)
    return series


def real_schema(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a schema with the same columns, all of them float64; None for None."""
    if schema is None:
        return None
    kept = {key: value for key, value in schema.items() if key != "native"}
    return kept | {"dtypes": ["Float64"] * len(schema["dtypes"])}


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

    ``given.fillna(density.impute(given))`` then aligns the rows.
    """
    if nw.dependencies.is_pandas_dataframe(frame) and nw.dependencies.is_pandas_dataframe(given):
        frame.index = given.index.repeat(times)
    return frame


def with_holes(table: Any, hole: np.ndarray) -> Any:
    """Return a frame or an array without the values where `hole`, (n, d), is set."""
    if isinstance(table, np.ndarray):
        held = table.astype(object) if table.dtype.kind not in "fO" else table.copy()
        held[hole] = np.nan
        return held
    if nw.dependencies.is_pandas_dataframe(table):
        return table.mask(hole)
    frame = nw.from_native(table, eager_only=True)
    backend = frame.implementation
    columns = []
    for name, missing in zip(frame.columns, hole.T):
        known = nw.new_series("known", ~missing, nw.Boolean, backend=backend)
        columns.append(nw.when(known).then(nw.col(name)).alias(name))
    return frame.with_columns(*columns).to_native()


def _pandas_index(columns: list[Any], levels: list[Any]) -> Any:
    import pandas as pd  # the frame is one of pandas, so it is loaded

    if len(levels) == 1:
        return pd.Index(columns, name=levels[0], tupleize_cols=False)
    return pd.MultiIndex.from_tuples(columns, names=levels)


def _target_dtype(
    dtype: str, own: str | None, discrete: bool, column: np.ndarray
) -> tuple[str, str | None]:
    """Return the narwhals dtype to restore, and the native one; reals fall back to Float64."""
    sparse = own is not None and own.startswith("Sparse[float")
    if sparse or dtype.startswith(("Float", "Decimal", "Object")):
        return dtype, own
    is_integer = dtype.startswith(("Int", "UInt")) or dtype == "Boolean"
    if not (discrete and is_integer):
        return "Float64", None
    largest = 1.0 if dtype == "Boolean" else _largest(dtype)
    fits = len(column) == 0 or column.max() <= largest
    return (dtype, own) if fits else ("Int64", None)


def _largest(dtype: str) -> float:
    bits = int(dtype.lstrip("UInt"))
    return 2.0 ** (bits if dtype.startswith("U") else bits - 1) - 1


def _narwhals_dtype(name: str) -> Any:
    decimal = re.fullmatch(r"Decimal\(precision=(\d+), scale=(\d+)\)", name)
    if decimal:
        return nw.Decimal(*map(int, decimal.groups()))
    return getattr(nw, name)


# Dtypes of pandas and arrow as text, so that fitted estimators persist anywhere: pandas' own names,
# and for types of arrow "arrow:" and the name there.


def native_dtypes(X: Any) -> list[str] | None:
    """Return the names of the dtypes of a frame of pandas or arrow; None for other libraries."""
    X = nw.to_native(X, pass_through=True)
    if nw.dependencies.is_pandas_dataframe(X):
        return [_name_of(dtype) for dtype in X.dtypes]
    if nw.dependencies.is_pyarrow_table(X):
        return [f"arrow:{dtype}" for dtype in X.schema.types]
    return None


def _name_of(dtype: Any) -> str:
    if hasattr(dtype, "pyarrow_dtype"):
        return f"arrow:{dtype.pyarrow_dtype}"
    if str(dtype) == "string":
        return f"string[{dtype.storage}]"
    return str(dtype)


def native_dtype(name: str) -> Any:
    """Return the dtype of pandas that `native_dtypes` has named."""
    import pandas as pd  # the frame is one of pandas, so it is loaded

    sparse = re.fullmatch(r"Sparse\[(\w+), (.+)\]", name)
    if sparse:
        return pd.SparseDtype(sparse[1], np.dtype(sparse[1]).type(sparse[2]).item())
    return pd.ArrowDtype(arrow_type(name[6:])) if name.startswith("arrow:") else name


def arrow_type(name: str) -> Any:
    """Return the type of arrow of that name."""
    import pyarrow as pa  # the column is one of arrow, so it is installed

    number = re.fullmatch(r"decimal(\d+)\((\d+), (-?\d+)\)", name)
    if number:
        return getattr(pa, f"decimal{number[1]}")(int(number[2]), int(number[3]))
    coded = re.fullmatch(r"dictionary<values=(.+), indices=(\w+), ordered=([01])>", name)
    if coded:
        return pa.dictionary(arrow_type(coded[2]), arrow_type(coded[1]), coded[3] == "1")
    zoned = re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", name)
    return pa.timestamp(*zoned.groups()) if zoned else pa.type_for_alias(name)


def as_series(name: str, array: Any, backend: Any) -> Any:
    """Return an array of arrow as a narwhals Series of pandas or of arrow itself."""
    import pyarrow as pa  # the column is one of arrow, so it is installed

    native: Any = pa.chunked_array([array])
    if backend == "pandas":
        import pandas as pd  # the frame is one of pandas, so it is loaded

        native = pd.Series(pd.arrays.ArrowExtensionArray(native), name=name)
    return nw.from_native(native, series_only=True).alias(name)


def _native_series(name: str, column: Any, native: str, backend: Any) -> Any:
    if backend == "pyarrow":
        import pyarrow as pa  # the frame is one of arrow, so it is installed

        return as_series(name, pa.array(column).cast(arrow_type(native[6:])), backend)
    import pandas as pd  # the frame is one of pandas, so it is loaded

    with np.errstate(over="ignore"):  # an overflow is seen afterwards
        series = pd.Series(column, name=name).astype(native_dtype(native))
    return nw.from_native(series, series_only=True)
