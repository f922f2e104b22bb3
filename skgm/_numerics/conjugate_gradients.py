"""Preconditioned conjugate gradients on arrays of any shape."""

from collections.abc import Callable

import numpy as np

__all__ = [
    "conjugate_gradients",
]

Operator = Callable[[np.ndarray], np.ndarray]


def conjugate_gradients(
    operator: Operator,
    target: np.ndarray,
    x: np.ndarray,
    scale: np.ndarray,
    limit: float,
    max_iter: int,
) -> tuple[np.ndarray, bool]:
    """Solve ``operator(x) = target`` from `x`; return the solution and whether it was reached.

    The operator is symmetric and positive semidefinite in the plain inner product; `scale` is its
    diagonal, or near it. Done where no entry of the residual exceeds `limit`. (scipy's solver
    bounds the Euclidean norm of the residual, which says little about its largest entry.)
    """
    residual = target - operator(x)
    direction = residual / scale
    fit = np.vdot(residual, direction)
    for _ in range(max_iter):
        if np.abs(residual).max() <= limit:
            return x, True
        image = operator(direction)
        curvature = np.vdot(direction, image)
        if curvature <= 0:  # rounding alone, or a direction without curvature
            break
        length = fit / curvature
        x = x + length * direction
        residual -= length * image
        scaled = residual / scale
        before, fit = fit, np.vdot(residual, scaled)
        direction = scaled + (fit / before) * direction
    return x, bool(np.abs(residual).max() <= limit)
