"""Draw README's picture: a real table, its synthetic copy, and intervals that cover.

``python docs/readme_picture.py`` writes docs/_static/readme.png. The table is scikit-learn's wine;
the third panel fits Weibull shapes to samples of eight.
"""

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

from skgm import DensityChain, MLEDensity

COLORS = {"barolo": "#0072B2", "grignolino": "#E69F00", "barbera": "#009E73"}
SHAPE, N_ROWS, N_SAMPLES = 1.5, 8, 40


def wine():
    """Three columns of wine: two real ones and the cultivar as text."""
    bunch = load_wine(as_frame=True)
    table = bunch.data[["flavanoids", "color_intensity"]].copy()
    table["cultivar"] = np.array(list(COLORS))[bunch.target]
    return table


def draw_rows(axes, table, title):
    """Scatter the two real columns, colored by the cultivar."""
    for name, color in COLORS.items():
        part = table[table["cultivar"] == name]
        axes.scatter(
            part["flavanoids"], part["color_intensity"], s=14, alpha=0.75, c=color, label=name
        )
    axes.set(xlabel="flavanoids", ylabel="color intensity", title=title)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def draw_intervals(axes):
    """Draw the 95% intervals of forty Weibull shapes; vermilion where one misses the truth."""
    X = SHAPE_SAMPLES.weibull(SHAPE, size=(N_ROWS, N_SAMPLES))
    intervals = MLEDensity("weibull").fit(X).confidence_intervals()
    low, high = intervals.low["shape"], intervals.high["shape"]
    covers = (low <= SHAPE) & (high >= SHAPE)
    order = np.argsort(low)
    for y, j in enumerate(order):
        axes.plot([low[j], high[j]], [y, y], lw=1.6, c="#0072B2" if covers[j] else "#D55E00")
    axes.axvline(SHAPE, c="0.3", lw=1, ls="--")
    axes.set(xlabel="Weibull shape", yticks=[], ylabel=f"{N_SAMPLES} samples of {N_ROWS} rows")
    axes.set_title(f"95% intervals: {covers.sum()} of {N_SAMPLES} cover")


SHAPE_SAMPLES = np.random.default_rng(2026)


def main():
    """Fit, draw, and write the file."""
    table = wine()
    copy = DensityChain(random_state=0).fit(table).sample(len(table), random_state=0)
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.1), layout="constrained")
    draw_rows(axes[0], table, f"{len(table)} real wines")
    draw_rows(axes[1], copy, f"{len(copy)} synthetic wines")
    axes[1].set(xlim=axes[0].get_xlim(), ylim=axes[0].get_ylim())
    draw_intervals(axes[2])
    path = Path(__file__).parent / "_static" / "readme.png"
    figure.savefig(path, dpi=110)
    print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
