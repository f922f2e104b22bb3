"""NCEDensity given a part of each row: against quadrature of its own joint density."""

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skgm import NCEDensity, ScoreMatchingGaussian
from skgm._numerics.distributions import GaussianMixtureNoise, StudentNoise, UniformNoise
from skgm._numerics.importance import conditional_resampling

MOONS, _ = make_moons(500, noise=0.1, random_state=0)
FACTOR = np.array([[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [-0.5, 0.3, 0.7]])
TWO = GaussianMixtureNoise(
    np.array([0.3, 0.7]),
    np.array([[0.0, 1.0, -1.0], [2.0, -1.0, 1.0]]),
    np.stack([FACTOR, 0.5 * FACTOR]),
)
STUDENT = StudentNoise(5.0, np.array([0.5, -1.0, 2.0]), FACTOR)
NODES = np.linspace(-12, 14, 4001)


def pvalue(drawn, log_density):
    """Of draws of one column against a density on NODES, known up to a factor: Kolmogorov's."""
    weight = np.exp(log_density - log_density.max())
    total = np.cumsum(weight) - weight / 2
    return stats.kstest(np.interp(drawn, NODES, total / weight.sum()), "uniform").pvalue


def given_row(row, hole):
    given = np.array([row], dtype=float)
    given[0, hole] = np.nan
    nodes = np.repeat([row], len(NODES), axis=0).astype(float)
    nodes[:, hole] = NODES
    return given, nodes


@pytest.mark.parametrize("noise", [TWO, STUDENT, UniformNoise(np.full(3, -9.0), np.full(3, 9.0))])
@pytest.mark.parametrize("hole", [0, 2])
def test_conditional_draws_of_noise_follow_its_joint_density(noise, hole):
    given, nodes = given_row([0.4, -0.8, 0.9], hole)
    both = np.vstack([np.full(3, np.nan), given, np.full(3, np.nan)])
    rows = noise.sample_given(both, 4000, np.random.default_rng(0))
    assert rows.shape == (3, 4000, 3)
    assert pvalue(rows[1, :, hole], noise.log_density(nodes)) > 1e-3


def test_two_holes_at_once_and_none():
    """The mean and covariance of two columns given the third, by the textbook formula."""
    S = FACTOR @ FACTOR.T
    given = np.array([[np.nan, 1.5, np.nan], [1.0, 2.0, 3.0]])
    one = GaussianMixtureNoise(np.ones(1), np.zeros((1, 3)), FACTOR[None])
    rows = one.sample_given(given, 20_000, np.random.default_rng(0))
    assert (rows[1] == given[1]).all()
    mean = S[[0, 2], 1] / S[1, 1] * 1.5
    covariance = S[np.ix_([0, 2], [0, 2])] - np.outer(S[[0, 2], 1], S[1, [0, 2]]) / S[1, 1]
    assert rows[0][:, [0, 2]].mean(axis=0) == pytest.approx(mean, abs=0.03)
    assert np.cov(rows[0][:, [0, 2]].T) == pytest.approx(covariance, abs=0.03)


@pytest.mark.parametrize("critic", ["auto", "poly4"])
@pytest.mark.parametrize("hole", [0, 1])
def test_completions_follow_the_joint_density(critic, hole):
    noise = "auto" if critic == "auto" else "gaussian"
    density = NCEDensity(critic, noise, random_state=0).fit(MOONS)
    given, nodes = given_row([0.3, 0.2], hole)
    rows = density.sample(1500, random_state=0, given=given)
    assert pvalue(rows[:, hole], density.score_samples(nodes)) > 1e-3
    assert (rows[:, 1 - hole] == given[0, 1 - hole]).all()


def test_conditions_start_from_where_the_draws_do():
    """Data so far from the noise that Student's t stands in for it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 2)) @ [[1.0, 0.8], [0.0, 0.6]] + 16
    density = NCEDensity("quadratic", stats.norm(), noise_ratio=1, random_state=0).fit(X)
    rows = density.sample(1000, random_state=0, given=[[17.0, np.nan]])
    assert rows[:, 1].mean() == pytest.approx(16.8, abs=0.3)
    assert rows[:, 1].std() == pytest.approx(0.6, abs=0.15)


def test_coins_are_completed_as_bayes_rule_says():
    rng = np.random.default_rng(0)
    first = rng.random(2000) < 0.5
    X = np.column_stack([first, first ^ (rng.random(2000) < 0.1)]).astype(float)
    density = NCEDensity(noise="bernoulli", n_critics=1, random_state=0).fit(X)
    rows = density.sample(2000, random_state=0, given=[[1.0, np.nan], [0.0, np.nan]])
    assert rows[:2000, 1].mean() == pytest.approx(0.9, abs=0.04)
    assert rows[2000:, 1].mean() == pytest.approx(0.1, abs=0.04)


def test_few_effective_candidates_warn_and_impossible_rows_are_refused(monkeypatch):
    density = NCEDensity(noise="uniform", n_critics=1, random_state=0).fit(MOONS)
    with pytest.raises(
        ValueError, match="Row 1 of given holds values at which the density is zero"
    ):
        density.impute([[0.0, np.nan], [90.0, np.nan]])
    monkeypatch.setattr("skgm.base._FEW_EFFECTIVE", 1e9)
    with pytest.warns(ConvergenceWarning, match="Completions of 1 of 2 rows come from few eff"):
        density.impute([[0.5, np.nan], [0.5, 0.2]], random_state=0)


def test_more_candidates_are_drawn_where_few_are_effective():
    """A ratio that lives on a thousandth of the noise; the effective number is known."""
    box = UniformNoise(np.zeros(2), np.ones(2))

    def log_ratio(X):
        return np.where(X[:, 1] < 0.001, 0.0, -np.inf)

    given = np.array([[0.5, np.nan], [0.2, 0.3], [np.nan, 0.5]])
    rows, ess = conditional_resampling(log_ratio, box, given, 3, np.random.default_rng(0))
    assert 8 < ess[0] < 60  # of 12,800 candidates
    assert ess[1] == np.inf
    assert ess[2] == 0
    assert (rows[0, :, 1] < 0.001).all()


def test_noise_without_conditionals_is_named_with_the_cure():
    other = NCEDensity(noise=GaussianMixture(2), n_critics=1, random_state=0).fit(MOONS)
    assert not hasattr(other, "impute")
    assert not hasattr(NCEDensity(noise=GaussianMixture(2)), "impute")
    assert hasattr(NCEDensity(), "impute")
    with pytest.raises(ValueError, match="this noise has none"):
        other.sample(1, given=[[0.0, np.nan]])
    ours = NCEDensity(noise=ScoreMatchingGaussian(), n_critics=1, random_state=0).fit(MOONS)
    assert np.isfinite(ours.impute([[0.5, np.nan]], random_state=0)).all()
