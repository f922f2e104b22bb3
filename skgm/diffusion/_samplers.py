"""Draws rows from noise: by the probability flow, by DDIM, or by the ancestral chain.

A denoiser is any object with ``velocity(u, phi, condition)``. Sampling starts with rows from
N(0, I). Every sampler returns positions (n_positions, n, d): all, or only the last, which is data.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg.blas import get_blas_funcs

from skgm.diffusion._process import posterior_weights, turned
from skgm.diffusion._schedule import SCHEDULES, NoiseSchedule

__all__ = [
    "FLOW_METHODS",
    "flow_angles",
    "sample_ancestral",
    "sample_ddim",
    "sample_flow",
    "schedule_of",
]

FLOW_METHODS = ("adams", "heun", "rk4", "euler")
Bounds = tuple[np.ndarray, np.ndarray]


def flow_angles(phi_min: float, n_steps: int) -> np.ndarray:
    """Return n_steps + 1 angles from pi / 2 down to phi_min, with even square roots.

    Even angles are too far apart at the data end, even logarithms at the noise end; on moons and
    on eight normals the square root had the smallest error, or nearly, with every method.
    """
    return np.linspace(np.sqrt(np.pi / 2), np.sqrt(phi_min), n_steps + 1) ** 2


def schedule_of(kind: str, n_timesteps: int, phi_min: float) -> NoiseSchedule:
    """Return the levels of the chain; those of kind "angle" are spaced as in `flow_angles`."""
    if kind != "angle":
        return SCHEDULES[kind](n_timesteps)
    levels = flow_angles(phi_min, max(n_timesteps - 1, 1))[::-1]
    return NoiseSchedule.from_angles(np.minimum(levels[-n_timesteps:], np.pi / 2))


def sample_flow(
    denoiser: Any,
    start: np.ndarray,
    angles: np.ndarray,
    *,
    method: str = "adams",
    order: int = 3,
    condition: np.ndarray | None = None,
    every: bool = False,
) -> np.ndarray:
    """Follow the probability flow du/dphi = -F (eq. ddpm-probability-flow) from noise to data.

    The rows returned are u / cos(phi_min): they have the very density that `flow_log_density`
    gives, that of the data with noise of standard deviation tan(phi_min).

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``.
    start : ndarray of shape (n, d)
        Standard normal rows.
    angles : ndarray of shape (n_steps + 1,)
        Decreasing, from pi / 2 to phi_min.
    method : {"adams", "heun", "rk4", "euler"}, default="adams"
        "adams" evaluates the denoiser once a step, and once more in the first; the others twice,
        four times and once a step.
    order : int, default=3
        Of "adams": the number of past velocities that it extrapolates from.
    condition : ndarray of shape (n, ...), default=None
        Passed on to the denoiser.
    every : bool, default=False
        Return all positions.

    Returns
    -------
    path : ndarray of shape (n_positions, n, d)
    """

    def velocity(u: np.ndarray, phi: float) -> np.ndarray:
        return denoiser.velocity(u, phi, condition)

    steps = _adams(velocity, start, angles, order) if method == "adams" else None
    steps = _single_steps(velocity, start, angles, method) if steps is None else steps
    cosine = np.asarray(np.cos(angles[-1]), dtype=start.dtype)
    path = _collected(start, steps, every)
    path[-1] /= cosine
    return path


def _adams(velocity: Any, u: np.ndarray, angles: np.ndarray, order: int) -> Iterator[np.ndarray]:
    """Yield positions of the Adams-Bashforth method on uneven steps; the first step is Heun's."""
    past: list[tuple[float, np.ndarray]] = []
    for here, there in pairwise(angles):
        slope = velocity(u, here)
        past = [(here, slope), *past[: order - 1]]
        if len(past) == 1 and order > 1:
            u = _heun_step(velocity, u, here, there, slope)
        else:
            weights = _extrapolation_weights(np.array([phi for phi, _ in past]), here, there)
            u = _plus_multiples(u, weights, [f for _, f in past])
        yield u


def _plus_multiples(u: np.ndarray, weights: np.ndarray, terms: list[np.ndarray]) -> np.ndarray:
    """Return u plus multiples of arrays like it, with one pass over memory for each."""
    total = u.astype(np.result_type(u, *terms)).ravel()
    add_multiple = get_blas_funcs("axpy", (total,))
    for weight, term in zip(weights, terms):
        total = add_multiple(term.ravel(), total, a=weight)
    return total.reshape(u.shape)


def _extrapolation_weights(nodes: np.ndarray, here: float, there: float) -> np.ndarray:
    """Return minus the integrals over the step of the Lagrange polynomials through the nodes."""
    points = (nodes - here) / (there - here)
    powers = np.arange(len(nodes))
    integrals = 1.0 / (powers + 1.0)
    return (here - there) * np.linalg.solve(points[None, :] ** powers[:, None], integrals)


def _single_steps(
    velocity: Any, u: np.ndarray, angles: np.ndarray, method: str
) -> Iterator[np.ndarray]:
    for here, there in pairwise(angles):
        slope = velocity(u, here)
        if method == "heun":
            u = _heun_step(velocity, u, here, there, slope)
        elif method == "rk4":
            u = _runge_kutta_step(velocity, u, here, there, slope)
        else:
            u = u + u.dtype.type(here - there) * slope
        yield u


