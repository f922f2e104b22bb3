"""The composition itself: parameters, indexing, weights, containers, persistence, conditioning."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PowerTransformer,
    StandardScaler,
)
from sklearn.utils import estimator_html_repr
from sklearn.utils.validation import check_is_fitted

import skgm
from skgm import GaussianMixtureDensity, ScoreMatchingGaussian
from skgm.compose import DensityPipeline, make_density_pipeline
from tests.compose.densities import FullNormal
from tests.compose.transformers import positive_table, real_table
from tests.toy import ToyNormal

pd = pytest.importorskip("pandas")
X = real_table(3)


def two_steps():
    return make_density_pipeline(StandardScaler(), FullNormal())


def test_public_names():
    assert skgm.DensityPipeline is DensityPipeline
    assert skgm.make_density_pipeline is make_density_pipeline
    assert not isinstance(two_steps(), Pipeline)


def test_names_of_make_density_pipeline():
    pipe = make_density_pipeline(StandardScaler(), StandardScaler(), FullNormal())
    assert list(pipe.named_steps) == ["standardscaler-1", "standardscaler-2", "fullnormal"]


def test_steps_are_untouched_by_fit():
    steps = [("scale", StandardScaler()), ("density", FullNormal())]
    before = [vars(step).copy() for _, step in steps]
    pipe = DensityPipeline(steps).fit(X)
    assert pipe.steps is steps
    assert [vars(step) for _, step in steps] == before
    assert isinstance(pipe.pipeline_, Pipeline)
    check_is_fitted(pipe.pipeline_)
    assert pipe.pipeline_["scale"] is not steps[0][1]


def test_parameters_of_steps():
    pipe = two_steps()
    assert pipe.get_params()["fullnormal__ridge"] == 0
    assert pipe.get_params()["standardscaler"] is pipe.steps[0][1]
    assert set(pipe.get_params(deep=False)) == {"steps", "log_jacobians", "normalizer_draws"}
    assert pipe.set_params(fullnormal__ridge=0.5, normalizer_draws=7) is pipe
    assert pipe.steps[1][1].ridge == 0.5
    pipe.set_params(standardscaler=MinMaxScaler())
    assert isinstance(pipe.steps[0][1], MinMaxScaler)
    pipe.set_params(steps=[("d", FullNormal())], d__ridge=2)
    assert pipe.get_params()["d__ridge"] == 2
    with pytest.raises(ValueError, match="Invalid parameter"):
        pipe.set_params(nothing=1)


def test_indexing_before_fit_gives_the_steps():
    pipe = two_steps()
    assert len(pipe) == 2
    assert pipe[0] is pipe["standardscaler"] is pipe.named_steps.standardscaler is pipe.steps[0][1]
    assert pipe[-1] is pipe.steps[-1][1]
    assert [type(step) for step in pipe] == [StandardScaler, FullNormal]
    with pytest.raises(KeyError):
        pipe["nothing"]


def test_indexing_after_fit_gives_the_fitted_steps():
    pipe = two_steps().fit(X)
    np.testing.assert_allclose(pipe["standardscaler"].mean_, X.mean(axis=0))
    assert pipe.named_steps.fullnormal is pipe[-1] is pipe.pipeline_[-1]


def test_slices():
    pipe = make_density_pipeline(
        StandardScaler(),
        PCA(),
        FunctionTransformer(np.cbrt, lambda z: z**3),
        FullNormal(),
        log_jacobians={"functiontransformer": cube_root_slope},
    ).fit(X)
    transformers = pipe[:-2]
    assert type(transformers) is Pipeline
    np.testing.assert_allclose(transformers.transform(X).mean(axis=0), 0, atol=1e-12)
    rest = pipe[1:]
    assert type(rest) is DensityPipeline
    assert list(rest.named_steps) == ["pca", "functiontransformer", "fullnormal"]
    assert rest.log_jacobians == pipe.log_jacobians
    assert pipe[3:].log_jacobians is None
    assert rest.fit(X).score(X) < 0
    with pytest.raises(ValueError, match="step of 1"):
        pipe[::2]
    with pytest.raises(ValueError, match="step of 1"):
        pipe[::-1]


def cube_root_slope(X):
    return -(np.log(3) + 2 / 3 * np.log(np.abs(X))).sum(axis=1)


def test_custom_log_jacobian():
    """The cube of x + 5, known to nobody, against the same by hand."""
    custom = FunctionTransformer(lambda x: (x + 5) ** 3, inverse_func=lambda z: np.cbrt(z) - 5)
    pipe = make_density_pipeline(
        custom,
        StandardScaler(),
        FullNormal(),
        log_jacobians={"functiontransformer": lambda x: np.log(3 * (x + 5) ** 2).sum(axis=1)},
    ).fit(X)
    expected = FullNormal().fit((X + 5) ** 3).score_samples((X + 5) ** 3)
    expected += np.log(3 * (X + 5) ** 2).sum(axis=1)
    np.testing.assert_allclose(pipe.score_samples(X), expected)
    assert pipe.log_image_probability_ == 0
    draws = pipe.sample(4000, random_state=0)
    reference = np.cbrt(FullNormal().fit((X + 5) ** 3).sample(4000, random_state=1)) - 5
    # two independent samples of 4000: p < 0.001 by accident once in a thousand seeds
    assert all(stats.ks_2samp(a, b).pvalue > 1e-3 for a, b in zip(draws.T, reference.T))
    assert not hasattr(pipe, "score_function")
    with pytest.raises(AttributeError) as raised:
        pipe.score_function(X)
    assert "not known (functiontransformer)" in str(raised.value.__cause__)
    with pytest.raises(ValueError, match="column alone"):
        pipe.sample(given=X)


def test_custom_step_inside_a_composition_and_on_a_data_frame():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])

    def double(table):
        assert isinstance(table, pd.DataFrame)
        return table * [1.0, 2.0, 4.0]

    custom = FunctionTransformer(double, inverse_func=lambda Z: Z / [1.0, 2.0, 4.0])
    expected = FullNormal().fit(X).score_samples(X)
    pipe = make_density_pipeline(
        custom,
        FullNormal(),
        log_jacobians={"functiontransformer": lambda X: np.full(len(X), np.log(8))},
    ).fit(frame)
    np.testing.assert_allclose(pipe.score_samples(frame), expected)
    nested = make_pipeline(FunctionTransformer(np.negative, np.negative), StandardScaler())
    pipe = make_density_pipeline(
        nested,
        FullNormal(),
        log_jacobians={"pipeline__functiontransformer": lambda X: np.zeros(len(X))},
    ).fit(X)
    np.testing.assert_allclose(pipe.score_samples(X), expected)


def test_custom_image_smaller_than_the_space_is_normalized():
    """The square of positive numbers: the half of the normal below zero is out of reach."""
    table = positive_table(1)
    custom = FunctionTransformer(np.square, inverse_func=np.sqrt)
    pipe = make_density_pipeline(
        custom,
        FullNormal(),
        log_jacobians={
            "functiontransformer": lambda x: np.where(x > 0, np.log(2 * np.abs(x)), np.nan).sum(1)
        },
    ).fit(table)
    square = table**2
    p = stats.norm.sf(0, square.mean(), square.std())
    error = np.sqrt((1 - p) / p / pipe.normalizer_draws)
    np.testing.assert_allclose(pipe.log_image_probability_, np.log(p), atol=4 * error)
    assert pipe.log_density_kind_ == "estimate"
    assert pipe.score_samples([[-1.0]]) == -np.inf
    assert pipe.sample(500, random_state=0).min() > 0


def test_wrong_shape_of_a_custom_log_jacobian():
    custom = FunctionTransformer(np.negative, np.negative)
    pipe = make_density_pipeline(
        custom, FullNormal(), log_jacobians={"functiontransformer": np.zeros_like}
    ).fit(X)
    with pytest.raises(ValueError, match=r"'functiontransformer'. must return one value per row"):
        pipe.score_samples(X)


def test_passthrough_and_none_do_nothing():
    expected = FullNormal().fit(X).score_samples(X)
    for step in ("passthrough", None):
        pipe = DensityPipeline([("nothing", step), ("density", FullNormal())]).fit(X)
        np.testing.assert_array_equal(pipe.score_samples(X), expected)
    np.testing.assert_array_equal(
        DensityPipeline([("density", FullNormal())]).fit(X).score_samples(X), expected
    )


def test_a_pipeline_may_end_in_a_pipeline():
    pipe = make_density_pipeline(MinMaxScaler(), two_steps()).fit(X, sample_weight=None)
    np.testing.assert_allclose(pipe.score_samples(X), FullNormal().fit(X).score_samples(X))
    weight = np.arange(len(X)) % 3
    nested = make_density_pipeline(StandardScaler(), two_steps()).fit(X, sample_weight=weight)
    alone = FullNormal().fit(X, sample_weight=weight)
    np.testing.assert_allclose(nested.score_samples(X), alone.score_samples(X))


@pytest.mark.parametrize("routing", [False, True])
def test_grid_search_over_parameters_and_whole_steps_with_weights(routing):
    table = positive_table(2)
    grid = {
        "fullnormal__ridge": [0.0, 10.0],
        "standardscaler": [StandardScaler(), "passthrough", FunctionTransformer(np.log)],
    }
    weight = np.random.default_rng(0).integers(1, 3, size=len(table))
    with config_context(enable_metadata_routing=routing):
        pipe = two_steps()
        if routing:
            pipe.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(pipe, grid, cv=3).fit(table, sample_weight=weight)
    assert search.best_params_["fullnormal__ridge"] == 0
    assert isinstance(search.best_params_["standardscaler"], FunctionTransformer)
    best = make_density_pipeline(FunctionTransformer(np.log), FullNormal())
    best.fit(table, sample_weight=weight)
    np.testing.assert_allclose(
        search.best_estimator_.score_samples(table), best.score_samples(table)
    )


def test_weights_equal_repetition_and_zero_weight_rows_are_absent():
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    steps = StandardScaler(), FunctionTransformer(), FullNormal()
    weighted = make_density_pipeline(*steps).fit(X, sample_weight=weight)
    repeated = make_density_pipeline(*steps).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(weighted["standardscaler"].mean_, repeated[0].mean_, rtol=1e-12)
    np.testing.assert_allclose(weighted.score_samples(X), repeated.score_samples(X), rtol=1e-10)
    plain = make_density_pipeline(*steps).fit(X)
    assert np.abs(plain.score_samples(X) - weighted.score_samples(X)).max() > 1e-3


@pytest.mark.parametrize("kind", ["array", "pandas", "polars"])
def test_zero_weight_rows_may_lie_outside_the_domain(kind):
    table = positive_table(2)
    bad = np.vstack([[[-1.0, 5.0]], table])
    if kind != "array":
        bad = pytest.importorskip(kind).DataFrame({"a": bad[:, 0], "b": bad[:, 1]})
    weight = np.r_[0.0, np.ones(len(table))]
    pipe = make_density_pipeline(FunctionTransformer(np.log), FullNormal())
    pipe.fit(bad, sample_weight=weight)
    np.testing.assert_allclose(pipe[-1].location_, np.log(table).mean(axis=0))


def test_frames_come_back_as_they_were():
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).astype({"b": np.float32})
    pipe = make_density_pipeline(StandardScaler(), PCA(whiten=True), FullNormal()).fit(frame)
    assert list(pipe.feature_names_in_) == ["a", "b", "c"]
    drawn = pipe.sample(5, random_state=0)
    assert list(drawn.columns) == ["a", "b", "c"]
    assert drawn.dtypes.tolist() == [np.float64, np.float32, np.float64]
    np.testing.assert_allclose(
        drawn,
        make_density_pipeline(StandardScaler(), PCA(whiten=True), FullNormal())
        .fit(frame.to_numpy())
        .sample(5, random_state=0),
        rtol=1e-5,
    )
    with pytest.raises(ValueError, match="feature names"):
        pipe.score_samples(frame[["b", "a", "c"]])


def test_float32_in_float32_out():
    pipe = make_density_pipeline(StandardScaler(), PowerTransformer(), FullNormal())
    pipe.fit(X.astype(np.float32))
    assert pipe[-1]._sample_dtype == "float32"
    assert pipe.sample(3).dtype == np.float32
    assert pipe.score_samples(X.astype(np.float32)).dtype == np.float64


@pytest.mark.parametrize("copy", [False, True])
def test_the_table_is_not_written_to_at_scoring(copy):
    table = X.copy()
    pipe = make_density_pipeline(StandardScaler(), FullNormal()).fit(table)
    pipe = make_density_pipeline(StandardScaler(copy=copy), FullNormal()).fit(table.copy())
    pipe.score_samples(table)
    pipe.score_function(table)
    np.testing.assert_array_equal(table, X)


def test_draws_are_reproducible_and_leave_the_estimator_alone():
    pipe = make_density_pipeline(FunctionTransformer(np.sqrt), FullNormal()).fit(positive_table(2))
    before = pickle.dumps(pipe)
    np.testing.assert_array_equal(pipe.sample(9, 3), pipe.sample(9, 3))
    rng = np.random.default_rng(0)
    assert not np.array_equal(pipe.sample(9, rng), pipe.sample(9, rng))
    assert pickle.dumps(pipe) == before


def test_clone_pickle_and_html():
    pipe = make_density_pipeline(StandardScaler(), PowerTransformer(), FullNormal()).fit(X)
    copy = pickle.loads(pickle.dumps(pipe))
    np.testing.assert_array_equal(copy.score_samples(X), pipe.score_samples(X))
    np.testing.assert_array_equal(copy.sample(5, 0), pipe.sample(5, 0))
    fresh = clone(pipe)
    assert not hasattr(fresh, "pipeline_")
    np.testing.assert_array_equal(fresh.fit(X).score_samples(X), pipe.score_samples(X))
    assert "PowerTransformer" in estimator_html_repr(pipe)
    assert "StandardScaler" in repr(pipe)


def test_skops_round_trip():
    skops = pytest.importorskip("skops.io")
    frame = pd.DataFrame(positive_table(2), columns=["a", "b"])
    pipe = make_density_pipeline(FunctionTransformer(np.log), StandardScaler(), ToyNormal())
    pipe.fit(frame)
    blob = skops.dumps(pipe)
    untrusted = skops.get_untrusted_types(data=blob)
    assert all(name.startswith(("skgm.", "tests.", "numpy.")) for name in untrusted), untrusted
    copy = skops.loads(blob, trusted=untrusted)
    np.testing.assert_array_equal(copy.score_samples(frame), pipe.score_samples(frame))
    pd.testing.assert_frame_equal(copy.sample(5, 0), pipe.sample(5, 0))


def test_estimators_work_in_a_plain_pipeline_in_transformed_units():
    """There, `score` differs from ours by the log-determinant: here, of the scales."""
    plain = make_pipeline(StandardScaler(), FullNormal()).fit(X)
    difference = plain.score(X) - two_steps().fit(X).score(X)
    np.testing.assert_allclose(difference, np.log(X.std(axis=0)).sum())


def test_callbacks_reach_the_steps_and_hear_of_every_step():
    callback_module = pytest.importorskip("sklearn.callback")

    class Recorder:
        max_propagation_depth = None

        def __init__(self):
            self.heard = []

        def setup(self, estimator, context):
            self.heard.append("setup")

        def teardown(self, estimator, context):
            self.heard.append("teardown")

        def on_fit_task_begin(self, estimator, context):
            self.heard.append((type(estimator).__name__, context.task_name))

        def on_fit_task_end(self, estimator, context):
            pass

    recorder = Recorder()
    assert isinstance(recorder, callback_module.AutoPropagatedCallback)
    pipe = make_density_pipeline(StandardScaler(), PCA(), FullNormal()).set_callbacks(recorder)
    pipe.fit(X)
    # a step that supports callbacks speaks for itself, in the place of its task
    begun = [
        ("DensityPipeline", "fit"),
        ("StandardScaler", "fit"),
        ("DensityPipeline", "fit-pca"),
        ("FullNormal", "fit"),
    ]
    assert recorder.heard[0] == "setup"
    assert recorder.heard[-1] == "teardown"
    heard = [event for event in recorder.heard if event not in ("setup", "teardown")]
    assert sorted(set(heard), key=heard.index) == begun
    assert len(recorder.heard) == len(heard) + 2
    assert not hasattr(pipe[-1], "_skl_callbacks")


def test_set_params_of_log_jacobians_does_not_change_a_fitted_density():
    class Shift(FunctionTransformer):
        """Unknown to skgm."""

    rows = np.random.default_rng(3).normal(size=(50, 2))
    zero = {"shift": lambda X: np.zeros(len(X))}
    steps = [("shift", Shift(np.sinh, inverse_func=np.arcsinh)), ("last", FullNormal())]
    pipe = DensityPipeline(steps, log_jacobians=zero).fit(rows)
    before = pipe.score_samples(rows)
    pipe.set_params(log_jacobians={"shift": lambda X: np.ones(len(X))})
    np.testing.assert_array_equal(pipe.score_samples(rows), before)
    np.testing.assert_allclose(pipe.fit(rows).score_samples(rows), before + 1)


def test_an_imputer_among_the_steps_is_not_advised_again():
    X = np.random.default_rng(0).normal(size=(30, 2))
    X[3, 1] = np.nan
    for first, advice in (
        (SimpleImputer(), "has no inverse. Impute the table before"),
        (StandardScaler(), "for example with sklearn.impute.SimpleImputer"),
    ):
        with pytest.raises(ValueError, match=rf"NaN in column 'x1' \(first at row 3\).*{advice}"):
            make_density_pipeline(first, FullNormal()).fit(X)


def holed(n=400, seed=0):
    rng = np.random.default_rng(seed)
    X = np.exp(0.5 * rng.multivariate_normal([0, 1, 2], 0.6 * np.ones((3, 3)) + np.eye(3), n))
    X[rng.random(X.shape) < 0.2] = np.nan
    return X[~np.isnan(X).all(axis=1)]


HOLED = {
    "root": [("f", FunctionTransformer(np.sqrt))],
    "scaler": [("s", StandardScaler())],
    "logarithm": [("f", FunctionTransformer(np.log)), ("s", StandardScaler())],
    "power": [("p", PowerTransformer())],
    "parts": [
        (
            "c",
            ColumnTransformer(
                [("b", FunctionTransformer(np.log), [2, 0]), ("a", StandardScaler(), [1])]
            ),
        )
    ],
}


@pytest.mark.parametrize("name", HOLED)
def test_holes_go_through_transformers_to_a_density_that_takes_them(name):
    """The density of an observed column integrates to one, in the units of the table."""
    X = holed()
    pipe = DensityPipeline([*HOLED[name], ("d", GaussianMixtureDensity(1))]).fit(X)
    assert np.isfinite(pipe.score_samples(X)).all()
    for column in range(3):
        ends = np.log([1e-9, 1e4]) if name in ("logarithm", "root") else (-8.0, 12.0)
        grid = np.exp(np.linspace(*ends, 20_001))
        grid = grid if name in ("logarithm", "root") else np.concatenate([-grid[::-1], grid])
        rows = np.full((len(grid), 3), np.nan)
        rows[:, column] = grid
        density = np.exp(pipe.score_samples(rows))
        # 65536 draws tell what the square root reaches
        assert np.trapezoid(density, grid) == pytest.approx(1, abs=5e-3)
    filled = pipe.impute(X, random_state=0)
    assert np.isfinite(filled).all()
    assert_allclose(filled[~np.isnan(X)], X[~np.isnan(X)])


def test_holes_are_refused_where_nothing_takes_them():
    X, pipe = holed(), DensityPipeline([("s", StandardScaler()), ("d", ScoreMatchingGaussian())])
    with pytest.raises(ValueError, match="NaN in column 'x"):
        pipe.fit(X)
    rotated = DensityPipeline([("r", PCA()), ("d", GaussianMixtureDensity(1))])
    with pytest.raises(ValueError, match="NaN in column 'x"):
        rotated.fit(X)
