"""A choice among many classes, linear in the columns or through few directions of them."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, issparse
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skgm._numerics.epochs import EpochHistory, LogNormalizerStats, train_epochs
from skgm._random import MinibatchSampler
from skgm._sklearn import check_sample_weight
from skgm._validation import validate_table
from skgm._warnings import warn_user
from skgm.nce._vocabulary.sampled_softmax import (
    AdagradRows,
    DistinctClasses,
    OutputTable,
    noise_probabilities,
)

__all__ = [
    "ClassModel",
    "Schedule",
    "SoftmaxPrediction",
    "batch_noise",
    "begin_labeled",
    "codes_of",
    "first_classes",
    "hold_out",
    "run_epoch",
    "start_model",
    "train_by_batches",
]

_DECAY_EVERY = 16  # batches; a penalty on all classes after each batch would cost as much as it


def batch_noise(
    counts: np.ndarray, *, loss: str, n_noise: int, power: float
) -> DistinctClasses | None:
    """Return where noise classes come from; None where the loss is over all classes."""
    if loss == "full" or len(counts) <= n_noise:
        return None
    return DistinctClasses(noise_probabilities(counts, power), n_noise)


class ClassModel:
    """Scores (X A) W' + b of classes, or X W' + b, and their training by batches in float32.

    Parameters
    ----------
    weights, bias : ndarray of shape (n_classes, r) and (n_classes,)
        W and b; changed in place.
    projection : ndarray of shape (d, r) or None
        A; changed in place.
    loss : {"ranking", "nce", "full"}
        What a step descends.
    noise : DistinctClasses or None
        Where noise classes come from; None for a loss over all classes.
    alpha : float
        Ridge: alpha / 2 times the squares of W and A is added to the mean loss.
    """

    def __init__(
        self,
        weights: np.ndarray,
        bias: np.ndarray,
        projection: np.ndarray | None,
        *,
        loss: str,
        noise: DistinctClasses | None,
        alpha: float,
    ) -> None:
        chosen = loss if noise is not None else "full"
        self.table = OutputTable(weights, bias, loss=chosen, noise=noise)
        self.projection = None if projection is None else AdagradRows(projection)
        self.alpha, self._undecayed = alpha, 0

    def represent(self, X: Any) -> np.ndarray:
        """Return what the classes are scored on, (n, r), in float32."""
        rows = X.astype(np.float32, copy=False)
        if self.projection is not None:
            return np.asarray(rows @ self.projection.values)
        return rows.toarray() if issparse(rows) else rows

    def step(self, X: Any, y: np.ndarray, rng: np.random.Generator, learning_rate: float) -> float:
        """Descend on one batch; return its mean loss before."""
        H = self.represent(X)
        loss, gradient = self.table.step(H, y, rng, learning_rate)
        if self.projection is not None:
            _descend(self.projection, X, gradient, learning_rate)
        self._undecayed += 1
        if self._undecayed == _DECAY_EVERY:
            self.decay(learning_rate)
        return loss

    def decay(self, learning_rate: float) -> None:
        """Shrink W and A by the penalty of the batches since the last call.

        An implicit step, of the size that each row has: it cannot overshoot zero.
        """
        strength = self._undecayed * self.alpha * learning_rate
        self._undecayed = 0
        if not strength:
            return
        for rows in (self.table._weights, self.projection):
            if rows is not None:
                rows.values /= 1.0 + (strength / np.sqrt(rows.squares))[:, None]

    def losses(self, X: Any, y: np.ndarray) -> np.ndarray:
        """Return the exact log-loss of each row, (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks for divergence
            true, normalizer = self.table.log_likelihood(self.represent(X), y)
            return normalizer - true

    @property
    def state(self) -> dict[str, np.ndarray]:
        """Parameters and the squares behind their step sizes, by name."""
        kept = {"weights": self.table._weights, "bias": self.table._bias}
        if self.projection is not None:
            kept["projection"] = self.projection
        values = {name: table.values for name, table in kept.items()}
        return values | {f"{name}_squares": table.squares for name, table in kept.items()}

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return a copy of the state."""
        return {name: array.copy() for name, array in self.state.items()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Go back to a snapshot, or on from the state of another model of this shape."""
        for name, array in self.state.items():
            array[...] = snapshot[name]


def _descend(projection: AdagradRows, X: Any, gradient: np.ndarray, learning_rate: float) -> None:
    """Hand the gradient of a batch (n, r) on to A; of sparse rows, to the columns in use."""
    if not issparse(X):
        slope = X.astype(np.float32, copy=False).T @ gradient
        projection.update(slice(None), slope, learning_rate)
        return
    columns, place = np.unique(X.indices, return_inverse=True)
    parts = X.data.astype(np.float32), place.ravel(), X.indptr
    packed = csr_array(parts, shape=(X.shape[0], len(columns)))
    projection.update(columns, packed.T @ gradient, learning_rate)


def start_model(
    counts: np.ndarray, n_features: int, rank: int | None, rng: np.random.Generator, **options: Any
) -> ClassModel:
    """Return the model that knows the class frequencies and nothing else."""
    bias = np.log(np.maximum(counts, 0.5) / counts.sum()).astype(np.float32)
    weights = np.zeros((len(counts), n_features if rank is None else rank), dtype=np.float32)
    projection = None
    if rank is not None:
        projection = rng.standard_normal((n_features, rank), dtype=np.float32)
        projection /= np.float32(np.sqrt(n_features))
    return ClassModel(weights, bias, projection, **options)


# Epochs of a choice among many classes: rows held out, mini-batches, early stopping.

_MAX_HELD_OUT = 5_000  # rows: their exact loss after each epoch must cost less than the epoch


class Schedule(NamedTuple):
    """How the batches go.

    Attributes
    ----------
    learning_rate : float
        Of Adagrad.
    batch_size : int
        Largest size of a batch.
    max_iter : int
        Most epochs.
    validation_fraction : float
        Share of the rows held out; 0 for none, and then no early stopping.
    n_iter_no_change : int
        Epochs without improvement before training stops.
    tol : float
        What counts as an improvement, in nats per row.
    """

    learning_rate: float
    batch_size: int
    max_iter: int
    validation_fraction: float
    n_iter_no_change: int
    tol: float


def train_by_batches(
    model: ClassModel,
    X: Any,
    y: np.ndarray,
    weight: np.ndarray,
    schedule: Schedule,
    rng: np.random.Generator,
    on_epoch: Callable[[Callable[[], None]], bool],
) -> EpochHistory:
    """Train `model` in place, up to the epoch of the least held-out log-loss."""
    held, training = np.empty(0, dtype=np.intp), weight
    if schedule.validation_fraction:
        held, training = hold_out(X, y, weight, schedule.validation_fraction, rng)
    sampler = MinibatchSampler(row_keys(X, y), training, schedule.batch_size)
    X_held, y_held = X[held], y[held]
    history = train_epochs(
        lambda: run_epoch(model, X, y, sampler.epoch(rng), schedule.learning_rate, rng),
        model.snapshot,
        model.restore,
        max_iter=schedule.max_iter,
        held_out_loss=(lambda: float(model.losses(X_held, y_held).mean())) if len(held) else None,
        n_iter_no_change=schedule.n_iter_no_change,
        tol=schedule.tol,
        on_epoch=on_epoch,
    )
    if history.fault is not None:
        warn_user(history.fault, ConvergenceWarning)
    return history


def run_epoch(
    model: ClassModel,
    X: Any,
    y: np.ndarray,
    batches: Any,
    learning_rate: float,
    rng: np.random.Generator,
) -> float:
    """Make a step per batch of row numbers; return the mean loss per row."""
    total, n_rows = 0.0, 0
    with np.errstate(over="ignore", invalid="ignore"):  # divergence is looked for by the caller
        for batch in batches:
            total += len(batch) * model.step(X[batch], y[batch], rng, learning_rate)
            n_rows += len(batch)
        model.decay(learning_rate)
    return total / n_rows


def hold_out(
    X: Any, y: np.ndarray, weight: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of held-out rows, and what is left of the weights of all rows.

    A row of weight w is w rows, of which some may be held out. No class loses all its rows.
    """
    sampler = MinibatchSampler(row_keys(X, y), weight, 1)
    wanted = int(min(_MAX_HELD_OUT, np.ceil(fraction * sampler.n_slots)))
    held = sampler.draw(min(wanted, sampler.n_slots - 1), rng)
    left = np.maximum(weight - np.bincount(held, minlength=len(y)), 0.0)
    emptied = np.bincount(y, weights=left) == 0
    held = held[~emptied[y[held]]]
    return held, np.maximum(weight - np.bincount(held, minlength=len(y)), 0.0)


def row_keys(X: Any, y: np.ndarray) -> np.ndarray:
    """Return a table whose rows are equal where rows and labels are, for an order of them."""
    if not issparse(X):
        return np.column_stack([X, y])
    direction = np.random.default_rng(0).standard_normal(X.shape[1])
    return np.column_stack([X @ direction, y])


# Validation of labeled tables, and codes for labels.


def begin_labeled(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Validate; return table (array or CSR), labels (n,) and weights (n,), all positive."""
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y "
            "is None."
        )
    table = validate_table(estimator, X, reset=reset, accept_sparse=True)
    labels = column_or_1d(y, warn=True)
    assert_all_finite(labels, input_name="y")
    with warnings.catch_warnings():  # many classes, and few rows of a stream, are meant here
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        check_classification_targets(labels)
    if len(labels) != table.shape[0]:
        raise ValueError(
            f"y has {len(labels)} labels for the {table.shape[0]} rows of X; inconsistent numbers "
            "of samples."
        )
    if sample_weight is None:
        return table, labels, np.ones(len(labels))
    weight = check_sample_weight(sample_weight, table)
    counted = weight > 0
    return table[counted], labels[counted], weight[counted]


def first_classes(classes: Any, name: str) -> np.ndarray:
    """Return the sorted classes that the first call of `partial_fit` is told of.

    Raises
    ------
    ValueError
        None, fewer than two, or repeated ones.
    """
    if classes is None:
        raise ValueError(
            f"classes must be passed on the first call to {name}.partial_fit: all labels that "
            "will ever come, in any order."
        )
    given = column_or_1d(classes)
    distinct = np.unique(given)
    if len(distinct) < 2 or len(distinct) < len(given):
        raise ValueError(
            f"classes must name at least two distinct classes, each once; got {len(given)} labels, "
            f"{len(distinct)} of them distinct."
        )
    return distinct


def codes_of(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the positions of labels among the sorted classes, (n,).

    Raises
    ------
    ValueError
        A label that is none of the classes.
    """
    place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    unknown = classes[place] != labels
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"y holds the label {labels.tolist()[row]!r} (row {row}), which is none of the "
            f"{len(classes)} classes given to the first call of partial_fit. Name all there."
        )
    return place


# What a fitted choice among many classes predicts: exact, in chunks of rows.

_CHUNK = 2**22  # scores held at once


class SoftmaxPrediction:
    """The half of NCEClassifier that comes after `coef_`, `intercept_` and `projection_`."""

    classes_: np.ndarray
    coef_: np.ndarray
    intercept_: np.ndarray
    projection_: np.ndarray | None

    def _begin_predicting(self, X: Any) -> Any:
        check_is_fitted(self)
        return validate_table(self, X, reset=False, accept_sparse=True)

    def _scores(self, table: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield parts of the rows and the scores of all classes there, in float64."""
        coef = self.coef_.astype(np.float64, copy=False)
        n_rows = max(1, _CHUNK // len(coef))
        for start in range(0, table.shape[0], n_rows):
            part = slice(start, start + n_rows)
            rows = table[part].astype(np.float64, copy=False)
            if self.projection_ is not None:
                rows = rows @ self.projection_.astype(np.float64, copy=False)
            yield part, rows @ coef.T + self.intercept_

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the scores of the classes: log-probabilities up to the log-normalizer of the row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; for two classes (n_samples,), the log-odds of the second.
        """
        table = self._begin_predicting(X)
        scores = np.empty((table.shape[0], len(self.classes_)))
        for part, values in self._scores(table):
            scores[part] = values
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the log-probabilities of the classes, normalized exactly.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        table = self._begin_predicting(X)
        values = np.empty((table.shape[0], len(self.classes_)))
        for part, scores in self._scores(table):
            values[part] = scores - logsumexp(scores, axis=1, keepdims=True)
        return values

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; rows sum to one.
        """
        probability = self.predict_log_proba(X)
        return np.exp(probability, out=probability)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Of `classes_`.
        """
        table = self._begin_predicting(X)
        best = np.empty(table.shape[0], dtype=np.intp)
        for part, scores in self._scores(table):
            best[part] = scores.argmax(axis=1)
        return self.classes_[best]

    def log_normalizer_stats(self, X: Any) -> LogNormalizerStats:
        """Return how far the exponentials of the scores are from summing to one.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        stats : LogNormalizerStats
            Frozen; `mean` and `sd` of the log of the sum over classes. Both are near zero after
            ``loss="nce"``: there the score of one class alone is nearly its log-probability.
        """
        table = self._begin_predicting(X)
        return LogNormalizerStats.of(
            np.concatenate([logsumexp(scores, axis=1) for _, scores in self._scores(table)])
        )
