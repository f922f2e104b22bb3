"""Read a table as coded numbers with holes, and write coded rows as the table they came from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm.tables._columns import (
    code_table,
    column_kinds,
    describe_columns,
    restore_table,
    table_shape,
)
from skgm.tables._frames import frame_fault, frame_schema, real_schema, restore_frame
from skgm.tables._validation import check_finite, validate_table

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
    def learn(
        cls, estimator: Any, X: Any, categorical: Any, integer: Any
    ) -> tuple["TableReader", np.ndarray]:
        """Describe the columns of a training table; return the reader and the table coded.

        What scikit-learn remembers of a table (number and names of columns) is set on `estimator`.
        """
        kinds = column_kinds(X, categorical, integer)
        if kinds is None:  # real numbers only: validated as for every other estimator
            array = validate_table(estimator, X, reset=True, finite=False)
            names = getattr(estimator, "feature_names_in_", None)
            names = [f"x{j}" for j in range(array.shape[1])] if names is None else names.tolist()
            reader = cls([{"name": name, "kind": "real"} for name in names])
            return reader, reader._checked(array.astype(np.float64))
        fault = frame_fault(X)
        if fault is not None:
            raise ValueError(fault)
        reader = cls(describe_columns(X, kinds))
        coded = code_table(X, reader.columns)
        validate_table(estimator, _plain(X, coded), reset=True, finite=False)
        return reader, reader._checked(coded)

    @property
    def names(self) -> list[str]:
        """Names of the columns, x0, x1, ... without a frame."""
        return [str(about["name"]) for about in self.columns]

    def code(self, estimator: Any, X: Any) -> np.ndarray:
        """Return X coded, its columns checked against those of `fit`.

        Raises
        ------
        ValueError
            Infinity, fractions in a column of whole numbers, categories that `fit` has not seen,
            another number or other names of columns.
        """
        check_is_fitted(estimator)
        if all(about["kind"] == "real" for about in self.columns):
            array = validate_table(estimator, X, reset=False, finite=False)
            return self._checked(array.astype(np.float64))
        fault = frame_fault(X)
        if fault is not None:
            raise ValueError(fault)
        validate_table(estimator, _plain(X, np.zeros(table_shape(X))), reset=False)
        return self._checked(code_table(X, self.columns))

    def _checked(self, coded: np.ndarray) -> np.ndarray:
        """Return coded rows, refusing infinity and fractions among whole numbers."""
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


def _plain(X: Any, coded: np.ndarray) -> Any:
    """Return numbers in a frame with the columns of X, or as they are if X is no frame."""
    schema = real_schema(frame_schema(X))
    return coded if schema is None else restore_frame(coded, schema)
