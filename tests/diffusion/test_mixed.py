"""Tables of numbers, whole numbers and categories: what goes in comes out, with its probability."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from skgm import DDPM, DensityChain, DensityClassifier

QUICK = {"max_iter": 60, "random_state": 0}
LEVELS = ["low", "mid", "high", "never"]
SHARE = np.array([0.5, 0.35, 0.15])
N = 600


def draw_truth(n, seed):
    """Level c, a number x about it, a count k that grows with x, and an answer that hangs on c."""
    rng = np.random.default_rng(seed)
    c = rng.choice(3, size=n, p=SHARE)
    x = rng.normal(1.5 * c, 0.5)
    k = rng.poisson(np.exp(0.4 * x))
    answer = rng.random(n) < np.array([0.2, 0.5, 0.9])[c]
    return c, x, k, answer


def make_frame(library, n=N, seed=0):
    c, x, k, answer = draw_truth(n, seed)
    level = np.array(LEVELS)[c]
    if library == "polars":
        level = pl.Series(level, dtype=pl.Enum(LEVELS))
        columns = {"x": x.astype(np.float32), "k": k.astype(np.int16), "level": level}
        return pl.DataFrame(columns | {"answer": answer, "name": np.array(["a", "b", "c"])[c]})
    level = pd.Categorical(level, categories=LEVELS, ordered=True)
    columns = {"x": x.astype(np.float32), "k": k.astype(np.int16), "level": level}
    columns |= {"answer": answer, "name": np.array(["a", "b", "c"])[c]}
    return pd.DataFrame(columns, index=range(7, 7 + n))


def dtypes_of(frame):
    return list(frame.dtypes)


@pytest.fixture(scope="module")
def frame():
    return make_frame("pandas").drop(columns="name")


@pytest.fixture(scope="module")
def model(frame):
    return DDPM(max_iter=1500, random_state=0).fit(frame)


@pytest.fixture(scope="module")
def drawn(model):
    return model.sample(20_000, random_state=0)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_come_back_as_they_were(library):
    frame = make_frame(library)
    model = DDPM(**QUICK).fit(frame)
    rows = model.sample(50, random_state=0)
    assert type(rows) is type(frame)
    assert list(rows.columns) == list(frame.columns)
    assert dtypes_of(rows) == dtypes_of(frame)
    assert model.n_features_in_ == 5
    assert list(model.feature_names_in_) == list(frame.columns)
    assert model.log_density_kind_ == "lower_bound"


@pytest.mark.parametrize(
    "dtype", ["object", "str", "string", "category", "boolean", "Int64", "bool", "uint8"]
)
def test_every_dtype_of_pandas_comes_back(dtype):
    values = np.array(["u", "v"] if dtype in ("object", "str", "string", "category") else [0, 1])
    frame = pd.DataFrame({"x": np.arange(40.0), "y": np.resize(values, 40)}).astype({"y": dtype})
    rows = DDPM(**QUICK).fit(frame).sample(9, random_state=0)
    assert rows["y"].dtype == frame["y"].dtype
    assert set(rows["y"].tolist()) <= set(values.tolist())


def test_names_that_are_no_text_and_several_levels_come_back():
    frame = pd.DataFrame({0: np.arange(20.0), 1: ["a", "b"] * 10})
    assert list(DDPM(**QUICK).fit(frame).sample(2).columns) == [0, 1]
    frame.columns = pd.MultiIndex.from_tuples([("p", "x"), ("q", "y")], names=["one", "two"])
    assert DDPM(**QUICK).fit(frame).sample(2).columns.equals(frame.columns)


@pytest.mark.slow
def test_the_marginals_are_those_of_the_table(frame, drawn):
    """To within the sampling error of the training table, which no model can know better."""
    for column, levels in (("level", LEVELS[:3]), ("answer", [True, False])):
        for value in levels:
            share = (frame[column] == value).mean()
            error = np.sqrt(share * (1 - share) * (1 / N + 1 / len(drawn)))
            assert abs((drawn[column] == value).mean() - share) < 3 * error
    assert not (drawn["level"] == "never").any()
    assert drawn["k"].between(frame["k"].min(), frame["k"].max()).all()
    assert abs(drawn["k"].mean() - frame["k"].mean()) < 3 * frame["k"].std() / np.sqrt(N)


def test_the_dependence_is_that_of_the_table(frame, drawn):
    for level in LEVELS[:3]:
        real, fake = frame[frame["level"] == level], drawn[drawn["level"] == level]
        error = np.sqrt(real["x"].var() / len(real))
        assert abs(fake["x"].mean() - real["x"].mean()) < 4 * error
        assert 0.8 < fake["x"].std() / real["x"].std() < 1.25
        p = real["answer"].mean()
        assert abs(fake["answer"].mean() - p) < 4 * np.sqrt(p * (1 - p) / len(real)) + 0.01


def test_scores_of_categories_are_the_exact_probabilities_of_what_sample_draws():
    """Of a table of categories alone, all cells: they sum to one, and are sampled as often."""
    n, rng = 20_000, np.random.default_rng(0)
    a = rng.choice(3, size=800, p=SHARE)
    b = rng.random(800) < np.array([0.1, 0.5, 0.8])[a]
    frame = pd.DataFrame({"a": np.array(["u", "v", "w"])[a], "b": b})
    model = DDPM(random_state=0).fit(frame)
    assert model.log_density_kind_ == "exact"
    cells = pd.DataFrame({"a": np.repeat(["u", "v", "w"], 2), "b": [False, True] * 3})
    probability = np.exp(model.score_samples(cells))
    assert_allclose(probability.sum(), 1, rtol=1e-9)
    drawn = model.sample(n, random_state=0).value_counts()
    share = np.array([drawn.get((a, b), 0) for a, b in cells.itertuples(index=False)]) / n
    assert np.abs(share - probability).max() < 4 * 0.5 / np.sqrt(n)
    known = pd.DataFrame({"a": ["w"] * 2, "b": np.array([None, None], dtype=object)})
    rows = model.sample(2000, random_state=0, given=known)  # the first category is known
    p = probability[5] / probability[4:].sum()
    assert abs(rows["b"].mean() - p) < 4 * np.sqrt(p * (1 - p) / 2000)
    known = pd.DataFrame({"a": np.array([None], dtype=object), "b": [True]})
    rows = model.sample(2000, random_state=0, given=known)  # the last one: by weights
    p = probability[[1, 3, 5]] / probability[[1, 3, 5]].sum()
    shares = np.array([(rows["a"] == value).mean() for value in "uvw"])
    assert np.abs(shares - p).max() < 0.05


def test_a_dozen_distinct_rows_are_enough_to_learn_a_dependence():
    """Trees see distinct rows with weights, and their leaves must not ask for more of them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.choice(list("xyz"), 300), "b": rng.random(300) < 0.3})
    y = np.where(frame["b"], "yes", "no")
    both = frame.assign(same=y)
    truth = -np.log(3) - stats.bernoulli(0.3).entropy()
    for model in (DDPM(random_state=0), DensityChain(n_orders=1, random_state=0)):
        assert abs(model.fit(both).score(both) - truth) < 0.1
    model = DDPM(class_conditional=True, random_state=0).fit(frame, y)
    assert (model.predict(frame) == y).all()


