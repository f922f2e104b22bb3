"""Sums over chunks of rows against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
from numpy.testing import assert_allclose

from skgm.inference.families import Sums, reduce_chunks


def test_chunks_do_not_show():
    """Long enough for several chunks; float32 rows are summed in float64."""
    X = np.random.default_rng(4).standard_exponential((300_000, 1)).astype(np.float32)
    sums = reduce_chunks(Sums.from_chunk, X, None)
    assert_allclose(sums.total[0], float(sum(map(Fraction, X[:, 0].tolist()))), rtol=1e-14)
    assert_allclose(sums.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-13)
