"""Noise distributions: densities against scipy, draws against densities, inverse maps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.stats import qmc
from sklearn.datasets import load_iris
from sklearn.frozen import FrozenEstimator
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skgm import ScoreMatchingGaussian
from skgm._numerics.distributions import (
    BernoulliNoise,
    GaussianMixtureNoise,
    StudentNoise,
    has_inverse_map,
)
from skgm.nce._noise import fit_gaussian, fit_mixture, make_noise, weighted_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)) @ np.array([[2.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 0.2]]) + 5
NAMES = ["gaussian", "gmm", "student_t", "uniform", "marginals"]


def noise_of(spec, table=X, weight=None):
    return make_noise(spec, table, weight, np.random.default_rng(1))


@pytest.mark.parametrize("name", NAMES)
def test_density_integrates_to_one_under_another_density(name):
    """Importance sampling from scipy's t: the mean weight is 1 within four standard errors."""
    noise = noise_of(name)
    proposal = stats.multivariate_t(X.mean(axis=0), 3 * np.cov(X.T), df=3, seed=0)
    rows = proposal.rvs(200_000)
    weights = np.exp(noise.log_density(rows) - proposal.logpdf(rows))
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(len(rows))


@pytest.mark.parametrize("name", NAMES)
def test_draws_follow_density(name):
    """E_q[1 / q] over a box is its volume: relates draws to densities, within four errors."""
    noise = noise_of(name)
    rows = noise.sample(100_000, np.random.default_rng(2))
    low, high = np.quantile(X, 0.3, axis=0), np.quantile(X, 0.7, axis=0)
    inside = ((rows > low) & (rows < high)).all(axis=1)
    values = inside * np.exp(-noise.log_density(rows))
    volume = np.prod(high - low)
    assert abs(values.mean() - volume) < 4 * values.std() / np.sqrt(len(rows))


@pytest.mark.parametrize("name", [*NAMES, "bernoulli", "scipy"])
def test_inverse_map_turns_uniforms_into_draws_of_the_noise(name):
    """Means and variances of transformed Sobol points are those of draws, within five errors."""
    table = (X > 5).astype(float) if name == "bernoulli" else X
    noise = noise_of(stats.norm(1, 2) if name == "scipy" else name, table)
    points = qmc.Sobol(noise.n_uniforms, seed=0).random_base2(13)
    mapped = noise.transform(points)
    drawn = noise.sample(8192, np.random.default_rng(3))
    assert mapped.shape == drawn.shape
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(mapped.mean(axis=0) - drawn.mean(axis=0)) < 5 * error).all()
    squares = (drawn - drawn.mean(axis=0)) ** 2
    error = squares.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(mapped.var(axis=0) - drawn.var(axis=0)) < 5 * error).all()


@pytest.mark.parametrize("name", NAMES)
def test_score_function_is_the_gradient_of_the_log_density(name):
    noise, rows, step = noise_of(name), X[:20], 1e-5
    for j in range(3):
        shift = step * np.eye(3)[j]
        numeric = (noise.log_density(rows + shift) - noise.log_density(rows - shift)) / (2 * step)
        assert_allclose(noise.score_function(rows)[:, j], numeric, rtol=1e-5, atol=1e-5)


def test_mixture_agrees_with_scikit_learn():
    model = GaussianMixture(4, random_state=0).fit(X)
    noise = GaussianMixtureNoise(
        model.weights_, model.means_, np.linalg.cholesky(model.covariances_)
    )
    assert_allclose(noise.log_density(X), model.score_samples(X), rtol=1e-10)


def test_student_agrees_with_scipy():
    noise = noise_of("student_t")
    shape = noise.cholesky @ noise.cholesky.T
    expected = stats.multivariate_t(noise.location, shape, df=5).logpdf(X)
    assert isinstance(noise, StudentNoise)
    assert_allclose(noise.log_density(X), expected, rtol=1e-10)


def test_gaussian_has_the_moments_of_the_rows():
    noise = fit_gaussian(X)
    expected = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T, bias=True)).logpdf(X)
    assert_allclose(noise.log_density(X), expected, rtol=1e-6)


def test_integer_weights_are_repetitions():
    weight = np.arange(len(X)) % 3
    repeated = np.repeat(X, weight, axis=0)
    for name in ("gaussian", "student_t"):
        one, other = noise_of(name, X, weight.astype(float)), noise_of(name, repeated)
        assert_allclose(one.log_density(X), other.log_density(X), rtol=1e-9)


def test_weighted_rows_are_in_proportion():
    weight = np.array([1.0, 0.0, 3.0, 0.5])
    rows = weighted_rows(np.arange(4.0)[:, None], weight, 900, np.random.default_rng(0))
    counts = np.bincount(rows[:, 0].astype(int), minlength=4)
    assert (np.abs(counts - 900 * weight / weight.sum()) < 1).all()


