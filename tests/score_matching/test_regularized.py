"""Sparse and ridge Gaussians: against closed forms, statsmodels-free likelihoods, simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import linalg, optimize, sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning

from skgm import ScoreMatchingGaussian, ScoreMatchingGaussianCV
from skgm.score_matching import denoising_loss


def chain(p, strength=0.4):
    return np.eye(p) + strength * (np.eye(p, k=1) + np.eye(p, k=-1))


def rows_of(K, n, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(K)), linalg.inv(K), size=n)


def log_likelihood(K, X):
    S = np.cov(X, rowvar=False, bias=True)
    return np.linalg.slogdet(K)[1] - np.trace(K @ S)


def free_entries(graph):
    return np.nonzero(np.triu(graph) | np.eye(len(graph), dtype=bool))


def test_l2_is_the_inverse_of_the_inflated_correlation():
    X = rows_of(chain(5), 40) * [1, 10, 100, 1e-3, 1] + 3
    fitted = ScoreMatchingGaussian(penalty="l2", alpha=0.3).fit(X)
    sd = X.std(axis=0)
    truth = linalg.inv(np.corrcoef(X, rowvar=False) + 0.3 * np.eye(5)) / np.outer(sd, sd)
    assert_allclose(fitted.precision_, truth, rtol=1e-9)


def test_l2_minimizes_the_denoising_loss():
    """On standardized rows: the loss has its minimum there, along the scale of the precision."""
    X = rows_of(chain(3), 400)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    K = ScoreMatchingGaussian(penalty="l2", alpha=0.25).fit(X).precision_

    def loss(factor):
        return float(denoising_loss(lambda Z: -factor * Z @ K, X, 0.5, n_noise=200, random_state=0))

    best = optimize.minimize_scalar(loss, bounds=(0.5, 1.5), method="bounded").x
    assert abs(best - 1) < 0.02  # 160,000 noised rows: about 1 / sqrt(160000 * 3) * 4.9


def test_a_known_graph_by_score_matching_is_a_linear_system():
    X = rows_of(chain(6), 200)
    graph = np.abs(chain(6)) > 0
    fitted = ScoreMatchingGaussian(graph=graph, refit="score_matching").fit(X)
    sd = X.std(axis=0)
    R, K = np.corrcoef(X, rowvar=False), fitted.precision_ * np.outer(sd, sd)
    assert_allclose((0.5 * (R @ K + K @ R) - np.eye(6))[graph], 0, atol=1e-8)
    assert_array_equal(K[~graph], 0.0)


def test_a_known_graph_by_likelihood_matches_the_covariance_on_the_graph():
    """The defining property of the maximum: the fitted covariance is the sample's on the edges."""
    X = rows_of(chain(6), 200)
    graph = np.abs(chain(6)) > 0
    fitted = ScoreMatchingGaussian(graph=sparse.csr_matrix(chain(6)), refit="mle").fit(X)
    S = np.cov(X, rowvar=False, bias=True)
    assert_allclose(fitted.covariance_[graph], S[graph], rtol=1e-7)
    assert_array_equal(fitted.precision_[~graph], 0.0)
    assert_array_equal(fitted.graph_, graph & ~np.eye(6, dtype=bool))


def test_one_step_is_nearly_the_maximum_and_score_matching_is_not():
    """The log-likelihood lost, averaged over 20 tables of 300 rows, chain of strong edges."""
    lost = {"score_matching": [], "one_step": []}
    graph = np.abs(chain(15, 0.49)) > 0
    for seed in range(20):
        X = rows_of(chain(15, 0.49), 300, seed)
        best = ScoreMatchingGaussian(graph=graph, refit="mle").fit(X).loglik_
        for refit, values in lost.items():
            fitted = ScoreMatchingGaussian(graph=graph, refit=refit).fit(X)
            assert fitted.loglik_ <= best + 1e-6
            values.append(best - fitted.loglik_)
    assert np.mean(lost["one_step"]) < 0.1 * np.mean(lost["score_matching"])


def test_a_complete_graph_is_no_regularization():
    X = rows_of(chain(4), 50)
    plain = ScoreMatchingGaussian().fit(X)
    for refit in ("score_matching", "one_step", "mle"):
        fitted = ScoreMatchingGaussian(graph=np.ones((4, 4)), refit=refit).fit(X)
        assert_allclose(fitted.precision_, plain.precision_, rtol=1e-6)
        assert_allclose(fitted.loglik_, plain.loglik_, rtol=1e-9)


