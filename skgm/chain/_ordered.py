"""Multiply the factors of one order of the columns: density, draws, and completions of rows.

Tables are coded: float64, (n, d), NaN for holes. All methods work in blocks of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import logsumexp
from sklearn.utils.parallel import Parallel, delayed

from skgm._numerics.importance import systematic_picks
from skgm._sklearn import limit_openmp_threads
from skgm.chain._factor import Factor, Training, column_features, fit_factor
from skgm.tables._margins import Margin

__all__ = ["OrderedChain"]

_BLOCK = 20_000  # rows at a time


@dataclass(frozen=True, eq=False)
class OrderedChain:
    """A density over d columns as a product of factors.

    Attributes
    ----------
    order : sequence of int
        The columns, first to last.
    factors : sequence of Factor
        In that order.
    """

    order: list[int]
    factors: list[Factor]

    @classmethod
    def fit(
        cls,
        coded: np.ndarray,
        order: list[int],
        margins: list[Margin],
        training: Training,
        n_jobs: int | None = None,
    ) -> "OrderedChain":
        """Fit a factor to every column given those before it, `n_jobs` of them at a time."""
        columns = [column_features(coded[:, j], margins[j]) for j in order]

        def fit(place: int) -> Factor:
            prefix = np.hstack([np.empty((len(coded), 0)), *columns[:place]])
            with limit_openmp_threads(None if n_jobs is None else 1):
                return fit_factor(prefix, coded[:, order[place]], margins[order[place]], training)

        jobs = Parallel(n_jobs=n_jobs, prefer="threads")
        # the last columns take longest
        factors = jobs(delayed(fit)(place) for place in reversed(range(len(order))))
        return cls(order, factors[::-1])

    def calibrate(self, n: int, rng: np.random.Generator) -> "OrderedChain":
        """Return the chain with shifts that keep the margins of n simulated rows."""
        prefix, factors = np.empty((n, 0)), []
        for factor in self.factors:
            factors.append(factor.calibrated(prefix, rng))
            x = factors[-1].draw(prefix, rng, balanced=False)
            prefix = np.hstack([prefix, column_features(x, factor.margin)])
        return replace(self, factors=factors)

    def log_density(self, coded: np.ndarray) -> np.ndarray:
        """Return the log-density of the observed part of each row, (n,)."""
        return _in_blocks(self._log_density, coded)

    def _log_density(self, coded: np.ndarray) -> np.ndarray:
        total, prefix = np.zeros(len(coded)), np.empty((len(coded), 0))
        for j, factor in zip(self.order, self.factors):
            total += factor.log_density(prefix, coded[:, j])
            prefix = np.hstack([prefix, column_features(coded[:, j], factor.margin)])
        return total

    def draw(self, n: int, rng: np.random.Generator, *, balanced: bool) -> np.ndarray:
        """Return n rows, (n, d)."""
        sizes = np.diff(np.append(np.arange(0, n, _BLOCK * 5), n))
        return np.vstack([self._draw(int(size), rng, balanced) for size in sizes])

    def _draw(self, n: int, rng: np.random.Generator, balanced: bool) -> np.ndarray:
        rows, prefix = np.empty((n, len(self.order))), np.empty((n, 0))
        for j, factor in zip(self.order, self.factors):
            rows[:, j] = factor.draw(prefix, rng, balanced=balanced)
            prefix = np.hstack([prefix, column_features(rows[:, j], factor.margin)])
        return rows

    def complete(
        self, given: np.ndarray, n_particles: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted completions of rows, (m, P, d), and the logs of their weights, (m, P).

        A particle filter along the chain: a hole is drawn from its factor, a known value
        multiplies the weight by its factor. Rows whose effective number of particles falls below
        half are resampled. The mean weight of a row is an unbiased estimate of the density of its
        known part. If all holes come after all known values the weights are equal.
        """
        m, d = given.shape
        rows = np.repeat(given, n_particles, axis=0)
        log_weight, prefix = np.zeros((m, n_particles)), np.empty((len(rows), 0))
        for place, (j, factor) in enumerate(zip(self.order, self.factors)):
            hole = np.isnan(rows[:, j])
            known = np.where(hole, np.nan, rows[:, j])
            log_weight += factor.log_density(prefix, known).reshape(m, n_particles)
            rows[hole, j] = factor.draw(prefix[hole], rng, balanced=False)
            prefix = np.hstack([prefix, column_features(rows[:, j], factor.margin)])
            if place < d - 1:
                picks = _resample(log_weight, rng)
                rows, prefix = rows[picks], prefix[picks]
        return rows.reshape(m, n_particles, d), log_weight


def _resample(log_weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the particles that go on, (m * P,); weights of resampled rows become their mean."""
    m, n_particles = log_weight.shape
    picks = np.arange(m * n_particles).reshape(m, n_particles)
    total = logsumexp(log_weight, axis=1)
    with np.errstate(invalid="ignore"):
        ess = np.exp(2 * total - logsumexp(2 * log_weight, axis=1))
    for row in np.flatnonzero(ess < n_particles / 2):
        picks[row] = picks[row, systematic_picks(log_weight[row], n_particles, rng)]
        log_weight[row] = total[row] - np.log(n_particles)
    return picks.ravel()


def _in_blocks(function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    parts = [function(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK)]
    return np.concatenate(parts)
