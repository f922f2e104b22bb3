"""Counts with a constant per row: the exposure of a Poisson count, the trials of a binomial one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from skgm.inference.families._base import Family, Interval, Params
from skgm.inference.families._statistics import Rows, Sums

__all__ = ["EXPOSED", "ExposedFamily", "ExposedRows"]

# What the constant of each family is called.
EXPOSED = {"poisson": "exposure", "binomial": "trials"}


@dataclass(frozen=True)
class ExposedRows(Rows):
    """Rows of counts with a constant each.

    Attributes
    ----------
    n : float
        Number of rows, or sum of their weights.
    X : ndarray of shape (m, d)
        The counts.
    weight : ndarray of shape (m,)
        Their weights.
    constant : ndarray of shape (m, d)
        Their exposures, or numbers of trials.
    """

    constant: np.ndarray

    def __add__(self, other: Any) -> "ExposedRows":
        parts = (
            np.concatenate([getattr(self, k), getattr(other, k)])
            for k in ("X", "weight", "constant")
        )
        return ExposedRows(self.n + other.n, *parts)


class ExposedFamily(Family):
    r"""Poisson counts of mean :math:`e_i \mu`, or binomial ones of :math:`m_i` trials.

    Their sum is Poisson of mean :math:`\mu \sum e_i`, or binomial of :math:`\sum m_i` trials, so
    that estimate, tests and intervals, exact ones too, are those of one such count. The fitted
    distribution is that of a unit of exposure, or of one trial.

    Parameters
    ----------
    base : Family
        Poisson, or binomial with one trial.
    """

    statistics_type: type[Rows] = ExposedRows
    discrete = True
    has_information = False
    scheme = ("constant",)

    def __init__(self, base: Family) -> None:
        self.base = base
        self.name, self.aliases, self.support = base.name, base.aliases, base.support
        (parameter,) = base.parameters
        methods = tuple(m for m in parameter.methods if m != "bartlett")
        self.parameters = (replace(parameter, methods=methods),)
        self.is_binomial = base.name == "binomial"

    def describe(self, statistics: Any = None) -> str:
        return f"{self.base.describe()} Each row has {EXPOSED[self.name]} of its own."

    def inside(self, X: np.ndarray) -> np.ndarray:
        return self.base.inside(X)

    def describe_support(self) -> str:
        return self.base.describe_support()

    def summarize(
        self, X: np.ndarray, weight: np.ndarray | None, constant: Any = None
    ) -> ExposedRows:
        """Keep the counts with their constants, of one where there is none."""
        rows = Rows.from_chunk(X, weight)
        constant = np.ones(rows.X.shape) if constant is None else np.array(constant, dtype=float)
        return ExposedRows(rows.n, rows.X, rows.weight, constant)

    def _sums(self, statistics: Any) -> tuple[Sums, np.ndarray]:
        """Return the sums of all columns, and their units, (d,)."""
        units = statistics.weight @ statistics.constant
        x, e = statistics.X, statistics.constant
        if self.is_binomial:
            base = -special.betaln(x + 1, e - x + 1) - np.log(e + 1)
        else:
            base = special.xlogy(x, e) - special.gammaln(x + 1)
        return Sums(1.0, statistics.weight @ x, statistics.weight @ base), units

    def _by_column(self, statistics: Any) -> list[Sums]:
        """Return the sums of each column, with as many rows as it has units."""
        sums, units = self._sums(statistics)
        return [
            Sums(float(units[j]), sums.total[[j]], sums.log_base[[j]]) for j in range(len(units))
        ]

    def check_statistics(self, statistics: Any, names: list[str]) -> None:
        """Accept any counts."""

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        """Return totals over units, or what `null` holds."""
        (name,) = (p.name for p in self.parameters)
        sums, units = self._sums(statistics)
        share = sums.total / units
        share = np.minimum(share, 1.0) if self.is_binomial else share
        held = np.broadcast_to(np.asarray(null[name], dtype=np.float64), share.shape)
        return {name: np.where(np.isnan(held), share, held)}

    def log_likelihood(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        parts = enumerate(self._by_column(statistics))
        return np.concatenate(
            [self.base.log_likelihood(sums, _column(params, j)) for j, sums in parts]
        )

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log masses of counts of one unit, (n, d)."""
        return self.base.log_density(X, params)

    def kept_scores(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the scores of the rows in the statistics, (m, d, 1)."""
        (theta,) = params.values()
        variance = theta * (1 - theta) if self.is_binomial else theta
        return ((statistics.X - statistics.constant * theta) / variance)[..., None]

    def mean_score(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, 1)."""
        return statistics.mean(self.kept_scores(statistics, params))

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return minus the mean second derivative, (d, 1, 1)."""
        found = [
            self.base.observed_information(sums, _column(params, j)) * sums.n / statistics.n
            for j, sums in enumerate(self._by_column(statistics))
        ]
        return np.concatenate(found)

    def model_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information per row, (d, 1, 1)."""
        _, units = self._sums(statistics)
        return self.base.information(params) * (units / statistics.n)[:, None, None]

    def information(self, params: Params) -> np.ndarray:
        """Refuse: it depends on the constants of the rows."""
        raise ValueError("The information of counts with constants per row depends on these.")

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores of counts of one unit, (n, d, 1)."""
        return self.base.score(X, params)

    def mean(self, params: Params) -> np.ndarray:
        return self.base.mean(params)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X) of counts of one unit, (n, d)."""
        return self.base.cdf(X, params)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) counts of one unit."""
        return self.base.sample(params, n_samples, rng)

    def exact_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("exact_interval", name, statistics, params, level)

    def score_interval(self, name: str, statistics: Any, params: Params, level: float) -> Interval:
        return self._interval("score_interval", name, statistics, params, level)

    def _interval(
        self, method: str, name: str, statistics: Any, params: Params, level: float
    ) -> Interval:
        """Return the interval that the base has for a count of all units, column by column."""
        found = [
            getattr(self.base, method)(name, sums, _column(params, j), level)
            for j, sums in enumerate(self._by_column(statistics))
        ]
        low, high = (np.concatenate(ends) for ends in zip(*found, strict=True))
        return low, high


def _column(params: Params, j: int) -> dict[str, np.ndarray]:
    return {name: value[[j]] for name, value in params.items()}