@pytest.mark.parametrize("n_columns", [3, 12])
def test_fair_coins_are_fair(n_columns):
    """Within a tenth of a nat of the truth: no bound, whatever the number of columns."""
    rng = np.random.default_rng(0)
    train, test = (
        pd.DataFrame(rng.random((n, n_columns)) < 0.5).add_prefix("c") for n in (2000, 1000)
    )
    assert abs(DDPM(random_state=0).fit(train).score(test) + n_columns * np.log(2)) < 0.1


def test_whole_numbers_have_the_mass_of_their_cell():
    """A network of zeros is a normal law, whose cells are known; narrow and wide ones."""
    rng = np.random.default_rng(0)
    for spread, gap in ((0.6, 0.05), (3.0, 5e-3)):
        frame = pd.DataFrame({"k": np.rint(rng.normal(5, spread, size=400)).astype(int)})
        model = DDPM(learning_rate=1e-30, **QUICK).fit(frame)
        k = np.unique(frame["k"])
        scale = np.sqrt((frame["k"].var(ddof=0) + 1 / 12) * (1 + 0.02**2))
        law = stats.norm(frame["k"].mean(), scale)
        exact = np.log(law.cdf(k + 0.5) - law.cdf(k - 0.5))
        bound = model.score_samples(pd.DataFrame({"k": k}))
        assert_allclose(bound, exact, atol=2 * gap)  # below on average over the noise alone
        assert abs(np.sum(np.exp(exact) * (exact - bound))) < gap


