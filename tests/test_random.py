"""Randomness: what is accepted, what reproduces, what advances."""

import numpy as np
import pytest
from scipy import stats

import skgm._random
from skgm._random import MinibatchSampler, as_generator, spawn


def draws(random_state, size=5):
    return as_generator(random_state).random(size)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**40])
def test_an_integer_reproduces(seed):
    np.testing.assert_array_equal(draws(seed), draws(seed))


def test_different_integers_differ():
    assert not np.array_equal(draws(0), draws(1))


def test_none_is_fresh():
    assert not np.array_equal(draws(None), draws(None))


def test_a_generator_is_used_as_it_is():
    rng = np.random.default_rng(0)
    assert as_generator(rng) is rng


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState])
def test_generators_advance_and_reproduce(make):
    parent = make(3)
    first, second = draws(parent), draws(parent)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, draws(make(3)))


def test_a_random_state_shares_its_stream():
    parent = np.random.RandomState(3)
    before = parent.get_state()[2]
    draws(parent)
    assert parent.get_state()[2] != before


def test_the_numpy_random_module_is_the_global_stream():
    state = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(5)  # noqa: NPY002
        first = draws(np.random)
        np.random.seed(5)  # noqa: NPY002
        np.testing.assert_array_equal(first, draws(np.random))
    finally:
        np.random.set_state(state)  # noqa: NPY002


@pytest.mark.parametrize("wrong", [-1, 1.0, "0", True, [1], np.random.PCG64(0)])
def test_anything_else_is_refused(wrong):
    with pytest.raises(ValueError, match="random_state must be None, a non-negative int"):
        as_generator(wrong)


@pytest.mark.parametrize("make", [int, np.random.default_rng, np.random.RandomState])
def test_spawned_streams_differ_and_reproduce(make):
    streams = [rng.random(4) for rng in spawn(make(11), 3)]
    again = [rng.random(4) for rng in spawn(make(11), 3)]
    np.testing.assert_array_equal(streams, again)
    assert len({tuple(stream) for stream in streams}) == 3


def test_spawning_advances_the_parent():
    parent = np.random.default_rng(0)
    first, second = (spawn(parent, 1)[0].random(4) for _ in range(2))
    assert not np.array_equal(first, second)


def test_spawned_streams_are_uncorrelated():
    """2000 pairs: a correlation has standard error 1/sqrt(2000) = 0.022; 4.5 of them allowed."""
    first, second = (rng.standard_normal(2000) for rng in spawn(0, 2))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


def epoch(X, weight=None, batch_size=10, seed=0):
    """One epoch as a list of batches of row numbers."""
    return list(MinibatchSampler(X, weight, batch_size).epoch(np.random.default_rng(seed)))


def table(n_rows, n_columns=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n_rows, n_columns))


@pytest.mark.parametrize("n_rows", [1, 9, 10, 11, 19, 20, 21, 99, 100, 101])
def test_an_epoch_visits_every_row_once_in_batches_of_even_size(n_rows):
    batches = epoch(table(n_rows))
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(n_rows))
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == -(-n_rows // 10) == MinibatchSampler(table(n_rows), None, 10).n_batches
    assert max(sizes) <= 10
    assert max(sizes) - min(sizes) <= 1


def test_every_epoch_is_shuffled_anew_and_a_seed_reproduces():
    sampler, rng = MinibatchSampler(table(50), None, 10), np.random.default_rng(0)
    first, second = (np.concatenate(list(sampler.epoch(rng))) for _ in range(2))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, np.concatenate(epoch(table(50))))


@pytest.mark.parametrize("shuffled", [2**24, 20], ids=["shuffled", "with-replacement"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, bool])
def test_whole_weights_are_repetitions_in_any_order(monkeypatch, dtype, shuffled):
    """The batches hold the same values, one by one; zero-weight rows are absent."""
    monkeypatch.setattr(skgm._random, "_MAX_SHUFFLED", shuffled)
    rng = np.random.default_rng(1)
    X = (5 * table(40)).astype(np.int64).astype(dtype)  # with rows that are equal to others
    weight = rng.integers(0, 4, size=40)
    repeated = rng.permutation(np.repeat(X, weight, axis=0))
    one, other = epoch(X, weight.astype(float)), epoch(repeated)
    assert len(one) == len(other) == -(-weight.sum() // 10)
    for rows, again in zip(one, other):
        np.testing.assert_array_equal(X[rows], repeated[again])


@pytest.mark.parametrize("shuffled", [2**24, 20], ids=["shuffled", "with-replacement"])
def test_single_draws_are_part_of_an_epoch(monkeypatch, shuffled):
    monkeypatch.setattr(skgm._random, "_MAX_SHUFFLED", shuffled)
    weight = np.arange(10.0)
    sampler = MinibatchSampler(table(10), weight, 4)
    for n_rows in (1, 7, 45, 100):
        rows = sampler.draw(n_rows, np.random.default_rng(0))
        assert len(rows) == min(n_rows, 45)
        if shuffled > 45:
            assert (np.bincount(rows, minlength=10) <= weight).all()
        np.testing.assert_array_equal(rows, sampler.draw(n_rows, np.random.default_rng(0)))


def test_negative_zero_is_zero():
    X, same = np.array([[0.0], [-1.0], [1.0]]), np.array([[-0.0], [-1.0], [1.0]])
    np.testing.assert_array_equal(np.concatenate(epoch(X)), np.concatenate(epoch(same)))


def test_whole_weights_are_visited_exactly_that_often():
    weight = np.array([0.0, 1.0, 7.0, 2.0, 0.0, 3.0])
    visits = np.bincount(np.concatenate(epoch(table(6), weight)), minlength=6)
    np.testing.assert_array_equal(visits, weight)


@pytest.mark.parametrize("scale", [0.01, 1.0, 3.7])
def test_visits_are_proportional_to_weights(scale):
    """2000 epochs: chi-square of the visits against their expectations, at level 1e-4.

    Slots make visits less variable than multinomial draws, so the statistic is conservative.
    """
    weight = scale * np.array([0.3, 1.7, 0.05, 2.2, 1.0, 0.0])
    sampler, rng = MinibatchSampler(table(6), weight, 10), np.random.default_rng(0)
    rows = np.concatenate([batch for _ in range(2000) for batch in sampler.epoch(rng)])
    assert len(rows) == 2000 * sampler.n_slots
    expected = len(rows) * weight[:5] / weight.sum()
    visits = np.bincount(rows, minlength=6)
    assert visits[5] == 0
    assert ((visits[:5] - expected) ** 2 / expected).sum() < stats.chi2.isf(1e-4, 4)


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.5])
def test_equal_weights_below_one_are_unit_weights(scale):
    rows = np.concatenate(epoch(table(30), np.full(30, scale)))
    np.testing.assert_array_equal(np.sort(rows), np.arange(30))


def test_enormous_weights_need_no_memory():
    sampler = MinibatchSampler(table(3), np.array([1e15, 3e15, 0.0]), 1000)
    batches = sampler.epoch(np.random.default_rng(0))
    visits = np.bincount(np.concatenate([next(batches) for _ in range(10)]), minlength=3)
    # binomial, 10,000 draws: the standard error of the share is 0.0043; 4.5 of them
    assert abs(visits[0] / visits.sum() - 0.25) < 0.02
    assert visits[2] == 0


def test_tables_without_columns_and_of_more_axes_are_rows_too():
    assert len(np.concatenate(epoch(np.empty((7, 0))))) == 7
    assert len(np.concatenate(epoch(np.zeros((7, 2, 3))))) == 7
