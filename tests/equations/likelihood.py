"""Parametric likelihood: scores, information, limit laws, tests and intervals."""

import numpy as np
from numpy.testing import assert_allclose
from scipy import integrate, optimize, stats

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.bartlett import bartlett_factor
from skgm.inference._likelihood.nulls import flat_information, flat_scores
from skgm.inference._likelihood.rstar import rstar
from skgm.inference._likelihood.wald import wald_interval as interval
from skgm.inference.families import Exponential, Normal
from skgm.metrics._distribution_statistics import continuous_statistic
from skgm.metrics._two_sample import energy_statistic
from tests.equations import equation, mistake

X = np.array([0.2, 1.7, -0.6, 2.9, 1.1, 0.4, 3.3])
N, MU, SIGMA, RATE = len(X), 0.8, 1.3, 0.7


def slope(function, at, step=1e-5):
    """Richardson-extrapolated central difference: error of order step^4."""
    d1 = (function(at + step) - function(at - step)) / (2 * step)
    d2 = (function(at + 2 * step) - function(at - 2 * step)) / (4 * step)
    return (4 * d1 - d2) / 3


def log_normal(mu, sigma, x=X):
    return stats.norm.logpdf(x, mu, sigma).sum()


def expectation(function, distribution):
    low, high = distribution.support()
    low = max(low, distribution.mean() - 12 * distribution.std())
    high = min(high, distribution.mean() + 40 * distribution.std())
    return integrate.quad_vec(lambda x: function(x) * distribution.pdf(x), low, high)[0]


def hessian(function, at, step=1e-4):
    """Matrix of second differences of a function of a vector."""
    k = len(at)
    steps = step * np.eye(k)

    def corner(i, j, a, b):
        return function(at + a * steps[i] + b * steps[j])

    return np.array(
        [
            [
                sum(a * b * corner(i, j, a, b) for a in (-1, 1) for b in (-1, 1)) / (4 * step**2)
                for j in range(k)
            ]
            for i in range(k)
        ]
    )


@equation("normal-score")
def normal_score():
    total = Normal().score(X[:, None], {"mu": np.array([MU]), "sigma": np.array([SIGMA])})
    by_mu, by_sigma = total.sum(axis=0)[0]
    assert_allclose(by_mu, slope(lambda m: log_normal(m, SIGMA), MU), rtol=1e-8)
    assert_allclose(by_sigma, slope(lambda s: log_normal(MU, s), SIGMA), rtol=1e-8)
    S, variance = ((X - MU) ** 2).sum(), SIGMA**2
    by_variance = -N / (2 * variance) + S / (2 * variance**2)
    named = Normal().variance_score(X[:, None], {"mu": np.array([MU]), "sigma": np.array([SIGMA])})
    assert_allclose(named.sum(), by_variance, rtol=1e-12)
    assert_allclose(by_variance, slope(lambda v: log_normal(MU, v**0.5), variance), rtol=1e-8)
    assert_allclose(by_sigma, by_variance * 2 * SIGMA, rtol=1e-12)


@equation("normal-mean-information")
def normal_mean_information():
    params = {"mu": np.array([MU]), "sigma": np.array([SIGMA])}
    information = Normal().information(params)[0, 0, 0]
    assert_allclose(information, -slope(lambda m: slope_at(m), MU) / N, rtol=1e-5)
    square = expectation(
        lambda x: slope(lambda m: log_normal(m, SIGMA, x), MU) ** 2, stats.norm(MU, SIGMA)
    )
    assert_allclose(information, square, rtol=1e-7)


def slope_at(mu):
    return slope(lambda m: log_normal(m, SIGMA), mu, step=1e-3)


@equation("exponential-score")
def exponential_score():
    waits = np.abs(X)

    def log_likelihood(rate):
        return stats.expon(scale=1 / rate).logpdf(waits).sum()

    total = Exponential().score(waits[:, None], {"rate": np.array([RATE])}).sum()
    assert_allclose(total, slope(log_likelihood, RATE), rtol=1e-8)
    assert_allclose(total, N / RATE - waits.sum(), rtol=1e-12)


