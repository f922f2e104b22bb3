"""Wrong tables: each error names the column, the row and the cure."""

import numpy as np
import pandas as pd
import pytest

from skgm import ScoreMatchingGaussian
from skgm.tables._validation import (
    DISCRETE_SUPPORTS,
    SUPPORTS,
    check_finite,
    check_support,
    inside_support,
)
from tests.toy import ToyNormal


@pytest.mark.parametrize("method", ["fit", "score_samples"])
@pytest.mark.parametrize(("value", "what"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")])
def test_the_first_non_finite_value_is_located(method, value, what):
    table = pd.DataFrame({"age": [1.0, 2.0, 4.0], "height": [1.0, 3.0, 2.0]})
    estimator = ToyNormal().fit(table)
    table.loc[2, "height"] = value
    with pytest.raises(ValueError, match=rf"{what}.* column 'height' \(first at row 2\)"):
        getattr(estimator, method)(table)


def test_arrays_have_numbered_columns():
    with pytest.raises(ValueError, match="NaN in column 'x1'"):
        ToyNormal().fit([[1.0, np.nan], [2.0, 1.0]])


def test_large_finite_values_pass():
    """Their sum overflows; that alone must not raise."""
    check_finite(np.full((2, 2), 1.7e308), ["a", "b"])
    check_finite(np.array([[1.7e308, -1.7e308]] * 2), ["a", "b"])


def test_a_text_column_is_named():
    table = pd.DataFrame({"age": [1.0, 2.0], "city": ["Oslo", "Rome"]})
    with pytest.raises(ValueError, match=r"Column 'city' of X holds values that are not numbers"):
        ToyNormal().fit(table)


def test_a_text_array_is_refused():
    with pytest.raises(ValueError, match="could not convert"):
        ToyNormal().fit(np.array([["a"], ["b"]]))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.empty((0, 2)), "0 sample"),
        (np.empty((3, 0)), r"0 feature\(s\)"),
        (np.zeros(3), "Expected 2D array, got 1D"),
        (np.zeros((2, 2, 2)), "dim 3"),
    ],
)
def test_wrong_shapes_are_refused(table, message):
    with pytest.raises(ValueError, match=message):
        ToyNormal().fit(table)


