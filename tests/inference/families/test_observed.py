"""Censored and truncated rows of every family, against likelihoods written out with scipy."""

import warnings

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.exceptions import ConvergenceWarning
from statsmodels.discrete import discrete_model

from skgm.inference import MLEDensity, fit_family, likelihood_ratio_test, score_test, wald_test
from skgm.inference.families._observed import ObservedFamily, ObservedRows
from tests.inference.families.cases import COLUMNWISE

# interval-censored normal data of R's documentation
LOWER, UPPER = np.array([0.1, 0.5, 0.75, 0.8]), np.array([0.2, 0.55, 0.9, 0.95])
CASES = [case for case in COLUMNWISE if case[0].name != "von_mises"]  # scipy has no quantiles of it
IDS = [family.name for family, _, _ in CASES]


def _scheme(distributions, rng, n=30):
    """Ends and entries of one column per distribution: all kinds of censoring, delayed entry."""
    X = np.column_stack([d.rvs(n, random_state=rng) for d in distributions]).astype(float)
    other = np.column_stack([d.rvs(n, random_state=rng) for d in distributions]).astype(float)
    low, high = np.minimum(X, other), np.maximum(X, other)
    kind = np.arange(n)[:, None] % 4
    low, high = np.where(kind == 0, X, low), np.where(kind == 0, X, high)
    low, high = np.where(kind == 1, -np.inf, low), np.where(kind == 2, np.inf, high)
    before = np.column_stack([d.ppf(0.1) for d in distributions])[0]
    delayed = (np.arange(n)[:, None] % 3 == 0) & (high > before) & (X.max() > 1)
    entry = np.where(delayed, before, -np.inf)
    return low, high, entry


