"""Exponential families by score matching: closed forms, quadrature, differences, coverage."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, optimize, stats
from scipy.linalg import LinAlgWarning
from scipy.special import digamma, polygamma
from sklearn.exceptions import ConvergenceWarning

from skgm import ScoreMatchingExpFamily, ScoreMatchingGaussian, wald_test
from skgm._numerics.distributions import StudentNoise
from skgm._numerics.importance import NotIntegrableError, estimate, importance_resampling
from skgm._numerics.langevin import langevin
from skgm.score_matching import generalized_loss
from skgm.score_matching._exp_family.closed_forms import SphereDensity
from skgm.score_matching._exp_family.density import GenericDensity
from skgm.score_matching._exp_family.line_map import LineMap
from skgm.score_matching._exp_family.linear_system import family_of
from skgm.testing import check_density_estimator
from tests.documented_warnings import only_documented_warnings


def differences(function, X, step=1e-5):
    """Central differences of a function of rows, (n, d)."""
    parts = []
    for j in range(X.shape[1]):
        shift = np.zeros_like(X)
        shift[:, j] = step
        parts.append((function(X + shift) - function(X - shift)) / (2 * step))
    return np.stack(parts, axis=1)


def correlated(n=300, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ [[1.0, 0.7], [0.0, 0.8]] + [3.0, -1.0]


def pair_statistics(X):
    return np.column_stack([X, X**2, X[:, 0] * X[:, 1]])


def positive_pair(n=400, seed=0):
    """Gamma columns with a common part."""
    rng = np.random.default_rng(seed)
    return rng.gamma(1.5, size=(n, 2)) + rng.gamma(1.0, size=(n, 1))


GUISES = [
    (ScoreMatchingExpFamily(), correlated()),
    (ScoreMatchingExpFamily(bounds=(-5, 10)), correlated()),
    (ScoreMatchingExpFamily(pair_statistics), correlated()),
    (ScoreMatchingExpFamily("polynomial", bounds=(0, 1)), stats.beta(2, 3).rvs((300, 2), 0)),
    (ScoreMatchingExpFamily("gamma"), positive_pair()),
    (ScoreMatchingExpFamily("exponential_square_root"), positive_pair()),
    (
        ScoreMatchingExpFamily(lambda X: np.column_stack([np.log(X), X]), bounds="positive"),
        positive_pair(),
    ),
]


def name_of(value):
    if not isinstance(value, ScoreMatchingExpFamily):
        return ""
    named = value.statistics if isinstance(value.statistics, str) else "own"
    return f"{named}-{value.bounds}"


def test_quadratic_statistics_give_the_maximum_of_the_gaussian_likelihood():
    X = correlated()
    fitted = ScoreMatchingExpFamily().fit(X)
    K = np.linalg.inv(np.cov(X.T, bias=True))
    eta = K @ X.mean(axis=0)
    expected = [*eta, -K[0, 0] / 2, -K[0, 1], -K[1, 1] / 2]
    assert_allclose(list(fitted.params_.values()), expected, rtol=1e-9)
    assert list(fitted.params_) == ["x0", "x1", "x0^2", "x0*x1", "x1^2"]
    law = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T, bias=True))
    assert_allclose(fitted.score_samples(X), law.logpdf(X), rtol=1e-9)
    assert_allclose(fitted.loss_, -0.5 * np.trace(K * np.outer(X.std(axis=0), X.std(axis=0))))


def test_statistics_of_ones_own_agree_with_the_ready_made_family():
    """Derivatives by differences: relative errors near 1e-8, squared by none."""
    X = correlated()
    ready, own = ScoreMatchingExpFamily().fit(X), ScoreMatchingExpFamily(pair_statistics).fit(X)
    order = ["x0", "x1", "x0^2", "x1^2", "x0*x1"]
    assert_allclose(own.theta_, [ready.params_[k] for k in order], rtol=1e-6)
    assert_allclose(
        list(own.standard_errors().values()),
        [ready.standard_errors()[k] for k in order],
        rtol=1e-6,
    )
    assert_allclose(own.log_normalizer_, ready.log_normalizer_, rtol=1e-6)


@pytest.mark.parametrize("given", [("gradient",), ("gradient", "second_derivatives")])
def test_derivatives_given_and_by_differences_agree(given):
    X = stats.gamma(3.0).rvs((400, 1), 0)
    callables = {
        "gradient": lambda X: np.stack([1 / X, np.ones_like(X)], axis=2),
        "second_derivatives": lambda X: np.stack([-1 / X**2, np.zeros_like(X)], axis=2),
    }
    options = {name: callables[name] for name in given}
    t = lambda X: np.column_stack([np.log(X), X])  # noqa: E731
    one = ScoreMatchingExpFamily(t, bounds="positive").fit(X)
    other = ScoreMatchingExpFamily(t, **options, bounds="positive").fit(X)
    assert_allclose(one.theta_, other.theta_, rtol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "X"), [g for g in GUISES if g[0].statistics != "gamma"], ids=name_of
)
def test_theta_minimizes_the_public_generalized_loss(estimator, X):
    """generalized_loss, from score functions alone, has zero gradient at theta."""
    sd = X.std(axis=0)
    bounds = {None: (-np.inf, np.inf), "positive": (0, np.inf)}.get(
        estimator.bounds if not isinstance(estimator.bounds, tuple) else "box", estimator.bounds
    )
    if estimator.statistics == "exponential_square_root":
        bounds = (0, np.inf)
    weights = "minlog"
    scaled = tuple(np.broadcast_to(end, 2) / sd for end in bounds)
    fitted = ScoreMatchingExpFamily(**estimator.get_params()).set_params(weight=weights)
    if isinstance(estimator.bounds, tuple):
        fitted.set_params(bounds=scaled)
    fitted.fit(X / sd)

    def loss(theta):
        shifted = fitted._theta + theta
        scale, family = fitted._scale, fitted._family()
        score = lambda R: family.score((R - fitted._shift) / scale, shifted) / scale  # noqa: E731
        return float(generalized_loss(score, X / sd, bounds=scaled, weight=weights, weight_cap=2.0))

    slope = optimize.approx_fprime(np.zeros(len(fitted._theta)), loss, 1e-4)
    bend = loss(np.full(len(slope), 0.1)) - loss(np.zeros(len(slope)))
    assert bend > 0
    # forward differences of a quadratic: half a step times its curvature
    assert np.abs(slope).max() < 1e-3 * max(1.0, bend * 100)


@pytest.mark.parametrize(("estimator", "X"), GUISES, ids=name_of)
def test_score_function_is_the_gradient(estimator, X):
    fitted = ScoreMatchingExpFamily(**estimator.get_params()).fit(X)
    rows = X[:20]
    assert_allclose(
        fitted.score_function(rows), differences(fitted.score_samples, rows), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(("estimator", "X"), GUISES, ids=name_of)
def test_density_integrates_to_one_and_draws_follow_it(estimator, X):
    """Adaptive quadrature in two columns; means of 4000 draws within 5 standard errors."""
    fitted = ScoreMatchingExpFamily(**estimator.get_params()).fit(X)
    rows = fitted.sample(4000, random_state=1)
    low, high = X.min(axis=0) - 4 * X.std(axis=0), X.max(axis=0) + 6 * X.std(axis=0)
    if isinstance(estimator.bounds, tuple):
        low, high = np.maximum(low, estimator.bounds[0]), np.minimum(high, estimator.bounds[1])
    elif estimator.statistics in ("gamma", "exponential_square_root") or estimator.bounds:
        low = np.full(2, 1e-12)
    nodes, mass = np.polynomial.legendre.leggauss(160)
    t = (nodes + 1) / 2
    # a cubic change of variables gathers the nodes near a pole at the lower end
    x, w = low + (high - low) * t[:, None] ** 3, (high - low) * 1.5 * (mass * t**2)[:, None]
    grid = np.stack(np.meshgrid(x[:, 0], x[:, 1], indexing="ij"), axis=-1).reshape(-1, 2)
    share = np.outer(w[:, 0], w[:, 1]).ravel() * np.exp(fitted.score_samples(grid))
    assert_allclose(share.sum(), 1.0, atol=2e-3)
    mean = share @ grid
    deviation = np.sqrt(share @ (grid - mean) ** 2 / len(rows))
    assert (np.abs(rows.mean(axis=0) - mean) < 5 * deviation + 2e-3).all()


def test_gamma_has_the_asymptotic_variance_of_its_sandwich():
    """E[psi] = 0 at the truth, so estimates of 4000 rows are within 4.5 standard errors of it."""
    X = stats.gamma(3.0, scale=2.0).rvs((4000, 1), 0)
    fitted = ScoreMatchingExpFamily("gamma").fit(X)
    errors = fitted.standard_errors()
    assert abs(fitted.params_["log(x0)"] - 2.0) < 4.5 * errors["log(x0)"]
    assert abs(fitted.params_["x0"] + 0.5) < 4.5 * errors["x0"]
    shape, rate = fitted.theta_[0] + 1, -fitted.theta_[1]
    law = stats.gamma(shape, scale=1 / rate)
    assert_allclose(fitted.score_samples(X), law.logpdf(X[:, 0]), rtol=1e-9)
    # no consistent estimate has a smaller variance than the inverse Fisher information
    fisher = len(X) * np.array([[polygamma(1, 3.0), -2.0], [-2.0, 3.0 * 4.0]])
    bound = np.sqrt(np.diag(np.linalg.inv(fisher)))
    ratio = bound / list(errors.values())
    assert ((ratio > 0.8) & (ratio < 1.02)).all()
    assert digamma(3.0) + np.log(2.0) == pytest.approx(np.log(X).mean(), abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [0.4, 3.0])
def test_robust_intervals_of_gamma_cover(shape):
    """1000 tables of 400 rows: the Monte-Carlo error of a 95% coverage is 0.7%."""
    rng = np.random.default_rng(0)
    truth = {"log(x0)": shape - 1, "x0": -1.0}
    inside = dict.fromkeys(truth, 0)
    for _ in range(1000):
        X = rng.gamma(shape, size=(400, 1))
        intervals = ScoreMatchingExpFamily("gamma").fit(X).confidence_intervals()
        for name, value in truth.items():
            inside[name] += intervals[name][0] < value < intervals[name][1]
    assert all(0.925 < count / 1000 < 0.975 for count in inside.values()), inside


@pytest.mark.slow
def test_robust_intervals_of_interacting_roots_cover():
    """500 tables of 1000 rows: the Monte-Carlo error of a 95% coverage is 1%.

    Rows by rejection: the roots y have the density y1 y2 exp(eta' y - y' K y / 2) on y > 0.
    """
    rng = np.random.default_rng(0)
    K, eta = np.array([[1.0, 0.3], [0.3, 1.0]]), np.array([1.0, 0.5])
    mean = np.linalg.solve(K, eta)
    Y = rng.multivariate_normal(mean, 2 * np.linalg.inv(K), size=6_000_000)
    Y = Y[(Y > 0).all(axis=1)]
    # what is left of the target over the proposal: y1 y2 exp(-(y - m)' K (y - m) / 4)
    centered = Y - mean
    ratio = Y.prod(axis=1) * np.exp(-0.25 * np.einsum("ij,ij->i", centered @ K, centered))
    X = Y[rng.uniform(size=len(Y)) < ratio / ratio.max()] ** 2
    truth = [1.0, 0.5, -0.5, -0.3, -0.5]
    inside = np.zeros(5)
    for table in np.split(X[:500_000], 500):
        fitted = ScoreMatchingExpFamily("exponential_square_root").fit(table)
        low, high = np.transpose(list(fitted.confidence_intervals().values()))
        inside += (low < truth) & (truth < high)
    assert ((inside / 500 > 0.92) & (inside / 500 < 0.98)).all(), inside


def test_truncated_exponential_is_found_and_normalized():
    """exp(-x) on [0, 1]; theta of 20,000 rows within 4.5 standard errors."""
    uniform = np.random.default_rng(0).uniform(size=20_000)
    X = -np.log1p(-uniform * (1 - np.exp(-1.0)))[:, None]
    options = {"bounds": (0.0, 1.0), "weight": "min"}
    fitted = ScoreMatchingExpFamily("polynomial", degree=1, **options).fit(X)
    assert abs(fitted.params_["x0"] + 1) < 4.5 * fitted.standard_errors()["x0"]
    rate = -fitted.theta_[0]
    assert_allclose(fitted.log_normalizer_, np.log(-np.expm1(-rate) / rate), rtol=1e-9)
    assert_array_equal(fitted.score_samples([[-0.1], [1.1]]), -np.inf)


def test_base_measure_is_added_and_matched():
    """A tilt exp(theta x) of a standard normal is N(theta, 1), whose estimate is the mean."""
    X = np.random.default_rng(0).normal(0.7, 1.0, size=(500, 1))
    for gradient in (None, lambda X: -X):
        fitted = ScoreMatchingExpFamily(
            lambda X: X,
            base=lambda X: -0.5 * X[:, 0] ** 2 - 0.5 * np.log(2 * np.pi),
            base_gradient=gradient,
        ).fit(X)
        assert_allclose(fitted.theta_, X.mean(), rtol=1e-6)
        assert_allclose(fitted.log_normalizer_, X.mean() ** 2 / 2, rtol=1e-5)
        assert_allclose(fitted.score_samples(X), stats.norm(X.mean()).logpdf(X[:, 0]), rtol=1e-5)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_von_mises_fisher_against_scipy(d):
    """Density to rounding; theta of 5000 rows within 4.5 standard errors of the truth."""
    direction = np.ones(d) / np.sqrt(d)
    X = stats.vonmises_fisher(direction, 4.0).rvs(5000, random_state=0)
    fitted = ScoreMatchingExpFamily("von_mises_fisher").fit(X)
    errors = np.array(list(fitted.standard_errors().values()))
    assert (np.abs(fitted.theta_ - 4.0 * direction) < 4.5 * errors).all()
    kappa = np.linalg.norm(fitted.theta_)
    law = stats.vonmises_fisher(fitted.theta_ / kappa, kappa)
    assert_allclose(fitted.score_samples(X), law.logpdf(X), rtol=1e-9)
    assert_array_equal(fitted.score_samples(2 * X[:3]), -np.inf)
    rows = fitted.sample(2000, random_state=0)
    assert_allclose(np.linalg.norm(rows, axis=1), 1.0)
    # a mean of 2000 draws of coordinates within [-1, 1]: 5 standard errors are at most 0.11
    assert np.abs(rows.mean(axis=0) - X.mean(axis=0)).max() < 0.11


def test_the_score_on_the_sphere_is_tangential():
    X = stats.vonmises_fisher([0, 0, 1.0], 4.0).rvs(200, random_state=0)
    fitted = ScoreMatchingExpFamily("von_mises_fisher").fit(X)
    along = fitted.score_function(X)
    assert_allclose((along * X).sum(axis=1), 0, atol=1e-9)
    moved = X + 1e-6 * along
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    rise = (fitted.score_samples(moved) - fitted.score_samples(X)) / 1e-6
    assert_allclose(rise, (along**2).sum(axis=1), rtol=1e-3, atol=1e-3)


def test_a_concentration_of_zero_is_uniform_on_the_sphere():
    assert_allclose(SphereDensity(np.zeros(3)).log_normalizer()[0], np.log(4 * np.pi))
    assert_allclose(SphereDensity(np.full(3, 1e-7)).log_normalizer()[0], np.log(4 * np.pi))


def test_normalizer_of_three_columns_by_importance_sampling():
    """Against the Gaussian's closed form, within five of the stated standard errors."""
    X = np.random.default_rng(0).normal(size=(400, 3)) @ np.triu(np.full((3, 3), 0.5) + np.eye(3))
    pairs = np.triu_indices(3)
    own = ScoreMatchingExpFamily(lambda X: np.hstack([X, X[:, pairs[0]] * X[:, pairs[1]]])).fit(X)
    ready = ScoreMatchingExpFamily().fit(X)
    assert own.log_density_kind_ == "estimate"
    assert 0.2 < own.normalizer_ess_ <= 1
    with pytest.warns(FutureWarning, match="normalizer_ess_"):
        assert own.effective_sample_size_ == own.normalizer_ess_
    assert 0 < own.log_normalizer_se_ < 0.01
    gap = own.log_normalizer_ - ready.log_normalizer_
    assert abs(gap) < 5 * own.log_normalizer_se_ + 1e-4
    rows = own.sample(3000, random_state=0)
    error = X.std(axis=0) / np.sqrt(3000)
    assert (np.abs(rows.mean(axis=0) - X.mean(axis=0)) < 5 * error).all()


