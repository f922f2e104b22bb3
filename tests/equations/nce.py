"""Noise-contrastive estimation: objective, derivatives, covariance, telescoping.

The independent route is the naive form p / (p + nu q) in double precision and adaptive quadrature;
the library is given a fine grid whose weights make its sums integrals.
"""

import numpy as np
from numpy.testing import assert_allclose
from scipy import integrate, stats

from skgm._numerics.importance import summarize_weights
from skgm.nce._contrast import (
    LinearContrast,
    Rows,
    maximize,
    nce_curvature,
    nce_gradient,
    nce_objective,
)
from skgm.nce._covariance import covariance, expected_data_part, model_covariance
from skgm.nce._parametric import telescope
from skgm.nce._statistics import polynomial_statistics
from tests.equations import equation, mistake

MU, SIGMA, NU = 0.7, 1.3, 3.0
LOW, HIGH, SIZE = -10.0, 12.0, 4000
N, M = SIZE / NU, SIZE  # rows that the grid stands for
GRID = LOW + (HIGH - LOW) * (np.arange(SIZE) + 0.5) / SIZE
Q = 1 / (HIGH - LOW)  # uniform noise: every grid point stands for one row of it
THETA = np.array([MU / SIGMA**2, -0.5 / SIGMA**2])
TRUTH = np.append(THETA, -0.5 * MU**2 / SIGMA**2 - np.log(SIGMA * np.sqrt(2 * np.pi)))
OFF = TRUTH + np.array([0.2, -0.05, 0.4])


def density(x):
    return stats.norm.pdf(x, MU, SIGMA)


def design(x):
    return np.stack([x, x**2, np.ones_like(x)], axis=-1)


def on_grid():
    weight = density(GRID) * (HIGH - LOW) / SIZE * N
    log_q = np.full(SIZE, np.log(Q))
    rows = Rows(log_q, log_q, np.log(NU), weight)
    table = design(GRID)[:, :2]
    return LinearContrast(rows, table, table)


def expectation(function, of=density):
    """Of scalars, vectors or matrices, by adaptive quadrature."""
    shape = np.shape(function(0.0))
    return integrate.quad_vec(
        lambda x: np.asarray(function(x)) * of(x), LOW, HIGH, epsabs=1e-11, epsrel=1e-11
    )[0].reshape(shape)


def uniform(x):
    return Q


def naive_objective(theta, nu=NU):
    """E_p log p/(p + nu q) + nu E_q log nu q/(p + nu q), with the model's p."""

    def share(x):
        p = np.exp(design(x) @ theta)
        return p / (p + nu * Q)

    of_data = expectation(lambda x: np.log(share(x)))
    return of_data + nu * expectation(lambda x: np.log(1 - share(x)), uniform)


def differences(function, theta, step=1e-3):
    """Fourth-order central differences."""

    def along(j):
        h = step * np.eye(len(theta))[j]
        near = function(theta + h) - function(theta - h)
        far = function(theta + 2 * h) - function(theta - 2 * h)
        return (8 * near - far) / (12 * step)

    return np.array([along(j) for j in range(len(theta))])


def library_objective(theta):
    return on_grid().objective(theta)


@equation("nce-objective")
def nce_objective_holds():
    """Against quadrature; its maximum is the density, and it falls on both sides of c."""
    for theta in (TRUTH, OFF):
        assert_allclose(library_objective(theta), naive_objective(theta), rtol=1e-8)
    found = maximize(on_grid(), np.zeros(3))
    assert_allclose(found.theta, TRUTH, rtol=1e-5)
    for far in (-30.0, 30.0):
        assert library_objective(TRUTH + np.array([0, 0, far])) < library_objective(TRUTH) - 5


@equation("nce-gradient")
def nce_gradient_holds():
    contrast = on_grid()
    gradient = sum(nce_gradient(*block, n=contrast.rows.n) for block in contrast.blocks(OFF))
    assert_allclose(gradient, differences(naive_objective, OFF), rtol=1e-6)


