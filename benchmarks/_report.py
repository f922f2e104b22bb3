"""What every benchmark prints around its numbers: date, machine, versions, a plain table."""

import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["best_of", "header", "machine", "table"]

PACKAGES = ("numpy", "scipy", "scikit-learn", "statsmodels")


def machine() -> str:
    """Return the processor's name and the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = (line.partition(":") for line in info.read_text().splitlines())
        name = next((v.strip() for k, _, v in lines if k.strip() == "model name"), name)
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    return f"{name}, {cores} cores"


def header(title: str, packages: Iterable[str] = PACKAGES) -> None:
    """Print what is measured, when, where, and with which versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"{title}\n{date.today()}, {machine()}\nPython {platform.python_version()}, {versions}\n")


def best_of(function: Callable[[], Any], k: int = 3) -> float:
    """Return the shortest of k wall times in seconds, after one unmeasured call."""
    function()
    times = []
    for _ in range(k):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under headings as a Markdown table; floats get three significant digits."""
    cells = [[f"{v:.3g}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *cells)]
    rule = ["-" * width for width in widths]
    for row in (headings, rule, *cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
