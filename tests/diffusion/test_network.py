"""The network: gradients and directional derivatives against central differences, in float64."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from skgm.diffusion._network import (
    REACH,
    Architecture,
    Network,
    NetworkDenoiser,
    squash,
    squash_slope,
    time_features,
)

SHAPES = [
    Architecture(3, (7, 7, 7)),
    Architecture(2, (6, 6), n_classes=3),
    Architecture(2, (5, 8)),  # of unequal widths: no residual connection
    Architecture(4, (6,)),
    Architecture(1, (4, 4)),
]


def case(architecture, n=5, seed=0):
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal(architecture.n_weights) * 0.5
    u, phi = rng.standard_normal((n, architecture.n_features)), rng.uniform(0.1, 1.4, n)
    codes = rng.integers(architecture.n_classes, size=n) if architecture.n_classes else None
    return flat, u, phi, codes


@pytest.mark.parametrize("architecture", SHAPES, ids=str)
def test_backward_is_the_gradient(architecture):
    flat, u, phi, codes = case(architecture)
    inputs = architecture.inputs(u, architecture.context(phi, codes))
    outer = np.random.default_rng(1).standard_normal(u.shape)

    def loss(weights):
        return np.sum(outer * Network(architecture, weights).forward(inputs))

    network, gradient = Network(architecture, flat), np.empty_like(flat)
    network.forward(inputs)
    network.backward(inputs, outer.copy(), architecture.views(gradient))
    step = 1e-5
    numeric = [
        (loss(flat + step * unit) - loss(flat - step * unit)) / (2 * step)
        for unit in np.eye(len(flat))
    ]
    assert_allclose(gradient, numeric, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("prediction", ["v", "eps", "x0"])
@pytest.mark.parametrize("architecture", SHAPES, ids=str)
def test_derivatives_of_the_denoiser(architecture, prediction):
    flat, u, phi, codes = case(architecture)
    denoiser = NetworkDenoiser(architecture, flat, prediction)
    u *= 4  # where squashing bends
    step = 1e-5
    jacobian = np.stack(
        [
            (
                denoiser.velocity(u + step * w, phi, codes)
                - denoiser.velocity(u - step * w, phi, codes)
            )
            / (2 * step)
            for w in np.eye(u.shape[1])
        ],
        axis=-1,
    )  # (n, d, d)
    w = np.random.default_rng(2).standard_normal(u.shape)
    value, along = denoiser.velocity_jvp(u, phi, w, codes)
    assert_allclose(value, denoiser.velocity(u, phi, codes), rtol=1e-13)
    assert_allclose(along, np.einsum("nij,nj->ni", jacobian, w), rtol=1e-6, atol=1e-8)
    value, trace = denoiser.velocity_divergence(u, phi, codes)
    assert_allclose(value, denoiser.velocity(u, phi, codes), rtol=1e-13)
    assert_allclose(trace, np.einsum("nii->n", jacobian), rtol=1e-6, atol=1e-8)
    value, whole = denoiser.velocity_jacobian(u, phi, codes)
    assert_allclose(value, denoiser.velocity(u, phi, codes), rtol=1e-13)
    assert_allclose(whole, jacobian, rtol=1e-6, atol=1e-8)


def test_a_new_network_is_zero_and_so_the_fitted_gaussian():
    architecture = Architecture(3, (8, 8), n_classes=2)
    flat = architecture.initial(np.random.default_rng(0))
    u = np.random.default_rng(1).standard_normal((6, 3))
    codes = np.array([0, 1, 0, 1, 1, 0])
    assert_array_equal(NetworkDenoiser(architecture, flat, "v").velocity(u, 0.5, codes), 0.0)


def test_rows_that_share_an_angle_give_what_single_rows_give():
    architecture = SHAPES[1]
    flat, u, _, codes = case(architecture, n=300)
    denoiser = NetworkDenoiser(architecture, flat, "v")
    whole = denoiser.velocity(u, 0.7, codes)
    assert_allclose(denoiser.velocity(u, np.full(300, 0.7), codes), whole, rtol=1e-13)
    single = [denoiser.velocity(u[[i]], 0.7, codes[[i]])[0] for i in range(300)]
    assert_allclose(single, whole, rtol=1e-12, atol=1e-14)


def test_blocks_of_rows_change_nothing():
    architecture = Architecture(2, (512, 512))
    flat = np.random.default_rng(0).standard_normal(architecture.n_weights) * 0.05
    u = np.random.default_rng(1).standard_normal((700, 2))
    denoiser = NetworkDenoiser(architecture, flat, "v")
    parts = [denoiser.velocity(part, 0.4) for part in np.split(u, 7)]
    assert_allclose(denoiser.velocity(u, 0.4), np.concatenate(parts), rtol=1e-12, atol=1e-14)


def test_float32_follows_float64():
    architecture = SHAPES[0]
    flat, u, phi, _ = case(architecture, n=50)
    wide = NetworkDenoiser(architecture, flat, "v").velocity(u, phi)
    narrow = NetworkDenoiser(architecture, flat.astype(np.float32), "v").velocity(u, phi)
    assert narrow.dtype == np.float32
    assert_allclose(narrow, wide, rtol=1e-4, atol=1e-5)


def test_large_activations_do_not_overflow():
    architecture = SHAPES[0]
    flat, u, phi, _ = case(architecture)
    denoiser = NetworkDenoiser(architecture, (1e4 * flat).astype(np.float32), "v")
    value, along = denoiser.velocity_jvp(u.astype(np.float32), phi, u.astype(np.float32))
    assert np.isfinite(value).all()
    assert np.isfinite(along).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squash_is_bounded_and_its_slope_right(dtype):
    u = np.array([[-1e12, -20.0, -1.0, 0.0, 0.5, 3.0, 1e12]], dtype=dtype)
    value, slope = squash(u), squash_slope(u)
    assert np.all(np.abs(value) <= REACH * (1 + 1e-6))
    assert_allclose(value[0, 3:6], u[0, 3:6], rtol=0.05)
    step = 1e-4
    middle = u[0, 1:6].astype(np.float64)
    numeric = (squash(middle + step) - squash(middle - step)) / (2 * step)
    assert_allclose(slope[0, 1:6], numeric, rtol=1e-5)


def test_time_features_are_finite_at_both_ends():
    features = time_features(np.array([0.0, 0.3, np.pi / 2]))
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_is_finite_everywhere(dtype):
    """Against its formula in float64 and central differences; beyond -16 it is the identity."""
    k = np.array([[-1e30, -40, -17, -16, -15, -3, -0.2, 0, 0.2, 3, 15, 200, 1e4, 1e30]], dtype)

    def formula(x):
        with np.errstate(over="ignore"):
            return x / (1 + np.maximum(1 + x / 16, 0) ** 16)

    a, slope = np.empty((2, *k.shape), dtype)
    architecture = Architecture(1, (1,))
    network = Network(architecture, np.zeros(architecture.n_weights, dtype))
    network._activate(k, a, slope)
    x, tolerance = k.astype(np.float64), 64 * np.finfo(dtype).eps
    assert_allclose(a, formula(x), rtol=tolerance, atol=1e-30)
    step = 1e-5 * np.maximum(np.abs(x), 1e-3)
    numeric = (formula(x + step) - formula(x - step)) / (2 * step)
    assert_allclose(slope, numeric, rtol=tolerance + 1e-7, atol=4 * tolerance + 1e-8)
    alone = np.empty_like(a)
    network._activate(k, alone)
    assert_array_equal(alone, a)
    turned = x * special.expit(-x)  # SiLU, the signs of both sides turned
    assert np.abs(formula(x) - turned)[np.abs(x) < 100].max() < 0.05
