import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.neighbors import KernelDensity

from skgm.diffusion._empirical import EmpiricalDenoiser
from skgm.diffusion._flow import (
    Probes,
    _angle_at,
    _nodes,
    _slope,
    _time_at,
    flow_log_density,
    trace_of_jacobian,
)
from skgm.diffusion._network import Architecture, NetworkDenoiser
from tests.diffusion.denoisers import GaussianDenoiser

COVARIANCE = np.array([[1.0, 0.9, 0.5], [0.9, 1.0, 0.6], [0.5, 0.6, 1.0]])


class NoTrace:
    """A denoiser that only knows directional derivatives."""

    def __init__(self, denoiser):
        self.velocity, self.velocity_jvp = denoiser.velocity, denoiser.velocity_jvp


@pytest.fixture(scope="module")
def moons():
    return make_moons(200, noise=0.1, random_state=0)[0]


def near(rows, width, n=100):
    rng = np.random.default_rng(1)
    return rows[rng.integers(len(rows), size=n)] + width * rng.standard_normal((n, rows.shape[1]))


def test_empirical_flow_is_a_kernel_density(moons):
    """Change of variables along the exact flow: the density of the rows plus noise."""
    rows = near(moons, 0.3)
    ours = flow_log_density(EmpiricalDenoiser(moons), rows, np.arctan(0.3), n_steps=80)
    reference = KernelDensity(bandwidth=0.3).fit(moons).score_samples(rows)
    assert_allclose(ours, reference, rtol=0, atol=1e-6)


def test_weighted_empirical_flow_at_a_small_bandwidth(moons):
    weight = np.random.default_rng(2).integers(0, 3, size=len(moons)).astype(float)
    rows = near(moons[weight > 0], 0.1)
    denoiser = EmpiricalDenoiser(moons, weight)
    ours = flow_log_density(denoiser, rows, np.arctan(0.1), n_steps=40)
    counted = weight > 0  # KernelDensity takes the logarithm of zero weights
    kernels = KernelDensity(bandwidth=0.1).fit(moons[counted], sample_weight=weight[counted])
    reference = kernels.score_samples(rows)
    assert_allclose(ours, reference, rtol=0, atol=1e-3)


def test_error_falls_with_the_fourth_power_of_the_step(moons):
    rows = near(moons, 0.3, n=30)
    reference = KernelDensity(bandwidth=0.3).fit(moons).score_samples(rows)
    error = [
        np.abs(
            flow_log_density(EmpiricalDenoiser(moons), rows, np.arctan(0.3), n_steps=n) - reference
        ).max()
        for n in (20, 40, 80)
    ]
    assert 10 < error[0] / error[1] < 25
    assert 10 < error[1] / error[2] < 25


def test_gaussian_flow_is_exact():
    """A denoiser of zeros is N(0, I) to rounding; a linear one converges to its normal density."""
    rows = np.random.default_rng(0).standard_normal((50, 3))
    ours = flow_log_density(GaussianDenoiser(np.zeros(3), np.eye(3)), rows, 0.02, n_steps=5)
    standard = stats.norm.logpdf(rows).sum(axis=1)
    smoothed = stats.norm.logpdf(rows, scale=1 / np.cos(0.02)).sum(axis=1)
    assert_allclose(ours, smoothed, rtol=0, atol=1e-8)
    assert np.abs(ours - standard).max() < 0.02
    phi, mean = np.arctan(0.1), np.array([0.3, -0.5, 0.0])
    ours = flow_log_density(GaussianDenoiser(mean, COVARIANCE), rows, phi, n_steps=250)
    normal = stats.multivariate_normal(mean, COVARIANCE + 0.01 * np.eye(3))
    assert_allclose(ours, normal.logpdf(rows), rtol=0, atol=1e-8)


def test_value_of_a_row_does_not_depend_on_its_batch(moons):
    denoiser, rows = NoTrace(EmpiricalDenoiser(moons[:50])), near(moons, 0.3, n=15)
    probes = Probes.draw(2, 1, np.random.default_rng(0))
    for kind in (None, probes):
        together = flow_log_density(denoiser, rows, 0.2, n_steps=10, probes=kind)
        alone = [
            flow_log_density(denoiser, row[None], 0.2, n_steps=10, probes=kind) for row in rows
        ]
        assert_allclose(together, np.concatenate(alone), rtol=1e-11)
        order = np.random.default_rng(3).permutation(15)
        shuffled = flow_log_density(denoiser, rows[order], 0.2, n_steps=10, probes=kind)
        assert_allclose(shuffled, together[order], rtol=1e-11)


