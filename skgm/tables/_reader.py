"""Read a table as coded numbers with holes, and write coded rows as the table they came from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm._validation import check_finite, validate_table
from skgm.tables._columns import (
    code_table,
    column_kinds,
    describe_columns,
    float_frame_schema,
    restore_table,
    table_shape,
)
from skgm.tables._frames import frame_fault, restore_frame

__all__ = ["TableReader"]


@dataclass(frozen=True)
class TableReader:
    """Between a table of mixed columns and its codes: float64, (n, d), NaN for holes.

    Attributes
    ----------
    columns : list of dict
        The description of each column (see :mod:`skgm.tables._columns`), plain data.
    """

    columns: list[dict[str, Any]]

    @classmethod
    def learn(cls, X: Any, categorical: Any, integer: Any) -> "TableReader":
        """Describe the columns of a training table."""
        kinds = column_kinds(X, categorical, integer)
        fault = frame_fault(X)
        if fault is not None:
            raise ValueError(fault)
        return cls(describe_columns(X, kinds or ["real"] * table_shape(X)[1]))

    @property
    def names(self) -> list[str]:
        """Names of the columns, x0, x1, ... without a frame."""
        return [str(about["name"]) for about in self.columns]

    def validated(self, estimator: Any, X: Any, *, reset: bool) -> np.ndarray:
        """Return X coded, its columns checked against those of `fit`.

        Raises
        ------
        ValueError
            Infinity, fractions in a column of whole numbers, categories that `fit` has not seen,
            another number or other names of columns.
        """
        if not reset:
            check_is_fitted(estimator)
        if frame_fault(X) is not None:
            raise ValueError(frame_fault(X))
        if not self.columns:
            validate_table(estimator, X, reset=reset)  # raises: there is nothing to read
        coded = code_table(X, self.columns) if reset else None
        plain = self._plain(X, np.zeros(table_shape(X)) if coded is None else coded)
        validate_table(estimator, plain, reset=reset, finite=False)
        coded = code_table(X, self.columns) if coded is None else coded
        check_finite(np.where(np.isnan(coded), 0.0, coded), self.names)
        for about, column in zip(self.columns, coded.T):
            broken = (column != np.floor(column)) & ~np.isnan(column)
            if about["kind"] == "integer" and broken.any():
                row = int(np.argmax(broken))
                raise ValueError(
                    f"Column {about['name']!r} of X holds {float(column[row])!r} at row {row}, no "
                    "whole number, in a column of integers. Drop or round such rows, or give the "
                    "column another kind by integer_features."
                )
        return coded

    def written(self, coded: np.ndarray, schema: dict[str, Any] | None, dtype: str) -> Any:
        """Return coded rows in the frame that `schema` describes, or as an array."""
        return restore_table(coded, self.columns, schema, dtype)

    def _plain(self, X: Any, coded: np.ndarray) -> Any:
        """Return numbers in a frame with the columns of X, or in an array if X is none."""
        schema = float_frame_schema(X, coded.shape[1])
        if schema is not None:
            return restore_frame(coded, schema)
        if isinstance(X, np.ndarray) and X.dtype in (np.float32, np.float64) and X.ndim == 2:
            return X
        return coded