def test_held_out_bounds_are_near_the_truth(model):
    c, x, k, answer = draw_truth(200, 1)
    test = make_frame("pandas", 200, 1).drop(columns="name")
    p = np.array([0.2, 0.5, 0.9])[c]
    truth = np.log(SHARE[c]) + stats.norm(1.5 * c, 0.5).logpdf(x)
    truth += stats.poisson(np.exp(0.4 * x)).logpmf(k) + np.log(np.where(answer, p, 1 - p))
    gap = truth - model.score_samples(test)
    assert (
        -4 * gap.std() / np.sqrt(200) < gap.mean() < 0.35
    )  # nats; a Gaussian of the codes loses 0.9


def test_a_row_has_one_value(model, frame):
    rows = frame[:6]
    values = model.score_samples(rows)
    assert_allclose(model.score_samples(rows[::-1])[::-1], values, rtol=1e-7)
    assert_allclose(model.score_samples(rows[3:5]), values[3:5], rtol=1e-7)
    assert_array_equal(pickle.loads(pickle.dumps(model)).score_samples(rows), values)


def test_what_cannot_be_has_no_probability(model, frame):
    rows = frame[:3].astype({"k": float})
    rows.iloc[0, 1] += 0.5
    rows.iloc[1, 2] = "never"
    assert_array_equal(np.isneginf(model.score_samples(rows)), [True, True, False])


@pytest.mark.slow
def test_the_chain_bounds_mixed_rows_too(model, frame):
    bound, error = model.elbo(frame[:40], n_steps=20, return_se=True)
    assert 0 < error < 0.2
    assert abs(bound - model.score(frame[:40])) < 1.0  # two models of one network


