"""The evidence lower bound of the ancestral chain, for denoisers with and without derivatives.

The chain starts at N(0, I) and steps down the levels with the posterior mean of the predicted
data; the variance of each step is the optimal one, beta-tilde plus what the error of the
prediction contributes. Its log-likelihood is not that of the probability flow: they are two models
of the same network.
"""

from typing import Any

import numpy as np

from skgm.diffusion._posterior import posterior_weights
from skgm.diffusion._row_noise import normal_nodes, row_keys
from skgm.diffusion._schedule import NoiseSchedule

__all__ = ["evidence_lower_bound", "level_errors", "step_variances"]

_BLOCK = 1 << 12  # rows times draws of noise of one call of the network


def step_variances(schedule: NoiseSchedule, errors: np.ndarray | None, kind: str) -> np.ndarray:
    """Return the variance of each reverse step, entry t - 1 for the step from level t.

    Parameters
    ----------
    schedule : NoiseSchedule
        The levels, T of them.
    errors : ndarray of shape (T,) or (T, d), default=None
        Mean squared error of the predicted data at each level, of one column on average or of
        each; needed for "analytic".
    kind : {"analytic", "beta_tilde", "beta"}
        "beta_tilde": that of the posterior given the data, zero at level 1; "beta": that of the
        forward step, zero at level 1; "analytic": the posterior's plus that of its mean, which
        maximises the likelihood of the chain.

    Returns
    -------
    variance : ndarray of shape (T,) or (T, d)
    """
    above = np.concatenate([[1.0], schedule.alpha_bar[:-1]])
    _, of_data, variance = posterior_weights(schedule.alpha_bar, above)
    if kind == "beta_tilde":
        return variance
    if kind == "beta":
        return np.where(np.arange(schedule.n_timesteps) > 0, schedule.beta, 0.0)
    errors = np.asarray(errors, dtype=np.float64)
    shape = (-1,) + (1,) * (errors.ndim - 1)
    return variance.reshape(shape) + of_data.reshape(shape) ** 2 * errors