def test_l1_finds_a_chain_and_the_refit_has_no_bias():
    X = rows_of(chain(20), 2000)
    fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.15).fit(X)
    assert_array_equal(fitted.graph_, (chain(20) != 0) & ~np.eye(20, dtype=bool))
    assert fitted.n_edges_ == 19
    biased = ScoreMatchingGaussian(penalty="l1", alpha=0.15, refit=None).fit(X)
    edge = fitted.graph_
    # each edge has standard error about sqrt((1 + 0.16) / 2000) = 0.024, 38 of them
    assert np.abs(fitted.precision_[edge] - 0.4).max() < 4.9 * 0.024
    assert biased.precision_[edge].mean() < 0.4 - 4.9 * 0.024


@pytest.mark.parametrize("penalty", ["l1", "l2"])
def test_units_of_the_columns_do_not_matter(penalty):
    X = rows_of(chain(6), 100)
    scale = 10.0 ** np.linspace(-8, 8, 6)
    one = ScoreMatchingGaussian(penalty=penalty).fit(X)
    other = ScoreMatchingGaussian(penalty=penalty).fit(X * scale + scale)
    assert_allclose(other.precision_ * np.outer(scale, scale), one.precision_, rtol=1e-5)


@pytest.mark.parametrize("refit", [None, "one_step", "mle"])
def test_more_columns_than_rows(refit):
    X = rows_of(chain(40), 25)
    fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.4, refit=refit).fit(X)
    assert np.linalg.eigvalsh(fitted.precision_).min() > 0
    assert fitted.ridge_ == 0.0
    assert np.isfinite(fitted.score_samples(X)).all()


def test_a_refit_that_is_not_positive_definite_is_mended_with_a_warning():
    X = rows_of(chain(40), 25)
    with pytest.warns(LinAlgWarning, match="off-diagonal entries were multiplied by 0.5"):
        fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.4, refit="score_matching").fit(X)
    assert np.linalg.eigvalsh(fitted.precision_).min() > 0


def test_penalties_are_the_cure_for_columns_that_determine_one_another():
    X = rows_of(chain(4), 100)
    X = np.column_stack([X, X[:, 0], X[:, 1] + X[:, 2]])
    with pytest.warns(LinAlgWarning):
        ScoreMatchingGaussian().fit(X)
    for options in ({"penalty": "l2"}, {"penalty": "l1"}, {"penalty": "l1", "refit": "mle"}):
        fitted = ScoreMatchingGaussian(**options).fit(X)
        assert fitted.ridge_ == 0.0
        assert np.linalg.eigvalsh(fitted.covariance_).min() > 0


def test_a_constant_column_has_the_ridge_and_warning_of_an_unpenalized_fit():
    X = rows_of(chain(4), 100)
    X[:, 2] = 7.0
    with pytest.warns(LinAlgWarning, match="constant columns"):
        fitted = ScoreMatchingGaussian(penalty="l1").fit(X)
    with pytest.warns(LinAlgWarning, match="constant columns"):
        plain = ScoreMatchingGaussian().fit(X)
    assert_allclose(fitted.covariance_[2, 2], plain.covariance_[2, 2])
    assert not fitted.graph_[2].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty": "l1", "graph": np.eye(4)}, "penalty or graph, not both"),
        ({"penalty": "l1", "covariance_type": "diag"}, "need covariance_type='full'"),
        ({"graph": np.eye(3)}, r"shape \(4, 4\), one row and column per column of X"),
        ({"graph": np.triu(np.ones((4, 4)))}, r"the pair \(0, 1\) but not \(1, 0\)"),
        ({"graph": np.full((4, 4), np.nan)}, "NaN or infinity"),
        ({"graph": [["a"] * 4] * 4}, "zeros and non-zeros"),
        ({"penalty": "l1", "alpha": 0.0}, "alpha"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ScoreMatchingGaussian(**options).fit(rows_of(chain(4), 50))


def test_a_graph_too_dense_for_the_rows_is_refused():
    X = rows_of(chain(10), 6)
    with pytest.raises(ValueError, match="too many for 6 rows"):
        ScoreMatchingGaussian(graph=np.ones((10, 10))).fit(X)
    X = np.column_stack([rows_of(chain(3), 50)] * 2)
    with pytest.raises(ValueError, match="has no finite estimate"):
        ScoreMatchingGaussian(graph=np.ones((6, 6)), refit="mle").fit(X)


def test_an_empty_graph_is_warned_of():
    X = rows_of(chain(4), 50)
    with pytest.warns(ConvergenceWarning, match=r"not below alpha_max_=0\.\d+, so no two"):
        fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.99).fit(X)
    assert_allclose(fitted.precision_, np.diag(1 / X.var(axis=0)))
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        ScoreMatchingGaussian(penalty="l1", alpha=1e-4, tol=1e-300).fit(X)