@pytest.mark.slow
def test_grid_search_runs_on_frames(frame):
    grid = {"scaling": ["standard", "whiten"]}
    search = GridSearchCV(DDPM(max_iter=30, random_state=0), grid, cv=2, error_score="raise")
    assert np.isfinite(search.fit(frame[:80]).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_holes_are_filled_and_the_rest_stays(library):
    frame = make_frame(library)
    model = DDPM(**QUICK).fit(frame)
    whole = make_frame("pandas")[:40].astype({"k": float, "answer": object}).astype(object)
    holes = whole.mask(np.random.default_rng(0).random(whole.shape) < 0.3)
    given = holes.astype({"x": np.float32, "level": pd.CategoricalDtype(LEVELS, ordered=True)})
    if library == "polars":
        listed = {name: [None if v != v else v for v in holes[name]] for name in holes}
        given = pl.DataFrame(listed, schema_overrides={"x": pl.Float32})
    filled = model.impute(given, 0)
    assert type(filled) is type(frame)
    assert dtypes_of(filled) == dtypes_of(frame)
    for name in whole:
        seen = holes[name].notna().to_numpy()
        got = np.array(filled[name].to_list(), dtype=object)
        assert_array_equal(got[seen], whole[name].to_numpy(dtype=object)[seen])
        assert not pd.isna(got).any()
    if library == "pandas":
        assert filled.index.equals(given.index)


def test_missing_categories_are_drawn_given_the_rest(model, frame):
    """Their odds given what is known, from the scores of all completions."""
    given = frame[:3].assign(x=np.float32([0.0, 0.75, 2.2]), k=[1.0, np.nan, np.nan])
    given["level"], given["answer"] = None, [True, False, None]
    given["level"] = given["level"].astype(frame["level"].dtype)
    rows = model.sample(400, random_state=0, given=given)
    shares = [[(part == v).mean() for v in LEVELS[:3]] for part in np.split(rows["level"], 3)]
    every = pd.MultiIndex.from_product([LEVELS[:3], range(12), [False, True]]).to_frame(index=False)
    every.columns = ["level", "k", "answer"]
    for i, (x, known) in enumerate(
        [(0.0, "k == 1 and answer"), (0.75, "not answer"), (2.2, "k>=0")]
    ):
        cells = every.query(known).assign(x=np.float32(x))
        cells["level"] = cells["level"].astype(frame["level"].dtype)
        mass = np.exp(model.score_samples(cells[list(frame.columns)]))
        odds = np.bincount(cells["level"].cat.codes, mass, minlength=3)[:3]
        assert 0.5 * np.abs(np.array(shares[i]) - odds / odds.sum()).sum() < 0.1


def test_missing_numbers_are_drawn_given_categories(model, frame):
    """Nothing but the level is known: x lies where that level has it."""
    given = frame[:2].assign(x=np.float32(np.nan), k=np.nan)
    given["level"] = pd.Categorical(["low", "high"], LEVELS, ordered=True)
    given["answer"] = None
    rows = model.sample(300, random_state=0, given=given)
    low, high = np.split(rows["x"].to_numpy(), 2)
    assert abs(low.mean()) < 0.25
    assert abs(high.mean() - 3.0) < 0.35
    assert (rows["level"].iloc[:300] == "low").all()


def test_known_categories_that_are_rare_given_the_numbers_are_reported():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=800)})
    frame["c"] = np.where(np.arange(800) < 4, "rare", "usual")
    frame["x"] += 5.0 * (frame["c"] == "rare")
    model = DDPM(**QUICK).fit(frame)
    model.sample(5, 0, given=pd.DataFrame({"x": [np.nan], "c": ["usual"]}))  # no warning
    with pytest.warns(ConvergenceWarning, match="1 of 1 rows come from few effective particles"):
        rows = model.sample(5, 0, given=pd.DataFrame({"x": [np.nan], "c": ["rare"]}))
    assert (rows["c"] == "rare").all()
    with pytest.raises(ValueError, match="'c' of X holds the category 'new'"):
        model.sample(5, 0, given=pd.DataFrame({"x": [np.nan], "c": ["new"]}))


@pytest.mark.parametrize("classes", [False, True])
def test_a_new_category_has_the_probability_of_one_row_more(frame, classes):
    y = frame["answer"].astype(str).to_numpy() if classes else None
    names = frame[["x", "level"]].astype({"level": str})
    options = {"max_iter": 30, "random_state": 0, "class_conditional": classes}
    strict = DDPM(**options).fit(names, y)
    model = DDPM(**options, handle_unknown="ignore").fit(names, y)
    numbers = DDPM(**options).fit(names[["x"]], y)  # learned as without categories
    rows, share = names.head(20), 1 / (len(names) + 1)
    new = model.score_samples(rows.assign(level="z"))
    assert new == pytest.approx(numbers.score_samples(rows[["x"]]) + np.log(share), abs=1e-4)
    old = strict.score_samples(rows) + np.log1p(-share)
    assert model.score_samples(rows) == pytest.approx(old, abs=1e-6)
    with pytest.raises(ValueError, match="'z' at row 0, which fit has not seen"):
        strict.score_samples(rows.assign(level="z"))


def test_classes_and_folds_may_lack_a_category():
    rng = np.random.default_rng(0)
    name = np.where(np.arange(60) == 7, "once", rng.choice(["a", "b"], 60))
    frame = pd.DataFrame({"x": rng.normal(size=60), "name": name})
    y = np.where(name == "b", 1, rng.integers(0, 2, 60))
    classifier = DensityClassifier(DDPM(**QUICK)).fit(frame, y)
    assert np.isfinite(classifier.predict_proba(frame)).all()
    density = DDPM(**QUICK, handle_unknown="ignore")
    assert np.isfinite(cross_val_score(density, frame, cv=3)).all()


def test_partial_fit_does_not_go_on_from_a_chain(frame):
    with pytest.raises(ValueError, match="partial_fit cannot go on from a fit with columns of cat"):
        DDPM(**QUICK).fit(frame[:60]).partial_fit(frame[60:90])


