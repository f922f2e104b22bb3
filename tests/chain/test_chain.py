"""DensityChain: exact on tables whose truth is known, with categories, atoms, holes, conditions."""

import itertools
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_info, threadpool_limits

from skgm import DensityChain
from skgm.chain._factor import Training, fit_factor
from skgm.chain._linear import NormalModel
from skgm.chain._splits import Splits
from skgm.tables._margins import learn_margin

RNG = np.random.default_rng(0)


def coins(n, d, seed=0):
    return pd.DataFrame(np.random.default_rng(seed).integers(0, 2, (n, d)) == 1).rename(
        columns=lambda j: f"coin{j}"
    )


def mixed(n, seed=0):
    """A category that moves a number, a count that follows it, and zeros."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
    mean = pd.Series(kind).map({"a": 0.0, "b": 4.0, "c": 8.0}).to_numpy()
    size = mean + rng.normal(size=n)
    count = rng.poisson(np.exp(0.2 * np.clip(size, 0, 9)))
    gain = np.where(rng.random(n) < 0.7, 0.0, rng.lognormal(size=n))
    return pd.DataFrame({"kind": kind, "size": size, "count": count, "gain": gain})


@pytest.fixture(scope="module")
def table():
    return mixed(400)


@pytest.fixture(scope="module")
def chain(table):
    return DensityChain(n_orders=2, random_state=0).fit(table)


@pytest.mark.parametrize("d", [3, 8])
def test_fair_coins_score_as_independent_columns(d):
    chain = DensityChain(n_orders=1, random_state=0).fit(coins(500, d))
    assert chain.score(coins(500, d, seed=1)) == pytest.approx(-d * np.log(2), abs=0.03)


def test_probabilities_of_all_states_sum_to_one_also_of_parts_of_rows():
    X = coins(300, 3)
    X["coin2"] = X["coin0"] ^ (RNG.random(300) < 0.1)
    chain = DensityChain(random_state=0).fit(X)
    states = pd.DataFrame(itertools.product([False, True], repeat=3), columns=X.columns)
    assert np.exp(chain.score_samples(states)).sum() == pytest.approx(1)
    part = states.astype(object)
    part["coin1"] = None
    assert np.exp(chain.score_samples(part)).sum() == pytest.approx(2)  # every part comes twice


def test_dependence_is_found():
    """A copy of a column with one flip in ten: 10 binary columns, five pairs."""
    rng = np.random.default_rng(0)
    left = rng.integers(0, 2, (1000, 5))
    X = np.hstack([left, left ^ (rng.random((1000, 5)) < 0.1)]).astype(float)
    truth = -5 * np.log(2) + 5 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert DensityChain(n_orders=1, random_state=0).fit(X[:800]).score(X[800:]) > truth - 0.25


def test_table_comes_back_as_the_kinds_it_has(chain, table):
    rows = chain.sample(500, random_state=0)
    assert rows.dtypes.equals(table.dtypes)
    assert set(rows["kind"]) == {"a", "b", "c"}
    assert (rows["gain"] >= 0).all()
    assert (rows["gain"] == 0).mean() == pytest.approx((table["gain"] == 0).mean(), abs=0.02)
    assert chain.atoms_["gain"] == {0.0: pytest.approx((table["gain"] == 0).mean(), abs=0.01)}


def test_draws_have_the_dependence_of_the_table(chain, table):
    rows = chain.sample(3000, random_state=0)
    for kind, part in table.groupby("kind")["size"]:
        drawn = rows.loc[rows["kind"] == kind, "size"]
        assert drawn.mean() == pytest.approx(part.mean(), abs=0.35)
        assert drawn.std() == pytest.approx(part.std(), rel=0.35)


def test_the_score_is_near_that_of_the_truth(chain):
    rows = mixed(2000, seed=1)
    mean = rows["kind"].map({"a": 0.0, "b": 4.0, "c": 8.0}).to_numpy()
    rate = np.exp(0.2 * np.clip(rows["size"], 0, 9))
    truth = np.log(rows["kind"].map({"a": 0.5, "b": 0.3, "c": 0.2}))
    truth = (
        truth + stats.norm.logpdf(rows["size"], mean) + stats.poisson.logpmf(rows["count"], rate)
    )
    positive = stats.lognorm.logpdf(np.maximum(rows["gain"], 1e-9), 1) + np.log(0.3)
    truth = truth + np.where(rows["gain"] == 0, np.log(0.7), positive)
    assert chain.score(rows) == pytest.approx(truth.mean(), abs=0.45)
    assert chain.score(rows) < truth.mean() + 0.05


def test_classes_follow_from_bayes_rule_wherever_the_column_stands(chain, table):
    rows = mixed(500, seed=2)
    probability = chain.predict_proba(rows, "kind")
    assert probability.sum(axis=1) == pytest.approx(1)
    joint = [chain.score_samples(rows.assign(kind=kind)) for kind in "abc"]
    assert pytest.approx(probability) == np.exp(joint - np.logaddexp.reduce(joint)).T
    assert (np.array(list("abc"))[probability.argmax(axis=1)] == rows["kind"]).mean() > 0.93


def test_conditions_of_every_pattern_are_met(chain, table):
    """Rows far from one another in a number ask for categories, and the other way around."""
    asked = table.head(2).astype(object)
    asked.loc[:, :] = None
    asked.loc[asked.index[0], "size"] = 0.0
    asked.loc[asked.index[1], "size"] = 8.2
    rows = chain.sample(200, random_state=0, given=asked.convert_dtypes().astype({"size": float}))
    assert (rows["kind"].iloc[:200] == "a").mean() > 0.9
    assert (rows["kind"].iloc[200:] == "c").mean() > 0.85
    asked = pd.DataFrame({"kind": ["b"], "size": [np.nan], "count": [np.nan], "gain": [0.0]})
    rows = chain.sample(400, random_state=0, given=asked)
    assert (rows["kind"] == "b").all()
    assert (rows["gain"] == 0).all()
    assert rows["size"].mean() == pytest.approx(4.0, abs=0.4)


def test_the_filter_estimates_the_density_of_what_is_known(chain):
    """Its mean weight is compared with a sum over the holes, which shares no code with it."""
    rows = mixed(3, seed=5)
    coded = chain._begin_scoring(rows)
    coded[:, 0] = np.nan
    single = chain._model()[0]
    _, log_weight = single.complete(coded, 4000, np.random.default_rng(0))
    found = np.logaddexp.reduce(log_weight, axis=1) - np.log(log_weight.shape[1])
    each = []
    for code in range(3):
        coded[:, 0] = code
        each.append(single.log_density(coded))
    assert found == pytest.approx(np.logaddexp.reduce(each, axis=0), abs=0.1)


@pytest.mark.slow
def test_holes_in_training_rows(table):
    rng = np.random.default_rng(3)
    holed = table.astype({"count": float}).mask(rng.random(table.shape) < 0.2)
    chain = DensityChain(n_orders=1, random_state=0, integer_features=["count"]).fit(holed)
    complete = mixed(1000, seed=1)
    whole = DensityChain(n_orders=1, random_state=0).fit(table)
    assert chain.score(complete) > whole.score(complete) - 0.35
    filled = chain.impute(holed, random_state=0)
    assert not filled.isna().any().any()
    kept = holed.notna().to_numpy()
    assert (filled.to_numpy()[kept] == holed.to_numpy()[kept]).all()
    hidden = holed["kind"].isna() & holed["size"].notna()
    assert (filled["kind"] == table["kind"])[hidden].mean() > 0.85


def test_balanced_tables_keep_shares_more_closely_than_independent_rows():
    X = coins(400, 4)
    chain = DensityChain(n_orders=1, random_state=0).fit(X)
    share = X.mean().to_numpy()
    errors = [
        np.mean(
            [
                (chain.sample(100, random_state=s, balanced=balanced).mean() - share) ** 2
                for s in range(20)
            ]
        )
        for balanced in (True, False)
    ]
    assert errors[0] < errors[1] / 4


@pytest.mark.slow
def test_calibration_keeps_the_margins():
    X = load_iris().data
    chains = [DensityChain(n_orders=1, calibrate=c, random_state=0).fit(X) for c in (True, False)]
    gaps = [np.abs(c.sample(3000, random_state=0).mean(axis=0) - X.mean(axis=0)) for c in chains]
    assert (gaps[0] / X.std(axis=0)).max() < 0.05
    assert gaps[0].mean() <= gaps[1].mean() + 0.01


class CountsThreads(LogisticRegression):
    """Logistic regression that notes on how many OpenMP threads it was fitted."""

    threads: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        found = threadpool_info()
        self.threads += [one["num_threads"] for one in found if one["user_api"] == "openmp"]
        return super().fit(X, y, sample_weight)


def test_few_rows_are_fitted_on_one_thread():
    X = np.random.default_rng(0).normal(size=(60, 2))
    with threadpool_limits(2, user_api="openmp"):
        DensityChain(CountsThreads(), n_orders=1, random_state=0).fit(X)
    assert set(CountsThreads.threads) == {1}


@pytest.mark.parametrize("estimator", [LogisticRegression(), LogisticRegression(C=0.1)])
def test_other_classifiers(estimator, table):
    chain = DensityChain(estimator, n_orders=1, random_state=0).fit(table[["size", "count"]])
    assert np.isfinite(chain.score(table[["size", "count"]]))


def test_a_classifier_without_weights_is_refused_where_rows_repeat():
    X = np.repeat(coins(10, 2).to_numpy(float), [1, 2] * 5, axis=0)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        DensityChain(KNeighborsClassifier()).fit(X)


def test_order_by_names_and_by_numbers(table):
    part = table[["kind", "size"]]
    by_name = DensityChain(order=["size", "kind"], random_state=0).fit(part)
    by_number = DensityChain(order=[1, 0], random_state=0).fit(part)
    assert by_name.orders_ == by_number.orders_ == [[1, 0]]
    assert by_name.score(part) == by_number.score(part)
    for order in (["size"], ["size", "size"], ["size", "weight"]):
        with pytest.raises(ValueError, match="order must name each of the 2 columns"):
            DensityChain(order=order).fit(part)


def test_errors_name_column_and_cure(chain, table):
    with pytest.raises(ValueError, match=r"'kind'.*'z' at row 0, which fit has not seen"):
        chain.score_samples(table.head(1).assign(kind="z"))
    with pytest.raises(ValueError, match=r"'size' holds numbers"):
        chain.predict_proba(table, "size")
    with pytest.raises(AttributeError, match="predict_proba"):
        DensityChain(n_orders=1).fit(table[["size"]]).predict_proba(table, "size")
    with pytest.raises(ValueError, match="no column 'weight'"):
        chain.predict_proba(table, "weight")
    with pytest.raises(ValueError, match=r"Column 'size' of X has no value at all"):
        DensityChain().fit(table.assign(size=np.nan))
    with pytest.raises(ValueError, match="infinity"):
        DensityChain().fit(table.assign(size=np.inf))


def test_rows_outside_a_one_sided_support_have_no_density(chain, table):
    assert np.isneginf(chain.score_samples(table.head(2).assign(gain=-1.0))).all()
    assert np.isfinite(chain.score_samples(table.head(2).assign(gain=1e9))).all()


def test_the_number_of_jobs_changes_no_bit(table):
    one, two = (DensityChain(n_orders=1, random_state=0, n_jobs=n).fit(table) for n in (1, 2))
    assert np.array_equal(one.score_samples(table), two.score_samples(table))
    assert one.sample(20, random_state=0).equals(two.sample(20, random_state=0))


@pytest.mark.slow
def test_of_many_features_those_that_tell_cells_apart_are_screened():
    """One that moves the mean, one that moves the spread, and holes, among 150 columns."""
    rng = np.random.default_rng(0)
    prefix = rng.normal(size=(300, 150))
    prefix[rng.random(prefix.shape) < 0.1] = np.nan
    x = np.nan_to_num(prefix[:, 7] + (np.abs(prefix[:, 90]) > 1)) + 0.1 * rng.normal(size=300)
    margin = learn_margin(x, np.ones(300), {"kind": "number"}, 8)
    training = Training(None, np.ones(300), rng.random(300), 0)
    factor = fit_factor(prefix, x, margin, training)
    assert len(factor.chosen) == 50
    assert {7, 90} <= set(factor.chosen)
    fresh = rng.normal(size=(300, 150))
    gain = factor.log_density(fresh, fresh[:, 7]) - margin.log_density(fresh[:, 7])
    assert gain.mean() > 0.3


@pytest.mark.slow
def test_a_new_category_has_the_probability_of_one_row_more(table):
    """Over the cities and "new" the probabilities sum to one, whatever the other columns."""
    chain = DensityChain(n_orders=2, random_state=0, handle_unknown="ignore")
    part = table[["kind", "size"]]
    chain.fit(part)
    rows = part.head(5)
    share = 1 / (len(table) + 1)
    holed = DensityChain(n_orders=2, random_state=0).fit(part)
    marginal = holed.score_samples(rows.assign(kind=None))
    new = chain.score_samples(rows.assign(kind="z"))
    assert new == pytest.approx(marginal + np.log(share))
    old = holed.score_samples(rows) + np.log1p(-share)
    assert chain.score_samples(rows) == pytest.approx(old)
    assert chain.predict_proba(rows.assign(kind="z"), "kind") == pytest.approx(
        holed.predict_proba(rows, "kind")
    )
    with pytest.raises(ValueError, match="'z' at row 0, which fit has not seen"):
        chain.impute(rows.assign(kind="z"))


def test_declared_categories_without_rows_and_fractions_have_no_density(table):
    levels = pd.CategoricalDtype(["a", "b", "c", "never"])
    chain = DensityChain(n_orders=1, random_state=0).fit(table.astype({"kind": levels}))
    rows = table.head(3).astype({"kind": levels, "count": float})
    rows.iloc[0, 0] = "never"
    rows.iloc[1, 2] += 0.5
    assert np.isneginf(chain.score_samples(rows)).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="'never', a category without training rows"):
        chain.sample(1, given=rows.head(1))
    chain.set_params(handle_unknown="ignore")
    assert np.isfinite(chain.score_samples(rows)).tolist() == [True, False, True]


def test_atoms_may_be_named(table):
    part = table[["size", "gain"]].copy()
    part.loc[:2, "size"] = -999.0
    chain = DensityChain(n_orders=1, random_state=0, atoms={"size": -999}).fit(part)
    assert chain.atoms_["size"] == {-999.0: pytest.approx(3 / 401)}
    assert chain.base_measure_["size"] == "Lebesgue, and counting at [-999.0]"
    about = {column["name"]: column for column in chain.columns_}
    assert about["gain"]["support"] == "non-negative"
    assert about["size"]["holes"] == 0.0
    for atoms, words in (({"weight": 0}, "names a column 'weight'"), ({"kind": 0}, "own already")):
        with pytest.raises(ValueError, match=words):
            DensityChain(atoms=atoms).fit(table)


@pytest.mark.parametrize("holes", [False, True])
def test_codes_between_and_beyond_the_recorded_ones_are_never_drawn(holes):
    """In tables of 300 rows each column would show about one of them in 300 draws."""
    rng = np.random.default_rng(0)
    values = {f"c{j}": rng.choice([1, 2 + j, 9 + 5 * j], 300) for j in range(8)}
    frame = pd.DataFrame(values).astype("Int64")
    if holes:
        frame = frame.mask(rng.random(frame.shape) < 0.2)
    chain = DensityChain(DummyClassifier(), random_state=0).fit(frame)
    drawn = [chain.sample(3000, random_state=0, balanced=b) for b in (True, False)]
    drawn.append(chain.impute(frame.mask(rng.random(frame.shape) < 0.5), random_state=0))
    for name, codes in values.items():
        assert all(set(rows[name]) <= set(codes) for rows in drawn)


def test_categories_of_a_short_table_are_sure_far_from_the_boundary():
    """Trees alone leave every kind a few per cent everywhere, and drawn rows a wide scatter."""
    rng = np.random.default_rng(0)
    kind = np.repeat(["a", "b", "c"], 30)
    frame = pd.DataFrame({"x": rng.normal(np.repeat([0.0, 10.0, 20.0], 30)), "kind": kind})
    chain = DensityChain(order=["x", "kind"], random_state=0).fit(frame)
    share = chain.predict_proba(pd.DataFrame({"x": [0.0, 10.0, 20.0], "kind": "a"}), column="kind")
    assert (np.diag(share) > 0.99).all()
    rows = chain.sample(6000, random_state=0)
    nearest = np.abs(rows["x"].to_numpy()[:, None] - [0.0, 10.0, 20.0]).argmin(axis=1)
    assert (np.array(["a", "b", "c"])[nearest] != rows["kind"]).mean() < 0.002
    assert rows.loc[rows["kind"] == "b", "x"].std() < 1.2  # 1; the others have the tails of x
    holes = pd.DataFrame({"x": np.nan, "kind": ["a", "b", "c"]})
    assert np.exp(chain.score_samples(holes)).sum() == pytest.approx(1.0)


def test_a_normal_regression_gives_cells_the_probability_of_its_law():
    """Mean and scale depend on a feature with holes: log-odds against those of scipy's normal."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=4000)
    x = 3 + 2 * z + np.exp(0.5 * z - 1) * rng.normal(size=len(z))
    edges = np.quantile(x, np.arange(1, 8) / 8)
    splits = Splits.of(np.full(8, 1 / 8))
    model = NormalModel.fit(z[:, None], x, edges, np.full(8, 1 / 8), np.ones(len(z)))
    at = np.array([[-1.0], [0.0], [0.5]])
    law = stats.norm(3 + 2 * at, np.exp(0.5 * at - 1))
    whole = np.concatenate([[-np.inf], edges, [np.inf]])

    def mass(low, high):
        return law.cdf(whole[high]) - law.cdf(whole[low])

    wanted = mass(splits.middle, splits.high) / np.maximum(mass(splits.low, splits.high), 1e-9)
    found = 1 / (1 + np.exp(-model.log_odds(at, splits)))
    likely = mass(splits.low, splits.high) > 0.02
    assert found[likely] == pytest.approx(wanted[likely], abs=0.03)
    assert np.isfinite(model.log_odds(np.array([[np.nan], [1e9]]), splits)).all()


def test_few_rows_of_separate_classes_are_drawn_within_their_classes():
    """Trees alone leave a class a few per cent of the others, twenty deviations away."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 150)
    first = 20.0 * kind + rng.normal(size=150)
    frame = pd.DataFrame({"x": first, "y": first + rng.normal(size=150), "kind": kind})
    frame = frame.astype({"kind": "category"})
    chain = DensityChain(random_state=0).fit(frame)
    assert [order[0] for order in chain.orders_] == [2, 2]  # the class first, whatever the table
    drawn = chain.sample(600, random_state=0)
    away = (drawn["x"] - 20.0 * drawn["kind"].astype(float)).abs()
    assert (away > 8).mean() < 0.02
    assert (drawn["y"] - drawn["x"]).abs().quantile(0.9) < 4