def test_parts_are_as_good_as_the_whole():
    X = rows_of(chain(6), 90)
    whole = ScoreMatchingGaussian(penalty="l1").fit(X)
    parts = ScoreMatchingGaussian(penalty="l1")
    for part in (X[:40], X[40:50], X[50:]):
        parts.partial_fit(part)
    assert_allclose(parts.precision_, whole.precision_, rtol=1e-5, atol=1e-8)


def test_standard_errors_are_refused_with_the_reason():
    fitted = ScoreMatchingGaussian(penalty="l1").fit(rows_of(chain(4), 50))
    with pytest.raises(ValueError, match=r"regularized fit has no standard errors.*edges\(\)"):
        fitted.standard_errors()


def test_errors_on_a_graph_are_the_curvature_of_the_likelihood():
    """Model errors at the maximum: second differences of the log-likelihood in the free entries."""
    X = rows_of(chain(4), 300) * [1, 10, 0.1, 5]
    fitted = ScoreMatchingGaussian(graph=chain(4), refit="mle").fit(X)
    first, second = free_entries(chain(4) != 0)

    def total(K):
        return 150 * log_likelihood(K, X)

    def basis(k):
        E = np.zeros((4, 4))
        E[first[k], second[k]] = E[second[k], first[k]] = 1.0
        return E * 1e-3 * np.sqrt(np.outer(*[fitted.precision_.diagonal()] * 2))

    m, K = len(first), fitted.precision_
    H = np.array(
        [
            [
                total(K + a + b) - total(K + a - b) - total(K - a + b) + total(K - a - b)
                for b in map(basis, range(m))
            ]
            for a in map(basis, range(m))
        ]
    )
    size = np.array([basis(k).max() for k in range(m)])
    truth = np.sqrt(np.diag(np.linalg.inv(-H / 4))) * size
    errors = fitted.standard_errors()["precision"]
    assert_allclose(errors[first, second], truth, rtol=1e-4)
    assert (errors[chain(4) == 0] == 0).all()


def test_sandwich_errors_on_a_graph_are_those_of_the_bootstrap():
    """Student's t rows with 9 degrees of freedom; 300 resamples, errors good to 4 / sqrt(600)."""
    rng = np.random.default_rng(0)
    X = rows_of(chain(4), 2000) / np.sqrt(rng.chisquare(9, size=(2000, 1)) / 9)
    fitted = ScoreMatchingGaussian(graph=chain(4)).fit(X)
    found = [
        ScoreMatchingGaussian(graph=chain(4)).fit(X[rng.integers(2000, size=2000)]).precision_
        for _ in range(300)
    ]
    free = free_entries(chain(4) != 0)
    robust = fitted.standard_errors("robust", X=X)["precision"][free]
    ratio = robust / np.std(found, axis=0)[free]
    assert np.abs(ratio - 1).max() < 4 / np.sqrt(600)
    assert (robust > fitted.standard_errors()["precision"][free]).mean() > 0.5


def test_intervals_on_a_graph():
    X = rows_of(chain(4), 400)
    fitted = ScoreMatchingGaussian(graph=chain(4)).fit(X)
    assert set(fitted.params_) == {"location", "precision"}
    for options in ({}, {"X": X}, {"method": "wald"}):
        found = fitted.confidence_intervals(**options)
        inside = (found.low["precision"] <= chain(4)) & (found.high["precision"] >= chain(4))
        assert inside.all()
    with pytest.raises(ValueError, match="has intervals by"):
        fitted.confidence_intervals(method="profile")


@pytest.mark.parametrize("model", [ScoreMatchingGaussian(), ScoreMatchingGaussianCV()])
def test_a_single_row_of_positive_weight_is_refused(model):
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match="positive sample_weight"):
        model.fit(X, sample_weight=np.eye(50)[0])


def test_the_cure_on_a_known_graph_is_no_penalty():
    X = np.random.default_rng(0).normal(size=(8, 6)).cumsum(axis=1)
    model = ScoreMatchingGaussian(
        graph=np.eye(6, k=1) + np.eye(6, k=-1) + np.eye(6, k=2) + np.eye(6, k=-2),
        refit="score_matching",
    )
    with pytest.warns(LinAlgWarning, match="Collect more rows, or use refit='mle'"):
        model.fit(X)
