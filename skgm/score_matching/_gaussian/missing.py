"""Estimates moments of a table with missing entries by expectation-maximization."""

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.gaussian import Scaled, constant_columns
from skgm._numerics.gaussian_mixture import (
    GaussianMixtureModel,
    HoledRows,
    fit_gaussian,
    without_degenerate,
)
from skgm._numerics.moments import Moments
from skgm._warnings import warn_user
from skgm.tables._validation import check_finite, check_scales

__all__ = [
    "em_moments",
    "moments_with_missing",
    "observed_log_density",
    "observed_log_likelihood",
]

MAX_ITER = 1000


def em_moments(
    X: np.ndarray, weight: np.ndarray, *, centered: bool
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return mean, (p,), covariance, (p, p), and whether the iteration converged.

    The maximum of the likelihood of the observed entries: right if what is missing does not
    depend on the missing values themselves (missing at random). It is found on standardized
    columns, so that units do not matter.

    Every column needs two different observed values (`moments_with_missing` sees to the others).
    """
    seen = ~np.isnan(X)
    center = np.zeros(X.shape[1]) if centered else _observed_mean(X, seen, weight)
    scale = np.sqrt(_observed_mean((X - center) ** 2, seen, weight))
    rows = HoledRows.of((X - center) / scale, weight)
    fit = fit_gaussian(rows, centered=centered, max_iter=MAX_ITER)
    found = fit.model.covariances[0]
    covariance = without_degenerate(found)
    # a singular covariance, which gets a ridge and its warning, has no maximum to converge to
    settled = fit.converged or covariance is not found
    mean = center + scale * fit.model.means[0]
    return mean, covariance * np.outer(scale, scale), settled


def _observed_mean(X: np.ndarray, seen: np.ndarray, weight: np.ndarray) -> np.ndarray:
    filled = np.where(seen, X, 0.0)
    return weight @ filled / (weight @ seen)


def moments_with_missing(
    X: np.ndarray, weight: np.ndarray | None, names: list[str], *, centered: bool
) -> Moments:
    """Return the moments of a table with NaN, as `Moments` of so many complete rows.

    Raises
    ------
    ValueError
        Infinity, or a column without two observed values (named).

    Warns
    -----
    ConvergenceWarning
        The iteration was stopped.
    """
    weight = np.ones(len(X)) if weight is None else weight
    X = X[weight > 0].astype(np.float64)
    weight = weight[weight > 0]
    check_finite(np.where(np.isnan(X), 0.0, X), names)
    seen = ~np.isnan(X)
    single = (seen.sum(axis=0) < 2) & (weight @ seen < 2)  # as `check_several_rows` counts
    if single.any():
        raise ValueError(
            f"Column {names[int(np.argmax(single))]!r} has no two observed values, so "
            "nothing can be said of its variance. Drop it."
        )
    filled = np.where(seen, X, X[seen.argmax(axis=0), np.arange(X.shape[1])])
    check_scales(filled, weight, Moments.from_chunk(filled, weight), names)
    mean, covariance, converged = _moments_about_constants(X, weight, centered=centered)
    _warn_of_pairs(X, names)
    if not converged:
        warn_user(
            f"Expectation-maximization did not converge in {MAX_ITER} steps: too much is missing "
            "for some pair of columns. Drop columns that are seldom observed together.",
            ConvergenceWarning,
        )
    n = float(weight.sum())
    return Moments(n, mean, np.zeros_like(mean), n * covariance)


def _moments_about_constants(
    X: np.ndarray, weight: np.ndarray, *, centered: bool
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return `em_moments`, in which a constant column has no variance and depends on nothing."""
    seen = ~np.isnan(X)
    mean = _observed_mean(X, seen, weight)
    center = np.zeros_like(mean) if centered else mean
    varies = ~constant_columns(_observed_mean((X - center) ** 2, seen, weight), center)
    covariance, converged = np.zeros((len(mean), len(mean))), True
    if varies.any():
        found = em_moments(X[:, varies], weight, centered=centered)
        mean[varies], covariance[np.ix_(varies, varies)], converged = found
    return mean, covariance, converged


def _warn_of_pairs(X: np.ndarray, names: list[str]) -> None:
    """Warn of columns without a row that observes both: nothing tells how they go together."""
    seen = (~np.isnan(X)).astype(np.float64)
    apart = np.argwhere(np.triu(seen.T @ seen == 0))
    if len(apart):
        i, j = apart[0]
        more = f" (and {len(apart) - 1} more pairs)" if len(apart) > 1 else ""
        warn_user(
            f"No row holds both {names[i]!r} and {names[j]!r}{more}, so the table does not "
            "determine their covariance: it depends on the start of the iteration, independent "
            "columns. Collect rows with both, or drop one of the columns.",
            ConvergenceWarning,
        )


def observed_log_density(X: np.ndarray, mean: np.ndarray, scaled: Scaled) -> np.ndarray:
    """Return the log-density of the observed entries of rows with NaN, (n,)."""
    d = len(mean)
    correlation = np.eye(d) if scaled.factor is None else scaled.factor @ scaled.factor.T
    model = GaussianMixtureModel(np.ones(1), np.zeros((1, d)), correlation[None])
    with np.errstate(over="ignore"):
        Z = (X - mean) / scaled.sd
    return model.log_joint(Z)[:, 0] - ~np.isnan(Z) @ np.log(scaled.sd)


def observed_log_likelihood(
    X: np.ndarray, weight: np.ndarray | None, mean: np.ndarray, scaled: Scaled
) -> float:
    """Return the total log-likelihood of the observed entries, in nats."""
    weight = np.ones(len(X)) if weight is None else weight
    kept = weight > 0  # a row of weight zero may be infinite
    return float(weight[kept] @ observed_log_density(X[kept].astype(np.float64), mean, scaled))
