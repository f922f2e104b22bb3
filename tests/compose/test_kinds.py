"""Wrappers hand a table on as it is: categories, whole numbers, dates and holes stay such."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
)

from skgm import (
    DDPM,
    DensityChain,
    DensityClassifier,
    DensityOutlierDetector,
    DensityPipeline,
    MLEDensity,
    NCEDensity,
    ScoreMatchingGaussian,
    StackedDensity,
    compare_densities,
    make_density_pipeline,
)

N = 60
TREES = HistGradientBoostingClassifier(max_iter=3)
CHAIN = DensityChain(TREES, n_cells=4, n_orders=1, calibrate=False, random_state=0)
DIFFUSION = DDPM(max_iter=3, n_steps=4, n_score_steps=2, random_state=0)
READERS = pytest.mark.parametrize("density", [CHAIN, DIFFUSION], ids=["chain", "ddpm"])


def make_frame(library="pandas"):
    rng = np.random.default_rng(0)
    size = rng.normal(size=N)
    frame = pd.DataFrame(
        {
            "city": rng.choice(["Oslo", "Rome", "Bern"], N),
            "code": rng.choice([10, 20, 90], N),
            "level": pd.Categorical(rng.choice(["lo", "mid", "hi"], N), ["lo", "mid", "hi", "top"]),
            "ok": rng.random(N) < 0.4,
            "size": size,
            "gain": np.where(rng.random(N) < 0.5, 0.0, np.exp(size)),
            "day": np.datetime64("2021-03-01") + rng.integers(0, 60, N),
            "wait": rng.integers(1, 9, N).astype("m8[s]"),
        },
        index=np.arange(N) + 5,
    )
    if library == "pandas":
        return frame
    plain = pa.Table.from_pandas(frame.astype({"level": str}), preserve_index=False)
    return pl.from_arrow(plain) if library == "polars" else plain


def same(one, other):
    assert type(one) is type(other)
    assert one.equals(other)


@READERS
@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_a_pipeline_of_one_density_is_that_density_bit_for_bit(density, library):
    frame = make_frame(library)
    if density is DIFFUSION and library != "pandas":
        pytest.skip("one library is enough for a slow fit")
    alone, within = density.fit(frame), DensityPipeline([("d", density)]).fit(frame)
    few = frame[:3]
    assert_array_equal(within.score_samples(few), alone.score_samples(few))
    same(within.sample(7, random_state=1), alone.sample(7, random_state=1))
    same(within.impute(frame[:3], 1), alone.impute(frame[:3], 1))
    assert within.base_measure_ == alone.base_measure_
    assert within.log_density_kind_ == alone.log_density_kind_
    assert list(within.feature_names_in_) == list(alone.feature_names_in_)
    idle = DensityPipeline([("none", "passthrough"), ("d", density)]).fit(frame)
    assert_array_equal(idle.score_samples(few), alone.score_samples(few))


@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_kinds_survive_grid_search_and_cross_validation():
    """The rare city is missing from some training folds."""
    frame = make_frame()[["city", "level", "gain"]]
    frame.iloc[4, 0] = "Bonn"
    pipeline = DensityPipeline([("d", CHAIN)])
    assert np.isnan(cross_val_score(pipeline, frame, cv=3)).any()
    grid = {"d__handle_unknown": ["ignore"], "d__n_cells": [2, 4]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(frame)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.sample(3).dtypes.equals(frame.dtypes)


READ = [
    DensityPipeline([("d", CHAIN)]),
    StackedDensity([("c", CHAIN), ("p", DensityPipeline([("d", CHAIN)]))], random_state=0),
]


@pytest.mark.parametrize("density", READ, ids=["pipeline", "stack"])
def test_a_category_that_a_fold_lacks_costs_no_score(density):
    frame = make_frame()[["city", "gain"]]
    frame.iloc[4, 0] = "Bonn"
    ignored = {k: "ignore" for k in density.get_params() if k.endswith("handle_unknown")}
    scores = cross_val_score(clone(density).set_params(**ignored), frame, cv=3)
    assert np.isfinite(scores).all()
    label = np.where(make_frame()["ok"], "yes", "no")
    assert np.isfinite(cross_val_score(DensityClassifier(density), frame, label, cv=3)).all()
    flagged = DensityOutlierDetector(density).fit(frame[5:]).score_samples(frame)
    assert np.isfinite(flagged).all()


def test_categories_of_independent_columns_have_zero_probability_where_they_were_not_seen():
    frame = make_frame()[["city"]]
    frame.iloc[4, 0] = "Bonn"
    model = MLEDensity("categorical")
    assert not np.isnan(cross_val_score(model, frame, cv=3)).any()
    assert np.isneginf(model.fit(frame[5:]).score_samples(frame[4:5])).all()


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a pipeline"])
def test_densities_without_a_seed_are_seeded(within):
    """Fits of a diffusion are too short here to depend on it, so the seeds themselves are told."""
    density = clone(DIFFUSION).set_params(random_state=None)
    density = DensityPipeline([("d", density)]) if within else density
    X, label = make_frame()[["size"]].to_numpy(), make_frame()["ok"].to_numpy()

    def seeds(seed):
        classes = DensityClassifier(density, random_state=seed).fit(X, label).densities_
        detector = DensityOutlierDetector(density, random_state=seed).fit(X).density_
        told = (model.get_params() for model in (*classes, detector))
        return [params["d__random_state" if within else "random_state"] for params in told]

    assert seeds(3) == seeds(3)
    assert len({None, *seeds(3), *seeds(4)}) > 5
    assert density.get_params()["d__random_state" if within else "random_state"] is None


@READERS
def test_a_transformer_that_loses_kinds_is_refused_by_name(density):
    frame = make_frame()[["code", "size"]]
    with pytest.raises(ValueError, match=r"'scale' \(StandardScaler\) would turn columns \['code'"):
        DensityPipeline([("scale", StandardScaler()), ("d", density)]).fit(frame)
    named = clone(density).set_params(categorical_features=[0])
    with pytest.raises(ValueError, match=r"\['x0'\], which are categories"):
        DensityPipeline([("scale", StandardScaler()), ("d", named)]).fit(frame.to_numpy())
    real = clone(density).set_params(integer_features=None)
    as_numbers = DensityPipeline([("scale", StandardScaler()), ("d", real)])
    if density is DIFFUSION:
        assert as_numbers.fit(frame).base_measure_ == {"code": "Lebesgue", "size": "Lebesgue"}
    else:  # three values in a column of real numbers are point masses
        with pytest.raises(ValueError, match=r"single values .*column 'code'"):
            as_numbers.fit(frame)


def encoding(*parts, **options):
    encoder = OrdinalEncoder(**options)
    parts = [("codes", encoder, ["city", "level", "ok"]), *parts]
    return ColumnTransformer(parts, remainder="passthrough")


@pytest.mark.parametrize(
    ("library", "density"),
    [
        ("pandas", CHAIN),
        ("polars", CHAIN),
        ("pandas", DIFFUSION),
        ("pandas", MLEDensity("auto")),
        ("pandas", StackedDensity([("one", CHAIN)], random_state=0)),
    ],
    ids=["chain", "polars", "ddpm", "auto", "stack"],
)
def test_an_encoder_of_categories_leaves_the_density_of_the_table(library, density):
    """log|J| = 0 under the counting measure: scores and draws are those without the encoder."""
    frame = make_frame(library)
    alone = clone(density).fit(frame)
    coded = make_density_pipeline(encoding(), density).fit(frame)
    few = frame[:3]
    assert_array_equal(coded.score_samples(few), alone.score_samples(few))
    same(coded.sample(7, random_state=1), alone.sample(7, random_state=1))
    same(coded.impute(few, 1), few)
    assert coded.base_measure_ == alone.base_measure_
    codes = coded[:-1].transform(frame)[:, 0]
    assert sorted(set(codes)) == [0, 1, 2]


CHANGES = [
    (FunctionTransformer(np.log), ["weight"], lambda f: f.assign(weight=np.log(f["weight"]))),
    (FunctionTransformer(np.sqrt), ["weight"], lambda f: f.assign(weight=np.sqrt(f["weight"]))),
    (PowerTransformer("box-cox"), ["weight"], None),
    (make_pipeline(StandardScaler(), PCA()), ["weight", "size"], None),
]


@pytest.mark.parametrize(
    ("step", "columns", "by_hand"), CHANGES, ids=["log", "root", "power", "pca"]
)
def test_categories_pass_beside_transformers_of_other_columns(step, columns, by_hand):
    """The change of variables by hand: the density of the changed frame times the slopes."""
    frame = make_frame().drop(columns="gain")
    frame.insert(1, "weight", np.exp(frame["size"] + np.random.default_rng(1).normal(size=N)))
    frame = frame[["city", "weight", "size", "level", "ok", "day"]]
    model = make_density_pipeline(encoding(("step", step, columns)), CHAIN).fit(frame)
    drawn = model.sample(50, random_state=0)
    assert drawn.dtypes.equals(frame.dtypes)
    assert np.isfinite(model.score_samples(drawn)).all()
    if by_hand is not None:
        upper, lower = (by_hand(frame.assign(weight=frame["weight"] + h)) for h in (1e-6, -1e-6))
        slope = (upper["weight"] - lower["weight"]) / 2e-6
        expected = CHAIN.fit(by_hand(frame)).score_samples(by_hand(frame)) + np.log(slope)
        assert_allclose(model.score_samples(frame) + model.log_image_probability_, expected)
        holed = frame.head(4).assign(weight=np.nan)
        same(model.impute(holed, 0).drop(columns="weight"), holed.drop(columns="weight"))
        given = model.sample(3, random_state=0, given={"weight": 1.25, "city": "Rome"})
        assert (given["weight"] == 1.25).all()
        assert (given["city"] == "Rome").all()
        assert_array_equal(model.score_samples(frame.head(2).assign(weight=-1.0)), -np.inf)


def test_an_encoder_says_what_becomes_of_new_categories():
    frame = make_frame()[["city", "level", "ok"]]
    new = frame.head(2).assign(city="Paris")
    tolerant = clone(CHAIN).set_params(handle_unknown="ignore")
    refusing = make_density_pipeline(OrdinalEncoder(), tolerant).fit(frame)
    with pytest.raises(ValueError, match=r"category 'Paris' at row 0.*'use_encoded_value'"):
        refusing.score_samples(new)
    assert np.isfinite(refusing.score_samples(frame.head(2).assign(level="top"))).all()
    options = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    taking = make_density_pipeline(OrdinalEncoder(**options), tolerant).fit(frame)
    assert_array_equal(taking.score_samples(new), tolerant.fit(frame).score_samples(new))
    weight = np.arange(N) > 5
    weighted = make_density_pipeline(OrdinalEncoder(), CHAIN).fit(frame, sample_weight=weight)
    assert_array_equal(weighted.score_samples(frame), CHAIN.fit(frame[6:]).score_samples(frame))


def test_a_classifier_of_text_columns():
    """The classes lack cities of one another; what no class has seen is a new value to all."""
    frame = make_frame()
    label = np.where(frame["ok"], "yes", "no")
    X = frame[["city", "level", "size", "day"]]
    X = X.assign(city=np.where(label == "yes", X["city"].replace("Rome", "Oslo"), X["city"]))
    model = DensityClassifier(CHAIN).fit(X, label)
    share = model.predict_proba(X)
    assert_allclose(share.sum(axis=1), 1.0)
    assert (share[X["city"] == "Rome", 0] > 0.5).mean() > 0.6
    rows, labels = model.sample(30, random_state=0)
    assert rows.dtypes.equals(X.dtypes)
    assert not ((rows["city"] == "Rome") & (labels == "yes")).any()
    assert np.isfinite(model.score_samples(X.head(2).assign(city="Paris"))).all()


def test_a_detector_reads_text_and_holes():
    frame = make_frame()
    frame.loc[7, "city"], frame.loc[9, "size"] = None, np.nan
    for options in ({"contamination": 0.1}, {"false_alarm_rate": 0.2}):
        detector = DensityOutlierDetector(CHAIN, random_state=0, **options).fit(frame)
        odd = frame.head(1).assign(city="Paris", gain=1e6, code=10**6)
        assert detector.predict(odd) == -1
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(frame.rename(columns={"city": "town"}))


@pytest.mark.parametrize("last", [GaussianMixture(2, random_state=0), KernelDensity(bandwidth=0.4)])
@pytest.mark.parametrize("first", [StandardScaler(), PowerTransformer()])
def test_densities_of_scikit_learn_may_stand_last(first, last):
    """The change of variables, with the Jacobian by central differences."""
    X = make_frame()[["size", "gain"]]
    pipeline = make_density_pipeline(first, last).fit(X)
    Z = first.fit(X).transform(X)
    step = 1e-5
    slope = np.stack([(first.transform(X + step) - first.transform(X - step)) / (2 * step)])[0]
    expected = last.fit(Z).score_samples(Z) + np.log(slope).sum(axis=1)
    expected -= pipeline.log_image_probability_
    assert_allclose(pipeline.score_samples(X), expected, atol=1e-5)
    assert pipeline.sample(4, random_state=0).dtypes.equals(X.dtypes)
    assert not hasattr(pipeline, "impute")
    if isinstance(last, GaussianMixture):
        with pytest.raises(ValueError, match="takes no sample_weight"):
            pipeline.fit(X, sample_weight=np.ones(N))


def test_what_is_no_density_may_not_stand_last():
    for last in (StandardScaler(), DensityClassifier(), GaussianMixture):
        with pytest.raises(TypeError, match="must be a density"):
            DensityPipeline([("last", last)]).fit(np.zeros((3, 1)))


def test_different_base_measures_are_not_compared():
    frame = make_frame()
    numbers = frame[["size", "gain"]]
    chain, gauss = CHAIN.fit(numbers), ScoreMatchingGaussian().fit(numbers)
    with pytest.raises(ValueError, match=r"column 'gain': Lebesgue, and counting at \[0.0\] and L"):
        compare_densities(chain, gauss, numbers)
    with pytest.raises(ValueError, match="column 'gain'"):
        compare_densities(GaussianMixture().fit(numbers.to_numpy()), chain, numbers.to_numpy())
    same_measure = DensityPipeline([("d", CHAIN)]).fit(numbers)
    assert compare_densities(same_measure, CHAIN.fit(numbers), numbers).difference == 0
    assert compare_densities(chain.score_samples(numbers), gauss, numbers).n_rows == N
    counts = frame[["code"]]
    poisson, normal = (MLEDensity(family).fit(counts) for family in ("poisson", "normal"))
    assert poisson.base_measure_ == {"code": "counting"}
    with pytest.raises(ValueError, match="column 'code': counting and Lebesgue"):
        compare_densities(poisson, normal, counts)
    tuned = GridSearchCV(MLEDensity(), {"family": ["poisson"]}, cv=2).fit(counts)
    with pytest.raises(ValueError, match="counting and Lebesgue"):
        compare_densities(tuned, normal, counts)


def test_base_measures_are_said_only_after_a_fit():
    for density in (DensityChain(), NCEDensity()):
        assert not hasattr(density, "base_measure_")
