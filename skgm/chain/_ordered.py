"""Multiply the factors of one order of the columns: density, draws, and completions of rows.

Tables are coded: float64, (n, d), NaN for holes. A chain may be conditional: `before`, (n, p), are
then features of what comes before its first column. All methods work in blocks of rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from skgm._numerics.importance import systematic_picks
from skgm._parallel import LARGE, ordered_map
from skgm._sklearn import limit_openmp_threads
from skgm.chain._factor import Factor, Training, column_features, fit_factor
from skgm.chain._splits import Splits
from skgm.tables._margins import Margin

__all__ = ["OrderedChain"]

_FEW_ROWS = 10_000  # below, threads within a tree wait for one another longer than they work

_BLOCK = 20_000  # rows at a time
_OF_FACTORS = ("model", "shift", "shrinkage", "chosen", "linear", "linear_share")


@dataclass(frozen=True, eq=False)
class OrderedChain:
    """A density over columns as a product of factors.

    Attributes
    ----------
    order : sequence of int
        The columns, first to last; those of a conditional chain are not all of a table.
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
        margins: list[Margin] | Mapping[int, Margin],
        training: Training,
        n_jobs: int | None = None,
        before: np.ndarray | None = None,
    ) -> "OrderedChain":
        """Fit a factor to every column given those before it, `n_jobs` of them at a time."""
        columns = [column_features(coded[:, j], margins[j]) for j in order]
        first = _start(before, len(coded))
        n_threads = 1 if len(coded) < _FEW_ROWS else None

        def fit(place: int) -> Factor:
            prefix = np.hstack([first, *columns[:place]])
            with limit_openmp_threads(n_threads):
                return fit_factor(prefix, coded[:, order[place]], margins[order[place]], training)

        places = reversed(range(len(order)))  # the last columns take longest
        threads = coded.size > LARGE
        factors = list(ordered_map(fit, places, n_jobs=n_jobs, threads=threads))
        return cls(order, factors[::-1])

    def calibrate(self, n: int, rng: np.random.Generator) -> "OrderedChain":
        """Return the chain with shifts that keep the margins of n simulated rows."""
        prefix, factors = np.empty((n, 0)), []
        for factor in self.factors:
            factors.append(factor.calibrated(prefix, rng))
            x = factors[-1].draw(prefix, rng, balanced=False)
            prefix = np.hstack([prefix, column_features(x, factor.margin)])
        return replace(self, factors=factors)

    def state(self) -> dict[str, Any]:
        """Return the chain without its margins, as plain data and scikit-learn's classifiers."""
        each = {key: [getattr(f, key) for f in self.factors] for key in _OF_FACTORS}
        return {"order": self.order, **each}

    @classmethod
    def of_state(
        cls, state: dict[str, Any], margins: list[Margin] | Mapping[int, Margin]
    ) -> "OrderedChain":
        """Put a chain together again."""
        parts = zip(state["order"], *(state[key] for key in _OF_FACTORS))
        factors = [Factor(margins[j], Splits.of(margins[j].mass), *own) for j, *own in parts]
        return cls(state["order"], factors)

    def log_density(self, coded: np.ndarray, before: np.ndarray | None = None) -> np.ndarray:
        """Return the log-density of the observed part of each row, (n,)."""
        return _in_blocks(self._log_density, coded, _start(before, len(coded)))

    def _log_density(self, coded: np.ndarray, prefix: np.ndarray) -> np.ndarray:
        total = np.zeros(len(coded))
        for j, factor in zip(self.order, self.factors):
            total += factor.log_density(prefix, coded[:, j])
            prefix = np.hstack([prefix, column_features(coded[:, j], factor.margin)])
        return total

    def draw(self, n: int, rng: np.random.Generator, *, balanced: bool) -> np.ndarray:
        """Return n rows, (n, d)."""
        sizes = np.diff(np.append(np.arange(0, n, _BLOCK * 5), n))
        return np.vstack([self._draw(int(size), rng, balanced) for size in sizes])

    def _draw(self, n: int, rng: np.random.Generator, balanced: bool) -> np.ndarray:
        rows = np.empty((n, len(self.order)))
        rows[:, self.order] = self.draw_after(np.empty((n, 0)), rng, balanced=balanced)
        return rows

    def draw_after(
        self, before: np.ndarray, rng: np.random.Generator, *, balanced: bool
    ) -> np.ndarray:
        """Return one row for each row of `before`, (n, number of columns), in the order."""
        columns, prefix = [], before
        for factor in self.factors:
            columns.append(factor.draw(prefix, rng, balanced=balanced))
            prefix = np.hstack([prefix, column_features(columns[-1], factor.margin)])
        return np.column_stack(columns)

    def complete(
        self,
        given: np.ndarray,
        n_particles: int,
        rng: np.random.Generator,
        *,
        before: np.ndarray | None = None,
        log_weight: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted completions of rows, (m, P, d), and the logs of their weights, (m, P).

        A particle filter along the chain: a hole is drawn from its factor, a known value
        multiplies the weight by its factor. Rows whose effective number of particles falls below
        half are resampled. The mean weight of a row is an unbiased estimate of the density of its
        known part. If all holes come after all known values the weights are equal.

        Particles that are under way, (m, P, d), go on with their features `before`, (m * P, p), and
        the logs of their weights.
        """
        m, d = len(given), given.shape[-1]
        rows = np.repeat(given, n_particles, axis=0) if given.ndim == 2 else given.reshape(-1, d)
        rows, prefix = rows.copy(), _start(before, len(rows))
        log_weight = np.zeros((m, n_particles)) if log_weight is None else log_weight.copy()
        for place, (j, factor) in enumerate(zip(self.order, self.factors)):
            hole = np.isnan(rows[:, j])
            known = np.where(hole, np.nan, rows[:, j])
            log_weight += factor.log_density(prefix, known).reshape(m, n_particles)
            rows[hole, j] = factor.draw(prefix[hole], rng, balanced=False)
            prefix = np.hstack([prefix, column_features(rows[:, j], factor.margin)])
            if place < len(self.order) - 1:
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


def _start(before: np.ndarray | None, n: int) -> np.ndarray:
    return np.empty((n, 0)) if before is None else before


def _in_blocks(function: Callable[..., np.ndarray], *tables: np.ndarray) -> np.ndarray:
    starts = range(0, len(tables[0]), _BLOCK)
    return np.concatenate(
        [function(*(rows[start : start + _BLOCK] for rows in tables)) for start in starts]
    )
