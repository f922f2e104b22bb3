"""`information_criteria`: against statsmodels, numerical derivatives, and analytic penalties."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from statsmodels.tools import eval_measures

from skgm import MLEDensity, ScoreMatchingGaussian, information_criteria
from skgm.inference._parametric import ParametricDensity
from skgm.inference.families._extreme_value import Gumbel

RNG = np.random.default_rng(0)
POSITIVE = RNG.gamma(2.0, 3.0, size=(40, 2))
COUNTS = RNG.poisson(3.0, size=(40, 2)).astype(float)
BITS = RNG.integers(0, 2, size=(40, 2)).astype(float)
TABLES = {
    "normal": POSITIVE,
    "exponential": POSITIVE,
    "poisson": COUNTS,
    "bernoulli": BITS,
    "multivariate_normal": POSITIVE,
}


@pytest.mark.parametrize("family", TABLES)
def test_agrees_with_statsmodels_and_with_the_methods(family):
    X = TABLES[family]
    model = MLEDensity(family).fit(X)
    found = information_criteria(model)
    k = {"normal": 4, "multivariate_normal": 5}.get(family, 2)
    expected = [getattr(eval_measures, c)(model.loglik_, 40, k) for c in ("aic", "aicc", "bic")]
    assert_allclose([found.aic, found.aicc, found.bic], expected, rtol=1e-12)
    assert_allclose([found.aic, found.bic], [model.aic(), model.bic()], rtol=1e-14)
    assert (found.n_params, found.n, found.loglik) == (k, 40, model.loglik_)
    assert found.tic is None
    assert found.penalty is None


def numeric_penalty(log_density, theta, X, weight):
    """tr(J^-1 K) by central differences of `log_density(theta)`, (n,), with steps theta h."""
    h = 1e-3 * np.maximum(np.abs(theta), 0.1)
    unit = np.diag(h)
    gradient = np.stack(
        [(log_density(theta + e) - log_density(theta - e)) / (2 * e.sum()) for e in unit], axis=1
    )
    k = len(theta)
    hessian = np.empty((k, k))
    for i, e in enumerate(unit):
        for j, f in enumerate(unit):
            corners = [log_density(theta + s * e + t * f) * s * t for s in (1, -1) for t in (1, -1)]
            hessian[i, j] = weight @ sum(corners) / (4 * h[i] * h[j])
    outer = (gradient * weight[:, None]).T @ gradient
    return np.trace(np.linalg.solve(-hessian, outer))


def densities():
    """Name, model and the log-density as a function of the flat parameter vector, from scipy."""
    d = POSITIVE.shape[1]

    def normal(theta, X):
        return stats.norm.logpdf(X, theta[:d], theta[d:]).sum(axis=1)

    def gaussian(theta, X):
        covariance = np.array([[theta[2], theta[3]], [theta[3], theta[4]]])
        return stats.multivariate_normal.logpdf(X, theta[:2], covariance)

    def diagonal(theta, X):
        return stats.norm.logpdf(X, theta[:d], np.sqrt(theta[d:])).sum(axis=1)

    def spherical(theta, X):
        return stats.norm.logpdf(X, theta[:d], np.sqrt(theta[d])).sum(axis=1)

    def gumbel(theta, X):
        return stats.gumbel_r.logpdf(X, theta[:d], theta[d:]).sum(axis=1)

    yield "normal", MLEDensity("normal"), normal
    yield "gumbel", MLEDensity(Gumbel()), gumbel  # observed and expected information differ
    yield "mvn", MLEDensity("mvn"), gaussian
    yield "full", ScoreMatchingGaussian(), gaussian
    yield "diag", ScoreMatchingGaussian("diag"), diagonal
    yield "spherical", ScoreMatchingGaussian("spherical"), spherical


CASES = list(densities())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("model", "log_density"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_penalty_of_tic_is_that_of_numerical_derivatives(model, log_density, weighted):
    X = POSITIVE
    weight = RNG.integers(0, 4, len(X)).astype(float) if weighted else np.ones(len(X))
    model.fit(X, sample_weight=weight)
    parts = [np.atleast_1d(v) for v in model.params_.values()]
    theta = np.concatenate([v[np.tril_indices(2)] if v.ndim == 2 else v for v in parts])
    found = information_criteria(model, X, sample_weight=weight)
    # central differences with a relative step of 1e-3 have a relative error of about 1e-6
    expected = numeric_penalty(lambda t: log_density(t, X), theta, X, weight)
    assert_allclose(found.penalty, expected, rtol=1e-4)
    assert_allclose(found.tic, 2 * found.penalty - 2 * model.loglik_, rtol=1e-14)
    assert found.n_params == len(theta)
    assert_allclose(found.loglik, weight @ log_density(theta, X), rtol=1e-12)


def test_fixed_parameters_are_not_counted():
    """Normal with known mean: psi = (z^2 - 1) / sigma, J = 2 / sigma^2: J^-1 K = Var(z^2) / 2."""
    model = MLEDensity("normal", fixed={"mu": 5.0}).fit(POSITIVE)
    found = information_criteria(model, POSITIVE)
    assert found.n_params == 2
    sigma = np.sqrt(np.mean((POSITIVE - 5.0) ** 2, axis=0))
    expected = np.sum(np.var(((POSITIVE - 5.0) / sigma) ** 2, axis=0)) / 2
    assert_allclose(found.penalty, expected, rtol=1e-10)
    assert_allclose(found.loglik, stats.norm.logpdf(POSITIVE, 5.0, sigma).sum(), rtol=1e-12)
    assert_allclose(found.aic, model.aic(), rtol=1e-14)


def test_penalty_of_an_exponential_fit_is_the_squared_coefficient_of_variation():
    """psi = 1/rate - x and J = 1/rate^2, so tr(J^-1 K) = Var(x) / mean(x)^2, 1/4 for gamma(4).

    Tolerance: five standard errors of that ratio, by its influence function.
    """
    n = 40_000
    X = np.random.default_rng(1).gamma(4.0, 5.0, size=(n, 1))
    found = information_criteria(MLEDensity("exponential").fit(X), X)
    assert_allclose(found.penalty, X.var() / X.mean() ** 2, rtol=1e-12)
    z = X / 20 - 1
    influence = z**2 - 0.25 - 2 * 0.25 * z
    assert abs(found.penalty - 0.25) < 5 * influence.std() / np.sqrt(n)


def test_tic_is_aic_where_the_model_is_right():
    """Normal: the penalty is 1 + (kurtosis - 1) / 2, with standard error sqrt(24 / n) / 2."""
    n = 20_000
    X = np.random.default_rng(2).normal(3.0, 2.0, size=(n, 1))
    found = information_criteria(MLEDensity("normal").fit(X), X)
    kurtosis = stats.kurtosis(X[:, 0], fisher=False)
    assert_allclose(found.penalty, 1 + (kurtosis - 1) / 2, rtol=1e-10)
    assert abs(found.penalty - 2) < 5 * np.sqrt(24 / n) / 2


def test_tic_does_not_depend_on_units():
    X = POSITIVE * np.array([1e-9, 1e9])
    penalties = [
        information_criteria(MLEDensity(family).fit(rows), rows).penalty
        for family in ("normal", "mvn")
        for rows in (POSITIVE, X)
    ]
    assert_allclose(penalties[::2], penalties[1::2], rtol=1e-9)


def test_tic_is_unbiased_where_the_model_is_wrong_and_aic_is_not():
    """Exponential fitted to gamma(4) data, n = 200: the optimism of -2 loglik is 2/4, not 2.

    20 000 replications; tolerance five standard errors plus 1 / n for the next order. The sample
    mean, whose expectation is known, serves as control variate.
    """
    rng, n = np.random.default_rng(3), 200
    mean = rng.gamma(4.0 * n, size=20_000) / n
    train = -2 * n * (-np.log(mean) - 1)
    fresh = -2 * n * (-np.log(mean) - 4.0 / mean)  # expected, for n new rows
    optimism = fresh - train + 2 * n * (mean / 4 - 1)
    error = optimism.std() / np.sqrt(len(optimism))
    assert abs(optimism.mean() - 2 * 0.25) < 5 * error + 1 / n
    assert error < 0.01


def test_weights_are_repetitions():
    weight = RNG.integers(0, 4, 40)
    repeated = np.repeat(POSITIVE, weight, axis=0)
    a = information_criteria(
        MLEDensity().fit(POSITIVE, sample_weight=weight), POSITIVE, sample_weight=weight
    )
    b = information_criteria(MLEDensity().fit(repeated), repeated)
    for field in dataclasses.fields(a):
        if field.name != "notes":
            assert_allclose(getattr(a, field.name), getattr(b, field.name), rtol=1e-10)


def test_small_samples_have_no_aicc_and_say_why():
    model = MLEDensity("normal").fit([[1.0], [2.0], [4.0]])  # n = k + 1
    found = information_criteria(model)
    assert found.aicc is None
    assert "more than n_params + 1 = 3 observations; got 3" in str(found)
    assert np.isnan(found.to_frame().loc[0, "aicc"])
    four = information_criteria(MLEDensity("normal").fit([[1.0], [2.0], [4.0], [3.0]]))
    assert four.aicc == pytest.approx(four.aic + 12)


def test_result_is_frozen_and_readable():
    frame = pd.DataFrame(POSITIVE, columns=["wait", "cost"])
    found = information_criteria(ScoreMatchingGaussian().fit(frame), frame)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.aic = 0.0
    for words in (f"AIC {found.aic:.6g}", f"TIC {found.tic:.6g}", "n_params 5", "n 40", "counts"):
        assert words in str(found)
    assert found.to_frame().loc[0, "bic"] == found.bic
    assert "<table" in found._repr_html_()
    assert "TIC needs the training table" in str(information_criteria(MLEDensity().fit(frame)))


def test_float32_rows_are_the_training_table_too():
    rows = (POSITIVE + 1e3).astype(np.float32)
    for model in (MLEDensity(), ScoreMatchingGaussian()):
        assert information_criteria(model.fit(rows), rows).penalty > 0


def test_a_boundary_estimate_has_aic_but_no_tic():
    X = np.zeros((20, 1))
    model = MLEDensity("bernoulli").fit(X)
    assert information_criteria(model).aic == 2.0
    with pytest.raises(ValueError, match=r"TIC does not exist for this fit; leave X out.*edge"):
        information_criteria(model, X)


def test_right_censored_rows_have_aic_but_no_tic():
    """The log-likelihood of an exponential: log rate for each event, -rate x for every row."""
    event = np.arange(40) % 3 > 0
    model = MLEDensity("exponential").fit(POSITIVE, event=event)
    rate = event.sum() / POSITIVE.sum(axis=0)
    loglik = np.sum(event.sum() * np.log(rate) - rate * POSITIVE.sum(axis=0))
    assert information_criteria(model).aic == pytest.approx(4 - 2 * loglik)
    with pytest.raises(ValueError, match="TIC is not available for a fit to censored"):
        information_criteria(model, POSITIVE)


def test_what_has_no_maximized_likelihood_is_refused():
    class Other(ParametricDensity):
        fit = score_samples = _draw = _standard_errors = _intervals = None

    with pytest.raises(TypeError, match=r"got GaussianMixture.*compare_densities"):
        information_criteria(GaussianMixture(2).fit(POSITIVE))
    with pytest.raises(ValueError, match="Other does not maximize a likelihood"):
        information_criteria(Other())
    with pytest.raises(NotFittedError):
        information_criteria(MLEDensity())


def test_a_ridge_is_refused():
    X = np.c_[POSITIVE, POSITIVE.sum(axis=1)]
    with pytest.warns(Warning, match="singular|combination|determined"):
        model = ScoreMatchingGaussian().fit(X)
    with pytest.raises(ValueError, match="given a ridge"):
        information_criteria(model)


@pytest.mark.parametrize("model", [MLEDensity(), ScoreMatchingGaussian()], ids=["mle", "sm"])
def test_another_table_than_the_training_table_is_refused(model):
    model = model.fit(POSITIVE)
    with pytest.raises(ValueError, match="whole training table, of total weight 40; got 39"):
        information_criteria(model, POSITIVE[1:])
    with pytest.raises(ValueError, match=r"its log-likelihood is .*compare_densities"):
        information_criteria(model, POSITIVE[::-1] * 1.1)
    with pytest.raises(ValueError, match="sample_weight was given without X"):
        information_criteria(model, sample_weight=np.ones(40))
    shuffled = information_criteria(model, POSITIVE[::-1])
    assert_allclose(shuffled.tic, information_criteria(model, POSITIVE).tic, rtol=1e-12)


def test_statsmodels_results_beside_their_own_numbers_and_r_s():
    """R counts the variance of a linear model; TIC of a Poisson is that of MLEDensity."""
    rng = np.random.default_rng(0)
    x = sm.add_constant(rng.normal(size=60))
    counts = rng.poisson(np.exp(0.3 + 0.5 * x[:, 1]))
    poisson = sm.Poisson(counts, x).fit(disp=0)
    found = information_criteria(poisson)
    assert_allclose([found.aic, found.bic], [poisson.aic, poisson.bic], rtol=1e-9)
    assert 1 < found.penalty < 4
    line = sm.OLS(x @ [1.0, 2.0] + rng.normal(size=60), x).fit()
    found = information_criteria(line)
    assert_allclose([found.aic, found.bic], [line.aic + 2, line.bic + np.log(60)], rtol=1e-9)
    assert found.tic is None
    assert "dispersion" in str(found)
    alone = sm.Poisson(counts, np.ones(60)).fit(disp=0)
    ours = MLEDensity("poisson").fit(counts[:, None])
    expected = information_criteria(ours, counts[:, None])
    assert_allclose(information_criteria(alone).tic, expected.tic, rtol=1e-8)
    with pytest.raises(ValueError, match="must be None for a statsmodels result"):
        information_criteria(alone, counts[:, None])


def test_criteria_of_a_family_per_column_are_the_sums_of_theirs():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"sex": rng.choice(["f", "m"], 60), "age": rng.gamma(3, 10, 60), "n": rng.poisson(3, 60)}
    )
    family = {"sex": "categorical", "age": "gamma", "n": "poisson"}
    found = information_criteria(MLEDensity(family).fit(frame), frame)
    parts = [
        information_criteria(MLEDensity(each).fit(frame[[name]]), frame[[name]])
        for name, each in family.items()
    ]
    for name in ("aic", "tic", "penalty", "n_params"):
        assert getattr(found, name) == pytest.approx(sum(getattr(part, name) for part in parts))


def test_incomplete_tables_add_up_over_columns_of_what_is_known():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.gamma(3.0, size=80), "b": rng.poisson(4, 80).astype(float)})
    frame["c"] = rng.choice(["u", "v", "w"], 80).astype(object)
    frame = frame.mask(rng.random(frame.shape) < 0.2)
    model = MLEDensity(["gamma", "poisson", "categorical"]).fit(frame)
    found = information_criteria(model, frame)
    alone = []
    for name, family in zip(frame, ("gamma", "poisson", "categorical")):
        known = frame[[name]].dropna()
        alone.append(information_criteria(MLEDensity([family]).fit(known), known))
    for name in ("aic", "tic", "loglik"):
        assert getattr(found, name) == pytest.approx(sum(getattr(one, name) for one in alone))
    assert model.score_samples(frame).sum() == pytest.approx(model.loglik_)
    with pytest.raises(ValueError, match="NaN in column"):
        model.cdf(frame)