@pytest.mark.parametrize("k", [None, 2])
def test_a_network_in_float32_gives_a_row_one_value_and_is_close_to_float64(k):
    rng = np.random.default_rng(0)
    architecture = Architecture(3, (16, 16))
    weights = architecture.initial(rng)
    weights += 0.1 * rng.standard_normal(len(weights))
    single, double = (
        NetworkDenoiser(architecture, weights.astype(kind), "v")
        for kind in (np.float32, np.float64)
    )
    probes = None if k is None else Probes.draw(3, k, rng)
    rows = rng.standard_normal((70, 3))
    together = flow_log_density(single, rows, 0.02, probes=probes)
    alone = [flow_log_density(single, rows[[i]], 0.02, probes=probes)[0] for i in (0, 33, 69)]
    assert_allclose(together[[0, 33, 69]], alone, rtol=1e-6)
    assert_allclose(together, flow_log_density(double, rows, 0.02, probes=probes), rtol=1e-4)
    # estimates by one pass forward are those by stacked directional derivatives
    directions = np.array([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
    for got, expected in zip(
        trace_of_jacobian(double, rows, 0.3, directions),
        trace_of_jacobian(NoTrace(double), rows, 0.3, directions),
    ):
        assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_time_and_angle_are_inverse():
    angles = np.linspace(1e-4, np.pi / 2, 50)
    assert_allclose([_angle_at(_time_at(phi)) for phi in angles], angles, rtol=1e-12)
    times, weights = _nodes(0.02, 8)
    assert_allclose(weights.sum(), times[-1] - times[0])
    h = 1e-5
    slope = (_angle_at(times[3] + h) - _angle_at(times[3] - h)) / (2 * h)
    assert_allclose(_slope(_angle_at(times[3])), -slope, rtol=1e-6)


def test_trace_is_that_of_finite_differences(moons):
    denoiser, u, phi, h = EmpiricalDenoiser(moons), near(moons, 0.3, n=20), 0.4, 1e-5
    columns = [
        (denoiser.velocity(u + h * e, phi) - denoiser.velocity(u - h * e, phi))[:, j] / (2 * h)
        for j, e in enumerate(np.eye(2))
    ]
    for form in (denoiser, NoTrace(denoiser)):
        velocity, trace = trace_of_jacobian(form, u, phi)
        assert_allclose(velocity, denoiser.velocity(u, phi), rtol=1e-12)
        assert_allclose(trace, np.sum(columns, axis=0), rtol=1e-6, atol=1e-7)


def test_directional_derivative_is_that_of_finite_differences(moons):
    weight = np.arange(200.0) % 3
    denoiser, u, h = EmpiricalDenoiser(moons, weight), near(moons, 0.3, n=20), 1e-5
    w = np.random.default_rng(0).standard_normal(u.shape)
    phi = np.linspace(0.2, np.pi / 2, 20)  # one angle per row
    velocity, along = denoiser.velocity_jvp(u, phi, w)
    slope = (denoiser.velocity(u + h * w, phi) - denoiser.velocity(u - h * w, phi)) / (2 * h)
    assert_allclose(along, slope, rtol=1e-6, atol=1e-7)
    assert_allclose(velocity[3], denoiser.velocity(u[3:4], phi[3])[0], rtol=1e-12)


def test_empirical_denoiser_in_blocks(moons, monkeypatch):
    denoiser, u = EmpiricalDenoiser(moons), near(moons, 0.3, n=30)
    whole = denoiser.velocity_divergence(u, 0.3)
    monkeypatch.setattr("skgm.diffusion._empirical._BLOCK", 1000)
    for got, expected in zip(denoiser.velocity_divergence(u, 0.3), whole):
        assert_allclose(got, expected, rtol=1e-12)
    monkeypatch.setattr("skgm.diffusion._flow._BLOCK", 7)
    for got, expected in zip(trace_of_jacobian(NoTrace(denoiser), u, 0.3), whole):
        assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 8, 11])
def test_all_probes_together_give_the_trace(d):
    rng = np.random.default_rng(d)
    probes, matrix = Probes.draw(d, 2, rng), rng.standard_normal((d, d))
    signs = probes.signs
    assert set(np.unique(signs)) <= {-1.0, 1.0}
    assert len(signs) < 2 * d + 1
    traces = np.einsum("ki,ij,kj->k", signs, matrix, signs)
    assert_allclose(traces.mean(), np.trace(matrix), rtol=1e-10)
    met = np.concatenate([probes.at(i) for i in range(len(signs))])  # all of them, equally often
    assert_allclose(np.abs(met.sum(axis=0)), 2 * np.abs(signs.sum(axis=0)))


def test_probes_come_close_to_exact_traces():
    rows = np.random.default_rng(0).standard_normal((50, 3)) @ np.linalg.cholesky(COVARIANCE).T
    denoiser = GaussianDenoiser(np.zeros(3), COVARIANCE)
    exact = flow_log_density(denoiser, rows, 0.1, n_steps=40)
    for per_step, tolerance in ((1, 0.02), (2, 0.005)):
        probes = Probes.draw(3, per_step, np.random.default_rng(1))
        estimate = flow_log_density(denoiser, rows, 0.1, n_steps=40, probes=probes)
        assert np.abs(estimate - exact).max() < tolerance
    conditions = np.zeros((50, 1))
    assert_allclose(flow_log_density(denoiser, rows, 0.1, n_steps=40, condition=conditions), exact)
