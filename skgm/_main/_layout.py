"""Finds out how a text file is laid out, and returns its cells as words.

pandas reads the cells; this module decides the options: encoding, delimiter, lines before the
table, and whether the first row holds names.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from skgm._main._errors import JobError, one_line

__all__ = [
    "MISSING",
    "Hints",
    "Layout",
    "counted",
    "find_delimiter",
    "is_missing",
    "read_bytes",
    "read_cells",
]

MISSING = frozenset(
    {"?", "na", "n/a", "nan", "-nan", "null", "none", "nat", "<na>", "#n/a", "#na", "#null!"}
    | {"#div/0!", "#value!", "#ref!", "#num!", "1.#ind", "-1.#ind", "1.#qnan"}
)
DELIMITERS = ("\t", ";", "|", ",", "~", "^")  # a comma may also be a decimal mark
COMMENTS = ("#", "%", "//")
SAMPLE, SAMPLE_ROWS = 200_000, 200
MOST_TITLES, MOST_FOOTERS = 10, 3
YEAR = r"(?:1[5-9]|20|21)\d\d"
NUMBER = re.compile(  # or a date, or a time
    r"[+\-\u2212(]?[^\w\s]?\s?\d[\d.,'\u00a0\u202f ]*([eE][+-]?\d+)?\s?[%)]?"
    r"|\d{1,4}([-/.])\d{1,2}(\2\d{1,4})?([T ][\d:.+Z-]+)?|\d{1,2}:\d\d(:\d\d)?"
)
_ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte-order mark",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 (little-endian)",
    "utf-16-be": "UTF-16 (big-endian)",
    "utf-32": "UTF-32",
    "cp1252": "Latin-1 (Windows-1252)",
    "latin-1": "Latin-1",
}
_ONE_BYTE = ("cp1252", "latin-1")  # any bytes are text in these


_PACKED = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstandard", b"7z\xbc": "7-Zip"}


@dataclass(frozen=True)
class Hints:
    """What the user said about the file; None and () where the job is to find out."""

    encoding: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    decimal: str | None = None
    day_first: bool | None = None
    missing: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a table is written in its file, so that another can be written like it."""

    encoding: str = "utf-8"
    delimiter: str = ","
    has_header: bool = True
    spaced: bool = False  # a space after each delimiter
    sep_line: bool = False  # the first line says "sep=;"
    mark_of_names: str = ""  # "# " before the names
    names: tuple[str, ...] = ()  # as the file has them
    notes: tuple[str, ...] = field(default=(), compare=False)
    faults: tuple[str, ...] = field(default=(), compare=False)

    def in_words(self) -> str:
        """Say what was found, with the options that say otherwise."""
        mark = {"\t": "tab", " ": "spaces"}.get(self.delimiter, f"'{self.delimiter}'")
        return (
            f"{_ENCODINGS.get(self.encoding, self.encoding)} (--encoding), delimiter {mark} "
            f"(--delimiter), {'a' if self.has_header else 'no'} line of names (--header)"
        )


def counted(n: int, thing: str) -> str:
    """Return "1 row", "2 rows"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def is_missing(word: str, hints: Hints) -> bool:
    """Tell whether a cell is empty or stands for a missing value."""
    return not word or word.lower() in MISSING or word in hints.missing


def read_cells(raw: bytes, path: str, hints: Hints) -> tuple[Any, Layout]:
    """Return the cells of a text file, a frame of stripped words, and the layout of the file.

    Raises
    ------
    JobError
        No text, no rows, or rows of unequal length: all of them are named.
    """
    text, layout = _decode(raw, path, hints)
    text, layout = _without_sep_line(text, layout)
    text, layout = _without_comments(text, layout)
    if not text.strip():
        raise JobError(f"{path} is empty: no header, no rows")
    delimiter = hints.delimiter or layout.delimiter or find_delimiter(text)
    layout = replace(layout, delimiter=delimiter)
    if delimiter == " ":
        text = "\n".join("\t".join(line.split()) for line in text.split("\n"))
    mark = "\t" if delimiter == " " else delimiter
    text, layout = _without_titles(text, mark, layout)
    first, sample = _sample_of(text, mark)
    width, others, faults = _measured(text, mark, len(first), path)
    try:
        cells = _parse(text, mark, width, path)
    except JobError as error:
        raise (JobError.of(path, faults) if faults else error) from None
    blank = (cells == "").all(axis=1)
    told = [f"rows left out that are empty: {int(blank.sum())}"] if blank.any() else []
    cells = cells[~blank].reset_index(drop=True)
    if others:
        said = " ".join(cells.loc[others[0]]).strip()
        told.append(f"rows left out that are remarks ({said[:40]!r}): {len(others)}")
        cells = cells.drop(others).reset_index(drop=True)
    if faults:  # what is wrong with the columns is to be told as well
        cells = cells.iloc[:, : len(first)]
    notes = (*layout.notes, *told)
    layout = replace(layout, spaced=_is_spaced(text, mark), notes=notes, faults=faults)
    return _with_names(cells, first, sample, layout, hints, path)


def read_bytes(path: str) -> bytes:
    """Return a file's bytes, unpacked if it is packed by gzip."""
    try:
        raw = Path(path).read_bytes()
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise JobError(f"{path} is a broken gzip file: {one_line(error)}") from error
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror or one_line(error)}") from error