def _written_out(distribution, low, high, entry, discrete):
    """Log-likelihood of each row by scipy's distribution function."""
    below = np.ceil(low) - 1 if discrete else low
    x = np.where(low == high, low, distribution.median())
    plain = distribution.logpmf(x) if discrete else distribution.logpdf(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.log(distribution.cdf(high) - distribution.cdf(below))
    return np.where(low == high, plain, between) - distribution.logsf(entry)


@pytest.mark.parametrize(("family", "params", "distributions"), CASES, ids=IDS)
def test_tails_keep_their_digits(family, params, distributions):
    for share in (1e-12, 1e-3, 0.3, 0.5, 0.8):
        for quantile in ("ppf", "isf"):
            X = np.array([[getattr(d, quantile)(share) for d in distributions]])
            with np.errstate(all="ignore"):
                below, above = family.log_tails(X, params)
            for j, d in enumerate(distributions):
                x = X[0, j]
                rtol = 2e-3 if share < 1e-6 else 2e-7  # scipy's own lose digits there
                np.testing.assert_allclose(np.exp(below[0, j]), d.cdf(x), rtol=rtol, atol=1e-300)
                np.testing.assert_allclose(np.exp(above[0, j]), d.sf(x), rtol=rtol, atol=1e-300)


@pytest.mark.parametrize(("family", "params", "distributions"), CASES, ids=IDS)
def test_the_likelihood_is_the_one_written_out(family, params, distributions):
    low, high, entry = _scheme(distributions, np.random.default_rng(0))
    rows = ObservedRows.between(low, high, entry)
    found = ObservedFamily(family).contributions(rows, params)
    for j, d in enumerate(distributions):
        wanted = _written_out(d, low[:, j], high[:, j], entry[:, j], family.discrete)
        np.testing.assert_allclose(found[:, j], wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("family", "params", "distributions"), CASES, ids=IDS)
def test_the_estimate_has_no_slope_and_the_scores_add_up(family, params, distributions):
    rng = np.random.default_rng(1)
    if family.name == "student_t":
        distributions = [stats.t(3)]
    low, high, entry = _scheme([distributions[0]], rng, n=120)
    model = MLEDensity(family).fit(low, upper=high, entry=entry)
    observed, statistics = model._family(), model._fit_record().statistics
    at = {name: np.atleast_1d(value) for name, value in model._estimate.items()}
    errors = model.standard_errors()
    slope = observed.mean_score(statistics, at)[0] * np.array(list(errors.values()))
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    rows = observed.kept_scores(statistics, at).mean(axis=0)[0]
    np.testing.assert_allclose(rows * np.array(list(errors.values())), slope, atol=1e-8)


def test_interval_censored_normal_is_that_of_r():
    model = fit_family(LOWER, "normal", upper=UPPER)
    errors = model.standard_errors()
    np.testing.assert_allclose(list(model.params_.values()), [0.5919990, 0.2868042], atol=1e-6)
    np.testing.assert_allclose(list(errors.values()), [0.1444432, 0.1029451], atol=1e-5)


@pytest.mark.parametrize("family", ["exponential", "weibull", "gamma", "lognormal"])
def test_events_are_upper_ends_at_infinity(family):
    rng = np.random.default_rng(2)
    x, limit = 2 * rng.weibull(1.5, 40), rng.exponential(3, 40)
    seen, event = np.minimum(x, limit), x <= limit
    by_event = fit_family(seen, family, event=event)
    upper = np.where(event, seen, np.inf)
    short = fit_family(seen, family, upper=upper)
    assert short.params_ == by_event.params_
    by_ends = fit_family(seen, family, upper=upper, entry=-np.inf)
    for name, value in by_event.params_.items():
        assert by_ends.params_[name] == pytest.approx(value, rel=1e-7)
        error = by_event.standard_errors()[name]
        assert by_ends.standard_errors()[name] == pytest.approx(error, rel=1e-6)
        for method in ("profile", "rstar"):
            assert by_ends.confidence_intervals(method=method)[name] == pytest.approx(
                by_event.confidence_intervals(method=method)[name], rel=1e-4
            )


def _normal_height(theta, low, high):
    law = stats.norm(theta[0], np.exp(theta[1]))
    seen = low == high
    with np.errstate(divide="ignore"):
        return np.sum(np.where(seen, law.logpdf(low), np.log(law.cdf(high) - law.cdf(low))))


def _highest(height, start):
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    found = optimize.minimize(lambda t: -height(t), start, method="Nelder-Mead", options=options)
    return found.x, -found.fun


def test_profile_ends_and_tests_are_those_of_the_written_likelihood():
    rng = np.random.default_rng(3)
    low = rng.normal(1.0, 2.0, 25)
    high = np.where(rng.random(25) < 0.4, low + rng.exponential(2, 25), low)
    model = fit_family(low, "normal", upper=high)
    best, top = _highest(lambda t: _normal_height(t, low, high), [1.0, 0.7])
    assert model.params_["mu"] == pytest.approx(best[0], abs=1e-5)
    assert model.loglik_ == pytest.approx(top, abs=1e-8)
    for end in model.confidence_intervals(method="profile")["mu"]:
        _, held = _highest(lambda t, end=end: _normal_height([end, t[0]], low, high), [0.7])
        assert 2 * (top - held) == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-4)
    table = low[:, None]
    ratio = likelihood_ratio_test(MLEDensity(), table, {"mu": 0.0}, upper=high)
    _, held = _highest(lambda t: _normal_height([0.0, t[0]], low, high), [0.7])
    assert ratio.statistic == pytest.approx(2 * (top - held), abs=1e-6)
    for test in (score_test, wald_test):
        result = test(MLEDensity(), table, {"mu": 0.0}, upper=high)
        assert result.statistic == pytest.approx(ratio.statistic, rel=0.7)
        robust = test(MLEDensity(), table, {"mu": 0.0}, upper=high, robust=True)
        assert 0 <= robust.pvalue <= 1
    with pytest.raises(ValueError, match="fitted with upper= or entry="):
        score_test(model, table, {"mu": 0.0})


