"""Finds the log-partition function: exactly, or with its uncertainty by annealing both ways."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logsumexp
from sklearn.exceptions import ConvergenceWarning

from skgm._parallel import ordered_map
from skgm._random import spawn
from skgm._sklearn import limit_blas_threads
from skgm._warnings import warn_user
from skgm.rbm._annealing import Path, Spacing, base_log_odds
from skgm.rbm._energy import RBMParameters
from skgm.rbm._enumeration import exact_log_partition
from skgm.rbm._sampling import sample_tempered

__all__ = ["MAX_ENUMERATED_UNITS", "LogPartition", "acceptance_ratio", "log_partition"]

MAX_ENUMERATED_UNITS = 25  # of the smaller layer, for log Z
_GROUPS, _PER_GROUP = 16, 16  # independent ensembles, rows of each
_STEPS = (400, 1600)  # of annealing; the second if the first does not bring the bracket together
_LOW_ESS = 10.0  # of 256 chains
_WIDE = 1.0  # nats
_WORK = 2e11  # multiply-adds of annealing: five seconds of one core, or so
_SINGLE = 2**14  # weights: rounding to float32 is then far below the error of the estimate
_NOT_MIXED = 1.2  # R-hat of the rows that the way down starts from
_PATIENCE = 4  # log Z is found once: its chains may run longer than those of `sample`
_FROM_CHAINS, _SWEEPS = 64, 20  # rows near the training chains, Gibbs steps that make them


@dataclass(frozen=True)
class LogPartition:
    """The log-partition function, log Z, of a restricted Boltzmann machine.

    Attributes
    ----------
    value : float
        log Z, exact or estimated.
    interval : tuple of float
        Confidence interval; both ends are `value` where it is exact.
    standard_error : float
        By the jackknife over independent groups of chains; 0 where exact.
    ess_up, ess_down : float
        Effective number of chains, (sum w)^2 / sum w^2, of 256 in each direction; infinite where
        exact.
    method : {"exact", "annealing"}
        By enumeration, or by annealed importance sampling up and down.
    lower : float
        The estimate from annealing upwards alone, whose expectation is at most log Z.
    upper : float
        The estimate from annealing downwards alone. Its expectation would be at least log Z if it
        started from exact rows of the model; it starts from tempered chains, so it is an estimate,
        not a bound.
    r_hat : float
        Of these chains; near 1 if they have mixed.
    level : float
        Of `interval`.
    near_chains : float or None
        Logarithm of the sum over the region where the training chains are, from annealing down
        from there; None where log Z is exact.
    """

    value: float
    interval: tuple[float, float]
    standard_error: float
    ess_up: float
    ess_down: float
    method: str
    lower: float
    upper: float
    r_hat: float = 1.0
    level: float = 0.95
    near_chains: float | None = None

    @property
    def gap(self) -> float:
        """`value` - `near_chains`: the share exp(-gap) of the mass lies near the training chains.

        Training sees no other mass, and cannot lower it: of a machine that is well trained the gap
        is near 0. It is 0 where log Z is exact, because `near_chains` is then not looked for.
        """
        return 0.0 if self.near_chains is None else self.value - self.near_chains

    @property
    def ess(self) -> float:
        """The smaller effective number of chains of the two directions."""
        return min(self.ess_up, self.ess_down)

    @property
    def reliable(self) -> bool:
        """Whether log Z is certain, and the training chains know nearly all of it.

        The directions agree within a nat, on enough chains, from rows that mixed; and `gap` is at
        most a nat.
        """
        return self._certain and self.gap <= _WIDE

    @property
    def _certain(self) -> bool:
        bracket = abs(self.upper - self.lower)
        return bool(bracket <= _WIDE and self.ess >= _LOW_ESS and self.r_hat <= _NOT_MIXED)


def log_partition(
    parameters: RBMParameters,
    base_mean: np.ndarray,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
    max_exact_units: int = MAX_ENUMERATED_UNITS,
    chains: np.ndarray | None = None,
    n_jobs: int | None = None,
) -> LogPartition:
    """Return log Z: exact if the smaller layer is small, else an estimate with its error.

    Rows are annealed from independent units with the means of the data up to the model, and from
    tempered chains of the model down. Bennett's acceptance ratio joins the two sets of weights. It
    needs no tail of either, so it errs much less than the better of the two.

    Parameters
    ----------
    parameters : RBMParameters
    base_mean : ndarray of shape (m,)
        Mean of the training rows.
    rng : Generator
    level : float, default=0.95
        Of the interval.
    max_exact_units : int, default=25
        Largest smaller layer that is enumerated.
    chains : ndarray of shape (n_chains, k), default=None
        Hidden units where training has left its chains.
    n_jobs : int, default=None
        Groups of annealed chains at a time, in threads.

    Returns
    -------
    log_partition : LogPartition

    Warns
    -----
    ConvergenceWarning
        Where the two directions differ by more than a nat, or rest on fewer than 10 effective
        chains, or the tempered chains did not mix: the interval may then miss log Z. Or where most
        of the model's mass lies far from the training chains.
    """
    p = parameters.as_float64()
    if min(p.n_hidden, p.n_visible) <= max_exact_units:
        value = exact_log_partition(p)
        ess = (np.inf, np.inf)
        return LogPartition(value, (value, value), 0.0, *ess, "exact", value, value, level=level)
    dtype = np.float32 if p.components.size >= _SINGLE else np.float64
    path = Path(p, base_log_odds(base_mean), dtype)
    with limit_blas_threads(1):
        spacing = Spacing.measured(path, rng)
    rows, diagnostics = sample_tempered(p, _GROUPS, _PER_GROUP, rng, patience=_PATIENCE)
    rows = rows.reshape(-1, p.n_visible).astype(path.dtype)
    affordable = int(_WORK / (4 * _GROUPS * _PER_GROUP * p.components.size))
    for n_steps in (_STEPS[0], int(np.clip(affordable, *_STEPS))):
        betas = spacing.betas(n_steps)
        start = path.draw_base(_GROUPS * _PER_GROUP, rng)
        up, down = _both_ways(path, start, rows, betas, rng, n_jobs)
        result = _joined(path, up, down, diagnostics.r_hat, level)
        if abs(result.upper - result.lower) <= _WIDE / 2 and result.ess >= 2 * _LOW_ESS:
            break
    if chains is not None and chains.shape[1] == p.n_hidden:
        result = replace(result, near_chains=_near_chains(path, chains, betas, rng))
    _warn(result)
    return result


def _both_ways(
    path: Path,
    start: np.ndarray,
    rows: np.ndarray,
    betas: np.ndarray,
    rng: np.random.Generator,
    n_jobs: int | None,
) -> np.ndarray:
    """Return the log-weights of annealing up and down, (2, groups, chains)."""
    ends = ((start, betas), (rows, betas[::-1]))
    halves = [(part, way) for v, way in ends for part in np.split(v, 2)]
    work = [(*half, stream) for half, stream in zip(halves, spawn(rng, len(halves)))]
    with limit_blas_threads(1):
        found = ordered_map(partial(_annealed, path), work, n_jobs=n_jobs, threads=True)
        return np.concatenate(list(found)).reshape(2, _GROUPS, -1)


def _annealed(path: Path, work: tuple[np.ndarray, np.ndarray, np.random.Generator]) -> np.ndarray:
    return path.log_weights(*work)


def _near_chains(
    path: Path, chains: np.ndarray, betas: np.ndarray, rng: np.random.Generator
) -> float:
    """Return log Z of the region around hidden units, by annealing down from there."""
    h = np.resize(chains, (_FROM_CHAINS, chains.shape[1]))
    v = path.draw_given_hidden(h, rng)
    with limit_blas_threads(1):
        for _ in range(_SWEEPS):
            v = path.gibbs(path.activation(v), 1.0, rng)
        return path.log_partition_base - _log_mean(path.log_weights(v, betas[::-1], rng))


def acceptance_ratio(up: np.ndarray, down: np.ndarray) -> float:
    """Return log Z / Z_base from the log-weights of both directions (Bennett 1976).

    Parameters
    ----------
    up : ndarray of shape (n,)
        From rows of the base; exp(up) has mean Z / Z_base.
    down : ndarray of shape (r,)
        From rows of the model; exp(down) has mean Z_base / Z.

    Returns
    -------
    log_ratio : float
    """
    shift = np.log(len(up) / len(down))

    def excess(d: float) -> float:
        return float(expit(up - d - shift).sum() - expit(down + d + shift).sum())

    ends = np.concatenate([up, -down])
    margin = 1.0 + abs(shift) + np.log(len(ends))
    return float(brentq(excess, ends.min() - margin, ends.max() + margin, xtol=1e-10))


def _joined(
    path: Path, up: np.ndarray, down: np.ndarray, r_hat: float, level: float
) -> LogPartition:
    """Join log-weights of both directions, (groups, chains)."""
    value = path.log_partition_base + acceptance_ratio(up.ravel(), down.ravel())
    n_groups = len(up)
    left_out = [
        acceptance_ratio(np.delete(up, g, axis=0).ravel(), np.delete(down, g, axis=0).ravel())
        for g in range(n_groups)
    ]
    error = float(np.sqrt((n_groups - 1) * np.var(left_out)))
    half = float(stats.t.ppf(0.5 + level / 2, n_groups - 1)) * error
    return LogPartition(
        value=value,
        interval=(value - half, value + half),
        standard_error=error,
        ess_up=_effective(up),
        ess_down=_effective(down),
        method="annealing",
        lower=path.log_partition_base + _log_mean(up),
        upper=path.log_partition_base - _log_mean(down),
        r_hat=r_hat,
        level=level,
    )


def _log_mean(log_weights: np.ndarray) -> float:
    return float(logsumexp(log_weights) - np.log(log_weights.size))


def _effective(log_weights: np.ndarray) -> float:
    """Return (sum w)^2 / sum w^2."""
    return float(np.exp(2 * logsumexp(log_weights) - logsumexp(2 * log_weights)))


def _warn(result: LogPartition) -> None:
    if not result._certain:
        warn_user(
            f"log Z is uncertain: annealing gives {result.lower:.2f} from below and "
            f"{result.upper:.2f} from above, on {result.ess:.0f} effective chains of "
            f"{_GROUPS * _PER_GROUP}, R-hat {result.r_hat:.2f}; the interval "
            f"{result.interval[0]:.2f} to {result.interval[1]:.2f} may miss it. Compare models by "
            "pseudo_log_likelihood, or train with weight decay or a smaller learning rate, which "
            "give models whose chains mix.",
            ConvergenceWarning,
        )
    if result.gap > _WIDE:
        warn_user(
            f"Only a share of {np.exp(-result.gap):.2g} of the model's mass lies where the "
            f"training chains are (gap {result.gap:.2f} nats): training did not see the rest, "
            "which costs the likelihood of the data about as much. Train with more weight decay, "
            "more n_gibbs_steps, a smaller learning_rate with more n_iter, or fewer n_components.",
            ConvergenceWarning,
        )
