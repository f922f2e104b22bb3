"""Trains a machine by contrastive divergence: settings, start, plan, averages, early stopping."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain, count, islice
from typing import Any

import numpy as np
from scipy.linalg.blas import saxpy
from scipy.special import logit

from skgm._numerics.epochs import EpochHistory, train_epochs
from skgm._random import MinibatchSampler
from skgm._sklearn import limit_blas_threads
from skgm.rbm._energy import RBMParameters, free_energy, hidden_probabilities, softplus
from skgm.rbm._rows import TrainingRows
from skgm.rbm._update import QUIET, ContrastiveUpdate, UpdateRule

__all__ = [
    "Fitted",
    "IterateAverage",
    "Plan",
    "PseudoLikelihoodMonitor",
    "Settings",
    "Training",
    "chains_at",
    "check_finite_parameters",
    "fast_generator",
    "fit_contrastive",
    "free_energy_gap",
    "hold_out",
    "initial_parameters",
    "make_kernel",
    "make_plan",
    "one_thread_where_small",
    "resolve_decay",
    "resolve_rate",
]

_SMALL = 2**22  # multiply-adds of a product that one thread does before a second has woken up
_POWER = 3  # the t-th iterate weighs t**3: as the mean of the last quarter, without knowing the end
_AUTO_UPDATES, _AUTO_EPOCHS, _MAX_UPDATES, _LOOK = 5000, (10, 150), 100_000, 200
_MAX_HELD_OUT = 10_000  # rows that early stopping looks at
_FLIPS_HELD_OUT = 16  # units per row


@dataclass(frozen=True)
class Settings:
    """The constructor parameters of the estimator that training depends on."""

    n_components: int
    learning_rate: float | str
    batch_size: int
    n_iter: int | str
    method: str
    n_gibbs_steps: int
    n_chains: int | None
    schedule: str
    average: bool
    momentum: float
    weight_decay: float | str
    center: bool
    sparsity_target: float | None
    sparsity_cost: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float

    @property
    def rule(self) -> UpdateRule:
        """What an update is, apart from its rate and its weight decay."""
        return UpdateRule(
            persistent=self.method != "cd",
            n_gibbs_steps=self.n_gibbs_steps,
            momentum=self.momentum,
            sparsity_target=self.sparsity_target or 0.0,
            sparsity_cost=0.0 if self.sparsity_target is None else self.sparsity_cost,
        )

    @property
    def chains(self) -> int:
        return self.batch_size if self.n_chains is None else self.n_chains


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit leaves behind.

    Attributes
    ----------
    parameters : RBMParameters
    chains : ndarray of shape (n_chains, k)
        Hidden units, 0 or 1.
    mean : ndarray of shape (m,)
        Mean of the training rows, drawn to 1/2 by one row.
    n_iter : int
        Epochs, begun or whole; iterations of an exact fit.
    n_updates : int
        Mini-batches; iterations of an exact fit.
    n_rows : float
        Rows of an epoch.
    loss_curve, validation_curve : list of float
    free_energy_gap : float
        Mean free energy of held-out rows minus that of training rows; NaN without held-out rows.
    converged : bool
        Whether an exact fit has met its tolerance.
    """

    parameters: RBMParameters
    chains: np.ndarray
    mean: np.ndarray
    n_iter: int
    n_updates: int
    n_rows: float
    loss_curve: list[float]
    validation_curve: list[float]
    free_energy_gap: float
    converged: bool = True


class PseudoLikelihoodMonitor:
    """An estimate of the mean negative log pseudo-likelihood, comparable between calls.

    The same rows and, in each, the same randomly chosen units are used at every call, so that
    differences between calls are due to the parameters alone (eq. rbm-pseudolikelihood).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        Rows of 0 and 1 to watch.
    flips_per_row : int
        Units per row; all of them if this is m or more.
    rng : numpy Generator
        Chooses the units.
    """

    def __init__(self, rows: np.ndarray, flips_per_row: int, rng: np.random.Generator) -> None:
        n, m = rows.shape
        self.rows = rows.astype(np.float64)
        every = np.tile(np.arange(m), (n, 1))
        self._units = every if flips_per_row >= m else rng.integers(m, size=(n, flips_per_row))
        self._change = 1 - 2 * np.take_along_axis(self.rows, self._units, axis=1)

    def __call__(self, parameters: RBMParameters) -> float:
        p = parameters.as_float64()
        activation = self.rows @ p.components.T + p.intercept_hidden  # (n, k)
        before = softplus(activation).sum(axis=1)
        total = np.zeros(len(self.rows))
        for units, change in zip(self._units.T, self._change.T):
            flipped = activation + change[:, None] * p.components.T[units]
            gain = softplus(flipped).sum(axis=1) - before + change * p.intercept_visible[units]
            total += softplus(gain)
        m, n_flips = self.rows.shape[1], self._units.shape[1]
        return float(total.mean()) * m / n_flips


