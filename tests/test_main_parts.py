"""The parts of the main job: command line, table, split, files, plot, registry."""

import builtins
import gzip
import os
import stat

import numpy as np
import pandas as pd
import pytest

from skgm._main import JobError, parse
from skgm._main._files import check_output, write_files
from skgm._main._models import MODELS
from skgm._main._plot import can_plot, pair_plot
from skgm._main._report import align, synthetic_notes, table_lines
from skgm._main._split import split_table
from skgm._main._table import Table, default_table, read_table

is_root = getattr(os, "geteuid", lambda: 1)() == 0


@pytest.fixture
def write(tmp_path):
    def write_table(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write_table


QUICK = tuple(name for name, model in MODELS.items() if model.by_default)


def table_of(**columns):
    return Table(pd.DataFrame(columns), "table.csv")


# The command line


def test_defaults():
    options = parse([])
    assert options.table is None
    assert options.models == QUICK
    assert (options.n_samples, options.output) == (None, "synthetic.csv")
    assert (options.level, options.random_state) == (0.95, 0)


def test_all_models_may_be_asked_for():
    assert parse(["--model", "all"]).models == tuple(MODELS)
    assert set(QUICK) < set(MODELS)


def test_models_may_be_repeated_or_listed():
    first, second, *_ = MODELS
    assert parse(["--model", first, "--model", second]).models == (first, second)
    assert parse(["--model", f"{second}, {first},{second}"]).models == (second, first)


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["--model", "nonsense"], "unknown model 'nonsense'; known: score-matching-gaussian"),
        (["--level", "1"], "--level: must be a number strictly between 0 and 1; got '1'"),
        (["--level", "nan"], "--level: .* got 'nan'"),
        (["--level", "high"], "--level: .* got 'high'"),
        (["--n-samples", "0"], "--n-samples: must be a whole number >= 1; got '0'"),
        (["--n-samples", "-3"], "--n-samples"),
        (["--n-samples", "1.5"], "--n-samples: .* got '1.5'"),
        (["--random-state", "-1"], "--random-state"),
        (["--random-state", "4294967296"], "--random-state: .* got '4294967296'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["a.csv", "b.csv"], "unrecognized arguments: b.csv"),
    ],
)
def test_wrong_option_is_refused_by_name(words, culprit):
    with pytest.raises(JobError, match=culprit):
        parse(words)


def test_every_model_describes_itself_and_builds_a_grid():
    for model in MODELS.values():
        assert model.description
        pipeline, grid = model.build(0)
        assert set(grid) <= set(pipeline.get_params())


# The table


@pytest.mark.parametrize(
    ("content", "names", "delimiter", "has_header"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], ",", True),
        ("1,2\n3,4\n", ["x0", "x1"], ",", False),
        ("a;b\n1;2\n3;4", ["a", "b"], ";", True),
        ("a\tb\n1\t2\n3\t4\n", ["a", "b"], "\t", True),
        ("a|b\n1|2\n3|4\n", ["a", "b"], "|", True),
        ("# a, b\n 1 , 2 \n\n 3,4\n", ["a", "b"], ",", True),
        ('"a, b";c\n1;2\n3;4\n', ["a, b", "c"], ";", True),
        (b"\xef\xbb\xbfa,b\r\n1,2\r\n3,4\r\n", ["a", "b"], ",", True),
        ('\n\na,b\n"1","2"\n"3","4"\n', ["a", "b"], ",", True),
    ],
)
def test_headers_and_delimiters_are_found(write, content, names, delimiter, has_header):
    table = read_table(write(content))
    assert list(table.frame.columns) == names
    assert (table.delimiter, table.has_header) == (delimiter, has_header)
    np.testing.assert_array_equal(table.frame.to_numpy(), [[1, 2], [3, 4]])


def test_one_column_is_a_table(write):
    assert read_table(write("a\n1\n2\n")).frame["a"].tolist() == [1, 2]


