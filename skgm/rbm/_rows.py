"""Reads tables of visible units: thresholds them, and writes dense or sparse rows into batches."""

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from skgm._warnings import warn_user
from skgm.rbm._energy import hidden_probabilities, visible_probabilities
from skgm.tables._validation import check_finite, column_names

__all__ = [
    "IncompleteRows",
    "TrainingRows",
    "as_units",
    "check_complete",
    "choose_threshold",
    "dense",
    "without_holes",
]

_ROUNDING = 1e-5  # what rescaling to [0, 1] in float32 may overshoot by
_DEFAULT_THRESHOLD = 0.5
_LONG_EPOCH = 25_000  # rows: weights may make an epoch as long as this, whatever the table


def check_complete(table: Any, estimator: Any) -> None:
    """Raise a ValueError that names the column and row of NaN or infinity, and the cures."""
    try:
        check_finite(table, column_names(estimator, table.shape[1]))
    except ValueError as error:
        cure = "A model fitted to complete rows fills NaN by its `impute`."
        raise ValueError(f"{error} {cure}") from None


def without_holes(table: Any, estimator: Any) -> tuple[Any, np.ndarray | None]:
    """Return a table with zeros for its NaN, and where they were; None if there are none.

    Raises
    ------
    ValueError
        NaN in a sparse table or where the estimator takes none, a column without values.
    """
    if estimator.missing == "raise" or sparse.issparse(table) or not np.isnan(table).any():
        check_complete(table, estimator)
        return table, None
    holes = np.isnan(table)
    names = column_names(estimator, table.shape[1])
    if holes.all(axis=0).any():
        raise ValueError(
            f"Column {names[int(np.argmax(holes.all(axis=0)))]!r} of X has no value at all, so "
            "there is nothing to learn about it. Drop the column."
        )
    for option, wanted in (("method", "exact"), ("early_stopping", True)):
        if getattr(estimator, option) == wanted:
            raise ValueError(
                f"{option}={wanted!r} needs complete rows, and X has holes. Use method='pcd' "
                "without early_stopping, or impute the table first."
            )
    filled = np.where(holes, table.dtype.type(0), table)
    check_finite(filled, names)
    return filled, holes


def choose_threshold(X: Any, binarize: float | None) -> float | None:
    """Return where values of a training table turn from 0 to 1; None to take them as they are.

    Warns
    -----
    DataConversionWarning
        Values outside [0, 1], and nothing said about them.
    """
    if binarize is not None:
        return float(binarize)
    values = X.data if sparse.issparse(X) else X
    if not values.size or (values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING):
        return None
    warn_user(
        f"BernoulliRBMCD models units that are 0 or 1; X has values from {values.min():.4g} to "
        f"{values.max():.4g}. All tables are taken as X > {_DEFAULT_THRESHOLD}: choose the "
        "threshold with `binarize`, or rescale the columns to [0, 1] before fitting.",
        DataConversionWarning,
    )
    return _DEFAULT_THRESHOLD


def as_units(X: Any, threshold: float | None) -> Any:
    """Return X with values in [0, 1], in its own dtype; sparse where it can stay so."""
    if threshold is None:
        if sparse.issparse(X):
            X = X.copy()
            np.clip(X.data, 0, 1, out=X.data)
            return X
        return np.clip(X, 0, 1)
    if sparse.issparse(X):
        if threshold < 0:  # zeros become ones
            return as_units(X.toarray(), threshold)
        X = X.copy()
        X.data = (X.data > threshold).astype(X.dtype)
        return X
    return np.greater(X, threshold).astype(X.dtype)


def dense(X: Any) -> np.ndarray:
    """Return a dense array of the same values."""
    return X.toarray() if sparse.issparse(X) else X


