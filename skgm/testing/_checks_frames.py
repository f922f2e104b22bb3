"""Checks of data frames: the kind that goes in comes out, and errors name its columns."""

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from skgm.testing._data import table_for
from skgm.testing._registry import DISCRETE, density_check, get_density_tags, has_method
from skgm.testing._tools import (
    expect_error,
    fit_clone,
    import_or_skip,
    log_density,
    require,
    seeded_clone,
)

__all__: list[str] = []

NAMES = ("width", "height")  # not in alphabetical order


def _frame(backend: str, X: np.ndarray, dtypes: tuple[Any, Any] = (np.float64, np.float32)) -> Any:
    columns = {name: x.astype(kind) for name, x, kind in zip(NAMES, X.T, dtypes)}
    return import_or_skip(backend).DataFrame(columns)


def _check_round_trip(estimator: Any, backend: str) -> None:
    X = table_for(estimator).astype(np.float32).astype(np.float64)
    frame = _frame(backend, X)
    fitted = fit_clone(estimator, frame)
    expected = log_density(fit_clone(estimator, X), X)
    assert_allclose(log_density(fitted, frame), expected, rtol=1e-5, atol=1e-5)
    rows = fitted.sample(5)
    require(isinstance(rows, type(frame)), f"fitted to {backend}, sample gave {type(rows)}")
    require(tuple(rows.columns) == NAMES, f"the columns became {list(rows.columns)}")
    require(rows.shape == (5, 2), f"sample(5) has shape {rows.shape}")
    kinds, wanted = list(rows.dtypes), list(frame.dtypes)
    require(kinds == wanted, f"dtypes {kinds}; in the training frame {wanted}")
    fitted.fit(X)
    require(isinstance(fitted.sample(), np.ndarray), "fitted to an array, sample gave none")


@density_check()
def check_pandas_in_pandas_out(estimator: Any) -> None:
    """Fitted to a pandas frame, `sample` returns one with the same columns and float dtypes."""
    _check_round_trip(estimator, "pandas")


@density_check()
def check_polars_in_polars_out(estimator: Any) -> None:
    """Fitted to a polars frame, `sample` returns one with the same columns and float dtypes."""
    _check_round_trip(estimator, "polars")


@density_check()
def check_integer_columns(estimator: Any) -> None:
    """Integer columns come back as integers from discrete and mixed models, else as float64."""
    tags = get_density_tags(estimator)
    X = table_for(estimator)
    X = np.ceil(X) if tags.support != "unit" else X
    kinds = (np.float64, np.float64) if tags.support == "unit" else (np.int64, np.int32)
    frame = _frame("pandas", X, kinds)
    rows = fit_clone(estimator, frame).sample(4)
    require(isinstance(rows, type(frame)), f"fitted to pandas, sample gave {type(rows)}")
    kept = tags.support in DISCRETE or tags.mixed_columns
    wanted = kinds if kept else (np.float64, np.float64)
    require(tuple(rows.dtypes) == wanted, f"integer columns came back as {list(rows.dtypes)}")


@density_check()
def check_errors_name_columns(estimator: Any) -> None:
    """Infinity in a table, or text in a frame, raises a ValueError that names the column.

    Models of mixed columns may be fitted to text.
    """
    X = table_for(estimator)
    frame = _frame("pandas", X)
    text = frame.assign(height=["tall"] * len(frame))
    with_array, with_frame = fit_clone(estimator, X), fit_clone(estimator, frame)
    X[3, 1] = np.inf
    cases = (
        (with_array, X, ("x1", "column 1")),
        (with_frame, _frame("pandas", X), ("height",)),
        (with_frame, text, ("height",)),
    )
    for fitted, bad, words in cases:
        functions = [seeded_clone(estimator).fit, fitted.score_samples]
        if bad is text and get_density_tags(estimator).mixed_columns:
            functions = functions[1:]  # fitted to numbers
        for function in functions:
            with expect_error("a bad column", ValueError, words=words):
                function(bad)


@density_check()
def check_renamed_columns_raise(estimator: Any) -> None:
    """Scoring a frame whose columns have other names, or another order, raises a ValueError."""
    frame = _frame("pandas", table_for(estimator))
    fitted = fit_clone(estimator, frame)
    for other in (frame.rename(columns={"height": "weight"}), frame[list(NAMES[::-1])]):
        with expect_error("columns with other names", ValueError, words=("feature names",)):
            fitted.score_samples(other)


@density_check(has_method("impute"))
def check_given_frame_returns_frame(estimator: Any) -> None:
    """`sample(given=frame)` returns a frame with the columns of `given`."""
    frame = _frame("pandas", table_for(estimator), (np.float64, np.float64))
    given = frame.iloc[:4].copy()
    given.iloc[1:3, 1] = np.nan
    rows = fit_clone(estimator, frame).sample(2, random_state=0, given=given)
    require(isinstance(rows, type(frame)), f"given a frame, sample gave {type(rows)}")
    require(tuple(rows.columns) == NAMES and rows.shape == (8, 2), "wrong columns or rows")
