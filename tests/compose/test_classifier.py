"""DensityClassifier: Bayes' rule, against scikit-learn's closed forms and by simulation."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.datasets import load_iris, load_wine
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity

from skgm import DensityClassifier, MLEDensity, ScoreMatchingGaussian


def two_normals(n=400, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    return rng.normal(2.0 * y, 1.0 + y)[:, None], y


def test_independent_normals_are_gaussian_naive_bayes():
    X, y = load_iris(return_X_y=True)
    ours = DensityClassifier(ScoreMatchingGaussian(covariance_type="diag")).fit(X, y)
    peer = GaussianNB(var_smoothing=0).fit(X, y)
    assert_allclose(ours.predict_proba(X), peer.predict_proba(X), rtol=1e-9)


def test_full_normals_are_quadratic_discriminants_with_maximum_likelihood_covariances():
    X, y = load_iris(return_X_y=True)
    ours = DensityClassifier(ScoreMatchingGaussian()).fit(X, y)
    logs = [
        stats.multivariate_normal(X[y == k].mean(0), np.cov(X[y == k].T, bias=True)).logpdf(X)
        for k in range(3)
    ]
    joint = np.exp(np.column_stack(logs)) / 3
    assert_allclose(ours.predict_proba(X), joint / joint.sum(axis=1, keepdims=True), rtol=1e-7)
    assert_allclose(ours.score_samples(X), np.log(joint.sum(axis=1)), rtol=1e-9)


def test_the_default_lies_between_linear_and_quadratic_discriminants():
    """Shrunk towards the pooled covariance: on wine, better calibrated than either extreme."""
    X, y = load_wine(return_X_y=True)

    def loss(model):
        probability = cross_val_predict(model, X, y, cv=5, method="predict_proba")
        return -np.log(np.maximum(probability[np.arange(len(y)), y], 1e-300)).mean()

    ours = loss(DensityClassifier())
    assert ours < loss(QuadraticDiscriminantAnalysis())
    assert ours < loss(LinearDiscriminantAnalysis())


def test_default_density_of_a_single_row_has_the_pooled_shape():
    X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [9.0, 9.0]])
    fitted = DensityClassifier().fit(X, [0, 0, 0, 0, 1])
    # scatter within classes 4 on each diagonal, 5 rows, 2 columns: (4 + 4 * 2 / 5) / 7
    prior = (4 + 4 * 2 / 5) / 7
    assert_allclose(fitted.densities_[1].covariance_, np.eye(2) * prior * 2 / 3, atol=1e-14)
    assert_allclose(fitted.densities_[0].covariance_, np.eye(2) * (4 + 2 * prior) / 6, atol=1e-14)
    assert_allclose(fitted.densities_[1].location_, [9.0, 9.0])


def test_default_does_not_care_for_units():
    X, y = load_wine(return_X_y=True)
    scale = 10.0 ** np.linspace(-9, 9, X.shape[1])
    one, other = DensityClassifier().fit(X, y), DensityClassifier().fit(X * scale, y)
    assert_allclose(one.predict_log_proba(X), other.predict_log_proba(X * scale), rtol=1e-6)


@pytest.mark.parametrize(
    "density",
    [KernelDensity(bandwidth=0.5), GaussianMixture(2, random_state=0), MLEDensity("normal")],
)
def test_any_density_serves(density):
    X, y = load_iris(return_X_y=True)
    fitted = DensityClassifier(density).fit(X, y)
    assert fitted.score(X, y) > 0.9
    rows, labels = fitted.sample(600, random_state=0)
    assert rows.shape == (600, 4)
    assert fitted.score(rows, labels) > 0.8
    again, _ = fitted.sample(600, random_state=0)
    assert_array_equal(rows, again)
    assert np.abs(np.diff(labels)).sum() > 100  # not grouped by class


def test_sampling_leaves_the_densities_alone():
    X, y = load_iris(return_X_y=True)
    fitted = DensityClassifier(GaussianMixture(2, random_state=3)).fit(X, y)
    fitted.sample(10, random_state=0)
    assert {density.random_state for density in fitted.densities_} == {3}


def test_labels_are_drawn_by_the_priors():
    X, y = two_normals()
    fitted = DensityClassifier(MLEDensity("normal"), priors=[0.2, 0.8]).fit(X, y)
    _, labels = fitted.sample(10_000, random_state=0)
    assert abs(labels.mean() - 0.8) < 4.9 * np.sqrt(0.16 / 10_000)  # 1e-6 of false alarm


@pytest.mark.parametrize("n_samples", [0, -1, 2.5])
def test_numbers_of_draws_are_checked(n_samples):
    fitted = DensityClassifier().fit(*two_normals())
    with pytest.raises(ValueError, match="n_samples must be an integer >= 1"):
        fitted.sample(n_samples)


def test_priors_move_the_odds_by_their_ratio():
    X, y = two_normals()
    flat = DensityClassifier(priors="uniform").fit(X, y).predict_log_proba(X)
    skew = DensityClassifier(priors=[0.9, 0.1]).fit(X, y).predict_log_proba(X)
    odds = (skew[:, 0] - skew[:, 1]) - (flat[:, 0] - flat[:, 1])
    assert_allclose(odds, np.log(9.0), rtol=1e-9)


@pytest.mark.parametrize("priors", [[0.5, 0.6], [0.5], [-0.5, 1.5], [0.0, 1.0], ["a", "b"]])
def test_unusable_priors_are_named(priors):
    X, y = two_normals()
    with pytest.raises(ValueError, match="priors must be None, 'uniform' or 2 positive"):
        DensityClassifier(priors=priors).fit(X, y)


def test_probabilities_are_calibrated_where_the_model_is_right():
    """Among rows with predicted probability near p, a share p is of class 1.

    Ten bins of about 2,000 rows: the share has standard error sqrt(p (1 - p) / n) of at most
    0.011 and is compared at 4.9 of them, plus the bin's error from the estimated parameters
    (20,000 training rows: below 0.01).
    """
    X, y = two_normals(20_000)
    test, label = two_normals(20_000, seed=1)
    fitted = DensityClassifier(MLEDensity("normal")).fit(X, y)
    probability = fitted.predict_proba(test)[:, 1]
    for part in np.array_split(np.argsort(probability), 10):
        p = probability[part].mean()
        error = np.sqrt(p * (1 - p) / len(part))
        assert abs(label[part].mean() - p) < 4.9 * error + 0.01


def test_temperature_mends_columns_that_are_taken_for_independent():
    """One column four times over: the naive log-odds are four times too large, so T is 4."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=4000)
    X = np.repeat(rng.normal(y, 1.0)[:, None], 4, axis=1)
    naive = ScoreMatchingGaussian(covariance_type="diag")
    fitted = DensityClassifier(naive, calibration="temperature", random_state=0).fit(X, y)
    # log-odds b x have a fitted slope with relative error sqrt(1 / (n P(1 - P) var)) < 0.05
    assert abs(fitted.temperature_ - 4.0) < 0.05 * 4 * 4.9
    single = DensityClassifier(MLEDensity("normal")).fit(X[:, :1], y).predict_proba(X[:, :1])
    assert np.abs(fitted.predict_proba(X) - single).max() < 0.05
    even = DensityClassifier(naive, priors="uniform").fit(X, y).predict(X)
    mended = DensityClassifier(naive, priors="uniform", calibration="temperature", random_state=0)
    assert_array_equal(mended.fit(X, y).predict(X), even)


