"""Rubin's rules, against sums written out, limits that are known, and simulated sizes."""

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from scipy import stats

from skgm import MLEDensity, ScoreMatchingGaussian, pool

RNG = np.random.default_rng(3)
COMPLETE = RNG.normal(size=(60, 3))


def least_squares(table, columns=(1, 2)):
    return sm.OLS(table[:, 0], sm.add_constant(table[:, list(columns)])).fit()


def shaken(n_tables, size=0.4, seed=0):
    """Tables that agree but for 20 entries of the first column."""
    rng = np.random.default_rng(seed)
    tables = []
    for _ in range(n_tables):
        table = COMPLETE.copy()
        table[:20, 0] += size * rng.normal(size=20)
        tables.append(table)
    return tables


def test_estimates_and_errors_are_rubins_sums():
    fits = [least_squares(table) for table in shaken(7)]
    pooled = pool(fits)
    for j in range(3):
        values = [fit.params[j] for fit in fits]
        squares = [fit.bse[j] ** 2 for fit in fits]
        mean = sum(values) / 7
        between = sum((v - mean) ** 2 for v in values) / 6
        total = sum(squares) / 7 + 8 / 7 * between
        assert_allclose(pooled.params[j], mean)
        assert_allclose(pooled.standard_errors[j] ** 2, total)
        # Barnard and Rubin (1999), their formula as printed
        r = 8 / 7 * between / (sum(squares) / 7)
        old = 6 * (1 + 1 / r) ** 2
        observed = (57 + 1) / (57 + 3) * 57 * (1 - 8 / 7 * between / total)
        assert_allclose(pooled.df[j], 1 / (1 / old + 1 / observed))
        assert_allclose(pooled.missing_information[j], (r + 2 / (pooled.df[j] + 3)) / (r + 1))


def test_equal_tables_give_the_fit_itself():
    fit = least_squares(COMPLETE)
    pooled = pool([fit] * 5, df_complete=np.inf)
    assert_allclose(pooled.params, fit.params)
    assert_allclose(pooled.covariance, fit.cov_params(), atol=1e-15)
    assert np.isinf(pooled.df).all()
    assert (pooled.missing_information == 0).all()
    low, high = pooled.confidence_intervals(0.9)["x1"]
    assert_allclose((low + high) / 2, fit.params[1])
    assert_allclose(high - low, 2 * stats.norm.ppf(0.95) * fit.bse[1])
    joint = pooled.wald_test({"x1": 0.0, "x2": 0.0})
    assert_allclose(joint.statistic, 2 * fit.fvalue)
    small = least_squares(COMPLETE, [1])
    ratio = pooled.likelihood_ratio_test(pool([small] * 5))
    assert_allclose(ratio.statistic, 2 * (fit.llf - small.llf))
    assert_allclose(ratio.pvalue, stats.chi2(1).sf(ratio.statistic))


def test_one_parameter_is_tested_as_its_interval_says():
    pooled = pool([least_squares(table) for table in shaken(6)])
    low, _ = pooled.confidence_intervals(0.95)["x2"]
    assert_allclose(pooled.wald_test({"x2": low}).pvalue, 0.05, rtol=1e-8)
    ratio = pooled.wald_test({"x2": 0.0})
    assert_allclose(ratio.pvalue, pooled.summary().loc["x2", "pvalue"])


def test_more_spread_means_more_missing_information_and_longer_intervals():
    lengths, information = [], []
    for size in (0.0, 0.3, 1.0):
        pooled = pool([least_squares(table) for table in shaken(10, size)])
        low, high = pooled.confidence_intervals()["x1"]
        lengths.append(high - low)
        information.append(pooled.missing_information[1])
    assert lengths == sorted(lengths)
    assert information == sorted(information)
    assert information[0] == 0


def test_densities_are_pooled_entry_by_entry():
    tables = shaken(4)
    pooled = pool([MLEDensity("normal").fit(table) for table in tables])
    assert pooled.names == [f"{p}[x{j}]" for p in ("mu", "sigma") for j in range(3)]
    assert_allclose(pooled.params[0], np.mean([table[:, 0].mean() for table in tables]))
    gaussian = pool([ScoreMatchingGaussian().fit(table) for table in tables])
    assert "covariance[x0, x1]" in gaussian.names
    with pytest.raises(ValueError, match="one parameter at a time"):
        pooled.wald_test({"mu[x0]": 0.0, "sigma[x0]": 1.0})


def test_what_cannot_be_pooled_is_refused():
    fit = least_squares(COMPLETE)
    with pytest.raises(ValueError, match="at least two completed tables; got 1"):
        pool([fit])
    with pytest.raises(TypeError, match="all of one kind; got MLEDensity, RegressionResults"):
        pool([fit, MLEDensity().fit(COMPLETE)])
    with pytest.raises(ValueError, match="pool the fits of one model"):
        pool([fit, least_squares(COMPLETE, [1])])
    pooled = pool([fit, fit])
    with pytest.raises(ValueError, match="'x9'; the parameters are const, x1, x2"):
        pooled.wald_test({"x9": 0.0})
    with pytest.raises(ValueError, match="exchange the two"):
        pool([least_squares(COMPLETE, [1])] * 2).likelihood_ratio_test(pooled)
    with pytest.raises(ValueError, match="same completed tables"):
        pooled.likelihood_ratio_test(pool([least_squares(COMPLETE[::-1], [1])] * 2))
    with pytest.raises(TypeError, match=r"level=0\.9"):
        pooled.confidence_intervals(alpha=0.1)


@pytest.mark.slow
def test_sizes_of_the_joint_tests_with_improper_draws_left_out():
    """Normal data, a third of one column drawn from its exact posterior: the size is nominal."""
    rng, n, m, rejected = np.random.default_rng(0), 60, 10, []
    for _ in range(1000):
        y, holes = rng.normal(size=n), np.arange(n) >= 40
        x = rng.normal(size=(n, 2))
        design = sm.add_constant(x)
        seen, small = sm.OLS(y[~holes], design[~holes]).fit(), np.ones((n, 1))
        fits, nulls = [], []
        for _ in range(m):
            variance = seen.ssr / rng.chisquare(37)
            root = np.linalg.cholesky(seen.normalized_cov_params * variance)
            beta = seen.params + root @ rng.normal(size=3)
            full = y.copy()
            full[holes] = design[holes] @ beta + np.sqrt(variance) * rng.normal(size=20)
            fits.append(sm.OLS(full, design).fit())
            nulls.append(sm.OLS(full, small).fit())
        pooled = pool(fits)
        wald = pooled.wald_test({"x1": 0.0, "x2": 0.0}).pvalue
        rejected.append([wald < 0.05, pooled.likelihood_ratio_test(pool(nulls)).pvalue < 0.05])
    # three standard errors are .021; the ratio's law is that of large samples
    assert_allclose(np.mean(rejected, axis=0), 0.05, atol=0.025)