@equation("nce-hessian")
def nce_hessian_holds():
    """Against differences of the gradient; negative semi-definite."""
    contrast = on_grid()
    curvature = sum(nce_curvature(*block, n=contrast.rows.n) for block in contrast.blocks(OFF))
    by_differences = differences(lambda t: contrast.derivatives(t)[0], OFF)
    assert_allclose(-curvature, by_differences, rtol=1e-7, atol=1e-9)
    assert np.linalg.eigvalsh(curvature).min() > 0


def moments_by_quadrature(noise=uniform, nu=NU):
    """I = E_p[P g g'], E_p[P^2 g g'] and m = E_p[P g], P = nu q / (p + nu q)."""

    def away(x):
        return nu * noise(x) / (density(x) + nu * noise(x))

    def outer(x):
        return np.outer(design(x), design(x))

    information = expectation(lambda x: away(x) * outer(x))
    second = expectation(lambda x: away(x) ** 2 * outer(x))
    return information, second, expectation(lambda x: away(x) * design(x))


def asymptotic_covariance(noise=uniform, nu=NU):
    information, _, m = moments_by_quadrature(noise, nu)
    inverse = np.linalg.inv(information)
    return inverse - (1 + 1 / nu) * inverse @ np.outer(m, m) @ inverse


@equation("nce-covariance")
def nce_covariance_holds():
    """By quadrature: independent noise, model and sandwich; scrambled nets; the two limits."""
    contrast = on_grid()
    expected = asymptotic_covariance()
    found = covariance(contrast, TRUTH, kind="observed").matrix * N
    assert_allclose(found, expected, rtol=1e-6)
    halves = covariance(contrast, TRUTH, kind="model").matrix * N
    assert_allclose(halves, expected, rtol=2e-3)  # divisor m - 1
    robust = covariance(contrast, TRUTH, kind="robust").matrix * N
    assert_allclose(robust, expected, rtol=2e-3)  # divisors n - 1 and m - 1
    _, second, m = moments_by_quadrature()
    assert_allclose(expected_data_part(contrast, TRUTH), second - np.outer(m, m), rtol=1e-6)
    fisher = expectation(lambda x: np.outer(design(x), design(x)))[:2, :2]
    mean = expectation(design)[:2]
    fisher = fisher - np.outer(mean, mean)
    for nu, factor in ((1.0, 2.0), (4.0, 1.25)):  # noise like the data
        matched = asymptotic_covariance(density, nu)[:2, :2]
        assert_allclose(matched, factor * np.linalg.inv(fisher), rtol=1e-6)
    wide = asymptotic_covariance(uniform, 1e7)[:2, :2]  # endless noise: maximum likelihood
    assert_allclose(wide, np.linalg.inv(fisher), rtol=1e-4)


@equation("nce-normalizer")
def nce_normalizer_holds():
    """log Z, its error and the effective sample size, by quadrature under normal noise."""

    def moment(k):  # E_q[w^k] of w = unnormalized density over noise
        def integrand(x):
            weight = 3.0 * density(x) / stats.norm.pdf(x, 0.0, 2.0)
            return weight**k * stats.norm.pdf(x, 0.0, 2.0)

        return integrate.quad(integrand, -20, 20, epsabs=1e-12)[0]

    m = 400_000
    rows = stats.norm.ppf((np.arange(m) + 0.5) / m, 0.0, 2.0)  # evenly spread noise
    log_weights = np.log(3.0 * density(rows)) - stats.norm.logpdf(rows, 0.0, 2.0)
    found = summarize_weights(log_weights)
    assert_allclose(found.log_z, np.log(moment(1)), atol=1e-6)
    assert_allclose(moment(1), 3.0, rtol=1e-8)
    variance = moment(2) / moment(1) ** 2 - 1
    assert_allclose(found.se, np.sqrt(variance / m), rtol=1e-4)
    assert_allclose(found.ess, moment(1) ** 2 / moment(2), rtol=1e-4)


