"""Shows what a benchmark printed: a chart, and under it the tables, folded.

``.. results:: name`` reads ``benchmarks/results/name.txt``, which begins with the command that made
it. With ``:table:`` (its number, from 1) it draws one: the columns ``:label:`` name the rows, the
columns ``:values:`` are points of as many colors, or, with ``:by:``, the one column of values has a
color for each word of that column. A value is a number, "1.2 ± 0.3" or "1.2 [0.9, 1.5]"; other text
is left out. ``:log:`` takes a logarithmic axis, ``:line:`` marks a value, ``:rows:`` keeps the rows
that a regular expression finds, ``:title:`` says the finding, ``:unit:`` what the axis measures.
"""

import html
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

__all__ = ["ResultsDirective", "read_result", "setup", "use_style"]

ROOT = Path(__file__).resolve().parents[2]
NUMBER = r"[+-]?\d*\.?\d+(?:e[+-]?\d+)?"
Table = tuple[list[str], list[list[str]]]


def read_result(text: str) -> tuple[str, list[str | Table]]:
    """Return the command of a result, and its paragraphs and tables in order."""
    command, _, rest = text.partition("\n")
    parts: list[str | Table] = []
    for paragraph in re.split(r"\n\s*\n", rest.strip()):
        lines = paragraph.splitlines()
        piped = [line for line in lines if line.startswith("|")]
        plain = "\n".join(line for line in lines if not line.startswith("|"))
        if plain:
            parts.append(plain)
        if piped:
            cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in piped]
            parts.append((cells[0], cells[2:]))
    return command.removeprefix("$ "), parts


def read_value(cell: str) -> tuple[float, float, float] | None:
    """Return value, low and high of a cell; None where it holds no number."""
    found = [float(number) for number in re.findall(NUMBER, cell)]
    if re.fullmatch(rf"{NUMBER} \[{NUMBER}, {NUMBER}\]", cell):
        return found[0], found[1], found[2]
    if re.fullmatch(rf"{NUMBER} ± {NUMBER}", cell):
        return found[0], found[0] - 1.96 * found[1], found[0] + 1.96 * found[1]
    return (found[0],) * 3 if re.fullmatch(NUMBER, cell) else None  # type: ignore[return-value]


def split(option: str) -> list[str]:
    """Return the names in an option, which semicolons separate."""
    return [name.strip() for name in option.split(";")]


def points_of(table: Table, options: dict[str, str]) -> tuple[list[str], dict[str, list[Any]]]:
    """Return the labels of the rows, and for each color its points: row, value, low, high."""
    heads, rows = table
    at = {head: heads.index(head) for head in heads}
    labels: list[str] = []
    series: dict[str, list[Any]] = {}
    for row in rows:
        label = ", ".join(row[at[name]] for name in split(options["label"]))
        color = row[at[options["by"]]] if "by" in options else ""
        if not re.search(options.get("rows", ""), label + color):
            continue
        if label not in labels:
            labels.append(label)
        for name in split(options["values"]):
            value = read_value(row[at[name]])
            if value is not None:
                series.setdefault(color or name, []).append((labels.index(label), *value))
    return labels, series


def draw(table: Table, options: dict[str, str], path: Path) -> None:
    """Draw a table as points, or intervals, one row under the other."""
    labels, series = points_of(table, options)
    with plt.style.context("skgm.plotting.skgm"):
        figure, axes = plt.subplots(figsize=(8, 1.4 + 0.27 * len(labels)))
        for i, (name, points) in enumerate(series.items()):
            y, value, low, high = map(list, zip(*points))
            heights = [row + 0.16 * (i - (len(series) - 1) / 2) for row in y]
            mark = "os^DvPX*"[i % 8]
            axes.hlines(heights, low, high, color=f"C{i % 6}", lw=1.6)
            axes.plot(value, heights, mark, color=f"C{i % 6}", ms=5, label=name)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.grid(axis="y", alpha=0.25, lw=0.6)
        if "line" in options:
            axes.axvline(float(options["line"]), color="gray", lw=1, ls="--")
        if "log" in options:
            axes.set_xscale("log")
        axes.set_xlabel(options["unit"])
        figure.suptitle(options["title"], x=0.01, ha="left", fontsize="medium")
        if len(series) > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def as_html(parts: list[str | Table]) -> str:
    """Return paragraphs and tables as HTML."""
    pieces = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(f"<p>{html.escape(part).replace(chr(10), '<br>')}</p>")
            continue
        heads, rows = part
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
        pieces.append(f"<table class='table results'>{inner}</table>")
    return "\n".join(pieces)


class ResultsDirective(SphinxDirective):
    """The result of a benchmark: chart, command, folded tables."""

    required_arguments = 1
    option_spec = {
        **dict.fromkeys(("label", "values", "by", "rows", "title", "unit"), directives.unchanged),
        "table": directives.positive_int,
        "line": directives.unchanged,
        "log": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Return the chart and the folded tables."""
        name = self.arguments[0]
        shown: list[nodes.Node] = []
        folder = ROOT / "benchmarks" / "results"
        for place, what in ((folder, "Tables"), (folder / "quick", "Tables of the quick run")):
            path = place / f"{name}.txt"
            if not path.exists():
                if place == folder:
                    raise self.error(f"no result {path.name} in benchmarks/results")
                continue
            self.env.note_dependency(str(path))
            command, parts = read_result(path.read_text(encoding="utf-8"))
            if place == folder and "table" in self.options:
                shown.append(self.chart(name, parts))
            head = f"{what}: <code>{html.escape(command)}</code>"
            text = f"<details class='results'><summary>{head}</summary>{as_html(parts)}</details>"
            shown.append(nodes.raw("", text, format="html"))
        return shown

    def chart(self, name: str, parts: list[str | Table]) -> nodes.Node:
        """Draw the chart that the options ask for, and return it as an image."""
        tables = [part for part in parts if not isinstance(part, str)]
        options = {key: value for key, value in self.options.items() if key != "table"}
        number = self.options["table"]
        picture = f"_static/made/{name}-{number}.svg"
        try:
            draw(tables[number - 1], options, Path(self.env.srcdir) / picture)
        except (KeyError, IndexError) as error:
            raise self.error(f"the chart of {name} lacks {error}") from error
        image = nodes.image(uri=f"/{picture}", alt=self.options["title"], classes=["chart"])
        return nodes.container("", image, classes=["chart-frame"])  # scrolls on narrow screens


def use_style(gallery_conf: dict[str, Any], name: str) -> None:
    """Give an example of the gallery the style sheet of these pages."""
    plt.style.use("skgm.plotting.skgm")


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("results", ResultsDirective)
    return {"parallel_read_safe": True}
