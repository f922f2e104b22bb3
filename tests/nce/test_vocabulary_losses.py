"""Gradients by finite differences; stationary at the truth by enumeration of all noise sets."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime
from scipy.special import logsumexp, softmax

from skgm.nce._vocabulary.sampled_softmax import DistinctClasses, full_loss, nce_loss, ranking_loss

LOSSES = {"ranking": ranking_loss, "nce": nce_loss}
P = np.array([0.1, 0.5, 0.15, 0.25])
Q = np.array([0.4, 0.3, 0.2, 0.1])


def batch(n=4, k=3, scale=2.0):
    rng = np.random.default_rng(0)
    return scale * rng.normal(size=n), scale * rng.normal(size=(n, k))


def test_full_loss_is_the_log_softmax():
    scores = batch()[1]
    y = np.array([0, 2, 1, 1])
    expected = logsumexp(scores, axis=1) - scores[np.arange(4), y]
    assert_allclose(full_loss(scores.copy(), y), expected, rtol=1e-12)


def test_full_gradient_by_finite_differences():
    scores, y = batch()[1], np.array([0, 2, 1, 1])
    gradient = scores.copy()
    full_loss(gradient, y)

    def total(flat):
        return full_loss(flat.reshape(4, 3).copy(), y).sum()

    numeric = approx_fprime(scores.ravel(), total, 1e-7)
    assert_allclose(gradient.ravel(), numeric, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_sampled_gradients_by_finite_differences(loss):
    true, noise = batch()
    slopes = noise.copy()
    _, true_slope = loss(true, slopes)

    def total(flat):
        return loss(flat[:4].copy(), flat[4:].reshape(4, 3).copy())[0].sum()

    numeric = approx_fprime(np.concatenate([true, noise.ravel()]), total, 1e-7)
    assert_allclose(np.concatenate([true_slope, slopes.ravel()]), numeric, atol=1e-6)


def test_values_by_their_formulas():
    true, noise = batch()
    together = np.column_stack([true, noise])
    assert_allclose(ranking_loss(true, noise.copy())[0], logsumexp(together, axis=1) - true)
    expected = np.log1p(np.exp(-true)) + np.log1p(np.exp(noise)).sum(axis=1)
    assert_allclose(nce_loss(true, noise.copy())[0], expected)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_scores_far_away_stay_finite_in_float32(loss):
    true = np.array([500.0, -500.0], dtype=np.float32)
    noise = np.array([[-500.0, 3.0], [500.0, 500.0]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        losses, slope = loss(true, noise)
    assert np.isfinite(losses).all()
    assert losses.dtype == np.float32
    assert_allclose(slope, [0, -1], atol=1e-6)


def test_a_noise_class_that_is_the_true_one_does_not_compete():
    alone, slope = ranking_loss(np.array([1.3]), np.array([[-np.inf]]))
    assert_allclose([alone, slope], 0, atol=1e-15)
    none, slope = ranking_loss(np.array([1.3]), np.empty((1, 0)))
    assert_allclose([none, slope], 0, atol=1e-15)


# Expected gradients over every outcome of true class and noise, at scores that are the truth.


def gradient(name, scores, log_pi, y, drawn, mask):
    true, noise = (scores - log_pi)[[y]], (scores - log_pi)[drawn][None]
    if mask:
        noise[0, np.asarray(drawn) == y] = -np.inf
    _, own = LOSSES[name](true, noise)
    out = np.zeros(len(P))
    np.add.at(out, drawn, noise[0])
    out[y] += own[0]
    return out


def expected_over_sets(name, scores, inclusion, mask):
    total = np.zeros(len(P))
    for members in product([False, True], repeat=len(P)):
        inside = np.array(members)
        probability = np.prod(np.where(inside, inclusion, 1 - inclusion))
        drawn = np.flatnonzero(inside)
        for y in range(len(P)):
            slope = gradient(name, scores, np.log(inclusion), y, drawn, mask)
            total += P[y] * probability * slope
    return total


@pytest.mark.parametrize("constant", [0.0, 1.7])
def test_ranking_is_stationary_at_the_truth_up_to_a_constant(constant):
    inclusion = np.exp(DistinctClasses(Q, 2).log_inclusion)
    slope = expected_over_sets("ranking", np.log(P) + constant, inclusion, mask=True)
    assert_allclose(slope, 0, atol=1e-15)


def test_nce_is_stationary_at_the_normalized_truth_alone():
    inclusion = np.exp(DistinctClasses(Q, 2).log_inclusion)
    assert_allclose(expected_over_sets("nce", np.log(P), inclusion, mask=False), 0, atol=1e-15)
    shifted = expected_over_sets("nce", np.log(P) + 0.5, inclusion, mask=False)
    assert (shifted > 0.01).all()  # a sum above one is pushed down


def test_what_the_rules_about_hits_are_for():
    """Each loss under the other's rule is biased at the truth."""
    inclusion = np.exp(DistinctClasses(Q, 2).log_inclusion)
    for name, wrong in (("ranking", False), ("nce", True)):
        assert np.abs(expected_over_sets(name, np.log(P), inclusion, wrong)).max() > 0.01


def test_nce_with_independent_draws_is_stationary_at_the_truth():
    """The classical form: K draws from q, log pi = log q + log K."""
    total = np.zeros(len(P))
    for drawn in product(range(len(P)), repeat=2):
        for y in range(len(P)):
            slope = gradient("nce", np.log(P), np.log(2 * Q), y, list(drawn), mask=False)
            total += P[y] * np.prod(Q[list(drawn)]) * slope
    assert_allclose(total, 0, atol=1e-15)


def test_all_classes_as_noise_make_the_ranking_loss_the_full_softmax():
    scores, y = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 3, 1, 1, 2])
    noise = scores.copy()
    noise[np.arange(5), y] = -np.inf
    losses, own = ranking_loss(scores[np.arange(5), y], noise)
    noise[np.arange(5), y] = own
    expected = softmax(scores, axis=1)
    expected[np.arange(5), y] -= 1
    assert_allclose(losses, full_loss(scores.copy(), y), rtol=1e-12)
    assert_allclose(noise, expected, atol=1e-14)
