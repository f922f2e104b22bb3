"""Tables of numbers, whole numbers and categories: encoded for the network, and decoded again.

A mixed table has a density with respect to Lebesgue measure in its real columns and counting
measure in the others: the probability of the discrete values times the density of the real ones
given them. The model that `sample` draws from gives a discrete value the mass of all the places
that decode to it, P = integral of p over the cell. With noise v of density q inside the cell,
log P >= E log p(x + v) - E log q(v), and sharper log P >= E log mean p(x + v_m) / q(v_m): a lower
bound of a log-probability, exact where the model has the noise that training added. (The density
of the encoded row alone would be no probability: it depends on the encoding.)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.utils.validation import check_is_fitted

from skgm._numerics.qmc import normal_nodes, row_keys
from skgm._sklearn import check_sample_weight
from skgm._validation import check_finite, column_names, validate_table
from skgm.base import DensityEstimator
from skgm.diffusion._scaling import Scaler
from skgm.tables._columns import (
    code_table,
    column_kinds,
    describe_columns,
    encoded_kinds,
    float_frame_schema,
    restore_table,
    table_shape,
)
from skgm.tables._encoding import Encoding, Jitter
from skgm.tables._frames import frame_fault, frame_schema, keep_index, restore_frame

__all__ = ["MixedTables", "combine_bounds"]

_PAIRS = 4  # of noise and its mirror image, per row, for the bound


def combine_bounds(log_ratio: np.ndarray, *, sharp: bool) -> np.ndarray:
    """Return a bound from log p - log q at several draws of noise, (m, ...).

    The logarithm of the mean is nearer to the truth than the mean of logarithms, but a bound only
    where log p itself has no error: errors that average out would raise it.
    """
    if not sharp:
        return np.asarray(log_ratio.mean(axis=0))
    return np.asarray(logsumexp(log_ratio, axis=0) - np.log(len(log_ratio)))


class MixedTables(DensityEstimator):
    """How `DDPM` reads and writes columns that are not real numbers; see there."""

    _mixed: dict[str, Any] | None = None  # "columns" (descriptions) and "shares" of categories

    def _begin_fit(
        self, X: Any, sample_weight: Any = None, *, min_samples: int = 1, **options: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Validate a training table as the base class does; return it encoded, and its weights."""
        self._mixed = None
        kinds = column_kinds(X, self.categorical_features, self.integer_features)
        if kinds is None:
            return super()._begin_fit(X, sample_weight, min_samples=min_samples, **options)
        fault = frame_fault(X)
        if fault is not None:
            raise ValueError(fault)
        described = describe_columns(X, kinds)
        coded = code_table(X, described)
        self._mixed = {"columns": described, "shares": []}
        self._check_no_missing(coded)
        plain = _plain(X, coded)
        _, weight = super()._begin_fit(plain, sample_weight, min_samples=min_samples, **options)
        sizes = [len(about.get("values", ())) for about in described]
        encoding = Encoding.learn(coded, encoded_kinds(described), sizes, weight)
        self._mixed["shares"] = list(encoding.shares)
        self._frame_schema = frame_schema(X)
        return self._encoded(coded, positive=weight), weight

    def _begin_more(self, X: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Validate more training rows, for `partial_fit`."""
        if self._mixed is None:
            table = validate_table(self, X, reset=False)
        else:
            coded = self._coded(X)
            self._check_no_missing(coded)
            table = self._encoded(coded)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, table)
        return table, weight

    def _begin_scoring(self, X: Any, **options: bool) -> np.ndarray:
        """Check that the estimator is fitted; return X validated, and encoded if it is mixed.

        Rows that have probability zero are infinite.
        """
        if self._mixed is None:
            return super()._begin_scoring(X, **options)
        check_is_fitted(self)
        coded = self._coded(X)
        self._check_no_missing(coded)
        return self._encoding().encode(coded)

    def _encoding(self) -> Encoding:
        assert self._mixed is not None
        return Encoding(encoded_kinds(self._mixed["columns"]), self._mixed["shares"])

    def _coded(self, X: Any) -> np.ndarray:
        """Return X coded, NaN for missing values, its columns checked against those of `fit`."""
        assert self._mixed is not None
        fault = frame_fault(X)
        if fault is not None:
            raise ValueError(fault)
        validate_table(self, _plain(X, np.zeros(table_shape(X))), reset=False)  # names and width
        return code_table(X, self._mixed["columns"])

    def _check_no_missing(self, coded: np.ndarray) -> None:
        assert self._mixed is not None
        for about, column in zip(self._mixed["columns"], coded.T):
            if about["kind"] == "category" and np.isnan(column).any():
                raise ValueError(
                    f"Input X contains NaN in column {about['name']!r} (first at row "
                    f"{int(np.argmax(np.isnan(column)))}), a missing category. Drop such rows, or "
                    "give missing values a category of their own."
                )
        check_finite(coded, [str(about["name"]) for about in self._mixed["columns"]])

    def _encoded(self, coded: np.ndarray, positive: np.ndarray | None = None) -> np.ndarray:
        """Encode training rows or known values; refuse what has probability zero.

        Rows whose weight `positive` is zero are as if absent.
        """
        assert self._mixed is not None
        counted = slice(None) if positive is None else positive > 0
        for about, share, column in zip(self._mixed["columns"], self._mixed["shares"], coded.T):
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
                    "such rows, or give the column another kind by categorical_features and "
                    "integer_features."
                )
        encoded = self._encoding().encode(coded)
        if not encoded.shape[1]:
            raise ValueError(
                "Every column of X is a category with a single value: there is nothing to learn. "
                "Give a table with a column that varies."
            )
        return encoded

    def _check_not_mixed(self, what: str) -> None:
        if self._mixed is None:
            return
        named = [about["name"] for about in self._mixed["columns"] if about["kind"] != "real"]
        raise ValueError(
            f"This fit has no {what}. Columns {named} are categories or integers; fit to the "
            "others alone, or with categorical_features=None and integer_features=None."
        )

    def _noisy_copies(
        self, encoded: np.ndarray, *, n_pairs: int | None = None, seed: int = 0, stream: int = 1
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield encoded rows with noise of their own, and the log-density of that noise."""
        encoding = self._encoding()
        keys = row_keys(Scaler(**self._scaling).scale(encoded), seed)
        pairs = _PAIRS if n_pairs is None else n_pairs
        for normal in normal_nodes(keys, int(encoding.is_noisy.sum()), pairs, stream):
            noise, log_density = encoding.noise(normal)
            yield encoded + noise, log_density

    def _jitter(self) -> Jitter | None:
        if self._mixed is None:
            return None
        active = self._scaling["n_active"]
        return Jitter(self._encoding(), self._scaling["forward"][:, :active])

    def _sample_bounds(self) -> np.ndarray:
        """Return the range of each encoded column that samples are clipped to, (2, width)."""
        if self._mixed is None:
            return np.asarray(self._range)
        return np.where(self._encoding().is_bits, np.array([[-np.inf], [np.inf]]), self._range)

    def _decoded(self, rows: np.ndarray) -> np.ndarray:
        return self._encoding().decode(rows, *self._range)

    def _to_container(self, rows: np.ndarray, schema: dict[str, Any] | None) -> Any:
        """Put drawn rows into the data frame that `schema` describes, if any; decode mixed ones."""
        if self._mixed is None:
            return super()._to_container(rows, schema)
        super()._to_container(rows, None)  # refuses what is not finite
        coded = self._decoded(rows)
        return restore_table(coded, self._mixed["columns"], schema, self._sample_dtype)

    def _complete(self, given: Any, n_samples: int, rng: np.random.Generator) -> Any:
        """Return completions of mixed rows: missing values drawn, the others as they are."""
        assert self._mixed is not None
        rows = np.repeat(self._coded(given), n_samples, axis=0)
        hole = np.isnan(rows)
        check_finite(np.where(hole, 0.0, rows), column_names(self, rows.shape[1]))
        encoding, encoded = self._encoding(), self._encoded(rows)
        normal = rng.standard_normal((len(rows), int(encoding.is_noisy.sum())))
        drawn = self._decoded(self._draw_given(encoded + encoding.noise(normal)[0], 1, rng))
        rows[hole] = drawn[hole]
        schema = frame_schema(given)
        if schema is None and self._frame_schema is not None:  # bits of `given` outrank dtypes
            schema = self._frame_schema | {"dtypes": ["Float64"] * rows.shape[1]}
        columns = self._mixed["columns"]
        return keep_index(restore_table(rows, columns, schema, "float64"), given, n_samples)


def _plain(X: Any, coded: np.ndarray) -> Any:
    """Return a coded table in a frame with the columns of X, where X is a frame."""
    schema = float_frame_schema(X, coded.shape[1])
    if schema is not None:
        return restore_frame(coded, schema)
    dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
    return coded.astype(dtype)
