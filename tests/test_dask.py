"""Collections of dask: the same fits, scores and draws as in memory, whatever the partitions."""

import os

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgm import (
    DDPM,
    BernoulliRBMCD,
    DensityChain,
    GaussianMixtureDensity,
    MLEDensity,
    NCEDensity,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
    StackedDensity,
    compare_densities,
)

dask = pytest.importorskip("dask")
dd = pytest.importorskip("dask.dataframe")
from skgm import dask as skgm_dask  # noqa: E402

FRAME = pd.DataFrame(np.random.default_rng(0).gamma(2.0, 1.0, size=(240, 2)), columns=["a", "b"])
FRAME["b"] += 5.0


@pytest.fixture(autouse=True)
def threads():
    with dask.config.set(scheduler="threads", num_workers=2):
        yield


def collection(frame=FRAME, npartitions=4):
    """A collection one of whose partitions is empty."""
    parts = dd.from_pandas(frame, npartitions=npartitions)
    return dd.concat([parts, parts.partitions[0].loc[parts.partitions[0]["a"] < -1]])


def test_plans():
    plans = {
        "merge": [MLEDensity("gamma"), ScoreMatchingGaussian()],
        "passes": [GaussianMixtureDensity(), ScoreMatchingExpFamily()],
        "stream": [DDPM(), BernoulliRBMCD()],
        "shard": [
            NCEDensity(),
            DensityChain(),
            StackedDensity(),
            ScoreMatchingGaussian(bounds="positive"),
        ],
    }
    for plan, estimators in plans.items():
        assert [skgm_dask.plan(estimator) for estimator in estimators] == [plan] * len(estimators)


@pytest.mark.parametrize("npartitions", [1, 20])
@pytest.mark.parametrize("estimator", [MLEDensity("gamma"), ScoreMatchingGaussian()], ids=str)
def test_merged_sums_are_the_whole_fit(estimator, npartitions):
    found = skgm_dask.fit(estimator, collection(npartitions=npartitions))
    assert not hasattr(estimator, "params_")
    whole = type(estimator)(**estimator.get_params()).fit(FRAME)
    assert_allclose(found.score_samples(FRAME), whole.score_samples(FRAME), rtol=1e-12)
    assert found.feature_names_in_.tolist() == ["a", "b"]


def test_weights_are_a_column():
    weighted = FRAME.assign(w=np.arange(240) % 3)
    found = skgm_dask.fit(ScoreMatchingGaussian(), collection(weighted), sample_weight="w")
    whole = ScoreMatchingGaussian().fit(FRAME, sample_weight=weighted["w"])
    assert_allclose(found.covariance_, whole.covariance_, rtol=1e-12)
    with pytest.raises(ValueError, match=r"Partition \d .*no column 'v'"):
        skgm_dask.fit(ScoreMatchingGaussian(), collection(weighted), sample_weight="v")


def test_arrays():
    from dask import array

    X = array.from_array(FRAME.to_numpy(), chunks=(50, 1))
    found = skgm_dask.fit(MLEDensity("gamma"), X)
    assert_allclose(found.loglik_, MLEDensity("gamma").fit(FRAME).loglik_, rtol=1e-12)


def test_passes_of_a_mixture():
    density = GaussianMixtureDensity(2, random_state=0)
    found = skgm_dask.fit(density, collection(), n_epochs=100, random_state=0)
    assert_allclose(found.score(FRAME), density.fit(FRAME).score(FRAME), atol=2e-3)


def test_one_pass_of_a_linear_system():
    family = ScoreMatchingExpFamily("gamma")
    found = skgm_dask.fit(family, collection(), random_state=0)
    assert found.theta_ == pytest.approx(family.fit(FRAME).theta_, rel=1e-3)
    assert found.n_samples_seen_ == len(FRAME)


def test_a_stream_learns():
    zeros = pd.DataFrame((FRAME.median() < FRAME).to_numpy().astype(float), columns=["a", "b"])
    zeros["c"] = zeros["a"]
    options = {"n_epochs": 30, "random_state": 0}
    found, again = (
        skgm_dask.fit(BernoulliRBMCD(4, batch_size=20), collection(zeros), **options)
        for _ in range(2)
    )
    assert found.score(zeros) > -3 * np.log(2) + 0.1
    assert_array_equal(found.score_samples(zeros), again.score_samples(zeros))


