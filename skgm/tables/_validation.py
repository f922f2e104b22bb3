"""Checks of tables: every error names the column or row at fault and the cure."""

import numbers
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import narwhals as nw
import numpy as np
from scipy.linalg import LinAlgWarning
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from skgm._numerics.gaussian import RIDGE, Factor
from skgm._numerics.moments import Moments
from skgm._warnings import warn_user
from skgm.tables._frames import frame_fault, non_numeric_column, plain_numbers

__all__ = [
    "DISCRETE_SUPPORTS",
    "SUPPORTS",
    "check_finite",
    "check_inside_support",
    "check_level",
    "check_n_samples",
    "check_no_overflow",
    "check_scales",
    "check_several_rows",
    "check_support",
    "column_names",
    "inside_support",
    "naming_columns",
    "validate_table",
    "warn_singular",
]

# Per support: what a value must satisfy, and how to say it.
SUPPORTS: dict[str, tuple[Any, str]] = {
    "real": (lambda x: np.isfinite(x), "finite numbers"),
    "positive": (lambda x: x > 0, "numbers > 0"),
    "non-negative": (lambda x: x >= 0, "numbers >= 0"),
    "unit": (lambda x: (x > 0) & (x < 1), "numbers strictly between 0 and 1"),
    "circle": (
        lambda x: (x > -np.pi) & (x <= np.pi),
        "angles > -pi and <= pi (wrap others with numpy.angle(numpy.exp(1j * X)))",
    ),
    "binary": (lambda x: (x == 0) | (x == 1), "0 or 1"),
    "counts": (lambda x: (x >= 0) & (x == np.floor(x)), "whole numbers >= 0"),
    "positive-counts": (lambda x: (x >= 1) & (x == np.floor(x)), "whole numbers >= 1"),
}
# Those whose models have masses, not densities.
DISCRETE_SUPPORTS = ("binary", "counts", "positive-counts")

_MOST_NAMES = 10  # of columns in a message
# A variance below this has lost digits to underflow (or its inverse would overflow).
_MIN_VARIANCE = 1e-280
_CURE = "Drop such rows or impute them (for example with sklearn.impute.SimpleImputer)."


def validate_table(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    min_samples: int = 1,
    finite: bool = True,
    accept_sparse: bool = False,
) -> np.ndarray:
    """Return X as a float32 or float64 array (n_samples, n_features).

    With `accept_sparse`, a sparse X comes back as a CSR matrix. Without `finite`, the masked
    entries of a masked array come back as NaN.

    Raises
    ------
    ValueError
        A text or date column (named), columns of one name, a lazy frame, NaN, infinity or
        a masked entry (column and row named), a wrong number of columns or other column names
        than `fit` saw, or in another order, no rows, fewer than `min_samples` rows.
    """
    array = _plain_table(estimator, X, reset=reset, min_samples=min_samples)
    if array is None:
        array = _any_table(estimator, X, reset, min_samples, accept_sparse)
        if finite and np.ma.is_masked(X):
            check_finite(array, column_names(estimator, array.shape[1]), kind="a masked entry")
    if finite:
        check_finite(array, column_names(estimator, array.shape[1]))
    return array


def _plain_table(estimator: Any, X: Any, *, reset: bool, min_samples: int) -> np.ndarray | None:
    """Return X if it is a float array without faults, None where the long way must judge.

    The long way takes 0.2 ms to find that out, more than many a fit.
    """
    is_plain = type(X) is np.ndarray and X.dtype in (np.float64, np.float32) and X.ndim == 2
    if not is_plain or len(X) < max(min_samples, 1) or X.shape[1] == 0 or not X.dtype.isnative:
        return None
    known = vars(estimator)
    if reset:
        known.pop("feature_names_in_", None)  # as scikit-learn does for a table without names
        known.pop("_column_labels", None)
        estimator.n_features_in_ = X.shape[1]
        return X
    same_width = known.get("n_features_in_") == X.shape[1]
    return X if same_width and "feature_names_in_" not in known else None


