"""MLEDensity as an estimator: fits, refusals, streams, dtypes, sampling, printing."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from skgm.inference import MLEDensity
from skgm.inference.families import FAMILIES, Normal, get_family
from tests.inference.every_family import UNIVARIATE, column
from tests.inference.every_family import model as model_of

NAMES = [family.name for family in FAMILIES]


def data(name, n=80, d=3, seed=0):
    rng = np.random.default_rng(seed)
    if name == "exponential":
        return rng.exponential([0.5, 2.0, 7.0][:d], (n, d))
    if name == "bernoulli":
        return (rng.random((n, d)) < 0.4).astype(float)
    if name == "poisson":
        return rng.poisson(2.5, (n, d)).astype(float)
    if name in UNIVARIATE and name not in ("normal", "multivariate_normal"):
        return np.hstack([column(name, n, seed + 10 + j) for j in range(d)])
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 5


def close(a, b, rtol=1e-12):
    for name in a:
        assert_allclose(a[name], b[name], rtol=rtol)


def test_normal_fit_is_scipys():
    x = data("normal", d=1)
    assert_allclose(list(MLEDensity().fit(x).params_.values()), stats.norm.fit(x), rtol=1e-13)


def test_exponential_fit_is_scipys():
    x = data("exponential", d=1)
    _, scale = stats.expon.fit(x, floc=0)
    assert_allclose(MLEDensity("expon").fit(x).params_["rate"], 1 / scale, rtol=1e-13)


def test_discrete_fits_are_scipys():
    """scipy fits discrete families numerically: agreement to its tolerance."""
    x = data("poisson", d=1)
    bounds = {"mu": (0.1, 10)}
    peer = stats.fit(stats.poisson, x[:, 0].astype(int), bounds).params.mu
    assert_allclose(MLEDensity("poisson").fit(x).params_["mu"], peer, rtol=1e-3)
    x = data("bernoulli", d=1)
    peer = stats.fit(stats.bernoulli, x[:, 0].astype(int), {"p": (0, 1)}).params.p
    assert_allclose(MLEDensity("bernoulli").fit(x).params_["p"], peer, rtol=1e-3)


def test_multivariate_normal_fit_is_scipys():
    X = data("mvn")
    mean, covariance = stats.multivariate_normal.fit(X)
    model = MLEDensity("multivariate_normal").fit(X)
    assert_allclose(model.params_["mean"], mean, rtol=1e-13)
    assert_allclose(model.params_["covariance"], covariance, rtol=1e-12)
    total = stats.multivariate_normal(mean, covariance).logpdf(X).sum()
    assert_allclose(model.loglik_, total, rtol=1e-12)
    assert model.n_params_ == 9


def test_criteria():
    model = MLEDensity().fit(data("normal"))
    assert_allclose(model.aic(), 12 - 2 * model.loglik_)
    assert_allclose(model.bic(), 6 * np.log(80) - 2 * model.loglik_)


@pytest.mark.parametrize("name", NAMES)
class TestEveryFamily:
    def test_loglik_is_the_total_of_score_samples(self, name):
        X = data(name)
        model = model_of(name).fit(X)
        assert_allclose(model.loglik_, model.score_samples(X).sum(), rtol=1e-12)

    def test_weights_are_repetitions_in_everything(self, name):
        X = data(name)
        weight = np.random.default_rng(1).integers(0, 4, len(X))
        repeated, weighted = X.repeat(weight, axis=0), model_of(name)
        a = model_of(name).fit(repeated)
        b = weighted.fit(X, sample_weight=weight)
        close(a.params_, b.params_)
        assert_allclose([a.loglik_, a.aic(), a.bic()], [b.loglik_, b.aic(), b.bic()], rtol=1e-12)
        assert a.n_observations_ == b.n_observations_
        for cov in ("model", "observed"):
            close(a.standard_errors(cov), b.standard_errors(cov))
        robust = b.standard_errors("robust", X=X, sample_weight=weight)
        close(a.standard_errors("robust", X=repeated), robust, rtol=1e-10)
        methods = set.intersection(*(set(p.methods) for p in a._family().parameters))
        for method in ("auto", *sorted(methods - {"robust", "bootstrap", "exact"})):
            one, two = a.confidence_intervals(0.9, method), b.confidence_intervals(0.9, method)
            close(one.low, two.low, rtol=1e-9)
            close(one.high, two.high, rtol=1e-9)
        one = a.confidence_intervals(method="robust", X=repeated)
        two = b.confidence_intervals(method="robust", X=X, sample_weight=weight)
        close(one.low, two.low, rtol=1e-10)

    def test_partial_fit_on_parts_is_fit_on_the_whole(self, name):
        X = data(name)
        whole, parts = model_of(name).fit(X), model_of(name)
        for rows in (slice(0, 1), slice(1, 2), slice(2, 50), slice(50, 80)):
            assert parts.partial_fit(X[rows]) is parts
        close(whole.params_, parts.params_)
        assert_allclose(whole.loglik_, parts.loglik_, rtol=1e-12)
        close(whole.confidence_intervals().low, parts.confidence_intervals().low, rtol=1e-10)

    def test_float32_in_float32_out(self, name):
        X = data(name).astype(np.float32)
        model = model_of(name).fit(X)
        assert all(value.dtype == np.float32 for value in model.params_.values())
        assert model.sample(3).dtype == np.float32
        assert model.score_samples(X).dtype == np.float64
        close(model.params_, model_of(name).fit(X.astype(np.float64)).params_, rtol=1e-6)

    def test_pickle_keeps_inference(self, name):
        model = model_of(name).fit(data(name))
        again = pickle.loads(pickle.dumps(model))
        close(model.confidence_intervals().low, again.confidence_intervals().low)
        assert_array_equal(model.sample(5, 0), again.sample(5, 0))

    def test_sample_given_keeps_what_is_observed(self, name):
        X = data(name)
        model = model_of(name).fit(X)
        given = X[:4].copy()
        given[0, 1] = given[2] = np.nan
        drawn = model.sample(3, 0, given=given)
        rows = np.repeat(given, 3, axis=0)
        seen = ~np.isnan(rows)
        assert_array_equal(drawn[seen], rows[seen])
        assert np.isfinite(model.score_samples(drawn)).all()
        assert_array_equal(model.impute(given, 1), model.sample(1, 1, given=given))

    def test_one_column(self, name):
        model = model_of(name).fit(data(name, d=1))
        shape = {"mean": (1,), "covariance": (1, 1)}
        for key in model.confidence_intervals():
            value = model.params_[key]
            assert np.shape(value) == shape.get(key, ())
            low, high = model.confidence_intervals()[key]
            assert np.shape(low) == np.shape(high) == np.shape(value)
            assert np.shape(model.standard_errors()[key]) == np.shape(value)
        assert len(model.confidence_intervals().to_frame()) == model.n_params_

    def test_summary_prints_all_it_knows(self, name):
        model = model_of(name).fit(pd.DataFrame(data(name), columns=["a", "b", "c"]))
        text = str(model.summary(0.9))
        for word in ("log-likelihood", "AIC", "observations: 80", "[0.05", "0.95]", "std error"):
            assert word in text
        for label in model.confidence_intervals().to_frame().index:
            assert label in text
        frame = model.summary().to_frame()
        errors = np.concatenate([np.ravel(v) for v in model.standard_errors().values()])
        assert_allclose(frame["std_error"], errors)
        assert "<table" in model.summary()._repr_html_()


def test_floats_for_one_column():
    model = MLEDensity().fit([[1.0], [2.0], [4.0]])
    assert {type(value) for value in model.params_.values()} == {float}
    assert {type(value) for value in model.standard_errors().values()} == {float}
    assert {type(end) for end in model.confidence_intervals()["mu"]} == {float}


def test_labels_name_the_columns():
    frame = pd.DataFrame(data("normal", d=2), columns=["age", "bmi"])
    index = MLEDensity("mvn").fit(frame).confidence_intervals().to_frame().index
    assert list(index[:3]) == ["mean[age]", "mean[bmi]", "covariance[age, age]"]


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e12])
@pytest.mark.parametrize("name", ["normal", "multivariate_normal", "exponential"])
def test_inference_commutes_with_a_change_of_units(name, scale):
    X = data(name)
    base, scaled = MLEDensity(name).fit(X), MLEDensity(name).fit(X * scale)
    power = {"mu": 1, "sigma": 1, "mean": 1, "covariance": 2, "rate": -1}
    for key, value in base.params_.items():
        factor = scale ** power[key]
        assert_allclose(scaled.params_[key], value * factor, rtol=1e-12)
        assert_allclose(scaled.standard_errors()[key], base.standard_errors()[key] * factor, 1e-11)
        for method in ("auto", "score", "profile", "wald-transformed"):
            low, high = base.confidence_intervals(method=method)[key]
            ends = scaled.confidence_intervals(method=method)[key]
            assert_allclose(ends, (low * factor, high * factor), rtol=1e-9)


def test_a_mean_of_1e7_spreads_costs_nothing():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 2))
    far = X + 1e7
    X = far - 1e7  # the same numbers, exactly
    for name in ("normal", "multivariate_normal"):
        near, shifted = MLEDensity(name).fit(X), MLEDensity(name).fit(far)
        spread = "sigma" if name == "normal" else "covariance"
        assert_allclose(shifted.params_[spread], near.params_[spread], rtol=1e-13)
        assert_allclose(shifted.loglik_, near.loglik_, rtol=1e-12)
        width = near.standard_errors()[spread]
        assert_allclose(shifted.standard_errors()[spread], width, rtol=1e-12)


def test_outside_the_support_there_is_no_mass_and_no_warning():
    assert MLEDensity("exponential").fit([[1.0]]).score_samples([[-1.0]])[0] == -np.inf
    assert MLEDensity("poisson").fit([[1.0]]).score_samples([[1.5], [-1]])[0] == -np.inf
    model = MLEDensity("bernoulli").fit([[0.0], [0.0]])
    assert_array_equal(model.score_samples([[0.0], [1.0], [0.3]]), [0, -np.inf, -np.inf])


def test_score_function_is_for_continuous_families_only():
    assert hasattr(MLEDensity("exponential"), "score_function")
    assert not hasattr(MLEDensity("poisson"), "score_function")


def test_score_function_far_out_keeps_the_shape():
    X = data("normal")
    model = MLEDensity().fit(X)
    assert model.score_function(X[:4]).shape == (4, 3)


def test_unknown_family_lists_the_known():
    with pytest.raises(ValueError, match=r"'normal', 'exponential', .*, 'norm', 'gaussian'"):
        MLEDensity("nrmal").fit([[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"family must be one of .* got 3"):
        MLEDensity(3).fit([[1.0], [2.0]])


def test_registry():
    assert get_family("norm").name == "normal"
    mine = Normal()
    assert get_family(mine) is mine
    assert clone(MLEDensity(mine)).fit(data("normal")).n_params_ == 6


@pytest.mark.parametrize(
    ("name", "rows", "words"),
    [
        ("exponential", [[1.0, 2.0], [1.0, -3.0]], "Negative values in data.*'x1'.*-3.0.*row 1"),
        ("bernoulli", [[0.0], [0.5]], "0 or 1.*'x0'.*0.5.*row 1"),
        ("poisson", [[0.5]], "whole numbers.*'x0'"),
        ("normal", [[1.0, 2.0], [3.0, 2.0]], "constant columns .x1; n_samples = 2"),
        ("normal", [[1.0]], "n_samples = 1"),
        ("exponential", [[0.0, 1.0]], "columns of zeros .x0"),
        ("mvn", [[1.0, 2.0], [2.0, 3.0]], "linear combinations.*n_samples = 2, n_features = 2"),
        ("mvn", [[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]], "constant columns .x1"),
        ("normal", [[1e200], [-1e200]], "overflow.*rescale"),
        ("mvn", [[1e-160, 0.0], [0.0, 1.0], [3e-160, 3.0]], "overflow.*rescale"),
        ("exponential", [[1e308], [1e308]], "overflow.*rescale"),
        ("exponential", [[1e-310]], "overflow.*rescale"),
    ],
)
def test_refusals_name_the_culprit(name, rows, words):
    with pytest.raises(ValueError, match=words):  # and no warning: those are errors here
        MLEDensity(name).fit(rows)


def test_duplicated_column_is_named():
    X = data("mvn")
    with pytest.raises(ValueError, match=r"combinations of the others .(x0|x3)"):
        MLEDensity("mvn").fit(np.column_stack([X, X[:, 0]]))


def test_constant_to_rounding_is_constant():
    column = np.full((50, 1), 0.1) * 3 * np.ones((50, 1))
    column[::2] = 0.3  # 0.1 * 3 differs from 0.3 in the last bit
    with pytest.raises(ValueError, match="constant"):
        MLEDensity().fit(column)


def test_float32_overflow_is_refused():
    X = data("mvn").astype(np.float32) * np.float32(1e25)
    with pytest.raises(ValueError, match=r"overflow.*covariance"):
        MLEDensity("mvn").fit(X)
    with pytest.raises(ValueError, match=r"underflows float32"):
        MLEDensity("mvn").fit(data("mvn").astype(np.float32) * np.float32(1e-30))


def test_failed_fit_leaves_the_estimator_as_it_was():
    model = MLEDensity().fit(data("normal"))
    before = model.params_
    with pytest.raises(ValueError, match="constant"):
        model.fit(np.ones((5, 2)))
    assert model.params_ is before
    assert model.n_features_in_ == 3


def test_partial_fit_waits_for_enough_data():
    model = MLEDensity().partial_fit([[1.0]])
    with pytest.raises(NotFittedError, match=r"not seen enough data.*constant columns \(x0"):
        model.score_samples([[1.0]])
    assert_allclose(model.partial_fit([[3.0]]).params_["mu"], 2.0)


def test_partial_fit_takes_weights_and_checks_columns():
    model = MLEDensity("poisson").partial_fit([[1.0], [5.0]], sample_weight=[3, 0])
    model.partial_fit([[2.0]], sample_weight=[2])
    assert_allclose(model.params_["mu"], 7 / 5)
    with pytest.raises(ValueError, match="features"):
        model.partial_fit([[1.0, 2.0]])


def test_boundary_fits():
    X = np.column_stack([np.zeros(20), np.ones(20), [0.0] * 10 + [1.0] * 10])
    model = MLEDensity("bernoulli").fit(X)
    assert_array_equal(model.params_["p"], [0, 1, 0.5])
    assert_allclose(model.loglik_, 20 * np.log(0.5))
    with pytest.raises(ValueError, match="Standard errors of 'p' do not exist for column 'x0'"):
        model.standard_errors()
    for method in ("wald", "wald-transformed"):
        with pytest.raises(ValueError, match="edge of the parameter space"):
            model.confidence_intervals(method=method)
    with pytest.raises(ValueError, match="edge of the parameter space"):
        model.confidence_intervals(method="robust", X=X)
    for method in ("auto", "score", "profile", "exact"):
        low, high = model.confidence_intervals(method=method)["p"]
        assert low[0] == 0
        assert high[1] == 1
        assert 0 < high[0] < 0.3
        assert_allclose(high[0], 1 - low[1], rtol=1e-12)
    assert np.isnan(model.summary().to_frame()["std_error"].iloc[:2]).all()
    assert " - " in str(model.summary())


def test_tags():
    assert MLEDensity("mvn").__density_tags__().equivariance == "affine"
    assert not MLEDensity("mvn").__density_tags__().independent_columns
    assert MLEDensity("poisson").__density_tags__().support == "counts"
    assert MLEDensity("nonsense").__density_tags__().support == "real"
    assert MLEDensity("exponential").__sklearn_tags__().input_tags.positive_only


def test_check_estimator_where_the_estimate_exists():
    """All checks for the exponential; for the multivariate normal all but those whose table has
    no estimate: 15 rows of 30 columns, and a table with redundant columns."""
    for name, allowed in [
        ("exponential", set()),
        (
            "multivariate_normal",
            {"check_sample_weight_equivalence_on_dense_data", "check_array_api_input"},
        ),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = check_estimator(MLEDensity(name), on_fail=None)
        failed = [r for r in records if r["status"] not in ("passed", "skipped")]
        assert {r["check_name"] for r in failed} <= allowed
        assert all("is singular" in str(r["exception"]) for r in failed)