@equation("score-mean-zero")
def score_mean_zero():
    params = {"mu": np.array([MU]), "sigma": np.array([SIGMA])}
    law, rows = stats.norm(MU, SIGMA), np.array([[0.3]])
    mean = expectation(lambda x: flat_scores(Normal(), np.array([[x]]), params)[0], law)
    assert_allclose(mean, [0, 0], atol=1e-9)
    by_sigma = slope(lambda s: log_normal(MU, s, rows), SIGMA)  # zero on average, not everywhere
    assert_allclose(flat_scores(Normal(), rows, params)[0, 1], by_sigma, rtol=1e-8)
    rate = {"rate": np.array([RATE])}
    mean = expectation(
        lambda x: flat_scores(Exponential(), np.array([[x]]), rate)[0], stats.expon(scale=1 / RATE)
    )
    assert_allclose(mean, 0, atol=1e-9)


@equation("information-identity")
def information_identity():
    params = {"mu": np.array([MU]), "sigma": np.array([SIGMA])}
    law, information = stats.norm(MU, SIGMA), flat_information(Normal(), params)
    at = np.array([MU, SIGMA])

    def outer(x):
        score = [
            slope(lambda m: log_normal(m, SIGMA, x), MU),
            slope(lambda s: log_normal(MU, s, x), SIGMA),
        ]
        return np.outer(score, score)

    def curvature(x):
        return -hessian(lambda theta: log_normal(*theta, x), at)

    assert_allclose(expectation(outer, law), information, atol=1e-6)
    assert_allclose(expectation(curvature, law), information, atol=1e-5)
    assert (np.linalg.eigvalsh(information) > 0).all()


@equation("mle-asymptotic-normality")
def mle_asymptotic_normality():
    """6000 replicates of n = 400 as columns; a variance is known to 1.8 %, four of those allowed;
    the remaining bias of order 1/n is below 1 %."""
    rng, n, replicates = np.random.default_rng(0), 400, 6000
    rates = MLEDensity("exponential").fit(rng.exponential(1 / RATE, (n, replicates)))
    root_n = np.sqrt(n) * (rates.params_["rate"] - RATE)
    information = 1 / expectation(lambda x: (1 / RATE - x) ** 2, stats.expon(scale=1 / RATE))
    assert_allclose(root_n.var(), information, rtol=0.08)
    assert_allclose(np.mean(root_n <= 0), 0.5, atol=0.04)
    errors = rates.standard_errors()["rate"]
    assert_allclose(n * np.mean(errors**2), information, rtol=0.03)
    # a wrong model: A^-1 B A^-1 with A = 1/mu, B = Var(x)/mu^2 gives Var(x), not mu
    wrong = rng.negative_binomial(2, 1 / 3, (n, replicates)).astype(float)
    means = MLEDensity("poisson").fit(wrong)
    assert_allclose((np.sqrt(n) * means.params_["mu"]).var(), 12.0, rtol=0.08)
    robust = means.standard_errors("robust", X=wrong)["mu"]
    assert_allclose(n * np.mean(robust**2), 12.0, rtol=0.03)
    # two columns, with an off-diagonal: the sandwich of two means is their sample covariance / n
    pair = wrong[:, :2] + wrong[:, 2:3]
    gap = pair.mean(axis=0) - 8.0
    distance = n * gap @ np.linalg.solve(np.cov(pair, rowvar=False, bias=True), gap)
    result = wald_test(MLEDensity("poisson"), pair, {"mu": 8.0}, robust=True)
    assert_allclose(result.statistic, distance, rtol=0.08)  # leverages and the log scale


@equation("score-test")
def score_test_with_a_nuisance_parameter():
    """Efficient score of mu: U_mu^2 / (I_mm - I_ms I_ss^-1 I_sm), everything by differences."""
    null = 0.5
    sigma = optimize.minimize_scalar(
        lambda s: -log_normal(null, s), bounds=(0.1, 10), options={"xatol": 1e-10}, method="bounded"
    ).x
    U = slope(lambda m: log_normal(m, sigma), null)
    law = stats.norm(null, sigma)
    at = np.array([null, sigma])
    information = N * expectation(lambda x: -hessian(lambda theta: log_normal(*theta, x), at), law)
    efficient = information[0, 0] - information[0, 1] ** 2 / information[1, 1]
    result = score_test(MLEDensity(), X[:, None], {"mu": null})
    assert_allclose(result.statistic, U**2 / efficient, rtol=1e-5)
    assert result.df == 1
    assert_allclose(result.pvalue, stats.chi2.sf(result.statistic, 1), rtol=1e-12)