def initial_parameters(
    mean: np.ndarray,
    n_components: int,
    rng: np.random.Generator,
    components: np.ndarray | None = None,
) -> RBMParameters:
    """Return small or given weights, visible log-odds of the data, and undecided hidden units.

    Hidden units are on with probability 1/2 at the mean of the data, and then change nothing.
    """
    if components is None:
        components = 0.01 * rng.standard_normal((n_components, len(mean)))
    visible = logit(mean) - 0.5 * components.sum(axis=0)
    return RBMParameters(components, -components @ mean, visible)


def fast_generator(seed: Any) -> np.random.Generator:
    """Return a generator of raw bits at three times the speed of numpy's default."""
    return np.random.Generator(np.random.SFC64(seed))


def one_thread_where_small(n_products: int) -> AbstractContextManager[Any]:
    """Return a context in which products of that many multiply-adds run on one thread."""
    return limit_blas_threads(1) if n_products <= _SMALL else nullcontext()


def resolve_rate(learning_rate: float | str, mean: np.ndarray) -> float:
    """Return the learning rate; "auto" is 1, or 25 / V if the columns' total variance V exceeds 25.

    The curvature in the weights of a hidden unit grows with V, the mean squared distance of the
    rows from their mean. The rate 1 is stable on tables of 16 to 100 columns, where it was chosen.
    """
    if learning_rate != "auto":
        return float(learning_rate)
    return min(1.0, 25.0 / _total_variance(mean))


def resolve_decay(
    weight_decay: float | str, n_components: int, mean: np.ndarray, n_rows: float
) -> float:
    """Return the weight decay; "auto" is min(1, k / 50) V / (120 sqrt(n)) of k units and n rows.

    V is the total variance of the columns. With much less decay the weights do a random walk in
    directions that neither rows nor chains constrain, until most of the model's mass lies where
    no chain goes; with much more, small tables are underfitted. The law is empirical; its units
    are right, because V scales the variance of a hidden unit's input.
    """
    if weight_decay != "auto":
        return float(weight_decay)
    return min(1.0, n_components / 50) * _total_variance(mean) / (120 * np.sqrt(n_rows))


def _total_variance(mean: np.ndarray) -> float:
    return float((mean * (1 - mean)).sum())


def make_kernel(
    parameters: RBMParameters,
    rule: UpdateRule,
    batch_size: int,
    chains: np.ndarray,
    center: np.ndarray | None,
    *,
    draw_ahead: bool = False,
) -> ContrastiveUpdate:
    """Return a kernel; `center` is the mean of the visible units, None for plain gradients.

    Hidden units are centered at 1/2, where they start: following their means costs time and gains
    nothing that could be measured.
    """
    visible = np.zeros(parameters.n_visible) if center is None else center
    hidden = np.full(parameters.n_hidden, 0.0 if center is None else 0.5)
    options = {"draw_ahead": draw_ahead}
    return ContrastiveUpdate(parameters, rule, batch_size, chains, visible, hidden, **options)


def check_finite_parameters(matrix: np.ndarray, learning_rate: float) -> None:
    """Raise a ValueError if training has diverged."""
    if not np.isfinite(np.vdot(matrix, matrix)):  # overflows, without a warning, from 1e19
        raise ValueError(
            "Training diverged: the parameters are not finite. Lower learning_rate "
            f"(it is {learning_rate:g}), or check momentum and weight_decay."
        )


class IterateAverage:
    """The average of the iterates so far, of which late ones weigh more (weights t cubed).

    Parameters
    ----------
    matrix : ndarray
        What the average is before the first iterate; it is copied.
    n_updates : int
        Iterates that are in it.
    """

    def __init__(self, matrix: np.ndarray, n_updates: int = 0) -> None:
        self.matrix = matrix.copy()
        self.n_updates = n_updates

    def include(self, matrix: np.ndarray, part: float = 1.0) -> None:
        """Count one iterate, or that part of one."""
        self.n_updates += 1
        share = part * (_POWER + 1) / (self.n_updates + _POWER)
        self.matrix *= np.float32(1 - share)
        saxpy(matrix.ravel(), self.matrix.ravel(), a=share)


