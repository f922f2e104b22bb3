"""Turns the parts of a report into warnings in plain words, the worst first."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ALPHA", "FALSE_ALARMS", "Finding", "copy_findings", "find_faults"]

# Chance that a faithful table gets any warning at all, shared by the kinds of checks.
FALSE_ALARMS = 0.001
_N_KINDS = 10
ALPHA = FALSE_ALARMS / _N_KINDS


@dataclass(frozen=True)
class Finding:
    """One warning.

    Attributes
    ----------
    text : str
        What is wrong, in plain words.
    part : str
        The part of the report with the figures.
    columns : tuple
        The columns it is about.
    severity : float
        About 2 for copies, 1 to 2 for lost columns and categories, below 1 for other faults of
        columns and pairs, by their size. Findings about whole rows, which say no cause, follow.
    """

    text: str
    part: str
    columns: tuple[Any, ...]
    severity: float

    def __str__(self) -> str:
        return self.text


def find_faults(parts: Any) -> tuple[Finding, ...]:
    """Return the findings about a report, the worst first."""
    shifted = list(_margin_findings(parts))
    odd = {column for finding in shifted for column in finding.columns}
    specific = [
        *copy_findings(parts),
        *shifted,
        *_pair_findings(parts, odd),
        *_special_findings(parts, {m.column: m.distance for m in parts.margins if m.column in odd}),
    ]
    general = [*_row_findings(parts)]
    if specific or general:  # two samples of one law also differ as training rows
        general += _utility_findings(parts)
    general += _density_findings(parts)
    ranked = sorted(specific, key=lambda finding: -finding.severity)
    return (*ranked, *sorted(general, key=lambda finding: -finding.severity))


def copy_findings(parts: Any) -> Iterator[Finding]:
    """Yield what is wrong with copies and near copies."""
    copies, nearest = parts.copies, parts.nearest
    if copies.pvalue < ALPHA:
        where = ", ".join(map(str, copies.rows[:10])) + (", ..." if copies.n_exact > 10 else "")
        text = (
            f"{_rows(copies.n_exact)} copied: {_are(copies.n_exact)} equal to a real row in every "
            f"column (rows {where} of the synthetic table); chance would give about "
            f"{copies.expected:.2g}. Real people or things may be given away."
        )
        yield Finding(text, "copies", (), 2.0)
    if copies.repeated_pvalue < ALPHA and copies.repeated > copies.repeated_real + 0.05:
        text = (
            f"{copies.repeated:.1%} of the synthetic rows repeat another synthetic row; of as many "
            f"real rows {copies.repeated_real:.1%} repeat one another."
        )
        yield Finding(text, "copies", (), 1.95)
    if nearest is None:
        return
    if nearest.pvalue < ALPHA:
        text = (
            f"Synthetic rows lie too close to the training rows: {nearest.share:.1%} of them are "
            f"nearer to a training row than to any held-out row (interval {nearest.low:.1%} to "
            f"{nearest.high:.1%}), where 50% would give nothing away."
        )
        yield Finding(text, "copies", (), 1.9)
    elif nearest.near_pvalue < ALPHA:
        text = (
            f"{nearest.near:.1%} of the synthetic rows nearly repeat a training row: they are as "
            f"near to one as only {nearest.near_expected:.1%} of the held-out rows are."
        )
        yield Finding(text, "copies", (), 1.8)


def _rows(n: int) -> str:
    return f"{n} synthetic {'row is' if n == 1 else 'rows are'}"


def _are(n: int) -> str:
    return "it is" if n == 1 else "they are"


def _margin_findings(parts: Any) -> Iterator[Finding]:
    if parts.lacking:
        names = ", ".join(map(repr, parts.lacking[:10]))
        text = f"The synthetic table lacks columns of the real one: {names}."
        yield Finding(text, "margins", parts.lacking, 1.7)
    alpha = ALPHA / max(len(parts.margins), 1)
    for margin in parts.margins:
        lost = margin.lost_pvalue < alpha
        if not (margin.pvalue < alpha or lost):
            continue
        text = _margin_text(margin)
        severity = margin.distance + (1.0 if lost else 0.0)  # rows that are gone change all else
        yield Finding(text, "margins", (margin.column,), severity)


def _margin_text(margin: Any) -> str:
    interval = f"{margin.distance:.3f} ({margin.low:.3f} to {margin.high:.3f})"
    name = "Kolmogorov-Smirnov distance" if margin.measure == "KS" else "total variation"
    words = []
    for found, verb in ((margin.lost, "never occurs"), (margin.new, "occurs")):
        if not found:
            continue
        shown = ", ".join(f"{value} ({share:.1%})" for value, share in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        if verb == "occurs":
            words.append(f"has categories that no real row has: {shown}{more}")
        elif len(found) == 1:
            words.append(f"has lost the category {shown} of the real rows")
        else:
            words.append(f"has lost the categories {shown}{more} of the real rows")
    if words:
        return f"Column {margin.column!r} {' and '.join(words)}; {name} {interval}."
    cause = f" ({margin.cause})" if margin.cause else ""
    return (
        f"Column {margin.column!r} has another distribution than the real rows{cause}: {name} "
        f"{interval}."
    )


def _pair_findings(parts: Any, odd: set[Any]) -> Iterator[Finding]:
    alpha = ALPHA / max(len(parts.margins), 1)
    for found in parts.associations:
        if not found.pvalue < alpha:
            continue
        size = min(abs(found.synthetic - found.real), 1.0)
        # where a margin is wrong, its pairs are too
        weight = 0.5 if {found.column, found.partner} & odd else 1.0
        several = f" and {found.n_partners - 1} more" if found.n_partners > 1 else ""
        lost = abs(found.synthetic) < 0.4 * abs(found.real)
        verb = "has lost its relation" if lost else "is otherwise related"
        text = (
            f"Column {found.column!r} {verb} to {found.partner!r}{several}: the correlation of "
            f"{found.scores} is {found.synthetic:+.2f}, in real rows {found.real:+.2f}."
        )
        yield Finding(text, "pairs", (found.column, found.partner), weight * size)


_SPECIAL = {
    "holes": "Column {0!r} is missing in {2:.2%} of the synthetic rows, in real rows in {3:.2%}.",
    "point mass": "Column {0!r} is {1} in {2:.2%} of the synthetic rows, in real rows in {3:.2%}.",
    "above the largest": "Column {0!r} exceeds the largest real value, {1}, in {2:.2%} of the "
    "synthetic rows.",
    "below the smallest": "Column {0!r} is below the smallest real value, {1}, in {2:.2%} of the "
    "synthetic rows.",
}


def _special_findings(parts: Any, odd: dict[Any, float]) -> Iterator[Finding]:
    """Yield findings on single values; `odd` are the distances of columns that differ anyway.

    What explains most of such a distance is named before it.
    """
    alpha = ALPHA / max(len(parts.special), 1)
    found = [entry for entry in parts.special if entry.pvalue < alpha]
    for entry in found:
        if entry.kind in _SPECIAL:
            text = _SPECIAL[entry.kind].format(
                entry.column, entry.value, entry.synthetic, entry.real
            )
            size, distance = abs(entry.synthetic - entry.real), odd.get(entry.column)
            explains = entry.kind in ("holes", "point mass") and size > 0.5 * (distance or 0.0)
            if distance is not None:
                size = max(size, distance + 0.005) if explains else 0.5 * size
            yield Finding(text, "special", (entry.column,), size)
    for kind, (words, cure) in _DECIMALS.items():
        columns = [entry for entry in found if entry.kind == kind]
        if not columns:
            continue
        names = ", ".join(f"{entry.column!r} ({entry.value})" for entry in columns[:5])
        more = f" and {len(columns) - 5} more" if len(columns) > 5 else ""
        text = f"Synthetic numbers have {words} than the real ones in {names}{more}; {cure}"
        size = max([0.01, *(odd[e.column] + 0.005 for e in columns if e.column in odd)])
        yield Finding(text, "special", tuple(entry.column for entry in columns), size)


_DECIMALS = {
    "decimals": (
        "more decimals",
        "all real values are multiples of the numbers in brackets. Round them.",
    ),
    "fewer decimals": (
        "fewer decimals",
        "they are multiples of the numbers in brackets, and real values are not.",
    ),
}


def _row_findings(parts: Any) -> Iterator[Finding]:
    test = parts.classifier
    if test is not None and test.pvalue < ALPHA:
        names = [name for name, loss in test.columns[:3] if loss > 0.005]
        by = f", by {', '.join(map(repr, names))} above all" if names else ""
        text = (
            "A classifier tells synthetic rows from real ones: of a pair it picks the synthetic "
            f"row with probability {test.auc:.3f} ({test.low:.3f} to {test.high:.3f}){by}."
        )
        yield Finding(text, "classifier", tuple(names), 2 * test.auc - 1)
    energy = parts.energy
    if energy is not None and energy.pvalue <= 1 / (1 + energy.n_permutations):
        text = (
            "Synthetic and real rows have different distributions: no permutation of "
            f"{energy.n_permutations} has as large an energy distance (p = {energy.pvalue:.1g})."
        )
        yield Finding(text, "energy", (), 0.1)


def _utility_findings(parts: Any) -> Iterator[Finding]:
    use = parts.utility
    if use is not None and use.pvalue < ALPHA and use.synthetic < use.real:
        text = (
            f"Trees trained on synthetic rows predict {use.target!r} worse than trees trained on "
            f"real ones: {use.measure} {use.synthetic:.3f} and {use.real:.3f}."
        )
        yield Finding(text, "utility", (use.target,), min(use.real - use.synthetic, 1.0))


def _density_findings(parts: Any) -> Iterator[Finding]:
    nats = parts.likelihood
    if nats is not None and nats.n_zero:
        text = f"The density gives {nats.n_zero} of {nats.n_rows} held-out rows probability zero."
        yield Finding(text, "likelihood", (), 0.9)
    if nats is not None:
        for name, found in nats.comparisons.items():
            if found.high < 0 and found.pvalue < ALPHA:
                text = (
                    f"The density predicts held-out rows worse than {name}: by "
                    f"{-found.difference:.3g} nats per row ({-found.high:.3g} to {-found.low:.3g})."
                )
                yield Finding(text, "likelihood", (), 0.8)
    alpha = ALPHA / max(len(parts.calibration), 1)
    for found in parts.calibration:
        if found.pvalue < alpha:
            side = float(np.mean(np.abs(np.array(found.transforms) - 0.5)))
            words = "too narrow" if side > 0.28 else "too wide" if side < 0.22 else "off"
            text = (
                f"What the density says of {found.column!r} given the other columns is {words}: "
                f"its probability integral transforms are {found.distance:.2f} from uniform."
            )
            yield Finding(text, "calibration", (found.column,), found.distance)
