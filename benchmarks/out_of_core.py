"""Fits to a Parquet file in one pass: time and peak memory beside reading the file alone.

``python benchmarks/out_of_core.py [rows] [folder]``

The file has ten columns of float64, gamma distributed, and is written first (uncompressed, row
groups of 100,000). Each line is a process of its own. "read into numpy" makes an array of every
batch and drops it; wall and CPU seconds are those of the work, without imports. Peak memory is that
of the process, with the libraries (see "imports alone"). "dask" is a LocalCluster of two worker
processes with a partition for every row group; its start is not counted, and CPU and memory are
those of this process alone.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _report import header, table

COLUMNS, GROUP, START_ROWS = 10, 100_000, 20_000
HEADINGS = ("work", "wall s", "CPU s", "wall, of reading", "peak MiB")


def write(path: Path, n_rows: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [f"c{j}" for j in range(COLUMNS)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for start in range(0, n_rows, GROUP):
            n = min(GROUP, n_rows - start)
            rows = np.random.default_rng(start).gamma(2.0, 1.0, size=(n, COLUMNS))
            rows[:, 1:] += rows[:, :-1]
            writer.write_table(pa.table(dict(zip(names, rows.T)), schema=schema))


def batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    for k in range(file.num_row_groups):  # one by one: else pyarrow reads far ahead
        yield from file.iter_batches(GROUP, row_groups=[k])


def nothing(path: Path) -> None:
    pass


def read(path: Path) -> None:
    for batch in batches(path):
        np.column_stack([column.to_numpy() for column in batch.columns])


def gamma(path: Path) -> Any:
    import pyarrow.parquet as pq

    from skgm import MLEDensity

    return MLEDensity("gamma").fit(pq.ParquetFile(path))


def gaussian(path: Path) -> Any:
    import pyarrow.parquet as pq

    from skgm import ScoreMatchingGaussian

    return ScoreMatchingGaussian().fit(pq.ParquetFile(path))


def mixture(path: Path) -> Any:
    from skgm import GaussianMixtureDensity

    start = next(batches(path)).to_pandas().sample(START_ROWS, random_state=0)
    density = GaussianMixtureDensity(3, random_state=0).fit(start)
    for _ in range(3):
        total = sum(density.summarize(batch.to_pandas()) for batch in batches(path))
        density.fit_statistics(total)
    return density


def on_dask(path: Path) -> Callable[[], Any]:
    from dask import dataframe as dd
    from distributed import Client, LocalCluster

    from skgm import MLEDensity
    from skgm.dask import fit

    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    client = Client(cluster)
    frame = dd.read_parquet(path, split_row_groups=True)

    def close() -> None:
        client.close()
        cluster.close()

    def work() -> Callable[[], None]:
        fit(MLEDensity("gamma"), frame)
        return close

    return work


def one(work: Callable[[Path], Any], path: Path, answer: Any) -> None:
    """Run one line in a process of its own."""
    import dask.dataframe
    import pyarrow.parquet

    import skgm

    dask.dataframe, pyarrow.parquet, skgm.MLEDensity, skgm.GaussianMixtureDensity  # noqa: B018
    prepared = on_dask(path) if work is on_dask else lambda: work(path)
    wall, cpu = time.perf_counter(), time.process_time()
    close = prepared()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    answer.put((wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
    if work is on_dask:
        close()


def main() -> None:
    n_rows = int(float(sys.argv[1])) if len(sys.argv) > 1 else 5_000_000
    header(__doc__)
    lines: list[tuple[str, Callable[..., Any]]] = [
        ("imports alone", nothing),
        ("read into numpy", read),
        ("MLEDensity gamma", gamma),
        ("ScoreMatchingGaussian", gaussian),
        ("GaussianMixtureDensity(3), 3 passes", mixture),
        ("MLEDensity gamma, dask, 2 processes", on_dask),
    ]
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        path = Path(folder) / "rows.parquet"
        write(path, n_rows)
        print(f"{n_rows:,} rows x {COLUMNS}, {path.stat().st_size / 2**20:.0f} MiB\n")
        found: list[Any] = []
        reading = np.nan
        for name, work in lines:
            answer = spawn.SimpleQueue()
            process = spawn.Process(target=one, args=(work, path, answer))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"{name} failed with exit code {process.exitcode}.")
            wall, cpu, peak = answer.get()
            reading = wall if work is read else reading
            ratio = f"{wall / reading:.1f}" if wall > 0.01 and np.isfinite(reading) else ""
            found.append((name, f"{wall:.1f}", f"{cpu:.1f}", ratio, f"{peak:.0f}"))
        table(HEADINGS, found)


if __name__ == "__main__":
    main()
