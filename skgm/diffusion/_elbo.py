"""Estimates the evidence lower bound of the ancestral chain.

The chain starts at N(0, I) and steps down the levels with the posterior mean of the predicted
data. The covariance of each step is the optimal one: beta-tilde plus what the error of the
prediction contributes. For denoisers with derivatives and few columns that is the posterior
covariance of the data given the noisy row, a function of the row; otherwise it is the mean squared
error at the level, as in the chain that `sample_ancestral` draws from. The chain and the
probability flow are two models made of the same network, with two log-likelihoods.
"""

import numbers
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._numerics.qmc import normal_nodes, row_keys
from skgm._random import as_generator
from skgm.diffusion._process import noisy_pairs, posterior_weights
from skgm.diffusion._schedule import NoiseSchedule

__all__ = [
    "N_REPLICATES",
    "as_seed",
    "evidence_lower_bound",
    "has_jacobian",
    "jackknifed",
    "posterior_spectrum",
    "standard_error_of_mean",
    "step_divergence",
    "step_variances",
    "velocity_jacobian",
]

_BLOCK = 1 << 12  # rows times draws of noise of one call of the network
_JACOBIAN_UP_TO = 10  # columns: as many directional derivatives for each row and draw of noise


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
        maximizes the likelihood of the chain.

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

    The bound is of a chain with the means of `sample_ancestral`. Up to 10 columns, and where the
    denoiser has directional derivatives, the covariance of the step from x_t is that of the
    posterior given x_0 plus what the covariance of x_0 given x_t adds, by `posterior_spectrum`.
    Otherwise it is that of `step_variances` ("analytic"), and the chain the one that samples.

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``; ``velocity_jvp(u, phi, w, condition)`` is used
        where there is one.
    rows : ndarray of shape (n, d)
        Scaled data.
    schedule : NoiseSchedule
        The levels of the chain.
    errors : ndarray of shape (T,) or (T, d)
        From `level_errors`; they set the variances of the chain, or bound its covariances.
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
    d = rows.shape[1]
    errors = np.asarray(errors, dtype=np.float64).reshape(schedule.n_timesteps, -1)
    errors = np.broadcast_to(errors, (schedule.n_timesteps, d))
    first = None if condition is None else condition[:1]
    full = d <= _JACOBIAN_UP_TO and has_jacobian(denoiser, rows[:1], first)
    bounds = np.tile(-_prior_divergence(rows, schedule.alpha_bar[-1]), (n_replicates, 1))
    keys, pairs = row_keys(rows, seed), max(1, n_noise // 2)
    term = _row_dependent_term if full else _level_term
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        known = None if condition is None else condition[part]
        for t, level in enumerate(_levels(schedule, errors)):
            for r in range(n_replicates):
                nodes = normal_nodes(keys[part], d, pairs, t * n_replicates + r)
                bounds[r, part] -= term(denoiser, rows[part], level, nodes, known)
    return bounds


@dataclass(frozen=True)
class _Level:
    """One step of the chain: p(x_{t-1} | x_t) against the posterior given the data."""

    phi: float
    of_data: float
    posterior: float  # variance, zero at the first level
    errors: np.ndarray  # (d,)


def _levels(schedule: NoiseSchedule, errors: np.ndarray) -> list[_Level]:
    above = np.concatenate([[1.0], schedule.alpha_bar[:-1]])
    _, of_data, posterior = posterior_weights(schedule.alpha_bar, above)
    return [_Level(*of_level) for of_level in zip(schedule.angles, of_data, posterior, errors)]


def _level_term(
    denoiser: Any, rows: np.ndarray, level: _Level, nodes: np.ndarray, condition: np.ndarray | None
) -> np.ndarray:
    """Return a level's contribution with variances that are the same for all rows, (n,)."""
    variance = level.posterior + level.of_data**2 * level.errors
    weight = (level.of_data * np.sin(level.phi)) ** 2 / variance
    squares = _mean_squares(denoiser, rows, level.phi, nodes, condition)
    return np.asarray(_constant_part(variance, level.posterior) + 0.5 * (squares @ weight))


def _row_dependent_term(
    denoiser: Any, rows: np.ndarray, level: _Level, nodes: np.ndarray, condition: np.ndarray | None
) -> np.ndarray:
    """Return a level's contribution with a covariance for each noisy row, (n,)."""
    cos, sin = np.cos(level.phi), np.sin(level.phi)
    # control variate: the contribution (sin z - cos e)^2 of Gaussian data, whose mean over the
    # noise is known. It is weighted by the share of the target that F leaves unexplained
    unexplained = np.minimum(level.errors / sin**2, 1.0)
    weight = unexplained * (level.of_data * sin) ** 2
    weight /= level.posterior + level.of_data**2 * level.errors
    total = np.zeros(len(rows))
    for noise in _groups(nodes):
        u, target = noisy_pairs(rows, noise, level.phi)
        u = u.reshape(-1, rows.shape[1])
        known = None if condition is None else np.concatenate([condition] * len(noise))
        velocity, values, vectors = posterior_spectrum(denoiser, u, level.phi, level.errors, known)
        residual = target.reshape(u.shape) - velocity
        along = np.einsum("nij,ni->nj", vectors, residual)
        term = step_divergence(
            level.of_data * sin * along, values * level.of_data**2, level.posterior
        )
        total += term.reshape(noise.shape[:2]).sum(axis=0)
        total -= 0.5 * (target**2 @ weight).sum(axis=0)
    return total / len(nodes) + 0.5 * (((sin * rows) ** 2 + cos**2) @ weight)


def step_divergence(shift: np.ndarray, added: np.ndarray, posterior: float) -> np.ndarray:
    """Return KL(N(0, posterior I) || N(shift, posterior I + diag(added))) of each row, (n,).

    With a posterior of variance zero, minus the log-density of the second at 0: the first term of
    the bound is a density of the data, not a probability of pixels (eq. ddpm-elbo).

    Parameters
    ----------
    shift, added : ndarray of shape (n, d)
        Along the eigenvectors of the second covariance.
    posterior : float
        Variance.

    Returns
    -------
    divergence : ndarray of shape (n,)
    """
    variance = posterior + added
    squares = (shift**2 / variance).sum(axis=1)
    return np.asarray(0.5 * squares + _constant_part(variance, posterior))


def _prior_divergence(rows: np.ndarray, alpha_bar: float) -> np.ndarray:
    """Return KL(q(x_T | x_0) || N(0, I)) of each row: not zero, the chain being finite."""
    noise, d = 1.0 - alpha_bar, rows.shape[1]
    return 0.5 * (alpha_bar * (rows**2).sum(axis=1) - d * (alpha_bar + np.log(noise)))


def _constant_part(variance: np.ndarray, posterior: float) -> Any:
    """Return what variances (..., d) contribute to a KL, or without a posterior to a density."""
    if posterior == 0:
        return 0.5 * np.log(2 * np.pi * variance).sum(axis=-1)
    ratio = posterior / variance
    return 0.5 * (ratio - 1.0 - np.log(ratio)).sum(axis=-1)


def _mean_squares(
    denoiser: Any, rows: np.ndarray, phi: float, nodes: np.ndarray, condition: np.ndarray | None
) -> np.ndarray:
    """Return the mean over noise of (sin z - cos e - F)^2, (n, d); of its known part exactly."""
    cos, sin = np.cos(phi), np.sin(phi)
    squares = np.zeros_like(rows)
    for noise in _groups(nodes):
        u, target = noisy_pairs(rows, noise, phi)
        known = None if condition is None else np.concatenate([condition] * len(noise))
        velocity = denoiser.velocity(u.reshape(-1, rows.shape[1]), phi, known).reshape(u.shape)
        squares += (velocity * (velocity - 2.0 * target)).sum(axis=0)
    return squares / len(nodes) + (sin * rows) ** 2 + cos**2


def _groups(nodes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield some nodes of all rows after the other: few rows, many nodes at once."""
    size = max(1, _BLOCK // nodes.shape[1])
    for start in range(0, len(nodes), size):
        yield nodes[start : start + size]


# Independent estimates of every row's bound: what they say of the mean over rows.

N_REPLICATES = 4
_SEEDS = 2**63


def as_seed(random_state: Any) -> int:
    """Return the seed of the noise of rows: a whole number as it is, or one drawn."""
    rng = as_generator(random_state)
    if isinstance(random_state, numbers.Integral):
        return int(random_state) % _SEEDS
    return int(rng.integers(_SEEDS))


def jackknifed(parts: np.ndarray, marginal: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return pseudo-values of the marginals, (n_replicates, n), from bounds (n_replicates, n, k).

    The logarithm of a sum over classes is convex: the mean of the marginals of noisy bounds is too
    high, and their marginal after averaging is too high by a quarter of that. The mean of the
    pseudo-values is not, to first order, and their spread is that of independent estimates.
    """
    m, lost = len(parts), np.isneginf(parts[0])  # too far away: the same in every replicate
    finite = np.where(lost, 0.0, parts)
    total = finite.sum(axis=0)

    def of(mean: np.ndarray) -> np.ndarray:
        return marginal(np.where(lost, -np.inf, mean))

    whole = of(total / m)
    with np.errstate(invalid="ignore"):  # of rows that every class has lost
        pseudo = [m * whole - (m - 1) * of((total - part) / (m - 1)) for part in finite]
    return np.where(np.isneginf(whole), -np.inf, np.stack(pseudo))


def standard_error_of_mean(bounds: np.ndarray, rows: np.ndarray) -> float:
    """Return the standard error of the mean of independent bounds, (n_replicates, n).

    Rows have noise of their own, except that equal rows share it: the variances over replicates
    of the sums over equal rows add up. Far more degrees of freedom than the spread of n_replicates
    means has.
    """
    if not np.isfinite(bounds).all():  # some row has density zero, whatever the noise
        return 0.0
    m, n = bounds.shape
    _, first, which = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    sums = np.array([np.bincount(which.ravel(), part, len(first)) for part in bounds])
    return float(np.sqrt(sums.var(axis=0, ddof=1).sum() / m) / n)


# How uncertain the data are given a noisy row, from the derivatives of the denoiser.
#
# With u = cos(phi) z + sin(phi) e and the posterior mean E[z | u] = cos(phi) u + sin(phi) F,
# Tweedie's formula of second order says
#
#     Cov[z | u] = tan(phi) sin(phi) dE[z | u] / du = sin^2 I + (sin^3 / cos) J_F,
#
# exactly where F is exact. A network's Jacobian need be neither symmetric nor positive; what is
# used of it is its symmetric part with eigenvalues in a range around the errors measured at fit.

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
