"""Exact maximum likelihood: the gradient, the optimum, weights, stopping."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import check_grad

from skgm.rbm._energy import RBMParameters, free_energy
from skgm.rbm._exact import _Problem, fit_exact, merge_rows
from tests.rbm.enumerated import Joint, machine


def table(n=60, m=5, seed=0):
    """Rows of two prototypes, a tenth of the bits flipped."""
    rng = np.random.default_rng(seed)
    prototypes = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]], dtype=float)[:, :m]
    rows = prototypes[rng.integers(0, 2, n)]
    return np.abs(rows - (rng.random((n, m)) < 0.1))


def mean_loss(rows, parameters):
    joint = Joint(parameters)
    mass = {tuple(v): p for v, p in zip(joint.v, joint.p_visible, strict=True)}
    return -np.mean([np.log(mass[tuple(row)]) for row in rows])


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_loss_and_gradient(decay):
    rows, start = table(), machine(3, 5, 0.5)
    problem = _Problem(*merge_rows(rows, None), start, decay)
    vector = problem.pack(start)
    expected = mean_loss(rows, start) + 0.5 * decay * (start.components**2).sum()
    assert_allclose(problem.loss_and_gradient(vector)[0], expected, rtol=1e-12)
    error = check_grad(
        lambda x: problem.loss_and_gradient(x)[0], lambda x: problem.loss_and_gradient(x)[1], vector
    )
    assert error < 1e-6  # forward differences of step 1.5e-8 in 23 coordinates


def test_a_rich_machine_reproduces_the_frequencies():
    """Seven hidden units can represent any law of three bits; maximum likelihood is then the
    table of frequencies, whose loss is their entropy."""
    rows = table(m=3)
    fit = fit_exact(rows, None, machine(7, 3, 0.3), max_iter=2000, tol=1e-7)
    distinct, share = merge_rows(rows, None)
    entropy = -np.sum(share * np.log(share))
    assert fit.loss_curve[-1] == pytest.approx(entropy, abs=1e-4)
    assert_allclose(Joint(fit.parameters).log_partition, fit.log_partition, rtol=1e-12)
    assert_allclose(
        np.exp(-free_energy(distinct, fit.parameters) - fit.log_partition), share, atol=1e-2
    )


def test_weights_are_repetitions_in_any_order():
    rows = table()
    weight = np.random.default_rng(3).integers(0, 4, len(rows)).astype(float)
    start, repeated = machine(2, 5, 0.2), np.repeat(rows, weight.astype(int), axis=0)
    weighted = fit_exact(rows, weight, start, max_iter=40)
    again = fit_exact(repeated[::-1], None, start, max_iter=40)
    for name in vars(start):
        found, expected = (getattr(fit.parameters, name) for fit in (weighted, again))
        assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_the_caller_sees_every_iteration_and_may_stop():
    seen = []

    def watch(iteration, parameters, loss):
        seen.append((iteration, loss))
        assert isinstance(parameters, RBMParameters)
        return iteration == 5

    fit = fit_exact(table(), None, machine(2, 5, 0.2), on_iteration=watch)
    assert [iteration for iteration, _ in seen] == [1, 2, 3, 4, 5]
    assert [loss for _, loss in seen] == fit.loss_curve
    assert fit.n_iter == 5
    assert fit.converged
    assert fit.loss_curve[-1] == pytest.approx(mean_loss(table(), fit.parameters), rel=1e-12)


def test_too_few_iterations_are_reported():
    assert not fit_exact(table(), None, machine(2, 5, 0.2), max_iter=3).converged


def test_validation_keeps_the_best_iteration():
    """Twelve rows and eight hidden units: the likelihood of other rows falls after a while."""
    held_out = table(200, seed=1)
    fit = fit_exact(
        table(12), None, machine(8, 5, 0.2), max_iter=300, validation=(held_out, None), patience=8
    )
    assert fit.converged
    assert fit.n_iter < 300
    assert len(fit.validation_curve) == fit.n_iter
    best = int(np.argmin(fit.validation_curve))
    assert fit.n_iter == best + 9
    assert mean_loss(held_out, fit.parameters) == pytest.approx(
        min(fit.validation_curve), rel=1e-10
    )
