"""Tests and intervals on fitted statsmodels results, against its own refits and formulas."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, special, stats

from skgm import confidence_intervals, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.fit import full_fit
from skgm.inference._statsmodels.adapters import likelihood_model
from skgm.inference._statsmodels.tests import robust_covariance

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import statsmodels.api as sm
    from statsmodels.base.model import GenericLikelihoodModel

TESTS = [score_test, likelihood_ratio_test, wald_test]
CHI2 = stats.chi2.ppf(0.95, 1)
LINKS, FAMILIES = sm.families.links, sm.families


def quiet(fit, **options):
    """Fit without statsmodels' warnings about what the test is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit(**options)


def design(n=80, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    x[:, 2] += 0.5 * x[:, 1]
    return sm.add_constant(x), 0.3 * x[:, 0] - 0.4 * x[:, 1] + 0.2


def outcome(family, seed=1):
    """Draw from the model that the family and link describe."""
    X, eta = design()
    rng = np.random.default_rng(seed)
    mean = family.link.inverse(eta)
    draws = {
        "Gaussian": lambda: rng.normal(mean, 1.3),
        "Binomial": lambda: rng.binomial(1, mean).astype(float),
        "Poisson": lambda: rng.poisson(mean).astype(float),
        "Gamma": lambda: rng.gamma(2.0, mean / 2.0),
        "InverseGaussian": lambda: rng.wald(mean, 3.0),
        "NegativeBinomial": lambda: rng.negative_binomial(2.0, 2.0 / (2.0 + mean)).astype(float),
    }
    return X, draws[type(family).__name__]()


GLMS = {
    "gaussian": FAMILIES.Gaussian(),
    "gaussian log": FAMILIES.Gaussian(LINKS.Log()),
    "logit": FAMILIES.Binomial(),
    "probit": FAMILIES.Binomial(LINKS.Probit()),
    "cloglog": FAMILIES.Binomial(LINKS.CLogLog()),
    "poisson": FAMILIES.Poisson(),
    "gamma": FAMILIES.Gamma(LINKS.Log()),
    "inverse gaussian": FAMILIES.InverseGaussian(LINKS.Log()),
    "negative binomial": FAMILIES.NegativeBinomial(alpha=0.5),
}
glms = pytest.mark.parametrize("name", GLMS)


def fit_glm(name):
    X, y = outcome(GLMS[name])
    return X, y, quiet(sm.GLM(y, X, family=GLMS[name]).fit)


def refit(X, y, family, fixed, drop):
    """Fit without some columns, whose coefficients are held by an offset."""
    offset = X[:, drop] @ np.atleast_1d(fixed)
    kept = np.delete(X, drop, axis=1)
    return quiet(sm.GLM(y, kept, family=family, offset=offset).fit, tol=1e-13, maxiter=500)


def best_loglik(result):
    """The log-likelihood of a GLM at its coefficients, its scale found by a plain search."""
    model = result.model
    if type(model.family).__name__ in ("Binomial", "Poisson", "NegativeBinomial"):
        return model.loglike(result.params, scale=1.0)

    def minus(log_scale):
        return -model.loglike(result.params, scale=np.exp(log_scale))

    return -optimize.minimize_scalar(minus, bracket=(-3, 1), options={"xtol": 1e-10}).fun


@glms
def test_likelihood_ratio_by_refitting_with_an_offset(name):
    X, y, fit = fit_glm(name)
    null = {"x1": 0.1, "x3": -0.2}
    restricted = refit(X, y, GLMS[name], [0.1, -0.2], [1, 3])
    expected = 2 * (best_loglik(fit) - best_loglik(restricted))
    found = likelihood_ratio_test(fit, null=null)
    assert_allclose(found.statistic, expected, rtol=1e-7)
    assert_allclose(found.pvalue, stats.chi2.sf(expected, 2), rtol=1e-6)
    assert found.df == 2
    assert_allclose(
        [found.restricted_params[k] for k in ("const", "x2")], restricted.params, rtol=1e-6
    )


@glms
def test_score_test_of_statsmodels_for_omitted_columns(name):
    """Same statistic, but for the estimate of the scale: moments there, likelihood here."""
    X, y, fit = fit_glm(name)
    restricted = refit(X, y, GLMS[name], [0.0, 0.0], [1, 3])
    theirs = restricted.score_test(exog_extra=X[:, [1, 3]], observed=False, return_object=True)
    ratio = 1.0
    if name in ("gaussian", "gaussian log", "gamma", "inverse gaussian"):
        best = likelihood_model(restricted).dispersion(restricted.params)
        ratio = restricted.model.estimate_scale(restricted.predict()) / best
    found = score_test(fit, null={"x1": 0.0, "x3": 0.0})
    assert_allclose(found.statistic, theirs.statistic * ratio, rtol=1e-6)


@glms
def test_profile_limits_are_where_the_refitted_likelihood_falls_far_enough(name):
    X, y, fit = fit_glm(name)
    low, high = confidence_intervals(fit, method="profile")["x2"]
    assert low < full_fit(likelihood_model(fit)).params[2] < high
    for limit in (low, high):
        fall = 2 * (best_loglik(fit) - best_loglik(refit(X, y, GLMS[name], limit, [2])))
        assert_allclose(fall, CHI2, rtol=1e-6)


@glms
def test_score_limits_are_where_the_score_test_is_at_its_quantile(name):
    _, _, fit = fit_glm(name)
    low, high = confidence_intervals(fit, method="score", of="x2")["x2"]
    for limit in (low, high):
        assert_allclose(score_test(fit, null={"x2": limit}).statistic, CHI2, rtol=1e-9)


@glms
def test_derivatives_of_the_profiled_likelihood(name):
    """The gradient, and the curvature where the gradient vanishes, by central differences."""
    _, _, fit = fit_glm(name)
    model = likelihood_model(fit)
    best = full_fit(model).params
    for params, curvature in ((best + 0.03, False), (best, True)):
        step = 1e-4 * np.eye(4)
        gradient = [(model.loglik(params + h) - model.loglik(params - h)) / 2e-4 for h in step]
        assert_allclose(model.score(params), gradient, rtol=1e-6, atol=1e-5)
        if curvature:
            hessian = [(model.score(params + h) - model.score(params - h)) / 2e-4 for h in step]
            assert_allclose(-model.observed_information(params), hessian, rtol=1e-5, atol=1e-4)
    assert_allclose(model.score_rows(best).sum(axis=0), 0.0, atol=1e-6)


@pytest.mark.parametrize("kind", [sm.Logit, sm.Probit, sm.Poisson])
def test_discrete_models_agree_with_the_same_glm(kind):
    family = {
        sm.Logit: FAMILIES.Binomial(),
        sm.Probit: FAMILIES.Binomial(LINKS.Probit()),
        sm.Poisson: FAMILIES.Poisson(),
    }[kind]
    X, y = outcome(family)
    discrete, glm = kind(y, X).fit(disp=0), sm.GLM(y, X, family=family).fit()
    null = {"x1": 0.1, "x3": -0.2}
    for test in TESTS:
        assert_allclose(
            test(discrete, null=null).statistic, test(glm, null=null).statistic, rtol=1e-9
        )
    for robust in (score_test, wald_test):
        pair = [robust(r, null=null, robust=True).statistic for r in (discrete, glm)]
        assert_allclose(*pair, rtol=1e-9)
    theirs = discrete.wald_test("x1 = 0.1, x3 = -0.2", scalar=True, use_f=False).statistic
    assert_allclose(wald_test(discrete, null=null).statistic, theirs, rtol=1e-6)
    wald = confidence_intervals(discrete, 0.9, "wald").to_frame()
    assert_allclose(wald[["low", "high"]], discrete.conf_int(0.1), rtol=1e-6)


@pytest.mark.parametrize("kind", [sm.OLS, sm.WLS, sm.GLS])
def test_linear_models_in_closed_form(kind):
    """LR = n log(RSS0/RSS1), score = n (RSS0-RSS1)/RSS0, Wald = n (RSS0-RSS1)/RSS1."""
    X, y = outcome(FAMILIES.Gaussian())
    n = len(y)
    weights = np.random.default_rng(3).uniform(0.5, 2.0, n)
    options = {sm.OLS: {}, sm.WLS: {"weights": weights}, sm.GLS: {"sigma": 1 / weights}}[kind]
    fit = kind(y, X, **options).fit()
    shifted = y - 0.1 * X[:, 1] + 0.2 * X[:, 3]
    rss0, rss1 = kind(shifted, X[:, [0, 2]], **options).fit().ssr, fit.ssr
    expected = n * np.array([(rss0 - rss1) / rss0, np.log(rss0 / rss1), (rss0 - rss1) / rss1])
    found = [test(fit, null={"x1": 0.1, "x3": -0.2}).statistic for test in TESTS]
    assert_allclose(found, expected, rtol=1e-9)
    F = fit.f_test("x1 = 0.1, x3 = -0.2").fvalue
    assert_allclose(found[2], 2 * F * n / (n - 4), rtol=1e-9)
    exact = confidence_intervals(fit).to_frame()
    assert_allclose(exact[["low", "high"]], fit.conf_int(0.05), rtol=1e-9)
    # the profile limits: t^2 = (n - 4) (exp(chi2 / n) - 1)
    t = np.sqrt((n - 4) * np.expm1(CHI2 / n))
    profile = confidence_intervals(fit, method="profile").to_frame()
    assert_allclose(profile["high"], fit.params + t * fit.bse, rtol=1e-9)
    assert_allclose(profile["low"], fit.params - t * fit.bse, rtol=1e-9)


def test_compare_lr_test_of_statsmodels():
    X, y = outcome(FAMILIES.Gaussian())
    fit, small = sm.OLS(y, X).fit(), sm.OLS(y, X[:, :2]).fit()
    theirs = fit.compare_lr_test(small)
    for null in ({"x2": 0, "x3": 0}, small, (np.eye(4)[2:], 0.0)):
        found = likelihood_ratio_test(fit, null=null)
        assert_allclose([found.statistic, found.pvalue], theirs[:2], rtol=1e-9)
        assert found.df == theirs[2]


@pytest.mark.parametrize("name", ["poisson", "logit", "gamma"])
def test_linear_restrictions_against_constrained_fits(name):
    X, y, fit = fit_glm(name)
    constrained = sm.GLM(y, X, family=GLMS[name]).fit_constrained("x1 + x2 = 0.1, x3 = x2")
    R, q = np.array([[0, 1, 1, 0], [0, 0, -1, 1]]), np.array([0.1, 0.0])
    expected = 2 * (best_loglik(fit) - best_loglik(constrained))
    found = likelihood_ratio_test(fit, null=(R, q))
    assert_allclose(found.statistic, expected, rtol=1e-6)
    assert_allclose(list(found.restricted_params.values()), constrained.params, rtol=1e-5)
    for test in TESTS:  # the constrained fit itself may be the null
        assert_allclose(
            test(fit, null=constrained).statistic, test(fit, null=(R, q)).statistic, rtol=1e-9
        )


@pytest.mark.parametrize("test", TESTS)
def test_nested_results_with_offsets(test):
    """A model without a column, but with 0.3 times the column as offset, is the null x1 = 0.3."""
    X, y, fit = fit_glm("poisson")
    small = sm.GLM(y, X[:, [0, 2, 3]], family=FAMILIES.Poisson(), offset=0.3 * X[:, 1]).fit()
    assert_allclose(
        test(fit, null=small).statistic, test(fit, null={"x1": 0.3}).statistic, rtol=1e-9
    )
    mixed = X @ np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])  # x1 + x2 as one column
    nested = sm.GLM(y, mixed, family=FAMILIES.Poisson()).fit()
    R = [[0, 1, -1, 0], [0, 0, 0, 1]]
    found = test(fit, null=nested)
    assert_allclose(found.statistic, test(fit, null=(R, 0)).statistic, rtol=1e-9)
    assert "2 linear restrictions" in str(found)


