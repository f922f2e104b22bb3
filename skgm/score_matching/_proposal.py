"""Importance sampling from a heavy-tailed proposal near the data, and draws moved by chains."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp
from scipy.stats import qmc

from skgm.score_matching._line_map import NotIntegrableError

__all__ = [
    "MAX_ERROR",
    "Normalizer",
    "Proposal",
    "langevin",
    "normalizer",
    "resample",
    "systematic_picks",
]

RowFunction = Callable[[np.ndarray], np.ndarray]

SCRAMBLES, FIRST, LAST = 8, 9, 13  # nets of 2^9 points, at most 2^13
TOLERANCE = 0.005  # standard error of log Z from which on more points are not worth it
MIN_ESS, MAX_ERROR = 0.01, 0.1
CHAIN, TARGET = 60, 0.574  # steps, acceptance rate of the best step size


@dataclass(frozen=True)
class Normalizer:
    """Log Z, its standard error, and the effective sample size as a share of the points."""

    log_z: float
    se: float
    ess: float

    def faults(self) -> list[str]:
        """Return what makes it uncertain, in words."""
        found = []
        if self.se > MAX_ERROR:
            found.append(f"the standard error of log Z is {self.se:.2g}")
        if self.ess < MIN_ESS:
            found.append(f"the effective sample size is {self.ess:.2%} of the points")
        return found


@dataclass(frozen=True)
class Proposal:
    """Student's t, or a Gaussian with `df` infinite, around `center` with scale `factor`.

    Attributes
    ----------
    center : ndarray of shape (d,)
    factor : ndarray of shape (d, d)
        Lower triangular.
    df : float
    """

    center: np.ndarray
    factor: np.ndarray
    df: float

    @classmethod
    def around(cls, U: np.ndarray, share: np.ndarray, df: float = 5.0) -> "Proposal":
        """Return Student's t with twice the covariance of rows, (n, d), of shares (n,)."""
        d = U.shape[1]
        center = share @ U
        centred = U - center
        covariance = (centred * share[:, None]).T @ centred
        covariance += np.diag(1e-8 * np.diag(covariance) + 1e-12)
        return cls(center, np.linalg.cholesky(covariance * (2 * (df - 2) / df)).reshape(d, d), df)

    def transform(self, uniforms: np.ndarray) -> np.ndarray:
        """Return rows from uniforms in the open cube, (n, d + 1)."""
        normal = stats.norm.ppf(uniforms[:, 1:])
        if np.isfinite(self.df):
            normal /= np.sqrt(stats.chi2.ppf(uniforms[:, :1], self.df) / self.df)
        return self.center + normal @ self.factor.T

    def log_density(self, U: np.ndarray) -> np.ndarray:
        """Return the log-density of rows, (n,)."""
        d, df = len(self.center), self.df
        standard = np.linalg.solve(self.factor, (U - self.center).T)
        square = (standard**2).sum(axis=0)
        log_det = np.log(np.diag(self.factor)).sum()
        if not np.isfinite(df):
            return -0.5 * (square + d * np.log(2 * np.pi)) - log_det
        constant = gammaln((df + d) / 2) - gammaln(df / 2) - 0.5 * d * np.log(df * np.pi)
        return constant - log_det - 0.5 * (df + d) * np.log1p(square / df)


def normalizer(log_kernel: RowFunction, proposal: Proposal) -> Normalizer:
    """Return log of the integral of exp(log_kernel) over the line, by scrambled Sobol points.

    The points are fixed: the same arguments give the same value. The standard error comes from
    the scatter of eight scrambles.
    """
    for power in range(FIRST, LAST + 1):
        means, squares = np.empty(SCRAMBLES), np.empty(SCRAMBLES)
        for k in range(SCRAMBLES):
            engine = qmc.Sobol(len(proposal.center) + 1, seed=np.random.default_rng(k))
            U = proposal.transform(engine.random_base2(power) + 2.0**-31)
            log_weight = log_kernel(U) - proposal.log_density(U)
            means[k] = logsumexp(log_weight) - power * np.log(2)
            squares[k] = logsumexp(2 * log_weight) - power * np.log(2)
        log_z = float(logsumexp(means) - np.log(SCRAMBLES))
        se = float(np.exp(means - log_z).std(ddof=1) / np.sqrt(SCRAMBLES))
        ess = float(np.exp(2 * log_z - logsumexp(squares) + np.log(SCRAMBLES)))
        if not np.isfinite(log_z):
            raise NotIntegrableError("is not finite at the points of the proposal")
        if se < TOLERANCE:
            break
    return Normalizer(log_z, se, ess)


def systematic_picks(log_weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n indices in random order; one comes up floor or ceil of n times its share."""
    edges = np.cumsum(np.exp(log_weights - log_weights.max()))
    places = (np.arange(n) + rng.uniform()) / n * edges[-1]
    picks = np.minimum(np.searchsorted(edges, places, side="right"), len(edges) - 1)
    return rng.permutation(picks)


def resample(
    log_kernel: RowFunction, proposal: Proposal, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return n rows of a pool of twenty times as many, picked by their weights."""
    pool = max(20 * n, 4000)
    U = proposal.transform(rng.uniform(2.0**-53, 1.0, size=(pool, len(proposal.center) + 1)))
    return U[systematic_picks(log_kernel(U) - proposal.log_density(U), n, rng)]


def langevin(
    log_kernel: RowFunction,
    gradient: RowFunction,
    proposal: Proposal,
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return n rows: resampled from the proposal, then moved by Metropolis-adjusted Langevin.

    Moves are scaled by the factor of the proposal; the step is tuned in the first half.
    """
    state, d = resample(log_kernel, proposal, n, rng), len(proposal.center)
    factor, log_step = proposal.factor, np.log(0.5 * d ** (-1 / 3))
    height, slope = log_kernel(state), gradient(state) @ factor
    for i in range(CHAIN):
        step = np.exp(log_step)
        move = 0.5 * step * slope + np.sqrt(step) * rng.standard_normal(state.shape)
        moved = state + move @ factor.T
        new_height, new_slope = log_kernel(moved), gradient(moved) @ factor
        back = move + 0.5 * step * new_slope
        there = move - 0.5 * step * slope
        gain = new_height - height
        gain -= ((back**2).sum(axis=1) - (there**2).sum(axis=1)) / (2 * step)
        rate = np.exp(np.minimum(np.nan_to_num(gain, nan=-np.inf), 0.0))
        taken = rng.uniform(size=n) < rate
        state = np.where(taken[:, None], moved, state)
        slope = np.where(taken[:, None], new_slope, slope)
        height = np.where(taken, new_height, height)
        if 2 * i < CHAIN:
            log_step += (rate.mean() - TARGET) / np.sqrt(i + 1)
    return state
