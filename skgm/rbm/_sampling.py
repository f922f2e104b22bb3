"""Draws rows of the model: exactly if a layer can be enumerated, else by tempered Gibbs chains.

An ensemble is one chain at each of several inverse temperatures, from 0 (fair coins) to 1 (the
model). Neighbors exchange rows, so that rows at 1 come from everywhere, not from one mode. Several
ensembles run side by side, without contact; how much they differ tells whether they have mixed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from skgm._random import as_generator
from skgm._sklearn import limit_blas_threads
from skgm._warnings import warn_user
from skgm.rbm._annealing import Path, Spacing, draw_bits
from skgm.rbm._energy import RBMParameters
from skgm.rbm._enumeration import Enumeration

__all__ = [
    "SamplingDiagnostics",
    "TemperedChains",
    "burn",
    "draw_enumerated",
    "draw_given",
    "sample_rows",
    "sample_tempered",
    "sampling_diagnostics",
    "warn_unmixed",
]


_GAP = 1.0  # thermodynamic length between neighbors: about half of all exchanges succeed
_TEMPERATURES = (3, 40)  # fewest, most
_MAX_TIME = 32  # sweeps of autocorrelation
_MAX_ENUMERATED = 20  # units of the smaller layer: 2**20 states are drawn from exactly
_BURN_IN = (256, 2048)  # fewest, most sweeps
_SPREAD = 32  # sweeps between kept rows, at most, where few rows are wanted
_MIXED = 1.05  # R-hat at which burn-in ends
_NOT_MIXED = 1.2  # R-hat at its end that is worth a warning
_ENSEMBLES = (16, 64)  # fewest, most
_WORK = 4e11  # multiply-adds of a burn-in, or of all rows kept: ten seconds of one core, or so
_FEWEST = 64  # sweeps of burn-in, whatever their work
_AFFORDABLE = 2**12 * 10  # sweeps times temperatures that more than 16 ensembles leave time for
_MAX_ENUMERATED_GIVEN = 16  # units, for every distinct row of `given`
_BLOCK = 2**21  # values of the visible units of all chains: 16 MB


class TemperedChains:
    """Chains at rising inverse temperatures whose neighbors exchange rows.

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
        """Update all units once per sweep, and propose every other exchange of neighbors."""
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
        centered = recent - recent.mean(axis=(0, 2), keepdims=True)
        variance = (centered**2).mean(axis=(0, 1, 2))
        time, open_ = np.ones(len(variance)), variance > 0
        for lag in range(1, min(_MAX_TIME, len(recent) // 2)):
            product = (centered[lag:] * centered[:-lag]).mean(axis=(0, 1, 2))
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


@dataclass(frozen=True)
class SamplingDiagnostics:
    """How rows of a restricted Boltzmann machine were drawn.

    Attributes
    ----------
    method : {"exact", "tempered"}
        By enumeration of the smaller layer, or by tempered Gibbs chains; then only the following
        say anything.
    r_hat : float
        Largest ratio of the spread between ensembles to that within, of the log-mass and three
        linear projections of the rows; near 1 if the chains have mixed.
    swap_rates : tuple of float
        Share of accepted exchanges between neighboring temperatures.
    betas : tuple of float
        The inverse temperatures.
    burn_in : int
        Sweeps before the first row was kept: doubled until `r_hat` was below 1.05, or 2048; of
        large machines, until about ten seconds had passed.
    thinning : int
        Sweeps between kept rows of an ensemble: at least the autocorrelation time, at most 32;
        fewer where many rows of a large machine would take longer than the burn-in may.
    n_ensembles : int
        Ensembles side by side; rows of different ensembles are independent.
    """

    method: str
    r_hat: float = 1.0
    swap_rates: tuple[float, ...] = ()
    betas: tuple[float, ...] = ()
    burn_in: int = 0
    thinning: int = 1
    n_ensembles: int = 0


def sample_rows(
    parameters: RBMParameters, n_samples: int, rng: np.random.Generator
) -> tuple[np.ndarray, SamplingDiagnostics]:
    """Draw rows of the model, exactly where its smaller layer has at most 20 units.

    Parameters
    ----------
    parameters : RBMParameters
    n_samples : int
    rng : Generator

    Returns
    -------
    rows : ndarray of shape (n_samples, m)
        0 and 1, float64, in random order.
    diagnostics : SamplingDiagnostics
    """
    p = parameters.as_float64()
    if min(p.n_hidden, p.n_visible) <= _MAX_ENUMERATED:
        return draw_enumerated(p, n_samples, rng), SamplingDiagnostics("exact")
    affordable = int(_WORK / (_AFFORDABLE * p.components.size))
    n_ensembles = int(np.clip(min(-(-n_samples // 8), affordable), *_ENSEMBLES))
    rows, diagnostics = sample_tempered(p, n_ensembles, -(-n_samples // n_ensembles), rng)
    warn_unmixed(diagnostics.r_hat, diagnostics.burn_in)
    flat = rows.reshape(-1, p.n_visible)
    return flat[rng.permutation(len(flat))[:n_samples]].astype(np.float64), diagnostics


def draw_enumerated(
    parameters: RBMParameters, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return independent rows, (n_samples, m), from the listed states of the smaller layer."""
    plan = Enumeration(parameters)
    log_mass = np.concatenate([values.ravel() for _, values in plan.blocks()])
    cumulative = np.cumsum(np.exp(log_mass - log_mass.max()))
    which = np.searchsorted(cumulative, rng.random(n_samples) * cumulative[-1], side="right")
    which = np.minimum(which, len(cumulative) - 1)  # where rounding reached the very end
    bits = np.arange(plan.n_enumerated)[::-1]
    components, intercept = parameters.components, parameters.intercept_visible
    rows = np.empty((n_samples, parameters.n_visible))
    size = max(1, _BLOCK // parameters.n_visible)
    for start in range(0, n_samples, size):
        states = (which[start : start + size, None] >> bits & 1).astype(np.float64)
        if plan.hidden_enumerated:
            states = draw_bits(states @ components + intercept, rng)
        rows[start : start + size] = states
    return rows


def sample_tempered(
    parameters: RBMParameters,
    n_ensembles: int,
    n_kept: int,
    rng: np.random.Generator,
    *,
    patience: int = 1,
) -> tuple[np.ndarray, SamplingDiagnostics]:
    """Run ensembles of tempered chains until they have mixed, then keep rows.

    Parameters
    ----------
    parameters : RBMParameters
    n_ensembles : int
        Ensembles without contact, at least 2.
    n_kept : int
        Rows kept of each.
    rng : Generator
    patience : int, default=1
        Burn-in may last this many times 2048 sweeps.

    Returns
    -------
    rows : ndarray of shape (n_ensembles, n_kept, m)
        0 and 1, a byte each. Rows of different ensembles are independent.
    diagnostics : SamplingDiagnostics
    """
    chains = TemperedChains(parameters.as_float64(), 1, n_ensembles, rng)
    burn_in, r_hat = burn(chains, patience)
    # Rare modes come and go too slowly to be seen in the autocorrelation: spread the rows out.
    thinning = max(chains.autocorrelation_time(), min(burn_in // n_kept, _SPREAD))
    thinning = max(1, min(thinning, int(_WORK / chains.work) // n_kept))
    rows = np.empty((n_ensembles, n_kept, parameters.n_visible), dtype=np.uint8)
    for i in range(n_kept):
        chains.run(thinning)
        rows[:, i] = chains.top
    return rows, SamplingDiagnostics(
        method="tempered",
        r_hat=r_hat,
        swap_rates=tuple(chains.swap_rates.tolist()),
        betas=tuple(chains.betas.tolist()),
        burn_in=burn_in,
        thinning=thinning,
        n_ensembles=n_ensembles,
    )


def burn(chains: TemperedChains, patience: int = 1) -> tuple[int, float]:
    """Run until R-hat is below 1.05, or `patience` times 2048 sweeps; return sweeps and R-hat.

    Of large machines no more sweeps are made than take ten seconds or so, 64 at least.
    """
    most = max(_FEWEST, min(patience * _BURN_IN[1], int(_WORK / chains.work)))
    sweeps = min(_BURN_IN[0], most)
    chains.run(sweeps)
    while (r_hat := chains.r_hat()) > _MIXED and sweeps < most:
        more = min(sweeps, most - sweeps)
        chains.run(more)
        sweeps += more
    return sweeps, r_hat


def warn_unmixed(r_hat: float, burn_in: int) -> None:
    """Warn if `burn_in` sweeps were not enough."""
    if r_hat <= _NOT_MIXED:
        return
    warn_user(
        f"The tempered chains have not mixed after {burn_in} sweeps (R-hat {r_hat:.2f}, which "
        "should be near 1): the shares of the modes among the rows are uncertain. Train with "
        "weight decay or a smaller learning rate, which give models whose chains mix.",
        ConvergenceWarning,
    )


def draw_given(
    parameters: RBMParameters, given: np.ndarray, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Complete rows; exactly where the free units or the hidden layer can be enumerated.

    Holding visible units leaves a smaller machine: the known units only move the intercepts of the
    hidden ones. Where neither its free visible units nor the hidden units are at most 16, tempered
    chains of all rows run side by side, two or more for each, until they have mixed.

    Parameters
    ----------
    parameters : RBMParameters
    given : ndarray of shape (r, m)
        0 or 1 where known, NaN where to be drawn.
    n_samples : int
        Completions per row.
    rng : Generator

    Returns
    -------
    rows : ndarray of shape (r * n_samples, m)
        Grouped by row of `given`; independent within a group.
    """
    p = parameters.as_float64()
    given = np.asarray(given, dtype=np.float64)
    drawn = np.empty((len(given), n_samples, p.n_visible))
    chained: list[int] = []
    for asked in _alike(given):
        row = given[asked[0]]
        free = int(np.isnan(row).sum())
        if min(free, p.n_hidden) <= _MAX_ENUMERATED_GIVEN:
            rows = _enumerated(p, row, len(asked) * n_samples, rng)
        elif free == p.n_visible:
            rows = sample_rows(p, len(asked) * n_samples, rng)[0]
        else:
            chained.extend(asked.tolist())
            continue
        drawn[asked] = rows.reshape(len(asked), n_samples, -1)
    for block in _blocks(np.array(chained, dtype=np.intp), max(2, n_samples) * p.n_visible):
        drawn[block] = _chained(p, given[block], n_samples, rng)
    return drawn.reshape(-1, p.n_visible)


def _alike(given: np.ndarray) -> list[np.ndarray]:
    """Return the indices of equal rows, group by group."""
    _, which = np.unique(np.where(np.isnan(given), -1.0, given), axis=0, return_inverse=True)
    which = which.ravel()
    order = np.argsort(which, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(which[order])) + 1)


def _enumerated(p: RBMParameters, row: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    known = ~np.isnan(row)
    rows = np.tile(row, (n, 1))
    if not known.all():
        rows[:, ~known] = draw_enumerated(p.clamped(known, row[known]), n, rng)
    return rows


def _chained(
    p: RBMParameters, given: np.ndarray, n_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (rows, n_samples, m); at least two chains per row, for R-hat to compare."""
    copies = max(2, n_samples)
    chains = TemperedChains(p, len(given), copies, rng, given=given)
    burn_in, r_hat = burn(chains)
    warn_unmixed(r_hat, burn_in)
    return chains.top.reshape(len(given), copies, -1)[:, :n_samples]


def _blocks(indices: np.ndarray, width: int) -> list[np.ndarray]:
    size = max(1, _BLOCK // (8 * width))  # eight temperatures, or so
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def sampling_diagnostics(
    estimator: Any, n_samples: int = 128, random_state: Any = None
) -> SamplingDiagnostics:
    """Draw rows as `sample` does, and return how the chains behaved instead of the rows.

    Parameters
    ----------
    estimator : BernoulliRBMCD
        A fitted machine.
    n_samples : int, default=128
        Number of rows to draw.
    random_state : None, int, RandomState or Generator, default=None
        The seed of a call of `sample` describes the chains of that call.

    Returns
    -------
    diagnostics : SamplingDiagnostics
        Method, R-hat, exchange rates, burn-in, thinning.

    Warns
    -----
    ConvergenceWarning
        The chains have not mixed.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgm.rbm import BernoulliRBMCD, sampling_diagnostics
    >>> machine = BernoulliRBMCD(8, n_iter=2, random_state=0).fit(load_digits().data > 7)
    >>> sampling_diagnostics(machine).method  # few hidden units: all their states are listed
    'exact'
    """
    check_is_fitted(estimator)
    return sample_rows(estimator._parameters, n_samples, as_generator(random_state))[1]
