"""The posterior of one denoising step: where x_{t-1} lies, given x_t and the data x_0."""

from typing import Any

import numpy as np

from skgm.diffusion._forward import as_columns, require_steps
from skgm.diffusion._schedule import NoiseSchedule

__all__ = ["posterior_mean", "posterior_variance", "posterior_weights"]


def posterior_mean(x_t: Any, x_0: Any, t: Any, schedule: NoiseSchedule) -> np.ndarray:
    r"""Return the mean of x_{t-1} given x_t and x_0.

    .. math::
        \mu_t(x_t, x_0) = \frac{\sqrt{\alpha_t} (1 - \bar\alpha_{t-1})\, x_t
            + \sqrt{\bar\alpha_{t-1}} (1 - \alpha_t)\, x_0}{1 - \bar\alpha_t}

    A linear combination, not an interpolation: the two coefficients sum to less than one for
    t > 1. At t = 1 the mean is x_0.

    Parameters
    ----------
    x_t : array-like of shape (n, d)
        Rows at level t.
    x_0 : array-like of shape (n, d)
        The rows of data they came from.
    t : int or array-like of shape (n,)
        Levels, 1 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    mean : ndarray of shape (n, d)
        Means of the rows at level t - 1.

    Notes
    -----
    eq. ddpm-posterior-mean, ddpm-bayes.
    """
    level = require_steps(t, schedule)
    of_noisy, of_data, _ = posterior_weights(
        schedule.alpha_bar_at(level), schedule.alpha_bar_at(level - 1)
    )
    return as_columns(of_noisy) * np.asarray(x_t) + as_columns(of_data) * np.asarray(x_0)


def posterior_variance(t: Any, schedule: NoiseSchedule) -> np.ndarray:
    r"""Return the variance of every coordinate of x_{t-1} given x_t and x_0.

    .. math::
        \tilde\beta_t = \frac{(1 - \alpha_t)(1 - \bar\alpha_{t-1})}{1 - \bar\alpha_t}

    Zero at t = 1: given x_0, nothing is left to be known.

    Parameters
    ----------
    t : int or array-like of shape (n,)
        Levels, 1 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    variance : ndarray of the shape of t
        Variances.

    Notes
    -----
    eq. ddpm-posterior-variance.
    """
    level = require_steps(t, schedule)
    return posterior_weights(schedule.alpha_bar_at(level), schedule.alpha_bar_at(level - 1))[2]


def posterior_weights(alpha_bar_t: Any, alpha_bar_s: Any) -> tuple[Any, Any, Any]:
    """Return the weights of x_t and x_0 in the posterior mean at level s < t, and the variance.

    The levels need not be neighbours of one schedule: alpha is the ratio of the two alpha_bar, as
    for strided steps it must be.
    """
    alpha_bar_t, alpha_bar_s = np.asarray(alpha_bar_t), np.asarray(alpha_bar_s)
    alpha = alpha_bar_t / alpha_bar_s
    beta, noise_t, noise_s = 1.0 - alpha, 1.0 - alpha_bar_t, 1.0 - alpha_bar_s
    of_noisy = np.sqrt(alpha) * noise_s / noise_t  # eq. ddpm-posterior-mean
    of_data = np.sqrt(alpha_bar_s) * beta / noise_t
    return of_noisy, of_data, beta * noise_s / noise_t  # eq. ddpm-posterior-variance
