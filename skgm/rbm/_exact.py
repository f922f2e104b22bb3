"""Maximizes the likelihood by its exact gradient, where the smaller layer can be enumerated."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import ConvergenceWarning

from skgm._random import MinibatchSampler
from skgm._warnings import warn_user
from skgm.rbm._energy import RBMParameters, free_energy, softplus
from skgm.rbm._enumeration import exact_log_partition, exact_moments
from skgm.rbm._rows import TrainingRows
from skgm.rbm._training import (
    Fitted,
    Settings,
    chains_at,
    free_energy_gap,
    hold_out,
    initial_parameters,
)

__all__ = ["ExactFit", "fit_by_enumeration", "fit_exact", "merge_rows"]

_MEMORY = 20  # curvature pairs of L-BFGS
_MAX_UNITS = 20  # of the smaller layer: a gradient takes half a second or so
_DRAWS, _MOST_DRAWS = 20_000, 100  # rows drawn from gray values: in all or so, and of each at most


def fit_by_enumeration(
    settings: Settings,
    rows: TrainingRows,
    rng: np.random.Generator,
    *,
    begin: Callable[[], Any],
    end: Callable[[Any, RBMParameters], bool],
) -> Fitted:
    """Maximize the likelihood itself; an iteration is one of L-BFGS.

    The weight decay "auto" is a standard normal prior on each weight: exact gradients need no more.
    """
    _check_layer(settings.n_components, rows.n_units)
    rows, held_out = hold_out(settings, rows, rng)
    sampler = MinibatchSampler(rows.keys, rows.weight, 1)
    decay = 1 / sampler.n_slots if settings.weight_decay == "auto" else settings.weight_decay
    start = initial_parameters(rows.mean(), settings.n_components, rng)
    fit = fit_exact(
        *_drawn(rows, rng),
        start,
        max_iter=400 if settings.n_iter == "auto" else int(settings.n_iter),
        weight_decay=float(decay),
        validation=None if held_out is None else (held_out.rows, None),
        patience=settings.n_iter_no_change,
        on_iteration=lambda number, parameters, loss: end(begin(), parameters),
    )
    if not fit.converged:
        warn_user(
            f"The likelihood was still rising after {fit.n_iter} iterations of L-BFGS. Raise "
            "n_iter, or stop at the best held-out likelihood with early_stopping=True.",
            ConvergenceWarning,
        )
    data = rows.draw(sampler.draw(settings.chains, rng), rng)
    return Fitted(
        fit.parameters,
        chains_at(data, fit.parameters, settings.chains, rng),
        rows.mean(),
        n_iter=fit.n_iter,
        n_updates=fit.n_iter,
        n_rows=sampler.n_slots,
        loss_curve=fit.loss_curve,
        validation_curve=fit.validation_curve,
        free_energy_gap=free_energy_gap(held_out, rows, sampler, fit.parameters, rng),
    )


def _check_layer(n_components: int, n_features: int) -> None:
    if min(n_components, n_features) > _MAX_UNITS:
        raise ValueError(
            f"method='exact' enumerates the smaller layer: at most {_MAX_UNITS} units, got "
            f"n_components={n_components} and {n_features} features. Use method='pcd', or fewer "
            "components."
        )


def _drawn(rows: TrainingRows, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a table of 0 and 1 and its weights; several draws of each row of gray values."""
    if not rows.gray:
        return rows.all(), rows.weight
    distinct, share = merge_rows(rows.all(), rows.weight)
    n_draws = min(-(-_DRAWS // len(distinct)), _MOST_DRAWS)
    repeated = np.repeat(distinct, n_draws, axis=0)
    drawn = (rng.random(repeated.shape) < repeated).astype(np.float64)
    return drawn, np.repeat(share / n_draws, n_draws)


@dataclass(frozen=True, eq=False)
class ExactFit:
    """Result of :func:`fit_exact`.

    Attributes
    ----------
    parameters : RBMParameters
        Of the last iteration; with validation rows, of the best one on these.
    log_partition : float
        log Z of `parameters`.
    loss_curve : list of float
        Mean negative log-likelihood of the training rows after each iteration, without penalty.
    validation_curve : list of float
        The same of the validation rows; empty without them.
    n_iter : int
        Number of iterations.
    converged : bool
        Whether the gradient or the progress fell below the tolerance, or validation said stop.
    """

    parameters: RBMParameters
    log_partition: float
    loss_curve: list[float]
    validation_curve: list[float]
    n_iter: int
    converged: bool


def fit_exact(
    rows: np.ndarray,
    weight: np.ndarray | None,
    start: RBMParameters,
    *,
    max_iter: int = 400,
    tol: float = 1e-5,
    weight_decay: float = 0.0,
    validation: tuple[np.ndarray, np.ndarray | None] | None = None,
    patience: int = 10,
    on_iteration: Callable[[int, RBMParameters, float], bool | None] | None = None,
) -> ExactFit:
    """Maximize the mean log-likelihood by L-BFGS, with its exact gradient (eq. ebm-score).

    Parameters
    ----------
    rows : ndarray of shape (n, m)
        Training rows.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    start : RBMParameters
        Where to start; weights that differ between hidden units, which else stay alike.
    max_iter : int, default=400
        Most iterations.
    tol : float, default=1e-5
        Largest component of the gradient (per row) at which to stop.
    weight_decay : float, default=0.0
        Half of this times the squared norm of the weights (not intercepts) is added to the loss.
    validation : tuple of (rows, weight), default=None
        Stop when their likelihood has not improved for `patience` iterations.
    patience : int, default=10
        See `validation`.
    on_iteration : callable, default=None
        Called with (iteration, parameters, loss) after each; stops the fit by returning True.

    Returns
    -------
    fit : ExactFit
    """
    problem = _Problem(*merge_rows(rows, weight), start.as_float64(), weight_decay)
    held_out = None if validation is None else merge_rows(*validation)
    progress = _Progress(problem, held_out, patience, on_iteration)
    result = minimize(
        problem.loss_and_gradient,
        problem.pack(start),
        jac=True,
        method="L-BFGS-B",
        callback=progress.after_iteration,
        options={"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": 1e-12}
        | {"maxcor": _MEMORY},
    )
    best = problem.unpack(result.x if progress.best is None else progress.best)
    return ExactFit(
        parameters=best,
        log_partition=exact_log_partition(best),
        loss_curve=progress.losses,
        validation_curve=progress.held_out_losses,
        n_iter=len(progress.losses),
        converged=bool(result.status == 0 or progress.stopped),
    )


def merge_rows(rows: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows, float64, and the share of each in the total weight."""
    weight = np.ones(len(rows)) if weight is None else np.asarray(weight, dtype=np.float64)
    counted = weight > 0
    distinct, which = np.unique(rows[counted], axis=0, return_inverse=True)
    share = np.bincount(which.ravel(), weight[counted], minlength=len(distinct))
    return distinct.astype(np.float64), share / share.sum()


@dataclass(eq=False)
class _Problem:
    """Mean negative log-likelihood as a function of one vector."""

    rows: np.ndarray
    share: np.ndarray
    shape: RBMParameters
    weight_decay: float
    last: tuple[np.ndarray | None, float, float] = (None, np.nan, np.nan)  # at, loss, log Z

    def pack(self, p: RBMParameters) -> np.ndarray:
        parts = (p.components.ravel(), p.intercept_hidden, p.intercept_visible)
        return np.concatenate(parts).astype(np.float64)

    def unpack(self, vector: np.ndarray) -> RBMParameters:
        k, m = self.shape.n_hidden, self.shape.n_visible
        weights, hidden, visible = np.split(vector, [k * m, k * m + k])
        return RBMParameters(weights.reshape(k, m).copy(), hidden.copy(), visible.copy())

    def loss_and_gradient(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        p = self.unpack(vector)
        activation = self.rows @ p.components.T + p.intercept_hidden
        weighted = expit(activation) * self.share[:, None]
        mean_visible = self.share @ self.rows
        model = exact_moments(p)
        free = -mean_visible @ p.intercept_visible - self.share @ softplus(activation).sum(axis=1)
        loss = float(free) + model.log_partition
        self.last = (vector.copy(), loss, model.log_partition)
        gradient = RBMParameters(
            model.product - weighted.T @ self.rows + self.weight_decay * p.components,
            model.hidden - weighted.sum(axis=0),
            model.visible - mean_visible,
        )
        penalty = 0.5 * self.weight_decay * float((p.components**2).sum())
        return loss + penalty, self.pack(gradient)

    def loss_and_log_partition(self, vector: np.ndarray) -> tuple[float, float]:
        """Return the loss without penalty and log Z; remembered from the last evaluation."""
        if self.last[0] is None or not np.array_equal(self.last[0], vector):
            self.loss_and_gradient(vector)
        return self.last[1:]


@dataclass(eq=False)
class _Progress:
    """What happens after each iteration: curves, validation, the caller's function."""

    problem: _Problem
    held_out: tuple[np.ndarray, np.ndarray] | None
    patience: int
    on_iteration: Callable[..., bool | None] | None
    losses: list[float] = field(default_factory=list)
    held_out_losses: list[float] = field(default_factory=list)
    best: np.ndarray | None = None
    stopped: bool = False

    def after_iteration(self, vector: np.ndarray) -> Any:
        loss, log_partition = self.problem.loss_and_log_partition(vector)
        self.losses.append(loss)
        p = self.problem.unpack(vector)
        if self.held_out is not None:
            rows, share = self.held_out
            self.held_out_losses.append(float(share @ free_energy(rows, p)) + log_partition)
            best = int(np.argmin(self.held_out_losses))
            if best == len(self.held_out_losses) - 1:
                self.best = vector.copy()
            self.stopped = len(self.held_out_losses) - 1 - best >= self.patience
        if self.on_iteration is not None and self.on_iteration(len(self.losses), p, loss):
            self.stopped = True
        if self.stopped:
            raise StopIteration
