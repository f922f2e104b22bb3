"""Describes the columns of a table (real, whole, category or time), and codes them as numbers.

A column's description is a plain dict, so that fitted estimators persist anywhere: "name", "kind"
("real", "integer", "category", "datetime" or "duration"), "dtype" (narwhals' name), "backend" and
"native" (the library and its own dtype), and for categories "values" (in order), "ordered" and
"levels" (the dtype of a categorical's values), for times what :mod:`skgm.tables._times` says. A
table is coded as float64, (n, d): a category by its index among the values, a time by a number of
units, NaN if a value is missing.
"""

from typing import Any

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError

from skgm._warnings import warn_user
from skgm.tables._frames import (
    arrow_type,
    as_series,
    frame_fault,
    name_columns,
    native_dtype,
    native_dtypes,
    restore_column,
)
from skgm.tables._times import TIMES, code_times, describe_times, restore_times

__all__ = [
    "MOST_CATEGORIES",
    "UNKNOWN",
    "WHOLE",
    "base_measures",
    "code_table",
    "column_kinds",
    "describe_columns",
    "encoded_kinds",
    "restore_table",
    "table_shape",
]

# A column with more categories in use identifies rows rather than describing them.
MOST_CATEGORIES = 255
WHOLE = ("integer", *TIMES)  # kinds that are coded as whole numbers
UNKNOWN = -1.0  # code of a category that the description does not list
_NAMES_ROWS = (20, 0.5)  # from so many rows on, texts that differ in more than this share name rows
_RANKED_FROM = 5  # levels: with three, points had the better held-out bound, with eight ranks
_EXACT = 2.0**53 - 1  # up to here every whole number is a float64
_RESTORED = ("Boolean", "Categorical", "String")
_MOST_LISTED = 20  # values in a message
_NUMPY = ("float32", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32)))


def column_kinds(X: Any, categorical: Any, integer: Any) -> list[str] | None:
    """Return the kind of each column, or None where all are real numbers.

    `categorical` and `integer` are "from_dtype", None, a mask, column numbers or column names.
    Only data frames have dtypes to go by.
    """
    by_dtype = all(spec is None or _is_by_dtype(spec) for spec in (categorical, integer))
    if by_dtype and (isinstance(X, np.ndarray) or frame_fault(X, dates=True) is not None):
        return None  # the validation of real tables reports it
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        names, found = list(frame.columns), [_kind(column) for column in frame.iter_columns()]
    elif by_dtype:
        return None
    else:
        array = _object_table(X)
        names, found = [f"x{j}" for j in range(array.shape[1])], ["real"] * array.shape[1]
    first = _chosen(categorical, names, [kind == "category" for kind in found], "categorical")
    second = _chosen(integer, names, [kind == "integer" for kind in found], "integer")
    for name, both in zip(names, first & second):
        if both and not _is_by_dtype(integer) and not _is_by_dtype(categorical):
            raise ValueError(
                f"Column {name!r} is in categorical_features and in integer_features. Leave it in "
                "one of them."
            )
    plain = np.array([kind if kind in TIMES else "real" for kind in found])
    kinds = np.where(first, "category", np.where(second, "integer", plain)).tolist()
    return None if set(kinds) == {"real"} else kinds


def _is_by_dtype(spec: Any) -> bool:
    return isinstance(spec, str) and spec == "from_dtype"


def _kind(column: Any) -> str:
    """Return the kind that a column's dtype says it is of."""
    if column.dtype.is_integer():
        return "integer"
    if column.dtype in (nw.Boolean, nw.String, nw.Categorical, nw.Enum):
        return "category"
    if column.dtype.is_temporal():
        return "duration" if column.dtype == nw.Duration else "datetime"
    if column.dtype.is_numeric():
        return "integer" if _is_whole_with_holes(column) else "real"
    items, missing = _items(column)  # a column of objects
    types = {type(item) for item, hole in zip(items, missing) if not hole}
    if types == {int}:
        return "integer"
    foreign = sorted(t.__name__ for t in types - {int, float, bool, str, list})
    if foreign and not types & {str, list}:
        raise ValueError(
            f"Column {column.name!r} of X holds objects of type {', '.join(foreign)}, which sample "
            "could not give back. Convert the column to numbers, dates or text with a dtype of "
            "their own."
        )
    return "category" if types in ({str}, {bool}) else "real"


def _is_whole_with_holes(column: Any) -> bool:
    """Tell whether a column is of whole numbers that pandas stores as floats for their holes."""
    native = column.to_native()
    if not nw.dependencies.is_pandas_series(native) or native.dtype not in (np.float64, np.float32):
        return False
    values = native.to_numpy()
    known = values[~np.isnan(values)]
    if len(known) in (0, len(values)):
        return False
    return bool((np.abs(known) <= _EXACT).all() and (known == np.floor(known)).all())