@equation("lagrange-multiplier")
def lagrange_multiplier():
    """The slope of the restricted maximum in the value that the null holds, by differences."""

    def highest(null):
        return optimize.minimize_scalar(
            lambda s: -log_normal(null, s), bounds=(0.1, 10), options={"xatol": 1e-11}
        ).fun

    result = score_test(MLEDensity(), X[:, None], {"mu": 0.5})
    assert_allclose(result.multiplier, [slope(lambda m: -highest(m), 0.5, 1e-3)], rtol=1e-6)
    restricted = result.restricted_params
    total = (
        Normal().score(X[:, None], {k: np.array([v]) for k, v in restricted.items()}).sum(axis=0)
    )
    assert_allclose(result.multiplier, total[0, :1], rtol=1e-12)  # the score of mu there
    inverse = np.linalg.inv(Normal().information({k: np.array([v]) for k, v in restricted.items()}))
    assert_allclose(result.statistic, result.multiplier**2 * inverse[0, 0, 0] / N, rtol=1e-10)
    # one multiplier for mu - 2 sigma = 0: the score is R' lambda
    R = np.array([1.0, -2.0])
    result = score_test(MLEDensity(), X[:, None], (R, 0.0))
    restricted = {k: np.array([v]) for k, v in result.restricted_params.items()}
    total = Normal().score(X[:, None], restricted).sum(axis=0)[0]
    assert_allclose(total, R * result.multiplier, rtol=1e-6)
    covariance = np.linalg.inv(N * Normal().information(restricted)[0])
    expected = result.multiplier @ result.multiplier * (R @ covariance @ R)
    assert_allclose(result.statistic, expected, rtol=1e-6)


@equation("likelihood-ratio-test")
def likelihood_ratio():
    def minus(theta):
        return -log_normal(theta[0], np.exp(theta[1]))

    tight = {"xatol": 1e-9, "fatol": 1e-12}
    full = -optimize.minimize(minus, [0.0, 0.0], method="Nelder-Mead", options=tight).fun
    held = -optimize.minimize_scalar(lambda s: minus([0.5, s]), tol=1e-10).fun
    result = likelihood_ratio_test(MLEDensity(), X[:, None], {"mu": 0.5})
    assert_allclose(result.statistic, 2 * (full - held), rtol=1e-7)
    # the expansion 2 U d - I d^2, d = U/I, is exact where the likelihood is quadratic
    U, information = ((X - 0.5) / SIGMA**2).sum(), N / SIGMA**2
    d = U / information
    exact = 2 * (log_normal(X.mean(), SIGMA) - log_normal(0.5, SIGMA))
    assert_allclose(2 * U * d - information * d**2, exact, rtol=1e-12)


@equation("wald-test")
def wald():
    """Estimate by search, covariance from second differences of scipy's log-density."""

    def minus(theta):
        return -log_normal(*theta)

    estimate = optimize.minimize(
        minus, [1.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13}
    ).x
    gap = estimate - [0.5, 1.0]
    curvature = hessian(minus, estimate)
    result = wald_test(MLEDensity(), X[:, None], {"mu": 0.5, "sigma": 1.0})
    assert_allclose(result.statistic, gap @ curvature @ gap, rtol=1e-5)
    part = wald_test(MLEDensity(), X[:, None], {"sigma": 1.0})
    assert_allclose(part.statistic, gap[1] ** 2 / np.linalg.inv(curvature)[1, 1], rtol=1e-5)
    assert (result.df, part.df) == (2, 1)


@equation("bartlett")
def bartlett():
    """Exponential rate: W = 2 n (u - 1 - log u), n u being gamma; its mean and the size of W / E[W]
    by quadrature. Normal: W of the mean and of sigma from Student's t and chi-square."""
    n = 5
    law = stats.gamma(n, scale=1 / n)
    quantile = stats.chi2.ppf(0.95, 1)

    def ratio(u):
        return 2 * n * (u - 1 - np.log(u))

    def size(factor):
        ends = [
            optimize.brentq(lambda u: ratio(u) / factor - quantile, *bracket)
            for bracket in ((1e-6, 1.0), (1.0, 9.0))
        ]
        return law.cdf(ends[0]) + law.sf(ends[1])

    mean = integrate.quad(lambda u: ratio(u) * law.pdf(u), 0, np.inf)[0]
    rates = Exponential().summarize(X[:n, None] ** 2, None)
    estimate, at = Exponential().estimate(rates), np.array([0.4])
    factor = bartlett_factor(Exponential(), "rate", rates, estimate, at)
    assert_allclose(factor, mean, rtol=1e-8)
    assert abs(size(mean) - 0.05) < 0.0004 < 0.003 < abs(size(1.0) - 0.05)
    result = likelihood_ratio_test(
        MLEDensity("exponential"), X[:n, None] ** 2, {"rate": 0.4}, correction="bartlett"
    )
    assert_allclose(result.statistic, ratio(0.4 * np.mean(X[:n] ** 2)) / mean, rtol=1e-8)
    t, s = stats.t(N - 1), stats.chi2(N - 1)
    of_mean = integrate.quad(lambda z: N * np.log1p(z**2 / (N - 1)) * t.pdf(z), -np.inf, np.inf)[0]
    of_sigma = integrate.quad(
        lambda v: N * (v / N - 1 - np.log(v / N)) * s.pdf(v), 0, np.inf, limit=200
    )[0]
    moments = Normal().summarize(X[:, None], None)
    estimate = Normal().estimate(moments)
    for name, expected in (("mu", of_mean), ("sigma", of_sigma)):
        factor = bartlett_factor(Normal(), name, moments, estimate, np.array([1.0]))
        assert_allclose(factor, expected, rtol=1e-7)


