"""Scaling: unit covariance, exact inverse, and directions that do not vary."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.covariance import OAS

from skgm._numerics.moments import Moments
from skgm.diffusion._scaling import fit_scaler


def scaler_of(X, kind="auto", y=None):
    parts = [X] if y is None else [X[y == k] for k in np.unique(y)]
    return fit_scaler([Moments.from_chunk(part, joint=True) for part in parts], kind)


def table(n=400, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) * 10.0 ** np.arange(d) + 5


@pytest.mark.parametrize("kind", ["auto", "whiten", "standard"])
def test_scaled_rows_are_standard_and_come_back(kind):
    X = table()
    scaler = scaler_of(X, kind)
    u = scaler.scale(X)
    covariance = np.cov(u.T, bias=True)
    assert_allclose(u.mean(axis=0), 0, atol=1e-10)
    assert_allclose(covariance.diagonal(), 1, atol={"auto": 0.05}.get(kind, 1e-9))
    if kind == "whiten":
        assert_allclose(covariance, np.eye(3), atol=1e-9)
    assert_allclose(scaler.unscale(u), X, rtol=1e-9)
    assert_allclose(scaler.log_det[0], np.linalg.slogdet(scaler.forward[0])[1])
    assert scaler.n_active == 3


def test_shrinkage_is_oas_of_the_standardized_columns():
    """scikit-learn's OAS shrinks towards a multiple of I: the same, for unit variances."""
    X = table(12)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    oas = OAS(assume_centered=True).fit(Z)
    root = scaler_of(X).forward[0] * X.std(axis=0)  # of the standardized columns
    assert_allclose(np.linalg.inv(root @ root), oas.covariance_, rtol=1e-7)


@pytest.mark.parametrize("kind", ["auto", "whiten", "standard"])
def test_constant_column(kind):
    X = np.column_stack([table(d=2), np.full(400, 7.0)])
    scaler = scaler_of(X, kind)
    assert scaler.n_active == 2
    assert_allclose(scaler.scale(X)[:, 2], 0, atol=1e-6)
    assert_allclose(scaler.unscale(np.array([[0.0, 0.0, 1.0]]))[0, 2], 7.0, rtol=2e-4)


@pytest.mark.parametrize("kind", ["auto", "whiten"])
def test_collinear_columns(kind):
    X = table(d=2)
    X = np.column_stack([X, X @ [0.5, -2.0] + 3.0])
    scaler = scaler_of(X, kind)
    assert scaler.n_active == 2
    u = scaler.scale(X)
    assert_allclose(np.cov(u[:, :2].T, bias=True), np.eye(2), atol=0.05)
    assert_allclose(u[:, 2], 0, atol=1e-4)
    assert_allclose(scaler.unscale(u), X, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", ["auto", "whiten", "standard"])
def test_fewer_rows_than_columns_are_no_dependence(kind):
    scaler = scaler_of(table(4, 6), kind)
    assert scaler.n_active == 6
    assert np.isfinite(scaler.forward).all()


def test_all_columns_constant():
    scaler = scaler_of(np.ones((5, 2)))
    assert scaler.n_active == 0
    assert np.isfinite(scaler.log_det).all()


def test_classes_have_maps_of_their_own():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 2000)
    scale = np.where(y[:, None] == 0, [1.0, 5.0], [3.0, 0.5])
    X = rng.standard_normal((4000, 2)) * scale + 4 * y[:, None]
    scaler = scaler_of(X, y=y)
    for k in (0, 1):
        u = scaler.scale(X[y == k], k)
        assert_allclose(u.mean(axis=0), 0, atol=1e-10)
        assert_allclose(np.cov(u.T, bias=True), np.eye(2), atol=0.06)  # a borrowed thousandth
    assert_allclose(scaler.unscale_each(scaler.scale_each(X, y), y), X, rtol=1e-9)


def test_a_class_of_one_row_borrows_its_covariance():
    X = np.vstack([table(50, 2), [[1.0, 2.0]]])
    scaler = scaler_of(X, y=np.repeat([0, 1], [50, 1]))
    assert np.isfinite(scaler.forward).all()


def test_overflow_is_refused():
    with pytest.raises(ValueError, match="Rescale"):
        scaler_of(np.array([[1e200, 0.0], [-1e200, 1.0], [3e200, 2.0]]))
