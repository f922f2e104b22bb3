"""Reads the words of one column as numbers, dates or categories, and writes such words again."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skgm._main._layout import YEAR, Hints, counted, is_missing

__all__ = ["Style", "file_decimal", "read_column"]

MOST_DIGITS = 15  # of a whole number that float64 keeps
MOSTLY = 0.8  # of the cells: the rest are then words for missing values
FEW_WORDS = 3
_CURRENCY = (
    r"(?:[A-Z]{0,2}[$€£¥₹₽₩₺]|(?:CHF|EUR|USD|GBP|JPY|CAD|AUD|SEK|NOK|DKK|PLN|kr\.?|zł|Fr\.))"
)
_UNIT = rf"(?:%|‰|°[CF]?|{_CURRENCY})"
_LETTERS = r"[A-Za-z\u00b5\u03bc\u00b0][A-Za-z0-9\u00b5\u03bc\u00b0/\u00b2\u00b3^*\u00b7]{0,9}"
_SPACES = r" \u00a0\u202f\u2009"
_SPACE = f"[{_SPACES}]"
_PARTS = re.compile(
    rf"(?P<open>\()?(?P<sign>[+\-\u2212]?){_SPACE}?(?P<prefix>{_CURRENCY}{_SPACE}?)?"
    rf"(?P<inner>[+\-\u2212]?)(?P<body>\d(?:[\d.,'\u2019 \u00a0\u202f\u2009]*[\d.,])?|[.,]\d+)"
    rf"(?P<exponent>[eE][+\-]?\d+)?(?P<suffix>{_SPACE}?(?:{_UNIT}|{_LETTERS}))?(?P<after>-)?(?P<close>\))?"
)
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LIMIT = re.compile(rf"[<>\u2264\u2265]=?{_SPACE}?{_PARTS.pattern}")
_LIKE_TIME = re.compile(
    r"\D{0,5}\d{1,4}([-/.: ])(\d{1,2}|[A-Za-z]{3,9})\1\d{1,4}(?!\1).*|\d{8}T?\d{6}"
)
_INFINITE = re.compile(r"[+-]?inf(inity)?", flags=re.IGNORECASE)
_GROUPS = {".": (",", "'", "\u2019", " ", "\u00a0", "\u202f", "\u2009")}
_GROUPS[","] = (".", *_GROUPS["."][1:])
_DATES = (  # what a cell looks like, its format, and the unit of its numbers
    (rf"{YEAR}-\d\d?-\d\d?", ("%Y-%m-%d",), "D"),
    (rf"{YEAR}-\d\d?-\d\d?[ T]\d\d?:\d\d", ("%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"), "m"),
    (
        rf"{YEAR}-\d\d?-\d\d?[ T]\d\d?:\d\d:\d\d",
        ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"),
        "s",
    ),
    (
        rf"{YEAR}-\d\d?-\d\d?[ T]\d\d?:\d\d:\d\d\.\d{{3}}",
        ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"),
        "ms",
    ),
    (
        rf"{YEAR}-\d\d?-\d\d?[ T]\d\d?:\d\d:\d\d\.\d{{6}}",
        ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"),
        "us",
    ),
    (rf"{YEAR}-\d\d", ("%Y-%m",), "M"),
    (rf"\d\d?/{YEAR}", ("%m/%Y",), "M"),
    (rf"{YEAR}/\d\d?/\d\d?", ("%Y/%m/%d",), "D"),
    (rf"{YEAR}[01]\d[0-3]\d", ("%Y%m%d",), "D"),
    (r"\d\d?\.\d\d?\.\d{4}", ("%d.%m.%Y",), "D"),
    (r"\d\d?\.\d\d?\.\d\d", ("%d.%m.%y",), "D"),
    (r"\d\d?/\d\d?/\d{4}", ("%m/%d/%Y", "%d/%m/%Y"), "D"),
    (r"\d\d?/\d\d?/\d\d", ("%m/%d/%y", "%d/%m/%y"), "D"),
    (r"\d\d?-\d\d?-\d{4}", ("%d-%m-%Y", "%m-%d-%Y"), "D"),
    (r"\d\d?/\d\d?/\d{4} \d\d?:\d\d", ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"), "m"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d", ("%d.%m.%Y %H:%M",), "m"),
    (r"\d\d?\.\d\d?\.\d{4} \d\d?:\d\d:\d\d", ("%d.%m.%Y %H:%M:%S",), "s"),
    (
        r"\d\d?/\d\d?/\d{4} \d\d?:\d\d:\d\d",
        ("%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"),
        "s",
    ),
    (r"\d\d?-\d\d?-\d{4} \d\d?:\d\d", ("%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M"), "m"),
    (
        r"\d\d?-\d\d?-\d{4} \d\d?:\d\d:\d\d",
        ("%d-%m-%Y %H:%M:%S", "%m-%d-%Y %H:%M:%S"),
        "s",
    ),
    (rf"{YEAR}/\d\d?/\d\d? \d\d?:\d\d", ("%Y/%m/%d %H:%M",), "m"),
    (rf"{YEAR}/\d\d?/\d\d? \d\d?:\d\d:\d\d", ("%Y/%m/%d %H:%M:%S",), "s"),
    (rf"{YEAR}[01]\d[0-3]\dT?[0-2]\d[0-5]\d[0-5]\d", ("%Y%m%dT%H%M%S", "%Y%m%d%H%M%S"), "s"),
    (
        r"\d\d?/\d\d?/\d{4} \d\d?:\d\d ?[AaPp][Mm]",
        ("%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M %p", "%m/%d/%Y %I:%M%p", "%d/%m/%Y %I:%M%p"),
        "m",
    ),
    (
        r"\d\d?/\d\d?/\d{4} \d\d?:\d\d:\d\d [AaPp][Mm]",
        ("%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p"),
        "s",
    ),
    (
        r"\d\d?[ -][A-Za-z]{3,9}[ -]\d{4}",
        ("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%d-%B-%Y"),
        "D",
    ),
    (
        r"[A-Za-z]{3,9},? \d\d? [A-Za-z]{3,9} \d{4}",
        ("%a %d %b %Y", "%a, %d %b %Y", "%A, %d %B %Y"),
        "D",
    ),
    (
        r"([A-Za-z]{3}, )?\d\d? [A-Za-z]{3} \d{4} \d\d:\d\d:\d\d",
        ("%a, %d %b %Y %H:%M:%S", "%d %b %Y %H:%M:%S"),
        "s",
    ),
    (r"\d\d?-[A-Za-z]{3}-\d\d", ("%d-%b-%y",), "D"),
    (r"[A-Za-z]{3,9} \d\d?, \d{4}", ("%b %d, %Y", "%B %d, %Y"), "D"),
    (r"\d\d?:\d\d", ("%H:%M",), "m"),
    (r"\d\d?:\d\d:\d\d", ("%H:%M:%S",), "s"),
    (r"\d\d?:\d\d ?[AaPp][Mm]", ("%I:%M %p", "%I:%M%p"), "m"),
)
UNITS = {"M": "months", "D": "days", "m": "minutes", "s": "seconds"}
UNITS |= {"ms": "milliseconds", "us": "microseconds"}


@dataclass(frozen=True)
class Style:
    """How the values of a column are written.

    `kind` is "real", "whole", "date" or "category". Numbers are rounded to `decimals`; None writes
    as many digits as a number needs. Zeros fill them up to `least`.
    """

    kind: str
    decimals: int | None = 0
    mantissa: int | None = None  # digits behind the mark of 1.23e+04
    exponent: str = "e"
    least: int = 0  # decimals that are always written
    decimal: str = "."
    groups: str = ""
    prefix: str = ""
    suffix: str = ""
    minus: str = "-"
    clock: bool = False  # whole seconds, written 26:05:00
    parentheses: bool = False  # around negative numbers
    width: int = 0  # zeros fill numbers up to it
    date_format: str = ""
    unit: str = "D"
    step: int = 1  # units of time between the values that occur: 60 for whole minutes
    padded: bool = True  # days and months have two digits
    bounds: tuple[float, float] = (-np.inf, np.inf)  # of dates: beyond them there may be none
    hole: str = ""
    limits: tuple[tuple[float, str], ...] = ()  # numbers that stand for words such as "<5"

    def words(self, column: Any) -> list[str]:
        """Return the values of a column as the words of the file."""
        write: Callable[[Any], str] = self._number
        if self.kind in ("category", "date"):
            write = str if self.kind == "category" else self._date
        missing = column.isna().to_numpy()
        return [
            self.hole if hole else write(value)
            for value, hole in zip(column.to_numpy(dtype=object), missing)
        ]

    def in_words(self, decimal: str) -> str:
        """Say what is special about a column of a file with that decimal mark; or nothing."""
        if self.clock:
            return "durations, as seconds"
        if self.kind == "date":
            return f"dates {self.date_format}, as {UNITS[self.unit]}"
        other = self.kind == "real" and self.decimal != decimal
        marks = [f"decimal '{self.decimal}'"] if other else []
        marks += [f"thousands {self.groups!r}"] if self.groups else []
        marks += [repr(mark.strip()) for mark in (self.prefix, self.suffix) if mark]
        marks += ["parentheses for minus"] if self.parentheses else []
        return "numbers with " + ", ".join(marks) if marks else ""

    def on_step(self, value: Any) -> Any:
        """Return a time, or an array of them, rounded as the file records it."""
        found = np.rint(np.asarray(value, dtype=float) / self.step) * self.step
        return found if np.ndim(value) else int(found)

    def _number(self, value: float) -> str:
        if self.limits and value in dict(self.limits):
            return dict(self.limits)[value]
        if self.clock:
            minutes, seconds = divmod(max(self.on_step(value), 0), 60)
            return f"{minutes // 60:0{self.width}}:{minutes % 60:02}:{seconds:02}"
        plain = self._plain(abs(float(value)))
        whole, mark, fraction = plain.partition(".")
        if self.groups and whole.isdigit():
            whole = f"{int(whole):,}".replace(",", self.groups)
        text = whole.zfill(self.width) + (self.decimal + fraction if mark else "")
        text = f"{self.prefix}{text}{self.suffix}"
        if value >= 0 or not any(digit in "123456789" for digit in plain):
            return text
        if len(self.minus) > 1:  # $-5
            return self.minus + text.removeprefix(self.prefix)
        return f"({text})" if self.parentheses else self.minus + text

    def _plain(self, value: float) -> str:
        if self.mantissa is not None:
            return f"{value:.{self.mantissa}e}".replace("e", self.exponent)
        if self.decimals is None:
            return repr(value)
        if self.kind == "whole":
            value = round(value)
        whole, _, fraction = f"{value:.{self.decimals}f}".partition(".")
        fraction = fraction.rstrip("0").ljust(self.least, "0")
        return f"{whole}.{fraction}" if fraction else whole

    def _date(self, value: float) -> str:
        number = int(np.clip(self.on_step(value), *self.bounds))
        moment: Any = np.array(number).astype(f"datetime64[{self.unit}]").item()
        told = self.date_format
        if self.unit == "ms":  # %f writes six digits
            told = told.replace("%f", f"{moment.microsecond // 1000:03d}")
        text = moment.strftime(told)
        return text if self.padded else re.sub(r"(?<!:)\b0(?=\d)", "", text)


def read_column(
    words: Any, name: str, decimal: str, hints: Hints
) -> tuple[Any, Style, list[str], list[str]]:
    """Return a column of values, its style, and what was guessed and what is wrong about it."""
    import pandas as pd

    counts = Counter(words)
    holes = {word: times for word, times in counts.items() if is_missing(word, hints)}
    known = [word for word in counts if word not in holes]
    notes: list[str] = []
    infinite = [word for word in known if _is_infinite(word)]
    if infinite and name not in hints.categories and len(known) > len(infinite):
        row = int(np.argmax(words.isin(infinite).to_numpy())) + 1
        rest = [word for word in known if word not in infinite]
        if _read_numbers(rest, decimal) is not None:
            fault = f"column {name!r} has an infinite value in row {row}; drop it or leave it empty"
            return None, Style("real"), [], [fault]
    found = None
    if known and name not in hints.categories:
        found = _read_values(known, counts, decimal, hints)
    if found is None:
        style = Style("category", hole=_most(holes))
        many = _nearly_numbers(known, counts, decimal)
        if many and name not in hints.categories:
            notes.append(many)
        values = words.where(~words.isin(list(holes)), None).astype(object)
        return values, style, notes, []
    numbers, style, more, told = found
    holes |= more
    notes += told
    table = dict.fromkeys(holes, np.nan) | dict(zip(numbers[0], numbers[1]))
    values = words.map(table).astype(float)
    if style.kind != "real":
        values = values.astype("Int64") if holes else values.astype("int64")
    else:
        values = pd.Series(values.to_numpy(dtype=float))
    return values, replace(style, hole=_most(holes)), notes, []


def _is_infinite(word: str) -> bool:
    return _INFINITE.fullmatch(word) is not None or (
        _PLAIN.fullmatch(word) is not None and np.isinf(float(word))
    )


def _most(holes: dict[str, int]) -> str:
    return max(holes, key=lambda word: holes[word]) if holes else ""


Found = tuple[tuple[Sequence[str], np.ndarray], Style, dict[str, int], list[str]]


def _read_values(known: list[str], counts: Counter, decimal: str, hints: Hints) -> Found | None:
    """Return numbers or dates for the words, their style, other words for holes, and notes."""
    times = _read_times(known, counts, decimal, hints)
    if times is not None:
        return times
    if _are_codes(known, sum(counts[word] for word in known)):
        return None
    numbers = _read_numbers(known, decimal)
    if numbers is not None:
        return (known, numbers[0]), numbers[1], {}, []
    limited = [word for word in known if _LIMIT.fullmatch(word)]
    if limited:
        return _read_limited(known, limited, counts, decimal)
    clean = [word for word in known if _PARTS.fullmatch(word)]
    other = {word: counts[word] for word in known if not _PARTS.fullmatch(word)}
    n_clean = sum(counts[word] for word in clean)
    if not clean or len(other) > FEW_WORDS or n_clean < MOSTLY * (n_clean + sum(other.values())):
        return None
    if len(clean) < 3 or any(re.search(r"\d", word) for word in other):
        return None
    numbers = _read_numbers(clean, decimal)
    if numbers is None:
        return None
    listed = ", ".join(f"{word!r} ({counted(times, 'row')})" for word, times in other.items())
    return (clean, numbers[0]), numbers[1], other, [f"missing values among numbers: {listed}"]


def _read_times(known: list[str], counts: Counter, decimal: str, hints: Hints) -> Found | None:
    """Return dates or durations for the words; few that are none stand for missing values."""
    found = _read_dates(known, decimal, hints)
    if found is not None:
        return (known, found[0]), found[1], {}, found[2]
    parts = [re.fullmatch(r"(\d{1,4}):([0-5]\d):([0-5]\d)", word) for word in known]
    clock = [[int(part) for part in match.groups()] for match in parts if match]
    if len(clock) == len(known):
        seconds = np.array(clock) @ np.array([3600.0, 60.0, 1.0])
        width = min(len(word.partition(":")[0]) for word in known)
        style = Style("whole", clock=True, width=width, step=_step_of(seconds, "s"))
        return (known, seconds), style, {}, []
    like = [word for word in known if _LIKE_TIME.fullmatch(word)]
    if len(like) < 3 or sum(counts[word] for word in like) < MOSTLY * sum(counts.values()):
        return None
    usual = Counter(_look_of(word) for word in like).most_common(1)[0][0]
    moments = [word for word in like if _look_of(word) == usual and not _is_no_day(word)]
    other = {word: counts[word] for word in known if word not in set(moments)}
    if len(moments) < 3 or len(other) > FEW_WORDS:
        return None
    found = _read_dates(moments, decimal, hints)
    if found is None:
        return None
    listed = ", ".join(f"{word!r} ({counted(times, 'row')})" for word, times in other.items())
    return (
        (moments, found[0]),
        found[1],
        other,
        [*found[2], f"missing values among dates: {listed}"],
    )


def _look_of(word: str) -> str:
    return re.sub(r"[A-Za-z]+", "a", re.sub(r"\d+", "0", word))


def _is_no_day(word: str) -> bool:
    """Tell whether an ISO date is none of the calendar, or of a year that stands for none."""
    import pandas as pd

    iso = re.match(r"\d{4}-\d\d-\d\d", word)
    if iso is None:
        return False
    known = re.match(YEAR, word) is not None
    return not known or bool(pd.isna(pd.to_datetime(iso[0], errors="coerce")))


def _read_limited(
    known: list[str], limited: list[str], counts: Counter, decimal: str
) -> Found | None:
    """Read numbers among which words such as "<5" say that a value lies beyond a limit.

    Each such word stands at its limit, or at the next number outward that no cell holds.
    """
    plain = [word for word in known if word not in limited]
    ends = _read_numbers([word.lstrip("<>\u2264\u2265= ") for word in limited], decimal)
    numbers = _read_numbers(plain, decimal) if plain else None
    if numbers is None or ends is None or len(limited) > FEW_WORDS or len(plain) < FEW_WORDS:
        return None
    values, style = numbers
    taken, places = set(values.tolist()), []
    step = 10.0 ** -(style.decimals or 0)
    for word, end in zip(limited, ends[0].tolist()):
        while end in taken:
            end = round(end + (-step if word[0] in "<\u2264" else step), style.decimals or 0)
        taken.add(end)
        places.append(end)
    told = [
        f"{word!r} ({counted(counts[word], 'row')}) is a limit: a value of its own at {end:g}, "
        "written back as it was"
        for word, end in zip(limited, places)
    ]
    style = replace(style, limits=tuple(zip(places, limited)))
    return (plain + limited, np.append(values, places)), style, {}, told


def _nearly_numbers(known: list[str], counts: Counter, decimal: str) -> str:
    """Say so if most words of a column of text are numbers."""
    parts = [_PARTS.fullmatch(word) for word in known]
    marks = {
        (match["prefix"] or "").strip() + (match["suffix"] or "").strip(): match[0]
        for match in parts
        if match
    }
    if len(known) > 10 and all(parts) and len(marks) > 1:
        shown = ", ".join(map(repr, list(marks.values())[:3]))
        return f"text, because its numbers have several units or marks: {shown}"
    if len(known) > 10 and sum(map(bool, map(_LIKE_TIME.fullmatch, known))) > MOSTLY * len(known):
        shown = ", ".join(map(repr, {_look_of(word): word for word in known}.values()))
        return f"text: its cells look like dates or times, in forms not known: {shown[:80]}"
    other = [word for word in known if not _PARTS.fullmatch(word)]
    n_other, n = sum(counts[word] for word in other), sum(counts[word] for word in known)
    if not other or n_other > (1 - MOSTLY) * n or len(known) <= 10:
        return ""
    shown = ", ".join(map(repr, other[:3])) + (", ..." if len(other) > 3 else "")
    return f"text, though most cells are numbers: {shown} are none (--missing WORD makes holes)"


def _are_codes(known: list[str], n_rows: int) -> bool:
    """Tell whether whole numbers are names: as wide as one another with leading zeros, or long."""
    digits = [word.lstrip("+-") for word in known]
    if not all(word.isascii() and word.isdigit() for word in digits):
        return False
    if max(map(len, digits)) > MOST_DIGITS:
        return True
    padded = [len(word) for word in digits if len(word) > 1 and word.startswith("0")]
    if not padded:
        return False
    if any(word.lstrip("0").zfill(max(padded)) != word for word in digits):
        return True  # no width of numbers explains the zeros
    return len(set(map(len, digits))) == 1 and len(known) <= max(20, n_rows / 2)


def file_decimal(columns: Sequence[Any], delimiter: str) -> str:
    """Return the decimal mark of a file: the one that more columns show for certain."""
    certain = {".": 0, ",": 0}
    doubtful = 0
    for words in columns:
        found = [_PARTS.fullmatch(word) for word in words.unique()[:300]]
        bodies = [match["body"] for match in found if match is not None]
        if len(bodies) < 0.5 * len(found):
            continue
        for mark, other in ((".", ","), (",", ".")):
            mark, other = re.escape(mark), re.escape(other)
            fraction = re.compile(
                rf"(\d*{mark}(\d\d?|\d{{4,}})|0{mark}\d+|\d[\d {other}]*{mark}\d+)"
            )
            grouped = re.compile(rf"\d{{1,3}}({mark}\d{{3}})+")
            certain[mark[-1]] += any(
                fraction.fullmatch(body) and not grouped.fullmatch(body) for body in bodies
            )
        doubtful += any(re.fullmatch(r"\d{1,3},\d{3}", body) for body in bodies)
    if certain[","] > certain["."]:
        return ","
    return "," if not certain["."] and doubtful and delimiter != "," else "."


def _read_numbers(words: list[str], decimal: str) -> tuple[np.ndarray, Style] | None:
    """Return the numbers of distinct words and how they are written; None if a word is none."""
    if decimal == "." and all(map(_PLAIN.fullmatch, words)):
        return _numbers_of(words, ".", "")
    parts = [_PARTS.fullmatch(word) for word in words]
    if not all(parts):
        return None
    found = [match for match in parts if match is not None]
    marks = {name: {match[name] or "" for match in found} for name in ("prefix", "suffix")}
    if any(len(kinds - {""}) > 1 for kinds in marks.values()):
        return None
    if len(marks["suffix"]) > 1 and not re.fullmatch(f"{_SPACE}?{_CURRENCY}", max(marks["suffix"])):
        return None  # 10% among 10
    if any((match["open"] is None) != (match["close"] is None) for match in found):
        return None
    for mark in (decimal, "." if decimal == "," else ","):
        for groups in ("", *_GROUPS[mark]):
            if all(_is_body(match["body"], mark, groups) for match in found):
                plain = [_plain_number(match, mark, groups) for match in found]
                values = _numbers_of(plain, mark, groups)
                if values is None:
                    return None
                minus = "\u2212" if any("\u2212" in match[0] for match in found) else "-"
                inside = any(m["inner"] for m in found) and not any(m["sign"] for m in found)
                style = replace(
                    values[1],
                    prefix=max(marks["prefix"]),
                    suffix=max(marks["suffix"]),
                    minus=max(marks["prefix"]) + minus if inside else minus,
                    parentheses=any(match["open"] for match in found),
                )
                return values[0], style
    return None


def _is_body(body: str, mark: str, groups: str) -> bool:
    mark = re.escape(mark)
    whole = rf"\d{{1,3}}(?:{re.escape(groups)}\d{{3}})+|\d+" if groups else r"\d+"
    return re.fullmatch(rf"(?:{whole})(?:{mark}\d*)?|{mark}\d+", body) is not None


def _plain_number(match: re.Match, mark: str, groups: str) -> str:
    body = match["body"].replace(groups, "") if groups else match["body"]
    minus = match["open"] or {match["sign"], match["inner"], match["after"]} & {"-", "\u2212"}
    return ("-" if minus else "") + body.replace(mark, ".") + (match["exponent"] or "")


def _numbers_of(words: list[str], mark: str, groups: str) -> tuple[np.ndarray, Style] | None:
    values = np.array([float(word) for word in words])
    if not np.isfinite(values).all():
        return None
    exponents = ["e" in word.lower() for word in words]
    if any(exponents):
        mantissas = [word.lower().partition("e")[0].partition(".")[2] for word in words]
        most = max(map(len, mantissas)) if all(exponents) else None
        sign = "E" if all("E" in word for word, has in zip(words, exponents) if has) else "e"
        return values, Style("real", decimals=None, decimal=mark, mantissa=most, exponent=sign)
    fractions = [word.partition(".")[2] for word in words]
    written = {len(fraction) for fraction in fractions}
    decimals = max(written)
    recorded = max(len(fraction.rstrip("0")) for fraction in fractions)  # 2.30, 4.10 lie .1 apart
    longest = [fraction for fraction in fractions if len(fraction) == decimals]
    digits = [word.lstrip("+-").partition(".")[0] for word in words]
    width = 0
    filled = [len(word) for word in digits if len(word) > 1 and word.startswith("0")]
    if filled:
        width = Counter(filled).most_common(1)[0][0]
    is_whole = bool((values == np.rint(values)).all()) and np.abs(values).max() < 2**53
    return values, Style(
        "whole" if is_whole else "real",
        decimals=recorded if decimals <= MOST_DIGITS - 3 else None,
        least=decimals if any(f.endswith("0") for f in longest) else min(written),
        decimal=mark,
        groups=groups,
        width=width,
    )


def _step_of(values: np.ndarray, unit: str) -> int:
    """Return the seconds or minutes of a day, an hour or a minute, if all are multiples of it."""
    steps = {"s": (86_400, 3600, 60), "m": (1440, 60)}.get(unit, ())
    return next((step for step in steps if not (values % step).any()), 1)


def _read_zoned(
    words: list[str], ends: list[str], decimal: str, hints: Hints
) -> tuple[np.ndarray, Style, list[str]] | None:
    """Return moments with offsets from UTC, all under the most frequent offset."""
    bare = [word.removesuffix(end) for word, end in zip(words, ends)]
    found = _read_dates(bare, decimal, hints)
    if found is None:
        return None
    values, style, notes = found
    usual = Counter(ends).most_common(1)[0][0]
    minutes = {end: _minutes_of(end) for end in set(ends)}
    if len(set(minutes.values())) > 1:
        per_minute = {"m": 1, "s": 60, "ms": 60_000, "us": 60_000_000}.get(style.unit)
        if per_minute is None:
            return None
        values = values + np.array([minutes[usual] - minutes[end] for end in ends]) * per_minute
        notes = [*notes, f"offsets from UTC differ; all moments are written with {usual}"]
        style = replace(style, bounds=(float(values.min()), float(values.max())))
    return values, replace(style, date_format=style.date_format + usual), notes


def _minutes_of(offset: str) -> int:
    digits = offset[1:].replace(":", "")
    sign = -1 if offset.startswith("-") else 1
    return sign * (60 * int(digits[:2]) + int(digits[2:])) if digits else 0


def _read_dates(
    words: list[str], decimal: str, hints: Hints
) -> tuple[np.ndarray, Style, list[str]] | None:
    """Return dates as whole numbers of a unit, how they are written, and what was guessed."""
    import pandas as pd

    offsets = [re.search(r"(?<=\d)(Z|[+-]\d\d:?\d\d)$", word) for word in words]
    ends = [match[0] for match in offsets if match is not None]
    if len(ends) == len(words) and all(":" in word for word in words):
        return _read_zoned(words, ends, decimal, hints)
    for look, formats, unit in _DATES:
        if re.fullmatch(look, words[0]) is None:
            continue
        if not all(re.fullmatch(look, word) for word in words):
            continue
        fitting = []
        for date_format in formats:
            moments = pd.to_datetime(pd.Series(words), format=date_format, errors="coerce")
            if moments.notna().all():
                fitting.append((date_format, moments))
        if not fitting:
            continue
        date_format, moments = fitting[0]
        notes = []
        if len(fitting) == 2 and {"%d", "%m"} <= set(re.findall(r"%[dm]", date_format)):
            day_first = decimal == "," if hints.day_first is None else hints.day_first
            pick = [f for f, _ in fitting if (f.index("%d") < f.index("%m")) == day_first]
            date_format = pick[0]
            moments = dict(fitting)[date_format]
            notes.append("day and month could be the other way round (--day-first yes or no)")
        if date_format.startswith("%H"):
            moments = moments - moments.dt.normalize() + pd.Timestamp(0)
        values = moments.to_numpy().astype(f"datetime64[{unit}]").astype("int64")
        style = Style("date", date_format=date_format, unit=unit, step=_step_of(values, unit))
        bounds = (float(values.min()), float(values.max()))
        padded = [style._date(value).lower() for value in values] == [w.lower() for w in words]
        return values.astype(float), replace(style, padded=padded, bounds=bounds), notes
    return None
