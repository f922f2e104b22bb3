"""Trains a denoiser on mini-batches of noisy rows, and measures the error it ends with."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import accumulate, islice
from typing import Any, Protocol

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.optimizers import learning_rate_decay
from skgm._random import MinibatchSampler
from skgm._warnings import warn_user
from skgm.diffusion._process import NoiseLevels, noisy_pairs, prediction_gain

__all__ = [
    "ERROR_LEVELS",
    "N_TIME",
    "Batches",
    "DenoiserKind",
    "History",
    "Learner",
    "OptimizerOptions",
    "Plan",
    "Table",
    "fitted_errors",
    "level_errors",
    "make_pairs",
    "split_rows",
    "train",
    "updates_for",
]

N_TIME = 8  # smooth functions of the noise level that a network sees, with the constant

# Losses are in units of the loss of the fitted Gaussian. Training whose loss rises above the first
# limit has diverged. A fit that ends above the second is worse than no network at all; that is no
# fault after a single epoch of a learner that `starts_anywhere` (with random weights).
_DIVERGED, _WORSE_THAN_GAUSSIAN = 10.0, 1.2
_SIGMA_MAX = 80.0  # largest noise of training, in standard deviations of the data
_PER_ROW, _FEWEST, _MOST = 2.5, 50, 4000  # updates, if max_iter is "auto"
_MOST_REPETITIONS = 2.0**53
_LAST = 10  # epochs averaged to judge the end: single ones are noisy in short tables
_VALIDATION_PAIRS = 1024
_LOOKS = 100  # evaluations of the held-out loss, at most
_AT_ONCE = 1 << 17  # values of noisy rows, with their features, that are drawn at once
ERROR_LEVELS, _ERROR_ROWS = 24, 512  # angles and rows at which the fitted error is measured


@dataclass(frozen=True)
class OptimizerOptions:
    """Learning rate, its decay with the number of updates, and the decays of Adam."""

    rate: float
    decay: Callable[[int], float]
    average_decay: float = 0.999
    weight_decay: float = 0.0

    @classmethod
    def of(cls, estimator: Any, plan: "Plan") -> "OptimizerOptions":
        """Return the options that the parameters of a `DDPM` ask for."""
        kind = "constant" if plan.one_epoch else estimator.learning_rate_decay
        decay = learning_rate_decay(kind, plan.n_updates)
        decays = (estimator.average_decay, estimator.weight_decay)
        return cls(estimator.learning_rate, decay, *decays)


class DenoiserKind:
    """A way to learn F: how it is trained, what is kept of it, and the denoiser made of that.

    `attribute` names the fitted attribute with what was learned. `is_smooth` says whether its
    denoisers have derivatives. `is_iterative` says whether it is trained by updates of a learner
    (and so by `partial_fit`) or by `fit_once`; `can_start` whether a fit can start from another;
    `has_trial` whether a trial run chooses its number of updates. `scores_in` is the dtype in which
    denoisers give a row the same log-density in any batch.
    """

    name = attribute = ""
    is_smooth = is_iterative = can_start = True
    has_trial = False
    scores_in: Any = np.float64

    def by_elbo(self, score_method: str) -> bool:
        """Return whether log-densities are lower bounds, with this `score_method`."""
        if score_method == "ode" and not self.is_smooth:
            raise ValueError(
                "score_method='ode' needs a denoiser with derivatives: 'mlp', 'empirical' or a "
                f"torch module; this one is a {self.name}. Use score_method='auto' or 'elbo'."
            )
        return score_method == "elbo" or not self.is_smooth

    def seeded(self, rng: np.random.Generator) -> Any:
        """Return a context in which the library behind the denoiser draws from `rng`."""
        return nullcontext()

    def learner(
        self,
        shape: Any,
        options: OptimizerOptions,
        rng: np.random.Generator,
        *,
        start: Any = None,
        state: Any = None,
    ) -> Any:
        """Return a :class:`Learner`, from what was learned before and the optimizer's state."""
        raise NotImplementedError  # abstract; never asked of kinds that are not iterative

    def fit_once(
        self, table: "Table", plan: "Plan", n_noise: int, shape: Any, rng: np.random.Generator
    ) -> tuple[Any, "Table"]:
        """Return what is learned from the rows at once, and the rows that it has seen."""
        raise NotImplementedError  # abstract; never asked of kinds that are iterative

    def denoiser(self, learned: Any, shape: Any, prediction: str, dtype: Any) -> Any:
        """Return the denoiser of scaled rows, with ``velocity(u, phi, condition)``."""
        raise NotImplementedError  # abstract: every kind writes it


