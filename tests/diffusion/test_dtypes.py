"""Every dtype that `fit` accepts comes back from `sample` and `impute`."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from skgm import DDPM, ScoreMatchingGaussian
from skgm.diffusion._classes import stratified_codes

# scikit-learn says that it makes sparse columns dense
pytestmark = pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse")

N = 40
RNG = np.random.default_rng(0)
X = RNG.normal(size=N).round(2)
Y = RNG.normal(size=N).round(2)
K = RNG.integers(0, 5, size=N)
TEXT = np.array(list("abcde"))[K]
MANY = [*"abcde", *(f"level {i}" for i in range(1000))]
QUICK = {"max_iter": 2, "random_state": 0}


def arrow(values, **options):
    pa = pytest.importorskip("pyarrow")
    coded = pa.array(list(values)).dictionary_encode()
    if options:
        coded = pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary, **options)
    return pd.Series(pd.arrays.ArrowExtensionArray(coded))


def arrow_decimals():
    pa = pytest.importorskip("pyarrow")
    values = pd.Series([Decimal(str(y)) for y in Y])
    return values.astype(pd.ArrowDtype(pa.decimal128(10, 2)))


def arrow_text():
    pa = pytest.importorskip("pyarrow")
    return pd.Series(TEXT).astype(pd.ArrowDtype(pa.string()))


FLOATS = ["float16", "float32", "float64", "Float32", "Float64"]
ARROW = ["halffloat[pyarrow]", "float[pyarrow]", "double[pyarrow]"]
INTEGERS = ["int8", "uint64", "Int8", "UInt16", "Int64", "int8[pyarrow]", "int64[pyarrow]"]
WORDS = ["object", "str", "string[python]", "string[pyarrow]", "category"]
REAL = {name: lambda name=name: pd.Series(Y).astype(name) for name in FLOATS + ARROW}
REAL |= {
    "arrow decimals": arrow_decimals,
    "objects: floats": lambda: pd.Series(Y.tolist(), dtype=object),
    "sparse": lambda: pd.Series(pd.arrays.SparseArray(np.where(K > 2, Y, 0.0))),
    "sparse, nan": lambda: pd.Series(Y).astype("Sparse[float64]"),
}
DISCRETE = {name: lambda name=name: pd.Series(K).astype(name) for name in INTEGERS}
DISCRETE |= {
    n: lambda n=n: pd.Series(K > 2).astype(n) for n in ("bool", "boolean", "bool[pyarrow]")
}
DISCRETE |= {name: lambda name=name: pd.Series(TEXT).astype(name) for name in WORDS}
DISCRETE |= {
    "arrow text": arrow_text,
    "arrow dictionary": lambda: arrow(TEXT),
    "arrow dictionary, ordered": lambda: arrow(TEXT, ordered=True),
    "arrow dictionary of numbers": lambda: arrow(K.tolist()),
    "objects: int": lambda: pd.Series(K.tolist(), dtype=object),
    "objects: numpy int": lambda: pd.Series(list(K), dtype=object),
    "objects: bool": lambda: pd.Series((K > 2).tolist(), dtype=object),
    "objects: numpy bool": lambda: pd.Series(list(K > 2), dtype=object),
    "objects: numpy text": lambda: pd.Series(list(TEXT), dtype=object),
    "categories: small int": lambda: pd.Series(pd.Categorical(K.astype("int8"))),
    "categories: ordered": lambda: pd.Series(pd.Categorical(K, ordered=True)),
    "categories: float": lambda: pd.Series(pd.Categorical(K / 2)),
    "categories: bool": lambda: pd.Series(pd.Categorical(K > 2)),
    "categories: intervals": lambda: pd.Series(pd.cut(Y, 4)),
    "categories: many declared": lambda: pd.Series(pd.Categorical(TEXT, categories=MANY)),
}
DATES = np.datetime64("2020-01-01T06:00:00", "s") + 3600 * K
DISCRETE |= {
    "dates": lambda: pd.Series(DATES),
    "dates in a zone": lambda: pd.Series(DATES).dt.tz_localize("Europe/Oslo"),
    "durations": lambda: pd.Series(DATES - DATES[0]),
    "arrow dates": lambda: pd.Series(DATES).astype("timestamp[us][pyarrow]"),
}
POLARS_REAL = {
    "Float32": lambda: pl.Series(Y).cast(pl.Float32),
    "Float64": lambda: pl.Series(Y),
    "Decimal": lambda: pl.Series(Y).cast(pl.Decimal(10, 2)),
}
POLARS_DISCRETE = {
    name: lambda name=name: pl.Series(K).cast(getattr(pl, name))
    for name in ("Int8", "Int64", "UInt8", "UInt64", "Int128")
}
POLARS_DISCRETE |= {
    "Boolean": lambda: pl.Series(K > 2),
    "Date": lambda: pl.Series(DATES.astype("M8[D]") + K),
    "Datetime": lambda: pl.Series(DATES.astype("M8[us]")).dt.replace_time_zone("Europe/Oslo"),
    "Duration": lambda: pl.Series((DATES - DATES[0]).astype("m8[us]")),
    "String": lambda: pl.Series(TEXT.tolist()),
    "Categorical": lambda: pl.Series(TEXT.tolist(), dtype=pl.Categorical),
    "Enum": lambda: pl.Series(TEXT.tolist(), dtype=pl.Enum(list("abcde"))),
    "Enum, many declared": lambda: pl.Series(TEXT.tolist(), dtype=pl.Enum(MANY)),
}


def check(model, frame, holes, allowed):
    """Dtypes and values come back; observed values bit for bit."""
    model.fit(frame)
    for rows in (model.sample(9, random_state=0), model.impute(holes, random_state=0)):
        assert type(rows) is type(frame)
        assert list(rows.dtypes) == list(frame.dtypes)
        assert allowed is None or set(rows["y"].to_list()) <= allowed
    assert rows["y"].to_list()[:2] == frame["y"].to_list()[:2]
    assert (
        rows["y"].is_null().sum() == 0
        if isinstance(rows, pl.DataFrame)
        else rows.notna().all().all()
    )


def check_pandas(model, name):
    frame = pd.DataFrame({"x": X, "y": (REAL | DISCRETE)[name]()})
    holes = frame.head(4).copy()
    holes.loc[1, "x"] = np.nan
    if str(holes["y"].dtype) not in ("bool", "int8", "uint64") and not name.startswith("sparse"):
        holes.loc[3, "y"] = None
    check(
        model,
        frame,
        holes,
        set(frame["y"].tolist()) if name in DISCRETE else None,
    )


@pytest.mark.parametrize("name", [*REAL, *DISCRETE])
def test_pandas(name):
    check_pandas(DDPM(**QUICK), name)


@pytest.mark.parametrize("name", REAL)
def test_pandas_in_a_real_valued_model(name):
    check_pandas(ScoreMatchingGaussian(), name)


def check_polars(model, column, *, discrete):
    frame = pl.DataFrame({"x": X, "y": column})
    mask = pl.int_range(4) == 3
    holes = frame.head(4).with_columns(y=pl.when(mask).then(None).otherwise(pl.col("y")))
    check(model, frame, holes, set(frame["y"].to_list()) if discrete else None)


@pytest.mark.parametrize("name", [*POLARS_REAL, *POLARS_DISCRETE])
def test_polars(name):
    column = (POLARS_REAL | POLARS_DISCRETE)[name]()
    check_polars(DDPM(**QUICK), column, discrete=name in POLARS_DISCRETE)


@pytest.mark.parametrize("name", POLARS_REAL)
def test_polars_in_a_real_valued_model(name):
    check_polars(ScoreMatchingGaussian(), POLARS_REAL[name](), discrete=False)


@pytest.mark.parametrize("dtype", ["float16", "Float32", "float32"])
def test_a_draw_too_large_for_its_dtype_widens_the_column(dtype):
    largest = float(np.finfo(dtype.lower()).max)
    frame = pd.DataFrame({"x": X, "y": np.linspace(-largest, largest, N)}).astype({"y": dtype})
    drawn = ScoreMatchingGaussian().fit(frame).sample(200, random_state=0)
    assert np.isfinite(drawn["y"]).all()
    assert drawn["y"].dtype == np.float64
    assert drawn["y"].abs().max() > largest


@pytest.mark.parametrize("ordered", [False, True])
def test_partial_fit_takes_declared_levels_that_the_first_rows_lack(ordered):
    dtype = pd.CategoricalDtype(list("abcde"), ordered=ordered)
    frame = pd.DataFrame({"x": X, "y": pd.Series(TEXT).astype(dtype), "z": K > 2})
    lack = frame[~frame["y"].isin(["a", "e"]) & ~frame["z"]]
    model = DDPM(random_state=0).partial_fit(lack)
    assert np.isfinite(model.score_samples(frame)).all()
    for _ in range(20):
        model.partial_fit(frame)
    drawn = model.sample(400, random_state=0)
    assert set(drawn["y"]) == set("abcde")
    assert set(drawn["z"]) == {True, False}
    with pytest.raises(ValueError, match=r"cannot go on from a fit with columns of categories"):
        DDPM(**QUICK).fit(lack).partial_fit(frame)


def test_stratified_codes_are_those_of_the_shares():
    codes = stratified_codes(np.array([0.5, 0.3, 0.2]), 10, np.random.default_rng(0))
    assert_array_equal(np.bincount(codes), [5, 3, 2])
