"""What `import skgm` costs on top of `import sklearn.base`, in fresh processes.

python benchmarks/import_time.py [--repeats 15]
"""

import argparse
import statistics
import subprocess
import sys

from _report import header, table

CLOCK = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
CASES = {
    "import sklearn.base": "import sklearn.base",
    "import sklearn.base, skgm": "import sklearn.base, skgm",
    "... and every public name": "import sklearn.base; from skgm import *",
}


def import_seconds(statement: str) -> float:
    """Return what the statement takes in a fresh interpreter, its start not counted."""
    command = [sys.executable, "-c", CLOCK.format(statement)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    header(f"Import time: median of {repeats} fresh processes, cases interleaved, in seconds")
    times: dict[str, list[float]] = {case: [] for case in CASES}
    for statement in CASES.values():  # fill the disk cache
        import_seconds(statement)
    for _ in range(repeats):
        for case, statement in CASES.items():
            times[case].append(import_seconds(statement))
    median = {case: statistics.median(values) for case, values in times.items()}
    base = median["import sklearn.base"]
    rows = [(case, t, t - base, t / base) for case, t in median.items()]
    table(["statement", "seconds", "added", "ratio"], rows)


if __name__ == "__main__":
    main()
