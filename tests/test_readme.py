"""The README is executed: its commands by `.ci/run`, its example here; what it names exists."""

import ast
import re
from importlib import import_module
from pathlib import Path

import numpy as np
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


def pattern(printed):
    """Printed lines without what may differ between versions: numbers, spaces, drawn categories."""
    lines = [re.sub(r"-?\d[\d.]*|class_\d", "#", line).split() for line in printed.splitlines()]
    return [line for line in lines if line]


def test_example_prints_what_the_readme_shows(capsys):
    (block,), (shown,) = code_blocks("python"), code_blocks("text")
    assert len([line for line in block.splitlines() if line.strip()]) <= 12
    exec(block, {})
    printed = capsys.readouterr().out
    assert pattern(printed) == pattern(shown)
    mean = re.compile(r"^mean +(.*) profile", flags=re.MULTILINE)
    found, claimed = (np.array(mean.search(text)[1].split(), float) for text in (printed, shown))
    np.testing.assert_allclose(found, claimed, rtol=1e-4)


def test_what_readme_promises_exists():
    """The names in the table "I want to ..." are public."""
    wanted = README[README.index("## I want to ...") : README.index("## How it compares")]
    names = set(re.findall(r"`(?:[^`]*[^`.\w])?([A-Za-z_]\w+)\(", wanted))
    assert {"StackedDensity", "report", "MLEDensity"} <= names
    assert {name for name in names if name not in skgm.__all__} <= {"GridSearchCV"}


def test_the_table_of_the_contract_names_every_estimator():
    estimators = {
        name
        for name in skgm.__all__
        if isinstance(value := getattr(skgm, name), type)
        and issubclass(value, skgm.DensityEstimator)
        and value is not skgm.DensityEstimator
    }
    page = (ROOT / "docs/user_guide/density_contract.rst").read_text(encoding="utf-8")
    rows = set(re.findall(r"^   \* - :class:`skgm\.(\w+)`", page, flags=re.MULTILINE))
    assert estimators <= rows


def test_benchmarks_exist():
    comparison = (ROOT / "docs" / "comparison.rst").read_text(encoding="utf-8")
    scripts = set(re.findall(r"`python (benchmarks/\w+\.py)", README + comparison))
    assert scripts
    assert [script for script in scripts if not (ROOT / script).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_what_a_benchmark_imports_exists(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "skgm":
            module = import_module(node.module)
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert missing == [], node.module


PAGES = [README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)#]+)", "\n".join(PAGES)))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()
