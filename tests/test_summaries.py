"""Sums over the parts of a table add up to a fit that is as good as one to the whole table."""

import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture

from skgm import (
    DDPM,
    DensityChain,
    GaussianMixtureDensity,
    MLEDensity,
    NCEDensity,
    ScoreMatchingExpFamily,
    ScoreMatchingGaussian,
    make_density_pipeline,
)
from skgm.base import TableSummary
from skgm.inference.families import FAMILIES
from skgm.tables._summary import add_summaries

RNG = np.random.default_rng(0)
TABLES = {
    "unit": RNG.beta(2.0, 3.0, size=(301, 2)),
    "circle": RNG.vonmises(0.5, 2.0, size=(301, 2)),
    "binary": RNG.integers(0, 2, size=(301, 2)).astype(float),
    "counts": RNG.negative_binomial(3, 0.4, size=(301, 2)).astype(float),
    "positive-counts": RNG.geometric(0.4, size=(301, 2)).astype(float),
    "real": RNG.normal(3.0, 2.0, size=(301, 2)),
    "positive": RNG.gamma(2.0, 3.0, size=(301, 2)),
    "non-negative": RNG.gamma(2.0, 3.0, size=(301, 2)),
}
FIXED = {"pareto": {"minimum": 1e-6}, "binomial": {"n": 60}, "categorical": {"n_categories": 60}}


def mergeable():
    for family in FAMILIES:
        model = MLEDensity(family, fixed=FIXED.get(family.name))
        if hasattr(model, "summarize"):
            yield model, TABLES[family.support]
    for options in (
        {},
        {"covariance_type": "diag"},
        {"covariance_type": "spherical"},
        {"assume_centered": True},
        {"penalty": "l2", "alpha": 0.1},
    ):
        yield ScoreMatchingGaussian(**options), TABLES["real"]


CASES = list(mergeable())


def parts_of(X, n=7):
    return np.split(X, np.sort(np.random.default_rng(n).integers(0, len(X) + 1, n - 1)))


def in_passing(model, X):
    """Return a copy that has gone through a pickle of the total of uneven parts, some empty."""
    parts = [model.summarize(part) for part in [X[:0], *parts_of(X), X[:0]]]
    return type(model)(**model.get_params()).fit_statistics(pickle.loads(pickle.dumps(sum(parts))))


@pytest.mark.parametrize(("model", "X"), CASES, ids=lambda value: str(value)[:60])
def test_parts_are_as_good_as_the_whole(model, X):
    whole = model.fit(X).score_samples(X)
    n_rows = len(X)
    assert_allclose(in_passing(model, X).score_samples(X), whole, rtol=1e-12, atol=1e-12 * n_rows)
    stream = type(model)(**model.get_params()).fit(iter(parts_of(X)[:3] + parts_of(X)[3:]))
    assert_allclose(stream.score_samples(X), whole, rtol=1e-12, atol=1e-12 * n_rows)
    assert_allclose(stream.score(X), model.score(X), rtol=1e-12)


def test_at_least_fifteen_models_add_up():
    assert len(CASES) >= 15


def test_a_fit_from_sums_has_all_that_a_fit_has():
    frame = pd.DataFrame(TABLES["positive"], columns=["a", "b"])
    model = MLEDensity("gamma").fit(frame)
    other = MLEDensity("gamma").fit(iter([frame[:100], frame[100:]]))
    assert vars(other).keys() == vars(model).keys()
    one, two = model.confidence_intervals(), other.confidence_intervals()
    for name in one:
        assert_allclose(two[name], one[name], rtol=1e-9)
    pd.testing.assert_frame_equal(other.sample(3, 0), model.sample(3, 0))


def test_weights_of_the_parts():
    X, weight = TABLES["real"], np.arange(301.0) % 3
    whole = ScoreMatchingGaussian().fit(X, sample_weight=weight)
    model = ScoreMatchingGaussian()
    cuts = [slice(0, 100), slice(100, 101), slice(101, 301)]
    total = sum(model.summarize(X[cut], weight[cut]) for cut in cuts)
    assert total.n_rows == np.count_nonzero(weight)
    assert model.summarize(X[:3], np.zeros(3)).statistics is None
    assert_allclose(model.fit_statistics(total).covariance_, whole.covariance_, rtol=1e-12)


def test_many_parts_add_up_in_pairs():
    X = 1e8 + RNG.normal(size=(512, 1))
    parts = [ScoreMatchingGaussian().summarize(row) for row in np.split(X, 512)]
    found = ScoreMatchingGaussian().fit_statistics(add_summaries(parts))
    expected = np.var((X - 1e8).astype(np.longdouble))
    assert_allclose(found.covariance_[0, 0], float(expected), rtol=1e-9)


