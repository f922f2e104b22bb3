"""The contract, as far as the base class keeps it for its subclasses."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skgm import DensityEstimator
from tests.toy import ToyConditional, ToyCounts, ToyNormal

RNG = np.random.default_rng(0)
TABLE = RNG.normal([1.0, -2.0, 0.5], [1.0, 2.0, 0.1], size=(50, 3))
NAMES = ["a", "b", "c"]


def make_frame(library, table=TABLE):
    return pytest.importorskip(library).DataFrame(dict(zip(NAMES, table.T)))


def state_of(estimator):
    return {name: np.copy(value) for name, value in vars(estimator).items()}


def test_score_is_the_mean_of_score_samples():
    estimator = ToyNormal().fit(TABLE)
    assert estimator.score(TABLE) == pytest.approx(estimator.score_samples(TABLE).mean(), rel=1e-14)


def test_weighted_score_is_the_score_of_repeated_rows():
    estimator = ToyNormal().fit(TABLE)
    weight = RNG.integers(0, 4, size=len(TABLE))
    repeated = np.repeat(TABLE, weight, axis=0)
    weighted = estimator.score(TABLE, sample_weight=weight)
    assert weighted == pytest.approx(estimator.score(repeated), rel=1e-12)


def test_a_zero_weight_row_outside_the_support_is_absent():
    estimator = ToyCounts().fit([[1.0], [3.0]])
    outside = [[1.0], [0.5]]
    assert estimator.score(outside) == -np.inf
    assert estimator.score(outside, sample_weight=[1, 0]) == estimator.score([[1.0]])


@pytest.mark.parametrize("make", [int, np.random.default_rng, np.random.RandomState])
def test_sample_reproduces(make):
    estimator = ToyNormal().fit(TABLE)
    first, second = (estimator.sample(4, random_state=make(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, 3)


def test_a_generator_advances_and_none_is_fresh():
    estimator = ToyNormal(random_state=0).fit(TABLE)
    rng = np.random.default_rng(0)
    assert not np.array_equal(estimator.sample(3, rng), estimator.sample(3, rng))
    assert not np.array_equal(estimator.sample(3), estimator.sample(3))


def test_sampling_changes_nothing():
    estimator = ToyConditional().fit(TABLE)
    before = state_of(estimator)
    estimator.sample(5, random_state=0)
    estimator.impute([[np.nan, 1.0, 2.0]], random_state=0)
    after = state_of(estimator)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name])


@pytest.mark.parametrize("n_samples", [0, -1, 1.0, "3", True, None])
def test_wrong_n_samples_is_refused(n_samples):
    with pytest.raises(ValueError, match=r"n_samples must be an integer >= 1; got"):
        ToyNormal().fit(TABLE).sample(n_samples)


def test_wrong_random_state_is_refused():
    with pytest.raises(ValueError, match="random_state must be"):
        ToyNormal().fit(TABLE).sample(1, random_state="seed")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_have_the_dtype_of_the_table_and_scores_are_double(dtype):
    estimator = ToyNormal().fit(TABLE.astype(dtype))
    assert estimator.sample(2).dtype == dtype
    assert estimator.score_samples(TABLE.astype(dtype)).dtype == np.float64


def test_integers_give_double_samples():
    assert ToyNormal().fit([[1, 2], [3, 5]]).sample(2).dtype == np.float64


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_comes_back_as_a_frame(library):
    frame = make_frame(library)
    drawn = ToyNormal().fit(frame).sample(4, random_state=0)
    assert type(drawn) is type(frame)
    assert list(drawn.columns) == NAMES
    array = ToyNormal().fit(TABLE).sample(4, random_state=0)
    np.testing.assert_allclose(drawn.to_numpy(), array, rtol=1e-12)  # sums in another memory order


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_discrete_model_keeps_integer_columns(library):
    frame = pytest.importorskip(library).DataFrame({"n": np.array([1, 4, 2], dtype=np.int64)})
    drawn = ToyCounts().fit(frame).sample(3, random_state=0)
    assert str(drawn["n"].dtype).lower() == "int64"


def test_refitting_forgets_the_frame():
    estimator = ToyNormal().fit(make_frame("pandas")).fit(TABLE)
    assert isinstance(estimator.sample(2), np.ndarray)
    assert not hasattr(estimator, "feature_names_in_")


def test_observed_values_come_back_bit_for_bit():
    given = TABLE[:4].copy()
    given[0, 0] = given[2, 1] = given[3, :] = np.nan
    rows = ToyConditional().fit(TABLE).sample(3, random_state=0, given=given)
    assert rows.shape == (12, 3)
    expected = np.repeat(given, 3, axis=0)
    observed = ~np.isnan(expected)
    np.testing.assert_array_equal(rows[observed], expected[observed])
    assert np.isfinite(rows).all()
    assert len(np.unique(rows[~observed])) == (~observed).sum()


def test_observed_doubles_survive_a_single_precision_fit():
    given = np.array([[np.nan, 1 / 3, 0.1]])
    rows = ToyConditional().fit(TABLE.astype(np.float32)).sample(1, random_state=0, given=given)
    assert rows[0, 1:].tolist() == [1 / 3, 0.1]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_given_frames_come_back_as_frames(library):
    given = TABLE[:2].copy()
    given[0, 0] = np.nan
    rows = ToyConditional().fit(make_frame(library)).impute(make_frame(library, given), 0)
    assert list(rows.columns) == NAMES
    np.testing.assert_array_equal(rows.to_numpy()[:, 1:], given[:, 1:])


def test_an_array_given_to_a_fit_on_a_frame_keeps_its_bits():
    frame = make_frame("pandas").astype(np.float32)
    estimator = ToyConditional().fit(frame)
    with pytest.warns(UserWarning, match="valid feature names"):  # scikit-learn's, for arrays
        rows = estimator.sample(1, 0, given=np.array([[np.nan, 1 / 3, 0.1]]))
    assert list(rows.columns) == NAMES
    assert rows.iloc[0, 1:].tolist() == [1 / 3, 0.1]


def test_the_callers_table_is_left_alone():
    given = np.array([[np.nan, 1.0, 2.0]])
    ToyConditional().fit(TABLE).impute(given, random_state=0)
    np.testing.assert_array_equal(given, [[np.nan, 1.0, 2.0]])


def test_completions_keep_the_pandas_index():
    given = make_frame("pandas", TABLE[:3].copy())
    given.iloc[1, 0] = np.nan
    given.index = [7, 8, 9]
    estimator = ToyConditional().fit(make_frame("pandas"))
    assert list(estimator.impute(given, 0).index) == [7, 8, 9]
    assert list(estimator.sample(2, 0, given=given).index) == [7, 7, 8, 8, 9, 9]
    assert not given.fillna(estimator.impute(given, 0)).isna().any(axis=None)


def test_wrong_given_is_refused():
    estimator = ToyConditional().fit(make_frame("pandas"))
    with pytest.raises(ValueError, match="infinity in column 'b'"):
        estimator.sample(given=make_frame("pandas", np.array([[np.nan, np.inf, 1.0]])))
    with pytest.raises(ValueError, match="expecting 3 features"):
        ToyConditional().fit(TABLE).sample(given=[[np.nan, 1.0]])


def test_models_without_conditional_draws_say_so():
    estimator = ToyNormal().fit(TABLE)
    assert not hasattr(estimator, "impute")
    assert hasattr(ToyConditional(), "impute")
    with pytest.raises(ValueError, match="ToyNormal cannot sample conditionally"):
        estimator.sample(given=[[np.nan, 1.0, 2.0]])


@pytest.mark.parametrize("call", ["sample", "score_samples", "score"])
def test_unfitted_calls_say_so(call):
    arguments = () if call == "sample" else (TABLE,)
    with pytest.raises(NotFittedError):
        getattr(ToyNormal(), call)(*arguments)


def test_overflowing_draws_are_refused():
    estimator = ToyNormal().fit(TABLE.astype(np.float32))
    estimator.mean_ = np.full(3, 1e300)
    with (
        np.errstate(over="ignore"),
        pytest.raises(ValueError, match="ToyNormal drew non-finite values"),
    ):
        estimator.sample(1)


def test_the_class_cannot_be_used_without_its_three_methods():
    with pytest.raises(TypeError, match="abstract"):
        DensityEstimator()


def test_the_log_density_is_exact_unless_said_otherwise():
    assert ToyNormal().fit(TABLE).log_density_kind_ == "exact"


def test_clone_forgets_the_fit():
    estimator = clone(ToyNormal(random_state=3).fit(TABLE))
    assert estimator.random_state == 3
    assert not hasattr(estimator, "mean_")