def _any_table(
    estimator: Any, X: Any, reset: bool, min_samples: int, accept_sparse: bool
) -> np.ndarray:
    """Validate the way of scikit-learn, with errors that name the column."""
    fault = frame_fault(X)
    if fault is not None:
        raise ValueError(fault)
    X = X.to_pandas() if nw.dependencies.is_pyarrow_table(X) else _without_mask(X)
    try:
        array = validate_data(
            estimator,
            plain_numbers(X),
            reset=reset,
            accept_sparse="csr" if accept_sparse else False,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            ensure_min_samples=min_samples,
        )
    except (TypeError, ValueError) as error:
        culprit = non_numeric_column(X)
        kind = getattr(getattr(X, "dtype", None), "kind", "f")
        if culprit is None and kind in "OUS" and isinstance(error, ValueError):
            raise ValueError(
                f"X is an array with text or other objects ({error}). Give it as a data frame, "
                "whose dtypes say what its columns are, or name columns of categories in "
                "categorical_features where the density has that parameter."
            ) from error
        if culprit is None:
            raise
        raise ValueError(
            f"Column {culprit!r} of X holds values that are not numbers. "
            "Drop it, encode it (for example with sklearn.preprocessing.OneHotEncoder), or fit a "
            "density that reads categories: DensityChain, DDPM or StackedDensity."
        ) from error
    if reset and not hasattr(estimator, "n_features_in_"):  # X knows __array__, but no shape
        estimator.n_features_in_ = array.shape[1]
    _check_labels(estimator, X, reset=reset)
    return array


def _without_mask(X: Any) -> Any:
    """Return a masked array as a plain one with NaN for the masked entries; other X as it is."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    return np.ma.filled(X.astype(np.result_type(X, 0.0)), np.nan) if np.ma.is_masked(X) else X.data


def _check_labels(estimator: Any, X: Any, *, reset: bool) -> None:
    """Remember column labels that are not text, which scikit-learn does not compare, or check them.

    The labels 0, 1, 2, ... are those of a frame made from an array. They contradict others only
    as the same labels in another order.
    """
    labels = [] if isinstance(X, np.ndarray) else list(getattr(X, "columns", []))
    is_text = all(isinstance(label, str) for label in labels)
    seen = None if is_text else [str(label) for label in labels]
    if reset:
        vars(estimator).pop("_column_labels", None)
        if seen is not None:
            estimator._column_labels = seen
        return
    known = vars(estimator).get("_column_labels")
    if seen is None or known is None or seen == known:
        return
    counted = [str(j) for j in range(len(seen))]
    if sorted(seen) == sorted(known) or counted not in (seen, known):
        raise ValueError(
            f"The columns of X are {_shortened(seen)}, but `fit` saw {_shortened(known)}. Give "
            "the same columns in the same order."
        )


def _shortened(labels: list[str]) -> str:
    more = ", ..." if len(labels) > _MOST_NAMES else ""
    return f"[{', '.join(labels[:_MOST_NAMES])}{more}]"


def column_names(estimator: Any, n_features: int) -> list[str]:
    """Return the column names `fit` saw, or x0, x1, ... for an array."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"x{j}" for j in range(n_features)] if names is None else [str(name) for name in names]


def check_finite(X: np.ndarray, names: list[str], *, cure: str = _CURE, kind: str = "NaN") -> None:
    """Raise a ValueError that names the first column and row with NaN or infinity.

    `cure` says what to do about NaN; `kind` is what they are called.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):  # one read-only pass; a finite sum has no non-finite term
            return
    X = X.toarray() if issparse(X) else X  # type: ignore[attr-defined]
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    what, cure = (kind, cure) if np.isnan(X[row, column]) else ("infinity", _CURE)
    raise ValueError(
        f"Input X contains {what} in column {names[column]!r} (first at row {row}). {cure}"
    )


def inside_support(X: np.ndarray, support: str) -> np.ndarray:
    """Return a boolean array of X's shape: which values lie in the support."""
    return SUPPORTS[support][0](X)


