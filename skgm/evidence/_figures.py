"""Draws the parts of a report with matplotlib, and turns figures into SVG for a page."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from skgm.plotting import MarginDisplay, PairDisplay
from skgm.tables._coded import Tables

__all__ = [
    "REAL",
    "SYNTHETIC",
    "can_draw",
    "draw_bars",
    "draw_column",
    "draw_distances",
    "draw_pair",
    "draw_transforms",
    "to_svg",
]

REAL, SYNTHETIC = MarginDisplay.colors
_INK = "#0b0b0c"  # stands for the color of the text of the page
_SIZE = (3.7, 2.5)
_MOST_BARS = 10
_COUNTED_IDS = re.compile(r' id="[A-Za-z]+[A-Za-z0-9]*_\d+"')


def can_draw() -> bool:
    """Tell whether matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def to_svg(draw: Callable[..., Any], *arguments: Any, n_panels: int = 1) -> str:
    """Return what `draw` draws on axes as an SVG element that takes the colors of its page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot: no window, no global state

    style: Any = {
        **{"svg.fonttype": "none", "svg.hashsalt": "skgm", "font.size": 8, "axes.linewidth": 0.6},
        **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), _INK),
        **dict.fromkeys(("xtick.color", "ytick.color"), _INK),
        **{"axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none"},
    }
    text = io.StringIO()
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of letters that matplotlib's font lacks; the page has them
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots(1, n_panels, sharex=n_panels > 1, sharey=n_panels > 1)
        draw(axes, *arguments)
        _lay_out(figure, np.ravel(axes)[0])
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = _COUNTED_IDS.sub("", svg)
    for color, name in ((_INK, "currentColor"), (REAL, "var(--real)"), (SYNTHETIC, "var(--syn)")):
        svg = svg.replace(color, name)
    return svg.strip()


def _lay_out(figure: Any, ax: Any) -> None:
    """Leave room for the labels; matplotlib's own layouts draw every figure twice."""
    longest = max([len(text.get_text()) for text in ax.get_yticklabels()] + [5])
    turned = ax.xaxis.get_tick_params().get("labelrotation", 0) > 0
    below = max([len(text.get_text()) for text in ax.get_xticklabels()] + [0]) if turned else 0
    left = 0.06 + 0.06 * bool(ax.get_ylabel()) + 0.0165 * longest
    figure.subplots_adjust(
        left=min(left, 0.5), right=0.98, top=0.9, bottom=0.17 + 0.022 * below, wspace=0.08
    )


def _short(name: Any, most: int = 22) -> str:
    text = str(name).replace("$", r"\$")  # a dollar sign would start a formula
    return text if len(text) <= most else f"{text[: most - 1]}…"


def draw_column(ax: Any, tables: Tables, j: int) -> None:
    """Draw both distributions of one column: bars of categories, or histograms."""
    real, drawn = tables.real[:, j], tables.synthetic[:, j]
    MarginDisplay(column=tables.columns[j], real=real, drawn=drawn).plot(ax)


def draw_pair(axes: Any, tables: Tables, i: int, j: int) -> None:
    """Draw two columns against each other on two axes: real rows, and synthetic ones."""
    real, drawn = tables.real[:, [i, j]], tables.synthetic[:, [i, j]]
    PairDisplay(columns=(tables.columns[i], tables.columns[j]), real=real, drawn=drawn).plot(axes)


def draw_distances(ax: Any, margins: list[Any]) -> None:
    """Draw the distances of the worst columns with their intervals."""
    shown = margins[:_MOST_BARS]
    place = np.arange(len(shown))
    distance = np.array([margin.distance for margin in shown])
    ends = np.array([[m.distance - m.low, m.high - m.distance] for m in shown]).T
    ax.errorbar(distance, place, xerr=ends, fmt="o", color=SYNTHETIC, markersize=4, linewidth=1.2)
    ax.set_yticks(place, [_short(margin.column, 18) for margin in shown])
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_xlabel("distance from the real column, and interval")


def draw_bars(ax: Any, entries: Any, label: str) -> None:
    """Draw one bar for each (name, size)."""
    shown = list(entries)[:_MOST_BARS]
    place = np.arange(len(shown))
    ax.barh(place, [size for _, size in shown], 0.6, color=SYNTHETIC)
    ax.set_yticks(place, [_short(name, 18) for name, _ in shown])
    ax.invert_yaxis()
    ax.set_xlabel(label)


def draw_transforms(ax: Any, entry: Any) -> None:
    """Draw the histogram of probability integral transforms, beside the uniform one."""
    values = np.array(entry.transforms)
    ax.hist(values, np.linspace(0, 1, 11), color=SYNTHETIC, alpha=0.7)
    ax.axhline(len(values) / 10, color=REAL, linestyle="--", linewidth=1.2)
    ax.set_title(_short(entry.column, 40), fontsize=9)
    ax.set_xlabel("place of the true value among draws")
    ax.set_ylabel("rows")
