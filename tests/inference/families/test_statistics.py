"""Sufficient statistics against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm.inference.families import Moments, Sums, reduce_chunks


def exact_moments(column, weight=None):
    """Mean and sum of squared deviations in rational arithmetic."""
    values = [Fraction(float(x)) for x in column]
    weights = (
        [Fraction(1)] * len(values) if weight is None else [Fraction(float(w)) for w in weight]
    )
    n = sum(weights)
    mean = sum(w * x for w, x in zip(weights, values)) / n
    return mean, sum(w * (x - mean) ** 2 for w, x in zip(weights, values))


def numacc4():
    """The shape of NIST's hardest univariate set: 1e7 plus 0.2, then 0.1 and 0.3 in turn."""
    return np.array([10000000.2] + [10000000.1, 10000000.3] * 500)


def test_numacc4_certified_values():
    """Mean 10000000.2 and standard deviation 0.1: to the 8 digits the stored numbers hold."""
    moments = Moments.from_chunk(numacc4()[:, None])
    assert_allclose(moments.mean, 10000000.2, rtol=1e-15)
    assert_allclose(np.sqrt(moments.scatter / (moments.n - 1)), 0.1, rtol=1e-7)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("offset", [0.0, 1e7, -1e9])
@pytest.mark.parametrize("joint", [False, True])
def test_moments_are_exact_far_from_the_origin(scale, offset, joint):
    """Equal to rational arithmetic on the same stored numbers to 1e-13 relative."""
    rng = np.random.default_rng(0)
    column = (rng.standard_normal(300) + offset) * scale
    mean, scatter = exact_moments(column)
    X = column[:, None]
    parts = [Moments.from_chunk(X[a:b], joint=joint) for a, b in [(0, 1), (1, 120), (120, 300)]]
    for moments in (Moments.from_chunk(X, joint=joint), parts[0] + parts[1] + parts[2]):
        assert_allclose(np.ravel(moments.scatter)[0], float(scatter), rtol=1e-13)
        residual = Fraction(float(moments.mean[0])) + Fraction(float(moments.mean_error[0])) - mean
        assert abs(float(residual)) <= 1e-15 * np.sqrt(float(scatter))


def test_weighted_moments_are_exact():
    rng = np.random.default_rng(1)
    column, weight = 1e7 + rng.standard_normal(100), rng.integers(1, 5, 100).astype(float)
    mean, scatter = exact_moments(column, weight)
    moments = Moments.from_chunk(column[:, None], weight)
    assert moments.n == weight.sum()
    assert_allclose(moments.scatter[0], float(scatter), rtol=1e-13)
    assert_allclose(moments.mean[0], float(mean), rtol=1e-16)


def test_joint_scatter_holds_the_cross_products():
    rng = np.random.default_rng(2)
    X = 1e6 + rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3))
    moments = reduce_chunks(lambda x, w: Moments.from_chunk(x, w, joint=True), X, None)
    assert_allclose(moments.covariance(), np.cov(X.T, bias=True), rtol=1e-8)


def test_covariance_about_a_given_mean():
    X = np.random.default_rng(3).standard_normal((50, 2))
    centre = np.array([0.5, -1.0])
    joint = Moments.from_chunk(X, joint=True)
    assert_allclose(joint.covariance(centre), (X - centre).T @ (X - centre) / 50, rtol=1e-13)
    assert_allclose(
        Moments.from_chunk(X).covariance(centre), ((X - centre) ** 2).mean(axis=0), rtol=1e-13
    )


def test_chunks_do_not_show():
    """Long enough for several chunks; float32 rows are summed in float64."""
    X = np.random.default_rng(4).standard_exponential((100_000, 1)).astype(np.float32)
    sums = reduce_chunks(Sums.from_chunk, X, None)
    assert_allclose(sums.total[0], float(sum(map(Fraction, X[:, 0].tolist()))), rtol=1e-14)
    assert_allclose(sums.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-13)
