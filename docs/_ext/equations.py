"""Two directives that tie an equation on a page to the code and to the test of it.

``.. equation:: label`` numbers a display formula, makes the anchor ``eq-label``, and shows the
source of the code that implements it (``:code:``, dotted names) and of the check registered
under the same label in ``tests/equations``. ``.. mistake:: label`` runs a registered mistake and
prints three values: right form, wrong form, independent route. A name that cannot be imported,
or a label without a check, fails the build; so does a mistake that is none.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.directives.patches import MathDirective
from sphinx.util.docutils import SphinxDirective

from tests.equations import EQUATIONS, MISTAKES, load_registries

__all__ = ["EquationDirective", "MistakeDirective", "resolve", "setup"]

ROOT = Path(__file__).resolve().parents[2]


def resolve(dotted: str) -> Any:
    """Import the object that a dotted name stands for; AttributeError or ImportError if none."""
    parts = dotted.split(".")
    for split in range(len(parts), 0, -1):
        try:
            module = import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[split:], module)
    raise ImportError(f"no module named {parts[0]}")


def source_without_docstring(thing: Any) -> str:
    """Return the source of a function or class; the API pages have its docstring."""
    code = textwrap.dedent(inspect.getsource(thing))
    (definition,) = ast.parse(code).body
    if ast.get_docstring(definition) is None:  # type: ignore[arg-type]
        return code
    docstring = definition.body[0]  # type: ignore[attr-defined]
    lines = code.splitlines()
    del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "\n".join(lines)


def folded_source(title: str, dotted: str, code: str) -> list[nodes.Node]:
    """Return a line that names an object and unfolds to its source."""
    head = f"<details class='source'><summary>{title} <code>{dotted}</code></summary>"
    opening, closing = (nodes.raw("", text, format="html") for text in (head, "</details>"))
    return [opening, nodes.literal_block(code, code, language="python"), closing]


def as_text(value: np.ndarray) -> str:
    """Print a number or an array with at most six digits after the point."""
    return np.array2string(value, precision=6, suppress_small=True)


def test_name(check: Callable[..., Any]) -> str:
    """Return a check's place as pytest writes it: ``tests/equations/topic.py::name``."""
    path = Path(inspect.getsourcefile(check) or "").resolve().relative_to(ROOT)
    return f"{path}::{check.__name__}"


class EquationDirective(MathDirective):
    """A numbered formula with its implementation and its check."""

    required_arguments, optional_arguments = 1, 0
    option_spec = {"code": directives.unchanged_required, "test": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Return anchor, formula, and the two folded sources."""
        label = self.arguments.pop()
        test = self.options.pop("test", label)
        if "code" not in self.options or test not in EQUATIONS:
            raise self.error(
                f"equation {label}: no :code:, or no check {test!r} in tests/equations"
            )
        self.options["label"] = label
        target = nodes.target("", "", ids=[f"eq-{label}"])
        shown = [target, *super().run()]
        for dotted in self.options["code"].replace(",", " ").split():
            try:
                thing = resolve(dotted)
            except (ImportError, AttributeError) as error:
                raise self.error(
                    f"equation {label}: {dotted} cannot be imported ({error})"
                ) from error
            shown += folded_source("Implemented by", dotted, source_without_docstring(thing))
        check = EQUATIONS[test]
        return [*shown, *folded_source("Checked by", test_name(check), inspect.getsource(check))]


class MistakeDirective(SphinxDirective):
    """A known mistake: the text about it, and the three numbers that refute it."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return anchor, text, numbers and the folded source of the check."""
        label = self.arguments[0]
        if label not in MISTAKES:
            raise self.error(f"mistake {label}: not in tests/equations")
        right, wrong, truth = (np.asarray(value, dtype=float) for value in MISTAKES[label]())
        if not np.allclose(right, truth, rtol=1e-6) or np.allclose(wrong, truth, rtol=1e-3):
            raise self.error(f"mistake {label}: {right=}, {wrong=}, {truth=}")
        text = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, text)
        values = [("right form", right), ("wrong form", wrong), ("independent route", truth)]
        lines = "\n".join(f"{name:<18} {as_text(value)}" for name, value in values)
        check = MISTAKES[label]
        source = folded_source("Computed by", test_name(check), inspect.getsource(check))
        anchor = nodes.target("", "", ids=[f"mistake-{label}"])
        return [anchor, *text.children, nodes.literal_block(lines, lines, language="none"), *source]


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    load_registries()
    app.add_directive("equation", EquationDirective)
    app.add_directive("mistake", MistakeDirective)
    return {"parallel_read_safe": True}
