"""Score matching: the two losses, what they share, the Gaussian in closed form."""

import numpy as np
from numpy.testing import assert_allclose
from scipy import integrate, stats

from skgm import ScoreMatchingGaussian
from skgm.score_matching._bounds import WEIGHTS
from skgm.score_matching._gaussian.density import gaussian_implicit_loss
from skgm.score_matching._gaussian.sparse import solve_path
from skgm.score_matching._kernel.fit import KernelFunction
from skgm.score_matching._kernel.masses import Pool, correct
from skgm.score_matching._losses import (
    denoising_rows,
    explicit_rows,
    generalized_rows,
    implicit_rows,
    sliced_rows,
)
from tests.equations import equation, mistake

MU, SIGMA = 0.7, 1.3  # the model, N(MU, SIGMA^2); the data are a mixture of two normals
SHARES, CENTERS, SPREADS = np.array([0.6, 0.4]), np.array([-1.0, 2.0]), np.array([0.5, 0.8])
MEAN = SHARES @ CENTERS
VARIANCE = SHARES @ (SPREADS**2 + CENTERS**2) - MEAN**2
GRID = np.linspace(-10, 12, 4001)


def data_density(x):
    return stats.norm.pdf(np.asarray(x)[..., None], CENTERS, SPREADS) @ SHARES


def slope(function, at, step=1e-4):
    """Richardson-extrapolated central difference: error of order step^4."""
    d1 = (function(at + step) - function(at - step)) / (2 * step)
    d2 = (function(at + 2 * step) - function(at - 2 * step)) / (4 * step)
    return (4 * d1 - d2) / 3


def data_score(x):
    return slope(lambda t: np.log(data_density(t)), x)


def model_score(x, mu=MU, sigma=SIGMA):
    return slope(lambda t: stats.norm.logpdf(t, mu, sigma), x)


def expectation(function):
    """Under the data, by adaptive quadrature."""
    integrand = lambda x: function(x) * data_density(x)  # noqa: E731
    return integrate.quad(integrand, -10, 12, epsabs=1e-11, epsrel=1e-11, limit=200)[0]


def explicit_by_quadrature(mu=MU, sigma=SIGMA):
    return expectation(lambda x: 0.5 * (model_score(x, mu, sigma) - data_score(x)) ** 2)


def constant_by_quadrature():
    return expectation(lambda x: 0.5 * data_score(x) ** 2)


# The library's losses take averages over rows: the rows of a grid, weighted by the data density.
WEIGHT = data_density(GRID)


def average(values):
    return np.average(values, weights=WEIGHT)


def score_on_grid(mu=MU, sigma=SIGMA):
    return -(GRID - mu)[:, None] / sigma**2


def implicit_on_grid(mu=MU, sigma=SIGMA):
    return average(implicit_rows(score_on_grid(mu, sigma), -1 / sigma**2))


def explicit_on_grid(mu=MU, sigma=SIGMA):
    return average(explicit_rows(score_on_grid(mu, sigma), data_score(GRID)[:, None]))


@equation("sm-explicit")
def sm_explicit():
    assert_allclose(explicit_on_grid(), explicit_by_quadrature(), rtol=1e-7)


@equation("sm-implicit")
def sm_implicit():
    divergence = slope(model_score, 0.3, step=1e-2)
    truth = expectation(lambda x: 0.5 * model_score(x) ** 2) + divergence
    assert_allclose(implicit_on_grid(), truth, rtol=1e-6)


@equation("sm-equivalence")
def sm_equivalence():
    """The difference does not depend on the model; also for a fitted density in three columns."""
    for mu, sigma in ((MU, SIGMA), (-3.0, 0.4), (5.0, 7.0)):
        difference = explicit_by_quadrature(mu, sigma) - implicit_on_grid(mu, sigma)
        assert_allclose(difference, constant_by_quadrature(), rtol=1e-6)
    for table in ([[0.0], [1.0], [5.0]], [[-3.0], [-2.5]]):
        density, rows = ScoreMatchingGaussian().fit(table), GRID[:, None]
        explicit = density.loss(
            rows, "explicit", score_data=data_score(GRID)[:, None], sample_weight=WEIGHT
        )
        implicit = density.loss(rows, sample_weight=WEIGHT)
        assert_allclose(explicit - implicit, constant_by_quadrature(), rtol=1e-6)