class Learner(Protocol):
    """What the loop trains: a network, a torch module, or a regressor with `partial_fit`."""

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

    def state(self) -> Any:
        """Return the state of the optimizer, to go on with more rows."""


@dataclass(frozen=True)
class Table:
    """Rows, (n, d), with the code of each row's class and its weight, or None.

    `jitter`, with ``draw(n, codes, rng)``, draws noise that is added to the rows at every use.
    `completions`, (k, n, d), are k versions of the rows of a table with holes, one of which stands
    for the row at every use.
    """

    rows: np.ndarray
    codes: np.ndarray | None = None
    weight: np.ndarray | None = None
    jitter: Any = None
    completions: np.ndarray | None = None

    @property
    def n_rows(self) -> float:
        """Number of rows, or sum of their weights."""
        return float(len(self.rows) if self.weight is None else self.weight.sum())

    def take(self, index: np.ndarray) -> "Table":
        """Return some of the rows."""
        parts = (None if part is None else part[index] for part in (self.codes, self.weight))
        codes, weight = parts
        completions = None if self.completions is None else self.completions[:, index]
        return Table(self.rows[index], codes, weight, self.jitter, completions)

    def every_version(self) -> "Table":
        """Return all completions as rows, each with its part of the weight."""
        if self.completions is None:
            return self
        k, n, d = self.completions.shape
        weight = np.tile(np.ones(n) if self.weight is None else self.weight, k) / k
        codes = None if self.codes is None else np.tile(self.codes, k)
        return Table(self.completions.reshape(k * n, d), codes, weight)

    def of_positive_weight(self) -> "Table":
        """Return the table without its rows of weight zero."""
        if self.weight is None or self.weight.all():
            return self
        return self.take(np.flatnonzero(self.weight > 0))

    def jittered(self, rng: np.random.Generator) -> "Table":
        """Return one completion of each row, with noise added, if they have any."""
        rows, n = self.rows, len(self.rows)
        if self.completions is not None:
            rows = self.completions[rng.integers(len(self.completions), size=n), np.arange(n)]
        if self.jitter is not None:
            rows = rows + self.jitter.draw(n, self.codes, rng).astype(rows.dtype)
        return self if rows is self.rows else Table(rows, self.codes, self.weight)


def split_rows(data: Table, fraction: float, rng: np.random.Generator) -> tuple[Table, Table]:
    """Return the rows to train on and those to hold out, at least one of each."""
    n = len(data.rows)
    n_held_out = min(max(1, round(fraction * n)), n - 1)
    order = rng.permutation(n)
    return data.take(order[n_held_out:]), data.take(order[:n_held_out])


@dataclass(frozen=True)
class Plan:
    """How long to train, on what noise, and when to stop."""

    levels: NoiseLevels
    n_updates: int
    batch_size: int
    one_epoch: bool = False
    prediction: str = "v"
    patience: int | None = None  # looks without a lower held-out loss; None: no early stopping
    tolerance: float = 1e-4

    @classmethod
    def of(cls, estimator: Any, data: Table, *, one_epoch: bool = False) -> "Plan":
        """Return the plan that the parameters of a `DDPM` ask for."""
        if not data.n_rows <= _MOST_REPETITIONS:
            raise ValueError(
                f"sample_weight sums to {data.n_rows:.3g}; a weight counts repetitions of its row, "
                "and there can be no more than 2**53 in all. Divide sample_weight by its mean."
            )
        n_updates = estimator.max_iter
        if isinstance(n_updates, str):
            n_updates = updates_for(data, _PER_ROW)
        stops = estimator.early_stopping and not one_epoch
        ends = (np.arctan(estimator.sigma_min), np.arctan(_SIGMA_MAX))
        return cls(
            NoiseLevels(*ends, estimator.noise_distribution),
            n_updates=n_updates,
            one_epoch=one_epoch,
            batch_size=estimator.batch_size,
            prediction=estimator.prediction,
            patience=estimator.n_iter_no_change if stops else None,
            tolerance=estimator.tol,
        )


