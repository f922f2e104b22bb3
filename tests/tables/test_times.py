"""Dates and durations as whole numbers of a stated unit: exact both ways, in every library."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skgm import DensityChain, ScoreMatchingGaussian
from skgm.tables._reader import TableReader

RNG = np.random.default_rng(0)
SECONDS = np.datetime64("2020-03-01T00:00:00", "s") + RNG.integers(0, 10**7, 30)
DAYS = SECONDS.astype("M8[D]")
WAITS = 60 * RNG.integers(0, 500, 30).astype("m8[s]")


def learn(frame):
    return TableReader.learn(ScoreMatchingReader(), frame, holes=True)


class ScoreMatchingReader(ScoreMatchingGaussian):
    categorical_features = integer_features = "from_dtype"


def series(library):
    """One column of every kind and resolution that the library has."""
    if library == "polars":
        at = pl.Series(SECONDS.astype("M8[ms]"))
        columns = {f"at {u}": at.cast(pl.Datetime(u)) for u in ("ms", "us", "ns")}
        columns |= {f"zone {u}": at.cast(pl.Datetime(u, "Asia/Tokyo")) for u in ("ms", "us", "ns")}
        waits = pl.Series(WAITS.astype("m8[ms]"))
        columns |= {f"wait {u}": waits.cast(pl.Duration(u)) for u in ("ms", "us", "ns")}
        return pl.DataFrame(columns | {"day": pl.Series(DAYS)})
    columns = {}
    for u in ("s", "ms", "us", "ns"):
        at = pd.Series(SECONDS.astype(f"M8[{u}]"))
        columns[f"at {u}"], columns[f"day {u}"] = at, at.dt.floor("D")
        columns[f"zone {u}"] = at.dt.tz_localize("UTC").dt.tz_convert("Europe/Oslo")
        columns[f"offset {u}"] = at.dt.tz_localize("UTC+01:00")
        columns[f"wait {u}"] = pd.Series(WAITS.astype(f"m8[{u}]"))
    frame = pd.DataFrame(columns)
    if library == "pandas":
        return frame
    zone = pa.timestamp("us", tz="America/New_York")
    columns = {
        f"at {u}": frame[f"at {u}"].astype(pd.ArrowDtype(pa.timestamp(u))) for u in ("s", "ns")
    }
    columns |= {f"wait {u}": frame[f"wait {u}"].astype(pd.ArrowDtype(pa.duration(u))) for u in "s"}
    columns["day"] = frame["day s"].astype(pd.ArrowDtype(pa.date32()))
    columns["zone"] = frame["zone us"].astype(pd.ArrowDtype(zone))
    frame = pd.DataFrame(columns)
    return (
        frame if library == "arrow in pandas" else pa.table({k: v.array for k, v in frame.items()})
    )


def to_pandas(frame):
    return frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()


@pytest.mark.parametrize("library", ["pandas", "arrow in pandas", "arrow", "polars"])
def test_times_come_back_with_dtype_resolution_and_zone(library):
    frame = series(library)
    reader, coded = learn(frame)
    assert_array_equal(coded, np.rint(coded))
    back = reader.restored(coded)
    assert type(back) is type(frame)
    same = back.equals(frame)
    assert same if isinstance(same, bool) else all(same)
    units = {about["name"].split()[0]: about["unit"] for about in reader.columns}
    assert units["wait"] == "minutes"
    assert units["at"] == "seconds"
    assert units.get("day", "days") == "days"


def test_units_are_the_coarsest_that_hold_every_value():
    for step, unit in (
        ("1D", "days"),
        ("6h", "hours"),
        ("90s", "seconds"),
        ("1ms", "milliseconds"),
    ):
        when = pd.date_range("2021-05-01", periods=9, freq=step, unit="ns")
        reader, coded = learn(pd.DataFrame({"when": when, "x": np.arange(9.0)}))
        assert reader.columns[0]["unit"] == unit
        assert coded[0, 0] == 0


def test_a_frame_with_a_finer_clock_is_read_on_the_clock_of_the_fit():
    reader, coded = learn(pd.DataFrame({"when": SECONDS}))
    finer = reader.code(
        fitted(reader), pd.DataFrame({"when": SECONDS.astype("M8[ns]")}), holes=True
    )
    assert_array_equal(finer, coded)
    half = pd.DataFrame({"when": SECONDS.astype("M8[ms]") + np.timedelta64(500, "ms")})
    assert_array_equal(reader.code(fitted(reader), half, holes=True), coded + 0.5)
    with pytest.raises(ValueError, match=r"'when'.*between two whole seconds at row 0"):
        reader.code(fitted(reader), half, holes=True, fractions=False)
    with pytest.raises(ValueError, match="'when' of X holds no dates"):
        reader.code(fitted(reader), pd.DataFrame({"when": np.arange(3.0)}), holes=True)


def fitted(reader):
    return ScoreMatchingReader().fit(pd.DataFrame({name: [0.0, 1.0, 3.0] for name in reader.names}))


def test_times_of_day_and_objects_of_dates_are_refused_by_name():
    when = pd.Series(DAYS).dt.date.astype(object)
    with pytest.raises(ValueError, match="'when' of X holds objects of type date"):
        DensityChain().fit(pd.DataFrame({"x": np.arange(30.0), "when": when}))
    clock = pl.DataFrame({"x": np.arange(3.0), "at": pl.Series([1, 2, 3]).cast(pl.Time)})
    with pytest.raises(ValueError, match="'at' of X holds values that are not numbers but dates"):
        DensityChain().fit(clock)


def test_a_chain_learns_dates_with_holes():
    """A wait that grows with the date; earlier dates than the first have a density as well."""
    rng = np.random.default_rng(1)
    day = np.datetime64("2021-01-01") + rng.integers(0, 100, 300)
    wait = (day - day.min()).astype(float) + rng.normal(size=300)
    frame = pd.DataFrame({"day": day, "wait": wait})
    frame.loc[::7, "day"] = pd.NaT
    chain = DensityChain(order=["wait", "day"], random_state=0).fit(frame)
    filled = chain.impute(frame, random_state=0)
    assert filled.dtypes.equals(frame.dtypes)
    gap = (filled["day"] - day)[::7].abs().dt.days
    assert gap.median() < 10
    early = frame.head(1).assign(day=np.datetime64("2020-12-01"))
    assert np.isfinite(chain.score_samples(early)).all()


def test_whole_numbers_that_holes_made_floats_are_whole():
    frame = pd.DataFrame({"x": RNG.normal(size=60), "k": RNG.integers(0, 9, 60).astype(float)})
    frame.loc[::5, "k"] = np.nan
    chain = DensityChain(n_orders=1, random_state=0).fit(frame)
    assert [about["kind"] for about in chain.columns_] == ["real", "integer"]
    drawn = chain.sample(200, random_state=0)
    assert drawn.dtypes.equals(frame.dtypes)
    assert_array_equal(drawn["k"], np.rint(drawn["k"]))


def test_a_text_column_that_names_rows_is_warned_of():
    frame = pd.DataFrame({"x": np.arange(30.0), "who": [f"person {i // 2 * 2}" for i in range(30)]})
    frame.loc[:3, "who"] = ["a", "b", "c", "d"]
    with pytest.warns(UserWarning, match=r"'who' of X has 17 different values in 30 rows"):
        DensityChain(n_orders=1, calibrate=False).fit(frame)
