"""The pair plot, rows of the table and synthetic rows overlaid; and the report on these rows."""

from pathlib import Path
from typing import Any

import numpy as np

from skgm._main._selection import Fitted
from skgm._main._table import Table

__all__ = ["MAX_COLUMNS", "as_written", "can_plot", "make_report", "pair_plot"]

MAX_COLUMNS = 6
MAX_POINTS = 1000
COLORS = {"table": "#0072b2", "synthetic": "#d55e00"}  # as in MarginDisplay


def can_plot() -> bool:
    """Tell whether matplotlib is installed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def pair_plot(frame: Any, synthetic: Any, path: Path, random_state: int) -> None:
    """Draw the first columns against one another and write a PNG file."""
    from matplotlib.figure import Figure  # not pyplot: no window, no global state

    names = list(frame.columns[:MAX_COLUMNS])
    side = len(names)
    figure = Figure(figsize=(1.9 * side + 1.2, 1.9 * side + 0.6), layout="constrained")
    axes = figure.subplots(side, side, squeeze=False)
    parts = {"table": frame, "synthetic": synthetic}
    thinned = {
        label: part[names].sample(min(len(part), MAX_POINTS), random_state=random_state)
        for label, part in parts.items()
    }
    for i, row_name in enumerate(names):
        for j, column_name in enumerate(names):
            if j > i:
                axes[i, j].remove()  # the layout would take its time for it
                continue
            if i == j:
                _histograms(axes[i, i], thinned, row_name)
            else:
                _scatter(axes[i, j], thinned, column_name, row_name)
            axes[i, j].tick_params(labelleft=j == 0, labelbottom=i == side - 1)
        axes[i, 0].set_ylabel(_short(row_name))
        axes[-1, i].set_xlabel(_short(row_name))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right")
    figure.savefig(path, format="png", dpi=110)


def _histograms(axes: Any, parts: dict[str, Any], name: Any) -> None:
    bins = np.histogram_bin_edges(np.concatenate([part[name] for part in parts.values()]), bins=24)
    for label, part in parts.items():
        axes.hist(part[name], bins, density=True, alpha=0.5, color=COLORS[label], label=label)
    axes.set_yticks([])


def _scatter(axes: Any, parts: dict[str, Any], x: Any, y: Any) -> None:
    for label, part in parts.items():
        axes.plot(part[x], part[y], ".", markersize=2.5, alpha=0.5, color=COLORS[label])


def _short(name: Any) -> str:
    text = str(name).replace("$", r"\$")  # a dollar sign would start a formula
    return text if len(text) <= 24 else f"{text[:23]}…"


def as_written(rows: Any, table: Table) -> Any:
    """Return synthetic rows with their numbers rounded as the file has them."""
    found = rows.copy()
    for name, style in table.styles.items():
        if style.kind in ("whole", "date") or (style.kind == "real" and style.decimals is not None):
            decimals = style.decimals if style.kind == "real" else 0
            numbers = rows[name].astype("Float64").astype(float).round(decimals)
            found[name] = numbers if style.step == 1 else style.on_step(numbers)
    return found


def make_report(
    table: Table, rows: Any, winner: Fitted, baselines: list[Fitted], level: float, seed: int
) -> Any:
    """Return the report on synthetic rows, with the held-out log-density of their model."""
    from skgm.evidence import HeldOut, TableReport
    from skgm.metrics import compare_densities

    found = TableReport(table.frame, as_written(rows, table), level=level, random_state=seed)
    scores, comparisons, notes = winner.log_density, {}, []
    n_zero = int(np.isneginf(scores).sum())
    for baseline in baselines:
        try:
            comparisons[baseline.name] = compare_densities(
                scores, baseline.log_density, level=level
            )
        except ValueError as error:
            notes.append(f"{baseline.name}: not compared. {error}")
    found.likelihood = HeldOut(
        float(np.mean(scores)), len(scores), n_zero, comparisons, tuple(notes)
    )
    return found
