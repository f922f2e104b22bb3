"""The forward process: what noise does to a row, in one step and in many."""

from typing import Any

import numpy as np

from skgm.diffusion._schedule import NoiseSchedule

__all__ = ["as_columns", "forward_marginal", "forward_step", "require_steps"]


def forward_step(x: Any, t: Any, schedule: NoiseSchedule) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of one step of noise, from level t - 1 to level t.

    .. math::
        q(x_t \mid x_{t-1}) = N\bigl(\sqrt{\alpha_t}\, x_{t-1},\; (1 - \alpha_t) I\bigr)

    Parameters
    ----------
    x : array-like of shape (n, d)
        Rows at level t - 1.
    t : int or array-like of shape (n,)
        Levels, 1 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    mean : ndarray of shape (n, d)
        Means of the noisy rows.
    variance : ndarray of shape () or (n,)
        Variance of every coordinate.

    Notes
    -----
    eq. ddpm-forward.
    """
    level = require_steps(t, schedule)
    alpha = schedule.alpha[level - 1]
    return as_columns(np.sqrt(alpha)) * np.asarray(x), 1.0 - alpha


def forward_marginal(x_0: Any, t: Any, schedule: NoiseSchedule) -> tuple[np.ndarray, np.ndarray]:
    r"""Return mean and variance of a row after t steps of noise.

    .. math::
        q(x_t \mid x_0) = N\bigl(\sqrt{\bar\alpha_t}\, x_0,\; (1 - \bar\alpha_t) I\bigr)

    Parameters
    ----------
    x_0 : array-like of shape (n, d)
        Rows of data.
    t : int or array-like of shape (n,)
        Levels, 0 to n_timesteps.
    schedule : NoiseSchedule
        The levels.

    Returns
    -------
    mean : ndarray of shape (n, d)
        Means of the noisy rows.
    variance : ndarray of shape () or (n,)
        Variance of every coordinate.

    Notes
    -----
    eq. ddpm-marginal.
    """
    alpha_bar = schedule.alpha_bar_at(t)
    return as_columns(np.sqrt(alpha_bar)) * np.asarray(x_0), 1.0 - alpha_bar


def require_steps(t: Any, schedule: NoiseSchedule) -> np.ndarray:
    """Return t as an array of levels from 1 on: a step ends there."""
    level = np.asarray(t)
    if level.dtype.kind not in "iu" or np.any(level < 1) or np.any(level > schedule.n_timesteps):
        raise ValueError(f"t must be whole numbers from 1 to {schedule.n_timesteps}; got {t!r}.")
    return level


def as_columns(value: Any) -> np.ndarray:
    """Return one number per row as a column, (n, 1), and a single number as it is."""
    array = np.asarray(value)
    return array[:, None] if array.ndim == 1 else array
