"""Representations by loops, gradients by finite differences."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime

from skgm._numerics.optimizers import _START
from skgm.nce._vocabulary.words import Contexts

N_WORDS, D = 6, 4
WORDS = np.array([[0, 3], [3, 3], [5, 0]])
SHAPES = {"diagonal": (2, D), "full": (2, D, D)}


def parameters(shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=(N_WORDS, D)), rng.normal(size=shape), rng.normal(size=(3, D))


def by_loops(embeddings, mixing):
    def mixed(word, j):
        return embeddings[word] * mixing[j] if mixing.ndim == 2 else embeddings[word] @ mixing[j]

    return np.array([sum(mixed(word, j) for j, word in enumerate(row)) for row in WORDS])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_representations(shape):
    embeddings, mixing, _ = parameters(shape)
    model = Contexts(embeddings.copy(), mixing.copy())
    assert_allclose(model.represent(WORDS), by_loops(embeddings, mixing), rtol=1e-12)
    assert_array_equal(model.mixing, mixing)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_step_follows_the_gradient(shape):
    embeddings, mixing, slope = parameters(shape)
    model = Contexts(embeddings.copy(), mixing.copy())
    model.step(WORDS, slope, 0.1)

    def total(flat):
        e, m = np.split(flat, [embeddings.size])
        return (slope * by_loops(e.reshape(-1, D), m.reshape(shape))).sum()

    numeric = approx_fprime(np.concatenate([embeddings.ravel(), mixing.ravel()]), total, 1e-6)
    for before, after, gradient in (
        (embeddings, model.embeddings, numeric[: embeddings.size]),
        (mixing, model.mixing, numeric[embeddings.size :]),
    ):
        rows = gradient.reshape(-1, D)
        size = np.sqrt((rows**2).mean(axis=1, keepdims=True) + _START)
        assert_allclose((before - after).reshape(-1, D), 0.1 * rows / size, atol=1e-5)
    assert_array_equal(model.embeddings[[1, 2, 4]], embeddings[[1, 2, 4]])


def test_snapshots():
    embeddings, mixing, slope = parameters((2, D))
    model = Contexts(embeddings.copy(), mixing.copy())
    kept = model.snapshot()
    model.step(WORDS, slope, 0.1)
    model.restore(kept)
    assert_array_equal(model.embeddings, embeddings)
    assert_array_equal(model.mixing, mixing)
