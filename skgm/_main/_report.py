"""The lines the main job prints."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from skgm._main._layout import counted
from skgm._main._selection import Fitted
from skgm._main._split import Split
from skgm._main._table import Table, listed

__all__ = [
    "align",
    "comparison_lines",
    "interval_lines",
    "negative_note",
    "share_lines",
    "table_lines",
]

KINDS = {"real": "real", "whole": "whole-number", "date": "date", "category": "category"}


def table_lines(table: Table) -> Iterator[str]:
    """Describe the table, what was guessed about its file, and what may mislead."""
    frame = table.frame
    kinds = [KINDS[style.kind] for style in table.styles.values()]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS.values() if kind in kinds)
    yield f"{table.origin}: {frame.shape[0]} rows, {frame.shape[1]} columns to learn ({counts})"
    first, *notes = table.notes or ("a table in memory",)
    yield f"read as {first}"
    yield from (f"  - {note}" for note in notes)
    holes = frame.isna().mean()
    holed = holes[holes > 0].sort_values(ascending=False)
    if len(holed):
        worst = [f"{name} {share:.1%}" for name, share in holed.items()]
        yield f"  - missing values in {counted(len(holed), 'column')}: {listed(worst)}"
    n_twice = int(frame.duplicated().sum())
    if n_twice:
        yield (
            f"  - {counted(n_twice, 'row')} like an earlier one; copies may stand in both parts "
            "and flatter flexible models"
        )


def comparison_lines(
    models: Sequence[Fitted], baselines: Sequence[Fitted], split: Split, n_rows: int, level: float
) -> Iterator[str]:
    """Show every density's log-likelihood and its paired differences from the baselines."""
    yield "Log-likelihood of held-out rows, nats per row (larger is better)"
    header = ["model", "cv", "test", *(f"minus {b.name}" for b in baselines), "chosen"]
    rows = [_comparison_row(fitted, baselines, level) for fitted in [*models, *baselines]]
    yield from align([header, *rows], right=(1, 2))
    n_train, n_test, n_folds = len(split.train), len(split.test), len(split.folds)
    if split.n_rows < n_rows:
        yield f"Of {n_rows} rows, {split.n_rows} taken at random are used here."
    if n_train + n_test < split.n_rows:
        n_new = split.n_rows - n_train - n_test
        yield (
            f"Categories that the training rows lack: {counted(n_new, 'row')} put aside, "
            "not scored."
        )
    parts = f"{n_folds} folds" if n_folds > 1 else "a validation part"
    if not np.isnan(models[0].cv_score):
        yield (
            f"cv: mean over {parts} of the {n_train} training rows, where options and winner are "
            "chosen."
        )
    yield (
        f"test, and the differences with their {_percent(level)} confidence intervals (paired, "
        f"one at a time): the {n_test} rows put aside."
    )


def _comparison_row(fitted: Fitted, baselines: Sequence[Fitted], level: float) -> list[str]:
    differences = [_difference(fitted, baseline, level) for baseline in baselines]
    test = f"{fitted.log_density.mean():.3f}"
    cv = "-" if np.isnan(fitted.cv_score) else f"{fitted.cv_score:.3f}"
    return [fitted.name, cv, test, *differences, fitted.chosen]


def _difference(fitted: Fitted, baseline: Fitted, level: float) -> str:
    from skgm.metrics import compare_densities  # --help must not load the estimators

    if fitted is baseline:
        return "-"
    n_zero = int(np.isneginf(fitted.log_density).sum())
    if n_zero:
        return f"-inf ({n_zero} rows of zero density)"
    try:
        result = compare_densities(fitted.log_density, baseline.log_density, level=level)
    except ValueError:  # one and the same difference in every test row
        return f"{(fitted.log_density - baseline.log_density).mean():+.3f} [no interval]"
    if result.standard_error == 0:
        return "equal"
    return f"{result.difference:+.3f} [{result.low:+.3f}, {result.high:+.3f}]"


def interval_lines(found: dict[str, Any], frame: Any, level: float) -> Iterator[str]:
    """Show parameter estimates and intervals, one line per column of numbers."""
    yield (
        f"Parameters of one normal per column of numbers, all {len(frame)} rows, with "
        f"{_percent(level)} confidence intervals"
    )
    yield "(robust: they hold for the mean and spread of a column that is not normal as well)"
    rows = []
    for name, intervals in found.items():
        rows.append([name])
        for estimate, (low, high) in zip(intervals.estimate.values(), intervals.values()):
            figures = [float(np.ravel(value)[0]) for value in (estimate, low, high)]
            rows[-1].append("{} [{}, {}]".format(*_apart(figures)))
    names = list(next(iter(found.values()))) if found else []
    yield from align([["column", *names], *rows])


def share_lines(found: dict[str, Any], level: float) -> Iterator[str]:
    """Show how often columns of two values take the larger one."""
    yield f"Columns of two values: share of the larger one, {_percent(level)} confidence intervals"
    rows = [["column", "value", "share"]]
    for name, (value, intervals) in found.items():
        figures = [intervals.estimate["p"], *intervals["p"]]
        shown = _apart([float(np.ravel(figure)[0]) for figure in figures])
        rows.append([name, f"{value:g}", "{} [{}, {}]".format(*shown)])
    yield from align(rows)
    yield ""


def _apart(figures: Sequence[float]) -> list[str]:
    """Write figures with as many digits as tell them apart, five at least."""
    largest, reach = max(map(abs, figures)), max(figures) - min(figures)
    digits = 5
    if reach > 0 and np.isfinite(reach):
        digits = int(np.clip(np.ceil(np.log10(largest / reach)) + 3, 5, 15))
    shown = [f"{figure:.{digits}g}" for figure in figures]
    if not 1e-4 <= largest < 1e15:
        return shown
    return [np.format_float_positional(float(figure), trim="-") for figure in shown]


def negative_note(table: Table, drawn: Any) -> Iterator[str]:
    """Say where drawn rows have negative numbers and the table has none."""
    negative = []
    for name, style in table.styles.items():
        if style.kind not in ("real", "whole") or name not in drawn:
            continue
        share = float((drawn[name].astype(float) < -0.5 * 10.0 ** -(style.decimals or 12)).mean())
        if share and table.frame[name].min() >= 0:
            negative.append(f"{name} ({share:.1%})")
    if negative:
        yield f"note: negative synthetic values where the table has none: {listed(negative)}"


def align(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Pad cells to columns two spaces apart; `right` lists the columns to align right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.rjust(width) if j in right else cell.ljust(width)
            for j, (cell, width) in enumerate(zip(row, widths))
        ]
        yield "  ".join(cells).rstrip()


def _percent(level: float) -> str:
    return f"{100 * level:.6g}%"
