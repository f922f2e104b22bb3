"""Newton's method for the objective, kept from going astray, under linear restrictions if asked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import null_space

from skgm.nce._contrast import Contrast, LinearContrast, Rows

__all__ = [
    "Damping",
    "LinearFit",
    "climb",
    "fit_linear",
    "maximize",
    "newton_step",
]

# A smooth objective gains half the decrement; one that gains less than this share, and whose
# log-likelihood could rise by less than this per parameter, is at its maximum, statistically.
_SHORT, _NEGLIGIBLE = 0.05, 0.01

Restriction = tuple[np.ndarray, np.ndarray]


class LinearFit(NamedTuple):
    """A maximum of the objective.

    Attributes
    ----------
    theta : ndarray of shape (k,)
        Coefficients, and the constant c at the end.
    objective : float
        J there.
    n_iter : int
        Number of Newton steps.
    converged : bool
        Whether the last step was small.
    overlap : float
        See :meth:`Contrast.overlap`.
    """

    theta: np.ndarray
    objective: float
    n_iter: int
    converged: bool
    overlap: float

    @property
    def coef(self) -> np.ndarray:
        """Coefficients of the statistics."""
        return self.theta[:-1]

    @property
    def intercept(self) -> float:
        """The constant c, minus the log-normalizer."""
        return float(self.theta[-1])


def maximize(
    contrast: Contrast,
    start: np.ndarray,
    *,
    alpha: float = 0.0,
    restriction: Restriction | None = None,
    tol: float = 1e-12,
    max_iter: int = 100,
    observe: Callable[[int, float], Any] | None = None,
) -> LinearFit:
    """Maximize J - alpha |coef|^2 / 2 by Newton steps (damped Fisher scoring if not linear).

    Parameters
    ----------
    contrast : Contrast
        Model and rows.
    start : ndarray of shape (k,)
        Where to begin.
    alpha : float, default=0
        Ridge on all but c; per data row, so that weights count as repetitions.
    restriction : (R, q), default=None
        Stay where R theta = q, of shapes (r, k) and (r,); `start` need not be there.
    tol : float, default=1e-12
        On the Newton decrement, half the gain that a step promises.
    max_iter : int, default=100
        Most steps.
    observe : callable, default=None
        Called with the step's number and the objective.

    Returns
    -------
    fit : LinearFit
    """
    basis, theta = _feasible(np.array(start, dtype=np.float64), restriction)
    ridge = np.append(np.full(len(theta) - 1, alpha), 0.0)
    value = _penalized(contrast, ridge)
    height, converged, n_iter = value(theta), False, 0
    damping = None if contrast.concave else Damping()
    while n_iter < max_iter and not converged and np.isfinite(height):
        gradient, curvature = contrast.derivatives(theta)
        gradient = basis.T @ (gradient - ridge * theta)
        curvature = basis.T @ (curvature + np.diag(ridge)) @ basis
        step = basis @ newton_step(gradient, curvature)
        decrement = float((basis.T @ step) @ gradient)
        converged = decrement < tol
        if converged and damping is None:  # the objective cannot see the gain of a good step
            theta = theta + step
            height = value(theta)
        else:
            if damping is None:
                theta, new_height = climb(value, theta, step, height)
            else:
                local = basis, gradient, curvature
                theta, new_height = damping.climb(value, theta, height, *local)
            gain, height = new_height - height, new_height
            if gain < _SHORT * decrement and decrement * contrast.rows.n < _NEGLIGIBLE * len(theta):
                converged = True  # at a kink of the model, or in the noise of the objective
            elif gain <= 0 and not converged:
                break
        n_iter += 1
        if observe is not None:
            observe(n_iter, height)
    return LinearFit(theta, height, n_iter, bool(converged), contrast.overlap(theta))


def fit_linear(
    T_data: np.ndarray,
    T_noise: np.ndarray,
    log_q_data: np.ndarray,
    log_q_noise: np.ndarray,
    nu: float,
    weight: np.ndarray | None = None,
    *,
    alpha: float = 0.0,
    restriction: Restriction | None = None,
    tol: float = 1e-12,
    max_iter: int = 100,
) -> LinearFit:
    """Fit log p = T'coef + c from statistics at data and noise.

    Parameters
    ----------
    T_data, T_noise : ndarray of shape (n, p) and (m, p)
        Statistics.
    log_q_data, log_q_noise : ndarray of shape (n,) and (m,)
        Log-density of the noise.
    nu : float
        m over the total weight of the data.
    weight : ndarray of shape (n,), default=None
        Weights of the data.
    alpha, restriction, tol, max_iter
        As in :func:`maximize`.

    Returns
    -------
    fit : LinearFit
    """
    contrast = LinearContrast(
        Rows(log_q_data, log_q_noise, float(np.log(nu)), weight), T_data, T_noise
    )
    start = np.zeros(T_data.shape[1] + 1)
    return maximize(
        contrast, start, alpha=alpha, restriction=restriction, tol=tol, max_iter=max_iter
    )


def _penalized(contrast: Contrast, ridge: np.ndarray) -> Callable[[np.ndarray], float]:
    def value(theta: np.ndarray) -> float:
        height = contrast.objective(theta) - 0.5 * float(ridge @ theta**2)
        return height if np.isfinite(height) else -np.inf

    return value


def _feasible(start: np.ndarray, restriction: Restriction | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a basis of the directions that the restriction leaves, and the nearest start."""
    if restriction is None:
        return np.eye(len(start)), start
    matrix, target = restriction
    return null_space(matrix), start + np.linalg.pinv(matrix) @ (target - matrix @ start)