def test_the_marginal_density_is_that_of_the_mixture_whatever_the_temperature():
    """The temperature sharpens or flattens P(k | x); the density of x is no affair of it."""
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(300, 1)), 3, axis=1) + 0.1 * rng.normal(size=(300, 3))
    y = (X[:, 0] + rng.normal(size=300) > 0.5).astype(int)
    naive = GaussianMixture(covariance_type="diag")
    fitted = DensityClassifier(naive, calibration="temperature", random_state=0).fit(X, y)
    assert abs(np.log(fitted.temperature_)) > 0.3
    density = 0.0
    for k in (0, 1):
        own = X[y == k]
        law = stats.norm(own.mean(axis=0), np.sqrt(own.var(axis=0) + 1e-6))
        density = density + len(own) / len(X) * np.exp(law.logpdf(X).sum(axis=1))
    assert_allclose(fitted.score_samples(X), np.log(density), rtol=1e-4, atol=1e-4)


def test_temperature_survives_rows_outside_the_support():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.exponential(1.0, 50), rng.exponential(3.0, 50)])[:, None]
    y = np.repeat([0, 1], 50)
    fitted = DensityClassifier(
        MLEDensity("exponential"), calibration="temperature", random_state=0
    ).fit(X, y)
    assert np.isfinite(fitted.temperature_)


