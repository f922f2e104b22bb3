"""Standard errors and intervals of ScoreMatchingGaussian: formulas, refusals, coverage."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import ScoreMatchingGaussian, wald_test
from skgm._numerics.sandwich import meat, sandwich
from skgm.score_matching._gaussian.inference import covariance_interval

TYPES = ("full", "diag", "spherical")
TRUE_COVARIANCE = np.array([[1.0, 0.8, -0.3], [0.8, 2.0, 0.0], [-0.3, 0.0, 9.0]])
TRUE_LOCATION = np.array([1.0, -2.0, 30.0])


@pytest.fixture
def X(rng):
    return rng.multivariate_normal(TRUE_LOCATION, TRUE_COVARIANCE, size=300)


def flat(values, p=3):
    """Parameters flattened as the estimating functions are: lower triangle of a matrix."""
    covariance = np.asarray(values["covariance"])
    covariance = covariance[np.tril_indices(p)] if covariance.ndim == 2 else np.ravel(covariance)
    return np.concatenate([np.ravel(values.get("location", [])), covariance])


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("assume_centered", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_robust_errors_equal_the_sandwich(X, rng, covariance_type, assume_centered, weighted):
    X = X - TRUE_LOCATION
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else None
    density = ScoreMatchingGaussian(covariance_type, assume_centered=assume_centered)
    density.fit(X, sample_weight=weight)
    psi, bread = density._estimating_functions(X)
    n = len(X) if weight is None else weight.sum()
    weights = np.ones(len(X)) if weight is None else weight
    assert_allclose(weights @ psi / n, 0, atol=1e-13)
    covariance = sandwich(bread, meat(psi, weight), n)
    errors = density.standard_errors("robust", X=X, sample_weight=weight)
    assert_allclose(flat(errors), np.sqrt(np.diag(covariance)), rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_bread_is_the_derivative_of_psi(X, covariance_type):
    density = ScoreMatchingGaussian(covariance_type).fit(X)
    bread = density._estimating_functions(X)[1]

    def mean_psi(theta):
        from skgm.score_matching._gaussian.inference import gaussian_psi

        covariance = theta[3:]
        if covariance_type == "full":
            matrix = np.zeros((3, 3))
            matrix[np.tril_indices(3)] = covariance
            covariance = matrix + np.tril(matrix, -1).T
        elif covariance_type == "spherical":
            covariance = covariance[0]
        return gaussian_psi(X, theta[:3], covariance)[0].mean(axis=0)

    theta = flat(density.params_)
    steps = 1e-5 * np.eye(len(theta))
    slope = [(mean_psi(theta + h) - mean_psi(theta - h)) / 2e-5 for h in steps]
    assert_allclose(bread, -np.array(slope).T, atol=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_model_errors_are_the_inverse_information(X, covariance_type):
    density = ScoreMatchingGaussian(covariance_type).fit(X)
    bread = density._estimating_functions(X)[1]
    errors = density.standard_errors()
    assert_allclose(flat(errors), np.sqrt(np.diag(np.linalg.inv(bread)) / len(X)), rtol=1e-9)
    assert_allclose(flat(density.standard_errors("observed")), flat(errors), rtol=0)


def test_errors_predict_the_spread_of_estimates(rng):
    """Over 4000 tables a standard deviation has a relative error of 1 / sqrt(8000)."""
    n, repeats = 150, 4000
    X = rng.multivariate_normal(TRUE_LOCATION, TRUE_COVARIANCE, size=(repeats, n))
    centered = X - X.mean(axis=1, keepdims=True)
    covariances = np.einsum("rni,rnj->rij", centered, centered) / n
    spread = {"location": X.mean(axis=1).std(axis=0), "covariance": covariances.std(axis=0)}
    # model errors at the truth: a table whose moments are exactly the true ones
    table = rng.standard_normal((n, 3))
    table -= table.mean(axis=0)
    root = np.linalg.cholesky(table.T @ table / n)
    table = table @ np.linalg.inv(root).T @ np.linalg.cholesky(TRUE_COVARIANCE).T
    errors = ScoreMatchingGaussian().fit(table).standard_errors()
    for name in spread:
        assert_allclose(errors[name], spread[name], rtol=5 / np.sqrt(8000))


def test_robust_errors_see_heavy_tails(rng):
    X = rng.standard_t(7, size=(100_000, 2))
    density = ScoreMatchingGaussian().fit(X)
    ratio = (
        density.standard_errors("robust", X=X)["covariance"]
        / density.standard_errors()["covariance"]
    )
    # kurtosis 5 of Student's t7: Var(S_ii) / n = (5 - 1) S_ii^2 instead of 2 S_ii^2
    assert_allclose(np.diag(ratio), np.sqrt(2), rtol=0.1)
    assert_allclose(ratio[0, 1], 1, rtol=0.02)


def test_intervals_of_location_are_students(X):
    intervals = ScoreMatchingGaussian().fit(X).confidence_intervals(0.9)
    expected = stats.ttest_1samp(X, 0).confidence_interval(0.9)
    assert_allclose(intervals["location"], (expected.low, expected.high), rtol=1e-10)
    assert set(intervals.methods.values()) == {"wald-transformed"}


def test_covariance_interval_is_the_mover_of_two_variances(X):
    """By its construction: variances of the sum and of the difference of scaled columns."""
    S, n = np.cov(X, rowvar=False), len(X)
    low, high = ScoreMatchingGaussian().fit(X).confidence_intervals()["covariance"]
    half = stats.t.ppf(0.975, n - 1) * np.sqrt(2 / (n - 1))
    for i, j in ((0, 1), (0, 2), (2, 1)):
        sd = np.sqrt([S[i, i], S[j, j]])
        u = np.var((X[:, [i, j]] / sd).sum(axis=1), ddof=1)
        v = np.var(np.diff(X[:, [i, j]] / sd, axis=1), ddof=1)
        l_u, u_u, l_v, u_v = (w * np.exp(s * half) for w in (u, v) for s in (-1, 1))
        expected_low = u - v - np.sqrt((u - l_u) ** 2 + (u_v - v) ** 2)
        expected_high = u - v + np.sqrt((u_u - u) ** 2 + (v - l_v) ** 2)
        assert_allclose(
            [low[i, j], high[i, j]], np.prod(sd) / 4 * np.array([expected_low, expected_high])
        )
        assert (low[i, j], high[i, j]) == (low[j, i], high[j, i])
    assert_allclose(np.diag(low), np.diag(S) * np.exp(-half))
    assert_allclose(np.diag(high), np.diag(S) * np.exp(half))


@pytest.mark.parametrize("method", ["wald", "wald-transformed", "robust"])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_intervals_bracket_and_scale(X, covariance_type, method):
    data = {"X": X} if method == "robust" else {}
    intervals = (
        ScoreMatchingGaussian(covariance_type).fit(X).confidence_intervals(method=method, **data)
    )
    data = {"X": 10 * X} if method == "robust" else {}
    tenfold = ScoreMatchingGaussian(covariance_type).fit(10 * X)
    tenfold = tenfold.confidence_intervals(method=method, **data)
    for name, power in (("location", 10), ("covariance", 100)):
        low, high = intervals[name]
        assert np.all(low < high)
        assert np.shape(low) == np.shape(intervals.estimate[name])
        assert_allclose(tenfold[name], (low * power, high * power), rtol=1e-8)
    assert len(intervals.to_frame()) == {"full": 12, "diag": 6, "spherical": 4}[covariance_type]


def test_auto_takes_the_sandwich_where_it_can(X):
    density = ScoreMatchingGaussian().fit(X)
    auto, robust = (
        density.confidence_intervals(X=X),
        density.confidence_intervals(method="robust", X=X),
    )
    assert set(auto.methods.values()) == {"robust"}
    assert_allclose(auto["covariance"], robust["covariance"], rtol=0)


def test_weights_are_repetitions(X, rng):
    weight = rng.integers(0, 3, len(X))
    repeated = np.repeat(X, weight, axis=0)
    one = ScoreMatchingGaussian().fit(X, sample_weight=weight)
    two = ScoreMatchingGaussian().fit(repeated)
    got = one.confidence_intervals(X=X, sample_weight=weight)
    expected = two.confidence_intervals(X=repeated)
    for name in expected:
        assert_allclose(got[name], expected[name], rtol=1e-10)
        assert_allclose(
            one.confidence_intervals()[name], two.confidence_intervals()[name], rtol=1e-10
        )


def test_refusals(X):
    density = ScoreMatchingGaussian().fit(X)
    with pytest.raises(ValueError, match="pass it as X="):
        density.standard_errors("robust")
    with pytest.raises(ValueError, match="pass it as X="):
        density.confidence_intervals(method="robust")
    with pytest.raises(ValueError, match="total weight 300; got 10"):
        density.standard_errors("robust", X=X[:10])
    with pytest.raises(
        ValueError, match="'auto', 'wald', 'wald-transformed', 'robust'; got method='profile'"
    ):
        density.confidence_intervals(method="profile")
    light = ScoreMatchingGaussian().fit(X, sample_weight=np.full(300, 1 / 400))
    with pytest.raises(ValueError, match=r"total weight above 1; got 0\.75"):
        light.confidence_intervals()
    with pytest.raises(ValueError, match="unbounded with n = 2 observations"):
        ScoreMatchingGaussian("diag").fit(X[:2]).confidence_intervals(0.99999)


def test_covariance_interval_at_the_ends():
    low, high = covariance_interval(np.array([[1.0, 1.0], [1.0, 1.0]]), 50, 2.0)
    assert_allclose(low, np.exp(-2 * np.sqrt(2 / 50)))  # a copy of a column: its variance
    assert_allclose(high, np.exp(2 * np.sqrt(2 / 50)))


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_wald_test_uses_them(X, covariance_type, robust):
    result = wald_test(ScoreMatchingGaussian(covariance_type), X, {"location": 0.5}, robust=robust)
    S = np.cov(X, rowvar=False, bias=True)
    if not robust and covariance_type == "diag":
        S = np.diag(np.diag(S))
    elif not robust and covariance_type == "spherical":
        S = np.eye(3) * np.trace(S) / 3
    difference = X.mean(axis=0) - 0.5
    assert result.df == 3
    assert result.statistic == pytest.approx(len(X) * difference @ np.linalg.solve(S, difference))


def coverage(draw, truth, repeats, covariance_type="full", **options):
    """Share of intervals that cover, per parameter entry, over `repeats` tables."""
    hits = dict.fromkeys(truth, 0)
    for _ in range(repeats):
        X = draw()
        density = ScoreMatchingGaussian(covariance_type).fit(X)
        intervals = density.confidence_intervals(X=X if options.get("robust") else None)
        for name, value in truth.items():
            low, high = intervals[name]
            hits[name] = hits[name] + ((low <= value) & (value <= high))
    return {name: hit / repeats for name, hit in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize("robust", [False, True])
def test_coverage_on_gaussian_data(rng, robust):
    """95% intervals at n = 200 cover 93.5 to 96.5%; the Monte-Carlo error is 0.34%."""
    truth = {"location": TRUE_LOCATION, "covariance": TRUE_COVARIANCE}
    root = np.linalg.cholesky(TRUE_COVARIANCE)
    covered = coverage(
        lambda: TRUE_LOCATION + rng.standard_normal((200, 3)) @ root.T, truth, 4000, robust=robust
    )
    for value in covered.values():
        assert np.all((value >= 0.935) & (value <= 0.965)), covered


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", ["diag", "spherical"])
def test_coverage_of_the_independent_models(rng, covariance_type):
    variance = np.array([1.0, 2.0, 9.0]) if covariance_type == "diag" else np.full(3, 2.0)
    truth = {"location": TRUE_LOCATION}
    truth["covariance"] = variance if covariance_type == "diag" else 2.0
    covered = coverage(
        lambda: TRUE_LOCATION + rng.standard_normal((200, 3)) * np.sqrt(variance),
        truth,
        4000,
        covariance_type,
    )
    for value in covered.values():
        assert np.all((value >= 0.935) & (value <= 0.965)), covered


@pytest.mark.slow
def test_coverage_under_heavy_tails(rng):
    """Student's t with 7 degrees of freedom: the sandwich comes close, the model does not."""
    truth = {"location": np.zeros(2), "covariance": np.diag([1.4, 1.4])}

    def draw():
        return rng.standard_t(7, size=(200, 2))

    robust, model = (coverage(draw, truth, 2000, robust=r) for r in (True, False))
    # the docstring's figures, to four Monte-Carlo errors of 0.6% and 0.8%
    assert np.all(np.abs(np.diag(robust["covariance"]) - 0.93) < 0.024)
    assert np.all(np.abs(np.diag(model["covariance"]) - 0.85) < 0.032)
    assert np.all(np.abs(robust["location"] - 0.95) < 0.02)


def test_robust_intervals_of_few_rows_by_hand():
    """Five rows, where n / (n - 1) is 1.25: HC1 errors of the unbiased variance, log scale, t_4."""
    rows = [1.0, 2.0, 4.0, 9.0, 3.0]
    X = np.array(rows)[:, None]
    intervals = ScoreMatchingGaussian("diag").fit(X).confidence_intervals(0.9, "robust", X=X)
    n, mean = 5, sum(rows) / 5
    squares = [(x - mean) ** 2 for x in rows]
    unbiased = sum(squares) / (n - 1)
    # psi of the unbiased variance is n / (n - 1) times a square less its mean; HC1 multiplies the
    # sandwich by n / (n - 1) once more
    spread = sum((n / (n - 1) * square - unbiased) ** 2 for square in squares) / n
    error = (spread / n * n / (n - 1)) ** 0.5
    ratio = np.exp(stats.t.ppf(0.95, n - 1) * error / unbiased)
    assert_allclose(intervals["covariance"], [[unbiased / ratio], [unbiased * ratio]], rtol=1e-12)
    width = stats.t.ppf(0.95, n - 1) * np.sqrt(unbiased / n)
    assert_allclose(intervals["location"], [[mean - width], [mean + width]], rtol=1e-12)
