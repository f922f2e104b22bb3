"""Inverse information matrices and sandwiches, against exact rational arithmetic and by hand."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgm._numerics.sandwich import (
    columnwise_meat,
    columnwise_total,
    errors_from_information,
    errors_from_sandwich,
    inverse_information,
    is_singular,
    meat,
    sandwich,
    sandwich_of,
    standard_errors,
)


def exact_inverse(matrix):
    """The inverse by Gauss-Jordan elimination of fractions."""
    k = len(matrix)
    rows = [
        [Fraction(float(value)) for value in row] + [Fraction(int(i == j)) for j in range(k)]
        for i, row in enumerate(matrix)
    ]
    for i in range(k):
        pivot = rows[i][i]
        rows[i] = [value / pivot for value in rows[i]]
        for j in range(k):
            if j != i:
                factor = rows[j][i]
                rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    return np.array([[float(value) for value in row[k:]] for row in rows])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def psi(rng):
    return rng.normal(size=(50, 3)) @ np.array([[1.0, 0.2, 0], [0, 2, 0.5], [0, 0, 3]])


def test_inverse_equals_exact_arithmetic_in_any_units(psi):
    information = psi.T @ psi / len(psi)
    for unit in (np.ones(3), np.array([1e-12, 1.0, 1e12])):
        A = information * unit * unit[:, None]
        assert_allclose(inverse_information(A, 7.0), exact_inverse(A) / 7, rtol=1e-12)


def test_sandwich_equals_exact_inverses_around_the_meat(psi, rng):
    bread = np.array([[2.0, 0.3, 0], [0.3, -1, 0.2], [0, 0.2, 4]])  # indefinite
    weight = rng.integers(0, 4, len(psi)).astype(float)
    B = sum(w * np.outer(row, row) for w, row in zip(weight, psi, strict=True)) / weight.sum()
    right = exact_inverse(bread) @ B @ exact_inverse(bread) / 50
    assert_allclose(meat(psi, weight), B, rtol=1e-12)
    assert_allclose(sandwich(bread, meat(psi, weight), 50), right, rtol=1e-12)
    assert_allclose(sandwich_of(exact_inverse(bread), B, 50), right, rtol=1e-12)
    assert_allclose(standard_errors(right), [np.sqrt(right[i, i]) for i in range(3)], rtol=1e-14)


def test_strata_are_centered_each_by_itself(psi):
    label = np.arange(len(psi)) % 2
    parts = [psi[label == k] - psi[label == k].mean(axis=0) for k in (0, 1)]
    right = sum(part.T @ part for part in parts) / len(psi)
    assert_allclose(meat(psi, strata=label), right, rtol=1e-12)


def test_a_batch_equals_its_matrices(psi):
    A = np.stack([psi[i : i + 20].T @ psi[i : i + 20] for i in (0, 15, 30)])
    B = A[::-1] + np.eye(3)
    for i in range(3):
        model, robust = inverse_information(A[i], 9.0), sandwich(A[i], B[i], 9.0)
        assert_allclose(errors_from_information(A, 9.0)[i], np.sqrt(np.diag(model)), rtol=1e-12)
        assert_allclose(errors_from_sandwich(A, B, 9.0)[i], np.sqrt(np.diag(robust)), rtol=1e-12)


@pytest.mark.parametrize(
    "bad",
    [
        np.ones((2, 2)),
        np.array([[1.0, 0], [0, 0]]),
        np.array([[1.0, np.nan], [np.nan, 1]]),
        np.array([[1.0, 1 - 1e-15], [1 - 1e-15, 1]]) * np.outer([1e-9, 1e9], [1e-9, 1e9]),
    ],
)
def test_singular_matrices_raise_or_give_nan_in_their_place(bad):
    assert is_singular(bad)
    finite = np.isfinite(bad).all()
    with pytest.raises(ValueError, match="drop a column" if finite else "range of float64"):
        inverse_information(bad, singular="drop a column")
    with pytest.raises(ValueError, match="is singular" if finite else "Rescale"):
        sandwich(bad, np.eye(2))
    errors = errors_from_information(np.stack([np.eye(2), bad]), 4.0)
    assert_array_equal(np.isnan(errors), [[False, False], [True, True]])
    assert_allclose(errors[0], 0.5)


def test_negative_curvature_is_singular_for_an_information_matrix_only():
    curvature = np.diag([1.0, -2.0])
    assert is_singular(curvature)
    with pytest.raises(ValueError, match="singular"):
        inverse_information(curvature)
    assert_allclose(sandwich(curvature, np.eye(2)), np.diag([1, 0.25]))


def test_no_parameter_has_an_empty_covariance():
    assert inverse_information(np.empty((0, 0))).shape == (0, 0)


@pytest.mark.parametrize("weighted", [False, True])
def test_columnwise_sums_over_chunks_are_those_of_the_whole_table(weighted, monkeypatch):
    monkeypatch.setattr("skgm._numerics.sandwich._CHUNK_VALUES", 9)  # three rows of three columns
    X = np.random.default_rng(0).normal(size=(10, 3))
    weight = np.arange(10) + 0.5 if weighted else None
    each = np.ones(10) if weight is None else weight
    seen = []

    def score(rows):
        seen.append(len(rows))
        return np.stack([rows, rows**2], axis=-1)

    psi = np.stack([X, X**2], axis=-1)
    expected = np.einsum("n,nda,ndb->dab", each, psi, psi) / each.sum()
    assert_allclose(columnwise_meat(score, X, weight), expected, rtol=1e-13)
    assert_allclose(columnwise_total(score, X, weight), np.einsum("n,nda->da", each, psi))
    assert seen == [3, 3, 3, 1] * 2


def test_one_matrix_that_is_not_finite_costs_the_others_nothing():
    good = np.array([[2.0, 0.5], [0.5, 1.0]])
    stack = np.stack([good, np.full((2, 2), np.nan), good * 1e-300])
    errors = errors_from_information(stack, 4.0)
    expected = np.sqrt(np.diag(np.linalg.inv(good)) / 4)
    assert_allclose(errors[[0, 2]], [expected, expected * 1e150], rtol=1e-12)
    assert np.isnan(errors[1]).all()
