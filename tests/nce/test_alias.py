import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skgm.nce._vocabulary.sampled_softmax import AliasTable


@pytest.mark.parametrize(
    "probabilities",
    [[1.0], [0.5, 0.5], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0], 1.0 / np.arange(1, 2001) ** 1.3],
    ids=["one", "even", "three", "with zeros", "zipf"],
)
def test_the_table_holds_the_probabilities_exactly(probabilities):
    expected = np.asarray(probabilities) / np.sum(probabilities)
    assert_allclose(AliasTable(np.asarray(probabilities)).probabilities, expected, atol=1e-14)


def test_ten_equal_classes_whose_shares_do_not_round_to_one():
    table = AliasTable(np.full(10, 0.1))
    assert_allclose(table.probabilities, 0.1, rtol=1e-14)


def test_draws_follow_the_probabilities():
    probabilities = np.random.default_rng(0).dirichlet(np.full(50, 0.5))
    draws = AliasTable(probabilities).draw(100_000, np.random.default_rng(1))
    observed = np.bincount(draws, minlength=50)
    common = probabilities * 100_000 >= 5
    rest = [observed[~common].sum()], [probabilities[~common].sum() * 100_000]
    counts = np.concatenate([observed[common], rest[0]])
    expected = np.concatenate([probabilities[common] * 100_000, rest[1]])
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_a_class_without_probability_is_never_drawn():
    draws = AliasTable(np.array([0.3, 0.0, 0.7])).draw(10_000, np.random.default_rng(0))
    assert set(draws) == {0, 2}


def test_draws_are_seeded():
    table = AliasTable(np.array([0.2, 0.3, 0.5]))
    one, two = (table.draw(20, np.random.default_rng(3)) for _ in range(2))
    assert_allclose(one, two)
