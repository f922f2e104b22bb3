"""Families of waiting times of which some are right-censored."""

from dataclasses import replace
from typing import Any

import numpy as np

from skgm.inference.families._base import GENERAL, Family, Params
from skgm.inference.families._censored_laws import LAWS, CensoredRows, check_event
from skgm.inference.families._location_scale import SmoothFamily
from skgm.inference.families._observed import ObservedFamily, ObservedRows, small_sample_interval

__all__ = ["CensoredFamily", "censored"]


def censored(family: Family) -> "CensoredFamily":
    """Return the family for rows of which some are right-censored.

    Parameters
    ----------
    family : Family
        Exponential, Weibull, lognormal or gamma.

    Returns
    -------
    family : CensoredFamily
        With the same parameters.

    Raises
    ------
    ValueError
        Another family; the message lists those that take `event`.
    """
    if family.name not in LAWS:
        raise ValueError(
            f"The {family.name} family does not take `event`: right censoring is for the families "
            f"{', '.join(LAWS)}."
        )
    return CensoredFamily(family)


class CensoredFamily(SmoothFamily):
    r"""A family of waiting times of which some are only known to exceed a censoring time.

    .. math:: \ell(\theta) = \sum_i w_i \{e_i \log f(x_i; \theta) + (1 - e_i) \log S(x_i; \theta)\}

    Censoring must not depend on what the waiting time would have been. Its law is not modeled,
    so there is no expected information: standard errors come from the curvature of the
    likelihood. r*, which needs the law too, takes that of the estimate of Kaplan and Meier; it is
    the automatic interval of up to 200 rows, that of the profile likelihood of more.

    Score tests and intervals take the predictable variation of the score, a martingale in time,

    .. math:: \sum_i w_i \int_0^{x_i} u u^\top h(t; \theta)\, dt, \quad
        u = \partial \log h / \partial \theta,

    with h the hazard: it has the mean of the expected information whatever the censoring, knows
    which rows were still at risk, and is positive definite at every parameter, which the observed
    information is not.

    References
    ----------
    O. Borgan, "Maximum likelihood estimation in parametric counting process models, with
    applications to censored failure time data", Scandinavian Journal of Statistics 11, 1984.

    Parameters
    ----------
    base : Family
        The family of the waiting times.
    """

    statistics_type = CensoredRows
    has_information = False
    scheme = ("event",)

    def __init__(self, base: Family) -> None:
        self.base, self.law = base, LAWS[base.name]
        self.name, self.aliases, self.support = base.name, base.aliases, base.support
        self.equivariance = base.equivariance
        self.parameters = tuple(
            replace(p, methods=(*GENERAL, "rstar"), auto="rstar") for p in base.parameters
        )
        self.general = ObservedFamily(base)

    def inside(self, X: np.ndarray) -> np.ndarray:
        """Return which values lie in the support."""
        return self.base.inside(X)

    def describe(self, statistics: Any = None) -> str:
        return self.base.describe()

    def describe_support(self) -> str:
        return self.base.describe_support()

    def summarize(
        self, X: np.ndarray, weight: np.ndarray | None, event: Any = None
    ) -> CensoredRows:
        """Keep the rows with their events."""
        if event is None:
            raise ValueError(
                "Censored rows need their `event`: 1 where the value was observed, 0 where it is "
                "a censoring time."
            )
        return CensoredRows.from_chunk(X, check_event(event, X.shape), weight)

    def check_statistics(self, statistics: CensoredRows, names: list[str]) -> None:
        """Raise for columns without an event, and where the likelihood is unbounded."""
        none = [names[j] for j in np.flatnonzero(~_seen(statistics).any(axis=0))]
        if none:
            raise ValueError(
                f"The {self.name} family has no estimate for columns without an observed event "
                f"({', '.join(none)}; n_samples = {statistics.n:g}): the likelihood rises as the "
                "mean time grows without bound. Follow up until some event is observed, or drop "
                "them."
            )
        X = statistics.X
        last = np.where(statistics.weight[:, None] > 0, X, -np.inf).max(axis=0)
        if self.law.constant_refused:
            first = np.where(_seen(statistics), X, np.inf).min(axis=0)
            bad, reason = last == first, "all events fall on the last time"
        else:
            bad, reason = last == 0, "all times are zero"
        if bad.any():
            culprits = ", ".join(names[j] for j in np.flatnonzero(bad))
            raise ValueError(
                f"The {self.name} family has no estimate for some columns ({culprits}; n_samples = "
                f"{statistics.n:g}): {reason}, and the likelihood grows without bound. Drop them "
                "or collect more rows."
            )

    def start(self, statistics: CensoredRows) -> dict[str, np.ndarray]:
        """Return a rough estimate, the estimate itself where there is one parameter."""
        return self._named(self.law.start(statistics))

    def restricted_near(
        self, statistics: CensoredRows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return the restricted estimate, in closed form where there is one parameter."""
        if len(self.parameters) > 1:
            return super().restricted_near(statistics, null, self._nearer(statistics, null, near))
        free = self.start(statistics)
        return {name: np.where(np.isnan(null[name]), free[name], null[name]) for name in free}

    def _nearer(self, statistics: CensoredRows, null: Params, near: Params) -> Params:
        """Return `near` with the second parameter replaced where the law knows a better one."""
        first, second = (p.name for p in self.parameters)
        held = {name: np.where(np.isnan(null[name]), near[name], null[name]) for name in near}
        with np.errstate(all="ignore"):
            guess = self.law.best_scale(statistics, self._theta(held))
            if guess is None:
                return near
            gain = self.log_likelihood(statistics, {**held, second: guess})
            gain = gain - self.log_likelihood(statistics, held)
        better = ~(gain <= 0) & np.isfinite(guess) & (guess > 0)
        return {first: near[first], second: np.where(better, guess, near[second])}

    def settle(
        self,
        statistics: CensoredRows,
        null: Params,
        found: dict[str, np.ndarray],
        converged: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Refuse columns without an event, whose likelihood soon rises too little to be seen."""
        return super().settle(statistics, null, found, converged & _seen(statistics).any(axis=0))

    def log_likelihood(self, statistics: CensoredRows, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        value = self.law.value(statistics.X, statistics.event, self._theta(params))
        return statistics.n * statistics.mean(value)

    def mean_score(self, statistics: CensoredRows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, k)."""
        slopes = self.law.slopes(statistics.X, statistics.event, self._theta(params))
        return np.stack([statistics.mean(slope) for slope in slopes], axis=-1)

    def kept_scores(self, statistics: CensoredRows, params: Params) -> np.ndarray:
        """Return the scores of the rows in the statistics, (m, d, k)."""
        slopes = self.law.slopes(statistics.X, statistics.event, self._theta(params))
        return np.stack(slopes, axis=-1)

    def observed_information(self, statistics: CensoredRows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, k, k)."""
        parts = self.law.curvatures(statistics.X, statistics.event, self._theta(params))
        return -self._symmetric(parts, statistics)

    def _symmetric(self, parts: list[np.ndarray], statistics: CensoredRows) -> np.ndarray:
        """Return the mean matrix, (d, k, k), from the lower triangle of rows, (m, d) each."""
        lower, k = [statistics.mean(part) for part in parts], len(self.parameters)
        information = np.empty((len(lower[0]), k, k))
        for (i, j), part in zip(zip(*np.tril_indices(k), strict=True), lower, strict=True):
            information[:, i, j] = information[:, j, i] = part
        return information

    def model_information(self, statistics: CensoredRows, params: Params) -> np.ndarray:
        """Return the predictable information per row, (d, k, k), in place of the expected one."""
        return self._symmetric(self.law.predictable(statistics.X, self._theta(params)), statistics)

    def canonical(
        self, statistics: CensoredRows, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the score at `estimate` with log p at `params`."""
        return self.general.canonical(_as_intervals(statistics), estimate, params)

    def canonical_free(
        self, statistics: CensoredRows, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.general.canonical_free(_as_intervals(statistics), estimate, params, free)

    def auto_interval(
        self, name: str, statistics: CensoredRows, params: Params, level: float
    ) -> tuple[Any, Any, Any]:
        return small_sample_interval(self, name, statistics, params, level)

    def information(self, params: Params) -> np.ndarray:
        """Refuse: the expected information depends on the law of the censoring times."""
        raise ValueError(
            "Right-censored rows have no expected information, as it depends on when they were "
            "censored; use the observed one."
        )

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Refuse: rows alone do not say which of them are censored."""
        raise ValueError(
            "The scores of right-censored rows depend on their events; use kept_scores."
        )

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities of the waiting times, (n, d)."""
        return self.base.log_density(X, params)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return self.base.cdf(X, params)

    def mean(self, params: Params) -> np.ndarray:
        return self.base.mean(params)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws of waiting times, none censored."""
        return self.base.sample(params, n_samples, rng)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        return self.base.score_function(X, params)

    def _theta(self, params: Params) -> list[np.ndarray]:
        return [np.asarray(params[p.name], dtype=np.float64) for p in self.parameters]

    def _named(self, values: list[np.ndarray]) -> dict[str, np.ndarray]:
        return {p.name: value for p, value in zip(self.parameters, values, strict=True)}


def _as_intervals(statistics: CensoredRows) -> ObservedRows:
    """Return the rows with their upper ends."""
    n, X, weight = statistics.n, statistics.X, statistics.weight
    upper = np.where(statistics.event == 1, X, np.inf)
    return ObservedRows(n, X, weight, upper, np.full(X.shape, -np.inf))


def _seen(statistics: CensoredRows) -> np.ndarray:
    """Return which values are events that count, (m, d)."""
    return (statistics.weight[:, None] > 0) & (statistics.event == 1)
