"""How uncertain the data are given a noisy row, from the derivatives of the denoiser.

With u = cos(phi) z + sin(phi) e and the posterior mean E[z | u] = cos(phi) u + sin(phi) F,
Tweedie's formula of second order says

    Cov[z | u] = tan(phi) sin(phi) dE[z | u] / du = sin^2 I + (sin^3 / cos) J_F,

exactly where F is exact. A network's Jacobian need be neither symmetric nor positive; what is used
of it is its symmetric part with eigenvalues in a range around the errors measured at fit.
"""

from typing import Any

import numpy as np

__all__ = ["has_jacobian", "posterior_spectrum", "velocity_jacobian"]

_SMALLEST, _LARGEST = 0.05, 20.0  # eigenvalues, in multiples of the mean error of the level
_LEAST_COS = 0.1  # beyond, the Jacobian's error is multiplied by ten and more


def has_jacobian(denoiser: Any, row: np.ndarray, condition: np.ndarray | None = None) -> bool:
    """Return whether a denoiser has directional derivatives, tried at one row, (1, d)."""
    if not hasattr(denoiser, "velocity_jvp"):
        return False
    try:
        denoiser.velocity_jvp(row, np.pi / 4, np.ones_like(row), condition)
    except ValueError:  # a torch module that cannot be differentiated forwards
        return False
    return True


def velocity_jacobian(
    denoiser: Any, u: np.ndarray, phi: float, condition: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return F, (n, d), and its Jacobian, (n, d, d), entry [:, i, j] of F_i along u_j.

    A denoiser that has a ``velocity_jacobian(u, phi, condition)`` is asked for it; of any other
    it takes d directional derivatives.
    """
    if hasattr(denoiser, "velocity_jacobian"):
        return denoiser.velocity_jacobian(u, phi, condition)
    jacobian = np.empty((*u.shape, u.shape[1]))
    for j, unit in enumerate(np.eye(u.shape[1])):
        direction = np.tile(unit, (len(u), 1))
        velocity, jacobian[:, :, j] = denoiser.velocity_jvp(u, phi, direction, condition)
    return velocity, jacobian


def posterior_spectrum(
    denoiser: Any,
    u: np.ndarray,
    phi: float,
    errors: np.ndarray,
    condition: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return F and the eigenvalues and eigenvectors of the covariance of the data given u.

    Parameters
    ----------
    denoiser : object
        With ``velocity_jvp(u, phi, w, condition)``.
    u : ndarray of shape (n, d)
        Noisy rows.
    phi : float
        Their angle.
    errors : ndarray of shape (d,)
        Mean squared errors of the predicted data at this angle; they bound the eigenvalues.
    condition : ndarray of shape (n, k), default=None
        Passed on to the denoiser.

    Returns
    -------
    velocity : ndarray of shape (n, d)
    eigenvalues : ndarray of shape (n, d)
        Positive.
    eigenvectors : ndarray of shape (n, d, d)
        In columns.
    """
    cos, sin, d = np.cos(phi), np.sin(phi), u.shape[1]
    if cos < _LEAST_COS:  # next to nothing is known of z but what all rows have in common
        velocity = denoiser.velocity(u, phi, condition)
        return (
            velocity,
            np.broadcast_to(errors, u.shape),
            np.broadcast_to(np.eye(d), (len(u), d, d)),
        )
    velocity, jacobian = velocity_jacobian(denoiser, u, phi, condition)
    symmetric = 0.5 * (jacobian + jacobian.transpose(0, 2, 1))
    slopes, vectors = np.linalg.eigh(symmetric)
    mean = errors.mean()
    values = sin**2 + sin**3 / cos * slopes
    return velocity, np.clip(values, _SMALLEST * mean, _LARGEST * mean), vectors
