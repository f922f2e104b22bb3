"""Tweedie's formula against sums and grids; the divergence of a step against quadrature."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.diffusion._elbo import (
    has_jacobian,
    posterior_spectrum,
    step_divergence,
    velocity_jacobian,
)
from skgm.diffusion._empirical import EmpiricalDenoiser
from tests.diffusion.denoisers import GaussianDenoiser, MixtureDenoiser, SmoothMixtureDenoiser

MIXTURE = SmoothMixtureDenoiser([[-1.0, 0.0], [1.0, 0.3], [0.2, -1.1]], 0.4)
U = np.array([[0.1, 0.2], [-0.8, 0.4], [0.5, -0.6], [1.5, 1.5]])


def covariance_of(denoiser, u, phi, errors):
    _, values, vectors = posterior_spectrum(denoiser, u, phi, errors)
    return np.einsum("nij,nj,nkj->nik", vectors, values, vectors)


@pytest.mark.parametrize("phi", [0.25, 0.7, 1.3])
def test_covariance_of_a_mixture_is_that_of_the_posterior_on_a_grid(phi):
    """Bayes' rule on 601 x 601 points; central differences of the denoiser cost 1e-8."""
    axis = np.linspace(-4, 4, 601)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    prior = MIXTURE.log_density(grid)
    ours = covariance_of(MIXTURE, U, phi, np.full(2, 0.3))
    for u, got in zip(U, ours):
        noise = (u - np.cos(phi) * grid) / np.sin(phi)
        mass = np.exp(prior - 0.5 * (noise**2).sum(axis=1))
        truth = np.cov(grid.T, aweights=mass, ddof=0)
        assert_allclose(got, truth, rtol=1e-6, atol=1e-7)
    assert_allclose(ours, MIXTURE.posterior_covariance(U, phi), rtol=1e-6, atol=1e-7)


def test_covariance_of_a_table_is_a_weighted_sum_over_its_rows():
    rows = np.random.default_rng(0).standard_normal((30, 2))
    denoiser, phi = EmpiricalDenoiser(rows), 0.9
    ours = covariance_of(denoiser, U, phi, np.full(2, 0.5))
    for u, got in zip(U, ours):
        mass = np.exp(-0.5 * ((u - np.cos(phi) * rows) ** 2).sum(axis=1) / np.sin(phi) ** 2)
        truth = np.cov(rows.T, aweights=mass, ddof=0)
        assert np.linalg.eigvalsh(truth).min() > 0.05 * 0.5  # within the range that is kept
        assert_allclose(got, truth, rtol=1e-8)


def test_eigenvalues_stay_in_a_range_around_the_errors():
    """A network's Jacobian may be anything: symmetric part, between 1/20 and 20 of the error."""

    class Strange(GaussianDenoiser):
        def matrix(self, phi):
            return np.array([[-50.0, 3.0], [-3.0, 80.0]])

    errors = np.array([0.1, 0.3])
    _, values, vectors = posterior_spectrum(Strange(np.zeros(2), np.eye(2)), U, 0.8, errors)
    assert_allclose(values, np.tile([0.01, 4.0], (4, 1)), rtol=1e-12)
    assert_allclose(np.abs(vectors), np.tile(np.eye(2), (4, 1, 1)), atol=1e-12)


def test_nothing_but_the_errors_where_nothing_is_left_of_the_data():
    velocity, values, vectors = posterior_spectrum(MIXTURE, U, np.pi / 2, np.array([0.7, 1.1]))
    assert_allclose(velocity, MIXTURE.velocity(U, np.pi / 2))
    assert_allclose(values, np.tile([0.7, 1.1], (4, 1)))
    assert_allclose(vectors, np.tile(np.eye(2), (4, 1, 1)))


def test_jacobian_from_directional_derivatives():
    covariance = np.array([[1.0, 0.8], [0.8, 1.5]])
    denoiser = GaussianDenoiser([0.4, -0.2], covariance)
    velocity, jacobian = velocity_jacobian(denoiser, U, 0.6)
    assert_allclose(velocity, denoiser.velocity(U, 0.6))
    assert_allclose(jacobian, np.tile(denoiser.matrix(0.6), (4, 1, 1)), rtol=1e-12)
    assert has_jacobian(denoiser, U[:1])
    assert not has_jacobian(MixtureDenoiser([[0.0, 0.0]], 1.0), U[:1])


def test_divergence_of_a_step_by_quadrature():
    """One column: the integral of q log(q / p); and at variance zero a log-density."""
    grid = np.linspace(-12, 12, 40_001)
    for shift, added, posterior in ((0.3, 0.5, 0.2), (-1.1, 0.05, 0.6), (0.0, 1e-3, 0.1)):
        q = stats.norm(0.0, np.sqrt(posterior))
        p = stats.norm(shift, np.sqrt(posterior + added))
        truth = q.pdf(grid) @ (q.logpdf(grid) - p.logpdf(grid)) * (grid[1] - grid[0])
        ours = step_divergence(np.array([[shift]]), np.array([[added]]), posterior)
        assert_allclose(ours, [truth], rtol=1e-8, atol=1e-12)
    ours = step_divergence(np.array([[0.3, 0.1]]), np.array([[0.5, 0.2]]), 0.0)
    assert_allclose(ours, -stats.norm.logpdf([0.3, 0.1], scale=np.sqrt([0.5, 0.2])).sum())


def test_divergence_in_the_eigenbasis_is_that_of_full_covariances():
    """By simulation in two columns, q isotropic, p not: four standard errors of 200 000 draws."""
    rng, n = np.random.default_rng(1), 200_000
    covariance, shift, posterior = np.array([[0.5, 0.3], [0.3, 0.4]]), np.array([0.4, -0.2]), 0.3
    p = stats.multivariate_normal(shift, posterior * np.eye(2) + covariance)
    q = stats.multivariate_normal(np.zeros(2), posterior * np.eye(2))
    x = q.rvs(n, random_state=rng)
    ratio = q.logpdf(x) - p.logpdf(x)
    values, vectors = np.linalg.eigh(covariance)
    ours = step_divergence((shift @ vectors)[None], values[None], posterior)
    assert abs(ours[0] - ratio.mean()) < 4 * ratio.std() / np.sqrt(n)
