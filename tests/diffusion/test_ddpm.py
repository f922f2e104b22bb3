"""DDPM: what the check suites do not see."""

import copy
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neighbors import KernelDensity
from sklearn.neural_network import MLPRegressor

from skgm import DDPM

MOONS, SIDE = make_moons(400, noise=0.1, random_state=0)
IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
QUICK = {"max_iter": 60, "random_state": 0}


@pytest.fixture(scope="module")
def moons():
    return DDPM(random_state=0).fit(MOONS)


@pytest.fixture(scope="module")
def iris():
    return DDPM(class_conditional=True, **QUICK).fit(IRIS, NAMES)


def test_without_training_it_is_the_fitted_gaussian():
    """A learning rate of nothing leaves the network at zero."""
    X = MOONS * [3.0, 0.2] + [10.0, -5.0]
    model = DDPM(scaling="whiten", learning_rate=1e-30, **QUICK).fit(X)
    # F = 0 leaves u = cos(phi_min) z as it is, so it is u that has the law N(0, I)
    gaussian = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T, bias=True) * (1 + 0.02**2))
    assert_allclose(model.score_samples(X), gaussian.logpdf(X), rtol=1e-9)


def test_it_beats_the_gaussian_on_moons(moons):
    fresh = make_moons(1000, noise=0.1, random_state=1)[0]
    gaussian = stats.multivariate_normal(MOONS.mean(axis=0), np.cov(MOONS.T))
    gain = moons.score_samples(fresh) - gaussian.logpdf(fresh)
    assert gain.mean() > 0.5 + 3 * gain.std() / np.sqrt(1000)


@pytest.mark.parametrize("sampler", ["ode", "ddim", "ancestral"])
def test_samples_have_the_moments_of_the_table(moons, sampler):
    rows = moons.sample(2000, random_state=0, sampler=sampler)
    error = MOONS.std(axis=0) / np.sqrt(2000)
    assert_allclose(rows.mean(axis=0), MOONS.mean(axis=0), atol=5 * error.max() + 0.02)
    assert_allclose(np.cov(rows.T), np.cov(MOONS.T), atol=0.1)


@pytest.mark.parametrize("sampler", ["ode", "ddim", "ancestral"])
def test_trajectory_ends_at_the_sample(moons, sampler):
    options = {"random_state": 0, "sampler": sampler, "n_steps": 7}
    path = moons.sample(5, return_trajectory=True, **options)
    assert path.shape == (8, 5, 2)
    assert_array_equal(path[-1], moons.sample(5, **options))


@pytest.mark.slow
def test_score_function_is_close_to_the_gradient(moons):
    """Learned, not differentiated: a correlation, with noise enough for both to be smooth."""
    X, step = moons.sample(200, random_state=1), 1e-4
    model = clone(moons).set_params(sigma_min=0.2).fit(MOONS)
    shifts = step * np.eye(2)
    numeric = np.stack(
        [(model.score_samples(X + s) - model.score_samples(X - s)) / (2 * step) for s in shifts], 1
    )
    learned = model.score_function(X)
    assert np.corrcoef(learned.ravel(), numeric.ravel())[0, 1] > 0.85


def test_score_function_at_the_last_level_is_that_of_a_wide_gaussian(moons):
    """With noise of many deviations the data no longer matter: -(x - mean) / sigma^2, whitened."""
    X = MOONS[:5] + 1000 * np.array([[1.0, -2.0]])
    level = 950
    schedule = moons._model().schedule
    variance = (1 - schedule.alpha_bar[level - 1]) / schedule.alpha_bar[level - 1]
    forward = moons._scaler.forward[0]
    precision = forward.T @ forward / (1 + variance)
    assert_allclose(
        moons.score_function(X, t=level), -(X - MOONS.mean(axis=0)) @ precision, rtol=0.02
    )


