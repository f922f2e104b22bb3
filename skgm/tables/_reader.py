"""Read a table as coded numbers, and write coded rows as the kind of table they came from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgm.tables._columns import (
    WHOLE,
    code_table,
    column_kinds,
    describe_columns,
    restore_table,
    table_shape,
)
from skgm.tables._frames import (
    frame_fault,
    frame_schema,
    real_schema,
    restore_frame,
    with_holes,
)
from skgm.tables._validation import check_finite, validate_table

__all__ = ["TableReader", "check_mixed_table"]

_HOLED_CATEGORY = "Drop such rows, or give missing values a category of their own."


@dataclass(frozen=True, eq=False)
class TableReader:
    """What `fit` saw in a table: between tables of that kind and their codes, (n, d).

    Attributes
    ----------
    columns : list of dict
        The description of each column (see :mod:`skgm.tables._columns`), plain data.
    schema : dict or None
        Of the data frame of the training rows, if they were one.
    dtype : str
        Of drawn rows that stand in no frame.
    """

    columns: list[dict[str, Any]]
    schema: dict[str, Any] | None
    dtype: str

    @classmethod
    def learn(
        cls, estimator: Any, X: Any, *, min_samples: int = 1, holes: bool = False
    ) -> tuple["TableReader", np.ndarray]:
        """Describe the columns of a training table; return the reader and the table coded.

        Its parameters `categorical_features` and `integer_features` say which columns are
        categories or whole numbers, as in `column_kinds`. What scikit-learn remembers of a table
        (number and names of columns) is set on `estimator`. With `holes`, NaN stand for missing
        values; else they are refused. Real numbers alone keep their dtype.
        """
        choices = (estimator.categorical_features, estimator.integer_features)
        by_dtype = all(isinstance(choice, str) for choice in choices)
        plain_array = type(X) is np.ndarray and by_dtype  # it has no dtypes to go by
        kinds = None if plain_array else column_kinds(X, *choices)
        options: dict[str, Any] = {"reset": True, "min_samples": min_samples}
        schema = None if plain_array else frame_schema(X)
        if kinds is None:  # validated as for every other estimator
            coded = validate_table(estimator, X, finite=not holes, **options)
            names = schema["columns"] if schema else [f"x{j}" for j in range(coded.shape[1])]
            columns = [{"name": name, "kind": "real"} for name in names]
            reader = cls(columns, schema, coded.dtype.name)
            return reader, reader._checked(coded) if holes else coded
        fault = frame_fault(X, dates=True)
        if fault is not None:
            raise ValueError(fault)
        columns = describe_columns(X, kinds)
        coded = code_table(X, columns)
        plain = validate_table(estimator, _plain(X, coded), finite=False, **options)
        reader = cls(columns, schema, plain.dtype.name)
        return reader, reader._checked(coded, holes=holes)

    @property
    def names(self) -> list[str]:
        """Names of the columns, x0, x1, ... without a frame."""
        return [str(about["name"]) for about in self.columns]

    @property
    def is_real(self) -> bool:
        """Whether all columns are real numbers."""
        return all(about["kind"] == "real" for about in self.columns)

    def which(self, *kinds: str) -> np.ndarray:
        """Return which columns are of one of these kinds, (d,)."""
        return np.array([about["kind"] in kinds for about in self.columns], dtype=bool)

    def code(
        self, estimator: Any, X: Any, *, holes: bool, unknown: str = "error", fractions: bool = True
    ) -> np.ndarray:
        """Return X coded, its columns checked against those of `fit`.

        Parameters
        ----------
        estimator : estimator
            Fitted; it knows the names and the number of columns.
        X : table
            Rows.
        holes : bool
            Whether values may be missing: NaN.
        unknown : {"error", "ignore"}, default="error"
            What to do about a category that `fit` has not seen: "ignore" codes it as `UNKNOWN`.
        fractions : bool, default=True
            Whether fractions may stand in columns of whole numbers.

        Raises
        ------
        ValueError
            Infinity, values that are missing or fractions where there may be none, categories
            that `fit` has not seen, another number or other names of columns.
        """
        check_is_fitted(estimator)
        if self.is_real:
            array = validate_table(estimator, X, reset=False, finite=not holes)
            return self._checked(array) if holes else array
        check_mixed_table(estimator, X, reset=False)
        coded = code_table(X, self.columns, unknown=unknown)
        return self._checked(coded, holes=holes, fractions=fractions)

    def impossible(self, coded: np.ndarray) -> np.ndarray:
        """Return which coded rows have a fraction in a column of whole numbers, (n,)."""
        whole = coded[:, self.which(*WHOLE)]
        return np.asarray(((whole != np.floor(whole)) & ~np.isnan(whole)).any(axis=1))

    def _checked(
        self, coded: np.ndarray, *, holes: bool = True, fractions: bool = False
    ) -> np.ndarray:
        """Return coded rows; refuse infinity, holes, fractions among whole numbers, as asked."""
        hole = np.isnan(coded)
        if holes:
            check_finite(np.where(hole, 0.0, coded), self.names)
        else:
            category = self.which("category")
            check_finite(
                np.where(category, coded, 0.0), self.names, cure=_HOLED_CATEGORY, kind="NaN"
            )
            check_finite(coded, self.names)
        for about, column in zip(self.columns, coded.T):
            if fractions or about["kind"] not in WHOLE:
                continue
            broken = (column != np.floor(column)) & ~np.isnan(column)
            if broken.any():
                raise ValueError(_fraction(about, float(column[broken][0]), int(np.argmax(broken))))
        return coded

    def restored(self, coded: np.ndarray) -> Any:
        """Return coded rows in the kind of table that `fit` saw."""
        return self.written(coded, self.schema, self.dtype)

    def written(self, coded: np.ndarray, schema: dict[str, Any] | None, dtype: str) -> Any:
        """Return coded rows in the frame that `schema` describes, or as an array of this dtype.

        NaN in columns of other kinds than real numbers are missing values.
        """
        if not self.is_real:
            hole = np.isnan(coded)
            if not hole.any():
                return restore_table(coded, self.columns, schema, dtype)
            some = np.nan_to_num(np.nanmin(coded, axis=0, initial=np.inf), posinf=0.0)
            filled = restore_table(np.where(hole, some, coded), self.columns, schema, dtype)
            return with_holes(filled, hole)
        coded = coded.astype(dtype, copy=False)
        return coded if schema is None else restore_frame(coded, schema)


def check_mixed_table(estimator: Any, X: Any, *, reset: bool) -> None:
    """Check the number and the names of the columns of any table, whatever stands in them."""
    fault = frame_fault(X, dates=True)
    if fault is not None:
        raise ValueError(fault)
    validate_table(estimator, _plain(X, np.zeros(table_shape(X))), reset=reset)


def _fraction(about: dict[str, Any], value: float, row: int) -> str:
    if about["kind"] == "integer":
        return (
            f"Column {about['name']!r} of X holds {value!r} at row {row}, no whole number, in a "
            "column of integers. Drop or round such rows, or give the column another kind by "
            "integer_features."
        )
    return (
        f"Column {about['name']!r} of X holds a time between two whole {about['unit']} at row "
        f"{row}, where the training rows hold whole {about['unit']}. Round it, or fit to a table "
        "that is recorded as finely."
    )


def _plain(X: Any, coded: np.ndarray) -> Any:
    """Return numbers in a frame with the columns of X, or as they are if X is no frame."""
    schema = real_schema(frame_schema(X))
    if schema is not None:
        return restore_frame(coded, schema)
    dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
    return coded.astype(dtype)
