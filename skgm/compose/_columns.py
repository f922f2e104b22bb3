"""Which columns the parts of a ColumnTransformer take, before and after it is fitted."""

from collections import Counter
from typing import Any

import narwhals as nw
import numpy as np

from skgm.tables._frames import frame_schema

__all__ = ["column_parts", "keep_columns", "names_of", "partition_fault"]


def names_of(X: Any) -> list[str] | None:
    """Return the column names of a data frame, or None for an array."""
    schema = frame_schema(X)
    return None if schema is None else schema["columns"]


def keep_columns(X: Any, positions: np.ndarray) -> Any:
    """Return some columns of an array or data frame, by position."""
    if frame_schema(X) is None:
        return X[:, positions]
    return nw.from_native(X, eager_only=True)[:, positions.tolist()].to_native()


def column_parts(
    transformer: Any, X: Any, names: list[str] | None, n_features: int
) -> list[tuple[str, Any, np.ndarray]]:
    """Return (name, transformer, positions of its columns) for each part, the remainder last.

    A fitted ColumnTransformer gives fitted parts. X is only needed where it is not fitted and
    columns are chosen by a callable.
    """
    fitted = getattr(transformer, "transformers_", None)
    parts, taken = [], set()
    for name, part, spec in transformer.transformers if fitted is None else fitted:
        if name == "remainder":
            continue
        positions = _positions(spec(X) if callable(spec) else spec, names, n_features)
        parts.append((name, part, positions))
        taken.update(positions.tolist())
    rest = np.array([j for j in range(n_features) if j not in taken], dtype=int)
    # The columns that scikit-learn lists for the remainder warn when read, up to 1.6.
    last = transformer.remainder if fitted is None else _fitted_remainder(fitted)
    return [(n, p, c) for n, p, c in [*parts, ("remainder", last, rest)] if len(c)]


def _fitted_remainder(fitted: list[Any]) -> Any:
    return fitted[-1][1] if fitted and fitted[-1][0] == "remainder" else "drop"


def _positions(spec: Any, names: list[str] | None, n_features: int) -> np.ndarray:
    """Turn names, positions, slices and masks into positions, in the order given."""
    everything = np.arange(n_features)
    if isinstance(spec, slice):
        return everything[_slice_of_positions(spec, names)]
    listed = [spec] if np.isscalar(spec) else list(spec)
    if listed and all(isinstance(item, str) for item in listed):
        return np.array([_find(str(name), names) for name in listed])
    index = np.asarray(listed)
    return everything[index if len(listed) else index.astype(int)]


def _slice_of_positions(spec: slice, names: list[str] | None) -> slice:
    if not any(isinstance(end, str) for end in (spec.start, spec.stop)):
        return spec
    start = None if spec.start is None else _find(spec.start, names)
    stop = None if spec.stop is None else _find(spec.stop, names) + 1  # by name: both ends
    return slice(start, stop, spec.step)


def _find(name: str, names: list[str] | None) -> int:
    if names is None:
        raise ValueError(
            f"A ColumnTransformer selects column {name!r} by name, but its input has no column "
            "names. Fit on a data frame, or select by position."
        )
    if name not in names:
        raise ValueError(f"A ColumnTransformer selects column {name!r}; there are {names}.")
    return names.index(name)


def partition_fault(parts: list[tuple[str, Any, np.ndarray]], labels: list[str]) -> str | None:
    """Return why the parts do not partition the columns, or None."""
    counts = Counter(int(j) for _, _, positions in parts for j in positions)
    repeated = [labels[j] for j, count in counts.items() if count > 1]
    if repeated:
        return f"columns {repeated} appear in more than one part; give each to one part"
    dropped = [
        labels[j]
        for _, part, columns in parts
        if isinstance(part, str) and part == "drop"
        for j in columns
    ]
    if dropped:
        return (
            f"columns {dropped} are dropped; use remainder='passthrough', or leave these "
            "columns out of the table"
        )
    return None
