"""Trains a linear choice among many classes by mini-batches and sampled losses."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.epochs import EpochHistory, bounded_repetitions, train_epochs
from skgm._numerics.optimizers import AdagradRows
from skgm._random import MinibatchSampler
from skgm._warnings import warn_user
from skgm.nce._vocabulary.sampled_softmax import DistinctClasses, OutputTable, noise_probabilities

__all__ = [
    "ClassModel",
    "Schedule",
    "batch_noise",
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

    def is_finite(self) -> bool:
        """Return whether all parameters are finite numbers."""
        return all(
            np.isfinite(array).all()
            for name, array in self.state.items()
            if not name.endswith("_squares")
        )

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
    """Train `model` in place, up to the epoch of the least held-out log-loss.

    A row of weight w counts as w rows; weights that sum to more than a bound are scaled down
    together (see `bounded_repetitions`).
    """
    weight = bounded_repetitions(weight)
    held, training = np.empty(0, dtype=np.intp), weight
    if schedule.validation_fraction:
        held, training = hold_out(X, y, weight, schedule.validation_fraction, rng)
    sampler = MinibatchSampler(row_keys(X, y), training, schedule.batch_size)
    X_held, y_held = X[held], y[held]
    history = train_epochs(
        model,
        lambda: run_epoch(model, X, y, sampler.epoch(rng), schedule.learning_rate, rng),
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
