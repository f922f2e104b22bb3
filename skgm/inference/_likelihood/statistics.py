"""The three test statistics as formulas on scores, information and estimates."""

import numpy as np
from scipy import special

from skgm._numerics.sandwich import diagonal_units, meat, sandwich, total_weight

__all__ = [
    "chi2_of_f",
    "linear_quadratic",
    "masked_quadratic",
    "newton_step",
    "robust_score_statistic",
]


def masked_quadratic(
    difference: np.ndarray, covariance: np.ndarray, fixed: np.ndarray
) -> np.ndarray:
    """Return (C d)' (C V C')^-1 (C d), C picking the entries of `fixed` (eq. wald-test).

    Parameters
    ----------
    difference : ndarray of shape (..., k)
        Estimate minus null; entries that are not fixed are ignored.
    covariance : ndarray of shape (..., k, k)
        Covariance of the estimate.
    fixed : ndarray of bool, shape (..., k)
        Which entries the null restricts.

    Returns
    -------
    statistic : ndarray of shape (...)
        Zero where nothing is restricted.

    Raises
    ------
    ValueError
        The covariance of the restricted entries is singular.
    """
    both = fixed[..., :, None] & fixed[..., None, :]
    identity = np.eye(covariance.shape[-1])
    scale = np.sqrt(np.where(fixed, np.diagonal(covariance, axis1=-2, axis2=-1), 1.0))
    d = np.where(fixed, difference, 0.0) / np.where(scale > 0, scale, 1.0)
    correlation = np.where(both, covariance, identity)
    correlation = correlation / np.where(both, scale[..., :, None] * scale[..., None, :], 1.0)
    _check_nonsingular(correlation)
    return np.einsum("...i,...i->...", d, np.linalg.solve(correlation, d[..., None])[..., 0])


def _check_nonsingular(correlation: np.ndarray) -> None:
    k = correlation.shape[-1]
    usable = np.isfinite(correlation).all()
    if not usable or np.linalg.eigvalsh(correlation).min() <= 64 * k * np.finfo(np.float64).eps:
        raise ValueError(
            "The covariance of the restricted estimates is singular, so the test does not exist: "
            "restrict fewer parameters, or use more rows (robust tests need more rows than "
            "restrictions)."
        )


def robust_score_statistic(
    psi: np.ndarray,
    bread: np.ndarray,
    restriction: np.ndarray,
    sample_weight: np.ndarray | None,
) -> float:
    """Return U' A^-1 R' (R A^-1 B A^-T R' n)^-1 R A^-1 U at the restricted estimate.

    Parameters
    ----------
    psi : ndarray of shape (n, k)
        Parameter scores of the rows at the restricted estimate.
    bread : ndarray of shape (k, k)
        Information per observation there.
    restriction : ndarray of shape (r, k)
        R; rows of the identity where the null fixes entries.
    sample_weight : ndarray of shape (n,) or None
        A weight w counts its row w times.

    Returns
    -------
    statistic : float
        Chi-square with one degree of freedom per restriction, also where the model is wrong.
    """
    n = total_weight(psi, sample_weight)
    step = newton_step(psi, bread, sample_weight)
    covariance = sandwich(bread, meat(psi, sample_weight), n)
    return linear_quadratic(restriction @ step, covariance, restriction)


def newton_step(psi: np.ndarray, bread: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """Return A^-1 times the mean of psi, (k,): from the restricted estimate to the full one."""
    n = total_weight(psi, sample_weight)
    total = psi.sum(axis=0) if sample_weight is None else sample_weight @ psi
    unit = diagonal_units(bread)
    return unit * np.linalg.solve(bread * unit * unit[:, None], unit * total) / n


def linear_quadratic(gap: np.ndarray, covariance: np.ndarray, restriction: np.ndarray) -> float:
    """Return g' (R V R')^-1 g (eq. wald-test), g (r,) being the distance from R theta to q."""
    turned = restriction @ covariance @ restriction.T
    return float(masked_quadratic(gap, turned, np.ones(len(turned), dtype=bool)))


def chi2_of_f(statistic: float, r: int, df: float) -> float:
    """Return the chi-square quantile that r F, with r and df degrees of freedom, has reached."""
    if not np.isfinite(df):
        return statistic
    tail = float(special.fdtrc(r, df, statistic / r))
    return float(special.chdtri(r, tail)) if tail > 1e-300 else statistic
