"""Discrete families: coverage by enumeration, boundaries, intervals, infinite sizes."""

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from statsmodels.discrete.discrete_model import NegativeBinomial as Peer
from statsmodels.stats.proportion import proportion_confint

from skgm._numerics.special import log_rising
from skgm.inference import MLEDensity, score_test
from skgm.inference.families import (
    Bernoulli,
    Binomial,
    Geometric,
    NegativeBinomial,
    Poisson,
    Sums,
    get_family,
)
from skgm.inference.families._negative_binomial import dispersion_information
from tests.inference.families.cases import COLUMNWISE, table

DISCRETE = [case for case in COLUMNWISE if case[0].discrete]
each_family = pytest.mark.parametrize(
    ("family", "params", "distributions"), DISCRETE, ids=[case[0].name for case in DISCRETE]
)


def auto(family, totals, n, level=0.95, method=None):
    """Intervals of the first parameter from sums (of failures, for the geometric)."""
    totals = np.asarray(totals, dtype=float)
    sums = Sums(float(n), totals, np.zeros_like(totals))
    args = family.parameters[0].name, sums, family.estimate(sums), level
    if method is None:
        return family.auto_interval(*args)[:2]
    return getattr(family, f"{method}_interval")(*args)


def coverage(interval, mass, values):
    """Exact coverage at `values`, `mass` being the probability of each sum there, (m, v)."""
    low, high = interval
    inside = (low[:, None] <= values) & (values <= high[:, None])
    return (inside * mass).sum(axis=0)


class TestExactCoverage:
    """Every outcome with its probability: no simulation error. Ten rows, nominal 95 %."""

    def test_bernoulli(self):
        p, ones = np.linspace(0.02, 0.98, 4801), np.arange(11)
        found = coverage(auto(Bernoulli(), ones, 10), stats.binom.pmf(ones[:, None], 10, p), p)
        assert found.min() > 0.89
        assert abs(found.mean() - 0.95) < 0.01

    @pytest.mark.parametrize("top", [5.0, 50.0])
    def test_poisson(self, top):
        mean, totals = np.linspace(0.2, top, 4801), np.arange(200)
        mass = stats.poisson.pmf(totals[:, None], mean)
        found = coverage(auto(Poisson(), totals, 10), mass, mean / 10)
        assert found.min() > 0.89
        assert abs(found.mean() - 0.95) < 0.01

    @pytest.mark.parametrize("n", [10, 3])
    def test_geometric(self, n):
        """With three rows the score test rejects no small p: "auto" is exact there."""
        p, failures = np.linspace(0.02, 0.98, 961), np.arange(3000)
        mass = stats.nbinom.pmf(failures[:, None], n, p)
        found = coverage(auto(Geometric(), failures, n), mass, p)
        assert found.min() > (0.89 if n == 10 else 0.95)
        assert abs(found.mean() - 0.95) < (0.01 if n == 10 else 0.04)

    def test_binomial_is_bernoulli_with_more_trials(self):
        for method in ("score", "exact", "profile"):
            ours = auto(Binomial(n=5), np.arange(51), 10, method=method)
            assert_allclose(ours, auto(Bernoulli(), np.arange(51), 50, method=method), rtol=1e-9)


@each_family
def test_mean_score_and_observed_information(family, params, distributions):
    """Against means of `score` and their differences, away from the estimate as well."""
    X = table(distributions, 40)
    weight = np.random.default_rng(1).integers(0, 3, 40).astype(float)
    statistics = family.summarize(X, weight)

    def mean(at):
        return np.tensordot(weight, family.score(X, at), axes=1) / weight.sum()

    assert_allclose(family.mean_score(statistics, params), mean(params), rtol=1e-11, atol=1e-13)
    observed = family.observed_information(statistics, params)
    for k, name in enumerate(params):
        step = 1e-5 * params[name]
        up, down = ({**params, name: params[name] + s} for s in (step, -step))
        slope = (mean(up) - mean(down)) / (2 * step)[:, None]
        assert_allclose(observed[:, :, k], -slope, rtol=1e-7, atol=1e-8)


