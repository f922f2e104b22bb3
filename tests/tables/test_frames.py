"""Data frames: recognized, described, restored with their dtypes."""

import numpy as np
import pandas as pd
import pytest

from skgm import DensityChain, GaussianMixtureDensity, MLEDensity, StackedDensity
from skgm.tables._frames import frame_fault, frame_schema, non_numeric_column, restore_frame
from tests.toy import ToyNormal

COLUMNS = {
    "price": np.array([1.5, 2.5], dtype=np.float32),
    "weight": np.array([1.25, 0.5]),
    "count": np.array([3, 4], dtype=np.int32),
    "flag": np.array([True, False]),
}


def make_frame(library):
    return pytest.importorskip(library).DataFrame(COLUMNS)


def dtype_names(frame):
    kinds = [str(dtype).lower() for dtype in frame.dtypes]
    return ["bool" if kind == "boolean" else kind for kind in kinds]


libraries = pytest.mark.parametrize("library", ["pandas", "polars"])


@libraries
def test_schema_describes_a_frame_with_plain_objects(library):
    schema = frame_schema(make_frame(library))
    assert schema["backend"] == library
    assert schema["columns"] == list(COLUMNS)
    assert schema["dtypes"] == ["Float32", "Float64", "Int32", "Boolean"]
    assert {type(value) for values in schema.values() for value in values} == {str}


@pytest.mark.parametrize("other", [np.eye(2), [[1.0, 2.0]], None])
def test_other_tables_have_no_schema(other):
    assert frame_schema(other) is None


@libraries
def test_a_real_valued_model_restores_floats_and_keeps_draws_for_integers_real(library):
    rows = np.array([[1.5, 2.25, 3.75, 0.5]])
    frame = restore_frame(rows, frame_schema(make_frame(library)))
    assert type(frame).__module__.startswith(library)
    assert list(frame.columns) == list(COLUMNS)
    assert dtype_names(frame) == ["float32", "float64", "float64", "float64"]
    np.testing.assert_array_equal(frame.to_numpy(), rows)


@libraries
def test_a_discrete_model_restores_integers(library):
    rows = np.array([[1, 2, 3, 1]])
    frame = restore_frame(rows, frame_schema(make_frame(library)), discrete=True)
    assert dtype_names(frame) == ["float32", "float64", "int32", "bool"]
    np.testing.assert_array_equal(frame.to_numpy().astype(float), rows)


def test_pandas_columns_need_not_be_text():
    frame = pd.DataFrame(np.eye(2), columns=[("a", 1), 7])
    assert list(restore_frame(np.zeros((1, 2)), frame_schema(frame)).columns) == [("a", 1), 7]


@libraries
def test_text_column_is_found(library):
    frame = pytest.importorskip(library).DataFrame({"size": [1.0, 2.0], "city": ["Oslo", "Rome"]})
    assert non_numeric_column(frame) == "city"


@libraries
def test_numbers_of_any_kind_are_no_culprits(library):
    assert non_numeric_column(make_frame(library)) is None
    assert non_numeric_column(np.array([["a"]])) is None


def test_numbers_stored_as_objects_are_no_culprits():
    assert non_numeric_column(pd.DataFrame({"a": np.array([1, 2.5], dtype=object)})) is None


@pytest.mark.parametrize(
    "columns",
    [
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["letter", None]),
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]),
        pd.Index(["a", "b"], name="measure"),
        pd.Index([7, 9]),
    ],
)
def test_levels_and_their_names_come_back(columns):
    frame = pd.DataFrame(np.eye(2), columns=columns)
    restored = restore_frame(np.zeros((1, 2)), frame_schema(frame)).columns
    assert type(restored) is type(columns)
    assert list(restored) == list(columns)
    assert list(restored.names) == list(columns.names)


@libraries
def test_a_count_too_large_for_its_column_widens_it(library):
    seen = {"bytes": np.array([250], np.uint8), "small": np.array([3], np.uint8), "flag": [True]}
    schema = frame_schema(pytest.importorskip(library).DataFrame(seen))
    rows = np.array([[300.0, 255.0, 2.0]])
    frame = restore_frame(rows, schema, discrete=True)
    assert dtype_names(frame) == ["int64", "uint8", "int64"]
    np.testing.assert_array_equal(frame.to_numpy(), rows)


@pytest.mark.parametrize("names", [[0, "b"], [100, 101], [("a", 1), ("a", 2)]])
def test_text_columns_are_found_under_names_that_are_no_text(names):
    frame = pd.DataFrame([[1.0, "x"], [2.0, "y"]])
    frame.columns = pd.Index(names, tupleize_cols=False)
    assert non_numeric_column(frame) == names[1]


def polars_frame(**columns):
    return pytest.importorskip("polars").DataFrame(columns)


DAY = np.array(["2020-01-01", "2020-01-02"], dtype="M8[us]")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (lambda: pd.DataFrame({"day": DAY}), "Column 'day' of X .* dates"),
        (lambda: pd.DataFrame({"wait": DAY - DAY[0]}), "Column 'wait' of X .* durations"),
        (lambda: polars_frame(size=[1.0, 2.0], day=DAY), "Column 'day' of X .* dates"),
        (lambda: DAY[:, None], "X holds .* dates"),
        (lambda: pd.DataFrame(np.eye(2), columns=["a", "a"]), "several columns called 'a'"),
        (lambda: pd.DataFrame(index=[1, 2]), "0 columns"),
        (lambda: polars_frame(a=[1.0, 2.0]).lazy(), "collect"),
    ],
)
def test_a_frame_that_is_no_table_of_numbers_is_refused_by_name(table, fault):
    X = table()
    assert frame_fault(X) is not None
    with pytest.raises(ValueError, match=fault):
        ToyNormal().fit(X)


@libraries
def test_tables_of_numbers_have_no_fault(library):
    assert frame_fault(make_frame(library)) is None
    assert frame_fault(np.eye(2)) is None
    assert frame_fault([[1.0, 2.0]]) is None


READERS = [DensityChain(), GaussianMixtureDensity(), MLEDensity("auto"), StackedDensity()]


@pytest.mark.parametrize("density", READERS, ids=lambda density: type(density).__name__)
@pytest.mark.parametrize("text", [False, True])
def test_columns_of_one_name_are_refused(density, text):
    frame = pd.DataFrame(
        {"a": [1.0, 2.5], "b": [1.5, 2.0], "c": ["x", "y"] if text else [1.0, 0.5]}
    )
    frame.columns = ["a", "b", "a"]
    with pytest.raises(ValueError, match="several columns called 'a'"):
        density.fit(frame)
