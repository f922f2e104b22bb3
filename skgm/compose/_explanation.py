"""Says which columns make rows improbable: the log-density of each value given the others."""

from collections.abc import Callable
from typing import Any

import narwhals as nw
import numpy as np
from scipy.special import logsumexp

from skgm.compose._densities import base_measures, draw_rows, log_density, reads_kinds
from skgm.compose._fitting import rows_at
from skgm.tables._columns import table_shape

__all__ = ["explain_rows"]

_POINTS, _ZOOMS = 161, 2  # points of a grid over a column, and of finer ones around the peak
_MOST_WHOLE = 400  # whole numbers that are summed over
_COMPLETIONS = 40  # of a row with holes


def explain_rows(density: Any, rows: Any, names: list[Any], n_draws: int, rng: Any) -> Any:
    """Return a frame of one line for each value of each row, the most surprising first.

    The surprise of a value is usual or not by comparison with draws of the density itself, whose
    surprises are in the same unit.
    """
    import pandas as pd

    drawn = draw_rows(density, n_draws, rng)
    if not reads_kinds(density):
        rows, drawn = np.asarray(rows, dtype=np.float64), np.asarray(drawn, dtype=np.float64)
    found, usual = (_surprises(density, part, names, drawn, rng) for part in (rows, drawn))
    values = _columns(rows)
    lines = []
    for j, name in enumerate(names):
        known = np.sort(usual[~np.isnan(usual[:, j]), j])
        at_least = len(known) - np.searchsorted(known, found[:, j] - 1e-9, side="left")
        lines.append(
            pd.DataFrame(
                {
                    "row": np.arange(len(found)),
                    "column": [name] * len(found),
                    "value": pd.Series(list(values[j]), dtype=object),
                    "surprise": found[:, j],
                    "usual": np.median(known) if len(known) else np.nan,
                    "pvalue": (1 + at_least) / (1 + len(known)),
                }
            )
        )
    frame = pd.concat(lines, ignore_index=True).dropna(subset=["surprise"])
    frame["excess"] = frame["surprise"] - frame["usual"]
    order = frame.sort_values(["row", "excess"], ascending=[True, False], kind="stable")
    kept = ["row", "column", "value", "surprise", "usual", "excess", "pvalue"]
    return order[kept].reset_index(drop=True)


def _columns(rows: Any) -> list[list[Any]]:
    if isinstance(rows, np.ndarray):
        return [column.tolist() for column in rows.T]
    frame = nw.from_native(rows, eager_only=True)
    return [column.to_list() for column in frame.iter_columns()]


def _column(rows: Any, j: int) -> np.ndarray:
    """Return a column as numbers, or as objects where it holds anything else, (n,)."""
    values = rows[:, j] if isinstance(rows, np.ndarray) else _columns(rows)[j]
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.asarray(values, dtype=object)


def _surprises(
    density: Any, rows: Any, names: list[Any], drawn: Any, rng: np.random.Generator
) -> np.ndarray:
    """Return -log p(x_j | the other observed values), (n, d); NaN where x_j is missing.

    A density that scores incomplete rows says what the others have by themselves; of another, the
    column is summed or integrated out.
    """
    missing = np.column_stack([_is_missing(rows, j) for j in range(len(names))])
    holed = missing.any(axis=1)
    score = _scorer(density)
    try:
        score(rows_at(rows, np.flatnonzero(holed)[:1]) if holed.any() else rows)
    except (TypeError, ValueError):
        if not holed.any() or not hasattr(density, "impute"):
            raise
        return _completed(density, rows, names, drawn, rng, missing)
    whole = score(rows)
    found = np.empty(missing.shape)
    for j in range(len(names)):
        found[:, j] = _gap(whole, _without(density, score, rows, names, j, drawn))
    found[missing] = np.nan
    return found


