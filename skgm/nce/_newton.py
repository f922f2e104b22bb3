"""Newton's method for the objective, kept from going astray, under linear restrictions if asked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import null_space

from skgm.nce._contrast import Contrast, LinearContrast, Rows
from skgm.nce._steps import Damping, climb, newton_step

__all__ = ["LinearFit", "fit_linear", "maximise"]

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
        """The constant c, minus the log-normaliser."""
        return float(self.theta[-1])


def maximise(
    contrast: Contrast,
    start: np.ndarray,
    *,
    alpha: float = 0.0,
    restriction: Restriction | None = None,
    tol: float = 1e-12,
    max_iter: int = 100,
    observe: Callable[[int, float], Any] | None = None,
) -> LinearFit:
    """Maximise J - alpha |coef|^2 / 2 by Newton steps (damped Fisher scoring if not linear).

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
    value = _penalised(contrast, ridge)
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
        As in :func:`maximise`.

    Returns
    -------
    fit : LinearFit
    """
    contrast = LinearContrast(
        Rows(log_q_data, log_q_noise, float(np.log(nu)), weight), T_data, T_noise
    )
    start = np.zeros(T_data.shape[1] + 1)
    return maximise(
        contrast, start, alpha=alpha, restriction=restriction, tol=tol, max_iter=max_iter
    )


def _penalised(contrast: Contrast, ridge: np.ndarray) -> Callable[[np.ndarray], float]:
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
