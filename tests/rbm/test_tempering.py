"""Rows against the list of all states: exact draws, tempered chains, what the chains report."""

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skgm.rbm import _sampling
from skgm.rbm._energy import RBMParameters
from skgm.rbm._sampling import (
    SamplingDiagnostics,
    TemperedChains,
    draw_enumerated,
    sample_rows,
    sample_tempered,
    warn_unmixed,
)
from tests.rbm.enumerated import Joint, machine


def pvalue(rows, joint):
    """Chi-square of states against their probabilities, those expected less than 5 times pooled."""
    m = rows.shape[1]
    counts = np.bincount((rows @ 2 ** np.arange(m)[::-1]).astype(int), minlength=2**m)
    expected = len(rows) * joint.p_visible
    rare = expected < 5
    seen = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    return stats.chisquare(seen[wanted > 0], wanted[wanted > 0]).pvalue


@pytest.mark.parametrize(("k", "m"), [(3, 4), (5, 3), (2, 5)])
def test_enumerated_rows_have_the_probabilities_of_the_states(k, m):
    parameters = machine(k, m)
    rows = draw_enumerated(parameters, 20_000, np.random.default_rng(0))
    assert pvalue(rows, Joint(parameters)) > 1e-3
    assert abs(np.corrcoef(rows[1:, 0], rows[:-1, 0])[0, 1]) < 5 / np.sqrt(20_000)


def test_tempered_rows_have_the_probabilities_of_the_states():
    """Two modes of mass .7 and .3, seven bits apart, which plain Gibbs chains hardly leave. Only
    rows of different ensembles are independent: the last of each of 2,000 is taken."""
    pattern = np.array([1.0, 1, 1, 1, -1, -1, -1])
    weights = 5 * np.array([pattern, -pattern])
    parameters = RBMParameters(weights, np.array([-17.5, -12.8]), np.zeros(7))
    joint = Joint(parameters)
    rows, diagnostics = sample_tempered(parameters, 2000, 1, np.random.default_rng(0))
    assert pvalue(rows[:, 0], joint) > 1e-3
    near = joint.v @ pattern > 1
    assert 0.05 < joint.p_visible[near].sum() < 0.95
    assert diagnostics.r_hat < 1.1


def test_sample_rows_of_two_large_layers(monkeypatch):
    """With the limit lowered, tempered: means within five standard errors by ensembles."""
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", 2)
    parameters, joint = machine(3, 6), Joint(machine(3, 6))
    rows, diagnostics = sample_rows(parameters, 1001, np.random.default_rng(0))
    assert rows.shape == (1001, 6)
    assert diagnostics.method == "tempered"
    assert diagnostics.n_ensembles == 64
    truth = joint.p_visible @ joint.v
    # thinned by the autocorrelation time, a row is worth at least a third of an independent one
    assert (np.abs(rows.mean(axis=0) - truth) < 5 * np.sqrt(0.25 * 3 / 1001)).all()
    order = np.arange(1001)
    assert abs(np.corrcoef(order, rows @ parameters.components[0])[0, 1]) < 5 / np.sqrt(1001)


def test_small_layers_are_drawn_exactly():
    rows, diagnostics = sample_rows(machine(20, 4), 7, np.random.default_rng(0))
    assert rows.shape == (7, 4)
    assert diagnostics == SamplingDiagnostics("exact")


def test_diagnostics_describe_the_chains():
    diagnostics = sample_tempered(machine(4, 5), 8, 3, np.random.default_rng(0))[1]
    assert len(diagnostics.swap_rates) == len(diagnostics.betas) - 1
    assert all(0.2 < rate <= 1 for rate in diagnostics.swap_rates)
    assert diagnostics.betas[0] == 0
    assert diagnostics.betas[-1] == 1
    assert diagnostics.burn_in >= 256
    assert 1 <= diagnostics.thinning <= 32


def test_r_hat_sees_chains_that_do_not_meet():
    chains = TemperedChains(machine(4, 5), 1, 6, np.random.default_rng(0))
    history = np.random.default_rng(1).standard_normal((400, 6, 4))
    chains._history = list(history)
    # half-chains of 100 normal values: B/W has mean 1/100 and standard deviation .004
    assert 1 <= chains.r_hat() + 0.005 < 1.02
    chains._history = list(history + 2 * np.arange(6)[None, :, None])
    assert chains.r_hat() > 3
    chains._history = list(np.broadcast_to(np.arange(6.0)[None, :, None], (400, 6, 4)))
    assert chains.r_hat() == np.inf
    chains._history = list(np.zeros((400, 6, 4)))
    assert chains.r_hat() == 1


def test_autocorrelation_time_of_a_known_chain():
    """x' = .8 x + noise has time (1 + .8) / (1 - .8) = 9; terms below .05 are cut, 6% of it."""
    chains = TemperedChains(machine(4, 5), 1, 50, np.random.default_rng(0))
    rng, x, history = np.random.default_rng(1), np.zeros((50, 4)), []
    for _ in range(2000):
        x = 0.8 * x + rng.standard_normal((50, 4))
        history.append(x)
    chains._history = history
    assert chains.autocorrelation_time() in (8, 9, 10)


def test_the_work_of_large_machines_is_bounded(monkeypatch):
    """As if sweeps were dear: 100 of them for burn-in, and 100 for all rows that are kept."""
    weights = 20 * np.array([[1.0] * 8, [-1.0] * 8])
    parameters = RBMParameters(weights, np.array([-80.0, 80.0]), np.zeros(8))
    monkeypatch.setattr(TemperedChains, "r_hat", lambda chains: 2.0)
    monkeypatch.setattr(TemperedChains, "autocorrelation_time", lambda chains: 30)
    sweep = TemperedChains(parameters, 1, 16, np.random.default_rng(0)).work
    monkeypatch.setattr(_sampling, "_WORK", 100.5 * sweep)
    diagnostics = sample_tempered(parameters, 16, 20, np.random.default_rng(0))[1]
    assert (diagnostics.burn_in, diagnostics.thinning) == (100, 5)
    monkeypatch.setattr(_sampling, "_MAX_ENUMERATED", 1)
    with pytest.warns(ConvergenceWarning, match="not mixed after 100"):
        rows, diagnostics = sample_rows(parameters, 900, np.random.default_rng(0))
    assert rows.shape == (900, 8)
    assert diagnostics.n_ensembles == 16
    monkeypatch.setattr(_sampling, "_WORK", 0.0)
    diagnostics = sample_tempered(parameters, 16, 20, np.random.default_rng(0))[1]
    assert (diagnostics.burn_in, diagnostics.thinning) == (64, 1)


def test_unmixed_chains_are_warned_of():
    warn_unmixed(1.1, 256)
    with pytest.warns(ConvergenceWarning, match="not mixed after 256"):
        warn_unmixed(1.4, 256)
