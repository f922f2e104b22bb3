"""A Gaussian cut to a box: density and draws against scipy's normal, far into the tails."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from skgm._numerics.box_gaussian import BoxGaussian, log_box_probability, truncated_normal


@pytest.mark.parametrize(
    ("low", "high"), [(-1, 2), (3, np.inf), (-np.inf, -2), (30, 31), (-40, -38)]
)
def test_quantiles_and_shares_are_scipys(low, high):
    uniform = np.linspace(0.01, 0.99, 9)
    found, log_share = truncated_normal(1.0, 2.0, low * 2.0 + 1, high * 2.0 + 1, uniform)
    law = stats.truncnorm(low, high, loc=1.0, scale=2.0)
    assert_allclose(found, (law.isf if low > 0 else law.ppf)(uniform), rtol=1e-8)
    mirrored = (low, high) if high < 0 else (-high, -low)  # where scipy's cdf keeps its digits
    log_cdf = stats.norm.logcdf(mirrored)
    assert_allclose(log_share, log_cdf[1] + np.log1p(-np.exp(log_cdf[0] - log_cdf[1])), rtol=1e-10)


def test_the_density_integrates_to_one_and_is_cut_at_the_box():
    box = BoxGaussian(
        np.array([[2.0, 0.7], [0.7, 1.0]]),
        np.array([1.0, -2.0]),
        np.zeros(2),
        np.array([3, np.inf]),
    )
    log_normalizer, error = box.log_normalizer()
    value = lambda y, x: np.exp(box.log_density(np.array([[x, y]]), log_normalizer)[0])  # noqa: E731
    total = integrate.dblquad(value, 0, 3, 0, 12)[0]
    assert abs(np.log(total)) < 5 * error + 1e-7
    assert box.log_density(np.array([[-0.1, 1.0], [3.1, 1.0]]), 0.0).tolist() == [-np.inf] * 2


@pytest.mark.parametrize("size", [1e150, 1e160, 1e300, 1.7e308])
def test_rows_that_leave_the_range_have_no_density(size):
    box = BoxGaussian(
        np.array([[2.0, -0.9], [-0.9, 1.0]]),
        np.array([5.0, 5.0]),
        -np.full(2, np.inf),
        np.full(2, np.inf),
    )
    rows = size * np.array([[1.0, 1.0], [1.0, 0.0], [-1.0, 1.0], [0.5, 1.0]])
    scores = box.log_density(rows, 0.0)
    assert not np.isnan(scores).any()
    assert (scores < -1e200).all()


def test_independent_columns_have_the_product_of_their_probabilities():
    mean, sd = np.array([0.0, 1.0, -2.0]), np.array([1.0, 0.1, 5.0])
    lower, upper = np.array([1.0, -np.inf, 0.0]), np.array([2.0, 0.9, np.inf])
    found, _ = log_box_probability(mean, np.diag(sd**2), lower, upper)
    right = np.log(stats.norm.cdf(upper, mean, sd) - stats.norm.cdf(lower, mean, sd)).sum()
    assert_allclose(found, right, rtol=1e-9)


def test_draws_given_a_column_follow_the_conditional_normal():
    """The second column given the first is normal, cut to its own bounds."""
    K = np.array([[2.0, 0.7], [0.7, 1.0]])
    box = BoxGaussian(K, np.zeros(2), np.zeros(2), np.full(2, np.inf))
    given = np.repeat([[0.5, np.nan]], 4000, axis=0)
    rows = box.draw_given(given, np.random.default_rng(0))
    assert (rows[:, 0] == 0.5).all()
    mean = -K[0, 1] * 0.5 / K[1, 1]
    law = stats.truncnorm(-mean, np.inf, loc=mean, scale=1.0)
    assert stats.kstest(rows[:, 1], law.cdf).pvalue > 1e-4
