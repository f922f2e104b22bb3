"""Bracketed roots: known ones, and beside a jump."""

import numpy as np
from numpy.testing import assert_allclose

from skgm._numerics.roots import find_root


def test_known_roots():
    wanted = np.array([0.1, 2.0, 1e-9])
    found = find_root(lambda x: x**3 - wanted**3, np.zeros(3), np.array([1.0, 5.0, 1.0]))
    assert_allclose(found, wanted, rtol=1e-12)


def test_beside_a_jump_the_bracket_still_halves():
    """The end of what can be computed: a huge value from there on."""
    seen = []

    def function(x):
        seen.append(x)
        return np.where(x < 0.7, x - 1, 1e300)

    found = find_root(function, np.zeros(1), np.ones(1), width=np.array([1e-8]))
    assert_allclose(found, 0.7, atol=1e-8)
    assert len(seen) < 130
