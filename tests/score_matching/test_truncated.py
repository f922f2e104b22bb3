"""Gaussians cut to a box: published variances, root-n, coverage, normalizer, draws."""

import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats
from sklearn.exceptions import ConvergenceWarning

from skgm import ScoreMatchingGaussian, wald_test
from skgm._numerics.box_gaussian import BoxGaussian, log_box_probability
from skgm.score_matching import generalized_loss
from skgm.score_matching._bounds import WEIGHTS
from skgm.score_matching._gaussian import truncated_system
from skgm.score_matching._gaussian.truncated import (
    fit_truncated,
    solve_penalized,
    truncated_problem,
)
from skgm.score_matching._gaussian.truncated_system import (
    TruncatedProblem,
    TruncatedQuadratic,
    psi_and_bread,
)

PRECISION = np.eye(4) + 0.3 * (np.eye(4, k=1) + np.eye(4, k=-1))


def positive_rows(K, n, rng, location=0.0):
    """By rejection: normal rows, those with a negative entry thrown away."""
    kept = np.empty((0, len(K)))
    while len(kept) < n:
        rows = rng.multivariate_normal(np.full(len(K), location), np.linalg.inv(K), size=8 * n)
        kept = np.concatenate([kept, rows[(rows > 0).all(axis=1)]])
    return kept[:n]


@pytest.mark.parametrize(
    ("name", "cap", "for_mean", "for_variance"),
    [("minlog", 2.0, 2.795459, 2.379507), ("power", 2.0, 7.0, 14 / 3)],
)
def test_published_asymptotic_variances(name, cap, for_mean, for_variance):
    """|N(0, 1)|, each parameter with the other known (Yu, Drton & Shojaie, 2019).

    Gauss-Legendre quadrature on either side of the kink at log(1 + x) = 2, and up to 12.
    """
    nodes, mass = np.polynomial.legendre.leggauss(200)
    ends = ((0.0, np.expm1(2.0)), (np.expm1(2.0), 12.0))
    x = np.concatenate([(b - a) / 2 * nodes + (a + b) / 2 for a, b in ends])[:, None]
    share = np.concatenate([(b - a) / 2 * mass for a, b in ends]) * stats.halfnorm.pdf(x[:, 0])
    h, slope = WEIGHTS[name](x, cap)
    problem = TruncatedProblem(x, h, slope, share / share.sum())
    psi, bread = psi_and_bread(problem, np.ones((1, 1)), np.zeros(1))
    meat = psi.T @ (psi * problem.share[:, None])
    assert_allclose(problem.share @ psi, 0, atol=1e-10)
    # at K = 1, mu = 0: d mu = d eta, d sigma^2 = -d K
    assert_allclose(meat[1, 1] / bread[1, 1] ** 2, for_mean, rtol=2e-7)
    assert_allclose(meat[0, 0] / bread[0, 0] ** 2, for_variance, rtol=2e-7)


def test_the_estimate_minimizes_the_generalized_loss():
    """The public loss, from a callable and differences, minimized by a general optimizer."""
    X = positive_rows(PRECISION[:2, :2], 300, np.random.default_rng(0))
    X /= X.std(axis=0)
    fitted = ScoreMatchingGaussian(bounds="positive", tol=1e-8).fit(X)

    def loss(theta):
        K, eta = np.array([[theta[0], theta[1]], [theta[1], theta[2]]]), theta[3:]
        options = {"weight": "minlog", "weight_cap": 2.0}
        derivative = lambda Z: np.tile(-np.diag(K), (len(Z), 1))  # noqa: E731
        return float(generalized_loss(lambda Z: eta - Z @ K, X, derivative=derivative, **options))

    start = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    best = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-9}).x
    ours = [*fitted.precision_[np.triu_indices(2)], *fitted.natural_param_]
    assert_allclose(ours, best, rtol=1e-4, atol=1e-4)
    assert_allclose(fitted.loss_, loss(np.array(ours)), rtol=1e-9)


