"""Optimizer, noise levels, and the training loop with its two emergency exits."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.optimizers import Adam, learning_rate_decay
from skgm.diffusion._process import NoiseLevels, noisy_pairs, prediction_gain
from skgm.diffusion._training import Batches, History, Plan, Table, train

LEVELS = NoiseLevels(np.arctan(0.02), np.arctan(80.0))


def test_adam_is_the_textbook_algorithm():
    rng = np.random.default_rng(0)
    weights, expected = np.ones(5), np.ones(5)
    adam = Adam(weights, weight_decay=0.1)
    first, second = np.zeros(5), np.zeros(5)
    for k in range(1, 201):  # long enough for its running sums to be rescaled, thrice
        gradient = rng.standard_normal(5)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        step = first / (1 - 0.9**k) / (np.sqrt(second / (1 - 0.99**k)) + 1e-8)
        expected = expected * (1 - 0.01 * 0.1) - 0.01 * step
        adam.step(gradient, 0.01)
    assert_allclose(weights, expected, rtol=1e-12)


def test_chunks_change_nothing():
    rng = np.random.default_rng(0)
    gradient = rng.standard_normal(70_000)
    weights = np.zeros(70_000)
    adam = Adam(weights)
    for _ in range(9):
        adam.step(gradient, 0.01)
    parts = np.concatenate([_after(part, 9) for part in np.split(gradient, 7)])
    assert_allclose(weights, parts, rtol=1e-12)


def _after(gradient, n_steps):
    weights = np.zeros(len(gradient))
    adam = Adam(weights)
    for _ in range(n_steps):
        adam.step(gradient, 0.01)
    return weights


def test_average_of_weights_follows_them_and_smooths():
    rng = np.random.default_rng(0)
    weights = np.full(3, 10.0)
    adam = Adam(weights, average_decay=0.99)
    for _ in range(4000):
        adam.step(weights - 1 + 3 * rng.standard_normal(3), 0.01)
    assert_allclose(adam.average, 1.0, atol=0.2)  # standard deviation about 0.05


def test_adam_resumes_where_it_stopped():
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((100, 4))
    whole = Adam(np.zeros(4))
    for gradient in gradients:
        whole.step(gradient, 0.01)
    part = Adam(np.zeros(4))
    for gradient in gradients[:11]:
        part.step(gradient, 0.01)
    rest = Adam(np.ones(4))
    rest.resume(**part.state())
    for gradient in gradients[11:]:
        rest.step(gradient, 0.01)
    assert_array_equal(rest.weights, whole.weights)
    assert_array_equal(rest.average, whole.average)


@pytest.mark.parametrize("kind", ["cosine", "linear", "constant"])
def test_learning_rate_decays(kind):
    factor = learning_rate_decay(kind, 1000)
    values = [factor(k) for k in range(1000)]
    assert values[0] < 0.1
    assert max(values) <= 1.0
    assert values[-1] == 1.0 if kind == "constant" else values[-1] < 2e-3


@pytest.mark.parametrize("kind", ["lognormal", "uniform"])
def test_levels_follow_their_law_and_are_stratified(kind):
    levels = NoiseLevels(LEVELS.phi_min, LEVELS.phi_max, kind)
    phi = levels.draw([1000], np.random.default_rng(0))
    assert phi.min() >= LEVELS.phi_min
    assert phi.max() <= LEVELS.phi_max
    if kind == "lognormal":
        ends = (np.log([0.02, 80.0]) + 1.2) / 1.2
        law = stats.truncnorm(*ends, loc=-1.2, scale=1.2)
        quantiles = law.cdf(np.log(np.tan(phi)))
    else:
        quantiles = (phi - levels.phi_min) / (levels.phi_max - levels.phi_min)
    strata = np.floor(np.sort(quantiles) * 1000)
    assert np.abs(strata - np.arange(1000)).max() <= 1  # one each, to rounding at the borders


def test_levels_are_stratified_in_every_batch():
    levels = NoiseLevels(0.1, 1.1, "uniform")
    phi = levels.draw([40, 25], np.random.default_rng(0))
    for part in (phi[:40], phi[40:]):
        strata = np.floor((part - 0.1) * len(part))
        assert_array_equal(np.sort(strata), np.arange(len(part)))
        assert np.any(np.diff(strata) < 0)


def test_pairs_are_a_rotation():
    rng = np.random.default_rng(0)
    z, noise = rng.standard_normal((2, 6, 3))
    phi = rng.uniform(0.1, 1.4, 6)
    u, target = noisy_pairs(z, noise, phi)
    cos, sin = np.cos(phi)[:, None], np.sin(phi)[:, None]
    assert_allclose(cos * u + sin * target, z)
    assert_allclose(sin * u - cos * target, noise)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
def test_gain_turns_what_is_predicted_into_the_velocity(prediction):
    rng = np.random.default_rng(0)
    z, noise = rng.standard_normal((2, 6, 3))
    phi = rng.uniform(0.1, 1.4, 6)
    u, target = noisy_pairs(z, noise, phi)
    cos, sin = np.cos(phi)[:, None], np.sin(phi)[:, None]
    beyond_gaussian = {"v": target, "eps": noise - sin * u, "x0": z - cos * u}[prediction]
    assert_allclose(beyond_gaussian * prediction_gain(prediction, phi)[:, None], target)


class Scripted:
    """A learner whose losses are given, and whose state is the number of updates."""

    def __init__(self, losses, held_out=()):
        self.losses, self.held_out, self.state = list(losses), list(held_out), 0

    def prepare(self, u, phi, codes, target):
        return u, phi, codes, target

    def update(self, batch, k):
        self.state = k + 1
        return self.losses[k]

    def loss(self, u, phi, codes, target):
        return np.full(len(u), self.held_out[self.state - 1])

    def snapshot(self):
        return self.state

    def restore(self, snapshot):
        self.state = snapshot


def run(learner, n_updates, **options):
    rows = np.random.default_rng(0).standard_normal((32, 2)).astype(np.float32)
    plan = Plan(LEVELS, n_updates=n_updates, batch_size=32, **options)
    held_out = Table(rows) if learner.held_out else None

    def on_epoch(run, history):
        run()
        return False

    rng = np.random.default_rng(0)
    return train(learner, Table(rows), plan, rng, held_out=held_out, on_epoch=on_epoch)


@pytest.mark.parametrize("coded", [False, True])
def test_batches_drawn_at_once_are_an_epoch(coded, monkeypatch):
    monkeypatch.setattr("skgm.diffusion._training._AT_ONCE", 250)  # two batches at once
    rows = np.arange(70.0)[:, None]
    table = Table(rows, np.arange(70) if coded else None)
    batches = Batches(table, Plan(LEVELS, n_updates=9, batch_size=14), np.random.default_rng(0))
    seen = []
    for batch, without in batches.epoch(Scripted([])):
        u, phi, codes, target = batch
        assert u.shape == target.shape == (14, 1)
        assert without == pytest.approx(np.mean(target**2))
        data = np.cos(phi) * u[:, 0] + np.sin(phi) * target[:, 0]
        assert (codes is None) != coded
        if coded:
            assert_allclose(codes, data, atol=1e-12)
        seen.append(data)
    assert len(seen) == 5
    assert_allclose(np.sort(np.concatenate(seen)), rows[:, 0], atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 50.0])
def test_divergence_stops_and_restores_the_best(bad):
    learner = Scripted([1.0, 0.5, 0.7, bad, 0.1])
    with pytest.warns(ConvergenceWarning, match="learning_rate"):
        history = run(learner, 5)
    assert history.diverged
    assert learner.state == 2
    assert np.isfinite(history.losses).all()


def test_ending_worse_than_the_gaussian_is_a_divergence():
    learner = Scripted([1.0, 0.9, 3.0, 2.0])
    with pytest.warns(ConvergenceWarning, match="diverged"):
        run(learner, 4)
    assert learner.state == 2


@pytest.mark.parametrize("last", [3.0, 50.0])
def test_one_epoch_of_what_starts_anywhere_may_be_worse_than_the_gaussian(last):
    learner = Scripted([last])
    learner.starts_anywhere = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run(learner, 4, one_epoch=True).diverged == (last == 50)
        assert run(Scripted([last]), 4, one_epoch=True).diverged  # our network starts at F = 0


def test_early_stopping_keeps_the_best():
    learner = Scripted([0.5] * 9, [1.0, 0.8, 0.9, 0.85, 0.9, 0.7, 0.7, 0.7, 0.7])
    history = run(learner, 9, patience=3)
    assert history.n_updates == 5
    assert learner.state == 2
    assert_allclose(history.validation_losses, [1.0, 0.8, 0.9, 0.85, 0.9])


def test_training_ends_after_the_updates_asked_for():
    learner = Scripted([0.5] * 7)
    assert run(learner, 7) == History([0.5] * 7, [], 7, diverged=False)
    assert learner.state == 7
