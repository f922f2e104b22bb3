"""Maximization of many small likelihoods at once: Newton steps on the unconstrained scale."""

from collections.abc import Callable

import numpy as np

__all__ = [
    "maximize",
]

_MAX_ITERATIONS, _MAX_HALVINGS = 200, 40
# In units of the mean log-likelihood. Newton squares the error: a step whose decrement is below
# _LAST leaves an error below rounding; below _BLIND the likelihood cannot see the gain.
_LAST, _BLIND = 1e-15, 1e-11

Value = Callable[[np.ndarray], np.ndarray]
Derivatives = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def maximize(
    value: Value, derivatives: Derivatives, start: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return one local maximum per column, by damped Newton steps.

    Parameters
    ----------
    value : callable
        From points (d, k) to mean log-likelihoods (d,); -inf or NaN where a point is impossible.
    derivatives : callable
        From points (d, k) to gradients (d, k) and minus Hessians (d, k, k) of `value`.
    start : ndarray of shape (d, k)
        Starting points, on a scale without ends.
    free : ndarray of bool, shape (d, k)
        Which coordinates move.

    Returns
    -------
    point : ndarray of shape (d, k)
        The maxima.
    converged : ndarray of bool, shape (d,)
        False where the likelihood still rises: its maximum may lie at infinity.
    """
    point = np.array(start, dtype=np.float64)
    height = _finite(value(point))
    active = free.any(axis=1)
    converged = np.asarray(~active)
    for _ in range(_MAX_ITERATIONS):
        gradient, curvature = derivatives(point)
        step, decrement = _newton_step(gradient, curvature, free)
        step[~active] = 0.0
        blind = decrement < _BLIND
        moved, new_height = _climb(value, point, step, height, blind)
        stuck = active & ~blind & ~(new_height > height)
        point, height = moved, np.where(blind, height, new_height)
        done = active & (decrement < _LAST)
        converged |= done
        # a stuck column has reached the noise of its likelihood
        converged |= stuck & (decrement < 1e-8)
        active = active & ~done & ~stuck
        if not active.any():
            break
    return point, converged


def _finite(height: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(height), -np.inf, height)


def _newton_step(
    gradient: np.ndarray, curvature: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return steps (d, k) and decrements g' H^-1 g (d,), zero along what is held.

    Where the curvature is not positive definite its eigenvalues are made so: the step still goes
    uphill, and is long where the likelihood is flat.
    """
    g = np.where(free, gradient, 0.0)
    g = np.where(np.isfinite(g), g, 0.0)
    if g.shape[1] == 1:
        h = np.abs(curvature[:, 0])
        h = np.where(np.isfinite(h) & (h > 0), h, 1.0)
        return g / h, np.maximum(g[:, 0] ** 2 / h[:, 0], 0.0)
    both = free[:, :, None] & free[:, None, :]
    h = np.where(both & np.isfinite(curvature), curvature, np.eye(g.shape[1]))
    diagonal = np.abs(np.diagonal(h, axis1=1, axis2=2))
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    roots, vectors = np.linalg.eigh(h * unit[:, :, None] * unit[:, None, :])
    roots = np.maximum(np.abs(roots), 1e-14)
    turned = np.einsum("dij,di->dj", vectors, g * unit)
    step = unit * np.einsum("dij,dj->di", vectors, turned / roots)
    return step, np.sum(turned**2 / roots, axis=1)


def _climb(
    value: Value, point: np.ndarray, step: np.ndarray, height: np.ndarray, blind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points after the longest of step, step / 2, ... that climbs, and their heights."""
    if blind.all():
        return point + step, height
    length = np.ones(len(point))
    for _ in range(_MAX_HALVINGS):
        moved = point + length[:, None] * step
        reached = _finite(value(moved))
        worse = ~blind & (reached <= height) & (step != 0).any(axis=1)
        if not worse.any():
            return moved, reached
        length = np.where(worse, length / 2, length)
    return np.where(worse[:, None], point, moved), np.where(worse, height, reached)
