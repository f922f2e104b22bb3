"""Gaussians stacked by held-out likelihood: the default noise of classifiers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from skgm import NCEDensity
from skgm.nce._noise import fit_stacked, stacking_weights


def stacked(X, weight=None):
    return fit_stacked(X, weight, np.random.default_rng(0))


def test_weights_maximize_the_penalized_likelihood():
    rng = np.random.default_rng(0)
    log_density = rng.normal(size=(300, 3))

    def loss(free):
        w = np.exp(np.append(free, 0.0))
        w /= w.sum()
        return -np.log(np.exp(log_density) @ w).sum() - 0.5 * np.log(w[-1])

    best = np.exp(np.append(optimize.minimize(loss, np.zeros(2), tol=1e-10).x, 0.0))
    assert_allclose(stacking_weights(log_density, 300), best / best.sum(), atol=2e-3)


def test_what_predicts_nothing_is_dropped_but_the_last():
    log_density = np.tile([0.0, -50.0, -50.0], (200, 1))
    weights = stacking_weights(log_density, 200)
    assert weights[1] == 0
    assert_allclose(weights[2], 0.5 / 200.5, rtol=1e-6)


@pytest.mark.parametrize("d", [1, 5])
def test_where_a_mixture_is_right_the_rest_costs_next_to_nothing(d):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(1000, d)), rng.normal(size=(20_000, d))
    gap = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T)).logpdf(new)
    gap -= stacked(X).log_density(new)
    assert gap.mean() < 2 / 1000  # a wide Gaussian of weight 1% would cost 0.01


def test_few_rows_to_the_columns_are_left_to_the_shrunk_gaussian():
    rng = np.random.default_rng(0)
    root = np.linalg.cholesky(0.5 + 0.5 * np.eye(30))
    X, new = (rng.normal(size=(n, 30)) @ root.T for n in (25, 2000))
    truth = stats.multivariate_normal(np.zeros(30), root @ root.T).logpdf(new).mean()
    independent = stats.norm(X.mean(axis=0), X.std(axis=0)).logpdf(new).sum(axis=1).mean()
    ours = NCEDensity(random_state=0).fit(X).score(new)
    assert independent < ours < truth
    assert truth - ours < 0.6 * (truth - independent)


def test_narrow_components_that_only_pay_off_together_are_found():
    rng = np.random.default_rng(0)
    claw = rng.integers(5, size=4000) / 2 - 1 + 0.1 * rng.normal(size=4000)
    X = np.where(rng.uniform(size=4000) < 0.5, rng.normal(size=4000), claw)[:, None]
    assert len(stacked(X).weights) >= 6


@pytest.mark.parametrize("n", [2, 3, 9, 10, 11])
def test_a_handful_of_rows_has_a_density(n):
    X = np.random.default_rng(0).normal(size=(n, 2))
    assert np.isfinite(stacked(X).log_density(X)).all()


def test_columns_in_other_units_and_rows_determined_by_others():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    scale = np.array([1e-8, 1.0, 1e8])
    moved = stacked(X * scale).log_density(X * scale) + np.log(scale).sum()
    assert_allclose(moved, stacked(X).log_density(X), atol=1e-6)
    assert np.isfinite(stacked(np.c_[X, X.sum(axis=1)]).log_density(np.c_[X, X.sum(axis=1)])).all()


def test_copies_of_a_row_are_held_out_together():
    """Rows of one Gaussian, 40 in 8 columns: a mixture that has seen their copies wins by heart.

    The weight of the mixture of a table repeated four times is that of the table itself to within
    what other folds change; with every copy told apart by 1e-9 the folds would not see them.
    """
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 8))
    copies = np.repeat(rows, 4, axis=0)
    jittered = copies + 1e-9 * rng.standard_normal(copies.shape)
    fresh = rng.standard_normal((2000, 8))

    def height(table):
        noise = fit_stacked(table, None, np.random.default_rng(1))
        return noise.log_density(fresh).mean()

    assert height(copies) > height(jittered) + 1.0
    assert height(copies) > height(rows) - 1.0


def test_few_distinct_rows_are_a_shrunk_gaussian():
    rows = np.repeat(np.arange(9.0)[:, None] ** 2, 30, axis=0)
    assert len(fit_stacked(rows, None, np.random.default_rng(0)).weights) == 2


def test_no_component_stands_on_a_single_row():
    """The curve of a parabola, whose farthest row got a component a thousandth wide."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 2))
    X[:, 1] = X[:, 0] ** 2 + 0.3 * X[:, 1]
    noise = fit_stacked(X, None, np.random.default_rng(0))
    assert (np.abs(np.linalg.det(noise.cholesky)) > 1e-3).all()