def test_a_row_outside_every_support_gets_the_prior():
    X, y = np.array([[1.0], [2.0], [3.0], [5.0]]), [0, 0, 0, 1]
    fitted = DensityClassifier(MLEDensity("exponential")).fit(X, y)
    assert_allclose(fitted.predict_proba([[-1.0]]), [[0.75, 0.25]])
    assert_array_equal(fitted.score_samples([[-1.0]]), [-np.inf])


def test_weights_are_repetitions_for_every_part():
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 3, size=len(y))
    one = DensityClassifier().fit(X, y, sample_weight=weight)
    other = DensityClassifier().fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert_allclose(one.class_prior_, other.class_prior_)
    assert_allclose(one.predict_log_proba(X), other.predict_log_proba(X), rtol=1e-9, atol=1e-12)


def test_weights_are_refused_by_densities_that_take_none():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="GaussianMixture takes no sample_weight"):
        DensityClassifier(GaussianMixture()).fit(X, y, sample_weight=np.ones(len(y)))


def test_what_a_class_cannot_be_fitted_to_is_named():
    X, _ = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"density of class 'odd' cannot be fitted to its 1 rows"):
        DensityClassifier(ScoreMatchingGaussian()).fit(X[:51], ["even"] * 50 + ["odd"])


def test_calibration_needs_two_rows_of_each_class():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="needs two rows of each class; class 1 has one"):
        DensityClassifier(calibration="temperature").fit(X[:51], y[:51])


def test_a_density_that_returns_no_number_is_caught():
    class Broken(ScoreMatchingGaussian):
        def score_samples(self, X):
            return np.full(len(X), np.nan)

    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"Broken.score_samples returned nan for row 0"):
        DensityClassifier(Broken()).fit(X, y).predict(X)


def test_sample_is_absent_where_the_density_has_none():
    class Mute(ScoreMatchingGaussian):
        sample = property()

    assert not hasattr(DensityClassifier(Mute()), "sample")
    assert hasattr(DensityClassifier(), "sample")


@pytest.mark.parametrize("density", [None, ScoreMatchingGaussian()])
def test_frames_reach_the_densities(density):
    data = load_iris(as_frame=True)
    fitted = DensityClassifier(density).fit(data.data, data.target)
    assert_array_equal(fitted.feature_names_in_, data.data.columns)
    plain = DensityClassifier(density).fit(data.data.to_numpy(), data.target)
    assert_allclose(fitted.predict_proba(data.data), plain.predict_proba(data.data.to_numpy()))
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(data.data.rename(columns=str.upper))


def test_labels_may_be_text_and_length_is_checked():
    X, y = load_iris(return_X_y=True)
    names = np.array(["a", "b", "c"])[y]
    assert set(DensityClassifier().fit(X, names).predict(X)) == {"a", "b", "c"}
    assert_array_equal(DensityClassifier().fit(X, pd.Series(names)).classes_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="y has 149 labels for the 150 rows"):
        DensityClassifier().fit(X, y[:-1])


def test_grid_search_reaches_into_the_density():
    X, y = load_iris(return_X_y=True)
    grid = {"density__bandwidth": [0.01, 0.5]}
    search = GridSearchCV(DensityClassifier(KernelDensity()), grid, scoring="neg_log_loss")
    assert search.fit(X, y).best_params_ == {"density__bandwidth": 0.5}


def test_one_class_is_certain():
    X, _ = load_iris(return_X_y=True)
    fitted = DensityClassifier().fit(X, np.ones(len(X)))
    assert_array_equal(fitted.predict_proba(X), np.ones((len(X), 1)))