def test_errors_shrink_with_the_root_of_the_rows_and_the_naive_fit_stays_off():
    """Means over five seeds at two sizes, a factor of 32: the slope is -0.5 within 0.15."""
    worst = {1000: [], 32_000: []}
    for n, found in worst.items():
        for seed in range(5):
            X = positive_rows(PRECISION, n, np.random.default_rng(seed))
            fitted = ScoreMatchingGaussian(bounds="positive").fit(X)
            found.append(np.abs(fitted.precision_ - PRECISION).max())
    small, large = (np.mean(np.log(v)) for v in worst.values())
    assert abs((large - small) / np.log(32) + 0.5) < 0.15
    naive = ScoreMatchingGaussian().fit(X)
    assert np.abs(naive.precision_ - PRECISION).max() > 2.5


@pytest.mark.slow
def test_sandwich_intervals_cover():
    """400 tables of 2000 rows, 14 parameters: each within 4 binomial errors (0.011) of 95%."""
    hits = []
    for seed in range(400):
        X = positive_rows(PRECISION, 2000, np.random.default_rng(seed))
        intervals = ScoreMatchingGaussian(bounds="positive").fit(X).confidence_intervals(X=X)
        low, high = intervals.low, intervals.high
        inside = (low["precision"] <= PRECISION) & (high["precision"] >= PRECISION)
        eta = (low["natural_param"] <= 0) & (high["natural_param"] >= 0)
        hits.append([*inside[np.triu_indices(4)], *eta])
    coverage = np.mean(hits, axis=0)
    assert np.abs(coverage - 0.95).max() < 4 * 0.011
    assert abs(coverage.mean() - 0.95) < 0.01


def test_errors_are_those_of_numerical_derivatives():
    """Per-row loss differentiated twice by differences, in two columns."""
    X = positive_rows(PRECISION[:2, :2], 200, np.random.default_rng(0))
    fitted = ScoreMatchingGaussian(bounds="positive", tol=1e-9).fit(X)
    scale = X.std(axis=0)
    h, slope = WEIGHTS["minlog"](X / scale, 2.0)

    def rows(theta):
        K, eta = np.array([[theta[0], theta[1]], [theta[1], theta[2]]]), theta[3:]
        K, eta = K * np.outer(scale, scale), eta * scale
        psi = eta - X / scale @ K
        return (h * (psi**2 / 2 - np.diag(K)) + slope * psi).sum(axis=1)

    K, eta = fitted.precision_, fitted.natural_param_
    theta = np.array([K[0, 0], K[0, 1], K[1, 1], *eta])
    E = 1e-4 * np.eye(5)
    psi = np.stack([(rows(theta + e) - rows(theta - e)) / 2e-4 for e in E], axis=1)

    def mean(t):
        return rows(t).mean()

    bread = np.array(
        [
            [
                (mean(theta + a + b) - mean(theta + a - b) - mean(theta - a + b)
                 + mean(theta - a - b)) / 4e-8
                for b in E
            ]
            for a in E
        ]
    )  # fmt: skip
    inverse = np.linalg.inv(bread)
    truth = np.sqrt(np.diag(inverse @ (psi.T @ psi / 200) @ inverse) / 200)
    errors = fitted.standard_errors("robust", X=X)
    ours = [*errors["precision"][np.triu_indices(2)], *errors["natural_param"]]
    assert_allclose(ours, truth, rtol=1e-4)


@pytest.mark.parametrize("location", [0.0, -3.0, 1.5])
def test_normalizer_is_the_integral(location):
    K = np.array([[1.5, 0.4], [0.4, 1.0]])
    lower, upper = np.array([0.0, -1.0]), np.array([np.inf, 2.0])
    box = BoxGaussian(K, K @ np.full(2, location), lower, upper)

    def integrand(y, x):
        v = np.array([x, y])
        return np.exp(-0.5 * v @ K @ v + box.natural @ v)

    truth = integrate.dblquad(integrand, 0, 12, -1, 2, epsabs=0, epsrel=1e-9)[0]
    value, error = box.log_normalizer()
    assert abs(value - np.log(truth)) < max(6 * error, 1e-6)
    assert error < 1e-4


def test_box_probabilities_deep_in_the_tail():
    """Independent columns, whose probability is a product, at -40 standard deviations."""
    mean = np.full(3, -40.0)
    value, _ = log_box_probability(mean, np.eye(3), np.zeros(3), np.full(3, np.inf))
    assert_allclose(value, 3 * stats.norm.logsf(40.0), rtol=1e-12)
    exact, error = log_box_probability(mean[:1], np.eye(1), np.zeros(1), np.full(1, np.inf))
    assert (error, exact) == (0.0, pytest.approx(stats.norm.logsf(40.0), rel=1e-12))