@each_family
def test_cdf_is_scipys(family, params, distributions):
    X = np.tile(np.array([[-1.0], [0.0], [1.0], [2.5], [7.0]]), (1, 2))
    expected = np.column_stack([d.cdf(X[:, j]) for j, d in enumerate(distributions)])
    assert_allclose(family.cdf(X, params), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("family", "rows", "edge", "far"),
    [
        (Binomial(n=10), np.zeros((8, 1)), 0.0, 0.2),
        (Binomial(n=10), np.full((8, 1), 10.0), 1.0, 0.8),
        (Bernoulli(), np.zeros((8, 1)), 0.0, 0.5),
        (Poisson(), np.zeros((8, 1)), 0.0, 0.6),
        (Geometric(), np.ones((8, 1)), 1.0, 0.5),
    ],
)
def test_estimates_on_the_boundary(family, rows, edge, far):
    """Returned; Wald refused; score, profile and exact one-sided, finite and not empty."""
    model = MLEDensity(family).fit(rows)
    name = family.parameters[0].name
    assert model.params_[name] == edge
    assert np.isfinite(model.loglik_)
    for method in ("wald", "wald-transformed"):
        with pytest.raises(ValueError, match="edge of the parameter space"):
            model.confidence_intervals(method=method)
    with pytest.raises(ValueError, match="Standard errors"):
        model.standard_errors()
    for method in ("auto", "score", "profile", "exact"):
        ends = model.confidence_intervals(method=method)[name]
        assert edge in ends
        other = ends[0] if ends[1] == edge else ends[1]
        assert 0 < abs(other - edge) < abs(far - edge)


def test_binomial_needs_its_number_of_trials():
    with pytest.raises(ValueError, match="number of trials"):
        Binomial().summarize(np.zeros((1, 1)), None)
    with pytest.raises(ValueError, match=r"whole number >= 1; got 2\.5"):
        Binomial(n=2.5)
    with pytest.raises(ValueError, match="'n' only"):
        Binomial().given(m=3)
    with pytest.raises(ValueError, match=r"whole numbers from 0 to 3.*'x0'.*4.0.*row 1"):
        MLEDensity(Binomial(n=3)).fit([[1.0], [4.0]])
    assert get_family("binom").given(n=7).trials == 7
    with pytest.raises(ValueError, match="no constants"):
        Bernoulli().given(n=2)


def test_wilson_has_no_cancellation():
    """One success in 1e12: the lower end, of product p^2, by 40 digits."""
    n = 10**12
    low, high = (float(end[0]) for end in auto(Bernoulli(), [1.0], n))
    with mp.workdps(40):
        q = mp.mpf(float(stats.chi2.ppf(0.95, 1)))
        center, half = 1 + q / 2, mp.sqrt(q * (1 - mp.mpf(1) / n + q / 4))
        assert_allclose(low, float((center - half) / (n + q)), rtol=1e-13)
        assert_allclose(high, float((center + half) / (n + q)), rtol=1e-13)
    peer = proportion_confint(3, 40, method="wilson")
    assert_allclose(np.ravel(auto(Bernoulli(), [3.0], 40)), peer, rtol=1e-12)


