"""The README is executed: its commands by `.ci/run`, its example here; its table is complete."""

import re
from pathlib import Path

import pytest

import skgm

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def code_blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_two_set_up_commands_run_by_ci():
    commands = [line for line in README.splitlines() if line.startswith("pip install ")]
    assert commands == [
        "pip install . && python -m skgm",
        'pip install ".[test]" && python -m pytest',
    ]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "mapfile -t commands < <(grep '^pip install ' README.md)" in ci
    for i in range(2):
        assert f'bash -euo pipefail -c "${{commands[{i}]}}"' in ci


def test_example_runs(capsys):
    (block,) = code_blocks("python")
    statements = [line for line in block.splitlines() if line.strip()]
    assert len(statements) <= 12
    exec(block, {})
    assert "low" in capsys.readouterr().out  # the table of intervals


def test_table_names_every_estimator():
    estimators = {
        name
        for name in skgm.__all__
        if isinstance(value := getattr(skgm, name), type)
        and issubclass(value, skgm.DensityEstimator)
        and value is not skgm.DensityEstimator
    }
    rows = set(re.findall(r"^\| `(\w+)`", README, flags=re.MULTILINE))
    assert estimators <= rows


def test_benchmarks_exist():
    comparison = (ROOT / "docs" / "comparison.rst").read_text(encoding="utf-8")
    scripts = set(re.findall(r"`python (benchmarks/\w+\.py)", README + comparison))
    assert scripts
    assert [script for script in scripts if not (ROOT / script).exists()] == []


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()