def _decode(raw: bytes, path: str, hints: Hints) -> tuple[str, Layout]:
    if raw.startswith(b"PK\x03\x04"):
        raise JobError(
            f"{path} is not a text file but an archive, as an Excel workbook is; save it as CSV"
        )
    if raw.startswith(b"\xd0\xcf\x11\xe0"):
        raise JobError(f"{path} is not a text file but an old Excel workbook; save it as CSV")
    packed = next((name for start, name in _PACKED.items() if raw.startswith(start)), None)
    if packed:
        raise JobError(f"{path} is packed by {packed}; unpack it, or pack it by gzip")
    encoding = hints.encoding or _find_encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise JobError(f"{path} is not in {encoding}: {one_line(error)}") from error
    if re.match(r"\s*(<[!?a-zA-Z]|[\[{]\s*[\[{\"])", text):
        raise JobError(f"{path} is no table but HTML, XML or JSON; save the table as CSV")
    odd = sum(text.count(chr(code)) for code in (*range(1, 9), *range(14, 27)))
    if odd > len(text) / 100 or text.count("\0") > len(text) / 10:
        raise JobError(f"{path} is not a text file; save the table as CSV")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\n\ufeff", "\n")  # of files that were put behind one another
    text = text.removesuffix("\x1a")  # the end of a file under DOS
    n_zeros = text.count("\0")
    told: tuple[str, ...] = (f"zero bytes left out: {n_zeros}",) if n_zeros else ()
    doubtful = re.search(r"\w*[^\W\x00-\x7f]\w*", text) if encoding in _ONE_BYTE else None
    if doubtful and not hints.encoding:
        n_bad = raw.decode("utf-8", errors="replace").count("\ufffd")
        told += (
            f"the file is not UTF-8 ({counted(n_bad, 'place')}): does {doubtful[0]!r} look right? "
            "Else give its --encoding (cp1251, shift_jis, gb18030, mac_roman, ...)",
        )
    return text.replace("\0", ""), Layout(encoding=encoding, delimiter="", notes=told)