def _chosen(spec: Any, names: list[Any], by_dtype: list[bool], parameter: str) -> np.ndarray:
    """Return which columns a parameter names, as a mask."""
    if spec is None:
        return np.zeros(len(names), dtype=bool)
    if _is_by_dtype(spec):
        return np.array(by_dtype, dtype=bool)
    chosen = [] if isinstance(spec, str) else list(spec)
    if chosen and all(isinstance(item, (bool, np.bool_)) for item in chosen):
        if len(chosen) == len(names):
            return np.array(chosen, dtype=bool)
        chosen = [f"a mask of length {len(chosen)}"]
    mask = np.zeros(len(names), dtype=bool)
    for item in chosen if not isinstance(spec, str) else [spec]:
        is_number = isinstance(item, (int, np.integer)) and 0 <= item < len(names)
        if item not in names and not is_number:
            raise ValueError(
                f"{parameter}_features must be 'from_dtype', None, a mask with an entry for each "
                f"of the {len(names)} columns of X, or some of their numbers or names; got "
                f"{item!r}. The columns are {names}."
            )
        mask[names.index(item) if item in names else int(item)] = True
    return mask


def describe_columns(X: Any, kinds: list[str]) -> list[dict[str, Any]]:
    """Return the description of each column of a training table."""
    described, natives = [], native_dtypes(X)
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    backend = frame.implementation.value if isinstance(frame, nw.DataFrame) else None
    for j, ((name, column), kind) in enumerate(zip(_named_columns(X), kinds)):
        about = {"name": name, "kind": kind, "dtype": str(column.dtype), "ordered": False}
        about |= {"backend": backend, "native": None if natives is None else natives[j]}
        if kind == "category":
            about["values"], about["ordered"] = _values(column, name)
            about["levels"] = _levels_dtype(column)
            _check_categories(column, about)
        elif kind in TIMES:
            about |= describe_times(column, kind) | {
                "zone": getattr(column.dtype, "time_zone", None)
            }
        described.append(about)
    return described


def _check_categories(column: Any, about: dict[str, Any]) -> None:
    """Refuse a column of too many categories, and warn of one that names rows."""
    n_used, n_rows = len(about["values"]), len(column)
    least, share = _NAMES_ROWS
    if n_used <= min(MOST_CATEGORIES, share * n_rows):
        return
    items, missing = _items(column)  # those that are declared only do not count
    known = [item for item, hole in zip(items, missing) if not hole]
    n_used, n_rows = len(set(known)), len(known)
    if n_used > MOST_CATEGORIES:
        raise ValueError(
            f"Column {about['name']!r} of X has {n_used} categories; at most {MOST_CATEGORIES} are "
            "allowed. Drop the column if it names rows, convert dates by pandas.to_datetime, "
            "or merge rare categories."
        )
    if n_rows >= least and n_used > share * n_rows:
        warn_user(
            f"Column {about['name']!r} of X has {n_used} different values in {n_rows} rows, so it "
            "names rows, and drawn tables repeat these values verbatim. Drop the column, or merge "
            "its values."
        )


def base_measures(
    described: list[dict[str, Any]], atoms: dict[Any, Any] | None = None
) -> list[str]:
    """Return the base measure of each column, in words; `atoms` by name are counted as well."""
    measures = []
    for about in described:
        points = list((atoms or {}).get(about["name"], ()))
        if about["kind"] in TIMES:
            measures.append(f"counting of {about['unit']}")
        elif about["kind"] != "real":
            measures.append("counting")
        else:
            measures.append(f"Lebesgue, and counting at {points}" if points else "Lebesgue")
    return measures


def encoded_kinds(described: list[dict[str, Any]]) -> list[str]:
    """Return how each column is encoded: ordered categories of many levels by their rank.

    Points for K categories take K - 1 columns and ignore the order; the rank takes one column.
    An Enum of polars has an order always, so there it carries no meaning.
    """
    kinds = []
    for about in described:
        ordered = about.get("ordered") and about["native"] is not None
        ranked = ordered and len(about["values"]) >= _RANKED_FROM
        whole = "integer" if about["kind"] in WHOLE else about["kind"]
        kinds.append("ranked" if ranked else whole)
    return kinds


def _named_columns(X: Any) -> list[tuple[Any, Any]]:
    """Return names and columns: narwhals Series of a frame, arrays of any other table."""
    try:
        frame = nw.from_native(X, eager_only=True, pass_through=True)
    except DuplicateError as error:
        raise ValueError(frame_fault(X)) from error
    if isinstance(frame, nw.DataFrame):
        return list(zip(frame.columns, frame.iter_columns()))
    return [(f"x{j}", column) for j, column in enumerate(_object_table(X).T)]


