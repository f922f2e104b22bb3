"""Edge tests of a Gaussian: against regressions, quadrature and simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import linalg, stats
from scipy.linalg import LinAlgWarning

from skgm import ScoreMatchingGaussian, ScoreMatchingGaussianCV


def chain(p, strength=0.4):
    return np.eye(p) + strength * (np.eye(p, k=1) + np.eye(p, k=-1))


def rows_of(K, n, seed=0):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(K)), linalg.inv(K), size=n)


def test_partial_correlations_are_those_of_regressions():
    X = rows_of(chain(5), 60)
    partial = ScoreMatchingGaussian().fit(X).partial_correlation()
    others = np.column_stack([np.ones(60), X[:, 2:]])
    residual = X[:, :2] - others @ np.linalg.lstsq(others, X[:, :2], rcond=None)[0]
    assert_allclose(partial[0, 1], np.corrcoef(residual.T)[0, 1], rtol=1e-9)
    with pytest.raises(ValueError, match="takes all columns for independent"):
        ScoreMatchingGaussian("diag").fit(X).partial_correlation()


def test_exact_edge_tests_are_those_of_regression():
    """The t of a partial correlation is the t of the coefficient in a regression on the rest."""
    X = rows_of(chain(5), 60)
    table = ScoreMatchingGaussian().fit(X).edges(fdr=1.0)
    assert len(table) == 10
    k = next(k for k in range(10) if {table.first[k], table.second[k]} == {"x0", "x1"})
    design = np.column_stack([np.ones(60), X[:, 1:]])
    beta, rss = np.linalg.lstsq(design, X[:, 0], rcond=None)[:2]
    error = np.sqrt(rss[0] / 55 * np.linalg.inv(design.T @ design)[1, 1])
    assert_allclose(abs(table.statistic[k]), abs(beta[1] / error), rtol=1e-9)
    assert_allclose(table.pvalue[k], 2 * stats.t.sf(abs(beta[1] / error), 55), rtol=1e-9)
    assert table.to_frame().shape == (10, 6)


@pytest.mark.slow
@pytest.mark.parametrize("heavy", [False, True])
def test_edges_keep_the_false_discovery_rate(heavy):
    """Chain of 30 columns, 300 rows, l1 fit, 100 tables: false share at most 5%.

    The false discovery proportion of a table has standard deviation below 0.05, its mean over 100
    below 0.005; at 3 of these, plus 0.01 for the approximation of the debiased estimate.
    """
    K, shares, found = chain(30), [], []
    for seed in range(100):
        X = rows_of(K, 300, seed)
        if heavy:
            X /= np.sqrt(np.random.default_rng(seed).chisquare(9, size=(300, 1)) / 9)
        fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.15).fit(X)
        table = fitted.edges(X=X if heavy else None)
        i, j = (np.array([int(n[1:]) for n in side]) for side in (table.first, table.second))
        false = np.abs(i - j) != 1
        shares.append(false.mean() if len(false) else 0.0)
        found.append((~false).sum() / 29)
    assert np.mean(shares) < 0.05 + 0.015 + 0.01
    assert np.mean(found) > 0.9


def test_edges_refuse_what_has_no_answer():
    X = rows_of(chain(4), 50)
    with pytest.raises(ValueError, match="fdr must be"):
        ScoreMatchingGaussian().fit(X).edges(0.0)
    with pytest.raises(ValueError, match="graph was given"):
        ScoreMatchingGaussian(graph=chain(4)).fit(X).edges()
    with pytest.warns(LinAlgWarning):
        singular = ScoreMatchingGaussian().fit(np.column_stack([X, X[:, 0]]))
    with pytest.raises(ValueError, match="singular"):
        singular.edges()


def test_debiased_statistics_have_the_variance_of_normal_products():
    """n times the variance of (2 K - K R K)_ij is that of z_i z_j, z normal with covariance K.

    The reference is Gauss-Hermite quadrature, exact for the fourth moments; R is of rows by hand.
    """
    X = rows_of(chain(4), 80) * [1, 10, 0.1, 5] + 3
    fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.05).fit(X)
    table = fitted.edges(1.0)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    K = fitted.precision_ * np.outer(X.std(axis=0), X.std(axis=0))
    debiased = 2 * K - K @ (Z.T @ Z / 80) @ K
    nodes, mass = np.polynomial.hermite_e.hermegauss(6)
    u, v = (part.ravel() for part in np.meshgrid(nodes, nodes))
    share = np.outer(mass, mass).ravel() / mass.sum() ** 2
    for k in range(len(table)):
        i, j = (int(side[k][1:]) for side in (table.first, table.second))
        root = linalg.cholesky(K[np.ix_([i, j], [i, j])], lower=True)
        product = root[0, 0] * u * (root[1, 0] * u + root[1, 1] * v)
        variance = share @ product**2 - (share @ product) ** 2
        right = debiased[i, j] / np.sqrt(variance / 80)
        assert_allclose(table.statistic[k], right, rtol=1e-9)
        assert_allclose(table.pvalue[k], 2 * stats.norm.sf(abs(right)), rtol=1e-9)


def test_debiased_statistics_with_rows_have_the_variance_of_their_products():
    X = rows_of(chain(4), 80) * [1, 10, 0.1, 5] + 3
    fitted = ScoreMatchingGaussian(penalty="l1", alpha=0.05).fit(X)
    table, normal = fitted.edges(1.0, X=X), fitted.edges(1.0)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    K = fitted.precision_ * np.outer(X.std(axis=0), X.std(axis=0))
    debiased = 2 * K - K @ (Z.T @ Z / 80) @ K
    for k in range(len(table)):
        i, j = (int(side[k][1:]) for side in (table.first, table.second))
        products = [(row @ K[i]) * (row @ K[j]) for row in Z]
        assert_allclose(table.statistic[k], debiased[i, j] / np.sqrt(np.var(products) / 80))
    assert not np.allclose(np.sort(table.statistic), np.sort(normal.statistic), rtol=1e-3)


def test_false_discoveries_are_adjusted_over_all_pairs():
    """Benjamini and Hochberg by their definition: the least fdr at which a pair is returned."""
    fitted = ScoreMatchingGaussian().fit(rows_of(chain(5, 0.25), 60))
    table = fitted.edges(1.0)
    for k in range(len(table)):
        share = min(10 * table.pvalue[m] / (m + 1) for m in range(k, 10))
        assert_allclose(table.adjusted_pvalue[k], min(share, 1), rtol=1e-12)
        level = table.adjusted_pvalue[k]
        assert len(fitted.edges(min(level * (1 + 1e-9), 1.0))) > k
        assert len(fitted.edges(level * (1 - 1e-9))) <= k


@pytest.mark.parametrize(
    "model",
    [
        ScoreMatchingGaussian(),
        ScoreMatchingGaussian(penalty="l1"),
        ScoreMatchingGaussian(penalty="l2"),
        ScoreMatchingGaussianCV(),
    ],
)
def test_a_constant_column_has_no_edge_tests(model):
    X = rows_of(chain(4), 50)
    X[:, 2] = 7.0
    with pytest.warns(LinAlgWarning, match="constant columns"):
        model.fit(X)
    for options in ({}, {"X": X}):
        with pytest.raises(ValueError, match="Drop constant and collinear columns"):
            model.edges(**options)


@pytest.mark.parametrize("penalty", [None, "l1"])
def test_a_fit_to_missing_values_has_no_edge_tests(penalty):
    X = rows_of(chain(4), 50)
    X[3, 1] = np.nan
    fitted = ScoreMatchingGaussian(penalty=penalty, alpha=0.05, missing="em").fit(X)
    for options in ({}, {"X": X}):
        with pytest.raises(ValueError, match="moments count its rows as complete"):
            fitted.edges(**options)


def test_a_known_mean_gives_one_more_degree_of_freedom():
    """The t of a regression on the other columns, without an intercept."""
    X = rows_of(chain(4), 12)
    table = ScoreMatchingGaussian(assume_centered=True).fit(X).edges(1.0)
    k = next(k for k in range(6) if {table.first[k], table.second[k]} == {"x0", "x1"})
    beta, rss = np.linalg.lstsq(X[:, 1:], X[:, 0], rcond=None)[:2]
    df = 12 - 3
    error = np.sqrt(rss[0] / df * np.linalg.inv(X[:, 1:].T @ X[:, 1:])[0, 0])
    assert_allclose(abs(table.statistic[k]), abs(beta[0] / error), rtol=1e-9)
    assert_allclose(table.pvalue[k], 2 * stats.t.sf(abs(beta[0] / error), df), rtol=1e-9)
