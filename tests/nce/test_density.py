"""NCEDensity with classifier critics: normalized, certified, no worse than its noise."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.linalg import LinAlgWarning
from sklearn.datasets import load_wine, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from skgm import DensityChain, NCEDensity, ScoreMatchingGaussian
from skgm.nce._preparation import dependent_columns

MOONS, _ = make_moons(800, noise=0.1, random_state=0)
TEST, _ = make_moons(2000, noise=0.1, random_state=1)


@pytest.fixture(scope="module")
def wide():
    """Moons against one Gaussian: the critic has everything to do."""
    return NCEDensity(noise="gaussian", random_state=0).fit(MOONS)


def grid_integral(density, low=-4.0, high=5.0, n=300):
    axis = np.linspace(low, high, n)
    nodes = np.array(np.meshgrid(axis, axis)).reshape(2, -1).T
    return np.exp(density.score_samples(nodes)).sum() * (axis[1] - axis[0]) ** 2


def test_normalizer_agrees_with_a_grid(wide):
    """The integral is 1 within three stated errors of log Z, plus .002 for the grid."""
    assert 0 < wide.log_normalizer_se_ <= 0.01
    assert abs(grid_integral(wide) - 1) < 3 * wide.log_normalizer_se_ + 0.002


def test_critic_adds_what_the_noise_misses(wide):
    noise = ScoreMatchingGaussian().fit(MOONS).score_samples(TEST)
    gain = wide.score_samples(TEST) - noise
    assert gain.mean() > 0.5  # of 0.9 nats that the best mixtures gain
    assert 0 < wide.separation_ < 1
    assert 0 < wide.normalizer_ess_ < 1


def test_default_is_no_worse_than_its_noise():
    """Where the mixture says it all, trees cut back to the best iteration do no harm."""
    X = np.random.default_rng(0).normal(size=(1000, 3))
    density = NCEDensity(random_state=0).fit(X)
    rows = np.random.default_rng(1).normal(size=(4000, 3))
    loss = (density.noise_.log_density(rows) - density.score_samples(rows)).mean()
    assert loss < 0.01


def test_log_ratio_is_density_over_noise(wide):
    expected = wide.score_samples(TEST) - wide.noise_.log_density(TEST)
    assert_allclose(wide.log_ratio(TEST), expected, atol=1e-10)


def test_score_error_has_both_parts(wide):
    error, values = wide.score_error(TEST), wide.score_samples(TEST)
    assert error.mean == pytest.approx(wide.score(TEST))
    assert error.sampling_se == pytest.approx(values.std(ddof=1) / np.sqrt(len(TEST)))
    assert error.normalizer_se == wide.log_normalizer_se_
    assert error.se == pytest.approx(np.hypot(error.sampling_se, error.normalizer_se))
    weight = np.arange(len(TEST)) % 3
    one = wide.score_error(TEST, sample_weight=weight)
    other = wide.score_error(np.repeat(TEST, weight, axis=0))
    assert_allclose([one.mean, one.sampling_se], [other.mean, other.sampling_se])


def test_score_error_of_a_row_outside_the_support():
    density = NCEDensity(noise="uniform", n_critics=1, random_state=0).fit(MOONS[:200])
    assert density.score_samples([[50.0, 0.0]])[0] == -np.inf
    error = density.score_error([[50.0, 0.0], [0.0, 0.5]])
    assert (error.mean, error.sampling_se) == (-np.inf, np.inf)


@pytest.mark.parametrize("sampler", ["resampling", "rejection"])
def test_samples_have_the_moments_of_the_density(wide, sampler):
    """First and second moments agree with the density's on a grid within five errors."""
    density = copy.deepcopy(wide).set_params(sampler=sampler)
    axis = np.linspace(-4.0, 5.0, 300)
    nodes = np.array(np.meshgrid(axis, axis)).reshape(2, -1).T
    mass = np.exp(density.score_samples(nodes))
    rows = density.sample(4000, random_state=0)
    for power in (1, 2):
        expected = np.average(nodes**power, axis=0, weights=mass)
        error = (rows**power).std(axis=0) / np.sqrt(len(rows))
        assert (np.abs((rows**power).mean(axis=0) - expected) < 5 * error + 0.005).all()


