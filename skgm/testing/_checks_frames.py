"""Checks of data frames: the kind that goes in comes out, and errors name its columns."""

from typing import Any

import numpy as np
from numpy.testing import assert_allclose

from skgm.testing._data import make_table, table_for
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


_FLOATS = {
    "pandas": ("float32", "float64", "Float32", "Float64", "float[pyarrow]", "double[pyarrow]"),
    "polars": ("Float32", "Float64"),
    "pyarrow": ("float32", "float64"),
}
_WHOLE = {
    "pandas": ("int8", "Int64", "UInt8", "int32[pyarrow]"),
    "polars": ("Int8", "Int64", "UInt16"),
    "pyarrow": ("int8", "int64", "uint16"),
}
_BOOLEAN = {
    "pandas": ("bool", "boolean", "bool[pyarrow]"),
    "polars": ("Boolean",),
    "pyarrow": ("bool",),
}
_TEXT = {
    "pandas": ("object", "str", "string", "category", "string[pyarrow]"),
    "polars": ("String", "Categorical"),
    "pyarrow": ("string", "large_string"),
}
_DAY = 86_400_000_000  # microseconds
_TIMES = {
    "pandas": (
        *("datetime64[s]", "datetime64[ns, UTC]", "timedelta64[ms]"),
        *("timestamp[us][pyarrow]", "date32[pyarrow]"),
    ),
    "polars": ("Date", "Datetime", "Duration"),
    "pyarrow": ("date32", "timestamp[us]", "duration[s]"),
}


def _typed_columns(estimator: Any, library: str) -> list[tuple[np.ndarray, str]]:
    """Return values and the dtypes that they are to have, as far as the model promises them."""
    tags = get_density_tags(estimator)
    n_rows = 12 if tags.mixed_columns else 48  # many columns, and slow fits
    floats, whole, boolean = _FLOATS[library], _WHOLE[library], _BOOLEAN[library]
    if tags.mixed_columns:
        code = np.arange(n_rows) % 3
        text = np.array(["low", "mid", "high"])[code]
        columns: list[tuple[Any, str]] = [(code, name) for name in whole]
        columns += [(code > 0, name) for name in boolean]
        columns += [(text, name) for name in _TEXT[library]]
        columns += [(code, name) for name in _TIMES[library]]
        floats = floats[:3]
    else:
        kinds = {"binary": (*whole, *boolean), "counts": whole, "positive-counts": whole}
        columns = [(np.zeros(0), name) for name in kinds.get(tags.support, ())]
    names = [*floats, *(name for values, name in columns if not len(values))]
    table = make_table(tags.support, n_rows, len(names), correlation=0.3).astype(np.float32)
    made = [(values, name) for values, name in columns if len(values)]
    return [*zip(table.T, names), *made]


def _typed_frame(estimator: Any, library: str) -> Any:
    module, columns = import_or_skip(library), {}
    if library == "pandas":
        import_or_skip("pyarrow")
    for values, name in _typed_columns(estimator, library):
        if library == "pandas":
            series = module.Series(values)
            in_arrow = name.endswith("[pyarrow]") and name.startswith(("timestamp", "date32"))
            series = series * _DAY if name.startswith("date32") else series
            columns[name] = series.astype("M8[us]" if in_arrow else series.dtype).astype(name)
        elif library == "polars":
            columns[name] = module.Series(values.tolist()).cast(getattr(module, name))
        else:
            plain = values.astype(np.int32) if name == "date32" else values
            columns[name] = module.array(plain).cast(module.type_for_alias(name))
    if library == "pandas" and get_density_tags(estimator).mixed_columns:
        whole = [int(value) for value in columns["int8"]]
        levels, decoded = ["none", "low", "mid", "high"], columns["object"].tolist()
        columns["objects of int"] = module.Series(whole, dtype=object)
        columns["objects of bool"] = module.Series([bool(value) for value in whole], dtype=object)
        columns["levels"] = module.Series(module.Categorical(decoded, levels, ordered=True))
    return module.table(columns) if library == "pyarrow" else module.DataFrame(columns)


def _dtypes(frame: Any) -> list[Any]:
    types = getattr(getattr(frame, "schema", None), "types", None)
    return list(frame.dtypes) if types is None else list(types)


def _check_every_dtype(estimator: Any, library: str) -> None:
    frame = _typed_frame(estimator, library)
    fitted = fit_clone(estimator, frame)
    drawn = {"sample": fitted.sample(3, random_state=0)}
    if hasattr(fitted, "impute"):
        drawn["impute"] = fitted.impute(frame[:3], random_state=0)
    for method, rows in drawn.items():
        require(isinstance(rows, type(frame)), f"{method} of {library} gave {type(rows)}")
        for name, kind, wanted in zip(frame.columns, _dtypes(rows), _dtypes(frame)):
            require(kind == wanted, f"{method} turned a column of {wanted} ({name}) into {kind}")


@density_check()
def check_dtypes_of_pandas_come_back(estimator: Any) -> None:
    """Numpy, nullable and arrow dtypes of pandas come back from `sample` and `impute`."""
    _check_every_dtype(estimator, "pandas")


@density_check()
def check_dtypes_of_polars_come_back(estimator: Any) -> None:
    """Dtypes of polars come back from `sample` and `impute`."""
    _check_every_dtype(estimator, "polars")


@density_check()
def check_dtypes_of_arrow_come_back(estimator: Any) -> None:
    """Tables of pyarrow go in and come out, with their types."""
    _check_every_dtype(estimator, "pyarrow")


@density_check(has_method("impute"))
def check_given_in_other_forms(estimator: Any) -> None:
    """`sample` reads a dict, a frame with some of the columns, and counts of conditions."""
    frame = _frame("pandas", table_for(estimator), (np.float64, np.float64))
    fitted = fit_clone(estimator, frame)
    value = frame["height"].iloc[0]
    holes = frame.head(2).assign(width=np.nan, height=value)
    expected = fitted.sample(1, random_state=0, given=holes).to_numpy()
    counts = frame.assign(height=value).head(2)["height"].value_counts()
    for given in ({"height": [value, value]}, holes[["height"]], counts):
        rows = fitted.sample(1, random_state=0, given=given)
        assert_allclose(rows.to_numpy(), expected, err_msg=f"given={given!r}")
    rows = fitted.sample([2, 0], random_state=0, given=holes)
    require(len(rows) == 2, f"sample([2, 0], given=two rows) gave {len(rows)} rows")
