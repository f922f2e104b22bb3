"""Draws the parts of a report with matplotlib, and turns figures into SVG for a page."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from skgm.evidence._tables import Column, Tables

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

# Okabe and Ito's blue and vermilion, told apart by color-blind readers; synthetic is also dashed.
REAL, SYNTHETIC = "#0072b2", "#d55e00"
_INK = "#0b0b0c"  # stands for the color of the text of the page
_SIZE = (3.7, 2.5)
_MOST_POINTS, _MOST_BARS, _N_BINS = 250, 10, 24
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
    column = tables.columns[j]
    parts = [table[~np.isnan(table[:, j]), j] for table in (tables.real, tables.synthetic)]
    if column.is_category:
        _draw_categories(ax, column, parts)
    else:
        _draw_histograms(ax, column, parts)
    ax.set_title(_short(column.name, 40), fontsize=9)
    ax.legend(frameon=False, fontsize=7)


def _draw_categories(ax: Any, column: Column, parts: list[np.ndarray]) -> None:
    shares = [np.bincount(part.astype(np.intp), minlength=len(column.values)) for part in parts]
    real, drawn = (count / max(count.sum(), 1) for count in shares)
    usual = np.argsort(-np.maximum(real, drawn), kind="stable")[:_MOST_BARS]
    place = np.arange(len(usual))
    ax.barh(place - 0.2, real[usual], 0.38, color=REAL, label="real")
    ax.barh(place + 0.2, drawn[usual], 0.38, color=SYNTHETIC, label="synthetic", hatch="////")
    ax.set_yticks(place, [_short(column.values[code], 18) for code in usual])
    ax.invert_yaxis()
    ax.set_xlabel("share of the rows" + (", most frequent" if len(real) > len(usual) else ""))


def _draw_histograms(ax: Any, column: Column, parts: list[np.ndarray]) -> None:
    low, high = _window(*parts)
    edges = np.linspace(low, high, _N_BINS + 1)
    if column.step and (high - low) / column.step <= _N_BINS:
        edges = np.arange(low - column.step / 2, high + column.step, column.step)
    ends = edges[0], edges[-1]
    for part, color, name, options in (
        (parts[0], REAL, "real", {"alpha": 0.45}),
        (parts[1], SYNTHETIC, "synthetic", {"histtype": "step", "linewidth": 1.4, "ls": "--"}),
    ):
        inside = np.clip(part, *ends)
        weight = np.full(len(part), 1 / max(len(part), 1))
        ax.hist(inside, edges, weights=weight, color=color, label=name, **options)
    ax.set_ylabel("share of the rows")
    _name_times(ax.xaxis, column)


def _window(real: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """Return the range to show: that of 98% of the real rows and nearly all synthetic ones.

    Long tails stand in the last bins; synthetic rows widen the range threefold at the most.
    """
    known = real if len(real) else drawn
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, [0.01, 0.99])
    if len(drawn):
        ours = np.quantile(drawn, [0.01, 0.99])
        low, high = max(min(low, ours[0]), 2 * low - high), min(max(high, ours[1]), 2 * high - low)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _name_times(axis: Any, column: Column) -> None:
    if column.is_time:
        axis.set_major_locator(_locator(3))
        axis.set_major_formatter(lambda value, _: column.written(value)[:10])


def _locator(n: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n)


def draw_pair(axes: Any, tables: Tables, i: int, j: int) -> None:
    """Draw two columns against each other on two axes: real rows, and synthetic ones."""
    sides = ((tables.real, REAL, "real"), (tables.synthetic, SYNTHETIC, "synthetic"))
    shares: list[Any] = []
    numbers = not (tables.columns[i].is_category or tables.columns[j].is_category)
    for ax, (table, color, name) in zip(np.ravel(axes), sides):
        rows = table[~np.isnan(table[:, [i, j]]).any(axis=1)][:, [i, j]]
        if numbers:
            rows = rows[:: max(1, len(rows) // _MOST_POINTS)]
            ax.plot(*rows.T, ".", markersize=3, alpha=0.6, color=color)
        else:
            shares.append(_cell_shares(tables, rows, i, j))
        ax.set_title(name, fontsize=8)
        ax.set_xlabel(_short(tables.columns[i].name))
        ax.tick_params(axis="x", labelrotation=0 if numbers else 60)
    for ax, (cells, labels) in zip(np.ravel(axes), shares):
        _draw_cells(ax, cells, labels, max(float(each.max()) for each, _ in shares))
    first = np.ravel(axes)[0]
    first.set_ylabel(_short(tables.columns[j].name))
    if numbers:
        for k, setter in ((i, first.set_xlim), (j, first.set_ylim)):
            parts = [t[~np.isnan(t[:, k]), k] for t in (tables.real, tables.synthetic)]
            low, high = _window(*parts)
            setter(low - 0.05 * (high - low), high + 0.05 * (high - low))
            _name_times(first.xaxis if k == i else first.yaxis, tables.columns[k])


def _cell_shares(tables: Tables, rows: np.ndarray, i: int, j: int) -> tuple[np.ndarray, Any]:
    """Return the share of each cell within a value of the first column, and the labels."""
    codes, labels = zip(*(_cells(tables, rows, k, at) for at, k in enumerate((i, j))))
    counts = np.zeros((len(labels[1]), len(labels[0])))
    kept = (codes[0] >= 0) & (codes[1] >= 0)
    np.add.at(counts, (codes[1][kept], codes[0][kept]), 1.0)
    return counts / np.maximum(counts.sum(axis=0), 1.0), labels


def _draw_cells(ax: Any, shares: np.ndarray, labels: Any, most: float) -> None:
    ax.pcolormesh(shares, cmap="cividis", vmin=0, vmax=most)
    ax.set_xticks(np.arange(len(labels[0])) + 0.5, labels[0], fontsize=6)
    ax.set_yticks(np.arange(len(labels[1])) + 0.5, labels[1], fontsize=6)


def _cells(tables: Tables, rows: np.ndarray, k: int, at: int) -> tuple[np.ndarray, list[str]]:
    column, real = tables.columns[k], tables.real[:, k]
    known = real[~np.isnan(real)]
    if column.is_category:
        count = np.bincount(known.astype(np.intp), minlength=len(column.values))
        usual = np.argsort(-count, kind="stable")[:8]
        place = np.full(len(column.values), -1)
        place[usual] = np.arange(len(usual))
        names = [_short(column.values[code], 12) for code in usual]
        return place[rows[:, at].astype(np.intp)], names
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 7))) if len(known) else np.zeros(1)
    code = np.clip(np.searchsorted(edges, rows[:, at], side="right") - 1, 0, max(len(edges) - 2, 0))
    if len(edges) < 2:
        return code, [column.written(edges[0])]
    words = [column.written(edge)[:10] if column.is_time else f"{edge:.3g}" for edge in edges[:-1]]
    return code, [f"≥ {word}" for word in words]


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
