r"""Student's t with kappa = 1 / df, in which the normal limit kappa = 0 is a point like others.

.. math:: g(z; \kappa) = c(\kappa) - \frac{1 + \kappa}{2 \kappa} \log(1 + \kappa z^2)

Differences that cancel for small kappa (of log-gammas and their derivatives, of logarithms) are
replaced by their series there.
"""

import numpy as np
from scipy import special

__all__ = ["constant", "kappa_information", "log_kernel", "tilt"]

_SERIES = 1 / 30  # for kappa up to this the last terms below are under 1e-15
_SMALL = 0.03  # likewise for kappa z^2
_TERMS = np.arange(12)
# Asymptotic series of log Gamma(a + 1/2) - log Gamma(a) - log(a) / 2 in a = 1 / (2 kappa), odd
# powers of kappa from the first (Abramowitz and Stegun, section 6.1).
_POWERS = np.arange(1, 13, 2)
_COEFFICIENTS = np.array([-1 / 4, 1 / 24, -1 / 20, 17 / 112, -31 / 36, 691 / 88])


def _series(kappa: np.ndarray, derivative: int) -> np.ndarray:
    factor = [1.0, _POWERS, _POWERS * (_POWERS - 1)][derivative]
    powers = np.maximum(_POWERS - derivative, 0)
    return np.sum(_COEFFICIENTS * factor * kappa[..., None] ** powers, axis=-1)


def constant(kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return c and its first two derivatives in kappa."""
    kappa = np.asarray(kappa, dtype=np.float64)
    small = np.where(kappa < _SERIES, kappa, 0.0)
    near = [_series(small, derivative) for derivative in range(3)]
    near[0] = near[0] - 0.5 * np.log(2 * np.pi)
    if (kappa < _SERIES).all():
        return near[0], near[1], near[2]
    nu = 1 / np.where(kappa < _SERIES, 1.0, kappa)
    up, down = (nu + 1) / 2, nu / 2
    value = special.gammaln(up) - special.gammaln(down) - 0.5 * np.log(np.pi * nu)
    first = 0.5 * (special.digamma(up) - special.digamma(down) - 1 / nu)
    second = 0.25 * (special.polygamma(1, up) - special.polygamma(1, down)) + 0.5 / nu**2
    far = value, -first * nu**2, nu**3 * (2 * first + nu * second)
    c, c1, c2 = (np.where(kappa < _SERIES, a, b) for a, b in zip(near, far))
    return c, c1, c2


def log_kernel(
    z: np.ndarray, kappa: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return g - c, its first two derivatives in z, and 1 / (1 + kappa z^2)."""
    square = z * z
    x = kappa * square
    share = 1 / (1 + x)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log1p(x) / kappa
    if not np.all(kappa > 0):
        logarithm = np.where(kappa > 0, logarithm, square)
    pull = (1 + kappa) * share
    return -0.5 * (1 + kappa) * logarithm, -pull * z, pull * (1 - 2 * share), share


def tilt(
    z: np.ndarray, kappa: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the derivatives of g - c: in kappa, in kappa twice, and in kappa and z."""
    square = z * z
    x = kappa * square
    a, slope = _half(x, share)
    # square^2 a(x) with a ~ log(x) / x^2 far out: no overflow where x does not
    first = 0.5 * square * (square * a - share)
    second = 0.5 * square * square * (square * slope + share * share)
    return first, second, z * (square - 1) * share * share


def _half(x: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a(x) = (log(1 + x) - x / (1 + x)) / x^2 and its derivative."""
    small = x < _SMALL
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (np.log1p(x) - x * share) / (x * x)
        slope = (share * share - 2 * a) / x
    if small.any():
        near, sign = x[small], (-1.0) ** _TERMS
        coefficients = sign * (_TERMS + 1) / (_TERMS + 2)
        a[small] = np.polynomial.polynomial.polyval(near, coefficients)
        slope[small] = np.polynomial.polynomial.polyval(near, (_TERMS * coefficients)[1:])
    return a, slope


def kappa_information(kappa: np.ndarray) -> np.ndarray:
    """Return the expected information of kappa, location and scale known."""
    kappa = np.asarray(kappa, dtype=np.float64)
    small = np.where(kappa < _SERIES, kappa, 0.0)
    spread = (7 + 3 * small) / ((1 + small) * (1 + 3 * small))
    odd = small * (-1 + small**2 * (3 + small**2 * (-17 + small**2 * (155 - 2073 * small**2))))
    near = 0.5 * (spread + odd)
    nu = 1 / np.where(kappa < _SERIES, 1.0, kappa)
    trigamma = special.polygamma(1, nu / 2) - special.polygamma(1, (nu + 1) / 2)
    far = nu**4 * (trigamma / 4 - (nu + 5) / (2 * nu * (nu + 1) * (nu + 3)))
    return np.where(kappa < _SERIES, near, far)