@pytest.mark.slow
def test_every_interval_of_censored_rows():
    rng = np.random.default_rng(4)
    x = 3 * rng.weibull(2.0, 40)
    low = np.where(x < 1.5, -np.inf, x)
    high = np.where(x < 1.5, 1.5, x)
    model = fit_family(low, "weibull", upper=high)
    ends = [
        model.confidence_intervals(method=method, random_state=0)["shape"]
        for method in (
            "profile",
            "rstar",
            "wald",
            "wald-transformed",
            "score",
            "robust",
            "bootstrap",
        )
    ]
    middle = np.log(ends[0])
    for each in ends[1:]:
        np.testing.assert_allclose(np.log(each), middle, atol=0.6)
    few = fit_family(low[:9], "weibull", upper=high[:9])
    low_end, high_end = few.confidence_intervals(method="bootstrap", random_state=0)["shape"]
    assert low_end < few.params_["shape"] < high_end
    of = model.confidence_intervals(of=["mean", "median", ("survival", 5.0)])
    for name in of:
        assert of[name][0] < of.estimate[name] < of[name][1]


def test_weights_are_repetitions():
    rng = np.random.default_rng(5)
    low = rng.normal(size=12)
    high, entry = low + rng.integers(0, 2, 12), np.full(12, -1.5)
    low = np.maximum(low, -1.4)
    high = np.maximum(low, high)
    weight = rng.integers(0, 4, 12)
    again = [np.repeat(each, weight) for each in (low, high, entry)]
    by_weight = fit_family(low, "logistic", upper=high, entry=entry, sample_weight=weight)
    repeated = fit_family(again[0], "logistic", upper=again[1], entry=again[2])
    for name, value in repeated.params_.items():
        assert by_weight.params_[name] == pytest.approx(value, rel=1e-8)
        assert by_weight.standard_errors("robust")[name] == pytest.approx(
            repeated.standard_errors("robust")[name], rel=1e-6
        )


def test_parts_are_as_good_as_the_whole():
    low = np.linspace(0.5, 4, 20)[:, None]
    high = np.where(np.arange(20) % 3 == 0, np.inf, low[:, 0] + 0.5)[:, None]
    whole = MLEDensity("gamma").fit(low, upper=high)
    parts = MLEDensity("gamma").partial_fit(low[:9], upper=high[:9])
    parts.partial_fit(low[9:], upper=high[9:])
    assert parts.params_["shape"] == pytest.approx(whole.params_["shape"], rel=1e-9)
    with pytest.raises(ValueError, match="to all calls of partial_fit"):
        parts.partial_fit(low[9:])


def test_a_window_of_a_normal_is_the_truncated_normal():
    rng = np.random.default_rng(6)
    a, b = -0.5, 2.0
    x = stats.truncnorm.rvs(a - 0.3, b - 0.3, 0.3, 1.0, size=300, random_state=rng)
    model = fit_family(x, "normal", window=(a, b))

    def height(t):
        law = stats.norm(t[0], np.exp(t[1]))
        return np.sum(law.logpdf(x)) - len(x) * np.log(law.cdf(b) - law.cdf(a))

    best, top = _highest(height, [0.0, 0.0])
    assert model.params_["mu"] == pytest.approx(best[0], abs=1e-4)
    assert model.loglik_ == pytest.approx(top, abs=1e-7)
    mu, sigma = model.params_["mu"], model.params_["sigma"]
    law = stats.truncnorm((a - mu) / sigma, (b - mu) / sigma, mu, sigma)
    grid = np.array([[-0.4], [0.1], [1.9]])
    np.testing.assert_allclose(model.score_samples(grid), law.logpdf(grid[:, 0]), rtol=1e-8)
    np.testing.assert_allclose(model.cdf(grid), law.cdf(grid), rtol=1e-8)
    assert model.quantile(0.3) == pytest.approx(law.ppf(0.3), rel=1e-7)
    assert model.mean() == pytest.approx(law.mean(), rel=1e-6)
    draws = model.sample(4000, random_state=0)
    assert stats.kstest(draws[:, 0], law.cdf).pvalue > 1e-3
    assert model.score_samples([[2.5]])[0] == -np.inf
    with pytest.raises(ValueError, match="in the window"):
        fit_family([3.0, 0.1], "normal", window=(a, b))


