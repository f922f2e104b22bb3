"""Null hypotheses at infinity: half a point mass, half a chi-square; other edges are refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from skgm.inference import MLEDensity, likelihood_ratio_test, score_test, wald_test
from skgm.inference._likelihood.statistics import tail_probability
from skgm.inference.families import NegativeBinomial, StudentT

COUNTS = stats.nbinom(2, 0.4).rvs(size=(60, 1), random_state=0).astype(float)


def test_poisson_in_negative_binomial():
    """Twice the difference of the maxima, one of them searched; half the chi-square's tail."""

    def minus(theta):
        size, mu = np.exp(theta)
        return -stats.nbinom.logpmf(COUNTS, size, size / (size + mu)).sum()

    lowest = optimize.minimize(
        minus, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    expected = -2 * (lowest.fun + stats.poisson.logpmf(COUNTS, COUNTS.mean()).sum())
    for null in ({"size": np.inf}, MLEDensity("poisson")):
        result = likelihood_ratio_test(MLEDensity(NegativeBinomial()), COUNTS, null)
        assert_allclose(result.statistic, expected, rtol=1e-7)
        assert_allclose(result.pvalue, stats.chi2.sf(expected, 1) / 2, rtol=1e-6)
        assert result.df == 1
        assert_allclose(result.restricted_params["mu"], COUNTS.mean())
        assert result.restricted_params["size"] == np.inf


def test_an_infinite_estimate_has_p_value_one():
    """Counts with less variance than a Poisson's: the estimate is the null."""
    even = np.tile([[2.0], [3.0]], (20, 1))
    result = likelihood_ratio_test(MLEDensity(NegativeBinomial()), even, {"size": np.inf})
    assert_allclose(result.statistic, 0.0, atol=1e-9)
    assert result.pvalue == 1.0


def test_normal_in_student_t():
    """Twice the difference of the maxima of two fits; short tails have an infinite estimate."""
    x = stats.t(4).rvs(size=(80, 1), random_state=0)
    model = MLEDensity(StudentT())
    result = likelihood_ratio_test(model, x, {"df": np.inf})
    expected = 2 * (model.fit(x).loglik_ - stats.norm.logpdf(x, x.mean(), x.std()).sum())
    assert_allclose(result.statistic, expected, rtol=1e-8)
    assert_allclose(result.pvalue, stats.chi2.sf(expected, 1) / 2, rtol=1e-7)
    assert_allclose(result.restricted_params["scale"], x.std())
    short = stats.uniform.rvs(size=(50, 1), random_state=0)
    for null in ({"df": np.inf}, MLEDensity("normal")):
        assert likelihood_ratio_test(model, short, null).pvalue == 1.0


@pytest.mark.parametrize("weighted", [False, True])
def test_score_of_overdispersion_by_differences(weighted):
    """The slope of the log-likelihood in 1 / size at zero, over its deviation under a Poisson."""
    weight = np.arange(60) % 3 if weighted else np.ones(60, dtype=int)
    x = COUNTS.repeat(weight, axis=0)
    n, mean, h = len(x), x.mean(), 1e-4

    def height(inverse):
        return stats.nbinom.logpmf(x, 1 / inverse, 1 / (1 + inverse * mean)).sum()

    flat = stats.poisson.logpmf(x, mean).sum()
    slope = (4 * height(h) - height(2 * h) - 3 * flat) / (2 * h)
    root = slope / np.sqrt(n * mean**2 / 2)
    for null in ({"size": np.inf}, MLEDensity("poisson")):
        result = score_test(MLEDensity(NegativeBinomial()), COUNTS, null, sample_weight=weight)
        assert_allclose(result.statistic, root**2, rtol=1e-3)
        assert_allclose(result.pvalue, stats.norm.sf(root), rtol=0.02)
    even = np.tile([[2.0], [3.0]], (20, 1))
    assert score_test(MLEDensity(NegativeBinomial()), even, {"size": np.inf}).pvalue == 1.0
    with pytest.raises(ValueError, match="constant"):
        score_test(MLEDensity("student_t"), np.ones((5, 1)), {"df": np.inf})


def test_score_of_heavy_tails_is_the_kurtosis():
    x = stats.t(4).rvs(size=(80, 1), random_state=0)
    result = score_test(MLEDensity(StudentT()), x, {"df": np.inf})
    root = np.sqrt(80 / 24) * stats.kurtosis(x[:, 0])
    assert_allclose(result.statistic, root**2)
    assert_allclose(result.pvalue, stats.norm.sf(root))


def test_size_of_the_score_tests_at_the_edge():
    """4000 samples of 100: their kurtosis is skew, so its upper tail holds 4.5 % in theory's
    stead of 5 (and less in smaller samples). Four Monte-Carlo errors of 0.35 %, and 1 %."""
    rng = np.random.default_rng(0)
    counts, normals = rng.poisson(4.0, (100, 4000)), rng.normal(size=(100, 4000))
    for family, table in ((NegativeBinomial(), counts), (StudentT(), normals)):
        name = next(p.name for p in family.parameters if p.may_be_infinite)
        roots = np.array([family.limit_root(name, x, None) for x in table.T])
        assert abs(np.mean(roots > stats.norm.ppf(0.95)) - 0.05) < 0.025


ANGLES = stats.vonmises(0.6, loc=2.8).rvs(size=(40, 2), random_state=1)


def test_uniform_angles_are_rayleighs_test():
    """2 n R^2 and twice the difference of the maxima, on two degrees of freedom a column."""
    lengths = np.hypot(np.cos(ANGLES).mean(axis=0), np.sin(ANGLES).mean(axis=0))
    model, null = MLEDensity("von_mises"), {"kappa": 0.0}
    score = score_test(model, ANGLES, null)
    assert_allclose(score.statistic, 80 * np.sum(lengths**2))
    assert score.df == 4
    assert_allclose(score.pvalue, stats.chi2.sf(score.statistic, 4))
    ratio = likelihood_ratio_test(model, ANGLES, null)
    expected = 2 * (model.fit(ANGLES).loglik_ + 80 * np.log(2 * np.pi))
    assert_allclose(ratio.statistic, expected)
    assert (ratio.df, list(ratio.restricted_params["kappa"])) == (4, [0.0, 0.0])
    one = score_test(model, ANGLES, {"kappa": [0.0, np.nan]})
    assert_allclose(one.statistic, 80 * lengths[0] ** 2)
    assert one.df == 2
    assert_allclose(likelihood_ratio_test(model, ANGLES, {"kappa": [0.0, np.nan]}).df, 2)
    single = MLEDensity("von_mises").fit(ANGLES[:, [0]])
    ratio = likelihood_ratio_test(single, ANGLES[:, [0]], null)
    assert_allclose(ratio.statistic, 2 * (single.loglik_ + 40 * np.log(2 * np.pi)))


def test_uniform_angles_with_weights_and_robust():
    weight = np.arange(40) % 3
    model, null = MLEDensity("von_mises"), {"kappa": 0.0}
    x = ANGLES[:, :1]
    repeated = x.repeat(weight, axis=0)
    for options in ({}, {"robust": True}):
        weighted = score_test(model, x, null, sample_weight=weight, **options)
        assert_allclose(weighted.statistic, score_test(model, repeated, null, **options).statistic)
    psi = np.hstack([np.cos(repeated), np.sin(repeated)])
    total = psi.sum(axis=0)
    robust = score_test(model, repeated, null, robust=True)
    assert_allclose(robust.statistic, total @ np.linalg.solve(psi.T @ psi, total))


def test_uniform_angles_have_the_size_of_two_degrees_of_freedom():
    """4000 samples of 20 uniform angles: one degree would reject in 15 %. Four Monte-Carlo errors
    of 0.35 %; the likelihood ratio is a little liberal."""
    rng, model = np.random.default_rng(3), MLEDensity("von_mises")
    X = rng.uniform(-np.pi, np.pi, (20, 4000))
    fit = model.fit(X)
    score = 40 * np.hypot(np.cos(X).mean(axis=0), np.sin(X).mean(axis=0)) ** 2
    heights = fit._family().log_likelihood(fit._fit_record().statistics, fit.params_)
    ratio = 2 * (heights + 20 * np.log(2 * np.pi))
    for statistic in (score, ratio):
        size = np.mean(stats.chi2.sf(statistic, 2) < 0.05)
        assert abs(size - 0.05) < 0.019
    some = score_test(model, X[:, :3], {"kappa": 0.0})
    assert_allclose(some.statistic, score[:3].sum())
    assert_allclose(
        likelihood_ratio_test(model, X[:, :3], {"kappa": 0.0}).statistic, ratio[:3].sum()
    )


def test_uniform_angles_and_more_are_refused():
    model = MLEDensity("von_mises")
    for null in ({"kappa": 0.0, "mu": 1.0}, {"kappa": [0.0, 1.0]}):
        with pytest.raises(ValueError, match="restrict nothing beside it"):
            score_test(model, ANGLES, null)
    with pytest.raises(ValueError, match="Uniform angles: use score_test"):
        wald_test(model.fit(ANGLES), ANGLES, {"kappa": 0.0})
    with pytest.raises(ValueError, match="no direction"):
        score_test(model, ANGLES[:, :1], {"kappa": 0.0}, alternative="greater")
    for correction in ("bartlett", "rstar"):
        with pytest.raises(ValueError, match="null of uniform angles"):
            likelihood_ratio_test(model, ANGLES, {"kappa": 0.0}, correction=correction)
    with pytest.raises(ValueError, match="mu being free"):
        score_test(MLEDensity("von_mises", fixed={"mu": 0.0}), ANGLES, {"kappa": 0.0})


def test_mixture_of_half_a_point_mass_and_half_a_chi_square():
    """P(max(z, 0)^2 >= w) for a standard normal z."""
    for w in (0.1, 2.7, 9.0):
        assert_allclose(tail_probability(w, 1, on_edge=True), stats.norm.sf(np.sqrt(w)), rtol=1e-12)
    assert tail_probability(0.0, 1, on_edge=True) == 1.0


def test_more_than_the_edge_is_refused():
    model = MLEDensity(NegativeBinomial())
    two = np.hstack([COUNTS, COUNTS + 1])
    for X, null in (
        (COUNTS, {"size": np.inf, "mu": 3.0}),
        (two, {"size": np.inf}),
        (two, {"size": [np.inf, 2.0]}),
    ):
        with pytest.raises(ValueError, match="known for one restricted parameter of one column"):
            likelihood_ratio_test(model, X, null)
    held = MLEDensity(NegativeBinomial(), fixed={"mu": 3.0})
    with pytest.raises(ValueError, match="restricted or fixed"):
        likelihood_ratio_test(held, COUNTS, {"size": np.inf})


def test_the_edge_has_one_side_and_one_test():
    model = MLEDensity(NegativeBinomial())
    with pytest.raises(ValueError, match="use likelihood_ratio_test"):
        wald_test(model, COUNTS, {"size": np.inf})
    with pytest.raises(ValueError, match=r"A robust score_test does not exist.*use score_test"):
        score_test(model, COUNTS, {"size": np.inf}, robust=True)
    with pytest.raises(ValueError, match="one side only"):
        score_test(model, COUNTS, {"size": np.inf}, alternative="greater")
    for options in ({"alternative": "less"}, {"correction": "bartlett"}):
        with pytest.raises(ValueError, match="one side only"):
            likelihood_ratio_test(model, COUNTS, {"size": np.inf}, **options)


@pytest.mark.parametrize(
    ("family", "null"),
    [("bernoulli", {"p": 0.0}), ("normal", {"sigma": 0.0}), ("exponential", {"rate": 0.0})],
)
@pytest.mark.parametrize("test", [score_test, likelihood_ratio_test, wald_test])
def test_edges_where_the_model_is_not_regular(test, family, null):
    x = np.tile([[0.0], [1.0]], (10, 1))
    with pytest.raises(ValueError, match=r"got 0\. On that edge the model is not regular"):
        test(MLEDensity(family), x, null)


@pytest.mark.slow
def test_size_at_the_edge():
    """1500 Poisson samples of 200: the naive test rejects half as often. Errors: 0.4 and 0.56 %;
    four of those, and 1 % for the finite sample."""
    rng = np.random.default_rng(0)
    X = rng.poisson(4.0, (200, 1500)).astype(float)
    model = MLEDensity(NegativeBinomial())
    results = [likelihood_ratio_test(model, X[:, [j]], {"size": np.inf}) for j in range(1500)]
    naive = np.mean([stats.chi2.sf(r.statistic, 1) < 0.05 for r in results])
    mixture = np.mean([r.pvalue < 0.05 for r in results])
    assert abs(naive - 0.025) < 0.02
    assert abs(mixture - 0.05) < 0.03
    assert naive < mixture
    assert 0.4 < np.mean([r.pvalue == 1.0 for r in results]) < 0.65