def test_geometric_ends_are_where_the_tests_reject():
    x = stats.geom(0.3).rvs(size=(12, 1), random_state=0).astype(float)
    model, total = MLEDensity("geometric").fit(x), x.sum()
    for end in model.confidence_intervals(method="score")["p"]:
        assert_allclose(score_test(model, x, {"p": end}).statistic, stats.chi2.ppf(0.95, 1))
    low, high = model.confidence_intervals(method="exact")["p"]
    assert_allclose(stats.nbinom.cdf(total - 12, 12, low), 0.025, rtol=1e-9)
    assert_allclose(stats.nbinom.sf(total - 13, 12, high), 0.025, rtol=1e-9)
    with pytest.raises(ValueError, match="whole numbers >= 1"):
        MLEDensity("geom").fit([[0.0]])


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e-4, 0.05, 1.0, 1e5])
@pytest.mark.parametrize("x", [0, 1, 5, 17, 300])
def test_rising_factorial(x, alpha):
    """Sum of log(1 + j alpha) and its derivatives, term by term with 40 digits."""
    found = [part[0, 0] for part in log_rising(np.array([[float(x)]]), np.array([alpha]))]
    with mp.workdps(40):
        terms = [(j, j / (1 + j * mp.mpf(alpha))) for j in range(x)]
        value = mp.fsum(mp.log1p(j * mp.mpf(alpha)) for j, _ in terms)
        slope, curve = mp.fsum(s for _, s in terms), -mp.fsum(s * s for _, s in terms)
    assert_allclose(found, [float(value), float(slope), float(curve)], rtol=2e-15)


class TestNegativeBinomial:
    FAMILY = NegativeBinomial()
    X = np.random.default_rng(0).negative_binomial(2, 0.2, (60, 1)).astype(float)

    def test_estimate_and_errors_with_30_digits(self):
        """The size as the root of the digamma equation; its error from the information sum."""
        model, x = MLEDensity("nbinom").fit(self.X), [int(v) for v in self.X[:, 0]]
        with mp.workdps(30):
            m = mp.mpf(sum(x)) / len(x)
            start = model.params_["size"]
            size = mp.findroot(
                lambda k: (
                    mp.fsum(mp.digamma(k + v) - mp.digamma(k) for v in x) / 60 - mp.log1p(m / k)
                ),
                start,
            )
            p = size / (size + m)
            mass, total = p**size, -m / (size * (m + size))
            for j in range(600):
                total += mass * (mp.psi(1, size) - mp.psi(1, size + j))
                mass *= (size + j) / (j + 1) * (1 - p)
            error = 1 / mp.sqrt(60 * total)
        assert_allclose(start, float(size), rtol=1e-12)
        assert_allclose(model.standard_errors()["size"], float(error), rtol=1e-10)
        mean, k = float(m), float(size)
        assert_allclose(model.standard_errors()["mu"], np.sqrt((mean + mean**2 / k) / 60))

    def test_against_statsmodels(self):
        fit = Peer(self.X[:, 0], np.ones(60)).fit(disp=0, maxiter=500, gtol=1e-10)
        model = MLEDensity("negative_binomial").fit(self.X)
        assert_allclose(model.params_["mu"], np.exp(fit.params[0]), rtol=1e-5)
        assert_allclose(model.params_["size"], 1 / fit.params[1], rtol=1e-4)
        assert_allclose(model.loglik_, fit.llf, rtol=1e-10)

    def test_profile_ends(self):
        """At either end the likelihood, maximized over the other by scipy, has fallen by q / 2."""
        model, x = MLEDensity("nbinom").fit(self.X), self.X[:, 0]
        half = stats.chi2.ppf(0.95, 1) / 2

        def log_likelihood(mu, k):
            return stats.nbinom.logpmf(x, k, k / (k + mu)).sum()

        for end in model.confidence_intervals()["size"]:
            assert_allclose(model.loglik_ - log_likelihood(x.mean(), end), half, rtol=1e-7)
        for end in model.confidence_intervals()["mu"]:
            best = optimize.minimize_scalar(
                lambda v, end=end: -log_likelihood(end, np.exp(v)), bounds=(-4, 4), method="bounded"
            )
            assert_allclose(model.loglik_ + best.fun, half, rtol=1e-6)

    def test_infinite_size(self):
        """Variance below the mean: the Poisson fit, an interval of the size that is one-sided."""
        x = np.array([[2.0], [3.0], [2.0], [4.0], [3.0], [2.0]])
        statistics = self.FAMILY.summarize(x, None)
        params = self.FAMILY.estimate(statistics)
        assert params["size"][0] == np.inf
        total = self.FAMILY.log_likelihood(statistics, params)
        assert_allclose(total, stats.poisson.logpmf(x, x.mean()).sum(), rtol=1e-13)
        low, high = self.FAMILY.profile_interval("size", statistics, params, 0.95)
        assert high[0] == np.inf
        k = low[0]
        fall = total - stats.nbinom.logpmf(x, k, k / (k + x.mean())).sum()
        assert_allclose(fall, stats.chi2.ppf(0.95, 1) / 2, rtol=1e-8)
        draws = self.FAMILY.sample(params, 20_000, np.random.default_rng(0))
        assert abs(draws.var() / draws.mean() - 1) < 0.05  # five standard errors of the ratio
        assert_allclose(self.FAMILY.cdf(x, params), stats.poisson.cdf(x, x.mean()))
        low, high = self.FAMILY.profile_interval("mu", statistics, params, 0.95)
        assert 0 < low[0] < x.mean() < high[0] < 8

    def test_information_with_large_means(self):
        """The integrated tail against the sum; in the Poisson limit it is mu^2 / 2."""
        mu, alpha = np.array([2e4, 1e4, 9e3]), np.array([0.0, 1 / 200, 1.0])
        found = dispersion_information(mu, alpha)
        assert_allclose(found[0], mu[0] ** 2 / 2, rtol=1e-9)
        for k in (1, 2):
            size = 1 / alpha[k]
            x = np.arange(0.0, stats.nbinom.isf(1e-18, size, size / (size + mu[k])) + 50)
            mass = stats.nbinom.pmf(x, size, size / (size + mu[k]))
            zero = -self.FAMILY.score(x[:, None], {"mu": mu[[k]], "size": np.array([size])})
            of_size = mass @ zero[:, 0, 1] ** 2  # the mean squared score
            assert_allclose(found[k] * alpha[k] ** 4, of_size, rtol=1e-7)

    def test_zeros_are_refused(self):
        with pytest.raises(ValueError, match=r"columns of zeros .*x1.*'poisson'"):
            MLEDensity("nbinom").fit(np.column_stack([self.X, 0 * self.X]))


