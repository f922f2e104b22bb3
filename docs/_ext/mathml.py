"""Formulas as MathML, which browsers draw by themselves: no script, no font, no network."""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number

__all__ = ["setup", "to_mathml"]

# "log p" with a thin space, but not in "log_2", where log is the first of two children
FUNCTION = re.compile(
    r"(?<!<msub>)(?<!<msup>)(?<!<mfrac>)(?<!<msubsup>)"
    r"(<mi>(?:log|exp|det|sin|cos|tan)</mi>)(?=<m(?!o>))"
)


def to_mathml(latex: str, display: bool = False) -> str:
    """Return a formula as MathML; a command that cannot be read fails the build."""
    latex = re.sub(r"\\arg(?![a-z])", r"\\operatorname{arg}", latex)
    if display and "\\\\" in latex and "\\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    made = convert(latex, display="block" if display else "inline")
    unread = re.search(r"<m[iot][^>]*>\\\w+", made)
    if unread:
        raise ValueError(f"latex2mathml cannot read {unread[0]} in {latex!r}")
    return FUNCTION.sub(r'\1<mspace width="0.17em"/>', made)


def visit_math(translator: Any, node: nodes.Node) -> None:
    """Write a formula within a line."""
    translator.body.append(f"<span class='math'>{to_mathml(node.astext())}</span>")
    raise nodes.SkipNode


def visit_display(translator: Any, node: nodes.Element) -> None:
    """Write a displayed formula, its parts below each other, with its number if it has one."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    for part in filter(str.strip, node.astext().split("\n\n")):
        translator.body.append(to_mathml(part, display=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(visit_math, None), block_renderers=(visit_display, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