def table_shape(X: Any) -> tuple[int, int]:
    """Return the number of rows and of columns of a frame, an array or a list of rows."""
    columns = _named_columns(X)
    return (len(columns[0][1]) if columns else 0, len(columns))


def _object_table(X: Any) -> np.ndarray:
    array = X if isinstance(X, np.ndarray) else np.asarray(X, dtype=object)
    if array.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {array.ndim}D array instead. Reshape X to one row per sample."
        )
    return array


def _levels_dtype(column: Any) -> str | None:
    """Return the dtype of the categories of a categorical of pandas, None for other columns."""
    categories: Any = getattr(getattr(_native(column), "dtype", None), "categories", None)
    return str(categories.dtype) if hasattr(categories, "dtype") else None


def _native(column: Any) -> Any:
    return column if isinstance(column, np.ndarray) else column.to_native()


def _items(column: Any) -> tuple[list[Any], np.ndarray]:
    """Return the values of a column as plain Python, and a mask of those that are missing."""
    items = column.tolist() if isinstance(column, np.ndarray) else column.to_list()
    items = [item.item() if isinstance(item, np.generic) else item for item in items]
    if isinstance(column, np.ndarray):
        missing = [item is None or item != item for item in items]
    else:
        missing = column.is_null().to_list()
        if column.dtype.is_float():  # polars tells NaN from null
            missing = [hole or item != item for item, hole in zip(items, missing)]
    return items, np.array(missing, dtype=bool)


def _values(column: Any, name: Any) -> tuple[list[Any], bool]:
    """Return the categories that may stand in a column, in order, and whether they are ordered."""
    if not isinstance(column, np.ndarray):
        native: Any = getattr(column.to_native(), "dtype", None)
        if hasattr(native, "categories") and hasattr(native, "ordered"):  # pandas
            return native.categories.tolist(), bool(native.ordered)
        dictionary = _dictionary(column.to_native())
        if dictionary is not None:
            levels = dictionary.unify_dictionaries()
            found = levels.chunk(0).dictionary.to_pylist() if levels.num_chunks else []
            return found, bool(dictionary.type.ordered)
        if column.dtype == nw.Enum:
            return list(column.dtype.categories), True
        if column.dtype == nw.Boolean:
            return [False, True], False
    items, missing = _items(column)
    found = {item for item, hole in zip(items, missing) if not hole}
    try:
        return sorted(found), False
    except TypeError as error:
        types = sorted({type(item).__name__ for item in found})
        raise ValueError(
            f"Column {name!r} of X has categories of several types ({', '.join(types)}), which "
            "have no order. Turn all of them into text."
        ) from error


def _dictionary(native: Any) -> Any:
    """Return a dictionary column of arrow, in pandas or not, as a chunked array; else None."""
    if hasattr(getattr(native, "dtype", None), "pyarrow_dtype"):
        native = native.array.__arrow_array__()
    kind = getattr(native, "type", None)
    return native if hasattr(kind, "value_type") and hasattr(kind, "ordered") else None


def code_table(X: Any, described: list[dict[str, Any]], *, unknown: str = "error") -> np.ndarray:
    """Return a table coded by the descriptions of its columns, (n, d) float64.

    With `unknown` "ignore" a category that the description does not list is coded as `UNKNOWN`.

    Raises
    ------
    ValueError
        A category or a value that the description does not allow; column and value are named.
    """
    columns = _named_columns(X)
    coded = np.empty((len(columns[0][1]), len(columns)))
    for j, ((name, column), about) in enumerate(zip(columns, described)):
        if about["kind"] == "category":
            coded[:, j] = _codes(column, name, about["values"], unknown)
            continue
        in_time = about["kind"] in TIMES
        coded[:, j] = code_times(column, about) if in_time else _numbers(column, name)
        if about["kind"] in WHOLE:
            _check_keys(coded[:, j], name)
    return coded


def _check_keys(column: np.ndarray, name: Any) -> None:
    large = np.isfinite(column) & (np.abs(column) > _EXACT)
    if large.any():
        raise ValueError(
            f"Column {name!r} of X holds whole numbers beyond 2**53 (first at row "
            f"{int(np.argmax(large))}), which double precision cannot tell apart. Drop the column "
            "if it names rows, or subtract a constant from it."
        )


