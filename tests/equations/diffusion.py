"""Diffusion: the chain and its posterior, the quotient of Gaussians, the bound, the flow."""

import numpy as np
from numpy.testing import assert_allclose
from scipy import integrate, stats
from sklearn.neighbors import KernelDensity

from skgm.diffusion import (
    NoiseSchedule,
    convert_prediction,
    forward_marginal,
    forward_step,
    gaussian_quotient,
    posterior_mean,
    posterior_variance,
)
from skgm.diffusion._elbo import evidence_lower_bound, step_variances
from skgm.diffusion._empirical import EmpiricalDenoiser
from skgm.diffusion._flow import flow_log_density
from skgm.diffusion._samplers import flow_angles, sample_ancestral, sample_ddim, sample_flow
from tests.equations import equation, mistake

SCHEDULE = NoiseSchedule.linear(20)
T, X_0, X_T = 8, 0.7, -1.1  # a level, a row of data, and the row at that level
ALPHA, BAR, ABOVE = (SCHEDULE.alpha[T - 1], SCHEDULE.alpha_bar[T - 1], SCHEDULE.alpha_bar[T - 2])
GRID = np.linspace(-12, 12, 60_001)
POINTS = np.array([[-1.0], [0.1], [0.4], [2.0]])  # a small data set, for denoisers


def moments(log_density):
    """Mean and variance of an unnormalized log-density on the grid."""
    mass = np.exp(log_density - log_density.max())
    mean = GRID @ mass / mass.sum()
    return mean, (GRID - mean) ** 2 @ mass / mass.sum()


def posterior_on_grid():
    """Bayes: q(x_{t-1} | x_0) times q(x_t | x_{t-1}), both as functions of x_{t-1}."""
    prior = stats.norm.logpdf(GRID, np.sqrt(ABOVE) * X_0, np.sqrt(1 - ABOVE))
    return moments(prior + stats.norm.logpdf(X_T, np.sqrt(ALPHA) * GRID, np.sqrt(1 - ALPHA)))


def library_mean():
    return float(posterior_mean([[X_T]], [[X_0]], T, SCHEDULE)[0, 0])


def noisy_density(x, bar):
    """Density of the four points after noise, at an array of places."""
    return stats.norm.pdf(
        np.asarray(x)[..., None], np.sqrt(bar) * POINTS[:, 0], np.sqrt(1 - bar)
    ).mean(axis=-1)


@equation("ddpm-forward")
def ddpm_forward():
    """One step keeps the variance of standard normal rows; moments of 200,000 draws, 4 errors."""
    mean, variance = forward_step([[X_0]], T, SCHEDULE)
    assert_allclose(mean, np.sqrt(1 - SCHEDULE.beta[T - 1]) * X_0, rtol=1e-12)
    assert_allclose(variance, SCHEDULE.beta[T - 1], rtol=1e-12)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200_000, 1))
    mean, variance = forward_step(x, T, SCHEDULE)
    after = mean + np.sqrt(variance) * rng.standard_normal(x.shape)
    assert_allclose(after.var(), 1, atol=4 * np.sqrt(2 / 200_000))


@equation("ddpm-marginal")
def ddpm_marginal():
    """The steps composed one by one, by quadrature over the row in between."""
    density = stats.norm.pdf(GRID, np.sqrt(ABOVE) * X_0, np.sqrt(1 - ABOVE))
    for x_t in (-1.0, 0.3, 2.0):
        through = stats.norm.pdf(x_t, np.sqrt(ALPHA) * GRID, np.sqrt(1 - ALPHA))
        mean, variance = forward_marginal([[X_0]], T, SCHEDULE)
        closed = stats.norm.pdf(x_t, mean[0, 0], np.sqrt(variance))
        assert_allclose(integrate.simpson(through * density, x=GRID), closed, rtol=1e-9)


@equation("ddpm-posterior-mean")
def ddpm_posterior_mean():
    assert_allclose(library_mean(), posterior_on_grid()[0], rtol=1e-9)


@equation("ddpm-posterior-variance")
def ddpm_posterior_variance():
    assert_allclose(posterior_variance(T, SCHEDULE), posterior_on_grid()[1], rtol=1e-9)
    assert posterior_variance(1, SCHEDULE) == 0


@equation("ddpm-bayes")
def ddpm_bayes():
    """Pairs (x_{t-1}, x_t) simulated from x_0: the regression of the one on the other, 4 errors."""
    rng = np.random.default_rng(1)
    mean, variance = forward_marginal(np.full((400_000, 1), X_0), T - 1, SCHEDULE)
    above = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
    mean, variance = forward_step(above, T, SCHEDULE)
    below = mean + np.sqrt(variance) * rng.standard_normal(mean.shape)
    residual = above - posterior_mean(below, np.full_like(below, X_0), T, SCHEDULE)
    spread = np.sqrt(posterior_variance(T, SCHEDULE))
    assert_allclose(residual.mean(), 0, atol=4 * spread / np.sqrt(400_000))
    assert_allclose(residual.var(), spread**2, rtol=4 * np.sqrt(2 / 400_000))
    assert abs(np.corrcoef(residual[:, 0], below[:, 0])[0, 1]) < 4 / np.sqrt(400_000)