def test_width_and_names_must_be_those_of_fit():
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    estimator = ToyNormal().fit(table)
    with pytest.raises(ValueError, match="expecting 2 features"):
        ToyNormal().fit(table.to_numpy()).score_samples(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.score_samples(table.rename(columns={"b": "c"}))


@pytest.mark.parametrize(
    ("support", "inside", "outside"),
    [
        ("real", [-1.5, 0.0], [np.inf, np.nan]),
        ("positive", [1e-300, 2.0], [0.0, -1.0]),
        ("non-negative", [0.0, 2.0], [-1e-300, -1.0]),
        ("unit", [1e-9, 0.5], [0.0, 1.0]),
        ("circle", [-3.0, np.pi], [-np.pi, 3.2]),
        ("binary", [0.0, 1.0], [0.5, 2.0]),
        ("counts", [0.0, 7.0], [1.5, -1.0]),
        ("positive-counts", [1.0, 7.0], [1.5, 0.0]),
    ],
)
def test_supports(support, inside, outside):
    assert inside_support(np.array([inside]), support).tolist() == [[True, True]]
    assert inside_support(np.array([outside]), support).tolist() == [[False, False]]
    check_support(np.array([inside]), support, ["a", "b"], model="Model")
    with pytest.raises(ValueError, match=r"Model needs .* column 'b' holds .* at row 1"):
        check_support(
            np.array([inside, [inside[0], outside[1]]]), support, ["a", "b"], model="Model"
        )


def test_every_support_is_tested():
    kinds = {"real", "positive", "non-negative", "unit", "circle"}
    assert set(SUPPORTS) == kinds | set(DISCRETE_SUPPORTS)
    assert set(DISCRETE_SUPPORTS) == {"binary", "counts", "positive-counts"}


class OnlyArray:
    """A table that converts to an array and has neither a shape nor items."""

    def __array__(self, dtype=None, copy=None):
        return np.array([[1.0, 2.0], [3.0, 5.0]], dtype=dtype)


def test_the_width_is_known_whatever_the_container():
    estimator = ToyNormal().fit(OnlyArray())
    assert estimator.n_features_in_ == 2
    assert estimator.sample(3).shape == (3, 2)


def test_masked_entries_are_not_read_through_their_masks():
    table = np.ma.array([[1.0, 2.0], [3.0, 1.0], [2.0, 5.0]], mask=[[0, 0], [0, 1], [0, 0]])
    with pytest.raises(ValueError, match=r"a masked entry in column 'x1' \(first at row 1\)"):
        ToyNormal().fit(table)
    fitted = ToyNormal().fit(table.data)
    with pytest.raises(ValueError, match="a masked entry in column 'x1'"):
        fitted.score_samples(table.astype(int))
    assert np.array_equal(
        fitted.score_samples(np.ma.array(table.data)), fitted.score_samples(table.data)
    )
    with pytest.raises(ValueError, match="sample_weight has masked entries"):
        ToyNormal().fit(table.data, sample_weight=np.ma.array([1.0, 2, 3], mask=[1, 0, 0]))


def test_masked_entries_are_missing_values_where_these_are_allowed():
    masked = np.random.default_rng(0).normal(size=(50, 2))
    masked = np.ma.array(masked, mask=masked > 1.5)
    holes = masked.filled(np.nan)
    one, other = (ScoreMatchingGaussian(missing="em").fit(X) for X in (masked, holes))
    assert np.array_equal(one.covariance_, other.covariance_)
    assert np.array_equal(one.impute(masked, 0), one.impute(holes, 0))
    with pytest.raises(ValueError, match="NaN in column 'x1'"):
        ScoreMatchingGaussian().fit(masked)


@pytest.mark.parametrize("method", ["score_samples", "partial_fit"])
def test_columns_labeled_by_numbers_keep_their_order(method):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 3)) * [1, 10, 100], columns=[2018, 2019, 2020])
    fitted = ScoreMatchingGaussian().fit(frame)
    call = getattr(fitted, method)
    for wrong in (frame[[2020, 2019, 2018]], frame.rename(columns={2018: 2017})):
        with pytest.raises(ValueError, match=r"`fit` saw \[2018, 2019, 2020\]"):
            call(wrong)
    call(frame)
    call(frame.to_numpy())
    call(pd.DataFrame(frame.to_numpy()))  # labels 0, 1, 2, as of an array
    numbered = ScoreMatchingGaussian().fit(pd.DataFrame(frame.to_numpy()))
    with pytest.raises(ValueError, match="same columns in the same order"):
        getattr(numbered, method)(pd.DataFrame(frame.to_numpy())[[1, 0, 2]])
    again = fitted.fit(frame.to_numpy())
    getattr(again, method)(frame[[2020, 2019, 2018]])  # the last fit saw no labels


@pytest.mark.parametrize(
    ("X", "cure"),
    [
        (np.array([["a", 1.0], ["b", 2.0]], dtype=object), "Give it as a data frame"),
        (np.array([["a", "b"], ["b", "c"]]), "Give it as a data frame"),
        ({"a": [1.0, 2.0]}, "X is a dict. Make it a data frame"),
    ],
)
def test_text_outside_of_frames_is_refused_with_the_cure(X, cure):
    with pytest.raises(ValueError, match=cure):
        ScoreMatchingGaussian().fit(X)


def test_a_column_of_lists_is_named():
    pd = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="Column 'b' of X holds values that are not numbers"):
        ScoreMatchingGaussian().fit(pd.DataFrame({"a": [1.0, 2.0], "b": [[1, 2], [3, 4]]}))
