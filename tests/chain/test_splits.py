"""Trees of splits: every cell is reached by one path, and margins come back without a model."""

import numpy as np
import pytest
from scipy.special import expit

from skgm.chain._splits import Splits, centering_shift, log_probability

MASS = np.random.default_rng(0).dirichlet(np.full(11, 0.5))


@pytest.mark.parametrize("mass", [MASS, np.array([1.0]), np.array([0.3, 0.7])])
def test_margins_come_back_from_their_own_log_odds(mass):
    splits = Splits.of(mass)
    rows, chosen, right = splits.examples(np.arange(len(mass)))
    steps = log_probability(splits.log_odds[chosen], right)
    assert np.exp(np.bincount(rows, steps, minlength=len(mass))) == pytest.approx(mass)


def test_any_log_odds_give_probabilities_that_sum_to_one():
    splits = Splits.of(MASS)
    odds = np.random.default_rng(1).normal(size=len(splits))
    rows, chosen, right = splits.examples(np.arange(len(MASS)))
    assert np.exp(np.bincount(rows, log_probability(odds[chosen], right))).sum() == pytest.approx(1)


def test_children_lead_to_the_cells_of_the_paths():
    splits = Splits.of(MASS)
    for cell in range(len(MASS)):
        place = 0
        for split, right in zip(splits.path[cell], splits.went_right[cell]):
            if split < 0:
                break
            assert place == split
            assert right == (cell >= splits.middle[split])
            place = splits.children[split, int(right)]
        assert place == -1 - cell


def test_equal_masses_take_the_least_depth():
    assert Splits.of(np.full(64, 1 / 64)).path.shape == (64, 6)


@pytest.mark.parametrize("wanted", [-6.0, 0.3, 4.0])
def test_centering_shift_gives_the_wanted_mean(wanted):
    odds = np.random.default_rng(2).normal(scale=3, size=500)
    assert expit(odds + centering_shift(odds, wanted)).mean() == pytest.approx(expit(wanted))