def _codes(column: Any, name: Any, values: list[Any], unknown: str) -> Any:
    items, missing = _items(column)
    lookup = {value: code for code, value in enumerate(values)}
    codes = [np.nan if hole else lookup.get(item, UNKNOWN) for item, hole in zip(items, missing)]
    if unknown == "error" and UNKNOWN in codes:
        row = codes.index(UNKNOWN)
        listed = f"{values[:_MOST_LISTED]}{' and more' if len(values) > _MOST_LISTED else ''}"
        raise ValueError(
            f"Column {name!r} of X holds the category {items[row]!r} at row {row}, which fit has "
            f"not seen; its categories are {listed}. Drop or recode such rows, or fit to a table "
            "with that category in it; DensityChain scores new categories with "
            "handle_unknown='ignore'."
        )
    return codes


def _numbers(column: Any, name: Any) -> Any:
    if isinstance(column, np.ndarray) and column.dtype.kind in "fiub":
        return column
    if not isinstance(column, np.ndarray) and column.dtype.is_numeric():
        return column.cast(nw.Float64).fill_null(np.nan).to_numpy()
    items, missing = _items(column)
    try:
        return _vector([np.nan if hole else item for item, hole in zip(items, missing)])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {name!r} of X holds values that are not numbers. Drop it, turn it into "
            "numbers, or list it in categorical_features."
        ) from error


def _vector(items: list[Any]) -> np.ndarray:
    array = np.array(items, dtype=float)
    if array.ndim != 1:
        raise ValueError("every item must be one number")
    return array


def restore_table(
    coded: np.ndarray,
    described: list[dict[str, Any]],
    schema: dict[str, Any] | None,
    dtype: str,
) -> Any:
    """Put a coded table into the kind of frame that `schema` describes, or into an array."""
    columns = [
        [about["values"][int(code)] for code in column] if about["kind"] == "category" else column
        for column, about in zip(coded.T, described)
    ]
    if schema is None:
        numbers = all(isinstance(c, np.ndarray) or _are_numbers(c) for c in columns)
        rows = np.empty(coded.shape, dtype=dtype if numbers else object)
        for j, column in enumerate(columns):
            rows[:, j] = column
        return rows
    names = [f"c{j}" for j in range(len(columns))]
    backend = schema["backend"]
    native = schema.get("native", [None] * len(names))
    series = [
        _series(*parts, backend)
        for parts in zip(names, columns, described, schema["dtypes"], native)
    ]
    return name_columns(nw.from_dict(dict(zip(names, series))).to_native(), names, schema)


def _are_numbers(column: list[Any]) -> bool:
    return all(isinstance(value, (int, float)) for value in column)


def _series(
    name: str, column: Any, about: dict[str, Any], kept: str, native: str | None, backend: Any
) -> Any:
    """Return a column with the dtype that `fit` saw; for real numbers the dtype `kept`."""
    if about["kind"] == "real":
        return restore_column(name, column, kept, native, backend, discrete=False)
    own, dtype = about["native"] if backend == about["backend"] else None, about["dtype"]
    if about["kind"] in TIMES:
        return restore_times(name, column, about, own, backend)
    if about["kind"] == "integer":
        whole = np.rint(column).astype(np.int64)
        if dtype.startswith(("Int", "UInt")):
            return restore_column(name, whole, dtype, own, backend, discrete=True)
        column = whole.tolist()
    if own is not None:
        return _own_categories(name, column, about, backend)
    if dtype == "Object":
        return nw.new_series(name, column, nw.Object, backend=backend)
    series = nw.new_series(name, column, backend=backend)
    if dtype.startswith("Enum"):
        return series.cast(nw.Enum(about["values"]))
    return series.cast(getattr(nw, dtype)) if dtype in _RESTORED else series


def _own_categories(name: str, column: list[Any], about: dict[str, Any], backend: Any) -> Any:
    """Return categories, or whole numbers kept as objects, with the dtype of pandas or arrow."""
    kind, values = about["native"], about.get("values", [])
    if kind.startswith("arrow:dictionary"):
        import pyarrow as pa  # the column is one of arrow, so it is installed

        dtype, lookup = arrow_type(kind[6:]), {value: code for code, value in enumerate(values)}
        codes = pa.array([lookup[value] for value in column], dtype.index_type)
        levels = pa.array(values, dtype.value_type)
        coded = pa.DictionaryArray.from_arrays(codes, levels, ordered=dtype.ordered)
        return as_series(name, coded, backend)
    if backend == "pyarrow":
        import pyarrow as pa  # the frame is one of arrow, so it is installed

        return as_series(name, pa.array(column).cast(arrow_type(kind[6:])), backend)
    import pandas as pd  # the frame is one of pandas, so it is loaded

    if kind == "category":
        found = pd.Index(values)
        if about["levels"] in _NUMPY:
            found = found.astype(about["levels"])
        series: Any = pd.Series(column, dtype=pd.CategoricalDtype(found, about["ordered"]))
    else:
        series = pd.Series(column, dtype=object).astype(native_dtype(kind))
    return nw.from_native(series.rename(name), series_only=True)