def _heun_step(
    velocity: Any, u: np.ndarray, here: float, there: float, slope: np.ndarray
) -> np.ndarray:
    h = u.dtype.type(here - there)
    return u + h / 2 * (slope + velocity(u + h * slope, there))


def _runge_kutta_step(
    velocity: Any, u: np.ndarray, here: float, there: float, k1: np.ndarray
) -> np.ndarray:
    h, middle = u.dtype.type(here - there), (here + there) / 2
    k2 = velocity(u + h / 2 * k1, middle)
    k3 = velocity(u + h / 2 * k2, middle)
    k4 = velocity(u + h * k3, there)
    return u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def sample_ddim(
    denoiser: Any,
    start: np.ndarray,
    schedule: NoiseSchedule,
    rng: np.random.Generator,
    *,
    eta: float = 0.0,
    clip: Bounds | None = None,
    condition: np.ndarray | None = None,
    every: bool = False,
) -> np.ndarray:
    """Step down the levels as if the predicted noise were the noise (eq. ddpm-ddim).

    With a = sqrt(alpha_bar) and predictions x_0 and eps at level t, the row at level s < t is
    a_s x_0 + sqrt(1 - alpha_bar_s - sigma^2) eps + sigma times fresh noise, where
    sigma = eta times the standard deviation of the posterior.

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``.
    start : ndarray of shape (n, d)
        Standard normal rows.
    schedule : NoiseSchedule
        The levels; a respaced schedule makes fewer, longer steps.
    rng : Generator
        For the fresh noise.
    eta : float, default=0.0
        0: deterministic; 1: the ancestral chain with the posterior variance.
    clip : tuple of (low, high), default=None
        Bounds of the predicted data.
    condition : ndarray of shape (n, ...), default=None
        Passed on to the denoiser.
    every : bool, default=False
        Return all positions.

    Returns
    -------
    path : ndarray of shape (n_positions, n, d)
    """

    def steps() -> Iterator[np.ndarray]:
        u = start
        for t, alpha_bar_t, alpha_bar_s in _downwards(schedule):
            data, noise = _predicted(denoiser, u, schedule.angles[t], condition, clip)
            variance = eta**2 * posterior_weights(alpha_bar_t, alpha_bar_s)[2]
            kept = np.sqrt(max(1.0 - alpha_bar_s - variance, 0.0))  # eq. ddpm-ddim
            u = u.dtype.type(np.sqrt(alpha_bar_s)) * data + u.dtype.type(kept) * noise
            if variance > 0:
                u += _scaled_noise(rng, u, variance)
            yield u

    return _collected(start, steps(), every)


def sample_ancestral(
    denoiser: Any,
    start: np.ndarray,
    schedule: NoiseSchedule,
    rng: np.random.Generator,
    variances: np.ndarray,
    *,
    clip: Bounds | None = None,
    condition: np.ndarray | None = None,
    every: bool = False,
) -> np.ndarray:
    """Step down the chain: the posterior mean of the predicted data, and fresh noise.

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``.
    start : ndarray of shape (n, d)
        Standard normal rows.
    schedule : NoiseSchedule
        The levels of the chain.
    rng : Generator
        For the fresh noise.
    variances : ndarray of shape (T,) or (T, d)
        Of each step, from `step_variances`.
    clip : tuple of (low, high), default=None
        Bounds of the predicted data.
    condition : ndarray of shape (n, ...), default=None
        Passed on to the denoiser.
    every : bool, default=False
        Return all positions.

    Returns
    -------
    path : ndarray of shape (n_positions, n, d)
    """

    def steps() -> Iterator[np.ndarray]:
        u = start
        for t, alpha_bar_t, alpha_bar_s in _downwards(schedule):
            data, _ = _predicted(denoiser, u, schedule.angles[t], condition, clip)
            of_noisy, of_data, _ = posterior_weights(alpha_bar_t, alpha_bar_s)
            u = u.dtype.type(of_noisy) * u + u.dtype.type(of_data) * data
            if np.any(variances[t] > 0):
                u += _scaled_noise(rng, u, variances[t])
            yield u

    return _collected(start, steps(), every)


def _downwards(schedule: NoiseSchedule) -> Iterator[tuple[int, float, float]]:
    """Yield t - 1, alpha_bar_t and alpha_bar_{t-1} from the last level to the first."""
    above = np.concatenate([[1.0], schedule.alpha_bar])
    for t in range(schedule.n_timesteps - 1, -1, -1):
        yield t, above[t + 1], above[t]


def _predicted(
    denoiser: Any,
    u: np.ndarray,
    phi: float,
    condition: np.ndarray | None,
    clip: Bounds | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted data and noise; with clipping, the noise that goes with the clipped data."""
    cos, sin = u.dtype.type(np.cos(phi)), u.dtype.type(np.sin(phi))
    data, noise = turned(u, denoiser.velocity(u, phi, condition), cos, sin)
    if clip is None:
        return data, noise
    data = np.clip(data, *clip).astype(u.dtype, copy=False)
    return data, (u - cos * data) / sin


def _scaled_noise(rng: np.random.Generator, u: np.ndarray, variance: Any) -> np.ndarray:
    return rng.standard_normal(u.shape).astype(u.dtype) * np.sqrt(variance).astype(u.dtype)


def _collected(start: np.ndarray, steps: Iterator[np.ndarray], every: bool) -> np.ndarray:
    if every:
        return np.stack([start, *steps])
    last = start
    for position in steps:
        last = position
    return np.array(last)[None]
