import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from sklearn.datasets import load_iris

from skgm.diffusion import DDPM, NoiseSchedule
from skgm.diffusion._conditional import constraints, draw_given
from skgm.diffusion._scaling import Scaler
from skgm.diffusion._training import level_errors
from tests.diffusion.denoisers import GaussianDenoiser, MixtureDenoiser

RNG = np.random.default_rng(0)
MIXING = RNG.standard_normal((3, 3))
SCALER = Scaler(np.ones((1, 3)), np.linalg.inv(MIXING)[None], MIXING[None], 3)
STANDARD = GaussianDenoiser(np.zeros(3), np.eye(3))
SCHEDULE = NoiseSchedule.cosine(1000).respace(50)
NAN = np.nan


def test_constraints_say_what_is_known():
    """Any scaled row whose first rotated coordinates have the values has the known entries."""
    given = np.array([[0.5, NAN, 2.0], [NAN, NAN, NAN], [1.0, 2.0, 3.0], [NAN, 4.0, NAN]])
    known = constraints(given, SCALER)
    units = known.axes @ known.axes.transpose(0, 2, 1)
    assert len(set(known.basis)) == 4
    assert_allclose(units, np.tile(np.eye(3), (4, 1, 1)), atol=1e-12)
    rng = np.random.default_rng(1)
    w = np.where(known.mask, known.values, rng.standard_normal((4, 3)))
    rows = SCALER.unscale(known.rotate_back(w))
    assert_allclose(known.rotate(known.rotate_back(w)), w, atol=1e-12)
    seen = ~np.isnan(given)
    assert_allclose(rows[seen], given[seen], rtol=1e-10)
    assert_array_equal(known.mask.sum(axis=1), seen.sum(axis=1))
    # a normal density of the coordinates, with the volume, is that of the columns
    columns = stats.multivariate_normal(np.ones(2), (MIXING @ MIXING.T)[np.ix_([0, 2], [0, 2])])
    ours = stats.norm.logpdf(known.values[0, :2]).sum() + known.log_volume[0]
    assert_allclose(ours, columns.logpdf([0.5, 2.0]), rtol=1e-10)


@pytest.mark.parametrize("n_particles", [1, 8])
def test_normal_table_is_exact(n_particles):
    """The conditional normal law; means and variances of 4000 draws at four standard errors.

    1e-2 more: the analytic variances of fifty steps compose to the covariance to that accuracy.
    """
    given, n = np.array([[0.5, NAN, NAN]]), 4000
    errors = np.tile(np.sin(SCHEDULE.angles)[:, None] ** 2, 3)
    rng = np.random.default_rng(2)
    rows = draw_given(STANDARD, SCALER, given, n, rng, SCHEDULE, errors, n_particles=n_particles)
    covariance = MIXING @ MIXING.T
    slope = covariance[1:, 0] / covariance[0, 0]
    left = covariance[1:, 1:] - np.outer(slope, covariance[0, 1:])
    spread = np.sqrt(np.diag(left))
    error = (rows[:, 1:].mean(axis=0) - (1 + slope * -0.5)) / spread
    assert_allclose(error, 0, atol=4 / np.sqrt(n) + 1e-2)
    assert_allclose(rows[:, 1:].std(axis=0) / spread, 1, atol=4 / np.sqrt(2 * n) + 1e-2)
    assert_allclose(np.corrcoef(rows[:, 1:].T)[0, 1], left[0, 1] / spread.prod(), atol=0.08)
    assert_allclose(rows[:, 0], 0.5, rtol=1e-10)


@pytest.mark.slow
def test_clusters_come_in_the_right_shares():
    """Three clusters of which the known value decides the odds: shares of 3000 draws.

    Four standard errors, and 0.03 for sixteen particles.
    """
    centers = np.array([[-1.0, -1.0], [0.0, 1.2], [1.0, -0.5]])
    mixture = MixtureDenoiser(centers, 0.35)
    rng, n = np.random.default_rng(3), 3000
    errors = level_errors(mixture, mixture.draw(4000, rng), SCHEDULE.angles, rng)
    unit = Scaler(np.zeros((1, 2)), np.eye(2)[None], np.eye(2)[None], 2)
    for x in (0.2, 0.6):
        rows = draw_given(mixture, unit, np.array([[x, NAN]]), n, rng, SCHEDULE, errors)
        density = stats.norm.pdf(x, centers[:, 0], 0.35)
        truth = density / density.sum()
        nearest = np.abs(rows[:, 1:] - centers[:, 1]).argmin(axis=1)
        shares = np.bincount(nearest, minlength=3) / n
        cuts = np.sort(centers[:, 1])[:-1] + np.diff(np.sort(centers[:, 1])) / 2
        by_cell = np.diff(
            np.concatenate(
                [[np.zeros(3)], stats.norm.cdf(cuts[:, None], centers[:, 1], 0.35), [np.ones(3)]]
            ),
            axis=0,
        )
        expected = (by_cell @ truth)[np.argsort(np.argsort(centers[:, 1]))]
        assert_allclose(shares, expected, atol=4 * 0.5 / np.sqrt(n) + 0.03)


