"""Reads a table from a CSV file: numbers, text, booleans and holes."""

import csv
import gzip
import io
import math
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skgm._main._errors import JobError, one_line

__all__ = ["Table", "default_table", "read_table"]

DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Table:
    """A table, its origin in words, and how to write one like it.

    `has_header` is False where the file had no line of names; the columns are then x0, x1, ...
    """

    frame: Any
    origin: str
    delimiter: str = ","
    has_header: bool = True


def default_table() -> Table:
    """Return the wine measurements that ship with scikit-learn.

    Of its toy tables this is the one that a joint density suits as it stands: every column is a
    measurement, rounded to at most a twelfth of its standard deviation, no row comes twice and no
    column is a function of the others. (iris is coarsely rounded, diabetes has a binary column,
    and the geometry of breast_cancer makes some columns nearly functions of others.)
    """
    from sklearn.datasets import load_wine

    return Table(load_wine(as_frame=True).data, "wine measurements (shipped with scikit-learn)")


def read_table(path: str) -> Table:
    """Read a CSV file, with or without a line of column names.

    The delimiter is a comma, semicolon, tab or bar, whichever the first line has most of. A first
    line that holds anything but numbers is taken for names; a leading ``#`` is dropped.

    Raises
    ------
    JobError
        A file that cannot be read or holds no rows, rows of unequal length, names that are missing
        or come twice, a column that holds infinite values, or is constant in a table of complete
        numbers.
    """
    text = _read_text(path).lstrip("\n")
    first_line, _, rest = text.partition("\n")
    if not text.strip():
        raise JobError(f"{path} is empty: no header, no rows")
    delimiter = max(DELIMITERS, key=lambda mark: _count_outside_quotes(first_line, mark))
    first = next(csv.reader([first_line.removeprefix("#")], delimiter=delimiter))
    has_header = _is_header(
        first, list(csv.reader(io.StringIO(rest[:20_000]), delimiter=delimiter))
    )
    names = [cell.strip() for cell in first] if has_header else [f"x{j}" for j in range(len(first))]
    _check_names(names, path)
    if has_header and not rest.strip():
        raise JobError(f"{path} has a header but no rows")
    frame = _parse(rest if has_header else text, names, delimiter, path)
    _check_columns(frame, path)
    return Table(frame, path, delimiter, has_header)


def _read_text(path: str) -> str:
    try:
        raw = Path(path).read_bytes()
        packed = raw.startswith(b"\x1f\x8b")  # as every file of gzip
        text = (gzip.decompress(raw) if packed else raw).decode("utf-8-sig")
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise JobError(f"{path} is not a text file in UTF-8; save it as CSV in UTF-8") from error
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "\ufffd")  # pandas < 3 would read a number up to it


def _count_outside_quotes(line: str, mark: str) -> int:
    return sum(part.count(mark) for part in line.split('"')[::2])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # float takes 1_000; a table does not


def _is_header(first: list[str], rows: list[list[str]]) -> bool:
    """Tell whether the first line holds names.

    It does if none of its cells is a number, or if some cell that is none stands above numbers. A
    first line of numbers only is a row, and so is one with texts above texts.
    """
    number = [_is_number(cell) or not cell.strip() for cell in first]
    if all(number):
        return False
    if not any(_is_number(cell) for cell in first):
        return True
    for j, is_number in enumerate(number):
        below = [row[j].strip() for row in rows[:50] if len(row) == len(first) and row[j].strip()]
        if not is_number and below and all(map(_is_number, below)):
            return True
    return False


def _check_names(names: list[str], path: str) -> None:
    for j, name in enumerate(names, start=1):
        if not name:
            raise JobError(f"{path}: column {j} of {len(names)} has no name; name it or drop it")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise JobError(f"{path}: the column name {name!r} occurs {times} times; rename or drop")


def _parse(text: str, names: list[str], delimiter: str, path: str) -> Any:
    """Return a pandas frame; columns that hold text come back with text dtype."""
    import pandas as pd

    # pandas < 3 loses the last bit by default; from 3 on the argument is deprecated
    exact: Any = {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=delimiter,
            header=None,
            skipinitialspace=True,
            na_values=["?"],
            low_memory=False,
            **exact,
        )
    except (ValueError, OverflowError) as error:  # a ParserError is a ValueError
        _check_ragged(text, len(names), delimiter, path)
        raise JobError(f"{path} cannot be parsed: {one_line(error)}") from error
    if frame.shape[1] != len(names):
        _check_ragged(text, len(names), delimiter, path)
    frame.columns = pd.Index(names)
    return frame


def _check_ragged(text: str, n_columns: int, delimiter: str, path: str) -> None:
    """Raise if a row has another number of fields than the first line."""
    rows = (row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row)
    for number, row in enumerate(rows, start=1):
        if len(row) != n_columns:
            raise JobError(
                f"{path}: row {number} has {len(row)} fields, the first line {n_columns}; "
                "every row needs one value per column"
            )


def _check_columns(frame: Any, path: str) -> None:
    """Give each column its kind: numbers, whole numbers, booleans or text, with holes as they are.

    A table of complete numbers is refused if a column is constant: it has no joint density.
    """
    for name in frame.columns:
        frame[name] = _typed(frame[name], f"{path}: column {name!r}")
    complete = not frame.isna().any().any()
    if not complete or any(column.dtype.kind not in "iuf" for _, column in frame.items()):
        return
    for name in frame.columns:
        values = frame[name].to_numpy()
        if len(values) > 1 and np.ptp(values) == 0:
            raise JobError(
                f"{path}: column {name!r} is constant ({values[0]:g} in every row); drop it"
            )


def _typed(column: Any, where: str) -> Any:
    """Return a column as numbers, booleans or text; whole numbers stay so beside holes."""
    if column.dtype.kind in "iub":
        return column
    if column.dtype.kind != "f":
        return _text(column, where)
    values = column.to_numpy()
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise JobError(_not_finite(where, "an infinite value", row + 1))
    known = values[~np.isnan(values)]
    if len(known) < len(values) and len(known) and (known == np.floor(known)).all():
        return column.astype("Int64") if np.abs(known).max() < 2**53 else column
    return column


def _text(column: Any, where: str) -> Any:
    """Return a column of text; refuse numbers that pandas could not read."""
    known = column.dropna()
    words = known.map(str)
    if len(words) and all(_is_number(word) for word in words):
        for row, value in words.items():
            if math.isinf(float(value)):  # pandas < 3 keeps 1e999 as text
                raise JobError(_not_finite(where, "an infinite value", int(row) + 1))
        raise JobError(f"{where} holds numbers too large to compute with; rescale it")
    return words.reindex(column.index).astype(object).where(column.notna(), None)


def _not_finite(where: str, what: str, row: int) -> str:
    return f"{where} has {what} in row {row}; drop such rows or fill them in"