@dataclass(frozen=True)
class Plan:
    """How long to train, and how fast.

    Attributes
    ----------
    n_updates : int
        Mini-batches in all.
    updates_per_iteration : int
        Mini-batches between two looks at the loss.
    learning_rate : float
        Of the first update.
    linear : bool
        The rate falls linearly to zero; otherwise it stays.
    average : bool
        The result is the average of the iterates.
    """

    n_updates: int
    updates_per_iteration: int
    learning_rate: float
    linear: bool = True
    average: bool = True

    @property
    def n_iterations(self) -> int:
        return -(-self.n_updates // self.updates_per_iteration)

    def rates(self, update: int) -> np.ndarray:
        """Return the learning rates of an iteration's updates, of which `update` is the first."""
        done = np.arange(update, update + self.updates_per_iteration) / self.n_updates
        return self.learning_rate * (1 - done if self.linear else np.ones_like(done))


def make_plan(
    n_iter: int | str, n_batches: int, *, fresh_draws: bool = False, **options: Any
) -> Plan:
    """Return the plan for so many epochs, or for as many as "auto" stands for.

    That is as many as make 5000 updates, but 10 at least (with no more than 100,000 updates) and
    150 at most: of small tables more would still help a little, in twice the time. If rows are
    drawn afresh at each presentation (`fresh_draws`) there is no such limit, because every epoch
    brings other rows. With "auto", the loss is looked at after as many epochs as make 200 updates,
    but 20 times at least; otherwise after each epoch.
    """
    if n_iter != "auto":
        return Plan(int(n_iter) * n_batches, n_batches, **options)
    most = _AUTO_UPDATES if fresh_draws else _AUTO_EPOCHS[1]
    n_epochs = min(max(_AUTO_EPOCHS[0], -(-_AUTO_UPDATES // n_batches)), most)
    n_updates = min(n_epochs * n_batches, _MAX_UPDATES)
    epochs_per_look = max(1, min(-(-_LOOK // n_batches), n_epochs // 20))
    return Plan(n_updates, min(n_batches * epochs_per_look, n_updates), **options)


class Training:
    """One run of a plan.

    Parameters
    ----------
    kernel : ContrastiveUpdate
        What moves.
    rows : TrainingRows
    sampler : MinibatchSampler
        Of the same rows.
    plan : Plan
    rng : numpy Generator

    Attributes
    ----------
    n_updates : int
        Mini-batches made.
    """

    def __init__(
        self,
        kernel: ContrastiveUpdate,
        rows: TrainingRows,
        sampler: MinibatchSampler,
        plan: Plan,
        rng: np.random.Generator,
    ) -> None:
        self.kernel, self.rows, self.sampler, self.plan, self.rng = kernel, rows, sampler, plan, rng
        self.n_updates = 0
        self._batches = chain.from_iterable(sampler.epoch(rng) for _ in count())
        self._average = IterateAverage(kernel.matrix)
        self._matrix = self._average.matrix if plan.average else kernel.matrix

    @property
    def result(self) -> RBMParameters:
        """The average of the iterates so far, or the last of them."""
        return self.kernel.unpack(self._matrix)

    def snapshot(self) -> np.ndarray:
        """Return a copy of the result, for `train_epochs`."""
        return self._matrix.copy()

    def restore(self, snapshot: np.ndarray) -> None:
        """Make a snapshot the result."""
        self._matrix[:] = snapshot

    def is_finite(self) -> bool:
        """Return True: an iteration that diverges raises an error itself."""
        return True

    def iterate(self) -> None:
        """Make the updates of one iteration."""
        # of the iterates, every eighth is averaged (of fewer than 400, some 50): 1% of the time
        stride = min(8, max(1, self.plan.n_updates // 50))
        kernel, write, rng = self.kernel, self.rows.write, self.rng
        left = self.plan.n_updates - self.n_updates
        stretch = islice(self._batches, min(self.plan.updates_per_iteration, left))
        rates = self.plan.rates(self.n_updates).tolist()
        with np.errstate(**QUIET):
            for number, (indices, rate) in enumerate(zip(stretch, rates), self.n_updates):
                n_rows = len(indices)
                write(indices, kernel.batch(n_rows), rng)
                kernel.update(n_rows, rate, rng)
                if number % stride == stride - 1:
                    self._average.include(kernel.matrix)
        self.n_updates = number + 1
        check_finite_parameters(kernel.matrix, self.plan.learning_rate)


def fit_contrastive(
    settings: Settings,
    rows: TrainingRows,
    rng: np.random.Generator,
    *,
    begin: Callable[[], Any],
    end: Callable[[Any, RBMParameters], bool],
) -> Fitted:
    """Train by (persistent) contrastive divergence; `begin` and `end` surround each iteration."""
    rows, held_out = hold_out(settings, rows, rng)
    sampler = MinibatchSampler(rows.keys, rows.weight, settings.batch_size)
    kernel, plan = _start(settings, rows, sampler, rng)
    rows.center(kernel.center_visible)
    rows.follow(kernel)
    n_watched = min(settings.batch_size * plan.updates_per_iteration // 200, 1000)
    n_watched = max(min(settings.batch_size, sampler.n_slots), n_watched)
    watched = rows.draw(sampler.draw(n_watched, rng), rng)  # looks cost less than 2% of the updates
    monitor = PseudoLikelihoodMonitor(watched, 1, rng)
    training = Training(kernel, rows, sampler, plan, fast_generator(rng.integers(2**63)))
    largest = max(settings.batch_size, settings.chains) * rows.n_units * settings.n_components
    with one_thread_where_small(largest):
        history = _run(settings, training, monitor, held_out, begin, end)
    parameters, chains = training.result, kernel.chains
    if settings.method == "cd":
        data = rows.draw(sampler.draw(settings.chains, rng), rng)
        chains = chains_at(data, parameters, settings.chains, rng)
    return Fitted(
        parameters,
        chains,
        rows.mean(),
        n_iter=-(-training.n_updates // sampler.n_batches),
        n_updates=training.n_updates,
        n_rows=sampler.n_slots,
        loss_curve=history.losses,
        validation_curve=history.validation_losses,
        free_energy_gap=free_energy_gap(held_out, rows, sampler, parameters, rng),
    )


def _run(
    settings: Settings,
    training: Training,
    monitor: PseudoLikelihoodMonitor,
    held_out: PseudoLikelihoodMonitor | None,
    begin: Callable[[], Any],
    end: Callable[[Any, RBMParameters], bool],
) -> EpochHistory:
    """Run all iterations, or as many as early stopping wants."""

    def iterate() -> float:
        training.iterate()
        return monitor(training.result)

    def on_epoch(run: Callable[[], None]) -> bool:
        task = begin()
        run()
        return end(task, training.result)

    return train_epochs(
        training,
        iterate,
        max_iter=training.plan.n_iterations,
        held_out_loss=None if held_out is None else lambda: held_out(training.result),
        n_iter_no_change=settings.n_iter_no_change,
        tol=settings.tol,
        on_epoch=on_epoch,
    )


def _start(
    settings: Settings, rows: TrainingRows, sampler: MinibatchSampler, rng: np.random.Generator
) -> tuple[ContrastiveUpdate, Plan]:
    """Return what moves, and for how long."""
    mean, k = rows.mean(), settings.n_components
    kernel = make_kernel(
        initial_parameters(mean, k, rng),
        settings.rule,
        min(settings.batch_size, sampler.n_slots),
        rng.integers(0, 2, size=(settings.chains, k)),
        mean if settings.center else None,
        draw_ahead=True,
    )
    kernel.weight_decay = resolve_decay(settings.weight_decay, k, mean, sampler.n_slots)
    plan = make_plan(
        settings.n_iter,
        sampler.n_batches,
        fresh_draws=rows.gray,
        learning_rate=resolve_rate(settings.learning_rate, mean),
        linear=settings.schedule == "linear",
        average=settings.average,
    )
    return kernel, plan


def hold_out(
    settings: Settings, rows: TrainingRows, rng: np.random.Generator
) -> tuple[TrainingRows, PseudoLikelihoodMonitor | None]:
    """Take the validation rows away: of a row of weight w, as many as w rows would have lost."""
    if not settings.early_stopping:
        return rows, None
    weight = np.ones(rows.n_rows) if rows.weight is None else rows.weight
    sampler = MinibatchSampler(rows.keys, weight, 1)
    n_slots = sampler.n_slots
    n_held_out = min(max(1, round(settings.validation_fraction * n_slots)), _MAX_HELD_OUT)
    taken = sampler.draw(n_held_out, rng)
    share = np.bincount(taken, minlength=rows.n_rows) * (weight.sum() / n_slots)
    left = np.maximum(weight - share, 0.0)
    if n_slots < 2 or not left.any():
        raise ValueError(
            f"early_stopping holds out {settings.validation_fraction:g} of the rows, which leaves "
            f"none of {n_slots} row(s) for training. Give more rows, or set early_stopping=False."
        )
    monitor = PseudoLikelihoodMonitor(rows.draw(taken, rng), _FLIPS_HELD_OUT, rng)
    return rows.reweighted(left), monitor


def free_energy_gap(
    held_out: PseudoLikelihoodMonitor | None,
    rows: TrainingRows,
    sampler: MinibatchSampler,
    parameters: RBMParameters,
    rng: np.random.Generator,
) -> float:
    """Return the mean free energy of held-out rows minus that of training rows: log Z cancels."""
    if held_out is None:
        return np.nan
    training = rows.draw(sampler.draw(_MAX_HELD_OUT, rng), rng)
    means = [free_energy(v, parameters).mean() for v in (held_out.rows, training)]
    return float(means[0] - means[1])


def chains_at(
    rows: np.ndarray, parameters: RBMParameters, n_chains: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw hidden units given rows, each as often as it takes to make all chains."""
    p = hidden_probabilities(np.resize(rows, (n_chains, rows.shape[1])), parameters)
    return (rng.random(p.shape) < p).astype(np.float64)
