import warnings

import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import EstimatorCheckFailedWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skgm.base import DensityTags
from skgm.testing import (
    check_density_estimator,
    get_density_tags,
    parametrize_with_density_checks,
)
from skgm.testing._registry import CHECKS, DensityCheck, density_check
from tests.testing.broken.density import NotNormalized
from tests.testing.reference import ReferenceExponential, ReferenceGaussian


class UnreadableTags(ReferenceGaussian):
    def __density_tags__(self):
        return {"support": "real"}


class NoMethods(BaseEstimator):
    pass


class LowerBound(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.log_density_kind_ = "lower_bound"
        return self


def test_records_have_one_entry_per_check_with_the_same_keys():
    estimator = ReferenceExponential()
    records = check_density_estimator(estimator)
    assert [record["check_name"] for record in records] == list(CHECKS)
    for record in records:
        assert set(record) == {"estimator", "check_name", "status", "exception", "reason"}
        assert record["estimator"] is estimator
        assert record["exception"] is None
        assert (record["reason"] is None) == (record["status"] == "passed")


def test_failed_record_carries_exception_and_reason():
    records = check_density_estimator(NotNormalized(), on_fail=None)
    (failed,) = [record for record in records if record["status"] == "failed"]
    assert failed["check_name"] == "check_density_integrates_to_one"
    assert isinstance(failed["exception"], AssertionError)
    assert failed["reason"].startswith("AssertionError: ")


def test_on_fail_raise_raises_the_first_failure_and_names_the_check():
    with pytest.raises(AssertionError) as caught:
        check_density_estimator(NotNormalized())
    assert any("check_density_integrates_to_one" in note for note in caught.value.__notes__)


def test_on_fail_warn_warns_once_per_failure():
    with pytest.warns(EstimatorCheckFailedWarning, match="check_density_integrates_to_one") as seen:
        records = check_density_estimator(NotNormalized(), on_fail="warn")
    assert len(seen) == 1
    assert len(records) == len(CHECKS)


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="an instance, not a class"):
        check_density_estimator(ReferenceGaussian)
    with pytest.raises(TypeError, match="an instance, not a class"):
        parametrize_with_density_checks([ReferenceGaussian])
    with pytest.raises(ValueError, match="on_fail must be"):
        check_density_estimator(ReferenceGaussian(), on_fail="ignore")


@pytest.mark.parametrize("estimator", [UnreadableTags(), NoMethods()], ids=str)
def test_hopeless_estimators_give_records_not_crashes(estimator):
    records = check_density_estimator(estimator, on_fail=None)
    assert len(records) == len(CHECKS)
    passed = {record["check_name"] for record in records if record["status"] == "passed"}
    assert passed <= {"check_tags_are_valid"}


def test_foreign_estimators_get_default_tags():
    assert get_density_tags(KernelDensity()) == DensityTags()
    assert get_density_tags(GaussianMixture()) == DensityTags(deterministic_fit=False)
    with pytest.raises(TypeError, match=r"must return a skgm\.DensityTags"):
        get_density_tags(UnreadableTags())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("estimator", "failed", "passed"),
    [
        (
            KernelDensity(),
            {"check_score_is_mean_of_score_samples", "check_grid_search", "check_sample_dtype"},
            {"check_density_integrates_to_one", "check_samples_follow_density"},
        ),
        (
            GaussianMixture(2),
            {
                "check_sample_shape",
                "check_unseeded_samples_differ",
                "check_sample_rows_exchangeable",
            },
            {"check_density_integrates_to_one", "check_score_is_mean_of_score_samples"},
        ),
    ],
    ids=["KernelDensity", "GaussianMixture"],
)
def test_known_faults_of_peers_are_found(estimator, failed, passed):
    status = {
        record["check_name"]: record["status"]
        for record in check_density_estimator(estimator, on_fail=None)
    }
    assert {status[name] for name in failed} == {"failed"}
    assert {status[name] for name in passed} == {"passed"}


def test_estimator_is_not_changed_by_the_suite():
    estimator = ReferenceGaussian(random_state=7)
    check_density_estimator(estimator)
    assert vars(estimator) == {"random_state": 7}


def test_lower_bounds_are_not_held_to_integrate_to_one():
    records = check_density_estimator(LowerBound())
    reasons = {r["check_name"]: r["reason"] for r in records if r["status"] == "not applicable"}
    assert "lower bound" in reasons["check_density_integrates_to_one"]
    assert "lower bound" in reasons["check_samples_follow_density"]


def test_parametrize_collects_the_checks_that_apply_with_readable_ids():
    mark = parametrize_with_density_checks([ReferenceExponential(), ReferenceGaussian(3)]).mark
    arguments, items = mark.args
    assert arguments == ("estimator", "check")
    ids = [item.id for item in items]
    assert ids[0] == "ReferenceExponential()-check_tags_are_valid"
    assert "ReferenceGaussian(random_state=3)-check_grid_search" in ids
    assert "ReferenceExponential()-check_partial_fit_split_invariance" not in ids
    assert len(set(ids)) == len(ids)
    for item in items[:3]:
        estimator, check = item.values
        check(estimator)


def test_parametrize_collects_checks_whose_rules_fail():
    items = parametrize_with_density_checks([UnreadableTags()]).mark.args[1]
    assert len(items) >= 30


def test_a_check_that_does_not_apply_is_skipped_when_called():
    from unittest import SkipTest

    with pytest.raises(SkipTest, match="no partial_fit"):
        CHECKS["check_partial_fit_split_invariance"](ReferenceExponential())


def test_check_names_are_unique():
    with pytest.raises(ValueError, match="registered twice"):
        density_check()(CHECKS["check_clone"].function)


def test_first_rule_gives_the_reason():
    check = DensityCheck("check_x", print, (lambda e: None, lambda e: "b", lambda e: "c"))
    assert check.reason_not_applicable(None) == "b"


def test_suite_gives_no_warnings_of_its_own():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_density_estimator(ReferenceGaussian())
