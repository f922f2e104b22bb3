"""Products and quotients of normal densities as functions of the same variable."""

from typing import Any

import numpy as np

__all__ = ["gaussian_product", "gaussian_quotient"]

Normal = tuple[Any, Any]


def gaussian_product(*factors: Normal) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the normal density that a product of normal densities is proportional to.

    .. math::
        \prod_i N(x; \mu_i, s_i) = c\, N(x; \mu, s), \qquad
        \frac1s = \sum_i \frac1{s_i}, \quad \frac\mu s = \sum_i \frac{\mu_i}{s_i}

    Parameters
    ----------
    *factors : tuple of (mean, variance)
        Numbers or arrays that broadcast together; each coordinate is a product of its own.

    Returns
    -------
    mean : ndarray
        Means of the normal density.
    variance : ndarray
        Variances.
    log_scale : ndarray
        Logarithm of c: the product is a density only after division by c.

    Raises
    ------
    ValueError
        A variance that is not positive.
    """
    return _combine(factors, ())


def gaussian_quotient(
    numerator: Normal | list[Normal], denominator: Normal | list[Normal]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Return the normal density that a quotient of normal densities is proportional to.

    .. math::
        \frac{N(x; \mu_1, s_1)\, N(x; \mu_2, s_2)}{N(x; \mu_3, s_3)} = c\, N(x; \mu, s), \qquad
        \frac1s = \frac1{s_1} + \frac1{s_2} - \frac1{s_3}, \quad
        \frac\mu s = \frac{\mu_1}{s_1} + \frac{\mu_2}{s_2} - \frac{\mu_3}{s_3}

    Precisions add and subtract, and so do the precision-weighted means. If what is left of the
    precision is not positive, the quotient grows in the tails and is proportional to no density.

    Parameters
    ----------
    numerator : tuple of (mean, variance), or list of such tuples
        Densities above the line.
    denominator : tuple of (mean, variance), or list of such tuples
        Densities below the line.

    Returns
    -------
    mean : ndarray
        Means of the normal density.
    variance : ndarray
        Variances.
    log_scale : ndarray
        Logarithm of c: the quotient is a density only after division by c.

    Raises
    ------
    ValueError
        A variance, or the precision of the result, that is not positive.

    Notes
    -----
    eq. gaussian-quotient.

    Examples
    --------
    >>> from skgm.diffusion import gaussian_quotient
    >>> mean, variance, _ = gaussian_quotient([(0.0, 1.0), (1.0, 2.0)], (1.0, 5.0))
    >>> round(float(variance), 3), round(float(mean), 3)
    (0.769, 0.231)
    """
    return _combine(_listed(numerator), _listed(denominator))


def _listed(factors: Any) -> tuple[Normal, ...]:
    return (factors,) if isinstance(factors, tuple) else tuple(factors)


def _combine(
    above: tuple[Normal, ...], below: tuple[Normal, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    signed = [(*_checked(f), 1.0) for f in above] + [(*_checked(f), -1.0) for f in below]
    precision = sum(sign / variance for _, variance, sign in signed)
    if not np.all(precision > 0):
        raise ValueError(
            "The quotient of these normal densities has precision "
            f"{float(np.min(precision)):g} <= 0, so it is proportional to no density. The "
            "precisions in the numerator must outweigh those in the denominator."
        )
    variance = 1.0 / precision
    mean = variance * sum(sign * m / v for m, v, sign in signed)  # eq. gaussian-quotient
    log_scale = sum(sign * _log_normal(mean, m, v) for m, v, sign in signed)
    log_scale = log_scale + 0.5 * np.log(2 * np.pi * variance)
    return np.asarray(mean), np.asarray(variance), np.asarray(log_scale)


def _checked(factor: Normal) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = (np.asarray(part, dtype=np.float64) for part in factor)
    if not np.all(variance > 0):
        raise ValueError(f"Variances must be positive; got {factor[1]!r}.")
    return mean, variance


def _log_normal(x: Any, mean: Any, variance: Any) -> np.ndarray:
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)
