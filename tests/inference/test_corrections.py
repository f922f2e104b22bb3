"""Bartlett's correction and r*: exact means by simulation, cumulants by differences, sizes."""

import numpy as np
import pytest
from mpmath import mp
from numpy.testing import assert_allclose
from scipy import stats

from skgm.inference import MLEDensity, likelihood_ratio_test
from skgm.inference._likelihood.bartlett import (
    bartlett_factor,
    bartlett_interval,
    column_means,
    exact_mean,
    expanded_mean,
    simulated_mean,
)
from skgm.inference.families import (
    Beta,
    Exponential,
    Gamma,
    Gumbel,
    InverseGaussian,
    LogNormal,
    Normal,
    Rayleigh,
    Weibull,
)
from tests.inference.test_mle import data

REPLICATES = 20_000


def ratios(family, truth, held, n, replicates=REPLICATES, seed=0):
    """Return W of simulated tables with `held` parameters tested at the truth, as columns."""
    rng = np.random.default_rng(seed)
    wide = {name: np.full(replicates, value) for name, value in truth.items()}
    statistics = family.summarize(family.sample(wide, n, rng), None)
    free = np.full(replicates, np.nan)
    null = {name: value if name in held else free for name, value in wide.items()}
    full = family.estimate(statistics)
    small = family.restricted_estimate(statistics, null)
    W = 2 * (family.log_likelihood(statistics, full) - family.log_likelihood(statistics, small))
    return W, small


def pattern_of(family, held):
    return np.array([p.name in held for p in family.parameters])


EXACT = [
    (Normal(), {"mu": 1.0, "sigma": 2.0}, ("mu",)),
    (Normal(), {"mu": 1.0, "sigma": 2.0}, ("sigma",)),
    (Normal(), {"mu": 1.0, "sigma": 2.0}, ("mu", "sigma")),
    (LogNormal(), {"mu": 1.0, "sigma": 0.5}, ("sigma",)),
    (InverseGaussian(), {"mu": 1.0, "lam": 2.0}, ("mu",)),
    (InverseGaussian(), {"mu": 1.0, "lam": 2.0}, ("lam",)),
    (InverseGaussian(), {"mu": 1.0, "lam": 2.0}, ("mu", "lam")),
    (Exponential(), {"rate": 3.0}, ("rate",)),
    (Rayleigh(), {"scale": 3.0}, ("scale",)),
]


@pytest.mark.parametrize(("family", "truth", "held"), EXACT)
def test_exact_means(family, truth, held):
    """Within four standard errors of the simulated mean, at n = 6."""
    W, _ = ratios(family, truth, held, 6)
    error = W.std() / np.sqrt(REPLICATES)
    assert abs(exact_mean(family, pattern_of(family, held), 6) - W.mean()) < 4 * error


def test_exact_means_with_something_known():
    X = np.random.default_rng(0).normal(1.0, 2.0, (6, REPLICATES))
    for fixed, null in (({"mu": 1.0}, {"sigma": 2.0}), ({"sigma": 2.0}, {"mu": 1.0})):
        model = MLEDensity(fixed=fixed)
        plain = likelihood_ratio_test(model, X, null)
        fair = likelihood_ratio_test(model, X, null, correction="bartlett")
        # W summed over columns has the mean `df` after the correction; its error is sqrt(2.4 df)
        assert abs(fair.statistic - REPLICATES) < 4 * np.sqrt(2.4 * REPLICATES)
        assert fair.correction == "bartlett"
        expected = 1.0 if "sigma" in fixed else 6 * (np.log(3) - float(mp.digamma(3)))
        assert_allclose(plain.statistic / fair.statistic, expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 10.0])
def test_gamma_expansion(shape):
    """b of the shape, scale free: 1.499, 1.661, 1.750, 1.817."""
    params = {"shape": np.array([shape]), "scale": np.array([3.0])}
    found = expanded_mean(Gamma(), np.array([True, False]), params, 10)
    expected = {0.5: 1.499, 1.0: 1.661, 2.0: 1.750, 10.0: 1.817}[shape]
    assert_allclose(10 * (found[0] - 1), expected, atol=6e-4)