def test_empirical_denoiser_is_a_kernel_density():
    X = stats.zscore(MOONS[:80])
    model = DDPM("empirical", sigma_min=0.3, scaling="standard", n_score_steps=80).fit(X)
    kernel = KernelDensity(bandwidth=0.3).fit(X)
    assert_allclose(model.score_samples(MOONS), kernel.score_samples(MOONS), atol=1e-5)


@pytest.mark.slow
def test_many_columns_are_scored_along_fixed_directions():
    X = np.random.default_rng(0).standard_normal((100, 70)) * np.arange(1, 71)
    model = DDPM(**QUICK).fit(X)
    values = model.score_samples(X)
    assert_allclose(model.score_samples(X[[7]]), values[7], rtol=1e-9)
    exact = clone(model).fit(X)
    exact._probes = None
    gap = values - exact.score_samples(X)
    assert abs(gap.mean()) < 4 * gap.std() / 10 + 0.05


@pytest.mark.slow
def test_elbo_is_close_to_the_flow_on_moons(moons):
    rows = MOONS[:100]
    bound, error = moons.elbo(rows, 50, return_se=True)
    assert 0 < error < 0.05
    assert abs(bound - moons.score(rows)) < 0.05 + 4 * error
    assert bound == moons.elbo(rows, 50)
    far = clone(moons).set_params(score_method="elbo", max_iter=50).fit(MOONS)
    values = far.score_samples([[1e20, 0.0], [0.0, -1e60], [1e150, 0.0]])
    assert np.all(values < -1e30)
    assert_array_equal(np.isneginf(values), [False, False, True])


def test_labels(iris):
    rows, labels = iris.sample(90, random_state=0, return_labels=True)
    assert rows.shape == (90, 4)
    names, counts = np.unique(labels, return_counts=True)
    assert_array_equal(names, iris.classes_)
    assert np.ptp(counts) <= 2  # stratified: thirty each, to within one
    assert np.mean(iris.predict(rows) == labels) > 0.85
    wanted = ["virginica", "setosa", "virginica"]
    rows, labels = iris.sample(y=wanted, random_state=0, return_labels=True)
    assert_array_equal(labels, wanted)
    assert isinstance(iris.sample(3), np.ndarray)


def test_marginal_density_is_the_mixture_of_the_classes(iris):
    joint = iris._model().class_log_density(IRIS)
    mixture = np.log((np.exp(joint) / 3).sum(axis=1))
    assert_allclose(iris.score_samples(IRIS), mixture, rtol=1e-10)
    probability = iris.predict_proba(IRIS)
    assert_allclose(probability.sum(axis=1), 1.0)
    assert_allclose(probability, np.exp(joint - mixture[:, None]) / 3, atol=1e-10)
    assert np.mean(iris.predict(IRIS) == NAMES) > 0.95


def test_score_function_of_classes_is_that_of_the_mixture(iris):
    probability = iris.predict_proba(IRIS[:9])
    model = iris._model()
    parts = np.stack([model.class_score(IRIS[:9], model.phi_min, k) for k in range(3)])
    expected = np.einsum("nk,knd->nd", probability, parts)
    assert_allclose(iris.score_function(IRIS[:9]), expected, rtol=1e-6, atol=1e-6)


def test_class_methods_need_classes(moons):
    assert not hasattr(moons, "predict_proba")
    with pytest.raises(ValueError, match="class_conditional"):
        moons.sample(3, return_labels=True)
    with pytest.raises(ValueError, match="class_conditional"):
        moons.sample(y=[0])
    with pytest.raises(ValueError, match="requires y"):
        DDPM(class_conditional=True).fit(MOONS)


def test_y_is_ignored_without_class_conditional():
    one = DDPM(**QUICK).fit(MOONS, SIDE).score_samples(MOONS[:5])
    assert_array_equal(one, DDPM(**QUICK).fit(MOONS).score_samples(MOONS[:5]))


