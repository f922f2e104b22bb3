"""The categorical family against scipy's chi-square and G tests, and the proportions' intervals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference.families import Categorical

FAMILY = Categorical(n_categories=4)
COUNTS = np.array([20, 35, 12, 13])
X = np.repeat(np.arange(4.0), COUNTS)[:, None]
NULL = np.array([0.3, 0.3, 0.25, 0.15])
PARAMS = {"p1": np.array([0.2, 0.5]), "p2": np.array([0.4, 0.1]), "p3": np.array([0.1, 0.3])}


def test_goodness_of_fit_is_pearsons_and_g():
    model, null = MLEDensity(FAMILY), {"p": NULL}
    pearson = stats.chisquare(COUNTS, NULL * 80)
    found = score_test(model, X, null)
    assert_allclose([found.statistic, found.pvalue], pearson, rtol=1e-10)
    assert found.df == 3
    g = stats.power_divergence(COUNTS, NULL * 80, lambda_="log-likelihood")
    found = likelihood_ratio_test(model, X, null)
    assert_allclose([found.statistic, found.pvalue], g, rtol=1e-10)
    neyman = stats.power_divergence(COUNTS, NULL * 80, lambda_="neyman")
    assert_allclose(wald_test(model, X, null).statistic, neyman.statistic, rtol=1e-10)


def test_estimates_errors_and_intervals():
    model = MLEDensity("categorical", fixed={"n_categories": 4}).fit(X)
    share = COUNTS / 80
    for j in (1, 2, 3):
        assert_allclose(model.params_[f"p{j}"], share[j], rtol=1e-14)
        error = np.sqrt(share[j] * (1 - share[j]) / 80)
        for cov in ("model", "observed", "robust"):
            assert_allclose(model.standard_errors(cov, X=X)[f"p{j}"], error, rtol=1e-9)
        for method, peer in (("auto", "wilson"), ("exact", "beta")):
            ends = model.confidence_intervals(method=method)[f"p{j}"]
            assert_allclose(ends, proportion_confint(COUNTS[j], 80, method=peer), rtol=1e-9)
        for end in model.confidence_intervals(method="profile")[f"p{j}"]:
            found = likelihood_ratio_test(model, X, {f"p{j}": end})
            assert_allclose(found.statistic, stats.chi2.ppf(0.95, 1), rtol=1e-8)
    assert_allclose(model.loglik_, (COUNTS * np.log(share)).sum(), rtol=1e-13)


def test_restricted_estimate_maximizes_what_is_left():
    statistics = FAMILY.summarize(X, None)
    null = {"p1": np.array([0.3]), "p2": np.nan, "p3": np.nan}
    found = FAMILY.restricted_estimate(statistics, null)

    def depth(v):
        p = np.array([0.7 - v.sum(), 0.3, *v])
        return -(COUNTS * np.log(p)).sum() if (p > 0).all() else np.inf

    best = optimize.minimize(depth, [0.2, 0.2], method="Nelder-Mead", options={"xatol": 1e-9})
    assert_allclose([found["p2"][0], found["p3"][0]], best.x, rtol=1e-4)
    with pytest.raises(ValueError, match=r"leave some probability to category 0.*1\.2"):
        FAMILY.restricted_estimate(statistics, {"p1": 0.6, "p2": 0.6, "p3": np.nan})


def test_score_information_and_draws():
    """Enumeration of the four categories; chi-square of the draws, p > 1e-4 at a fixed seed."""
    codes = np.tile(np.arange(4.0)[:, None], (1, 2))
    mass = np.exp(FAMILY.log_density(codes, PARAMS))
    assert_allclose(mass.sum(axis=0), 1, rtol=1e-14)
    score = FAMILY.score(codes, PARAMS)
    assert_allclose(np.einsum("nd,nda->da", mass, score), 0, atol=1e-14)
    outer = np.einsum("nd,nda,ndb->dab", mass, score, score)
    assert_allclose(FAMILY.information(PARAMS), outer, rtol=1e-12)
    assert_allclose(FAMILY.cdf(codes, PARAMS), np.cumsum(mass, axis=0), rtol=1e-14)
    statistics = FAMILY.summarize(np.hstack([X, X[::-1]]), None)
    for k, name in enumerate(PARAMS):
        up, down = ({**PARAMS, name: PARAMS[name] + s} for s in (1e-6, -1e-6))
        rise = FAMILY.log_likelihood(statistics, up) - FAMILY.log_likelihood(statistics, down)
        assert_allclose(FAMILY.mean_score(statistics, PARAMS)[:, k], rise / 160e-6, rtol=1e-6)
        slope = FAMILY.mean_score(statistics, up) - FAMILY.mean_score(statistics, down)
        observed = FAMILY.observed_information(statistics, PARAMS)[:, k]
        assert_allclose(observed, -slope / 2e-6, rtol=1e-6, atol=1e-7)
    draws = FAMILY.sample(PARAMS, 20_000, np.random.default_rng(0))
    for j in range(2):
        seen = np.bincount(draws[:, j].astype(int), minlength=4)
        assert stats.chisquare(seen, 20_000 * mass[:, j]).pvalue > 1e-4


def test_categories_without_rows():
    """Also category 0: the others' standard errors exist; an empty one has a one-sided interval."""
    x = np.repeat([1.0, 2.0], [30, 10])[:, None]
    model = MLEDensity(FAMILY).fit(x)
    assert model.params_["p3"] == 0
    low, high = model.confidence_intervals()["p3"]
    assert low == 0
    assert_allclose(high, proportion_confint(0, 40, method="wilson")[1], rtol=1e-12)
    assert_allclose(model.score_samples([[0.0], [3.0], [2.0]]), [-np.inf, -np.inf, np.log(0.25)])
    with pytest.raises(ValueError, match="Standard errors of 'p3' do not exist"):
        model.standard_errors()
    assert_allclose(score_test(model, x, {"p": [0.25] * 4}).statistic, 60.0)


