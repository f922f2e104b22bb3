"""Tables as found in the wild: each is read and written as it was, or refused in one block."""

import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from skgm.__main__ import main
from skgm._main import JobError
from skgm._main._layout import Hints
from skgm._main._table import read_table, write_rows

RNG = np.random.default_rng(0)
N = 30
SIZE = RNG.normal(10, 3, N).round(2)
COUNT = RNG.integers(1, 60, N)
LIMIT = 8  # of a laboratory: what lies below is not measured
COLOR = RNG.choice(["red", "blue"], N)
COMMA = [f"{value:.2f}".replace(".", ",") for value in SIZE]
DAYS = pd.date_range("2023-01-01", periods=N, freq="9D")
HOUR = pd.Timedelta(hours=13)
MOMENTS = pd.date_range("2023-01-01", periods=N, freq="3701s")
HOURS = pd.date_range("2023-01-01", periods=N, freq="7h")
ISO = DAYS.strftime("%Y-%m-%d")


def csv(*columns, names=None, sep=","):
    lines = [sep.join(map(str, row)) for row in zip(*columns)]
    return "\n".join([*([sep.join(names)] if names else []), *lines, ""])


GERMAN = csv(COMMA, COUNT, COLOR, names=["länge", "zahl", "farbe"], sep=";")
PLAIN = csv(SIZE, COUNT, COLOR, names="abc")
THOUSANDS = [f"{1234.567 * value:,.2f}" for value in SIZE]
BACK = str.maketrans(",.", ".,")
KINDS = {"r": "real", "w": "whole", "c": "category", "d": "date"}

