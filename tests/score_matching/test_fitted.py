"""The fitted values of a Gaussian: one of four kinds, plain, and forgotten by the next fit."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from skgm import ScoreMatchingGaussian, ScoreMatchingGaussianCV, wald_test

CHAIN = np.eye(3) + np.eye(3, k=1) + np.eye(3, k=-1)
KINDS = {
    "free": {},
    "diagonal": {"covariance_type": "diag"},
    "spherical": {"covariance_type": "spherical"},
    "l1": {"penalty": "l1", "alpha": 0.05},
    "l2": {"penalty": "l2"},
    "graph": {"graph": CHAIN},
    "box": {"bounds": (-9, 9)},
}


@pytest.fixture
def X(rng):
    return rng.multivariate_normal(np.zeros(3), np.linalg.inv(np.eye(3) + 0.4 * CHAIN), size=80)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def plain(value):
    """Whether it holds nothing but numbers, text and arrays of them."""
    if isinstance(value, dict):
        return all(plain(part) for part in value.values())
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, str | bool | int | float)


def intervals_or_refusal(fitted, X):
    """Text of the intervals with the table, or of the error."""
    try:
        return repr(dict(fitted.confidence_intervals(X=X)))
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_stored_plainly_and_persists(X, kind):
    fitted = ScoreMatchingGaussian(**KINDS[kind]).fit(X)
    assert plain(fitted._state)
    copy = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(copy.score_samples(X), fitted.score_samples(X))
    assert_array_equal(copy.sample(5, 0), fitted.sample(5, 0))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "box"])
def test_density_and_draws_are_those_of_the_public_parameters(X, kind):
    """scipy's normal with location_ and covariance_."""
    fitted = ScoreMatchingGaussian(**KINDS[kind]).fit(X)
    covariance = fitted.covariance_
    covariance = covariance if np.ndim(covariance) == 2 else np.diag(np.full(3, covariance))
    law = stats.multivariate_normal(fitted.location_, covariance)
    assert_allclose(fitted.score_samples(X), law.logpdf(X), rtol=1e-10)
    assert_allclose(fitted.loglik_, law.logpdf(X).sum(), rtol=1e-10)
    gradient = -np.linalg.solve(covariance, (X - fitted.location_).T).T
    assert_allclose(fitted.score_function(X), gradient, rtol=1e-8, atol=1e-10)
    assert_allclose(np.cov(fitted.sample(20_000, 0).T), covariance, atol=0.2)
    right = 0.5 * (gradient**2).sum(axis=1).mean() - np.trace(np.linalg.inv(covariance))
    assert_allclose(fitted.loss(X), right, rtol=1e-9)


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize("after", KINDS)
def test_a_fit_of_another_kind_forgets_the_first(X, before, after):
    fresh = ScoreMatchingGaussian(**KINDS[after]).fit(X)
    used = ScoreMatchingGaussian(**KINDS[before]).fit(X)
    used.set_params(**(ScoreMatchingGaussian().get_params() | KINDS[after])).fit(X)
    assert set(vars(used)) == set(vars(fresh))
    assert_array_equal(used.score_samples(X), fresh.score_samples(X))
    assert intervals_or_refusal(used, X) == intervals_or_refusal(fresh, X)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ScoreMatchingGaussian(graph=CHAIN), "no Wald tests of a precision on a graph"),
        (ScoreMatchingGaussian(penalty="l1", alpha=0.05), "A regularized fit has no standard"),
        (ScoreMatchingGaussianCV(), "A regularized fit has no standard"),
    ],
)
def test_wald_tests_are_refused_where_there_is_no_covariance(X, model, message):
    null = {"precision": np.eye(3)} if model.get_params().get("graph") is not None else {}
    with pytest.raises(ValueError, match=message):
        wald_test(model, X, null or {"location": np.zeros(3)})


def test_the_methods_of_intervals_are_named(X):
    for kind in ("free", "graph"):
        with pytest.raises(ValueError, match="'auto', 'wald', 'wald-transformed', 'robust'"):
            ScoreMatchingGaussian(**KINDS[kind]).fit(X).confidence_intervals(method="profile")


def test_later_parameters_do_not_change_what_was_fitted(X):
    """Errors are those of the fit, whatever `set_params` says since."""
    graph = ScoreMatchingGaussian(graph=CHAIN, refit="score_matching").fit(X)
    box = ScoreMatchingGaussian(bounds=(-9, 9)).fit(X)
    before = [fitted.standard_errors("robust", X=X) for fitted in (graph, box)]
    graph.set_params(refit="mle", assume_centered=True)
    box.set_params(weight="power", weight_cap=1.0, assume_centered=True)
    for fitted, errors in zip((graph, box), before, strict=True):
        after = fitted.standard_errors("robust", X=X)
        for name in errors:
            assert_array_equal(after[name], errors[name])