@equation("rstar")
def modified_signed_root():
    """Exponential rate, n = 3: q is the Wald root of the rate; the exact tail is a gamma's."""
    x = np.array([[0.4], [1.9], [0.8]])
    n, total = 3, x.sum()
    estimate = n / total
    family, statistics = Exponential(), Exponential().summarize(x, None)
    for rate in (0.15, 0.4, 2.2, 3.0):
        fall = n * np.log(estimate / rate) - (estimate - rate) * total
        r = np.sign(estimate - rate) * np.sqrt(2 * fall)
        q = (estimate - rate) * np.sqrt(n) / estimate
        found = rstar(family, "rate", statistics, {"rate": np.array([estimate])}, np.array([rate]))
        assert_allclose(found[0], r, rtol=1e-9)
        assert_allclose(found[1], r + np.log(q / r) / r, rtol=1e-8)
        law = stats.gamma(n)  # of rate * total; an estimate at least as far as this one
        exact = law.cdf(rate * total) if r > 0 else law.sf(rate * total)
        assert_allclose(stats.norm.sf(np.abs(found[1])), exact, rtol=0.01)
        assert abs(stats.norm.sf(np.abs(r)) / exact - 1) > 0.1


@equation("wald-interval")
def wald_interval():
    """Sigma known: exact normal coverage. Unknown: t covers, z with the MLE's sigma does not:
    P(|t_9| < 1.96 sqrt(9/10)) = 0.904; 20000 replicates at n = 10, error 0.2 %."""
    low, high = interval(X.mean(), SIGMA / np.sqrt(N), 0.95)
    z = stats.norm(X.mean(), SIGMA / np.sqrt(N)).interval(0.95)
    assert_allclose((low, high), z, rtol=1e-12)
    small = np.random.default_rng(0).normal(MU, SIGMA, (10, 20_000))
    model = MLEDensity().fit(small)
    expected = {
        "exact": 0.95,
        "wald": 1 - 2 * stats.t.sf(stats.norm.ppf(0.975) * np.sqrt(0.9), 9),
    }
    for method, coverage in expected.items():
        low, high = model.confidence_intervals(method=method)["mu"]
        assert_allclose(np.mean((low <= MU) & (high >= MU)), coverage, atol=0.008)


@mistake("variance-score-units")
def variance_score_units():
    """sigma^3 beside sigma^2: the root has the wrong units."""
    S, v = ((X - MU) ** 2).sum(), SIGMA**2
    right = -N / (2 * v) + S / (2 * v**2)
    wrong = -N / (2 * v) + S / (2 * v**1.5)
    return right, wrong, slope(lambda u: log_normal(MU, u**0.5), v)


@mistake("score-mean-versus-sum")
def score_mean_versus_sum():
    """The total score with the information of one observation: too large by n."""
    score, information = (X - 0.5) / SIGMA**2, 1 / SIGMA**2
    right = score.sum() ** 2 / (N * information)
    wrong = score.sum() ** 2 / information
    z = (X.mean() - 0.5) / (SIGMA / np.sqrt(N))
    return right, wrong, z**2


@mistake("normal-loglik-one-over-two-sigma")
def normal_loglik_one_over_two_sigma():
    S, constant = ((X - MU) ** 2).sum(), -N * np.log(np.sqrt(2 * np.pi) * SIGMA)
    return constant - S / (2 * SIGMA**2), constant - S / (2 * SIGMA), log_normal(MU, SIGMA)


def expansion_pieces():
    U, information = ((X - 0.5) / SIGMA**2).sum(), N / SIGMA**2
    truth = 2 * (log_normal(X.mean(), SIGMA) - log_normal(0.5, SIGMA))
    return U, information, U / information, truth


