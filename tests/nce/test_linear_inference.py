"""Standard errors, intervals and tests of NCEDensity with parameters."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skgm import NCEDensity, likelihood_ratio_test, score_test, wald_test
from skgm._numerics.distributions import GaussianMixtureNoise
from skgm.nce._inference import CriticNull
from skgm.nce._parametric import fit_parametric_critic
from skgm.nce._statistics import polynomial_statistics

TESTS = {"wald": wald_test, "score": score_test, "likelihood_ratio": likelihood_ratio_test}


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).normal([0.3, -1.0], [1.0, 2.0], size=(400, 2))


def quadratic(**options):
    return NCEDensity("quadratic", noise_ratio=2, random_state=0, **options)


@pytest.fixture(scope="module")
def density(X):
    return quadratic().fit(X)


@pytest.fixture(scope="module")
def glm(X):
    """The same independent noise rows, in statsmodels; statistics not standardized."""
    import statsmodels.api as sm

    density = quadratic(noise_sampling="iid").fit(X)
    critic = density._critic
    contrast = critic.contrast
    own = np.linalg.inv(critic.map)  # columns that have the reported parameters
    exog = np.vstack([contrast.data, contrast.noise]) @ own
    endog = np.repeat([1.0, 0.0], [len(contrast.data), len(contrast.noise)])
    log_q = np.concatenate([contrast.rows.log_q_data, contrast.rows.log_q_noise])
    offset = -contrast.rows.log_nu - log_q

    def fit(columns=slice(None), shift=0.0):
        family = sm.families.Binomial()
        model = sm.GLM(endog, exog[:, columns], family, offset=offset + shift)
        return model.fit(tol=1e-14)

    return fit, exog, density


def test_errors_agree_with_statsmodels(glm, X):
    fit, _, density = glm
    other, errors = fit(), np.array([*density.standard_errors("observed").values()])
    assert_allclose([*density.params_.values()], other.params, rtol=1e-7, atol=1e-8)
    assert_allclose(errors[:-1], other.bse[:-1], rtol=1e-5)
    n, m = len(X), len(density._critic.contrast.noise)
    assert_allclose(errors[-1] ** 2, other.bse[-1] ** 2 - 1 / n - 1 / m, rtol=1e-4)


def test_default_errors_take_the_noise_as_it_fell(glm, X):
    """Data part by the model, noise part by scatter, from statsmodels' fitted probabilities."""
    fit, exog, density = glm
    h, n = fit().fittedvalues, len(X)
    drawn, weighted = exog[n:] * h[n:, None], exog * (h * (1 - h))[:, None]
    mean = weighted.sum(axis=0) / n
    expected = (exog * (h * (1 - h) ** 2)[:, None]).T @ exog - n * np.outer(mean, mean)
    bread = np.linalg.inv(weighted.T @ exog)
    found = bread @ (expected + len(drawn) * np.cov(drawn.T)) @ bread
    errors = np.sqrt(np.diagonal(found))
    assert_allclose([*density.standard_errors().values()], errors, rtol=1e-5)
    low, high = density.confidence_intervals(0.9)["x0 x1"]
    assert_allclose(high - low, 2 * stats.norm.ppf(0.95) * errors[3], rtol=2e-3)  # nearly normal
    null = {"x0 x1": 0.0, "x1^2": -0.11}
    gap = np.array([*density.params_.values()])[[3, 4]] - [0.0, -0.11]
    expected = gap @ np.linalg.solve(found[3:5, 3:5], gap)
    result = wald_test(quadratic(noise_sampling="iid"), X, null)
    assert_allclose(result.statistic, expected, rtol=5e-3)  # F moved to chi-square


def test_tests_agree_with_statsmodels(glm, X):
    """Independent noise, a null without the normalizer: the statistics of logistic regression."""
    fit, exog, _ = glm
    model = quadratic(noise_sampling="iid")
    null = {"x0 x1": 0.0, "x1^2": -0.11}
    found = {name: TESTS[name](model, X, null) for name in ("score", "likelihood_ratio")}
    full, kept = fit(), [0, 1, 2, 5]
    small = fit(kept, shift=-0.11 * exog[:, 4])
    assert_allclose(found["likelihood_ratio"].statistic, 2 * (full.llf - small.llf), rtol=1e-5)
    p = small.fittedvalues
    y = np.repeat([1.0, 0.0], [len(X), len(p) - len(X)])
    U, weighted = exog.T @ (y - p), exog * (p * (1 - p))[:, None]
    score = U @ np.linalg.solve(weighted.T @ exog, U)
    assert_allclose(found["score"].statistic, score, rtol=1e-5)
    for result in found.values():
        assert result.df == 2
        assert_allclose(result.pvalue, stats.chi2.sf(result.statistic, 2), rtol=1e-9)
    restricted = found["score"].restricted_params
    assert_allclose([restricted["x0 x1"], restricted["x1^2"]], [0.0, -0.11], atol=1e-9)
    assert_allclose(restricted["x0"], small.params[0], rtol=1e-6)


def test_linear_restrictions_and_sides(density, X):
    model = quadratic()
    R = np.zeros((1, 6))
    R[0, [0, 1]] = 1.0, -1.0
    estimate = density.params_["x0"] - density.params_["x1"]
    for test in TESTS.values():
        two = test(model, X, (R, [0.0]))
        greater = test(model, X, (R, [0.0]), alternative="greater")
        assert two.df == 1
        assert_allclose(greater.statistic, np.sign(estimate) * np.sqrt(two.statistic), rtol=1e-9)