def check_support(X: np.ndarray, support: str, names: list[str], *, model: str) -> None:
    """Raise a ValueError that names the first column and row outside the support of `model`."""
    check_inside_support(X, inside_support(X, support), SUPPORTS[support][1], names, model=model)


def check_inside_support(
    X: np.ndarray, inside: np.ndarray, wanted: str, names: list[str], *, model: str
) -> None:
    """Raise a ValueError that names the first column and row of X where `inside` is false."""
    if inside.all():
        return
    row, column = np.argwhere(~inside)[0]
    value = float(X[row, column])
    sign = "Negative values in data: " if value < 0 else ""  # the words scikit-learn looks for
    zeros = " Hurdle in skgm.inference.families gives zeros a probability." if value == 0 else ""
    raise ValueError(
        f"{sign}{model} needs {wanted} in every column; column {names[column]!r} "
        f"holds {value!r} at row {row}. Transform or drop that column, or choose a model whose "
        f"support contains it.{zeros}"
    )


def check_several_rows(weight: np.ndarray | None) -> None:
    """Refuse weights, (n,), that leave a single row, and that once."""
    if weight is not None and np.count_nonzero(weight) < 2 and weight.sum() < 2:
        raise ValueError(
            "Found 1 sample with positive weight while a minimum of 2 is required; give more rows "
            "a positive sample_weight."
        )


def check_level(level: Any) -> float:
    """Return a confidence level as a float strictly between 0 and 1."""
    if not isinstance(level, numbers.Real) or not 0 < float(level) < 1:
        raise ValueError(f"level must be a number strictly between 0 and 1; got {level!r}.")
    return float(level)


def check_n_samples(n_samples: Any) -> int:
    """Return `n_samples` as an int; anything but an integer >= 1 raises a ValueError."""
    if not isinstance(n_samples, numbers.Integral) or isinstance(n_samples, bool) or n_samples < 1:
        raise ValueError(f"n_samples must be an integer >= 1; got {n_samples!r}.")
    return int(n_samples)


def check_scales(
    X: np.ndarray,
    weight: np.ndarray | None,
    moments: Moments,
    names: list[str],
    *,
    cure: str = _CURE,
) -> None:
    """Raise for non-finite values, which the moments show for free, and for extreme scales.

    `cure` is as in `check_finite`.

    Raises
    ------
    ValueError
        NaN or infinity in X, or squares that overflow or underflow; the column is named.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        in_range = np.isfinite(moments.variance) & np.isfinite(moments.mean**2)
    if not in_range.all() or (weight is not None and not weight.all()):
        check_finite(X, names, cure=cure)  # the moments say nothing about rows of zero weight
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


def check_no_overflow(values: Any, what: str, but: Collection[str] = ()) -> None:
    """Raise where a value is not finite; those named in `but` may be infinite, not NaN."""
    for name, value in values.items():
        if np.isfinite(value).all():
            continue
        if name not in but or np.isnan(value).any():
            raise ValueError(
                f"Numbers overflow or underflow in the {what} ({name} is not finite); rescale the "
                "columns before fitting."
            )


@contextmanager
def naming_columns(columns: Sequence[str]) -> Iterator[None]:
    """Let a ValueError about "column number 2" speak of the column by its name.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns of the table, in order.
    """

    def name(match: re.Match[str]) -> str:
        j = int(match[1])
        return f"column {columns[j]!r}" if j < len(columns) else "a column"

    try:
        yield
    except ValueError as error:
        text = re.sub(r"column '?number (\d+)'?", name, str(error))
        if text == str(error):
            raise
        raise ValueError(text) from error