def test_refusals():
    for wrong in (1, 2.5, np.inf):
        with pytest.raises(ValueError, match="n_categories must be a whole number >= 2"):
            Categorical(n_categories=wrong)
    with pytest.raises(ValueError, match="number of categories"):
        Categorical().summarize(X, None)
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 3.*'x0'.*4\.0.*row 1"):
        MLEDensity(FAMILY).fit([[1.0], [4.0]])
    with pytest.raises(ValueError, match="4 positive probabilities"):
        FAMILY.expand_null({"p": [0.5, 0.5]})
    with pytest.raises(ValueError, match="'n_categories' only"):
        Categorical().given(n=3)


def test_all_probabilities_and_categories_learned_from_the_table():
    codes = np.repeat([0.0, 1.0, 3.0], [5, 3, 2])[:, None]
    fit = MLEDensity("categorical").fit(codes)
    assert_allclose(fit.params_["p"], [0.5, 0.3, 0.0, 0.2])
    assert fit.n_params_ == 3
    assert np.isneginf(fit.score_samples([[2.0], [4.0]])).all()
    both = MLEDensity("categorical", fixed={"n_categories": 6}).fit(np.hstack([codes, codes]))
    assert both.params_["p"].shape == (2, 6)
    again = MLEDensity("categorical").fit(codes).fit(np.zeros((4, 1)))
    assert_allclose(again.params_["p"], [1.0, 0.0])


def test_numbers_that_are_no_codes_are_refused():
    with pytest.raises(ValueError, match="needs codes 0, 1"):
        MLEDensity("categorical").fit([[0.0], [123456.0]])
    with pytest.raises(ValueError, match=r'null\["p"\] must hold 3'):
        score_test(MLEDensity("categorical"), [[0.0], [1.0], [2.0]], {"p": [0.5, 0.5]})