def test_one_column_is_scipys_truncated_normal():
    X = np.abs(np.random.default_rng(0).normal(1, 1, size=(500, 1)))
    fitted = ScoreMatchingGaussian(bounds=(0.0, 4.0)).fit(X[X[:, 0] < 4])
    assert fitted.log_density_kind_ == "exact"
    loc, sd = fitted.location_[0], fitted.precision_[0, 0] ** -0.5
    law = stats.truncnorm(-loc / sd, (4 - loc) / sd, loc, sd)
    grid = np.linspace(0, 4, 9)[:, None]
    assert_allclose(fitted.score_samples(grid), law.logpdf(grid[:, 0]), rtol=1e-9)
    draws = fitted.sample(4000, random_state=0)[:, 0]
    assert stats.kstest(draws, law.cdf).pvalue > 1e-6


def test_draws_have_the_moments_of_rejection():
    """10,000 draws each way: means differ by at most 4.9 errors, sqrt(2 / 10000) spreads."""
    rng = np.random.default_rng(0)
    box = BoxGaussian(PRECISION, PRECISION @ np.full(4, 0.3), np.zeros(4), np.full(4, np.inf))
    ours, truth = box.draw(10_000, rng), positive_rows(PRECISION, 10_000, rng, 0.3)
    for power in (1, 2):
        gap = (ours**power).mean(axis=0) - (truth**power).mean(axis=0)
        assert (np.abs(gap) < 4.9 * (truth**power).std(axis=0) * np.sqrt(2e-4)).all()
    cross = (ours[:, 0] * ours[:, 1]).mean() - (truth[:, 0] * truth[:, 1]).mean()
    assert abs(cross) < 4.9 * (truth[:, 0] * truth[:, 1]).std() * np.sqrt(2e-4)


def test_conditional_draws_follow_the_conditional_law():
    """x1 given x0 is a truncated normal again."""
    K = np.array([[1.0, -0.6], [-0.6, 1.2]])
    box = BoxGaussian(K, np.array([0.5, -0.2]), np.zeros(2), np.full(2, np.inf))
    given = np.column_stack([np.full(4000, 1.7), np.full(4000, np.nan)])
    drawn = box.draw_given(given, np.random.default_rng(0))[:, 1]
    mean, sd = (-0.2 + 0.6 * 1.7) / 1.2, 1.2**-0.5
    assert stats.kstest(drawn, stats.truncnorm(-mean / sd, np.inf, mean, sd).cdf).pvalue > 1e-6


def test_penalty_and_graph():
    K = np.eye(10) + 0.4 * (np.eye(10, k=1) + np.eye(10, k=-1))
    box = BoxGaussian(K, np.zeros(10), np.zeros(10), np.full(10, np.inf))
    X = box.draw(3000, np.random.default_rng(0))
    sparse = ScoreMatchingGaussian(bounds="positive", penalty="l1", alpha=0.06).fit(X)
    assert sparse.kkt_residual_ <= 1e-6
    edge = (K != 0) & ~np.eye(10, dtype=bool)
    assert (sparse.graph_ & edge).sum() >= 14
    assert (sparse.graph_ & ~edge).sum() <= 10
    with pytest.raises(ValueError, match="penalized fit has no standard errors"):
        sparse.standard_errors("robust", X=X)
    known = ScoreMatchingGaussian(bounds="positive", graph=edge).fit(X)
    assert (known.precision_[~edge & ~np.eye(10, dtype=bool)] == 0).all()
    errors = known.standard_errors("robust", X=X)["precision"]
    assert (np.abs(known.precision_ - K)[edge] < 4.9 * errors[edge]).all()
    assert (errors[edge] > 0).all()


def penalized_objective(problem, K, eta, alpha):
    """Half h psi^2, minus h K_jj, plus h' psi, with psi = eta - K x, averaged over rows."""
    psi = np.stack([eta - K @ x for x in problem.X])
    rows = problem.h * psi**2 / 2 - problem.h * np.diag(K) + problem.slope * psi
    return problem.share @ rows.sum(axis=1) + alpha * np.abs(K - np.diag(np.diag(K))).sum()


