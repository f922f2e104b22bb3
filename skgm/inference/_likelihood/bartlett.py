r"""Bartlett's correction: the likelihood ratio divided by its mean under the null.

.. math:: W' = W \, \frac{r}{E_0[W]}

Its law is chi-square with r degrees of freedom to the order :math:`n^{-2}`, where that of W is to
:math:`n^{-1}` (eq. bartlett). The mean is exact where it has a closed form, from the cumulants of
the sufficient statistics in exponential families, and elsewhere simulated at the restricted
estimate; in location-scale families it depends on the number of rows alone.

References
----------
M. S. Bartlett, "Properties of sufficiency and statistical tests", Proceedings of the Royal Society
A 160, 1937; D. N. Lawley, "A general method for approximating to the distribution of likelihood
ratio criteria", Biometrika 43, 1956.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import digamma

from skgm.inference._likelihood.inversion import Profile, invert

__all__ = [
    "bartlett_factor",
    "bartlett_interval",
    "check_known_mean",
    "column_means",
    "exact_mean",
    "expanded_mean",
    "invariant_b",
    "mean_log_chi2",
    "simulated_mean",
]

Params = Mapping[str, np.ndarray]


def bartlett_factor(
    family: Any, name: str, statistics: Any, params: Params, value: np.ndarray
) -> np.ndarray:
    """Return E[W] where one parameter is tested, (d,), at the estimate under the null.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns.
    name : str
        The tested parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The full estimate, where the search for the restricted one begins.
    value : ndarray of shape (d,)
        The tested values.

    Returns
    -------
    factor : ndarray of shape (d,)
    """
    null = {**family.no_restriction(statistics), name: value}
    restricted = family.restricted_near(statistics, null, params)
    return column_means(family, _only(family, name), restricted, statistics.n)


def bartlett_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` whose corrected likelihood ratio is below its quantile.

    Parameters
    ----------
    family : Family
        Continuous, of independent columns.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the profile never falls far enough on that side.
    """
    profile = Profile(family, name, statistics, params)
    pattern, n = _only(family, name), statistics.n
    varies = expanded_mean(family, pattern, params, n) is not None
    constant = None if varies else column_means(family, pattern, params, n)

    def root(value: np.ndarray) -> np.ndarray:
        found, fall = profile.at(value)
        factor = constant if constant is not None else expanded_mean(family, pattern, found, n)
        with np.errstate(invalid="ignore"):
            corrected = np.sqrt(2 * fall / factor)
        return np.sign(params[name] - value) * corrected

    return invert(root, profile, level, "bartlett")


def _only(family: Any, name: str) -> np.ndarray:
    return np.array([parameter.name == name for parameter in family.parameters])


def column_means(family: Any, pattern: np.ndarray, params: Params, n: float) -> np.ndarray:
    """Return E[W] per column, (d,), where the parameters of `pattern` (k,) are restricted."""
    d = len(next(iter(params.values())))
    exact = exact_mean(family, pattern, n)
    if exact is not None:
        return np.full(d, exact)
    expanded = expanded_mean(family, pattern, params, n)
    if expanded is not None:
        return expanded
    if family.discrete or any(p.may_be_infinite for p in family.parameters):
        check_known_mean(family)
    return simulated_mean(family, pattern, params, n)


def check_known_mean(family: Any) -> None:
    """Raise a ValueError that says for which nulls the correction is known."""
    raise ValueError(
        f"correction='bartlett' is not known for this null of the {family.name} family; it is for "
        "continuous families whose estimates are finite. Use score_test, whose size is nearest "
        "the nominal one without a correction."
    )


# Means of likelihood-ratio statistics under the null, in closed form.
#
# Exact, through the mean of the logarithm of a chi-square variable (digamma functions); to the
# order 1/n in exponential families, through the cumulants of their sufficient statistics
# (P. McCullagh and D. R. Cox, "Invariants and likelihood ratio statistics", Annals of Statistics
# 14, 1986).


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
    known, base = set(getattr(family, "fixed", ())), getattr(family, "base", family)
    if base.ratio_law == "exponential":
        return 2 * n * (np.log(n) - digamma(n))  # W = 2 n (u - 1 - log u), n u gamma with shape n
    if base.ratio_law != "gaussian":
        return None
    center, spread = (p.name for p in base.parameters)
    if spread in known:
        return 1.0  # a quadratic form, chi-square on one degree of freedom whatever n
    full = mean_log_chi2(n if center in known else n - 1)
    if names == {center}:
        return n * (mean_log_chi2(n) - full)
    excess = n if center in known or names == {center, spread} else n - 1
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
    tensors = family.cumulants(params)
    if tensors is None:
        return None
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