def invariant(potential, theta):
    """b = (3 r13^2 + 2 r23^2 - 3 r4) / 12 from derivatives of a log-normalizer, by mpmath."""
    p = len(theta)

    def cumulant(*index):
        order = [index.count(j) for j in range(p)]
        return float(mp.diff(potential, theta, tuple(order)))

    every = range(p)
    inverse = np.linalg.inv([[cumulant(i, j) for j in every] for i in every])
    k3 = np.array([[[cumulant(i, j, k) for k in every] for j in every] for i in every])
    k4 = np.array(
        [[[[cumulant(i, j, k, m) for m in every] for k in every] for j in every] for i in every]
    )
    r4 = np.einsum("ijkl,ij,kl", k4, inverse, inverse)
    r13 = np.einsum("ijk,lmn,ij,kl,mn", k3, k3, inverse, inverse, inverse)
    r23 = np.einsum("ijk,lmn,il,jm,kn", k3, k3, inverse, inverse, inverse)
    return (3 * r13 + 2 * r23 - 3 * r4) / 12


@pytest.mark.parametrize("held", [(True, False), (False, True), (True, True)])
def test_expansions_from_derivatives_of_the_normalizer(held):
    """Gamma: log Gamma(a) - a log(-t); beta: the log beta function; 40 digits."""
    a, b, mask = 1.7, 0.6, np.array(held)
    cases = [
        (
            Gamma(),
            {"shape": a, "scale": 1.0},
            lambda a, t: mp.loggamma(a) - a * mp.log(-t),
            [a, -1],
        ),
        (
            Beta(),
            {"a": a, "b": b},
            lambda a, b: mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b),
            [a, b],
        ),
    ]
    with mp.workdps(40):
        for family, params, potential, theta in cases:
            expected = invariant(potential, theta)
            if not mask.all():
                j = held.index(False)
                line = lambda x: potential(*[x if k == j else theta[k] for k in (0, 1)])  # noqa
                expected -= invariant(line, [theta[j]])
            wide = {name: np.array([value]) for name, value in params.items()}
            found = expanded_mean(family, mask, wide, 10)
            assert_allclose(10 * (found[0] - mask.sum()), expected, rtol=1e-8)


@pytest.mark.parametrize(
    ("family", "truth", "held"),
    [
        (Normal(), {"mu": 0.0, "sigma": 1.0}, ("mu",)),
        (Normal(), {"mu": 0.0, "sigma": 1.0}, ("mu", "sigma")),
        (Exponential(), {"rate": 1.0}, ("rate",)),
    ],
)
@pytest.mark.parametrize("n", [8, 30, 400])
def test_simulated_means_against_exact_ones(family, truth, held, n):
    """The standard error of a simulated mean is below 0.008, which moves a size by 0.1 %; it falls
    as 1/n beyond 50 rows. Four of those."""
    pattern = pattern_of(family, held)
    params = {name: np.array([value]) for name, value in truth.items()}
    exact = exact_mean(family, pattern, n) - pattern.sum()
    found = simulated_mean(family, pattern, params, n)[0] - pattern.sum()
    assert_allclose(found, exact, atol=0.032 * min(1, 50 / n))


@pytest.mark.parametrize(("n", "mean"), [(5, 1.4445), (10, 1.1995), (20, 1.0907), (50, 1.0359)])
def test_weibull_shape_depends_on_n_alone(n, mean):
    """Means of 400,000 simulated W, known to 0.003; ours to 0.007; four errors of the difference.
    Equal at all parameters and in all units."""
    pattern = np.array([True, False])
    params = {"shape": np.array([0.7, 3.0]), "scale": np.array([1e-3, 20.0])}
    found = column_means(Weibull(), pattern, params, n)
    assert found[0] == found[1]
    assert_allclose(found[0], mean, atol=0.03)