def test_any_classifier_on_any_noise():
    """The log-ratio of two Gaussians is quadratic, so logistic regression gets near the MLE.

    Its five coefficients cost about 5 / (2 n) = .00125 nats, the noise as much again or more.
    """
    X = np.random.default_rng(0).normal([1.0, 2.0], [1.0, 0.5], size=(2000, 2))
    critic = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=1e4, max_iter=1000))
    best = ScoreMatchingGaussian().fit(X).score(X)
    for noise in (stats.norm(1.5, 2.0), GaussianMixture(1), "gaussian"):
        density = NCEDensity(critic, noise, n_critics=1, random_state=0).fit(X)
        assert abs(best - density.score(X)) < 0.015


def test_frozen_noise_is_not_refitted():
    fitted = GaussianMixture(3, random_state=0).fit(TEST)
    before = fitted.means_.copy()
    density = NCEDensity(noise=FrozenEstimator(fitted), random_state=0).fit(MOONS)
    assert np.array_equal(fitted.means_, before)
    assert_allclose(density.noise_.log_density(TEST), fitted.score_samples(TEST))


def test_few_rows_leave_the_noise_alone():
    density = NCEDensity(random_state=0).fit(MOONS[:40])
    assert density.critics_ == []
    assert density.log_normalizer_se_ == 0.0
    assert density.separation_ == pytest.approx(1.0)
    assert_allclose(density.score_samples(TEST), density.noise_.log_density(TEST))


def test_binary_tables_get_a_mass_that_sums_to_one():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, size=(400, 1))
    X = np.hstack([first, first ^ (rng.uniform(size=(400, 1)) < 0.1)]).astype(float)
    density = NCEDensity(random_state=0).fit(X)
    states = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
    mass = np.exp(density.score_samples(states))
    assert abs(mass.sum() - 1) < 4 * density.log_normalizer_se_
    share = np.array([(state == X).all(axis=1).mean() for state in states])
    assert_allclose(mass, share, atol=0.04)
    assert density.score_samples([[0.5, 0.0]])[0] == -np.inf
    assert density.__density_tags__().support == "binary"
    frame = pd.DataFrame(X.astype(int), columns=["a", "b"])
    assert (NCEDensity(random_state=0).fit(frame).sample(5).dtypes == frame.dtypes).all()


def test_counts_against_noise_with_a_mass():
    """Poisson counts against geometric noise: masses sum to one, and no warning of a lattice."""
    X = np.random.default_rng(0).poisson(3.0, size=(500, 1)).astype(float)
    density = NCEDensity(noise=stats.geom(0.2, loc=-1), random_state=0).fit(X)
    states = np.arange(60.0)[:, None]
    mass = np.exp(density.score_samples(states))
    assert abs(mass.sum() - 1) < 4 * density.log_normalizer_se_ + 1e-3
    assert abs(mass @ states[:, 0] - 3.0) < 0.3
    assert density.__density_tags__().support == "counts"


