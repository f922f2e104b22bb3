"""Runs the main job on a table with text or holes: a chain of classifiers against its margins."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from skgm._main._arguments import Options
from skgm._main._errors import JobError
from skgm._main._files import Writer, write_files
from skgm._main._plot import can_plot, pair_plot
from skgm._main._selection import quietly
from skgm._main._split import MIN_ROWS, TEST_SHARE
from skgm._main._table import Table

__all__ = ["is_mixed", "run_mixed"]

_MOST_CATEGORIES = 255
_NEARLY_ALL = 0.5  # of the rows: a column of as many texts names rows


def is_mixed(table: Table) -> bool:
    """Tell whether a table has columns of text or booleans, or holes."""
    frame = table.frame
    return bool(frame.isna().any().any()) or not all(
        column.dtype.kind in "iuf" for _, column in frame.items()
    )


def run_mixed(table: Table, options: Options, path: Path) -> Iterator[str]:
    """Do the job on a mixed table; yield what to print as soon as it is known.

    Raises
    ------
    JobError
        Too few rows, or no column that a density can use.
    """
    table, left_out = _usable(table)
    yield from _description(table)
    yield from (f"note: {line}" for line in left_out)
    train, test = _split(table, options.random_state)
    chain, notes = quietly("density-chain", _fit_chain, train, options.random_state)
    margins, _ = quietly("independent columns", _fit_margins, train, options.random_state)
    yield ""
    yield from _comparison(chain, margins, test, options.level)
    yield from (f"note: {note}" for note in notes)
    yield ""
    yield from _write(chain, table, options, path)


def _usable(table: Table) -> tuple[Table, list[str]]:
    """Set columns aside that a density cannot learn; return the table without them, and why."""
    notes, frame = [], table.frame
    for name, column in list(frame.items()):
        n_values = column.nunique()
        texts = column.dtype.kind not in "iufb" and str(column.dtype) != "Int64"
        if n_values == 0:
            notes.append(f"column {str(name)!r} has no value at all and is left out")
        elif texts and n_values > min(_MOST_CATEGORIES, _NEARLY_ALL * len(frame)):
            notes.append(
                f"column {str(name)!r} holds {n_values} different texts in {len(frame)} rows, so "
                "it names rows and is left out (its values would be copied out)"
            )
        else:
            continue
        frame = frame.drop(columns=name)
    if not frame.shape[1]:
        raise JobError(f"{table.origin} has no column that a density can learn")
    if len(frame) < MIN_ROWS:
        raise JobError(f"{table.origin} has too few rows: {len(frame)}; at least {MIN_ROWS}")
    return replace(table, frame=frame), notes


def _description(table: Table) -> Iterator[str]:
    frame = table.frame
    kinds = ["real" if c.dtype.kind == "f" else _kind(c) for _, c in frame.items()]
    counts = [(kinds.count(k), k) for k in ("real", "whole-number", "category")]
    listed = ", ".join(f"{n} {kind}" for n, kind in counts if n)
    yield f"{table.origin}: {len(frame)} rows, {frame.shape[1]} columns ({listed})"
    holes = frame.isna().mean()
    holed = holes[holes > 0].sort_values(ascending=False)
    if len(holed):
        worst = ", ".join(f"{name} {share:.1%}" for name, share in holed.head(6).items())
        yield f"missing values in {len(holed)} columns: {worst}"


def _kind(column: Any) -> str:
    is_whole = column.dtype.kind in "iu" or str(column.dtype) == "Int64"
    return "whole-number" if is_whole else "category"


def _split(table: Table, random_state: int) -> tuple[Any, Any]:
    """Put a quarter of the rows aside, less those with categories that the rest has not seen."""
    frame = table.frame.sample(frac=1.0, random_state=random_state)
    n_test = round(TEST_SHARE * len(frame))
    test, train = frame.iloc[:n_test], frame.iloc[n_test:]
    seen = np.ones(len(test), dtype=bool)
    for name, column in train.items():
        if column.dtype.kind not in "iuf" and str(column.dtype) != "Int64":
            seen &= (test[name].isin(column.dropna().unique()) | test[name].isna()).to_numpy()
    empty = [str(name) for name in train if train[name].isna().all()]
    if empty:
        raise JobError(f"{table.origin}: column {empty[0]!r} has too few values; drop it")
    return train, test[seen]


def _fit_chain(train: Any, random_state: int) -> Any:
    from skgm.chain import DensityChain

    return DensityChain(n_orders=1, random_state=random_state).fit(train)


def _fit_margins(train: Any, random_state: int) -> Any:
    """Return independent columns over the base measure of the chain: nothing is learned."""
    from sklearn.dummy import DummyClassifier

    from skgm.chain import DensityChain

    nothing = DummyClassifier(strategy="prior")
    chain = DensityChain(nothing, n_orders=1, calibrate=False, random_state=random_state)
    return chain.fit(train)


def _comparison(chain: Any, margins: Any, test: Any, level: float) -> Iterator[str]:
    from skgm.metrics import compare_densities  # --help must not load the estimators

    ours, theirs = chain.score_samples(test), margins.score_samples(test)
    possible = np.isfinite(ours) & np.isfinite(theirs)
    if not possible.all():
        n_zero = int((~possible).sum())
        yield f"note: {n_zero} held-out rows of zero density are left out of the comparison"
    ours, theirs = ours[possible], theirs[possible]
    found, _ = quietly("comparison", partial(compare_densities, level=level), ours, theirs)
    yield f"Log-likelihood of {len(ours)} held-out rows, nats per row (larger is better)"
    yield f"density-chain        {ours.mean():.3f}"
    yield f"independent columns  {theirs.mean():.3f}"
    yield (
        f"difference           {found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        f" ({100 * level:.6g}% confidence interval, paired)"
    )


def _write(chain: Any, table: Table, options: Options, path: Path) -> Iterator[str]:
    frame = table.frame
    n_samples = len(frame) if options.n_samples is None else options.n_samples
    rows, _ = quietly("sampling", chain.sample, n_samples, options.random_state)
    complete = rows
    if frame.isna().any().any():  # holes as the table has them, pattern by pattern
        rng = np.random.default_rng(options.random_state)
        every = rng.permutation(np.arange(n_samples) % len(frame))
        pattern = frame.isna().to_numpy()[every]
        rows = rows.mask(pattern)
    writers: dict[Path, Writer] = {path: partial(_write_csv, rows, table)}
    numbers = [name for name in frame if _is_number(frame[name])]
    plot = path.with_suffix(".png")
    if can_plot() and numbers and frame[numbers].notna().all(axis=1).any():
        shown = frame[numbers].dropna().astype(float)
        drawn = complete[numbers].astype(float)
        writers[plot] = partial(_write_plot, shown, drawn, options.random_state)
    quietly("writing", write_files, writers)
    yield f"{n_samples} synthetic rows of density-chain: {path}"
    if plot in writers:
        yield f"pair plot of columns of numbers: {plot}"


def _is_number(column: Any) -> bool:
    return column.dtype.kind in "iuf" or str(column.dtype) == "Int64"


def _write_csv(rows: Any, table: Table, path: Path) -> None:
    rows.to_csv(
        path, sep=table.delimiter, header=table.has_header, index=False, lineterminator="\n"
    )


def _write_plot(shown: Any, drawn: Any, random_state: int, path: Path) -> None:
    pair_plot(shown, drawn, path, random_state)
