"""Robust intervals and tests of few rows: they agree, and have their sizes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm import MLEDensity, score_test, wald_test
from skgm.inference.families import get_family
from tests.inference import robust_forms

CASES = [
    ("gamma", {"shape": 2.0, "scale": 1.0}, "shape"),
    ("weibull", {"shape": 2.0, "scale": 1.0}, "shape"),
    ("inverse_gaussian", {"mu": 1.0, "lam": 1.0}, "lam"),
    ("normal", {"mu": 0.0, "sigma": 1.0}, "sigma"),
]


def columns(family, truth, n, m, seed):
    wide = {name: np.full(m, value) for name, value in truth.items()}
    return get_family(family).sample(wide, n, np.random.default_rng(seed))


@pytest.mark.parametrize(("family", "truth", "name"), CASES, ids=[case[0] for case in CASES])
def test_robust_wald_rejects_what_the_interval_leaves_out(family, truth, name):
    for x in columns(family, truth, 12, 8, 0).T[:, :, None]:
        interval = MLEDensity(family).fit(x).confidence_intervals(0.9, "robust", X=x)
        for end, outwards in zip(interval[name], (0.999, 1.001)):
            for factor in (outwards, 1 / outwards):
                test = wald_test(MLEDensity(family), x, {name: end * factor}, robust=True)
                assert (test.pvalue < 0.1) == (factor == outwards)
            at_end = wald_test(MLEDensity(family), x, {name: end}, robust=True)
            assert_allclose(at_end.pvalue, 0.1, rtol=1e-6)


def test_several_restrictions_are_hotelling_s_with_leverages():
    """Written out for two Poisson means: pulls x - mean, whose leverages sum to two."""
    X = np.random.default_rng(0).negative_binomial(2, 0.4, (25, 2)).astype(float)
    away = X - X.mean(axis=0)
    spread = away.T @ away
    share = np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away)
    assert_allclose(share.sum(), 2)
    covariance = (away / (1 - share)[:, None]).T @ away / 25**2
    gap = X.mean(axis=0) - [2.0, 4.0]
    null = ([[1.0, 0.0], [0.0, 1.0]], [2.0, 4.0])
    log_gap = np.log(X.mean(axis=0) / [2.0, 4.0]) * X.mean(axis=0)
    found = wald_test(MLEDensity("poisson"), X, null, robust=True)
    expected = log_gap @ np.linalg.solve(covariance, log_gap)
    tail = robust_forms.stats.f.sf(expected / 2, 2, 23)
    assert_allclose(found.pvalue, tail, rtol=1e-8)
    score = score_test(MLEDensity("poisson"), X, {"mu": [2.0, 4.0]}, robust=True)
    expected = gap @ np.linalg.solve(covariance, gap)
    assert_allclose(score.pvalue, robust_forms.stats.f.sf(expected / 2, 2, 23), rtol=1e-8)


def test_clusters_are_summed_in_intervals_and_tests():
    """Each row twice, in one cluster: as if the rows were there once, with twice the weight."""
    x = np.random.default_rng(1).gamma(2.0, size=(20, 1))
    twice, groups = np.repeat(x, 2, axis=0), np.repeat(np.arange(20), 2)
    once, model = MLEDensity("gamma").fit(x), MLEDensity("gamma").fit(twice)
    expected = once.confidence_intervals(method="robust", X=x)
    found = model.confidence_intervals(method="robust", X=twice, groups=groups)
    for name in expected:
        assert_allclose(found[name], expected[name], rtol=1e-6)
    for test in (wald_test, score_test):
        plain = test(MLEDensity("gamma"), x, {"shape": 1.5}, robust=True)
        grouped = test(MLEDensity("gamma"), twice, {"shape": 1.5}, robust=True, groups=groups)
        assert_allclose(grouped.statistic, plain.statistic, rtol=1e-6)
    weight = np.repeat([1.0, 0.0], 20)
    both = np.vstack([x, x + 9])
    weighted = score_test(
        MLEDensity("gamma"),
        both,
        {"shape": 1.5},
        robust=True,
        groups=np.arange(40),
        sample_weight=weight,
    )
    assert_allclose(weighted.statistic, plain.statistic, rtol=1e-6)


def test_groups_are_refused_where_they_would_be_ignored():
    x = np.random.default_rng(1).gamma(2.0, size=(20, 1))
    model, groups = MLEDensity("gamma").fit(x), np.arange(20) // 2
    with pytest.raises(ValueError, match="groups is for robust=True"):
        score_test(model, x, {"shape": 1.0}, groups=groups)
    with pytest.raises(ValueError, match="groups is for method='robust'"):
        model.confidence_intervals(groups=groups)
    with pytest.raises(ValueError, match="one label for each of the 20 rows"):
        wald_test(model, x, {"shape": 1.0}, robust=True, groups=groups[:5])
    wide = np.hstack([x, 1 / x])
    with pytest.raises(ValueError, match="independent columns"):
        wald_test(MLEDensity("mvn"), wide, {"mean": 0.0}, robust=True, groups=groups)
    null = {"shape": [1.0, 1.0]}
    with pytest.raises(ValueError, match="more clusters"):
        wald_test(MLEDensity("gamma"), wide, null, robust=True, groups=groups // 5)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "limit"), [(15, 0.07), (50, 0.06)])
@pytest.mark.parametrize(("family", "truth", "name"), CASES, ids=[case[0] for case in CASES])
def test_sizes_in_small_samples(family, truth, name, n, limit):
    """1500 replications of nominal 5% tests: limits of 7 and 6%, with three standard errors."""
    null = {name: truth[name]}
    X = columns(family, truth, n, 1500, 2).T[:, :, None]
    for test in (wald_test, score_test):
        size = np.mean([test(MLEDensity(family), x, null, robust=True).pvalue < 0.05 for x in X])
        assert size < limit + 3 * np.sqrt(0.05 * 0.95 / 1500)
