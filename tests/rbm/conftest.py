"""A small binary table with structure, and its likelihood by enumeration."""

import numpy as np
import pytest


def binary_table(n_rows=400, seed=0):
    """Two noisy patterns of six units."""
    rng = np.random.default_rng(seed)
    patterns = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1]])
    rows = patterns[rng.integers(0, 2, size=n_rows)]
    return np.where(rng.random(rows.shape) < 0.1, 1 - rows, rows).astype(np.float64)


@pytest.fixture
def table():
    return binary_table()


@pytest.fixture
def other_rows():
    return binary_table(seed=1)
