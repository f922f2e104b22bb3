import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.diffusion import (
    NoiseSchedule,
    convert_prediction,
    gaussian_product,
    gaussian_quotient,
    posterior_mean,
    posterior_variance,
)
from skgm.diffusion._elbo import step_variances

X = np.linspace(-15, 15, 150_001)


def moments(log_density):
    """Mean, variance and log-integral of an unnormalized density on a grid."""
    top = log_density.max()
    mass = np.exp(log_density - top)
    total = mass.sum()
    mean = X @ mass / total
    return mean, (X - mean) ** 2 @ mass / total, np.log(total * (X[1] - X[0])) + top


@pytest.mark.parametrize("schedule", [NoiseSchedule.linear(30), NoiseSchedule.cosine(10)])
def test_posterior_by_brute_force(schedule):
    """q(x_{t-1}) times q(x_t | x_{t-1}) as functions of x_{t-1} on a grid."""
    x_0, x_t = 0.7, -1.1
    for t in range(2, schedule.n_timesteps + 1, 3):
        alpha, above = schedule.alpha[t - 1], schedule.alpha_bar[t - 2]
        log_joint = stats.norm.logpdf(X, np.sqrt(above) * x_0, np.sqrt(1 - above))
        log_joint += stats.norm.logpdf(x_t, np.sqrt(alpha) * X, np.sqrt(1 - alpha))
        mean, variance, _ = moments(log_joint)
        ours = posterior_mean(np.array([[x_t]]), np.array([[x_0]]), t, schedule)
        assert_allclose(ours, [[mean]], rtol=1e-8)
        assert_allclose(posterior_variance(t, schedule), variance, rtol=1e-8)


def test_first_step_is_certain():
    schedule = NoiseSchedule.linear(1000)
    assert posterior_variance(1, schedule) == 0
    x_t, x_0 = np.ones((2, 3)), np.arange(6.0).reshape(2, 3)
    assert_allclose(posterior_mean(x_t, x_0, 1, schedule), x_0, rtol=1e-12)


def test_known_variances_of_the_linear_schedule():
    """From beta-tilde by hand: 5.5e-5, 0.0100, 0.0200 (inverted: 1.8e4, 99.7, 50)."""
    values = posterior_variance([2, 500, 1000], NoiseSchedule.linear())
    assert_allclose(values, [5.453e-5, 0.010034, 0.019999], rtol=1e-3)


def test_strided_steps_use_their_own_alpha():
    full = NoiseSchedule.linear(1000)
    few = full.respace(10)
    x_t, x_0 = np.array([[0.3]]), np.array([[-0.4]])
    above, here = full.alpha_bar[399], full.alpha_bar[499]
    alpha = here / above
    log_joint = stats.norm.logpdf(X, np.sqrt(above) * -0.4, np.sqrt(1 - above))
    log_joint += stats.norm.logpdf(0.3, np.sqrt(alpha) * X, np.sqrt(1 - alpha))
    mean, variance, _ = moments(log_joint)
    assert_allclose(posterior_mean(x_t, x_0, 5, few), [[mean]], rtol=1e-8)
    assert_allclose(posterior_variance(5, few), variance, rtol=1e-8)


def test_levels_per_row():
    schedule = NoiseSchedule.linear(10)
    x_t, x_0 = np.arange(6.0).reshape(3, 2), np.ones((3, 2))
    together = posterior_mean(x_t, x_0, [1, 5, 10], schedule)
    for i, t in enumerate((1, 5, 10)):
        assert_allclose(together[i], posterior_mean(x_t[[i]], x_0[[i]], t, schedule)[0])
    assert posterior_variance([1, 5, 10], schedule).shape == (3,)


def test_quotient_on_a_grid():
    """Mean, variance and scale of N1 N2 / N3 against the function itself."""
    (m1, s1), (m2, s2), (m3, s3) = (0.0, 1.0), (1.0, 2.0), (1.5, 5.0)
    log_quotient = sum(
        sign * stats.norm.logpdf(X, m, np.sqrt(s))
        for sign, m, s in ((1, m1, s1), (1, m2, s2), (-1, m3, s3))
    )
    for ours, truth in zip(
        gaussian_quotient([(m1, s1), (m2, s2)], (m3, s3)), moments(log_quotient)
    ):
        assert_allclose(ours, truth, rtol=1e-7, atol=1e-9)