@equation("sm-data-score-mean-zero")
def sm_data_score_mean_zero():
    """By quadrature; it fails on a half-line, where the density does not vanish at the edge."""
    assert_allclose(expectation(data_score), 0, atol=1e-8)
    X = np.random.default_rng(0).normal([1.0, 2.0, 3.0], size=(50, 3))
    psi = ScoreMatchingGaussian().fit(X).score_function(X)
    assert_allclose(psi.mean(axis=0), 0, atol=1e-13)
    # zero on average, not everywhere: E[x psi'] = -I, by parts as well
    assert_allclose(X.T @ psi / len(X), -np.eye(3), atol=1e-12)
    on_half_line = integrate.quad(lambda x: slope(stats.expon.logpdf, x) * np.exp(-x), 0.01, 50)[0]
    assert_allclose(on_half_line, -np.exp(-0.01), rtol=1e-6)


@equation("sm-mean-gradient")
def sm_mean_gradient():
    truth = (MU - MEAN) / SIGMA**4

    def in_closed_form(mu):
        second_moment = np.array([[VARIANCE + (MEAN - mu) ** 2]])
        return gaussian_implicit_loss(np.array([[1 / SIGMA**2]]), second_moment)

    for loss in (explicit_by_quadrature, explicit_on_grid, implicit_on_grid, in_closed_form):
        assert_allclose(slope(loss, MU, step=1e-2), truth, rtol=1e-6)
        assert_allclose(slope(loss, MEAN, step=1e-2), 0, atol=1e-7)


def three_columns():
    rng = np.random.default_rng(3)
    return rng.standard_t(9, size=(40, 3)) @ rng.standard_normal((3, 3)) + [0.0, 1.0, 2.0]


@equation("sm-gaussian")
def sm_gaussian():
    X = three_columns()
    S = np.cov(X, rowvar=False, bias=True)
    K = np.linalg.inv(S) + 0.3 * np.eye(3)
    log_p = stats.multivariate_normal(X.mean(axis=0), np.linalg.inv(K)).logpdf
    steps = 1e-3 * np.eye(3)
    forward, back = (np.stack([log_p(X + s * h) for h in steps], axis=1) for s in (1, -1))
    psi = (forward - back) / 2e-3  # exact for a quadratic, up to rounding
    laplacian = (forward + back - 2 * log_p(X)[:, None]) / 1e-6
    by_rows = np.mean(0.5 * (psi**2).sum(axis=1) + laplacian.sum(axis=1))
    assert_allclose(gaussian_implicit_loss(K, S), by_rows, rtol=1e-7)
    best = ScoreMatchingGaussian().fit(X)
    assert_allclose(best.precision_, np.linalg.inv(S), rtol=1e-10)
    for i in range(3):  # a minimum along every symmetric direction
        for j in range(3):
            D = np.zeros((3, 3))
            D[i, j] = D[j, i] = 1e-3
            for sign in (-1, 1):
                assert gaussian_implicit_loss(best.precision_ + sign * D, S) > best.loss_


@equation("sm-covariance")
def sm_covariance():
    """Bread and meat from differences of the per-row loss, which the library never forms."""
    X = three_columns()
    density = ScoreMatchingGaussian().fit(X)
    lower = np.tril_indices(3)
    theta = np.concatenate([density.location_, density.covariance_[lower]])

    def row_losses(theta):
        S = np.zeros((3, 3))
        S[lower] = theta[3:]
        K = np.linalg.inv(S + np.tril(S, -1).T)
        psi = -(X - theta[:3]) @ K
        return 0.5 * (psi**2).sum(axis=1) - np.trace(K)

    def gradient(theta, step=1e-4):
        return np.stack(
            [slope(lambda t, h=h: row_losses(theta + t * h), 0.0, step) for h in E], axis=1
        )

    E = np.eye(9)
    g = gradient(theta)
    bread = np.stack(
        [slope(lambda t, h=h: gradient(theta + t * h).mean(axis=0), 0.0, 1e-3) for h in E]
    )
    inverse = np.linalg.inv(bread)
    errors = np.sqrt(np.diag(inverse @ (g.T @ g / len(X)) @ inverse.T) / len(X))
    robust = density.standard_errors("robust", X=X)
    assert_allclose(robust["location"], errors[:3], rtol=1e-5)
    assert_allclose(robust["covariance"][lower], errors[3:], rtol=1e-5)
    curvature_alone = np.sqrt(np.diag(inverse) / len(X))
    assert np.abs(curvature_alone / errors - 1).max() > 0.1


@mistake("sm-implicit-without-trace")
def sm_implicit_without_trace():
    """Half the squared score alone, which the flattest model would minimize."""
    wrong = average(implicit_rows(score_on_grid(), 0.0))
    return implicit_on_grid(), wrong, explicit_by_quadrature() - constant_by_quadrature()


