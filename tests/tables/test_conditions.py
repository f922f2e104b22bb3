"""Conditions as people write them: every form asks the same as a full frame with holes."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import StandardScaler

from skgm import DDPM, DensityChain, MLEDensity, ScoreMatchingGaussian, make_density_pipeline

RNG = np.random.default_rng(0)
N = 40
DAY = np.datetime64("2021-01-01")
FRAME = pd.DataFrame(
    {
        "city": RNG.choice(["a", "b", "c"], N),
        "age": RNG.integers(18, 60, N),
        "size": RNG.normal(size=N).astype(np.float32),
        "day": pd.Series(DAY + RNG.integers(0, 99, N)).dt.tz_localize("Asia/Tokyo"),
    }
)
TREES = HistGradientBoostingClassifier(max_iter=3)
CHAIN = DensityChain(TREES, n_cells=4, n_orders=1, calibrate=False, random_state=0)
LIBRARIES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "arrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
}


@pytest.fixture(scope="module", params=LIBRARIES)
def fitted(request):
    frame = LIBRARIES[request.param](FRAME)
    return DensityChain(**CHAIN.get_params(deep=False)).fit(frame), frame


def schema(frame):
    return frame.schema if hasattr(frame, "schema") else frame.dtypes.to_dict()


def to_pandas(frame):
    return frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()


def with_holes(**known):
    """The same conditions as a frame of all columns."""
    m = len(next(iter(known.values())))
    return pd.DataFrame({name: known.get(name, m * [None]) for name in FRAME})


FORMS = [
    ({"city": "a"}, 1, {"city": ["a"]}),
    ({"city": ["a", "b"]}, 1, {"city": ["a", "b"]}),
    ({"age": 30, "city": ["a", "b"]}, [2, 1], {"city": ["a", "a", "b"], "age": [30] * 3}),
    ({"size": None, "city": "c"}, 2, {"city": ["c", "c"]}),
    (pd.Series({"age": 25, "city": "b"}), 1, {"city": ["b"], "age": [25]}),
    (pd.Series({"a": 2, "c": 1}).rename_axis("city"), 1, {"city": ["a", "a", "c"]}),
]


@pytest.mark.parametrize(("given", "n_samples", "same"), FORMS, ids=str)
def test_every_form_asks_the_same(fitted, given, n_samples, same):
    chain, frame = fitted
    rows = chain.sample(n_samples, random_state=0, given=given)
    assert type(rows) is type(frame)
    assert schema(rows) == schema(frame)
    rows = to_pandas(rows)
    for name, values in same.items():
        assert rows[name].tolist() == values
    if isinstance(n_samples, list) or n_samples == 1:
        long = chain.sample(1, random_state=0, given=with_holes(**same))
        assert_array_equal(long["age"], rows["age"])
        assert_array_equal(long["size"].astype(np.float32), rows["size"])


def test_a_frame_with_some_of_the_columns(fitted):
    chain, frame = fitted
    part = frame.select(["size", "city"]) if hasattr(frame, "schema") else frame[["size", "city"]]
    rows = chain.impute(part[:3], random_state=0)
    assert schema(rows) == schema(frame)
    assert_array_equal(to_pandas(rows)["size"], FRAME["size"][:3])
    assert to_pandas(rows)["city"].tolist() == FRAME["city"][:3].tolist()


def test_counts_of_conditions_are_those_of_value_counts():
    chain = CHAIN.fit(FRAME)
    counts = FRAME[["city", "age"]].value_counts()
    rows = chain.sample(given=counts, random_state=0)
    assert rows[["city", "age"]].value_counts().to_dict() == counts.to_dict()


def test_dates_may_be_written_as_text_and_need_the_zone_of_the_fit():
    chain = CHAIN.fit(FRAME)
    rows = chain.sample(3, random_state=0, given={"day": "2021-02-03"})
    assert (rows["day"] == pd.Timestamp("2021-02-03", tz="Asia/Tokyo")).all()
    naive = FRAME.head(2).assign(day=FRAME["day"].dt.tz_localize(None))
    with pytest.raises(ValueError, match="'day' of X has the time zone None, where fit saw Asia"):
        chain.score_samples(naive)


@pytest.mark.parametrize(
    ("given", "n_samples", "words"),
    [
        ({"town": "a"}, 1, "given names 'town'; the columns of the model are"),
        ({}, 1, "given names no column"),
        ({"city": ["a", "b"], "age": [1, 2, 3]}, 1, "unequal numbers of values"),
        (pd.Series([1, 2], index=[5, 6]), 1, "no counts of conditions"),
        (pd.Series({"a": -1}).rename_axis("city"), 1, "no counts of conditions"),
        (pd.Series({"a": 0}).rename_axis("city"), 1, "all zero"),
        ({"city": "z"}, 1, "'z' at row 0, which fit has not seen"),
        ({"city": ["a", "b"]}, [1, 2, 3], "one integer >= 0 for each of the 2 rows"),
        (FRAME[["city"]].assign(town="x"), 1, "given names 'town'"),
    ],
)
def test_what_is_no_condition_is_refused_by_name(given, n_samples, words):
    with pytest.raises(ValueError, match=words):
        CHAIN.fit(FRAME).sample(n_samples, given=given)


def test_every_estimator_that_conditions_reads_them():
    X = RNG.normal(size=(50, 3))
    frame = pd.DataFrame(X.astype(np.float32), columns=["p", "q", "r"])
    gauss = ScoreMatchingGaussian()
    densities = [gauss, make_density_pipeline(StandardScaler(), gauss), MLEDensity("normal")]
    densities.append(DDPM(max_iter=2, n_timesteps=20, random_state=0))
    for density in densities:
        rows = density.fit(frame).sample([2, 1], random_state=0, given={"q": [0.5, 0.25]})
        assert rows["q"].tolist() == [0.5, 0.5, 0.25]
        assert rows.dtypes.tolist() == [np.float32, np.float64, np.float32]
        assert density.impute(frame[["r"]].head(2), 0).dtypes.equals(frame.dtypes)
        array = density.fit(X).sample(2, random_state=0, given={1: 0.1, "x2": 0.2})
        assert_array_equal(array[:, 1:], [[0.1, 0.2]] * 2)
    counts = MLEDensity("poisson").fit(pd.DataFrame({"k": [1, 2, 3], "l": [2, 3, 4]}))
    assert counts.sample(2, given={"k": 2}).dtypes.tolist() == [np.int64, np.int64]


@pytest.mark.parametrize(
    "given",
    [
        pd.DataFrame({0: [1.0, 0.0], 2: [2.0, 2.0]}),
        pd.DataFrame({"x2": [2.0, 2.0], "x0": [1.0, 0.0]}),
        pl.DataFrame({"x0": [1.0, 0.0], "x2": [2.0, 2.0]}),
        {0: [1.0, 0.0], 2: 2.0},
    ],
)
def test_conditions_on_a_model_without_names_go_by_position(given):
    model = MLEDensity("mvn").fit(RNG.normal(size=(30, 3)))
    rows = model.sample(given=given, random_state=0)
    table = np.array([[1.0, np.nan, 2.0], [0.0, np.nan, 2.0]])
    assert_array_equal(rows, model.sample(given=table, random_state=0))


def test_a_foreign_name_on_a_model_without_names_is_refused():
    model = MLEDensity("mvn").fit(RNG.normal(size=(30, 3)))
    with pytest.raises(ValueError, match=r"given names 'a'; the columns of the model are"):
        model.sample(given=pd.DataFrame({"a": [1.0]}))
