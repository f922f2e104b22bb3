"""The lines the main job prints."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from skgm._main._selection import Fitted
from skgm._main._split import N_FOLDS, Split
from skgm._main._table import Table

__all__ = ["align", "comparison_lines", "interval_lines", "synthetic_notes", "table_lines"]

FEW_VALUES = 10


def table_lines(table: Table) -> Iterator[str]:
    """Describe the table, and what about it a density does not suit."""
    frame = table.frame
    yield f"{table.origin}: {frame.shape[0]} rows, {frame.shape[1]} columns"
    few = [str(name) for name in frame.columns if frame[name].nunique() < FEW_VALUES]
    if few:
        yield (
            f"note: few distinct values in {_listed(few)}; a density treats them as continuous, "
            "and a flexible one may score high by narrow peaks there"
        )
    n_twice = int(frame.duplicated().sum())
    if n_twice:
        yield (
            f"note: {n_twice} rows repeat an earlier row; they may stand in both parts and flatter "
            "flexible models"
        )


def comparison_lines(
    models: Sequence[Fitted], baselines: Sequence[Fitted], split: Split, level: float
) -> Iterator[str]:
    """Show every density's log-likelihood and its paired differences from the baselines."""
    yield "Log-likelihood of held-out rows, nats per row (larger is better)"
    header = ["model", "cv", "test", *(f"minus {b.name}" for b in baselines), "chosen"]
    rows = [_comparison_row(fitted, baselines, level) for fitted in [*models, *baselines]]
    yield from align([header, *rows], right=(1, 2))
    yield (
        f"cv: mean over {N_FOLDS} folds of the {len(split.train)} training rows, where options and "
        "winner are chosen."
    )
    yield (
        f"test, and the differences with their {_percent(level)} confidence intervals (paired, "
        f"one at a time): the {len(split.test)} rows put aside."
    )


def _comparison_row(fitted: Fitted, baselines: Sequence[Fitted], level: float) -> list[str]:
    differences = [_difference(fitted, baseline, level) for baseline in baselines]
    test = f"{fitted.log_density.mean():.3f}"
    return [fitted.name, f"{fitted.cv_score:.3f}", test, *differences, fitted.chosen]


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


def interval_lines(intervals: Any, frame: Any) -> Iterator[str]:
    """Show parameter estimates and intervals, one line per column of the table."""
    yield (
        f"Parameters of one normal per column, all {len(frame)} rows, with "
        f"{_percent(intervals.level)} confidence intervals"
    )
    yield "(robust: they hold for the mean and spread of a column that is not normal as well)"
    rows = [["column", *intervals]]
    for j, name in enumerate(frame.columns):
        cells = [
            "{:.5g} [{:.5g}, {:.5g}]".format(*(np.ravel(v)[j] for v in (estimate, low, high)))
            for estimate, (low, high) in zip(intervals.estimate.values(), intervals.values())
        ]
        rows.append([str(name), *cells])
    yield from align(rows)


def synthetic_notes(table: Table, synthetic: Any) -> Iterator[str]:
    """Say where synthetic rows differ in kind from the table's."""
    integer = [str(name) for name in table.frame.columns if table.frame[name].dtype.kind in "iu"]
    if integer:
        yield f"note: whole numbers in the table come back as real numbers: {_listed(integer)}"
    negative = []
    for name in table.frame.columns:
        share = float((synthetic[name] < 0).mean())
        if share and table.frame[name].min() >= 0:
            negative.append(f"{name} ({share:.1%})")
    if negative:
        yield f"note: negative synthetic values where the table has none: {_listed(negative)}"


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


def _listed(names: Sequence[str], at_most: int = 6) -> str:
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")