def _find_encoding(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if raw.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    start = raw[:10_000]
    for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if zeros.count(0) > 0.6 * len(zeros) and zeros:
            return encoding
    for encoding in ("utf-8", "cp1252"):
        try:
            raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _without_sep_line(text: str, layout: Layout) -> tuple[str, Layout]:
    """Take off a first line "sep=;", which Excel writes and reads."""
    found = re.match(r'\s*"?sep=(.)"?[ \t]*\n', text, flags=re.IGNORECASE)
    if found is None:
        return text.lstrip("\n"), layout
    rest = text[found.end() :].lstrip("\n")
    return rest, replace(layout, sep_line=True, delimiter=found.group(1))


def _without_comments(text: str, layout: Layout) -> tuple[str, Layout]:
    """Drop the lines before the table that begin with # or so; names behind it stay, without it."""
    lines = text[:SAMPLE].split("\n")
    n = next((i for i, line in enumerate(lines) if not line.startswith(COMMENTS)), len(lines))
    if not n or n == len(lines):
        return text, layout
    begin = next(mark for mark in COMMENTS if lines[0].startswith(mark))
    last, first_row = lines[n - 1].lstrip(f"{begin} "), lines[n]
    rest = text[sum(len(line) + 1 for line in lines[:n]) :]
    marks = DELIMITERS if not layout.delimiter else (layout.delimiter,)
    alike = any(_n_fields(last, m) == _n_fields(first_row, m) > 1 for m in marks)
    alone = n == 1 and all(_n_fields(line, m) == 1 for line in lines[:2] for m in marks)
    if alike or (alone and NUMBER.fullmatch(first_row.strip())):
        mark = lines[n - 1].removesuffix(last)
        layout = replace(layout, mark_of_names=mark)
        rest, n = f"{last}\n{rest}", n - 1
    told = (f"lines before the table: {n}, which begin with {begin}, left out",) if n else ()
    return rest, replace(layout, notes=layout.notes + told)


def _n_fields(line: str, mark: str) -> int:
    return len(next(csv.reader([line], delimiter=mark, skipinitialspace=True), []))


def _rows(text: str, mark: str) -> Iterator[list[str]]:
    """Return the rows that are not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
    return (row for row in reader if any(cell.strip() for cell in row))


def _sample_of(text: str, mark: str) -> tuple[list[str], list[list[str]]]:
    rows = [row for row, _ in zip(_rows(text[:SAMPLE], mark), range(SAMPLE_ROWS))]
    return rows[0], rows[1:]


def find_delimiter(text: str) -> str:
    """Return the mark that cuts nearly all rows into equally many fields, more than one."""
    for mark in DELIMITERS:
        try:
            first, rest = _sample_of(text, mark)
        except csv.Error:  # a field without end
            continue
        counts = [len(row) for row in rest] or [len(first)]
        common, times = Counter(counts).most_common(1)[0]
        if common > 1 and times >= 0.7 * len(counts):
            starts = [len(first), *counts[:MOST_TITLES]]
            names = next(size for size in starts if size > 1)
            if len(first) > 1 or (names == common and _is_titled(first, rest, common)):
                return mark
    lines = [line.split() for line in text[:SAMPLE].split("\n")[:SAMPLE_ROWS] if line.strip()]
    sizes = {len(line) for line in lines[1:]}
    if len(sizes) == 1 and sizes.pop() == len(lines[0]) > 1:
        cells = [cell for line in lines[1:] for cell in line]
        if sum(NUMBER.fullmatch(cell) is not None for cell in cells) > 0.5 * len(cells):
            return " "
    cells = [line.strip('"') for line in text[:SAMPLE].split("\n")[1:SAMPLE_ROWS] if line.strip()]
    alone = cells and all(re.fullmatch(r"[+-]?\d*,\d+|\d+", cell) for cell in cells)
    return ";" if alone and "," not in text.partition("\n")[0] else ","  # a decimal comma


def _is_titled(first: list[str], rest: list[list[str]], width: int) -> bool:
    """Tell whether the first lines are titles above a line of names."""
    names = next(row for row in rest if len(row) == width)
    return not any(NUMBER.fullmatch(cell.strip()) for cell in names)


def _without_titles(text: str, mark: str, layout: Layout) -> tuple[str, Layout]:
    """Drop lines of one field above a table of many."""
    first, rest = _sample_of(text, mark)
    filled = [sum(bool(cell.strip()) for cell in row) for row in [first, *rest]]
    width = Counter(len(row) for row in rest).most_common(1)[0][0] if rest else 1
    n = next((i for i, size in enumerate(filled) if size > 1), 0)
    if not 0 < n <= MOST_TITLES or width < 2 or not _is_titled(first, rest[n - 1 :], width):
        return text, layout
    if filled[n] < max(2, width // 2):
        return text, layout
    title = first[0].strip() or rest[0][0].strip()
    for _ in range(n):
        line, _, text = text.lstrip("\n").partition("\n")
        while line.count('"') % 2 and text:  # a title over several lines
            more, _, text = text.partition("\n")
            line += more
    told = f"lines before the table: {n}, which are titles ({title[:40]!r}), left out"
    return text.lstrip("\n"), replace(layout, notes=(*layout.notes, told))


def _measured(
    text: str, mark: str, n_first: int, path: str
) -> tuple[int, list[int], tuple[str, ...]]:
    """Return the number of fields to read, the rows that are remarks, and what is wrong.

    Remarks begin with #, or have one field and stand below the table.
    """
    sizes, remarks = [], []
    spare = True  # fields behind the last name are empty in every row
    try:
        for number, row in enumerate(_rows(text, mark)):
            sizes.append(len(row))
            spare &= number == 0 or not any(cell.strip() for cell in row[n_first:])
            if number and len(row) != n_first and row[0].lstrip().startswith("#"):
                remarks.append(number)
    except csv.Error as error:
        raise JobError(f"{path} cannot be parsed: {one_line(error)}") from error
    below = len(sizes)
    while below > max(1, len(sizes) - MOST_FOOTERS) and sizes[below - 1] == 1 < n_first:
        below -= 1
    if n_first > 2 or below == len(sizes):  # of two fields, one may have been forgotten
        remarks += [row for row in range(below, len(sizes)) if row not in remarks]
    kept = Counter(size for row, size in enumerate(sizes) if row not in remarks)
    width = max(kept)
    if len(kept) == 1 or (spare and min(kept) == n_first):
        return width, remarks, ()
    if sorted(kept) == [n_first, n_first + 1] and kept[n_first] == 1:
        return width, remarks, ()  # row names without a name, as R writes them
    wrong = [row for row, size in enumerate(sizes) if size != n_first and row not in remarks]
    shown = [f"row {row} has {sizes[row]} fields, the first line {n_first}" for row in wrong[:6]]
    more = f" (and {len(wrong) - len(shown)} more)" if len(wrong) > len(shown) else ""
    fault = (
        f"{'; '.join(shown)}{more}; every row needs one value per column (a quotation mark "
        "without its partner, or another --delimiter, makes such rows)"
    )
    return width, remarks, (fault,)


def _parse(text: str, mark: str, width: int, path: str) -> Any:
    """Return all fields as stripped words, in a frame of objects."""
    import pandas as pd

    try:
        cells = pd.read_csv(
            io.StringIO(text),
            sep=mark,
            header=None,
            names=list(range(width)),
            index_col=False,
            dtype=str,
            keep_default_na=False,
            skipinitialspace=True,
        )
    except (ValueError, OverflowError) as error:  # a ParserError is a ValueError
        raise JobError(f"{path} cannot be parsed: {one_line(error)}") from error
    cells = cells.astype(object).fillna("")
    for j in cells:
        words = {word: word.strip() for word in cells[j].unique()}  # no-break spaces as well
        if any(word != stripped for word, stripped in words.items()):
            cells[j] = cells[j].map(words)
    return cells


def _is_spaced(text: str, mark: str) -> bool:
    """Tell whether a space follows every delimiter of the first lines."""
    lines = [line for line in text[:SAMPLE].split("\n")[1:50] if mark in line]
    return (
        bool(lines)
        and mark != " "
        and all(line.count(mark) == line.count(mark + " ") for line in lines)
    )


def _with_names(
    cells: Any,
    first: list[str],
    sample: list[list[str]],
    layout: Layout,
    hints: Hints,
    path: str,
) -> tuple[Any, Layout]:
    """Split the cells into names and rows; return them with unique, readable names."""
    notes = list(layout.notes)
    width = cells.shape[1]
    has_header = hints.header
    if has_header is None:
        has_header = len(first) < width or _is_header(first, sample, hints)
        if has_header and any(NUMBER.fullmatch(cell.strip()) for cell in first):
            notes.append("names: the first line, though some are numbers (--header no)")
    if not has_header:
        names = tuple(f"x{j}" for j in range(width))
        cells.columns = list(names)
        return cells, replace(layout, has_header=False, names=names, notes=tuple(notes))
    rows = cells.iloc[1:]
    if not len(rows):
        raise JobError(f"{path} has a header but no rows")
    names = tuple(first)
    if len(names) < width:
        spare = (rows.iloc[:, len(names) :] == "").all().all()
        if not spare and not _are_row_names(rows.iloc[:, 0]):
            raise JobError(
                f"{path}: row 1 has {width} fields, the first line {len(names)}; every row needs "
                "one value per column (only row names, all different, may lack a name)"
            )
        names = (*names, *[""] * (width - len(names))) if spare else ("", *names)
    rows, told = _without_other_names(rows, names, hints)
    notes += told
    kept = [j for j in range(width) if names[j].strip() or (rows.iloc[:, j] != "").any()]
    if len(kept) < width:
        notes.append(
            "columns left out without a name and a value (trailing delimiters): "
            f"{width - len(kept)}"
        )
    rows, names = rows.iloc[:, kept], tuple(names[j] for j in kept)
    readable, told = _readable(names)
    rows.columns = readable
    layout = replace(layout, names=names, notes=(*notes, *told))
    return rows.reset_index(drop=True), layout


def _without_other_names(rows: Any, names: tuple[str, ...], hints: Hints) -> tuple[Any, list[str]]:
    """Return the rows that are no names again, nor a second line of names or units; what to say."""
    told = []
    lowered = [name.strip().lower() for name in names]
    again = rows.iloc[:, 0].str.lower() == lowered[0]
    again[again] = (rows[again].apply(lambda column: column.str.lower()) == lowered).all(axis=1)
    if again.any():
        told.append(f"rows left out that repeat the line of names: {int(again.sum())}")
        rows = rows[~again]
    if _is_second_header(rows, hints):
        told.append(f"second line of names or units left out: {' '.join(rows.iloc[0])[:40]!r}")
        rows = rows.iloc[1:]
    return rows, told


def _is_second_header(rows: Any, hints: Hints) -> bool:
    """Tell whether the first row has words above numbers alone, in two columns or more."""
    if len(rows) < 4:
        return False
    n_above = 0
    for _, column in rows.items():
        known = [word for word in column.iloc[1:SAMPLE_ROWS] if not is_missing(word, hints)]
        if len(known) > 2 and all(map(NUMBER.fullmatch, known)):
            if NUMBER.fullmatch(column.iloc[0]) or is_missing(column.iloc[0], hints):
                return False
            n_above += 1
    return n_above > 1


def _are_row_names(words: Any) -> bool:
    """Tell whether words are all different and no numbers, or count the rows."""
    counted = list(words) == [str(i) for i in range(1, len(words) + 1)]
    return counted or (words.is_unique and not any(map(NUMBER.fullmatch, words)))


def _readable(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return names on one line each, none empty and none twice, and what was changed."""
    found: list[str] = []
    told = []
    for j, name in enumerate(names):
        plain = " ".join(name.split()) or f"x{j}"
        times = sum(other.rpartition(".")[0] == plain or other == plain for other in found)
        unique = plain if plain not in found else f"{plain}.{times}"
        while unique in found:
            unique += "_"
        found.append(unique)
        if not name.strip():
            told.append(f"column {j + 1} has no name; it is called {unique!r} here")
        elif unique != plain:
            told.append(f"column {j + 1} is another {plain!r}; it is called {unique!r} here")
    return found, told


def _is_header(first: list[str], rows: list[list[str]], hints: Hints) -> bool:
    """Tell whether the first line holds names.

    A line of names has a cell that is no number above numbers; or no number at all, and few of its
    words come again below them; or else years, or the numbers of the columns, above other things.
    """
    rows = [row for row in rows if row != first]  # names may come again
    first = [cell.strip() for cell in first]
    number = [NUMBER.fullmatch(cell) is not None for cell in first]
    blank = [is_missing(cell, hints) for cell in first]
    below = [[row[j].strip() for row in rows if len(row) == len(first)] for j in range(len(first))]
    known = [[cell for cell in cells if not is_missing(cell, hints)] for cells in below]
    for j, cells in enumerate(known):
        if not number[j] and not blank[j] and cells and all(map(NUMBER.fullmatch, cells)):
            return True
    if any(number):
        return _are_years(first, number, known) or _are_counted(first, known)
    words = [j for j in range(len(first)) if not blank[j]]
    again = sum(first[j] in known[j] for j in words)
    return bool(words) and again <= len(words) / 2


def _are_years(first: list[str], number: list[bool], below: list[list[str]]) -> bool:
    """Tell whether the numbers of the first line are years that rise, above other numbers."""
    places = [j for j, is_number in enumerate(number) if is_number]
    cells = [first[j] for j in places]
    period = re.compile(rf"{YEAR}(-\d\d){{0,2}}")
    if len(cells) < 2 or not all(map(period.fullmatch, cells)) or sorted(set(cells)) != cells:
        return False
    rows = [cell for j in places for cell in below[j]]
    return sum(period.fullmatch(cell) is not None for cell in rows) < 0.5 * max(len(rows), 1)


def _are_counted(first: list[str], below: list[list[str]]) -> bool:
    """Tell whether the first line numbers the columns from 0 or 1 on, unlike the rows below."""
    d = len(first)
    counts = [[str(j) for j in range(start, start + d)] for start in (0, 1)]
    if d < 4 or first not in counts:
        return False
    return not all(cells and re.fullmatch(r"\d+", cells[0]) for cells in below)
