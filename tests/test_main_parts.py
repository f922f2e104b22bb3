"""The parts of the main job: command line, table, split, files, plot, registry."""

import builtins
import os
import re
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skgm._main import JobError, parse
from skgm._main._columns import Style
from skgm._main._files import check_output, write_files
from skgm._main._holes import with_holes
from skgm._main._job import _parameters
from skgm._main._models import MODELS, Obstacles, Setting
from skgm._main._plot import can_plot, pair_plot
from skgm._main._report import _apart, align, negative_note, table_lines
from skgm._main._selection import Fitted, Stack, stack_models
from skgm._main._split import find_obstacles, split_table
from skgm._main._table import Table, default_table, pandas_call, read_table
from skgm.inference import MLEDensity

is_root = getattr(os, "geteuid", lambda: 1)() == 0


def table_of(**columns):
    frame = pd.DataFrame(columns)
    kinds = {"f": "real", "i": "whole", "O": "category"}
    styles = {name: Style(kinds[frame[name].dtype.kind]) for name in frame}
    return Table(frame, "table.csv", styles, tuple(columns))


# The command line


def test_defaults():
    options = parse([])
    assert options.table is None
    assert options.models is None
    assert (options.n_samples, options.output) == (None, None)
    assert (options.level, options.random_state) == (0.95, 0)


def test_all_models_may_be_asked_for():
    assert parse(["--model", "all"]).models == tuple(MODELS)


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
        (["--delimiter", "::"], "--delimiter: must be one mark"),
        (["--header", "maybe"], "--header: must be yes or no"),
        (["--encoding", "klingon"], "--encoding: unknown encoding 'klingon'"),
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
        density, grid = model.build(Setting())
        assert set(grid) <= set(density.get_params())


def test_slow_models_are_not_fitted_to_long_tables_by_default():
    ddpm, found = MODELS["ddpm"], Obstacles()
    assert ddpm.hesitation(2250, 11, found, 19_020) is None
    assert ddpm.hesitation(2250, 11, found, 100_000) == "it would take minutes"
    assert MODELS["density-chain"].hesitation(2250, 11, found, 10**6) is None


# The table


def test_default_table_suits_a_joint_density():
    frame = default_table().frame
    assert frame.shape == (178, 13)
    assert not frame.duplicated().any()
    steps = {name: np.diff(np.unique(frame[name])).min() for name in frame}
    assert max(steps[name] / frame[name].std() for name in frame) < 1 / 12
    assert find_obstacles(default_table()).to_numbers is None


def test_repeated_rows_are_noted():
    table = table_of(a=np.repeat(np.arange(20.0), 2), b=np.repeat([0, 1], 20))
    assert "20 rows like an earlier one" in "\n".join(table_lines(table))


# The split


def test_split_keeps_every_row_once_and_repeats_under_a_seed():
    table = default_table()
    split, again = split_table(table, 3000, 0), split_table(table, 3000, 0)
    other = split_table(table, 3000, 1)
    assert sorted([*split.train.index, *split.test.index]) == list(range(178))
    assert len(split.test) == 44
    pd.testing.assert_frame_equal(split.spread_test, again.spread_test)
    assert not split.test.index.equals(other.test.index)
    assert len(split_table(table, 100, 0).test) == 25


def test_rounded_numbers_are_spread_over_what_is_rounded_to_them():
    split = split_table(default_table(), 3000, 0)
    moved = (split.spread_train - split.train).abs().max()
    assert (moved.between(0, 0.5)).all()
    assert moved["alcohol"] < 0.005  # measured to .01
    assert moved["proline"] > 0.4