def test_rounded_values_warn_and_can_be_spread_out():
    X = np.round(MOONS[:400], 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        raw = NCEDensity(n_critics=1, max_normalizer_samples=20_000, random_state=0).fit(X)
    assert any("likelihood is inflated" in str(warning.message) for warning in caught)
    assert_allclose(raw.lattice_report_.step, 0.1, rtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spread = NCEDensity(n_critics=1, lattice="dequantize", random_state=0).fit(X)
    assert spread.score(TEST) > raw.score(TEST)  # rows off the lattice
    assert raw.score(X) > spread.score(X) + 0.5  # the inflated likelihood


def test_columns_equal_up_to_scale_warn():
    X = np.column_stack([MOONS, 2 * MOONS[:, 0] + 1])[:40]
    with pytest.warns(LinAlgWarning, match="'x0' and 'x2' are equal"):
        NCEDensity(random_state=0).fit(X)


def test_columns_that_determine_one_another_warn():
    X = np.random.default_rng(0).normal(size=(200, 3))
    table = np.c_[X[:, :2], X[:, 0] - 2 * X[:, 1], X[:, 2]]
    with pytest.warns(LinAlgWarning, match="'x0', 'x1', 'x2' determine one another"):
        NCEDensity(random_state=0).fit(table)
    assert dependent_columns(np.c_[X, X.sum(axis=1) + 1e-3 * table[:, 0] ** 2]) == []
    assert dependent_columns(X[:3]) == []


def test_rows_outside_the_noise_are_refused():
    X = np.random.default_rng(0).normal(size=(100, 2))
    X[:7] = np.abs(X[:7])
    with pytest.raises(ValueError, match="Row 7 of X lies where the noise has no density"):
        NCEDensity(noise=stats.gamma(2), random_state=0).fit(np.r_[X[:7], -np.abs(X[7:])])


def test_uncertified_normalizers_warn():
    with pytest.warns(ConvergenceWarning, match="standard error of log Z"):
        NCEDensity(noise="gaussian", max_normalizer_samples=500, random_state=0).fit(MOONS)


def test_rounding_off_a_table_of_thirteen_columns_is_certified():
    X = load_wine().data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    density = NCEDensity(lattice="dequantize", random_state=0).fit(X)
    assert density.log_normalizer_se_ <= 0.03
    assert density.pareto_k_ < 0.7


def test_non_integer_weights_move_the_density():
    weight = np.where(MOONS[:, 1] > 0.25, 0.7, 0.07)
    density = NCEDensity(random_state=0).fit(MOONS, sample_weight=weight)
    upper = np.mean(density.sample(3000, random_state=0)[:, 1] > 0.25)
    expected = weight[MOONS[:, 1] > 0.25].sum() / weight.sum()
    assert abs(upper - expected) < 0.05


def test_pickle_keeps_scores_and_draws(wide):
    twin = pickle.loads(pickle.dumps(wide))
    assert np.array_equal(twin.score_samples(TEST), wide.score_samples(TEST))
    assert np.array_equal(twin.sample(9, random_state=0), wide.sample(9, random_state=0))


def test_skops_round_trip(wide):
    skops = pytest.importorskip("skops.io")
    blob = skops.dumps(wide)
    twin = skops.loads(blob, trusted=skops.get_untrusted_types(data=blob))
    assert_allclose(twin.score_samples(TEST), wide.score_samples(TEST))


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"noise": "pink"}, ValueError, "noise must be one of"),
        ({"noise": 3}, TypeError, "noise must be one of"),
        ({"critic": "film"}, ValueError, "critic must be"),
        ({"critic": 3}, TypeError, "critic must be"),
        ({"noise": "bernoulli"}, ValueError, "0 or 1"),
    ],
)
def test_wrong_parameters_are_named(options, error, match):
    with pytest.raises(error, match=match):
        NCEDensity(**options).fit(MOONS)


def test_one_row_of_positive_weight_is_refused():
    weight = np.zeros(len(MOONS))
    weight[3] = 2.0
    with pytest.raises(ValueError, match="minimum of 2"):
        NCEDensity().fit(MOONS, sample_weight=weight)


def test_a_chain_as_noise_gives_independent_rows_and_a_certified_normalizer(monkeypatch):
    """The integral by uniform points of a box: its own error is about one percent."""
    X = np.random.default_rng(0).normal(size=(300, 2)) @ [[1.0, 0.8], [0.0, 0.6]]
    asked = []
    draw = DensityChain._mixture_draws
    monkeypatch.setattr(
        DensityChain,
        "_mixture_draws",
        lambda self, n, rng, *, balanced: (
            asked.append(balanced),
            draw(self, n, rng, balanced=balanced),
        )[1],
    )
    noise = DensityChain(n_orders=1, calibrate=False, random_state=0)
    density = NCEDensity(noise=noise, n_critics=1, noise_ratio=5, random_state=0).fit(X)
    assert asked
    assert not any(asked)
    assert density.log_normalizer_se_ <= 0.03
    points = np.random.default_rng(1).uniform(-5, 5, size=(60_000, 2))
    total = 100 * np.exp(density.score_samples(points)).mean()
    assert abs(total - 1) < 0.05
    assert np.isfinite(density.impute([[1.0, np.nan]], random_state=0)).all()
