import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.diffusion import NoiseSchedule
from skgm.diffusion._elbo import step_variances
from skgm.diffusion._empirical import EmpiricalDenoiser
from skgm.diffusion._flow import flow_log_density
from skgm.diffusion._samplers import (
    FLOW_METHODS,
    flow_angles,
    sample_ancestral,
    sample_ddim,
    sample_flow,
)
from tests.diffusion.denoisers import GaussianDenoiser, MixtureDenoiser
from tests.diffusion.test_elbo import chain_log_likelihood

MIXTURE = MixtureDenoiser([[-1.2, 0.0], [1.2, 0.4], [0.0, -1.0]], 0.3)
VARIANCES = np.array([0.4, 1.0, 2.0])


@pytest.fixture(scope="module")
def start():
    return np.random.default_rng(0).standard_normal((300, 2))


def error(start, method, n_steps, **options):
    angles = flow_angles(0.05, n_steps)
    reference = sample_flow(MIXTURE, start, flow_angles(0.05, 600), method="rk4")[-1]
    path = sample_flow(MIXTURE, start, angles, method=method, **options)[-1]
    return np.sqrt(np.mean((path - reference) ** 2))


@pytest.mark.parametrize(
    ("method", "order"), [("euler", 1), ("adams", 1), ("adams", 2), ("heun", 2), ("adams", 3)]
)
def test_order_of_the_solvers(start, method, order):
    """Twice the steps: the error falls by 2^order, to a third."""
    options = {"order": order} if method == "adams" else {}
    coarse, fine = (error(start, method, n, **options) for n in (40, 80))
    assert 2**order / 1.5 < coarse / fine < 2**order * 1.7


def test_default_solver_in_twenty_five_steps(start):
    assert error(start, "adams", 25) < 0.01
    assert error(start, "adams", 25) < 0.2 * error(start, "euler", 25)


def test_flow_of_a_normal_distribution_is_linear(start):
    """u = sqrt(c^2 v + s^2) / 1 times the start, coordinate by coordinate: the optimal map."""
    denoiser = GaussianDenoiser(np.zeros(3), np.diag(VARIANCES))
    u = np.random.default_rng(1).standard_normal((20, 3))
    path = sample_flow(denoiser, u, flow_angles(0.1, 400), method="rk4", every=True)
    expected = np.sqrt(VARIANCES + np.tan(0.1) ** 2) * u
    assert_allclose(path[-1], expected, rtol=1e-8)
    assert path.shape == (401, 20, 3)
    assert_allclose(path[0], u)


def test_samples_have_the_density_of_the_flow(start):
    """Change of variables: log N(start) minus the log-determinant of the map, by differences."""
    denoiser = EmpiricalDenoiser(MIXTURE.draw(30, np.random.default_rng(2)))
    angles = flow_angles(0.3, 150)

    def arrive(u):
        return sample_flow(denoiser, u, angles, method="rk4")[-1]

    u, h = start[:10], 1e-5
    columns = [(arrive(u + h * e) - arrive(u - h * e)) / (2 * h) for e in np.eye(2)]
    log_det = np.linalg.slogdet(np.stack(columns, axis=2))[1]
    expected = stats.norm.logpdf(u).sum(axis=1) - log_det
    ours = flow_log_density(denoiser, arrive(u), 0.3, n_steps=80)
    assert_allclose(ours, expected, atol=1e-5)


def test_ancestral_chain_of_a_normal_distribution():
    """Moments of 40,000 rows against the exact moments of the chain, at four standard errors."""
    denoiser = GaussianDenoiser(np.array([0.5, 0.0, -0.5]), np.diag(VARIANCES))
    schedule, rng = NoiseSchedule.cosine(6), np.random.default_rng(3)
    share = schedule.alpha_bar[:, None]
    errors = VARIANCES * (1 - share) / (share * VARIANCES + 1 - share)
    variances = step_variances(schedule, errors, "analytic")
    rows = sample_ancestral(denoiser, rng.standard_normal((40_000, 3)), schedule, rng, variances)[
        -1
    ]
    assert_allclose(rows.mean(axis=0), denoiser.mean, atol=4 * np.sqrt(2.0 / 40_000))
    assert_allclose(rows.var(axis=0), VARIANCES, rtol=4 * np.sqrt(2 / 40_000) + 1e-3)
    # the same chain, as the test of the bound carries it: its density is that of the rows
    exact = chain_log_likelihood(denoiser, schedule, variances, rows[:5])
    normal = stats.norm.logpdf(rows[:5], denoiser.mean, np.sqrt(VARIANCES)).sum(axis=1)
    assert_allclose(exact, normal, atol=2e-3)


