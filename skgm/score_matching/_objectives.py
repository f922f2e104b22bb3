"""The two score-matching losses, in the half convention, as averages over rows and in closed form.

`score` is the score function of the model, grad_x log p, at the rows. The conventions of the
literature differ by a factor of two; here both losses carry the same 1/2, so that they differ by
a constant (eq. sm-equivalence).
"""

import numpy as np

__all__ = ["explicit_loss", "gaussian_implicit_loss", "implicit_loss"]


def explicit_loss(
    score: np.ndarray, score_data: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Return half the mean squared distance of two score functions (eq. sm-explicit).

    Parameters
    ----------
    score, score_data : ndarray of shape (n, d)
        Score functions of the model and of the data at the rows.
    sample_weight : ndarray of shape (n,), default=None
        Weights in the mean.

    Returns
    -------
    loss : float
    """
    return _mean(0.5 * ((score - score_data) ** 2).sum(axis=1), sample_weight)


def implicit_loss(
    score: np.ndarray, divergence: np.ndarray | float, sample_weight: np.ndarray | None = None
) -> float:
    """Return the mean of half the squared score plus its divergence (eq. sm-implicit).

    Parameters
    ----------
    score : ndarray of shape (n, d)
        Score function of the model at the rows.
    divergence : ndarray of shape (n,) or float
        Its divergence, the Laplacian of log p.
    sample_weight : ndarray of shape (n,), default=None
        Weights in the mean.

    Returns
    -------
    loss : float
    """
    return _mean(0.5 * (score**2).sum(axis=1) + divergence, sample_weight)


def gaussian_implicit_loss(precision: np.ndarray, second_moment: np.ndarray) -> float:
    """Return the implicit loss of a Gaussian from moments (eq. sm-gaussian).

    The second moment is taken about the model's mean, which is how the loss depends on it (eq.
    sm-mean-gradient).

    Parameters
    ----------
    precision : ndarray of shape (d, d) or (d,)
        Inverse covariance of the model, or its diagonal.
    second_moment : ndarray of shape (d, d) or (d,)
        Mean of (x - mu)(x - mu)' over the data, mu the model's mean; or its diagonal.

    Returns
    -------
    loss : float
    """
    if precision.ndim == 1:
        return float((0.5 * precision**2 * second_moment - precision).sum())
    return float(0.5 * np.vdot(precision @ second_moment, precision) - np.trace(precision))


def _mean(values: np.ndarray, sample_weight: np.ndarray | None) -> float:
    return float(np.average(values, weights=sample_weight))
