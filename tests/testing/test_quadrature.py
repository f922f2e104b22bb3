"""The quadrature behind the checks, against scipy's closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.testing._data import MARGINS, make_table
from skgm.testing._quadrature import cell_pvalue, make_grid

# Densities of each support that differ from the tables that place the grid.
FAMILIES = {
    "real": [stats.norm(1.5, 3.0), stats.t(3), stats.laplace(0.123)],
    "positive": [stats.lognorm(1.0, scale=3.0), stats.gamma(0.5), stats.expon(scale=0.3)],
    "non-negative": [stats.expon(), stats.gamma(4.0)],
    "unit": [stats.beta(0.5, 0.5), stats.beta(30, 5), stats.uniform()],
    "circle": [stats.vonmises(4.0, 0.5), stats.uniform(-np.pi, 2 * np.pi)],
    "binary": [stats.bernoulli(0.2)],
    "counts": [stats.poisson(6.0), stats.nbinom(2, 0.3)],
    "positive-counts": [stats.geom(0.2), stats.poisson(6.0, loc=1)],
}
CASES = [(support, family) for support, families in FAMILIES.items() for family in families]


def log_density(family, X):
    name = "logpmf" if hasattr(family.dist, "pmf") else "logpdf"
    return getattr(family, name)(X).sum(axis=1)


@pytest.mark.parametrize("n_columns", [1, 2])
@pytest.mark.parametrize(("support", "family"), CASES)
def test_densities_integrate_to_one(support, family, n_columns):
    grid = make_grid(support, make_table(support, n_columns=n_columns))
    total = np.exp(log_density(family, grid.nodes) + grid.log_volume).sum()
    # a Laplace's kink between nodes costs order h**2; truncated tails cost the rest
    assert_allclose(total, 1.0, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("support", "family"), CASES)
def test_cell_probabilities_are_differences_of_the_distribution_function(support, family):
    grid = make_grid(support, make_table(support, n_columns=1), n_cells=8)
    edges = np.concatenate([[-np.inf], grid.edges[0], [np.inf]])
    probability = grid.cell_probabilities(log_density(family, grid.nodes))
    assert_allclose(probability, np.diff(family.cdf(edges)), atol=2e-4, rtol=0)


def test_cell_numbers_agree_between_nodes_and_draws():
    grid = make_grid("real", make_table("real"))
    numbers = grid.cell_of(grid.nodes)
    assert numbers.min() == 0
    assert numbers.max() == 15
    assert grid.cell_of(grid.nodes[[0]]) == numbers[0]


def test_pvalues_are_uniform_under_the_null():
    # 400 replications; Kolmogorov-Smirnov would reject a right test with a chance of 1e-4
    X = make_table("real")
    grid = make_grid("real", X)
    family = stats.norm(1.0, 2.0)
    values = log_density(family, grid.nodes)
    rng = np.random.default_rng(0)
    pvalues = [
        cell_pvalue(grid, values, family.rvs((500, 2), random_state=rng)) for _ in range(400)
    ]
    assert stats.kstest(pvalues, "uniform").pvalue > 1e-4


def test_pvalue_rejects_draws_from_another_density():
    grid = make_grid("real", make_table("real"))
    values = log_density(stats.norm(1.0, 2.0), grid.nodes)
    wider = stats.norm(1.0, 2.3).rvs((3000, 2), random_state=np.random.default_rng(0))
    assert cell_pvalue(grid, values, wider) < 1e-6


def test_draws_in_impossible_cells_are_rejected():
    grid = make_grid("counts", make_table("counts", n_columns=1))
    values = stats.poisson(4.0).logpmf(grid.nodes[:, 0])
    far = np.full((1000, 1), 40.0)
    assert cell_pvalue(grid, values, far) < 1e-6


@pytest.mark.parametrize("support", MARGINS)
def test_grid_covers_the_table(support):
    X = make_table(support)
    grid = make_grid(support, X)
    assert (grid.nodes.min(axis=0) <= X.min(axis=0)).all()
    assert (grid.nodes.max(axis=0) >= X.max(axis=0)).all()
