"""Moments against exact rational arithmetic, numpy, and themselves split and merged."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm._numerics.moments import Moments, mirror_lower


@pytest.fixture
def rng():
    return np.random.default_rng(20)


def exact_moments(X, weight=None):
    """Means as fractions, and the scatter (d, d) rounded once, in rational arithmetic."""
    rows = [[Fraction(float(x)) for x in row] for row in X]
    weights = [Fraction(float(w)) for w in (np.ones(len(X)) if weight is None else weight)]
    n, d = sum(weights), range(X.shape[1])
    mean = [sum(w * row[j] for w, row in zip(weights, rows)) / n for j in d]
    deviations = [[row[j] - mean[j] for j in d] for row in rows]
    scatter = [
        [float(sum(w * z[i] * z[j] for w, z in zip(weights, deviations))) for j in d] for i in d
    ]
    return mean, np.array(scatter)


def correlated(rng, n, p):
    return rng.standard_normal((n, p)) @ np.triu(np.ones((p, p)))


@pytest.mark.parametrize("offset", [0.0, 3.0, 20.0, 40.0, 1e3, 1e7])
def test_covariance_equals_rational_arithmetic(rng, offset):
    X = correlated(rng, 600, 3) + offset
    mean, scatter = exact_moments(X)
    covariance = scatter / len(X)
    moments = Moments.from_chunk(X, joint=True)
    scale = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
    # the mean itself is rounded at 1e7 * 2^-53; its square enters the scatter: nothing is left
    assert np.abs((moments.covariance() - covariance) / scale).max() < 1e-12
    assert_allclose(moments.mean, np.array(mean, dtype=float), rtol=1e-15, atol=1e-14)


def test_offset_that_the_first_rows_do_not_show(rng):
    X = correlated(rng, 1500, 2)
    X[:400] *= 1e-3
    X += 1e7
    drifting = np.vstack([correlated(rng, 300, 2), X])
    for table in (X, drifting):
        _, scatter = exact_moments(table)
        assert_allclose(Moments.from_chunk(table, joint=True).scatter, scatter, rtol=1e-12)


def test_pilot_rows_that_mislead_cost_a_second_pass_not_digits(rng):
    X = correlated(rng, 1000, 2)
    X[:256] -= X[:256].mean(axis=0)
    X[256:] += 1e7
    X[:256] += 1e7 + 1e5  # the pilot mean is 1e5 away from the mean
    _, scatter = exact_moments(X)
    assert_allclose(Moments.from_chunk(X, joint=True).scatter, scatter, rtol=1e-11)


@pytest.mark.parametrize("n_columns", [1, 7, 300])
@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layout", ["C", "F", "strided", "float32"])
def test_every_layout_gives_numpys_covariance(rng, n_columns, offset, weighted, layout):
    X = rng.standard_normal((2000, n_columns)) + offset
    table = {
        "C": X,
        "F": np.asfortranarray(X),
        "strided": np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2],
        "float32": X.astype(np.float32),
    }[layout]
    reference = table.astype(np.float64)
    weight = rng.integers(0, 4, len(X)).astype(float) if weighted else None
    moments = Moments.from_chunk(table, weight, joint=True)
    expected = np.cov(reference, rowvar=False, bias=True, aweights=weight).reshape(n_columns, -1)
    assert_allclose(moments.covariance(), expected, atol=2e-12)
    assert_allclose(moments.mean, np.average(reference, axis=0, weights=weight))
    diagonal = Moments.from_chunk(table, weight)
    assert_allclose(diagonal.variance, np.diag(expected), rtol=1e-11)
    assert np.array_equal(moments.scatter, moments.scatter.T)
    if weighted:
        assert moments.n == weight.sum()


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_weights_are_repetitions_and_zero_is_absence(rng, offset):
    X = correlated(rng, 400, 3) + offset
    weight = rng.integers(0, 3, len(X))
    weight[:5] = 0
    X_other = X.copy()
    X_other[weight == 0] = 1e12
    by_weight = Moments.from_chunk(X_other, weight.astype(float), joint=True)
    repeated = Moments.from_chunk(np.repeat(X, weight, axis=0), joint=True)
    assert_allclose(by_weight.scatter, repeated.scatter, rtol=1e-12)
    assert_allclose(by_weight.mean, repeated.mean, rtol=1e-13)


@pytest.mark.parametrize("joint", [False, True])
def test_weights_that_nearly_underflow(rng, joint):
    """The weights' unit does not matter; 1e-300 leaves squares some eight digits."""
    X = rng.standard_normal((50, 2)) + 3
    weight = np.full(50, 1e-300)
    parts = [
        Moments.from_chunk(X[rows], weight[rows], joint=joint)
        for rows in np.split(np.r_[:50], [20])
    ]
    expected = Moments.from_chunk(X, joint=joint).covariance()
    for moments in (Moments.from_chunk(X, weight, joint=joint), parts[0] + parts[1]):
        assert_allclose(moments.covariance(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_whole_blocks_of_zero_weight(rng, offset):
    X = rng.standard_normal((6000, 80)) + offset  # blocks of 1638 rows
    weight = np.zeros(6000)
    weight[4000:4500] = 2
    got = Moments.from_chunk(X, weight, joint=True)
    assert_allclose(got.covariance(), np.cov(X[4000:4500], rowvar=False, bias=True), atol=1e-12)
    assert got.n == 1000.0


@pytest.mark.parametrize("joint", [False, True])
def test_merging_is_as_good_as_one_pass(rng, joint):
    X = correlated(rng, 1000, 4)
    whole = Moments.from_chunk(X, joint=joint)
    parts = [Moments.from_chunk(c, joint=joint) for c in np.split(X, [1, 2, 40, 900])]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged + part
    assert_allclose(merged.scatter, whole.scatter, rtol=1e-12, atol=1e-12 * 1000)
    assert_allclose(merged.mean, whole.mean, atol=1e-14)
    assert merged.n == 1000.0


def test_moments_of_different_kinds_do_not_merge(rng):
    X = correlated(rng, 10, 2)
    with pytest.raises(ValueError, match="cannot be merged"):
        Moments.from_chunk(X, joint=True) + Moments.from_chunk(X)


@pytest.mark.parametrize("value", [0.1, -3e7, 0.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_constant_column_has_no_variance_at_all(rng, value, weighted):
    X = correlated(rng, 1000, 2)
    X[:, 1] = value
    weight = rng.uniform(size=1000) if weighted else None
    parts = [Moments.from_chunk(X, weight, joint=True)]
    parts.append(parts[0] + Moments.from_chunk(X[:7], joint=True))
    for moments in parts:
        assert moments.scatter[1, 1] == 0
        assert (moments.scatter[0, 1], moments.scatter[1, 0]) == (0, 0)
        assert moments.mean[1] == value


@pytest.mark.parametrize("size", [1, 5, 128, 129, 400])
def test_mirror_lower(rng, size):
    full = rng.standard_normal((size, size))
    full = full + full.T
    for order in "CF":
        half = np.array(np.tril(full), order=order)
        assert np.array_equal(mirror_lower(half), full)


def test_no_float64_copy_of_a_float32_table():
    import tracemalloc

    X = np.random.default_rng(0).standard_normal((400_000, 20)).astype(np.float32)
    tracemalloc.start()
    Moments.from_chunk(X, joint=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.size * 8 / 4  # a few blocks; a copy would be X.size * 8


def test_numacc4_certified_values():
    """The shape of NIST's hardest univariate set: 1e7 plus 0.2, then 0.1 and 0.3 in turn.

    Mean 10000000.2 and standard deviation 0.1: to the 8 digits the stored numbers hold.
    """
    column = np.array([10000000.2] + [10000000.1, 10000000.3] * 500)
    for joint in (False, True):
        moments = Moments.from_chunk(column[:, None], joint=joint)
        assert_allclose(moments.mean, 10000000.2, rtol=1e-15)
        assert_allclose(np.sqrt(moments.scatter.ravel() / (moments.n - 1)), 0.1, rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("offset", [0.0, 1e7, -1e9])
@pytest.mark.parametrize("joint", [False, True])
def test_moments_are_exact_far_from_the_origin(scale, offset, joint):
    """Equal to rational arithmetic on the same stored numbers to 1e-13 relative."""
    X = (np.random.default_rng(0).standard_normal((300, 1)) + offset) * scale
    (mean,), scatter = exact_moments(X)
    parts = [Moments.from_chunk(X[a:b], joint=joint) for a, b in [(0, 1), (1, 120), (120, 300)]]
    for moments in (Moments.from_chunk(X, joint=joint), parts[0] + parts[1] + parts[2]):
        assert_allclose(np.ravel(moments.scatter), scatter[0], rtol=1e-13)
        residual = Fraction(float(moments.mean[0])) + Fraction(float(moments.mean_error[0])) - mean
        assert abs(float(residual)) <= 1e-15 * np.sqrt(scatter[0, 0])


def test_weighted_moments_are_exact():
    rng = np.random.default_rng(1)
    X, weight = 1e7 + rng.standard_normal((100, 1)), rng.integers(1, 5, 100).astype(float)
    (mean,), scatter = exact_moments(X, weight)
    moments = Moments.from_chunk(X, weight)
    assert moments.n == weight.sum()
    assert_allclose(moments.scatter, scatter[0], rtol=1e-13)
    assert_allclose(moments.mean[0], float(mean), rtol=1e-16)


def test_joint_scatter_holds_the_cross_products():
    rng = np.random.default_rng(2)
    X = 1e6 + rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3))
    moments = Moments.from_chunk(X, joint=True)
    assert_allclose(moments.covariance(), np.cov(X.T, bias=True), rtol=1e-8)


def test_covariance_about_a_given_mean():
    X = np.random.default_rng(3).standard_normal((50, 2))
    center = np.array([0.5, -1.0])
    joint = Moments.from_chunk(X, joint=True)
    assert_allclose(joint.covariance(center), (X - center).T @ (X - center) / 50, rtol=1e-13)
    assert_allclose(
        Moments.from_chunk(X).covariance(center), ((X - center) ** 2).mean(axis=0), rtol=1e-13
    )
