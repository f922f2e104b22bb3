"""Pictures of the pages that the build draws itself, from data that ship with scikit-learn.

``python docs/_ext/pictures.py`` draws the one that README shows, docs/_static/readme.png.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

from skgm import GaussianMixtureDensity, MLEDensity

__all__ = ["PICTURES", "setup"]


def draw_front() -> None:
    """Draw a table, rows drawn from its density, and intervals with the truth that they cover."""
    table = load_wine(as_frame=True).data[["alcohol", "flavanoids", "proline"]]
    density = GaussianMixtureDensity(random_state=0).fit(table)
    copy = density.sample(len(table), random_state=0)
    _, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.2))
    for axes, rows, color, title in [
        (left, table, "C0", f"{len(table)} measured wines"),
        (middle, copy, "C1", f"{len(copy)} drawn from the fitted density"),
    ]:
        axes.plot(rows["flavanoids"], rows["proline"], ".", color=color, alpha=0.8)
        axes.set(title=title, xlabel="flavanoids (g/l)", ylabel="proline (mg/l)")
        axes.set(xlim=(0, 5.5), ylim=(0, 1900))
    rng = np.random.default_rng(0)
    samples = rng.gamma(3.0, 1.0, size=(8, 40))
    intervals = MLEDensity("gamma").fit(samples).confidence_intervals().to_frame()
    shapes = intervals[[str(name).startswith("shape") for name in intervals.index]]
    covered = (shapes["low"] <= 3) & (shapes["high"] >= 3)
    for i, (_, row) in enumerate(shapes.iterrows()):
        right.plot(
            [row["low"], row["high"]], [i, i], color="C2" if covered.iloc[i] else "C3", lw=1.6
        )
    right.axvline(3.0, color="gray", lw=1, ls="--")
    right.set(
        xscale="log", xlabel="shape of a gamma, from 8 rows each", yticks=[], xticks=[1, 3, 10]
    )
    right.set_xticklabels(["1", "true: 3", "10"])
    right.minorticks_off()
    right.set_title(f"{covered.sum()} of {len(covered)} intervals hold the truth")


PICTURES: dict[str, Callable[[], None]] = {"front.svg": draw_front}


def draw_all(app: Any) -> None:
    """Draw the pictures that are missing or older than this file."""
    folder = Path(app.srcdir) / "_static" / "made"
    folder.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        path = folder / name
        if path.exists() and path.stat().st_mtime > Path(__file__).stat().st_mtime:
            continue
        draw_to(path, draw, metadata={"Date": None})


def draw_to(path: Path, draw: Callable[[], None], **options: Any) -> None:
    """Write one picture in the style of the library."""
    salt = {"svg.hashsalt": path.name}
    with plt.style.context("skgm.plotting.skgm"), matplotlib.rc_context(salt):
        draw()
        plt.savefig(path, **options)
        plt.close()


def setup(app: Any) -> dict[str, bool]:
    """Draw before the pages are read."""
    app.connect("builder-inited", draw_all)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    readme = Path(__file__).parents[1] / "_static" / "readme.png"
    draw_to(readme, draw_front, dpi=110, facecolor="white")
