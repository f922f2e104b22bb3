"""Solves linear systems by preconditioned conjugate gradients, on arrays of any shape."""

from collections.abc import Callable

import numpy as np

__all__ = [
    "conjugate_gradients",
]


@np.errstate(over="ignore", invalid="ignore")  # steps without a bound end where they leave float64
def conjugate_gradients(
    operator: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
    scale: np.ndarray,
    x: np.ndarray | None = None,
    *,
    max_iter: int,
    limit: float = 0.0,
    drop: float = 0.0,
) -> tuple[np.ndarray, bool]:
    """Solve ``operator(x) = target``; return the solution and whether it was reached.

    It is reached where no entry of the residual exceeds `limit`, or, with `drop`, where the
    residual's norm weighted by 1 / scale has fallen to that share of its first value. (scipy's
    solver bounds the Euclidean norm, which says little about the largest entry.)

    Parameters
    ----------
    operator : callable
        Symmetric and positive semidefinite in the plain inner product. Each call returns a new
        array, which is overwritten here.
    target : ndarray
        The right-hand side; its dtype is that of all computations.
    scale : ndarray
        The operator's diagonal, or near it, in the same dtype.
    x : ndarray, default=None
        Where to start; zero where None.
    max_iter : int
        Most products with the operator.
    limit, drop : float
        When to stop.
    """
    weight = 1 / scale
    if x is None:
        x, residual = np.zeros_like(target), target.copy()
    else:
        x, residual = x.copy(), target - operator(x)
    scaled = residual * weight
    direction = scaled.copy()
    fit = float(np.vdot(residual, scaled))
    enough = drop**2 * fit

    def reached() -> bool:
        return fit <= enough if drop else bool(np.abs(residual).max() <= limit)

    for _ in range(max_iter):
        if reached():
            return x, True
        image = operator(direction)
        curvature = float(np.vdot(direction, image))
        if not 0 < curvature < np.inf:  # rounding alone, or a direction without curvature
            break
        length = fit / curvature
        image *= length
        residual -= image
        x += np.multiply(direction, length, out=image)
        scaled = residual * weight
        before, fit = fit, float(np.vdot(residual, scaled))
        direction *= fit / before
        direction += scaled
    return x, reached()
