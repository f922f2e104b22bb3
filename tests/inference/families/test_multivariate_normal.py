"""The joint family against Gauss-Hermite cubature, finite differences and scipy."""

import numpy as np
from numpy.testing import assert_allclose
from scipy import stats

from skgm._numerics.gaussian import conditional_draws, scaled_cholesky
from skgm.inference.families import MultivariateNormal

FAMILY = MultivariateNormal()
D = 3
ROOT = np.array([[1.0, 0, 0], [0.6, 0.8, 0], [-0.3, 0.5, 2.0]])
PARAMS = {"mean": np.array([1.0, -2.0, 0.5]), "covariance": ROOT @ ROOT.T}


def flat(params):
    return np.concatenate([params["mean"], params["covariance"][np.tril_indices(D)]])


def unflat(vector):
    covariance = np.zeros((D, D))
    covariance[np.tril_indices(D)] = vector[D:]
    covariance = covariance + np.tril(covariance, -1).T
    return {"mean": vector[:D], "covariance": covariance}


def gradient(function):
    start, parts = flat(PARAMS), []
    for k in range(len(start)):
        step = np.zeros(len(start))
        step[k] = 1e-5
        rise = function(unflat(start + step)) - function(unflat(start - step))
        parts.append(rise / 2e-5)
    return np.stack(parts, axis=-1)


def cubature():
    """Nodes (4^3, 3) and weights that integrate polynomials to degree 7 exactly."""
    x, w = np.polynomial.hermite_e.hermegauss(4)
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, D)
    weight = np.prod(np.stack(np.meshgrid(w, w, w, indexing="ij"), axis=-1), axis=-1).ravel()
    return PARAMS["mean"] + grid @ ROOT.T, weight / weight.sum()


def data(n=60, seed=0):
    return FAMILY.sample(PARAMS, n, np.random.default_rng(seed))


def test_log_density_is_scipys():
    X = data()
    expected = stats.multivariate_normal(PARAMS["mean"], PARAMS["covariance"]).logpdf(X)
    assert_allclose(FAMILY.log_density(X, PARAMS), expected, rtol=1e-12)
    total = FAMILY.log_likelihood(FAMILY.summarize(X, None), PARAMS)
    assert_allclose(total, expected.sum(), rtol=1e-12)


def test_score_and_information():
    """eq. score-mean-zero, information-identity: cubature is exact for these polynomials."""
    X, weight = cubature()
    score, information = FAMILY.score(X, PARAMS), FAMILY.information(PARAMS)
    assert_allclose(score, gradient(lambda p: FAMILY.log_density(X, p)), rtol=1e-6, atol=1e-7)
    assert_allclose(weight @ score, 0, atol=1e-13)
    assert_allclose((score * weight[:, None]).T @ score, information, atol=1e-12)
    hessian = gradient(lambda p: weight @ FAMILY.score(X, p))
    assert_allclose(-hessian, information, rtol=1e-6, atol=1e-8)


def test_standard_errors_invert_the_information():
    errors = FAMILY.standard_errors(PARAMS, 40.0)
    inverse = np.sqrt(np.diag(np.linalg.inv(FAMILY.information(PARAMS))) / 40)
    assert_allclose(flat(errors), inverse, rtol=1e-10)


def test_robust_errors_are_the_dense_sandwich():
    X = stats.t(5).rvs(size=(200, D), random_state=3) @ ROOT.T
    weight = np.random.default_rng(0).integers(0, 3, 200).astype(float)
    params = FAMILY.estimate(FAMILY.summarize(X, weight))
    psi, bread = FAMILY.score(X, params), FAMILY.information(params)
    inverse = np.linalg.inv(bread)
    meat = (psi * weight[:, None]).T @ psi / weight.sum()
    dense = np.sqrt(np.diag(inverse @ meat @ inverse) / weight.sum())
    assert_allclose(flat(FAMILY.robust_standard_errors(X, weight, params)), dense, rtol=1e-9)


def test_score_function():
    X, step = data(5), 1e-6
    numeric = [
        (FAMILY.log_density(X + e, PARAMS) - FAMILY.log_density(X - e, PARAMS)) / (2 * step)
        for e in step * np.eye(D)
    ]
    assert_allclose(FAMILY.score_function(X, PARAMS), np.stack(numeric, axis=1), atol=1e-7)


def test_sample_moments():
    """Standard errors of means and covariances known; five of them allowed."""
    n = 40_000
    X = data(n, seed=1)
    errors = FAMILY.standard_errors(PARAMS, n)
    assert (np.abs(X.mean(axis=0) - PARAMS["mean"]) < 5 * errors["mean"]).all()
    gap = np.abs(np.cov(X.T, bias=True) - PARAMS["covariance"])
    assert (gap < 5 * errors["covariance"]).all()


def test_conditional_draws_follow_the_conditional_normal():
    """Given x0 and x2, x1 is normal with the regression mean and variance (KS, fixed seed)."""
    mean, covariance = PARAMS["mean"], PARAMS["covariance"]
    given = np.array([[2.0, np.nan, -1.0], [np.nan, np.nan, np.nan], [0.0, 1.0, 2.0]])
    drawn = conditional_draws(
        mean, scaled_cholesky(covariance), given, 4000, np.random.default_rng(0)
    )
    seen = [0, 2]
    slope = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[seen, 1])
    center = mean[1] + slope @ (given[0, seen] - mean[seen])
    spread = np.sqrt(covariance[1, 1] - slope @ covariance[seen, 1])
    assert stats.kstest(drawn[:4000, 1], stats.norm(center, spread).cdf).pvalue > 1e-3
    free = drawn[4000:8000]
    assert stats.kstest(free[:, 2], stats.norm(mean[2], covariance[2, 2] ** 0.5).cdf).pvalue > 1e-3
    assert_allclose(drawn[8000:], np.tile(given[2], (4000, 1)))