def test_the_normalizer_is_tested_like_any_parameter(density, X):
    """Wald at an end of its interval: the p-value is one minus the level."""
    level, model = 0.9, quadratic()
    for method, robust in (("wald", False), ("robust", True)):
        end = density.confidence_intervals(level, method)["log_normalizer"][1]
        result = wald_test(model, X, {"log_normalizer": end}, robust=robust)
        assert_allclose(result.pvalue, 1 - level, rtol=1e-6)
    near = density.params_["log_normalizer"] + 0.2 * density.standard_errors()["log_normalizer"]
    for test in TESTS.values():
        assert test(model, X, {"log_normalizer": near}).pvalue > 0.7


def test_weights_count_as_repetitions(X):
    weight = np.random.default_rng(1).integers(0, 3, size=len(X))
    model = quadratic(lattice="ignore")
    one = wald_test(model, X, {"x0 x1": 0.0}, sample_weight=weight)
    other = wald_test(model, np.repeat(X, weight, axis=0), {"x0 x1": 0.0})
    assert_allclose(one.statistic, other.statistic, rtol=1e-6)


def test_intervals_survive_pickling(density):
    copy = pickle.loads(pickle.dumps(density))
    assert copy.confidence_intervals().low == density.confidence_intervals().low
    frame = density.confidence_intervals(method="robust").to_frame()
    assert list(frame.index) == [*density.params_]


def test_refusals(density, X):
    with pytest.raises(NotFittedError):
        quadratic().standard_errors()
    trees = NCEDensity(LogisticRegression(), noise="gaussian", random_state=0).fit(X)
    with pytest.raises(AttributeError, match="only for linear critics"):
        trees.standard_errors()
    assert not hasattr(trees, "params_")
    with pytest.raises(AttributeError, match="only for linear critics"):
        wald_test(trees, X, {"x0": 0.0})
    with pytest.raises(ValueError, match="cov must be one of"):
        density.standard_errors("hac")
    with pytest.raises(ValueError, match="method must be one of"):
        density.confidence_intervals(method="profile")
    with pytest.raises(ValueError, match="strictly between"):
        density.confidence_intervals(level=95)
    with pytest.raises(ValueError, match="x9"):
        score_test(quadratic(), X, {"x9": 0.0})
    with pytest.raises(ValueError, match="correction must be None"):
        likelihood_ratio_test(quadratic(), X, {"x0": 0.0}, correction="bartlett")
    with pytest.raises(ValueError, match="alternative"):
        score_test(quadratic(), X, {"x0": 0.0, "x1": 0.0}, alternative="less")
    with pytest.raises(ValueError, match="ridge"):
        wald_test(quadratic(alpha=0.1), X, {"x0": 0.0})


def one_fit(rng, n, sampling):
    """A quadratic critic on standard normal data, with fixed, wider noise."""
    X = rng.standard_normal((n, 2))
    noise = GaussianMixtureNoise(np.ones(1), np.full((1, 2), 0.2), 1.3 * np.eye(2)[None])
    form = polynomial_statistics(X, None, 2, ["a", "b"])
    options = {"noise_ratio": 1, "noise_sampling": sampling, "rng": rng}
    return fit_parametric_critic(X, None, noise, form, **options)


TRUTH = np.array([0.0, 0.0, -0.5, 0.0, -0.5, np.log(2 * np.pi)])


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["iid", "qmc"])
def test_coverage_and_sizes(sampling):
    """400 runs: the Monte-Carlo error of 5% is 1.1%; three of them."""
    rng, runs = np.random.default_rng(0), 400
    R = np.eye(6)[[3]]
    covered, rejected = np.zeros((runs, 2, 6)), np.zeros((runs, 3))
    for run in range(runs):
        critic = one_fit(rng, 500, sampling)
        for k, kind in enumerate(("model", "robust")):
            found = critic.covariance(kind)
            df = found.degrees_of_freedom(np.eye(6))
            width = stats.t.ppf(0.975, df) * np.sqrt(np.diag(found.matrix))
            covered[run, k] = np.abs(critic.reported - TRUTH) < width
        for k, test in enumerate(TESTS):
            found = getattr(CriticNull(critic, R, np.zeros(1), {"x": 0.0}), test)()
            rejected[run, k] = found.statistic > stats.chi2.ppf(0.95, 1)
    assert np.abs(covered.mean(axis=0) - 0.95).max() < 0.033
    assert np.abs(rejected.mean(axis=0) - 0.05).max() < 0.033


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["iid", "qmc"])
def test_robust_errors_are_right_in_a_wrong_model(sampling):
    """A Gaussian model of exponential data, 200 runs: a standard deviation has an error of 5%."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        X = rng.exponential(size=(400, 1))
        noise = GaussianMixtureNoise(np.ones(1), np.ones((1, 1)), 1.5 * np.ones((1, 1, 1)))
        form = polynomial_statistics(X, None, 2, ["x"])
        options = {"noise_ratio": 2, "noise_sampling": sampling, "rng": rng}
        critic = fit_parametric_critic(X, None, noise, form, **options)
        errors = [np.sqrt(np.diag(critic.covariance(k).matrix)) for k in ("model", "robust")]
        found.append([critic.reported, *errors])
    estimates, model, robust = np.moveaxis(found, 1, 0)
    spread = estimates.std(axis=0)
    assert_allclose(np.median(robust, axis=0) / spread, 1, atol=0.16)
    assert np.abs(np.median(model, axis=0) / spread - 1).max() > 0.25


def test_scrambled_nets_leave_little_of_the_variance_of_noise():
    """The reported variance is 1.05 times the MLE's, with independent noise 1.6 times."""
    rng = np.random.default_rng(1)
    ratio = {}
    for sampling in ("iid", "qmc"):
        critic = one_fit(rng, 4000, sampling)
        ratio[sampling] = critic.covariance("model").matrix[3, 3] * 4000  # the MLE: 1
    assert ratio["qmc"] < 1.15
    assert ratio["iid"] > 1.45
