"""The penalty chosen by extended BIC or cross-validation: definitions and refusals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, stats
from sklearn.exceptions import ConvergenceWarning

from skgm import ScoreMatchingGaussian, ScoreMatchingGaussianCV


def chain(p, strength=0.4):
    return np.eye(p) + strength * (np.eye(p, k=1) + np.eye(p, k=-1))


def rows_of(K, n, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(K)), linalg.inv(K), size=n)


@pytest.mark.parametrize("selection", ["ebic", "cv"])
def test_cv_agrees_with_a_fit_at_the_penalty_it_chose(selection):
    X = rows_of(chain(10), 200)
    search = ScoreMatchingGaussianCV(selection=selection).fit(X)
    direct = ScoreMatchingGaussian(penalty="l1", alpha=search.alpha_).fit(X)
    assert_allclose(search.precision_, direct.precision_, rtol=1e-4, atol=1e-6)
    assert_allclose(search.score(X), direct.score(X), rtol=1e-7)
    assert_allclose(search.loglik_, 200 * search.score(X), rtol=1e-9)
    best = np.argmin if selection == "ebic" else np.argmax
    assert search.alpha_ == search.alphas_[best(search.criterion_)]


def test_ebic_is_its_definition():
    X = rows_of(chain(6), 100)
    search = ScoreMatchingGaussianCV(alphas=[0.2], gamma=0.5).fit(X)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    loglik = (
        stats.multivariate_normal(
            np.zeros(6), np.linalg.inv(search.precision_ * np.outer(X.std(axis=0), X.std(axis=0)))
        )
        .logpdf(Z)
        .sum()
    )
    truth = -2 * loglik + search.n_edges_ * (np.log(100) + 4 * 0.5 * np.log(6))
    assert_allclose(search.criterion_[0] + 100 * 6 * np.log(2 * np.pi), truth, rtol=1e-8)


def test_cross_validation_scores_held_out_rows():
    """One fold by hand: fitted to 70 rows, scored on 30 in the units of the table."""
    X = rows_of(chain(5), 100) * [1, 2, 3, 4, 5]
    train, test = np.arange(70), np.arange(70, 100)
    search = ScoreMatchingGaussianCV(alphas=[0.1], selection="cv", cv=[(train, test)]).fit(X)
    by_hand = ScoreMatchingGaussian(penalty="l1", alpha=0.1).fit(X[train]).score(X[test])
    assert_allclose(search.criterion_[0], by_hand, rtol=1e-5)


@pytest.mark.slow
def test_chosen_graph_of_a_chain_is_the_chain():
    truth = (chain(20) != 0) & ~np.eye(20, dtype=bool)
    for seed in range(5):
        X = rows_of(chain(20), 400, seed)
        assert_array_equal(ScoreMatchingGaussianCV(gamma=0.5).fit(X).graph_, truth)
        lenient = ScoreMatchingGaussianCV().fit(X)
        assert lenient.graph_[truth].all()
        assert lenient.n_edges_ <= 22


def test_independent_columns_give_an_empty_graph_without_a_warning():
    X = np.random.default_rng(0).normal(size=(200, 8))
    assert ScoreMatchingGaussianCV(gamma=1.0).fit(X).n_edges_ == 0


@pytest.mark.parametrize("alphas", [[], [0.0, 0.1], [np.nan], ["a"]])
def test_unusable_alphas_are_named(alphas):
    with pytest.raises(ValueError, match=r"alphas|could not convert"):
        ScoreMatchingGaussianCV(alphas).fit(rows_of(chain(4), 50))


def test_a_choice_without_edges_to_choose_from_is_warned_of():
    X = np.random.default_rng(0).normal(size=(50, 3)).cumsum(axis=1)
    for alphas in (1, [5.0, 3.0]):
        with pytest.warns(ConvergenceWarning, match="not below alpha_max_"):
            assert ScoreMatchingGaussianCV(alphas).fit(X).n_edges_ == 0


def test_folds_of_few_rows_are_single_rows():
    X = np.random.default_rng(0).normal(size=(4, 2))
    chosen = ScoreMatchingGaussianCV(selection="cv").fit(X)
    same = ScoreMatchingGaussianCV(selection="cv", cv=4).fit(X)
    assert_array_equal(chosen.criterion_, same.criterion_)