def test_a_normalizer_that_is_uncertain_is_warned_of():
    """Eight columns whose statistics reward distant corners, where few points get."""
    rng = np.random.default_rng(0)
    X = rng.choice([-1.0, 1.0], size=(400, 8)) * rng.uniform(0.9, 1.1, size=(400, 8))
    t = lambda X: np.column_stack([(X**2).sum(axis=1), (X**4).sum(axis=1)])  # noqa: E731
    with pytest.warns(ConvergenceWarning, match=r"normalizer is uncertain.*NCEDensity"):
        fitted = ScoreMatchingExpFamily(t).fit(X)
    assert np.isfinite(fitted.score_samples(X)).all()


def test_quadratic_with_bounds_is_the_truncated_gaussian():
    X = np.abs(correlated())
    ours = ScoreMatchingExpFamily(bounds="positive").fit(X)
    theirs = ScoreMatchingGaussian(bounds="positive").fit(X)
    assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-5)
    robust = theirs.standard_errors("robust", X=X)["precision"]
    factor = np.sqrt(len(X) / (len(X) - 1))  # ours divides by n - 1
    assert_allclose(ours.standard_errors()["x0*x1"], robust[0, 1] * factor, rtol=1e-4)
    assert_allclose(ours.standard_errors()["x0^2"], robust[0, 0] / 2 * factor, rtol=1e-4)


