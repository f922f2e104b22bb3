"""Bounds and the weight functions that vanish there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgm.score_matching._bounds import (
    WEIGHTS,
    boundary_weight,
    check_bounds,
    check_inside_bounds,
    check_weight_at_boundary,
)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("cap", [0.7, 2.0])
def test_the_slope_is_the_derivative_and_the_weight_vanishes_at_every_bound(name, cap):
    lower, upper = np.array([0.0, -np.inf, -1.0]), np.array([np.inf, 3.0, 1.0])
    X = np.random.default_rng(0).uniform([0.1, -9, -0.9], [9, 2.9, 0.9], size=(200, 3))
    step = 1e-6
    (up, _), (down, _) = (boundary_weight(X + s, lower, upper, name, cap) for s in (step, -step))
    value, slope = boundary_weight(X, lower, upper, name, cap)
    smooth = np.abs((up - 2 * value + down) / step) < 1e-3  # no kink between the two
    assert smooth.mean() > 0.9
    assert_allclose(slope[smooth], ((up - down) / (2 * step))[smooth], rtol=1e-6, atol=1e-8)
    assert (value > 0).all()
    ends = np.array([[0.0, 3.0, -1.0], [0.0, 3.0, 1.0]])
    if name == "power" and cap < 1:
        with pytest.raises(ValueError, match=r"infinite derivative.*one at its bound"):
            boundary_weight(ends, lower, upper, name, cap)
    else:
        assert_array_equal(boundary_weight(ends, lower, upper, name, cap)[0], 0.0)


def test_a_column_without_bounds_has_weight_one():
    X = np.random.default_rng(0).normal(size=(5, 1))
    free = np.array([np.inf])
    value, slope = boundary_weight(X, -free, free, "minlog", 2.0)
    assert_array_equal(value, 1.0)
    assert_array_equal(slope, 0.0)


def test_a_callable_gets_the_distance_to_the_nearer_bound():
    X = np.array([[0.5], [1.0], [3.5]])
    value, slope = boundary_weight(
        X, np.zeros(1), np.full(1, 4.0), lambda t: (t**2, 2 * t), cap=1.0
    )
    assert_allclose(value[:, 0], [0.25, 1, 0.25])
    assert_allclose(slope[:, 0], [1, 2, -1])


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ("positive", ([0, 0], [np.inf, np.inf])),
        ((-1, 2), ([-1, -1], [2, 2])),
        (([0, -np.inf], 5), ([0, -np.inf], [5, 5])),
        (np.array([[0, 1], [2, 3]]), ([0, 1], [2, 3])),
    ],
)
def test_bounds_are_broadcast_to_the_columns(bounds, expected):
    for found, right in zip(check_bounds(bounds, 2), expected, strict=True):
        assert_array_equal(found, right)


@pytest.mark.parametrize("bounds", ["negative", 3, (1, 2, 3), ([1, 2, 3], 4), ("a", "b")])
def test_other_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds must be 'positive' or a pair"):
        check_bounds(bounds, 2)


@pytest.mark.parametrize("bounds", [(2, 1), (1, 1), (np.nan, 1), ([0, 3], [1, 3])])
def test_crossed_bounds_name_their_column(bounds):
    with pytest.raises(ValueError, match=r"lower < upper.*column number \d"):
        check_bounds(bounds, 2)


def test_rows_outside_are_named_with_the_value_and_the_bounds():
    lower, upper = np.zeros(2), np.array([np.inf, 1.0])
    check_inside_bounds(np.array([[0.0, 1.0]]), lower, upper)
    with pytest.raises(ValueError, match=r"Column 'b' holds 2.0 at row 1.* \[0, 1\]"):
        check_inside_bounds(np.array([[0.0, 1.0], [1.0, 2.0]]), lower, upper, ["a", "b"])
    with pytest.raises(ValueError, match="Column 'x0' holds nan"):
        check_inside_bounds(np.array([[np.nan, 1.0]]), lower, upper)


def test_a_callable_that_does_not_vanish_is_refused():
    check_weight_at_boundary("min", (3, 1))
    check_weight_at_boundary(lambda t: (t, np.ones_like(t)), (3, 1))
    with pytest.raises(ValueError, match=r"h\(0\) = 0.*got h\(0\) = 1"):
        check_weight_at_boundary(lambda t: (1 + t, np.ones_like(t)), (3, 1))
