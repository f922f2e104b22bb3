"""Ensembles of tempered Gibbs chains, and what their history tells about mixing."""

import numpy as np

from skgm._sklearn import limit_blas_threads
from skgm.rbm._annealing import Path, Spacing
from skgm.rbm._parameters import RBMParameters

__all__ = ["TemperedChains"]

_GAP = 1.0  # thermodynamic length between neighbours: about half of all exchanges succeed
_TEMPERATURES = (3, 40)  # fewest, most
_MAX_TIME = 32  # sweeps of autocorrelation


class TemperedChains:
    """Chains at rising inverse temperatures whose neighbours exchange rows.

    Parameters
    ----------
    p : RBMParameters
        The machine at beta = 1, float64.
    n_groups, n_copies : int
        Ensembles are grouped; those of a group have one distribution, and R-hat compares them.
    rng : Generator
    given : ndarray of shape (n_groups, m), default=None
        Values at which visible units of a group are held, NaN for units that move.

    Attributes
    ----------
    betas : ndarray of shape (n_temperatures,)
        From 0 to 1.
    """

    def __init__(
        self,
        p: RBMParameters,
        n_groups: int,
        n_copies: int,
        rng: np.random.Generator,
        given: np.ndarray | None = None,
    ) -> None:
        # Fair coins, not the mean of the data: from there a mode far from the data is in reach.
        self.path, self.rng = Path(p, np.zeros(p.n_visible), np.float32), rng
        self._copies, n_ensembles = n_copies, n_groups * n_copies
        with limit_blas_threads(1):
            spacing = Spacing.measured(self.path, rng)
        n_steps = int(np.clip(np.ceil(spacing.length[-1] / _GAP), *_TEMPERATURES))
        self.betas = spacing.betas(n_steps - 1)
        self._given = None
        if given is not None:
            self._given = np.repeat(given, n_copies * n_steps, axis=0).astype(np.float32)
        # Chains stay where they are in memory, and exchange their temperatures.
        self._at = np.arange(n_ensembles * n_steps).reshape(n_ensembles, n_steps)
        self._set(self.path.draw_base(n_ensembles * n_steps, rng))
        self._swaps, self._proposals = np.zeros((2, n_steps - 1))
        self._sweeps = 0
        self._history: list[np.ndarray] = []
        self._projections = np.linalg.svd(p.components, full_matrices=False)[2][:3].T

    @property
    def swap_rates(self) -> np.ndarray:
        return self._swaps / np.maximum(self._proposals, 1)

    @property
    def top(self) -> np.ndarray:
        """The current rows at beta = 1, grouped, (n_groups * n_copies, m) float32."""
        return self._v[self._at[:, -1]]

    @property
    def work(self) -> int:
        """Multiply-adds of a sweep."""
        return 2 * self._at.size * self.path.target.components.size

    def run(self, n_sweeps: int) -> None:
        """Update all units once per sweep, and propose every other exchange of neighbours."""
        with limit_blas_threads(1):  # a second gains little, and where cores are busy loses a lot
            for _ in range(n_sweeps):
                self._sweep()

    def _sweep(self) -> None:
        beta = np.empty(self._at.size)
        beta[self._at] = self.betas
        self._set(self.path.gibbs(self._activation, beta, self.rng))
        # Even and odd pairs in turn: rows travel farther than with pairs at random.
        self._exchange(np.arange(self._sweeps % 2, len(self.betas) - 1, 2))
        self._sweeps += 1
        which = self._at[:, -1]
        log_mass = self.path.log_mass(self._v[which], self._activation[which], 1.0)
        self._history.append(np.column_stack([log_mass, self._v[which] @ self._projections]))

    def r_hat(self) -> float:
        """Return the largest split R-hat of the statistics in the later half of the history."""
        recent = self._recent()  # (sweeps, groups, copies, statistics)
        half = len(recent) // 2
        split = np.concatenate([recent[:half], recent[half : 2 * half]], axis=2)
        within = split.var(axis=0, ddof=1).mean(axis=(0, 1))
        between = split.mean(axis=0).var(axis=1, ddof=1).mean(axis=0)
        moving = within > 0
        ratio = np.sqrt((half - 1) / half + between / np.where(moving, within, 1.0))
        return float(np.where(moving, ratio, np.where(between > 0, np.inf, 1.0)).max())

    def autocorrelation_time(self) -> int:
        """Return the largest integrated autocorrelation time in sweeps, at least 1, at most 32."""
        recent = self._recent()
        centred = recent - recent.mean(axis=(0, 2), keepdims=True)
        variance = (centred**2).mean(axis=(0, 1, 2))
        time, open_ = np.ones(len(variance)), variance > 0
        for lag in range(1, min(_MAX_TIME, len(recent) // 2)):
            product = (centred[lag:] * centred[:-lag]).mean(axis=(0, 1, 2))
            correlation = product / np.where(variance > 0, variance, 1.0)
            open_ &= correlation > 0.05
            time += 2 * np.where(open_, correlation, 0.0)
        return int(np.clip(np.ceil(time.max()), 1, _MAX_TIME))

    def _set(self, v: np.ndarray) -> None:
        self._v = v if self._given is None else np.where(np.isnan(self._given), v, self._given)
        self._activation = self.path.activation(self._v)

    def _exchange(self, low: np.ndarray) -> None:
        """Propose to exchange the temperatures `low` and `low + 1`."""
        high = low + 1
        cold, hot = self._at[:, high], self._at[:, low]
        gain = self._change(cold, self.betas[high], self.betas[low])
        gain += self._change(hot, self.betas[low], self.betas[high])
        accepted = np.log1p(-self.rng.random(gain.shape)) < gain
        self._swaps[low] += accepted.mean(axis=0)
        self._proposals[low] += 1
        self._at[:, low] = np.where(accepted, cold, hot)
        self._at[:, high] = np.where(accepted, hot, cold)

    def _change(self, which: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return log f(v) at `after` less that at `before`, both (t,), of (n, t) chains."""
        v, activation = self._v[which.ravel()], self._activation[which.ravel()]
        at = (np.broadcast_to(beta, which.shape).ravel() for beta in (after, before))
        difference = np.subtract(*(self.path.log_mass(v, activation, beta) for beta in at))
        return difference.reshape(which.shape)

    def _recent(self) -> np.ndarray:
        recent = np.array(self._history[len(self._history) // 2 :])
        return recent.reshape(len(recent), -1, self._copies, recent.shape[-1])
