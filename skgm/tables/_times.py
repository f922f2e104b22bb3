"""Reads dates and durations as whole numbers of a stated unit, and writes such numbers back.

A column's own numbers ("ticks") are int64 counts of its clock ("D", "s", "ms", "us" or "ns")
since 1970 or since nothing. Its unit is the coarsest one of which all training values are whole
multiples; a date is coded by the number of units since the earliest training date, a duration by
the number of units.
"""

from typing import Any

import narwhals as nw
import numpy as np

from skgm.tables._frames import arrow_type, as_series

__all__ = ["TIMES", "code_times", "describe_times", "restore_times"]

TIMES = ("datetime", "duration")
_PER_DAY = {"D": 1, "s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
# Names of units, coarsest first, and how many make a day.
_UNITS = {
    "days": 1,
    "hours": 24,
    "minutes": 1440,
    "seconds": 86_400,
    "milliseconds": 86_400 * 10**3,
    "microseconds": 86_400 * 10**6,
    "nanoseconds": 86_400 * 10**9,
}


def describe_times(column: Any, kind: str) -> dict[str, Any]:
    """Return "unit", "clock", "origin" (in ticks) and "zone" of a training column."""
    ticks, missing, resolution = _ticks(column)
    known = ticks[~missing]
    step = int(np.gcd.reduce(known)) if len(known) else 0
    fitting = (name for name, n in _UNITS.items() if step * n % _PER_DAY[resolution] == 0)
    origin = int(known.min()) if kind == "datetime" and len(known) else 0
    zone = getattr(column.dtype, "time_zone", None)
    return {"unit": next(fitting), "clock": resolution, "origin": origin, "zone": zone}


def code_times(column: Any, about: dict[str, Any]) -> np.ndarray:
    """Return a column as numbers of the described unit, (n,); NaN for holes."""
    ticks, missing, resolution = _ticks(column)
    if ticks is None and np.all(_is_missing(column)):
        return np.full(len(column), np.nan)
    if ticks is None:
        raise ValueError(
            f"Column {about['name']!r} of X holds no dates or durations, which fit has seen there. "
            "Convert it (for example with pandas.to_datetime)."
        )
    zone = getattr(column.dtype, "time_zone", None)
    if (zone is None) != (about["zone"] is None) and not missing.all():
        raise ValueError(
            f"Column {about['name']!r} of X has the time zone {zone}, where fit saw "
            f"{about['zone']}. Localize or convert it (for example with Series.dt.tz_localize)."
        )
    ours, theirs = _PER_DAY[about["clock"]], _PER_DAY[resolution]
    rest = np.zeros(len(ticks))
    if theirs > ours:  # a finer clock: whole ticks of ours, and what is left of one
        ticks, left = np.divmod(ticks, theirs // ours)
        rest = left / (theirs // ours)
    else:
        ticks = ticks * (ours // theirs)
    per_unit = ours // _UNITS[about["unit"]]
    whole, left = np.divmod(ticks - about["origin"], per_unit)  # exact: a product would round
    return np.where(missing, np.nan, whole + (left + rest) / per_unit)


def _is_missing(column: Any) -> Any:
    """Return which values are missing in a column that holds no times, (n,)."""
    values = column.tolist() if isinstance(column, np.ndarray) else column.to_list()
    return np.array([item is None or item != item for item in values], dtype=bool)


def _ticks(column: Any) -> tuple[Any, Any, str]:
    """Return the ticks of a column, which of them are missing, and their resolution."""
    if isinstance(column, np.ndarray) or not column.dtype.is_temporal():
        return None, None, ""
    resolution = "D" if column.dtype == nw.Date else column.dtype.time_unit
    missing, native = column.is_null().to_numpy(), column.to_native()
    if hasattr(native, "to_physical"):  # polars
        return native.to_physical().fill_null(0).to_numpy().astype(np.int64), missing, resolution
    if hasattr(native, "array") and hasattr(native.array, "asi8"):  # numpy's dates in pandas
        return np.where(missing, 0, native.array.asi8), missing, resolution
    import pyarrow as pa  # the column is one of arrow, so it is installed

    array = native.array.__arrow_array__() if hasattr(native, "array") else native
    if pa.types.is_date(array.type):
        array = array.cast(pa.date32()).cast(pa.int32())
    ticks = array.cast(pa.int64()).fill_null(0).to_numpy()
    return np.asarray(ticks, dtype=np.int64), np.asarray(missing, dtype=bool), resolution


def restore_times(
    name: str, codes: np.ndarray, about: dict[str, Any], native: str | None, backend: Any
) -> Any:
    """Return coded times as a narwhals Series; `native` is a dtype of pandas or arrow to restore.

    What `fit` saw in a frame of another library comes back with the same resolution and zone.
    """
    resolution, whole = about["clock"], np.rint(codes).astype(np.int64)
    ticks = about["origin"] + whole * (_PER_DAY[resolution] // _UNITS[about["unit"]])
    if native is not None and native.startswith("arrow:"):
        return _arrow_times(name, ticks, native, backend)
    code = "M8" if about["kind"] == "datetime" else "m8"
    fits = resolution != "D" and (resolution != "s" or backend in ("pandas", "pyarrow"))
    values = ticks.astype(f"{code}[{resolution}]")
    is_date = about["dtype"] == "Date" and backend != "pandas"
    values = values if fits or is_date else values.astype(f"{code}[ms]")
    series = nw.new_series(name, values, backend=backend)
    if about["zone"] is None:
        return series
    zoned = series.dt.replace_time_zone("UTC").dt.convert_time_zone(about["zone"])
    return zoned.alias(name)


def _arrow_times(name: str, ticks: np.ndarray, native: str, backend: Any) -> Any:
    import pyarrow as pa  # the column is one of arrow, so it is installed

    dtype = arrow_type(native[6:])
    if pa.types.is_date(dtype):
        array = pa.array(ticks.astype(np.int32), pa.int32()).cast(pa.date32()).cast(dtype)
    else:
        array = pa.array(ticks, pa.int64()).cast(dtype)
    return as_series(name, array, backend)