def test_mixture_finds_the_clusters_and_guards_the_tails():
    centers = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    rows = centers[np.arange(300) % 3] + 0.3 * np.random.default_rng(0).normal(size=(300, 2))
    noise = fit_mixture(rows, None, np.random.default_rng(0))
    assert len(noise.weights) == 4
    bare = fit_mixture(rows, None, np.random.default_rng(0), guard=False)
    assert len(bare.weights) == 3
    far = np.array([[40.0, 40.0]])
    assert noise.log_density(far)[0] > -50 > bare.log_density(far)[0]


def test_mixture_draws_are_not_grouped_by_component():
    noise = GaussianMixtureNoise(
        np.array([0.5, 0.5]), np.array([[-50.0], [50.0]]), np.ones((2, 1, 1))
    )
    signs = np.sign(noise.sample(4000, np.random.default_rng(0))[:, 0])
    assert abs(np.mean(signs[1:] * signs[:-1])) < 5 / np.sqrt(4000)


def test_far_rows_have_no_density_and_no_nan():
    far = np.array([[1e200, -1e200, 1e160]])
    for name in NAMES:
        value = noise_of(name).log_density(far)[0]
        assert value < -100
        assert not np.isnan(value)


def test_zeros_and_ones_get_coins():
    table = (X > 5).astype(float)
    noise = noise_of("auto", table)
    assert isinstance(noise, BernoulliNoise)
    assert noise.discrete
    states = np.array(np.meshgrid(*[[0.0, 1.0]] * 3)).reshape(3, -1).T
    assert_allclose(np.exp(noise.log_density(states)).sum(), 1.0, rtol=1e-12)
    expected = (table.sum(axis=0) + 0.5) / (len(table) + 1)
    assert_allclose(noise.mean, expected)
    assert noise.log_density(np.full((1, 3), 0.5))[0] == -np.inf


def test_bernoulli_refuses_other_values():
    with pytest.raises(ValueError, match="row 0, column 0"):
        noise_of("bernoulli")


def test_uniform_has_no_density_outside_its_box():
    noise = noise_of("uniform")
    assert np.isfinite(noise.log_density(X)).all()
    assert noise.log_density(X[:1] + 100)[0] == -np.inf


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixture(2, random_state=0),
        KernelDensity(bandwidth=0.5),
        ScoreMatchingGaussian(),
    ],
    ids=lambda e: type(e).__name__,
)
def test_estimators_are_cloned_and_fitted(estimator):
    noise = noise_of(estimator)
    assert not hasattr(estimator, "n_features_in_")
    assert_allclose(noise.log_density(X), estimator.fit(X).score_samples(X))
    one, two = (noise.sample(500, np.random.default_rng(s)) for s in (0, 0))
    other = noise.sample(500, np.random.default_rng(1))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert not has_inverse_map(noise)


def test_rows_of_a_mixture_estimator_come_in_random_order():
    rows = np.random.default_rng(0).normal(size=(200, 1)) + 40.0 * (np.arange(200) % 2)[:, None]
    noise = noise_of(GaussianMixture(2, random_state=0), rows)
    high = noise.sample(2000, np.random.default_rng(0))[:, 0] > 20
    assert abs(np.corrcoef(high[1:], high[:-1])[0, 1]) < 5 / np.sqrt(2000)


def test_two_draws_from_a_seeded_mixture_differ():
    rng = np.random.default_rng(0)
    noise = noise_of(GaussianMixture(2, random_state=0))
    assert not np.array_equal(noise.sample(50, rng), noise.sample(50, rng))


def test_frozen_estimators_stay_as_they_are():
    fitted = GaussianMixture(2, random_state=0).fit(load_iris().data[:, :3])
    before = fitted.means_.copy()
    noise = noise_of(FrozenEstimator(fitted))
    assert np.array_equal(fitted.means_, before)
    assert_allclose(noise.log_density(X), fitted.score_samples(X))
    assert noise.sample(7, np.random.default_rng(0)).shape == (7, 3)


def test_scipy_distributions():
    univariate = noise_of(stats.norm(5, 2))
    assert_allclose(univariate.log_density(X), stats.norm(5, 2).logpdf(X).sum(axis=1))
    joint = stats.multivariate_normal(np.zeros(3), np.eye(3))
    noise = noise_of(joint)
    assert_allclose(noise.log_density(X), joint.logpdf(X))
    assert noise.sample(5, np.random.default_rng(0)).shape == (5, 3)
    assert not has_inverse_map(noise)
    coins = noise_of(stats.bernoulli(0.3), (X > 5).astype(float))
    assert coins.discrete
    assert not univariate.discrete
    with pytest.raises(ValueError, match="2 columns, but X has 3"):
        noise_of(stats.multivariate_normal(np.zeros(2)))


def test_anything_else_is_refused():
    for noise in (3.5, GaussianMixture):
        with pytest.raises(TypeError, match="noise must be one of"):
            noise_of(noise)
