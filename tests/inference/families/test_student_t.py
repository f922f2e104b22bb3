"""Student's t: its normal limit, its degrees of freedom, and r* where those are held."""

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

from skgm import MLEDensity
from skgm.inference.families import Cauchy, Normal
from skgm.inference.families._student_t import constant, kappa_information, log_kernel, tilt
from tests.inference.families.cases import table
from tests.inference.families.cases_location_scale import STUDENT_T
from tests.inference.families.test_location_scale import central, other_point

FAMILY, PARAMS, DISTRIBUTIONS = STUDENT_T
AT_INFINITY = {**PARAMS, "df": np.full(2, np.inf)}


def sample(n, d, seed=0, df=4):
    return stats.t(df, 2, 3).rvs(size=(n, d), random_state=np.random.default_rng(seed))


@pytest.mark.parametrize("kappa", [1e-9, 1e-3, 0.02, 0.0333, 0.0334, 0.1, 1.0, 3.0])
def test_constant_and_its_derivatives(kappa):
    def log_constant(k):
        log_gammas = mp.loggamma((1 / k + 1) / 2) - mp.loggamma(1 / k / 2)
        return log_gammas - mp.log(mp.pi / k) / 2

    found = constant(np.array([kappa]))
    with mp.workdps(60):
        k = mp.mpf(kappa)
        for order, rtol in ((0, 1e-13), (1, 1e-11), (2, 2e-9)):
            expected = mp.diff(log_constant, k, order, h=k * mp.mpf("1e-12"))
            assert_allclose(found[order], float(expected), rtol=rtol)


@pytest.mark.parametrize("kappa", [1e-9, 1e-3, 0.03, 0.5, 3.0])
@pytest.mark.parametrize("z", [0.01, 0.5, 3.0, 40.0, 1e5])
def test_kernel_and_its_derivatives(kappa, z):
    def g(k, v):
        return -(1 + k) / (2 * k) * mp.log1p(k * v * v)

    row = np.array([[z]])
    value, first, second, share = log_kernel(row, np.array([kappa]))
    found = [value, first, second, *tilt(row, np.array([kappa]), share)]
    with mp.workdps(60):
        k, v = mp.mpf(kappa), mp.mpf(z)
        h = (k * mp.mpf("1e-13"), v * mp.mpf("1e-13"))
        expected = [
            g(k, v),
            mp.diff(lambda w: g(k, w), v, 1, h=h[1]),
            mp.diff(lambda w: g(k, w), v, 2, h=h[1]),
            mp.diff(lambda q: g(q, v), k, 1, h=h[0]),
            mp.diff(lambda q: g(q, v), k, 2, h=h[0]),
            -v * (1 - v * v) / (1 + k * v * v) ** 2,
        ]
    for a, b in zip(found, expected):
        assert_allclose(a[0, 0], float(b), rtol=1e-11)


def test_information_of_kappa_joins_its_series():
    """Var((z^4 - 2 z^2 - 1) / 4) = 7/2 under the normal; both formulas meet at 1/30."""
    assert_allclose(kappa_information(np.array([0.0])), 3.5)
    below, above = kappa_information(np.array([1 / 30 - 1e-12, 1 / 30 + 1e-12]))
    assert_allclose(below, above, rtol=1e-9)


def test_normal_limit_is_the_normal_family():
    X, normal = table(DISTRIBUTIONS, 20), Normal()
    as_normal = {"mu": PARAMS["loc"], "sigma": PARAMS["scale"]}
    assert_allclose(
        FAMILY.log_density(X, AT_INFINITY), normal.log_density(X, as_normal), rtol=1e-14
    )
    expected = normal.score_function(X, as_normal)
    assert_allclose(FAMILY.score_function(X, AT_INFINITY), expected, rtol=1e-13)
    score = FAMILY.score(X, AT_INFINITY)
    assert_allclose(score[..., 1:], normal.score(X, as_normal), rtol=1e-11)
    assert (score[..., 0] == 0).all()
    z = (X - PARAMS["loc"]) / PARAMS["scale"]
    assert_allclose(FAMILY.cdf(X, AT_INFINITY), special.ndtr(z), rtol=1e-14)
    draws = FAMILY.sample(AT_INFINITY, 20_000, np.random.default_rng(0))
    assert stats.kstest(draws[:, 1], stats.norm(-2, 3).cdf).pvalue > 1e-3


@pytest.mark.parametrize("df", [1e3, 1e6, 1e12])
def test_large_df_are_close_to_the_limit(df):
    """g = log phi + (z^4 - 2 z^2 - 1) / (4 df) to first order."""
    X = table(DISTRIBUTIONS, 20)
    z = (X - PARAMS["loc"]) / PARAMS["scale"]
    near = FAMILY.log_density(X, {**PARAMS, "df": np.full(2, df)})
    limit = FAMILY.log_density(X, AT_INFINITY)
    first = (z**4 - 2 * z**2 - 1) / (4 * df)
    assert_allclose(near - limit, first, atol=50 * (1 + np.abs(z).max() ** 6) / df**2 + 1e-13)