def test_gumbel_mean_by_another_simulation():
    W, _ = ratios(Gumbel(), {"loc": 0.0, "scale": 1.0}, ("scale",), 10, seed=5)
    params = {"loc": np.zeros(1), "scale": np.ones(1)}
    found = column_means(Gumbel(), np.array([False, True]), params, 10)
    # both are simulated; their standard errors are 0.012 and 0.004
    assert_allclose(found[0], W.mean(), atol=0.05)


def patterns(d=3):
    nan = np.nan
    eye = np.eye(d, dtype=bool)
    blocks = np.full((d, d), nan)
    blocks[0, 1:] = blocks[1:, 0] = 0.0
    return {
        "independence": {"covariance": np.where(eye, nan, 0.0)},
        "groups and means": {"mean": [0.0, 0.0, nan], "covariance": blocks},
        "two means": {"mean": [0.0, nan, 0.0]},
        "covariance": {"covariance": np.eye(d)},
        "covariance and a mean": {"covariance": np.eye(d), "mean": [nan, 0.0, nan]},
        "everything": {"covariance": np.eye(d), "mean": np.zeros(d)},
        "contrasts": (np.eye(2, 9) - np.eye(2, 9, 1), 0.0),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", patterns())
def test_exact_means_of_a_multivariate_normal(kind):
    """3000 tables of 8 rows: the corrected statistic has the mean df, within four errors."""
    null, rng = patterns()[kind], np.random.default_rng(1)
    model = MLEDensity("mvn")
    results = [
        likelihood_ratio_test(model, rng.standard_normal((8, 3)), null, correction="bartlett")
        for _ in range(3000)
    ]
    statistics = np.array([result.statistic for result in results])
    assert abs(statistics.mean() - results[0].df) < 4 * statistics.std() / np.sqrt(3000)


@pytest.mark.parametrize("kind", ["covariance", "covariance and a mean", "everything", "two means"])
def test_exact_means_of_a_multivariate_normal_by_wishart_matrices(kind):
    """100,000 tables of 8 rows at once, W by the textbook's determinants and traces."""
    n, d = 8, 3
    X = np.random.default_rng(2).standard_normal((100_000, n, d))
    mean = X.mean(axis=1)
    S = np.einsum("rni,rnj->rij", X, X) / n - mean[:, :, None] * mean[:, None, :]
    null = patterns()[kind]
    held = ~np.isnan(np.asarray(null.get("mean", np.full(d, np.nan))))
    if "covariance" in null:
        W = n * (np.trace(S, axis1=1, axis2=2) - d - np.linalg.slogdet(S)[1])
        W += n * (mean[:, held] ** 2).sum(axis=1)
    else:  # Hotelling's T^2 of the means held
        part = np.linalg.solve(S[:, held][:, :, held], mean[:, held, None])[..., 0]
        W = n * np.log1p((part * mean[:, held]).sum(axis=1))
    model = MLEDensity("mvn")
    plain = likelihood_ratio_test(model, X[0], null)
    fair = likelihood_ratio_test(model, X[0], null, correction="bartlett")
    assert_allclose(plain.statistic, W[0], rtol=1e-9)
    error = W.std() / np.sqrt(len(W))
    assert abs(plain.df * plain.statistic / fair.statistic - W.mean()) < 4 * error


def test_columns_with_different_nulls():
    """The mean is summed over columns by what each restricts."""
    X, nan = data("normal", n=9), np.nan
    null = {"mu": [5.0, nan, 4.0], "sigma": [nan, nan, 2.0]}
    plain = likelihood_ratio_test(MLEDensity(), X, null)
    fair = likelihood_ratio_test(MLEDensity(), X, null, correction="bartlett")
    digamma = [float(mp.digamma(mp.mpf(m) / 2)) for m in (8, 9)]
    mean = 9 * (digamma[1] - digamma[0]) + 9 * (np.log(4.5) - digamma[0])
    assert_allclose(fair.statistic, plain.statistic * 3 / mean, rtol=1e-12)


def test_modified_root_of_the_test():
    """The normal mean: r* against Student's t, where its error is below 2 %; its square, two-sided.
    Only the column that is restricted counts."""
    X = data("normal", n=10)
    t = stats.ttest_1samp(X[:, 1], 4.9, alternative="greater")
    null = {"mu": [np.nan, 4.9, np.nan]}
    result = likelihood_ratio_test(MLEDensity(), X, null, correction="rstar", alternative="greater")
    assert_allclose(result.pvalue, t.pvalue, rtol=0.02)
    both = likelihood_ratio_test(MLEDensity(), X, null, correction="rstar")
    assert_allclose(both.statistic, result.statistic**2, rtol=1e-12)
    assert_allclose(both.pvalue, 2 * min(result.pvalue, 1 - result.pvalue), rtol=1e-9)
    less = likelihood_ratio_test(MLEDensity(), X, null, correction="rstar", alternative="less")
    assert_allclose(less.pvalue, 1 - result.pvalue, rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "null", "correction", "words"),
    [
        ("poisson", {"mu": 1.0}, "bartlett", "continuous families"),
        ("poisson", {"mu": 1.0}, "rstar", "continuous family of independent columns"),
        ("normal", {"mu": 1.0}, "rstar", "one parameter of one column"),
        ("mvn", {"mean": [1.0, np.nan, np.nan]}, "rstar", "independent columns"),
        (
            "normal",
            (np.array([1.0, -1, 0, 0, 0, 0]), 0.0),
            "bartlett",
            "holds parameters at values",
        ),
        ("normal", (np.array([1.0, -1, 0, 0, 0, 0]), 0.0), "rstar", "one parameter of one column"),
        ("normal", {"mu": 1.0}, "lawley", "correction must be one of None, 'bartlett', 'rstar'"),
    ],
)
def test_corrections_that_do_not_exist(family, null, correction, words):
    with pytest.raises(ValueError, match=words):
        likelihood_ratio_test(MLEDensity(family), data(family), null, correction=correction)