def test_classes_come_in_the_right_shares():
    """Two classes with scalings of their own; the posterior odds are those of two normals."""
    scales = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.0], [0.4, 0.5]]])
    scaler = Scaler(np.array([[0.0, 0.0], [1.0, 3.0]]), np.linalg.inv(scales), scales, 2)
    denoiser = GaussianDenoiser(np.zeros(2), np.eye(2))
    errors = np.tile(np.sin(SCHEDULE.angles)[:, None] ** 2, 2)
    prior, n, x = np.array([0.7, 0.3]), 4000, 0.8
    rows = draw_given(
        denoiser,
        scaler,
        np.array([[x, NAN]]),
        n,
        np.random.default_rng(4),
        SCHEDULE,
        errors,
        log_prior=np.log(prior),
    )
    density = prior * stats.norm.pdf(x, [0.0, 1.0], [1.0, 0.5])
    share = density[1] / density.sum()
    center = 3.0 + 0.4 * (x - 1.0) / 0.5
    above = share * stats.norm.sf((1.5 - center) / 0.5) + (1 - share) * stats.norm.sf(1.5)
    assert_allclose((rows[:, 1] > 1.5).mean(), above, atol=4 * 0.5 / np.sqrt(n) + 0.02)


@pytest.fixture(scope="module")
def iris():
    return load_iris().data


@pytest.fixture(scope="module")
def model(iris):
    return DDPM(max_iter=600, random_state=0).fit(iris)


def test_observed_entries_are_kept_to_the_bit(model, iris):
    given = iris[:12] + 1e-9
    given[np.random.default_rng(5).random(given.shape) < 0.4] = NAN
    given[3] = NAN
    given[4] = iris[4]
    rows = model.sample(3, given=given, random_state=0)
    repeated = np.repeat(given, 3, axis=0)
    seen = ~np.isnan(repeated)
    assert_array_equal(rows[seen], repeated[seen])
    assert np.all(np.isfinite(rows))
    assert_array_equal(model.sample(3, given=given, random_state=0), rows)
    assert np.any(model.sample(3, given=given, random_state=1) != rows)


def test_imputing_beats_the_column_means(model, iris):
    hole = np.random.default_rng(6).random(iris.shape) < 0.2
    filled = model.sample(5, given=np.where(hole, NAN, iris), random_state=0)
    mean = filled.reshape(len(iris), 5, 4).mean(axis=1)
    error = np.abs(mean - iris)[hole].mean()
    assert error < 0.6 * np.abs(iris.mean(axis=0) - iris)[hole].mean()


def test_nothing_known_is_a_draw_from_the_density(model, iris):
    rows = model.sample(500, given=np.full((1, 4), NAN), random_state=0)
    error = (rows.mean(axis=0) - iris.mean(axis=0)) / iris.std(axis=0)
    assert np.abs(error).max() < 0.3  # 4 / sqrt(500), and the model's own error
    assert np.all(np.abs(rows.std(axis=0) / iris.std(axis=0) - 1) < 0.25)


def test_constant_columns_and_classes(iris):
    X = np.column_stack([iris, np.full(150, 7.0)])
    y = load_iris().target
    model = DDPM(class_conditional=True, max_iter=300, random_state=0).fit(X, y)
    given = X[[0, 75, 140]].copy()
    given[:, [1, 4]] = NAN
    rows = model.impute(given, random_state=0)
    assert_allclose(rows[:, 4], 7.0, rtol=0.01)
    assert np.all(np.abs(rows[:, 1] - 3.0) < 3.0)


def test_clipping_bounds_what_is_drawn_and_keeps_what_is_known(iris):
    model = DDPM(clip=True, max_iter=60, random_state=0).fit(iris)
    given = np.array([[NAN, 9.0, NAN, 1.0], [4.0, NAN, NAN, NAN]])  # sepals beyond the range
    rows = model.sample(100, given=given, random_state=0)
    hole = np.isnan(np.repeat(given, 100, axis=0))
    low, high = (np.broadcast_to(end, rows.shape) for end in (iris.min(axis=0), iris.max(axis=0)))
    assert np.all(rows[hole] >= low[hole])
    assert np.all(rows[hole] <= high[hole])
    assert_array_equal(rows[~hole], np.repeat(given, 100, axis=0)[~hole])
    free = model.set_params(clip=False).sample(100, given=given, random_state=0)
    assert np.any(free[hole] < low[hole])


def test_values_far_beyond_the_table_are_kept_without_overflow(model):
    given = np.array([[1e200, NAN, NAN, NAN], [NAN, -1e30, 2.0, NAN], [1e6, NAN, 1.0, NAN]])
    rows = model.sample(5, given=given, random_state=0)  # a warning would be an error
    assert np.isfinite(rows).all()
    repeated = np.repeat(given, 5, axis=0)
    seen = ~np.isnan(repeated)
    assert_array_equal(rows[seen], repeated[seen])


def test_rows_of_one_pattern_share_a_basis():
    """Memory grows with the patterns of holes, not with rows and particles."""
    given = RNG.standard_normal((50, 3))
    given[::2, 1] = NAN
    assert constraints(given, SCALER).axes.shape == (2, 3, 3)
