"""Training by contrastive divergence: schedule, epochs, averages, validation, divergence."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from scipy.linalg.blas import saxpy
from scipy.special import logit

from skgm._random import MinibatchSampler
from skgm._sklearn import limit_blas_threads
from skgm.rbm._energy import RBMParameters, softplus
from skgm.rbm._rows import TrainingRows
from skgm.rbm._update import QUIET, ContrastiveUpdate, UpdateRule

__all__ = [
    "EarlyStopping",
    "IterateAverage",
    "Plan",
    "PseudoLikelihoodMonitor",
    "Training",
    "check_finite_parameters",
    "fast_generator",
    "initial_parameters",
    "make_kernel",
    "make_plan",
    "one_thread_where_small",
    "resolve_rate",
]


# A cheap likelihood to watch training by: the pseudo-likelihood at fixed units of fixed rows.


class PseudoLikelihoodMonitor:
    """An estimate of the mean negative log pseudo-likelihood, comparable between calls.

    The same rows and, in each, the same randomly chosen units are used at every call, so that
    differences between calls are due to the parameters alone (eq. rbm-pseudolikelihood).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        Rows to watch.
    flips_per_row : int
        Units per row; all of them where this is m or more.
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


_SMALL = 2**22  # multiply-adds of a product that one thread does before a second has woken up
_POWER = 3  # the t-th iterate weighs t**3: as the mean of the last quarter, without knowing the end
_AUTO_UPDATES, _AUTO_EPOCHS, _MAX_UPDATES, _LOOK = 5000, (10, 150), 100_000, 200


def initial_parameters(
    mean: np.ndarray, n_components: int, rng: np.random.Generator
) -> RBMParameters:
    """Return small weights, the visible log-odds of the data, and undecided hidden units.

    Hidden units are on with probability 1/2 at the mean of the data, and then change nothing.
    """
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
    """Return the learning rate; "auto" is 1, and less where the columns vary a lot in all.

    The curvature in the weights of a hidden unit grows with the mean squared distance of the rows
    from their mean. Up to 25 a rate of 1 is stable (as on tables of 16 to 100 columns, where it
    was chosen), beyond that it is lowered in proportion.
    """
    if learning_rate != "auto":
        return float(learning_rate)
    return min(1.0, 25.0 / float((mean * (1 - mean)).sum()))


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


def make_plan(n_iter: int | str, n_batches: int, **options: Any) -> Plan:
    """Return the plan for so many epochs, or for as many as "auto" stands for.

    That is as many as make 5000 updates, but 10 at least (with no more than 100,000 updates) and
    150 at most: of small tables more would still help a little, in twice the time. With "auto",
    the loss is looked at after as many epochs as make 200 updates, but 20 times at least;
    otherwise after each epoch.
    """
    if n_iter != "auto":
        return Plan(int(n_iter) * n_batches, n_batches, **options)
    n_epochs = min(max(_AUTO_EPOCHS[0], -(-_AUTO_UPDATES // n_batches)), _AUTO_EPOCHS[1])
    n_updates = min(n_epochs * n_batches, _MAX_UPDATES)
    epochs_per_look = max(1, min(-(-_LOOK // n_batches), n_epochs // 20))
    return Plan(n_updates, min(n_batches * epochs_per_look, n_updates), **options)


@dataclass(eq=False)
class EarlyStopping:
    """The best parameters on validation rows, and when to stop looking for better ones."""

    monitor: PseudoLikelihoodMonitor
    n_iter_no_change: int
    tol: float
    curve: list[float] = field(default_factory=list)
    best: np.ndarray | None = None
    _reference: float = np.inf
    _waited: int = 0

    def look(self, matrix: np.ndarray, parameters: RBMParameters) -> bool:
        """Return whether to stop."""
        loss = self.monitor(parameters)
        if not self.curve or loss < min(self.curve):
            self.best = matrix.copy()
        self.curve.append(loss)
        improved = loss < self._reference - self.tol
        self._waited = 0 if improved else self._waited + 1
        self._reference = loss if improved else self._reference
        return self._waited >= self.n_iter_no_change


@dataclass(eq=False)
class Training:
    """One run of a plan.

    Attributes
    ----------
    kernel : ContrastiveUpdate
        What moves.
    rows : TrainingRows
    sampler : MinibatchSampler
        Of the same rows.
    plan : Plan
    monitor : PseudoLikelihoodMonitor
        What the loss is measured by.
    stopping : EarlyStopping or None
    result : RBMParameters
        The average of the iterates so far, the last of them, or (after :meth:`run`) the best on
        validation rows.
    loss_curve : list of float
        One value per iteration.
    n_updates : int
        Mini-batches made.
    """

    kernel: ContrastiveUpdate
    rows: TrainingRows
    sampler: MinibatchSampler
    plan: Plan
    monitor: PseudoLikelihoodMonitor
    stopping: EarlyStopping | None = None
    loss_curve: list[float] = field(default_factory=list)
    n_updates: int = 0

    def run(
        self,
        rng: np.random.Generator,
        *,
        begin: Callable[[], Any],
        end: Callable[[Any, RBMParameters], bool],
    ) -> RBMParameters:
        """Train and return the result.

        Parameters
        ----------
        rng : numpy Generator
        begin, end : callable
            Called around each iteration; what `begin` returns is given to `end`, with the result
            so far. By returning True, `end` stops the training.
        """
        # of the iterates, every eighth is averaged (of fewer than 400, some 50): 1% of the time
        stride = min(8, max(1, self.plan.n_updates // 50))
        kernel = self.kernel
        average = IterateAverage(kernel.matrix)
        matrix = average.matrix if self.plan.average else kernel.matrix
        batches = self._batches(rng)
        write, batch, update = self.rows.write, kernel.batch, kernel.update
        for _ in range(self.plan.n_iterations):
            task = begin()
            left = self.plan.n_updates - self.n_updates
            stretch = islice(batches, min(self.plan.updates_per_iteration, left))
            rates = self.plan.rates(self.n_updates).tolist()
            with np.errstate(**QUIET):
                for number, (indices, rate) in enumerate(zip(stretch, rates), self.n_updates):
                    n_rows = len(indices)
                    write(indices, batch(n_rows))
                    update(n_rows, rate, rng)
                    if number % stride == stride - 1:
                        average.include(kernel.matrix)
            self.n_updates = number + 1
            check_finite_parameters(kernel.matrix, self.plan.learning_rate)
            self.result = kernel.unpack(matrix)
            self.loss_curve.append(self.monitor(self.result))
            waited = self.stopping is not None and self.stopping.look(matrix, self.result)
            if end(task, self.result) or waited:
                break
        if self.stopping is not None and self.stopping.best is not None:
            self.result = kernel.unpack(self.stopping.best)
        return self.result

    def _batches(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        while True:
            yield from self.sampler.epoch(rng)