@pytest.mark.parametrize(("n", "p", "centered"), [(60, 5, False), (60, 5, True), (400, 9, False)])
@pytest.mark.parametrize("alpha", [0.05, 0.005])
def test_penalized_estimates_are_optimal(n, p, centered, alpha):
    """Derivatives of the loss along every pair, by central differences, exact for a quadratic."""
    K = np.eye(p) + 0.4 * (np.eye(p, k=1) + np.eye(p, k=-1))
    X = positive_rows(K, n, np.random.default_rng(0))
    problem, _ = truncated_problem(
        X, None, np.zeros(p), np.full(p, np.inf), weight="minlog", cap=2.0, centered=centered
    )
    K, eta = solve_penalized(problem, alpha, tol=1e-8)
    assert_allclose(K, K.T, atol=0)
    assert np.count_nonzero(K) > p
    loss = lambda D, d: penalized_objective(problem, K + D, eta + d, 0.0)  # noqa: E731
    for i in range(p):
        d = np.eye(p)[i]
        if centered:
            assert eta[i] == 0
        else:
            assert abs(loss(0, d) - loss(0, -d)) / 2 < 1e-7
        for j in range(i, p):
            D = np.outer(d, np.eye(p)[j])
            D = 0.5 * (D + D.T)
            slope = (loss(D, 0) - loss(-D, 0)) / 2
            if i == j:
                assert abs(slope) < 1e-7
            elif K[i, j]:
                assert abs(slope + alpha * np.sign(K[i, j])) < 1e-7
            else:
                assert abs(slope) < alpha + 1e-7


def test_penalized_estimates_agree_with_a_general_optimizer():
    """K = P - N with P, N >= 0 off the diagonal, by a bounded quasi-Newton method."""
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    weight = np.random.default_rng(1).uniform(0.5, 2, size=100)
    problem, _ = truncated_problem(
        X, weight, np.zeros(4), np.full(4, np.inf), weight="min", cap=1.0, centered=False
    )
    upper = np.triu_indices(4, 1)

    def unpack(v):
        K = np.zeros((4, 4))
        K[upper] = v[:6] - v[6:12]
        return K + K.T + np.diag(v[12:16]), v[16:]

    def objective(v):
        return penalized_objective(problem, *unpack(v), 0.0) + 2 * 0.05 * v[:12].sum()

    start = np.concatenate([np.zeros(12), np.ones(4), np.zeros(4)])
    bounds = [(0, None)] * 12 + [(None, None)] * 8
    options = {"ftol": 1e-15, "gtol": 1e-7, "maxfun": 10**5}
    found = optimize.minimize(objective, start, method="L-BFGS-B", bounds=bounds, options=options)
    K, eta = solve_penalized(problem, 0.05)
    best, level = unpack(found.x)
    assert_allclose(K, best, atol=2e-3)
    assert_allclose(eta, level, atol=2e-3)
    assert penalized_objective(problem, K, eta, 0.05) <= found.fun + 1e-9


@pytest.mark.parametrize("extra", [0.0, 0.1])
def test_taking_out_the_level_leaves_the_same_loss(extra):
    X = positive_rows(PRECISION, 50, np.random.default_rng(0))
    problem, _ = truncated_problem(
        X, None, np.zeros(4), np.full(4, 2.0 + X.max()), weight="min", cap=1.0, centered=False
    )
    problem = replace(problem, extra=extra)
    quadratic = TruncatedQuadratic(problem, 0.1)
    V = np.random.default_rng(1).normal(size=(4, 4))
    V = V + V.T
    mean = (problem.h * (X / X.std(axis=0) @ V)).sum(axis=0) / problem.h.sum(axis=0)
    assert_allclose(quadratic.image(V), problem.hessian(V, mean)[0], rtol=1e-10)
    single = quadratic.image(V.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, quadratic.image(V), rtol=1e-4, atol=1e-5)
    units = [np.outer(e, f) + np.outer(f, e) for e in np.eye(4) for f in np.eye(4)]
    diagonal = [np.vdot(U, quadratic.image(U)) / np.vdot(U, U) for U in units]
    assert_allclose(quadratic.scale.ravel(), diagonal, rtol=1e-10)
    V = np.random.default_rng(2).normal(size=(200, 4, 4))
    for U in V + V.transpose(0, 2, 1):
        ratio = np.vdot(U, quadratic.image(U)) / np.vdot(U * quadratic.scale, U)
        assert ratio <= quadratic.largest_eigenvalue()


