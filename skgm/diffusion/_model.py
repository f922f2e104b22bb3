"""What a fitted diffusion model says about rows: log-densities, bounds, scores, classes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.utils.metaestimators import available_if

from skgm.diffusion._by_class import encode_labels
from skgm.diffusion._elbo import (
    N_REPLICATES,
    as_seed,
    evidence_lower_bound,
    jackknifed,
    standard_error_of_mean,
)
from skgm.diffusion._fitting import DiffusionFit
from skgm.diffusion._flow import flow_log_density
from skgm.diffusion._mixed import combine_bounds
from skgm.diffusion._network import one_blas_thread
from skgm.diffusion._samplers import flow_angles
from skgm.diffusion._scaling import Scaler

__all__ = [
    "DiffusionEvaluation",
    "DiffusionWay",
]

_ELBO_STEPS = 50
_FAR = 1e100  # scaled units: beyond, squares overflow and the density is zero to any precision


def _with_classes(estimator: "DiffusionEvaluation") -> bool:
    if estimator.class_conditional:
        return True
    raise AttributeError("Only a DDPM with class_conditional=True has class probabilities.")


class DiffusionEvaluation(DiffusionFit):
    """What `DDPM` does with rows after `fit`; see there for parameters and attributes."""

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row, the marginal over classes if there are any.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, float64, the scaling's log-determinant included: that of the probability flow
            (eq. ddpm-probability-flow), or with `score_method` "elbo" an estimate of a lower bound
            of that of the chain of :meth:`elbo` (eq. ddpm-elbo). -inf for rows so far away that
            squares overflow.
        """
        return self._marginal(self._class_log_mass(self._begin_scoring(X)))

    def elbo(
        self, X: Any, n_steps: int | None = None, *, return_se: bool = False, random_state: Any = 0
    ) -> Any:
        """Return the mean evidence lower bound of the ancestral chain over the rows.

        Up to 10 varying columns, for denoisers with derivatives, the chain's steps have the
        covariance of the data given each noisy row, from the Jacobian of the denoiser. Otherwise
        they have the variances of their level, as in the chain that `sample` draws from with
        `sampler` "ancestral" and `variance` "analytic".

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        n_steps : int, default=None
            Steps of the chain, at most `n_timesteps`; by default 50 or `n_timesteps`.
        return_se : bool, default=False
            Return the standard error that the noise leaves in the mean as well.
        random_state : int, RandomState, Generator or None, default=0
            Seed of the noise, which depends on nothing else. None: fresh noise at each call.

        Returns
        -------
        bound : float
            In nats per row (eq. ddpm-elbo).
        standard_error : float
            Only with `return_se`.
        """
        X = self._begin_scoring(X)
        parts = self._replicated_bounds(X, n_steps, as_seed(random_state))
        bounds = jackknifed(parts, self._marginal)  # (n_replicates, n)
        mean = float(bounds.mean())
        return (mean, standard_error_of_mean(bounds, X)) if return_se else mean

    def score_function(self, X: Any, t: int | None = None) -> np.ndarray:
        r"""Return the gradient of the log-density with respect to x, as the denoiser knows it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; with `t`, rows with noise added, in the units of the training table.
        t : int, default=None
            Noise level, 1 to `n_timesteps`: the score of the data to which noise with standard
            deviation :math:`\sqrt{(1 - \bar\alpha_t) / \bar\alpha_t}` (in units of the scaled
            data) has been added. None is the data end, noise `sigma_min`.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Float64. It is learned, not differentiated: close to, but not exactly, the gradient of
            :meth:`score_samples`.
        """
        self._check_not_mixed("score_function: discrete values have no gradient")
        X = self._begin_scoring(X)
        phi = self._phi_min if t is None else self._angle_of_level(t)
        gradients = np.stack([self._class_score(X, phi, code) for code in self._codes()])
        if len(gradients) == 1:
            return gradients[0]
        share = self._shares(self._class_log_density(X, phi))
        return np.asarray(np.einsum("nk,knd->nd", share, gradients))

    @available_if(_with_classes)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, by Bayes' rule from the densities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return self._shares(self._class_log_mass(self._begin_scoring(X)))

    @available_if(_with_classes)
    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Among `classes_`.
        """
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _codes(self) -> range:
        return range(max(self._n_classes(), 1))

    def _log_prior(self) -> np.ndarray:
        if not self.class_conditional:
            return np.zeros(1)
        with np.errstate(divide="ignore"):
            return np.log(self.class_prior_)

    def _marginal(self, log_density: np.ndarray) -> np.ndarray:
        """Return log sum_k prior_k p_k(x) from the log-densities of the classes, (n, k)."""
        return np.asarray(logsumexp(log_density + self._log_prior(), axis=1))

    def _shares(self, log_density: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes from their log-densities, both (n, k)."""
        joint = log_density + self._log_prior()
        lost = np.isneginf(joint).all(axis=1)  # too far away for any class: only the prior is left
        joint[lost] = self._log_prior()
        return np.asarray(softmax(joint, axis=1))

    def _angle_of_level(self, t: int) -> float:
        schedule = self._schedule()
        schedule.alpha_bar_at(t)  # refuses what is no level
        if np.ndim(t) or t < 1:
            raise ValueError(f"t must be one level, 1 to {schedule.n_timesteps}; got {t!r}.")
        return float(schedule.angles[t - 1])

    def _class_log_mass(self, X: np.ndarray) -> np.ndarray:
        """Return the log-density of every row under every class, (n, k); of mixed rows a bound."""
        if self._mixed is None:
            return self._class_log_density(X)
        parts = [self._class_log_density(z) - q[:, None] for z, q in self._noisy_copies(X)]
        return combine_bounds(np.stack(parts), sharp=not self._uses_elbo() and self._signs is None)

    def _replicated_bounds(self, X: np.ndarray, n_steps: int | None, seed: Any) -> np.ndarray:
        """Return independent lower bounds, (n_replicates, n, k), of mixed rows under own noise."""
        if self._mixed is None:
            return self._class_bounds(X, n_steps, seed)
        parts = []
        for stream in range(1, N_REPLICATES + 1):
            copies = self._noisy_copies(X, n_pairs=1, seed=seed, stream=stream)
            both = [
                self._class_bounds(z, n_steps, seed).mean(axis=0) - q[:, None] for z, q in copies
            ]
            parts.append(np.mean(both, axis=0))
        return np.stack(parts)

    def _class_log_density(self, X: np.ndarray, phi: float | None = None) -> np.ndarray:
        """Return the log-density of every row under every class, (n, k)."""
        if self._uses_elbo() and phi is None:
            return np.asarray(self._class_bounds(X, None, 0).mean(axis=0))
        denoiser = self._denoiser(np.float64)
        phi = self._phi_min if phi is None else phi

        def active(u: np.ndarray, condition: np.ndarray | None) -> np.ndarray:
            return flow_log_density(
                denoiser,
                u,
                phi,
                n_steps=self.n_score_steps,
                probes=self._probes(),
                condition=condition,
            )

        return np.stack([self._log_density_of(X, code, active) for code in self._codes()], axis=-1)

    def _class_bounds(self, X: np.ndarray, n_steps: int | None, seed: Any) -> np.ndarray:
        """Return replicated lower bounds for every row and class, (n_replicates, n, k)."""
        schedule = self._schedule()
        wanted = min(_ELBO_STEPS, self.n_timesteps) if n_steps is None else n_steps
        schedule = schedule.respace(wanted)
        denoiser, errors = self._denoiser(np.float64), self._errors_at(schedule)

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

        known = [self._log_density_of(X, code, active) for code in self._codes()]
        shape = (N_REPLICATES, len(X), len(known))  # without columns that vary all are alike
        return np.broadcast_to(np.stack(known, axis=-1), shape)

    def _log_density_of(
        self, X: np.ndarray, code: int, active: Callable[[np.ndarray, Any], np.ndarray]
    ) -> np.ndarray:
        """Return the log-density of one class: learned part, narrow part, determinant; (..., n)."""
        scaler = Scaler(**self._scaling)
        u = scaler.scale(X, code)
        far = ~(np.abs(u) < _FAR).all(axis=1)
        u[far] = 0.0
        r = scaler.n_active
        condition = np.full(len(u), code) if self.class_conditional else None
        narrow = u[:, r:]
        known = -0.5 * (narrow**2).sum(axis=1) - 0.5 * narrow.shape[1] * np.log(2 * np.pi)
        known += scaler.log_volume(X, code)
        if r:
            with one_blas_thread(self.hidden_layer_sizes_), np.errstate(over="ignore"):
                known = known + active(u[:, :r], condition)
        known[..., far] = -np.inf
        return np.asarray(known)

    def _class_score(self, X: np.ndarray, phi: float, code: int) -> np.ndarray:
        """Return the score of one class at noise level phi, (n, d)."""
        scaler = Scaler(**self._scaling)
        u = scaler.scale(X, code)
        r, cos, sin = scaler.n_active, np.cos(phi), np.sin(phi)
        gradient = -u / (1 + np.tan(phi) ** 2)  # of the narrow part, N(0, 1) with noise
        if r:
            noisy = cos * u[:, :r]
            condition = np.full(len(u), code) if self.class_conditional else None
            with one_blas_thread(self.hidden_layer_sizes_):
                velocity = self._denoiser(np.float64).velocity(noisy, phi, condition)
            # eq. ddpm-parameterizations: the predicted noise is sin u - cos F, the score minus
            # it over sin; the chain rule brings cos
            gradient[:, :r] = cos * (cos * velocity / sin - noisy)
        result = scaler.pull_back(gradient, X, code)
        if not np.isfinite(result).all():
            row = int(np.argwhere(~np.isfinite(result))[0, 0])
            raise ValueError(
                f"The score function overflows at row {row} of X, which lies too far from the "
                "training table. Drop that row or rescale the table before fitting."
            )
        return np.asarray(result)