@pytest.mark.parametrize(
    ("family", "law"),
    [
        ("poisson", lambda p: stats.poisson(p["mu"])),
        (
            "negative_binomial",
            lambda p: stats.nbinom(p["size"], p["size"] / (p["size"] + p["mu"])),
        ),
        ("geometric", lambda p: stats.geom(p["p"])),
    ],
)
def test_counts_without_zeros(family, law):
    x = np.repeat([1, 2, 3, 4, 5, 6, 9], [24, 17, 9, 5, 3, 2, 1]).astype(float)
    model = fit_family(x, family, window=(1, np.inf))
    whole = law(model.params_)
    grid = np.arange(0.0, 60)[:, None]
    mass = np.exp(model.score_samples(grid))
    assert mass[0] == 0
    assert mass.sum() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(mass[1:], whole.pmf(grid[1:, 0]) / whole.sf(0), rtol=1e-9)
    assert model.mean() == pytest.approx(mass @ grid[:, 0], rel=1e-8)
    np.testing.assert_allclose(model.cdf(grid)[:, 0], np.cumsum(mass), atol=1e-9)
    if family == "poisson":  # the likelihood equation: the truncated mean is that of the sample
        mu = model.params_["mu"]
        assert mu / -np.expm1(-mu) == pytest.approx(x.mean(), rel=1e-9)
        low, high = model.confidence_intervals()["mu"]
        heights = [
            np.sum(stats.poisson.logpmf(x, m)) - len(x) * np.log(-np.expm1(-m))
            for m in (mu, low, high)
        ]
        np.testing.assert_allclose(2 * (heights[0] - heights[1:]), 3.841459, rtol=1e-4)


def test_windows_per_column():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(400, 2))
    X = X[(X[:, 0] > -1) & (X[:, 1] < 0.5)]
    window = (np.array([-1.0, -np.inf]), np.array([np.inf, 0.5]))
    both = MLEDensity("normal", window=window).fit(X)
    for j in range(2):
        one = MLEDensity("normal", window=(window[0][j], window[1][j])).fit(X[:, [j]])
        assert both.params_["mu"][j] == pytest.approx(one.params_["mu"], rel=1e-6)
        assert both.confidence_intervals()["mu"][1][j] == pytest.approx(
            one.confidence_intervals()["mu"][1], rel=1e-4
        )


def test_scipys_censored_data():
    data = stats.CensoredData([1.0, 2.5, 3.0], left=[0.5], right=[4.0], interval=[[1.0, 2.0]])
    model = fit_family(data, "weibull")
    shape, _, scale = stats.weibull_min.fit(data, floc=0)
    assert model.params_["shape"] == pytest.approx(shape, rel=1e-3)
    assert model.params_["scale"] == pytest.approx(scale, rel=1e-3)
    result = likelihood_ratio_test(MLEDensity("weibull"), data, {"shape": 1.0})
    assert 0 < result.pvalue < 1


def test_censored_rows_of_scipys_distributions():
    rng = np.random.default_rng(8)
    x = stats.burr12.rvs(2.0, 3.0, size=60, random_state=rng)
    low = np.where(x > 0.9, 0.9, x)
    high = np.where(x > 0.9, np.inf, x)
    model = fit_family(low, "burr12", fixed={"loc": 0, "scale": 1}, upper=high)

    def height(t):
        law = stats.burr12(*np.exp(t))
        return np.sum(np.where(low == high, law.logpdf(low), law.logsf(low)))

    best, top = _highest(height, [0.5, 1.0])
    assert model.loglik_ == pytest.approx(top, abs=1e-7)
    assert model.params_["c"] == pytest.approx(np.exp(best[0]), rel=1e-4)


