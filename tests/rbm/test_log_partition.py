"""Annealing in both directions against enumeration: weights, joint estimate, intervals, warning."""

import dataclasses
import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skgm.rbm import _log_partition
from skgm.rbm._annealing import Path, Spacing, base_log_odds, draw_bits
from skgm.rbm._energy import RBMParameters
from skgm.rbm._enumeration import exact_log_partition, exact_moments
from skgm.rbm._log_partition import acceptance_ratio, log_partition
from skgm.rbm._sampling import SamplingDiagnostics
from tests.rbm.enumerated import Joint, machine


def annealed(parameters, seed, **options):
    mean = exact_moments(parameters).visible
    rng = np.random.default_rng(seed)
    return log_partition(parameters, mean, rng, max_exact_units=0, **options)


def test_path_is_the_marginal_of_the_machine_between():
    """The list of joint states of `between` at three temperatures."""
    parameters, base = machine(3, 4), np.array([0.5, -1.0, 0.0, 2.0])
    path = Path(parameters, base)
    assert_allclose(path.log_partition_base, exact_log_partition(parameters.between(base, 0.0)))
    for beta in (0.0, 0.4, 1.0):
        joint = Joint(parameters.between(base, beta))
        mass = path.log_mass(joint.v, path.activation(joint.v), beta)
        assert_allclose(np.exp(mass - joint.log_partition), joint.p_visible, rtol=1e-12)


def test_gibbs_step_leaves_the_marginal_alone():
    """Rows drawn from the list, one step, chi-square of the 16 states; and with a beta per row."""
    rng, n = np.random.default_rng(0), 20_000
    parameters, base = machine(3, 4), np.array([0.5, -1.0, 0.0, 2.0])
    path = Path(parameters, base)
    for beta in (0.3, 1.0):
        joint = Joint(parameters.between(base, beta))
        before = joint.v[rng.choice(16, n, p=joint.p_visible)]
        after = path.gibbs(path.activation(before), np.full(n, beta), rng)
        counts = np.bincount((after @ [8, 4, 2, 1]).astype(int), minlength=16)
        assert stats.chisquare(counts, n * joint.p_visible).pvalue > 1e-3


def test_single_precision_is_near_double():
    """Masses to 1e-6 of their size; draws at sure and impossible log-odds."""
    parameters, base = machine(30, 40, 3.0), np.linspace(-2, 2, 40)
    double, single = Path(parameters, base), Path(parameters, base, np.float32)
    rows = double.draw_base(50, np.random.default_rng(0))
    masses = [path.log_mass(rows, path.activation(rows), 0.7) for path in (double, single)]
    assert_allclose(masses[1], masses[0], rtol=2e-6)
    sure = np.repeat(np.float32([-200, 200]), 1000)
    drawn = draw_bits(sure, np.random.default_rng(1))
    assert drawn.dtype == np.float32
    assert (drawn == (sure > 0)).all()


def test_weights_up_and_down_have_the_right_means():
    """Few steps, so that the weights vary; means of exp within five standard errors."""
    rng, n = np.random.default_rng(1), 20_000
    parameters, base = machine(3, 4), np.array([0.5, -1.0, 0.0, 2.0])
    path, joint = Path(parameters, base), Joint(machine(3, 4))
    log_ratio = joint.log_partition - path.log_partition_base
    betas = np.array([0.0, 0.2, 0.7, 1.0])
    up = path.log_weights(path.draw_base(n, rng), betas, rng)
    rows = joint.v[rng.choice(16, n, p=joint.p_visible)]
    down = path.log_weights(rows, betas[::-1], rng)
    for weights in (np.exp(up - log_ratio), np.exp(down + log_ratio)):
        assert weights.std() > 0.3
        assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(n)
    assert up.mean() < log_ratio < -down.mean()  # the bounds, which hold in the mean


