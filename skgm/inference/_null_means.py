r"""Means of likelihood-ratio statistics under the null, in closed form.

Exact, through the mean of the logarithm of a chi-square variable (digamma functions); to the order
1/n in exponential families, through the cumulants of their sufficient statistics.

References
----------
P. McCullagh and D. R. Cox, "Invariants and likelihood ratio statistics", Annals of Statistics 14,
1986.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import digamma, polygamma

__all__ = ["exact_mean", "expanded_mean", "invariant_b", "mean_log_chi2"]

Params = Mapping[str, np.ndarray]
# Families with the likelihood ratios of a normal mean and variance: for the inverse Gaussian,
# n / lambda_hat is a scaled chi-square on n - 1 degrees of freedom, independent of the mean, whose
# own quadratic form adds one degree.
_GAUSSIAN = {
    "normal": ("mu", "sigma"),
    "lognormal": ("mu", "sigma"),
    "inverse_gaussian": ("mu", "lam"),
}
# Families of which some power or logarithm is exponential with one free rate.
_EXPONENTIAL = {"exponential": ("rate",), "rayleigh": ("scale",), "pareto": ("shape",)}


def exact_mean(family: Any, pattern: np.ndarray, n: float) -> float | None:
    """Return E[W] of one column, or None where it is not known exactly.

    Parameters
    ----------
    family : Family
        Of independent columns.
    pattern : ndarray of bool, shape (k,)
        The restricted parameters.
    n : float
        Number of rows.

    Returns
    -------
    mean : float or None
    """
    names = {p.name for p, held in zip(family.parameters, pattern) if held}
    known = set(getattr(family, "fixed", ()))
    every = tuple(p.name for p in getattr(family, "base", family).parameters)
    if _EXPONENTIAL.get(family.name) == every:
        return 2 * n * (np.log(n) - digamma(n))  # W = 2 n (u - 1 - log u), n u gamma with shape n
    if _GAUSSIAN.get(family.name) != every:  # another family of that name, perhaps a user's
        return None
    centre, spread = every
    if spread in known:
        return 1.0  # a quadratic form, chi-square on one degree of freedom whatever n
    full = mean_log_chi2(n if centre in known else n - 1)
    if names == {centre}:
        return n * (mean_log_chi2(n) - full)
    excess = n if centre in known or names == {centre, spread} else n - 1
    return excess - n + n * (np.log(n) - full)


def mean_log_chi2(df: float) -> float:
    """Return the mean logarithm of a chi-square variable."""
    return float(digamma(df / 2) + np.log(2))


def expanded_mean(family: Any, pattern: np.ndarray, params: Params, n: float) -> np.ndarray | None:
    """Return E[W] to the order 1/n in an exponential family, (d,), or None where not known.

    Both the full model and the null model are full exponential families; each contributes its
    invariant b.

    Parameters
    ----------
    family : Family
        Of independent columns.
    pattern : ndarray of bool, shape (k,)
        The restricted parameters.
    params : dict of str to ndarray of shape (d,)
        The estimate under the null.
    n : float
        Number of rows.

    Returns
    -------
    mean : ndarray of shape (d,) or None
    """
    names = tuple(parameter.name for parameter in family.parameters)
    if (family.name, *names) not in _CUMULANTS:
        return None
    tensors = _CUMULANTS[family.name, *names](params[names[0]], params[names[1]])
    b = invariant_b(*tensors)
    if not pattern.all():
        j = int(np.flatnonzero(~pattern)[0])  # the free one
        k2, k3, k4 = tensors
        free = k2[:, j, j], k3[:, j, j, j], k4[:, j, j, j, j]
        b = b - (5 * free[1] ** 2 / free[0] ** 3 - 3 * free[2] / free[0] ** 2) / 12
    return pattern.sum() + b / n


def invariant_b(k2: np.ndarray, k3: np.ndarray, k4: np.ndarray) -> np.ndarray:
    """Return (3 r13^2 + 2 r23^2 - 3 r4) / 12, (d,), from cumulants (d, p, p), (d, p, p, p), ...

    The likelihood-ratio statistic of all p natural parameters has mean p + b / n.
    """
    inverse = np.linalg.inv(k2)
    kurtosis = np.einsum("dijkl,dij,dkl->d", k4, inverse, inverse)
    skew = np.einsum("dijk,dij->dk", k3, inverse)
    chain = np.einsum("dk,dkl,dl->d", skew, inverse, skew)
    raised = np.einsum("dijk,dil,djm,dkn->dlmn", k3, inverse, inverse, inverse)
    star = np.einsum("dijk,dijk->d", k3, raised)
    return (3 * chain + 2 * star - 3 * kurtosis) / 12


Tensors = tuple[np.ndarray, np.ndarray, np.ndarray]


def _gamma_cumulants(shape: np.ndarray, scale: np.ndarray) -> Tensors:
    """Return cumulants of (log x, x) at scale one: derivatives of log Gamma(a) - a log(b)."""
    a = np.asarray(shape, dtype=np.float64)
    one = np.ones_like(a)
    tensors = [np.zeros((len(a),) + (2,) * order) for order in (2, 3, 4)]
    for order, tensor in enumerate(tensors, start=2):
        # one derivative in a and m in b: (m - 1)!; none in a and m in b: a (m - 1)!
        values = [polygamma(order - 1, a), *_mixed(order, one), a * _factorial(order - 1)]
        for index in np.ndindex(*(2,) * order):
            tensor[(slice(None), *index)] = values[sum(index)]
    return tensors[0], tensors[1], tensors[2]


def _mixed(order: int, one: np.ndarray) -> list[np.ndarray]:
    """Return mixed cumulants of order - m logs and m values, m = 1 ... order - 1."""
    return [one * _factorial(m - 1) * (m == order - 1) for m in range(1, order)]


def _factorial(m: int) -> float:
    return float(np.prod(np.arange(1, m + 1)))


def _beta_cumulants(a: np.ndarray, b: np.ndarray) -> Tensors:
    """Return cumulants of (log x, log(1 - x)): derivatives of the log beta function."""
    tensors = []
    for order in (2, 3, 4):
        joint = polygamma(order - 1, a + b)
        tensor = np.empty((len(joint),) + (2,) * order)
        tensor[...] = -joint.reshape(-1, *(1,) * order)
        entries = tensor.reshape(len(joint), -1)  # a view
        entries[:, 0] += polygamma(order - 1, a)
        entries[:, -1] += polygamma(order - 1, b)
        tensors.append(tensor)
    return tensors[0], tensors[1], tensors[2]


_CUMULANTS: dict[tuple[str, ...], Callable[[np.ndarray, np.ndarray], Tensors]] = {
    ("gamma", "shape", "scale"): _gamma_cumulants,
    ("beta", "a", "b"): _beta_cumulants,
}
