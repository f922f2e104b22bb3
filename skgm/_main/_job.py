"""The main job from table to files, as the lines it prints."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from skgm._main._arguments import Options
from skgm._main._errors import JobError
from skgm._main._files import Writer, check_output, write_files
from skgm._main._mixed import is_mixed, run_mixed
from skgm._main._plot import MAX_COLUMNS, can_plot, pair_plot
from skgm._main._report import comparison_lines, interval_lines, synthetic_notes, table_lines
from skgm._main._selection import Fitted, fit_baselines, fit_model, quietly
from skgm._main._split import Split, split_table
from skgm._main._table import Table, default_table, read_table

__all__ = ["run"]


def run(options: Options) -> Iterator[str]:
    """Do the job; yield what to print as soon as it is known.

    Raises
    ------
    JobError
        Anything the user can put right; no output file is then written.
    """
    path = check_output(options.output, options.table)
    table = default_table() if options.table is None else read_table(options.table)
    if is_mixed(table):
        yield from run_mixed(table, options, path)
        return
    yield from table_lines(table)
    split = split_table(table, options.random_state)
    baselines, notes = quietly("baselines", fit_baselines, split)
    models, more = _fit_models(options, split)
    yield ""
    yield from comparison_lines(models, baselines, split, options.level)
    yield from (f"note: {note}" for note in notes + more)
    yield ""
    yield from _parameters(table, options.level)
    yield ""
    # Rounded: of models that agree but for rounding errors, the first is to win everywhere.
    winner = max(models, key=lambda fitted: round(fitted.cv_score, 6))
    yield from _write(winner, table, options, path)


def _fit_models(options: Options, split: Split) -> tuple[list[Fitted], list[str]]:
    """Fit the chosen models; one that fails becomes a note, unless all fail."""
    models, notes = [], []
    for name in options.models:
        try:
            fitted, told = quietly(name, fit_model, name, split, options.random_state)
        except JobError as error:
            notes.append(str(error))
        else:
            models.append(fitted)
            notes += told
    if not models:
        raise JobError("no model could be fitted: " + "; ".join(notes))
    return models, notes


def _parameters(table: Table, level: float) -> Iterator[str]:
    intervals, notes = quietly("parameter intervals", _intervals, table.frame, level)
    yield from interval_lines(intervals, table.frame)
    yield from (f"note: {note}" for note in notes)


def _intervals(frame: Any, level: float) -> Any:
    """Return sandwich intervals: right for the mean and spread of any column, normal or not."""
    from skgm.inference import MLEDensity

    density = MLEDensity("normal").fit(frame)
    return density.confidence_intervals(level, method="robust", X=frame)


def _write(winner: Fitted, table: Table, options: Options, path: Path) -> Iterator[str]:
    n_samples = len(table.frame) if options.n_samples is None else options.n_samples
    draw = winner.density.sample
    synthetic, _ = quietly(f"sampling from {winner.name}", draw, n_samples, options.random_state)
    writers: dict[Path, Writer] = {path: partial(_write_csv, synthetic, table)}
    plot = path.with_suffix(".png")
    if can_plot():
        writers[plot] = partial(_write_plot, synthetic, table, options.random_state)
    # quietly: a font without a column's letters still draws the figures
    quietly("writing", write_files, writers)
    yield f"{n_samples} synthetic rows of {winner.name} (best cv): {path}"
    if plot in writers:
        shown = min(MAX_COLUMNS, table.frame.shape[1])
        yield f"pair plot of {shown} of {table.frame.shape[1]} columns: {plot}"
    else:
        yield "no pair plot: matplotlib is not installed (pip install matplotlib)"
    yield from synthetic_notes(table, synthetic)


def _write_csv(synthetic: Any, table: Table, path: Path) -> None:
    synthetic.to_csv(
        path, sep=table.delimiter, header=table.has_header, index=False, lineterminator="\n"
    )


def _write_plot(synthetic: Any, table: Table, random_state: int, path: Path) -> None:
    pair_plot(table.frame, synthetic, path, random_state)