REGRESSORS = [
    ExtraTreesRegressor(10, random_state=0),
    GradientBoostingRegressor(n_estimators=10, random_state=0),  # one target at a time
    MLPRegressor(hidden_layer_sizes=(16,), random_state=0),  # fresh noise at each update
]


@pytest.mark.parametrize("regressor", REGRESSORS, ids=lambda r: type(r).__name__)
def test_any_regressor_is_a_denoiser(regressor):
    model = DDPM(regressor, n_noise=10, n_timesteps=20, max_iter=300, random_state=0).fit(MOONS)
    assert model.log_density_kind_ == "lower_bound"
    assert np.isfinite(model.score_samples(MOONS[:5])).all()
    rows = model.sample(500, random_state=0)
    assert_allclose(np.cov(rows.T), np.cov(MOONS.T), atol=0.35)
    with pytest.raises(ValueError, match="score_method"):
        DDPM(regressor, score_method="ode", **QUICK).fit(MOONS)


def test_one_column_and_a_regressor_with_classes():
    model = DDPM(ExtraTreesRegressor(5, random_state=0), class_conditional=True, n_noise=5)
    model.set_params(n_timesteps=10).fit(MOONS[:, :1], SIDE)
    assert model.sample(6).shape == (6, 1)
    assert model.predict_proba(MOONS[:4, :1]).shape == (4, 2)


class Broken(ExtraTreesRegressor):
    def predict(self, X):
        return super().predict(X) * np.nan


def test_regressor_with_predictions_that_are_not_finite():
    with pytest.raises(ValueError, match="not finite"):
        DDPM(Broken(5), n_noise=2).fit(MOONS)


def test_missing_values_are_refused_with_a_cure():
    X = MOONS.copy()
    X[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"NaN in column 'x1'.*row 3.*impute"):
        DDPM().fit(X)


def test_one_row_is_too_few():
    with pytest.raises(ValueError, match="minimum of 2"):
        DDPM().fit(MOONS[:1])
    with pytest.raises(ValueError, match="positive weight"):
        DDPM().fit(MOONS[:2], sample_weight=[1.0, 0.0])


def test_a_class_with_one_member():
    X, y = np.vstack([IRIS, IRIS[:1] + 9]), np.append(NAMES, "alien")
    model = DDPM(class_conditional=True, **QUICK).fit(X, y)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.sample(y=["alien", "setosa"])).all()


def test_unseen_labels_are_named(iris):
    with pytest.raises(ValueError, match="'tulip'"):
        iris.sample(y=["setosa", "tulip"])


def test_missing_labels_are_refused():
    y = NAMES.astype(object)
    y[4] = None
    with pytest.raises(ValueError, match="missing label at row 4"):
        DDPM(class_conditional=True).fit(IRIS, y)


@pytest.mark.parametrize("max_iter", [200, "auto"])
def test_a_diverging_fit_stops_warns_and_is_usable(max_iter):
    model = DDPM(learning_rate=100.0, max_iter=max_iter, random_state=0)
    with pytest.warns(ConvergenceWarning, match="Lower learning_rate"):
        model.fit(MOONS)
    assert model.n_iter_ < 200
    gaussian = stats.multivariate_normal(MOONS.mean(axis=0), np.cov(MOONS.T)).logpdf(MOONS).mean()
    assert model.score(MOONS) > gaussian - 0.5
    assert np.isfinite(model.sample(10)).all()


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_one_timestep(sampler):
    model = DDPM(n_timesteps=1, sampler=sampler, **QUICK).fit(MOONS)
    assert np.isfinite(model.sample(10)).all()
    assert np.isfinite(model.elbo(MOONS))
    assert np.isfinite(model.score_samples(MOONS)).all()
    assert model.score_function(MOONS, t=1).shape == MOONS.shape