@pytest.mark.slow
def test_classes_and_mixed_columns(frame):
    y = np.where(frame["x"] > 0.8, "big", "small")
    model = DDPM(class_conditional=True, max_iter=800, random_state=0).fit(frame, y)
    rows, labels = model.sample(400, random_state=0, return_labels=True)
    assert dtypes_of(rows) == dtypes_of(frame)
    assert ((rows["x"] > 0.8) == (labels == "big")).mean() > 0.95
    assert (model.predict(frame[:60]) == y[:60]).mean() > 0.9
    assert_allclose(model.predict_proba(frame[:9]).sum(axis=1), 1)
    given = frame[:4].assign(x=np.float32(np.nan))
    assert np.isfinite(model.impute(given, 0)["x"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("denoiser", ["empirical", ExtraTreesRegressor(5, random_state=0)])
def test_other_denoisers(denoiser, frame):
    model = DDPM(denoiser, n_noise=5, random_state=0).fit(frame[:150])
    assert dtypes_of(model.sample(20, random_state=0)) == dtypes_of(frame)
    assert np.isfinite(model.score(frame[:3]))


def test_weights_are_repetitions(frame):
    part, weight = frame[:30], np.resize([1, 2, 3], 30)
    weighted = DDPM(**QUICK).fit(part, sample_weight=weight)
    repeated = DDPM(**QUICK).fit(part.loc[part.index.repeat(weight)])
    assert_allclose(weighted.score_samples(part), repeated.score_samples(part), rtol=1e-4)


def test_rows_of_weight_zero_are_absent(frame):
    part = frame[:30].copy()
    part.iloc[0, 2] = "never"
    weighted = DDPM(**QUICK).fit(part, sample_weight=np.arange(30) > 0)
    without = DDPM(**QUICK).fit(part[1:])
    assert_allclose(weighted.score_samples(part), without.score_samples(part), rtol=1e-4)


def test_partial_fit_takes_mixed_rows(frame):
    model = DDPM(random_state=0)
    for _ in range(3):
        for part in (frame[:200], frame[200:400]):
            model.partial_fit(part)
    assert dtypes_of(model.sample(5)) == dtypes_of(frame)
    assert np.isfinite(model.score(frame[400:420]))
    never = frame[:5].assign(level=pd.Categorical(["never"] * 5, LEVELS, ordered=True))
    assert np.isfinite(model.partial_fit(never).score_samples(never)).all()


@pytest.mark.parametrize("spec", [[2], [False, False, True], ["x2"], np.array([2])])
def test_columns_of_an_array_can_be_named(spec):
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((60, 2)), rng.choice([3.0, 5.0, 9.0], size=60)])
    model = DDPM(categorical_features=spec, integer_features=None, **QUICK).fit(X)
    rows = model.sample(30, random_state=0)
    assert isinstance(rows, np.ndarray)
    assert rows.dtype == np.float64
    assert set(rows[:, 2]) <= {3.0, 5.0, 9.0}
    holes = X[:5].copy()
    holes[:, 2] = np.nan
    filled = model.impute(holes, 0)
    assert set(filled[:, 2]) <= {3.0, 5.0, 9.0}
    assert_array_equal(filled[:, :2], X[:5, :2])


def test_a_frame_of_another_library_can_be_completed(frame):
    model = DDPM(**QUICK).fit(frame)
    given = pl.DataFrame({"x": [0.1, None], "k": [None, 1], "level": ["mid", None], "answer": True})
    filled = model.impute(given, 0)
    assert dtypes_of(filled)[1:] == [pl.Int16, pl.Enum(LEVELS), pl.Boolean]
    back = DDPM(**QUICK).fit(make_frame("polars").drop("name")).impute(frame[:3], 0)
    assert_array_equal(back.to_numpy(), frame[:3].to_numpy())


def test_integers_of_an_array_can_be_named():
    X = np.random.default_rng(0).poisson(3, size=(60, 2)).astype(np.float32)
    rows = DDPM(integer_features=[0], **QUICK).fit(X).sample(30, random_state=0)
    assert rows.dtype == np.float32
    assert_array_equal(rows[:, 0], np.rint(rows[:, 0]))
    assert (rows[:, 1] != np.rint(rows[:, 1])).any()