def test_acceptance_ratio_of_normal_weights():
    """Normal log-weights of variance s^2 obey the fluctuation relation if their means are
    d - s^2/2 up and -d - s^2/2 down; the estimate is then d, with error below 1.2 s / sqrt(n)."""
    rng, n, s, d = np.random.default_rng(2), 40_000, 1.5, 37.0
    up, down = rng.normal(d - s**2 / 2, s, n), rng.normal(-d - s**2 / 2, s, n // 2)
    assert acceptance_ratio(up, down) == pytest.approx(d, abs=4 * 1.2 * s / np.sqrt(n // 2))
    assert acceptance_ratio(np.array([3.0]), np.array([-3.0])) == pytest.approx(3.0)


def test_spacing_is_dense_where_the_path_changes():
    parameters = RBMParameters(8 * np.ones((2, 6)), np.zeros(2), np.full(6, -8.0))
    path = Path(parameters, np.zeros(6))
    betas = Spacing.measured(path, np.random.default_rng(0)).betas(20)
    assert betas[0] == 0
    assert betas[-1] == 1
    assert (np.diff(betas) > 0).all()
    assert betas[10] < 0.4  # uniform spacing would put 0.5 there
    flat = Spacing(np.linspace(0, 1, 5), np.zeros(5)).betas(4)
    assert_allclose(flat, np.linspace(0, 1, 5))


def test_base_log_odds_are_finite_and_right():
    assert_allclose(base_log_odds([0.5, 0.2], 1e9), [0, np.log(0.25)], atol=1e-8)
    assert np.isfinite(base_log_odds([0.0, 1.0])).all()


def test_base_has_the_means_of_rows_and_a_row_of_halves():
    """The mean of the listed 100 rows and of one more that is on in half of the cases."""
    for n_on in (0, 1, 37, 100):
        rows = np.append(np.arange(100) < n_on, [0.5])
        assert_allclose(1 / (1 + np.exp(-base_log_odds([n_on / 100]))), rows.mean(), rtol=1e-12)
    log_odds = base_log_odds([0.3, 0.8], n_rows=10.0)
    joint = Joint(RBMParameters(np.zeros((1, 2)), np.zeros(1), log_odds))
    assert_allclose(joint.p_visible @ joint.v, [3.5 / 11, 8.5 / 11], rtol=1e-12)


def test_draw_bits_has_the_right_means():
    """Five standard errors of 40,000 draws."""
    odds = np.array([-4.0, -0.5, 0.0, 3.0])
    drawn = draw_bits(np.tile(odds, (40_000, 1)), np.random.default_rng(0))
    p = 1 / (1 + np.exp(-odds))
    assert (np.abs(drawn.mean(axis=0) - p) < 5 * np.sqrt(p * (1 - p) / 40_000)).all()
    assert set(np.unique(drawn)) == {0.0, 1.0}


def test_a_small_layer_is_enumerated():
    parameters = machine(30, 8)
    found = log_partition(parameters, np.full(8, 0.5), np.random.default_rng(0))
    assert found.method == "exact"
    assert found.value == exact_log_partition(parameters)
    assert found.interval == (found.value, found.value)
    assert found.lower == found.upper == found.value
    assert found.standard_error == 0
    assert found.reliable
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.value = 0.0


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_estimate_within_its_error(scale):
    """Four standard errors: for a t with 15 degrees of freedom, once in 900 times."""
    parameters = machine(9, 12, scale)
    found, truth = annealed(parameters, 0), exact_log_partition(parameters)
    assert found.method == "annealing"
    assert found.reliable
    assert abs(found.value - truth) < 4 * found.standard_error
    assert found.standard_error < 0.05
    assert found.interval[0] < found.value < found.interval[1]
    assert 10 < found.ess <= 256
    wider = annealed(parameters, 0, level=0.99)
    assert wider.value == found.value
    assert wider.interval[0] < found.interval[0]
    assert wider.level == 0.99


def test_large_machines_are_annealed_in_fewer_steps(monkeypatch):
    """Each direction looked at for its number of steps, where the first try is not enough."""
    counts = []

    def short(path, v, betas, rng, *, spread=False):
        if spread:
            return np.ones(len(betas) - 1)
        counts.append(len(betas) - 1)
        return np.full(len(v), 5.0)  # up and down both: a bracket ten nats wide

    monkeypatch.setattr(Path, "log_weights", short)
    for work, second in ((2e11, 1600), (4 * 256 * 30 * 500, 500), (1.0, 400)):
        counts.clear()
        monkeypatch.setattr(_log_partition, "_WORK", work)
        with pytest.warns(ConvergenceWarning, match="uncertain"):
            annealed(machine(5, 6), 0)
        assert counts == [400] * 4 + [second] * 4


def test_estimates_are_reproducible():
    assert annealed(machine(5, 6), 3) == annealed(machine(5, 6), 3)


@pytest.mark.slow
def test_intervals_cover():
    """120 intervals at 95%: at least 106 cover, which a coverage of .95 misses once in 400."""
    covered = 0
    for seed in range(120):
        parameters = machine(6, 8, 0.2 + 0.01 * seed, seed)
        low, high = annealed(parameters, seed).interval
        covered += low <= exact_log_partition(parameters) <= high
    assert covered >= 106


def two_modes():
    """A machine with modes of mass .96 and .04, twelve bits apart; which rows are of the second."""
    pattern = np.repeat([1.0, -1.0], 6)
    weights = 6 * np.array([pattern, -pattern])
    parameters = RBMParameters(weights, np.array([-22.0, -25.2]), np.zeros(12))
    joint = Joint(parameters)
    return joint, parameters, joint.v @ pattern < 0


@pytest.mark.parametrize("r_hat", [1.0, 3.0])
def test_rows_of_one_mode_are_warned_of(monkeypatch, r_hat):
    """Downwards from the minor mode alone the estimate is lower by -log .04, more than a nat;
    rows in the right shares, but with R-hat of 3, are warned of too."""
    joint, parameters, minor = two_modes()
    assert 0.02 < joint.p_visible[minor].sum() < 0.06
    p = joint.p_visible * minor if r_hat == 1 else joint.p_visible

    def stuck(parameters, n_ensembles, n_kept, rng, **options):
        rows = joint.v[rng.choice(len(p), (n_ensembles, n_kept), p=p / p.sum())]
        return rows, SamplingDiagnostics("tempered", r_hat=r_hat)

    monkeypatch.setattr(_log_partition, "sample_tempered", stuck)
    mean = joint.p_visible @ joint.v
    with pytest.warns(ConvergenceWarning, match="log Z is uncertain"):
        found = log_partition(parameters, mean, np.random.default_rng(0), max_exact_units=0)
    assert not found.reliable


def test_chains_that_mix_find_both_modes():
    joint, parameters, _ = two_modes()
    found = annealed(parameters, 1)
    assert abs(found.value - joint.log_partition) < 4 * found.standard_error
    assert found.standard_error < 0.1


@pytest.mark.parametrize("known", ["major", "minor", "both"])
def test_mass_far_from_the_training_chains_is_warned_of(known):
    """The gap is minus the logarithm of the share of the modes that training knows, by the list."""
    joint, parameters, minor = two_modes()
    rows = {"major": ~minor, "minor": minor, "both": minor | ~minor}[known]
    share = joint.p_visible[rows].sum()
    mean = (joint.p_visible * rows) @ joint.v / share
    both = np.repeat(np.eye(2), [61, 3], axis=0)  # a hidden unit is on in each mode
    chains = {"major": both[:1], "minor": both[-1:], "both": both}[known]
    rng = np.random.default_rng(1)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = log_partition(parameters, mean, rng, max_exact_units=0, chains=chains)
    assert found.gap == pytest.approx(-np.log(share), abs=0.5)
    assert found.value - found.near_chains == found.gap
    assert found.reliable == (known != "minor")
    match = r"Only a share of 0\.0\d+ of the model's mass .*more weight decay"
    assert any(re.match(match, str(w.message)) for w in seen) == (known == "minor")
