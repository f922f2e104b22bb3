"""Scores, draws and completes rows with a fitted diffusion model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import logsumexp

from skgm._bayes import log_marginal, log_posterior
from skgm._numerics.blocks import row_blocks
from skgm._numerics.qmc import normal_nodes, row_keys
from skgm._parallel import map_rows, ordered_map
from skgm._random import spawn
from skgm.diffusion._classes import stratified_codes
from skgm.diffusion._conditional import N_PARTICLES, draw_given, draw_particles
from skgm.diffusion._elbo import N_REPLICATES, evidence_lower_bound, step_variances
from skgm.diffusion._flow import Probes, flow_log_density
from skgm.diffusion._network import one_blas_thread
from skgm.diffusion._process import log_normal, noisy_pairs
from skgm.diffusion._samplers import flow_angles, sample_ancestral, sample_ddim, sample_flow
from skgm.diffusion._scaling import Scaler
from skgm.diffusion._schedule import NoiseSchedule
from skgm.tables._encoding import Encoding

__all__ = ["DiffusionModel", "combine_bounds"]

_SCORED_AT_ONCE, _DRAWN_AT_ONCE = 1 << 11, 1 << 14  # rows
_ELBO_STEPS = 50
_GIVEN_STEPS = 50  # levels of the chain that completes rows
_PAIRS = 4  # of noise and its mirror image, per row, for the bound of rows with discrete values
_MOST_CHECKED = 32  # rows for which the error of the solver is estimated
_FAR = 1e100  # scaled units: beyond, squares overflow and the density is zero to any precision


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A density of encoded rows: maps of the classes, the denoiser, the levels of noise.

    Attributes
    ----------
    scaler : Scaler
        Between encoded and scaled rows, for each class.
    denoiser : callable
        Returns the denoiser of scaled rows that computes in a given dtype.
    phi_min : float
        Angle of the data end.
    schedule : NoiseSchedule
        Levels of the chain.
    errors : ndarray of shape (n_levels, n_active)
        Mean squared error of F at evenly spaced angles.
    prior : ndarray of shape (n_classes,)
        Probabilities of the classes; a single one without classes.
    conditional : bool
        Whether there are classes.
    by_elbo : bool
        Whether log-densities are lower bounds of the chain, or those of the probability flow.
    is_smooth : bool
        Whether the denoiser has derivatives.
    probes : Probes or None
        Directions of traces; None for exact ones.
    n_score_steps : int
        Nodes of the quadrature of log-densities.
    scores_in : dtype
        In which the denoiser computes for log-densities.
    encoding : Encoding or None
        Of discrete values; None for a table of real numbers.
    hidden : tuple of int
        Widths of the network, for the number of threads.
    n_jobs : int or None
        Blocks of rows scored or drawn at a time.
    """

    scaler: Scaler
    denoiser: Callable[[Any], Any]
    phi_min: float
    schedule: NoiseSchedule
    errors: np.ndarray
    prior: np.ndarray
    conditional: bool
    by_elbo: bool
    is_smooth: bool
    probes: Probes | None
    n_score_steps: int
    scores_in: Any
    encoding: Encoding | None
    hidden: tuple[int, ...]
    n_jobs: int | None = None

    def marginal(self, log_density: np.ndarray) -> np.ndarray:
        """Return log sum_k prior_k p_k(x) from the log-densities of the classes, (n, k)."""
        return np.asarray(log_marginal(log_density, self.prior))

    def shares(self, log_density: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes from their log-densities, both (n, k)."""
        return np.asarray(np.exp(log_posterior(log_density, self.prior)))

    def errors_at(self, schedule: NoiseSchedule) -> np.ndarray:
        """Return the mean squared error of the predicted data at the levels of a schedule."""
        angles = np.linspace(self.phi_min, np.pi / 2, len(self.errors))
        columns = [np.interp(schedule.angles, angles, column) for column in self.errors.T]
        errors = np.array(columns).reshape(-1, schedule.n_timesteps).T
        return errors * np.sin(schedule.angles)[:, None] ** 2

    # Log-densities and bounds

    def class_log_mass(self, rows: np.ndarray) -> np.ndarray:
        """Return the log-density of every row under every class, (n, k); of mixed rows a bound."""
        return map_rows(self._class_log_mass, rows, size=_SCORED_AT_ONCE, n_jobs=self.n_jobs)

    def _class_log_mass(self, rows: np.ndarray) -> np.ndarray:
        if self.encoding is None:
            return self.class_log_density(rows)
        copies = self._noisy_copies(rows, _PAIRS, seed=0, stream=1)
        parts = [self.class_log_density(z) - q[:, None] for z, q in copies]
        return combine_bounds(np.stack(parts), sharp=not self.by_elbo and self.probes is None)

    def solver_error(self, rows: np.ndarray) -> float:
        """Return how far twice as many nodes move log-densities, in nats per row, on a few rows.

        It is the root mean square over one row in sixteen, at most 32; 0 for fewer than 16 rows,
        and for bounds, which have no solver.
        """
        n_checked = min(len(rows) // 16, _MOST_CHECKED)
        if self.by_elbo or not n_checked or not self.scaler.n_active:
            return 0.0
        part = rows[np.linspace(0, len(rows) - 1, n_checked).astype(int)]
        if self.encoding is not None:
            part = next(self._noisy_copies(part, 1, seed=0, stream=1))[0]
        finer = replace(self, n_score_steps=2 * self.n_score_steps)
        found = [self.marginal(model.class_log_density(part)) for model in (self, finer)]
        known = np.isfinite(found).all(axis=0)
        gap = found[0][known] - found[1][known]
        return float(np.sqrt(np.mean(gap**2))) if len(gap) else 0.0

    def class_log_density(self, rows: np.ndarray, phi: float | None = None) -> np.ndarray:
        """Return the log-density of every row under every class, (n, k).

        With `phi` it is that of the probability flow at this angle.
        """
        if self.by_elbo and phi is None:
            return np.asarray(self._class_bounds(rows, None, 0).mean(axis=0))
        denoiser = self.denoiser(self.scores_in)
        phi = self.phi_min if phi is None else phi

        def active(u: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
            return flow_log_density(
                denoiser,
                u,
                phi,
                n_steps=self.n_score_steps,
                probes=self.probes,
                condition=condition,
            )

        return np.stack([self._log_density(rows, k, active) for k in self._codes()], axis=-1)

    def replicated_bounds(self, rows: np.ndarray, n_steps: int | None, seed: int) -> np.ndarray:
        """Return independent lower bounds for every row and class, (n_replicates, n, k).

        Each replicate of rows with discrete values has noise of its own in these.
        """
        if self.encoding is None:
            return self._class_bounds(rows, n_steps, seed)
        parts = []
        for stream in range(1, N_REPLICATES + 1):
            copies = self._noisy_copies(rows, 1, seed=seed, stream=stream)
            both = [
                self._class_bounds(z, n_steps, seed).mean(axis=0) - q[:, None] for z, q in copies
            ]
            parts.append(np.mean(both, axis=0))
        return np.stack(parts)

    def _class_bounds(self, rows: np.ndarray, n_steps: int | None, seed: int) -> np.ndarray:
        levels = self.schedule.n_timesteps
        schedule = self.schedule.respace(min(_ELBO_STEPS, levels) if n_steps is None else n_steps)
        denoiser, errors = self.denoiser(np.float64), self.errors_at(schedule)

        def active(u: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
            return evidence_lower_bound(
                denoiser,
                u,
                schedule,
                errors,
                seed=seed,
                n_replicates=N_REPLICATES,
                condition=condition,
            )

        known = [self._log_density(rows, code, active) for code in self._codes()]
        shape = (N_REPLICATES, len(rows), len(known))  # without varying columns all are alike
        return np.broadcast_to(np.stack(known, axis=-1), shape)

    def _log_density(
        self, rows: np.ndarray, code: int, active: Callable[[np.ndarray, Any], np.ndarray]
    ) -> np.ndarray:
        """Return the log-density of one class: learned part, narrow part, determinant; (..., n)."""
        r, u = self.scaler.n_active, self.scaler.scale(rows, code)
        far = ~(np.abs(u) < _FAR).all(axis=1)
        u[far] = 0.0
        known = log_normal(u[:, r:], 0.0, 1.0).sum(axis=1) + self.scaler.log_volume(rows, code)
        if r:
            with one_blas_thread(self.hidden), np.errstate(over="ignore"):
                known = known + active(u[:, :r], self._condition(code, len(u)))
        known[..., far] = -np.inf
        return np.asarray(known)

    def _noisy_copies(
        self, encoded: np.ndarray, n_pairs: int, *, seed: int, stream: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield encoded rows with noise in their discrete values, and its log-density."""
        assert self.encoding is not None
        keys = row_keys(self.scaler.scale(encoded), seed)
        for normal in normal_nodes(keys, int(self.encoding.is_noisy.sum()), n_pairs, stream):
            noise, log_density = self.encoding.noise(normal)
            yield encoded + noise, log_density

    def _codes(self) -> range:
        return range(len(self.prior))

    def _condition(self, code: int, n: int) -> np.ndarray | None:
        return np.full(n, code) if self.conditional else None

    # Gradients

    def score(self, rows: np.ndarray, phi: float) -> np.ndarray:
        """Return the gradient of the log-density of the rows, smoothed to angle phi, (n, d)."""
        gradients = np.stack([self.class_score(rows, phi, code) for code in self._codes()])
        if len(gradients) == 1:
            return np.asarray(gradients[0])
        if not self.is_smooth and phi != self.phi_min:
            raise ValueError(
                "With classes, the score at a noise level t needs a denoiser with derivatives, for "
                "the probabilities of the classes there. Call score_function without t, or use "
                "denoiser='mlp'."
            )
        share = self.shares(self.class_log_density(rows, phi if self.is_smooth else None))
        return np.asarray(np.einsum("nk,knd->nd", share, gradients))

    def class_score(self, rows: np.ndarray, phi: float, code: int) -> np.ndarray:
        """Return the gradient for one class, (n, d)."""
        u, cos = self.scaler.scale(rows, code), np.cos(phi)
        # rows with noise of standard deviation tan(phi) are u / cos: the chain rule brings cos
        gradient = cos * self._score_at(cos * u, phi, code)
        result = self.scaler.pull_back(gradient, rows, code)
        if not np.isfinite(result).all():
            row = int(np.argwhere(~np.isfinite(result))[0, 0])
            raise ValueError(
                f"The score function overflows at row {row} of X, which lies too far from the "
                "training table. Drop that row or rescale the table before fitting."
            )
        return np.asarray(result)

    def trajectory_score(self, rows: np.ndarray, phi: float, code: int) -> np.ndarray:
        """Return the gradient of the log-density of rows of `noised` at angle phi, (n, d)."""
        gradient = self._score_at(self.scaler.scale(rows, code), phi, code)
        return self.scaler.pull_back(gradient, rows, code)

    def _score_at(self, u: np.ndarray, phi: float, code: int) -> np.ndarray:
        """Return the score of noisy scaled rows u = cos(phi) z + sin(phi) e, (n, d)."""
        r, gradient = self.scaler.n_active, -u  # the narrow part is N(0, 1) at every level
        if r:
            active = u[:, :r]
            with one_blas_thread(self.hidden):
                velocity = self.denoiser(np.float64).velocity(
                    active, phi, self._condition(code, len(u))
                )
            # eq. ddpm-parameterizations: minus the predicted noise, sin u - cos F, over sin
            gradient[:, :r] += velocity * (np.cos(phi) / np.sin(phi))
        return gradient

    # Drawing rows

    def random_codes(self, n_samples: int, rng: np.random.Generator) -> np.ndarray | None:
        """Return codes of classes, each as often as its share says; None without classes."""
        return stratified_codes(self.prior, n_samples, rng) if self.conditional else None

    def draw(
        self,
        n_samples: int,
        codes: np.ndarray | None,
        rng: np.random.Generator,
        *,
        sampler: str,
        n_steps: int,
        variance: str,
        every: bool = False,
    ) -> np.ndarray:
        """Return encoded positions from noise to data, (n_positions, n_samples, d), data last.

        Only the last position is returned unless `every`. Long tables are drawn in blocks, each
        from a random stream of its own.
        """
        options: dict[str, Any] = {"sampler": sampler, "n_steps": n_steps, "variance": variance}
        if every or n_samples <= _DRAWN_AT_ONCE:
            return self._draw_block((n_samples, codes, rng), every=every, **options)
        blocks = list(row_blocks(n_samples, _DRAWN_AT_ONCE))
        drawn = ordered_map(
            partial(self._draw_block, **options),
            [
                (block.stop - block.start, None if codes is None else codes[block], stream)
                for block, stream in zip(blocks, spawn(rng, len(blocks)))
            ],
            n_jobs=self.n_jobs,
        )
        return np.concatenate(list(drawn), axis=1)

    def _draw_block(
        self,
        block: tuple[int, np.ndarray | None, np.random.Generator],
        *,
        sampler: str,
        n_steps: int,
        variance: str,
        every: bool = False,
    ) -> np.ndarray:
        (n_samples, codes, rng), scaler = block, self.scaler
        r, d = scaler.n_active, scaler.location.shape[1]
        narrow = rng.standard_normal((n_samples, d - r))
        path = np.zeros((n_steps + 1 if every else 1, n_samples, 0))  # if no column varies
        if r:
            start = rng.standard_normal((n_samples, r), dtype=np.float32)
            options: dict[str, Any] = {"condition": codes, "every": every}
            with one_blas_thread(self.hidden):
                path = self._solve(start, rng, sampler, n_steps, variance, options)
        return np.stack(
            [scaler.unscale_each(np.hstack([u, narrow]), codes) for u in path.astype(np.float64)]
        )

    def _solve(
        self,
        start: np.ndarray,
        rng: np.random.Generator,
        sampler: str,
        n_steps: int,
        variance: str,
        options: dict[str, Any],
    ) -> np.ndarray:
        """Return scaled positions from noise to data, (n_positions, n_samples, r)."""
        denoiser = self.denoiser(np.float32)
        if sampler == "ode":
            return sample_flow(denoiser, start, self.flow_angles(n_steps), **options)
        schedule = self.schedule.respace(min(n_steps, self.schedule.n_timesteps))
        if sampler == "ddim":
            return sample_ddim(denoiser, start, schedule, rng, **options)
        variances = step_variances(schedule, self.errors_at(schedule), variance)
        return sample_ancestral(denoiser, start, schedule, rng, variances, **options)

    def complete(self, given: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return completions of encoded rows, (m * n_samples, d), grouped by row."""
        schedule = self.schedule.respace(min(_GIVEN_STEPS, self.schedule.n_timesteps))
        with one_blas_thread(self.hidden):
            return draw_given(
                self.denoiser(np.float32),
                self.scaler,
                given,
                n_samples,
                rng,
                schedule,
                self.errors_at(schedule),
                log_prior=np.log(self.prior) if self.conditional else None,
            )

    def particles(
        self, given: np.ndarray, n_particles: int, rng: np.random.Generator, *, weighted: bool
    ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Return completions of encoded rows, (m * p, d), their classes, and log-weights, (m, p).

        They are the particles of one filter, with its weights; or each is drawn from a filter of
        its own, with equal weights.
        """
        m, d = given.shape
        even = np.zeros((m, n_particles))
        whole = not np.isnan(given).any()
        if d == 0 or (whole and not self.conditional):
            return np.repeat(given, n_particles, axis=0), self.random_codes(even.size, rng), even
        schedule = self.schedule.respace(min(_GIVEN_STEPS, self.schedule.n_timesteps))
        log_prior = np.log(self.prior) if self.conditional else None
        options = (rng, schedule, self.errors_at(schedule), log_prior)
        rows = given if weighted else np.repeat(given, n_particles, axis=0)
        per_filter = n_particles if weighted else N_PARTICLES
        with one_blas_thread(self.hidden):
            drawn, codes, log_weight = draw_particles(
                self.denoiser(np.float32), self.scaler, rows, *options, per_filter, every=weighted
            )
        return drawn, codes, log_weight.reshape(even.shape)

    def flow_angles(self, n_steps: int) -> np.ndarray:
        """Return the angles of the positions of a trajectory of the probability flow."""
        return flow_angles(self.phi_min, n_steps)

    def noised(
        self, rows: np.ndarray, angles: np.ndarray, rng: np.random.Generator, code: int
    ) -> np.ndarray:
        """Return rows of one class with noise added at each angle, (n_angles, n, d)."""
        z = self.scaler.scale(rows, code)
        noise = rng.standard_normal(z.shape)
        return np.stack([self.scaler.unscale(noisy_pairs(z, noise, a)[0], code) for a in angles])


def combine_bounds(log_ratio: np.ndarray, *, sharp: bool) -> np.ndarray:
    """Return a lower bound from log p - log q at several draws of noise, (m, ...).

    A row with discrete values has probability P, the integral of p over all places that decode to
    it. With noise v of density q inside that region, log P >= E log mean p(x + v_m) / q(v_m), and
    log P >= E mean (log p(x + v_m) - log q(v_m)). The first is sharper, but a bound only if log p
    has no error of its own: errors that average out would raise it.
    """
    if not sharp:
        return np.asarray(log_ratio.mean(axis=0))
    return np.asarray(logsumexp(log_ratio, axis=0) - np.log(len(log_ratio)))