def updates_for(data: Table, per_row: float) -> int:
    """Return the number of updates for a table, within limits."""
    return int(min(max(per_row * data.n_rows, _FEWEST), _MOST))


@dataclass
class History:
    """Mean loss per epoch, held-out loss per look, number of updates, whether training diverged."""

    losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    n_updates: int = 0
    diverged: bool = False


class Batches:
    """Draws noisy rows and targets epoch by epoch, several batches at once."""

    def __init__(self, table: Table, plan: Plan, rng: np.random.Generator) -> None:
        parts = [table.rows] if table.codes is None else [table.rows, table.codes[:, None]]
        self._table, self._plan, self._rng = table, plan, rng
        self._sampler = MinibatchSampler(np.hstack(parts), table.weight, plan.batch_size)

    def epoch(self, learner: Learner) -> Iterator[tuple[tuple[Any, ...], float]]:
        """Yield batches for `learner.update`, and the loss that F = 0 has on each.

        A small table is repeated with fresh noise.
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

    `sizes` are those of several batches; levels are stratified in each.
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
    """Evaluates the loss on held-out rows, with noise drawn once; keeps the best learner."""

    def __init__(self, held_out: Table, plan: Plan, rng: np.random.Generator) -> None:
        copies = max(1, _VALIDATION_PAIRS // len(held_out.rows))
        table = held_out.take(np.tile(np.arange(len(held_out.rows)), copies))
        self._pairs, self._weight = make_pairs(table, plan, rng), table.weight
        self._patience, self._tolerance = plan.patience, plan.tolerance
        self._every, self._next = max(1, plan.n_updates // _LOOKS), 0
        self._best, self._since = np.inf, 0
        self.snapshot: Any = None

    def is_time_to_stop(self, learner: Learner, history: History) -> bool:
        """Evaluate the held-out loss, unless the last evaluation was a few updates ago."""
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
    With held-out rows the learner ends with the weights of the best evaluation on them. After a
    divergence, which warns, it ends with the weights of the epoch of lowest training loss.
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


def level_errors(
    denoiser: Any,
    rows: np.ndarray,
    angles: np.ndarray,
    rng: np.random.Generator,
    *,
    sample_weight: np.ndarray | None = None,
    condition: np.ndarray | None = None,
    n_noise: int = 4,
) -> np.ndarray:
    """Return the mean squared error of the predicted data per angle and column, (T, d).

    The noise comes in pairs of opposite sign, `n_noise` draws for each row and angle. Errors are
    never zero: at least the rounding error of the data's unit variance.
    """
    errors = np.zeros((len(angles), rows.shape[1]))
    pairs = max(1, n_noise // 2)
    for index, phi in enumerate(angles):
        for _ in range(pairs):
            noise = rng.standard_normal(rows.shape)
            for signed in (noise, -noise):
                u, target = noisy_pairs(rows, signed, phi)
                residual = np.sin(phi) * (target - denoiser.velocity(u, phi, condition))
                errors[index] += np.average(residual**2, axis=0, weights=sample_weight)
    return np.maximum(errors / (2 * pairs), np.finfo(np.float64).eps)


def fitted_errors(
    denoiser: Any, data: Table, phi_min: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the mean squared error of F at evenly spaced angles, (ERROR_LEVELS, d)."""
    index = rng.permutation(len(data.rows))[:_ERROR_ROWS]
    part = data.take(index).jittered(rng)
    angles = np.linspace(phi_min, np.pi / 2, ERROR_LEVELS)
    errors = level_errors(
        denoiser, part.rows, angles, rng, sample_weight=part.weight, condition=part.codes, n_noise=2
    )
    return errors / np.sin(angles)[:, None] ** 2