# Steps up the objective: Newton's, halved where it is concave, damped where it is not.

_MAX_TRIES = 40
# Eigenvalues of the scaled curvature below this are flat directions: the minimum-norm step.
_FLAT = 1e-12
# Shares of its promised gain that a step must keep to be taken, and that change the damping.
_TAKEN, _POOR, _GOOD = 1e-4, 0.25, 0.75
# Least damping of a coordinate, relative to the largest, in turns of so many steps.
_FLOORS, _TURN = (1e-2, 1e-10), 20

Value = Callable[[np.ndarray], float]


def newton_step(gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return the minimum-norm Newton step, on the scale where the curvature has unit diagonal."""
    diagonal = np.diagonal(curvature)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(curvature * unit * unit[:, None])
    kept = values > _FLAT * max(values[-1], 0.0) if len(values) else values > 0
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    return unit * (vectors @ (inverse * (vectors.T @ (unit * gradient))))


def climb(
    value: Value, theta: np.ndarray, step: np.ndarray, height: float
) -> tuple[np.ndarray, float]:
    """Halve the step until the objective rises."""
    for _ in range(_MAX_TRIES):
        moved = theta + step
        new_height = value(moved)
        if new_height > height:
            return moved, new_height
        step = step / 2
    return theta, height


class Damping:
    """Levenberg and Marquardt's damping of Newton steps.

    Where the objective is not concave, the curvature describes it near by only: an undamped step
    along a direction that is nearly flat goes to where all directions are flat, and no fraction of
    it is a good step. The curvature is raised by a multiple of the largest that each coordinate has
    had, the multiple rising where a step gains less than it promised and falling where it keeps
    its promise, to zero in the end.

    Coordinates that are flat at the start (of a hidden unit without weights) are damped nearly as
    much as the others. Of parameters in odd units that is too much, so in every other turn of
    steps it is not done.
    """

    def __init__(self) -> None:
        self.amount = 0.1
        self._scale: np.ndarray | float = 0.0
        self._n_steps = 0

    def climb(
        self,
        value: Value,
        theta: np.ndarray,
        height: float,
        basis: np.ndarray,
        gradient: np.ndarray,
        curvature: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """Return theta moved by a damped step, basis @ step, and the objective there.

        Parameters
        ----------
        value : callable
            The objective.
        theta : ndarray of shape (k,)
        height : float
            The objective at theta; returned with it where no step rises.
        basis : ndarray of shape (k, r)
            Directions in which theta may move.
        gradient, curvature : ndarray of shape (r,) and (r, r)
            Along them.
        """
        self._scale = np.maximum(self._scale, np.diagonal(curvature))
        least = _FLOORS[self._n_steps // _TURN % 2] * np.max(self._scale, initial=0.0)
        damping = np.diag(np.maximum(self._scale, least))
        self._n_steps += 1
        for _ in range(_MAX_TRIES):
            step = newton_step(gradient, curvature + self.amount * damping)
            promised = float(gradient @ step - 0.5 * step @ curvature @ step)
            moved = theta + basis @ step
            new_height = value(moved)
            gain = new_height - height
            if gain > _TAKEN * promised and gain > 0:
                self._adapt(gain / promised)
                return moved, new_height
            self.amount = max(8 * self.amount, 1e-2)
        return theta, height

    def _adapt(self, kept: float) -> None:
        if kept > _GOOD:
            self.amount = self.amount / 8 if self.amount > 1e-6 else 0.0
        elif kept < _POOR:
            self.amount = max(4 * self.amount, 1e-2)
