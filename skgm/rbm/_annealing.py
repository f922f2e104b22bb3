"""Annealed importance sampling between a machine without weights and the machine itself.

At inverse temperature beta the path has the unnormalised marginal
log f(v) = v'a + beta v'(b - a) + sum_j softplus(beta (c_j + W_j'v)), a the base's log-odds: that of
the machine at beta = 1. Going up, the mean of the weights is Z / Z_base; going down from rows of
the model, it is Z_base / Z.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import expit

from skgm.rbm._energy import softplus
from skgm.rbm._parameters import RBMParameters

__all__ = ["Path", "Spacing", "base_log_odds", "draw_bits"]

_PILOT_STEPS, _PILOT_CHAINS = 100, 64
_UNIFORM_SHARE = 0.3  # of the steps: where a short pilot sees no change there may be some


def draw_bits(log_odds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return independent 0 and 1, float64, with the given log-odds."""
    uniform = rng.random(log_odds.shape, dtype=np.float32)  # half the time of 64 bits
    return (uniform < expit(log_odds)).astype(np.float64)


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
    """

    target: RBMParameters
    base: np.ndarray

    @property
    def log_partition_base(self) -> float:
        return float(softplus(self.base).sum()) + self.target.n_hidden * float(np.log(2))

    def draw_base(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return n independent rows of the base, (n, m)."""
        return draw_bits(np.broadcast_to(self.base, (n, len(self.base))), rng)

    def activation(self, v: np.ndarray) -> np.ndarray:
        """Return c + W v, (..., k), of rows v, (..., m)."""
        flat = v.reshape(-1, v.shape[-1]) @ self.target.components.T
        return flat.reshape(*v.shape[:-1], -1) + self.target.intercept_hidden

    def log_mass(self, v: np.ndarray, activation: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """Return log f(v), (...,), of rows (..., m) at beta, a number or (...,)."""
        slope = v @ (self.target.intercept_visible - self.base)
        scaled = np.asarray(beta)[..., None] * activation
        return v @ self.base + beta * slope + softplus(scaled).sum(axis=-1)

    def gibbs(
        self, activation: np.ndarray, beta: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return new rows v, (..., m), after new hidden units given `activation`, (..., k)."""
        beta = np.asarray(beta)[..., None]
        h = draw_bits(beta * activation, rng)
        pull = h.reshape(-1, h.shape[-1]) @ self.target.components
        pull += self.target.intercept_visible - self.base
        return draw_bits(self.base + beta * pull.reshape(*h.shape[:-1], -1), rng)

    def log_weights(
        self, v: np.ndarray, betas: np.ndarray, rng: np.random.Generator, *, spread: bool = False
    ) -> np.ndarray:
        """Return the log-weights, (n,), of annealing rows v along betas (eq. rbm-ais).

        `v` are rows at betas[0]. With `spread`, return the standard deviation over rows of the
        weight's increment at each step instead, (len(betas) - 1,).
        """
        total, deviation = np.zeros(len(v)), np.empty(len(betas) - 1)
        for step, (before, after) in enumerate(pairwise(betas)):
            activation = self.activation(v)
            increment = (after - before) * (v @ (self.target.intercept_visible - self.base))
            increment += softplus(after * activation).sum(axis=1)
            increment -= softplus(before * activation).sum(axis=1)
            total += increment
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
        as two neighbouring temperatures may lie apart.
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