def test_errors_from_the_training_table_and_stored_agree_also_with_weights():
    X = positive_pair()
    weight = np.random.default_rng(0).integers(0, 3, len(X))
    fitted = ScoreMatchingExpFamily("gamma").fit(X, sample_weight=weight)
    repeated = ScoreMatchingExpFamily("gamma").fit(np.repeat(X, weight, axis=0))
    stored = fitted.standard_errors()
    given = fitted.standard_errors(X=X, sample_weight=weight)
    for name, error in repeated.standard_errors().items():
        assert_allclose([stored[name], given[name]], error, rtol=1e-9)
    assert_allclose(fitted.theta_, repeated.theta_, rtol=1e-9)


def test_wald_test_is_the_square_of_estimate_over_error():
    X = positive_pair()
    fitted = ScoreMatchingExpFamily("gamma").fit(X)
    null = fitted.params_["x0"] + 0.1
    found = wald_test(fitted, X, {"x0": null}, robust=True)
    n = len(X)
    expected = (0.1 / fitted.standard_errors()["x0"]) ** 2 * n / (n - 1)
    assert_allclose(found.statistic, expected, rtol=1e-2)


def test_reported_coefficients_reproduce_the_density():
    """theta' t(x) - A(theta), in the units of the table, with a shift and a scale."""
    X = stats.beta(2, 3).rvs((300, 1), 0) * 3 + 5
    fitted = ScoreMatchingExpFamily("polynomial", degree=3, bounds=(5, 8)).fit(X)
    value = (X ** np.arange(1, 4)) @ fitted.theta_ - fitted.log_normalizer_
    assert_allclose(fitted.score_samples(X), value, atol=1e-6)
    area, _ = integrate.quad(lambda x: np.exp(fitted.score_samples([[x]])[0]), 5, 8)
    assert_allclose(area, 1, rtol=1e-6)