# name: content, kinds of the columns to learn, a word of what is printed
READ = {
    "decimal comma": (GERMAN, "rwc", "decimal comma"),
    "Latin-1": (GERMAN.encode("latin-1"), "rwc", "Latin-1"),
    "UTF-16": (GERMAN.encode("utf-16"), "rwc", "UTF-16"),
    "UTF-16 without mark": (PLAIN.encode("utf-16-le"), "rwc", "UTF-16 (little-endian)"),
    "byte-order mark": (GERMAN.encode("utf-8-sig"), "rwc", "byte-order mark"),
    "sep=;": ("sep=;\n" + GERMAN, "rwc", "delimiter ';'"),
    "tab": (csv(SIZE, COUNT, COLOR, names="abc", sep="\t"), "rwc", "delimiter tab"),
    "bar": (csv(SIZE, COUNT, COLOR, names="abc", sep="|"), "rwc", "delimiter '|'"),
    "years": (csv(SIZE, COUNT, names=["2019", "2020"]), "rw", "though some are numbers"),
    "country and years": (csv(COLOR, SIZE, COUNT, names=["country", "2019", "2020"]), "crw", ""),
    "months": (csv(COLOR, SIZE, COUNT, names=["country", "2019-01", "2019-02"]), "crw", ""),
    "numbered columns": (csv(SIZE, COUNT, SIZE, SIZE, names="0123"), "rwrr", "though some are num"),
    "no names": (csv(SIZE, COUNT, COLOR), "rwc", "no line of names"),
    "no names, only text": (csv(COLOR, COLOR[::-1]), "cc", "no line of names"),
    "only text": (csv(COLOR, COLOR[::-1], names=["front", "back"]), "cc", "a line of names"),
    "line break in a name": ('"length\nin cm","weight, kg"\n' + csv(SIZE, COUNT), "rw", ""),
    "same name twice": (csv(SIZE, COUNT, SIZE, names="aba"), "rwr", "another 'a'"),
    "constant": (csv(SIZE, [7] * N, ["x"] * N, COUNT, names="abcd"), "rw", "b (7), c (x)"),
    "empty column": (csv(SIZE, [""] * N, COUNT, names="abc"), "rw", "'b' has no value at all"),
    "index": (csv(range(N), SIZE, COUNT, names=["", "a", "b"]), "rw", "counts the rows from 0"),
    "code": (csv(SIZE, np.where(COUNT > 40, -999, COUNT), names="ab"), "rw", "-999 in "),
    "TRUE": (csv(SIZE, np.where(COUNT > 30, "TRUE", "FALSE"), names="ab"), "rc", ""),
    "20230101": (csv(DAYS.strftime("%Y%m%d"), SIZE, names="ab"), "dr", "dates %Y%m%d"),
    "ISO dates": (csv(DAYS.strftime("%Y-%m-%d"), SIZE, names="ab"), "dr", "as days: a"),
    "German dates": (csv(DAYS.strftime("%d.%m.%Y"), SIZE, names="ab"), "dr", "%d.%m.%Y"),
    "short dates": (csv([f"{d.month}/{d.day}/{d.year}" for d in DAYS], SIZE), "dr", "%m/%d/%Y"),
    "doubtful dates": (csv(["01/02/2023"] * 9 + ["03/04/2023"] * 21, SIZE), "dr", "--day-first"),
    "moments": (csv(DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"), SIZE, names="ab"), "dr", "as seconds"),
    "clock": (csv([f"{i % 24}:{i:02}" for i in range(N)], SIZE, names="ab"), "dr", "as minutes"),
    "dollars": (csv([f'"${v}"' for v in THOUSANDS], COUNT, names="ab"), "rw", "thousands ',', '$'"),
    "euros": (csv([f"{v.translate(BACK)} €" for v in THOUSANDS], COUNT, sep=";"), "rw", "'€'"),
    "Swiss francs": (csv([v.replace(",", "'") for v in THOUSANDS], COUNT), "rw", "thousands"),
    "percent": (csv([f"{v}%" for v in SIZE], COUNT, names="ab"), "rw", "numbers with '%'"),
    "units": (csv([f"{v} kg" for v in SIZE], COUNT, names="ab"), "rw", "numbers with 'kg'"),
    "bookkeeper's minus": (csv([f"({v})" for v in SIZE], COUNT, names="ab"), "rw", "parentheses"),
    "minus sign": (csv([f"\u2212{v}" for v in SIZE], COUNT, names="ab"), "rw", ""),
    "powers of ten": (csv([f"{v:.3e}" for v in 1e9 * SIZE], COUNT, names="ab"), "rw", ""),
    "detection limit": (csv(np.where(SIZE < LIMIT, f"<{LIMIT}", SIZE), COUNT), "rw", "is a limit"),
    "two limits": (
        csv(np.where(COUNT > 50, ">50", np.where(COUNT < 10, "< 10", COUNT)), SIZE, names="ab"),
        "wr",
        "is a limit",
    ),
    "post codes": (csv(np.where(COUNT > 30, "00123", "07001"), SIZE, names="ab"), "cr", ""),
    "long numbers": (csv(np.where(COUNT > 30, "1" * 18, "2" * 18), SIZE, names="ab"), "cr", ""),
    "other holes": (csv(SIZE, np.where(COUNT > 50, "?", COUNT), names="ab"), "rw", "missing"),
    "spaces after commas": (csv(SIZE, [f" {c}" for c in COLOR], names=["a", " b"]), "rc", ""),
    "names behind #": ("# a,b\n" + csv(SIZE, COUNT), "rw", ""),
    "units with a slash": (csv([f"{v}mg/dL" for v in SIZE], COUNT, names="ab"), "rw", "'mg/dL'"),
    "some in parentheses": (csv([f"({v})" if v < 8 else v for v in SIZE], COUNT), "rw", "parenth"),
    "zones": (csv(DAYS.strftime("%Y-%m-%dT%H:%M:%S+02:00"), SIZE, names="ab"), "dr", "%S+02:00"),
    "milliseconds": (csv([f"{d}.{i:03}" for i, d in enumerate(DAYS + HOUR)], SIZE), "dr", "millis"),
    "microseconds": (csv([f"{d}.{i:06}" for i, d in enumerate(DAYS + HOUR)], SIZE), "dr", "micros"),
    "half days": (csv((DAYS + HOUR).strftime("%m/%d/%Y %I:%M %p"), SIZE), "dr", "as minutes"),
    "twelve hours": (csv([f"{1 + i % 12}:{i:02} PM" for i in range(N)], SIZE), "dr", "%I:%M %p"),
    "months and years": (csv(DAYS.strftime("%Y-%m"), SIZE, names="ab"), "dr", "as months"),
    "names of months": (csv(DAYS.strftime('"%B %d, %Y"'), SIZE, names="ab"), "dr", "%B %d"),
    "short years": (csv(DAYS.strftime("%d-%b-%y"), SIZE, names="ab"), "dr", "%d-%b-%y"),
    "Excel's days": (csv(44927 + 9 * np.arange(N), SIZE, names=["date", "b"]), "wr", ""),
    "Y and N": (csv(np.where(COUNT > 40, "Y", np.where(COUNT > 9, "N", "NA")), SIZE), "cr", "miss"),
    "quotes in quotes": (csv([f'"a ""{c}"", b"' for c in COLOR], SIZE, names="ab"), "cr", ""),
    "holes only": (csv(SIZE, ["NA"] * N, COUNT, names="abc"), "rw", "'b' has no value at all"),
    "codes of many lengths": (csv(RNG.choice(["007", "12", "0451"], N), SIZE), "cr", ""),
    "beyond 2**53": (csv(np.where(COUNT > 30, 2**53 + 1, 2**53 + 3), SIZE, names="ab"), "cr", ""),
    "capital E": (csv([f"{v:.2E}" for v in SIZE], COUNT, names="ab"), "rw", ""),
    "tabs in texts": (csv([f'"{c}\tx"' for c in COLOR], SIZE, names="ab"), "cr", "delimiter ','"),
    "tilde": (csv(SIZE, COUNT, COLOR, names="abc", sep="~"), "rwc", "delimiter '~'"),
    "UTF-32": (PLAIN.encode("utf-32"), "rwc", "UTF-32"),
    "German moments": (csv(MOMENTS.strftime("%d.%m.%Y %H:%M:%S"), SIZE), "dr", "as seconds"),
    "moments of a mail": (csv(MOMENTS.strftime('"%a, %d %b %Y %H:%M:%S"'), SIZE), "dr", "as seco"),
    "compact moments": (csv(MOMENTS.strftime("%Y%m%dT%H%M%S"), SIZE, names="ab"), "dr", "%dT%H"),
    "days of the week": (csv(MOMENTS.strftime("%a %d %b %Y"), SIZE, names="ab"), "dr", "%a %d"),
    "more than a day": (csv([f"{i}:{i:02}:07" for i in range(N)], SIZE), "wr", "durations"),
    "no such day": (csv(["2021-02-30", *ISO[1:]], SIZE), "dr", "among dates: '2021-02-30' (1 row)"),
    "no end": (csv(["9999-12-31", *ISO[1:]], SIZE), "dr", "among dates: '9999-12-31' (1 row)"),
    "minus behind the dollar": (csv([f"$-{v}" for v in SIZE], COUNT), "rw", "numbers with '$'"),
    "Cyrillic": (csv(np.where(COUNT > 9, "Омск", "Уфа"), SIZE).encode("cp1251"), "cr", "look righ"),
    "one column": (csv(SIZE, names="a"), "r", ""),
    "one column of decimal commas": (csv(COMMA, names="a"), "r", "decimal comma"),
    "60 columns": (
        csv(*RNG.normal(size=(60, N)), names=[f"c{j}" for j in range(60)]),
        "r" * 60,
        "",
    ),
}


def read(tmp_path, content, hints=None):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(str(path), hints)


def kinds(table):
    return "".join(style.kind[0] for style in table.styles.values())


@pytest.mark.parametrize("name", READ)
def test_it_is_read_and_written_as_it_was(tmp_path, name):
    content, wanted, told = READ[name]
    table = read(tmp_path, content)
    assert kinds(table) == wanted
    notes = "\n".join(table.notes) + ("missing" if not table.is_complete else "")
    assert told in notes
    write_rows(table.frame, table, tmp_path / "again.csv")
    again = (tmp_path / "again.csv").read_bytes()
    encoding = table.layout.encoding
    original = content if isinstance(content, bytes) else content.encode()
    lines, copied = original.decode(encoding).split("\n"), again.decode(encoding).split("\n")
    assert [line.replace('"', "") for line in copied] == [line.replace('"', "") for line in lines]


# name: content, kinds, a word of what is printed, a line of what is written
CLEANED = {
    "no-break spaces": (
        csv([f"\u00a0{value}\u00a0" for value in SIZE], COUNT, names=["a\u00a0b", " c "]),
        "rw",
        "",
    ),
    "aligned by spaces": (csv(SIZE, COUNT, names="ab", sep="   "), "rw", "delimiter spaces"),
    "trailing commas": (csv(SIZE, COUNT, [""] * N, names=["a", "b", ""]), "rw", "trailing delim"),
    "commas that trail rows": ("a,b\n" + csv(SIZE, COUNT, [""] * N), "rw", "trailing delim"),
    "row names": ("a,b\n" + csv([f"row {i}" for i in range(N)], SIZE, COUNT), "rw", "names rows"),
    "an ID of 1e9": (
        csv(10**9 + 7 * RNG.permutation(N), SIZE, COUNT, names=["id", "a", "b"]),
        "rw",
        "30 different whole numbers, so it names rows and is left out (--keep id)",
    ),
    "a register without a name": (
        csv(530_101 + 37 * RNG.permutation(N), SIZE, COUNT, names="hab"),
        "rw",
        "run on from an offset and follow no other column, so it names rows and is left out",
    ),
    "user names": (csv([f"u{i}" for i in range(N)], SIZE, names=["user", "a"]), "r", "--keep user"),
    "titles": ("Report\nof 2023\n\n" + PLAIN, "rwc", "titles ('Report')"),
    "comments": ("# made by x\n# in m\n" + PLAIN, "rwc", "begin with #"),
    "names twice": (PLAIN + PLAIN, "rwc", "repeat the line of names: 1"),
    "empty rows": (PLAIN + ",,\n,,\n", "rwc", "rows left out that are empty: 2"),
    "old Macintosh": (PLAIN.replace("\n", "\r"), "rwc", ""),
    "a word for holes": (
        csv(np.where(COUNT > 55, "unknown", SIZE), COUNT, names="ab"),
        "rw",
        "missing values among numbers: 'unknown'",
    ),
    "names in another case": (PLAIN + "A,B,C\n" + PLAIN.partition("\n")[2], "rwc", "of names: 1"),
    "units below names": (
        "size,count,color\ncm,n,-\n" + csv(SIZE, COUNT, COLOR),
        "rwc",
        "second line of names or units left out: 'cm n -'",
    ),
    "totals": (PLAIN + f"{SIZE.sum():.2f},{COUNT.sum()},Total\n", "rwc", "the sums of the columns"),
    "a source below": (PLAIN + "Source: my office\n", "rwc", "remarks ('Source: my office'): 1"),
    "a comment below": (csv(SIZE, COUNT, names="ab") + "# the end\n", "rw", "remarks"),
    "other comments": ("% made by x, y\n% in m\n" + PLAIN, "rwc", "which begin with %"),
    "zero bytes": (PLAIN.replace("red", "r\0ed"), "rwc", "zero bytes left out"),
    "mixed line ends": (PLAIN.replace("red\n", "red\r\n").replace("blue\n", "blue\r"), "rwc", ""),
    "a second mark": ((PLAIN + "\ufeff" + PLAIN.partition("\n")[2]), "rwc", ""),
    "minus behind": (csv([f"{v}-" for v in SIZE], COUNT, names="ab"), "rw", ""),
    "offsets of summer and winter": (
        csv([f"{d}T08:00:00+0{1 + (i % 3 > 0)}:00" for i, d in enumerate(ISO)], SIZE),
        "dr",
        "all moments are written with +02:00",
    ),
    "dates in two forms": (
        csv(np.where(COUNT > 30, ISO, DAYS.strftime("%d.%m.%Y")), SIZE, names="ab"),
        "r",
        "look like dates or times, in forms not known",
    ),
    "numbers filled up": (
        csv([f"{37 * i + 11:06}" for i in range(N)], SIZE, names="ab"),
        "r",
        "30 different numbers filled up by zeros, so it names rows: left out (--keep a)",
    ),
    "end of a file under DOS": (PLAIN + "\x1a", "rwc", ""),
    "gzip": (gzip.compress(PLAIN.encode()), "rwc", ""),
    "two encodings": (
        b"".join(f"Jos\u00e9,{v}\n".encode("latin-1" if v > 10 else "utf-8") for v in SIZE),
        "cr",
        "Latin-1",
    ),
    "percent among plain numbers": (
        csv([f"{v}%" if v < 8 else v for v in SIZE], COUNT, names="ab"),
        "w",
        "text, because its numbers have several units or marks",
    ),
    "limits among numbers": (
        csv([f"<{i}" if i % 6 == 0 else v for i, v in enumerate(SIZE)], COUNT, names="ab"),
        "w",
        "though most cells are numbers: '<0', '<6'",
    ),
}


@pytest.mark.parametrize("name", CLEANED)
def test_it_is_cleaned(tmp_path, name):
    content, wanted, told = CLEANED[name]
    table = read(tmp_path, content)
    assert kinds(table) == wanted
    assert told in "\n".join(table.notes)
    write_rows(table.frame, table, tmp_path / "again.csv")
    again = read_table(str(tmp_path / "again.csv"))
    pd.testing.assert_frame_equal(again.frame, table.frame)


@pytest.mark.parametrize(
    ("words", "value", "expected"),
    [
        (HOURS.strftime("%Y-%m-%d %H:%M:%S"), 1_672_753_200, "2023-01-03 14:00:00"),
        (DAYS.strftime("%Y-%m-%d 06:00"), 27_916_690, "2023-01-29 14:00"),
        ([f"{20 + i}:{i:02}:00" for i in range(N)], 90_041, "25:01:00"),
        (MOMENTS.strftime("%Y-%m-%d %H:%M:%S"), 1_672_549_201, "2023-01-01 05:00:01"),
    ],
)
def test_drawn_times_are_rounded_as_the_file_records_them(tmp_path, words, value, expected):
    table = read(tmp_path, csv(words, SIZE, names="ab"))
    drawn = table.frame.assign(a=value)
    write_rows(drawn, table, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text().split("\n")[1].startswith(f"{expected},")


@pytest.mark.parametrize(
    "values",
    [
        20_011 + 4001 * RNG.permutation(N),  # spread as widely as a measurement
        1_700_000_000 + 61 * np.arange(N),  # times of the rows
        530_101 + np.floor(900 * (SIZE - SIZE.min())),  # follows a column of numbers
        900 + RNG.permutation(N),  # counts
    ],
)
def test_numbers_that_may_be_measurements_are_kept(tmp_path, values):
    table = read(tmp_path, csv(values.astype(int), SIZE, names=["b", "a"]))
    assert "left out" not in "".join(table.notes)


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ("", ["is empty"]),
        ("\n \n", ["is empty"]),
        ("a,b\n", ["header but no rows"]),
        (b"PK\x03\x04\xff\xfe", ["not a text file but an archive, as an Excel workbook"]),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), ["not a text file"]),
        ("<!DOCTYPE html>\n<p>not found</p>\n", ["HTML, XML or JSON"]),
        ('[{"a": 1, "b": 2}]', ["HTML, XML or JSON"]),
        ("a,b\n1,inf\n-inf,2\n3,4\n", ["2 reasons", "'a' has an infinite", "'b' has an infinite"]),
        ("a,b\n1,2\n3,4,5\n6,7\n8\n9,0\n", ["row 2 has 3 fields", "row 4 has 1 fields"]),
        (
            "a,b\n1,inf\n2\n3,4,5\n5,1e999\n",
            ["2 reasons", "row 2 has 1 fields", "row 3", "'b' has"],
        ),
        (b"BZh91AY", ["packed by bzip2; unpack it"]),
        ("a,b\n1,2,3\n4,5,6\n", ["row 1 has 3 fields, the first line 2"]),
        ("a,b,c\n1,2\n3,4\n", ["row 1 has 2 fields, the first line 3"]),
        ('a,b\n1,2\n"3,4\n', ["row 2 has 1 fields"]),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-4], ["broken gzip file"]),
    ],
)
def test_it_is_refused_by_name(tmp_path, content, faults):
    with pytest.raises(JobError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert str(tmp_path) in message
    for fault in faults:
        assert fault in message


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(JobError, match=r"cannot read .*nowhere\.csv: No such file"):
        read_table(str(tmp_path / "nowhere.csv"))
    with pytest.raises(JobError, match="cannot read"):
        read_table(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "hints", "wanted"),
    [
        (csv(SIZE, COUNT), {"header": True}, "rw"),
        (csv(SIZE, COUNT, names=["2019", "2020"]), {"header": False}, "rw"),
        (csv(SIZE, COUNT, names="ab"), {"categories": ("b",)}, "rc"),
        (csv(SIZE, COUNT, names="ab"), {"drop": ("b",)}, "r"),
        (csv(range(N), SIZE, names=["id", "a"]), {"keep": ("id",)}, "wr"),
        (csv(SIZE, np.where(COUNT > 40, -999, COUNT)), {"missing": ("-999",)}, "rw"),
        (csv(["1,234"] * 9 + ["2,345"] * 21, COUNT, sep=";"), {"decimal": "."}, "ww"),
        (csv(["1,234"] * 9 + ["2,345"] * 21, COUNT, sep=";"), {"decimal": ","}, "rw"),
        (GERMAN.encode("cp1250"), {"encoding": "cp1250"}, "rwc"),
        ("a:b\n" + csv(SIZE, COUNT, sep=":"), {"delimiter": ":"}, "rw"),
    ],
)
def test_options_overrule_guesses(tmp_path, content, hints, wanted):
    assert kinds(read(tmp_path, content, Hints(**hints))) == wanted


