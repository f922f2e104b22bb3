"""Estimates normalizers, and draws rows, by importance sampling from a proposal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.ensemble import HistGradientBoostingClassifier

from skgm._numerics.blocks import row_blocks
from skgm._numerics.distributions import Noise
from skgm._numerics.qmc import MIN_SCRAMBLES, sobol_points

__all__ = [
    "TOLERANCE",
    "Normalizer",
    "NotIntegrableError",
    "RoughRatio",
    "Thinning",
    "conditional_resampling",
    "estimate",
    "importance_resampling",
    "kept_weights",
    "marginal_density",
    "pareto_tail_index",
    "rejection_sampling",
    "sample_limit",
    "summarize_weights",
    "systematic_picks",
]

LogRatio = Callable[[np.ndarray], np.ndarray]

TOLERANCE = 0.005  # standard error of log Z
CHUNK = 10_000  # rows at a time
NET = 512  # points of each of the first nets
PILOT = 20_000  # before giving up
LONG = 80_000  # before a heavy tail is taken for what it is
OUT_OF_REACH = 4  # times max_rows
FEWEST, MOST = 300_000, 3_000_000  # rows where max_samples is "auto"
_EM_STEPS = 500  # for weights of densities
TREE_EVALUATIONS = 250_000_000  # three to five seconds
LEAST_GROWTH = 1.25
SAFETY = 1.1  # more rows than the variance so far asks for
LEAST_KEPT = 0.05  # of the rows of a bin, so that no weight is inflated by more than twenty
BINS = 20
WORTHWHILE = 1.3  # times less work
OFTEN = 10  # times that the largest weight was met
FEWEST_OF_TAIL = 50
MAX_PARETO_K, MAX_WEIGHT, MIN_ESS = 0.7, 0.01, 0.01


class NotIntegrableError(ValueError):
    """There is no normalizer; the message says why, to follow the words "the density"."""


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

    def faults(self, tol: float = TOLERANCE) -> list[str]:
        """Return, in words, why log Z is not certified: error, tail, largest weight, ESS."""
        found = []
        if self.se > tol:
            found.append(f"the standard error of log Z is {self.se:.2g}, above {tol:g}")
        if self.pareto_k > MAX_PARETO_K:
            found.append(f"the Pareto tail index of the weights is {self.pareto_k:.2f} (> 0.7)")
        if self.max_weight > MAX_WEIGHT:
            found.append(f"one weight makes up {self.max_weight:.1%} of their sum")
        if self.ess < MIN_ESS:
            found.append(f"the effective sample size is {self.ess:.2%} of the rows")
        return found


def estimate(
    log_ratio: LogRatio,
    proposal: Noise,
    rng: np.random.Generator | None = None,
    *,
    tol: float = TOLERANCE,
    max_rows: int = FEWEST,
    rough: "RoughRatio | None" = None,
) -> Normalizer:
    """Return log E_q[exp(log_ratio(y))], with y from the proposal (eq. nce-normalizer).

    Rows are drawn until the standard error of log Z is at most `tol`, or `max_rows` are used;
    fewer where even several times as many would not do. With a `rough` ratio most rows of little
    weight are dropped before the full one is computed (see `Thinning`).

    Parameters
    ----------
    log_ratio : callable
        From rows (n, d) to the log of the target over the proposal, (n,).
    proposal : Noise
        Where rows come from; with an inverse map if `rng` is None.
    rng : numpy.random.Generator, default=None
        Draws independent rows. None for eight scrambled nets of Sobol points, always the same.
    tol : float
        Largest standard error.
    max_rows : int
        Most rows.
    rough : RoughRatio, default=None
        With independent rows only.

    Returns
    -------
    normalizer : Normalizer

    Raises
    ------
    ValueError
        Weights that are all zero, or not finite.
    """
    if rng is None:
        draws = [_sobol_draws(proposal, k) for k in range(MIN_SCRAMBLES)]
        wanted, growth = MIN_SCRAMBLES * NET, 2  # nets are balanced in powers of two only
    else:
        draws = [partial(proposal.sample, rng=rng)]
        wanted, growth = min(CHUNK, max_rows), 4
    weigh: Callable[[np.ndarray], np.ndarray] = partial(_unthinned, log_ratio)
    found = np.empty((2, len(draws), 0))
    while True:
        found = _with_more(found, weigh, draws, wanted)
        result = summarize_weights(*found, atoms=proposal.discrete)
        m = result.n_samples
        needed = SAFETY * m * (result.se / tol) ** 2
        hopeless = m >= PILOT and needed > OUT_OF_REACH * max_rows
        believable = result.pareto_k <= MAX_PARETO_K or m >= LONG
        certified = result.se <= tol and believable
        if certified or hopeless or m >= max_rows or (rng is None and 2 * m > max_rows):
            return result
        least = 2 * m if rng is None or m < PILOT else LEAST_GROWTH * m
        wanted = int(min(max_rows, max(needed, least), growth * m))
        if rough is not None and rng is not None and wanted > m + CHUNK:
            rows = proposal.sample(CHUNK, rng)
            new = _unthinned(log_ratio, rows)
            found = np.concatenate([found, new[:, None]], axis=2)
            thinning, rough = Thinning.learn(rough, rows, new[0]), None
            if thinning is not None:
                weigh = partial(thinning.weigh, log_ratio, rng)


def _sobol_draws(proposal: Any, seed: int) -> Callable[[int], np.ndarray]:
    points = sobol_points(proposal.n_uniforms, np.random.default_rng(seed))
    return lambda n: proposal.transform(points(n))


def _unthinned(log_ratio: LogRatio, rows: np.ndarray) -> np.ndarray:
    """Return log-ratios of rows, and logs of the shares kept, which are one, (2, n)."""
    return np.stack([log_ratio(rows), np.zeros(len(rows))])


def _with_more(
    found: np.ndarray,
    weigh: Callable[[np.ndarray], np.ndarray],
    draws: Sequence[Callable[[int], np.ndarray]],
    wanted: int,
) -> np.ndarray:
    """Return weights of `wanted` rows, (2, len(draws), m), of which some are found."""
    each = wanted // len(draws) - found.shape[2]
    sizes = [min(CHUNK, each - start) for start in range(0, each, CHUNK)]
    new = [np.concatenate([weigh(draw(size)) for size in sizes], axis=1) for draw in draws]
    return np.concatenate([found, np.stack(new, axis=1)], axis=2)


class RoughRatio(NamedTuple):
    """A cheap guess of a log-ratio: the first trees of a bag.

    Attributes
    ----------
    log_ratio : callable
    cost : float
        Of a draw and its guess, as a share of that of a draw and its log-ratio.
    """

    log_ratio: LogRatio
    cost: float


@dataclass(frozen=True)
class Thinning:
    """Keeps a row with a probability that depends on a rough ratio; what is kept weighs more.

    With p the share kept where the guess is g, exp(f) / p of kept rows and zero of the others has
    the same mean as exp(f), and the second moment E[m(g) / p], m(g) = E[exp(2 f) | g]. The share
    p ~ sqrt(m(g)), at most one, has the least variance for its work.

    Attributes
    ----------
    rough : callable
    edges : ndarray of shape (BINS - 1,)
        Of bins of the rough log-ratio.
    share : ndarray of shape (BINS,)
        Kept in each bin.
    """

    rough: LogRatio
    edges: np.ndarray
    share: np.ndarray

    @classmethod
    def learn(cls, rough: RoughRatio, rows: np.ndarray, log_ratio: np.ndarray) -> "Thinning | None":
        """Learn from rows whose log-ratio is known; None where there is little to gain."""
        guess = rough.log_ratio(rows)
        edges = np.unique(np.quantile(guess, np.arange(1, BINS) / BINS))
        place = np.searchsorted(edges, guess)
        weights = np.exp(log_ratio - log_ratio.max())
        count = np.bincount(place, minlength=len(edges) + 1)
        moment = np.bincount(place, weights**2, len(edges) + 1) / np.maximum(count, 1)
        moment = np.maximum.accumulate(np.maximum(moment, np.finfo(float).tiny))
        spread = weights.mean() ** 2

        def work(level: float) -> tuple[float, np.ndarray]:
            share = np.clip(np.sqrt(moment) / level, LEAST_KEPT, 1)
            variance = count @ (moment / share) / len(rows) - spread
            kept = count @ share / len(rows)
            return variance * (rough.cost + kept * (1 - rough.cost)), share

        levels = np.sqrt(moment.max()) * np.geomspace(1e-3, 1, 40)
        least, share = min((work(level) for level in levels), key=lambda found: found[0])
        worthwhile = WORTHWHILE * least < count @ moment / len(rows) - spread
        return cls(rough.log_ratio, edges, share) if worthwhile else None

    def weigh(self, log_ratio: LogRatio, rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
        """Return the log-ratios of rows, -inf of those dropped, and logs of shares kept, (2, n)."""
        share = self.share[np.searchsorted(self.edges, self.rough(rows))]
        kept = rng.random(len(rows)) < share
        values = np.full(len(rows), -np.inf)
        values[kept] = log_ratio(rows[kept])
        return np.stack([values, np.log(share)])


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


def summarize_weights(
    log_weights: np.ndarray, log_share: np.ndarray | float = 0.0, *, atoms: bool = False
) -> Normalizer:
    """Return log of the mean weight with its diagnostics, from the logs of all weights.

    Parameters
    ----------
    log_weights : ndarray of shape (m,) or (k, m)
        Of independent rows, or of k scrambles of a net, whose scatter is then the error.
    log_share : ndarray of the same shape, default=0
        Log of the probability that a row was kept with; -inf is the log-weight of one that was not.
    atoms : bool
        Whether rows of the proposal repeat. Their weights are then bounded, and a largest weight
        that was met often has no tail beyond it; fitted all the same, ties would be taken for a
        heavy one.

    Raises
    ------
    ValueError
        Weights that are all zero, or not finite.
    """
    largest = log_weights.max()
    if not np.isfinite(largest):
        raise ValueError(
            f"The ratio of the density to the noise is {np.exp(largest)} at the noise rows, so it "
            "cannot be normalized. Choose noise nearer to the data or a bounded critic."
        )
    share = np.exp(log_share)
    weights = np.exp(log_weights - largest) / share
    m, mean = weights.size, weights.mean()
    scattered = weights.mean(axis=1) if len(np.atleast_2d(weights)) > 1 else weights.ravel()
    relative = scattered.std(ddof=1) / mean if len(scattered) > 1 else 0.0
    reached = atoms and np.count_nonzero(log_weights == largest) >= OFTEN
    return Normalizer(
        log_z=float(np.log(mean) + largest),
        se=float(relative / np.sqrt(len(scattered))),
        ess=float(mean**2 / np.mean(weights**2 * share)),
        pareto_k=-np.inf if reached else pareto_tail_index(weights.ravel()),
        max_weight=float(weights.max() / weights.sum()),
        n_samples=m,
        log_bound=float(largest),
    )


def pareto_tail_index(weights: np.ndarray) -> float:
    """Return the shape of a generalized Pareto law fitted to the largest weights; -inf without.

    The tail is the largest fifth, or 3 sqrt(m) weights if these are fewer; the estimate is Zhang
    and Stephens' (2009) posterior mean, shrunk towards 1/2 as in Vehtari et al. (2024). A power law
    is one above any threshold. A plateau of weights with a bump above it looks like one from the
    plateau only, so that a heavy tail must show in the largest quarter of these weights as well,
    unless one weight makes up more than 1% of the sum.
    """
    m = len(weights)
    size = int(min(0.2 * m, 3 * np.sqrt(m)))
    shape = _tail_shape(weights, size)
    small = weights.max() <= MAX_WEIGHT * weights.sum()
    if shape > MAX_PARETO_K and small and size >= 4 * FEWEST_OF_TAIL:
        above = _tail_shape(weights, size // 4)
        return min(shape, above) if above > -np.inf else shape  # ties say nothing
    return shape


def _tail_shape(weights: np.ndarray, size: int) -> float:
    """Return the shape of the law of the `size` largest weights, shrunk by ten weights of 1/2."""
    if size < 5:
        return -np.inf
    ordered = np.partition(weights, len(weights) - size - 1)
    excess = np.sort(ordered[-size:]) - ordered[-size - 1]
    if excess[size // 4] <= 0 or excess[-1] <= excess[0]:  # equal weights have no tail
        return -np.inf
    shape = _generalized_pareto_shape(excess)
    return float((size * shape + 10 * 0.5) / (size + 10))


def _generalized_pareto_shape(excess: np.ndarray) -> float:
    """Return k of GPD(k, sigma) for sorted exceedances, averaged over a grid of k / sigma."""
    size = len(excess)
    grid = 30 + int(np.sqrt(size))
    ratio = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    ratio = ratio / (3 * excess[size // 4]) + 1 / excess[-1]
    shape = np.log1p(-ratio[:, None] * excess).mean(axis=1)
    log_likelihood = size * (np.log(-ratio / shape) - shape - 1)
    share = np.exp(log_likelihood - logsumexp(log_likelihood))
    return float(np.log1p(-(ratio @ share) * excess).mean())


# Draws from a density known as noise times a ratio: importance resampling and rejection.

POOL_FACTOR = 20  # effective noise rows per draw
MIN_POOL = 2_000
MAX_POOL = 100_000
MAX_DRAWS = 5_000  # from one pool; more draws come from several, so that memory stays bounded


def importance_resampling(
    log_ratio: LogRatio, noise: Noise, n: int, ess: float, rng: np.random.Generator
) -> np.ndarray:
    """Return n rows of a pool of noise, picked in proportion to their weights.

    The pool holds twenty effective rows per draw, up to 100,000 rows, or twenty rows per draw
    where these are more. Picks are systematic: a row is repeated only if its weight is above 1/n.
    Beyond 5,000 draws each 5,000 have a pool of their own.
    """
    sizes = [min(MAX_DRAWS, n - start) for start in range(0, n, MAX_DRAWS)]
    parts = (_from_one_pool(log_ratio, noise, size, ess, rng) for size in sizes)
    if len(sizes) == 1:
        return next(parts)
    rows: np.ndarray | None = None
    for i, part in enumerate(parts):
        rows = np.empty((n, part.shape[1])) if rows is None else rows
        rows[i * MAX_DRAWS : i * MAX_DRAWS + len(part)] = part
    assert rows is not None
    return rows


def _from_one_pool(
    log_ratio: LogRatio, noise: Noise, n: int, ess: float, rng: np.random.Generator
) -> np.ndarray:
    wanted = max(MIN_POOL, POOL_FACTOR * n) / max(ess, 1e-6)
    size = int(min(wanted, max(MAX_POOL, POOL_FACTOR * n)))
    pool, log_weights = [], []
    for start in range(0, size, CHUNK):
        rows = noise.sample(min(CHUNK, size - start), rng)
        pool.append(rows)
        log_weights.append(log_ratio(rows))
    picks = systematic_picks(np.concatenate(log_weights), n, rng)
    return np.concatenate(pool)[rng.permutation(picks)]


CANDIDATES = 200  # completions of a row to choose from, or ten for each one asked for
FEWEST_EFFECTIVE = 30.0  # below, eight times as many
GROWTH, ATTEMPTS = 8, 3


def conditional_resampling(
    log_ratio: LogRatio,
    noise: Any,
    given: np.ndarray,
    n: int,
    rng: np.random.Generator,
    *,
    candidates: int = CANDIDATES,
    attempts: int = ATTEMPTS,
) -> tuple[np.ndarray, np.ndarray]:
    """Return completions of rows, (m, n, d), and the effective number of candidates for each.

    Candidates come from the noise given what a row holds, and are picked in proportion to the
    ratio, which is the conditional density over that of the noise up to a factor.

    Parameters
    ----------
    log_ratio : callable
        From rows (n, d) to the log of the density over the noise, (n,).
    noise : Noise
        With `sample_given`, or with `complete` if its completions have weights.
    given : ndarray of shape (m, d)
        NaN are holes.
    n : int
        Completions of each row.
    rng : numpy.random.Generator
    candidates, attempts : int
        Completions to choose from, at least ten for each one asked for; and how often at most
        their number is raised for rows with few effective ones.

    Returns
    -------
    rows : ndarray of shape (m, n, d)
    ess : ndarray of shape (m,)
        Zero where no candidate has a positive density; infinite for rows without holes.
    """
    rows = np.repeat(given[:, None], n, axis=1)
    ess = np.full(len(given), np.inf)
    left, size = np.flatnonzero(np.isnan(given).any(axis=1)), max(candidates, 10 * n)
    for _ in range(attempts):
        for part in row_blocks(len(left), max(1, MAX_POOL // size)):
            which = left[part]
            pool, log_weights = _candidates(log_ratio, noise, given[which], size, rng)
            kept = np.maximum(log_weights, -1e300)  # weights that are all zero have no picks
            weights = np.exp(kept - kept.max(axis=1, keepdims=True))
            possible = log_weights.max(axis=1) > -np.inf
            ess[which] = possible * weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)
            picks = rng.permuted(systematic_picks(kept, n, rng), axis=1)
            rows[which] = np.take_along_axis(pool, picks[:, :, None], axis=1)
        left = left[ess[left] < max(FEWEST_EFFECTIVE, n / 2)]
        size = min(GROWTH * size, max(MAX_POOL, POOL_FACTOR * n))
    return rows, ess


def marginal_density(
    log_ratio: LogRatio, noise: Any, given: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return logs of the density of what rows hold, with NaN, and relative standard errors, (m,).

    The density of the noise there times the mean ratio over n completions by the noise. They are
    drawn for each row from the same fixed seed, so that no row depends on the others.
    """
    values, errors = np.empty(len(given)), np.empty(len(given))
    known = np.zeros(len(given)) if hasattr(noise, "complete") else noise.log_density(given)
    for part in row_blocks(len(given), max(1, MAX_POOL // n)):
        if hasattr(noise, "complete_alike"):
            pool, own = noise.complete_alike(given[part], n, 0)
        else:
            each = [
                _completions(noise, row[None], n, np.random.default_rng(0)) for row in given[part]
            ]
            pool, own = (np.concatenate(found) for found in zip(*each))
        log_weights = _weights(log_ratio, noise, pool, own)
        largest = np.maximum(log_weights.max(axis=1), -1e300)
        weights = np.exp(log_weights - largest[:, None])
        mean = weights.mean(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            values[part] = np.where(largest > -1e300, known[part] + largest + np.log(mean), -np.inf)
            errors[part] = np.nan_to_num(weights.std(axis=1, ddof=1) / mean / np.sqrt(n))
    return values, errors


def _candidates(
    log_ratio: LogRatio, noise: Any, given: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return completions of rows by the noise, (m, size, d), and the logs of their weights.

    -inf where the noise has no density. Weights of the noise itself, if its completions have some,
    have the density of what a row holds as their mean.
    """
    pool, own = _completions(noise, given, size, rng)
    return pool, _weights(log_ratio, noise, pool, own)


def _completions(
    noise: Any, given: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return completions of rows, (m, size, d), and the logs of their own weights, (m, size)."""
    if hasattr(noise, "complete"):
        pool, own = noise.complete(given, size, rng)
        return pool, own
    return noise.sample_given(given, size, rng), np.zeros((len(given), size))


def _weights(log_ratio: LogRatio, noise: Any, pool: np.ndarray, own: np.ndarray) -> np.ndarray:
    rows = pool.reshape(-1, pool.shape[-1])
    with np.errstate(over="ignore", invalid="ignore"):
        inside = own.ravel() > -np.inf
        if not hasattr(noise, "complete"):
            inside = np.isfinite(noise.log_density(rows))
        values = np.full(own.size, -np.inf)
        if inside.any():
            values[inside] = log_ratio(rows[inside]) + own.ravel()[inside]
    return np.where(np.isnan(values), -np.inf, values).reshape(own.shape)


def systematic_picks(log_weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return indices picked by systematic resampling, in ascending order.

    Parameters
    ----------
    log_weights : ndarray of shape (..., m)
        Logs of the weights along the last axis, each slice on its own.
    n : int
        Number of picks.
    rng : numpy.random.Generator
        Draws one uniform number for each slice.

    Returns
    -------
    picks : ndarray of int, shape (..., n)
        Index i is picked floor or ceil of n w_i / sum(w) times.
    """
    m = log_weights.shape[-1]
    edges = np.cumsum(np.exp(log_weights - log_weights.max(axis=-1, keepdims=True)), axis=-1)
    offset = rng.random((*log_weights.shape[:-1], 1))
    # the places (k + offset) / n below an edge are those with k < n * edge - offset
    below = np.clip(np.ceil(n * (edges / edges[..., -1:]) - offset), 0, n).astype(np.int64)
    below[..., -1] = n
    counts = np.diff(below, axis=-1, prepend=0)
    indices = np.broadcast_to(np.arange(m), log_weights.shape)
    return np.repeat(indices.ravel(), counts.ravel()).reshape(*log_weights.shape[:-1], n)


def rejection_sampling(
    log_ratio: LogRatio, noise: Noise, n: int, log_bound: float, rng: np.random.Generator
) -> np.ndarray:
    """Return n independent rows: noise, accepted with probability exp(log_ratio - log_bound).

    Exact if the bound holds. Where a draw exceeds it, the bound is raised and sampling starts
    again.

    Raises
    ------
    ValueError
        Fewer than one row in 10,000 is accepted.
    """
    kept: list[np.ndarray] = []
    n_kept = n_tried = 0
    while n_kept < n:
        rows = noise.sample(CHUNK, rng)
        values = log_ratio(rows)
        if values.max() > log_bound:
            log_bound = float(values.max())
            kept, n_kept = [], 0
        accepted = rows[np.log(rng.uniform(size=len(rows))) < values - log_bound]
        kept.append(accepted)
        n_kept, n_tried = n_kept + len(accepted), n_tried + len(rows)
        if n_tried >= 1e6 and n_kept < 1e-4 * n_tried:
            raise ValueError(
                f"Rejection sampling accepted {n_kept} of {n_tried} noise rows: the noise is too "
                "far from the data. Use sampler='resampling', or noise nearer to the data."
            )
    return np.concatenate(kept)[:n]


def kept_weights(
    table: np.ndarray, weight: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return stacking weights without those below `least`, which are zero, and all of them, (k,).

    `table` has the log-densities of rows held out, (m, k), and `weight` the weights of the rows.
    """
    every = _stacking_weights(table, weight)
    kept = every >= min(least, every.max())
    found = np.zeros(len(every))
    found[kept] = _stacking_weights(table[:, kept], weight)
    return found, every


def _stacking_weights(table: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the weights of highest likelihood, (k,), by EM on log-densities, (m, k).

    The likelihood is concave in the weights. Rows that no member finds possible say nothing.
    """
    possible = np.isfinite(table).any(axis=1)
    table, weight = table[possible], weight[possible]
    density = np.exp(table - table.max(axis=1, keepdims=True)) if len(table) else table
    found = np.full(table.shape[1], 1 / table.shape[1])
    for _ in range(_EM_STEPS if len(table) else 0):
        share = density * found
        share *= (weight / share.sum(axis=1))[:, None]
        update = share.sum(axis=0) / weight.sum()
        still = np.abs(update - found).max() < 1e-6
        found = update
        if still:
            break
    return found / found.sum()