def quotient_on_grid():
    """N(0, 1) N(1, 2) / N(3, 5), variances (1, 2, 5)."""
    terms = [stats.norm.logpdf(GRID, m, np.sqrt(s)) for m, s in ((0, 1), (1, 2), (3, 5))]
    return moments(terms[0] + terms[1] - terms[2])


@equation("gaussian-quotient")
def check_gaussian_quotient():
    mean, variance, log_scale = gaussian_quotient([(0, 1), (1, 2)], (3, 5))
    assert_allclose((mean, variance), quotient_on_grid(), rtol=1e-9)
    assert_allclose(variance, 0.769, atol=5e-4)
    x = 1.234  # the scale: both sides at one point
    left = stats.norm.logpdf(x, 0, 1) + stats.norm.logpdf(x, 1, 2**0.5)
    left -= stats.norm.logpdf(x, 3, 5**0.5)
    assert_allclose(log_scale + stats.norm.logpdf(x, mean, np.sqrt(variance)), left, rtol=1e-10)


@equation("ddpm-parameterizations")
def ddpm_parameterizations():
    """Posterior means of noise, data and velocity by quadrature; the score by differences."""
    bar, x_t = 0.6, 0.35
    a, s = np.sqrt(bar), np.sqrt(1 - bar)
    share = stats.norm.pdf(x_t, a * POINTS[:, 0], s)
    data = share @ POINTS[:, 0] / share.sum()
    noise = share @ ((x_t - a * POINTS[:, 0]) / s) / share.sum()
    h = 1e-5
    ends = np.log(noisy_density(np.array([x_t - h, x_t + h]), bar))
    known = {"x0": data, "eps": noise, "v": a * noise - s * data}
    known["score"] = (ends[1] - ends[0]) / (2 * h)
    for source, value in known.items():
        for target, expected in known.items():
            got = convert_prediction([[value]], [[x_t]], bar, source=source, target=target)
            assert_allclose(got, [[expected]], rtol=1e-7)


@equation("ddpm-elbo")
def ddpm_elbo():
    """Two levels, one column: the chain's density by quadrature; the bound, too, and below it.

    A step's variance is the posterior's plus what the variance of the data given x adds, by sums
    over the points, kept within 1/20 and 20 of the errors.
    """
    schedule, denoiser = NoiseSchedule.from_angles([0.5, 1.2]), EmpiricalDenoiser(POINTS)
    errors, row = np.array([0.2, 0.6]), 0.25
    beta_tilde, analytic = (step_variances(schedule, errors, k) for k in ("beta_tilde", "analytic"))

    def variance(x, t):
        phi, bounds = schedule.angles[t - 1], errors[t - 1] * np.array([0.05, 20.0])
        share = stats.norm.pdf(x, np.cos(phi) * POINTS, np.sin(phi))  # points by places
        share /= share.sum(axis=0)
        of_data = (share * (POINTS - share.T @ POINTS[:, 0]) ** 2).sum(axis=0)
        weight = (analytic - beta_tilde)[t - 1] / errors[t - 1]
        return beta_tilde[t - 1] + weight * np.clip(of_data, *bounds)

    def step(x, t):
        """Mean of x_{t-1}: the posterior mean, in place of the data their prediction."""
        phi = schedule.angles[t - 1]
        data = np.cos(phi) * x + np.sin(phi) * denoiser.velocity(x[:, None], phi)[:, 0]
        return posterior_mean(x[:, None], data[:, None], t, schedule)[:, 0]

    grid = np.linspace(-7, 7, 701)
    width = grid[1] - grid[0]
    one, two = variance(grid, 1), variance(grid, 2)
    down = stats.norm.pdf(grid, step(grid, 2)[:, None], np.sqrt(two)[:, None])  # x_2, then x_1
    first = stats.norm.pdf(row, step(grid, 1), np.sqrt(one))
    likelihood = np.log(stats.norm.pdf(grid) @ down @ first * width**2)

    def q(t):
        mean, spread = forward_marginal([[row]], t, schedule)
        return stats.norm(mean[0, 0], np.sqrt(spread))

    of_first = q(1).pdf(grid) @ stats.norm.logpdf(row, step(grid, 1), np.sqrt(one)) * width
    prior = q(2).pdf(grid) @ (q(2).logpdf(grid) - stats.norm.logpdf(grid)) * width
    exact = posterior_mean(grid[:, None], np.full((701, 1), row), 2, schedule)[:, 0]
    s2 = posterior_variance(2, schedule)
    divergences = 0.5 * (np.log(two / s2) + (s2 + (exact - step(grid, 2)) ** 2) / two - 1)
    bound = of_first - prior - q(2).pdf(grid) @ divergences * width
    ours = evidence_lower_bound(
        denoiser, np.array([[row]]), schedule, errors, n_noise=1 << 16, n_replicates=8
    )[:, 0]
    error = ours.std(ddof=1) / np.sqrt(8)
    assert error < 1e-3
    assert_allclose(ours.mean(), bound, atol=4 * error + 1e-6)
    assert bound < likelihood