def test_posterior_variance_alone_is_too_narrow():
    """With beta-tilde in few steps the spread is lost that the analytic variance keeps."""
    denoiser, schedule = GaussianDenoiser(np.zeros(3), np.diag(VARIANCES)), NoiseSchedule.cosine(6)
    rng = np.random.default_rng(4)
    variances = step_variances(schedule, None, "beta_tilde")
    rows = sample_ancestral(denoiser, rng.standard_normal((20_000, 3)), schedule, rng, variances)[
        -1
    ]
    assert np.all(rows.var(axis=0) < 0.95 * VARIANCES)


def test_ddim_with_eta_one_is_the_ancestral_chain(start):
    schedule = NoiseSchedule.linear(1000).respace(20)
    variances = step_variances(schedule, None, "beta_tilde")
    chain = sample_ancestral(MIXTURE, start, schedule, np.random.default_rng(5), variances)
    ddim = sample_ddim(MIXTURE, start, schedule, np.random.default_rng(5), eta=1.0)
    assert_allclose(ddim, chain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("eta", [0.3, 0.5, 1.0])
def test_fresh_noise_of_ddim_has_eta_squared_times_the_posterior_variance(eta):
    """The first step of equal rows; 20,000 rows know a variance to 1%, five of them allowed."""
    start = np.tile([0.4, -0.7], (20_000, 1))
    schedule = NoiseSchedule.linear(1000).respace(20)
    path = sample_ddim(MIXTURE, start, schedule, np.random.default_rng(6), eta=eta, every=True)
    noisy, less = schedule.alpha_bar_at(20), schedule.alpha_bar_at(19)
    posterior = (1 - less) / (1 - noisy) * (1 - noisy / less)
    assert_allclose(path[1].var(axis=0), eta**2 * posterior, rtol=0.05)


def test_deterministic_ddim_follows_the_flow(start):
    """First order: half the step, half the distance to the flow's end, where it predicts data."""
    distance = []
    flow = sample_flow(MIXTURE, start, flow_angles(1e-3, 400), method="rk4")[-1]
    for n in (50, 100):
        schedule = NoiseSchedule.from_angles(flow_angles(1e-3, n)[::-1])
        rows = sample_ddim(MIXTURE, start, schedule, np.random.default_rng(0))[-1]
        distance.append(np.sqrt(np.mean((rows - flow) ** 2)))
    assert 1.6 < distance[0] / distance[1] < 2.6
    again = sample_ddim(MIXTURE, start, schedule, np.random.default_rng(99))[-1]
    assert_allclose(again, rows, rtol=0)


def test_clipping_bounds_the_predicted_data(start):
    schedule, low, high = NoiseSchedule.cosine(10), np.full(2, -0.5), np.full(2, 0.5)
    rng = np.random.default_rng(0)
    variances = step_variances(schedule, None, "beta")
    chain = sample_ancestral(MIXTURE, start, schedule, rng, variances, clip=(low, high))[-1]
    ddim = sample_ddim(MIXTURE, start, schedule, rng, clip=(low, high))[-1]
    for rows in (chain, ddim):  # the last step returns the prediction itself
        assert np.all(np.abs(rows) <= 0.5 + 1e-12)
        assert np.any(np.abs(rows) > 0.49)


def test_trajectories_and_precision(start):
    schedule, rng = NoiseSchedule.cosine(7), np.random.default_rng(0)

    class Single:
        def velocity(self, u, phi, condition=None):
            assert u.dtype == np.float32
            assert condition is None or len(condition) == len(u)
            return MIXTURE.velocity(u, phi).astype(np.float32)

    u = start.astype(np.float32)
    variances = step_variances(schedule, np.full(7, 0.1), "analytic")
    paths = [
        sample_flow(Single(), u, flow_angles(0.1, 7), method=m, every=True) for m in FLOW_METHODS
    ]
    paths.append(sample_ddim(Single(), u, schedule, rng, eta=0.5, every=True, condition=start))
    paths.append(sample_ancestral(Single(), u, schedule, rng, variances, every=True))
    for path in paths:
        assert path.shape == (8, 300, 2)
        assert path.dtype == np.float32
        assert_allclose(path[0], u)


def test_start_is_not_overwritten(start):
    kept = start.copy()
    schedule, rng = NoiseSchedule.cosine(1), np.random.default_rng(0)
    for rows in (
        sample_flow(MIXTURE, start, flow_angles(0.1, 1)),
        sample_ddim(MIXTURE, start, schedule, rng),
        sample_ancestral(MIXTURE, start, schedule, rng, np.zeros(1)),
    ):
        assert rows.shape == (1, 300, 2)
        assert np.all(np.isfinite(rows))
    assert_allclose(start, kept, rtol=0)