def test_derivatives_of_the_mean():
    statistics = FAMILY.summarize(table(DISTRIBUTIONS, 30), None)
    X = statistics.X
    assert_allclose(FAMILY.mean_score(statistics, PARAMS), FAMILY.score(X, PARAMS).mean(axis=0))
    columns = [central(lambda p: FAMILY.mean_score(statistics, p), PARAMS, name) for name in PARAMS]
    information = FAMILY.observed_information(statistics, PARAMS)
    assert_allclose(information, -np.stack(columns, axis=-1), rtol=1e-6, atol=1e-8)


def test_canonical_of_location_and_scale():
    statistics, there = FAMILY.summarize(table(DISTRIBUTIONS, 30), None), other_point(PARAMS)
    there["df"] = PARAMS["df"]
    free = np.array([1, 2])
    phi, jacobian = FAMILY.canonical_free(statistics, PARAMS, there, free)
    assert phi.shape == (2, 2)
    columns = [
        central(lambda p: FAMILY.canonical_free(statistics, PARAMS, p, free)[0], there, name)
        for name in ("loc", "scale")
    ]
    assert_allclose(jacobian, np.stack(columns, axis=-1), rtol=1e-6, atol=1e-8)


def test_one_degree_of_freedom_is_the_cauchy():
    """Beyond a dozen rows: below, r* of a Cauchy scale is standardized by its simulated law."""
    X = sample(15, 3)
    held, cauchy = MLEDensity("t", fixed={"df": 1}).fit(X), MLEDensity("cauchy").fit(X)
    for name in ("loc", "scale"):
        assert_allclose(held.params_[name], cauchy.params_[name], rtol=1e-9)
        ends = [model.confidence_intervals()[name] for model in (held, cauchy)]
        assert_allclose(*ends, rtol=1e-7)


def test_estimate_against_mpmath():
    X = sample(30, 1, seed=3)
    estimate = FAMILY.estimate(FAMILY.summarize(X, None))
    with mp.workdps(30):
        rows = [mp.mpf(float(v)) for v in X[:, 0]]

        def total(nu, m, s):
            c = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(mp.pi * nu) / 2
            half = (nu + 1) / 2
            return mp.fsum(c - half * mp.log1p(((v - m) / s) ** 2 / nu) - mp.log(s) for v in rows)

        def gradient(*point):
            return tuple(
                mp.diff(total, point, tuple(int(i == j) for i in range(3))) for j in range(3)
            )

        found = mp.findroot(gradient, [float(estimate[k][0]) for k in ("df", "loc", "scale")])
    assert_allclose([estimate[k][0] for k in estimate], [float(v) for v in found], rtol=1e-10)


def test_infinite_where_tails_are_no_heavier_than_normal():
    """The slope of the profile at the normal limit is (kurtosis - 3) n / 4."""
    X = np.random.default_rng(1).normal(size=(40, 300))
    statistics, normal = FAMILY.summarize(X, None), Normal()
    estimate = FAMILY.estimate(statistics)
    infinite = np.isinf(estimate["df"])
    assert 0.5 < infinite.mean() < 0.8
    assert (np.isfinite(estimate["df"]) == (stats.kurtosis(X, axis=0) > 0)).all()
    moments = normal.summarize(X, None)
    limit = normal.log_likelihood(moments, normal.estimate(moments))
    gain = FAMILY.log_likelihood(statistics, estimate) - limit
    assert_allclose(gain[infinite], 0, atol=1e-11)
    assert (gain[~infinite] > -1e-11).all()
    finite = {name: value[~infinite] for name, value in estimate.items()}
    part = FAMILY.summarize(X[:, ~infinite], None)
    score = FAMILY.mean_score(part, finite) * np.stack(list(finite.values()), axis=-1)
    assert_allclose(score, 0, atol=1e-8)


@pytest.mark.slow
def test_profile_of_infinite_df_is_one_sided():
    X = np.random.default_rng(1).uniform(size=(30, 1))
    model = MLEDensity("student_t").fit(X)
    assert model.params_["df"] == np.inf
    low, high = model.confidence_intervals(method="profile")["df"]
    assert high == np.inf
    restricted = MLEDensity("student_t", fixed={"df": low}).fit(X)
    assert_allclose(2 * (model.loglik_ - restricted.loglik_), special.chdtri(1, 0.05), rtol=1e-8)
    for name in ("loc", "scale"):
        ends = model.confidence_intervals(method="profile")[name]
        assert ends[0] < model.params_[name] < ends[1]


def test_profile_of_finite_df():
    X = sample(300, 1, df=3)
    model = MLEDensity("student_t").fit(X)
    for end in model.confidence_intervals(method="profile")["df"]:
        restricted = MLEDensity("student_t", fixed={"df": end}).fit(X)
        fall = 2 * (model.loglik_ - restricted.loglik_)
        assert_allclose(fall, special.chdtri(1, 0.05), rtol=1e-8)


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_scale_invariance(factor):
    X = sample(30, 1, seed=3)
    base, scaled = (FAMILY.estimate(FAMILY.summarize(x, None)) for x in (X, X * factor))
    assert_allclose(scaled["df"], base["df"], rtol=1e-8)
    assert_allclose(scaled["scale"], base["scale"] * factor, rtol=1e-9)


