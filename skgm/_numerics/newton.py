"""Maximizes functions by damped Newton steps: many small ones at once, or one under restrictions.

All searches of the package with a gradient and a curvature matrix run through `maximize`. What may
differ between them is an argument: what is done where the curvature is no guide (`invert`), how a
step is shortened (`search`), and when the search ends (`stop`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "MEAN_LOGLIK",
    "Damping",
    "Local",
    "Maximum",
    "Stopping",
    "halve",
    "maximize",
    "maximize_within",
    "minimum_norm",
    "newton_step",
    "uphill",
]

_MAX_TRIES = 40
_EPS = np.finfo(np.float64).eps

Value = Callable[[np.ndarray], np.ndarray]
Derivatives = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Invert = Callable[[np.ndarray], np.ndarray]


class Maximum(NamedTuple):
    """Where the search ended.

    Attributes
    ----------
    point : ndarray of shape (d, k), or (k,) from `maximize_within`
        The local maxima.
    height : ndarray of shape (d,), or float
        The function there, but for a gain that rounding hides.
    converged : ndarray of bool, shape (d,), or bool
        False where the function still rises: its maximum may lie at infinity.
    n_iter : int
        Number of steps.
    """

    point: Any
    height: Any
    converged: Any
    n_iter: int


class Stopping(NamedTuple):
    """When a search ends, by the decrement: g' H^-1 g, twice the gain that a Newton step promises.

    The defaults are for mean log-likelihoods.

    Attributes
    ----------
    last : float
        A step with a smaller decrement is the last one. Newton squares the error, so what remains
        is below rounding.
    blind : float
        The function cannot see the gain of a step with a smaller decrement: it is taken unseen.
    stuck : float
        A search that finds no point uphill has reached a maximum if the decrement is smaller.
    short : float
        A step that gains less than a twentieth of a decrement smaller than this one ends the
        search at a maximum: at a kink of the function, or in its noise.
    """

    last: float = 1e-15
    blind: float = 1e-11
    stuck: float = 1e-8
    short: float = 0.0


MEAN_LOGLIK = Stopping()


class Local(NamedTuple):
    """The quadratic model at the points, (d, k), from which a search starts."""

    gradient: np.ndarray
    curvature: np.ndarray
    step: np.ndarray
    blind: np.ndarray


Search = Callable[[Value, np.ndarray, np.ndarray, Local], tuple[np.ndarray, np.ndarray]]


def uphill(roots: np.ndarray) -> np.ndarray:
    """Return 1 / |eigenvalue|: the step goes uphill at a saddle, and is long on a plateau."""
    return 1 / np.maximum(np.abs(roots), 1e-14)


def minimum_norm(roots: np.ndarray) -> np.ndarray:
    """Return 1 / eigenvalue, zero along flat directions, such as those of collinear columns."""
    kept = roots > 1e-12 * np.maximum(roots[..., -1:], 0.0)
    return np.where(kept, 1 / np.where(kept, roots, 1.0), 0.0)


def newton_step(
    gradient: np.ndarray, curvature: np.ndarray, invert: Invert = uphill
) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps H^-1 g, (d, k), and their decrements g' H^-1 g, (d,).

    The eigenvalues are those on the scale on which the curvature has a unit diagonal, so that the
    step is the same in any units of the parameters.
    """
    diagonal = np.abs(np.diagonal(curvature, axis1=1, axis2=2))
    if gradient.shape[1] == 1:
        size = np.where(diagonal > 0, diagonal, 1.0)
        step = gradient * invert(np.where(curvature[:, 0] < 0, -1.0, 1.0)) / size
        return step, np.maximum((step * gradient)[:, 0], 0.0)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    roots, vectors = np.linalg.eigh(curvature * unit[:, :, None] * unit[:, None, :])
    turned = np.einsum("dij,di->dj", vectors, gradient * unit)
    inverse = invert(roots)
    step = unit * np.einsum("dij,dj->di", vectors, turned * inverse)
    return step, np.sum(turned**2 * inverse, axis=1)