def _without(
    density: Any, score: Any, rows: Any, names: list[Any], j: int, drawn: Any
) -> np.ndarray:
    """Return log p of the observed values of rows but that of column j, (n,)."""
    try:
        return np.asarray(score(_emptied(rows, j)))
    except (TypeError, ValueError):
        own, seen = (_column(table, j) for table in (rows, drawn))
        measure = base_measures(density, len(names))[j]
        whole = measure.startswith("counting")
        atoms = [] if whole or "counting at" not in measure else _atoms(measure)
        return _integrated(score, rows, j, own, seen, whole, atoms)


def _atoms(measure: str) -> list[float]:
    """Return the points in "Lebesgue, and counting at [0.0, 9.0]"."""
    return [float(word) for word in measure.partition("[")[2].strip("]").split(",")]


def _completed(
    density: Any,
    rows: Any,
    names: list[Any],
    drawn: Any,
    rng: np.random.Generator,
    missing: np.ndarray,
) -> np.ndarray:
    """Return the surprises of a density that scores complete rows alone.

    With the holes H, p(x_j | rest) is the mean of p(x_j | rest, x_H) over draws of x_H given rest.
    """
    found = np.full(missing.shape, np.nan)
    score, holed = _scorer(density), missing.any(axis=1)
    full = np.flatnonzero(~holed)
    if len(full):
        found[full] = _surprises(density, rows_at(rows, full), names, drawn, rng)
    for j in range(len(names)):
        own = np.flatnonzero(holed & ~missing[:, j])
        if not len(own):
            continue
        held = rows_at(rows, own)
        drawn_rows = density.sample(_COMPLETIONS, random_state=rng, given=_emptied(held, j))
        told = _with_column(drawn_rows, held, j)
        surprise = _gap(score(told), _without(density, score, told, names, j, drawn))
        parts = -surprise.reshape(len(own), _COMPLETIONS)
        found[own, j] = np.log(_COMPLETIONS) - logsumexp(parts, axis=1)
    return found


def _with_column(rows: Any, source: Any, j: int) -> Any:
    """Return completions, as many of each row, with column j of the rows that they complete."""
    places = np.repeat(np.arange(table_shape(source)[0]), _COMPLETIONS)
    if isinstance(rows, np.ndarray):
        rows = rows.copy()
        rows[:, j] = np.asarray(source)[places, j]
        return rows
    repeated = rows_at(source, places)
    if nw.dependencies.is_pandas_dataframe(rows):
        rows = rows.copy(deep=False)
        rows.isetitem(j, repeated.iloc[:, j].astype(rows.dtypes.iloc[j]).array)
        return rows
    frame = nw.from_native(rows, eager_only=True)
    other = nw.from_native(repeated, eager_only=True)
    return frame.with_columns(other[frame.columns[j]]).to_native()


