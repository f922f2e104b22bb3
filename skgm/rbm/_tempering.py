"""Rows of the model: exact where a layer can be enumerated, else by tempered Gibbs chains.

An ensemble is one chain at each of several inverse temperatures, from 0 (fair coins) to 1 (the
model). Neighbours exchange rows, so that rows at 1 come from everywhere, not from one mode. Several
ensembles run side by side, without contact; how much they differ tells whether they have mixed.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._warnings import warn_user
from skgm.rbm._annealing import draw_bits
from skgm.rbm._chains import TemperedChains
from skgm.rbm._parameters import RBMParameters
from skgm.rbm._partition import Enumeration

__all__ = [
    "SamplingDiagnostics",
    "burn",
    "draw_enumerated",
    "sample_rows",
    "sample_tempered",
    "warn_unmixed",
]

_MAX_ENUMERATED = 20  # units of the smaller layer: 2**20 states are drawn from exactly
_BURN_IN = (256, 2048)  # fewest, most sweeps
_SPREAD = 32  # sweeps between kept rows, at most, where few rows are wanted
_MIXED = 1.05  # R-hat at which burn-in ends
_NOT_MIXED = 1.2  # R-hat at its end that is worth a warning
_ENSEMBLES = (16, 64)  # fewest, most
_WORK = 4e11  # multiply-adds of a burn-in, or of all rows kept: ten seconds of one core, or so
_FEWEST = 64  # sweeps of burn-in, whatever their work
_AFFORDABLE = 2**12 * 10  # sweeps times temperatures that more than 16 ensembles leave time for


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
        Share of accepted exchanges between neighbouring temperatures.
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
    return flat[rng.permutation(len(flat))[:n_samples]], diagnostics


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
    states = (which[:, None] >> bits & 1).astype(np.float64)
    if not plan.hidden_enumerated:
        return states
    return draw_bits(states @ parameters.components + parameters.intercept_visible, rng)


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
        Rows of different ensembles are independent.
    diagnostics : SamplingDiagnostics
    """
    chains = TemperedChains(parameters.as_float64(), 1, n_ensembles, rng)
    burn_in, r_hat = burn(chains, patience)
    # Rare modes come and go too slowly to be seen in the autocorrelation: spread the rows out.
    thinning = max(chains.autocorrelation_time(), min(burn_in // n_kept, _SPREAD))
    thinning = max(1, min(thinning, int(_WORK / chains.work) // n_kept))
    rows = np.empty((n_ensembles, n_kept, parameters.n_visible))
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
