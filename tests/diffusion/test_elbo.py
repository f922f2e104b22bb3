import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.datasets import make_moons

from skgm._numerics.qmc import normal_nodes, row_keys
from skgm.diffusion import NoiseSchedule
from skgm.diffusion._elbo import evidence_lower_bound, step_variances
from skgm.diffusion._training import level_errors
from tests.diffusion.denoisers import GaussianDenoiser, MixtureDenoiser, SmoothMixtureDenoiser

COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.5]])
MEAN = np.array([0.4, -0.2])


def chain_log_likelihood(denoiser, schedule, variances, rows):
    """The exact density of the chain with a linear denoiser: moments carried down the levels.

    x_{t-1} = A x_t + b + N(0, V): the posterior mean of the predicted data is linear in x_t, and
    V one variance, d of them or a matrix at each level.
    """
    d = rows.shape[1]
    mean, covariance = np.zeros(d), np.eye(d)
    bar = np.concatenate([[1.0], schedule.alpha_bar])
    for t in range(schedule.n_timesteps, 0, -1):
        phi, alpha = schedule.angles[t - 1], bar[t] / bar[t - 1]
        of_noisy = np.sqrt(alpha) * (1 - bar[t - 1]) / (1 - bar[t])
        of_data = np.sqrt(bar[t - 1]) * (1 - alpha) / (1 - bar[t])
        F0 = denoiser.velocity(np.zeros((1, d)), phi)[0]
        F1 = denoiser.velocity(np.eye(d), phi) - F0
        A = of_noisy * np.eye(d) + of_data * (np.cos(phi) * np.eye(d) + np.sin(phi) * F1.T)
        mean = A @ mean + of_data * np.sin(phi) * F0
        V = variances[t - 1]
        V = V if np.ndim(V) == 2 else np.diag(np.broadcast_to(V, d))
        covariance = A @ covariance @ A.T + V
    return stats.multivariate_normal(mean, covariance).logpdf(rows)


def linear_step_covariances(schedule, errors, covariance):
    """Covariances of the steps for N(m, covariance) data, by its own posterior, (T, d, d).

    The eigenvalues of Cov[z | u] = (covariance^-1 + I / tan^2)^-1 are kept within 1/20 and 20 of
    the level's mean error; where cos < 0.1 the errors stand for it.
    """
    bar, steps = np.concatenate([[1.0], schedule.alpha_bar]), []
    d = len(covariance)
    for t, phi in enumerate(schedule.angles, start=1):
        alpha, mean = bar[t] / bar[t - 1], errors[t - 1].mean()
        of_data = np.sqrt(bar[t - 1]) * (1 - alpha) / (1 - bar[t])
        values, vectors = np.linalg.eigh(
            np.linalg.inv(np.linalg.inv(covariance) + np.eye(d) / np.tan(phi) ** 2)
        )
        values = np.clip(values, mean / 20, 20 * mean)
        known = np.diag(errors[t - 1]) if np.cos(phi) < 0.1 else vectors * values @ vectors.T
        spread = (1 - alpha) * (1 - bar[t - 1]) / (1 - bar[t])
        steps.append(spread * np.eye(d) + of_data**2 * known)
    return np.array(steps)


def of_bounds(bounds):
    means = bounds.mean(axis=1)
    return means.mean(), means.std(ddof=1) / np.sqrt(len(means))


class WithoutDerivatives:
    def __init__(self, denoiser):
        self.velocity = denoiser.velocity


@pytest.fixture(scope="module")
def normal_rows():
    return np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=400)


@pytest.mark.parametrize("n_steps", [1, 2, 10, 50])
@pytest.mark.parametrize("denoiser", ["exact", "wrong"])
@pytest.mark.parametrize("derivatives", [True, False])
def test_never_above_the_exact_likelihood_of_a_linear_chain(
    normal_rows, n_steps, denoiser, derivatives
):
    """Three standard errors: one test in 700 would fail by chance; the seeds are fixed."""
    covariance = COVARIANCE if denoiser == "exact" else [[2.0, 0.0], [0.0, 0.5]]
    denoiser = GaussianDenoiser(MEAN, covariance)
    schedule = NoiseSchedule.cosine(n_steps)
    errors = level_errors(denoiser, normal_rows, schedule.angles, np.random.default_rng(1))
    variances = {
        True: linear_step_covariances(schedule, errors, denoiser.covariance),
        False: step_variances(schedule, errors, "analytic"),
    }[derivatives]
    truth = chain_log_likelihood(denoiser, schedule, variances, normal_rows).mean()
    known = denoiser if derivatives else WithoutDerivatives(denoiser)
    bounds = evidence_lower_bound(known, normal_rows, schedule, errors, n_replicates=8)
    bound, standard_error = of_bounds(bounds)
    assert bound <= truth + 3 * standard_error
    assert standard_error < 0.05
    if n_steps == 50 and covariance is COVARIANCE:
        assert truth - bound < 0.05