def test_numbers_are_read_to_the_last_bit(write):
    values = np.random.default_rng(0).normal(size=(50, 2)) * 10.0 ** np.arange(-12, 12, 12)
    frame = pd.DataFrame(values, columns=["a", "b"])
    read = read_table(write(frame.to_csv(index=False))).frame
    np.testing.assert_array_equal(read.to_numpy(), values)


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("a,b\n", "header but no rows"),
        ("a,b\n1,2\n3,inf\n", "column 'b' has an infinite value in row 2"),
        ("a,b\n1,1e999\n3,4\n", "column 'b' has an infinite value in row 1"),
        ("a,b\n1,9999999999999999999999\n3,4\n", "column 'b' holds numbers too large"),
        ("a,b\n1,2\n1,3\n", "column 'a' is constant \\(1 in every row\\)"),
        ("a,a\n1,2\n3,4\n", "column name 'a' occurs 2 times"),
        (",a\n0,2\n1,4\n", "column 1 of 2 has no name"),
        ("a,b\n1,2,3\n4,5,6\n", "row 1 has 3 fields, the first line 2"),
        ("a,b,c\n1,2\n3,4\n", "row 1 has 2 fields, the first line 3"),
        ("a,b\n1,2\n3,4,5\n", "row 2 has 3 fields, the first line 2"),
        ('a,b\n1,2\n"3,4\n', "row 2 has 1 fields"),
        (b"PK\x03\x04\xff\xfe", "not a text file"),
    ],
)
def test_unusable_table_is_refused_by_name(write, content, culprit):
    path = write(content)
    with pytest.raises(JobError, match=culprit) as caught:
        read_table(path)
    assert path in str(caught.value)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("a,b\n1,2\n3,x\n", ["2", "x"]),
        ("a,b\n1,True\n3,False\n", [True, False]),
        ("a,b\n1,2\n3,1_0\n", ["2", "1_0"]),
        ("a,b\n1,2\n3,\n", [2, None]),
        ("a,b\n1,2.5\n3,NA\n", [2.5, None]),
        ("a,b\n1,?\n3,4\n", [None, 4]),
        ("1,red\n2,blue\n3,red\n", ["red", "blue", "red"]),  # a row of text is no header
    ],
)
def test_text_booleans_and_holes_are_read_as_they_are(write, content, values):
    column = read_table(write(content)).frame.iloc[:, 1]
    assert [None if pd.isna(value) else value for value in column] == values
    if values == [2, None]:
        assert str(column.dtype) == "Int64"  # whole numbers stay so beside holes


def test_packed_tables_are_read(tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\r\n1,2\r\n3,4\r\n"))
    assert read_table(str(path)).frame.to_numpy().tolist() == [[1, 2], [3, 4]]
    path.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-4])
    with pytest.raises(JobError, match="not a text file"):
        read_table(str(path))


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(JobError, match=r"cannot read .*nowhere\.csv: No such file"):
        read_table(str(tmp_path / "nowhere.csv"))
    with pytest.raises(JobError, match="cannot read"):
        read_table(str(tmp_path))


def test_default_table_suits_a_joint_density():
    frame = default_table().frame
    assert frame.shape == (178, 13)
    assert not frame.duplicated().any()
    steps = {name: np.diff(np.unique(frame[name])).min() for name in frame}
    assert max(steps[name] / frame[name].std() for name in frame) < 1 / 12
    assert list(table_lines(default_table())) == [
        "wine measurements (shipped with scikit-learn): 178 rows, 13 columns"
    ]


def test_few_values_and_repeated_rows_are_noted():
    table = table_of(a=np.repeat(np.arange(20.0), 2), b=np.repeat([0, 1], 20))
    text = "\n".join(table_lines(table))
    assert "few distinct values in b;" in text
    assert "20 rows repeat an earlier row" in text


# The split


def test_split_keeps_every_row_once_and_repeats_under_a_seed():
    table = default_table()
    split, again = split_table(table, 0), split_table(table, 0)
    other = split_table(table, 1)
    assert sorted([*split.train.index, *split.test.index]) == list(range(178))
    assert len(split.test) == 45
    pd.testing.assert_frame_equal(split.test, again.test)
    assert not split.test.index.equals(other.test.index)


RNG = np.random.default_rng(0)
A, B = RNG.normal(size=40), RNG.normal(size=40)


@pytest.mark.parametrize(
    ("columns", "culprit"),
    [
        ({"a": A[:19]}, "too few rows: 19; 1 columns need at least 20"),
        (dict(zip(map(str, range(30)), RNG.normal(size=(30, 40)))), "30 columns need at least 54"),
        ({"a": A, "b": np.eye(40)[7]}, "column 'b' is almost constant"),
        ({"a": A, "b": 3 * A + 5}, "is a linear combination"),
        ({"a": A, "b": B, "c": 1e3 * A - B}, "is a linear combination"),
        ({"a": A, "b": 1e308 * np.sign(B)}, "column 'b' holds numbers whose squares overflow"),
        ({"a": A, "b": 1e150 * B}, "column 'b' holds numbers whose squares overflow"),
        ({"a": A, "b": 1e-160 * B}, "column 'b' holds differences so small"),
    ],
)
def test_table_without_a_density_is_refused_by_name(columns, culprit):
    with pytest.raises(JobError, match=culprit):
        split_table(table_of(**columns), 0)