def test_product_on_a_grid_and_in_arrays():
    log_product = stats.norm.logpdf(X, 2, 0.5) + stats.norm.logpdf(X, -1, 3)
    ours = gaussian_product((np.array([2.0, 0.0]), 0.25), (np.array([-1.0, 0.0]), 9.0))
    assert_allclose([part[0] for part in ours[:1]], moments(log_product)[0], rtol=1e-8)
    assert_allclose(ours[2][0], moments(log_product)[2], rtol=1e-8)
    assert ours[0][1] == 0


def test_quotients_that_are_no_density():
    with pytest.raises(ValueError, match=r"precision .* <= 0, so it is proportional to no density"):
        gaussian_quotient((0.0, 2.0), (0.0, 1.0))
    with pytest.raises(ValueError, match="Variances must be positive"):
        gaussian_product((0.0, 0.0), (0.0, 1.0))


@pytest.mark.parametrize("source", ["eps", "x0", "v", "score"])
@pytest.mark.parametrize("target", ["eps", "x0", "v", "score"])
def test_conversions(source, target):
    rng = np.random.default_rng(0)
    x0, eps = rng.standard_normal((2, 4, 3))
    alpha_bar = np.array([0.9, 0.5, 0.1, 1e-6])
    a, s = np.sqrt(alpha_bar)[:, None], np.sqrt(1 - alpha_bar)[:, None]
    x_t = a * x0 + s * eps
    known = {"eps": eps, "x0": x0, "v": a * eps - s * x0, "score": -eps / s}
    got = convert_prediction(known[source], x_t, alpha_bar, source=source, target=target)
    assert_allclose(got, known[target], rtol=1e-9, atol=1e-9)


def test_velocity_needs_no_division():
    x0, eps = np.array([[2.0]]), np.array([[3.0]])
    for alpha_bar, x_t, v in ((0.0, eps, -x0), (1.0, x0, eps)):
        assert_allclose(convert_prediction(v, x_t, alpha_bar, source="v", target="x0"), x0)
        assert_allclose(convert_prediction(v, x_t, alpha_bar, source="v", target="eps"), eps)


@pytest.mark.parametrize(
    ("alpha_bar", "source", "target"),
    [(0.0, "eps", "x0"), (0.0, "score", "v"), (1.0, "x0", "eps"), (1.0, "v", "score")],
)
def test_levels_where_a_prediction_says_nothing(alpha_bar, source, target):
    with pytest.raises(ValueError, match="does not determine"):
        convert_prediction([[1.0]], [[1.0]], alpha_bar, source=source, target=target)


def test_unknown_kinds():
    with pytest.raises(ValueError, match="source must be one of eps, x0, v, score"):
        convert_prediction([[1.0]], [[1.0]], 0.5, source="epsilon", target="x0")
    with pytest.raises(ValueError, match="between 0 and 1"):
        convert_prediction([[1.0]], [[1.0]], 1.5, source="eps", target="x0")


def test_analytic_variance_is_that_of_the_marginal_step():
    """For N(0, v) data q(x_{t-1} | x_t) is normal: its variance from the 2 x 2 covariance."""
    schedule, v = NoiseSchedule.cosine(8), 0.3
    error = v * (1 - schedule.alpha_bar) / (schedule.alpha_bar * v + 1 - schedule.alpha_bar)
    ours = step_variances(schedule, error, "analytic")
    above = np.concatenate([[1.0], schedule.alpha_bar[:-1]])
    marginal_above, marginal = (a * v + 1 - a for a in (above, schedule.alpha_bar))
    covariance = np.sqrt(schedule.alpha) * marginal_above
    assert_allclose(ours, marginal_above - covariance**2 / marginal, rtol=1e-9)
    assert step_variances(schedule, None, "beta_tilde")[0] == 0
    assert step_variances(schedule, None, "beta")[0] == 0
    assert_allclose(step_variances(schedule, None, "beta")[1:], schedule.beta[1:], rtol=0)
