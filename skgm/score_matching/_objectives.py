"""Computes score-matching losses row by row, in the half convention, from arrays.

`score` is the score function of the model, grad_x log p, at the rows. The conventions of the
literature differ by a factor of two; here all losses carry the same 1/2, so that they differ by
constants (eq. sm-equivalence).
"""

import numpy as np

__all__ = [
    "denoising_rows",
    "explicit_rows",
    "generalized_rows",
    "implicit_rows",
    "sliced_rows",
]


def explicit_rows(score: np.ndarray, score_data: np.ndarray) -> np.ndarray:
    """Return half the squared distance of two score functions, (n,) (eq. sm-explicit)."""
    return 0.5 * ((score - score_data) ** 2).sum(axis=1)


def implicit_rows(score: np.ndarray, divergence: np.ndarray | float) -> np.ndarray:
    """Return half the squared score plus its divergence, (n,) (eq. sm-implicit)."""
    return 0.5 * (score**2).sum(axis=1) + divergence


def denoising_rows(score: np.ndarray, noise: np.ndarray, scale: float) -> np.ndarray:
    """Return 1/2 ||score + noise / scale||^2, (n,), noise averaged where it can be.

    `score` is taken at x + scale * noise (eq. sm-denoising): -noise / scale is the score function
    of the noised row given the clean one. The square of it does not depend on the model; its
    expectation, d / (2 scale^2), stands in for it, which leaves the mean as it is and the
    variance bounded as the scale goes to zero.
    """
    n_columns = score.shape[1]
    cross = (score * noise).sum(axis=1) / scale
    return 0.5 * (score**2).sum(axis=1) + cross + n_columns / (2 * scale**2)


def sliced_rows(
    score: np.ndarray, slope: np.ndarray, direction: np.ndarray, *, variance_reduced: bool
) -> np.ndarray:
    """Return the loss along one random direction per row, (n,) (eq. sm-sliced).

    `slope` is J v, the Jacobian of the score function times the direction v, where E v v' = I.
    With `variance_reduced` the square of the score is exact and only the trace of J is sampled.
    """
    square = (score**2).sum(axis=1) if variance_reduced else (score * direction).sum(axis=1) ** 2
    return 0.5 * square + (direction * slope).sum(axis=1)


def generalized_rows(
    score: np.ndarray, derivative: np.ndarray, weight: np.ndarray, weight_slope: np.ndarray
) -> np.ndarray:
    """Return sum_j h_j psi_j^2 / 2 + h_j d_j psi_j + h_j' psi_j, (n,) (eq. sm-generalized).

    `derivative` holds d psi_j / d x_j, `weight` and `weight_slope` hold h_j(x_j) and h_j'(x_j);
    all (n, d).
    """
    values = weight * (0.5 * score**2 + derivative) + weight_slope * score
    return values.sum(axis=1)
