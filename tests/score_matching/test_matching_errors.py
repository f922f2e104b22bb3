"""Errors of a precision fitted by score matching on a known graph."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import linalg
from scipy.linalg import LinAlgWarning

from skgm import ScoreMatchingGaussian
from skgm.score_matching._gaussian.inference import graph_errors, matching_errors


def chain(p, strength):
    return np.eye(p) + strength * (np.eye(p, k=1) + np.eye(p, k=-1))


def fit(X, graph, weight=None, **options):
    density = ScoreMatchingGaussian(graph=graph, refit="score_matching", **options)
    return density.fit(X, sample_weight=weight)


@pytest.mark.parametrize("centered", [False, True])
def test_the_sandwich_is_the_sum_of_squared_influences(centered):
    """Each by two refits with a weight moved: Student's t rows, a wrong graph, weights, units."""
    rng = np.random.default_rng(0)
    K = chain(4, 0.3)
    K[0, 2] = K[2, 0] = 0.25  # not in the graph
    X = rng.multivariate_normal(np.zeros(4), linalg.inv(K), size=60)
    X = X / np.sqrt(rng.chisquare(9, size=(60, 1)) / 9) * [1, 10, 0.1, 5] + [0, 1, 0.1, 0]
    weight = rng.integers(1, 4, size=60).astype(float)
    graph = chain(4, 1)

    def moved(i, step):
        changed = weight.copy()
        changed[i] += step
        return fit(X, graph, changed, assume_centered=centered).precision_

    influence = np.array([(moved(i, 1e-3) - moved(i, -1e-3)) / 2e-3 for i in range(60)])
    truth = np.sqrt(np.tensordot(weight, influence**2, 1))
    fitted = fit(X, graph, weight, assume_centered=centered)
    errors = fitted.standard_errors("robust", X=X, sample_weight=weight)["precision"]
    assert_allclose(errors, truth, rtol=1e-6)


@pytest.mark.parametrize(("strength", "efficiency"), [(0.3, 0.955), (0.45, 0.887), (0.49, 0.853)])
def test_the_efficiency_on_chains_is_the_known_one(strength, efficiency):
    """Of the edges against maximum likelihood, 20 columns: exact values found independently.

    Those are of rows in the units of this precision; here columns have unit variance, which moves
    the efficiency by less than 0.007.
    """
    K, edges = chain(20, strength), np.eye(20, k=1) > 0
    S = linalg.inv(K)
    graph = edges | edges.T
    ours = matching_errors(K, graph, 1.0, S)[edges]
    best = graph_errors(S, graph, 1.0)[edges]
    assert abs(np.mean(best**2 / ours**2) - efficiency) < 0.007
    assert (ours > best).all()


def test_without_zeros_it_is_maximum_likelihood():
    """A complete graph: the estimate is the inverse covariance, and so are both its errors."""
    rng = np.random.default_rng(1)
    X = rng.multivariate_normal(np.zeros(3), linalg.inv(chain(3, 0.4)), size=200) * [1, 100, 0.01]
    pair = [
        ScoreMatchingGaussian(graph=np.ones((3, 3)), refit=refit).fit(X)
        for refit in ("score_matching", "mle")
    ]
    for options in ({}, {"cov": "robust", "X": X}):
        ours, best = (f.standard_errors(**options)["precision"] for f in pair)
        assert_allclose(ours, best, rtol=1e-6)


@pytest.mark.slow
def test_intervals_cover():
    """400 tables of 400 normal rows, 10 entries: a share within 4 standard errors of 95%."""
    K, rng = chain(4, 0.4), np.random.default_rng(2)
    free = np.triu(K != 0)
    hits = {"wald-transformed": [], "robust": []}
    for _ in range(400):
        X = rng.multivariate_normal(np.zeros(4), linalg.inv(K), size=400)
        fitted = fit(X, K != 0)
        for method, found in hits.items():
            intervals = fitted.confidence_intervals(
                method=method, X=X if method == "robust" else None
            )
            low, high = intervals.low["precision"], intervals.high["precision"]
            found.append((low <= K) & (high >= K))
    for found in hits.values():  # entries of a table are correlated: take the tables for one each
        assert np.abs(np.mean(found, axis=0)[free] - 0.95).max() < 4.5 * np.sqrt(0.95 * 0.05 / 400)


def test_what_was_changed_to_be_positive_definite_has_no_errors():
    K = chain(12, 0.499)
    X = np.random.default_rng(9).multivariate_normal(np.zeros(12), linalg.inv(K), size=7)
    with pytest.warns(LinAlgWarning, match="not positive definite"):
        fitted = fit(X, K != 0)
    with pytest.raises(ValueError, match="changed to be, so it has no standard errors"):
        fitted.standard_errors()


def test_data_chose_the_graph_no_errors():
    K = chain(4, 0.4)
    X = np.random.default_rng(0).multivariate_normal(np.zeros(4), linalg.inv(K), size=200)
    chosen = ScoreMatchingGaussian(penalty="l1", alpha=0.1, refit="score_matching").fit(X)
    with pytest.raises(ValueError, match="a graph chosen by the data is not a known one"):
        chosen.standard_errors()
