"""Epochs of a choice among many classes: rows held out, mini-batches, early stopping."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from skgm._random import MinibatchSampler
from skgm.nce._vocabulary._class_model import ClassModel
from skgm.nce._vocabulary._loop import EpochHistory, train_epochs

__all__ = ["Schedule", "hold_out", "run_epoch", "train_by_batches"]

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
    return train_epochs(
        lambda: run_epoch(model, X, y, sampler.epoch(rng), schedule.learning_rate, rng),
        model.snapshot,
        model.restore,
        max_iter=schedule.max_iter,
        held_out_loss=(lambda: float(model.losses(X_held, y_held).mean())) if len(held) else None,
        n_iter_no_change=schedule.n_iter_no_change,
        tol=schedule.tol,
        on_epoch=on_epoch,
    )


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
