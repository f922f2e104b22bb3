import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgm.tables._validation import SUPPORTS, inside_support
from skgm.testing._data import (
    MARGINS,
    clustered_table,
    far_tables,
    held_out_baseline,
    make_table,
    outside_support,
)
from skgm.testing._quadrature import make_grid


def test_every_support_has_its_recipe():
    assert set(MARGINS) == set(SUPPORTS)


@pytest.mark.parametrize("support", MARGINS)
def test_tables_lie_inside_the_support(support):
    tables = [make_table(support, 500, 3), clustered_table(support)]
    tables += far_tables(support, make_table(support))
    for table in tables:
        assert table.dtype == np.float64
        assert inside_support(table, support).all()
        assert inside_support(table.astype(np.float32), support).all()


@pytest.mark.parametrize("support", sorted(set(MARGINS) - {"real"}))
def test_outside_values_lie_outside(support):
    assert not inside_support(np.array(outside_support(support)), support).any()


@pytest.mark.parametrize("support", MARGINS)
def test_tables_repeat_under_a_seed_and_have_dependent_varying_columns(support):
    table = make_table(support)
    assert_array_equal(table, make_table(support))
    assert not np.array_equal(table, make_table(support, seed=1))
    assert np.corrcoef(table.T)[0, 1] > 0.4


@pytest.mark.parametrize("support", MARGINS)
def test_baseline_is_normalized(support):
    X = make_table(support)
    grid = make_grid(support, X)
    total = np.exp(held_out_baseline(support, X, grid.nodes) + grid.log_volume).sum()
    assert_allclose(total, 1.0, atol=1e-3, rtol=0)
