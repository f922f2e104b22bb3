"""A family of its own for each column: given, or chosen by AIC; text; holes."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import DensityChain, MLEDensity, compare_densities, fit_family, score_test, wald_test

RNG = np.random.default_rng(0)
N = 150
FRAME = pd.DataFrame(
    {
        "age": RNG.gamma(4, 10, N),
        "visits": RNG.poisson(3, N),
        "sex": RNG.choice(["f", "m", "x"], N),
        "share": RNG.beta(2, 3, N),
        "change": RNG.normal(size=N),
        "smokes": RNG.random(N) < 0.3,
    }
)
HOLES = FRAME.assign(sex=FRAME["sex"].astype(object))
HOLES.loc[:30, "age"] = np.nan
HOLES.loc[40:45, "sex"] = None
FAMILIES = {
    "age": "weibull",
    "visits": "poisson",
    "sex": "categorical",
    "share": "beta",
    "change": stats.logistic,
    "smokes": "bernoulli",
}


def chosen(model):
    return [family.name for family in model._families]


@pytest.fixture(scope="module")
def auto():
    return MLEDensity("auto").fit(HOLES)


def test_each_column_is_fitted_to_the_values_that_it_has(auto):
    known = HOLES["age"].dropna()
    names = chosen(auto)
    assert names[1:3] == ["poisson", "categorical"]
    assert names[3:] == ["beta", "normal", "categorical"]
    alone = fit_family(known, names[0])
    for name, value in alone.params_.items():
        assert auto.params_[f"{name}[age]"] == value
        assert auto.standard_errors()[f"{name}[age]"] == alone.standard_errors()[name]
        for method in ("auto", "wald", "score", "profile"):
            found = auto.confidence_intervals(0.9, method)[f"{name}[age]"]
            assert found == alone.confidence_intervals(0.9, method)[name]
    shares = HOLES["sex"].value_counts(normalize=True).sort_index()
    assert_allclose(auto.params_["p[sex]"], shares)
    assert auto.n_params_ == 2 + 1 + 2 + 2 + 2 + 1


def test_the_choice_has_the_smallest_aic():
    others = ["exponential", "gamma", "weibull", "lognormal", "log_logistic", "inverse_gaussian"]
    x = FRAME["age"]
    model = MLEDensity("auto").fit(FRAME[["age"]])
    assert model.aic() <= min(fit_family(x, family).aic() for family in others)
    assert (model.sample(1000, 0)["age"] > 0).all()
    spread = RNG.negative_binomial(1, 0.1, 300)
    assert chosen(MLEDensity("auto").fit(pd.DataFrame({"n": spread})))[0] in (
        "negative_binomial",
        "geometric",
    )


def test_scores_add_up_over_columns(auto):
    rows = FRAME.iloc[50:60]
    total = 0.0
    for j, name in enumerate(FRAME):
        column, family = HOLES[name].dropna(), auto._families[j]
        alone = MLEDensity(family) if name not in ("sex", "smokes") else MLEDensity("categorical")
        total = total + alone.fit(column.to_frame()).score_samples(rows[[name]])
    assert_allclose(auto.score_samples(rows), total, rtol=1e-12)
    again = pickle.loads(pickle.dumps(auto))
    assert (again.score_samples(rows) == auto.score_samples(rows)).all()
    assert auto.score_samples(rows.assign(sex="never seen")).tolist() == [-np.inf] * 10


@pytest.mark.parametrize("family", ["auto", FAMILIES, list(FAMILIES.values())], ids=type)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_draws_have_the_columns_and_dtypes_of_the_table(family, library):
    frame = FRAME if library == "pandas" else pl.from_pandas(FRAME)
    model = MLEDensity(family).fit(frame)
    drawn = model.sample(200, 0)
    assert type(drawn) is type(frame)
    assert list(drawn.dtypes) == list(frame.dtypes)
    assert np.isfinite(model.score_samples(drawn)).all()
    drawn = drawn.to_pandas() if library == "polars" else drawn
    assert abs((drawn["sex"] == "f").mean() - (FRAME["sex"] == "f").mean()) < 0.12


def test_holes_are_imputed_and_nothing_else(auto):
    filled = auto.impute(HOLES, random_state=0)
    assert not filled.isna().any().any()
    there = HOLES.notna()
    assert (filled[there].fillna(0) == HOLES[there].fillna(0)).all().all()


def test_constants_are_learnt_and_parameters_fixed_by_column():
    model = MLEDensity(FAMILIES, fixed={"age": {"shape": 2.0}}).fit(FRAME)
    assert model.params_["shape[age]"] == 2.0
    alone = fit_family(FRAME["age"], "weibull", fixed={"shape": 2.0})
    assert model.params_["scale[age]"] == alone.params_["scale"]
    own = fit_family(FRAME["change"], "logistic")
    assert_allclose(model.params_["loc[change]"], own.params_["loc"], rtol=1e-7)
    assert model.params_["p[smokes]"] == FRAME["smokes"].mean()
    robust = model.standard_errors("robust", X=FRAME)["scale[age]"]
    assert robust == alone.standard_errors("robust", X=FRAME[["age"]])["scale"]


def test_weights_are_repetitions_column_by_column():
    weight = np.arange(N) % 3
    one = MLEDensity("auto").fit(HOLES, sample_weight=weight)
    many = MLEDensity("auto").fit(HOLES.loc[HOLES.index.repeat(weight)])
    assert chosen(one) == chosen(many)
    for name, value in one.params_.items():
        assert_allclose(many.params_[name], value, rtol=1e-9)


def test_the_summary_names_families_and_values(auto):
    text = str(auto.summary())
    assert "age: " in text
    assert ", 119 values. " in text
    assert "visits: poisson, 150 values. Poisson distribution with mean mu." in text
    assert "p1[sex]" in text


def test_text_is_categories():
    column = pd.Series(["no", "yes", "no", "no"], name="answer")
    for x in (column, pl.Series("answer", column), np.array(column), list(column)):
        model = fit_family(x, "categorical")
        assert_allclose(model.params_["p"], [0.75, 0.25])
        table = model.sample(50, 0)
        values = table["answer"] if hasattr(table, "columns") else table[:, 0]
        assert set(values) == {"no", "yes"}
    frame = MLEDensity("categorical").partial_fit(column.to_frame()).partial_fit(column)
    assert frame.n_observations_ == 8
    codes = fit_family([0.0, 1.0, 0.0, 0.0], "categorical")
    assert_allclose(codes.params_["p"], [0.75, 0.25])
    tested = score_test(MLEDensity("categorical"), column.to_frame(), {"p1": 0.5})
    assert_allclose(tested.statistic, 1.0)  # Pearson's, with 3 and 1 where 2 and 2 are expected


def test_what_is_refused(auto):
    cases = [
        ({**FAMILIES, "agee": "gamma"}, r"names the column 'agee'.*Did you mean 'age'\?"),
        ({"age": "gamma"}, r"no entry for the columns \['visits', "),
        (["gamma"], "an entry for each of the 6 columns"),
        ({**FAMILIES, "age": "gama"}, "Did you mean 'gamma'"),
        ({**FAMILIES, "change": "gamma"}, "needs numbers > 0 .* column 'change'"),
        ({**FAMILIES, "sex": "gamma"}, "Column 'sex' of X holds values that are not numbers"),
        ({**FAMILIES, "age": "multivariate_normal"}, "is of the whole row"),
    ]
    for family, words in cases:
        with pytest.raises(ValueError, match=words):
            MLEDensity(family).fit(FRAME)
    with pytest.raises(ValueError, match="no family has an estimate for column 'c'"):
        MLEDensity("auto").fit(pd.DataFrame({"c": [1.5, 1.5, 1.5]}))
    with pytest.raises(ValueError, match="Column 'c' has no values"):
        MLEDensity("auto").fit(pd.DataFrame({"c": [np.nan, np.nan], "d": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="fixed must map columns"):
        MLEDensity(FAMILIES, fixed={"shape": 2.0}).fit(FRAME)
    assert not hasattr(auto, "partial_fit")
    words = r"fit the column of interest alone, by fit_family\(X\['age'\]"
    for refused in (
        lambda: score_test(auto, HOLES, {"mu[visits]": 3.0}),
        lambda: wald_test(auto, HOLES, {"mu[visits]": 3.0}),
        lambda: auto.confidence_intervals(of="mean"),
        lambda: auto.confidence_intervals(method="bootstrap", X=FRAME),
    ):
        with pytest.raises(ValueError, match=words):
            refused()


def test_two_of_them_are_compared():
    numbers = FRAME[["age", "share"]]
    one, two = MLEDensity("auto"), MLEDensity({"age": "normal", "share": "normal"})
    found = compare_densities(one.fit(numbers), two.fit(numbers), numbers)
    assert found.difference > 0


def test_the_base_measure_is_that_of_each_family():
    table = pd.DataFrame(
        {"n": [0, 3, 1, 2, 5], "size": [1.2, 0.4, 2.2, 0.9, 1.1], "sex": [*"fmffm"]}
    )
    model = MLEDensity({"n": "poisson", "size": "gamma", "sex": "categorical"}).fit(table)
    assert model.base_measure_ == {"n": "counting", "size": "Lebesgue", "sex": "counting"}
    chain = DensityChain(n_orders=1, random_state=0).fit(table)
    assert compare_densities(model, chain, table).n_rows == len(table)