def test_narrow_intervals_tend_to_densities():
    x = np.array([0.3, -1.2, 2.2, 0.9, -0.1])
    seen = fit_family(x, "logistic")
    for width in (1e-3, 1e-7, 1e-12):
        close = fit_family(x - width, "logistic", upper=x + width)
        assert close.params_["loc"] == pytest.approx(seen.params_["loc"], abs=1e-5)
        assert close.loglik_ - len(x) * np.log(2 * width) == pytest.approx(seen.loglik_, abs=1e-3)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"upper": [0.5, 2.0, 3.0]}, "lower end in X is larger than upper"),
        ({"upper": [np.nan, 2.0, 3.0]}, "upper is NaN in row 0"),
        ({"upper": [1.0, 2.0]}, "one entry per value"),
        ({"entry": [1.5, 0.0, 0.0]}, "cannot be larger than its entry"),
        ({"upper": [np.inf, np.inf, np.inf]}, "may all be the same"),
        ({"upper": [1.0, 2.0, 3.0], "event": [1, 1, 1]}, "not both"),
    ],
)
def test_what_cannot_be_is_refused(told, message):
    with pytest.raises(ValueError, match=message):
        fit_family([1.0, 2.0, 3.0], "normal", **told)


def test_refusals_of_families_and_windows():
    with pytest.raises(ValueError, match="no distribution function of a single column"):
        MLEDensity("multivariate_normal", window=(0, 1)).fit(np.eye(2))
    for window in ((2, 1), (1,), "ab", {"low": 1}, (np.zeros(3), np.ones(3))):
        with pytest.raises(ValueError, match="window must"):
            MLEDensity(window=window).fit([[0.5], [0.7]])
    with pytest.raises(ValueError, match="numbers > 0"):
        fit_family([-2.0, 1.0, 2.0], "gamma", upper=[-1.0, 1.0, 2.0])
    with pytest.raises(ValueError, match="family of its own"):
        MLEDensity("auto", window=(0, 1)).fit([[0.5], [0.7]])


def test_counts_of_ones_alone_run_to_the_edge():
    with pytest.warns(ConvergenceWarning, match="runs towards, an edge"):
        model = fit_family([1.0, 1.0, 1.0], "poisson", window=(1, np.inf))
    assert model.params_["mu"] < 1e-3


def test_poisson_exposures_are_those_of_one_count():
    x, exposure = np.array([3.0, 0, 7, 2]), np.array([2.0, 0.5, 3.0, 1.5])
    model = fit_family(x, "poisson", exposure=exposure)
    total, units = x.sum(), exposure.sum()
    assert model.params_["mu"] == pytest.approx(total / units)
    assert model.standard_errors()["mu"] == pytest.approx(np.sqrt(total) / units)
    assert model.loglik_ == pytest.approx(stats.poisson.logpmf(x, exposure * total / units).sum())
    low, high = model.confidence_intervals(method="exact")["mu"]
    assert low == pytest.approx(stats.gamma.ppf(0.025, total) / units)
    assert high == pytest.approx(stats.gamma.ppf(0.975, total + 1) / units)
    score = (x - exposure * total / units) / (total / units)
    robust = np.sqrt(np.sum(score**2)) / (units**2 / total)
    assert model.standard_errors("robust")["mu"] == pytest.approx(robust)
    result = score_test(MLEDensity("poisson"), x[:, None], {"mu": 1.0}, exposure=exposure)
    assert result.statistic == pytest.approx((total - units) ** 2 / units)
    ratio = likelihood_ratio_test(MLEDensity("poisson"), x[:, None], {"mu": 1.0}, exposure=exposure)
    null = stats.poisson.logpmf(x, exposure).sum()
    assert ratio.statistic == pytest.approx(2 * (model.loglik_ - null))
    low, high = model.confidence_intervals(method="profile")["mu"]
    at_low = stats.poisson.logpmf(x, exposure * low).sum()
    assert 2 * (model.loglik_ - at_low) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-6)
    assert low < model.params_["mu"] < high
    low, high = model.confidence_intervals(method="bootstrap", random_state=0)["mu"]
    assert low < model.params_["mu"] < high
    with pytest.raises(ValueError, match="exposure= or trials="):
        score_test(model, x[:, None], {"mu": 1.0})