def test_penalized_fits_take_the_memory_of_a_few_tables():
    """At 120 columns the matrices of all columns would take 14 MB, a table of them 0.1 MB."""
    p = 120
    X = np.abs(np.random.default_rng(0).normal(size=(100, p)))
    problem, _ = truncated_problem(
        X, None, np.zeros(p), np.full(p, np.inf), weight="minlog", cap=2.0, centered=False
    )
    problem = replace(problem, extra=0.1)
    tracemalloc.start()
    K, _ = solve_penalized(problem, 0.02)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.count_nonzero(K) > p * p / 3
    assert peak < 4e6


def test_no_penalty_is_the_limit_of_a_small_one():
    X = positive_rows(PRECISION, 500, np.random.default_rng(0))
    problem, scale = truncated_problem(
        X, None, np.zeros(4), np.full(4, np.inf), weight="minlog", cap=2.0, centered=False
    )
    free, small = fit_truncated(problem, scale), fit_truncated(problem, scale, alpha=1e-9, tol=1e-9)
    assert_allclose(small.precision, free.precision, rtol=1e-4, atol=1e-5)


def test_units_and_weights():
    X = positive_rows(PRECISION, 300, np.random.default_rng(0))
    weight = np.random.default_rng(1).integers(0, 3, size=300)
    one = ScoreMatchingGaussian(bounds="positive", tol=1e-9).fit(X, sample_weight=weight)
    other = ScoreMatchingGaussian(bounds="positive", tol=1e-9).fit(np.repeat(X, weight, axis=0))
    assert_allclose(one.precision_, other.precision_, rtol=1e-6)
    scale = np.array([1e-6, 1.0, 1e3, 1e6])
    scaled = ScoreMatchingGaussian(bounds="positive", tol=1e-9).fit(X * scale)
    plain = ScoreMatchingGaussian(bounds="positive", tol=1e-9).fit(X)
    assert_allclose(scaled.precision_ * np.outer(scale, scale), plain.precision_, rtol=1e-5)


def test_rows_outside_the_bounds():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    fitted = ScoreMatchingGaussian(bounds="positive").fit(X)
    assert fitted.score_samples([[-1e-9, 1, 1, 1]]) == -np.inf
    bad = X.copy()
    bad[7, 2] = -0.5
    with pytest.raises(ValueError, match=r"Column 'x2' holds -0.5 at row 7, outside its bounds"):
        ScoreMatchingGaussian(bounds="positive").fit(bad)
    with pytest.raises(ValueError, match="outside its bounds"):
        fitted.sample(given=[[-1.0, np.nan, 1.0, 1.0]])


def test_there_is_no_gradient_outside_the_bounds():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    fitted = ScoreMatchingGaussian(bounds="positive").fit(X)
    assert np.isfinite(fitted.score_function(np.zeros((1, 4)))).all()
    with pytest.raises(ValueError, match=r"Column 'x1' holds -0.1 at row 1, outside its bounds"):
        fitted.score_function([[1.0] * 4, [1.0, -0.1, 1.0, 1.0]])


def test_bounds_may_be_one_array():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    ends = np.array([[0.0] * 4, [9.0] * 4])
    one = ScoreMatchingGaussian(bounds=ends).fit(X)
    other = ScoreMatchingGaussian(bounds=(0.0, 9.0)).fit(X)
    assert_allclose(one.precision_, other.precision_, rtol=1e-12)


