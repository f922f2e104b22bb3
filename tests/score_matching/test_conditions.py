"""Densities fitted by score matching, given a part of each row: against grids of the joint."""

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.preprocessing import StandardScaler

from skgm import KernelExpFamily, ScoreMatchingExpFamily
from skgm.compose import make_density_pipeline
from skgm.score_matching._exp_family.closed_forms import SphereDensity

RNG = np.random.default_rng(0)
GAMMA = RNG.gamma([2.0, 3.0], size=(400, 2))
GAMMA[:, 1] += GAMMA[:, 0]
UNIT = RNG.beta(2, 3, size=(400, 2))
CASES = [
    (KernelExpFamily(random_state=0), make_moons(300, noise=0.1, random_state=0)[0], (-4, 4)),
    (ScoreMatchingExpFamily(), RNG.normal(size=(300, 2)) @ [[1, 0.5], [0, 1]], (-9, 9)),
    (ScoreMatchingExpFamily("gamma"), GAMMA, (1e-9, 40)),
    (ScoreMatchingExpFamily("polynomial", bounds=(0, 1), degree=3), UNIT, (0, 1)),
]


@pytest.mark.parametrize(("density", "X", "span"), CASES)
def test_completions_follow_the_joint_density(density, X, span):
    fitted = density.fit(X)
    row = np.median(X, axis=0)
    drawn = fitted.sample(1000, random_state=0, given=[[row[0], np.nan]])
    assert (drawn[:, 0] == row[0]).all()
    nodes = np.linspace(*span, 4001)
    log_density = fitted.score_samples(np.column_stack([np.full(4001, row[0]), nodes]))
    weight = np.exp(log_density - log_density.max())
    total = (np.cumsum(weight) - weight / 2) / weight.sum()
    # picks are systematic, so closer to the law than independent draws: a conservative test
    assert stats.kstest(np.interp(drawn[:, 1], nodes, total), "uniform").pvalue > 1e-3
    filled = fitted.impute([[np.nan, row[1]], row], random_state=0)
    assert filled[0, 1] == row[1]
    assert (filled[1] == row).all()


def test_pipelines_pass_conditions_on():
    X = make_moons(200, noise=0.1, random_state=0)[0]
    pipeline = make_density_pipeline(StandardScaler(), KernelExpFamily(random_state=0)).fit(X)
    drawn = pipeline.sample(5, random_state=0, given=[[0.5, np.nan]])
    assert drawn[:, 0] == pytest.approx(0.5)


def test_values_outside_the_support_are_refused():
    fitted = ScoreMatchingExpFamily("polynomial", bounds=(0, 1), degree=3).fit(UNIT)
    with pytest.raises(ValueError, match="'x0' holds 2"):
        fitted.impute([[2.0, np.nan]])


@pytest.mark.parametrize("n_holes", [1, 2])
def test_rest_of_a_unit_vector(n_holes):
    """Against the law of its parts: weights exp(theta x) on the sphere, points at random."""
    theta = np.array([0.4, -1.0, 2.0])
    given = np.array([[0.6, np.nan, np.nan]]) if n_holes == 2 else np.array([[0.6, 0.3, np.nan]])
    rows = SphereDensity(theta).complete(given, 4000, np.random.default_rng(0))
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(4000))
    radius = np.sqrt(1 - np.nansum(given**2))
    if n_holes == 2:
        angle = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
        around = radius * np.column_stack([np.cos(angle), np.sin(angle)])
        weight = np.exp(around @ theta[1:])
        assert rows[:, 1:].mean(axis=0) == pytest.approx(weight @ around / weight.sum(), abs=0.05)
    else:
        share = np.exp(theta[2] * radius) / (2 * np.cosh(theta[2] * radius))
        assert (rows[:, 2] > 0).mean() == pytest.approx(share, abs=0.03)
    with pytest.raises(ValueError, match="not of unit length"):
        SphereDensity(theta).complete(np.array([[1.2, np.nan, 0]]), 1, np.random.default_rng(0))
