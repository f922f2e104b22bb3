"""Makes annealed importance sampling between a machine without weights and the machine itself.

At inverse temperature beta the path has the unnormalized marginal
log f(v) = v'a + beta v'(b - a) + sum_j softplus(beta (c_j + W_j'v)), a the base's log-odds: that of
the machine at beta = 1. Going up, the mean of the weights is Z / Z_base; going down from rows of
the model, it is Z_base / Z.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from skgm.rbm._energy import RBMParameters, softplus

__all__ = ["Path", "Spacing", "base_log_odds", "draw_bits", "softplus_sum"]

_PILOT_STEPS, _PILOT_CHAINS = 100, 64
_UNIFORM_SHARE = 0.3  # of the steps: where a short pilot sees no change there may be some


def draw_bits(log_odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return independent 0 and 1, in the dtype of the given log-odds."""
    uniform = rng.random(log_odds.shape, dtype=np.float32)  # half the time of 64 bits
    with np.errstate(over="ignore", invalid="ignore"):  # zero times infinity is below nothing
        odds = np.exp(np.negative(log_odds))
        odds += 1
        odds *= uniform
    return np.less(odds, 1, out=odds)


def softplus_sum(x: np.ndarray) -> np.ndarray:
    """Return the sum of log(1 + exp(x)) over the last axis; its error is that of the dtype."""
    if x.dtype == np.float64:
        return softplus(x).sum(axis=-1)
    tail = np.abs(x)
    np.exp(np.negative(tail, out=tail), out=tail)
    tail += 1
    np.log(tail, out=tail)  # in float32 a fifth of the time of log1p, and as good in a sum
    return tail.sum(axis=-1) + np.maximum(x, 0).sum(axis=-1)


def base_log_odds(mean: np.ndarray, n_rows: float = 100.0) -> np.ndarray:
    """Return the log-odds of a mean of `n_rows` rows, half a row added to either side."""
    mean = np.clip(np.asarray(mean, dtype=np.float64), 0.0, 1.0)
    return np.log((mean * n_rows + 0.5) / ((1 - mean) * n_rows + 0.5))


@dataclass(frozen=True, eq=False)
class Path:
    """Machines between a base with independent units, beta = 0, and a target, beta = 1.

    Attributes
    ----------
    target : RBMParameters
        The machine at beta = 1, float64.
    base : ndarray of shape (m,)
        Log-odds of the visible units at beta = 0, where hidden units are fair coins.
    dtype : dtype, default=float64
        Of rows and activations. float32 halves the time or better.
    """

    target: RBMParameters
    base: np.ndarray
    dtype: Any = np.float64
    _arrays: tuple[np.ndarray, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        slope = self.target.intercept_visible - self.base
        arrays = self.target.components, self.target.intercept_hidden, self.base, slope
        cast = tuple(np.asarray(a, dtype=self.dtype) for a in arrays)
        object.__setattr__(self, "_arrays", cast)

    @property
    def log_partition_base(self) -> float:
        return float(softplus(self.base).sum()) + self.target.n_hidden * float(np.log(2))

    def draw_base(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n independent rows of the base, (n, m)."""
        base = self._arrays[2]
        return draw_bits(np.broadcast_to(base, (n, len(base))), rng)

    def activation(self, v: np.ndarray) -> np.ndarray:
        """Return c + W v, (n, k), of rows v, (n, m)."""
        components, intercept, _, _ = self._arrays
        activation = np.asarray(v, dtype=self.dtype) @ components.T
        activation += intercept
        return activation

    def log_mass(
        self, v: np.ndarray, activation: np.ndarray, beta: float | np.ndarray
    ) -> np.ndarray:
        """Return log f(v), (n,), of rows (n, m) at beta, a number or (n,)."""
        _, _, base, slope = self._arrays
        scaled = self._column(beta) * activation
        return v @ base + beta * (v @ slope) + softplus_sum(scaled)

    def gibbs(
        self, activation: np.ndarray, beta: float | np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return new rows v, (n, m), after new hidden units given `activation`, (n, k)."""
        column = self._column(beta)
        return self.draw_given_hidden(draw_bits(column * activation, rng), rng, column)

    def draw_given_hidden(
        self, h: np.ndarray, rng: np.random.Generator, beta: float | np.ndarray = 1.0
    ) -> np.ndarray:
        """Return rows v, (n, m), given hidden units (n, k), at beta, a number or (n, 1)."""
        components, _, base, slope = self._arrays
        pull = np.asarray(h, dtype=self.dtype) @ components
        pull += slope
        pull *= beta
        pull += base
        return draw_bits(pull, rng)

    def _column(self, beta: float | np.ndarray) -> np.ndarray:
        return np.asarray(beta, dtype=self.dtype)[..., None]

    def log_weights(
        self, v: np.ndarray, betas: np.ndarray, rng: np.random.Generator, *, spread: bool = False
    ) -> np.ndarray:
        """Return the log-weights, (n,), of annealing rows v along betas (eq. rbm-ais).

        `v` are rows at betas[0]. With `spread`, return the standard deviation over rows of the
        weight's increment at each step instead, (len(betas) - 1,).
        """
        total, deviation = np.zeros(len(v)), np.empty(len(betas) - 1)
        slope = self._arrays[3]
        for step, (before, after) in enumerate(pairwise(betas)):
            activation = self.activation(v)
            increment = (after - before) * (v @ slope)
            increment += softplus_sum(self._column(after) * activation)
            increment -= softplus_sum(self._column(before) * activation)
            total += increment  # in float64
            deviation[step] = increment.std() if spread else 0.0
            if step < len(betas) - 2:
                v = self.gibbs(activation, after, rng)
        return deviation if spread else total


@dataclass(frozen=True, eq=False)
class Spacing:
    """Where along beta the path changes most.

    Attributes
    ----------
    grid : ndarray of shape (g,)
        From 0 to 1.
    length : ndarray of shape (g,)
        Integral up to each of the standard deviation of d log f / d beta: one unit is about as far
        as two neighboring temperatures may lie apart.
    """

    grid: np.ndarray
    length: np.ndarray

    @classmethod
    def measured(cls, path: Path, rng: np.random.Generator) -> "Spacing":
        """Two short pilots; the second looks closely where the first saw change."""
        grid = np.linspace(0.0, 1.0, _PILOT_STEPS + 1)
        spacing = cls(grid, grid)
        for _ in range(2):
            betas = spacing.betas(_PILOT_STEPS)
            v = path.draw_base(_PILOT_CHAINS, rng)
            deviation = path.log_weights(v, betas, rng, spread=True)
            spacing = cls(betas, np.concatenate([[0.0], np.cumsum(deviation)]))
        return spacing

    def betas(self, n_steps: int) -> np.ndarray:
        """Return n_steps + 1 betas from 0 to 1, nearly equidistant in length."""
        share = self.length / self.length[-1] if self.length[-1] > 0 else self.grid
        mixed = _UNIFORM_SHARE * self.grid + (1 - _UNIFORM_SHARE) * share
        betas = np.interp(np.linspace(0.0, 1.0, n_steps + 1), mixed, self.grid)
        betas[[0, -1]] = 0.0, 1.0
        return betas