@pytest.mark.parametrize("name", ["logit", "poisson", "probit", "gamma"])
def test_robust_wald_against_hc0(name):
    """statsmodels' HC0 takes the expected bread for GLM, which is the observed one if canonical."""
    X, y, fit = fit_glm(name)
    null = {"x1": 0.1, "x3": -0.2}
    model = likelihood_model(fit)
    params = full_fit(model).params
    bread = np.linalg.inv(model.observed_information(params))
    rows = model.score_rows(params)
    expected = bread @ rows.T @ rows @ bread
    assert_allclose(robust_covariance(model, params), expected, rtol=1e-8, atol=1e-12)
    if name in ("logit", "poisson"):
        hc0 = sm.GLM(y, X, family=GLMS[name]).fit(cov_type="HC0", tol=1e-13)
        theirs = hc0.wald_test("x1 = 0.1, x3 = -0.2", scalar=True, use_f=False).statistic
        found = wald_test(fit, null=null, robust=True).statistic
        assert_allclose(found, theirs, rtol=1e-7)


def test_robust_intervals_against_hc1():
    X, y = outcome(FAMILIES.Gaussian())
    hc1 = sm.OLS(y, X).fit(cov_type="HC1", use_t=True)
    found = confidence_intervals(sm.OLS(y, X).fit(), method="robust").to_frame()
    assert_allclose(found[["low", "high"]], hc1.conf_int(0.05), rtol=1e-9)


