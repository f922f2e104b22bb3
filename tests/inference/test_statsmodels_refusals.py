"""What is refused of statsmodels results, each with its reason."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity, confidence_intervals, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.separation import is_separated
from skgm.inference._statsmodels.adapters import is_statsmodels_result
from tests.inference.test_statsmodels_results import (
    FAMILIES,
    GLMS,
    GenericLikelihoodModel,
    gamma_fit,
    outcome,
    quiet,
    sm,
)

FULL = [likelihood_ratio_test, wald_test]


def poisson_data():
    return outcome(GLMS["poisson"])


class LaplaceModel(GenericLikelihoodModel):
    def __init__(self, endog, **options):
        super().__init__(endog, np.ones(len(endog)), extra_params_names=["scale"], **options)

    def loglikeobs(self, params):
        return stats.laplace.logpdf(self.endog, params[0], params[1])


@pytest.mark.parametrize("n", [10, 11, 100, 101, 2000, 2001])
def test_a_kinked_likelihood_is_refused(n):
    """statsmodels reports a standard error that is wrong several times over, or NaN."""
    x = np.random.default_rng(n).laplace(size=n)
    fit = quiet(LaplaceModel(x).fit, start_params=[0.1, 1.0], disp=0, maxiter=2000)
    truth = 1 / np.sqrt(n)
    assert not 0.5 * truth < fit.bse[0] < 2 * truth
    for method in ("wald", "profile", "score", "robust"):
        with pytest.raises(ValueError, match="not smooth in 'const'"):
            confidence_intervals(fit, method=method)
    for test in (score_test, *FULL):
        with pytest.raises(ValueError, match="not smooth in 'const'"):
            test(fit, null={"const": 0.0})


@pytest.mark.parametrize("n", [5, 50, 2000])
def test_smooth_likelihoods_pass_the_check_for_kinks(n):
    """Skewed, heavy-tailed, peaked: curvature changes over a step, but not as at a kink."""

    class StudentModel(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return stats.t.logpdf(self.endog, 1.5, params[0], params[1])

    x = np.random.default_rng(n).standard_t(1.5, size=n)
    model = StudentModel(x, np.ones(n), extra_params_names=["scale"])
    fit = quiet(model.fit, start_params=[np.median(x), 1.0], disp=0, maxiter=5000)
    intervals = confidence_intervals(fit)
    assert all(intervals.low[k] < intervals.estimate[k] < intervals.high[k] for k in intervals)


@pytest.mark.parametrize(
    ("y", "separated"),
    [([0, 0, 1, 1], True), ([0, 1, 0, 1], False), ([0, 0, 0, 0], True), ([0, 1, 1, 0], False)],
)
def test_separation_of_four_points_on_a_line(y, separated):
    line = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    assert is_separated(line, np.where(np.array(y) == 1, 1, -1)) == separated


def test_quasi_separation_on_a_tie():
    line = np.column_stack([np.ones(4), [0.0, 1.0, 1.0, 2.0]])
    assert is_separated(line, np.array([-1, -1, 1, 1]))


def test_fits_that_are_not_maxima():
    X, y = outcome(GLMS["logit"])
    with pytest.raises(ValueError, match=r"did not converge.*maxiter"):
        confidence_intervals(quiet(sm.Logit(y, X).fit, disp=0, maxiter=1))
    fit = sm.Logit(y, X).fit(disp=0)
    fit._results.params = fit._results.params + 0.3
    with pytest.raises(ValueError, match="not at the maximum"):
        confidence_intervals(fit)
    regularized = quiet(sm.Logit(y, X).fit_regularized, disp=0, alpha=1.0)
    with pytest.raises(ValueError, match="regularized"):
        confidence_intervals(regularized)
    with pytest.raises(ValueError, match="regularized"):
        likelihood_ratio_test(sm.Logit(y, X).fit(disp=0), null=regularized)
    glm = sm.GLM(y, X, family=FAMILIES.Binomial())
    with pytest.raises(ValueError, match="regularized"):
        confidence_intervals(glm.fit_regularized(alpha=0.1))
    with pytest.raises(ValueError, match="under constraints"):
        confidence_intervals(glm.fit_constrained("x1 = 0"))
    with pytest.raises(ValueError, match="regularized"):
        score_test(sm.OLS(y, X).fit_regularized(alpha=0.1), null={"x1": 0})


def test_models_without_a_likelihood():
    X, y = poisson_data()
    groups = np.arange(len(y)) // 4
    for model, reason in (
        (sm.RLM(y, X), "estimating equations"),
        (sm.QuantReg(y, X), "quantile loss"),
        (sm.GEE(y, X, groups=groups), "estimating equations"),
        (sm.GLSAR(y, X), "outside the likelihood"),
        (sm.MixedLM(y, X, groups=groups), "variance components"),
    ):
        fit = quiet(model.fit)
        assert is_statsmodels_result(fit)
        with pytest.raises(ValueError, match=f"{type(model).__name__} is not supported.*{reason}"):
            wald_test(fit, null={"x1": 0})
    glm = sm.GLM(y, X, family=FAMILIES.Poisson())
    with pytest.raises(ValueError, match=r"quasi-likelihood.*robust=True"):
        confidence_intervals(glm.fit(scale="X2"))
    with pytest.raises(ValueError, match="Tweedie"):
        confidence_intervals(sm.GLM(y + 1, X, family=FAMILIES.Tweedie()).fit())


def test_a_changed_likelihood_of_a_known_class_is_refused():
    class Odd(sm.Poisson):
        def loglike(self, params):
            return super().loglike(params) - params @ params

    X, y = poisson_data()
    with pytest.raises(ValueError, match="Odd is not supported"):
        confidence_intervals(Odd(y, X).fit(disp=0))


def test_degenerate_designs():
    X, y = poisson_data()
    with pytest.raises(ValueError, match="collinear"):
        confidence_intervals(quiet(sm.OLS(y, np.column_stack([X, X[:, 1]])).fit))
    with pytest.raises(ValueError, match="exactly"):
        confidence_intervals(sm.OLS(X @ [1.0, 2.0, 3.0, 4.0], X).fit())
    with pytest.raises(ValueError, match="weights must be positive"):
        confidence_intervals(quiet(sm.WLS(y, X, weights=np.arange(len(y))).fit))
    fit = sm.OLS(y, X).fit()
    fit.remove_data()
    with pytest.raises(ValueError, match="lost its data"):
        confidence_intervals(fit)


def test_generic_models_that_failed():
    x, _ = gamma_fit()

    class Bernoulli(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return self.endog * np.log(params[0]) + (1 - self.endog) * np.log1p(-params[0])

    ones = np.repeat([1.0, 0.0], [3, 7])
    fit = quiet(Bernoulli(ones, np.ones(10)).fit, start_params=[0.5], disp=0)
    assert_allclose(likelihood_ratio_test(fit, null={"const": 0.5}).statistic, 1.6457, atol=1e-4)
    fit.params = np.array([-819.0])  # what bfgs returns for these data
    with pytest.raises(ValueError, match="not finite at the estimate"):
        confidence_intervals(fit)
    all_ones = quiet(Bernoulli(np.ones(10), np.ones(10)).fit, start_params=[0.5], disp=0)
    with pytest.raises(ValueError, match=r"edge of the parameter space|not finite|not smooth"):
        confidence_intervals(all_ones)

    def total(params):
        return stats.norm.logpdf(x, params[0], params[1]).sum()

    model = GenericLikelihoodModel(x, np.ones(len(x)), loglike=total, extra_params_names=["sd"])
    fit = quiet(model.fit, start_params=[4.0, 2.0], disp=0, maxiter=2000)
    assert wald_test(fit, null={"const": 4.0}).statistic >= 0
    with pytest.raises(ValueError, match="loglikeobs or nloglikeobs"):
        confidence_intervals(fit, method="robust")


def test_nulls():
    X, y = poisson_data()
    fit = sm.Poisson(y, X).fit(disp=0)
    for null, reason in (
        ({"x9": 0}, r"unknown parameters \['x9'\]"),
        ({}, "restricts nothing"),
        ({"x1": np.nan}, "finite"),
        ({"x1": "a"}, "number"),
        (0.0, "dict from parameter names"),
        ((np.ones((1, 3)), 0), r"one column per parameter \(4"),
        ((np.eye(4)[:2], [0, 0, 0]), "one entry per row"),
        ((np.ones((2, 4)), 0), "linearly dependent"),
        ((np.eye(4)[:1], np.inf), "finite"),
    ):
        with pytest.raises(ValueError, match=reason):
            score_test(fit, null=null)


def test_arguments_of_tests():
    X, y = poisson_data()
    fit = sm.Poisson(y, X).fit(disp=0)
    for test in (score_test, *FULL):
        with pytest.raises(ValueError, match="its data and weights are in it"):
            test(fit, X, {"x1": 0})
        with pytest.raises(ValueError, match="its data and weights are in it"):
            test(fit, null={"x1": 0}, sample_weight=y)
        with pytest.raises(ValueError, match="alternative must be one of"):
            test(fit, null={"x1": 0}, alternative="left")
        with pytest.raises(ValueError, match="needs a null with one restriction"):
            test(fit, null={"x1": 0, "x2": 0}, alternative="less")
    with pytest.raises(ValueError, match="correction must be None"):
        likelihood_ratio_test(fit, null={"x1": 0}, correction="bartlett")


def test_nested_models_that_are_not():
    X, y = poisson_data()
    fit = sm.GLM(y, X, family=FAMILIES.Poisson()).fit()
    other = np.random.default_rng(1).normal(size=len(y))
    for small, reason in (
        (sm.GLM(y[:-1], X[:-1, :2], family=FAMILIES.Poisson()).fit(), "other outcomes"),
        (sm.GLM(y[::-1], X[::-1, :2], family=FAMILIES.Poisson()).fit(), "other outcomes"),
        (sm.GLM(y, other, family=FAMILIES.Poisson()).fit(), "not nested"),
        (sm.GLM(y, X[:, :2], family=FAMILIES.Poisson(), offset=other).fit(), "not nested"),
        (sm.GLM(y, X[:, :2], family=FAMILIES.Gaussian()).fit(), "differ in family"),
        (sm.GLM(y, X[:, :2], family=FAMILIES.Poisson(), var_weights=y + 1).fit(), "var_weights"),
        (sm.OLS(y, X[:, :2]).fit(), "one class"),
        (fit, "restricts nothing"),
    ):
        with pytest.raises(ValueError, match=reason):
            likelihood_ratio_test(fit, null=small)
    with pytest.raises(ValueError, match="not nested"):
        likelihood_ratio_test(sm.GLM(y, X[:, :2], family=FAMILIES.Poisson()).fit(), null=fit)


def test_arguments_of_intervals():
    X, y = poisson_data()
    fit = sm.Poisson(y, X).fit(disp=0)
    with pytest.raises(ValueError, match="level must lie"):
        confidence_intervals(fit, 95)
    with pytest.raises(ValueError, match="method must be one of"):
        confidence_intervals(fit, method="rstar")
    with pytest.raises(ValueError, match="linear models"):
        confidence_intervals(fit, method="exact")
    for function, reason in (
        (lambda p: 3.0, "smooth function"),
        (lambda p: np.log(-abs(p["x1"])), "smooth function"),
        (lambda p: p["x9"], "unknown parameter 'x9'"),
        ({"sum": {"x9": 1}}, "unknown parameters"),
        ({"sum": {"x1": 0}}, "not all zero"),
    ):
        with np.errstate(all="ignore"), pytest.raises(ValueError, match=reason):
            confidence_intervals(fit, of=function)
    with pytest.raises(TypeError, match="one number"):
        confidence_intervals(fit, of=lambda p: np.ones(2) * p["x1"])
    with pytest.raises(ValueError, match="unknown parameters"):
        confidence_intervals(fit, of="z")
    with pytest.raises(TypeError, match="its data are in it"):
        confidence_intervals(fit, X=X)
    with pytest.raises(TypeError, match="fitted estimator"):
        confidence_intervals(3.0)
    own = MLEDensity("poisson").fit(y[:, None])
    assert confidence_intervals(own, 0.9) == own.confidence_intervals(0.9)
    assert not is_statsmodels_result(own)
    assert not is_statsmodels_result(sm.Poisson(y, X))


@pytest.mark.parametrize("test", [score_test, likelihood_ratio_test, wald_test])
def test_events_are_refused_not_ignored(test):
    X, y = poisson_data()
    fitted = sm.Poisson(y, X).fit(disp=0)
    with pytest.raises(ValueError, match="event must be None for a statsmodels result"):
        test(fitted, null={"const": 0.0}, event=np.ones(len(y)))