def test_unknown_options_of_sample(moons):
    with pytest.raises(ValueError, match="sampler must be"):
        moons.sample(2, sampler="euler")
    with pytest.raises(ValueError, match="n_steps"):
        moons.sample(2, n_steps=0)
    with pytest.raises(ValueError, match="t must be"):
        moons.score_function(MOONS, t=1001)
    completed = moons.sample(2, random_state=0, given=[[np.nan, 1.0]])
    assert completed.shape == (2, 2)
    assert np.all(completed[:, 1] == 1.0)


def test_clip_keeps_samples_in_the_range_of_the_table():
    rows = DDPM(clip=True, **QUICK).fit(MOONS).sample(2000, random_state=0)
    assert np.all(rows >= MOONS.min(axis=0))
    assert np.all(rows <= MOONS.max(axis=0))


def test_early_stopping_holds_out_rows():
    X = np.random.default_rng(0).standard_normal((60, 3))  # nothing to learn beyond the Gaussian
    model = DDPM(early_stopping=True, max_iter=400, random_state=0).fit(X)
    assert model.n_iter_ < 400
    assert len(model.validation_scores_) > 1
    assert DDPM(**QUICK).fit(X).validation_scores_ is None


def test_warm_start_goes_on():
    """It begins where the first fit ended, and ends no worse.

    Over 16 seeds its first 20 epochs are 0.076 better than those of the first fit, with a standard
    deviation of 0.011, and as good if it does not go on; its last 30 are 0.021 better, with one of
    0.010. The limits are four of them away.
    """
    model = DDPM(warm_start=True, max_iter=300, random_state=0).fit(MOONS)
    first = model.loss_curve_
    model.fit(MOONS)
    assert np.mean(model.loss_curve_[:20]) < np.mean(first[:20]) - 0.03
    assert np.mean(model.loss_curve_[-30:]) < np.mean(first[-30:]) + 0.02


def test_partial_fit_learns_in_many_parts():
    model = DDPM(random_state=0)
    for _ in range(40):
        model.partial_fit(MOONS)
    gaussian = stats.multivariate_normal(MOONS.mean(axis=0), np.cov(MOONS.T)).logpdf(MOONS).mean()
    assert model.score(MOONS) > gaussian + 0.1
    assert model.n_iter_ == 80  # 400 rows are two batches


def test_partial_fit_of_classes_to_come():
    model = DDPM(class_conditional=True, random_state=0)
    model.partial_fit(IRIS[:60], NAMES[:60], classes=np.unique(NAMES))
    assert model.predict_proba(IRIS[:4])[:, 2] == pytest.approx(0.0, abs=1e-6)
    model.partial_fit(IRIS[60:], NAMES[60:])
    assert np.mean(model.predict(IRIS) == NAMES) > 0.95
    with pytest.raises(ValueError, match="partial_fit"):
        DDPM("empirical").partial_fit(IRIS)


def test_collinear_and_constant_columns():
    X = np.column_stack([MOONS, MOONS @ [1.0, -2.0], np.full(400, 3.0)])
    model = DDPM(**QUICK).fit(X)
    rows = model.sample(50, random_state=0)
    assert_allclose(rows[:, 2], rows[:, :2] @ [1.0, -2.0], atol=0.01)
    assert_allclose(rows[:, 3], 3.0, atol=0.01)
    assert np.isfinite(model.score_samples(X)).all()