def test_a_large_offset_is_no_linear_combination():
    split_table(table_of(a=1e9 + A, b=1e-9 * B, c=A + 1e-3 * B), 0)


# The files


def test_output_is_checked_before_the_work(tmp_path):
    assert check_output(str(tmp_path / "out.csv"), None) == tmp_path / "out.csv"
    assert os.listdir(tmp_path) == []  # the check leaves nothing behind


@pytest.mark.parametrize(
    ("output", "culprit"),
    [
        ("", "names no file"),
        ("folder/", "names no file"),
        ("folder", "is a directory"),
        ("missing/out.csv", "no folder"),
        ("table.csv", "the table itself"),
        ("alias.csv", "the table itself"),
        ("plot.png", "is for the plot"),
        ("taken.csv", "cannot write .*taken.png: it is a directory"),
        ("x" * 300 + ".csv", "name too long"),
    ],
)
def test_unusable_output_is_refused(tmp_path, monkeypatch, output, culprit):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken.png").mkdir()
    (tmp_path / "table.csv").write_text("a\n1\n")
    (tmp_path / "alias.csv").symlink_to("table.csv")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(JobError, match=culprit):
        check_output(output, "table.csv")
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs a device")
def test_a_device_is_refused():
    with pytest.raises(JobError, match="not a regular file"):
        check_output("/dev/null", None)


@pytest.mark.skipif(is_root, reason="root may write anywhere")
def test_read_only_folder_and_file_are_refused(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(JobError, match="Permission denied"):
        check_output(str(closed / "out.csv"), None)
    kept = tmp_path / "kept.csv"
    kept.write_text("keep")
    kept.chmod(stat.S_IRUSR)
    with pytest.raises(JobError, match="read-only"):
        check_output(str(kept), None)


def fail(error):
    def write(path):
        path.write_text("half")
        raise error

    return write


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), JobError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_files_are_whole_or_absent(tmp_path, error, raised):
    old = tmp_path / "a.csv"
    old.write_text("old")
    with pytest.raises(raised):
        write_files({old: lambda path: path.write_text("new"), tmp_path / "b.png": fail(error)})
    assert os.listdir(tmp_path) == ["a.csv"]
    assert old.read_text() == "old"


def test_written_files_have_ordinary_permissions(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    write_files({tmp_path / "a.csv": lambda path: path.write_text("new")})
    assert (tmp_path / "a.csv").stat().st_mode == ordinary.stat().st_mode
    assert (tmp_path / "a.csv").read_text() == "new"


# The plot and the notes


@pytest.mark.parametrize("n_columns", [1, 2, 8])
def test_pair_plot_is_a_picture(tmp_path, n_columns):
    image = pytest.importorskip("matplotlib.image")
    names = ["a $cost$", "b", *(f"{'long ' * 20}{j}" for j in range(6))][:n_columns]
    rows = RNG.normal(size=(2, 30, n_columns))
    frames = [pd.DataFrame(part, columns=names) for part in rows]
    pair_plot(*frames, tmp_path / "plot.png", 0)
    pixels = image.imread(tmp_path / "plot.png")
    assert pixels.shape[0] > 200
    assert pixels[..., :3].std() > 0.01  # something is drawn


def test_without_matplotlib_there_is_no_plot(monkeypatch):
    genuine = builtins.__import__

    def refuse(name, *arguments, **options):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return genuine(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert not can_plot()


def test_notes_tell_where_synthetic_rows_differ_in_kind():
    table = table_of(count=np.arange(4), size=np.arange(1.0, 5.0), change=np.arange(-2.0, 2.0))
    synthetic = pd.DataFrame(
        {"count": [0.5, 1, 2, 3], "size": [-1.0, 1, 2, 3], "change": [-1.0, -2, 0, 1]}
    )
    whole, negative = synthetic_notes(table, synthetic)
    assert whole.endswith("real numbers: count")
    assert negative.endswith("has none: size (25.0%)")


def test_columns_are_aligned():
    rows = [["model", "cv"], ["a", "-1.25"]]
    assert list(align(rows, right=(1,))) == ["model     cv", "a      -1.25"]
