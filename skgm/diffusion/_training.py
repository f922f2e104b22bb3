"""The training loop: any learner, mini-batches, early stopping, divergence."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._random import MinibatchSampler
from skgm._warnings import warn_user
from skgm.diffusion._network import N_TIME
from skgm.diffusion._process import NoiseLevels, noisy_pairs, prediction_gain

__all__ = ["Batches", "History", "Learner", "Plan", "Table", "make_pairs", "train"]

# The loss in units of that of the fitted Gaussian: one that grows beyond this does not come back,
# and one that ends above the second is worse than no network at all. One epoch of a learner that
# `starts_anywhere` (random weights) may be that, and get better with the next: only the first then.
_DIVERGED, _WORSE_THAN_GAUSSIAN = 10.0, 1.2
_LAST = 10  # epochs to judge the end by: single ones are noisy in short tables
_VALIDATION_PAIRS = 1024
_LOOKS = 100  # at most, at the held-out loss
_AT_ONCE = 1 << 17  # values of noisy rows, with their features, that are drawn at once


class Learner(Protocol):
    """What the loop trains: our network, or a regressor with `partial_fit`."""

    def prepare(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> tuple[Any, ...]:
        """Return what updates need, of many batches at once: arrays of n rows, or None."""

    def update(self, batch: tuple[Any, ...], k: int) -> float:
        """Make the k-th update, on rows of what `prepare` returned; return the loss before it."""

    def loss(
        self, u: np.ndarray, phi: np.ndarray, codes: np.ndarray | None, target: np.ndarray
    ) -> np.ndarray:
        """Return the squared error of every row, (n,), of what the fit would return now."""

    def snapshot(self) -> Any:
        """Return a copy of what the fit would return now."""

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot."""


@dataclass(frozen=True)
class Table:
    """Scaled rows, (n, d), with the code of each row's class and its weight, or None.

    `jitter`, with ``draw(n, codes, rng)``, is noise that the data have, fresh at every look.
    """

    rows: np.ndarray
    codes: np.ndarray | None = None
    weight: np.ndarray | None = None
    jitter: Any = None

    @property
    def n_rows(self) -> float:
        """Number of rows, or sum of their weights."""
        return float(len(self.rows) if self.weight is None else self.weight.sum())

    def take(self, index: np.ndarray) -> "Table":
        """Return some of the rows."""
        parts = (None if part is None else part[index] for part in (self.codes, self.weight))
        codes, weight = parts
        return Table(self.rows[index], codes, weight, self.jitter)

    def jittered(self, rng: np.random.Generator) -> "Table":
        """Return the rows with noise of their own, if they have any."""
        if self.jitter is None:
            return self
        noise = self.jitter.draw(len(self.rows), self.codes, rng).astype(self.rows.dtype)
        return Table(self.rows + noise, self.codes, self.weight)


@dataclass(frozen=True)
class Plan:
    """How long to train, on what noise, and when to stop."""

    levels: NoiseLevels
    n_updates: int
    batch_size: int
    one_epoch: bool = False
    prediction: str = "v"
    patience: int | None = None  # looks without a better held-out loss; None: no early stopping
    tolerance: float = 1e-4


@dataclass
class History:
    """What happened: mean loss per epoch, held-out loss per look, updates made, how it ended."""

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    n_updates: int = 0
    diverged: bool = False