# Rows between data and noise, in the units of the table: what pictures of a model show.


class DiffusionWay(DiffusionEvaluation):
    """What :class:`skgm.DiffusionDisplay` asks of `DDPM`."""

    def _way_angles(self, n_steps: int) -> np.ndarray:
        """Return the angles of the positions of a trajectory of the probability flow."""
        return flow_angles(self._phi_min, n_steps)

    def _way_code(self, y: Any) -> int | None:
        """Return the code of the class with label y; None: of all classes, there being several."""
        if y is not None and not self.class_conditional:
            raise ValueError("y is a class only with class_conditional=True in the fit.")
        if self.class_conditional:
            return None if y is None else int(encode_labels(np.atleast_1d(y), self.classes_)[0])
        return 0

    def _way_of(
        self, X: Any, angles: np.ndarray, rng: np.random.Generator, code: int
    ) -> np.ndarray:
        """Return rows of one class on the way to noise, (n_angles, n, d), in the table's units."""
        scaler, X = Scaler(**self._scaling), self._begin_scoring(X)
        z = scaler.scale(X, code)
        noise = rng.standard_normal(z.shape)
        return np.stack(
            [scaler.unscale(np.cos(phi) * z + np.sin(phi) * noise, code) for phi in angles]
        )

    def _way_score(self, X: np.ndarray, phi: float, code: int) -> np.ndarray:
        """Return the gradient of the log-density of rows on the way, at angle phi, (n, d)."""
        scaler = Scaler(**self._scaling)
        u, r = scaler.scale(X, code), scaler.n_active
        condition = np.full(len(u), code) if self.class_conditional else None
        gradient = -u
        if r:
            velocity = self._denoiser(np.float64).velocity(u[:, :r], phi, condition)
            # eq. ddpm-parameterizations: minus the predicted noise, sin u - cos F, over sin
            gradient[:, :r] += velocity * (np.cos(phi) / np.sin(phi))
        return scaler.pull_back(gradient, X, code)