def test_robust_score_of_one_sample():
    """A Poisson mean: the robust score statistic is n^2 (mean - m)^2 / sum (x - m)^2."""
    x = np.random.default_rng(4).negative_binomial(2, 0.4, size=50).astype(float)
    fit = sm.GLM(x, np.ones(50), family=FAMILIES.Poisson()).fit()
    found = score_test(fit, null={"const": np.log(2.5)}, robust=True)
    # observed information at the null: the bread cancels for one parameter
    assert_allclose(found.statistic, (x - 2.5).sum() ** 2 / ((x - 2.5) ** 2).sum(), rtol=1e-10)


@pytest.mark.parametrize("name", ["poisson", "gamma", "gaussian"])
def test_frequency_weights_are_repetitions(name):
    X, y = outcome(GLMS[name])
    count = np.random.default_rng(5).integers(0, 4, len(y))
    weighted = sm.GLM(y, X, family=GLMS[name], freq_weights=count).fit(tol=1e-12)
    repeated = sm.GLM(np.repeat(y, count), np.repeat(X, count, axis=0), family=GLMS[name]).fit()
    for method in ("profile", "score", "wald", "robust"):
        pair = [confidence_intervals(r, method=method).to_frame() for r in (weighted, repeated)]
        assert_allclose(*(p[["low", "high"]] for p in pair), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["gamma", "gaussian", "inverse gaussian"])