def test_an_estimate_without_an_integral_is_refused():
    """A cubic on the line, and two clusters, whose quartic opens upwards or whose K does."""
    X = correlated()
    with pytest.raises(ValueError, match=r"natural parameter space.*column 'x0'.*bounds"):
        ScoreMatchingExpFamily("polynomial", degree=3).fit(X)
    clusters = np.exp(3 * np.sign(X - X.mean(axis=0)) + 0.1 * X)
    with pytest.raises(ValueError, match="natural parameter space"):
        ScoreMatchingExpFamily("exponential_square_root").fit(clusters)
    with pytest.raises(ValueError, match=r"does not fall off.*ends"):
        ScoreMatchingExpFamily(lambda X: X).fit(np.random.default_rng(0).normal(size=(50, 3)))


def test_interactions_that_grow_take_a_ridge_with_a_warning():
    rng = np.random.default_rng(5)
    latent = rng.gamma(1.0, size=(25, 1))
    X = latent * np.exp(0.05 * rng.normal(size=(25, 3)))
    found = []
    for seed in range(20):
        rows = np.random.default_rng(seed).permutation(X)[:15]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = ScoreMatchingExpFamily("exponential_square_root").fit(rows)
        assert np.isfinite(fitted.score_samples(rows)).all()
        if fitted.ridge_ > 0:
            found.append(fitted)
            assert any(issubclass(w.category, LinAlgWarning) for w in caught)
            with pytest.raises(ValueError, match="took a ridge"):
                fitted.standard_errors()
    assert found


