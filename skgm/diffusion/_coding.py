"""Reads tables into rows of real numbers, and restores drawn rows to the kind of table they were.

A :class:`RealTable` holds real numbers only. A :class:`MixedTable` holds categories and whole
numbers too: it is coded by :mod:`skgm.tables._columns` and encoded by :mod:`skgm.tables._encoding`.
Both have the same methods. The estimator that they are given is for its column names and width.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._sklearn import check_sample_weight
from skgm.tables._columns import (
    MOST_CATEGORIES,
    code_table,
    column_kinds,
    describe_columns,
    encoded_kinds,
    restore_table,
    table_shape,
)
from skgm.tables._encoding import Encoding, Jitter
from skgm.tables._frames import frame_fault, frame_schema, keep_index, real_schema, restore_frame
from skgm.tables._validation import check_finite, column_names, validate_table

__all__ = ["MixedTable", "RealTable", "TableCoding", "read_training_table"]


@dataclass(frozen=True, eq=False)
class RealTable:
    """Reads and restores a table of real numbers.

    Attributes
    ----------
    schema : dict or None
        Of the data frame of the training rows, if they were one.
    dtype : str
        Of drawn rows.
    """

    schema: dict[str, Any] | None
    dtype: str

    is_mixed = False

    @property
    def encoding(self) -> None:
        """How discrete values are encoded: there are none."""

    @property
    def noise_variance(self) -> None:
        """Variance of the noise in each encoded column: real numbers have none."""

    @property
    def may_bend(self) -> None:
        """Which encoded columns may be transformed: None for all."""

    def jitter(self, forward: np.ndarray) -> None:
        """Return what draws the noise of scaled rows: nothing."""

    def more(
        self, estimator: Any, X: Any, sample_weight: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return more training rows, and their weights or None."""
        rows = validate_table(estimator, X, reset=False)
        return rows, _weights(sample_weight, rows)

    def rows(self, estimator: Any, X: Any) -> np.ndarray:
        """Return rows to score; `estimator` must be fitted."""
        check_is_fitted(estimator)
        return validate_table(estimator, X, reset=False)

    def coded(self, estimator: Any, given: Any) -> np.ndarray:
        """Return rows with missing values as NaN."""
        array = np.array(validate_table(estimator, given, reset=False, finite=False))
        hole = np.isnan(array)
        check_finite(np.where(hole, 0.0, array), column_names(estimator, array.shape[1]))
        return array

    def encoded(self, coded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the known values of coded rows as the model sees them."""
        return coded

    def clip_bounds(self, bounds: np.ndarray) -> np.ndarray:
        """Return the range that drawn rows are clipped to, from that of the training rows."""
        return bounds

    def decoded(self, rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """Return drawn rows as coded ones."""
        return rows

    def restored(self, coded: np.ndarray) -> Any:
        """Return drawn rows in the kind of table that `fit` saw."""
        if self.schema is None:
            return coded.astype(self.dtype, copy=False)
        return restore_frame(coded.astype(self.dtype, copy=False), self.schema)

    def completed(self, coded: np.ndarray, given: Any, times: int) -> Any:
        """Return completed rows in the kind of table that `given` is."""
        schema = _schema_of_completions(given, self.schema)
        return coded if schema is None else keep_index(restore_frame(coded, schema), given, times)


@dataclass(frozen=True, eq=False)
class MixedTable:
    """Reads and restores a table with columns of categories or whole numbers.

    Attributes
    ----------
    columns : list of dict
        Descriptions of the columns.
    encoding : Encoding
        Between coded tables and rows of real numbers.
    schema, dtype
        As in `RealTable`.
    """

    columns: list[dict[str, Any]]
    encoding: Encoding
    schema: dict[str, Any] | None
    dtype: str

    is_mixed = True

    @property
    def noise_variance(self) -> np.ndarray:
        """Variance of the noise in each encoded column."""
        return self.encoding.noise_variance

    @property
    def may_bend(self) -> np.ndarray:
        """Which encoded columns may be transformed: those without noise."""
        return ~self.encoding.is_noisy

    def jitter(self, forward: np.ndarray) -> Jitter:
        """Return what draws the noise of scaled rows, from the maps of the classes, (k, r, d)."""
        return Jitter(self.encoding, forward)

    def more(
        self, estimator: Any, X: Any, sample_weight: Any
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return more training rows encoded, and their weights or None."""
        coded = self.coded(estimator, X, missing=False)
        rows = _encoded(self.columns, self.encoding, coded)
        return rows, _weights(sample_weight, rows)

    def rows(self, estimator: Any, X: Any) -> np.ndarray:
        """Return rows to score, encoded; rows of probability zero are infinite."""
        check_is_fitted(estimator)
        return self.encoding.encode(self.coded(estimator, X, missing=False))

    def coded(self, estimator: Any, given: Any, *, missing: bool = True) -> np.ndarray:
        """Return coded rows, NaN for missing values, columns checked against those of `fit`."""
        fault = frame_fault(given)
        if fault is not None:
            raise ValueError(fault)
        plain = _plain(given, np.zeros(table_shape(given)))
        validate_table(estimator, plain, reset=False)  # names and width
        coded = code_table(given, self.columns)
        if missing:
            hole = np.isnan(coded)
            check_finite(np.where(hole, 0.0, coded), column_names(estimator, coded.shape[1]))
        else:
            _check_no_missing(self.columns, coded)
        return coded

    def encoded(self, coded: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the known values of coded rows as the model sees them, with noise."""
        rows = _encoded(self.columns, self.encoding, coded)
        normal = rng.standard_normal((len(rows), int(self.encoding.is_noisy.sum())))
        return rows + self.encoding.noise(normal)[0]

    def clip_bounds(self, bounds: np.ndarray) -> np.ndarray:
        """Return the range that encoded rows are clipped to; points of categories have none."""
        return np.where(self.encoding.is_bits, np.array([[-np.inf], [np.inf]]), bounds)

    def decoded(self, rows: np.ndarray, bounds: np.ndarray) -> np.ndarray:
        """Return drawn rows as coded ones; whole numbers stay within the training range."""
        return self.encoding.decode(rows, *bounds)

    def restored(self, coded: np.ndarray) -> Any:
        """Return drawn rows in the kind of table that `fit` saw."""
        return restore_table(coded, self.columns, self.schema, self.dtype)

    def completed(self, coded: np.ndarray, given: Any, times: int) -> Any:
        """Return completed rows in the kind of table that `given` is."""
        schema = _schema_of_completions(given, self.schema)
        return keep_index(restore_table(coded, self.columns, schema, "float64"), given, times)


TableCoding = RealTable | MixedTable


def read_training_table(
    estimator: Any, X: Any, sample_weight: Any, *, min_samples: int = 1, more_to_come: bool = False
) -> tuple[TableCoding, np.ndarray, np.ndarray | None]:
    """Validate a training table; return its coding, its encoded rows, and its weights or None.

    Its parameters `categorical_features` and `integer_features` say which columns are categories or
    whole numbers, as in `column_kinds`. With `more_to_come`, declared categories without rows are
    allowed in later rows.
    """
    specs = (estimator.categorical_features, estimator.integer_features)
    kinds = None
    if not isinstance(X, np.ndarray) or not all(s is None or isinstance(s, str) for s in specs):
        kinds = column_kinds(X, *specs)  # arrays have no dtypes to go by
    if kinds is None:
        rows = validate_table(estimator, X, reset=True, min_samples=min_samples)
        weight = _weights(sample_weight, rows)
        return RealTable(frame_schema(X), rows.dtype.name), rows, weight
    reserve = MOST_CATEGORIES if more_to_come else 0
    return _read_mixed(estimator, X, sample_weight, kinds, min_samples, reserve)


def _read_mixed(
    estimator: Any, X: Any, sample_weight: Any, kinds: list[str], min_samples: int, reserve: int
) -> tuple[MixedTable, np.ndarray, np.ndarray | None]:
    fault = frame_fault(X)
    if fault is not None:
        raise ValueError(fault)
    columns = describe_columns(X, kinds)
    coded = code_table(X, columns)
    _check_no_missing(columns, coded)
    plain = validate_table(estimator, _plain(X, coded), reset=True, min_samples=min_samples)
    weight = _weights(sample_weight, plain)
    sizes = [len(about.get("values", ())) for about in columns]
    encoding = Encoding.learn(coded, encoded_kinds(columns), sizes, weight, reserve=reserve)
    coding = MixedTable(columns, encoding, frame_schema(X), plain.dtype.name)
    return coding, _encoded(columns, encoding, coded, positive=weight), weight


def _weights(sample_weight: Any, rows: np.ndarray) -> np.ndarray | None:
    return None if sample_weight is None else check_sample_weight(sample_weight, rows)


def _check_no_missing(columns: list[dict[str, Any]], coded: np.ndarray) -> None:
    for about, column in zip(columns, coded.T):
        if about["kind"] == "category" and np.isnan(column).any():
            raise ValueError(
                f"Input X contains NaN in column {about['name']!r} (first at row "
                f"{int(np.argmax(np.isnan(column)))}), a missing category. Drop such rows, or "
                "give missing values a category of their own."
            )
    check_finite(coded, [str(about["name"]) for about in columns])


def _encoded(
    columns: list[dict[str, Any]],
    encoding: Encoding,
    coded: np.ndarray,
    positive: np.ndarray | None = None,
) -> np.ndarray:
    """Encode training rows or known values; raise for values of probability zero.

    Rows whose weight `positive` is zero are not checked.
    """
    counted = slice(None) if positive is None else positive > 0
    for about, share, column in zip(columns, encoding.shares, coded.T):
        known = column[counted]
        known = known[~np.isnan(known)]
        if about["kind"] == "integer":
            bad, what = known != np.floor(known), "no whole number, in a column of integers"
            culprit: Any = float(known[np.argmax(bad)]) if bad.any() else None
        elif about["kind"] == "category":
            bad, what = share[known.astype(np.intp)] == 0, "a category without training rows"
            culprit = about["values"][int(known[np.argmax(bad)])] if bad.any() else None
        else:
            continue
        if bad.any():
            raise ValueError(
                f"Column {about['name']!r} of X holds {culprit!r}, {what}. Drop or recode "
                "such rows, fit to a table with such rows in it, or give the column another kind "
                "by categorical_features and integer_features."
            )
    encoded = encoding.encode(coded)
    if not encoded.shape[1]:
        raise ValueError(
            "Every column of X is a category with a single value: there is nothing to learn. "
            "Give a table with a column that varies."
        )
    return encoded


def _plain(X: Any, coded: np.ndarray) -> Any:
    """Return a coded table in a frame with the columns of X, where X is a frame."""
    schema = real_schema(frame_schema(X))
    if schema is not None:
        return restore_frame(coded, schema)
    dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
    return coded.astype(dtype)


def _schema_of_completions(given: Any, fitted: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the schema of `given`; for an array, the one of `fit` with real columns."""
    schema = frame_schema(given)
    return real_schema(fitted) if schema is None else schema  # observed values keep all their bits