def _gap(whole: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return log p(others) - log p(all): infinite where the value is impossible given the others.

    Where the others are impossible by themselves, nothing more is said of the value.
    """
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(others), 0.0, others - whole)


def _scorer(density: Any) -> Callable[[Any], np.ndarray]:
    """Return what scores rows: arrays get the names that the density was fitted with."""
    names = getattr(density, "feature_names_in_", None)

    def score(rows: Any) -> np.ndarray:
        if names is not None and isinstance(rows, np.ndarray):
            import pandas as pd

            rows = pd.DataFrame(rows, columns=list(names))
        return log_density(density, rows)

    return score


def _is_missing(rows: Any, j: int) -> np.ndarray:
    if isinstance(rows, np.ndarray):
        return np.array([value is None or value != value for value in rows[:, j]], dtype=bool)
    column = list(nw.from_native(rows, eager_only=True).iter_columns())[j]
    missing = column.is_null()
    if column.dtype.is_float():
        missing = missing | column.is_nan()
    return np.array(missing.to_list(), dtype=bool)


def _emptied(rows: Any, j: int) -> Any:
    """Return rows with nothing but holes in column j."""
    if isinstance(rows, np.ndarray):
        emptied = rows.copy()
        emptied[:, j] = np.nan
        return emptied
    if nw.dependencies.is_pandas_dataframe(rows):
        import pandas as pd

        emptied = rows.copy()
        dtype: Any = rows.dtypes.iloc[j]
        kept = dtype.kind in "OMm" or not isinstance(dtype, np.dtype)
        hole = pd.Series([None] * len(rows), index=rows.index, dtype=dtype if kept else float)
        emptied.isetitem(j, hole if dtype.kind != "b" or kept else hole.astype(object))
        return emptied
    frame = nw.from_native(rows, eager_only=True)
    name = frame.columns[j]
    hole = nw.lit(None).cast(frame.schema[name]).alias(name)
    return frame.with_columns(hole).to_native()


def _integrated(
    score: Callable[[Any], np.ndarray],
    rows: Any,
    j: int,
    own: np.ndarray,
    drawn: np.ndarray,
    whole: bool,
    atoms: list[float],
) -> np.ndarray:
    """Return log p of rows without column j: by a sum, or by the trapezoidal rule.

    Point masses are added to the integral, whose points lie beside them.

    The sum over categories is over those of the rows and of the draws. The grids of the integral
    become finer around the peak: its error is below a hundredth of a nat for a normal density as
    narrow as a hundredth of the range.
    """
    if own.dtype == object:
        categories = np.array(list(dict.fromkeys([*own, *drawn])), dtype=object)
        every = np.broadcast_to(categories, (len(own), len(categories)))
        return np.asarray(logsumexp(_on_points(score, rows, j, every), axis=1))
    low, high = min(drawn.min(), own.min()), max(drawn.max(), own.max())
    if whole:
        reach = min(int(high - low) + 1, _MOST_WHOLE)
        points = np.arange(int(low) - reach, int(high) + reach + 1, dtype=np.float64)
        table = _on_points(score, rows, j, np.broadcast_to(points, (len(own), len(points))))
        return np.asarray(logsumexp(table, axis=1))
    reach = max(high - low, 1e-6 * max(abs(low), abs(high)), 1e-300)
    grid = np.broadcast_to(np.linspace(low - reach, high + reach, _POINTS), (len(own), _POINTS))
    step = float(grid[0, 1] - grid[0, 0])
    beside = 1e-6 * step
    masses = np.broadcast_to(np.array(atoms), (len(own), len(atoms)))
    # the value of the row itself is a good guess where a grid falls between the peaks
    grids = [np.where(np.isin(own, atoms), own + beside, own)[:, None]]
    tables = [_on_points(score, rows, j, grids[0])]
    for _ in range(_ZOOMS + 1):
        grid = np.where(np.isin(grid, atoms), grid + beside, grid)
        grids.append(grid)
        tables.append(_on_points(score, rows, j, grid))
        points, table = np.hstack(grids), np.hstack(tables)
        peak = np.take_along_axis(points, table.argmax(axis=1)[:, None], axis=1)
        grid = peak + np.linspace(-4 * step, 4 * step, _POINTS)
        step *= 8 / (_POINTS - 1)
    order = np.argsort(points, axis=1, kind="stable")
    points = np.take_along_axis(points, order, axis=1)
    table = np.take_along_axis(table, order, axis=1)
    width = np.diff(points, axis=1)
    ends = np.logaddexp(table[:, 1:], table[:, :-1])
    with np.errstate(divide="ignore"):
        parts = [ends + np.log(width / 2)]
    if atoms:
        parts.append(_on_points(score, rows, j, masses))
    return np.asarray(logsumexp(np.hstack(parts), axis=1))


def _on_points(
    score: Callable[[Any], np.ndarray], rows: Any, j: int, points: np.ndarray
) -> np.ndarray:
    """Return the log-densities of rows with column j replaced by each of its points, (n, k)."""
    places = np.repeat(np.arange(len(points)), points.shape[1])
    if isinstance(rows, np.ndarray):
        repeated = rows[places]
        repeated[:, j] = points.ravel()
        return score(repeated).reshape(points.shape)
    frame = nw.from_native(rows, eager_only=True)[places.tolist()]
    name, dtype = frame.columns[j], frame.schema[frame.columns[j]]
    column = nw.new_series(name, points.ravel().tolist(), backend=frame.implementation)
    replaced = frame.with_columns(column if dtype.is_numeric() else column.cast(dtype))
    return score(replaced.to_native()).reshape(points.shape)