def test_there_is_no_gradient_outside_the_bounds():
    X = np.random.default_rng(0).uniform(size=(200, 2))
    fitted = ScoreMatchingExpFamily("polynomial", degree=2, bounds=(0.0, [1.0, 2.0])).fit(X)
    assert np.isfinite(fitted.score_function([[0.0, 2.0]])).all()
    with pytest.raises(ValueError, match=r"Column 'x0' holds 1.5 at row 1, outside its bounds"):
        fitted.score_function([[0.5, 1.5], [1.5, 0.5]])


def test_statistics_that_the_rows_do_not_determine_are_named():
    X = correlated()
    with pytest.raises(ValueError, match=r"do not determine.*'theta1'"):
        ScoreMatchingExpFamily(lambda X: np.column_stack([X[:, 0], np.ones(len(X))])).fit(X)
    with pytest.raises(ValueError, match=r"'log\(x0\)', 'x0'"):
        ScoreMatchingExpFamily("gamma").fit(np.full((10, 1), 2.0))


@pytest.mark.parametrize(
    ("options", "X", "words"),
    [
        ({"statistics": "gamma"}, [[0.0], [1.0]], "column 'x0'"),
        ({"statistics": "gamma", "bounds": (0, 3)}, [[0.5], [1.0]], "bounds must be None"),
        ({"bounds": (0, 1)}, [[0.5], [1.5]], "outside its bounds"),
        ({"statistics": "von_mises_fisher"}, [[1.0, 1.0], [1.0, 0.0]], "unit length; row 0"),
        ({"statistics": "von_mises_fisher", "bounds": (0, 1)}, [[1.0, 0.0]] * 2, "no bounds"),
        ({"statistics": "von_mises_fisher"}, [[1.0, 0.0], [1.0, 0.0]], "equal or opposite"),
        ({"gradient": np.sin}, [[0.5], [1.5]], "gradient go with a callable"),
        ({"statistics": lambda X: X[:, 0]}, [[0.5], [1.5]], "statistics must return"),
        (
            {"statistics": lambda X: X, "gradient": lambda X: X},
            [[0.5], [1.5]],
            "gradient must return",
        ),
        ({}, np.random.default_rng(0).normal(size=(50, 2)) * [1e-100, 1e100], "errors overflow"),
        (
            {"statistics": lambda X: np.hstack([X, X**3])},
            np.random.default_rng(0).normal(size=(50, 1)) * 1e80,
            "derivatives of the statistics overflow",
        ),
        ({"statistics": "median"}, [[0.5], [1.5]], "statistics"),
    ],
)
def test_bad_input_is_refused_with_a_cure(options, X, words):
    with pytest.raises(ValueError, match=words):
        ScoreMatchingExpFamily(**options).fit(X)