def test_arrays_of_objects_with_named_categories():
    X = np.array([[0.1 * i, "ab"[i % 2]] for i in range(40)], dtype=object)
    rows = DDPM(categorical_features=[1], **QUICK).fit(X).sample(10, random_state=0)
    assert rows.dtype == object
    assert set(rows[:, 1]) <= {"a", "b"}


def test_without_kinds_integers_are_real_numbers(frame):
    model = DDPM(categorical_features=None, integer_features=None, **QUICK)
    numbers = frame[["x", "k", "answer"]]
    assert dtypes_of(model.fit(numbers).sample(3)) == [np.float32, np.float64, np.float64]
    assert model.log_density_kind_ == "estimate"
    with pytest.raises(ValueError, match="'level' of X holds values that are not numbers"):
        model.fit(frame)


def test_a_column_of_one_category_says_nothing(frame):
    frame = frame[:50]
    plain = DDPM(**QUICK).fit(frame[["x", "k"]])
    with_one = DDPM(**QUICK).fit(frame[["x", "k"]].assign(c="same"))
    assert set(with_one.sample(5)["c"]) == {"same"}
    expected = plain.score_samples(frame[["x", "k"]])
    got = with_one.score_samples(frame[["x", "k"]].assign(c="same"))
    assert_allclose(got, expected, rtol=1e-6)


def test_clipping_leaves_categories_alone(frame):
    model = DDPM(clip=True, **QUICK).fit(frame)
    rows = model.sample(500, random_state=0)
    assert rows["x"].between(frame["x"].min(), frame["x"].max()).all()
    assert_array_equal(rows["level"], model.set_params(clip=False).sample(500, 0)["level"])


def broken(frame, column, value, row=3):
    frame = frame[:50].astype({"k": float, "answer": object, "level": str})
    frame.iloc[row, list(frame.columns).index(column)] = value
    return frame


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("level", "tall", r"'level'.*'tall' at row 3.*has not seen"),
        ("level", None, r"NaN in column 'level' \(first at row 3\).*category"),
        ("answer", None, "NaN in column 'answer'"),
        ("x", np.nan, "NaN in column 'x'"),
        ("k", np.inf, "infinity in column 'k'"),
    ],
)
def test_bad_values_are_named_when_scoring(model, frame, column, value, words):
    with pytest.raises(ValueError, match=words):
        model.score_samples(broken(frame, column, value))


def test_bad_values_are_named_when_fitting(frame):
    with pytest.raises(ValueError, match=r"NaN in column 'level'.*category of their own"):
        DDPM().fit(broken(frame, "level", None))
    with pytest.raises(ValueError, match=r"'k' of X holds .*\.5.*no whole number"):
        DDPM(integer_features=["k"]).fit(broken(frame, "k", 2.5))
    with pytest.raises(ValueError, match=r"categories of several types \(int, str\)"):
        DDPM(categorical_features=["level"]).fit(frame.astype({"level": object}).replace("low", 1))
    with pytest.raises(ValueError, match="has 300 categories"):
        DDPM().fit(pd.DataFrame({"x": np.arange(300.0), "key": [f"r{i}" for i in range(300)]}))
    with pytest.raises(ValueError, match="single value"):
        DDPM().fit(pd.DataFrame({"c": ["a", "a", "a"]}))


def test_bad_values_are_named_when_completing(model, frame):
    for column, value, words in (
        ("level", "never", "'never', a category without training rows"),
        ("level", "tall", "'tall' at row 3"),
        ("k", 0.5, "0.5 at row 3, no whole number"),
        ("k", np.inf, "infinity in column 'k'"),
    ):
        with pytest.raises(ValueError, match=words):
            model.impute(broken(frame, column, value))


@pytest.mark.parametrize("spec", [["size"], [7], [True], "x", [2.5]])
def test_unknown_columns_are_named(frame, spec):
    with pytest.raises(ValueError, match="categorical_features"):
        DDPM(categorical_features=spec).fit(frame)