def test_bound_is_the_likelihood_where_the_posterior_is_exact(normal_rows):
    """N(0, I) data and a denoiser of zeros: every step of the chain is the true one; no noise."""
    schedule = NoiseSchedule.from_angles(np.linspace(0.1, np.pi / 2, 10))
    denoiser = GaussianDenoiser(np.zeros(2), np.eye(2))
    errors = np.sin(schedule.angles) ** 2  # Var[z | u]
    rows = np.random.default_rng(3).standard_normal((2000, 2))
    bounds = evidence_lower_bound(denoiser, rows, schedule, errors)
    assert np.ptp(bounds, axis=0).max() < 1e-9
    exact = chain_log_likelihood(
        denoiser, schedule, step_variances(schedule, errors, "analytic"), rows
    )
    assert_allclose(exact, stats.norm.logpdf(rows).sum(axis=1), rtol=1e-9)
    assert bounds[0].mean() < exact.mean()


@pytest.mark.parametrize("derivatives", [True, False])
def test_estimate_agrees_with_plain_simulation(derivatives):
    """The definition, term by term with normal log-densities, on one row."""
    rng, schedule = np.random.default_rng(4), NoiseSchedule.cosine(4)
    denoiser = SmoothMixtureDenoiser([[-1.0, 0.0], [1.0, 0.3]], 0.3)
    row, errors = np.array([0.6, 0.1]), np.array([0.1, 0.3, 0.6, 0.9])
    bar, n = np.concatenate([[1.0], schedule.alpha_bar]), 40_000
    last = stats.norm(np.sqrt(bar[-1]) * row, np.sqrt(1 - bar[-1]))
    x_T = last.rvs((n, 2), random_state=rng)
    total = (stats.norm.logpdf(x_T) - last.logpdf(x_T)).sum(axis=1)
    for t in range(1, 5):
        phi, alpha = schedule.angles[t - 1], bar[t] / bar[t - 1]
        x_t = np.sqrt(bar[t]) * row + np.sqrt(1 - bar[t]) * rng.standard_normal((n, 2))
        data = np.cos(phi) * x_t + np.sin(phi) * denoiser.velocity(x_t, phi)
        a = np.sqrt(alpha) * (1 - bar[t - 1]) / (1 - bar[t])
        b = np.sqrt(bar[t - 1]) * (1 - alpha) / (1 - bar[t])
        variance = (1 - alpha) * (1 - bar[t - 1]) / (1 - bar[t])
        of_rows = np.broadcast_to(errors[t - 1] * np.eye(2), (n, 2, 2))
        if derivatives and np.cos(phi) >= 0.1:
            of_rows = denoiser.posterior_covariance(x_t, phi)
            values = np.linalg.eigvalsh(of_rows)
            assert errors[t - 1] / 20 < values.min() <= values.max() < 20 * errors[t - 1]
        covariance = variance * np.eye(2) + b**2 * of_rows
        if t == 1:
            total += normal_log_density(row - a * x_t - b * data, covariance)
            continue
        noise = np.sqrt(variance) * rng.standard_normal((n, 2))
        total += normal_log_density(noise + b * (row - data), covariance)
        total -= stats.norm.logpdf(noise, scale=np.sqrt(variance)).sum(axis=1)
    known = denoiser if derivatives else WithoutDerivatives(denoiser)
    ours = evidence_lower_bound(known, row[None], schedule, errors, n_noise=256, n_replicates=8)
    error = np.hypot(total.std() / np.sqrt(n), ours.std(ddof=1) / np.sqrt(8))
    assert abs(ours.mean() - total.mean()) < 4 * error
    assert error < 0.02


def normal_log_density(x, covariance):
    """Log-density at each row of a normal distribution with mean zero of its own, (n,)."""
    squares = np.einsum("ni,nij,nj->n", x, np.linalg.inv(covariance), x)
    return -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])


