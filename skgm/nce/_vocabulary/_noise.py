"""Noise classes: distinct ones, each in or out independently of the others."""

import numpy as np
from scipy.optimize import brentq

from skgm.nce._vocabulary._alias import AliasTable

__all__ = ["DistinctClasses", "noise_probabilities"]


class DistinctClasses:
    """A random set of classes, of `n_noise` on average.

    The set holds what a Poisson number of independent draws hit at least once. That makes class w
    a member with probability pi_w = 1 - exp(-rate q_w), independently of all others, and takes
    time that does not depend on the number of classes. Independent draws of a fixed number, the
    usual choice, spend a good part of them on a few frequent classes again and again.

    Parameters
    ----------
    q : ndarray of shape (n_classes,)
        Positive probabilities of the draws.
    n_noise : int
        Expected size of the set; all classes, always, where there are no more than that.

    Attributes
    ----------
    log_inclusion : ndarray of shape (n_classes,)
        log pi.
    """

    def __init__(self, q: np.ndarray, n_noise: int) -> None:
        self._everything = np.arange(len(q)) if n_noise >= len(q) else None
        if self._everything is not None:
            self.log_inclusion = np.zeros(len(q))
            return
        self._rate = _rate_of(q, n_noise)
        self._inclusion = -np.expm1(-self._rate * q)
        self.log_inclusion = np.log(self._inclusion)
        # Near the number of classes it takes more draws than there are classes to fill the set.
        self._table = AliasTable(q) if self._rate < len(q) else None

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return the members of one set in ascending order."""
        if self._everything is not None:
            return self._everything
        if self._table is None:
            return np.flatnonzero(rng.random(len(self._inclusion)) < self._inclusion)
        return np.unique(self._table.draw(int(rng.poisson(self._rate)), rng))


def _rate_of(q: np.ndarray, n_noise: int) -> float:
    """Return the number of draws that hit `n_noise` classes on average, 0 < n_noise < len(q)."""

    def excess(log_rate: float) -> float:
        return float(-np.expm1(-np.exp(log_rate) * q).sum()) - n_noise

    high = np.log(n_noise)  # n draws hit at most n classes
    while excess(high) < 0:
        high += 1.0
    return float(np.exp(brentq(excess, np.log(n_noise) - 1.0, high, xtol=1e-12)))


def noise_probabilities(counts: np.ndarray, power: float) -> np.ndarray:
    """Return q proportional to counts**power, classes without a count as if seen half a time."""
    weight = np.maximum(np.asarray(counts, dtype=np.float64), 0.5) ** power
    return weight / weight.sum()