@pytest.mark.parametrize("denoiser", ["mlp", "empirical", ExtraTreesRegressor(5)])
def test_a_table_of_constants(denoiser):
    """Nothing to learn: a narrow normal law about the row, for every method, with classes too."""
    X, y = np.full((20, 2), 3.0), np.repeat([0, 1], 10)
    model = DDPM(denoiser, class_conditional=True, random_state=0).fit(X, y)
    scale = 3.0 * 2.0**-13
    expected = stats.norm(3.0, scale).logpdf([[3.0, 3.0], [3.0, 3.0 + scale]]).sum(axis=1)
    rows = np.array([[3.0, 3.0], [3.0, 3.0 + scale]])
    assert_allclose(model.score_samples(rows), expected, rtol=1e-6)
    assert_allclose(model.elbo(rows, return_se=True), [expected.mean(), 0.0], rtol=1e-6)
    assert_allclose(model.score_function(rows)[1], [0.0, -1 / scale], rtol=0.01)
    assert_allclose(model.impute([[np.nan, 3.0]], 0), 3.0, atol=6 * scale)
    assert_allclose(model.sample(9, 0), 3.0, atol=6 * scale)
    assert_allclose(model.predict_proba(rows), 0.5)


def test_a_row_beyond_every_class():
    model = DDPM(class_conditional=True, **QUICK).fit(MOONS, SIDE)
    far = [[1e200, 0.0]]
    assert np.isneginf(model.score_samples(far)).all()
    assert_allclose(model.predict_proba(far), [model.class_prior_])
    assert np.isfinite(model.score_function(far)).all()


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["eps", "x0"])
def test_other_predictions_learn_too(prediction):
    model = DDPM(prediction=prediction, max_iter=300, n_score_steps=90, random_state=0).fit(MOONS)
    gaussian = stats.multivariate_normal(MOONS.mean(axis=0), np.cov(MOONS.T)).logpdf(MOONS).mean()
    assert model.score(MOONS) > gaussian


def test_fit_calls_back_every_epoch():
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

    class Watch:
        def __init__(self, stop_after):
            self.scores, self.stop_after = [], stop_after

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, fitted_estimator):
            if fitted_estimator is not None:
                self.scores.append(fitted_estimator.score(MOONS[:9]))
            return len(self.scores) >= self.stop_after

    watch = Watch(stop_after=5)
    model = DDPM(**QUICK).set_callbacks(watch).fit(MOONS)
    assert len(watch.scores) >= 5
    assert model.n_iter_ == 10  # five epochs of two batches


@pytest.mark.parametrize("sizes", [(0,), (-1,), (2.5,), ("wide",), [[8], [8]]])
def test_widths_are_whole_numbers(sizes):
    with pytest.raises(ValueError, match=r"hidden_layer_sizes.*integers >= 1"):
        DDPM(hidden_layer_sizes=sizes, **QUICK).fit(MOONS)


def test_weights_that_are_no_repetitions():
    with pytest.raises(ValueError, match=r"sample_weight sums to 4e\+20.*mean"):
        DDPM(**QUICK).fit(MOONS, sample_weight=np.full(400, 1e18))
    with pytest.raises(ValueError, match=r"sample_weight sums to 4e\+11.*n_noise"):
        DDPM(ExtraTreesRegressor(2)).fit(MOONS, sample_weight=np.full(400, 1e9))


def test_no_label_to_draw(iris):
    with pytest.raises(ValueError, match="y is empty"):
        iris.sample(y=[])


def test_a_factory_without_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"skgm\[torch\]"):
        DDPM(lambda n_columns, n_context: None, **QUICK).fit(MOONS)


@pytest.mark.parametrize(
    "options",
    [{"y": ["setosa"]}, {"return_labels": True}, {"sampler": "ddim"}, {"n_steps": 3}],
    ids=str,
)
def test_completions_ignore_no_option(iris, options):
    with pytest.raises(ValueError, match=rf"no {next(iter(options))} with given"):
        iris.sample(given=[[np.nan, 3.0, 1.0, 0.2]], **options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("class_conditional", True),
        ("prediction", "x0"),
        ("sigma_min", 0.5),
        ("denoiser", "empirical"),
        ("denoiser", ExtraTreesRegressor()),
    ],
    ids=lambda value: str(value).split("(")[0],
)
def test_parameters_that_fix_the_model_need_a_new_fit(moons, name, value):
    model = copy.deepcopy(moons)
    before = model.score_samples(MOONS[:3])
    model.set_params(**{name: value})
    calls = [model.score_samples, model.score_function, model.elbo, model.impute]
    for call in [*calls, lambda X: model.sample(2)]:
        with pytest.raises(NotFittedError, match=f"{name}=.* fit again"):
            call(MOONS[:3])
    model.set_params(**{name: getattr(moons, name)})
    assert_array_equal(model.score_samples(MOONS[:3]), before)


