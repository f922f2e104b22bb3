"""What is wrong with a table, in words: refusals of extreme scales, warnings of singularity."""

import numpy as np
from scipy.linalg import LinAlgWarning

from skgm._numerics.gaussian import RIDGE, Factor
from skgm._numerics.moments import Moments
from skgm._validation import check_finite
from skgm._warnings import warn_user

__all__ = ["check_scales", "warn_singular"]

_MOST_NAMES = 10
# A variance below this has lost digits to underflow (or its inverse would overflow).
_MIN_VARIANCE = 1e-280


def check_scales(
    X: np.ndarray, weight: np.ndarray | None, moments: Moments, names: list[str]
) -> None:
    """Raise for non-finite values, which the moments show for free, and for extreme scales.

    Raises
    ------
    ValueError
        NaN or infinity in X, or squares that overflow or underflow; the column is named.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        in_range = np.isfinite(moments.variance) & np.isfinite(moments.mean**2)
    if not in_range.all() or (weight is not None and not weight.all()):
        check_finite(X, names)  # the moments say nothing about rows of zero weight
    culprits = [*np.flatnonzero(~in_range), *_underflowing_columns(X, weight, moments)]
    if culprits:
        raise ValueError(
            f"The squares of column {names[culprits[0]]!r} leave the range of float64. Rescale it "
            "before fitting (for example with sklearn.preprocessing.StandardScaler)."
        )


def _underflowing_columns(X: np.ndarray, weight: np.ndarray | None, moments: Moments) -> list[int]:
    """Return which columns vary, but by so little that their squares underflow.

    X is the table that `moments` summarizes, or the last chunk of it.
    """
    variance = moments.variance
    small = np.flatnonzero(variance < _MIN_VARIANCE)
    counted = slice(None) if weight is None else weight > 0
    return [int(j) for j in small if variance[j] > 0 or np.ptp(X[counted, j]) > 0]


def warn_singular(factor: Factor, n_rows: int, names: list[str]) -> None:
    """Warn of a covariance that needed a ridge, naming the columns at fault."""
    causes = []
    if factor.constant.size:
        causes.append(f"constant columns ({_listing(factor.constant, names)})")
    if factor.dependent.size and n_rows <= len(names):
        columns = f"{len(names)} columns ({_listing(factor.dependent, names)})"
        causes.append(f"too few rows ({n_rows}) for {columns}")
    elif factor.dependent.size:
        causes.append(f"columns that determine one another ({_listing(factor.dependent, names)})")
    warn_user(
        f"The covariance is singular: {'; '.join(causes)}. A ridge of {RIDGE:.2g} of each column's "
        "squared scale was added, and standard errors will be refused. Drop such columns, collect "
        "more rows, or use another covariance_type.",
        LinAlgWarning,
    )


def _listing(columns: np.ndarray, names: list[str]) -> str:
    shown = ", ".join(repr(names[j]) for j in columns[:_MOST_NAMES])
    more = len(columns) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