@mistake("sm-implicit-called-explicit")
def sm_implicit_called_explicit():
    """The implicit loss under the name of the explicit one, or the other way round."""
    return explicit_on_grid(), implicit_on_grid(), explicit_by_quadrature()


@mistake("sm-gaussian-score-sign")
def sm_gaussian_score_sign():
    """(x - mu) / sigma^2 without its minus points away from the mean."""
    at = np.array([-1.0, 0.2, 3.0])
    density = ScoreMatchingGaussian().fit([[MU - SIGMA], [MU + SIGMA]])
    right = density.score_function(at[:, None])[:, 0]
    return right, (at - MU) / SIGMA**2, slope(lambda x: stats.norm.logpdf(x, MU, SIGMA), at)


@mistake("sm-half-in-one-loss-only")
def sm_half_in_one_loss_only():
    """||psi||^2 + div psi beside half the squared distance: two models are compared differently."""

    def doubled(mu, sigma):
        return average(implicit_rows(np.sqrt(2) * score_on_grid(mu, sigma), -1 / sigma**2))

    one, other = (MU, SIGMA), (0.0, 2.0)
    right = implicit_on_grid(*one) - implicit_on_grid(*other)
    wrong = doubled(*one) - doubled(*other)
    return right, wrong, explicit_by_quadrature(*one) - explicit_by_quadrature(*other)


@mistake("sm-constant-sign")
def sm_constant_sign():
    """The constant is added to the implicit loss, not subtracted from it."""
    constant = constant_by_quadrature()
    implicit = implicit_on_grid()
    return implicit + constant, implicit - constant, explicit_by_quadrature()


@mistake("sm-mean-gradient-power")
def sm_mean_gradient_power():
    """(mu - E x) / sigma^2 has the right root and the wrong size."""
    difference = MU - MEAN
    truth = slope(explicit_by_quadrature, MU, step=1e-2)
    return difference / SIGMA**4, difference / SIGMA**2, truth


@equation("sm-denoising")
def sm_denoising():
    """Noise by Gauss-Hermite quadrature; the density of the noised data is a mixture again.

    The loss is the explicit one against the *noised* data's score, plus a constant: so it ranks
    models as that does. The data are the mixture, the model N(mu, sigma^2).
    """
    scale = 0.6
    nodes, mass = np.polynomial.hermite_e.hermegauss(40)
    mass = mass / mass.sum()
    spreads = np.sqrt(SPREADS**2 + scale**2)

    def noised_density(x):
        return stats.norm.pdf(np.asarray(x)[..., None], CENTERS, spreads) @ SHARES

    def noised_score(x):
        return slope(lambda t: np.log(noised_density(t)), x)

    def library(mu, sigma):
        rows = np.repeat(GRID, len(nodes))[:, None]
        noise = np.tile(nodes, len(GRID))[:, None]
        psi = -(rows + scale * noise - mu) / sigma**2
        weight = np.repeat(WEIGHT, len(nodes)) * np.tile(mass, len(GRID))
        return np.average(denoising_rows(psi, noise, scale), weights=weight)

    def truth(mu, sigma):
        gap = lambda x: (model_score(x, mu, sigma) - noised_score(x)) ** 2  # noqa: E731
        integrand = lambda x: 0.5 * gap(x) * noised_density(x)  # noqa: E731
        return integrate.quad(integrand, -12, 14, epsabs=1e-11, limit=200)[0]

    models = [(MU, SIGMA), (-1.0, 0.8), (0.0, 3.0)]
    constant = [library(*m) - truth(*m) for m in models]
    assert_allclose(constant, constant[0], rtol=1e-6)


@equation("sm-sliced")
def sm_sliced():
    """The average over all sign vectors, or over normal ones, is the implicit loss."""
    rng = np.random.default_rng(0)
    A, x = rng.standard_normal((3, 3)), rng.standard_normal(3)
    psi = np.sin(A @ x)
    jacobian = np.stack([slope(lambda t, h=h: np.sin(A @ (x + t * h)), 0.0) for h in np.eye(3)]).T
    truth = 0.5 * psi @ psi + np.trace(jacobian)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    nodes, mass = np.polynomial.hermite_e.hermegauss(3)  # exact for squares
    normal = np.array(np.meshgrid(nodes, nodes, nodes)).reshape(3, -1).T
    shares = np.prod(np.array(np.meshgrid(mass, mass, mass)), axis=0).ravel()
    for directions, weight in ((signs, None), (normal, shares)):
        for variance_reduced in (True, False):
            rows = sliced_rows(
                np.tile(psi, (len(directions), 1)),
                directions @ jacobian.T,
                directions,
                variance_reduced=variance_reduced,
            )
            assert_allclose(np.average(rows, weights=weight), truth, rtol=1e-9)


