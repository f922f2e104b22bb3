"""Plain float arrays take a short way through validation: it must judge as the long way does."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skgm import ScoreMatchingGaussian
from skgm.tables._validation import _any_table, _plain_table, validate_table

X = np.random.default_rng(0).normal(size=(6, 3))


def outcome(function, *args, **options):
    try:
        return function(*args, **options)
    except ValueError as error:
        return str(error)


def judged(table, way, fitted_to=None, min_samples=1):
    """Return what a way says of a table, and what it makes of the estimator."""
    estimator = ScoreMatchingGaussian()
    reset = fitted_to is None
    if not reset:
        validate_table(estimator, fitted_to, reset=True)
    if way == "long":
        found = outcome(_any_table, estimator, table, reset, min_samples, False)
    else:
        found = outcome(validate_table, estimator, table, reset=reset, min_samples=min_samples)
    return found, {k: v for k, v in vars(estimator).items() if k.endswith("_in_")}


@pytest.mark.parametrize(
    ("table", "is_plain"),
    [
        (X, True),
        (X.astype(np.float32), True),
        (X[::2, ::2], True),
        (np.asfortranarray(X), True),
        (X.astype(int), False),
        (X.tolist(), False),
        (X[:, 0], False),
        (X[:0], False),
        (X[:, :0], False),
        (X.astype(">f8"), False),
        (X[None], False),
        (np.ma.masked_array(X), False),
        (X.astype(np.float16), False),
        (X.astype(complex), False),
    ],
)
def test_both_ways_agree_on_a_first_table(table, is_plain):
    taken = _plain_table(ScoreMatchingGaussian(), table, reset=True, min_samples=1)
    assert (taken is not None) == is_plain
    (short, after), (long, wanted) = judged(table, "short"), judged(table, "long")
    assert after == wanted
    if isinstance(long, str):
        assert short == long
    else:
        assert_array_equal(short, long)
        assert short.dtype == long.dtype


@pytest.mark.parametrize("table", [X, X[:, :2], X[:1]])
@pytest.mark.parametrize("min_samples", [1, 2])
def test_both_ways_agree_on_a_second_table(table, min_samples):
    short, after = judged(table, "short", X, min_samples)
    long, wanted = judged(table, "long", X, min_samples)
    assert after == wanted
    assert isinstance(short, str) == isinstance(long, str)
    if isinstance(long, str):
        assert short == long


def test_names_are_forgotten_and_missed():
    estimator = ScoreMatchingGaussian()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    validate_table(estimator, frame, reset=True)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        validate_table(estimator, X, reset=False)
    validate_table(estimator, X, reset=True)
    assert not hasattr(estimator, "feature_names_in_")


def test_faults_of_values_are_found_on_the_short_way():
    bad = X.copy()
    bad[4, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN in column 'x1' \(first at row 4\)"):
        validate_table(ScoreMatchingGaussian(), bad, reset=True)
