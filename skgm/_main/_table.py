"""The table of the main job: read from a file, with what to set aside; written like that file."""

import csv
import gzip
import io
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from skgm._main._columns import Style, file_decimal, read_column
from skgm._main._errors import JobError, one_line
from skgm._main._layout import Hints, Layout, find_delimiter, read_bytes, read_cells

__all__ = ["Table", "default_table", "listed", "pandas_call", "read_table", "write_rows"]

MOST_CATEGORIES = 255
MIN_REGISTER, NEARLY_UNIQUE = 20, 0.9  # rows, and the share of them that differ
NEARLY_ALL = 0.5  # of the rows: a column of as many texts names rows
_IDENTITY = re.compile(
    r"(.*[_ .-])?(id|ids|uuid|guid|key|index|idx|nr|no|row|rownames?|number)"
    r"|.*(ID|Id|Nr|No)|(id|unnamed: 0|x0)",
)
_CODES = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)


@dataclass(frozen=True)
class Table:
    """A table as densities see it, and how to write one like its file.

    Attributes
    ----------
    frame : pandas.DataFrame
        The columns to learn: float64, whole numbers (Int64 beside holes), and text.
    origin : str
        The table in words.
    styles : dict
        How the values of each column of the frame are written.
    columns : tuple of str
        All columns of the file in order, also those set aside.
    aside : dict
        Columns set aside but given back, each as a function of the number of rows: its words, or
        for Parquet its values.
    layout : Layout or None
        How the file is written; None for Parquet.
    restore : dict
        For Parquet: for each column, what makes an array of its type of arrow.
    notes : tuple of str
        What was guessed, a line each.
    """

    frame: Any
    origin: str
    styles: dict[str, Style] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    aside: dict[str, Callable[[int], list[Any]]] = field(default_factory=dict)
    layout: Layout | None = field(default_factory=Layout)
    restore: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    metadata: dict[bytes, bytes] = field(default_factory=dict)  # of a Parquet file of pandas
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether no value is missing."""
        return not self.frame.isna().any().any()

    @property
    def is_numeric(self) -> bool:
        """Whether every column holds numbers or dates."""
        return all(style.kind != "category" for style in self.styles.values())


def default_table() -> Table:
    """Return the wine measurements that ship with scikit-learn.

    Of its toy tables this is the one that shows what densities are for: every column is a
    measurement, rounded to at most a twelfth of its standard deviation, no row comes twice, no
    column is a function of the others, and one Gaussian is not enough. (iris is coarsely rounded,
    diabetes has a binary column, and the geometry of breast_cancer makes some columns nearly
    functions of others.)
    """
    from sklearn.datasets import load_wine

    text = load_wine(as_frame=True).data.to_csv(index=False)
    return _table_of(text.encode(), "wine measurements (shipped with scikit-learn)", Hints())


def read_table(path: str, hints: Hints | None = None) -> Table:
    """Read a table from a text file, packed or not, or from Parquet; `hints` overrule guesses.

    Raises
    ------
    JobError
        A file that cannot be read or holds no rows, rows of unequal length, infinite values,
        hints that name no column: all that is wrong with the columns at once.
    """
    hints = hints or Hints()
    raw = read_bytes(path)
    if raw.startswith(b"PAR1"):
        return _with_asides(_read_parquet(raw, path), hints)
    return _table_of(raw, path, hints)


def pandas_call(path: str, table: Table) -> str | None:
    """Return the call of pandas that reads this file as it was read here; None if there is none."""
    import pandas as pd

    if table.layout is None:
        return f"pandas.read_parquet({path!r})"
    layout, styles = table.layout, table.styles
    dates = {name: style.date_format for name, style in styles.items() if style.kind == "date"}
    numbers = [style for style in styles.values() if style.kind in ("real", "whole")]
    options = {
        "sep": r"\s+" if layout.delimiter == " " else layout.delimiter,
        "decimal": "," if any(style.decimal == "," for style in numbers) else ".",
        "thousands": next((style.groups for style in numbers if style.groups), None),
        "encoding": layout.encoding,
        "na_values": sorted({style.hole for style in styles.values()} - {""}),
        "parse_dates": list(dates),
        "date_format": dates,
    }
    usual = {"sep": ",", "decimal": ".", "encoding": "utf-8"}
    kept: dict[str, Any] = {
        key: value for key, value in options.items() if value and value != usual.get(key)
    }
    kept |= {} if layout.has_header else {"header": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frame = pd.read_csv(path, **kept)
    except Exception:  # a file that pandas cannot read this way
        return None
    frame.columns = [f"x{c}" if isinstance(c, int) else c.strip() for c in frame.columns]
    if not all(name in frame and _is_like(frame[name], table, name) for name in styles):
        return None
    shown = [repr(path), *(f"{key}={value!r}" for key, value in kept.items())]
    return f"pandas.read_csv({', '.join(shown)})"


def _is_like(series: Any, table: Table, name: str) -> bool:
    """Tell whether pandas read a column as it was read here."""
    import pandas as pd

    ours, kind = table.frame[name], table.styles[name].kind
    if not np.array_equal(series.isna(), ours.isna()):
        return False
    if kind in ("real", "whole"):
        floats = ours.astype(float) if pd.api.types.is_numeric_dtype(series) else None
        return floats is not None and np.array_equal(series, floats, equal_nan=True)
    return kind == "category" or pd.api.types.is_datetime64_any_dtype(series)


def _table_of(raw: bytes, path: str, hints: Hints) -> Table:
    import pandas as pd

    cells, layout = read_cells(raw, path, hints)
    decimal = hints.decimal or file_decimal([cells[name] for name in cells], layout.delimiter)
    notes, faults = [], [*layout.faults, *_unknown_names(hints, list(cells), layout)]
    values, styles = {}, {}
    for name in cells:
        column, style, told, wrong = read_column(cells[name], name, decimal, hints)
        faults += wrong
        values[name], styles[name] = column, style
        notes += [f"column {name!r}: {line}" for line in told]
    if faults:
        raise JobError.of(path, faults)
    notes += _special_columns(styles, decimal)
    frame = pd.DataFrame(values)
    if _is_total(frame, styles):
        notes.append("last row left out: it holds the sums of the columns above")
        frame = frame.iloc[:-1]
    named = replace(layout, notes=())
    found = ", decimal comma (--decimal)" if decimal == "," else ", decimal point (--decimal)"
    numbers = any(style.kind in ("real", "whole") for style in styles.values())
    said = layout.in_words() + (found if numbers else "")
    table = Table(frame, path, styles, tuple(values), layout=named)
    return _with_asides(replace(table, notes=(said, *layout.notes, *notes)), hints)


def _is_total(frame: Any, styles: dict[str, Style]) -> bool:
    """Tell whether the numbers of the last row are the sums of those above."""
    last, above = frame.iloc[-1], frame.iloc[:-1]
    numbers = [name for name, style in styles.items() if style.kind in ("real", "whole")]
    known = [name for name in numbers if not frame[name].isna().iloc[-1]]
    if len(above) < 5 or not known:
        return False
    sums = above[known].astype(float).sum()
    alike = np.isclose(last[known].astype(float), sums, rtol=1e-6)
    return bool(alike.all() and (sums.abs() > above[known].astype(float).abs().max()).any())


def _unknown_names(hints: Hints, names: list[str], layout: Layout) -> list[str]:
    known = ", ".join(map(repr, names[:20])) + (", ..." if len(names) > 20 else "")
    asked = {"--categories": hints.categories, "--keep": hints.keep, "--drop": hints.drop}
    return [
        f"{option} names {name!r}, which is no column; the columns are {known}"
        for option, listed in asked.items()
        for name in listed
        if name not in names
    ]


def _special_columns(styles: dict[str, Style], decimal: str) -> Iterator[str]:
    """Say which columns are written in a special way, together where they are alike."""
    alike: dict[str, list[str]] = {}
    for name, style in styles.items():
        words = style.in_words(decimal)
        if words:
            alike.setdefault(words, []).append(name)
    return (f"{words}: {listed(names)}" for words, names in alike.items())


def listed(names: list[str], at_most: int = 6) -> str:
    """Return names behind one another, the first few of many."""
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")


Aside = dict[str, Callable[[int], list[Any]]]


def _with_asides(table: Table, hints: Hints) -> Table:
    """Set columns aside that a density cannot learn, and say so."""
    aside: Aside = {}
    left: list[str] = list(hints.drop)
    notes: list[str] = []
    for j, name in enumerate(table.columns):
        if name not in left:
            notes += _set_aside(table, j, name, aside, left, hints)
    constant = [note for note in notes if note.startswith("=")]
    notes = [note for note in notes if not note.startswith("=")]
    if constant:
        shown = listed([note.removeprefix("=") for note in constant])
        notes.append(f"constant columns, given back as they are: {shown}")
    kept = {n: style for n, style in table.styles.items() if n not in aside and n not in left}
    notes += _code_notes(table.frame[list(kept)], kept)
    columns = tuple(name for name in table.columns if name not in left)
    layout = table.layout
    if layout is not None:
        written = dict(zip(table.columns, layout.names))
        layout = replace(layout, names=tuple(written[name] for name in columns))
    return replace(
        table,
        frame=table.frame[list(kept)],
        styles=kept,
        columns=columns,
        aside=aside,
        layout=layout,
        notes=(*table.notes, *notes),
    )


def _set_aside(
    table: Table, place: int, name: str, aside: Aside, left: list[str], hints: Hints
) -> Iterator[str]:
    """Enter a column in `aside` or `left` if it belongs there; yield what is to be said.

    Constant columns are told together: their lines begin with "=".
    """
    column, style = table.frame[name], table.styles[name]
    known = column.dropna()
    n_values = known.nunique()
    if not n_values:
        aside[name] = _repeated(None if table.layout is None else style.hole)
        yield f"column {name!r} has no value at all; it is given back empty"
    elif n_values == 1 and len(known) == len(column):
        word = known.iloc[0] if table.layout is None else style.words(known.iloc[:1])[0]
        aside[name] = _repeated(word)
        yield f"={name} ({word})"
    elif name in (*hints.keep, *hints.categories):
        return
    elif _is_counter(column, style, place, name):
        start = int(column.iloc[0])
        aside[name] = _counted(start, style if table.layout is not None else None)
        yield f"column {name!r} counts the rows from {start}; it is given back anew (--keep {name})"
    else:
        why = _identity(known, style, len(column), name)
        if not why and style.kind == "whole" and _is_register(known, place, table):
            why = (
                f"holds {n_values} different whole numbers that run on from an offset and follow "
                "no other column, so it names rows and is left out"
            )
        if why:
            left.append(name)
            yield f"column {name!r} {why} (--keep {name})"


def _repeated(word: Any) -> Callable[[int], list[Any]]:
    return lambda n: [word] * n


def _counted(start: int, style: Style | None) -> Callable[[int], list[Any]]:
    """Return what counts from `start`: in words, or in numbers where there is no style."""
    import pandas as pd

    numbers: Callable[[int], Any] = lambda n: pd.Series(range(start, start + n))  # noqa: E731
    return lambda n: numbers(n).tolist() if style is None else style.words(numbers(n))


def _is_counter(column: Any, style: Style, place: int, name: str) -> bool:
    """Tell whether whole numbers count the rows: a first column, or one of such a name."""
    if style.kind != "whole" or column.isna().any() or len(column) < 3:
        return False
    values = column.to_numpy(dtype=np.int64)
    counts = bool((np.diff(values) == 1).all())
    return counts and (place == 0 or _IDENTITY.fullmatch(name) is not None)


def _identity(known: Any, style: Style, n_rows: int, name: str) -> str:
    """Say why a column names rows, so that a density would copy it out; empty if it does not."""
    n_values = known.nunique()
    if style.kind == "category":
        if n_values > NEARLY_ALL * n_rows and n_values > 2:
            return (
                f"holds {n_values} different texts in {n_rows} rows, so it names rows and is left "
                "out (its values would be copied out)"
            )
        if n_values > MOST_CATEGORIES:
            return f"holds {n_values} different texts, more than {MOST_CATEGORIES}, and is left out"
        return ""
    distinct = style.kind == "whole" and n_values == len(known) and len(known) >= 20
    if distinct and style.width > 3 and not style.clock:
        return f"holds {n_values} different numbers filled up by zeros, so it names rows: left out"
    if distinct and name != "x0" and _IDENTITY.fullmatch(name):
        return f"holds {n_values} different whole numbers, so it names rows and is left out"
    return ""


def _is_register(known: Any, place: int, table: Table) -> bool:
    """Tell whether whole numbers are those of a register, such as hospital numbers.

    Nine in ten differ, all have five digits or more, the middle half of them lies within a tenth of
    the median, and their ranks have no correlation of a half with the number of the row or another
    column of numbers (a time, a pressure in pascals).
    """
    values = known.to_numpy(dtype=np.float64)
    few = len(values) < MIN_REGISTER or known.nunique() < NEARLY_UNIQUE * len(values)
    if few or values.min() < 10_000:
        return False
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    if high - low > middle / 10:
        return False
    ranks, frame = known.astype(float).rank(), table.frame.loc[known.index]
    names = [n for n, style in table.styles.items() if style.kind in ("real", "whole")]
    others = frame[[n for n in names if n != table.columns[place]]].astype(float)
    others = others.loc[:, others.nunique() > 1].rank()
    others["row"] = np.arange(len(others))
    return bool((others.corrwith(ranks).abs() < 0.5).all())


def _code_notes(frame: Any, styles: dict[str, Style]) -> Iterator[str]:
    """Name values that stand for something else, such as -999: far from the rest, and repeated."""
    for name, style in styles.items():
        if style.kind not in ("real", "whole"):
            continue
        values = frame[name].dropna().to_numpy(dtype=float)
        for code in _CODES:
            at = values == code
            rest = values[~at]
            if at.sum() < max(3, 0.005 * len(values)) or len(rest) < 2:
                continue
            reach = max(np.ptp(rest), 1.0)
            if code < rest.min() - 0.5 * reach or code > rest.max() + 0.5 * reach:
                yield (
                    f"column {name!r}: {code:g} in {at.sum()} rows is far from the rest, and stays "
                    f"a value of its own (--missing={code:g} makes holes)"
                )


def write_rows(rows: Any, table: Table, path: Path) -> None:
    """Write rows of the frame as a file like that of the table, with the columns set aside."""
    if table.layout is None or path.suffix.lower() == ".parquet":
        _write_typed(rows, table, path)
        return
    layout, n = table.layout, len(rows)
    words = [
        table.aside[name](n) if name in table.aside else table.styles[name].words(rows[name])
        for name in table.columns
    ]
    if layout.has_header:
        words = [[name, *column] for name, column in zip(layout.names, words)]
    if layout.spaced:  # csv writes no space behind a delimiter
        words = [words[0], *([f" {word}" for word in column] for column in words[1:])]
    text = _as_text(words, layout, csv.QUOTE_MINIMAL)
    if len(words) > 1 and not layout.sep_line and find_delimiter(text) != layout.delimiter:
        text = _as_text(words, layout, csv.QUOTE_ALL)  # other delimiters in texts would mislead
    raw = text.encode(layout.encoding, errors="replace")
    path.write_bytes(gzip.compress(raw) if path.suffix.lower() == ".gz" else raw)


def _as_text(words: list[list[str]], layout: Layout, quoting: Any) -> str:
    text = io.StringIO()
    if layout.sep_line:
        text.write(f"sep={layout.delimiter}\n")
    if layout.has_header:
        text.write(layout.mark_of_names)
    mark = layout.delimiter
    csv.writer(text, delimiter=mark, lineterminator="\n", quoting=quoting).writerows(zip(*words))
    return text.getvalue()


def _write_typed(rows: Any, table: Table, path: Path) -> None:
    """Write rows with the types of a Parquet file: as one, or as text where the name asks for it.

    Rows of a text file have the dtypes of what the words mean.
    """
    import pandas as pd

    found = {}
    for name in table.columns:
        column = rows[name] if name not in table.aside else pd.Series(table.aside[name](len(rows)))
        restore = table.restore.get(name)
        found[name] = column.to_numpy() if restore is None else restore(column)
    if not table.restore:
        pd.DataFrame(found).to_parquet(path, index=False)
        return
    import pyarrow as pa
    from pyarrow import parquet

    whole = pa.table(found).replace_schema_metadata(table.metadata)
    if path.suffix.lower() == ".parquet":
        parquet.write_table(whole, path)
    else:
        whole.to_pandas().to_csv(path, index=False)


def _read_parquet(raw: bytes, path: str) -> Table:
    import pandas as pd

    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise JobError(
            f"{path} is a Parquet file, which needs pyarrow: pip install 'skgm[parquet]'"
        ) from error
    from skgm._main._parquet import pandas_metadata, typed_columns

    try:
        content = parquet.read_table(io.BytesIO(raw))
    except (ArrowException, ValueError, OSError) as error:
        raise JobError(f"{path} is no Parquet file that can be read: {one_line(error)}") from error
    if not content.num_rows or not content.num_columns:
        raise JobError(f"{path} has no rows or no columns")
    values, styles, restore, faults = typed_columns(content)
    if faults:
        raise JobError.of(path, faults)
    frame = pd.DataFrame(values)
    told = pandas_metadata(content, values)
    kept: dict[str, Any] = {"restore": restore, "metadata": told, "notes": ("Parquet",)}
    return Table(frame, path, styles, tuple(values), layout=None, **kept)