def test_shards_are_stacked():
    found = skgm_dask.fit(DensityChain(n_orders=1), collection(npartitions=2), random_state=0)
    assert isinstance(found, StackedDensity)
    assert list(found.weights_) == ["partition-0", "partition-1"]
    assert_allclose(sum(found.weights_.values()), 1.0)
    assert found.score(FRAME) > ScoreMatchingGaussian().fit(FRAME).score(FRAME) - 0.5
    assert list(found.sample(3, random_state=0).columns) == ["a", "b"]
    alone = skgm_dask.fit(DensityChain(n_orders=1), collection(npartitions=1), random_state=0)
    assert isinstance(alone, DensityChain)


def test_scores_are_lazy_and_keep_the_index():
    density = MLEDensity("gamma").fit(FRAME)
    scores = skgm_dask.score_samples(density, collection())
    assert isinstance(scores, dd.Series)
    expected = pd.Series(density.score_samples(FRAME), name="log_density")
    pd.testing.assert_series_equal(scores.compute(), expected, check_exact=True)
    assert_allclose(scores.mean().compute(), density.score(FRAME), rtol=1e-12)


def test_imputed_rows_keep_what_was_seen():
    density, holes = ScoreMatchingGaussian().fit(FRAME), FRAME.mask(FRAME > 6)
    lazy = skgm_dask.impute(density, collection(holes), random_state=0)
    filled = lazy.compute()
    assert filled.notna().all(axis=None)
    assert_array_equal(filled.to_numpy()[holes.notna()], holes.to_numpy()[holes.notna()])
    pd.testing.assert_frame_equal(lazy.compute(), filled)
    drawn = filled.to_numpy()[holes.isna()]
    assert len(np.unique(drawn)) == len(drawn)  # no two partitions have one stream


@pytest.mark.parametrize("table", [FRAME, FRAME.to_numpy()], ids=["frame", "array"])
def test_draws_have_independent_streams(table):
    density = ScoreMatchingGaussian().fit(table)
    lazy = skgm_dask.sample(density, 101, npartitions=4, random_state=0)
    assert lazy.npartitions == 4
    rows = lazy.compute()
    assert rows.shape == (101, 2)
    assert len(rows.drop_duplicates()) == 101
    assert list(rows.columns) == (["a", "b"] if table is FRAME else ["x0", "x1"])
    pd.testing.assert_frame_equal(lazy.compute(), rows)


def test_a_bad_value_is_named_by_partition_row_and_column():
    bad = FRAME.copy()
    bad.loc[130, "b"] = -1.0
    pattern = r"Partition 2 of X .*column 'b'.*row 10"
    with pytest.raises(ValueError, match=pattern):
        skgm_dask.fit(MLEDensity("gamma"), collection(bad))
    bad.loc[130, "b"] = np.nan
    with pytest.raises(ValueError, match=pattern.replace("row 10", "first at row 10")):
        skgm_dask.score_samples(ScoreMatchingGaussian().fit(FRAME), collection(bad)).compute()


