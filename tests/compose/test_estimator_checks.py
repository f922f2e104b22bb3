"""scikit-learn's checks and skgm's on pipelines; `steps` is required, so on instances."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from skgm.compose import make_density_pipeline
from skgm.testing import check_density_estimator
from tests.compose.densities import FullNormal
from tests.toy import ToyConditional

SCALED = make_density_pipeline(StandardScaler(), FullNormal())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    "pipe",
    [
        SCALED,
        make_density_pipeline(FullNormal()),
        make_density_pipeline(FunctionTransformer(), StandardScaler(), ToyConditional()),
    ],
    ids=["scaled", "alone", "conditional"],
)
def test_scikit_learn_checks(pipe):
    """No failures, and none skipped but the one that wants SCIPY_ARRAY_API=1."""
    records = check_estimator(pipe, on_fail="raise")
    not_passed = {r["check_name"] for r in records if r["status"] != "passed"}
    assert not_passed <= {"check_array_api_input"}
    names = {r["check_name"] for r in records}
    assert "check_sample_weight_equivalence_on_dense_data" in names
    assert len(records) >= 45


REFUSES_WEIGHTS = make_density_pipeline(PCA(), FullNormal())


@pytest.mark.parametrize(
    "pipe",
    [
        SCALED,
        make_density_pipeline(FunctionTransformer(np.log), FullNormal()),
        make_density_pipeline(FunctionTransformer(np.sqrt), StandardScaler(), FullNormal()),
        REFUSES_WEIGHTS,
    ],
    ids=["scaled", "log", "sqrt", "pca"],
)
def test_density_checks(pipe):
    """All pass; those of weights do not apply where PCA takes none."""
    records = check_density_estimator(pipe, on_fail=None)
    failed = {r["check_name"]: str(r["exception"]) for r in records if r["status"] == "failed"}
    assert failed == {}
    ruled_out = {r["check_name"] for r in records if "sample_weight" in str(r["reason"])}
    assert len(ruled_out) == (5 if pipe is REFUSES_WEIGHTS else 0)
    assert sum(r["status"] == "passed" for r in records) >= 20
