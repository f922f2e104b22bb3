"""From a table and the estimator's settings to fitted parameters, by either kind of training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._random import MinibatchSampler
from skgm._warnings import warn_user
from skgm.rbm._energy import RBMParameters, hidden_probabilities
from skgm.rbm._exact import fit_exact
from skgm.rbm._rows import TrainingRows
from skgm.rbm._stream import StreamOptions
from skgm.rbm._training import (
    EarlyStopping,
    PseudoLikelihoodMonitor,
    Training,
    fast_generator,
    initial_parameters,
    make_kernel,
    make_plan,
    one_thread_where_small,
    resolve_rate,
)
from skgm.rbm._update import UpdateRule

__all__ = ["Fitted", "Settings", "fit_by_enumeration", "fit_contrastive", "warn_unfinished"]

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

    def decay(self, n_rows: float) -> float:
        """Return the weight decay; "auto" is a standard normal prior on each weight."""
        return 1 / n_rows if self.weight_decay == "auto" else float(self.weight_decay)

    def rule(self, n_rows: float = np.inf) -> UpdateRule:
        """Return the rule of updates for a table of that many rows."""
        return UpdateRule(
            persistent=self.method != "cd",
            n_gibbs_steps=self.n_gibbs_steps,
            momentum=self.momentum,
            weight_decay=self.decay(n_rows),
            sparsity_target=self.sparsity_target or 0.0,
            sparsity_cost=0.0 if self.sparsity_target is None else self.sparsity_cost,
        )

    @property
    def chains(self) -> int:
        return self.batch_size if self.n_chains is None else self.n_chains

    @property
    def stream_options(self) -> StreamOptions:
        return StreamOptions(
            rule=self.rule(),
            n_components=self.n_components,
            batch_size=self.batch_size,
            n_chains=self.chains,
            learning_rate=self.learning_rate,
            falling=self.schedule == "linear",
            average=self.average,
            center=self.center,
        )


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
    loss_curve, validation_curve : list of float
    n_updates : int
        Mini-batches; iterations of an exact fit.
    converged : bool
        Whether an exact fit has met its tolerance.
    """

    parameters: RBMParameters
    chains: np.ndarray
    mean: np.ndarray
    n_iter: int
    loss_curve: list[float]
    validation_curve: list[float]
    n_updates: int
    converged: bool = True


def fit_contrastive(
    settings: Settings,
    rows: TrainingRows,
    rng: np.random.Generator,
    *,
    begin: Callable[[], Any],
    end: Callable[[Any, RBMParameters], bool],
) -> Fitted:
    """Train by (persistent) contrastive divergence; `begin` and `end` surround each iteration."""
    rows, held_out = _split(settings, rows, rng)
    sampler = MinibatchSampler(rows.keys, rows.weight, settings.batch_size)
    batch_size = min(settings.batch_size, sampler.n_slots)
    mean = rows.mean()
    kernel = make_kernel(
        initial_parameters(mean, settings.n_components, rng),
        settings.rule(sampler.n_slots),
        batch_size,
        rng.integers(0, 2, size=(settings.chains, settings.n_components)),
        mean if settings.center else None,
        draw_ahead=True,
    )
    rows.center(kernel.center_visible)
    plan = make_plan(
        settings.n_iter,
        sampler.n_batches,
        learning_rate=resolve_rate(settings.learning_rate, mean),
        linear=settings.schedule == "linear",
        average=settings.average,
    )
    n_watched = max(batch_size, min(batch_size * plan.updates_per_iteration // 200, 1000))
    watched = rows.take(sampler.draw(n_watched, rng))  # a look costs less than 2% of the updates
    monitor = PseudoLikelihoodMonitor(watched, 1, rng)
    training = Training(kernel, rows, sampler, plan, monitor, held_out)
    largest = max(batch_size, settings.chains) * rows.n_units * settings.n_components
    with one_thread_where_small(largest):
        parameters = training.run(fast_generator(rng.integers(2**63)), begin=begin, end=end)
    chains = kernel.chains
    if settings.method == "cd":
        chains = _chains_at(
            rows.take(sampler.draw(settings.chains, rng)), parameters, settings, rng
        )
    n_epochs = -(-training.n_updates // sampler.n_batches)
    curve = [] if held_out is None else held_out.curve
    return Fitted(
        parameters, chains, mean, n_epochs, training.loss_curve, curve, training.n_updates
    )


def fit_by_enumeration(
    settings: Settings,
    rows: TrainingRows,
    rng: np.random.Generator,
    *,
    begin: Callable[[], Any],
    end: Callable[[Any, RBMParameters], bool],
) -> Fitted:
    """Maximize the likelihood itself; an iteration is one of L-BFGS."""
    rows, held_out = _split(settings, rows, rng)
    mean = rows.mean()

    sampler = MinibatchSampler(rows.keys, rows.weight, 1)

    def on_iteration(number: int, parameters: RBMParameters, loss: float) -> bool:
        return end(begin(), parameters)

    fit = fit_exact(
        rows.all(),
        rows.weight,
        initial_parameters(mean, settings.n_components, rng),
        max_iter=400 if settings.n_iter == "auto" else int(settings.n_iter),
        weight_decay=settings.decay(sampler.n_slots),
        validation=None if held_out is None else (held_out.monitor.rows, None),
        patience=settings.n_iter_no_change,
        on_iteration=on_iteration,
    )
    start = rows.take(sampler.draw(settings.chains, rng))
    chains = _chains_at(start, fit.parameters, settings, rng)
    curves = fit.loss_curve, fit.validation_curve
    return Fitted(fit.parameters, chains, mean, fit.n_iter, *curves, fit.n_iter, fit.converged)


def warn_unfinished(n_iter: int) -> None:
    """Warn that an exact fit stopped before its maximum."""
    warn_user(
        f"The likelihood was still rising after {n_iter} iterations of L-BFGS. Raise n_iter, or "
        "stop at the best held-out likelihood with early_stopping=True.",
        ConvergenceWarning,
    )


def _split(
    settings: Settings, rows: TrainingRows, rng: np.random.Generator
) -> tuple[TrainingRows, EarlyStopping | None]:
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
    monitor = PseudoLikelihoodMonitor(rows.take(taken), _FLIPS_HELD_OUT, rng)
    stopping = EarlyStopping(monitor, settings.n_iter_no_change, settings.tol)
    return rows.reweighted(left), stopping


def _chains_at(
    rows: np.ndarray, parameters: RBMParameters, settings: Settings, rng: np.random.Generator
) -> np.ndarray:
    """Draw hidden units given rows, each as often as it takes to make all chains."""
    p = hidden_probabilities(np.resize(rows, (settings.chains, rows.shape[1])), parameters)
    return (rng.random(p.shape) < p).astype(np.float64)
