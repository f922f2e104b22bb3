"""Adds up what fits need of the parts of a table: summaries, streams of parts, sums of many."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, reduce
from operator import add
from typing import Any

import numpy as np

from skgm._numerics.blocks import row_blocks

__all__ = [
    "TableSummary",
    "add_summaries",
    "bare_copy",
    "chunks_of",
    "fitted_columns",
    "float_blocks",
    "named_columns",
    "refusing_part",
]

_BATCH_VALUES, _LEAST_BATCH = 2**21, 2**13  # of a part of a Parquet file; rows
_BLOCK_VALUES = 2**18  # of a block of a stream: several passes over it stay in the cache


@dataclass(frozen=True, eq=False)
class TableSummary:
    """What a fit needs of some rows: sums, whose size does not depend on the number of rows.

    Made by ``summarize``, added by ``+`` (or ``sum``), and turned into a fit by
    ``fit_statistics``. It holds arrays and names alone, so it pickles anywhere, to some hundred
    bytes. The summary of no rows changes nothing that it is added to.

    Attributes
    ----------
    kind : str
        What the sums are for; only sums of one kind add up.
    n_rows : int
        Number of rows, of positive weight.
    statistics : object or None
        The sums; None where there were no rows.
    columns : dict
        Number, names and dtypes of the columns, as the estimator keeps them.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm import MLEDensity
    >>> X, gamma = np.array([[1.0], [2.0], [4.0]]), MLEDensity("gamma")
    >>> total = gamma.summarize(X[:2]) + gamma.summarize(X[2:])
    >>> gamma.fit_statistics(total).n_observations_
    3.0
    """

    kind: str
    n_rows: int
    statistics: Any = None
    columns: dict[str, Any] = field(default_factory=dict)

    def __add__(self, other: "TableSummary") -> "TableSummary":
        if not isinstance(other, TableSummary):
            return NotImplemented
        if other.statistics is None:
            return self
        if self.statistics is None:
            return other
        if self.kind != other.kind:
            raise ValueError(
                f"Summaries of two kinds do not add up: {self.kind}, and {other.kind}. Make all "
                "of them by one estimator with the same parameters."
            )
        for name in ("n_features_in_", "feature_names_in_"):
            ours, theirs = (part.columns.get(name, ()) for part in (self, other))
            if not np.array_equal(ours, theirs):
                raise ValueError(
                    f"The parts of the table have different columns ({name} is {_listed(ours)} in "
                    f"one and {_listed(theirs)} in another). Select the same columns, in one order."
                )
        columns = dict(self.columns)
        if "_sample_dtype" in columns:
            dtypes = (columns["_sample_dtype"], other.columns["_sample_dtype"])
            columns["_sample_dtype"] = np.result_type(*dtypes).name
        return replace(
            self,
            n_rows=self.n_rows + other.n_rows,
            statistics=self.statistics + other.statistics,
            columns=columns,
        )

    def check_kind(self, kind: str) -> None:
        """Refuse to fit from sums that were made for another model.

        Parameters
        ----------
        kind : str
            What the model needs.

        Raises
        ------
        ValueError
            This summary is of another kind.
        """
        if self.kind != kind:
            raise ValueError(
                f"The fit needs {kind}; total has {self.kind}. Summarize the rows by an estimator "
                "with the parameters of this one."
            )

    def __radd__(self, other: Any) -> "TableSummary":
        return self if other == 0 else NotImplemented  # the start of `sum`


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, np.ndarray) else value


@cache
def _parameters(kind: Any) -> frozenset[str]:
    return frozenset(kind._get_param_names())


def bare_copy(estimator: Any) -> Any:
    """Return an estimator with the same parameters, unfitted; for reading, where clone is slow."""
    kind: Any = type(estimator)
    twin = kind.__new__(kind)
    vars(twin).update({name: vars(estimator)[name] for name in _parameters(kind)})
    return twin


def fitted_columns(estimator: Any) -> dict[str, Any]:
    """Return what an estimator remembers of a table whose rows it has begun to read."""
    kind: Any = type(estimator)
    parameters = _parameters(kind)
    return {name: value for name, value in vars(estimator).items() if name not in parameters}


def named_columns(estimator: Any) -> dict[str, Any]:
    """Return the number and the names of the columns of a fitted estimator."""
    names = ("n_features_in_", "feature_names_in_")
    return {name: vars(estimator)[name] for name in names if name in vars(estimator)}


def add_summaries(parts: Iterable[TableSummary]) -> TableSummary:
    """Return the sum of one summary or more, added in pairs so that rounding stays small."""
    waiting: list[tuple[int, TableSummary]] = []  # (depth, sum), deepest first
    for part in parts:
        depth = 0
        while waiting and waiting[-1][0] == depth:
            part, depth = waiting.pop()[1] + part, depth + 1
        waiting.append((depth, part))
    if not waiting:
        raise ValueError("X has no parts, so there is nothing to fit; got an empty stream.")
    return reduce(add, [total for _, total in waiting])


def chunks_of(X: Any) -> Iterator[Any] | None:
    """Return the parts of a table that comes as a stream; None for a table.

    Streams are iterators (generators, pandas' ``read_csv(chunksize=)``), and of pyarrow record
    batch readers, Parquet files and data sets.
    """
    if type(X).__module__.startswith("pyarrow."):
        if hasattr(X, "num_row_groups") and hasattr(X, "iter_batches"):
            groups = range(X.num_row_groups)  # one by one: pyarrow would read far ahead
            size = max(_LEAST_BATCH, _BATCH_VALUES // max(X.metadata.num_columns, 1))
            batches = (X.iter_batches(size, row_groups=[k]) for k in groups)
            return (_as_table(batch) for several in batches for batch in several)
        if hasattr(X, "get_fragments"):
            return map(_as_table, X.to_batches(**_without_reading_ahead(X)))
        return map(_as_table, X) if hasattr(X, "read_next_batch") else None
    return map(_as_table, X) if isinstance(X, Iterator) else None


def float_blocks(part: Any, first: Any) -> Iterator[np.ndarray] | None:
    """Return the rows of an arrow table of complete floats as arrays, some rows at a time.

    None unless it has the columns of `first`, all of one floating type, and rows.
    """
    if not (type(part).__module__ == type(first).__module__ == "pyarrow.lib"):
        return None
    types = {str(field.type) for field in part.schema}
    if not part.num_rows or types not in ({"double"}, {"float"}):
        return None
    if part.schema != first.schema or any(column.null_count for column in part.columns):
        return None
    columns = [column.to_numpy() for column in part.columns]  # without a copy
    return (
        np.array([column[block] for column in columns]).T  # by columns: a plain copy
        for block in row_blocks(part.num_rows, max(_BLOCK_VALUES // len(columns), 1))
    )


def _without_reading_ahead(dataset: Any) -> dict[str, Any]:
    """Return options with which pyarrow holds little of a data set in memory at a time."""
    options: dict[str, Any] = {"batch_readahead": 0, "fragment_readahead": 0}
    if getattr(getattr(dataset, "format", None), "default_extname", "") == "parquet":
        from pyarrow.dataset import ParquetFragmentScanOptions

        options["fragment_scan_options"] = ParquetFragmentScanOptions(pre_buffer=False)
    return options


def _as_table(part: Any) -> Any:
    """Return a record batch as a table; anything else as it is."""
    if type(part).__name__ != "RecordBatch":
        return part
    import pyarrow  # the part is of pyarrow, so it is loaded

    return pyarrow.Table.from_batches([part])


def refusing_part(number: int, error: Exception) -> ValueError:
    """Return the error of one part of a table, which says which part it is."""
    return ValueError(f"Part number {number} of X (from 0; rows are numbered within it): {error}")
