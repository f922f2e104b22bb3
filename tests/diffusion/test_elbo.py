import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.datasets import make_moons

from skgm.diffusion import NoiseSchedule
from skgm.diffusion._elbo import evidence_lower_bound, level_errors, step_variances
from skgm.diffusion._row_noise import normal_nodes, row_keys
from tests.diffusion.denoisers import GaussianDenoiser, MixtureDenoiser

COVARIANCE = np.array([[1.0, 0.8], [0.8, 1.5]])
MEAN = np.array([0.4, -0.2])


def chain_log_likelihood(denoiser, schedule, variances, rows):
    """The exact density of the chain with a linear denoiser: moments carried down the levels.

    x_{t-1} = A x_t + b + N(0, V): the posterior mean of the predicted data is linear in x_t.
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
        covariance = A @ covariance @ A.T + np.diag(np.broadcast_to(variances[t - 1], d))
    return stats.multivariate_normal(mean, covariance).logpdf(rows)


def of_bounds(bounds):
    means = bounds.mean(axis=1)
    return means.mean(), means.std(ddof=1) / np.sqrt(len(means))


@pytest.fixture(scope="module")
def normal_rows():
    return np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, size=400)


@pytest.mark.parametrize("n_steps", [1, 2, 10, 50])
@pytest.mark.parametrize("denoiser", ["exact", "wrong"])
def test_never_above_the_exact_likelihood_of_a_linear_chain(normal_rows, n_steps, denoiser):
    """Three standard errors: one test in 700 would fail by chance; the seeds are fixed."""
    covariance = COVARIANCE if denoiser == "exact" else [[2.0, 0.0], [0.0, 0.5]]
    denoiser = GaussianDenoiser(MEAN, covariance)
    schedule = NoiseSchedule.cosine(n_steps)
    errors = level_errors(denoiser, normal_rows, schedule, np.random.default_rng(1))
    variances = step_variances(schedule, errors, "analytic")
    truth = chain_log_likelihood(denoiser, schedule, variances, normal_rows).mean()
    bounds = evidence_lower_bound(denoiser, normal_rows, schedule, errors, n_replicates=8)
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


def test_estimate_agrees_with_plain_simulation():
    """The definition, term by term with normal log-densities, on one row."""
    rng, schedule = np.random.default_rng(4), NoiseSchedule.cosine(4)
    denoiser = MixtureDenoiser([[-1.0, 0.0], [1.0, 0.3]], 0.3)
    row, errors = np.array([0.6, 0.1]), np.array([0.1, 0.3, 0.6, 0.9])
    variances = step_variances(schedule, errors, "analytic")
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
        spread = np.sqrt((1 - alpha) * (1 - bar[t - 1]) / (1 - bar[t]))
        of_model = stats.norm(a * x_t + b * data, np.sqrt(variances[t - 1]))
        if t == 1:
            total += of_model.logpdf(row).sum(axis=1)
            continue
        posterior = stats.norm(a * x_t + b * row, spread)
        above = posterior.rvs((n, 2), random_state=rng)
        total += (of_model.logpdf(above) - posterior.logpdf(above)).sum(axis=1)
    ours = evidence_lower_bound(denoiser, row[None], schedule, errors, n_noise=256, n_replicates=8)
    error = np.hypot(total.std() / np.sqrt(n), ours.std(ddof=1) / np.sqrt(8))
    assert abs(ours.mean() - total.mean()) < 4 * error
    assert error < 0.02


def test_close_to_the_true_density_of_moons():
    """Fifty levels; 0.05 nats is what the discrete chain may cost, three errors what noise may."""
    centres = make_moons(60, random_state=0)[0]
    denoiser = MixtureDenoiser((centres - centres.mean(axis=0)) / centres.std(axis=0), 0.15)
    rng = np.random.default_rng(5)
    rows, others = denoiser.draw(400, rng), denoiser.draw(1500, rng)
    angles = 2 * np.arctan(np.exp(np.linspace(np.log(np.tan(0.05 / 2)), 0, 50)))
    schedule = NoiseSchedule.from_angles(angles)
    errors = level_errors(denoiser, others, schedule, rng, n_noise=2)
    bound, error = of_bounds(evidence_lower_bound(denoiser, rows, schedule, errors))
    gap = denoiser.log_density(rows).mean() - bound
    assert -3 * error < gap < 0.05 + 3 * error
    assert error < 0.02


def test_value_of_a_row_does_not_depend_on_its_batch(normal_rows):
    denoiser, schedule = GaussianDenoiser(MEAN, COVARIANCE), NoiseSchedule.cosine(6)
    rows = normal_rows[:20]
    together = evidence_lower_bound(denoiser, rows, schedule, np.full(6, 0.5), seed=3)
    alone = [
        evidence_lower_bound(denoiser, row[None], schedule, np.full(6, 0.5), seed=3) for row in rows
    ]
    assert_allclose(together, np.hstack(alone), rtol=1e-11)
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
    whole = level_errors(denoiser, rows, schedule, rng)
    half = level_errors(denoiser, rows, schedule, rng, sample_weight=weight)
    for errors, n in ((whole, 8000), (half, 4000)):
        for t, phi in enumerate(schedule.angles):
            precision = np.linalg.inv(COVARIANCE) + np.eye(2) / np.tan(phi) ** 2
            truth = np.diag(np.linalg.inv(precision))
            assert_allclose(errors[t], truth, rtol=4 * np.sqrt(2 / n))


def test_errors_are_never_zero():
    schedule = NoiseSchedule.from_angles([0.1, 1.0])
    perfect = GaussianDenoiser(np.zeros(1), np.zeros((1, 1)))
    errors = level_errors(perfect, np.zeros((5, 1)), schedule, np.random.default_rng(0))
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
