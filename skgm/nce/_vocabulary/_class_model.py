"""A choice among many classes, linear in the columns or through few directions of them."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from skgm.nce._vocabulary._noise import DistinctClasses, noise_probabilities
from skgm.nce._vocabulary._training import AdagradRows, OutputTable

__all__ = ["ClassModel", "batch_noise", "start_model"]

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
