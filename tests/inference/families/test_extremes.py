"""Values and columns at the ends of float64: a finite answer, -inf, or a ValueError that says why.

pytest turns each RuntimeWarning into an error, so every test also asserts that there is none.
"""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.preprocessing import PowerTransformer

from skgm.compose import DensityClassifier, DensityPipeline
from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from tests.inference.every_family import COUNTS, UNIVARIATE, column, model

LARGEST, TINIEST = np.finfo(np.float64).max, 5e-324
SIZES = [0.0, TINIEST, 1e-310, 1e-300, 1e-160, 0.5, 1.0, 3.0, 2.0**53, 1e160, 1e300, LARGEST]
GRID = np.array(sorted({sign * size for size in SIZES for sign in (1.0, -1.0)}))[:, None]
REAL, POSITIVE = (np.random.default_rng(0).standard_t(5, size=(40, 1)) for _ in range(2))
POSITIVE = np.abs(POSITIVE)
WHOLE = np.random.default_rng(0).negative_binomial(2, 0.4, size=(40, 1)).astype(float)
SCIPY = [
    *[(law, REAL) for law in (stats.norm, stats.genlogistic, stats.exponnorm, stats.hypsecant)],
    *[(law, REAL) for law in (stats.moyal, stats.loggamma, stats.gennorm, stats.skewnorm)],
    *[(law, POSITIVE) for law in (stats.gamma, stats.burr12, stats.fisk, stats.invgauss)],
    *[(law, POSITIVE) for law in (stats.invgamma, stats.betaprime, stats.nakagami, stats.lomax)],
    *[(law, POSITIVE) for law in (stats.fatiguelife, stats.exponweib, stats.mielke, stats.levy)],
    *[(law, POSITIVE) for law in (stats.maxwell, stats.halfnorm, stats.invweibull, stats.chi2)],
    *[(law, POSITIVE) for law in (stats.weibull_min, stats.exponpow, stats.alpha)],
    *[(law, WHOLE) for law in (stats.poisson, stats.nbinom, stats.skellam, stats.dlaplace)],
    *[(law, WHOLE + 1) for law in (stats.geom, stats.logser, stats.zipf, stats.yulesimon)],
    (stats.vonmises, REAL / 3),
    (stats.beta, POSITIVE / 10),
]


def scored(fitted):
    """Assert finite scores or -inf on the grid, and a finite gradient where there is one."""
    log_density = fitted.score_samples(GRID)
    assert not np.isnan(log_density).any()
    assert (log_density < np.inf).all()
    if hasattr(fitted, "score_function"):
        assert np.isfinite(fitted.score_function(GRID)).all()
    for row, one in zip(GRID, log_density, strict=True):  # any batch gives the same
        assert_allclose(fitted.score_samples(row[None])[0], one, rtol=1e-14)