@pytest.mark.slow
@pytest.mark.parametrize("derivatives", [True, False])
def test_close_to_the_true_density_of_moons(derivatives):
    """Fifty levels; 0.05 nats is what the discrete chain may cost, three errors what noise may.

    With covariances of their own for all rows it costs less than half.
    """
    centers = make_moons(60, random_state=0)[0]
    centers = (centers - centers.mean(axis=0)) / centers.std(axis=0)
    denoiser = (SmoothMixtureDenoiser if derivatives else MixtureDenoiser)(centers, 0.15)
    rng = np.random.default_rng(5)
    rows, others = denoiser.draw(100 if derivatives else 400, rng), denoiser.draw(1500, rng)
    angles = 2 * np.arctan(np.exp(np.linspace(np.log(np.tan(0.05 / 2)), 0, 50)))
    schedule = NoiseSchedule.from_angles(angles)
    errors = level_errors(denoiser, others, schedule.angles, rng, n_noise=2)
    bound, error = of_bounds(evidence_lower_bound(denoiser, rows, schedule, errors))
    gap = denoiser.log_density(rows).mean() - bound
    assert -3 * error < gap < (0.02 if derivatives else 0.05) + 3 * error
    assert error < 0.02


def test_many_columns_or_no_forward_derivative_leave_the_variances_of_the_levels():
    class Undifferentiable(GaussianDenoiser):
        def velocity_jvp(self, u, phi, w, condition=None):
            raise ValueError("an operation that torch cannot differentiate forwards")

    schedule, rng = NoiseSchedule.cosine(5), np.random.default_rng(8)
    for d, kind, same in ((10, GaussianDenoiser, False), (11, GaussianDenoiser, True)):
        A = rng.standard_normal((d, d))
        denoiser, rows = kind(np.zeros(d), A @ A.T / d), rng.standard_normal((4, d))
        ours = evidence_lower_bound(denoiser, rows, schedule, np.full(5, 0.4))
        plain = WithoutDerivatives(denoiser)
        other = evidence_lower_bound(plain, rows, schedule, np.full(5, 0.4))
        assert np.array_equal(ours, other) == same
    denoiser = Undifferentiable(MEAN, COVARIANCE)
    results = [
        evidence_lower_bound(known, rows[:, :2], schedule, np.full(5, 0.4))
        for known in (denoiser, WithoutDerivatives(denoiser))
    ]
    assert_allclose(*results, rtol=0)


def test_value_of_a_row_does_not_depend_on_its_batch(normal_rows, monkeypatch):
    denoiser, schedule = GaussianDenoiser(MEAN, COVARIANCE), NoiseSchedule.cosine(6)
    rows = normal_rows[:20]
    together = evidence_lower_bound(denoiser, rows, schedule, np.full(6, 0.5), seed=3)
    alone = [
        evidence_lower_bound(denoiser, row[None], schedule, np.full(6, 0.5), seed=3) for row in rows
    ]
    assert_allclose(together, np.hstack(alone), rtol=1e-11)
    monkeypatch.setattr("skgm.diffusion._elbo._BLOCK", 7)  # in blocks, one draw of noise at a time
    blocks = evidence_lower_bound(denoiser, rows, schedule, np.full(6, 0.5), seed=3)
    assert_allclose(blocks, together, rtol=1e-11)
    rounded = rows * (1 + 1e-15)
    again = evidence_lower_bound(denoiser, rounded, schedule, np.full(6, 0.5), seed=3)
    assert_allclose(again, together, rtol=1e-11)
    other = evidence_lower_bound(denoiser, rows, schedule, np.full(6, 0.5), seed=4)
    assert np.abs(other - together).max() > 1e-6


def test_level_errors_are_posterior_variances(normal_rows):
    """Of a normal distribution: the diagonal of (C^-1 + I / tan^2)^-1. 4 errors of 1600 draws."""
    schedule = NoiseSchedule.from_angles([0.3, 0.9, 1.4])
    denoiser = GaussianDenoiser(MEAN, COVARIANCE)
    rng = np.random.default_rng(6)
    rows = rng.multivariate_normal(MEAN, COVARIANCE, size=4000)
    weight = np.r_[np.ones(2000), np.zeros(2000)]
    whole = level_errors(denoiser, rows, schedule.angles, rng)
    half = level_errors(denoiser, rows, schedule.angles, rng, sample_weight=weight)
    for errors, n in ((whole, 8000), (half, 4000)):
        for t, phi in enumerate(schedule.angles):
            precision = np.linalg.inv(COVARIANCE) + np.eye(2) / np.tan(phi) ** 2
            truth = np.diag(np.linalg.inv(precision))
            assert_allclose(errors[t], truth, rtol=4 * np.sqrt(2 / n))


