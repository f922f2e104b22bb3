"""The two directives of the theory pages: what they accept, and what fails the build."""

import sys
from io import StringIO
from pathlib import Path

import pytest

from tests.equations import EQUATIONS, MISTAKES

sphinx_application = pytest.importorskip("sphinx.application")

EXTENSIONS = Path(__file__).resolve().parents[1] / "docs" / "_ext"

GOOD = """
Page
====

.. equation:: a-test-label
   :code: skgm._numerics.sandwich.sandwich, skgm.base.DensityEstimator.score

   1 + 1 = 2

.. mistake:: a-test-mistake

   It is :math:`2`, by :eq:`a-test-label`.
"""


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Return a function that builds one page and returns its text and the warnings."""
    monkeypatch.setattr(sys, "path", [str(EXTENSIONS), *sys.path])
    monkeypatch.setitem(EQUATIONS, "a-test-label", check_of_addition)
    monkeypatch.setitem(MISTAKES, "a-test-mistake", lambda: (2.0, 3.0, 2.0))
    monkeypatch.setitem(MISTAKES, "no-mistake", lambda: (2.0, 2.0, 2.0))

    def run(page, builder="html"):
        (tmp_path / "index.rst").write_text(page, encoding="utf-8")
        warnings = StringIO()
        app = sphinx_application.Sphinx(
            tmp_path,
            None,
            tmp_path / "out",
            tmp_path / "doctrees",
            builder,
            confoverrides={"extensions": ["equations"], "html_theme": "basic"},
            status=None,
            warning=warnings,
            freshenv=True,
        )
        app.build()
        html = tmp_path / "out" / "index.html"
        return html.read_text(encoding="utf-8") if html.exists() else "", warnings.getvalue()

    return run


def check_of_addition():
    """Independent of everything."""
    assert len("ab") == 2


def test_a_page_shows_code_checks_and_numbers(build):
    page, warnings = build(GOOD)
    assert warnings == ""
    assert 'id="eq-a-test-label"' in page
    assert "skgm._numerics.sandwich.sandwich" in page
    assert "tests/test_docs.py::check_of_addition" in page
    assert "Independent of everything" in page
    assert 'id="mistake-a-test-mistake"' in page
    for line in ("right form         2.", "wrong form         3.", "independent route  2."):
        assert line in page


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("sandwich.sandwich", "sandwich.no_such_name", "cannot be imported"),
        ("skgm._numerics.sand", "no_such_package._numerics.sand", "cannot be imported"),
        (":: a-test-label", ":: unknown-label", "no check 'unknown-label'"),
        ("   :code:", "   :test: unknown-label\n   :code:", "no check 'unknown-label'"),
        ("   :code: skgm", "   skgm", "no :code:"),
        (":: a-test-mistake", ":: unknown-mistake", "not in tests/equations"),
        (":: a-test-mistake", ":: no-mistake", "mistake no-mistake: right="),
    ],
)
def test_what_does_not_exist_or_hold_is_an_error(build, old, new, complaint):
    _, warnings = build(GOOD.replace(old, new), builder="dummy")
    assert "ERROR" in warnings
    assert complaint in warnings
