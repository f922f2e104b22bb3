"""Newton's method for the objective, kept from going astray, under linear restrictions if asked."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import null_space

from skgm._numerics.newton import Damping, Stopping, halve, maximize_within, minimum_norm
from skgm.nce._contrast import Contrast

__all__ = ["LinearFit", "maximize"]

# Where the log-likelihood could rise by less than this per parameter, a step that does not keep its
# promise ends the search: at the maximum, statistically.
_NEGLIGIBLE = 0.01

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
    negligible = _NEGLIGIBLE * len(theta) / contrast.rows.n

    def derivatives(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient, curvature = contrast.derivatives(theta)
        return gradient - ridge * theta, curvature + np.diag(ridge)

    found = maximize_within(
        _penalized(contrast, ridge),
        derivatives,
        theta,
        basis,
        stop=Stopping(last=tol, blind=tol, stuck=negligible, short=negligible),
        invert=minimum_norm,
        search=halve if contrast.concave else Damping(),
        max_iter=max_iter,
        observe=None if observe is None else lambda i, height: observe(i, float(height[0])),
    )
    overlap = contrast.overlap(found.point)
    return LinearFit(found.point, found.height, found.n_iter, found.converged, overlap)


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