def test_model_errors_and_other_intervals_do_not_exist():
    fitted = ScoreMatchingExpFamily("gamma").fit(positive_pair())
    with pytest.raises(ValueError, match="sandwich alone"):
        fitted.standard_errors("model")
    with pytest.raises(ValueError, match="'auto' or 'robust'"):
        fitted.confidence_intervals(method="wald")


@pytest.mark.slow
def test_square_root_family_keeps_every_promise_but_for_clusters():
    """Two separate clusters have no estimate in it, which it says."""
    estimator = ScoreMatchingExpFamily("exponential_square_root")
    with only_documented_warnings(estimator):
        records = check_density_estimator(estimator, on_fail=None)
    failed = {r["check_name"] for r in records if r["status"] == "failed"}
    assert failed == {"check_sample_rows_exchangeable"}


def test_line_maps_and_their_slopes():
    """Every kind of column: there and back, and slopes against differences."""
    line = LineMap(np.array([-np.inf, 1.0, -np.inf, 2.0]), np.array([np.inf, np.inf, 3.0, 5.0]))
    U = np.random.default_rng(0).normal(size=(50, 4)) * 3
    assert_allclose(line.backward(line.forward(U)), U, atol=1e-9)
    step = 1e-6
    slope = (line.forward(U + step) - line.forward(U - step)) / (2 * step)
    assert_allclose(np.log(np.abs(slope)), line.log_slope(U), atol=1e-4)
    target = lambda V: np.sin(line.forward(V)).sum(axis=1) + line.log_slope(V).sum(axis=1)  # noqa: E731
    assert_allclose(
        line.pull_back(U, np.cos(line.forward(U))), differences(target, U), rtol=1e-5, atol=1e-4
    )


