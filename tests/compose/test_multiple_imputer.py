"""Completions that differ by what the holes and the fit leave open."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgm import MultipleImputer, ScoreMatchingGaussian
from skgm.compose._location_model import LocationModel

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
            "x": [1.5, 2.0, np.nan, 4.0, 5.0, 6.0] * 10,
            "kind": pd.Categorical(["a", "b", "a", None, "b", "a"] * 10),
        }
    )
    imputer = MultipleImputer(n_imputations=2, random_state=0).fit(frame)
    assert isinstance(imputer.densities_[0], LocationModel)
    for rows in imputer.transform_all(frame):
        assert not rows.isna().any().any()
        assert (rows.dtypes == frame.dtypes).all()
        assert list(rows.columns) == ["x", "kind"]
    assert list(imputer.get_feature_names_out()) == ["x", "kind"]


def test_weights_are_repetitions_in_the_mean():
    weight = np.ones(len(INCOMPLETE))
    weight[:10] = 0
    gaussian = ScoreMatchingGaussian(missing="em")
    options = {"n_imputations": 30, "random_state": 0}
    imputer = MultipleImputer(gaussian, **options).fit(INCOMPLETE, None, weight)
    without = MultipleImputer(gaussian, **options).fit(INCOMPLETE[10:])
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


# A Gaussian for each combination of categories.


def crossed(n=120, holes=False):
    """A table whose slope of y on x changes its sign between two of four cells."""
    rng = np.random.default_rng(3)
    group, site = rng.choice(["a", "b"], size=n), rng.choice(["s", "t"], size=n, p=[0.7, 0.3])
    x = rng.normal(size=n)
    y = np.where(group == "a", 1.0, -1.0) * x + (site == "t") + 0.1 * rng.normal(size=n)
    table = pd.DataFrame({"group": group, "x": x, "y": y, "site": site})
    return table.mask(rng.random(table.shape) < 0.15) if holes else table


def cells_of(table):
    """The share, mean and covariance of each cell, with one row of the covariance within."""
    cells = table.groupby(["group", "site"])[["x", "y"]]
    scatter = {key: part.cov().to_numpy() * (len(part) - 1) for key, part in cells}
    within = sum(scatter.values()) / len(table)
    for key, part in cells:
        covariance = (scatter[key] + within) / (len(part) + 1)
        yield key, len(part) / len(table), part.mean().to_numpy(), covariance


def test_the_density_is_that_of_each_cell():
    table = crossed()
    found = np.exp(LocationModel().fit(table).score_samples(table))
    for (group, site), share, mean, covariance in cells_of(table):
        own = (table["group"] == group) & (table["site"] == site)
        expected = share * multivariate_normal(mean, covariance).pdf(table.loc[own, ["x", "y"]])
        assert_allclose(found[own], expected, rtol=1e-4)


def test_categories_are_completed_by_the_rule_of_bayes():
    table = crossed()
    model = LocationModel().fit(table)
    row = pd.DataFrame({"group": [None], "x": [1.0], "y": [1.2], "site": [None]})
    mass = {k: p * multivariate_normal(m, c).pdf([1.0, 1.2]) for k, p, m, c in cells_of(table)}
    drawn = model.sample(2000, 0, given=row)
    for key, value in mass.items():
        share = np.mean((drawn["group"] == key[0]) & (drawn["site"] == key[1]))
        assert_allclose(share, value / sum(mass.values()), atol=0.05)  # four standard errors
    assert_allclose(model.score_samples(row), np.log(sum(mass.values())), rtol=1e-3)


def test_interactions_are_kept():
    table = crossed(400, holes=True)
    imputer = MultipleImputer(n_imputations=2, random_state=0).fit(table)
    assert isinstance(imputer.densities_[0], LocationModel)
    for rows in imputer.transform_all(table):
        assert not rows.isna().any(axis=None)
        for group, slope in (("a", 1.0), ("b", -1.0)):
            part = rows[(rows["group"] == group) & (rows["site"] == "s")]
            assert_allclose(np.polyfit(part["x"], part["y"], 1)[0], slope, atol=0.1)


@pytest.mark.parametrize(
    "table",
    [
        crossed()[["group", "site"]],
        crossed(12),
        crossed().astype({"x": int}),
        np.full((9, 1), 1.5),
    ],
)
def test_where_a_gaussian_for_each_cell_does_not_suit(table):
    assert not LocationModel.suits(table)
    assert LocationModel.suits(crossed(300, holes=True))


def test_posterior_draws_spread_like_the_parameters():
    """Complete rows: the slope within a cell is Student's t about its estimate, df n - d."""
    table = crossed(40)[["group", "x", "y"]]
    model = LocationModel().fit(table)
    rng, weight = np.random.default_rng(0), np.ones(len(table))
    slopes = []
    for _ in range(100):
        S = model.posterior_draw(table, weight, rng)._state["covariances"][0]
        slopes.append(S[0, 1] / S[0, 0] * model._scale[1] / model._scale[0])
    own = table[table["group"] == "a"]
    fit = np.polyfit(own["x"], own["y"], 1, cov=True)
    assert_allclose(np.mean(slopes), fit[0][0], atol=4 * np.sqrt(fit[1][0, 0] / 100))
    assert_allclose(np.std(slopes), np.sqrt(fit[1][0, 0]), rtol=0.35)  # 100 draws of a t


@pytest.mark.parametrize(
    ("values", "message"), [(np.nan, "column 'x1' .*no value"), (1e200, "squares of column 'x1'")]
)
def test_columns_that_say_nothing_are_refused(values, message):
    table = INCOMPLETE.copy()
    table[:, 1] = values * np.arange(len(table))
    with pytest.raises(ValueError, match=f"(?i){message}"):
        MultipleImputer(n_imputations=2).fit(table)


def test_columns_that_repeat_or_stand_still():
    table = np.column_stack([INCOMPLETE, TABLE[:, 0], np.ones(len(TABLE))])
    for rows in MultipleImputer(n_imputations=2, random_state=0).fit(table).transform_all(table):
        assert np.isfinite(rows).all()
        assert_array_equal(rows[:, 4], 1.0)
    table[::4, 3] = np.nan
    rows = MultipleImputer(n_imputations=1, random_state=0).fit(table).transform(table)
    assert_allclose(rows[:, 3], TABLE[:, 0], atol=1e-3)