def test_summarizing_changes_nothing():
    model = MLEDensity("gamma").fit(TABLES["positive"])
    before = pickle.dumps(model)
    model.summarize(TABLES["positive"][:5] + 1)
    assert pickle.dumps(model) == before
    fresh = MLEDensity("gamma")
    fresh.summarize(TABLES["positive"])
    assert set(vars(fresh)) == set(fresh.get_params())


def test_a_failed_fit_leaves_the_estimator_as_it_was():
    model = MLEDensity("gamma").fit(TABLES["positive"])
    expected = dict(vars(model))
    with pytest.raises(ValueError, match="needs sums of the gamma family"):
        model.fit_statistics(MLEDensity("normal").summarize(TABLES["real"]))
    assert vars(model) == expected


@pytest.mark.parametrize(
    ("total", "message"),
    [
        (lambda: MLEDensity().summarize(TABLES["real"]) + 3, "unsupported operand"),
        (
            lambda: (
                MLEDensity().summarize(TABLES["real"])
                + MLEDensity("gamma").summarize(TABLES["positive"])
            ),
            "two kinds",
        ),
        (
            lambda: (
                MLEDensity().summarize(TABLES["real"])
                + MLEDensity().summarize(TABLES["real"][:, :1])
            ),
            "different columns",
        ),
        (
            lambda: (
                MLEDensity().summarize(pd.DataFrame({"a": [1.0, 2.0]}))
                + MLEDensity().summarize(pd.DataFrame({"b": [1.0, 2.0]}))
            ),
            "different columns.*'a'.*'b'",
        ),
        (lambda: MLEDensity().fit_statistics(3), "sum of what summarize returns"),
        (lambda: MLEDensity().fit_statistics(TableSummary("x", 0)), "no rows"),
        (lambda: MLEDensity().fit(iter([])), "no parts"),
        (lambda: MLEDensity().fit(iter([TABLES["real"][:0]])), "no rows"),
        (lambda: MLEDensity().fit(iter([TABLES["real"]]), sample_weight=[1.0]), "sample_weight"),
        (
            lambda: MLEDensity("gamma").fit(iter([TABLES["positive"], -TABLES["positive"]])),
            "Part number 1 .*column 'x0'.*row 0",
        ),
        (
            lambda: ScoreMatchingGaussian().fit(iter([[[0.0, np.nan]]])),
            "Part number 0 .*NaN in column 'x1'",
        ),
        (lambda: ScoreMatchingGaussian().fit(iter([[[0.0, 1.0]]])), "minimum of 2"),
        (lambda: MLEDensity("student_t").fit(iter([TABLES["real"]])), "needs the rows"),
        (lambda: MLEDensity("auto").fit(iter([TABLES["real"]])), "family per column"),
        (lambda: ScoreMatchingGaussian(missing="em").fit(iter([TABLES["real"]])), "many times"),
        (lambda: DensityChain().fit(iter([TABLES["real"]])), "comes in parts"),
        (lambda: NCEDensity().fit(iter([TABLES["real"]])), "comes in parts"),
        (lambda: DDPM().fit(iter([TABLES["real"]])), "partial_fit"),
        (lambda: GaussianMixtureDensity().fit(iter([TABLES["real"]])), "comes in parts"),
    ],
)
def test_refusals(total, message):
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        total()


@pytest.mark.parametrize("model", [DDPM(), MLEDensity("weibull"), DensityChain()], ids=str)
def test_models_without_sums_have_no_such_methods(model):
    assert not hasattr(model, "summarize")
    assert not hasattr(model, "fit_statistics")


def test_streams_of_files(tmp_path):
    # an optional extra
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    dataset = pytest.importorskip("pyarrow.dataset")
    frame = pd.DataFrame(TABLES["positive"], columns=["a", "b"])
    table = pa.Table.from_pandas(frame)
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=50)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    expected = MLEDensity("gamma").fit(frame).loglik_
    file = tmp_path / "rows.parquet"
    with parquet.ParquetFile(file) as opened, pd.read_csv(tmp_path / "rows.csv", chunksize=40) as c:
        for stream in (
            opened,
            opened.iter_batches(30),
            dataset.dataset(file),
            table.to_reader(30),
            c,
        ):
            found = MLEDensity("gamma").fit(stream)
            assert_allclose(found.loglik_, expected, rtol=1e-12)
            assert found.feature_names_in_.tolist() == ["a", "b"]


# Mixtures: one step of EM for each pass.