@equation("nce-telescoping")
def nce_telescoping_holds():
    """A fit across 128 nats: each log-ratio is linear, and their sum is that of the ends."""
    rng = np.random.default_rng(0)
    data, noise = rng.normal(16.0, size=(4000, 1)), rng.normal(size=(4000, 1))
    statistics = polynomial_statistics(data, None, 1, ["x"])
    found = telescope(data, noise, statistics)
    assert len(found.bridges) > 4
    x = np.linspace(-2, 20, 50)
    T = np.column_stack([statistics.transform(x[:, None]), np.ones(50)])
    assert_allclose(T @ found.theta, (T @ found.bridges.T).sum(axis=1), rtol=1e-9, atol=1e-9)
    to_x = statistics.reporting_map()
    error = np.sqrt((to_x @ found.covariance @ to_x.T)[0, 0])
    assert abs((to_x @ found.theta)[0] - 16.0) < 4 * error < 1.6


@mistake("nce-data-term-only")
def nce_data_term_only():
    """What raising c by 20 does to the objective: the data term alone gains."""
    raised = TRUTH + np.array([0, 0, 20.0])
    right = library_objective(raised) - library_objective(TRUTH)
    contrast = on_grid()

    def data_only(theta):
        logit, _ = contrast.logits(theta)
        return nce_objective(logit, np.full(1, -np.inf), contrast.rows.weight)

    wrong = data_only(raised) - data_only(TRUTH)
    return right, wrong, naive_objective(raised) - naive_objective(TRUTH)


@mistake("nce-log-nu-missing")
def nce_log_nu_missing():
    """Without log nu in the logit, c is too small by it."""
    contrast = on_grid()
    without = LinearContrast(
        contrast.rows._replace(log_nu=0.0), contrast.data[:, :2], contrast.noise[:, :2]
    )
    right, wrong = (maximize(c, np.zeros(3)).theta[-1] for c in (contrast, without))
    return right, wrong, np.log(density(0.0))


@mistake("nce-posterior-is-not-the-density")
def nce_posterior_is_not_the_density():
    """P(data | x) is h; the density is nu q h / (1 - h). Shown: at three points."""
    at = np.array([-1.0, 0.5, 3.0])
    logit = design(at) @ TRUTH - np.log(Q) - np.log(NU)
    h = 1 / (1 + np.exp(-logit))
    return NU * Q * h / (1 - h), h, density(at)


def variance_of_first(shift):
    """Asymptotic variance of the first coefficient, nu = 1, noise like the data but shifted."""

    def noise(x):
        return stats.norm.pdf(x, MU + shift, SIGMA)

    width = (HIGH - LOW) / SIZE
    of_data, of_noise = density(GRID) * width, noise(GRID) * width
    logit = np.log(density(GRID)) - np.log(noise(GRID))
    table = design(GRID)[:, [0, 2]]
    weighted = table * np.sqrt(of_noise)[:, None]
    curvature = nce_curvature(logit, logit, table, weighted, of_data)
    return model_covariance(curvature, 1.0, 1)[0, 0]


@mistake("nce-near-noise-hurts")
def nce_near_noise_hurts():
    """The variance under noise like the data is twice the MLE's; under noise 3 sd away, more."""
    return variance_of_first(0.0), variance_of_first(3 * SIGMA), 2 / SIGMA**2


@mistake("nce-intercept-variance")
def nce_intercept_variance():
    """Logistic regression's variance of c forgets that n and m were fixed."""
    contrast = on_grid()
    _, curvature = contrast.derivatives(TRUTH)
    right = N * covariance(contrast, TRUTH, kind="observed").matrix[-1, -1]
    wrong = np.linalg.inv(curvature)[-1, -1]
    return right, wrong, asymptotic_covariance()[-1, -1]