def test_a_weight_function_in_the_units_of_the_table():
    """h(x) = min(x, 3) of every column, unscaled: the distances are x over its deviation.

    Column j's terms of the loss gain the square of its deviation in standardized columns.
    """
    X = positive_rows(PRECISION, 200, np.random.default_rng(0)) * [1.0, 2.0, 0.5, 1.0]
    sd, upper = X.std(axis=0), np.triu_indices(4)

    def weight(distance):
        x = distance * sd
        return np.minimum(x, 3) / sd**2, (x < 3) / sd

    fitted = ScoreMatchingGaussian(bounds="positive", weight=weight, tol=1e-10).fit(X)
    h, slope = np.minimum(X, 3), (X < 3).astype(float)
    G, g = np.zeros((14, 14)), np.zeros(14)  # by hand: the linear system in (K, eta)
    for j in range(4):
        derivative, second = np.zeros((200, 14)), np.zeros(14)
        for k, (a, b) in enumerate(zip(*upper)):
            if j in (a, b):
                derivative[:, k] = -X[:, b if j == a else a]
            second[k] = -float(a == b == j)
        derivative[:, 10 + j] = 1.0
        G += derivative.T @ (derivative * h[:, [j]]) / 200
        g -= h[:, j].mean() * second + derivative.T @ slope[:, j] / 200
    theta = np.linalg.solve(G, g)
    assert_allclose(fitted.precision_[upper], theta[:10], rtol=1e-7)
    assert_allclose(fitted.natural_param_, theta[10:], rtol=1e-7)


@pytest.mark.parametrize("returned", [lambda t: t, lambda t: (t, t, t), lambda t: None])
def test_a_weight_that_returns_no_pair_is_refused(returned):
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    with pytest.raises(ValueError, match="weight must return a pair, h and its derivative"):
        ScoreMatchingGaussian(bounds="positive", weight=returned).fit(X)


def test_a_weight_that_does_not_vanish_at_the_bound_is_refused():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    flat = ScoreMatchingGaussian(bounds="positive", weight=lambda t: (1 + 0 * t, 0 * t))
    with pytest.raises(ValueError, match=r"weight must return h\(0\) = 0"):
        flat.fit(X)
    flat.set_params(bounds=(-np.inf, np.inf)).fit(X)  # without a bound it is plain score matching
    assert_allclose(flat.covariance_, np.cov(X, rowvar=False, bias=True), rtol=1e-6)
    steep = ScoreMatchingGaussian(
        bounds="positive", weight=lambda t: (np.sqrt(t), 0.5 / np.sqrt(t))
    )
    with np.errstate(divide="raise"):
        assert steep.fit(X).precision_[0, 0] > 0


@pytest.mark.parametrize("factor", [1e160, 1e-160])
def test_scales_whose_squares_leave_the_range_are_refused(factor):
    X = positive_rows(PRECISION, 100, np.random.default_rng(0)) * [1, 1, factor, 1]
    with pytest.raises(ValueError, match="The squares of column 'x2' leave the range"):
        ScoreMatchingGaussian(bounds="positive").fit(X)


def test_an_empty_graph_is_warned_of():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    with pytest.warns(ConvergenceWarning, match=r"alpha=50 is so large.*Choose a smaller") as told:
        fitted = ScoreMatchingGaussian(bounds="positive", penalty="l1", alpha=50).fit(X)
    assert told[0].filename == __file__
    assert fitted.n_edges_ == 0


@pytest.mark.parametrize("kind", ["too few rows", "repeated", "two values"])
def test_what_has_no_estimate_on_a_graph_is_refused(kind):
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    if kind == "too few rows":
        X = X[:3]
    elif kind == "repeated":
        X = np.column_stack([X, 2 * X[:, 0]])
    else:
        X[:, 1] = X[:, 1] > 0.5
    graph = np.eye(4) if kind == "two values" else np.ones((X.shape[1],) * 2)
    with pytest.raises(
        ValueError, match="rows do not determine a truncated Gaussian on this graph"
    ):
        ScoreMatchingGaussian(bounds="positive", graph=graph).fit(X)


