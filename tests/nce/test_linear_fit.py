"""The convex fit: against statsmodels, under restrictions, with weights, ill-scaled."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm._numerics.qmc import net_sizes, sobol_uniforms
from skgm.nce._contrast import LinearContrast, Rows, maximize
from skgm.nce._covariance import covariance, meat_parts


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(0.5, 1.2, size=(400, 2)), rng.standard_t(5, size=(900, 2))

    def statistics(x):
        return np.column_stack([x, x**2, x[:, 0] * x[:, 1]])

    log_q = [stats.t(5).logpdf(x).sum(axis=1) for x in (X, Y)]
    return statistics(X), statistics(Y), *log_q, 900 / 400


def contrast_of(T_data, T_noise, log_q_data, log_q_noise, nu, weight=None):
    return LinearContrast(Rows(log_q_data, log_q_noise, np.log(nu), weight), T_data, T_noise)


def fit_linear(*problem, **options):
    contrast = contrast_of(*problem)
    return maximize(contrast, np.zeros(problem[0].shape[1] + 1), **options)


def statsmodels_fit(problem, weight=None):
    import statsmodels.api as sm

    T_data, T_noise, q_data, q_noise, nu = problem
    exog = sm.add_constant(np.vstack([T_data, T_noise]), prepend=False)
    endog = np.repeat([1.0, 0.0], [len(T_data), len(T_noise)])
    offset = -np.log(nu) - np.concatenate([q_data, q_noise])
    w = np.ones(len(endog))
    if weight is not None:
        w[: len(T_data)] = weight
    model = sm.GLM(endog, exog, sm.families.Binomial(), offset=offset, freq_weights=w)
    return model.fit(tol=1e-14, maxiter=100)


def test_estimate_and_errors_agree_with_statsmodels(problem):
    fit = fit_linear(*problem)
    other = statsmodels_fit(problem)
    assert fit.converged
    assert fit.n_iter <= 12
    assert_allclose(fit.theta, other.params, rtol=1e-8, atol=1e-8)
    rows = Rows(*problem[2:4], np.log(problem[4]))
    contrast = LinearContrast(rows, *problem[:2])
    errors = np.sqrt(np.diag(covariance(contrast, fit.theta, kind="observed").matrix))
    assert_allclose(errors[:-1], other.bse[:-1], rtol=1e-6)
    assert_allclose(errors[-1] ** 2, other.bse[-1] ** 2 - 1 / 400 - 1 / 900, rtol=1e-5)


def test_weights_agree_with_statsmodels_and_with_repetition(problem):
    weight = np.random.default_rng(1).integers(0, 4, size=400).astype(float)
    T_data, T_noise, q_data, q_noise, _ = problem
    nu = 900 / weight.sum()
    weighted = (T_data, T_noise, q_data, q_noise, nu)
    fit = fit_linear(*weighted, weight)
    assert_allclose(fit.theta, statsmodels_fit(weighted, weight).params, rtol=1e-8, atol=1e-8)
    times = weight.astype(int)
    repeated = fit_linear(
        np.repeat(T_data, times, 0), T_noise, np.repeat(q_data, times), q_noise, nu
    )
    assert_allclose(fit.theta, repeated.theta, rtol=1e-9, atol=1e-9)
    many = [
        np.sqrt(
            np.diag(
                covariance(
                    LinearContrast(Rows(q, q_noise, np.log(nu), w), T, T_noise),
                    fit.theta,
                    kind="robust",
                ).matrix
            )
        )
        for T, q, w in (
            (T_data, q_data, weight),
            (np.repeat(T_data, times, 0), np.repeat(q_data, times), None),
        )
    ]
    assert_allclose(*many, rtol=1e-9)


def small_contrast(weight=None, scramble=None):
    rng = np.random.default_rng(7)
    X, Y = rng.normal(size=(9, 1)), rng.normal(0.2, 1.3, size=(16, 1))
    log_q = [stats.norm(0.2, 1.3).logpdf(x[:, 0]) for x in (X, Y)]
    n = 9 if weight is None else weight.sum()
    rows = Rows(*log_q, float(np.log(16 / n)), weight, scramble)
    return LinearContrast(rows, np.column_stack([X, X**2]), np.column_stack([Y, Y**2]))


def test_scatters_have_the_divisors_of_samples():
    """numpy.cov with n - 1, of the data and of the noise; of few rows, where it shows."""
    theta = np.array([0.1, -0.3, -0.9])
    contrast = small_contrast()
    data, noise = contrast.pulls(theta)
    of_data, of_noise, df = meat_parts(contrast, theta)
    assert_allclose(of_data, np.cov(data.T), rtol=1e-12)
    assert_allclose(of_noise, 16 / 9 * np.cov(noise.T), rtol=1e-12)
    assert df == 15
    weight = np.array([2.0, 1, 1, 3, 1, 1, 1, 2, 1])
    contrast = small_contrast(weight)
    data, _ = contrast.pulls(theta)
    repeated = np.repeat(data, weight.astype(int), axis=0)
    assert_allclose(meat_parts(contrast, theta)[0], np.cov(repeated.T), rtol=1e-12)
    contrast = small_contrast(scramble=np.repeat(np.arange(4), 4))
    _, noise = contrast.pulls(theta)
    sums = noise.reshape(4, 4, 3).sum(axis=1)
    _, of_noise, df = meat_parts(contrast, theta)
    assert_allclose(of_noise, 4 / 9 * np.cov(sums.T), rtol=1e-12)
    assert df == 3


def test_restricted_maximum_is_that_of_the_smaller_model(problem):
    T_data, T_noise, q_data, q_noise, nu = problem
    R = np.eye(6)[[1, 4]]
    held = fit_linear(*problem, restriction=(R, np.array([0.3, 0.0])))
    shift = [0.3 * T[:, 1] for T in (T_data, T_noise)]
    free = [0, 2, 3]
    small = fit_linear(T_data[:, free], T_noise[:, free], q_data - shift[0], q_noise - shift[1], nu)
    assert_allclose(held.theta[[0, 2, 3, 5]], small.theta, rtol=1e-7, atol=1e-8)
    assert_allclose(R @ held.theta, [0.3, 0.0], atol=1e-12)
    assert held.objective < fit_linear(*problem).objective


def test_units_do_not_matter(problem):
    units = np.array([1e-6, 1e6, 1.0, 1e3, 1e-3])
    scaled = (problem[0] * units, problem[1] * units, *problem[2:])
    assert_allclose(fit_linear(*scaled).coef * units, fit_linear(*problem).coef, rtol=1e-7)


def test_a_repeated_statistic_gets_the_shortest_step(problem):
    twice = [np.column_stack([T, T[:, 0]]) for T in problem[:2]]
    fit = fit_linear(*twice, *problem[2:])
    plain = fit_linear(*problem)
    assert_allclose(fit.coef[0] + fit.coef[5], plain.coef[0], rtol=1e-6)
    contrast = LinearContrast(Rows(*problem[2:4], np.log(problem[4])), *twice)
    with pytest.raises(ValueError, match="singular"):
        covariance(contrast, fit.theta, kind="model")


def test_ridge_counts_per_row(problem):
    contrast = LinearContrast(Rows(*problem[2:4], np.log(problem[4])), *problem[:2])
    fit = maximize(contrast, np.zeros(6), alpha=0.1)
    gradient, _ = contrast.derivatives(fit.theta)
    assert_allclose(gradient[:-1], 0.1 * fit.coef, atol=1e-9)
    assert_allclose(gradient[-1], 0, atol=1e-9)  # c is free


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("m", [30, 200])
def test_overlap_is_one_where_noise_is_like_the_data_and_else_a_share_of_that(m, weighted):
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 4, size=50).astype(float) if weighted else np.ones(50)
    n = weight.sum()
    log_p, log_p_noise = rng.normal(size=50), rng.normal(size=m)
    tables = log_p[:, None], log_p_noise[:, None]  # one statistic, the log-density itself
    like = contrast_of(*tables, log_p, log_p_noise, m / n, weight if weighted else None)
    assert like.overlap(np.array([1.0, 0.0])) == pytest.approx(1.0, rel=1e-12)
    theta = np.array([1.7, 0.4])
    odds = [n / m * np.exp(0.7 * value + 0.4) for value in (log_p, log_p_noise)]
    spread = [o / (1 + o) ** 2 for o in odds]
    share = (weight @ spread[0] + spread[1].sum()) / (n * m / (n + m))
    assert like.overlap(theta) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("wanted", [3, 64, 500, 512, 513, 10_000])
def test_nets_are_powers_of_two(wanted):
    n_scrambles, size = net_sizes(wanted)
    assert size & (size - 1) == 0
    assert 8 <= n_scrambles <= 16
    assert wanted <= n_scrambles * size < max(wanted + size, 9)


def test_sobol_uniforms_are_inside_balanced_and_seeded():
    u, scramble = sobol_uniforms(1000, 3, np.random.default_rng(0))
    again, _ = sobol_uniforms(1000, 3, np.random.default_rng(0))
    assert np.array_equal(u, again)
    assert u.min() > 0
    assert u.max() < 1
    size = 64
    for r in range(scramble[-1] + 1):
        net = u[scramble == r]
        assert len(net) == size
        # one point per cell of each axis: what independent draws have with probability zero
        assert np.array_equal(np.sort((net * size).astype(int), axis=0)[:, 0], np.arange(size))
    means = np.array([u[scramble == r].mean(axis=0) for r in range(scramble[-1] + 1)])
    assert means.std() < 0.2 * np.sqrt(1 / 12 / size)