class Batches:
    """Noisy rows and targets, epoch by epoch; several batches are drawn and prepared at once."""

    def __init__(self, table: Table, plan: Plan, rng: np.random.Generator) -> None:
        parts = [table.rows] if table.codes is None else [table.rows, table.codes[:, None]]
        self._table, self._plan, self._rng = table, plan, rng
        self._sampler = MinibatchSampler(np.hstack(parts), table.weight, plan.batch_size)

    def epoch(self, learner: Learner) -> Iterator[tuple[tuple[Any, ...], float]]:
        """Yield batches for `learner.update`, and the loss that F = 0 has on each.

        A small table is repeated, under fresh noise.
        """
        most = max(1, _AT_ONCE // (self._plan.batch_size * (self._table.rows.shape[1] + N_TIME)))
        batches = self._sampler.epoch(self._rng)
        while group := list(islice(batches, most)):
            group = [
                np.repeat(index, max(1, self._plan.batch_size // len(index))) for index in group
            ]
            sizes = [len(index) for index in group]
            rows = self._table.take(np.concatenate(group))
            pairs = make_pairs(rows, self._plan, self._rng, sizes)
            prepared, target = learner.prepare(*pairs), pairs[-1]
            for stop, size in zip(accumulate(sizes), sizes):
                part = slice(stop - size, stop)
                batch = tuple(None if array is None else array[part] for array in prepared)
                gaussian = float(np.vdot(target[part], target[part])) / target[part].size
                yield batch, gaussian


def make_pairs(
    table: Table, plan: Plan, rng: np.random.Generator, sizes: Sequence[int] | None = None
) -> tuple[Any, ...]:
    """Return (u, phi, codes, target) for the rows of a table: fresh noise, stratified levels.

    `sizes` of batches, if these are several: levels are stratified in each.
    """
    table = table.jittered(rng)
    sizes = [len(table.rows)] if sizes is None else sizes
    phi = plan.levels.draw(sizes, rng)
    noise = rng.standard_normal(table.rows.shape, dtype=table.rows.dtype)
    u, target = noisy_pairs(table.rows, noise, phi)
    if plan.prediction != "v":
        target /= prediction_gain(plan.prediction, phi).astype(u.dtype)[:, None]
    return u, phi, table.codes, target


class _Validation:
    """The loss on held-out rows under noise drawn once; the best learner so far."""

    def __init__(self, held_out: Table, plan: Plan, rng: np.random.Generator) -> None:
        copies = max(1, _VALIDATION_PAIRS // len(held_out.rows))
        table = held_out.take(np.tile(np.arange(len(held_out.rows)), copies))
        self._pairs, self._weight = make_pairs(table, plan, rng), table.weight
        self._patience, self._tolerance = plan.patience, plan.tolerance
        self._every, self._next = max(1, plan.n_updates // _LOOKS), 0
        self._best, self._since = np.inf, 0
        self.snapshot: Any = None

    def is_time_to_stop(self, learner: Learner, history: History) -> bool:
        """Look at the held-out loss, unless the last look was a few updates ago."""
        if history.n_updates < self._next:
            return False
        self._next = history.n_updates + self._every
        loss = float(np.average(learner.loss(*self._pairs), weights=self._weight))
        history.validation_losses.append(loss)
        better = loss < self._best - self._tolerance
        self._since = 0 if better else self._since + 1
        if loss < self._best:
            self._best, self.snapshot = loss, learner.snapshot()
        return self._patience is not None and self._since >= self._patience


def train(
    learner: Learner,
    table: Table,
    plan: Plan,
    rng: np.random.Generator,
    *,
    held_out: Table | None = None,
    on_epoch: Callable[[Callable[[], Any], History], bool],
) -> History:
    """Train the learner in place.

    `on_epoch(run, history)` is called for each epoch; it calls `run` and returns whether to stop.
    The weights that a fit ends with are those of the best epoch on the held-out rows, if there
    are any, and those of the best epoch of all after a divergence, which warns.
    """
    history = History()
    batches = Batches(table, plan, rng)
    watch = None if held_out is None else _Validation(held_out, plan, rng)
    safe, safe_loss, gaussian = learner.snapshot(), np.inf, list[float]()

    def run() -> None:
        losses, of_gaussian = list[float](), list[float]()
        for batch, without in batches.epoch(learner):
            losses.append(learner.update(batch, history.n_updates))
            of_gaussian.append(without)
            history.n_updates += 1
            if not math.isfinite(losses[-1]) or history.n_updates >= plan.n_updates:
                break
        history.losses.append(float(np.mean(losses)))
        gaussian.append(float(np.mean(of_gaussian)))

    stop = False
    while not stop:
        stop = on_epoch(run, history) or plan.one_epoch
        loss = history.losses[-1]
        history.diverged = not loss <= _DIVERGED * gaussian[-1]
        if history.diverged:
            break
        if loss < safe_loss:
            safe, safe_loss = learner.snapshot(), loss
        stop |= watch is not None and watch.is_time_to_stop(learner, history)
        stop |= history.n_updates >= plan.n_updates
    if not (plan.one_epoch and getattr(learner, "starts_anywhere", False)):
        at_the_end = np.mean(history.losses[-_LAST:]) / np.mean(gaussian[-_LAST:])
        history.diverged |= not at_the_end <= _WORSE_THAN_GAUSSIAN
    _finish(learner, history, safe, watch)
    return history


def _finish(learner: Learner, history: History, safe: Any, watch: _Validation | None) -> None:
    if history.diverged:
        learner.restore(safe)
        warn_user(
            f"The fit diverged after {history.n_updates} updates: the loss rose to "
            f"{history.losses[-1]:.3g}, where the fitted Gaussian has about 1. The best weights "
            "so far are kept. Lower learning_rate, or look for extreme rows in X.",
            ConvergenceWarning,
        )
        if not np.isfinite(history.losses[-1]):
            history.losses.pop()
    elif watch is not None and watch.snapshot is not None:
        learner.restore(watch.snapshot)