def test_dispersion_with_variance_weights_is_the_maximum(name):
    X, y = outcome(GLMS[name])
    weights = np.random.default_rng(6).uniform(0.3, 3.0, len(y))
    fit = sm.GLM(y, X, family=GLMS[name], var_weights=weights).fit()
    model = likelihood_model(fit)
    assert_allclose(model.loglik(fit.params), best_loglik(fit), rtol=1e-10)


def test_binomial_likelihood_with_trials_does_not_use_the_shared_family():
    """statsmodels keeps the trials in the family object, where a second model overwrites them."""
    X, eta = design()
    rng = np.random.default_rng(7)
    trials = rng.integers(1, 9, len(eta))
    successes = rng.binomial(trials, 1 / (1 + np.exp(-eta)))
    family = FAMILIES.Binomial()
    fit = sm.GLM(np.column_stack([successes, trials - successes]), X, family=family).fit()
    expected = stats.binom.logpmf(successes, trials, fit.predict()).sum()
    sm.GLM((successes > 0).astype(float), X, family=family)
    assert_allclose(likelihood_model(fit).loglik(fit.params), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["logit", "poisson", "gamma", "gaussian"])
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_a_column_do_not_matter(name, unit):
    X, y, fit = fit_glm(name)
    scaled = X.copy()
    scaled[:, 1] *= unit
    other = sm.GLM(y, scaled, family=GLMS[name]).fit()
    low, high = confidence_intervals(fit, method="profile", of="x1")["x1"]
    found = confidence_intervals(other, method="profile", of="x1")["x1"]
    assert_allclose(np.array(found) * unit, [low, high], rtol=1e-7)


