"""The pair plot: rows of the table and synthetic rows, overlaid."""

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MAX_COLUMNS", "can_plot", "pair_plot"]

MAX_COLUMNS = 6
MAX_POINTS = 1000
COLORS = {"table": "#1f77b4", "synthetic": "#ff7f0e"}


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
                axes[i, j].set_axis_off()
            elif i == j:
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
