"""Checks of tables: every error names the column or row at fault and the cure."""

import numbers
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from skgm.tables._frames import frame_fault, non_numeric_column

__all__ = [
    "DISCRETE_SUPPORTS",
    "SUPPORTS",
    "check_finite",
    "check_inside_support",
    "check_level",
    "check_n_samples",
    "check_several_rows",
    "check_support",
    "column_names",
    "inside_support",
    "validate_table",
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

    With `accept_sparse`, a sparse X comes back as a CSR matrix.

    Raises
    ------
    ValueError
        A text or date column (named), columns of one name, a lazy frame, NaN or infinity (column
        and row named), a wrong number of columns or other column names than `fit` saw, no rows,
        fewer than `min_samples` rows.
    """
    array = _plain_table(estimator, X, reset=reset, min_samples=min_samples)
    if array is None:
        array = _any_table(estimator, X, reset, min_samples, accept_sparse)
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
    try:
        array = validate_data(
            estimator,
            X,
            reset=reset,
            accept_sparse="csr" if accept_sparse else False,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,
            ensure_min_samples=min_samples,
        )
    except (TypeError, ValueError) as error:
        culprit = non_numeric_column(X)
        if culprit is None:
            raise
        raise ValueError(
            f"Column {culprit!r} of X holds values that are not numbers. "
            "Drop it or encode it (for example with sklearn.preprocessing.OrdinalEncoder)."
        ) from error
    if reset and not hasattr(estimator, "n_features_in_"):  # X knows __array__, but no shape
        estimator.n_features_in_ = array.shape[1]
    return array


def column_names(estimator: Any, n_features: int) -> list[str]:
    """Return the column names `fit` saw, or x0, x1, ... for an array."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"x{j}" for j in range(n_features)] if names is None else [str(name) for name in names]


def check_finite(X: np.ndarray, names: list[str]) -> None:
    """Raise a ValueError that names the first column and row with NaN or infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(X.sum()):  # one read-only pass; a finite sum has no non-finite term
            return
    X = X.toarray() if issparse(X) else X  # type: ignore[attr-defined]
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    what = "NaN" if np.isnan(X[row, column]) else "infinity"
    raise ValueError(
        f"Input X contains {what} in column {names[column]!r} (first at row {row}). "
        "Drop such rows or impute them (for example with sklearn.impute.SimpleImputer)."
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
    raise ValueError(
        f"{sign}{model} needs {wanted} in every column; column {names[column]!r} "
        f"holds {value!r} at row {row}. Transform or drop that column, or choose a model whose "
        "support contains it."
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
