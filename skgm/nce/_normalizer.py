"""The normaliser of a density known up to it, by importance sampling, with its error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning

from skgm._warnings import warn_user
from skgm.nce._noise import Noise

__all__ = [
    "Normalizer",
    "estimate_normalizer",
    "pareto_tail_index",
    "sample_limit",
    "summarise_weights",
    "warn_normalizer",
]

CHUNK = 10_000  # noise rows at a time
PILOT = 20_000  # before giving up
LONG = 80_000  # before a heavy tail is taken for what it is
OUT_OF_REACH = 4  # times max_samples
FEWEST, MOST = 300_000, 3_000_000  # rows where max_samples is "auto"
TREE_EVALUATIONS = 250_000_000  # ten to fifteen seconds
SAFETY = 1.1  # more rows than the variance so far asks for
OFTEN = 10  # times that the largest weight was met
MAX_PARETO_K, MAX_WEIGHT, MIN_ESS = 0.7, 0.01, 0.01


@dataclass(frozen=True)
class Normalizer:
    """An estimate of log Z and how far it can be trusted.

    Attributes
    ----------
    log_z : float
        Log of the mean weight.
    se : float
        Its standard error, by the delta method: that of the mean weight over the mean weight.
    ess : float
        Effective sample size as a share of the noise rows: 1 where all weights are equal.
    pareto_k : float
        Tail index of the weights; above 0.7 neither the estimate nor its error can be trusted.
    max_weight : float
        Share of the largest weight in their sum.
    n_samples : int
        Noise rows used.
    log_bound : float
        The largest log-ratio met.
    """

    log_z: float
    se: float
    ess: float
    pareto_k: float
    max_weight: float
    n_samples: int
    log_bound: float


def estimate_normalizer(
    log_ratio: Callable[[np.ndarray], np.ndarray],
    noise: Noise,
    rng: np.random.Generator,
    *,
    tol: float,
    max_samples: int,
) -> Normalizer:
    """Return log E_q[exp(log_ratio(y))], with y from the noise (eq. nce-normalizer).

    Rows are drawn until the standard error of log Z is at most `tol`, or `max_samples` are used;
    fewer where even several times as many would not do.
    """
    chunks: list[np.ndarray] = []
    m, wanted = 0, min(CHUNK, max_samples)
    while True:
        while m < wanted:
            rows = noise.sample(min(CHUNK, max_samples - m), rng)
            chunks.append(log_ratio(rows))
            m += len(rows)
        result = summarise_weights(np.concatenate(chunks), atoms=noise.discrete)
        needed = SAFETY * m * (result.se / tol) ** 2
        hopeless = m >= PILOT and needed > OUT_OF_REACH * max_samples
        believable = result.pareto_k <= MAX_PARETO_K or m >= LONG
        certified = result.se <= tol and believable
        if certified or m >= max_samples or hopeless:
            return result
        wanted = int(min(max_samples, max(needed, 2 * m), 4 * m))


def sample_limit(max_samples: int | str, members: Sequence[Any]) -> int:
    """Return the number that `max_samples` stands for.

    "auto" is 300,000; for boosted trees, whose cost is known, as many as take 2.5e8 evaluations of
    a tree, but no more than three million.
    """
    if not isinstance(max_samples, str):
        return max_samples
    trees = [m.n_iter_ for m in members if isinstance(m, HistGradientBoostingClassifier)]
    if not members or len(trees) < len(members):
        return FEWEST
    affordable = TREE_EVALUATIONS // max(sum(trees), 1)
    return int(np.clip(affordable, FEWEST, MOST))


def summarise_weights(log_weights: np.ndarray, *, atoms: bool = False) -> Normalizer:
    """Return log of the mean weight with its diagnostics, from the logs of all weights.

    `atoms` says that noise rows repeat. Their weights are then bounded, and a largest weight that
    was met often has no tail beyond it; fitted all the same, ties would be taken for a heavy one.

    Raises
    ------
    ValueError
        Weights that are all zero, or not finite.
    """
    m, largest = len(log_weights), log_weights.max()
    if not np.isfinite(largest):
        raise ValueError(
            f"The ratio of the density to the noise is {np.exp(largest)} at the noise rows, so it "
            "cannot be normalised. Choose noise nearer to the data or a bounded critic."
        )
    weights = np.exp(log_weights - largest)
    mean = weights.mean()
    reached = atoms and np.count_nonzero(weights == 1.0) >= OFTEN
    relative = weights.std(ddof=1) / mean if m > 1 else 0.0
    return Normalizer(
        log_z=float(logsumexp(log_weights) - np.log(m)),
        se=float(relative / np.sqrt(m)),
        ess=float(mean**2 / np.mean(weights**2)),
        pareto_k=-np.inf if reached else pareto_tail_index(weights),
        max_weight=float(1 / weights.sum()),
        n_samples=m,
        log_bound=float(largest),
    )


def pareto_tail_index(weights: np.ndarray) -> float:
    """Return the shape of a generalised Pareto law fitted to the largest weights; -inf without.

    The tail is the largest fifth, or 3 sqrt(m) weights if these are fewer; the estimate is Zhang
    and Stephens' (2009) posterior mean, shrunk towards 1/2 as in Vehtari et al. (2024).
    """
    m = len(weights)
    size = int(min(0.2 * m, 3 * np.sqrt(m)))
    if size < 5:
        return -np.inf
    ordered = np.partition(weights, m - size - 1)
    excess = np.sort(ordered[m - size :]) - ordered[m - size - 1]
    if excess[size // 4] <= 0 or excess[-1] <= excess[0]:  # equal weights have no tail
        return -np.inf
    shape = _generalised_pareto_shape(excess)
    return float((size * shape + 10 * 0.5) / (size + 10))


def _generalised_pareto_shape(excess: np.ndarray) -> float:
    """Return k of GPD(k, sigma) for sorted exceedances, averaged over a grid of k / sigma."""
    size = len(excess)
    grid = 30 + int(np.sqrt(size))
    ratio = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    ratio = ratio / (3 * excess[size // 4]) + 1 / excess[-1]
    shape = np.log1p(-ratio[:, None] * excess).mean(axis=1)
    log_likelihood = size * (np.log(-ratio / shape) - shape - 1)
    share = np.exp(log_likelihood - logsumexp(log_likelihood))
    return float(np.log1p(-(ratio @ share) * excess).mean())


def warn_normalizer(result: Normalizer, tol: float) -> None:
    """Warn where the normaliser is not certified: error, tail, largest weight, sample size."""
    faults = []
    if result.se > tol:
        faults.append(f"the standard error of log Z is {result.se:.2g}, above {tol:g}")
    if result.pareto_k > MAX_PARETO_K:
        faults.append(f"the Pareto tail index of the weights is {result.pareto_k:.2f} (> 0.7)")
    if result.max_weight > MAX_WEIGHT:
        faults.append(f"one weight makes up {result.max_weight:.1%} of their sum")
    if result.ess < MIN_ESS:
        faults.append(f"the effective sample size is {result.ess:.2%} of the noise rows")
    if faults:
        warn_user(
            f"The normaliser is uncertain after {result.n_samples} noise rows: "
            f"{'; '.join(faults)}. The density may be off by a common factor. Choose noise nearer "
            "to the data, drop repeated or rounded values (see lattice=), or raise "
            "max_normalizer_samples or normalizer_tol.",
            ConvergenceWarning,
        )
