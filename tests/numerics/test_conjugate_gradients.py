"""Conjugate gradients against a direct solver."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm._numerics.conjugate_gradients import conjugate_gradients


@pytest.fixture
def A():
    root = np.random.default_rng(0).normal(size=(30, 12)) * 10.0 ** np.arange(-3, 3).repeat(2)
    return root.T @ root


@pytest.mark.parametrize("with_start", [False, True])
def test_the_solution_is_that_of_a_direct_solver(A, with_start):
    target = np.random.default_rng(1).normal(size=(12, 4)) * np.sqrt(np.diag(A))[:, None]
    scale = np.repeat(np.diag(A)[:, None], 4, axis=1)
    start = np.ones((12, 4)) if with_start else None
    before = target.copy()
    x, reached = conjugate_gradients(
        lambda v: A @ v, target, scale, start, max_iter=500, limit=1e-9
    )
    assert reached
    assert np.abs(A @ x - target).max() < 1e-7 * np.abs(target).max()
    assert_allclose(x, np.linalg.solve(A, target), rtol=1e-4)
    assert np.array_equal(target, before)  # arguments are left as they are
    assert start is None or (start == 1).all()


def test_the_drop_is_of_the_weighted_norm(A):
    target, scale = np.ones(12), np.diag(A).copy()
    x, reached = conjugate_gradients(lambda v: A @ v, target, scale, max_iter=100, drop=0.1)
    left = target - A @ x
    assert reached
    assert (left**2 / scale).sum() <= 0.1**2 * (target**2 / scale).sum() * (1 + 1e-6)


def test_single_precision_stays_single(A):
    A = (A / np.sqrt(np.outer(np.diag(A), np.diag(A)))).astype(np.float32)
    ones = np.ones(12, dtype=np.float32)
    x, _ = conjugate_gradients(lambda v: A @ v, ones, ones, max_iter=50, drop=0.1)
    assert x.dtype == np.float32


def test_an_end_without_a_solution_is_told():
    singular = np.diag([1.0, 0.0])
    solve = lambda **options: conjugate_gradients(  # noqa: E731
        lambda v: singular @ v, np.ones(2), np.ones(2), limit=1e-10, **options
    )
    x, reached = solve(max_iter=100)
    assert not reached
    assert np.isfinite(x).all()
    assert not solve(max_iter=0)[1]
