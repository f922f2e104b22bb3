"""Checks of wrong and of degenerate input: a clear error, or a finite result."""

# ruff: noqa: D401 -- the first line of a check states the promise that it checks

from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from skgm.testing._data import outside_support, table_for
from skgm.testing._registry import (
    density_check,
    get_density_tags,
    limited_support,
    refuses_nan,
    refuses_outside,
)
from skgm.testing._tools import draw, expect_error, fit_clone, log_density, require, seeded_clone

__all__: list[str] = []


@density_check()
def check_unfitted_raises(estimator: Any) -> None:
    """Before `fit`, every method that needs a fit raises NotFittedError."""
    X = table_for(estimator)
    for name in ("score_samples", "score", "score_function", "impute"):
        if hasattr(estimator, name):
            with expect_error(f"{name} before fit", NotFittedError):
                getattr(seeded_clone(estimator), name)(X)
    with expect_error("sample before fit", NotFittedError):
        seeded_clone(estimator).sample()


@density_check(refuses_nan)
def check_nan_raises(estimator: Any) -> None:
    """NaN in `fit` or `score_samples` raises a ValueError that says so."""
    _check_bad_value(estimator, np.nan, "nan")


@density_check()
def check_infinity_raises(estimator: Any) -> None:
    """Infinity in `fit` or `score_samples` raises a ValueError that says so."""
    _check_bad_value(estimator, np.inf, "inf")


def _check_bad_value(estimator: Any, value: float, word: str) -> None:
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    X[3, 1] = value
    for method, function in (("fit", seeded_clone(estimator).fit), ("score", fitted.score_samples)):
        with expect_error(f"{method} with {value}", ValueError, words=(word,)):
            function(X)


@density_check(limited_support, refuses_outside)
def check_fit_outside_support_raises(estimator: Any) -> None:
    """`fit` to a value outside the support raises a ValueError that names the column."""
    for value in outside_support(get_density_tags(estimator).support):
        X = table_for(estimator)
        X[3, 1] = value
        with expect_error(f"fit with {value}", ValueError, words=("x1", "column 1")):
            seeded_clone(estimator).fit(X)


@density_check()
def check_empty_table_raises(estimator: Any) -> None:
    """A table without rows or without columns raises a ValueError."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    for empty in (X[:0], X[:, :0]):
        with expect_error(f"fit to shape {empty.shape}", ValueError):
            seeded_clone(estimator).fit(empty)
        with expect_error(f"score_samples of shape {empty.shape}", ValueError):
            fitted.score_samples(empty)


@density_check()
def check_wrong_shape_raises(estimator: Any) -> None:
    """Rows with more or fewer columns than in `fit`, or a flat array, raise a ValueError."""
    X = table_for(estimator)
    fitted = fit_clone(estimator, X)
    for rows in (X[:, :1], np.hstack([X, X[:, :1]]), X[:, 0]):
        with expect_error(f"score_samples of shape {rows.shape}", ValueError):
            fitted.score_samples(rows)
    with expect_error("fit to a flat array", ValueError):
        seeded_clone(estimator).fit(X[:, 0])


def _check_error_or_finite(estimator: Any, X: np.ndarray, words: tuple[str, ...]) -> None:
    fitted = seeded_clone(estimator)
    try:
        fitted.fit(X)
    except ValueError as error:
        found = any(word in str(error).lower() for word in words)
        require(found, f"the error should mention {' or '.join(words)}; it says: {error}")
        return
    require(np.isfinite(log_density(fitted, X)).all(), "the fit is not finite at its own rows")
    require(np.isfinite(draw(fitted, 2)).all(), "the fit draws values that are not finite")


@density_check()
def check_one_row(estimator: Any) -> None:
    """A table of one row gives a ValueError about the number of rows, or a finite fit."""
    _check_error_or_finite(estimator, table_for(estimator, 1), ("row", "sample"))


@density_check()
def check_constant_column(estimator: Any) -> None:
    """A constant column gives a ValueError that names it, or a finite fit."""
    X = table_for(estimator)
    X[:, 1] = X[0, 1]
    _check_error_or_finite(estimator, X, ("x1", "column 1"))


@density_check()
def check_duplicated_column(estimator: Any) -> None:
    """A column that repeats another gives a ValueError that names it, or a finite fit."""
    X = table_for(estimator)
    X[:, 1] = X[:, 0]
    _check_error_or_finite(estimator, X, ("x0", "x1", "column 0", "column 1"))
