"""Draws by importance resampling and by rejection, against moments in closed form."""

import tracemalloc

import numpy as np
import pytest

from skgm._numerics.distributions import GaussianMixtureNoise
from skgm._numerics.importance import (
    MAX_DRAWS,
    POOL_FACTOR,
    importance_resampling,
    rejection_sampling,
    systematic_picks,
)

NOISE = GaussianMixtureNoise(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])


def log_ratio(X):
    """From N(0, I) to N((0.5, 0), diag(1, 0.5)), up to a constant."""
    return 0.5 * X[:, 0] - 0.5 * X[:, 1] ** 2


def check_moments(rows):
    n = len(rows)
    assert abs(rows[:, 0].mean() - 0.5) < 5 / np.sqrt(n)
    assert abs(rows[:, 1].mean()) < 5 * np.sqrt(0.5 / n)
    assert abs(rows[:, 1].var() - 0.5) < 5 * 0.5 * np.sqrt(2 / n)


def test_importance_resampling_has_the_moments_of_the_target():
    rows = importance_resampling(log_ratio, NOISE, 4000, 0.6, np.random.default_rng(0))
    check_moments(rows)
    assert len(np.unique(rows, axis=0)) > 0.99 * len(rows)
    assert abs(np.corrcoef(rows[1:, 0], rows[:-1, 0])[0, 1]) < 5 / np.sqrt(4000)


def test_many_draws_need_the_memory_of_few():
    n = 10 * MAX_DRAWS
    tracemalloc.start()
    rows = importance_resampling(log_ratio, NOISE, n, 0.6, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.shape == (n, 2)
    check_moments(rows)
    one_pool = POOL_FACTOR / 0.6 * MAX_DRAWS * 8 * 8  # bytes: a few numbers for each row of it
    assert peak < 3 * rows.nbytes + one_pool < POOL_FACTOR * n * 2 * 8  # one pool for all rows


def test_rejection_has_the_moments_of_the_target_and_raises_its_bound():
    def bounded(X):
        return np.minimum(log_ratio(X), 3.0)

    for log_bound in (3.0, -5.0):
        check_moments(rejection_sampling(bounded, NOISE, 4000, log_bound, np.random.default_rng(0)))


def test_rejection_gives_up_where_it_would_not_end():
    with pytest.raises(ValueError, match="too far"):
        rejection_sampling(log_ratio, NOISE, 1000, 30.0, np.random.default_rng(0))


def test_systematic_picks_are_in_proportion():
    weights = np.array([0.1, 0.4, 0.0, 0.25, 0.25])
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights) - 2000
    picks = systematic_picks(log_weights, 1001, np.random.default_rng(0))
    assert (np.diff(picks) >= 0).all()
    assert (np.abs(np.bincount(picks, minlength=5) - 1001 * weights) < 1).all()
    single = systematic_picks(np.tile(log_weights, (4000, 1)), 1, np.random.default_rng(1))
    share = np.bincount(single[:, 0], minlength=5) / 4000
    assert (np.abs(share - weights) <= 5 * np.sqrt(weights * (1 - weights) / 4000)).all()


def test_systematic_picks_of_each_slice_follow_its_own_weights():
    log_weights = np.random.default_rng(0).normal(size=(7, 3, 20)) * 3
    picks = systematic_picks(log_weights, 50, np.random.default_rng(1))
    assert picks.shape == (7, 3, 50)
    shares = np.exp(log_weights) / np.exp(log_weights).sum(axis=-1, keepdims=True)
    counts = (picks[..., None, :] == np.arange(20)[:, None]).sum(axis=-1)
    assert (np.abs(counts - 50 * shares) < 1).all()
