import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from scipy.special import log_softmax, logsumexp

from skgm._numerics.optimizers import _START, AdagradRows
from skgm.nce._vocabulary.sampled_softmax import (
    DistinctClasses,
    OutputTable,
    noise_probabilities,
    scatter_sum,
)

N_CLASSES, D = 7, 3
Y = np.array([2, 5, 5, 0, 6])  # one twice; 2 and 0 are noise classes as well
DRAWN = np.array([0, 1, 2, 4])


class FixedNoise:
    log_inclusion = np.log(np.linspace(0.2, 0.9, N_CLASSES))

    def draw(self, rng):
        return DRAWN


def start(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(N_CLASSES, D)), rng.normal(size=N_CLASSES), rng.normal(size=(5, D))


def table(loss="ranking", noise=None, seed=0):
    weights, bias, _ = start(seed)
    return OutputTable(weights, bias, loss=loss, noise=noise)


def loss_by_its_formula(name, weights, bias, H):
    scores = H @ weights.T + bias
    if name == "full":
        return -log_softmax(scores, axis=1)[np.arange(5), Y].mean()
    t = scores - FixedNoise.log_inclusion
    total = 0.0
    for i, y in enumerate(Y):
        if name == "ranking":
            total += logsumexp([t[i, y], *(t[i, w] for w in DRAWN if w != y)]) - t[i, y]
        else:
            total += np.log1p(np.exp(-t[i, y])) + np.log1p(np.exp(t[i, DRAWN])).sum()
    return total / 5


def test_rows_are_summed_by_target():
    rng = np.random.default_rng(0)
    index, rows = rng.integers(4, size=50), rng.normal(size=(50, 3))
    expected = np.zeros((6, 3))
    np.add.at(expected, index, rows)
    assert_allclose(scatter_sum(index, rows, 6), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["ranking", "nce", "full"])
def test_a_step_follows_the_gradient_of_its_loss(name):
    output = table(name, None if name == "full" else FixedNoise())
    weights, bias, H = start()
    loss, H_gradient = output.step(H, Y, np.random.default_rng(0), 0.1)
    assert_allclose(loss, loss_by_its_formula(name, weights, bias, H), rtol=1e-12)

    def total(flat):
        parts = np.split(flat, [weights.size, weights.size + bias.size])
        return loss_by_its_formula(name, parts[0].reshape(-1, D), parts[1], parts[2].reshape(-1, D))

    flat = np.concatenate([weights.ravel(), bias, H.ravel()])
    slopes = np.split(approx_fprime(flat, total, 1e-7), [weights.size, weights.size + bias.size])
    assert_allclose(H_gradient.ravel(), slopes[2], atol=1e-6)
    W_slope = slopes[0].reshape(-1, D)
    W_size = np.sqrt((W_slope**2).mean(axis=1, keepdims=True) + _START)
    assert_allclose(weights - output.weights, 0.1 * W_slope / W_size, atol=1e-4)
    assert_allclose(
        bias - output.bias, 0.1 * slopes[1] / np.hypot(slopes[1], np.sqrt(_START)), atol=1e-4
    )


def test_rows_that_a_step_does_not_touch_stay():
    output = table("ranking", FixedNoise())
    output.step(start()[2], Y, np.random.default_rng(0), 0.1)
    assert_array_equal(output.weights[3], start()[0][3])
    assert (output.weights[[0, 1, 2, 4, 5, 6]] != start()[0][[0, 1, 2, 4, 5, 6]]).all()


def test_ranking_against_all_classes_is_the_full_softmax():
    everything = DistinctClasses(np.full(N_CLASSES, 1 / N_CLASSES), N_CLASSES)
    one, two = table("ranking", everything), table("full")
    H = start()[2]
    for _ in range(3):
        results = [t.step(H, Y, np.random.default_rng(0), 0.1) for t in (one, two)]
        assert_allclose(results[0][0], results[1][0], rtol=1e-10)
        assert_allclose(results[0][1], results[1][1], rtol=1e-6, atol=1e-10)
    assert_allclose(one.weights, two.weights, rtol=1e-6)
    assert_allclose(one.bias, two.bias, rtol=1e-6)


def test_step_sizes_fall_with_the_sum_of_squares():
    rows = AdagradRows(np.zeros((3, 2)), start=0.0)
    rows.update(np.array([0, 2]), np.array([[3.0, 4.0], [1.0, 1.0]]), 0.5)
    assert_allclose(rows.values[0], -0.5 * np.array([3, 4]) / np.sqrt(12.5))
    rows.update(np.array([0]), np.array([[3.0, 4.0]]), 0.5)
    step = 1 / np.sqrt(12.5) + 1 / np.sqrt(25)
    assert_allclose(rows.values[0], -0.5 * np.array([3, 4]) * step)
    assert_array_equal(rows.values[1], 0)


@pytest.mark.parametrize("name", ["ranking", "nce"])
def test_sampled_losses_find_the_true_probabilities(name):
    """Two contexts, six classes, each as often as its probability; 3 noise classes a batch."""
    truth = np.array([[0.4, 0.3, 0.1, 0.1, 0.05, 0.05], [0.05, 0.05, 0.2, 0.2, 0.1, 0.4]])
    y = np.concatenate([np.repeat(np.arange(6), np.round(100 * row).astype(int)) for row in truth])
    H = np.repeat(np.eye(2), 100, axis=0)
    q = noise_probabilities(np.bincount(y), 1.0)
    output = OutputTable(np.zeros((6, 2)), np.log(q), loss=name, noise=DistinctClasses(q, 3))
    rng = np.random.default_rng(0)
    mean = np.zeros((2, 6))
    for k in range(2500):  # the mean of late scores: single steps leave a noise of about 0.02
        output.step(H, y, rng, 0.3)
        if k >= 1000:
            mean += output.scores(np.eye(2)) / 1500
    assert_allclose(log_softmax(mean, axis=1), np.log(truth), atol=0.07)
    if name == "nce":
        assert_allclose(logsumexp(mean, axis=1), 0, atol=0.07)


def test_log_likelihood_is_the_log_softmax(monkeypatch):
    monkeypatch.setattr(
        "skgm.nce._vocabulary.sampled_softmax._CHUNK", 2 * N_CLASSES
    )  # three chunks
    output, H = table(), start()[2]
    true, log_normalizer = output.log_likelihood(H, Y)
    expected = log_softmax(output.scores(H), axis=1)[np.arange(5), Y]
    assert_allclose(true - log_normalizer, expected, rtol=1e-12)
    assert true.dtype == log_normalizer.dtype == np.float64


def test_a_snapshot_can_be_restored_more_than_once():
    output = table("ranking", FixedNoise())
    kept = output.snapshot()
    after = []
    for _ in range(2):
        output.step(start()[2], Y, np.random.default_rng(0), 0.1)
        after.append(output.weights.copy())
        output.restore(kept)
        assert_array_equal(output.weights, start()[0])
    assert_array_equal(*after)  # step sizes are restored too


def test_float32_stays_float32():
    weights, bias, H = (a.astype(np.float32) for a in start())
    output = OutputTable(weights, bias, loss="nce", noise=FixedNoise())
    _, H_gradient = output.step(H, Y, np.random.default_rng(0), 0.1)
    assert {a.dtype for a in (H_gradient, output.weights, output.bias)} == {np.dtype(np.float32)}
