import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgm.nce._vocabulary.sampled_softmax import DistinctClasses, noise_probabilities

ZIPF = noise_probabilities(1000.0 / np.arange(1, 301), 1.0)


@pytest.mark.parametrize("n_noise", [1, 30, 150, 290])
def test_the_expected_size_of_the_set_is_n_noise(n_noise):
    assert_allclose(np.exp(DistinctClasses(ZIPF, n_noise).log_inclusion).sum(), n_noise, rtol=1e-9)


# Draws through the alias table, and class by class where the table would need too many.
@pytest.mark.parametrize("n_noise", [30, 250])
def test_classes_are_members_independently_with_their_probabilities(n_noise):
    noise = DistinctClasses(ZIPF, n_noise)
    rng = np.random.default_rng(0)
    members = np.zeros((4000, len(ZIPF)))
    for row in members:
        drawn = noise.draw(rng)
        assert_array_equal(drawn, np.unique(drawn))
        row[drawn] = 1
    pi = np.exp(noise.log_inclusion)
    z = (members.mean(axis=0) - pi) / np.sqrt(pi * (1 - pi) / len(members) + 1e-12)
    assert np.abs(z).max() < 4.5  # of 300 normals, beyond 4.5 once in 500 runs
    size = members.sum(axis=1)
    variance = (pi * (1 - pi)).sum()  # of independent memberships
    assert abs(size.var() / variance - 1) < 4.5 * np.sqrt(2 / len(members))


@pytest.mark.parametrize("n_noise", [300, 1000])
def test_with_enough_noise_all_classes_are_members(n_noise):
    noise = DistinctClasses(ZIPF, n_noise)
    assert_array_equal(noise.draw(np.random.default_rng(0)), np.arange(300))
    assert_array_equal(noise.log_inclusion, 0)


def test_both_ways_of_drawing_are_used():
    assert DistinctClasses(ZIPF, 30)._table is not None
    assert DistinctClasses(ZIPF, 250)._table is None


def test_probabilities_from_counts():
    assert_allclose(noise_probabilities([6, 3, 1], 1.0), [0.6, 0.3, 0.1])
    assert_allclose(noise_probabilities([6, 3, 1], 0.0), 1 / 3)
    assert noise_probabilities([6, 0], 1.0)[1] > 0