def test_negative_binomial_exposures_are_statsmodels_offset():
    rng = np.random.default_rng(0)
    exposure = rng.uniform(0.3, 4.0, 80)
    x = rng.poisson(exposure * 2.5 * rng.gamma(3.0, 1 / 3, 80)).astype(float)
    model = fit_family(x, "negative_binomial", exposure=exposure)
    theirs = discrete_model.NegativeBinomial(x, np.ones(80), exposure=exposure)
    theirs = theirs.fit(disp=0, method="newton")
    rate, alpha = np.exp(theirs.params[0]), theirs.params[1]
    assert model.params_ == pytest.approx({"mu": rate, "size": 1 / alpha}, rel=1e-8)
    assert model.loglik_ == pytest.approx(theirs.llf, abs=1e-8)
    errors = {"mu": theirs.bse[0] * rate, "size": theirs.bse[1] / alpha**2}
    assert model.standard_errors() == pytest.approx(errors, rel=1e-6)

    def lost(size):  # likelihood, of which the rate is at its best
        k = size

        def depth(v):
            p = k / (k + exposure * np.exp(v))
            return -stats.nbinom.logpmf(x, k, p).sum()

        return 2 * (model.loglik_ + optimize.minimize_scalar(depth, (0.5, 1.5)).fun)

    for end in model.confidence_intervals()["size"]:
        assert lost(end) == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-5)
    ratio = likelihood_ratio_test(
        MLEDensity("negative_binomial"), x[:, None], {"size": 2.0}, exposure=exposure
    )
    assert ratio.statistic == pytest.approx(lost(2.0), rel=1e-6)
    one = fit_family(x, "negative_binomial", exposure=np.ones(80))
    plain = fit_family(x, "negative_binomial")
    assert one.params_ == pytest.approx(plain.params_, rel=1e-8)
    null = {"mu": 2.0, "size": 3.0}
    found = [
        score_test(MLEDensity("negative_binomial"), x[:, None], null, **told).statistic
        for told in ({"exposure": np.ones(80)}, {})
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_an_infinite_size_of_exposed_counts_has_a_lower_end():
    x, exposure = np.array([2.0, 3, 2, 3, 2, 3]), np.array([1, 1.5, 1, 1.5, 1, 1.4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = fit_family(x, "negative_binomial", exposure=exposure)
        low, high = model.confidence_intervals()["size"]
    assert model.params_ == pytest.approx({"mu": 15 / exposure.sum(), "size": np.inf})
    assert np.isinf(high)

    def depth(v):
        p = low / (low + exposure * np.exp(v))
        return -stats.nbinom.logpmf(x, low, p).sum()

    lost = 2 * (model.loglik_ + optimize.minimize_scalar(depth, (0.0, 1.0)).fun)
    assert lost == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-5)


def test_binomial_trials_per_row():
    x, trials = np.array([3.0, 0, 7, 2]), np.array([5, 2, 9, 2])
    model = fit_family(x, "binomial", trials=trials)
    p = x.sum() / trials.sum()
    assert model.params_["p"] == pytest.approx(p)
    assert model.loglik_ == pytest.approx(stats.binom.logpmf(x, trials, p).sum())
    for method, of_scipy in (("exact", "exact"), ("score", "wilson")):
        wanted = stats.binomtest(12, 18).proportion_ci(method=of_scipy)
        assert model.confidence_intervals(method=method)["p"] == pytest.approx(tuple(wanted))
    result = wald_test(MLEDensity("binomial"), x[:, None], {"p": 0.5}, trials=trials)
    assert result.statistic == pytest.approx((p - 0.5) ** 2 / (p * (1 - p) / 18))
    both = MLEDensity("binomial").fit(np.column_stack([x, x]), trials=trials)
    assert both.params_["p"] == pytest.approx([p, p])


@pytest.mark.parametrize(
    ("family", "told", "message"),
    [
        ("poisson", {"exposure": [1.0, 0.0]}, "must be positive, finite"),
        ("poisson", {"trials": [5, 5]}, "trials must be None"),
        ("normal", {"exposure": [1, 1]}, "exposure must be None for the normal"),
        ("binomial", {"trials": [5, 2]}, "at least the count"),
        ("poisson", {"exposure": [1, 1], "upper": [3, 5]}, "does not go with"),
    ],
)
def test_constants_that_cannot_be(family, told, message):
    with pytest.raises(ValueError, match=message):
        fit_family([1.0, 3.0], family, **told)


def test_categories_have_no_order_and_an_infinite_size_stays():
    with pytest.raises(ValueError, match="no distribution function of a single column of numbers"):
        MLEDensity("categorical").fit([[0], [1], [2]], upper=[1, 1, 2])
    x = [1.0, 1, 2, 1, 3, 1, 1, 2]
    with pytest.warns(ConvergenceWarning, match="becomes the poisson family"):
        model = fit_family(x, "negative_binomial", window=(1, np.inf))
    poisson = fit_family(x, "poisson", window=(1, np.inf))
    assert model.params_["mu"] == pytest.approx(poisson.params_["mu"], rel=1e-4)
    assert model.loglik_ == pytest.approx(poisson.loglik_, abs=1e-5)


def test_linear_nulls_of_censored_rows():
    rng = np.random.default_rng(9)
    x = rng.gamma(2.0, 1.0, 40)
    low, high = np.minimum(x, 3.0), np.where(x > 3, np.inf, x)
    ratio = likelihood_ratio_test(MLEDensity("gamma"), low[:, None], "shape = scale", upper=high)

    def height(t):
        law = stats.gamma(np.exp(t[0]), scale=np.exp(t[0]))
        return np.sum(np.where(low == high, law.logpdf(low), law.logsf(low)))

    _, held = _highest(height, [0.3])
    top = fit_family(low, "gamma", upper=high).loglik_
    assert ratio.statistic == pytest.approx(2 * (top - held), abs=1e-6)


def test_robust_intervals_take_left_censored_rows_as_they_were_fitted():
    """The fit keeps both ends of its rows; X may be given or left out."""
    x = np.random.default_rng(0).normal(size=(20, 1))
    lower, upper = np.where(x < -0.5, -np.inf, x), np.maximum(x, -0.5)
    model = MLEDensity("normal").fit(lower, upper=upper)
    given = model.confidence_intervals(method="robust", X=lower)
    left_out = model.confidence_intervals(method="robust")
    assert given["mu"] == left_out["mu"]
    assert given["sigma"] == left_out["sigma"]


def test_a_score_interval_that_is_endless_on_one_side_keeps_the_other_end():
    x = np.array([4.05311575, 4.7764913, 0.44670816, 2.86203494, 4.01371941, 4.35214183])
    low, high = np.minimum(x, 3.52440051), np.where(x > 3.52440051, np.inf, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ends = fit_family(low, "normal", upper=high).confidence_intervals(method="score")["sigma"]
    assert ends[1] == np.inf
    result = score_test(MLEDensity("normal"), low[:, None], {"sigma": ends[0]}, upper=high)
    assert result.pvalue == pytest.approx(0.05, abs=1e-4)


def test_left_censored_lognormal_by_its_equations():
    x = np.array([0.6, 0.6, 0.6, 0.75, 1.1, 1.3, 1.9, 2.2, 3.4, 5.0])
    seen = x > 0.6
    model = fit_family(np.where(seen, x, -np.inf), "lognormal", upper=x)

    def slopes(theta):  # of the log-likelihood, by mills = phi / Phi at the limit
        mu, sigma = theta
        z = (np.log(x) - mu) / sigma
        mills = np.exp(stats.norm.logpdf(z) - stats.norm.logcdf(z))
        of_mu = np.where(seen, z, -mills).sum()
        return of_mu, np.where(seen, z * z - 1, -z * mills).sum()

    mu, sigma = optimize.root(slopes, [0.3, 0.8], tol=1e-12).x
    assert model.params_ == pytest.approx({"mu": mu, "sigma": sigma}, rel=1e-7)
