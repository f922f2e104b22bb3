"""Completes rows of which some values are known, by a twisted particle filter.

Known values are linear constraints on the scaled row. In an orthonormal basis whose first axes span
the constraints they fix coordinates, and the noise is still N(0, I). Along the chain, the known
coordinates move by the exact posterior given their values, the others by the model. Each particle
is weighted by the ratio of the model's density of its known coordinates to that of this proposal,
times the ratio of its twists: normal densities of the known values about their prediction (Wu et
al., "Practical and asymptotically exact conditional sampling in diffusion models", 2023). For a
Gaussian table all weights are equal and one particle is exact; in general the filter is exact in
the limit of many particles.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skgm._numerics.importance import systematic_picks
from skgm.diffusion._process import log_normal, posterior_weights
from skgm.diffusion._scaling import Scaler, bend
from skgm.diffusion._schedule import NoiseSchedule

__all__ = ["N_PARTICLES", "Known", "constraints", "draw_given", "draw_particles"]

N_PARTICLES = 16  # of the filter of one completion
_BLOCK = 1 << 15  # particles moved together
_ENTRIES = 1 << 23  # of the bases of rows completed together, if every row has its own
_FAR = 1e140  # scaled units: beyond, squares overflow


@dataclass(frozen=True, eq=False)
class Known:
    """The known values of each particle's row: its first coordinates in the basis `axes`.

    `axes` is (n_bases, d, d), orthonormal rows, and `basis` (n,) says which is a particle's;
    `values` (n, d) are zero where `mask` (n, d) is false; `log_volume` (n,) turns densities of the
    coordinates into densities of the columns.
    """

    axes: np.ndarray
    basis: np.ndarray
    values: np.ndarray
    mask: np.ndarray
    log_volume: np.ndarray

    def take(self, which: Any) -> "Known":
        """Return those of some rows."""
        parts = (self.basis, self.values, self.mask, self.log_volume)
        return Known(self.axes, *(part[which] for part in parts))

    def rotate(self, u: np.ndarray) -> np.ndarray:
        """Return scaled rows, (n, d), in the basis of each."""
        return self._turned(u, self.axes.transpose(0, 2, 1))

    def rotate_back(self, w: np.ndarray) -> np.ndarray:
        """Return the scaled rows that have these coordinates in the basis of each, (n, d)."""
        return self._turned(w, self.axes)

    def _turned(self, rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
        """Return every row times the matrix of its basis, one product for each basis."""
        if len(matrices) == 1:
            return np.asarray(rows @ matrices[0])
        turned = np.empty(rows.shape)
        for index, mine in self._groups:
            turned[mine] = rows[mine] @ matrices[index]
        return turned

    @cached_property
    def _groups(self) -> list[tuple[int, np.ndarray]]:
        """The particles of each basis."""
        order = np.argsort(self.basis, kind="stable")
        bases, starts = np.unique(self.basis[order], return_index=True)
        return list(zip(bases.tolist(), np.split(order, starts[1:])))


def constraints(given: np.ndarray, scaler: Scaler, code: int = 0) -> Known:
    """Express the known values of each row (NaN where unknown) in scaled, rotated coordinates."""
    m, d = given.shape
    known, given = ~np.isnan(given), bend(given, scaler.bends)
    patterns, basis = np.unique(known, axis=0, return_inverse=True)
    basis = basis.ravel()
    axes, values = np.empty((len(patterns), d, d)), np.zeros((m, d))
    mask, log_volume = np.zeros((m, d), dtype=bool), np.zeros(m)
    for index, pattern in enumerate(patterns):
        rows = np.flatnonzero(basis == index)
        k = int(pattern.sum())
        q, r = np.linalg.qr(scaler.backward[code][pattern].T, mode="complete")
        centered = (given[np.ix_(rows, np.flatnonzero(pattern))] - scaler.location[code][pattern]).T
        axes[index] = q.T
        values[rows, :k] = np.linalg.solve(r[:k].T, centered).T
        mask[rows, :k] = True
        log_volume[rows] = -np.log(np.abs(np.diag(r[:k]))).sum()
    return Known(axes, basis, values, mask, log_volume)


def draw_given(
    denoiser: Any,
    scaler: Scaler,
    given: np.ndarray,
    n_samples: int,
    rng: np.random.Generator,
    schedule: NoiseSchedule,
    errors: np.ndarray,
    *,
    log_prior: np.ndarray | None = None,
    n_particles: int = N_PARTICLES,
) -> np.ndarray:
    """Return completions of rows, (m * n_samples, d), grouped by row, in the units of the table.

    Parameters
    ----------
    denoiser : object
        With ``velocity(u, phi, condition)``; needs no derivatives.
    scaler : Scaler
        Between the table and its scaled rows.
    given : ndarray of shape (m, d)
        NaN where values are wanted.
    n_samples : int
        Completions of each row, each from particles of its own.
    rng : Generator
        For the noise.
    schedule : NoiseSchedule
        The levels of the chain.
    errors : ndarray of shape (T, n_active)
        From `level_errors`.
    log_prior : ndarray of shape (n_classes,), default=None
        Log-probabilities of the classes, where there are any: particles carry a class each.
    n_particles : int, default=16
        Particles per completion.

    Returns
    -------
    rows : ndarray of shape (m * n_samples, d)
    """
    rows = np.repeat(np.asarray(given, dtype=np.float64), n_samples, axis=0)
    parts = (denoiser, scaler, rows, rng, schedule, errors, log_prior, n_particles)
    return draw_particles(*parts, every=False)[0]


def draw_particles(
    denoiser: Any,
    scaler: Scaler,
    given: np.ndarray,
    rng: np.random.Generator,
    schedule: NoiseSchedule,
    errors: np.ndarray,
    log_prior: np.ndarray | None,
    n_particles: int,
    *,
    every: bool,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Run a filter for each row of `given`, (m, d), with parameters as in `draw_given`.

    Return completions, (m * p, d), grouped by row, their classes (None without), and the logs of
    their weights, (m, p). `every`: all particles; else p = 1, one of each row picked by weight.
    """
    d, n_classes = given.shape[1], len(scaler.location)
    group = max(1, min(_BLOCK // n_particles, _ENTRIES // (n_classes * max(d, 1) ** 2)))
    found = [
        _filter(denoiser, scaler, part, rng, schedule, errors, log_prior, n_particles, every)
        for part in np.split(given, range(group, len(given), group))
    ]
    rows, codes, log_weight = zip(*found)
    joined = None if log_prior is None else np.concatenate(codes)
    return np.concatenate(rows), joined, np.concatenate(log_weight)


def _filter(
    denoiser: Any,
    scaler: Scaler,
    rows: np.ndarray,
    rng: np.random.Generator,
    schedule: NoiseSchedule,
    errors: np.ndarray,
    log_prior: np.ndarray | None,
    n_particles: int,
    every: bool,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Run one filter per row; return one particle of each, or all, as `draw_particles` does."""
    known, codes, log_weight = _start(scaler, rows, rng, log_prior, n_particles)
    d, r = rows.shape[1], scaler.n_active
    w = rng.standard_normal((len(rows) * n_particles, d))
    before = np.zeros(len(w))
    mean_errors = errors.mean(axis=1) if r else np.sin(schedule.angles) ** 2
    error = np.concatenate([[0.0], mean_errors])
    for t, of_noisy, of_data, posterior in _steps(schedule):
        phi = schedule.angles[t - 1]
        data = _predicted(denoiser, w, phi, known, codes, r)
        gap = np.where(known.mask, known.values - data, 0.0)
        twist = _log_normal(gap, error[t], known.mask)
        log_weight += (twist - before).reshape(log_weight.shape)
        which = _resampled(log_weight, rng)
        if which is not None:
            w, data, gap, twist = w[which], data[which], gap[which], twist[which]
            known, codes = known.take(which), None if codes is None else codes[which]
        variance = posterior + of_data**2 * error[t]
        target = np.where(known.mask, known.values, data)
        spread = np.sqrt(np.where(known.mask, posterior, variance))
        noise = rng.standard_normal(w.shape)
        w = of_noisy * w + of_data * target + spread * noise
        before = twist
        if t > 1:  # the last step sets the known values, and its ratio is the last twist
            off = np.where(known.mask, spread * noise + of_data * gap, 0.0)
            own = np.where(known.mask, spread * noise, 0.0)
            ratio = _log_normal(off, variance, known.mask) - _log_normal(own, posterior, known.mask)
            log_weight += ratio.reshape(log_weight.shape)
    if not every:
        chosen = _one_each(log_weight, rng)
        known, w, codes = known.take(chosen), w[chosen], None if codes is None else codes[chosen]
        log_weight = np.zeros((len(rows), 1))
    return scaler.unscale_each(known.rotate_back(w), codes), codes, log_weight


def _start(
    scaler: Scaler,
    rows: np.ndarray,
    rng: np.random.Generator,
    log_prior: np.ndarray | None,
    n_particles: int,
) -> tuple[Known, np.ndarray | None, np.ndarray]:
    """Return constraints and classes of all particles, and their first log-weights."""
    n = len(rows)
    if log_prior is None:
        known = constraints(rows, scaler).take(np.repeat(np.arange(n), n_particles))
        return known, None, np.zeros((n, n_particles))
    each = [constraints(rows, scaler, code) for code in range(len(log_prior))]
    # propose classes by the fitted normal densities of the known values; weights correct that
    fitted = [_log_normal(k.values, 1.0, k.mask) + k.log_volume for k in each]
    joint = np.stack(fitted, axis=1) + log_prior
    joint -= joint.max(axis=1, keepdims=True)
    share = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True)
    share = 0.9 * share + 0.1 * np.exp(log_prior)
    codes = systematic_picks(np.log(share), n_particles, rng)
    stacked = Known(
        np.concatenate([k.axes for k in each]),
        np.stack([k.basis + code * len(k.axes) for code, k in enumerate(each)]),
        *(np.stack([getattr(k, part) for k in each]) for part in ("values", "mask", "log_volume")),
    )
    known = stacked.take((codes.ravel(), np.repeat(np.arange(n), n_particles)))
    proposed = np.log(np.take_along_axis(share, codes, axis=1))
    log_weight = log_prior[codes] - proposed + known.log_volume.reshape(codes.shape)
    return known, codes.ravel(), log_weight


def _steps(schedule: NoiseSchedule) -> Iterator[tuple[int, float, float, float]]:
    bar = np.concatenate([[1.0], schedule.alpha_bar])
    for t in range(schedule.n_timesteps, 0, -1):
        yield t, *posterior_weights(bar[t], bar[t - 1])


def _predicted(
    denoiser: Any, w: np.ndarray, phi: float, known: Known, codes: np.ndarray | None, r: int
) -> np.ndarray:
    """Return the predicted data in the rotated coordinates of each particle."""
    u = known.rotate_back(w)
    data = np.cos(phi) * u
    active = np.ascontiguousarray(np.clip(u[:, :r], -1e12, 1e12), dtype=np.float32)
    data[:, :r] += np.sin(phi) * denoiser.velocity(active, phi, codes)
    return known.rotate(data)


def _log_normal(x: np.ndarray, variance: float, mask: np.ndarray) -> np.ndarray:
    """Return the log-density of the coordinates in the mask, (n,), under N(0, variance)."""
    terms = log_normal(np.clip(x, -_FAR, _FAR), 0.0, variance)
    return np.asarray(np.where(mask, terms, 0.0).sum(axis=1))


def _resampled(log_weight: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Resample the rows where few particles carry the weight, which becomes even there.

    Return the indices of the particles that go on, or None where all do.
    """
    n, k = log_weight.shape
    share = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    poor = 1.0 / (share**2).sum(axis=1) < 0.5 * k
    if not poor.any():
        return None
    picks = systematic_picks(np.where(poor[:, None], log_weight, 0.0), k, rng)
    log_weight[poor] = 0.0
    return (picks + k * np.arange(n)[:, None]).ravel()


def _one_each(log_weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noisy = log_weight + rng.gumbel(size=log_weight.shape)
    return noisy.argmax(axis=1) + log_weight.shape[1] * np.arange(len(log_weight))
