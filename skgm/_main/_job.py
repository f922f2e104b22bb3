"""The main job from table to files, as the lines it prints."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skgm._main._arguments import Options
from skgm._main._errors import JobError
from skgm._main._files import Writer, check_output, report_path, write_files
from skgm._main._holes import with_holes
from skgm._main._models import MODELS, Setting
from skgm._main._plot import MAX_COLUMNS, can_plot, make_report, pair_plot
from skgm._main._report import (
    comparison_lines,
    interval_lines,
    negative_note,
    share_lines,
    table_lines,
)
from skgm._main._selection import (
    Fitted,
    Stack,
    fit_baselines,
    fit_model,
    quietly,
    stack_models,
)
from skgm._main._split import FOLDS_UP_TO, Split, split_table, spread
from skgm._main._table import Table, default_table, pandas_call, read_table, write_rows
from skgm._parallel import ordered_map

__all__ = ["run"]

SEARCH_ROWS, QUICK_ROWS = 3000, 1400
MIN_REPORT_ROWS = 10


def run(options: Options) -> Iterator[str]:
    """Do the job; yield what to print as soon as it is known.

    Raises
    ------
    JobError
        Anything the user can put right; no output file is then written.
    """
    check_output(options.output or "synthetic.csv", options.table)
    table = default_table() if options.table is None else read_table(options.table, options.hints)
    default = "synthetic.csv" if table.layout is not None else "synthetic.parquet"
    path = check_output(options.output or default, options.table)
    yield from table_lines(table)
    call = options.table and pandas_call(options.table, table)
    if call:
        yield f"in Python: {call}"
    if not table.frame.shape[1]:
        alone = " (is the delimiter right? --delimiter)" if len(table.columns) < 2 else ""
        raise JobError(f"{table.origin} has no column that a density can learn{alone}")
    n_rows = QUICK_ROWS if options.is_quick else SEARCH_ROWS
    split = split_table(table, n_rows, options.random_state)
    names, notes = _models_to_fit(options, split, len(table.frame))
    baselines, more = quietly("baselines", fit_baselines, split, options.random_state)
    with _progress(len(names) + 1 + options.has_report) as step:
        models, told = _fit_models(names, options, split, step)
        stack = stack_models(models)
        models += [stack] if stack is not None else []
        yield ""
        yield from comparison_lines(models, baselines, split, len(table.frame), options.level)
        yield from (f"note: {note}" for note in notes + more + told)
        yield ""
        yield from _parameters(table, options.level)
        yield ""
        # Rounded: of models that agree but for rounding errors, the first is to win everywhere.
        winner = max(models, key=lambda fitted: round(fitted.cv_score, 6))
        winner, said = _final(winner, table, options, split, step)
        yield from said
        yield from _write(winner, baselines, table, options, path, step)


def _models_to_fit(options: Options, split: Split, n_in_all: int) -> tuple[list[str], list[str]]:
    """Return the models that are to be fitted, and why others are not."""
    names, notes = [], []
    n, d = split.train.shape
    kind = "mixed" if split.obstacles.to_numbers else "numbers"
    for name in options.models or MODELS:
        model = MODELS[name]
        why = model.refusal(split.obstacles)
        if options.models is None and why is None:
            if options.is_quick and model.quick_on != kind:
                continue
            why = model.hesitation(n, d, split.obstacles, 0 if options.is_quick else n_in_all)
            why = why and f"{why} (--model {name} fits it)"
        if why is None:
            names.append(name)
        else:
            notes.append(f"{name} left out: {why}")
    if not names:
        raise JobError("no model can be fitted: " + "; ".join(notes))
    return names, _gathered(notes)


def _gathered(notes: list[str]) -> list[str]:
    """Name models that are left out for one reason together."""
    reasons: dict[str, list[str]] = {}
    for note in notes:
        name, _, why = note.partition(" left out: ")
        reasons.setdefault(why, []).append(name)
    return [f"{', '.join(names)} left out: {why}" for why, names in reasons.items()]


@contextmanager
def _progress(n_steps: int) -> Iterator[Any]:
    """Show a bar of the fits on a terminal, where rich is installed; yield what moves it on."""
    shown = sys.stdout is not None and sys.stdout.isatty()  # None: stdout was closed
    try:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        shown = False
    if not shown:
        yield lambda what: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=n_steps, completed=-1)

        def step(what: str) -> None:
            bar.update(task, description=what, advance=1)

        yield step


def _fit_models(
    names: list[str], options: Options, split: Split, step: Any
) -> tuple[list[Fitted], list[str]]:
    """Fit the chosen models; one that fails becomes a note, unless all fail."""
    models, notes = [], []
    is_mixed = split.obstacles.to_numbers is not None
    setting = Setting(options.random_state, is_mixed, options.is_quick)
    fit = partial(_try_model, split, setting, len(names) == 1)

    @contextmanager
    def around(i: int, here: bool) -> Iterator[None]:
        step(f"fitting {names[i]}" if here else f"fitted {names[i]}")
        yield

    for fitted, told in ordered_map(fit, names, n_jobs=options.n_jobs, around=around):
        models += fitted
        notes += told
    if not models:
        raise JobError("no model could be fitted: " + "; ".join(notes))
    return models, notes


def _try_model(
    split: Split, setting: Setting, alone: bool, name: str
) -> tuple[list[Fitted], list[str]]:
    """Return the fitted model, none where it failed, and what is to be said about it."""
    try:
        fitted, told = quietly(name, partial(fit_model, alone=alone), name, split, setting)
    except JobError as error:
        return [], [str(error)]
    return [fitted], told


def _parameters(table: Table, level: float) -> Iterator[str]:
    n_values = table.frame.nunique()
    names = [name for name, style in table.styles.items() if style.kind in ("real", "whole")]
    numbers = [name for name in names if n_values[name] > 2]
    two_valued = [name for name in names if n_values[name] == 2]
    if two_valued:
        shares = {name: _share(table.frame[name].dropna(), level) for name in two_valued}
        yield from share_lines(shares, level)
    if not numbers:
        return
    found, notes = {}, []
    for name in numbers:
        column = table.frame[[name]].dropna().astype(float)
        try:
            found[name], told = quietly("parameter intervals", _intervals, column, level)
        except JobError as error:
            told = [f"column {name!r}: {error}"]
        notes += told
    yield from interval_lines(found, table.frame, level)
    yield from (f"note: {note}" for note in dict.fromkeys(notes))


def _share(column: Any, level: float) -> tuple[Any, Any]:
    """Return the larger of two values, and the interval of its share."""
    from skgm.inference import MLEDensity

    larger = column.max()
    rows = (column == larger).to_numpy(dtype=float)[:, None]
    return larger, MLEDensity("bernoulli").fit(rows).confidence_intervals(level=level)


def _intervals(frame: Any, level: float) -> Any:
    """Return sandwich intervals: right for the mean and spread of any column, normal or not."""
    from skgm.inference import MLEDensity

    density = MLEDensity("normal").fit(frame)
    return density.confidence_intervals(level, method="robust", X=frame)


def _final(
    winner: Fitted, table: Table, options: Options, split: Split, step: Any
) -> tuple[Fitted, list[str]]:
    """Return the winner fitted to all rows, or as it is where time is short; and what to say."""
    from sklearn.base import clone

    n_rows = len(split.train)
    if options.is_quick and n_rows > FOLDS_UP_TO:
        return winner, [f"note: {winner.name} is fitted to the {n_rows} training rows (--quick)"]
    densities = []
    for _, member in winner.members or ((1.0, winner),):
        rows = table.frame
        step(f"fitting {member.name} to {len(rows)} rows")
        if not MODELS[member.name].reads_cells:
            rng = np.random.default_rng(options.random_state)
            rows = spread(rows, table.frame, rng, table.is_numeric)
        fit = clone(member.density).fit
        densities.append(quietly(f"fitting {member.name} to all rows", fit, rows)[0])
    if not winner.members:
        return replace(winner, density=densities[0]), []
    return replace(winner, density=Stack([w for w, _ in winner.members], densities)), []


def _write(
    winner: Fitted,
    baselines: list[Fitted],
    table: Table,
    options: Options,
    path: Path,
    step: Any,
) -> Iterator[str]:
    rng = np.random.default_rng(options.random_state)
    n_samples = len(table.frame) if options.n_samples is None else options.n_samples
    draw = winner.density.sample
    drawn, _ = quietly(f"sampling from {winner.name}", draw, n_samples, options.random_state)
    synthetic, _ = quietly("holes", with_holes, drawn, table.frame, rng)
    writers: dict[Path, Writer] = {path: partial(write_rows, synthetic, table)}
    plot = path.with_suffix(".png")
    shown = _shown(table)
    if can_plot() and shown is not None:
        drawn = drawn[list(shown)].astype(float)
        writers[plot] = partial(_write_plot, shown, drawn, options.random_state)
    page: str | None = None
    said: list[str] = []
    if options.has_report:
        step("writing the report")
        page, said = _page(winner, baselines, table, synthetic, options)
        if page is not None:
            writers[report_path(path)] = partial(_write_text, page)
    # quietly: a font without a column's letters still draws the figures
    quietly("writing", write_files, writers)
    best = "" if np.isnan(winner.cv_score) else " (best cv)"
    yield f"{n_samples} synthetic rows of {winner.name}{best}: {path}"
    if plot in writers:
        yield f"pair plot of {min(MAX_COLUMNS, shown.shape[1])} columns of numbers: {plot}"
    elif not can_plot():
        yield "no pair plot: matplotlib is not installed (pip install matplotlib)"
    yield from said
    if page is not None:
        yield f"report on the synthetic rows: {report_path(path)}"
    yield from negative_note(table, drawn)


def _page(
    winner: Fitted, baselines: list[Fitted], table: Table, rows: Any, options: Options
) -> tuple[str | None, list[str]]:
    """Return the report as a page, and what to print of it; a failure costs no synthetic rows."""
    if len(rows) < MIN_REPORT_ROWS:
        return None, [f"no report: it needs at least {MIN_REPORT_ROWS} synthetic rows"]
    arguments = (table, rows, winner, baselines, options.level, options.random_state)
    title = f"Synthetic rows of {winner.name} beside {table.origin}"
    n_columns = 4 if options.is_quick else 12
    try:
        found, _ = quietly("report", make_report, *arguments)
        page, _ = quietly("report", partial(found.to_html, title=title, n_columns=n_columns))
    except JobError as error:
        return None, [f"note: no report: {error}"]
    worst = [f"  - {finding}" for finding in found.warnings[:3]]
    more = len(found.warnings) - len(worst)
    return page, [
        "what is wrong with the synthetic rows, the worst first:"
        if worst
        else "no fault was found in the synthetic rows beyond what chance explains",
        *worst,
        *([f"  and {more} more in the report"] if more > 0 else []),
    ]


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _shown(table: Table) -> Any:
    """Return the complete rows of the columns of numbers, for the plot; None without any."""
    numbers = [name for name, style in table.styles.items() if style.kind != "category"]
    known = [name for name in numbers if table.frame[name].notna().mean() > 0.5]
    complete = table.frame[known[:MAX_COLUMNS]].dropna().astype(float)
    return complete if complete.size else None


def _write_plot(shown: Any, drawn: Any, random_state: int, path: Path) -> None:
    pair_plot(shown, drawn, path, random_state)
