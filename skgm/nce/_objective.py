r"""The objective of noise-contrastive estimation and its derivatives.

Data :math:`x_i` (of total weight n) are told from m noise rows :math:`y_j`, drawn from a density q
that is known. With :math:`\nu = m/n` and the *logit* :math:`G = \log p_\theta - \log q - \log\nu`,
where :math:`\log p_\theta = \varphi_\theta + c` has a free constant c, the posterior probability
that a row u is data is :math:`h(u) = \sigma(G(u))`. It is not the density of the data; that is
:math:`q\,\nu\,h/(1 - h)`.

All functions take logits and gradients :math:`g = \partial\log p_\theta/\partial\theta`, whose
component for c is one, so that they serve linear and other models.
"""

import numpy as np
from scipy.special import expit, log_expit

__all__ = ["nce_curvature", "nce_gradient", "nce_objective", "total_weight"]


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
        To be maximised; negative.
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
