"""A density known as noise times a ratio: its normaliser, scores and draws."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from skgm._sklearn import check_sample_weight
from skgm.base import DensityEstimator
from skgm.nce._langevin import langevin_draws
from skgm.nce._linear import LinearCritic
from skgm.nce._noise import Noise
from skgm.nce._normalizer import estimate_normalizer, sample_limit, warn_normalizer
from skgm.nce._resampling import importance_resampling, rejection_sampling
from skgm.nce._routes import smooth
from skgm.nce._score_error import ScoreError

__all__ = ["RatioDensity"]


class RatioDensity(DensityEstimator):
    """The half of NCEDensity that comes after the fit of `noise_` and of the critic."""

    noise_: Noise
    _critic: Any
    normalizer_tol: float
    critics_: list[Any]
    max_normalizer_samples: int | str
    sampling: str

    def _normalize(self, rng: np.random.Generator) -> None:
        log_ratio, source = self._source()
        limit = sample_limit(self.max_normalizer_samples, self.critics_)
        result = estimate_normalizer(
            log_ratio, source, rng, tol=self.normalizer_tol, max_samples=limit
        )
        warn_normalizer(result, self.normalizer_tol)
        self._log_z = result.log_z
        self.log_normalizer_ = result.log_z + getattr(self._critic, "log_normalizer", 0.0)
        self.log_normalizer_se_ = result.se
        self.normalizer_ess_ = result.ess
        self.pareto_k_ = result.pareto_k
        self.max_weight_ = result.max_weight
        self.n_normalizer_samples_ = result.n_samples
        self._log_bound = result.log_bound

    def _source(self) -> tuple[Callable[[np.ndarray], np.ndarray], Noise]:
        """Return what the normaliser and draws start from, with log p less its log-density.

        The noise; where it was so far from the data that the critic went over waymarks, a
        distribution near the data.
        """
        proposal = getattr(self._critic, "proposal", None)
        if proposal is None:
            return self._critic.log_ratio, self.noise_
        return partial(_log_ratio_to, self._critic, proposal), proposal

    def log_ratio(self, X: Any) -> np.ndarray:
        """Return log p - log q of each row, the density over the noise, normalised.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_ratio : ndarray of shape (n_samples,)
            In nats.
        """
        X = self._begin_scoring(X).astype(np.float64)
        return self._log_ratio(X)

    def _log_ratio(self, X: np.ndarray) -> np.ndarray:
        return self._critic.log_ratio(X) - self._log_z

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row, noise plus normalised log-ratio.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, float64; -inf where the noise has no density.
        """
        X = self._begin_scoring(X).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(self._critic, LinearCritic):
                values = self._critic.log_density(X) - self._log_z
                return np.where(np.isfinite(values), values, -np.inf)
            values = self.noise_.log_density(X)
        inside = values > -np.inf
        if inside.any():
            values[inside] += self._log_ratio(X[inside])
        return values

    @available_if(smooth)
    def score_function(self, X: Any) -> np.ndarray:
        """Return the gradient of the log-density with respect to x; for smooth critics only.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        gradient : ndarray of shape (n_samples, n_features)
            Float64.
        """
        X = self._begin_scoring(X).astype(np.float64)
        return self._critic.score_function(X)

    def score_error(self, X: Any, sample_weight: Any = None) -> ScoreError:
        """Return the mean log-density with its sampling error and that of the normaliser.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights in the mean.

        Returns
        -------
        error : ScoreError
            Frozen, with `mean`, `sampling_se`, `normalizer_se` and `se`.
        """
        values = self.score_samples(X)
        weight = None if sample_weight is None else check_sample_weight(sample_weight, values)
        return ScoreError.from_rows(values, weight, self.log_normalizer_se_)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        log_ratio, source = self._source()
        if self.sampling == "rejection":
            return rejection_sampling(log_ratio, source, n_samples, self._log_bound, rng)
        ess = self.normalizer_ess_
        drawn = importance_resampling(log_ratio, source, n_samples, ess, rng)
        return self._move(drawn, rng) if self.sampling == "mala" else drawn

    def _move(self, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not smooth(self):
            raise ValueError(
                "sampling='mala' needs a critic that is smooth in x, on smooth noise: statistics "
                "or log_phi, no classifier, and no zeros and ones. Use sampling='sir'."
            )
        return langevin_draws(self._critic.log_density, self._critic.score_function, starts, rng)


def _log_ratio_to(critic: Any, proposal: Noise, X: np.ndarray) -> np.ndarray:
    return critic.log_density(X) - proposal.log_density(X)