def test_weights_are_repetitions():
    X, weight = sample(30, 2, seed=3), np.random.default_rng(0).integers(1, 4, 30)
    one = FAMILY.estimate(FAMILY.summarize(X, weight * 1.0))
    many = FAMILY.estimate(FAMILY.summarize(X.repeat(weight, axis=0), None))
    for name in one:
        assert_allclose(one[name], many[name], rtol=1e-8)


def test_columns_may_hold_different_things():
    X = sample(25, 3, seed=5)
    statistics = FAMILY.summarize(X, None)
    nan = np.nan
    null = {
        "df": np.array([nan, 2.0, nan]),
        "loc": np.array([nan, nan, 1.5]),
        "scale": np.array([nan, 2.5, nan]),
    }
    together = FAMILY.restricted_estimate(statistics, null)
    for j in range(3):
        part = FAMILY.summarize(X[:, [j]], None)
        alone = FAMILY.restricted_estimate(part, {k: v[[j]] for k, v in null.items()})
        for name in null:
            assert_allclose(together[name][j], alone[name][0], rtol=1e-7)


def test_unbounded_likelihoods_are_refused():
    with pytest.raises(ValueError, match="3 of 5 observations lie on one value"):
        MLEDensity("t").fit(np.array([[3.0], [3.0], [3.0], [1.0], [2.0]]))
    with pytest.raises(ValueError, match="2 of 5 observations lie on one value"):
        MLEDensity("t", fixed={"df": 0.5}).fit(np.array([[3.0], [3.0], [0.0], [1.0], [2.0]]))
    heavy = np.array([0.0, 0.01, -0.01, 1e4, -1e7, 1e9])[:, None]
    with pytest.raises(ValueError, match="the likelihood still rises where its degrees of freedom"):
        MLEDensity("t").fit(heavy)


@pytest.mark.slow
def test_r_star_needs_held_df():
    statistics = FAMILY.summarize(sample(30, 1), None)
    with pytest.raises(ValueError, match="need known degrees of freedom"):
        FAMILY.rstar_interval("loc", statistics, FAMILY.estimate(statistics), 0.95)
    model = MLEDensity("t").fit(sample(30, 1))
    assert model.confidence_intervals().methods == dict.fromkeys(model.params_, "profile")


def test_location_errors_survive_infinite_df():
    X = np.random.default_rng(1).uniform(size=(30, 1))
    statistics = FAMILY.summarize(X, None)
    estimate = FAMILY.estimate(statistics)
    errors = FAMILY.standard_errors(estimate, 30)
    assert_allclose(errors["loc"], X.std() / np.sqrt(30), rtol=1e-8)
    assert_allclose(errors["scale"], X.std() / np.sqrt(60), rtol=1e-8)


def test_restricted_location_with_scale_and_df_held_is_the_global_maximum():
    X, df = np.random.default_rng(0).standard_cauchy((8, 20)), 1.5
    statistics = FAMILY.summarize(X, None)
    null = {"df": np.full(20, df), "loc": np.full(20, np.nan), "scale": np.full(20, 0.2)}
    found = FAMILY.restricted_estimate(statistics, null)
    grid = np.linspace(X.min(axis=0), X.max(axis=0), 4001)
    heights = stats.t(df, scale=0.2).logpdf(X[:, None, :] - grid).sum(axis=0).max(axis=0)
    assert (FAMILY.log_likelihood(statistics, found) >= heights - 1e-9).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 10])
@pytest.mark.parametrize("df", [1.0, 3.0, 8.0])
def test_r_star_covers_with_held_df(n, df):
    """2,000 replicates: Monte-Carlo error of a tail 0.35 %, so that four are 1.4 %."""
    X = stats.t(df, 2, 3).rvs(size=(n, 2000), random_state=np.random.default_rng(n))
    found = MLEDensity("t", fixed={"df": df}).fit(X).confidence_intervals()
    for name, value in {"loc": 2.0, "scale": 3.0}.items():
        low, high = found[name]
        tails = 100 * np.array([(low > value).mean(), (high < value).mean()])
        assert_allclose(tails, 2.5, atol=1.4)


def test_cauchy_at_a_held_scale_agrees_with_the_t():
    X = np.random.default_rng(0).standard_cauchy((30, 5))
    null = {"loc": np.full(5, np.nan), "scale": np.full(5, 0.4)}
    statistics = Cauchy().summarize(X, None)
    found = Cauchy().restricted_estimate(statistics, null)
    other = FAMILY.restricted_estimate(statistics, {**null, "df": np.ones(5)})
    assert_allclose(found["loc"], other["loc"], rtol=1e-9, atol=1e-9)
