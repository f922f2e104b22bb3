"""The normalizer: known integrals, honest errors, and warnings where it cannot be trusted."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skgm import NCEDensity
from skgm._numerics import importance
from skgm._numerics.distributions import BernoulliNoise, GaussianMixtureNoise
from skgm._numerics.importance import (
    pareto_tail_index,
    sample_limit,
    summarize_weights,
)
from skgm.nce._ratio_density import _tolerance, warn_normalizer

STANDARD = GaussianMixtureNoise(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])


def tilt(by):
    """exp(by'x) under N(0, I) integrates to exp(|by|^2 / 2)."""
    return lambda X: X @ np.asarray(by)


def estimate(log_ratio, seed=0, tol=0.005, max_samples=1_000_000):
    rng = np.random.default_rng(seed)
    return importance.estimate(log_ratio, STANDARD, rng, tol=tol, max_rows=max_samples)


@pytest.mark.parametrize("by", [(0.0, 0.0), (0.5, -0.2), (1.0, 0.5)])
def test_known_integral_within_four_standard_errors(by):
    result = estimate(tilt(by))
    assert result.se <= 0.005
    assert abs(result.log_z - 0.5 * np.dot(by, by)) <= 4 * result.se + 1e-12


def test_stated_error_is_the_scatter_of_repetitions():
    """The ratio of 60 repetitions' sd to the stated error is 1 within 4 / sqrt(2 * 59) = .37."""
    runs = [estimate(tilt((0.7, 0.0)), seed, tol=1.0) for seed in range(60)]
    scatter = np.std([run.log_z for run in runs], ddof=1)
    assert abs(scatter / np.mean([run.se for run in runs]) - 1) < 0.37


def test_effective_sample_size_has_its_closed_form():
    """E[w]^2 / E[w^2] = exp(-|by|^2) for exponential tilting; 2% is many standard errors."""
    result = estimate(tilt((0.5, 0.0)), tol=0.002)
    assert result.ess == pytest.approx(np.exp(-0.25), rel=0.02)


def test_seeded_and_stopped_at_the_limit():
    one, two = estimate(tilt((0.5, 0.0))), estimate(tilt((0.5, 0.0)))
    assert one == two
    assert estimate(tilt((1.5, 1.0)), max_samples=20_000).n_samples == 20_000


@pytest.mark.parametrize("limit", [100, 12_345, 20_000])
def test_never_more_rows_than_the_limit(limit):
    assert estimate(tilt((1.5, 1.0)), tol=1e-9, max_samples=limit).n_samples == limit


def test_rows_of_little_weight_are_thinned_without_bias():
    """A fraction of the log-ratios, a known integral, and errors that are the scatter of runs.

    The mean of 30 estimates has a standard error of se / sqrt(30), and the ratio of their sd to the
    stated error is 1 within 3 / sqrt(2 * 29) = .4. Effective rows are those without thinning.
    """
    evaluated = []

    def log_ratio(X):
        evaluated.append(len(X))
        return X @ np.array([1.6, 0.4])

    rough = importance.RoughRatio(lambda X: 1.4 * X[:, 0] + 0.3 * np.abs(X[:, 1]), cost=0.1)

    def run(seed):
        rng = np.random.default_rng(seed)
        return importance.estimate(log_ratio, STANDARD, rng, tol=0.015, rough=rough)

    runs = [run(seed) for seed in range(30)]
    errors, se = [each.log_z - 1.36 for each in runs], np.mean([each.se for each in runs])
    assert abs(np.mean(errors)) < 4 * se / np.sqrt(30)
    assert abs(np.std(errors, ddof=1) / se - 1) < 0.4
    assert sum(evaluated) < 0.6 * sum(each.n_samples for each in runs)
    assert np.mean([each.ess for each in runs]) == pytest.approx(np.exp(-2.72), rel=0.15)


def test_a_rough_ratio_that_tells_nothing_changes_nothing():
    blind = importance.RoughRatio(lambda X: np.zeros(len(X)), cost=0.5)
    rng = np.random.default_rng(0)
    found = importance.estimate(tilt((1.0, 0.5)), STANDARD, rng, tol=0.005, rough=blind)
    assert abs(found.log_z - 0.625) < 4 * found.se


def test_the_tolerance_follows_the_sampling_error_of_a_mean():
    """The sd 2 of 1,000 rows over sqrt(1000) is .063, of which a fifth is .0126; limits beyond."""
    values = np.repeat([-2.0, 2.0, -np.inf], 500)
    assert _tolerance(values, 1000) == pytest.approx(0.2 * 2 / np.sqrt(1000))
    assert _tolerance(values, 100) == 0.03
    assert _tolerance(values, 10**6) == 0.01


def test_limit_follows_the_cost_of_the_trees():
    """2.5e8 evaluations of a tree, between 300,000 and 3,000,000 rows; other critics 300,000."""
    X, y = np.arange(200.0)[:, None], np.repeat([0, 1], 100)
    few, many = (HistGradientBoostingClassifier(max_iter=n).fit(X, y) for n in (2, 100))
    assert sample_limit("auto", [few, few]) == 3_000_000
    assert sample_limit("auto", [many, many]) == 1_250_000
    assert sample_limit("auto", [many] * 9) == 300_000
    assert sample_limit("auto", []) == 300_000
    assert sample_limit("auto", [few, LogisticRegression().fit(X, y)]) == 300_000
    assert sample_limit(1234, [few]) == 1234


@pytest.mark.parametrize("k", [0.2, 0.5, 0.9])
def test_pareto_tail_index(k):
    """The tail of 4e6 draws has 6000 rows: the estimate's error is (1 + k) / sqrt(6000) < .025."""
    weights = stats.genpareto(k).rvs(4_000_000, random_state=0)
    assert pareto_tail_index(weights) == pytest.approx(k, abs=0.1)


@pytest.mark.parametrize("k", [-0.5, 0.0, 0.3])
def test_small_tails_are_shrunk_towards_a_half(k):
    """Excesses of a generalized Pareto law have its shape k over any threshold.

    A tail of M = 94 of 1000 weights counts as 94 of shape k and 10 of shape 1/2: on average
    (94 k + 5) / 104. The mean of 400 estimates has a standard error of (1 + k) / sqrt(94 * 400), at
    most .007; the estimator's own bias is of the order 1 / M.
    """
    draws = stats.genpareto(k).rvs((400, 1000), random_state=0)
    found = np.mean([pareto_tail_index(row) for row in draws])
    assert found == pytest.approx((94 * k + 5) / 104, abs=0.03)


def test_a_plateau_with_a_bump_is_no_heavy_tail():
    """Bounded weights of two levels; the same with a power law above the lower level is one."""
    rng = np.random.default_rng(0)
    plateau = rng.uniform(1.9, 2.0, size=30_000)
    bump = 9 - 6 * np.sqrt(rng.uniform(size=150))
    assert pareto_tail_index(np.concatenate([plateau, bump])) < 0.7
    power = 2 + stats.genpareto(0.9).rvs(150, random_state=0)
    assert pareto_tail_index(np.concatenate([plateau, power])) > 0.7


def test_equal_weights_have_no_tail():
    assert pareto_tail_index(np.ones(1000)) == -np.inf
    result = summarize_weights(np.zeros(1000))
    assert (result.log_z, result.se, result.ess) == (0.0, 0.0, 1.0)


def test_ties_of_a_finite_space_are_no_heavy_tail():
    """A log-ratio on 256 states is bounded, though the tail of its values looks heavy."""
    couplings = np.triu(np.random.default_rng(17).normal(scale=2.0, size=(8, 8)), 1)
    rows = BernoulliNoise(np.full(8, 0.5)).sample(20_000, np.random.default_rng(0))
    log_weights = np.einsum("ni,ij,nj->n", rows, couplings, rows)
    assert pareto_tail_index(np.exp(log_weights)) > 0.7
    found = summarize_weights(log_weights, atoms=True)
    states = (np.arange(256)[:, None] >> np.arange(8)) & 1
    exact = np.exp(np.einsum("ni,ij,nj->n", states, couplings, states)).mean()
    assert found.pareto_k == -np.inf
    assert abs(found.log_z - np.log(exact)) < 4 * found.se
    rare = np.append(log_weights, log_weights.max() + 5)  # met once: there may be more beyond it
    assert summarize_weights(rare, atoms=True).pareto_k > 0.7


def test_weights_that_cannot_be_summed_are_refused():
    with pytest.raises(ValueError, match="cannot be normalized"):
        summarize_weights(np.array([0.0, np.inf]))


def test_uncertain_normalizers_warn_and_say_why():
    heavy = summarize_weights(5 * np.random.default_rng(0).standard_cauchy(2000))
    with pytest.warns(ConvergenceWarning, match="one weight makes up"):
        warn_normalizer(heavy, 0.005)
    with pytest.warns(ConvergenceWarning, match="standard error of log Z is"):
        warn_normalizer(estimate(tilt((1.0, 0.0)), max_samples=1000), 0.005)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_normalizer(estimate(tilt((0.5, 0.0))), 0.005)


def sinh_axis(center, scale, n, reach):
    """Return nodes that lie close together about a center, and their trapezoidal weights."""
    u = np.linspace(-reach, reach, n)
    return center + scale * np.sinh(u), scale * np.cosh(u) * (u[1] - u[0])


def even_axis(low, high, n):
    nodes = np.linspace(low, high, n)
    return nodes, np.full(n, nodes[1] - nodes[0])


def shape(name, n=500):
    """Return rows of a shape that no Gaussian has, and the axes of a grid that holds its mass."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(n, 2))
    if name == "ring":
        angle = rng.uniform(0, 2 * np.pi, n)
        radius = 2 + 0.2 * normal[:, :1]
        return radius * np.column_stack([np.cos(angle), np.sin(angle)]), [even_axis(-9, 9, 601)] * 2
    if name == "banana":
        normal[:, 1] = normal[:, 0] ** 2 + 0.3 * normal[:, 1]
        return normal, [even_axis(-12, 12, 901), even_axis(-20, 30, 1501)]
    if name == "far modes":
        return normal + 20 * (np.arange(n) % 2)[:, None], [even_axis(-60, 80, 1001)] * 2
    if name == "t with 2 degrees of freedom":
        return normal / np.sqrt(rng.chisquare(2, (n, 1)) / 2), [sinh_axis(0, 0.3, 701, 7)] * 2
    return rng.uniform(size=(n, 2)), [even_axis(-1.5, 2.5, 701)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["auto", "gaussian"])
@pytest.mark.parametrize(
    "name", ["ring", "banana", "far modes", "t with 2 degrees of freedom", "box"]
)
def test_log_normalizer_is_certified(name, noise):
    """The density integrates to one on a grid, within three of its reported standard errors."""
    X, ((x, dx), (y, dy)) = shape(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a Gaussian is far from the modes
        density = NCEDensity(noise=noise, n_critics=2, random_state=0).fit(X)
    total = 0.0
    for part in np.array_split(np.arange(len(x)), 40):
        grid = np.column_stack([np.repeat(x[part], len(y)), np.tile(y, len(part))])
        values = np.exp(density.score_samples(grid)).reshape(len(part), -1)
        total += dx[part] @ values @ dy
    # .003 is what is left of jumps between the nodes
    assert abs(np.log(total)) < 3 * density.log_normalizer_se_ + 0.003


@pytest.mark.slow
def test_log_normalizer_of_a_column_with_many_zeros_is_certified():
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, 600)
    rain = np.where(
        x + rng.normal(size=600) > 0.5, 0.0, np.exp(0.5 * x + 0.3 * rng.normal(size=600))
    )
    density = NCEDensity(n_critics=2, random_state=0).fit(np.column_stack([x, rain]))
    nodes, dx = even_axis(-9, 9, 701)
    at_zero = density.score_samples(np.column_stack([nodes, np.zeros(len(nodes))]))
    total = np.exp(at_zero) @ dx
    log_rain, step = even_axis(-14, 9, 1201)
    rain = np.exp(log_rain)
    for part in np.array_split(np.arange(len(nodes)), 40):
        grid = np.column_stack([np.repeat(nodes[part], len(rain)), np.tile(rain, len(part))])
        values = np.exp(density.score_samples(grid)).reshape(len(part), -1)
        total += dx[part] @ values @ (rain * step)
    assert abs(np.log(total)) < 3 * density.log_normalizer_se_ + 0.005