# Means of likelihood-ratio statistics under the null, simulated where no formula is known.
_SEED = 20260515  # private: a correction must not depend on who asks
_VALUES, _FEWEST_VALUES, _MOST_ROWS, _BATCH = 500_000, 20_000, 50, 5000


def simulated_mean(family: Any, pattern: np.ndarray, params: Params, n: float) -> np.ndarray:
    """Return E[W] per column, (d,), from replicates drawn at the restricted estimate.

    Beyond 50 rows the excess over the number of restrictions is that at 50 rows, scaled by 1/n.
    The same seed is used in every call, so that the correction is a smooth function of the
    parameters.

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
    mean : ndarray of shape (d,)
    """
    rows = int(min(max(round(n), 2), _MOST_ROWS))
    d = len(next(iter(params.values())))
    held = tuple(bool(entry) for entry in pattern)
    if _is_pivotal(family):
        kind: Any = type(family)
        excess = np.full(d, _pivotal_excess(kind, held, rows))
    else:
        each = [{name: value[[j]] for name, value in params.items()} for j in range(d)]
        budget = max(_VALUES // d, _FEWEST_VALUES)  # many columns share the work
        families = [family.columns([j]) for j in range(d)]
        excess = np.array(
            [_excess(own, held, one, rows, budget) for own, one in zip(families, each)]
        )
    return pattern.sum() + excess * min(rows / n, 1.0)


def _is_pivotal(family: Any) -> bool:
    """Whether W has one law at all parameters: a location-scale family with no shape beside."""
    two = hasattr(family, "from_location_scale") and len(family.parameters) == 2
    return two and not vars(family)  # settings of an instance may be a shape


@lru_cache(maxsize=256)
def _pivotal_excess(kind: Callable[[], Any], held: tuple[bool, ...], rows: int) -> float:
    family = kind()
    unit = family.from_location_scale(np.zeros(1), np.ones(1))
    return _excess(family, held, unit, rows)


def _excess(
    family: Any, held: tuple[bool, ...], params: Params, rows: int, budget: int = _VALUES
) -> float:
    """Return E[W] - r at the parameters of one column.

    Control variates: the total scores at the truth, and their products, have known means; the
    mean of W is the intercept of a regression on them.
    """
    rng = np.random.default_rng(_SEED)
    waiting, parts = max(budget // rows, 1000), []
    while waiting > 0:  # in batches: one slow search holds up its own batch alone
        batch = min(waiting, _BATCH)
        parts.append(_ratios_and_controls(family, held, params, (rows, batch), rng))
        waiting -= batch
    table = np.concatenate(parts)
    usable = np.isfinite(table).all(axis=1)
    if usable.mean() < 0.99:
        raise ValueError(
            f"correction='bartlett': too few simulated tables of {rows} rows have an estimate in "
            f"the {family.name} family; use score_test."
        )
    W, controls = table[usable, 0], table[usable, 1:]
    design = np.column_stack([np.ones(len(W)), controls])
    return float(np.linalg.lstsq(design, W, rcond=None)[0][0]) - sum(held)


def _ratios_and_controls(
    family: Any,
    held: tuple[bool, ...],
    params: Params,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return W of simulated tables and what has mean zero beside it, (replicates, 1 + ...)."""
    rows, replicates = size
    truth = {name: np.repeat(value, replicates) for name, value in params.items()}
    information = family.information(params)[0] * rows
    family = family.columns(np.zeros(replicates, dtype=int))
    with np.errstate(all="ignore"):
        X = family.sample(truth, rows, rng)
        statistics = family.summarize(X, None)
        full = family.estimate(statistics)
        null = family.unpack(np.where(np.array(held), family.pack(truth), np.nan))
        small = family.restricted_near(statistics, null, truth)
        best = family.log_likelihood(statistics, full)
        W = 2 * (best - family.log_likelihood(statistics, small))
        total = family.score(X, truth).sum(axis=0)
    z = np.linalg.solve(np.linalg.cholesky(information), total.T).T  # mean 0, covariance 1
    i, j = np.tril_indices(len(held))
    return np.column_stack([W, z, z[:, i] * z[:, j] - (i == j)])
