"""Zero-inflated, hurdle and zero-one-inflated families, against likelihoods written out."""

import numpy as np
import pytest
from scipy import optimize, stats

from skgm import MLEDensity, fit_family, likelihood_ratio_test, score_test, wald_test
from skgm.inference.families import (
    Binomial,
    Hurdle,
    NegativeBinomial,
    ZeroInflated,
    ZeroOneInflated,
)

COUNTS = np.repeat([0.0, 1, 2, 3, 4, 5], [24, 8, 12, 9, 4, 3])
NO_MORE = np.array([1.0, 2, 3, 2, 1, 4, 0, 2, 3, 1])


def _height(t, x):
    inflation, mu = 1 / (1 + np.exp(-t[0])), np.exp(t[1])
    mass = (1 - inflation) * stats.poisson.pmf(x, mu) + inflation * (x == 0)
    return np.sum(np.log(mass))


def _highest(height, start):
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    found = optimize.minimize(lambda t: -height(t), start, method="Nelder-Mead", options=options)
    return found.x, -found.fun


def test_zero_inflated_poisson_is_the_likelihood_written_out():
    model = fit_family(COUNTS, ZeroInflated("poisson"))
    best, top = _highest(lambda t: _height(t, COUNTS), [0.0, 0.0])
    assert model.loglik_ == pytest.approx(top, abs=1e-8)
    assert model.params_["mu"] == pytest.approx(np.exp(best[1]), rel=1e-5)
    inflation = 1 / (1 + np.exp(-best[0]))
    assert model.params_["inflation"] == pytest.approx(inflation, rel=1e-5)
    for end in model.confidence_intervals()["inflation"]:
        logit = np.log(end / (1 - end))
        _, held = _highest(lambda t, v=logit: _height([v, t[0]], COUNTS), [0.5])
        assert 2 * (top - held) == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)
    mass = np.exp(model.score_samples(np.arange(40.0)[:, None]))
    assert mass.sum() == pytest.approx(1)
    assert model.mean() == pytest.approx(mass @ np.arange(40))
    np.testing.assert_allclose(model.cdf(np.arange(40.0)[:, None])[:, 0], np.cumsum(mass))


def test_no_inflation_lies_on_the_edge():
    table = COUNTS[:, None]
    zi = MLEDensity(ZeroInflated("poisson"))
    ratio = likelihood_ratio_test(zi, table, {"inflation": 0})
    plain = stats.poisson.logpmf(COUNTS, COUNTS.mean()).sum()
    top = zi.fit(table).loglik_
    assert ratio.statistic == pytest.approx(2 * (top - plain), abs=1e-7)
    assert ratio.pvalue == pytest.approx(stats.chi2.sf(ratio.statistic, 1) / 2)
    nested = likelihood_ratio_test(zi, table, MLEDensity("poisson"))
    assert nested.pvalue == pytest.approx(ratio.pvalue)
    # van den Broek: the score statistic in closed form
    n, mu, zeros = len(COUNTS), COUNTS.mean(), np.sum(COUNTS == 0)
    p0 = np.exp(-mu)
    wanted = (zeros - n * p0) ** 2 / (n * p0 * (1 - p0) - n * mu * p0**2)
    score = score_test(zi, table, {"inflation": 0})
    assert score.statistic == pytest.approx(wanted, rel=1e-9)
    assert score.pvalue == pytest.approx(stats.chi2.sf(wanted, 1) / 2)
    with pytest.raises(ValueError, match="Wald statistic has no known law"):
        wald_test(zi, table, {"inflation": 0})
    with pytest.raises(ValueError, match="one side only"):
        score_test(zi, table, {"inflation": 0}, alternative="greater")


def test_where_there_are_no_more_zeros_the_estimate_stays():
    model = fit_family(NO_MORE, ZeroInflated("poisson"))
    assert model.params_["inflation"] == 0
    assert model.params_["mu"] == pytest.approx(NO_MORE.mean())
    ends = model.confidence_intervals()
    assert ends["inflation"][0] == 0 < ends["inflation"][1] < 1
    high = np.log(ends["inflation"][1] / (1 - ends["inflation"][1]))
    _, held = _highest(lambda t: _height([high, t[0]], NO_MORE), [0.5])
    assert 2 * (model.loglik_ - held) == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-3)
    assert ends["mu"][0] < NO_MORE.mean() < ends["mu"][1]
    assert "inflation" in str(model.summary())
    test = score_test(MLEDensity(ZeroInflated("poisson")), NO_MORE[:, None], {"inflation": 0})
    assert (test.statistic, test.pvalue) == (0, 1)


