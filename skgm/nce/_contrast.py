"""What is maximized: data and noise rows under a model of log p, linear in theta or not."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_expit

__all__ = [
    "Contrast",
    "LinearContrast",
    "ModelContrast",
    "Rows",
    "nce_curvature",
    "nce_gradient",
    "nce_objective",
    "total_weight",
]


class Rows(NamedTuple):
    """The data, the noise, and what is known of them.

    Attributes
    ----------
    log_q_data, log_q_noise : ndarray of shape (n,) and (m,)
        Log-density of the noise at data and noise.
    log_nu : float
        Log of m over the total weight of the data.
    weight : ndarray of shape (n,) or None
        Weights of the data.
    scramble : ndarray of int, shape (m,), or None
        Which independent scramble each noise row belongs to; None for independent noise.
    """

    log_q_data: np.ndarray
    log_q_noise: np.ndarray
    log_nu: float
    weight: np.ndarray | None = None
    scramble: np.ndarray | None = None

    @property
    def n(self) -> float:
        """Total weight of the data."""
        return total_weight(len(self.log_q_data), self.weight)


class Contrast(ABC):
    """Noise-contrastive estimation of one model on given rows; theta ends with c.

    Attributes
    ----------
    rows : Rows
        Data and noise.
    concave : bool
        Whether the objective is, so that Newton's steps need no damping.
    """

    rows: Rows
    concave: bool = False

    @abstractmethod
    def log_density(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log p at the data, (n,), and at the noise, (m,)."""

    @abstractmethod
    def gradients(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d log p / d theta at the data, (n, k), and at the noise, (m, k)."""

    def logits(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log p - log q - log nu at data and noise."""
        data, noise = self.log_density(theta)
        rows = self.rows
        return data - rows.log_q_data - rows.log_nu, noise - rows.log_q_noise - rows.log_nu

    def objective(self, theta: np.ndarray) -> float:
        """Return J at theta, (k,)."""
        return nce_objective(*self.logits(theta), self.rows.weight)

    def derivatives(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return dJ/d theta, (k,), and minus its Hessian, (k, k)."""
        parts = *self.logits(theta), *self.gradients(theta), self.rows.weight
        return nce_gradient(*parts), nce_curvature(*parts)

    def pulls(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (1 - h) g at the data, (n, k), and h g at the noise, (m, k)."""
        (data, noise), (of_data, of_noise) = self.logits(theta), self.gradients(theta)
        return expit(-data)[:, None] * of_data, expit(noise)[:, None] * of_noise

    def overlap(self, theta: np.ndarray) -> float:
        """Return the sum of h (1 - h), relative to its value for noise like the data, n m/(n + m).

        Near zero where data and noise are told apart without error: nothing is left to estimate.
        """
        (data, noise), weight = self.logits(theta), self.rows.weight
        of_data, of_noise = expit(data) * expit(-data), expit(noise) * expit(-noise)
        total = (of_data.sum() if weight is None else weight @ of_data) + of_noise.sum()
        n, m = self.rows.n, len(noise)
        return float(total / (n * m / (n + m)))


class LinearContrast(Contrast):
    """log p = T(x)'theta + c, from a table of statistics.

    Parameters
    ----------
    rows : Rows
        The rest.
    data, noise : ndarray of shape (n, p) and (m, p)
        Statistics at the data and at the noise.
    """

    concave = True

    def __init__(self, rows: Rows, data: np.ndarray, noise: np.ndarray) -> None:
        self.rows = rows
        self.data = np.column_stack([data, np.ones(len(data))])
        self.noise = np.column_stack([noise, np.ones(len(noise))])

    def log_density(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.data @ theta, self.noise @ theta

    def gradients(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the statistics and a column of ones."""
        return self.data, self.noise


class ModelContrast(Contrast):
    """log p = log_phi(X, theta) + c, for a model of the user's own.

    Parameters
    ----------
    rows : Rows
        The rest.
    data, noise : ndarray of shape (n, d) and (m, d)
        The rows themselves.
    log_phi : callable
        From X, (n, d), and theta, (p,), to (n,).
    gradient : callable
        From X and theta to (n, p).
    """

    def __init__(
        self,
        rows: Rows,
        data: np.ndarray,
        noise: np.ndarray,
        log_phi: Callable[[np.ndarray, np.ndarray], np.ndarray],
        gradient: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self.rows, self.data, self.noise = rows, data, noise
        self._log_phi, self._gradient = log_phi, gradient

    def log_density(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, c = theta[:-1], theta[-1]
        return self._log_phi(self.data, own) + c, self._log_phi(self.noise, own) + c

    def gradients(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the model's gradients and a column of ones."""
        own = theta[:-1]
        data, noise = self._finite_gradient(self.data, own), self._finite_gradient(self.noise, own)
        return (
            np.column_stack([data, np.ones(len(data))]),
            np.column_stack([noise, np.ones(len(noise))]),
        )

    def _finite_gradient(self, X: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the gradient, (n, p), zero outside the support of the model."""
        gradient = self._gradient(X, theta)
        bad = ~np.isfinite(gradient).all(axis=1)
        if not bad.any():
            return gradient
        at = np.flatnonzero(bad)
        at = at[~np.isneginf(self._log_phi(X[bad], theta))]
        if len(at):
            raise ValueError(
                f"The gradient of log_phi is not finite at theta = {theta} and the row {X[at[0]]}, "
                "of the data or of the noise. Correct it, or start elsewhere (theta0)."
            )
        return np.where(bad[:, None], 0.0, gradient)


# The objective of noise-contrastive estimation and its derivatives.
#
# Data :math:`x_i` (of total weight n) are told from m noise rows :math:`y_j`, drawn from a
# density q that is known. With :math:`\nu = m/n` and the *logit* :math:`G = \log p_\theta - \log
# q - \log\nu`, where :math:`\log p_\theta = \varphi_\theta + c` has a free constant c, the
# posterior probability that a row u is data is :math:`h(u) = \sigma(G(u))`. It is not the density
# of the data; that is :math:`q\,\nu\,h/(1 - h)`.
#
# All functions take logits and gradients :math:`g = \partial\log p_\theta/\partial\theta`, whose
# component for c is one, so that they serve linear and other models.


def total_weight(n_rows: int, weight: np.ndarray | None) -> float:
    """Return n, the number of rows that the weights stand for."""
    return float(n_rows if weight is None else weight.sum())


def nce_objective(
    logit_data: np.ndarray, logit_noise: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """Return J, the mean log-likelihood of the labels per data row (eq. nce-objective).

    Both sums are needed: the first alone rises without end in c. The logits contain log nu.

    Parameters
    ----------
    logit_data : ndarray of shape (n,)
        log p - log q - log nu at the data.
    logit_noise : ndarray of shape (m,)
        The same at the noise.
    weight : ndarray of shape (n,), default=None
        A weight w counts its data row w times.

    Returns
    -------
    objective : float
        To be maximized; negative.
    """
    of_data, of_noise = log_expit(logit_data), log_expit(-logit_noise)
    total = of_data.sum() if weight is None else weight @ of_data
    return float((total + of_noise.sum()) / total_weight(len(of_data), weight))


def nce_gradient(
    logit_data: np.ndarray,
    logit_noise: np.ndarray,
    gradient_data: np.ndarray,
    gradient_noise: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return dJ/d theta (eq. nce-gradient).

    Parameters
    ----------
    logit_data, logit_noise : ndarray of shape (n,) and (m,)
        As in :func:`nce_objective`.
    gradient_data, gradient_noise : ndarray of shape (n, k) and (m, k)
        Gradients of log p with respect to theta, one for c.
    weight : ndarray of shape (n,), default=None
        Weights of the data.

    Returns
    -------
    gradient : ndarray of shape (k,)
    """
    pull = expit(-logit_data) if weight is None else weight * expit(-logit_data)
    total = pull @ gradient_data - expit(logit_noise) @ gradient_noise
    return total / total_weight(len(logit_data), weight)


def nce_curvature(
    logit_data: np.ndarray,
    logit_noise: np.ndarray,
    gradient_data: np.ndarray,
    gradient_noise: np.ndarray,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Return minus the Hessian of J, positive semi-definite (eq. nce-hessian).

    Exact where log p is linear in theta; elsewhere what is left out has mean zero at the truth, as
    in Fisher's scoring. In either case the estimate of I in eq. nce-covariance.

    Parameters
    ----------
    logit_data, logit_noise, gradient_data, gradient_noise, weight
        As in :func:`nce_gradient`.

    Returns
    -------
    curvature : ndarray of shape (k, k)
    """
    spread = expit(logit_data) * expit(-logit_data)
    spread = spread if weight is None else weight * spread
    noise_spread = expit(logit_noise) * expit(-logit_noise)
    total = (gradient_data * spread[:, None]).T @ gradient_data
    total += (gradient_noise * noise_spread[:, None]).T @ gradient_noise
    return total / total_weight(len(logit_data), weight)