@pytest.mark.parametrize("name", UNIVARIATE)
def test_scores_of_every_family_at_extreme_values(name):
    scored(model(name).fit(column(name)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("law", "X"), SCIPY, ids=[law.name for law, _ in SCIPY])
def test_scores_of_scipys_distributions_at_extreme_values(law, X):
    scored(MLEDensity(law).fit(X))


def test_scores_of_the_multivariate_normal_at_extreme_values():
    fitted = MLEDensity("multivariate_normal").fit(np.random.default_rng(0).normal(size=(40, 2)))
    values = fitted.score_samples(np.hstack([GRID, GRID[::-1]]))
    assert (values < np.inf).all()


def test_scores_at_extreme_values_are_right():
    """Against the formulas in logarithms of single numbers."""
    x = 1e-310
    a = 2.3
    gamma = MLEDensity("gamma", fixed={"shape": a}).fit(POSITIVE)
    s = gamma.params_["scale"]
    expected = (a - 1) * math.log(x) - a * math.log(s) - math.lgamma(a)
    assert_allclose(gamma.score_samples([[x]]), expected, rtol=1e-13)
    rayleigh = MLEDensity("rayleigh").fit(POSITIVE)
    expected = math.log(x) - 2 * math.log(rayleigh.params_["scale"])
    assert_allclose(rayleigh.score_samples([[x]]), expected, rtol=1e-13)
    x = 1e300
    wald = MLEDensity("inverse_gaussian").fit(POSITIVE)
    expected = -wald.params_["lam"] / (2 * wald.params_["mu"] ** 2) * x
    assert_allclose(wald.score_samples([[x]]), expected, rtol=1e-13)
    counts = MLEDensity("negative_binomial").fit(WHOLE)
    mu, size = counts.params_["mu"], counts.params_["size"]
    for x in (1e149, 1e151, LARGEST / 1e4):
        expected = x * math.log(mu / (mu + size))
        assert_allclose(counts.score_samples([[x]]), expected, rtol=1e-12)
    poisson = MLEDensity("poisson").fit(WHOLE)
    expected = 1e300 * (math.log(poisson.params_["mu"]) - math.log(1e300) + 1)
    assert_allclose(poisson.score_samples([[1e300]]), expected, rtol=1e-12)


SCALES = [TINIEST, 1e-310, 1e-300, 1e-200, 1e-160, 1e-100, 1e100, 1e160, 1e200, 1e300]
SCALED = [n for n in UNIVARIATE if n not in ("bernoulli", "binomial", "categorical", "beta")]
SCALED.remove("von_mises")
# parameters that stretch with the column, and one that shrinks
STRETCH = {"mu": 1, "sigma": 1, "scale": 1, "loc": 1, "lam": 1, "rate": -1}


def or_refused(call):
    """Return what the call returns, or None where it is refused in our words."""
    try:
        return call()
    except ValueError as error:
        refusal = error
    assert type(refusal) is ValueError
    assert len(str(refusal)) > 40, refusal
    return None


def numbers(values, endless=()):
    return [float(v) for name, v in values.items() if name not in endless]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", SCALED)
def test_columns_at_extreme_scales(name, scale):
    """Everything is finite, and what does not depend on the unit of the column is the same."""
    X = column(name, n=12)
    scaled = np.floor(X * max(scale, 1.0)) if name in COUNTS else X * scale
    endless = {"student_t": ["df"], "negative_binomial": ["size"]}.get(name, [])
    fitted = or_refused(lambda: model(name).fit(scaled))
    usual = name not in COUNTS and 1e-150 < scale < 1e150 and name not in ("lognormal", "pareto")
    assert not (usual and fitted is None)
    if fitted is None:
        return
    facts = [fitted.loglik_, fitted.aic(), *numbers(fitted.params_, endless)]
    facts += [*fitted.score_samples(scaled), *fitted.sample(2, random_state=0).ravel()]
    for cov in ("model", "observed", "robust"):
        errors = or_refused(lambda cov=cov: fitted.standard_errors(cov=cov, X=scaled))
        facts += numbers(errors or {}, endless)
    assert np.isfinite(facts).all()
    if name not in ("student_t", "cauchy"):  # their intervals take long, and are like others
        intervals = or_refused(fitted.confidence_intervals)
        for low, high in (intervals or {}).values():
            assert not np.isnan([low, high]).any()
        or_refused(lambda: str(fitted.summary()))
    if usual and not endless:
        _same_tests(name, X, scaled, scale)


def _same_tests(name, X, scaled, scale):
    last = list(model(name).fit(X).params_)[-1]
    null = 1.1 * model(name).fit(X).params_[last]
    there = null * scale ** STRETCH.get(last, 0)
    for test in (score_test, wald_test, likelihood_ratio_test):
        expected = test(model(name), X, {last: null}).statistic
        found = test(model(name), scaled, {last: there}).statistic
        assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["normal", "logistic", "gamma", "weibull", "inverse_gaussian"])
@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e160, 1e200])
def test_statistics_at_extreme_scales_are_right_or_refused(name, scale):
    X = column(name, n=12)
    last = list(model(name).fit(X).params_)[-1]
    null = 1.1 * model(name).fit(X).params_[last]
    for test in (score_test, wald_test, likelihood_ratio_test):
        there = {last: null * scale ** STRETCH[last]}
        found = or_refused(lambda test=test, there=there: test(model(name), X * scale, there))
        if found is not None:
            expected = test(model(name), X, {last: null}).statistic
            assert_allclose(found.statistic, expected, rtol=1e-6)


def test_squares_that_underflow_are_refused():
    """At 1e-160 the squares keep a few digits only: sigma was off by five in a hundred."""
    X = column("normal", n=12)
    for family in ("normal", "rayleigh"):
        with pytest.raises(ValueError, match="squares of columns x0 underflow; rescale"):
            MLEDensity(family).fit(np.abs(X) * 1e-160)


@pytest.mark.parametrize("mean", [1e16, 1e19, 1e100, 1e300])
def test_huge_counts(mean):
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], 20)
    X = np.floor((1 + 0.1 * rng.random((40, 2)) + classes[:, None]) * mean)
    machine = DensityClassifier(MLEDensity("poisson")).fit(X, classes)
    assert (machine.predict(X) == classes).all()
    assert np.isfinite(machine.predict_proba([[0.0, 0.0], [1e300, 5.0]])).all()
    draws = MLEDensity("poisson").fit(X[:20]).sample(500, random_state=0)
    exact = X[:20].mean(axis=0)
    assert_allclose(draws.mean(axis=0), exact, rtol=1e-6)
    if mean < 1e20:  # beyond, the standard deviation is below the spacing of float64
        assert_allclose(draws.std(axis=0), np.sqrt(exact), rtol=0.2)


@pytest.mark.parametrize(
    ("spread", "far", "reason"),
    [(1e-6, 0.0, "finds no power: values raised"), (1e-3, 5e-3, "'x0' into one: the power")],
)
def test_a_power_that_overflows_or_makes_a_column_constant_is_named(spread, far, reason):
    X = 10 + spread * np.random.default_rng(0).normal(size=(60, 1))
    X[0] += far
    pipe = DensityPipeline([("power", PowerTransformer("box-cox")), ("density", MLEDensity())])
    with pytest.raises(ValueError, match=f"^Step 'power' .*{reason} .* Standardize the columns"):
        pipe.fit(X)