@equation("sm-generalized")
def sm_generalized():
    """Against the weighted explicit loss by quadrature, for an exponential density on x > 0.

    They differ by a constant only because h vanishes at 0; with h = 1 they do not.
    """
    rate = 1.7
    points, mass = np.polynomial.legendre.leggauss(400)
    x = (points + 1) * 10.0  # 0 to 20
    weight = mass * stats.expon.pdf(x, scale=1 / rate)
    psi_data = slope(lambda t: stats.expon.logpdf(t, scale=1 / rate), x[x > 0.01])
    assert_allclose(psi_data, -rate, rtol=1e-6)

    def gap(function, mu, sigma):
        h, h_slope = function(x)
        psi, own = -(x - mu) / sigma**2, np.full_like(x, -1 / sigma**2)
        rows = generalized_rows(psi[:, None], own[:, None], h[:, None], h_slope[:, None])
        explicit = 0.5 * h * (psi + rate) ** 2
        return np.average(rows - explicit, weights=weight)

    models = [(0.5, 1.0), (-1.0, 2.0), (2.0, 0.7)]
    for name, cap in (("minlog", 30.0), ("power", 2.0), ("min", 30.0)):  # no kink below 20
        constant = [gap(lambda t: WEIGHTS[name](t, cap), *m) for m in models]  # noqa: B023
        assert_allclose(constant, constant[0], rtol=1e-9)
    flat = [gap(lambda t: (np.ones_like(t), np.zeros_like(t)), *m) for m in models]
    assert np.ptp(flat) > 0.1


@equation("sm-gaussian-sparse")
def sm_gaussian_sparse():
    """A minimum along random symmetric directions, and of the rows' own loss plus the penalty."""
    X = three_columns() / three_columns().std(axis=0)
    S, alpha = np.cov(X, rowvar=False, bias=True), 0.1
    (point,) = solve_path(S, np.array([alpha]), tol=1e-12)
    best = point.precision.toarray()

    def penalized(K):
        psi = -(X - X.mean(axis=0)) @ K
        penalty = alpha * (np.abs(K).sum() - np.trace(np.abs(K)))
        return np.mean(0.5 * (psi**2).sum(axis=1)) - np.trace(K) + penalty

    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-3):
        for _ in range(50):
            D = rng.standard_normal((3, 3)) * size
            assert penalized(best + D + D.T) > penalized(best)
    assert not np.allclose(best, np.linalg.inv(S), rtol=0.01)


@equation("sm-masses")
def sm_masses():
    """The likelihood on a grid falls in every direction that was corrected, and not in others."""
    rng = np.random.default_rng(0)
    Z = np.concatenate([rng.normal(-0.6, 0.2, 160), rng.normal(2.4, 0.2, 40)])[:, None]
    function = KernelFunction(Z[::10], np.zeros(20), 0.8)
    grid = np.linspace(-8, 8, 2**13)[:, None]
    base = np.exp(-0.5 * grid[:, 0] ** 2) / np.sqrt(2 * np.pi) * (grid[1, 0] - grid[0, 0])
    pool = Pool(grid, np.log(base))
    start = rng.normal(size=20) * 0.3
    sums, gram = function.sums(Z, np.ones(200)), function.kernel(function.centers)
    few, all_of_them = (correct(function, sums, gram, start, pool, count) for count in (1, 3))
    direction = (few - start) / np.linalg.norm(few - start)

    def likelihood(coef):
        log_z = np.log(np.exp(function.kernel(grid) @ coef) @ base)
        return np.mean(function.kernel(Z) @ coef) - log_z

    shift = np.linalg.norm(few - start)
    along = [likelihood(start + t * shift * direction) for t in (0.8, 0.97, 1.03, 1.2)]
    assert max(along) < likelihood(few)
    assert likelihood(start) < likelihood(few) < likelihood(all_of_them)

    def gap(coef):  # of the mean of psi, in its standard deviations over the rows
        mass = base * np.exp(function.kernel(grid) @ coef)
        over_rows = function.kernel(Z) @ direction
        under_p = mass @ (function.kernel(grid) @ direction) / mass.sum()
        return abs(under_p - over_rows.mean()) / over_rows.std()

    assert gap(start) > 0.1
    assert gap(few) < 0.02
    assert gap(all_of_them) < 0.02
