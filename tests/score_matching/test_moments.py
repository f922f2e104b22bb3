"""Moments against exact rational arithmetic, numpy, and themselves split and merged."""

from fractions import Fraction

import numpy as np
import pytest

from skgm.score_matching._moments import GaussianMoments, mirror_lower


def exact_moments(X):
    rows = [[Fraction(float(x)) for x in row] for row in X]
    n, p = X.shape
    mean = [sum(row[j] for row in rows) / n for j in range(p)]
    covariance = np.array(
        [
            [
                float(sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in rows) / n)
                for j in range(p)
            ]
            for i in range(p)
        ]
    )
    return np.array([float(m) for m in mean]), covariance


def correlated(rng, n, p):
    return rng.standard_normal((n, p)) @ np.triu(np.ones((p, p)))


@pytest.mark.parametrize("offset", [0.0, 3.0, 20.0, 40.0, 1e3, 1e7])
def test_covariance_equals_rational_arithmetic(rng, offset):
    X = correlated(rng, 600, 3) + offset
    mean, covariance = exact_moments(X)
    moments = GaussianMoments.from_chunk(X)
    scale = np.sqrt(np.outer(covariance.diagonal(), covariance.diagonal()))
    # the mean itself is rounded at 1e7 * 2^-53; its square enters the scatter: nothing is left
    assert np.abs((moments.covariance() - covariance) / scale).max() < 1e-12
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-15, atol=1e-14)


def test_offset_that_the_first_rows_do_not_show(rng):
    X = correlated(rng, 1500, 2)
    X[:400] *= 1e-3
    X += 1e7
    drifting = np.vstack([correlated(rng, 300, 2), X])
    for table in (X, drifting):
        _, covariance = exact_moments(table)
        got = GaussianMoments.from_chunk(table).covariance()
        np.testing.assert_allclose(got, covariance, rtol=1e-12)


def test_pilot_rows_that_mislead_cost_a_second_pass_not_digits(rng):
    X = correlated(rng, 1000, 2)
    X[:256] -= X[:256].mean(axis=0)
    X[256:] += 1e7
    X[:256] += 1e7 + 1e5  # the pilot mean is 1e5 away from the mean
    _, covariance = exact_moments(X)
    np.testing.assert_allclose(GaussianMoments.from_chunk(X).covariance(), covariance, rtol=1e-11)


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
    moments = GaussianMoments.from_chunk(table, weight)
    expected = np.cov(reference, rowvar=False, bias=True, aweights=weight).reshape(n_columns, -1)
    np.testing.assert_allclose(moments.covariance(), expected, atol=2e-12)
    np.testing.assert_allclose(moments.mean, np.average(reference, axis=0, weights=weight))
    diagonal = GaussianMoments.from_chunk(table, weight, diagonal=True)
    np.testing.assert_allclose(diagonal.variance, np.diag(expected), rtol=1e-11)
    assert np.array_equal(moments.scatter, moments.scatter.T)
    if weighted:
        assert moments.weight == weight.sum()
        assert moments.n_rows == np.count_nonzero(weight)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_weights_are_repetitions_and_zero_is_absence(rng, offset):
    X = correlated(rng, 400, 3) + offset
    weight = rng.integers(0, 3, len(X))
    weight[:5] = 0
    X_other = X.copy()
    X_other[weight == 0] = 1e12
    by_weight = GaussianMoments.from_chunk(X_other, weight.astype(float))
    repeated = GaussianMoments.from_chunk(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(by_weight.scatter, repeated.scatter, rtol=1e-12)
    np.testing.assert_allclose(by_weight.mean, repeated.mean, rtol=1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_whole_blocks_of_zero_weight(rng, offset):
    X = rng.standard_normal((6000, 80)) + offset  # blocks of 1638 rows
    weight = np.zeros(6000)
    weight[4000:4500] = 2
    got = GaussianMoments.from_chunk(X, weight)
    np.testing.assert_allclose(
        got.covariance(), np.cov(X[4000:4500], rowvar=False, bias=True), atol=1e-12
    )
    assert (got.weight, got.n_rows) == (1000.0, 500)


@pytest.mark.parametrize("diagonal", [False, True])
def test_merging_is_as_good_as_one_pass(rng, diagonal):
    X = correlated(rng, 1000, 4)
    whole = GaussianMoments.from_chunk(X, diagonal=diagonal)
    parts = [GaussianMoments.from_chunk(c, diagonal=diagonal) for c in np.split(X, [1, 2, 40, 900])]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged + part
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-12, atol=1e-12 * 1000)
    np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-14)
    assert (merged.weight, merged.n_rows) == (1000.0, 1000)


def test_moments_of_different_kinds_do_not_merge(rng):
    X = correlated(rng, 10, 2)
    with pytest.raises(ValueError, match="cannot be merged"):
        GaussianMoments.from_chunk(X) + GaussianMoments.from_chunk(X, diagonal=True)


@pytest.mark.parametrize("value", [0.1, -3e7, 0.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_constant_column_has_no_variance_at_all(rng, value, weighted):
    X = correlated(rng, 1000, 2)
    X[:, 1] = value
    weight = rng.uniform(size=1000) if weighted else None
    parts = [GaussianMoments.from_chunk(X, weight)]
    parts.append(parts[0] + GaussianMoments.from_chunk(X[:7]))
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
    GaussianMoments.from_chunk(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < X.size * 8 / 4  # a few blocks; a copy would be X.size * 8