@pytest.mark.slow
def test_score_function_of_classes_by_a_regressor_weights_them_by_their_bounds():
    regressor = ExtraTreesRegressor(5, min_samples_leaf=5, random_state=0)
    model = DDPM(regressor, n_noise=5, class_conditional=True, random_state=0).fit(IRIS, NAMES)
    share, fitted = model.predict_proba(IRIS[:4]), model._model()
    parts = [fitted.class_score(IRIS[:4], fitted.phi_min, k) for k in range(3)]
    expected = np.einsum("nk,knd->nd", share, np.stack(parts))
    assert_allclose(model.score_function(IRIS[:4]), expected, rtol=1e-9)
    with pytest.raises(ValueError, match="needs a denoiser with derivatives"):
        model.score_function(IRIS[:4], t=500)


@pytest.mark.slow
def test_an_inaccurate_solver_is_reported_and_a_fine_one_is_not():
    """The exact denoiser of few rows with little noise is stiff: its density is known."""
    model = DDPM("empirical", sigma_min=0.05, scaling="standard", n_score_steps=8)
    model.fit(stats.zscore(MOONS[:80]))
    rows = model._training_rows.rows
    X = np.repeat(rows, 5, axis=0) + np.random.default_rng(0).normal(0, 0.1, (400, 2))
    exact = KernelDensity(bandwidth=0.05).fit(rows).score_samples(X)
    with pytest.warns(ConvergenceWarning, match="at least .* nats .*n_score_steps=8 ") as caught:
        model.score(X)
    error = model.score_samples(X) - exact
    told = float(str(caught[0].message).split("at least ")[1].split()[0])
    true = np.sqrt(np.mean(error**2))
    assert true / 3 < told < 3 * true
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DDPM("empirical", sigma_min=0.3, n_score_steps=40).fit(X).score(X)
        model.score(X[:15])  # too few rows for the check


def test_a_column_whose_squares_underflow_is_refused_by_its_range():
    X = np.random.default_rng(0).standard_normal((60, 3)) * [1e150, 1e-311, 1.0]
    with pytest.raises(ValueError, match=r"squares .* underflow.*e-311.*Rescale"):
        DDPM(**QUICK).fit(X)
    X[:, 1] = 1e-311  # a constant is no column that varies
    holes = X[:4].copy()
    holes[0, 0] = holes[1, 1] = np.nan
    assert np.isfinite(DDPM(**QUICK).fit(X).impute(holes, random_state=0)).all()


@pytest.mark.parametrize("y", [IRIS[:, 0], IRIS[:, 0].astype(object), IRIS[:, 0].astype("f4")])
def test_real_valued_labels_are_refused(y):
    with pytest.raises(
        ValueError, match=r"class labels .*(continuous|unknown).*class_conditional=False"
    ):
        DDPM(class_conditional=True, **QUICK).fit(IRIS, y)
    with pytest.raises(ValueError, match="class labels"):
        DDPM(class_conditional=True, **QUICK).partial_fit(IRIS, y)


def test_as_many_classes_as_rows_are_reported():
    with pytest.warns(UserWarning, match="150 classes in 150 rows.*class_conditional=False"):
        DDPM(class_conditional=True, **QUICK).fit(IRIS, np.arange(150))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for y in (SPECIES.astype(float), SPECIES > 0, SPECIES.astype(str), NAMES.astype(object)):
            DDPM(class_conditional=True, max_iter=1, random_state=0).fit(IRIS, y)
