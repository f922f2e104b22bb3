"""Steps up the objective: Newton's, halved where it is concave, damped where it is not."""

from collections.abc import Callable

import numpy as np

__all__ = ["Damping", "climb", "newton_step"]

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