def test_a_column_is_of_one_kind(frame):
    with pytest.raises(ValueError, match="'k' is in categorical_features and in integer_features"):
        DDPM(categorical_features=["k", "level"], integer_features=["k"]).fit(frame)
    assert DDPM(categorical_features=["k", "level", "answer"], **QUICK).fit(frame).n_iter_


def test_what_mixed_tables_have_not(model, frame):
    for call in (
        lambda: model.score_function(frame),
        lambda: model.sample(2, return_trajectory=True),
    ):
        with pytest.raises(ValueError, match=r"\['k', 'level', 'answer'\]"):
            call()
    with pytest.raises(ValueError, match="feature names"):
        model.score_samples(frame[["level", "x", "k", "answer"]].rename(columns={"x": "z"}))
    with pytest.raises(ValueError, match="now missing"):
        model.score_samples(frame[["x", "k", "level"]])


def test_a_boolean_that_training_never_saw_has_probability_zero():
    """Its dtype allows it, as with a category without rows; so folds of rare booleans score."""
    frame = pd.DataFrame({"x": np.arange(40.0), "flag": True})
    for table in (frame, frame.astype({"flag": "boolean"}), pl.DataFrame(frame.to_dict("list"))):
        model = DDPM(**QUICK).fit(table)
        asked = frame[:2].assign(flag=[True, False])
        assert_array_equal(np.isneginf(model.score_samples(asked)), [False, True])
        assert set(model.sample(5, 0)["flag"]) == {True}


def test_whole_numbers_beyond_double_precision_are_refused():
    frame = pd.DataFrame({"x": np.arange(40.0), "key": np.arange(40) + 2**53 - 5})
    with pytest.raises(ValueError, match=r"'key'.*beyond 2\*\*53 \(first at row 5\).*names rows"):
        DDPM().fit(frame)
    wide = pd.DataFrame({"k": [2**52, 2**53 - 1] * 20})
    assert set(DDPM(**QUICK).fit(wide).impute(wide[:2])["k"]) == {2**52, 2**53 - 1}


def test_lists_in_a_cell_are_no_numbers():
    lists = pl.DataFrame({"x": np.arange(40.0), "c": ["a", "b"] * 20, "pair": [[1, 2]] * 40})
    with pytest.raises(ValueError, match="'pair' of X holds values that are not numbers"):
        DDPM().fit(lists)


@pytest.mark.slow
@pytest.mark.parametrize(
    "density", [DensityChain(n_orders=1, random_state=0), DDPM(random_state=0)]
)
@pytest.mark.parametrize(("d", "n"), [(8, 400), (12, 800), (20, 2000)])
def test_fair_coins_cost_next_to_nothing(density, d, n):
    """Against the truth; the margins alone cost d / 2n nats."""
    coins = np.random.default_rng(d).random((n + 1000, d)) < 0.5
    frame = pd.DataFrame(coins).add_prefix("coin")
    fitted = clone(density).fit(frame[:n])
    assert abs(fitted.score(frame[n:]) + d * np.log(2)) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(
    "density", [DensityChain(n_orders=1, random_state=0), DDPM(random_state=0)]
)
def test_atoms_limits_and_skewed_counts_are_drawn_in_their_shares(density):
    rng = np.random.default_rng(0)
    z = 0.6 * rng.normal(size=(1500, 1)) + 0.8 * rng.normal(size=(1500, 4))
    frame = pd.DataFrame(
        {
            "amount": np.where(z[:, 0] < 0.4, 0.0, np.exp(3 + z[:, 1])),
            "code": np.where(rng.random(1500) < 0.22, -999.0, 50 + 10 * z[:, 2]),
            "limit": np.minimum(z[:, 3], 0.45),
            "count": np.floor(np.exp(10 + 1.5 * z[:, 1])).astype(int),
        }
    )
    rows = clone(density).fit(frame).sample(4000, random_state=0)
    for name, value in (("amount", 0.0), ("code", -999.0), ("limit", 0.45)):
        assert abs((rows[name] == value).mean() - (frame[name] == value).mean()) < 0.03
    assert (rows[["amount", "count"]] >= 0).all().all()
    assert (rows["count"] <= frame["count"].min()).mean() < 0.01