def test_a_count_table_stands_for_the_rows():
    """Ten thousand rows in any order are a few dozen numbers, merged in any parts."""
    X = np.random.default_rng(0).negative_binomial(2, [0.3, 0.6], (10_000, 2)).astype(float)
    weight = np.arange(10_000) % 3.0 + 1
    family = NegativeBinomial()
    whole = family.summarize(X, weight)
    for j in range(2):
        values, counts = np.unique(X[:, j], return_inverse=True)
        held = whole.counts[:, j] > 0
        assert np.array_equal(whole.values[held, j], values)
        assert np.array_equal(whole.counts[held, j], np.bincount(counts, weight))
    parts = family.summarize(X[7000:], weight[7000:]) + family.summarize(X[:7000], weight[:7000])
    for field in ("n", "values", "counts"):
        assert np.array_equal(getattr(parts, field), getattr(whole, field))
    params = {"mu": np.array([4.0, 1.5]), "size": np.array([2.0, np.inf])}
    total = weight @ family.log_density(X, params)
    assert_allclose(family.log_likelihood(whole, params), total, rtol=1e-12)
    model = MLEDensity("negative_binomial").fit(X)
    assert sum(np.size(value) for value in model._statistics.values()) < 300


@pytest.mark.parametrize("total", [0.0, 1.0, 7.0, 250.0])
def test_exact_poisson_intervals_are_garwoods(total):
    low, high = auto(Poisson(), [total], 5, 0.9, method="exact")
    assert_allclose(high, stats.chi2.ppf(0.95, 2 * (total + 1)) / 10, rtol=1e-12)
    assert_allclose(low, stats.chi2.ppf(0.05, 2 * total) / 10 if total else 0.0, rtol=1e-12)


def test_poisson_masses_of_large_counts_are_scipys():
    X, params = np.array([[1023.0], [1024.0], [5000.0], [1e7]]), {"mu": np.array([1500.0])}
    expected = stats.poisson.logpmf(X, 1500.0)
    assert_allclose(Poisson().log_density(X, params), expected, rtol=1e-12)
