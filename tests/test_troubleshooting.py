"""Every warning that we raise is explained in the section of the page that its message names."""

import ast
import re
from pathlib import Path

from skgm._warnings import section_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.rst").read_text(encoding="utf-8")
SECTIONS = {part.partition(":")[0]: " ".join(part.split()) for part in PAGE.split("\n.. _")[1:]}


def text_of(node, constants):
    """Return a message as the page quotes it, with … for what is filled in; None if unknown."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"\{[^}]*\}", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (text_of(part, constants) for part in node.values)
        return re.sub("…+", "…", "".join("…" if part is None else part for part in parts))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return text_of(node.func.value, constants)  # "{}".format(x)
    return text_of(constants[node.id], constants) if getattr(node, "id", "") in constants else None


def messages():
    """Yield place, section and first sentence of every warning whose text stands in the code."""
    for path in sorted((ROOT / "skgm").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "warn_user":
                text = text_of(node.args[0], constants)
                if text is not None:
                    sentence = re.split(r"(?<=[.;:])\s", " ".join(text.split()))[0]
                    where = path.relative_to(ROOT)
                    section = section_of(".".join(where.with_suffix("").parts))
                    yield f"{where}:{node.lineno}", section, sentence.strip("… .;:")


def test_every_warning_is_explained():
    found = list(messages())
    assert len(found) > 40
    missing = [
        f"{section}: {sentence} ({place})"
        for place, section, sentence in found
        if sentence not in SECTIONS.get(section, "")
    ]
    assert missing == [], "quote these on docs/troubleshooting.rst, with meaning and cure"