def test_refusals_and_warnings():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    for options, message in (
        ({"covariance_type": "diag"}, "bounds need covariance_type='full'"),
        ({"penalty": "l2"}, "penalty='l1' or none"),
        ({"penalty": "l1", "graph": np.ones((4, 4))}, "Give penalty or graph, not both"),
        ({"bounds": (1.0, 0.0)}, "lower < upper"),
        ({"bounds": (0.0, 1.0, 2.0)}, "bounds must be"),
    ):
        with pytest.raises(ValueError, match=message):
            ScoreMatchingGaussian(**({"bounds": "positive"} | options)).fit(X)
    fitted = ScoreMatchingGaussian(bounds="positive").fit(X)
    assert not hasattr(fitted, "partial_fit")
    for call, message in (
        (lambda: fitted.loss(X), "wrong where the density is cut off"),
        (lambda: fitted.standard_errors(), "by the sandwich alone"),
        (lambda: fitted.confidence_intervals(method="wald", X=X), "'auto' or 'robust'"),
        (lambda: fitted.edges(), "no edge tests with bounds"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="constant"):
        ScoreMatchingGaussian(bounds="positive").fit(np.column_stack([X, np.ones(100)]))
    twice = np.column_stack([X, X[:, 0]])
    with pytest.raises(ValueError, match=r"determine one another \('x0', 'x4'\)"):
        ScoreMatchingGaussian(bounds="positive").fit(twice)
    with pytest.raises(ValueError, match="4 rows leave columns"):
        ScoreMatchingGaussian(bounds="positive").fit(X[:4])
    fitted = ScoreMatchingGaussian(bounds="positive", penalty="l1", alpha=0.2).fit(twice)
    assert np.isfinite(fitted.score_samples(twice)).all()


def test_a_limit_of_iterations_is_reported(monkeypatch):
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    monkeypatch.setattr(truncated_system, "MAX_CG", 2)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        ScoreMatchingGaussian(bounds="positive").fit(X)


def test_a_refit_without_bounds_forgets_them():
    X = positive_rows(PRECISION, 100, np.random.default_rng(0))
    fitted = ScoreMatchingGaussian(bounds="positive").fit(X).set_params(bounds=None).fit(X)
    assert np.isfinite(fitted.score_samples(-X)).all()
    assert_allclose(fitted.covariance_, np.cov(X, rowvar=False, bias=True))


@pytest.mark.parametrize("penalty", [None, "l1"])
@pytest.mark.parametrize("cap", [1e-320, 1e-300, 1e-40, 1e-9])
def test_a_weight_function_out_of_scale_is_refused(cap, penalty):
    X = np.abs(np.random.default_rng(0).normal(size=(50, 3)))
    with pytest.raises(ValueError, match=r"weight function has the mean 1e-.* column 'x0'|9.9e-"):
        ScoreMatchingGaussian(bounds="positive", weight_cap=cap, penalty=penalty).fit(X)
    with pytest.raises(ValueError, match=r"Use weight_cap=2\.0"):
        ScoreMatchingGaussian(bounds="positive", weight="power", weight_cap=1e300).fit(X)


def test_a_weight_function_that_does_not_see_the_bound_is_warned_of():
    """It gives the covariance of the rows as they are; far from the bound that is right."""
    X = np.abs(np.random.default_rng(0).normal(size=(50, 2)))
    with pytest.warns(UserWarning, match="does not see the bound") as told:
        blind = ScoreMatchingGaussian(bounds="positive", weight_cap=1e-6).fit(X)
    assert told[0].filename == __file__
    assert_allclose(blind.covariance_, np.cov(X.T, bias=True), rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = ScoreMatchingGaussian(bounds="positive", weight_cap=1e-6).fit(X + 50)
    assert_allclose(far.covariance_, blind.covariance_, rtol=1e-6)


def test_scores_are_finite_or_minus_infinity():
    """Rows as large as float64 has them, alone or beside others, in boxes of every kind."""
    X = np.abs(np.random.default_rng(0).normal(size=(50, 2)))
    far = 10.0 ** np.array([100, 154, 155, 300, 308])
    rows = np.array([[a, b] for a in (0.5, *far) for b in (0.5, *far)])
    for bounds in ("positive", (-np.inf, np.inf), ([-np.inf, 0], np.inf)):
        fitted = ScoreMatchingGaussian(bounds=bounds).fit(X)
        for sign in ([1, 1], [-1, 1], [1, -1], [-1, -1]):
            score = fitted.score_samples(rows * sign)
            assert not np.isnan(score).any()
            assert (score < 1e3).all()
            assert np.isfinite(score[0]) or (np.array(sign) < 0).any()
            assert (score[np.abs(rows).max(axis=1) > 1e160] == -np.inf).all()


def test_no_wald_tests_with_bounds():
    X = np.abs(np.random.default_rng(0).normal(size=(50, 2)))
    with pytest.raises(ValueError, match="no Wald tests with bounds"):
        wald_test(ScoreMatchingGaussian(bounds="positive"), X, {"precision": np.eye(2)})
