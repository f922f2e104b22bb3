"""The exact distribution of the resultant length of von Mises angles.

The length R of the sum of n unit vectors has, with concentration kappa, the density
I_0(kappa R) / I_0(kappa)^n times that of uniform angles, and the latter is a Fourier-Bessel series
on the disc of radius n (J. C. Kluyver, "A local probability problem", Proceedings of the Royal
Academy of Amsterdam 8, 1905). Its integral is a series of the same kind, by Lommel's integral.
"""

import numpy as np
from scipy import special

from skgm.inference._rootfinding import find_root
from skgm.inference.families._base import Interval

__all__ = ["ResultantLength", "concentration_interval"]

_N_TERMS = 4000  # the terms fall as k^-(n + 1)/2, with alternating signs
_COLUMNS = 256  # at a time
_MAX_DOUBLINGS = 60


def _zeros_of_j0(count: int) -> np.ndarray:
    """Return the first zeros of J_0: McMahon's expansion, then Newton's steps."""
    x = (np.arange(1, count + 1) - 0.25) * np.pi
    x = x + 1 / (8 * x) - 31 / (384 * x**3)
    for _ in range(3):
        x = x + special.j0(x) / special.j1(x)
    return x


class ResultantLength:
    """Distribution function at given resultants, as a function of kappa.

    Parameters
    ----------
    n : int
        Number of angles.
    resultant : ndarray of shape (d,)
        Resultant lengths, 0 <= R < n.
    """

    def __init__(self, n: int, resultant: np.ndarray) -> None:
        zeros = _zeros_of_j0(_N_TERMS)
        frequency = zeros / n
        weight = special.j0(frequency) ** n / special.j1(zeros) ** 2 * (2 / n**2)
        keep = np.abs(weight) > 1e-25
        keep[:10] = True
        self.n, self.resultant = n, resultant
        frequency, weight = frequency[keep], weight[keep]
        at = resultant[:, None] * frequency
        self._square = frequency**2
        self._even = weight * special.j0(at)
        self._odd = weight * frequency * special.j1(at)

    def cdf(self, kappa: np.ndarray) -> np.ndarray:
        """Return P(length <= resultant) at concentrations kappa, (d,)."""
        x = kappa * self.resultant
        # scaled Bessel functions: exp(x - n kappa) is left over
        scale = np.exp(x - self.n * kappa) / special.i0e(kappa) ** self.n * self.resultant
        shares = 1 / (kappa[:, None] ** 2 + self._square)
        even = np.einsum("dk,dk->d", self._even, shares) * kappa * special.i1e(x)
        odd = np.einsum("dk,dk->d", self._odd, shares) * special.i0e(x)
        return np.clip(scale * (even + odd), 0.0, 1.0)


def concentration_interval(
    n: int, length: np.ndarray, estimate: np.ndarray, error: np.ndarray, level: float
) -> Interval:
    """Return the concentrations at which neither tail of the resultant is below (1 - level) / 2.

    Parameters
    ----------
    n : int
        Number of angles.
    length : ndarray of shape (d,)
        Mean resultant lengths.
    estimate, error : ndarray of shape (d,)
        Estimates of kappa, which the interval holds in any case, and their standard errors.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        The lower end is zero where uniform angles are not ruled out.
    """
    ends = []
    for first in range(0, len(length), _COLUMNS):
        part = slice(first, first + _COLUMNS)
        law = ResultantLength(n, n * length[part])
        ends.append(_ends(law, estimate[part], error[part], (1 - level) / 2))
    low, high = (np.concatenate(side) for side in zip(*ends))
    return low, high


def _ends(
    law: ResultantLength, estimate: np.ndarray, error: np.ndarray, tail: float
) -> tuple[np.ndarray, np.ndarray]:
    zero = np.zeros_like(estimate)

    def above(kappa: np.ndarray) -> np.ndarray:
        return law.cdf(kappa) - tail

    def below(kappa: np.ndarray) -> np.ndarray:
        return law.cdf(kappa) - (1 - tail)

    far = estimate + error
    for _ in range(_MAX_DOUBLINGS):
        short = above(far) > 0
        if not short.any():
            break
        far = np.where(short, 2 * far, far)
    none, uniform = above(zero) <= 0, below(zero) <= 0
    high = np.where(none, 0.0, find_root(above, zero, np.where(none, 0.0, far)))
    low = np.where(uniform, 0.0, find_root(below, zero, np.where(uniform, 0.0, far)))
    return np.minimum(low, estimate), np.maximum(high, estimate)