@mistake("lrt-expansion-sign")
def lrt_expansion_sign():
    U, information, d, truth = expansion_pieces()
    return 2 * U * d - information * d**2, 2 * U * d + information * d**2, truth


@mistake("lrt-expansion-coefficient")
def lrt_expansion_coefficient():
    """(s / I) d^2 where I d^2 belongs, with either sign."""
    U, information, d, truth = expansion_pieces()
    return 2 * U * d - information * d**2, 2 * U * d - U / information * d**2, truth


@mistake("trace-is-not-information")
def trace_is_not_information():
    law = stats.norm(MU, SIGMA)

    def outer(x):
        z = (x - MU) / SIGMA
        score = np.array([z, z * z - 1]) / SIGMA
        return np.outer(score, score)

    right = Normal().information({"mu": np.array([MU]), "sigma": np.array([SIGMA])})[0]
    truth = expectation(outer, law)
    return right, np.trace(right), truth


@mistake("limit-law-depends-on-n")
def limit_law_depends_on_n():
    """sqrt(n) (p_hat - p) has variance 1/i, by enumeration; N(p, i^-1 / n) is no limit."""
    n, p = 50, 0.3
    k = np.arange(n + 1)
    mass = stats.binom.pmf(k, n, p)
    truth = mass @ (np.sqrt(n) * (k / n - p)) ** 2
    information = 1 / (p * (1 - p))
    return 1 / information, 1 / (n * information), truth


@mistake("standard-error-without-root-n")
def standard_error_without_root_n():
    """sigma where sigma / sqrt(n) belongs, by enumeration of a mean of n."""
    n, p = 50, 0.3
    k = np.arange(n + 1)
    truth = np.sqrt(stats.binom.pmf(k, n, p) @ (k / n - p) ** 2)
    sigma = np.sqrt(p * (1 - p))
    return sigma / np.sqrt(n), sigma, truth


@mistake("score-zero-is-not-a-maximum")
def score_zero_is_not_a_maximum():
    """Cauchy location, data -3 and 3: the score is zero at 0, a minimum between two maxima."""

    def log_likelihood(location):
        return stats.cauchy.logpdf([-3.0, 3.0], location).sum()

    assert abs(slope(log_likelihood, 0.0)) < 1e-9
    grid = np.linspace(0, 6, 601)
    best = grid[np.argmax([log_likelihood(g) for g in grid])]
    truth = optimize.brentq(lambda g: slope(log_likelihood, g), best - 0.05, best + 0.05)
    return np.sqrt(3.0**2 - 1), 0.0, truth


@mistake("score-mean-zero-needs-fixed-support")
def score_mean_zero_needs_fixed_support():
    """Uniform(0, theta): the mean score is -1/theta."""
    theta = 2.5
    points = np.linspace(0.01, 2.4, 50)
    truth = slope(lambda t: np.mean(stats.uniform(0, t).logpdf(points)), theta)
    return -1 / theta, 0.0, truth


@mistake("confidence-level-is-not-significance-level")
def confidence_level_is_not_significance_level():
    """What mean -+ 1.96 standard errors covers is the confidence level, 1 - alpha."""
    alpha = 0.05
    low, high = interval(0.0, 1.0, 1 - alpha)
    covered = integrate.quad(stats.norm.pdf, low, high)[0]
    return 1 - alpha, alpha, covered


@equation("anderson-darling")
def anderson_darling():
    """The integral, by quadrature between the values, where F_n is constant."""
    below = np.sort(stats.norm.cdf(X, MU, SIGMA))
    ends = [0.0, *below, 1.0]
    parts = [
        integrate.quad(lambda u, s=i / N: (s - u) ** 2 / (u * (1 - u)), ends[i], ends[i + 1])[0]
        for i in range(N + 1)
    ]
    assert_allclose(continuous_statistic("ad", below[:, None]), N * sum(parts), rtol=1e-8)


@equation("energy-distance")
def energy_distance():
    """In one column it is twice the integral of the squared difference of step functions."""
    a, b = X[:3], X[3:]
    knots = np.sort(X)
    middle = (knots[:-1] + knots[1:]) / 2
    gap = [np.mean(a <= x) - np.mean(b <= x) for x in middle]
    expected = 2 * np.sum(np.square(gap) * np.diff(knots))
    found = energy_statistic(a[:, None], b[:, None])
    assert_allclose(found, len(a) * len(b) / N * expected, rtol=1e-12)
