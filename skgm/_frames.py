"""Data frames in, the same kind of data frame out (pandas or polars, through narwhals).

What `fit` saw is remembered as a plain dict, so that fitted estimators persist anywhere.
"""

from typing import Any

import narwhals as nw
import numpy as np

__all__ = ["frame_schema", "non_numeric_column", "restore_frame"]


def frame_schema(X: Any) -> dict[str, Any] | None:
    """Describe a data frame as ``{"backend", "columns", "dtypes"}``; None for anything else."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    return {
        "backend": frame.implementation.value,
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.schema.values()],
    }


def non_numeric_column(X: Any) -> Any:
    """Return the first column of a data frame that holds no numbers, or None."""
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    for name in frame.columns:
        column = frame[name]
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
    """
    names = [f"c{j}" for j in range(rows.shape[1])]  # narwhals wants text, pandas any name
    frame = nw.from_numpy(np.asarray(rows), schema=names, backend=schema["backend"])
    casts = [
        nw.col(name).cast(_target_dtype(dtype, discrete))
        for name, dtype in zip(names, schema["dtypes"])
    ]
    native = frame.with_columns(casts).to_native()
    if schema["backend"] == "pandas":
        native.columns = schema["columns"]
        return native
    return nw.from_native(native).rename(dict(zip(names, schema["columns"]))).to_native()


def _target_dtype(dtype: str, discrete: bool) -> Any:
    if dtype in ("Float32", "Float64"):
        return getattr(nw, dtype)
    is_integer = dtype.startswith(("Int", "UInt")) or dtype == "Boolean"
    return getattr(nw, dtype) if discrete and is_integer else nw.Float64
