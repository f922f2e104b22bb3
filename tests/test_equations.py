"""Every labeled equation: checked, documented and implemented; every known mistake: refuted."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.equations import EQUATIONS, MISTAKES, load_registries

load_registries()

ROOT = Path(__file__).resolve().parents[1]
THEORY = ROOT / "docs" / "theory"
# "eq. a-b" or "eq. a-b, c-d": the first is a label in any case, the others if hyphenated
CITATION = re.compile(
    r"\beqs?\.\s+(`*[a-z][a-z0-9-]*`*(?:(?:,| and)\s+`*[a-z0-9]+(?:-[a-z0-9]+)+)*)"
)


def labels_in_docs(directive: str) -> list[str]:
    pattern = re.compile(rf"^\.\. {directive}:: (\S+)$", flags=re.MULTILINE)
    return [label for page in sorted(THEORY.glob("*.rst")) for label in pattern.findall(read(page))]


def labels_in_code() -> set[str]:
    cited = (m for path in (ROOT / "skgm").rglob("*.py") for m in CITATION.findall(read(path)))
    return {label for group in cited for label in re.findall(r"[a-z][a-z0-9-]*", group)} - {"and"}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("label", sorted(EQUATIONS))
def test_equation_holds(label):
    EQUATIONS[label]()


@pytest.mark.parametrize("label", sorted(MISTAKES))
def test_mistake_is_one(label):
    """1e-6: the independent routes are quadrature or differences; 1e-3: far beyond their error."""
    right, wrong, truth = (np.asarray(value, dtype=np.float64) for value in MISTAKES[label]())
    scale = np.max(np.abs(truth))
    np.testing.assert_allclose(right, truth, rtol=1e-6, atol=1e-6 * scale)
    wrong = np.broadcast_to(wrong, truth.shape)
    distance = np.max(np.abs(wrong - truth))
    assert not distance <= 1e-3 * scale, f"the wrong form agrees with the truth ({distance:.3g})"


def test_registries_are_filled():
    assert len(EQUATIONS) >= 17
    assert len(MISTAKES) >= 5


def test_every_equation_is_documented_once():
    assert sorted(labels_in_docs("equation")) == sorted(EQUATIONS)


def test_every_equation_is_cited_in_the_code_and_every_citation_is_checked():
    assert labels_in_code() == set(EQUATIONS)


def test_every_mistake_is_documented_once():
    assert sorted(labels_in_docs("mistake")) == sorted(MISTAKES)
