"""Discrete values as points and cells: geometry, noise, and the way back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import integrate, stats

from skgm.diffusion._model import combine_bounds
from skgm.tables._encoding import (
    NOISE,
    Encoding,
    Jitter,
    category_points,
    cell_noise,
    log_noise_density,
    nearest_point,
)

SHARES = [[0.5, 0.5], [0.01, 0.99], [0.6, 0.3, 0.08, 0.02], np.full(7, 1 / 7)]
WHOLE = np.array([True, False, False])


@pytest.mark.parametrize("share", SHARES)
def test_points_are_standardized(share):
    share = np.asarray(share)
    points = category_points(share)
    assert points.shape == (len(share), len(share) - 1)
    assert_allclose(share @ points, 0, atol=1e-12)
    assert_allclose((points.T * share) @ points, np.eye(len(share) - 1), atol=1e-12)


@pytest.mark.parametrize("share", SHARES)
def test_points_lie_apart_as_the_shares_say(share):
    share = np.asarray(share)
    points = category_points(share)
    squares = ((points[:, None] - points) ** 2).sum(axis=-1)
    wanted = 1 / share[:, None] + 1 / share
    np.fill_diagonal(wanted, 0)
    assert_allclose(squares, wanted, rtol=1e-12, atol=1e-9)
    assert np.sqrt(squares[~np.eye(len(share), dtype=bool)]).min() >= 10 * NOISE - 1e-9


@pytest.mark.parametrize("share", SHARES)
def test_noise_stays_with_its_point(share):
    """Half the distance to another point is five standard deviations: one draw in 3e6 strays."""
    points = category_points(np.asarray(share))
    code = np.random.default_rng(0).integers(len(share), size=20_000)
    normal = np.random.default_rng(1).standard_normal((len(code), len(share) - 1))
    noise = cell_noise(normal, np.zeros(len(share) - 1, dtype=bool))
    assert_array_equal(nearest_point(points, points[code] + noise), code)


def test_nearest_point_is_nearest():
    points = category_points(np.array([0.6, 0.3, 0.08, 0.02]))
    z = 3 * np.random.default_rng(0).standard_normal((500, 3))
    brute = ((z[:, None] - points) ** 2).sum(axis=-1).argmin(axis=1)
    assert_array_equal(nearest_point(points, z), brute)


def test_noise_of_whole_numbers_fills_their_cell():
    normal = np.random.default_rng(0).standard_normal((10_000, 3))
    noise = cell_noise(normal, WHOLE)
    assert stats.kstest(noise[:, 0], stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    assert_allclose(noise[:, 1:], NOISE * normal[:, 1:])


def test_noise_density_is_that_of_the_noise():
    normal = np.random.default_rng(0).standard_normal((20, 3))
    noise = cell_noise(normal, WHOLE)
    wanted = stats.norm(0, NOISE).logpdf(noise[:, 1:]).sum(axis=1)  # and 1 for the uniform one
    assert_allclose(log_noise_density(normal, WHOLE), wanted)


@pytest.mark.parametrize("sharp", [True, False])
def test_bounds_stay_below_the_log_probability_of_a_cell(sharp):
    """A normal density over a cell of width one, by quadrature; noise uniform on the cell."""
    law = stats.norm(0.3, 0.7)
    exact = np.log(integrate.quad(law.pdf, 0.5, 1.5)[0])
    v = np.random.default_rng(0).uniform(-0.5, 0.5, size=(8, 4000))
    bound = combine_bounds(law.logpdf(1 + v), sharp=sharp)
    error = 4 * bound.std() / np.sqrt(bound.size)
    assert bound.mean() - error < exact
    spread = law.logpdf(1 + v).var()  # the gaps are half the variance of log p, over 1 or 8 draws
    assert exact - bound.mean() < 1.2 * spread / 2 / (8 if sharp else 1) + error


CODED = np.array([[0.5, 3, 0, 1], [1.5, -2, 2, 0], [-1.0, 0, 0, 0], [0.0, 7, 1, 1]])
KINDS = ["real", "integer", "category", "category"]


@pytest.fixture
def encoding():
    return Encoding.learn(CODED, KINDS, [0, 0, 4, 2], None)


def test_encoding_and_back(encoding):
    rows = encoding.encode(CODED)
    assert rows.shape == (4, 1 + 1 + 2 + 1)  # three of the four categories have rows
    assert_array_equal(encoding.decode(rows, rows.min(axis=0), rows.max(axis=0)), CODED)


def test_decoding_rounds_into_the_range():
    coded = np.arange(100.0)[:, None]
    encoding = Encoding.learn(coded, ["integer"], [0], None)
    rows = np.array([[47.2], [-3.0], [0.6], [200.0]])
    assert_array_equal(encoding.decode(rows, np.zeros(1), np.full(1, 99.0)).T, [[47, 0, 1, 99]])


def test_decoding_takes_recorded_values_where_they_are_few(encoding):
    rows = encoding.encode(CODED)
    rows[:, 1] += [4.2, -3.0, 1.4, -5.0]  # 7.2, -5, 1.4, 2: the values are -2, 0, 3 and 7
    assert_array_equal(encoding.decode(rows, rows[0], rows[0])[:, 1], [7, -2, 0, 3])


def test_missing_values_stay_missing(encoding):
    coded = CODED.copy()
    coded[0, 2] = coded[1, 1] = np.nan
    rows = encoding.encode(coded)
    assert_array_equal(np.isnan(rows[0]), [False, False, True, True, False])
    assert_array_equal(np.isnan(rows[1]), [False, True, False, False, False])


def test_what_cannot_be_is_infinite(encoding):
    coded = CODED.copy()
    coded[0, 2], coded[1, 1] = 3, 0.5  # a category without rows, a fraction
    assert_array_equal(np.isinf(encoding.encode(coded)).all(axis=1), [True, True, False, False])


def test_weights_count_in_the_shares():
    weight = np.array([1.0, 2.0, 0.0, 1.0])
    learned = Encoding.learn(CODED, KINDS, [0, 0, 4, 2], weight)
    assert_allclose(learned.shares[2], [0.25, 0.25, 0.5, 0])
    repeated = Encoding.learn(CODED[[0, 1, 1, 3]], KINDS, [0, 0, 4, 2], None)
    assert_allclose(repeated.shares[2], learned.shares[2])


@pytest.mark.parametrize("codes", [None, np.repeat([0, 1], 20_000)])
def test_jitter_is_the_noise_under_the_map_of_the_class(encoding, codes):
    forward = np.random.default_rng(0).standard_normal((2, 5, 5))
    drawn = Jitter(encoding, forward).draw(40_000, codes, np.random.default_rng(1))
    for code in (0,) if codes is None else (0, 1):
        part = drawn if codes is None else drawn[codes == code]
        wanted = (forward[code] * encoding.noise_variance) @ forward[code].T
        error = 6 * np.sqrt(2 / len(part)) * wanted.diagonal().max()
        assert_allclose(np.cov(part.T), wanted, atol=error)
