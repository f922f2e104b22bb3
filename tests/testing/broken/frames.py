import numpy as np

from tests.testing.broken import breaks
from tests.testing.reference import ReferenceGaussian

DTYPES = tuple(f"check_dtypes_of_{library}_come_back" for library in ("pandas", "polars", "arrow"))


@breaks("check_pandas_in_pandas_out", "check_integer_columns", DTYPES[0])
class ArrayAfterPandas(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        return rows.to_numpy() if given is None and hasattr(rows, "iloc") else rows


@breaks("check_polars_in_polars_out", DTYPES[1])
class ArrayAfterPolars(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        return rows.to_numpy() if hasattr(rows, "to_arrow") else rows


@breaks("check_integer_columns")
class TruncatesToIntegers(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        integers = self._frame_schema and self._frame_schema["dtypes"] == ["Int64", "Int32"]
        return rows.astype(np.int64) if integers else rows


@breaks("check_errors_name_columns")
class VagueErrors(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        try:
            return super().fit(X, y, sample_weight)
        except ValueError as error:
            raise ValueError(
                str(error).replace("column", "some column of").split("'")[0]
            ) from error


@breaks("check_renamed_columns_raise")
class ColumnsByPosition(ReferenceGaussian):
    def score_samples(self, X):
        if hasattr(self, "feature_names_in_") and hasattr(X, "iloc"):
            X = X.set_axis(self.feature_names_in_, axis=1)
        return super().score_samples(X)


@breaks("check_given_frame_returns_frame", "check_given_in_other_forms", *DTYPES)
class ArrayGivenFrame(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        return rows if given is None else np.asarray(rows)


@breaks("check_dtypes_of_pandas_come_back")
class NullableBecomesPlain(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        if not hasattr(rows, "iloc"):
            return rows
        return rows.astype({name: float for name in rows if str(rows[name].dtype) == "Float32"})


@breaks("check_dtypes_of_polars_come_back")
class WideAfterCompletion(ReferenceGaussian):
    def impute(self, X, random_state=None):
        rows = super().impute(X, random_state)
        return rows.cast(float) if hasattr(rows, "to_arrow") else rows


@breaks("check_dtypes_of_arrow_come_back")
class PandasAfterArrow(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        return rows.to_pandas() if type(rows).__module__.startswith("pyarrow") else rows


@breaks("check_given_in_other_forms")
class TablesOnly(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        if isinstance(given, dict):
            raise TypeError("given must be a table")
        return super().sample(n_samples, random_state, given=given)