def halve(
    value: Value, point: np.ndarray, height: np.ndarray, local: Local
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points after the longest of step, step / 2, ... that climbs, and their heights.

    Where all steps are taken unseen the heights stay as they are.
    """
    if local.blind.all():
        return point + local.step, height
    length, moves = np.ones(len(point)), (local.step != 0).any(axis=1) & ~local.blind
    for _ in range(_MAX_TRIES):
        moved = point + length[:, None] * local.step
        reached = _finite(value(moved))
        worse = moves & (reached <= height)
        if not worse.any():
            return moved, reached
        length = np.where(worse, length / 2, length)
    return np.where(worse[:, None], point, moved), np.where(worse, height, reached)


def maximize(
    value: Value,
    derivatives: Derivatives,
    start: np.ndarray,
    free: np.ndarray | None = None,
    *,
    stop: Stopping = MEAN_LOGLIK,
    invert: Invert = uphill,
    search: Search = halve,
    max_iter: int = 200,
    observe: Callable[[int, np.ndarray], Any] | None = None,
) -> Maximum:
    """Return one local maximum for each of d functions, by Newton steps that climb.

    Parameters
    ----------
    value : callable
        From points (d, k) to values (d,); -inf or NaN where a point is impossible.
    derivatives : callable
        From points (d, k) to gradients (d, k) and minus Hessians (d, k, k) of `value`.
    start : ndarray of shape (d, k)
        Starting points, on a scale without ends.
    free : ndarray of bool, shape (d, k), default=None
        Which coordinates move; None for all.
    stop : Stopping
        When the searches end.
    invert : callable, default=uphill
        From eigenvalues of the curvature, ascending along the last axis, to those of the inverse.
    search : callable, default=halve
        Takes the step, or less of it.
    max_iter : int, default=200
        Most steps.
    observe : callable, default=None
        Called after each step with its number and the values.

    Returns
    -------
    maximum : Maximum
    """
    point = np.array(start, dtype=np.float64)
    free = np.ones(point.shape, dtype=bool) if free is None else free
    height, n_iter = _finite(value(point)), 0
    active, previous = free.any(axis=1), np.full(len(point), np.inf)
    converged = np.asarray(~active)
    while n_iter < max_iter and active.any():
        gradient, curvature = _of_free(*derivatives(point), free)
        step, decrement = newton_step(gradient, curvature, invert)
        step[~active] = 0.0
        blind = decrement < np.maximum(stop.blind, 16 * _EPS * np.abs(height))
        point, reached = search(value, point, height, Local(gradient, curvature, step, blind))
        with np.errstate(invalid="ignore"):  # from -inf to -inf
            gain = reached - height
        stuck = ~blind & ~(gain > 0)
        done = (decrement < stop.last) | (blind & (decrement >= previous))  # or in the noise
        done |= (decrement < stop.short) & (gain < 0.05 * decrement)
        done |= stuck & (decrement < stop.stuck)
        converged |= active & done
        active = active & ~done & ~stuck
        height, previous, n_iter = reached, decrement, n_iter + 1
        if observe is not None:
            observe(n_iter, height)
    return Maximum(point, height, converged, n_iter)


def maximize_within(
    value: Callable[[np.ndarray], float],
    derivatives: Derivatives,
    start: np.ndarray,
    basis: np.ndarray | None = None,
    **options: Any,
) -> Maximum:
    """Return the maximum of one function among `start` plus the span of `basis`.

    Linear restrictions R theta = q are met where `start` meets them and R times `basis` is zero.

    Parameters
    ----------
    value : callable
        From a point (k,) to a number; -inf where it is impossible.
    derivatives : callable
        From a point to its gradient (k,) and minus the Hessian (k, k).
    start : ndarray of shape (k,)
        Where the search begins.
    basis : ndarray of shape (k, m), default=None
        Directions; None for all.
    **options : dict
        Those of :func:`maximize`.

    Returns
    -------
    maximum : Maximum
        Not converged where `value` is not finite at the start.
    """
    basis = np.eye(len(start)) if basis is None else basis

    def values(beta: np.ndarray) -> np.ndarray:
        return np.array([value(start + basis @ beta[0])])

    def along(beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient, curvature = derivatives(start + basis @ beta[0])
        return (basis.T @ gradient)[None], (basis.T @ curvature @ basis)[None]

    begin = np.zeros((1, basis.shape[1]))
    height = value(start)
    if not np.isfinite(height):
        return Maximum(start, height, False, 0)
    found = maximize(values, along, begin, **options)
    point = start + basis @ found.point[0]
    return Maximum(point, value(point), bool(found.converged[0]), found.n_iter)


def _finite(height: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(height), -np.inf, height)


def _of_free(
    gradient: np.ndarray, curvature: np.ndarray, free: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and curvature with what is held, or not finite, as if it were flat."""
    gradient = np.where(free & np.isfinite(gradient), gradient, 0.0)
    both = free[:, :, None] & free[:, None, :]
    return gradient, np.where(both & np.isfinite(curvature), curvature, np.eye(free.shape[1]))


class Damping:
    """Shortens steps by Levenberg and Marquardt's damping; for one function at a time.

    Where the objective is not concave, the curvature describes it near by only: an undamped step
    along a direction that is nearly flat goes to where all directions are flat, and no fraction of
    it is a good step. The curvature is raised by a multiple of the largest that each coordinate has
    had, the multiple rising where a step gains less than it promised and falling where it keeps
    its promise, to zero in the end.

    Coordinates that are flat at the start (of a hidden unit without weights) are damped nearly as
    much as the others. Of parameters in odd units that is too much, so in every other turn of
    steps it is not done.
    """

    # Shares of its promised gain that a step must keep to be taken, and that change the damping.
    _TAKEN, _POOR, _GOOD = 1e-4, 0.25, 0.75
    # Least damping of a coordinate, relative to the largest, in turns of so many steps.
    _FLOORS, _TURN = (1e-2, 1e-10), 20

    def __init__(self) -> None:
        self.amount = 0.1
        self._scale: np.ndarray | float = 0.0
        self._n_steps = 0

    def __call__(
        self, value: Value, point: np.ndarray, height: np.ndarray, local: Local
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the point moved by a damped step, or as it was, and the value there."""
        gradient, curvature = local.gradient, local.curvature
        self._scale = np.maximum(self._scale, np.diagonal(curvature[0]))
        least = self._FLOORS[self._n_steps // self._TURN % 2] * np.max(self._scale, initial=0.0)
        damping = np.diag(np.maximum(self._scale, least))
        self._n_steps += 1
        for _ in range(_MAX_TRIES):
            step = newton_step(gradient, curvature + self.amount * damping, minimum_norm)[0]
            promised = float(gradient[0] @ step[0] - 0.5 * step[0] @ curvature[0] @ step[0])
            reached = _finite(value(point + step))
            gain = float(reached[0] - height[0])
            if gain > self._TAKEN * promised and gain > 0:
                self._adapt(gain / promised)
                return point + step, reached
            self.amount = max(8 * self.amount, 1e-2)
        return point, height

    def _adapt(self, kept: float) -> None:
        if kept > self._GOOD:
            self.amount = self.amount / 8 if self.amount > 1e-6 else 0.0
        elif kept < self._POOR:
            self.amount = max(4 * self.amount, 1e-2)