def test_langevin_chains_leave_the_target_in_place():
    """Draws of N(1, 1) in three columns from Student's t: Kolmogorov-Smirnov at level 1e-4."""
    proposal, rng = StudentNoise(5.0, np.zeros(3), np.eye(3) * 1.5), np.random.default_rng(0)
    kernel = lambda U: -0.5 * ((U - 1) ** 2).sum(axis=1)  # noqa: E731
    log_ratio = lambda U: kernel(U) - proposal.log_density(U)  # noqa: E731
    found = estimate(log_ratio, proposal)
    assert found == estimate(log_ratio, proposal)
    assert abs(found.log_z - 1.5 * np.log(2 * np.pi)) < 5 * found.se
    starts = importance_resampling(log_ratio, proposal, 2000, found.ess, rng)
    rows = langevin(lambda U: (kernel(U), 1 - U), starts, rng, factor=1.5 * np.eye(3), n_steps=60)
    for column in rows.T:
        assert stats.kstest(column, stats.norm(1).cdf).pvalue > 1e-4
    assert len(np.unique(rows[:, 0])) == len(rows)


@pytest.mark.parametrize("name", ["quadratic", "gamma", "exponential_square_root", "polynomial"])
def test_reporting_map_and_report_agree_with_the_values_of_the_statistics(name):
    """theta' t(z) = reported' t(x) + constant, at any theta, with a map that is linear."""
    rng = np.random.default_rng(0)
    positive = name in ("gamma", "exponential_square_root")
    shift = np.zeros(3) if positive else np.array([2.0, -1.0, 0.5])
    scale = np.array([0.5, 2.0, 3.0])
    family, plain = (
        family_of(name, a, b, ["u", "v", "w"], 3)
        for a, b in ((shift, scale), (0 * shift, scale**0))
    )
    X, theta = rng.uniform(0.5, 3, size=(20, 3)), rng.normal(size=len(family.names))
    value = plain.values(X) @ family.report(theta) + family.constant(theta)
    assert_allclose(family.values((X - shift) / scale) @ theta, value, rtol=1e-9, atol=1e-9)
    assert_allclose(family.reporting_map() @ theta, family.report(theta), rtol=1e-9)
    assert len(set(family.names)) == len(family.names) == plain.values(X).shape[1]


LONG_TAILED = np.exp(1.5 * np.random.default_rng(0).normal(size=(500, 3)))


def with_squares(X):
    return np.column_stack([X, X**2])


@pytest.mark.parametrize(
    ("statistics", "rows", "bounds"),
    [
        (with_squares, LONG_TAILED[:, :1], "positive"),
        (with_squares, LONG_TAILED[:, :2], "positive"),
        (with_squares, LONG_TAILED, "positive"),
        (with_squares, -LONG_TAILED[:, :1], (-np.inf, 0.0)),
        (with_squares, 5 + LONG_TAILED[:, :1], (5.0, np.inf)),
        (lambda X: np.column_stack([X, X**2, X**3]), LONG_TAILED[:, :1] ** 0.5, None),
        (lambda X: np.column_stack([X, X**2, X**3]), LONG_TAILED**0.5, None),
    ],
)
def test_own_statistics_without_an_integral_are_refused(statistics, rows, bounds):
    """The estimated log-density grows at one end, to infinity or infinity minus infinity."""
    with pytest.raises(ValueError, match=r"natural parameter space.*does not fall off"):
        ScoreMatchingExpFamily(statistics, bounds=bounds).fit(rows)


@pytest.mark.parametrize("d", [1, 3])
def test_an_end_where_the_density_is_not_a_number_is_judged_by_what_is_next_to_it(d):
    """exp(x) - exp(2 x) / 10 is infinity minus infinity far out, and has an integral; not less."""
    line = LineMap(np.full(d, -np.inf), np.full(d, np.inf))
    proposal = StudentNoise(5.0, np.zeros(d), np.eye(d))

    class Falling:
        knows_domain = False

        def kernel(self, Z, theta):
            return (theta * (np.exp(Z) - np.exp(2 * Z) / 10) - Z**2 / 2).sum(axis=1)

    assert np.isfinite(GenericDensity(Falling(), 1.0, line, proposal).normalize()[0])
    with pytest.raises(NotIntegrableError, match="does not fall off"):
        GenericDensity(Falling(), -1.0, line, proposal).normalize()
