"""Completions that differ by what the holes and the fit leave open."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgm import DensityChain, MultipleImputer, ScoreMatchingGaussian

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(80, 3)) @ [[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 1.0]]
HOLES = RNG.random(TABLE.shape) < 0.2
HOLES[:, 0] = False
INCOMPLETE = np.where(HOLES, np.nan, TABLE)


def test_observed_values_stay_and_completions_differ():
    imputer = MultipleImputer(n_imputations=4, random_state=0).fit(INCOMPLETE)
    completed = imputer.transform_all(INCOMPLETE)
    for rows in completed:
        assert_array_equal(rows[~HOLES], TABLE[~HOLES])
        assert np.isfinite(rows).all()
    drawn = np.array([rows[HOLES] for rows in completed])
    assert (np.ptp(drawn, axis=0) > 0).all()
    assert_array_equal(imputer.transform(INCOMPLETE), completed[0])
    again = MultipleImputer(n_imputations=4, random_state=0).fit(INCOMPLETE)
    assert_array_equal(again.transform_all(INCOMPLETE), completed)


@pytest.mark.slow
def test_the_spread_of_a_mean_is_that_of_fit_and_holes():
    """Half of a column is missing completely at random; its mean is N(0, s^2/n) a posteriori."""
    n = 200
    table = np.column_stack([np.random.default_rng(1).normal(size=(n, 2))])
    table[: n // 2, 1] = np.nan
    imputer = MultipleImputer(n_imputations=300, random_state=0).fit(table)
    means = [rows[:, 1].mean() for rows in imputer.transform_all(table)]
    # The mean of 100 drawn values around a mean with variance s^2/100, halved by the other rows.
    expected = np.nanvar(table[:, 1]) / 4 * (1 / 100 + 1 / 100)
    assert_allclose(np.var(means), expected, rtol=0.3)  # the relative error of a variance: .08


def test_columns_of_a_frame_come_back_as_they_were():
    frame = pd.DataFrame(
        {
            "x": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0] * 10,
            "kind": pd.Categorical(["a", "b", "a", None, "b", "a"] * 10),
        }
    )
    imputer = MultipleImputer(n_imputations=2, random_state=0).fit(frame)
    assert isinstance(imputer.densities_[0], DensityChain)
    for rows in imputer.transform_all(frame):
        assert not rows.isna().any().any()
        assert (rows.dtypes == frame.dtypes).all()
        assert list(rows.columns) == ["x", "kind"]
    assert list(imputer.get_feature_names_out()) == ["x", "kind"]


def test_weights_are_repetitions_in_the_mean():
    weight = np.ones(len(INCOMPLETE))
    weight[:10] = 0
    imputer = MultipleImputer(n_imputations=30, random_state=0).fit(INCOMPLETE, None, weight)
    without = MultipleImputer(n_imputations=30, random_state=0).fit(INCOMPLETE[10:])
    both = [
        np.mean([density.params_["location"] for density in one.densities_], axis=0)
        for one in (imputer, without)
    ]
    assert_allclose(both[0], both[1], atol=0.1)  # five standard errors of the mean of 30 draws


def test_it_stands_in_a_pipeline():
    rows = make_pipeline(StandardScaler(), MultipleImputer(random_state=0)).fit_transform(
        INCOMPLETE
    )
    assert np.isfinite(rows).all()


def test_a_density_that_cannot_complete_is_refused():
    with pytest.raises(ValueError, match="impute"):
        MultipleImputer(density=StandardScaler()).fit(INCOMPLETE)
    with pytest.raises(ValueError, match="NaN"):
        MultipleImputer(density=ScoreMatchingGaussian()).fit(INCOMPLETE)