@pytest.mark.parametrize(
    ("family", "name"),
    [(Normal(), "sigma"), (Exponential(), "rate"), (Gamma(), "shape"), (Weibull(), "shape")],
)
def test_interval_holds_what_the_corrected_test_does_not_reject(family, name):
    x = stats.gamma(2.0).rvs(size=(12, 2), random_state=0)
    statistics = family.summarize(x, None)
    estimate = family.estimate(statistics)
    ends = bartlett_interval(family, name, statistics, estimate, 0.9)
    for end in ends:
        for j in range(2):
            result = likelihood_ratio_test(
                MLEDensity(family), x[:, [j]], {name: end[j]}, correction="bartlett"
            )
            assert_allclose(result.pvalue, 0.1, rtol=1e-6)
        factor = bartlett_factor(family, name, statistics, estimate, end)
        assert np.all(factor > 1.0)
    plain = family.profile_interval(name, statistics, estimate, 0.9)
    assert np.all(ends[0] < plain[0])
    assert np.all(ends[1] > plain[1])


SIZES = [
    (Normal(), {"mu": 0.0, "sigma": 1.0}, ("mu", "sigma")),
    (Gamma(), {"shape": 2.0, "scale": 1.0}, ("shape",)),
    (Gamma(), {"shape": 0.5, "scale": 1.0}, ("scale",)),
    (Beta(), {"a": 2.0, "b": 0.7}, ("a",)),
    (Weibull(), {"shape": 2.0, "scale": 1.0}, ("shape",)),
    (Gumbel(), {"loc": 2.0, "scale": 1.0}, ("loc",)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "truth", "held"), SIZES)
def test_sizes_at_ten_rows(family, truth, held):
    """20000 tables: 5 % is known to 0.154 %; three of those, and 0.3 % for the expansion."""
    pattern = pattern_of(family, held)
    W, small = ratios(family, truth, held, 10)
    mean = column_means(family, pattern, small, 10)
    quantile = stats.chi2.ppf(0.95, pattern.sum())
    assert abs(np.mean(W * pattern.sum() / mean > quantile) - 0.05) < 0.0077
    assert np.mean(W > quantile) > 0.06  # noqa: SIM300
