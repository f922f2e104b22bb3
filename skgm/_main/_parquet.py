"""Reads the columns of a Parquet file as numbers, dates and texts, and gives them their types back.

The library's own descriptions of columns (:mod:`skgm.tables._columns`) say what each one holds.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from skgm._main._columns import Style
from skgm._main._errors import one_line

__all__ = ["pandas_metadata", "typed_columns"]

Restore = Callable[[Any], Any]


def typed_columns(
    content: Any,
) -> tuple[dict[str, Any], dict[str, Style], dict[str, Restore], list[str]]:
    """Return the columns of a table of arrow as Series, their styles, what restores them; faults.

    The index of a frame of pandas is left out.
    """
    values, styles, restore, faults = {}, {}, {}, []
    for name, column in zip(content.column_names, content.columns):
        if name in _index_columns(content):
            continue
        try:
            values[name], styles[name], restore[name] = _typed(column)
        except (TypeError, ValueError, NotImplementedError) as error:  # the last: a cast of arrow's
            faults.append(f"column {name!r} is of type {column.type}: {one_line(error)}")
    return values, styles, restore, faults


def pandas_metadata(content: Any, names: Any) -> dict[bytes, bytes]:
    """Return what pandas wants to know about the columns of these names, without an index."""
    told = (content.schema.metadata or {}).get(b"pandas")
    if not told:
        return {}
    about = json.loads(told)
    columns = [column for column in about["columns"] if column["field_name"] in names]
    return {b"pandas": json.dumps(about | {"columns": columns, "index_columns": []}).encode()}


def _index_columns(content: Any) -> list[Any]:
    told = (content.schema.metadata or {}).get(b"pandas")
    return json.loads(told).get("index_columns", []) if told else []


def _typed(column: Any) -> tuple[Any, Style, Restore]:
    import pandas as pd
    import pyarrow as pa

    from skgm.tables._columns import code_table, column_kinds, describe_columns
    from skgm.tables._times import TIMES

    dtype = column.type
    if pa.types.is_nested(dtype):
        raise ValueError("no density reads nested values; spread them over columns, or drop them")
    if pa.types.is_time(dtype):
        column = column.cast(pa.int32() if dtype.bit_width == 32 else pa.int64())
    is_text = pa.types.is_null(dtype) or pa.types.is_dictionary(dtype)
    is_text |= pa.types.is_boolean(dtype) or _is_long(column)
    one = pa.table({"of that name": column})
    kind = "category"
    if not is_text and not pa.types.is_binary(dtype):
        kind = (column_kinds(one, "from_dtype", "from_dtype") or ["real"])[0]
    if kind == "category":
        return _texts(column)
    (about,) = describe_columns(one, [kind])
    numbers = code_table(one, [about])[:, 0]
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        raise ValueError(f"an infinite value in row {row}; drop it or leave it empty")
    known = numbers[~np.isnan(numbers)]
    bounds = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    # pandas has no holes among whole numbers of numpy, and makes them floats
    is_whole = kind != "real" or ((np.abs(known) < 2**53).all() and (known == np.rint(known)).all())
    is_whole &= not pa.types.is_decimal(dtype)
    restore = _numbers_of(about, dtype, bounds, is_whole)
    if not is_whole:
        decimals = dtype.scale if pa.types.is_decimal(dtype) else None
        return pd.Series(numbers), Style("real", decimals=decimals), restore
    style = Style("date" if kind == "datetime" else "whole", bounds=bounds)
    whole = pd.Series(numbers).astype("Int64" if len(known) < len(numbers) else "int64")
    return whole, style if kind in TIMES else Style("whole"), restore


def _is_long(column: Any) -> bool:
    """Tell whether whole numbers are longer than double precision tells apart: they are names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_integer(column.type) or column.null_count == len(column):
        return False
    ends = pc.min_max(column).as_py()
    return max(abs(ends["min"]), abs(ends["max"])) >= 2**53


def _texts(column: Any) -> tuple[Any, Style, Restore]:
    import pandas as pd
    import pyarrow as pa

    items = column.to_pylist()
    originals = {str(item): item for item in items if item is not None}
    words = pd.Series([None if item is None else str(item) for item in items], dtype=object)
    dtype = column.type
    levels = None
    if pa.types.is_dictionary(dtype):
        found = column.unify_dictionaries().combine_chunks()
        levels = (found if hasattr(found, "dictionary") else found.chunk(0)).dictionary
        originals = {str(level): code for code, level in enumerate(levels.to_pylist())}

    def restore(drawn: Any) -> Any:
        array = pa.array(
            list(map(originals.get, drawn)), dtype if levels is None else dtype.index_type
        )
        if levels is None:
            return array
        return pa.DictionaryArray.from_arrays(array, levels, ordered=dtype.ordered)

    return words, Style("category"), restore


def _numbers_of(
    about: dict[str, Any], dtype: Any, bounds: tuple[float, float], is_whole: bool
) -> Restore:
    """Return what turns coded numbers into an array of a type of arrow, within its range."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from skgm.tables._times import TIMES, restore_times

    low, high = _range_of(dtype)

    def restore(drawn: Any) -> Any:
        numbers = drawn.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
        hole = np.isnan(numbers)
        numbers = np.where(hole, bounds[0], np.rint(numbers) if is_whole else numbers)
        if about["kind"] in TIMES:
            whole = np.clip(numbers, *bounds)
            series = restore_times("found", whole, about, f"arrow:{dtype}", "pyarrow")
            array = series.to_native().combine_chunks()
        elif pa.types.is_floating(dtype):
            array = pa.array(numbers.astype(dtype.to_pandas_dtype()))
        elif pa.types.is_decimal(dtype):
            array = pa.array(np.clip(numbers.round(dtype.scale), low, high)).cast(dtype)
        else:
            whole = np.clip(numbers, low, high).astype(np.int64)
            small = dtype.bit_width == 32 and pa.types.is_time(dtype)
            array = pa.array(whole).cast(pa.int32() if small else pa.int64()).cast(dtype)
        return pc.if_else(pa.array(hole), pa.scalar(None, dtype), array)

    return restore


def _range_of(dtype: Any) -> tuple[float, float]:
    import pyarrow as pa

    if pa.types.is_decimal(dtype):
        most = 10.0 ** min(dtype.precision - dtype.scale, 15) - 1
        return -most, most
    if pa.types.is_time(dtype):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[dtype.unit]
        return 0, 86_400 * per_second - 1
    if not pa.types.is_integer(dtype):
        return -np.inf, np.inf
    bits = min(dtype.bit_width, 53)
    return (0 if pa.types.is_unsigned_integer(dtype) else -(2 ** (bits - 1))), (
        2**bits - 1 if pa.types.is_unsigned_integer(dtype) else 2 ** (bits - 1) - 1
    )
