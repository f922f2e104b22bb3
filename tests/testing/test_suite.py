"""The suite passes what is right, and each of its checks fails what was made to break it."""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from skgm._random import as_generator
from skgm.base import DensityTags
from skgm.testing import check_density_estimator
from skgm.testing._absurd import AbsurdDensity
from skgm.testing._registry import CHECKS
from tests.testing.broken import BROKEN
from tests.testing.reference import (
    ReferenceExponential,
    ReferenceGaussian,
    ReferenceMapped,
    ReferenceStates,
)

REFERENCES = [
    ReferenceGaussian(),
    ReferenceExponential(),
    ReferenceMapped("positive"),
    ReferenceMapped("unit"),
    ReferenceStates(),
]


def names_by_status(estimator):
    found = {"passed": set(), "failed": set(), "not applicable": set()}
    for record in check_density_estimator(estimator, on_fail=None):
        found[record["status"]].add(record["check_name"])
    return found


def test_there_are_at_least_thirty_checks():
    assert len(CHECKS) >= 30


def test_every_check_states_its_promise_in_one_sentence():
    for check in CHECKS.values():
        assert check.name.startswith("check_")
        assert check.promise.endswith("."), check.name


@pytest.mark.parametrize("estimator", REFERENCES, ids=str)
def test_right_estimators_pass_every_check_that_applies(estimator):
    records = check_density_estimator(estimator, on_fail="raise")
    assert [record["check_name"] for record in records] == list(CHECKS)


def test_only_limits_of_support_do_not_apply_to_the_gaussian_reference():
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    assert names_by_status(ReferenceGaussian())["not applicable"] == {
        "check_minus_infinity_outside_support",
        "check_fit_outside_support_raises",
    }


def test_every_check_has_a_broken_estimator():
    assert set(BROKEN) == set(CHECKS)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # broken arithmetic warns on its way
@pytest.mark.parametrize("check_name", CHECKS)
def test_broken_estimator_fails_exactly_what_it_breaks(check_name):
    estimator, expected = BROKEN[check_name]
    found = names_by_status(estimator)
    assert found["failed"] == expected - found["not applicable"]
    if check_name not in found["failed"]:  # a frame library that is not installed
        pytest.skip(f"{check_name} needs a library that is not installed")


def test_absurd_estimator_satisfies_scikit_learn():
    records = check_estimator(AbsurdDensity(), on_fail=None, on_skip=None)
    assert len(records) >= 40
    assert not [record["check_name"] for record in records if record["status"] == "failed"]


def test_absurd_estimator_fails_most_checks():
    pytest.importorskip("polars")
    found = names_by_status(AbsurdDensity())
    assert (len(found["failed"]), len(found["passed"])) == (32, 24)
    assert {
        "check_density_integrates_to_one",
        "check_beats_independent_margins",
        "check_training_rows_beat_far_rows",
        "check_score_is_mean_of_score_samples",
        "check_sample_shape",
        "check_samples_follow_density",
        "check_grid_search",
    } <= found["failed"]


class StochasticFit(ReferenceGaussian):
    """The fit depends a little on the seed and on the number of rows it is given."""

    deterministic_fit = False

    def __density_tags__(self):
        return DensityTags(deterministic_fit=self.deterministic_fit)

    def _moments(self, X, weight):
        count, mean, scatter = super()._moments(X, weight)
        noise = as_generator(self.random_state).standard_normal((len(X), *mean.shape))
        return count, mean + 0.1 * noise.mean(axis=0), scatter


class StochasticFitWithoutTag(StochasticFit):
    deterministic_fit = True


class StochasticFitWithoutWeights(StochasticFit):
    def _moments(self, X, weight):
        return super()._moments(X, None)


def test_stochastic_fits_need_agree_only_on_average():
    assert names_by_status(StochasticFit())["failed"] == set()


def test_stochastic_fits_must_say_so():
    assert names_by_status(StochasticFitWithoutTag())["failed"] == {
        "check_weights_are_repetitions",
        "check_zero_weight_rows_are_absent",
        "check_partial_fit_split_invariance",
    }


def test_ignored_weights_are_found_in_stochastic_fits_too():
    assert names_by_status(StochasticFitWithoutWeights())["failed"] == {
        "check_weights_are_repetitions",
        "check_weights_move_the_fit",
        "check_zero_weight_rows_are_absent",
    }