class TrainingRows:
    """The rows of a table of units, ready to be written into mini-batches.

    A gray value, strictly between 0 and 1, is the probability that the unit is on: rows with gray
    values are drawn afresh at each presentation. (With the probabilities themselves in place of
    draws the columns would vary less than 0 and 1 do, and no weights at all could be the optimum.)

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, m)
        Values in [0, 1].
    weight : ndarray of shape (n,) or None
        Weights of the rows.

    Attributes
    ----------
    gray : bool
        Whether there are gray values.
    """

    def __init__(self, X: Any, weight: np.ndarray | None) -> None:
        self._rows = X
        self._is_sparse = sparse.issparse(X)
        self._table: np.ndarray | None = None
        self._mean: np.ndarray | None = None
        self.weight = weight
        self.n_rows, self.n_units = X.shape
        values = X.data if self._is_sparse else X
        self.gray = not bool(((values == 0) | (values == 1)).all())

    @property
    def keys(self) -> np.ndarray:
        """What decides the order of the rows in a sampler, (n, ...): the same for equal rows.

        Of sparse rows a random projection, which differs between rows that differ almost surely.
        """
        if not self._is_sparse:
            return self._rows if self.gray else np.packbits(self._rows == 1, axis=1)
        rows = self._rows.copy()
        rows.sum_duplicates()  # columns in order: equal rows have equal sums
        rows.eliminate_zeros()
        return rows @ np.random.default_rng(0).random((self.n_units, 1))

    def bounded(self) -> "TrainingRows":
        """Return rows of which an epoch takes a bounded number, however large the weights.

        The sum of the weights is reduced to 25,000, or to the number of distinct rows if that is
        more. Equal rows become one, so that weights stay repetitions.
        """
        total = self.n_rows if self.weight is None else self.weight.sum()
        if total <= _LONG_EPOCH:
            return self
        weight = np.ones(self.n_rows) if self.weight is None else self.weight
        counted = np.flatnonzero(weight > 0)
        keys = np.ascontiguousarray(self.keys[counted])
        keys = keys.view(np.dtype((np.void, keys.itemsize * keys[0].size))).ravel()
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        most = max(_LONG_EPOCH, len(first))
        if total <= most:
            return self
        merged = np.bincount(which.ravel(), weight[counted]) * (most / total)
        return self._part(counted[first], merged)

    def _part(self, rows: np.ndarray, weight: np.ndarray) -> "TrainingRows":
        return TrainingRows(self._rows[rows], weight)

    def follow(self, kernel: Any) -> None:
        """Take the parameters of a kernel for those that holes are drawn with: there are none."""

    def mean(self) -> np.ndarray:
        """Return the mean of each unit, drawn to 1/2 by one row: never 0 nor 1."""
        if self._mean is None:
            weight = np.ones(self.n_rows) if self.weight is None else self.weight
            self._mean = (weight @ self._rows + 0.5) / (weight.sum() + 1.0)
        return self._mean

    def draw(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return rows as a new dense array of 0 and 1."""
        rows = dense(self._rows[indices])
        return (rng.random(rows.shape) < rows).astype(rows.dtype) if self.gray else rows

    def reweighted(self, weight: np.ndarray) -> "TrainingRows":
        """Return the same rows with other weights."""
        return TrainingRows(self._rows, weight)

    def all(self) -> np.ndarray:
        """Return all rows as a dense array."""
        return dense(self._rows)

    def center(self, center: np.ndarray) -> None:
        """Subtract `center` (m + 1,), whose last entry is zero, from all rows written later."""
        self._center = center
        if not (self._is_sparse or self.gray):
            table = np.ones((self.n_rows, self.n_units + 1), dtype=np.float32)
            table[:, :-1] = self._rows
            table -= center
            self._table = table

    def write(self, indices: np.ndarray, out: np.ndarray, rng: np.random.Generator) -> None:
        """Write centered rows, and a column of ones, into `out`, (len(indices), m + 1) float32."""
        if self._table is not None:
            self._table.take(indices, axis=0, out=out, mode="clip")  # "raise" would buffer
            return
        rows = dense(self._rows[indices])
        out[:, :-1] = rng.random(rows.shape, dtype=np.float32) < rows if self.gray else rows
        out[:, -1] = 1.0
        out -= self._center


class IncompleteRows(TrainingRows):
    """Rows with holes, which are units like the hidden ones: drawn given the rest.

    Each row keeps the last draw of its holes. A step of the Gibbs chain, hidden units and then
    holes, is made from there whenever the row is looked at, with the parameters of that moment. So
    the gradient is, in the long run, that of the likelihood of what is observed.

    Parameters
    ----------
    X : ndarray of shape (n, m)
        Values in [0, 1]; those in holes do not matter.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    holes : ndarray of shape (n, m), bool
    rng : numpy Generator
        Draws the first values of holes, from the means of the columns.
    """

    def __init__(
        self, X: np.ndarray, weight: np.ndarray | None, holes: np.ndarray, rng: np.random.Generator
    ) -> None:
        super().__init__(np.where(holes, 0, X), weight)
        share = np.ones(len(X)) if weight is None else weight
        self._mean = (share @ self._rows + 0.5) / (share @ ~holes + 1.0)
        self._holes, self._rng = holes, rng
        self._observed = self._rows
        drawn = rng.random(X.shape) < self._mean
        self._rows = np.where(holes, drawn, X).astype(X.dtype)

    @property
    def keys(self) -> np.ndarray:
        """What is observed of the rows, and where the holes are."""
        if self.gray:
            return np.hstack([self._observed, self._holes])
        return np.packbits(np.hstack([self._observed == 1, self._holes]), axis=1)

    def _part(self, rows: np.ndarray, weight: np.ndarray) -> "TrainingRows":
        return IncompleteRows(self._observed[rows], weight, self._holes[rows], self._rng)

    def follow(self, kernel: Any) -> None:
        """Draw holes with the parameters of a kernel from now on."""
        self._kernel = kernel

    def center(self, center: np.ndarray) -> None:
        """Subtract `center` (m + 1,), whose last entry is zero, from all rows written later."""
        self._center = center

    def write(self, indices: np.ndarray, out: np.ndarray, rng: np.random.Generator) -> None:
        """Draw the holes anew, and write the rows as in the base class."""
        parameters, before = self._kernel.unpack(self._kernel.matrix), self._rows[indices]
        units = (rng.random(before.shape) < before).astype(np.float64) if self.gray else before
        hidden = hidden_probabilities(units, parameters)
        hidden = (rng.random(hidden.shape) < hidden).astype(np.float64)
        drawn = rng.random(before.shape) < visible_probabilities(hidden, parameters)
        holes = self._holes[indices]
        self._rows[indices] = np.where(holes, drawn, before)
        out[:, :-1] = np.where(holes, drawn, units)
        out[:, -1] = 1.0
        out -= self._center