@pytest.mark.parametrize("weight", [None, "w"])
def test_densities_are_compared_from_sums(weight):
    a, b = MLEDensity("gamma").fit(FRAME), ScoreMatchingGaussian().fit(FRAME)
    times = None if weight is None else np.arange(240) % 3
    table = FRAME if weight is None else FRAME.assign(w=times)
    found = skgm_dask.compare(a, b, collection(table), sample_weight=weight)
    expected = compare_densities(a, b, FRAME, sample_weight=times)
    for name in ("difference", "standard_error", "low", "pvalue", "win_rate", "mean_a", "n_rows"):
        assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9)
    assert skgm_dask.compare(a, a, collection()).pvalue == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: skgm_dask.fit(MLEDensity(), FRAME), "X must be a dask DataFrame or array"),
        (lambda: skgm_dask.score_samples(MLEDensity().fit(FRAME), FRAME), "dask DataFrame; got"),
        (lambda: skgm_dask.fit(MLEDensity("student_t"), collection()), "needs the rows.*no plan"),
        (lambda: skgm_dask.fit(MLEDensity(), collection()[["a"]].loc[:-1]), "no rows"),
        (lambda: skgm_dask.fit(DDPM(), collection().loc[:-1]), "no rows"),
        (
            lambda: skgm_dask.compare(
                MLEDensity().fit(FRAME), MLEDensity().fit(FRAME), collection().loc[:-1]
            ),
            "no rows",
        ),
        (lambda: skgm_dask.fit(NCEDensity(), collection().loc[:-1]), "no rows"),
        (lambda: MLEDensity().fit(collection()), r"skgm\.dask"),
        (lambda: DensityChain().fit(collection()), r"skgm\.dask"),
        (lambda: ScoreMatchingGaussian().fit(collection().to_dask_array()), r"skgm\.dask"),
        (lambda: ScoreMatchingGaussian().fit(FRAME).score(collection()), r"skgm\.dask"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((TypeError, ValueError), match=f"(?s){message}"):
        call()


def die_once(part, flag):
    """Kill the worker process at the first call."""
    if len(part) and not os.path.exists(flag):
        with open(flag, "w"):
            pass
        os._exit(1)
    return part


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # a worker that dies is warned of in many ways
def test_a_cluster_of_processes(tmp_path):
    distributed = pytest.importorskip("distributed")
    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV

    density = MLEDensity("gamma").fit(FRAME)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        dask.config.set(scheduler=None),
        distributed.LocalCluster(processes=True, **options) as cluster,
        distributed.Client(cluster),
    ):
        X = collection()
        found = skgm_dask.fit(MLEDensity("gamma"), X)
        assert_allclose(found.score_samples(FRAME), density.score_samples(FRAME), rtol=1e-12)
        scores = skgm_dask.score_samples(density, X).compute()
        assert_array_equal(scores, density.score_samples(FRAME))
        gaussian = ScoreMatchingGaussian().fit(FRAME)
        holes = collection(FRAME.mask(FRAME > 6))
        assert skgm_dask.impute(gaussian, holes, 0).compute().notna().all(axis=None)
        drawn = skgm_dask.sample(gaussian, 50, npartitions=3, random_state=0)
        with dask.config.set(scheduler="threads"):
            local = drawn.compute()
        pd.testing.assert_frame_equal(drawn.compute(), local)
        dying = X.map_partitions(die_once, str(tmp_path / "died"), meta=X._meta)
        survived = skgm_dask.fit(MLEDensity("gamma"), dying)
        assert (tmp_path / "died").exists()
        for name, value in found.params_.items():
            assert_array_equal(survived.params_[name], value)
        bad = collection(FRAME.assign(b=FRAME["b"].where(FRAME.index != 130, -1.0)))
        with pytest.raises(ValueError, match=r"Partition 2 of X .*column 'b'.*row 10"):
            skgm_dask.fit(MLEDensity("gamma"), bad)
        search = GridSearchCV(ScoreMatchingGaussian(), {"covariance_type": ["full", "diag"]}, cv=2)
        zeros = FRAME.median() < FRAME
        machine, chain = BernoulliRBMCD(2, batch_size=20), DensityChain(n_orders=1)
        for model, table in ((machine, zeros.astype(float)), (chain, FRAME)):  # stream, shard
            fits = []
            for scheduler in (None, "threads"):
                with dask.config.set(scheduler=scheduler):
                    parts = collection(table, 2)
                    fits.append(skgm_dask.fit(model, parts, n_epochs=2, random_state=0))
            assert_array_equal(*(fitted.score_samples(table) for fitted in fits))
        with parallel_config("dask"):
            chosen = search.fit(FRAME).best_score_
            stack = StackedDensity([("normal", gaussian)], random_state=0).fit(FRAME)
        assert chosen == search.fit(FRAME).best_score_
        assert_allclose(stack.score(FRAME), gaussian.score(FRAME))
