"""Estimates moments of a table with missing entries by expectation-maximization."""

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.gaussian import RIDGE, constant_columns, gaussian_log_density, scaled_cholesky
from skgm._numerics.moments import Moments
from skgm._warnings import warn_user
from skgm.tables._validation import check_finite, check_scales

__all__ = [
    "em_moments",
    "moments_with_missing",
    "observed_log_likelihood",
]

MAX_ITER = 1000


def em_moments(
    X: np.ndarray, weight: np.ndarray, *, centered: bool, tol: float = 1e-8
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return mean, (p,), covariance, (p, p), and whether the iteration converged.

    The maximum of the likelihood of the observed entries: right if what is missing does not
    depend on the missing values themselves (missing at random). Each step completes the sums of
    squares by the conditional moments of the missing entries, one factorization per pattern of
    missing columns; on standardized columns, so that units do not matter.

    Every column needs two different observed values (`moments_with_missing` sees to the others).
    """
    seen = ~np.isnan(X)
    center = np.zeros(X.shape[1]) if centered else _observed_mean(X, seen, weight)
    scale = np.sqrt(_observed_mean((X - center) ** 2, seen, weight))
    Z = (X - center) / scale
    patterns = _patterns(Z, seen, weight)
    mean, covariance = np.zeros(X.shape[1]), np.eye(X.shape[1])
    converged = False
    for _ in range(MAX_ITER):
        mean_new, covariance_new = _step(patterns, mean, covariance, weight.sum())
        if centered:
            covariance_new += np.outer(mean_new, mean_new)
            mean_new = np.zeros_like(mean_new)
        moved = max(np.abs(covariance_new - covariance).max(), np.abs(mean_new - mean).max())
        mean, covariance = mean_new, covariance_new
        if moved <= tol:
            converged = True
            break
    covariance = _without_degenerate(covariance)
    return center + scale * mean, covariance * np.outer(scale, scale), converged


def _without_degenerate(covariance: np.ndarray) -> np.ndarray:
    """Set to zero the eigenvalues that are smaller than what the iteration can tell from zero.

    Where columns determine one another, or are too many for the rows, the likelihood grows without
    bound as a variance shrinks to zero, and the iteration ends somewhere on the way.
    """
    values, vectors = linalg.eigh(covariance)
    if values[0] >= RIDGE:
        return covariance
    return (vectors * np.where(values < RIDGE, 0.0, values)) @ vectors.T


def _cholesky(block: np.ndarray) -> np.ndarray:
    """Return the lower factor; with a ridge where the matrix is singular."""
    try:
        return linalg.cholesky(block, lower=True)
    except linalg.LinAlgError:
        return linalg.cholesky(block + RIDGE * np.eye(len(block)), lower=True)


def _observed_mean(X: np.ndarray, seen: np.ndarray, weight: np.ndarray) -> np.ndarray:
    filled = np.where(seen, X, 0.0)
    return weight @ filled / (weight @ seen)


def _patterns(
    Z: np.ndarray, seen: np.ndarray, weight: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return (columns seen, rows restricted to them, weights) for each pattern of missing ones."""
    kinds, which = np.unique(seen, axis=0, return_inverse=True)
    which = which.ravel()
    found = []
    for k, kind in enumerate(kinds):
        own = which == k
        found.append((kind, Z[own][:, kind], weight[own]))
    return found


def _step(
    patterns: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    mean: np.ndarray,
    covariance: np.ndarray,
    total: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the next mean and covariance."""
    p = len(mean)
    first, second = np.zeros(p), np.zeros((p, p))
    for kind, rows, weight in patterns:
        filled = np.tile(mean, (len(rows), 1))
        extra = covariance
        if kind.any():
            factor = _cholesky(covariance[np.ix_(kind, kind)])
            gain = linalg.cho_solve((factor, True), covariance[kind])  # (seen, p)
            residual = rows - mean[kind]
            filled += residual @ gain
            filled[:, kind] = rows
            extra = covariance - covariance[:, kind] @ gain
        extra = np.where(np.outer(~kind, ~kind), extra, 0.0)
        first += weight @ filled
        second += (filled * weight[:, None]).T @ filled + weight.sum() * extra
    mean = first / total
    return mean, second / total - np.outer(mean, mean)


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


def observed_log_likelihood(
    X: np.ndarray, weight: np.ndarray | None, mean: np.ndarray, covariance: np.ndarray
) -> float:
    """Return the total log-likelihood of the observed entries, in nats."""
    weight = np.ones(len(X)) if weight is None else weight
    X, weight = X[weight > 0], weight[weight > 0]  # a row of weight zero may be infinite
    total = 0.0
    for kind, rows, share in _patterns(X.astype(np.float64), ~np.isnan(X), weight):
        if kind.any():
            scaled = scaled_cholesky(covariance[np.ix_(kind, kind)])
            total += float(share @ gaussian_log_density(rows, mean[kind], scaled))
    return total
