"""Classifier critics: their log-odds are log-ratios of data to noise."""

from contextlib import nullcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import LinearSVC

from skgm._numerics.distributions import GaussianMixtureNoise
from skgm._sklearn import boosting_to_best_iteration
from skgm.nce._classifiers import (
    boosted_trees,
    constant_critic,
    fit_classifier_critic,
    is_classifier_like,
)

NOISE = GaussianMixtureNoise(np.ones(1), np.zeros((1, 2)), 2 * np.eye(2)[None])
X = np.random.default_rng(0).normal([0.5, -0.5], 1.0, size=(4000, 2))


def fit(classifier, rows=X, weight=None, noise_ratio=3.0, n_critics=2, seed=0):
    return fit_classifier_critic(
        [rows] * n_critics,
        weight,
        NOISE,
        classifier,
        noise_ratio=noise_ratio,
        rng=np.random.default_rng(seed),
        step=lambda name, member: nullcontext(),
    )


def true_log_ratio(rows):
    log_p = -0.5 * ((rows - [0.5, -0.5]) ** 2).sum(axis=1) - np.log(2 * np.pi)
    return log_p - NOISE.log_density(rows)


QUADRATIC = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=100.0, max_iter=500))


@pytest.mark.parametrize(
    ("classifier", "tolerance"),
    [(QUADRATIC, 0.1), (GaussianNB(), 0.1), (None, 0.4)],
    ids=["logistic", "bayes", "trees"],
)
@pytest.mark.parametrize("noise_ratio", [1.0, 5.0])
def test_log_ratio_is_recovered_whatever_the_noise_ratio(classifier, tolerance, noise_ratio):
    """Logistic and Bayes contain the truth (errors about 1/sqrt(n)); trees come near it."""
    critic = fit(classifier, noise_ratio=noise_ratio)
    rows = X[:500]
    error = critic.log_ratio(rows) - true_log_ratio(rows)
    assert np.sqrt(np.mean(error**2)) < tolerance


def test_members_see_different_noise_and_are_averaged():
    critic = fit(QUADRATIC)
    one, two = (member.decision_function(X[:50]) for member in critic.members)
    assert not np.allclose(one, two)
    assert_allclose(critic.log_ratio(X[:50]), (one + two) / 2 + np.log(3.0))


def test_same_seed_same_critic():
    assert_allclose(fit(None, X[:300]).log_ratio(X), fit(None, X[:300]).log_ratio(X))


def test_probabilities_of_zero_and_one_have_finite_odds():
    critic = fit(RandomForestClassifier(5), X[:300])
    assert not critic.decides
    assert np.isfinite(critic.log_ratio(X)).all()


def test_decision_function_is_used_where_it_is_the_log_odds():
    assert fit(QUADRATIC, X[:300]).decides
    assert fit(LinearSVC(), X[:300]).decides  # nothing else to ask


def test_trees_are_cut_back_to_their_best_iteration():
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(400, 2)), np.arange(400) % 2  # nothing to learn
    model = boosted_trees(400).set_params(random_state=0).fit(rows, y)
    grown, best = model.n_iter_, int(np.argmax(model.validation_score_))
    assert boosting_to_best_iteration(model).n_iter_ == best < grown
    plain = HistGradientBoostingClassifier(max_iter=5, early_stopping=False).fit(rows, y)
    assert boosting_to_best_iteration(plain).n_iter_ == 5


def test_weights_count_by_their_proportions():
    """Weights of a tilt, proportional to exp(x_0), move the mean of column 0 by its variance, one.

    So does the log-ratio's coefficient of x_0, which is the mean's; 0.1 is several errors.
    """
    weight = 7 * np.exp(X[:, 0])
    weighted, plain = fit(GaussianNB(), X, weight), fit(GaussianNB(), X)
    step = np.array([[1.0, 0.0]])

    def slope(critic):
        return (critic.log_ratio(X + step / 2) - critic.log_ratio(X - step / 2)).mean()

    assert slope(weighted) - slope(plain) == pytest.approx(1.0, abs=0.15)


def test_weights_that_the_classifier_cannot_take_are_refused():
    pipeline = make_pipeline(StandardScaler(), GaussianNB())
    with pytest.raises(ValueError, match="takes no sample_weight"):
        fit(pipeline, X[:100], np.full(100, 0.5))


def test_overlap_is_one_for_noise_like_the_data_and_zero_for_noise_far_away():
    noise_rows = NOISE.sample(4000, np.random.default_rng(1))
    assert constant_critic(3.0).overlap(X, noise_rows) == pytest.approx(1.0)
    assert fit(QUADRATIC, X + 40).overlap(X + 40, noise_rows) < 0.01
    assert 0.3 < fit(QUADRATIC).overlap(X, noise_rows) < 0.95


def test_what_counts_as_a_classifier():
    assert is_classifier_like(LogisticRegression())
    assert is_classifier_like(LinearSVC())
    assert not is_classifier_like(PolynomialFeatures())
    assert not is_classifier_like(LogisticRegression)


def test_repeated_rows_are_not_learned_by_heart():
    """Copies on both sides of the validation split would hide that trees overfit.

    60 rows, each five times, under the law of the noise itself: the true log-ratio is zero, and
    trees that stop where held-out rows say stay near it. Copies that are told apart by a jitter
    of 1e-9 are what the trees would see otherwise.
    """
    rows = NOISE.sample(60, np.random.default_rng(1))
    copies = np.repeat(rows, 5, axis=0)
    fresh = NOISE.sample(2000, np.random.default_rng(2))

    def error(table):
        return np.sqrt(np.mean(fit(None, table, noise_ratio=5.0).log_ratio(fresh) ** 2))

    jittered = copies + 1e-9 * np.random.default_rng(3).standard_normal(copies.shape)
    assert error(copies) < 0.5 < 2.0 < error(jittered)


def test_copies_are_one_row_with_their_number_as_weight():
    """The same critic whatever the order of the copies; the ratio of noise to data counts all."""
    rows = X[:60]
    number = np.resize([1, 2, 4], 60)
    repeated = np.repeat(rows, number, axis=0)
    again = np.concatenate([rows, *(rows[number > k] for k in range(1, 4))])
    one, other = fit(None, repeated), fit(None, again)
    assert_allclose(one.log_ratio(X[:9]), other.log_ratio(X[:9]))
    assert one.log_nu == pytest.approx(np.log(3.0))
