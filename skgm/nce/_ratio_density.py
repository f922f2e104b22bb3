"""A density known as noise times a ratio: its normalizer, scores and draws."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if

from skgm._numerics.distributions import Noise
from skgm._numerics.importance import (
    Normalizer,
    estimate,
    importance_resampling,
    marginal_density,
    rejection_sampling,
    sample_limit,
)
from skgm._numerics.langevin import langevin
from skgm._sklearn import check_sample_weight, take_rows
from skgm._warnings import warn_user
from skgm.base import DensityEstimator, in_blocks
from skgm.nce._classifiers import ClassifierCritic
from skgm.nce._noise import can_condition
from skgm.nce._parametric import ParametricCritic
from skgm.tables._columns import table_shape

__all__ = [
    "OLD_SAMPLERS",
    "RatioDensity",
    "ScoreError",
    "chosen_sampler",
    "held_out_scores",
    "smooth",
    "warn_normalizer",
]


# A mean log-likelihood with its two errors.


@dataclass(frozen=True)
class ScoreError:
    """Mean log-likelihood of a table, and how far it can be off.

    Attributes
    ----------
    mean : float
        Mean log-density per row, in nats: what `score` returns.
    sampling_se : float
        Standard error of the mean over rows: another table would give another mean.
    normalizer_se : float
        Standard error of log Z, common to all rows: it cancels in differences between tables
        under one model, and not between models.
    completion_se : float
        Standard error from the completions of rows with holes.

    Examples
    --------
    >>> from skgm.nce import ScoreError
    >>> round(ScoreError(mean=-1.0, sampling_se=0.03, normalizer_se=0.004).se, 4)
    0.0303
    """

    mean: float
    sampling_se: float
    normalizer_se: float
    completion_se: float = 0.0

    @property
    def se(self) -> float:
        """Standard error of the mean from all sources."""
        return float(np.linalg.norm([self.sampling_se, self.normalizer_se, self.completion_se]))

    @classmethod
    def from_rows(
        cls,
        log_density: np.ndarray,
        weight: np.ndarray | None,
        normalizer_se: float,
        errors: np.ndarray | None = None,
    ) -> "ScoreError":
        """Summarize the log-densities of rows.

        Parameters
        ----------
        log_density : ndarray of shape (n,)
            One value per row.
        weight : ndarray of shape (n,) or None
            Weights of the rows in the mean.
        normalizer_se : float
            Standard error of log Z.
        errors : ndarray of shape (n,), default=None
            Standard errors of the log-densities of the rows, independent of one another.

        Returns
        -------
        error : ScoreError
        """
        share = np.full(len(log_density), 1.0) if weight is None else weight
        counted = share > 0  # 0 * -inf would be NaN
        values, share = log_density[counted], share[counted]
        own = 0.0
        if errors is not None:
            own = float(np.sqrt(((share * errors[counted]) ** 2).sum()) / share.sum())
        mean = float(np.average(values, weights=share))
        if not np.isfinite(mean):
            return cls(mean, np.inf, normalizer_se, own)
        n = share.sum()
        variance = np.average((values - mean) ** 2, weights=share) * n / max(n - 1, 1e-300)
        sampling = float(np.sqrt(variance / n)) if n > 1 else np.inf
        return cls(mean, sampling, normalizer_se, own)


_ROWS = 1000  # whose log-densities tell the sampling error
_SHARE, _TOLERANCES = 0.2, (0.01, 0.03)  # of that error, and between these, is that of log Z
_COMPLETIONS = 200  # of each row with holes that is scored

OLD_SAMPLERS = {"sir": "resampling", "rejection": "rejection", "mala": "langevin"}


def chosen_sampler(sampler: str, sampling: str) -> str:
    """Return `sampler`, or what the old parameter `sampling` says, with a warning."""
    if sampling == "deprecated":
        return sampler
    new = OLD_SAMPLERS[sampling]
    warn_user(
        f"`sampling={sampling!r}` is now `sampler={new!r}`; the old name goes in two releases.",
        FutureWarning,
    )
    return new


def smooth(estimator: Any) -> bool:
    """Whether an estimator has a score function: parameters, and a critic smooth in x."""
    critic = getattr(estimator, "_critic", None)
    if critic is None:
        return bool(estimator._has_parameters())
    return isinstance(critic, ParametricCritic) and critic.has_score_function


class RatioDensity(DensityEstimator):
    """The half of NCEDensity that comes after the fit of `noise_` and of the critic."""

    noise_: Noise
    _critic: Any
    normalizer_tol: float | str
    noise: Any
    critics_: list[Any]
    max_normalizer_samples: int | str
    sampler: str
    sampling: str

    def _normalize(self, X: np.ndarray, rng: np.random.Generator) -> None:
        log_ratio, source = self._source()
        tol = self.normalizer_tol
        if isinstance(tol, str):
            tol = _tolerance(source.log_density(X[:_ROWS]) + log_ratio(X[:_ROWS]), len(X))
        limit = sample_limit(self.max_normalizer_samples, self.critics_)
        rough = self._critic.rough() if isinstance(self._critic, ClassifierCritic) else None
        options: dict[str, Any] = {"tol": tol, "max_rows": limit, "rough": rough}
        result = estimate(log_ratio, source, rng, **options)
        warn_normalizer(result, tol)
        self._log_z = result.log_z
        self.log_normalizer_ = result.log_z + getattr(self._critic, "log_normalizer", 0.0)
        self.log_normalizer_se_ = result.se
        self.normalizer_ess_ = result.ess
        self.pareto_k_ = result.pareto_k
        self.max_weight_ = result.max_weight
        self.n_normalizer_samples_ = result.n_samples
        self._log_bound = result.log_bound

    def _source(self) -> tuple[Callable[[np.ndarray], np.ndarray], Noise]:
        """Return what the normalizer and draws start from, with log p less its log-density.

        The noise; where it was so far from the data that the critic went over waymarks, a
        distribution near the data.
        """
        proposal = getattr(self._critic, "proposal", None)
        if proposal is None:
            return self._critic.log_ratio, self.noise_
        return partial(_log_ratio_to, self._critic, proposal), proposal

    def log_ratio(self, X: Any) -> np.ndarray:
        """Return log p - log q of each row, the density over the noise, normalized.

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
        if np.isnan(X).any():
            raise ValueError(
                f"Row {int(np.argmax(np.isnan(X).any(axis=1)))} of X has holes, so there is no "
                "ratio of densities. Use score_samples."
            )
        return self._log_ratio(X)

    def _log_ratio(self, X: np.ndarray) -> np.ndarray:
        return self._critic.log_ratio(X) - self._log_z

    @in_blocks
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log-density of each row, noise plus normalized log-ratio.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, float64; -inf where the noise has no density.
        """
        return self._score(self._begin_scoring(X).astype(np.float64))[0]

    def _score(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log-densities of rows, (n,), and their standard errors but for that of log Z."""
        errors = np.zeros(len(X))
        with np.errstate(over="ignore", invalid="ignore"):
            if isinstance(self._critic, ParametricCritic):
                values = self._critic.log_density(X) - self._log_z
                return np.where(np.isfinite(values), values, -np.inf), errors
            values, fair = np.full(len(X), -np.inf), ~self._impossible(X)
            holed = np.isnan(X).any(axis=1)
            whole = fair & ~holed
            if whole.any():
                values[whole] = self.noise_.log_density(X[whole])
        inside = values > -np.inf
        if inside.any():
            values[inside] += self._log_ratio(X[inside])
        if (fair & holed).any():
            found = marginal_density(self._log_ratio, self.noise_, X[fair & holed], _COMPLETIONS)
            values[fair & holed], errors[fair & holed] = found
        return values, errors

    def _impossible(self, X: np.ndarray) -> np.ndarray:
        """Return which rows have a fraction where the table has whole numbers, (n,)."""
        return np.zeros(len(X), dtype=bool)

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
        """Return the mean log-density with its sampling error and that of the normalizer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights in the mean.

        Returns
        -------
        error : ScoreError
            Frozen, with `mean`, `sampling_se`, `normalizer_se`, `completion_se` and `se`.
        """
        values, errors = self._score(self._begin_scoring(X).astype(np.float64))
        weight = None if sample_weight is None else check_sample_weight(sample_weight, values)
        return ScoreError.from_rows(values, weight, self.log_normalizer_se_, errors)

    def _draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        log_ratio, source = self._source()
        sampler = chosen_sampler(self.sampler, self.sampling)
        if sampler == "rejection":
            return rejection_sampling(log_ratio, source, n_samples, self._log_bound, rng)
        ess = self.normalizer_ess_
        drawn = importance_resampling(log_ratio, source, n_samples, ess, rng)
        return self._move(drawn, rng) if sampler == "langevin" else drawn

    def _source_given(self) -> tuple[Callable[[np.ndarray], np.ndarray], Noise]:
        """Return what completions of rows start from, with log p less its log-density."""
        return self._source()

    def _can_condition(self) -> bool:
        source = self._source()[1] if hasattr(self, "_critic") else self.noise
        if can_condition(source):
            return True
        raise AttributeError(
            "NCEDensity completes rows by conditional draws of its noise, and this noise has none: "
            f"{type(source).__name__}. Choose noise='auto', 'gmm', 'gaussian', 'student_t', or a "
            "density with impute."
        )

    def _draw_given(
        self, given: np.ndarray, n_samples: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Complete rows by the noise given what they hold, resampled by the critic's ratio."""
        try:
            self._can_condition()
        except AttributeError as error:
            raise ValueError(str(error)) from None
        log_ratio, source = self._source_given()
        given = given.astype(np.float64)
        return self._picked_completions(log_ratio, source, given, n_samples, rng)

    def _move(self, starts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not smooth(self):
            raise ValueError(
                "sampler='langevin' needs a critic that is smooth in x, on smooth noise: "
                "statistics or log_phi, no classifier, and no zeros and ones. "
                "Use sampler='resampling'."
            )

        def height_and_slope(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self._critic.log_density(X), self._critic.score_function(X)

        return langevin(height_and_slope, starts, rng)


def _tolerance(log_density: np.ndarray, n_rows: int) -> float:
    """Return the error of log Z that hardly adds to the sampling error of a mean of n_rows rows."""
    spread = log_density[np.isfinite(log_density)].std() / np.sqrt(n_rows)
    return float(np.clip(_SHARE * spread, *_TOLERANCES))


def _log_ratio_to(critic: Any, proposal: Noise, X: np.ndarray) -> np.ndarray:
    return critic.log_density(X) - proposal.log_density(X)


def held_out_scores(
    density: Any, X: Any, sample_weight: Any, rng: np.random.Generator
) -> list[float]:
    """Return the mean log-density of a fifth of the rows under each of the noises of a density."""
    n = table_shape(X)[0]
    weight = None if sample_weight is None else np.asarray(sample_weight)
    order = rng.permutation(n)
    held, kept = np.split(order, [max(1, n // 5)])
    rows, test = take_rows(X, kept), take_rows(X, held)
    scores, measures = [], []
    for noise in density.noise:
        seed = int(rng.integers(2**31))
        options = {"noise": noise, "random_state": seed, "handle_unknown": "ignore"}
        member = clone(density).set_params(**options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the fit that is kept warns
            member.fit(rows, sample_weight=None if weight is None else weight[kept])
            scores.append(
                member.score(test, sample_weight=None if weight is None else weight[held])
            )
        measures.append(member.base_measure_)
        if measures[-1] != measures[0]:
            raise ValueError(
                f"noise lists {density.noise[0]!r} and {noise!r}, whose densities are of "
                f"different kinds ({measures[0]} and {measures[-1]}), so they cannot be compared. "
                "Name point masses by atoms= of these densities, or list one of them."
            )
    return scores


def warn_normalizer(result: Normalizer, tol: float) -> None:
    """Warn where the normalizer is not certified."""
    faults = result.faults(tol)
    if faults:
        warn_user(
            f"The normalizer is uncertain after {result.n_samples} noise rows: "
            f"{'; '.join(faults)}. The density may be off by a common factor. Choose noise nearer "
            "to the data, drop repeated or rounded values (see lattice=), or raise "
            "max_normalizer_samples or normalizer_tol.",
            ConvergenceWarning,
        )
