"""Langevin chains: they leave the target as it is, and correct starts that are off."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from skgm import NCEDensity
from skgm._numerics.langevin import langevin

COVARIANCE = np.array([[4.0, 1.0], [1.0, 0.5]])
TARGET = stats.multivariate_normal([1.0, -1.0], COVARIANCE)
PRECISION = np.linalg.inv(COVARIANCE)


@pytest.mark.parametrize("inflation", [1.0, 3.0])
def test_chains_reach_the_target(inflation):
    """Means within five standard errors; variances within five of theirs, sqrt(2 / n)."""
    n = 4000
    starts = stats.multivariate_normal([1.5, -1.0], inflation * COVARIANCE, seed=0).rvs(n)

    def height_and_slope(X):
        return TARGET.logpdf(X), -(X - [1.0, -1.0]) @ PRECISION

    rows = langevin(height_and_slope, starts, np.random.default_rng(0))
    error = np.sqrt(np.diag(COVARIANCE) / n)
    assert (np.abs(rows.mean(axis=0) - [1.0, -1.0]) < 5 * error).all()
    assert (np.abs(rows.var(axis=0) / np.diag(COVARIANCE) - 1) < 5 * np.sqrt(2 / n)).all()


def test_density_with_a_quadratic_critic_draws_by_chains():
    X = stats.multivariate_normal([1.0, -1.0], COVARIANCE, seed=0).rvs(2000)
    density = NCEDensity("quadratic", sampler="langevin", random_state=0).fit(X)
    rows = density.sample(3000, random_state=0)
    error = X.std(axis=0) * np.sqrt(1 / 2000 + 1 / 3000)
    assert (np.abs(rows.mean(axis=0) - X.mean(axis=0)) < 5 * error).all()


def test_draws_across_a_chasm_come_from_the_data_not_from_the_noise():
    """Noise 15 standard deviations away has no row to resample."""
    X = np.random.default_rng(0).normal(15.0, size=(2000, 1))
    density = NCEDensity("linear", noise=stats.norm(), random_state=0).fit(X)
    assert density.separation_ < 0.02
    rows = density.sample(2000, random_state=0)
    assert abs(rows.mean() - 15.0) < 1.0
    assert density.log_normalizer_se_ > 0
    assert np.isfinite(density.score_samples(X)).all()


def test_trees_have_no_chains():
    X = np.random.default_rng(0).normal(size=(60, 1))
    density = NCEDensity(sampler="langevin", random_state=0).fit(X)
    with pytest.raises(ValueError, match="smooth in x"):
        density.sample(3)


def test_old_names_of_the_samplers_warn_and_draw_the_same_rows():
    X = np.random.default_rng(0).normal(size=(200, 1))
    fitted = NCEDensity("quadratic", random_state=0).fit(X)
    for old, new in {"sir": "resampling", "mala": "langevin", "rejection": "rejection"}.items():
        with pytest.warns(FutureWarning, match=f"sampler='{new}'"):
            renamed = NCEDensity("quadratic", sampling=old, random_state=0).fit(X)
        with pytest.warns(FutureWarning, match="sampler="):
            rows = renamed.sample(7, random_state=1)
        expected = fitted.set_params(sampler=new).sample(7, random_state=1)
        assert_array_equal(rows, expected)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("kind", ["all equal", "one constant column", "collinear", "distinct"])
def test_starts_of_any_shape_and_scale_are_moved(kind, scale):
    """One row of all the weight gives equal starts: their covariance has no Cholesky factor."""
    starts = np.random.default_rng(0).normal(size=(50, 2))
    if kind == "all equal":
        starts[:] = starts[0]
    elif kind == "one constant column":
        starts[:, 1] = 2.0
    elif kind == "collinear":
        starts[:, 1] = 3 * starts[:, 0]

    def height_and_slope(X):
        return -0.5 * ((X / scale) ** 2).sum(axis=1), -X / scale / scale

    with np.errstate(over="ignore", invalid="ignore"):
        rows = langevin(height_and_slope, starts * scale, np.random.default_rng(1), n_steps=20)
    assert np.isfinite(rows).all()
    if kind == "distinct":
        assert np.abs(rows / scale - starts).mean() > 0.1


def test_starts_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"not finite.*sampler='resampling'"):
        langevin(lambda X: (X[:, 0], X), np.full((9, 2), np.inf), np.random.default_rng(0))
