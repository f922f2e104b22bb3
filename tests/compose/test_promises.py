"""Members that depend on the steps: Stein score, conditional draws, tags, kind."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    PowerTransformer,
    StandardScaler,
)

from skgm.compose import DensityPipeline, make_density_pipeline
from tests.compose.densities import Exponentials, FullNormal, NoWeights
from tests.compose.transformers import positive_table, real_table
from tests.toy import ToyNormal

pd = pytest.importorskip("pandas")
X = real_table(3)


def two_steps():
    return make_density_pipeline(StandardScaler(), FullNormal())


def test_score_function_needs_that_of_the_last_step():
    pipe = make_density_pipeline(StandardScaler(), NoWeights())
    assert not hasattr(pipe, "score_function")
    with pytest.raises(AttributeError) as raised:
        _ = pipe.score_function
    assert "has no score_function" in str(raised.value.__cause__)


def test_conditional_draws_match_those_of_the_density_alone():
    pipe = two_steps().fit(X)
    alone = FullNormal().fit(X)
    given = np.array([[np.nan, X[0, 1], np.nan], [1.0, 2.0, 3.0]])
    drawn = pipe.sample(4000, random_state=0, given=given)
    assert drawn.shape == (8000, 3)
    np.testing.assert_array_equal(drawn[:4000, 1], X[0, 1])
    np.testing.assert_array_equal(drawn[4000:], np.tile(given[1], (4000, 1)))
    hole = np.array([True, False, True])
    mean, covariance = alone._conditional(given[0], hole)
    error = np.sqrt(np.diag(covariance) / 4000)
    assert (np.abs(drawn[:4000, hole].mean(axis=0) - mean) < 4 * error).all()
    np.testing.assert_allclose(np.cov(drawn[:4000, hole].T), covariance, rtol=0.15)


def test_impute_through_curved_and_permuting_steps():
    from sklearn.compose import ColumnTransformer

    table = positive_table(3) ** 3
    columns = ColumnTransformer(
        [("log", FunctionTransformer(np.log), [2])], remainder=FunctionTransformer(np.sqrt)
    )
    pipe = make_density_pipeline(columns, StandardScaler(), FullNormal()).fit(table)
    holed = table[:50].copy()
    holed[::2, 0] = np.nan
    holed[::3, 2] = np.nan
    frame = pd.DataFrame(holed, columns=["a", "b", "c"])
    filled = pipe.impute(holed, random_state=0)
    assert np.isfinite(filled).all()
    assert (filled > 0).all()
    seen = ~np.isnan(holed)
    np.testing.assert_array_equal(filled[seen], holed[seen])
    np.testing.assert_array_equal(filled, pipe.sample(1, 0, given=holed))
    named = clone(pipe).fit(pd.DataFrame(table, columns=["a", "b", "c"])).impute(frame, 0)
    # the sums of a frame's columns may run in another order than those of an array
    np.testing.assert_allclose(named, filled, rtol=1e-12)
    holed[0, 1] = -1.0
    with pytest.raises(ValueError, match=r"given holds -1.0 in column 'x1' \(row 0\)"):
        pipe.impute(holed)


def test_no_conditional_draws_through_pca_or_without_those_of_the_last_step():
    mixed = make_density_pipeline(PCA(), FullNormal()).fit(X)
    assert not hasattr(mixed, "impute")
    with pytest.raises(ValueError, match="Leave out PCA"):
        mixed.sample(given=X)
    plain = make_density_pipeline(StandardScaler(), ToyNormal()).fit(X)
    assert not hasattr(plain, "impute")
    with pytest.raises(ValueError, match="cannot sample conditionally"):
        plain.sample(given=np.full((1, 3), np.nan))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((FullNormal(),), ("real", "affine")),
        ((StandardScaler(), FullNormal()), ("real", "affine")),
        ((PCA(whiten=True), FullNormal()), ("real", "affine")),
        ((StandardScaler(), FullNormal(ridge=1.0)), ("real", "none")),
        ((FunctionTransformer(np.log), FullNormal()), ("positive", "none")),
        (("passthrough", FunctionTransformer(np.sqrt), FullNormal()), ("positive", "none")),
        ((FunctionTransformer(np.log1p), FullNormal()), ("non-negative", "none")),
        ((FunctionTransformer(np.exp), FullNormal()), ("real", "none")),
        ((PowerTransformer(method="box-cox"), FullNormal()), ("positive", "none")),
        ((make_pipeline(FunctionTransformer(np.log), PCA()), FullNormal()), ("positive", "none")),
        ((StandardScaler(), FunctionTransformer(np.log), FullNormal()), ("real", "none")),
        ((MaxAbsScaler(), Exponentials()), ("positive", "none")),
        ((Exponentials(),), ("positive", "scale")),
    ],
)
def test_tags(steps, expected):
    tags = make_density_pipeline(*steps).__density_tags__()
    assert (tags.support, tags.equivariance) == expected


def test_tags_of_columns_and_randomness():
    def tags(*steps):
        return make_density_pipeline(*steps).__density_tags__()

    assert tags(MaxAbsScaler(), Exponentials()).independent_columns
    assert not tags(PCA(), Exponentials()).independent_columns
    assert tags(PCA(svd_solver="randomized", random_state=0), FullNormal()).deterministic_fit
    assert not tags(PCA(svd_solver="randomized"), FullNormal()).deterministic_fit
    assert DensityPipeline([]).__density_tags__().support == "real"
    assert not hasattr(DensityPipeline([]), "impute")


def test_kind_follows_the_last_step():
    class Bound(FullNormal):
        def fit(self, X, y=None, sample_weight=None):
            super().fit(X, sample_weight=sample_weight)
            self.log_density_kind_ = "lower_bound"
            return self

    assert make_density_pipeline(StandardScaler(), Bound()).fit(X).log_density_kind_ == (
        "lower_bound"
    )
