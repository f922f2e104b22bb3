"""Randomness: what is accepted, what reproduces, what advances."""

import numpy as np
import pytest

from skgm._random import as_generator, spawn


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