@pytest.mark.parametrize("shift", [1e3, 1e5])
@pytest.mark.parametrize("name", ["logit", "poisson", "gaussian"])
def test_a_column_far_from_zero_costs_few_digits(name, shift):
    """Nearly collinear with the constant: nothing about the slope changes."""
    X, y, fit = fit_glm(name)
    shifted = X.copy()
    shifted[:, 1] += shift
    other = quiet(sm.GLM(y, shifted, family=GLMS[name]).fit)
    for method in ("profile", "score", "wald"):
        low, high = confidence_intervals(fit, method=method, of="x1")["x1"]
        found = confidence_intervals(other, method=method, of="x1")["x1"]
        assert_allclose(found, [low, high], rtol=1e-8)
    found = score_test(other, null={"x1": 0.1}).statistic
    assert_allclose(found, score_test(fit, null={"x1": 0.1}).statistic, rtol=1e-8)


def test_linear_combinations():
    """The interval of x1 - x2 is that of a coefficient after a change of columns."""
    X, y, fit = fit_glm("poisson")
    changed = np.column_stack([X[:, 0], X[:, 1], X[:, 1] + X[:, 2], X[:, 3]])
    other = sm.GLM(y, changed, family=FAMILIES.Poisson()).fit()  # x1 there is x1 - x2
    for method in ("profile", "score", "wald"):
        found = confidence_intervals(fit, method=method, of={"gap": {"x1": 1, "x2": -1}})
        expected = confidence_intervals(other, method=method, of="x1")
        assert_allclose(found["gap"], expected["x1"], rtol=1e-8)


def test_functions_of_the_parameters():
    """A monotone function maps the limits; a ratio is found by the linear null of its value."""
    _, _, fit = fit_glm("poisson")
    x1, x2 = (np.array(confidence_intervals(fit, of=k)[k]) for k in ("x1", "x2"))
    found = confidence_intervals(
        fit,
        of={
            "ratio of rates": lambda p: np.exp(p["x1"]),
            "cube": lambda p: p["x2"] ** 3,
            "x1 / x2": lambda p: p["x1"] / p["x2"],
        },
    )
    assert_allclose(found["ratio of rates"], np.exp(x1), rtol=1e-8)
    assert_allclose(found["cube"], x2**3, rtol=1e-8)
    for limit in found["x1 / x2"]:  # x1 / x2 = r is the linear restriction x1 - r x2 = 0
        ratio = likelihood_ratio_test(fit, null=([0, 1, -limit, 0], 0))
        assert_allclose(ratio.statistic, CHI2, rtol=1e-8)
    covariance = np.asarray(fit.cov_params())
    b = np.asarray(fit.params)
    slope = np.array([0, 1 / b[2], -b[1] / b[2] ** 2, 0])
    low, high = confidence_intervals(fit, method="wald", of=lambda p: p["x1"] / p["x2"])["of"]
    error = np.sqrt(slope @ covariance @ slope)
    assert_allclose((high - low) / 2, stats.norm.ppf(0.975) * error, rtol=1e-6)