def test_errors_are_never_zero():
    schedule = NoiseSchedule.from_angles([0.1, 1.0])
    perfect = GaussianDenoiser(np.zeros(1), np.zeros((1, 1)))
    errors = level_errors(perfect, np.zeros((5, 1)), schedule.angles, np.random.default_rng(0))
    assert np.all(errors > 0)
    assert np.all(np.isfinite(evidence_lower_bound(perfect, np.zeros((1, 1)), schedule, errors)))


def test_noise_of_a_row():
    """Standard normal, mirrored, different between rows, streams and seeds."""
    keys = row_keys(np.arange(4000.0).reshape(2000, 2))
    nodes = normal_nodes(keys, 3, 8, 0)
    assert nodes.shape == (16, 2000, 3)
    assert_allclose(nodes[:8], -nodes[8:])
    tables = np.random.default_rng(0).standard_normal((40, 300, 3))
    levels = [
        stats.kstest(normal_nodes(row_keys(X), 3, 2, 7)[1].ravel(), "norm").pvalue for X in tables
    ]
    assert stats.kstest(levels, "uniform").pvalue > 1e-3
    correlations = np.corrcoef(np.hstack([nodes[0], normal_nodes(keys, 3, 8, 1)[0]]).T)
    assert np.abs(correlations - np.eye(6)).max() < 4 / np.sqrt(2000)
    assert len(np.unique(keys)) == 2000
    assert len(np.unique(np.r_[keys, row_keys(np.arange(4000.0).reshape(2000, 2), seed=1)])) == 4000
    assert row_keys(np.array([[0.0]])) == row_keys(np.array([[-1e-17]]))
    assert row_keys(np.array([[1.0, 2.0]])) != row_keys(np.array([[2.0, 1.0]]))


def chain_log_density(denoiser, schedule, errors, grid):
    """The log-density of the chain in one column, by quadrature: no noise and no divergences.

    The variance of the data given a noisy row is that of the mixture, in closed form.
    """
    above = np.concatenate([[1.0], schedule.alpha_bar])
    density = stats.norm.pdf(grid)
    for t in range(schedule.n_timesteps, 0, -1):
        a_t, a_s, phi = above[t], above[t - 1], schedule.angles[t - 1]
        data = np.cos(phi) * grid + np.sin(phi) * denoiser.velocity(grid[:, None], phi)[:, 0]
        of_data = np.sqrt(a_s) * (1 - a_t / a_s) / (1 - a_t)
        mean = np.sqrt(a_t / a_s) * (1 - a_s) / (1 - a_t) * grid + of_data * data
        uncertain = np.full(len(grid), errors[t - 1, 0])
        if np.cos(phi) >= 0.1:
            uncertain = denoiser.posterior_covariance(grid[:, None], phi)[:, 0, 0]
            uncertain = np.clip(uncertain, errors[t - 1, 0] / 20, errors[t - 1, 0] * 20)
        scale = np.sqrt((1 - a_t / a_s) * (1 - a_s) / (1 - a_t) + of_data**2 * uncertain)
        step = np.exp(-0.5 * ((grid[:, None] - mean) / scale) ** 2) / scale  # (x_{t-1}, x_t)
        density = step @ density * (grid[1] - grid[0]) / np.sqrt(2 * np.pi)
    return np.log(density)


@pytest.mark.parametrize("n_steps", [2, 5, 12])
def test_the_bound_is_one_of_the_chain(n_steps):
    """Of the chain, not of the flow: with few steps the chain has another density altogether."""
    centers = np.array([[-1.6], [0.0], [1.6]])
    denoiser = SmoothMixtureDenoiser(centers, 0.2)
    angles = np.linspace(np.sqrt(0.1), np.sqrt(np.pi / 2), n_steps) ** 2
    schedule = NoiseSchedule.from_angles(angles)
    rng = np.random.default_rng(0)
    errors = level_errors(denoiser, denoiser.draw(4000, rng), angles, rng)
    grid = np.linspace(-6, 6, 1501)
    exact = chain_log_density(denoiser, schedule, errors, grid)
    assert_allclose(np.exp(exact).sum() * (grid[1] - grid[0]), 1, atol=1e-4)
    rows = denoiser.draw(200, rng)
    bounds = evidence_lower_bound(denoiser, rows, schedule, errors, n_noise=32, n_replicates=8)
    gap = np.interp(rows[:, 0], grid, exact) - bounds.mean(axis=0)
    error = bounds.std(axis=0, ddof=1) / np.sqrt(8)
    assert np.all(gap > -6 * error - 1e-3)
    assert 0 < gap.mean() < 0.8
    flow = denoiser.log_density(rows)  # of the data, close to the flow's
    assert n_steps > 2 or np.mean(flow > bounds.mean(axis=0)) > 0.5
