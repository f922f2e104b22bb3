"""The partition function and the moments against the list of all joint states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm.rbm._energy import RBMParameters
from skgm.rbm._enumeration import all_states, exact_log_partition, exact_moments
from tests.rbm.enumerated import Joint, machine, states

CASES = [(3, 4, 1.0), (5, 2, 1.0), (1, 1, 1.0), (1, 7, 2.0), (6, 1, 2.0), (4, 5, 20.0)]


@pytest.mark.parametrize(("k", "m", "scale"), CASES)
def test_log_partition_and_moments(k, m, scale):
    parameters = machine(k, m, scale)
    joint = Joint(parameters)
    assert_allclose(exact_log_partition(parameters), joint.log_partition, rtol=1e-13)
    moments = exact_moments(parameters)
    assert_allclose(moments.log_partition, joint.log_partition, rtol=1e-13)
    tolerance = {"rtol": 1e-11, "atol": 1e-13}
    assert_allclose(moments.hidden, joint.p.sum(axis=0) @ joint.h, **tolerance)
    assert_allclose(moments.visible, joint.p_visible @ joint.v, **tolerance)
    assert_allclose(moments.product, joint.h.T @ joint.p.T @ joint.v, **tolerance)


@pytest.mark.parametrize("scale", [200.0, 1500.0])
def test_weights_whose_exponentials_overflow(scale):
    """The tables of exponentials cannot hold them; the probabilities are then 0 or 1."""
    for seed in range(4):
        parameters = machine(3, 5, scale, seed)
        joint = Joint(parameters)
        assert_allclose(exact_log_partition(parameters), joint.log_partition, rtol=1e-13)
        product = exact_moments(parameters).product
        assert_allclose(product, joint.h.T @ joint.p.T @ joint.v, rtol=1e-9, atol=1e-9)


def test_many_blocks_and_renewed_products():
    """Without weights log Z is a sum of softplus; 2**15 states make several blocks, and 300 units
    with log-odds up to 20 make products that must be renewed on the way."""
    rng = np.random.default_rng(0)
    hidden, visible = rng.uniform(-1, 1, 15), rng.uniform(-20, 20, 300)
    parameters = RBMParameters(np.zeros((15, 300)), hidden, visible)
    expected = np.logaddexp(0, hidden).sum() + np.logaddexp(0, visible).sum()
    for machine_ in (parameters, parameters.transposed()):
        assert_allclose(exact_log_partition(machine_), expected, rtol=1e-13)
        moments = exact_moments(machine_)
        assert_allclose(moments.log_partition, expected, rtol=1e-13)
    means = np.outer(1 / (1 + np.exp(-visible)), 1 / (1 + np.exp(-hidden)))
    assert_allclose(moments.product, means, atol=1e-14)


def test_moments_are_the_gradient_of_the_log_partition():
    """Central differences in a machine of several blocks: error about step**2."""
    parameters = machine(12, 14, 0.5)
    moments = exact_moments(parameters)
    step = 1e-5
    for j, i in ((0, 0), (11, 3), (5, 13)):
        shift = np.zeros((12, 14))
        shift[j, i] = step
        up, down = (
            RBMParameters(
                parameters.components + sign * shift,
                parameters.intercept_hidden,
                parameters.intercept_visible,
            )
            for sign in (1, -1)
        )
        slope = (exact_log_partition(up) - exact_log_partition(down)) / (2 * step)
        assert_allclose(moments.product[j, i], slope, atol=1e-8)


def test_between_runs_from_the_base_to_the_machine():
    parameters, base = machine(3, 4), np.array([0.5, -1.0, 0.0, 2.0])
    start = exact_log_partition(parameters.between(base, 0.0))
    assert_allclose(start, 3 * np.log(2) + np.logaddexp(0, base).sum(), rtol=1e-13)
    end = exact_log_partition(parameters.between(base, 1.0))
    assert_allclose(end, Joint(parameters).log_partition, rtol=1e-13)


def test_all_states():
    assert_allclose(all_states(4), states(4))
    assert all_states(0).shape == (1, 0)
