import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm.diffusion import NoiseSchedule, forward_marginal, forward_step

NAMED = [NoiseSchedule.linear, NoiseSchedule.scaled_linear, NoiseSchedule.cosine]


def product_of_alphas(beta):
    """Cumulative products in plain Python floats, by logarithms."""
    return [math.exp(math.fsum(math.log1p(-b) for b in beta[: t + 1])) for t in range(len(beta))]


def test_linear_as_defined():
    """beta_t = 1e-4 + (t - 1) / 999 (0.02 - 1e-4): the schedule of Ho et al."""
    beta = [1e-4 + i / 999 * (0.02 - 1e-4) for i in range(1000)]
    schedule = NoiseSchedule.linear()
    assert_allclose(schedule.beta, beta, rtol=1e-11)
    assert_allclose(schedule.alpha_bar, product_of_alphas(beta), rtol=1e-11)
    assert_allclose(schedule.alpha_bar[-1], 4.03583e-5, rtol=1e-5)


def test_scaled_linear_as_defined():
    root = [1e-2 + i / 999 * (math.sqrt(0.02) - 1e-2) for i in range(1000)]
    schedule = NoiseSchedule.scaled_linear()
    assert_allclose(schedule.alpha_bar, product_of_alphas([r * r for r in root]), rtol=1e-11)


def test_cosine_as_defined():
    def share(x):
        return math.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2

    beta = [min(1 - share((i + 1) / 1000) / share(i / 1000), 0.999) for i in range(1000)]
    schedule = NoiseSchedule.cosine()
    assert_allclose(schedule.alpha_bar, product_of_alphas(beta), rtol=1e-10)
    assert_allclose(schedule.alpha_bar[-1], 2.4e-9, rtol=0.02)  # the last beta is cut to 0.999
    assert_allclose(schedule.beta[-1], 0.999, rtol=1e-12)


@pytest.mark.parametrize("make", NAMED)
@pytest.mark.parametrize("n", [1, 2, 7, 50, 1000])
def test_any_number_of_levels_ends_in_noise(make, n):
    schedule = make(n)
    assert schedule.n_timesteps == n
    assert np.all(np.diff(schedule.alpha_bar) < 0)
    assert 0 < schedule.alpha_bar[-1] < 5e-3
    assert_allclose(np.cos(schedule.angles) ** 2, schedule.alpha_bar, rtol=1e-12, atol=1e-15)


def test_respacing_recomputes_alpha():
    full = NoiseSchedule.cosine(1000)
    few = full.respace(10)
    assert_allclose(few.alpha_bar, full.alpha_bar[99::100], rtol=0)
    assert_allclose(np.cumprod(few.alpha), few.alpha_bar, rtol=1e-12)
    assert np.all(few.beta > full.beta[99::100])  # entries of the full beta would be far too small
    assert_allclose(full.respace(1).alpha_bar, full.alpha_bar[-1:])
    assert full.respace(7).name == "cosine"


def test_angles_may_reach_pure_noise():
    schedule = NoiseSchedule.from_angles([0.1, 1.0, np.pi / 2])
    assert schedule.alpha_bar[-1] == 0
    assert schedule.beta[-1] == 1
    assert_allclose(schedule.angles, [0.1, 1.0, np.pi / 2])


def test_levels_are_frozen_and_survive_pickling():
    schedule = NoiseSchedule.linear(5)
    with pytest.raises(ValueError, match="read-only"):
        schedule.alpha_bar[0] = 0.5
    again = pickle.loads(pickle.dumps(schedule))
    assert_allclose(again.alpha_bar, schedule.alpha_bar, rtol=0)


@pytest.mark.parametrize("bad", [[0.5, 0.6], [1.0, 0.5], [0.5, -0.1], [], [[0.5]], [0.5, np.nan]])
def test_levels_that_are_none(bad):
    with pytest.raises(ValueError, match="alpha_bar must be"):
        NoiseSchedule(bad)


@pytest.mark.parametrize("bad", [0, -1, 2.5, True, "10"])
def test_bad_number_of_levels(bad):
    for make in NAMED:
        with pytest.raises(ValueError, match="n_timesteps must be an integer >= 1"):
            make(bad)


def test_bad_settings():
    with pytest.raises(ValueError, match="beta_start"):
        NoiseSchedule.linear(10, 0.02, 1e-4)
    with pytest.raises(ValueError, match="angles must"):
        NoiseSchedule.from_angles([0.0, 1.0])
    with pytest.raises(ValueError, match="at most 10"):
        NoiseSchedule.cosine(10).respace(11)
    with pytest.raises(ValueError, match="from 0 to 10"):
        NoiseSchedule.cosine(10).alpha_bar_at(11)
    with pytest.raises(ValueError, match="from 0 to 10"):
        NoiseSchedule.cosine(10).alpha_bar_at(1.5)


def test_steps_compose_to_the_marginal():
    """Mean and variance carried through the steps one by one."""
    schedule = NoiseSchedule.linear(20)
    x_0 = np.array([[1.0, -2.0]])
    mean, variance = x_0, 0.0
    for t in range(1, 21):
        mean, added = forward_step(mean, t, schedule)
        variance = schedule.alpha[t - 1] * variance + added
        of_marginal, variance_of_marginal = forward_marginal(x_0, t, schedule)
        assert_allclose(mean, of_marginal, rtol=1e-12)
        assert_allclose(variance, variance_of_marginal, rtol=1e-12)


def test_levels_per_row():
    schedule = NoiseSchedule.linear(20)
    x = np.arange(6.0).reshape(3, 2)
    mean, variance = forward_marginal(x, [0, 7, 20], schedule)
    assert_allclose(mean[0], x[0])
    assert variance[0] == 0
    assert_allclose(mean[1], forward_marginal(x[1:2], 7, schedule)[0][0])
    with pytest.raises(ValueError, match="from 1 to 20"):
        forward_step(x, 0, schedule)
