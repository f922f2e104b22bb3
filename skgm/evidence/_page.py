"""Writes a report as one page of HTML that needs nothing else."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from skgm.evidence._figures import (
    can_draw,
    draw_bars,
    draw_column,
    draw_distances,
    draw_pair,
    draw_transforms,
    to_svg,
)

__all__ = ["page"]

_MOST_ROWS, _MOST_COLUMNS, _MOST_PAIRS = 60, 12, 4

_STYLE = """
:root{color-scheme:light dark;--real:#0072b2;--syn:#c65102;--ink:#1b1d21;--soft:#5a6069;
--page:#fff;--card:#f5f6f8;--line:#d9dce1;--bad:#a13a00}
@media (prefers-color-scheme:dark){:root{--real:#56b4e9;--syn:#f0a94b;--ink:#e8eaed;--soft:#a4abb6;
--page:#15171b;--card:#1f2228;--line:#363b44;--bad:#ffb27a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:1180px;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:.4rem 0}h2{font-size:1.2rem;margin:2.2rem 0 .3rem}
p{margin:.3rem 0 .8rem;max-width:70ch}.soft{color:var(--soft);font-size:.92rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;
margin:1rem 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}
.tile b{display:block;font-size:1.35rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:.85rem}
ol.warnings{padding-left:1.6rem;max-width:80ch}ol.warnings li{margin:.35rem 0}
ol.warnings li:first-child{font-weight:600;color:var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:.8rem;
margin:.8rem 0}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.5rem;
break-inside:avoid}figure svg{display:block;width:100%;height:auto;max-width:26rem;margin:auto}
.scroll{overflow-x:auto;margin:.6rem 0}table{border-collapse:collapse;font-size:.88rem;
font-variant-numeric:tabular-nums}th,td{padding:.25rem .7rem .25rem 0;text-align:right;
white-space:nowrap;border-bottom:1px solid var(--line)}th:first-child,
td:first-child{text-align:left;max-width:22rem;overflow:hidden;text-overflow:ellipsis}th{color:var(--soft);font-weight:500}
td.words,th.words{text-align:left}
details summary{cursor:pointer;color:var(--soft)}
.key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .35em 0 0}
@media print{:root{--page:#fff;--card:#fff;--ink:#000;--soft:#333;--line:#bbb;--real:#0072b2;
--syn:#c65102;--bad:#000}body{max-width:none;font-size:11px;padding:0}h2{break-after:avoid}
.scroll{overflow:visible}}
"""


def page(found: Any, title: str, n_columns: int = _MOST_COLUMNS) -> str:
    """Return a report as HTML: styles and figures inside, no script and no address.

    Distributions of the `n_columns` worst columns are drawn.
    """
    parts = "\n".join(_sections(found, n_columns))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{parts}\n</body>\n</html>\n"
    )


def _sections(found: Any, n_columns: int) -> Iterator[str]:
    drawing = can_draw()
    yield from _head(found)
    yield from _margin_section(found, drawing, n_columns)
    yield from _pair_section(found, drawing)
    yield from _special_section(found)
    yield from _row_section(found, drawing)
    yield from _copy_section(found)
    yield from _density_section(found, drawing)
    yield (
        f'<p class="soft">Intervals are for {100 * found.level:.6g}% confidence, one at a time. '
        "Warnings are given where chance would bring one such report in a thousand. "
        + ("" if drawing else "Figures need matplotlib, which is not installed. ")
        + "Written by skgm.</p>"
    )


def _head(found: Any) -> Iterator[str]:
    held = f", {found.n_holdout} rows held out" if found.n_holdout else ""
    yield (
        f'<p class="key"><i style="background:var(--syn)"></i>{found.n_synthetic} synthetic rows '
        f'beside <i style="background:var(--real)"></i>{found.n_real} real ones{held}.</p>'
    )
    auc = found.classifier
    tiles = [
        (str(len(found.warnings)), "warnings"),
        (f"{found.shape:.3f}", "column shapes, of 1"),
        (f"{found.trend:.3f}", "pair trends, of 1"),
        (f"{auc.auc:.3f}", "classifier that separates them; 0.5 is best"),
        (str(found.copies.n_exact), "rows equal to a real row"),
    ]
    if found.nearest is not None:
        tiles.append((f"{found.nearest.share:.1%}", "nearer to training rows; 50% is best"))
    inside = "".join(
        f'<div class="tile"><b>{b}</b><span>{words}</span></div>' for b, words in tiles
    )
    yield f'<div class="tiles">{inside}</div>'
    yield "<h2>Warnings</h2>"
    if found.warnings:
        items = "".join(f"<li>{escape(str(finding))}</li>" for finding in found.warnings)
        yield f'<p class="soft">The worst first.</p><ol class="warnings">{items}</ol>'
    else:
        yield "<p>None: chance explains all differences that were looked for.</p>"
    if found.extra:
        names = ", ".join(escape(str(name)) for name in found.extra)
        yield f"<p>Columns of the synthetic table alone are left out: {names}.</p>"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], words: Sequence[int] = ()) -> str:
    """Return a table of HTML; `words` lists the columns of words besides the first."""

    def cells(tag: str, row: Sequence[Any]) -> str:
        return "".join(
            f"<{tag}{' class=words' if k in words else ''}>{escape(str(cell))}</{tag}>"
            for k, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows[:_MOST_ROWS])
    more = len(rows) - _MOST_ROWS
    note = f'<p class="soft">and {more} more.</p>' if more > 0 else ""
    return (
        f'<div class="scroll"><table><thead><tr>{cells("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{note}"
    )


def _figures(items: Sequence[tuple[str, Any]]) -> str:
    """Return figures from what each shows, in words, and its SVG."""
    if not items:
        return ""
    shown = "".join(
        f'<figure role="img" aria-label="{escape(words, quote=True)}">{svg}</figure>'
        for words, svg in items
    )
    return f'<div class="figures">{shown}</div>'


def _ends(low: float, high: float, sign: str = "") -> str:
    return f"{low:{sign}.3f} to {high:{sign}.3f}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _equals(value: float) -> str:
    return f"p {_p(value)}" if value < 1e-4 else f"p = {_p(value)}"


def _margin_section(found: Any, drawing: bool, n_columns: int) -> Iterator[str]:
    yield "<h2>Columns</h2>"
    yield (
        "<p>The largest difference of the distribution functions of numbers "
        "(Kolmogorov-Smirnov), and half the sum of the differences of the shares of categories "
        "(total variation): 0 is no difference, 1 nothing in common. An interval that contains 0 "
        "is one that chance explains.</p>"
    )
    if drawing and found.margins:
        names = found.columns
        items = [("Distances of the worst columns", to_svg(draw_distances, found.margins))]
        items += [
            (
                f"Distributions of {margin.column}",
                to_svg(draw_column, found._tables, names.index(margin.column)),
            )
            for margin in found.margins[:n_columns]
        ]
        yield _figures(items)
    rows = [
        [m.column, m.measure, f"{m.distance:.3f}", _ends(m.low, m.high), _p(m.pvalue), _lost(m)]
        for m in found.margins
    ]
    head = ["column", "measure", "distance", "interval", "p", "categories lost or new"]
    yield _table(head, rows, words=(1, 5))


def _lost(margin: Any) -> str:
    words = [f"lost {value} ({share:.1%})" for value, share in margin.lost[:4]]
    words += [f"new {value} ({share:.1%})" for value, share in margin.new[:4]]
    return ", ".join(words)


def _pair_section(found: Any, drawing: bool) -> Iterator[str]:
    if not found.pairs:
        return
    yield "<h2>Pairs of columns</h2>"
    yield (
        "<p>Differences of correlations (two columns of numbers), and total variation of the cells "
        "of a contingency table. A table of many cells differs by chance alone: read the interval."
        "</p>"
    )
    if drawing:
        yield _figures(list(_pair_figures(found)))
    if found.associations and found.associations[0].pvalue < 0.05:
        yield "<p>Columns whose relations to others differ, apart from their margins:</p>"
        rows = [
            [a.column, a.scores, f"{a.real:+.2f}", f"{a.synthetic:+.2f}", _p(a.pvalue)]
            for a in found.associations
            if a.pvalue < 0.05
        ]
        head = ["column", "worst correlation", "real", "synthetic", "p of the column"]
        yield _table(head, rows, words=(1,))
    rows = [
        [
            f"{pair.first}, {pair.second}",
            pair.measure,
            f"{pair.distance:+.3f}",
            _ends(pair.low, pair.high, "+"),
            f"{pair.trend:.3f}",
        ]
        for pair in found.pairs
    ]
    head = ["pair", "measure", "difference", "interval", "trend score"]
    shown = _table(head, rows, words=(1,))
    yield f"<details><summary>All pairs, the worst first</summary>{shown}</details>"


def _pair_figures(found: Any) -> Iterator[tuple[str, Any]]:
    """Draw columns whose relation changed, then pairs whose interval leaves out 0."""
    wanted = [(a.column, a.partner) for a in found.associations if a.pvalue < 0.01]
    wanted += [(p.first, p.second) for p in found.pairs if p.low > 0 or p.high < 0]
    wanted = wanted or [(pair.first, pair.second) for pair in found.pairs[:1]]
    seen: list[frozenset[Any]] = []
    for first, second in wanted:
        if frozenset((first, second)) in seen:
            continue
        seen.append(frozenset((first, second)))
        places = found.columns.index(first), found.columns.index(second)
        words = f"{first} and {second}: real rows on the left, synthetic ones on the right"
        yield words, to_svg(draw_pair, found._tables, *places, n_panels=2)
        if len(seen) == _MOST_PAIRS:
            return


def _special_section(found: Any) -> Iterator[str]:
    if not found.special:
        return
    yield "<h2>Holes, point masses and ends</h2>"
    rows = [
        [
            *(s.column, f"{s.kind} {s.value}".strip(), f"{s.real:.2%}", f"{s.synthetic:.2%}"),
            f"{s.low:+.2%} to {s.high:+.2%}",
            _p(s.pvalue),
        ]
        for s in sorted(found.special, key=lambda s: (s.pvalue, -abs(s.real - s.synthetic)))
    ]
    head = ["column", "what", "real", "synthetic", "interval of the difference", "p"]
    yield _table(head, rows, words=(1,))


def _row_section(found: Any, drawing: bool) -> Iterator[str]:
    test, energy, use = found.classifier, found.energy, found.utility
    against = "held-out" if test.against == "holdout" else "real"
    yield "<h2>Whole rows</h2>"
    yield (
        f"<p>Boosted trees that learned on half of the rows pick the synthetic one of a synthetic "
        f"and a {against} row with probability <b>{test.auc:.3f}</b> "
        f"({_ends(test.low, test.high)}; {_equals(test.pvalue)}): 0.5 where rows cannot be told "
        f"apart. The energy test of equal distributions gives {_equals(energy.pvalue)} on "
        f"{energy.n_rows} rows.</p>"
    )
    if drawing and test.columns and test.auc > 0.5:
        label = "what the area loses without the column"
        yield _figures([("Columns that give rows away", to_svg(draw_bars, test.columns, label))])
    if use is not None:
        yield (
            f"<p>Trees that predict <b>{escape(str(use.target))}</b> of {use.n_test} real rows: "
            f"{use.measure} {use.synthetic:.3f} after training on {use.n_train} synthetic rows, "
            f"{use.real:.3f} after as many real rows; {use.difference:+.3f} nats per row "
            f"({_ends(use.low, use.high, '+')}).</p>"
        )


def _copy_section(found: Any) -> Iterator[str]:
    copies, near = found.copies, found.nearest
    yield "<h2>Copies of real rows</h2>"
    yield (
        f"<p>{copies.n_exact} synthetic rows ({copies.share:.2%}, {copies.low:.2%} to "
        f"{copies.high:.2%}) equal a real row in every column; chance would give about "
        f"{copies.expected:.2g} ({_equals(copies.pvalue)}).</p>"
    )
    if near is not None:
        yield (
            f"<p>{near.share:.1%} ({near.low:.1%} to {near.high:.1%}) of {near.n_rows} synthetic "
            f"rows are nearer to one of {near.n_real} training rows than to one of as many "
            f"held-out rows; 50% would give nothing away. {near.near:.1%} are as near to a "
            f"training row as only {near.near_expected:.1%} of the held-out rows are.</p>"
        )
    yield (
        '<p class="soft">A low figure here proves no privacy: skgm.privacy_audit attacks the model '
        "in more ways.</p>"
    )


def _density_section(found: Any, drawing: bool) -> Iterator[str]:
    nats = found.likelihood
    if nats is None:
        return
    yield "<h2>The density</h2>"
    yield f"<p>{nats.score:.4f} nats per held-out row, over {nats.n_rows} rows.</p>"
    rows = [
        [name, f"{c.difference:+.3f}", _ends(c.low, c.high, "+"), _p(c.pvalue), f"{c.win_rate:.1%}"]
        for name, c in nats.comparisons.items()
    ]
    if rows:
        yield _table(["minus", "nats per row", "interval", "p", "rows it wins"], rows)
    yield from (f"<p>{escape(note)}</p>" for note in nats.notes)
    if not found.calibration:
        return
    yield (
        "<p>The place of each true value among draws of the density given the other columns; flat "
        "where its conditional distributions are right, a valley where they are too narrow, a hill "
        "where they are too wide.</p>"
    )
    worst = sorted(found.calibration, key=lambda entry: -entry.distance)
    if drawing:
        drawn = [
            (f"Calibration of {entry.column}", to_svg(draw_transforms, entry))
            for entry in worst[:6]
        ]
        yield _figures(drawn)
    rows = [[e.column, f"{e.distance:.3f}", _p(e.pvalue), len(e.transforms)] for e in worst]
    yield _table(["column", "distance from uniform", "p", "rows"], rows)
