"""The expected information of the negative binomial's dispersion, a sum over all counts."""

import numpy as np
from scipy import special

from skgm.inference.families._rising import curvature_ratio

__all__ = ["dispersion_information"]

_DIRECT = 4096  # terms summed one by one; beyond them the summand is smooth enough to integrate
_BLOCK = 2**20
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)


def dispersion_information(mu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    r"""Return the information on alpha = 1 / size per observation, (d,).

    .. math:: \sum_{j \ge 1} P(X > j) \{j / (1 + j\alpha)\}^2 - \mu^3 q'(\alpha\mu)

    q' is `curvature_ratio`; at alpha = 0 it is mu^2 / 2. Times alpha^4 it is the information
    E{psi'(k) - psi'(k + X)} - mu / {k (k + mu)} on the size k.

    Parameters
    ----------
    mu : ndarray of shape (d,)
        Means.
    alpha : ndarray of shape (d,)
        Dispersions >= 0.

    Returns
    -------
    information : ndarray of shape (d,)
        Exact but for the rounding of sums of the size of mu^3.
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        spread = np.sqrt(mu * (1 + alpha * mu))
        tail = np.where(alpha > 0, 60 / np.log1p(1 / (alpha * mu)), 0.0)
    last = np.ceil(mu + 12 * spread + tail + 30)
    total = np.zeros_like(mu)
    step = max(1, int(_BLOCK // min(last.max(), _DIRECT)))
    for start in range(0, len(mu), step):
        some = slice(start, start + step)
        top = min(last[some].max(), _DIRECT)
        j = np.arange(1.0, top + 1)[:, None]
        total[some] = _summand(j, mu[some], alpha[some]).sum(axis=0)
    for column in np.flatnonzero(last > _DIRECT):
        total[column] += _rest(mu[column], alpha[column], spread[column], last[column])
    return total - mu**3 * curvature_ratio(alpha * mu)


def _summand(j: np.ndarray, mu: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return P(X > j) {j / (1 + j alpha)}^2, smooth in j."""
    finite = alpha > 0
    size = 1 / np.where(finite, alpha, 1.0)
    above = special.betainc(j + 1, size, mu / (size + mu))
    above = np.where(finite, above, special.gammainc(j + 1, mu))
    return above * (j / (1 + j * alpha)) ** 2


def _rest(mu: float, alpha: float, spread: float, last: float) -> float:
    """Return the sum from _DIRECT + 1 on: the midpoint rule with its first correction."""

    def f(j: np.ndarray) -> np.ndarray:
        return _summand(j, np.asarray(mu), np.asarray(alpha))

    start = _DIRECT + 0.5
    edges = [start]
    while edges[-1] < last:  # the summand changes over one deviation, and over one octave
        edges.append(edges[-1] + min(spread, edges[-1] / 2))
    left, half = np.array(edges)[:-1, None], np.diff(edges)[:, None] / 2
    integral = float((f(left + half * (1 + _NODES)) * half * _WEIGHTS).sum())
    slope = (f(np.array(start + 1)) - f(np.array(start - 1))) / 2
    return integral + float(slope) / 24