def clusters(holes=False):
    X = np.random.default_rng(1).normal(size=(300, 2)) + 4 * (np.arange(300) % 2)[:, None]
    if holes:
        X[::5, 1] = np.nan
    return X


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("holes", [False, True])
def test_steps_of_em_in_parts(kind, holes):
    X = clusters(holes)
    start = GaussianMixtureDensity(2, covariance_type=kind, random_state=0).fit(X[:100])
    densities = [pickle.loads(pickle.dumps(start)) for _ in range(2)]
    heights = []
    for _ in range(3):
        for density, n in zip(densities, (1, 9)):
            density.fit_statistics(sum(density.summarize(part) for part in parts_of(X, n)))
        heights.append(densities[0].loglik_)
    one, two = (density.score_samples(X) for density in densities)
    assert_allclose(two, one, rtol=1e-12, atol=1e-12)
    assert np.all(np.diff(heights) > -1e-9)
    assert_allclose(heights[0], start.score_samples(X).sum(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:Best performing initialization")  # one step of it
def test_a_step_of_em_against_scikit_learn():
    X = clusters()
    start = GaussianMixtureDensity(2, prior_rows=0, random_state=0).fit(X[:100])
    twin = GaussianMixture(
        2,
        weights_init=start.weights_,
        means_init=start.means_,
        precisions_init=np.linalg.inv(start.covariances_),
        reg_covar=0.0,
        max_iter=1,
        tol=1e9,
    ).fit(X)
    start.fit_statistics(start.summarize(X))
    order = np.argsort(-twin.weights_)
    assert_allclose(start.weights_, twin.weights_[order], rtol=1e-9)
    assert_allclose(start.means_, twin.means_[order], rtol=1e-9)
    assert_allclose(start.covariances_, twin.covariances_[order], rtol=1e-8)


def test_steps_of_em_start_from_one_mixture():
    X = clusters()
    with pytest.raises(NotFittedError, match="Call fit first"):
        GaussianMixtureDensity(2).summarize(X)
    density = GaussianMixtureDensity(2, random_state=0).fit(X[:100])
    before = density.summarize(X)
    density.fit_statistics(before)
    with pytest.raises(ValueError, match="two kinds"):
        before + density.summarize(X)
    with pytest.raises(ValueError, match="needs a step of EM"):
        density.fit_statistics(before)


# Exponential families by score matching: sums in the units of a fit.


def own_statistics(X):
    return np.column_stack([X, X**2, X[:, [0]] * X[:, [1]]])


SYSTEMS = [
    ("quadratic", TABLES["real"], {}),
    ("quadratic", TABLES["unit"], {"bounds": (0.0, 1.0)}),
    ("polynomial", 2 * TABLES["unit"] - 1 + 0.2 * RNG.normal(size=(301, 2)), {}),
    ("gamma", TABLES["positive"], {}),
    ("exponential_square_root", TABLES["positive"], {}),
    (
        "von_mises_fisher",
        np.stack([np.cos(TABLES["circle"]), np.sin(TABLES["circle"])])[:, :, 0].T,
        {},
    ),
    (own_statistics, TABLES["real"], {}),
]


@pytest.mark.parametrize(("statistics", "X", "options"), SYSTEMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_a_linear_system_in_parts(statistics, X, options, weighted):
    weight = np.random.default_rng(5).integers(0, 4, len(X)) if weighted else None
    whole = ScoreMatchingExpFamily(statistics, **options).fit(X, sample_weight=weight)
    density = ScoreMatchingExpFamily(statistics, **options).fit(X, sample_weight=weight)
    where = np.arange(len(X)) % 7
    total = sum(
        density.summarize(X[where == k], None if weight is None else weight[where == k])
        for k in range(8)
    )
    if not callable(statistics):
        total = pickle.loads(pickle.dumps(total))
    density.fit_statistics(total)
    assert_allclose(density.theta_, whole.theta_, rtol=1e-8, atol=1e-10)
    assert_allclose(density.theta_covariance_, whole.theta_covariance_, rtol=1e-6)
    assert_allclose(density.loglik_, whole.loglik_, rtol=1e-9)
    assert_allclose(density.loss_, whole.loss_, rtol=1e-9)
    assert density.n_samples_seen_ == whole.n_samples_seen_
    assert_allclose(density.score_samples(X), whole.score_samples(X), rtol=1e-8, atol=1e-8)


def test_units_of_some_rows_serve_all():
    X = TABLES["real"]
    density = ScoreMatchingExpFamily().fit(X[:40])
    density.fit_statistics(sum(density.summarize(part) for part in parts_of(X)))
    gaussian = ScoreMatchingGaussian().fit(X)
    assert_allclose(density.score_samples(X), gaussian.score_samples(X), rtol=1e-9)


def test_what_sums_of_a_linear_system_refuse():
    X = TABLES["real"]
    with pytest.raises(NotFittedError, match="Call fit first"):
        ScoreMatchingExpFamily().summarize(X)
    one, other = (ScoreMatchingExpFamily().fit(X[:n]) for n in (40, 50))
    with pytest.raises(ValueError, match="two kinds"):
        one.summarize(X) + other.summarize(X)
    with pytest.raises(ValueError, match="needs numbers > 0"):
        ScoreMatchingExpFamily("gamma").fit(TABLES["positive"]).summarize(-X)
    with pytest.raises(ValueError, match="Found 1 sample"):
        one.fit_statistics(one.summarize(X[:1]))


def test_many_statistics_have_no_covariance_by_sums():
    X = np.random.default_rng(0).normal(size=(200, 6))
    density = ScoreMatchingExpFamily().fit(X)
    before = density.standard_errors()
    density.fit_statistics(density.summarize(X))
    assert density.theta_covariance_ is None
    found = density.standard_errors(X=X)
    assert_allclose(list(found.values()), list(before.values()), rtol=1e-8)


@pytest.mark.parametrize(("model", "X"), CASES[::3], ids=lambda value: str(value)[:60])
def test_robust_errors_in_a_second_pass(model, X):
    if not isinstance(model, MLEDensity) or model.family.joint:
        return
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = MLEDensity(model.family, fixed=model.fixed).fit(frame)
    try:
        whole = model.standard_errors("robust", X=frame)
    except ValueError:  # a family without them
        return
    found = model.standard_errors("robust", X=iter([frame[:100], frame[100:]]))
    for name, errors in whole.items():
        assert_allclose(found[name], errors, rtol=1e-9)
    with pytest.raises(ValueError, match="whole training table, of total weight 301; got 100"):
        model.standard_errors("robust", X=iter([frame[:100]]))
    with pytest.raises(ValueError, match=r"(?s)Part number 1 .*column 'b'"):
        model.standard_errors("robust", X=iter([frame[:100], frame[100:].assign(b=np.nan)]))


def test_robust_errors_that_need_the_table():
    X = TABLES["real"]
    for model in (MLEDensity("multivariate_normal"), ScoreMatchingGaussian()):
        with pytest.raises(ValueError, match="needs the training table whole"):
            model.fit(X).standard_errors("robust", X=iter([X]))


def test_parts_of_floats_name_the_bad_row():
    pa = pytest.importorskip("pyarrow")  # an optional extra
    good = pd.DataFrame(TABLES["positive"], columns=["a", "b"])
    bad = good.copy()
    bad.loc[70, "b"] = -1.0
    parts = [pa.Table.from_pandas(part, preserve_index=False) for part in (good, good, bad)]
    with pytest.raises(ValueError, match=r"Part number 2 .*column 'b'.*row 70"):
        MLEDensity("gamma").fit(iter(parts))
    wide = parts[0].append_column("c", parts[0]["a"])
    with pytest.raises(ValueError, match="different columns"):
        MLEDensity("gamma").fit(iter([parts[0], wide]))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", [MLEDensity("gamma"), ScoreMatchingGaussian()], ids=["gamma", "gaussian"]
)
def test_memory_does_not_grow_with_the_file(model, tmp_path):
    # an optional extra
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    peaks, names = [], [f"c{j}" for j in range(10)]
    for n_groups in (5, 10):
        schema, file = pa.schema([(name, pa.float64()) for name in names]), tmp_path / "rows"
        with parquet.ParquetWriter(file, schema) as writer:
            for seed in range(n_groups):
                rows = np.random.default_rng(seed).gamma(2.0, size=(100_000, 10))
                writer.write_table(pa.table(dict(zip(names, rows.T)), schema=schema))
        own = pa.system_memory_pool()
        tracemalloc.start()
        with parquet.ParquetFile(file) as opened:
            found = model.fit(opened)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert own.bytes_allocated() < 100e6
    assert peaks[1] < 1.1 * peaks[0]
    rows = pd.DataFrame(rows, columns=names)
    whole = type(model)(**model.get_params()).fit(rows)
    assert_allclose(found.score(rows), whole.score(rows), atol=0.01)


def test_a_pipeline_of_one_density_fits_streams():
    X = TABLES["real"]
    found = make_density_pipeline(ScoreMatchingGaussian()).fit(iter(np.split(X, [100])))
    assert_allclose(found.score(X), ScoreMatchingGaussian().fit(X).score(X), rtol=1e-12)