def level_errors(
    denoiser: Any,
    rows: np.ndarray,
    schedule: NoiseSchedule,
    rng: np.random.Generator,
    *,
    sample_weight: np.ndarray | None = None,
    condition: np.ndarray | None = None,
    n_noise: int = 4,
) -> np.ndarray:
    """Return the mean squared error of the predicted data per level and column, (T, d).

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``.
    rows : ndarray of shape (n, d)
        Scaled data; rows that training has not seen, where there are any.
    schedule : NoiseSchedule
        The levels.
    rng : Generator
        For the noise; half of it is the other half with the opposite sign.
    sample_weight : ndarray of shape (n,), default=None
        Weights in the mean.
    condition : ndarray of shape (n, k), default=None
        Passed on to the denoiser.
    n_noise : int, default=4
        Draws of noise for each row and level.

    Returns
    -------
    errors : ndarray of shape (T, d)
        Never zero: at least the rounding error of the data's unit variance.
    """
    errors = np.zeros((schedule.n_timesteps, rows.shape[1]))
    pairs = max(1, n_noise // 2)
    for t, phi in enumerate(schedule.angles):
        for _ in range(pairs):
            noise = rng.standard_normal(rows.shape)
            for signed in (noise, -noise):
                residual = np.sin(phi) * _velocity_error(denoiser, rows, phi, signed, condition)
                errors[t] += np.average(residual**2, axis=0, weights=sample_weight)
    return np.maximum(errors / (2 * pairs), np.finfo(np.float64).eps)


def evidence_lower_bound(
    denoiser: Any,
    rows: np.ndarray,
    schedule: NoiseSchedule,
    errors: np.ndarray,
    *,
    seed: int = 0,
    n_noise: int = 4,
    n_replicates: int = 4,
    condition: np.ndarray | None = None,
) -> np.ndarray:
    """Return independent unbiased estimates of the bound for every row (eq. ddpm-elbo).

    A row meets noise of its own, so that its value depends on nothing but the row, and the errors
    of different rows average out. The noise comes in pairs of opposite sign and, what Gaussian
    data would contribute being known, only the rest is averaged over it.

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``.
    rows : ndarray of shape (n, d)
        Scaled data.
    schedule : NoiseSchedule
        The levels of the chain.
    errors : ndarray of shape (T,) or (T, d)
        From `level_errors`; they set the variances of the chain.
    seed : int, default=0
        Of the noise.
    n_noise : int, default=4
        Draws of noise per level and replicate, in pairs.
    n_replicates : int, default=4
        Independent repetitions, which say how far the noise moves the estimate.
    condition : ndarray of shape (n, k), default=None
        Passed on to the denoiser.

    Returns
    -------
    bounds : ndarray of shape (n_replicates, n)
        Their mean over the first axis is the estimate; the standard error of any mean over rows
        follows from the spread of that mean over the replicates.
    """
    rows = np.asarray(rows, dtype=np.float64)
    variance = np.broadcast_to(
        step_variances(schedule, errors, "analytic").reshape(schedule.n_timesteps, -1),
        (schedule.n_timesteps, rows.shape[1]),
    )
    bounds = np.tile(-_prior_divergence(rows, schedule.alpha_bar[-1]), (n_replicates, 1))
    above = np.concatenate([[1.0], schedule.alpha_bar[:-1]])
    _, of_data, posterior = posterior_weights(schedule.alpha_bar, above)
    keys, pairs = row_keys(rows, seed), max(1, n_noise // 2)
    for t, phi in enumerate(schedule.angles):
        bounds -= _constant_part(variance[t], posterior[t], last=t == 0)
        weight = (of_data[t] * np.sin(phi)) ** 2 / variance[t]
        for r in range(n_replicates):
            nodes = normal_nodes(keys, rows.shape[1], pairs, t * n_replicates + r)
            bounds[r] -= 0.5 * (_mean_squares(denoiser, rows, phi, nodes, condition) @ weight)
    return bounds


def _prior_divergence(rows: np.ndarray, alpha_bar: float) -> np.ndarray:
    """Return KL(q(x_T | x_0) || N(0, I)) of each row: not zero, the chain being finite."""
    noise, d = 1.0 - alpha_bar, rows.shape[1]
    return 0.5 * (alpha_bar * (rows**2).sum(axis=1) - d * (alpha_bar + np.log(noise)))


def _constant_part(variance: np.ndarray, posterior: float, *, last: bool) -> float:
    """Return what a level contributes whatever the row: of a KL, or of a normal log-density."""
    if last:  # eq. ddpm-elbo: the first term is a density of the data, not a probability of pixels
        return float(0.5 * np.log(2 * np.pi * variance).sum())
    ratio = posterior / variance
    return float(0.5 * (ratio - 1.0 - np.log(ratio)).sum())


def _mean_squares(
    denoiser: Any, rows: np.ndarray, phi: float, nodes: np.ndarray, condition: np.ndarray | None
) -> np.ndarray:
    """Return the mean over noise of (sin z - cos e - F)^2, (n, d); of its known part exactly."""
    cos, sin = np.cos(phi), np.sin(phi)
    squares = np.zeros_like(rows)
    group = max(1, _BLOCK // len(rows))  # few rows: many nodes at once
    for start in range(0, len(nodes), group):
        noise = nodes[start : start + group]
        u = (cos * rows + sin * noise).reshape(-1, rows.shape[1])
        known = None if condition is None else np.concatenate([condition] * len(noise))
        velocity = denoiser.velocity(u, phi, known).reshape(noise.shape)
        squares += (velocity * (velocity - 2.0 * (sin * rows - cos * noise))).sum(axis=0)
    return squares / len(nodes) + (sin * rows) ** 2 + cos**2


def _velocity_error(
    denoiser: Any, rows: np.ndarray, phi: float, noise: np.ndarray, condition: np.ndarray | None
) -> np.ndarray:
    """Return sin z - cos e - F, (n, d); sin(phi) times it is the error of the predicted data."""
    cos, sin = np.cos(phi), np.sin(phi)
    return sin * rows - cos * noise - denoiser.velocity(cos * rows + sin * noise, phi, condition)