@equation("ddpm-ddim")
def ddpm_ddim():
    """From true pairs, every eta leaves the right marginal: the points, noisier or less so."""
    rng = np.random.default_rng(2)
    denoiser = EmpiricalDenoiser(np.array([[X_0]]))  # knows the data: its predictions are exact
    schedule = NoiseSchedule([ABOVE, BAR])
    x_t = np.sqrt(BAR) * X_0 + np.sqrt(1 - BAR) * rng.standard_normal((100_000, 1))
    for eta in (0.0, 0.5, 1.0):
        path = sample_ddim(denoiser, x_t, schedule, rng, eta=eta, every=True)
        mean, variance = forward_marginal([[X_0]], 1, schedule)
        assert_allclose(path[1].mean(), mean[0, 0], atol=4 * np.sqrt(variance / 100_000))
        assert_allclose(path[1].var(), variance, rtol=4 * np.sqrt(2 / 100_000))
        assert_allclose(path[2], X_0, atol=1e-9)
    steps = [sample_ddim(denoiser, x_t, schedule, np.random.default_rng(i)) for i in (0, 1)]
    assert_allclose(steps[0], steps[1], rtol=0)  # deterministic: the generator is not touched


@equation("ddpm-probability-flow")
def ddpm_probability_flow():
    """Its log-density is the kernel density; its end has the marginal law (Kolmogorov-Smirnov)."""
    denoiser, phi, width = EmpiricalDenoiser(POINTS), np.arctan(0.3), 0.3
    x = np.linspace(-2, 3, 50)[:, None]
    truth = KernelDensity(bandwidth=width).fit(POINTS).score_samples(x)
    assert_allclose(flow_log_density(denoiser, x, phi, n_steps=80), truth, atol=1e-6)
    start = np.random.default_rng(3).standard_normal((2000, 1))
    rows = sample_flow(denoiser, start, flow_angles(phi, 60), method="rk4")[-1]

    def distribution(z):
        return stats.norm.cdf(np.asarray(z)[..., None], POINTS[:, 0], width).mean(axis=-1)

    assert stats.kstest(rows[:, 0], distribution).pvalue > 1e-3


@mistake("ddpm-posterior-variance-inverted")
def ddpm_posterior_variance_inverted():
    """The printed fraction upside down."""
    wrong = (1 - BAR) / ((1 - ALPHA) * (1 - ABOVE))
    return posterior_variance(T, SCHEDULE), wrong, posterior_on_grid()[1]


@mistake("gaussian-quotient-mean-added")
def gaussian_quotient_mean_added():
    """The third mean weighted with a plus."""
    mean, variance, _ = gaussian_quotient([(0, 1), (1, 2)], (3, 5))
    return mean, variance * (0 / 1 + 1 / 2 + 3 / 5), quotient_on_grid()[0]


@mistake("gaussian-quotient-product-variance")
def gaussian_quotient_product_variance():
    """s1 s2 / s3, which is right for the variances of the diffusion and for few others."""
    return gaussian_quotient([(0, 1), (1, 2)], (3, 5))[1], 1 * 2 / 5, quotient_on_grid()[1]


@mistake("ddpm-posterior-mean-interpolates")
def ddpm_posterior_mean_interpolates():
    """The sum of the coefficients taken to be one: shown is the mean at x_t = x_0 = 1."""
    prior = stats.norm.logpdf(GRID, np.sqrt(ABOVE), np.sqrt(1 - ABOVE))
    truth = moments(prior + stats.norm.logpdf(1, np.sqrt(ALPHA) * GRID, np.sqrt(1 - ALPHA)))[0]
    return posterior_mean([[1.0]], [[1.0]], T, SCHEDULE)[0, 0], 1.0, truth


@mistake("ddpm-posterior-is-not-the-flow")
def ddpm_posterior_is_not_the_flow():
    """Variance of x_{t-1} given x_t: that of the chain's step, zero for the deterministic flow.

    One data point, so that predictions are exact; the truth by Bayes' rule on the grid.
    """
    denoiser, schedule = EmpiricalDenoiser(np.array([[X_0]])), NoiseSchedule([ABOVE, BAR])
    start, rng = np.full((4, 1), X_T), np.random.default_rng(0)
    flow = sample_flow(denoiser, start, schedule.angles[::-1])[-1]
    variances = step_variances(schedule, None, "beta_tilde")
    chain = sample_ancestral(denoiser, start, schedule, rng, variances, every=True)[1]
    assert np.ptp(chain) > 0  # the chain moves equal rows apart, the flow does not
    return variances[1], np.ptp(flow), posterior_on_grid()[1]