@pytest.mark.parametrize("family", [NegativeBinomial(), Binomial(n=30)], ids=["nb", "binomial"])
def test_other_families_of_counts_and_weights(family):
    x = np.r_[np.zeros(20), stats.nbinom.rvs(3, 0.4, size=40, random_state=2)]
    weight = np.r_[np.full(24, 2.0), np.ones(36)]
    by_weight = fit_family(x, ZeroInflated(family), sample_weight=weight)
    repeated = fit_family(np.repeat(x, weight.astype(int)), ZeroInflated(family))
    for name, value in repeated.params_.items():
        assert by_weight.params_[name] == pytest.approx(value, rel=1e-5)


def test_a_hurdle_is_a_proportion_and_a_family_of_the_rest():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(30) < 0.4, 0.0, rng.gamma(2, 1, 30))
    model = fit_family(x, Hurdle("gamma"))
    rest = fit_family(x[x > 0], "gamma")
    zero = np.mean(x == 0)
    assert model.params_ == pytest.approx({"zero": zero, **rest.params_})
    k = np.sum(x == 0)
    assert model.loglik_ == pytest.approx(
        rest.loglik_ + k * np.log(zero) + (30 - k) * np.log1p(-zero)
    )
    ends, of_rest = model.confidence_intervals(), rest.confidence_intervals()
    wilson = stats.binomtest(int(k), 30).proportion_ci(method="wilson")
    assert ends["zero"] == pytest.approx(tuple(wilson))
    assert ends["shape"] == pytest.approx(of_rest["shape"])
    assert model.mean() == pytest.approx((1 - zero) * rest.mean())
    assert model.quantile(zero / 2) == 0
    assert model.cdf([[model.quantile(0.9)]])[0, 0] == pytest.approx(0.9)
    errors = model.standard_errors()
    assert errors["zero"] == pytest.approx(np.sqrt(zero * (1 - zero) / 30))
    assert errors["shape"] == pytest.approx(rest.standard_errors()["shape"])
    for test in (score_test, likelihood_ratio_test, wald_test):
        whole = test(MLEDensity(Hurdle("gamma")), x[:, None], {"shape": 1.0}).statistic
        part = test(MLEDensity("gamma"), x[x > 0][:, None], {"shape": 1.0}).statistic
        assert whole == pytest.approx(part, rel=1e-6)


def test_a_hurdle_of_counts_truncates_them():
    model = fit_family(COUNTS, Hurdle("poisson"))
    rest = fit_family(COUNTS[COUNTS > 0], "poisson", window=(1, np.inf))
    assert model.params_["mu"] == pytest.approx(rest.params_["mu"])
    mass = np.exp(model.score_samples(np.arange(60.0)[:, None]))
    assert mass[0] == pytest.approx(24 / 60)
    assert mass.sum() == pytest.approx(1)


def test_two_columns_and_draws():
    rng = np.random.default_rng(1)
    X = np.where(rng.random((40, 2)) < 0.3, 0.0, rng.gamma(2, 1, (40, 2)))
    model = MLEDensity(Hurdle("gamma")).fit(X)
    for j in range(2):
        one = fit_family(X[:, j], Hurdle("gamma"))
        assert model.params_["shape"][j] == pytest.approx(one.params_["shape"])
        assert model.confidence_intervals()["zero"][1][j] == pytest.approx(
            one.confidence_intervals()["zero"][1]
        )
    draws = model.sample(5000, random_state=0)
    np.testing.assert_allclose((draws == 0).mean(axis=0), model.params_["zero"], atol=0.03)


def test_zero_one_inflated_beta():
    x = np.r_[np.zeros(4), np.ones(3), stats.beta.rvs(2, 3, size=23, random_state=0)]
    model = fit_family(x, ZeroOneInflated())
    rest = fit_family(x[7:], "beta")
    assert model.params_ == pytest.approx({"zero": 4 / 30, "one": 3 / 26, **rest.params_})
    assert model.mean() == pytest.approx(3 / 30 + 23 / 30 * rest.mean())
    scores = model.score_samples([[0.0], [1.0], [0.5]])
    np.testing.assert_allclose(scores[:2], np.log([4 / 30, 3 / 30]))
    assert scores[2] == pytest.approx(np.log(23 / 30) + rest.score_samples([[0.5]])[0])
    assert model.quantile(0.99) == 1
    low, high = model.confidence_intervals(method="robust", X=x[:, None])["one"]
    assert low < 3 / 26 < high


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ZeroInflated("gamma"), "needs a family of counts"),
        (lambda: ZeroInflated("geometric"), "use Hurdle"),
        (lambda: Hurdle("normal"), "takes zero itself"),
        (lambda: Hurdle("multivariate_normal"), "joint"),
        (lambda: ZeroOneInflated("poisson"), "strictly between 0 and 1"),
    ],
)
def test_what_makes_no_sense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_values_outside_are_refused_and_nothing_but_zeros():
    with pytest.raises(ValueError, match="0, or numbers > 0"):
        fit_family([-1.0, 0.0, 2.0], Hurdle("gamma"))
    with pytest.raises(ValueError, match="all of its values are zero"):
        fit_family([0.0, 0.0], Hurdle("gamma"))
