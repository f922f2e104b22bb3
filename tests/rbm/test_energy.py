"""Row-by-row formulas against the list of all joint states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skgm.rbm._energy import (
    energy,
    free_energy,
    hidden_probabilities,
    pseudo_log_likelihood,
    softplus,
    visible_probabilities,
)
from tests.rbm.enumerated import Joint, machine

SHAPES = [(3, 4), (5, 2), (1, 1), (1, 6)]


@pytest.fixture(params=SHAPES, ids=str)
def parameters(request):
    return machine(*request.param, scale=1.5)


def test_energy(parameters):
    joint = Joint(parameters)
    for j, h in enumerate(joint.h):
        found = energy(joint.v, np.tile(h, (len(joint.v), 1)), parameters)
        assert_allclose(found, -joint.log_mass[:, j].astype(float), atol=1e-13)


def test_free_energy_sums_the_hidden_units_out(parameters):
    joint = Joint(parameters)
    log_p = -free_energy(joint.v, parameters) - joint.log_partition
    assert_allclose(np.exp(log_p), joint.p_visible, rtol=1e-12)


def test_conditional_probabilities(parameters):
    joint = Joint(parameters)
    given_v = joint.p / joint.p_visible[:, None]
    assert_allclose(hidden_probabilities(joint.v, parameters), given_v @ joint.h, rtol=1e-12)
    given_h = joint.p / joint.p.sum(axis=0)
    assert_allclose(visible_probabilities(joint.h, parameters), given_h.T @ joint.v, rtol=1e-12)


def test_pseudo_log_likelihood(parameters):
    joint = Joint(parameters)
    mass = {tuple(v): p for v, p in zip(joint.v, joint.p_visible, strict=True)}
    expected = []
    for v in joint.v:
        total = 0.0
        for i in range(len(v)):
            other = v.copy()
            other[i] = 1 - v[i]
            total += np.log(mass[tuple(v)] / (mass[tuple(v)] + mass[tuple(other)]))
        expected.append(total)
    assert_allclose(pseudo_log_likelihood(joint.v, parameters), expected, rtol=1e-11, atol=1e-13)


def test_softplus_in_the_tails():
    x = np.array([-800.0, -40.0, -1e-20, 0.0, 3.0, 40.0, 800.0])
    assert_allclose(softplus(x), np.logaddexp(0, x), rtol=1e-15)


@pytest.mark.parametrize("function", [free_energy, pseudo_log_likelihood])
def test_a_row_has_one_value_in_any_table(function):
    parameters = machine(40, 30, scale=0.3)
    rows = (np.random.default_rng(1).random((900, 30)) < 0.5).astype(np.float32)
    whole = function(rows, parameters)
    assert whole.dtype == np.float64
    assert_allclose(function(rows[::-1][:7], parameters), whole[::-1][:7], rtol=1e-12)
    assert_allclose([function(row[None], parameters)[0] for row in rows[:5]], whole[:5], rtol=1e-12)
    assert function(rows[:0], parameters).shape == (0,)


def test_float32_parameters_are_evaluated_in_float64():
    parameters = machine(4, 5)
    single = type(parameters)(*(a.astype(np.float32) for a in vars(parameters).values()))
    joint = Joint(single)
    log_p = -free_energy(joint.v.astype(np.float32), single) - joint.log_partition
    assert_allclose(np.exp(log_p), joint.p_visible, rtol=1e-12)