def test_day_first_overrules_month_first(tmp_path):
    content = csv(["01/02/2023"] * 9 + ["03/04/2023"] * 21, SIZE, names="ab")
    days = [read(tmp_path, content, Hints(day_first=first)).frame["a"][0] for first in (0, 1)]
    assert days[1] - days[0] == 30  # the first of February, not the second of January


def test_numbers_are_read_to_the_last_bit(tmp_path):
    values = RNG.normal(size=(50, 2)) * 10.0 ** np.arange(-12, 12, 12)
    frame = pd.DataFrame(values, columns=["a", "b"])
    np.testing.assert_array_equal(read(tmp_path, frame.to_csv(index=False)).frame, values)


def test_parquet_keeps_its_dtypes(tmp_path):
    pytest.importorskip("pyarrow")  # the optional reader of Parquet
    frame = pd.DataFrame(
        {
            "real": SIZE.astype("float32"),
            "whole": COUNT.astype("int16"),
            "holed": pd.Series(COUNT, dtype="Int32").mask(COUNT > 40),
            "flag": COUNT > 30,
            "kind": pd.Categorical(COLOR),
            "day": DAYS,
            "same": ["x"] * N,
            "seven": 7,
            "gone": pd.Series([None] * N, dtype="float32"),
            "money": [Decimal(f"{value:.2f}") for value in SIZE],
            "date": DAYS.date,
            "time": (DAYS + COUNT * HOUR).time,
            "span": DAYS - DAYS[0],
            "long": pd.Series(np.where(COUNT > 30, 2**60 + 1, 2**60 + 3)),
            "zoned": DAYS.tz_localize("Europe/Berlin"),
            "floats": pd.Series(COUNT.astype(float)).mask(COUNT > 40),
        }
    )
    frame.to_parquet(tmp_path / "table.parquet")
    table = read_table(str(tmp_path / "table.parquet"))
    assert kinds(table) == "rwwccdrdwwcdw"
    write_rows(table.frame, table, tmp_path / "again.parquet")
    again = pd.read_parquet(tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(again, frame, check_dtype=True)


def test_parquet_that_is_no_table_of_values_is_refused_by_name(tmp_path):
    pytest.importorskip("pyarrow")  # the optional reader of Parquet
    pd.DataFrame({"list": [[1, 2]] * N, "far": [np.inf] * N}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(JobError, match=r"2 reasons(.|\n)*'list' .* nested(.|\n)*'far' .* infinite"):
        read_table(str(tmp_path / "table.parquet"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decimal comma", "UTF-16", "20230101", "constant"])
def test_the_job_writes_rows_like_the_file(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    content, wanted, _ = READ[name]
    table = read(tmp_path, content)
    assert main(["table.csv", "--quick"]) == 0
    drawn = read_table("synthetic.csv")
    assert kinds(drawn) == wanted
    assert drawn.columns == table.columns
    assert drawn.layout == table.layout
    assert [s.decimals for s in drawn.styles.values()] == [
        s.decimals for s in table.styles.values()
    ]
    assert f"{N} synthetic rows" in capsys.readouterr().out


def test_five_rows_are_refused_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    read(tmp_path, csv(SIZE[:5], COUNT[:5], names="ab"))
    assert main(["table.csv"]) == 2
    assert "table.csv has too few rows: 5" in capsys.readouterr().err
