"""The main job, end to end: what it prints, what it writes, and how it fails."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skgm import DensityEstimator, DensityPipeline
from skgm.__main__ import main
from skgm._main._models import MODELS, Model

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}  # skgm need not be installed


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run every test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def skewed_table(n_rows=120):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n_rows)
    y = np.exp(0.8 * x + 0.5 * rng.normal(size=n_rows))
    return pd.DataFrame({"change, %": 100 * x, "size": y, "age": rng.integers(20, 70, n_rows)})


@pytest.fixture
def table(folder):
    skewed_table().to_csv(folder / "table.csv", index=False)
    return "table.csv"


@pytest.fixture(autouse=True)
def report_rows(request, monkeypatch):
    """Leave the report out of tests that are not about it: it takes a second."""
    if "with_report" not in request.fixturenames:
        monkeypatch.setattr("skgm._main._job.MIN_REPORT_ROWS", 10**9)


@pytest.fixture
def with_report():
    """Ask for the report."""


class Probe(DensityEstimator):
    """A density of the tests: uniform over a box that leaves out the tails, or one that fails."""

    def __init__(self, failure=None):
        self.failure = failure

    def fit(self, X, y=None, sample_weight=None):
        X, _ = self._begin_fit(X, sample_weight)
        if self.failure is not None:
            raise self.failure
        self.low_, self.high_ = np.quantile(X, [0.05, 0.95], axis=0)
        return self

    def score_samples(self, X):
        X = self._begin_scoring(X)
        inside = ((self.low_ <= X) & (self.high_ >= X)).all(axis=1)
        return np.where(inside, -np.log(self.high_ - self.low_).sum(), -np.inf)

    def _draw(self, n_samples, rng):
        return rng.uniform(self.low_, self.high_, (n_samples, self.n_features_in_))


@pytest.fixture
def register(monkeypatch):
    def add(name, density):
        build = lambda setting: (DensityPipeline([("density", density)]), {})  # noqa: E731
        monkeypatch.setitem(MODELS, name, Model("of the tests", build, quick_on="numbers"))

    return add


# What it prints and writes


@pytest.mark.slow
def test_quick_job_from_the_shell(folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "skgm", "--quick"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith("178 rows, 13 columns to learn (11 real, 2 whole-number)")
    quick = [name for name, model in MODELS.items() if model.quick_on == "numbers"]
    for name in (*quick, "independent normals", "joint normal", "alcohol", "proline"):
        assert any(line.startswith(name + " ") for line in lines), name
    assert "95% confidence" in done.stdout
    assert "\x1b" not in done.stdout  # no progress bar outside a terminal
    written = pd.read_csv(folder / "synthetic.csv")
    assert written.shape == (178, 13)
    assert list(written.columns[:2]) == ["alcohol", "malic_acid"]
    assert np.isfinite(written.to_numpy()).all()


@pytest.mark.slow
def test_the_default_job_fits_every_density_that_suits(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in MODELS:
        fitted = any(line.startswith(name + " ") and "[" in line for line in lines)
        assert fitted or any(line.startswith(f"note: {name} left out") for line in lines), name
    assert any("178 synthetic rows of" in line for line in lines)


def test_help_names_every_model_and_option(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    options = ("--model", "--n-samples", "--output", "--level", "--random-state", "table.csv")
    for word in (*MODELS, *options):
        assert word in text


def test_help_is_quick_to_import():
    """--help loads neither statsmodels nor matplotlib, nor skgm's own estimators."""
    program = (
        "import sys; from skgm.__main__ import main; main(['--help']); "
        "assert not {'statsmodels', 'matplotlib', 'skgm.inference'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)


def cells(lines, name):
    """The row of the comparison table that starts with `name`, as words."""
    row = next(line for line in lines if line.startswith(name + " "))
    return row.removeprefix(name).split()


def test_comparison_is_that_of_the_test_rows(table, capsys):
    """The joint normal's figures, computed here with scipy alone."""
    words = ["--model", "mle-multivariate-normal", "--level", "0.9", "--drop", "age"]
    assert main([table, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "30 rows put aside" in "\n".join(lines)

    rows = skewed_table()[["change, %", "size"]].to_numpy()  # real numbers, not rounded
    rows = rows[np.random.default_rng(0).permutation(120)]
    test, train = rows[:30], rows[30:]
    joint = stats.multivariate_normal(train.mean(axis=0), np.cov(train.T, bias=True))
    log_joint = joint.logpdf(test)
    log_apart = stats.norm.logpdf(test, train.mean(axis=0), train.std(axis=0)).sum(axis=1)
    paired = stats.ttest_rel(log_joint, log_apart)
    low, high = paired.confidence_interval(0.9)
    expected = [
        f"{log_joint.mean():.3f}",
        f"{(log_joint - log_apart).mean():+.3f}",
        f"[{low:+.3f},",
        f"{high:+.3f}]",
        "-",
    ]
    assert cells(lines, "joint normal")[1:] == expected


@pytest.mark.slow
def test_models_that_take_longer_are_fitted_where_they_are_named(table, capsys):
    assert main([table, "--model", "sparse-gaussian"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("sparse-gaussian ") for line in lines)
    assert not any(line.startswith("score-matching-gaussian ") for line in lines)
    assert any("synthetic rows of sparse-gaussian" in line for line in lines)


@pytest.mark.slow
def test_a_power_transform_is_chosen_for_skewed_columns_and_wins(folder, capsys):
    skewed_table(400).to_csv(folder / "table.csv", index=False)
    assert main(["table.csv", "--model", "score-matching-gaussian"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = cells(lines, "score-matching-gaussian")
    assert "PowerTransformer," in row
    assert "covariance_type=full" in row
    low = float(row[6].strip("[,"))
    assert low > 0  # the lower end of the difference from the joint normal


def test_parameter_intervals_contain_the_estimates(table, capsys):
    assert main([table, "--model", "mle-normal", "--level", "0.8"]) == 0
    out = capsys.readouterr().out
    assert "80% confidence" in out
    mean, low, high, sd = cells(out.splitlines(), "size")[:4]
    column = skewed_table()["size"]
    assert float(mean) == pytest.approx(column.mean(), rel=1e-4)
    assert float(sd) == pytest.approx(column.std(ddof=0), rel=0.02)  # whichever divisor
    # the sandwich with leverages: each square is divided by one less its share of their sum
    squares = (column - column.mean()) ** 2
    error = np.sqrt(np.sum(squares / (1 - squares / squares.sum()))) / len(column)
    half_width = stats.t.isf(0.1, 119) * error
    assert float(low.strip("[,")) == pytest.approx(column.mean() - half_width, rel=2e-4)
    assert float(high.strip("]")) == pytest.approx(column.mean() + half_width, rel=0.01)


def test_output_mirrors_the_input(folder):
    frame = skewed_table()
    frame.to_csv("plain.csv", index=False, header=False, sep=";")
    words = ["--model", "mle-normal", "--n-samples", "7", "--output", "out.txt"]
    assert main(["plain.csv", *words]) == 0
    written = pd.read_csv("out.txt", sep=";", header=None)
    assert written.shape == (7, 3)
    assert written[2].dtype.kind == "i"  # whole numbers stay so
    assert sorted(os.listdir(folder)) in (
        ["out.png", "out.txt", "plain.csv"],
        ["out.txt", "plain.csv"],  # without matplotlib
    )


def test_names_with_a_delimiter_survive(table):
    assert main([table, "--model", "mle-normal"]) == 0
    assert list(pd.read_csv("synthetic.csv").columns) == ["change, %", "size", "age"]


@pytest.mark.slow
def test_same_seed_same_bytes(table, folder):
    def synthetic(*words):
        assert main([table, "--model", "mle-normal", *words]) == 0
        return (folder / "synthetic.csv").read_bytes()

    first = synthetic()
    assert synthetic() == first
    assert synthetic("--random-state", "1") != first


def test_one_column_is_enough(folder):
    skewed_table()[["size"]].to_csv("one.csv", index=False)
    assert main(["one.csv", "--quick"]) == 0
    assert pd.read_csv("synthetic.csv").shape == (120, 1)


# Models that misbehave


@pytest.mark.slow
def test_zero_density_is_shown_as_such(table, register, capsys):
    register("box", Probe())
    assert main([table, "--model", "box,mle-normal"]) == 0
    out = capsys.readouterr().out
    assert "rows of zero density" in out
    assert "synthetic rows of mle-normal" in out  # the box cannot be the best


def test_a_failing_model_becomes_a_note(table, register, capsys):
    register("broken", Probe(ValueError("no luck\nat all")))
    assert main([table, "--model", "broken", "--model", "mle-normal"]) == 0
    assert "note: broken failed: no luck at all" in capsys.readouterr().out


def assert_one_line(capsys, *culprits):
    error = capsys.readouterr().err
    assert error.startswith("skgm: ")
    assert error.count("\n") == 1
    assert "Traceback" not in error
    for culprit in culprits:
        assert culprit in error


def test_no_model_left_is_an_error(table, register, capsys, folder):
    register("broken", Probe(ValueError("no luck")))
    assert main([table, "--model", "broken"]) == 2
    assert_one_line(capsys, "no model could be fitted", "broken failed: no luck")
    assert os.listdir(folder) == ["table.csv"]


def test_an_interrupt_leaves_nothing_behind(table, register, capsys, folder):
    register("slow", Probe(KeyboardInterrupt()))
    assert main([table, "--model", "slow"]) == 130
    assert_one_line(capsys, "interrupted")
    assert os.listdir(folder) == ["table.csv"]


def test_too_little_memory_is_an_error(table, register, capsys):
    register("large", Probe(MemoryError()))
    assert main([table, "--model", "large"]) == 2
    assert_one_line(capsys, "not enough memory")


def test_report_stands_beside_the_rows(table, capsys, folder, with_report):
    assert main([table, "--model", "mle-normal"]) == 0
    printed = capsys.readouterr().out
    assert "report on the synthetic rows" in printed
    assert "has lost its relation" in printed  # independent columns
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Synthetic rows of mle-normal beside table.csv" in page
    assert "minus" in page  # the held-out log-density beside baselines
    assert "more decimals" not in page
    assert main([table, "--model", "mle-normal", "--output", "rows.csv"]) == 0
    assert (folder / "rows.html").exists()
    assert main([table, "--model", "mle-normal", "--output", "a.csv", "--no-report"]) == 0
    assert not (folder / "a.html").exists()
    assert "report on" not in capsys.readouterr().out.rpartition("a.csv")[2]


def test_a_report_that_fails_costs_no_rows(table, capsys, folder, monkeypatch, with_report):
    def fails(*arguments):
        raise ValueError("no idea")

    monkeypatch.setattr("skgm._main._job.make_report", fails)
    assert main([table, "--model", "mle-normal"]) == 0
    assert "note: no report: report failed: no idea" in capsys.readouterr().out
    assert (folder / "synthetic.csv").exists()
    assert not (folder / "report.html").exists()


def test_the_page_has_a_name_of_its_own(table, capsys):
    assert main([table, "--output", "rows.html"]) == 2
    assert_one_line(capsys, ".html is for the report")


def test_a_failure_while_plotting_leaves_nothing_behind(table, capsys, folder, monkeypatch):
    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skgm._main._job.can_plot", lambda: True)
    monkeypatch.setattr("skgm._main._job.pair_plot", full_disk)
    assert main([table, "--model", "mle-normal"]) == 2
    assert_one_line(capsys, "synthetic.png", "No space left on device")
    assert os.listdir(folder) == ["table.csv"]


def test_without_matplotlib_the_table_is_still_written(table, capsys, monkeypatch, folder):
    monkeypatch.setattr("skgm._main._job.can_plot", lambda: False)
    assert main([table, "--model", "mle-normal"]) == 0
    assert "matplotlib is not installed" in capsys.readouterr().out
    assert sorted(os.listdir(folder)) == ["synthetic.csv", "table.csv"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes close otherwise there")
def test_a_reader_that_leaves_is_no_error(table):
    command = f'"{sys.executable}" -m skgm {table} --model mle-normal | head -n 1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stderr == ""


# What the user can put right: one line, status 2, no file


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        (None, "cannot read bad.csv: No such file or directory"),
        ("", "bad.csv is empty"),
        ("a,b\n", "bad.csv has a header but no rows"),
        ("a,b\n" + "1,2\n3,5\n" * 5, "too few rows: 10"),
        ("a,b\n" + "1,2\n" * 30, "no column that a density can learn"),
    ],
)
def test_an_unusable_table(folder, capsys, content, culprit):
    if content is not None:
        (folder / "bad.csv").write_text(content)
    before = os.listdir(folder)
    assert main(["bad.csv"]) == 2
    assert_one_line(capsys, culprit)
    assert os.listdir(folder) == before


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (["--model", "nonsense"], "unknown model 'nonsense'"),
        (["--level", "95"], "argument --level"),
        (
            ["--model", "kernel", "--categories", "age"],
            "kernel left out: column 'age' holds categories",
        ),
        (["--drop", "aeg"], "--drop names 'aeg', which is no column"),
        (["--n-samples", "0"], "argument --n-samples"),
        (["--random-state", "x"], "argument --random-state"),
        (["--output", "nowhere/out.csv"], "cannot write nowhere/out.csv: there is no folder"),
        (["--output", "."], "cannot write .: it is a directory"),
        (["--output", "table.csv"], "cannot write table.csv: it is the table itself"),
        (["--unknown"], "--unknown"),
    ],
)
def test_an_unusable_option(table, folder, capsys, words, culprit):
    assert main([table, *words]) == 2
    assert_one_line(capsys, culprit)
    assert os.listdir(folder) == ["table.csv"]


# Where it prints to


def job(*words, **options):
    """Run the job in a shell of its own; its output streams are what the test is about."""
    command = [sys.executable, "-m", "skgm", *words]
    environment = ENVIRONMENT | options.pop("env", {})
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, env=environment, **options)


@pytest.mark.slow
def test_a_terminal_that_lacks_letters_shows_escapes(folder):
    skewed_table().rename(columns={"size": "größe 日"}).to_csv(folder / "table.csv", index=False)
    done = job("table.csv", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")  # nor a word about the font of the plot
    assert r"gr\xf6\xdfe \u65e5" in done.stdout
    assert "größe 日" in (folder / "synthetic.csv").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_takes_one_line(table, folder):
    with open("/dev/full", "w") as full:
        done = job(table, stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("skgm: cannot write: ")
    assert sorted(path.name for path in folder.iterdir()) == [table]


@pytest.mark.skipif(os.name != "posix", reason="closes a file descriptor")
@pytest.mark.slow
def test_a_closed_stdout_stops_nothing(table, folder):
    done = job(table, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "synthetic.csv").exists()


def mixed_table(n_rows=160):
    rng = np.random.default_rng(0)
    kind = rng.choice(["city", "country"], n_rows)
    size = np.round(np.where(kind == "city", 60, 110) + 10 * rng.normal(size=n_rows), 1)
    frame = pd.DataFrame({"kind": kind, "size": size, "rooms": (size // 25).astype(int)})
    frame["garden"] = np.where(kind == "city", 0, rng.integers(20, 900, n_rows))
    frame["note"] = [f"row {i}" for i in range(n_rows)]
    frame["agent"] = 7
    hidden = rng.random(frame.shape) < 0.1
    hidden[:, [0, 4, 5]] = False
    return frame.astype({"rooms": "Int64", "garden": "Int64"}).mask(hidden)


def test_text_and_holes_come_back_as_they_were(folder, capsys):
    table = mixed_table()
    table.to_csv(folder / "mixed.csv", index=False)
    assert main(["mixed.csv", "--quick"]) == 0
    text = capsys.readouterr().out
    assert "160 rows, 4 columns to learn (1 real, 2 whole-number, 1 category)" in text
    assert "column 'note' holds 160 different texts in 160 rows, so it names rows" in text
    assert "constant columns, given back as they are: agent (7)" in text
    gain = float(cells(text.splitlines(), "density-chain")[2])
    assert gain > 0.3  # the kind tells the size, the rooms and the garden
    rows = pd.read_csv(folder / "synthetic.csv")
    assert list(rows.columns) == ["kind", "size", "rooms", "garden", "agent"]
    assert set(rows["kind"]) == {"city", "country"}
    assert (rows["agent"] == 7).all()
    assert (rows["rooms"].dropna() % 1 == 0).all()
    known = rows.dropna(subset=["garden"])
    assert (known.loc[known["kind"] == "city", "garden"] == 0).mean() > 0.9
    shares = rows.isna().mean() - table[rows.columns].isna().mean()
    assert shares.abs().max() < 0.02
    assert (folder / "synthetic.png").exists()


@pytest.mark.slow
def test_models_fitted_at_a_time(table, capsys, folder):
    words = [table, "--model", "mle-normal,mle-multivariate-normal"]
    assert main(words) == 0
    printed, rows = capsys.readouterr().out, (folder / "synthetic.csv").read_bytes()
    assert main([*words, "--jobs", "2"]) == 0
    assert capsys.readouterr().out == printed
    assert (folder / "synthetic.csv").read_bytes() == rows
    assert main([*words, "--jobs", "0"]) == 2
    assert_one_line(capsys, "--jobs", "whole number")