def test_a_product_is_at_its_limit_a_constrained_maximum():
    """Checked by a general optimizer with the product held by an equality constraint."""
    _, _, fit = fit_glm("logit")
    for limit in confidence_intervals(fit, of={"f": lambda p: p["x1"] * p["x2"]})["f"]:
        best = optimize.minimize(
            lambda b: -fit.model.loglike(b),
            fit.params,
            jac=lambda b: -fit.model.score(b),
            constraints={"type": "eq", "fun": lambda b, v=limit: b[1] * b[2] - v},
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        assert_allclose(2 * (fit.llf + best.fun), CHI2, rtol=1e-6)


@pytest.mark.parametrize("test", TESTS)
def test_one_sided(test):
    """The signed root is standard normal; statsmodels' z is that of the Wald test."""
    _, _, fit = fit_glm("poisson")
    for value, above in ((-1.0, True), (1.0, False)):
        both = test(fit, None, {"x1": value})
        greater, less = (test(fit, None, {"x1": value}, alternative=a) for a in ("greater", "less"))
        assert_allclose(greater.statistic**2, both.statistic)
        assert (greater.statistic > 0) == above
        assert_allclose(greater.pvalue, stats.norm.sf(greater.statistic))
        assert_allclose(greater.pvalue + less.pvalue, 1.0)
    z = (fit.params[1] - 0.1) / fit.bse[1]
    found = wald_test(fit, null={"x1": 0.1}, alternative="less")
    assert_allclose(found.statistic, z, rtol=1e-5)


def test_names_of_data_frames():
    pd = pytest.importorskip("pandas")
    X, y = outcome(GLMS["poisson"])
    frame = pd.DataFrame(X, columns=["one", "dose", "age", "sex"])
    named = sm.GLM(pd.Series(y), frame, family=FAMILIES.Poisson()).fit()
    _, _, plain = fit_glm("poisson")
    assert list(confidence_intervals(named)) == ["one", "dose", "age", "sex"]
    found = score_test(named, null={"dose": 0.1})
    assert_allclose(found.statistic, score_test(plain, null={"x1": 0.1}).statistic, rtol=1e-12)
    assert list(found.restricted_params) == ["one", "dose", "age", "sex"]


# --- negative binomial -------------------------------------------------------------------------


def counts(size=1.5, n=80):
    X, eta = design(n)
    rng = np.random.default_rng(8)
    mean = np.exp(eta + 0.5)
    return X[:, :2], rng.negative_binomial(size, size / (size + mean)).astype(float)


@pytest.mark.parametrize("model", [sm.NegativeBinomial, sm.NegativeBinomialP])
def test_negative_binomial_by_direct_maximization(model):
    X, y = counts()
    fit = quiet(model(y, X).fit, disp=0, maxiter=500)

    def minus(free, fixed):
        intercept, slope, log_alpha = np.insert(free, 1, fixed) if len(free) == 2 else free
        size, mean = np.exp(-log_alpha), np.exp(intercept + slope * X[:, 1])
        return -stats.nbinom.logpmf(y, size, size / (size + mean)).sum()

    def best(fixed=None, start=(1.0, -0.5)):
        start = [0.5, 0.3, -0.5] if fixed is None else start
        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
        found = optimize.minimize(minus, start, (fixed,), method="Nelder-Mead", options=options)
        return -found.fun

    highest = best()
    found = likelihood_ratio_test(fit, null={"x1": 0.0})
    assert_allclose(found.statistic, 2 * (highest - best(0.0)), rtol=1e-6)
    for limit in confidence_intervals(fit, of="x1")["x1"]:
        assert_allclose(2 * (highest - best(limit)), CHI2, rtol=1e-6)


def test_overdispersion_at_zero_is_the_low_end():
    """Where even zero overdispersion is not rejected, the interval starts there."""
    X, y = counts(size=9.0, n=40)
    fit = quiet(sm.NegativeBinomial(y, X).fit, disp=0, maxiter=500)
    poisson = sm.Poisson(y, X).fit(disp=0)
    ratio = likelihood_ratio_test(fit, null=poisson)
    assert "alpha = 0" in str(ratio)
    low, high = confidence_intervals(fit, of="alpha")["alpha"]
    assert 0 < ratio.statistic < CHI2
    assert low == 0.0 < high < np.inf
    assert_allclose(ratio.statistic, 2 * (fit.llf - poisson.llf), rtol=1e-5)
    assert_allclose(ratio.pvalue, stats.chi2.sf(ratio.statistic, 1) / 2)
    with pytest.raises(ValueError, match="edge of the parameter space"):
        likelihood_ratio_test(fit, null={"alpha": 0.0})


def test_no_overdispersion_is_refused():
    X, _ = design(60)
    y = np.random.default_rng(9).binomial(6, 0.5, 60).astype(float)
    fit = quiet(sm.NegativeBinomial(y, X).fit, disp=0)
    with pytest.raises(ValueError, match=r"not overdispersed.*Fit a Poisson"):
        confidence_intervals(fit)


# --- GenericLikelihoodModel --------------------------------------------------------------------


class GammaModel(GenericLikelihoodModel):
    def __init__(self, endog, **options):
        super().__init__(endog, np.ones(len(endog)), extra_params_names=["scale"], **options)
        self.exog_names[0] = "shape"

    def loglikeobs(self, params):
        return stats.gamma.logpdf(self.endog, params[0], scale=params[1])


def gamma_fit(unit=1.0, n=60):
    x = np.random.default_rng(10).gamma(2.3, 1.7, n) * unit
    options = {"ftol": 1e-11, "maxiter": 5000, "disp": 0}
    return x, quiet(GammaModel(x).fit, start_params=[2.0, unit], **options)


def gamma_profile(x, shape):
    """Profile log-likelihood of the shape: the scale is mean / shape."""
    return stats.gamma.logpdf(x, shape, scale=x.mean() / shape).sum()


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_generic_model_at_any_scale_against_the_closed_profile(unit):
    """statsmodels' own standard errors are NaN at the small unit."""
    x, fit = gamma_fit(unit)
    best = optimize.minimize_scalar(
        lambda a: -gamma_profile(x, a), bounds=(0.3, 20), method="bounded", options={"xatol": 1e-10}
    )
    found = confidence_intervals(fit)
    assert_allclose(found.estimate["shape"], best.x, rtol=1e-7)
    for limit in found["shape"]:
        assert_allclose(2 * (-best.fun - gamma_profile(x, limit)), CHI2, rtol=1e-8)
    ratio = likelihood_ratio_test(fit, null={"shape": 1.5})
    assert_allclose(ratio.statistic, 2 * (-best.fun - gamma_profile(x, 1.5)), rtol=1e-8)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_generic_standard_errors_are_those_of_the_information(unit):
    x, fit = gamma_fit(unit)
    model = likelihood_model(fit)
    shape, scale = full_fit(model).params
    n = len(x)
    information = n * np.array(
        [[special.polygamma(1, shape), 1 / scale], [1 / scale, shape / scale**2]]
    )
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    wald = confidence_intervals(fit, method="wald")
    found = [(wald.high[k] - wald.low[k]) / 2 / stats.norm.ppf(0.975) for k in wald]
    assert_allclose(found, errors, rtol=1e-7)
    scale0 = x.mean() / 1.5
    U = np.sum(np.log(x / scale0)) - n * special.psi(1.5)
    variance = n * (special.polygamma(1, 1.5) - 1 / 1.5)
    # observed and expected information agree at the restricted estimate of this family
    found = score_test(fit, null={"shape": 1.5}).statistic
    assert_allclose(found, U**2 / variance, rtol=1e-7)
    expected = ((shape - 1.5) / errors[0]) ** 2
    assert_allclose(wald_test(fit, null={"shape": 1.5}).statistic, expected, rtol=1e-6)


def test_generic_robust_is_the_sandwich_of_analytic_scores():
    x, fit = gamma_fit()
    shape, scale = full_fit(likelihood_model(fit)).params
    n = len(x)
    rows = np.column_stack([np.log(x / scale) - special.psi(shape), x / scale**2 - shape / scale])
    information = n * np.array(
        [[special.polygamma(1, shape), 1 / scale], [1 / scale, shape / scale**2]]
    )
    bread = np.linalg.inv(information)
    variance = (bread @ rows.T @ rows @ bread)[0, 0]
    found = wald_test(fit, null={"shape": 1.5}, robust=True).statistic
    assert_allclose(found, (shape - 1.5) ** 2 / variance, rtol=1e-6)


def test_generic_regression_agrees_with_glm():
    """A Poisson likelihood of one's own, with numbers as names, against the GLM."""
    X, y, glm = fit_glm("poisson")

    class Own(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return stats.poisson.logpmf(self.endog, np.exp(self.exog @ params))

    own = quiet(Own(y, X).fit, start_params=np.zeros(4), method="bfgs", disp=0)
    null = {"x1": 0.1, "x3": -0.2}
    for test in TESTS:
        assert_allclose(test(own, null=null).statistic, test(glm, null=null).statistic, rtol=1e-6)
    pair = [confidence_intervals(r).to_frame()[["low", "high"]] for r in (own, glm)]
    assert_allclose(*pair, rtol=1e-7)


def test_nested_generic_model():
    x, fit = gamma_fit()

    class Exponential(GenericLikelihoodModel):
        def loglikeobs(self, params):
            return stats.expon.logpdf(self.endog, scale=params[0])

    small = quiet(Exponential(x, np.ones(len(x))).fit, start_params=[2.0], disp=0)
    with pytest.raises(ValueError, match="one class"):
        likelihood_ratio_test(fit, null=small)
    with pytest.raises(ValueError, match="restricts nothing"):
        likelihood_ratio_test(fit, null=fit)


def test_nested_generic_regressions():
    from statsmodels.miscmodels.count import PoissonGMLE

    X, y, glm = fit_glm("poisson")
    full, small, other = (
        quiet(PoissonGMLE(y, columns).fit, disp=0, maxiter=2000)
        for columns in (X, X[:, :2], np.column_stack([X[:, 0], X[:, 1] ** 2]))
    )
    found = likelihood_ratio_test(full, null=small)
    expected = likelihood_ratio_test(glm, null={"x2": 0, "x3": 0})
    assert_allclose([found.statistic, found.df], [expected.statistic, 2], rtol=1e-8)
    assert "free parameters = 2" in str(found)
    with pytest.raises(ValueError, match="not nested"):
        likelihood_ratio_test(full, null=other)
    with pytest.raises(ValueError, match="allows the likelihood-ratio test only"):
        score_test(full, null=small)


@pytest.mark.slow
def test_coverage_of_the_profile_interval_of_a_logit_slope():
    """n = 40, 4000 replications: 95 % within 4 standard errors of .0034, and half a point of bias.

    Samples that are separated have no interval; they are rare here and left out.
    """
    rng = np.random.default_rng(11)
    X = sm.add_constant(np.linspace(-1.7, 1.7, 40))
    hits = []
    for _ in range(4000):
        y = (rng.uniform(size=40) < 1 / (1 + np.exp(-(0.2 + 0.8 * X[:, 1])))).astype(float)
        fit = quiet(sm.Logit(y, X).fit, disp=0)
        low, high = confidence_intervals(fit, of="x1")["x1"]
        hits.append(low <= 0.8 <= high)
    assert abs(np.mean(hits) - 0.95) < 4 * 0.0034 + 0.005


def test_zero_inflated_counts_and_multinomial_outcomes():
    X, eta = design(120)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.3, 0, rng.poisson(np.exp(0.7 + eta)))
    X, ones = X[:, :2], np.ones((120, 1))
    options = {"disp": 0, "method": "bfgs", "maxiter": 500}
    fit = quiet(sm.ZeroInflatedPoisson(y, X, exog_infl=ones).fit, **options)
    small = quiet(sm.ZeroInflatedPoisson(y, ones, exog_infl=ones).fit, **options)
    ratio = likelihood_ratio_test(fit, None, {"x1": 0})
    assert_allclose(ratio.statistic, 2 * (fit.llf - small.llf), rtol=1e-4)
    assert_allclose(likelihood_ratio_test(fit, None, small).statistic, ratio.statistic, rtol=1e-6)
    assert_allclose(score_test(fit, None, {"x1": 0}).statistic, ratio.statistic, rtol=0.2)
    # statsmodels' own Hessian of this model is off by a per cent: differences of its score
    steps = 1e-5 * np.eye(3)
    slopes = [(fit.model.score(fit.params + h) - fit.model.score(fit.params - h)) for h in steps]
    variance = np.linalg.inv(-np.array(slopes) / 2e-5)[2, 2]
    wald = wald_test(fit, None, {"x1": 0})
    assert_allclose(wald.statistic, fit.params[2] ** 2 / variance, rtol=1e-3)
    low, high = confidence_intervals(fit)["x1"]
    assert low < fit.params[2] < high

    k = rng.integers(0, 3, 120)
    many, plain = (quiet(sm.MNLogit(k, Z).fit, disp=0) for Z in (X, ones))
    both = likelihood_ratio_test(many, None, "x1[1] = 0, x1[2] = 0")
    assert_allclose(both.statistic, 2 * (many.llf - plain.llf), rtol=1e-6)
    assert likelihood_ratio_test(many, None, plain).df == both.df == 2
    wald = wald_test(many, None, {"x1[2]": 0})
    assert_allclose(wald.statistic, many.tvalues[1, 1] ** 2, rtol=1e-5)
