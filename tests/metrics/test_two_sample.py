"""Two tables from one distribution: sizes, power, and tables of every kind."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.linear_model import LogisticRegression

from skgm import two_sample_test
from skgm.metrics._two_sample import encode_tables


def test_energy_is_scipy_s_in_one_column():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), rng.normal(0.3, size=30)
    unit = np.concatenate([a, b]).std()
    result = two_sample_test(a, b, n_resamples=19, random_state=0)
    expected = 40 * 30 / 70 * stats.energy_distance(a / unit, b / unit) ** 2
    assert_allclose(result.statistic, expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["energy", "classifier"])
def test_p_values_have_the_size_they_claim_and_find_a_shift(method):
    """60 pairs of equal tables: rejections at 10% within four errors of 6."""
    rng, small = np.random.default_rng(1), 0
    options = {"n_resamples": 99, "random_state": 0}
    if method == "classifier":
        options["classifier"] = LogisticRegression()
    for _ in range(60):
        a, b = rng.normal(size=(2, 20, 2))
        small += two_sample_test(a, b, method, **options).pvalue <= 0.1
    assert small <= 6 + 4 * np.sqrt(60 * 0.1 * 0.9)
    a, b = rng.normal(size=(60, 2)), rng.normal(1.0, size=(50, 2))
    result = two_sample_test(a, b, method, **options)
    assert result.pvalue == 0.01
    assert result.statistic >= 0
    assert method in str(result.to_frame())


def test_default_classifier_sees_dependence_that_margins_hide():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(150, 2))
    b = np.column_stack([a[:, 0], a[:, 0]]) + 0.1 * rng.normal(size=(150, 2))
    assert two_sample_test(a, b, "classifier", random_state=0).pvalue < 0.01
    assert "half" in two_sample_test(a, b, "classifier", random_state=0).summary()


def test_mixed_tables_with_holes_in_any_library():
    rng = np.random.default_rng(3)
    n = 80
    age, place = rng.integers(20, 60, size=2 * n).astype(float), rng.choice(["a", "b"], 2 * n)
    age[::5] = np.nan
    frame = pd.DataFrame({"age": age, "place": place, "when": pd.Timestamp("2026-01-01")})
    frame["when"] += pd.to_timedelta(rng.integers(0, 99, 2 * n), unit="D")
    a, b = frame[:n], frame[n:]
    result = two_sample_test(a, b, random_state=0)
    assert result.pvalue > 0.01
    turned = two_sample_test(a, b[["when", "place", "age"]], random_state=0)
    assert_allclose(turned.statistic, result.statistic)
    arrow = two_sample_test(pl.from_pandas(a), pl.from_pandas(b), random_state=0)
    assert_allclose(arrow.statistic, result.statistic)
    new = b.assign(place="c")  # a category that only one of them has
    assert two_sample_test(a, new, random_state=0).pvalue < 0.01
    holes = b.assign(age=np.nan)
    assert two_sample_test(a, holes, random_state=0).pvalue < 0.01


def test_distances_do_not_depend_on_units_and_large_tables_are_thinned():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(30, 2)), rng.normal(size=(20, 2))
    plain, wide = (two_sample_test(a * u, b * u, random_state=0) for u in (1.0, 1e300))
    assert_allclose(plain.statistic, wide.statistic)
    assert plain.pvalue == wide.pvalue
    constant, _ = encode_tables(np.ones((3, 1)), np.ones((2, 1)))
    assert (constant == 0).all()
    many = two_sample_test(rng.normal(size=2100), b[:, 0], n_resamples=19, random_state=0)
    assert many.n_a == 2000
    assert "2000 of the 2100 rows of A" in many.summary()


def test_tables_that_cannot_be_compared_are_refused():
    a = pd.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    with pytest.raises(ValueError, match="only one of them has"):
        two_sample_test(a, a.rename(columns={"y": "z"}))
    with pytest.raises(ValueError, match="got 2 columns and 3"):
        two_sample_test(np.ones((4, 2)), np.ones((4, 3)))
    with pytest.raises(ValueError, match="at least 8 rows"):
        two_sample_test(a, a, "classifier")
    with pytest.raises(ValueError, match="method must be"):
        two_sample_test(a, a, "mmd")
    with pytest.raises(ValueError, match="classifier must be None"):
        two_sample_test(a, a, classifier=LogisticRegression())
    with pytest.raises(ValueError, match="infinity"):
        two_sample_test(np.array([[np.inf], [1.0]]), np.ones((3, 1)))