RNG = np.random.default_rng(0)
A, B = RNG.normal(size=40), RNG.normal(size=40)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        (dict(zip(map(str, range(30)), RNG.normal(size=(30, 40)))), "30 columns .* need 54 rows"),
        ({"a": A, "b": np.eye(40)[7]}, "'b' is almost constant"),
        ({"a": A, "b": np.arange(40) % 2}, "'b' takes two values only"),
        ({"a": A, "b": 3 * A + 5}, "is a linear combination"),
        ({"a": A, "b": B, "c": 1e3 * A - B}, "is a linear combination"),
        ({"a": A, "b": 1e308 * np.sign(B)}, "'b' ranges over inf"),
        ({"a": A, "b": 1e150 * B}, "'b' ranges over"),
        ({"a": A, "b": np.where(B > 0, B, 0.0)}, "'b' has point masses"),
        ({"a": A, "b": np.where(B > 0, "x", "y").astype(object)}, "'b' holds categories"),
        ({"a": A, "b": np.where(B > 0, B, np.nan)}, "'b' has missing values"),
    ],
)
def test_normal_densities_are_left_out_with_a_reason(columns, why):
    assert re.search(why, find_obstacles(table_of(**columns)).to_numbers)


def test_holes_leave_mixtures_and_chains():
    found = find_obstacles(table_of(a=A, b=np.where(B > 0, B, np.nan)))
    reading = [name for name, model in MODELS.items() if model.refusal(found) is None]
    assert reading == ["mixture", "density-chain"]


def test_a_large_offset_is_no_linear_combination():
    table = table_of(a=1e9 + A, b=1e-9 * B, c=A + 1e-3 * B)
    assert find_obstacles(table).to_numbers is None


def test_too_few_rows_are_refused():
    with pytest.raises(JobError, match="too few rows: 19; a density needs at least 20"):
        split_table(table_of(a=A[:19]), 3000, 0)


# The stack


def fitted(name, held, test):
    return Fitted(name, None, float(np.mean(held)), np.asarray(test), held=np.asarray(held))


def test_the_stack_is_the_mixture_that_held_out_rows_weigh_best():
    """Each of two models finds half of the rows likely; a third one never has a part."""
    likely, unlikely = np.log(0.9), np.log(0.1)
    held = np.tile([likely, likely, unlikely, unlikely], 50)
    models = [fitted(n, v, v) for n, v in (("a", held), ("b", held[::-1]), ("c", held - 50))]
    stack = stack_models(models)
    assert [(round(w, 3), member.name) for w, member in stack.members] == [(0.5, "a"), (0.5, "b")]
    np.testing.assert_allclose(stack.log_density, np.log(0.5), atol=1e-6)
    assert stack.cv_score == pytest.approx(np.log(0.5), abs=1e-3)
    assert stack.chosen == "0.50 a + 0.50 b"


def test_there_is_no_stack_of_one():
    held = np.zeros(20)
    assert stack_models([fitted("a", held, held), fitted("b", held - 20, held)]) is None
    assert stack_models([fitted("a", held, held)]) is None


def test_a_stack_draws_from_each_member_its_share():
    class Constant:
        def __init__(self, value):
            self.value = value

        def sample(self, n_samples, random_state):
            return pd.DataFrame({"a": np.full(n_samples, self.value)})

    drawn = Stack([0.25, 0.75], [Constant(0), Constant(1)]).sample(100, 0)["a"]
    assert drawn.sum() == 75
    assert list(drawn.index) == list(range(100))
    assert not drawn.is_monotonic_increasing


# The files


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1.5,x\n2.5,y\n", "pandas.read_csv({!r})"),
        (
            "on;paid;n\n03.02.2021;1.000,5;?\n14.02.2021;2,5;3\n",
            "pandas.read_csv({!r}, sep=';', decimal=',', thousands='.', na_values=['?'], "
            "parse_dates=['on'], date_format={{'on': '%d.%m.%Y'}})",
        ),
        ("a b\n1 2\n3 4\n", r"pandas.read_csv({!r}, sep='\\s+')"),
        ("1,2\n3,4\n", "pandas.read_csv({!r}, header=None)"),
        ("$ 5,a\n$ 7,b\n", None),
    ],
)
def test_the_call_of_pandas_reads_the_same(tmp_path, text, expected):
    path = str(tmp_path / "t.csv")
    Path(path).write_text(text)
    call = pandas_call(path, read_table(path))
    assert call == (expected and expected.format(path))
    assert call is None or len(eval(call, {"pandas": pd})) == 2


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


def test_negative_draws_are_noted_where_the_table_has_none():
    table = table_of(size=np.arange(1.0, 5.0), change=np.arange(-2.0, 2.0))
    drawn = pd.DataFrame({"size": [-1.0, 1, 2, 3], "change": [-1.0, -2, 0, 1]})
    (note,) = negative_note(table, drawn)
    assert note.endswith("has none: size (25.0%)")


def test_figures_of_large_columns_can_be_told_apart():
    assert _apart([1e9 + 1.5, 1e9, 1e9 + 3]) == ["1000000001.5", "1000000000", "1000000003"]
    assert _apart([189778.37, 188631.2, 190925.5]) == ["189780", "188630", "190930"]


def test_columns_are_aligned():
    rows = [["model", "cv"], ["a", "-1.25"]]
    assert list(align(rows, right=(1,))) == ["model     cv", "a      -1.25"]


def test_a_column_of_two_values_has_an_interval_of_its_share():
    table = table_of(a=A, sick=np.arange(40) % 2)
    lines = list(_parameters(table, 0.95))
    low, high = MLEDensity("bernoulli").fit(table.frame[["sick"]]).confidence_intervals()["p"]
    assert lines[2].split() == ["sick", "1", "0.5", f"[{low:.5g},", f"{high:.5g}]"]
    assert not any("sick" in line for line in lines[3:])


def test_zeros_that_end_every_number_are_no_decimals(tmp_path):
    """2.30 and 4.10 are recorded to a tenth: drawn rows are, and are written alike."""
    path = tmp_path / "table.csv"
    path.write_text("x,n\n" + "".join(f"{i / 10:.1f}0,{i}.00\n" for i in range(11, 40)))
    table = read_table(path)
    written = [
        table.styles["x"].words(pd.Series([2.345, 4.0])),
        table.styles["n"].words(pd.Series([3.0])),
    ]
    assert written == [["2.30", "4.00"], ["3.00"]]


def test_holes_stand_where_the_table_has_them():
    """In b where a is positive and the kind is x, in c more often beside those, in equal shares."""
    rng = np.random.default_rng(0)
    frame, drawn = (
        pd.DataFrame({"a": rng.normal(size=2000), "kind": rng.choice(["x", "y"], 2000)})
        for _ in range(2)
    )
    for table in (frame, drawn):
        table["b"], table["c"] = 1.0, 2
    frame["c"] = frame["c"].astype("Int64")
    frame.loc[(frame["a"] > 0) & (frame["kind"] == "x"), "b"] = np.nan
    often = np.where(frame["b"].isna(), 0.6, 0.1)
    frame.loc[rng.random(2000) < often, "c"] = pd.NA
    found = with_holes(drawn, frame, np.random.default_rng(1))
    where = (drawn["a"] > 0) & (drawn["kind"] == "x")
    assert (found["b"].isna() == where).mean() > 0.94
    for hole in (True, False):
        share = found["c"].isna()[found["b"].isna() == hole].mean()
        assert abs(share - frame["c"].isna()[frame["b"].isna() == hole].mean()) < 0.08
    assert abs(found.isna().mean() - frame.isna().mean()).max() <= 1 / 2000


def test_holes_that_follow_incomplete_columns_do_so_in_drawn_rows():
    """No column is complete; b is missing where a is large, or missing."""
    rng = np.random.default_rng(0)
    frame, drawn = (pd.DataFrame(rng.normal(size=(2000, 2)), columns=["b", "a"]) for _ in range(2))
    gone = rng.random(2000) < 0.2
    frame["b"] = frame["b"].mask((frame["a"] > 0.5) | gone)
    frame["a"] = frame["a"].mask(gone)
    found = with_holes(drawn, frame, np.random.default_rng(1))
    assert abs(found.isna().mean() - frame.isna().mean()).max() <= 1 / 2000
    where = found["a"].isna() | (found["a"] > 0.5)
    assert (found["b"].isna() == where).mean() > 0.94
