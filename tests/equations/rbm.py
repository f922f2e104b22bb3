"""Restricted Boltzmann machines small enough to list every joint state."""

import numpy as np
from numpy.testing import assert_allclose

from skgm.rbm._annealing import Path
from skgm.rbm._energy import (
    RBMParameters,
    energy,
    free_energy,
    hidden_probabilities,
    pseudo_log_likelihood,
    visible_probabilities,
)
from skgm.rbm._enumeration import exact_log_partition, exact_moments
from skgm.rbm._exact import _Problem, merge_rows
from skgm.rbm._log_partition import log_partition
from skgm.rbm._update import QUIET, ContrastiveUpdate, UpdateRule
from tests.equations import equation, mistake
from tests.rbm.enumerated import Joint, machine

MACHINE = machine(3, 4, seed=1)
DATA = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0.0]])


def mean_log_probability(parameters, rows=DATA):
    """By the list of all joint states, in long double."""
    joint = Joint(parameters)
    where = [int(np.flatnonzero((joint.v == row).all(axis=1))[0]) for row in rows]
    return np.mean(np.log(joint.p_visible[where]))


def slope_in_weights(function, parameters=MACHINE, step=1e-3):
    """d function / d components, by Richardson-extrapolated central differences."""

    def along(j, i, size):
        shifted = parameters.components.copy()
        shifted[j, i] += size
        intercepts = parameters.intercept_hidden, parameters.intercept_visible
        return function(RBMParameters(shifted, *intercepts))

    def central(j, i, size):
        return (along(j, i, size) - along(j, i, -size)) / (2 * size)

    k, m = parameters.components.shape
    return np.array(
        [
            [(4 * central(j, i, step) - central(j, i, 2 * step)) / 3 for i in range(m)]
            for j in range(k)
        ]
    )


def data_phase(rows=DATA):
    return hidden_probabilities(rows, MACHINE).T @ rows / len(rows)


@equation("ebm-score")
def ebm_score():
    """The gradient that maximum likelihood follows, against differences of listed likelihoods."""
    problem = _Problem(*merge_rows(DATA, None), MACHINE, 0.0)
    gradient = problem.unpack(problem.loss_and_gradient(problem.pack(MACHINE))[1])
    assert_allclose(-gradient.components, slope_in_weights(mean_log_probability), atol=1e-9)
    joint = Joint(MACHINE)
    data_visible = DATA.mean(axis=0)
    assert_allclose(-gradient.intercept_visible, data_visible - joint.p_visible @ joint.v)


@equation("rbm-energy")
def rbm_energy():
    """Unit by unit, by the definition."""
    joint = Joint(MACHINE)
    for j, h in enumerate(joint.h):
        found = energy(joint.v, np.tile(h, (len(joint.v), 1)), MACHINE)
        assert_allclose(found, -joint.log_mass[:, j].astype(float), atol=1e-14)


@equation("rbm-joint")
def rbm_joint():
    """The probabilities of all pairs add up to one, and their conditionals are the sigmoids."""
    v, h = Joint(MACHINE).v, Joint(MACHINE).h
    pairs = np.repeat(v, len(h), axis=0), np.tile(h, (len(v), 1))
    joint = np.exp(-energy(*pairs, MACHINE) - exact_log_partition(MACHINE)).reshape(len(v), -1)
    assert_allclose(joint.sum(), 1)
    assert_allclose(joint, Joint(MACHINE).p, rtol=1e-12)


@equation("rbm-free-energy")
def rbm_free_energy():
    joint = Joint(MACHINE)
    log_p = -free_energy(joint.v, MACHINE) - exact_log_partition(MACHINE)
    assert_allclose(np.exp(log_p), joint.p_visible, rtol=1e-12)


@equation("rbm-log-partition-exact")
def rbm_log_partition_exact():
    """Over either layer, the sum over all joint states."""
    for shape in ((3, 4), (5, 2)):
        parameters = machine(*shape, seed=2)
        found = exact_log_partition(parameters)
        assert_allclose(found, Joint(parameters).log_partition, rtol=1e-14)


@equation("rbm-pseudolikelihood")
def rbm_pseudolikelihood():
    """Each factor is a ratio of listed probabilities."""
    joint = Joint(MACHINE)
    expected = np.zeros(len(joint.v))
    for i in range(joint.v.shape[1]):
        same = (np.delete(joint.v, i, axis=1)[:, None] == np.delete(joint.v, i, axis=1)).all(axis=2)
        expected += np.log(joint.p_visible / (same @ joint.p_visible))
    assert_allclose(pseudo_log_likelihood(joint.v, MACHINE), expected, rtol=1e-12)


@equation("rbm-conditionals")
def rbm_conditionals():
    """Ratios of listed probabilities."""
    joint = Joint(MACHINE)
    given_v = joint.p @ joint.h / joint.p_visible[:, None]
    assert_allclose(hidden_probabilities(joint.v, MACHINE), given_v, rtol=1e-12)
    given_h = joint.p.T @ joint.v / joint.p.sum(axis=0)[:, None]
    assert_allclose(visible_probabilities(joint.h, MACHINE), given_h, rtol=1e-12)


def mean_step(n_updates, restart, rule, n_chains=6):
    """Mean, and its standard error, of the weights' step per unit of learning rate."""
    rate, rng = 2.0**-6, np.random.Generator(np.random.SFC64(0))
    steps = []
    for _ in range(n_updates):
        chains = restart(rng, n_chains)
        update = ContrastiveUpdate(MACHINE, rule, len(DATA), chains, np.zeros(4), np.zeros(3))
        update.batch(len(DATA))[:] = update.centered(DATA)
        before = update.parameters.components
        with np.errstate(**QUIET):
            update.update(len(DATA), rate, rng)
        steps.append((update.parameters.components - before) / rate)
    return np.mean(steps, axis=0), np.std(steps, axis=0) / np.sqrt(n_updates)


@equation("rbm-gradient")
def rbm_gradient():
    """With chains that start in equilibrium, the mean update is the slope of the likelihood."""
    joint = Joint(MACHINE)
    p_hidden = joint.p.sum(axis=0).astype(float)

    def equilibrium(rng, n):
        return joint.h[rng.choice(len(joint.h), size=n, p=p_hidden / p_hidden.sum())]

    mean, error = mean_step(1000, equilibrium, UpdateRule())
    truth = slope_in_weights(mean_log_probability)
    assert (np.abs(mean - truth) < 4.5 * error + 1e-4).all()  # twelve means; float32 rounding


@equation("rbm-cd-update")
def rbm_cd_update():
    """The mean CD-1 update, from the list of all ways a Gibbs step can go."""
    joint = Joint(MACHINE)
    up = (joint.p / joint.p_visible[:, None]).astype(float)  # p(h | v), all pairs
    down = (joint.p / joint.p.sum(axis=0)).T.astype(float)  # p(v | h)
    where = [int(np.flatnonzero((joint.v == row).all(axis=1))[0]) for row in DATA]
    after = (up @ down)[where].mean(axis=0)  # of the visible units, one step from the data
    truth = data_phase() - ((up @ joint.h) * after[:, None]).T @ joint.v

    def anywhere(rng, n):
        return rng.integers(0, 2, size=(n, 3))

    mean, error = mean_step(1000, anywhere, UpdateRule(persistent=False))
    assert (np.abs(mean - truth) < 4.5 * error + 1e-4).all()


@equation("rbm-ais")
def rbm_ais():
    """Means of the weights of both directions, from listed rows, within five standard errors; the
    mean logarithms on either side; their joint estimate within five times its jackknife error."""
    rng, n, joint = np.random.default_rng(0), 20_000, Joint(MACHINE)
    path = Path(MACHINE, np.array([0.5, -1.0, 0.0, 2.0]))
    log_ratio = joint.log_partition - path.log_partition_base
    betas = np.array([0.0, 0.3, 1.0])
    rows = joint.v[rng.choice(len(joint.v), n, p=joint.p_visible)]
    up = path.log_weights(path.draw_base(n, rng), betas, rng)
    down = path.log_weights(rows, betas[::-1], rng)
    for weights in (np.exp(up - log_ratio), np.exp(down + log_ratio)):
        assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(n)
    assert up.mean() < log_ratio < -down.mean()
    found = log_partition(MACHINE, DATA.mean(axis=0), rng, max_exact_units=0)
    assert abs(found.value - joint.log_partition) < 5 * found.standard_error


@mistake("rbm-energy-without-partition")
def rbm_energy_without_partition():
    """Lower energy on the data is not higher likelihood: the gradient of log Z is missing."""
    right = data_phase() - exact_moments(MACHINE).product
    return right, data_phase(), slope_in_weights(mean_log_probability)


@mistake("rbm-phases-swapped")
def rbm_phases_swapped():
    """Energy up at the data and down at the model's own rows: a step that unlearns."""
    model = exact_moments(MACHINE).product
    truth = slope_in_weights(mean_log_probability)
    return data_phase() - model, model - data_phase(), truth


@mistake("ebm-gradient-of-z")
def ebm_gradient_of_z():
    """The gradient of Z is Z times that of log Z."""
    model = exact_moments(MACHINE).product
    wrong = model * np.exp(exact_log_partition(MACHINE))
    return model, wrong, slope_in_weights(lambda p: Joint(p).log_partition)


@mistake("rbm-phases-of-different-counts")
def rbm_phases_of_different_counts():
    """A short last mini-batch of two rows against eight chains, both sums divided by two."""
    short, joint = DATA[:2], Joint(MACHINE)
    chains = 8  # in equilibrium, so that their mean is the model's
    model_sum = chains * (joint.h.T @ joint.p.T @ joint.v)
    right = data_phase(short) - model_sum / chains
    wrong = (data_phase(short) * len(short) - model_sum) / len(short)
    return right, wrong, slope_in_weights(lambda p: mean_log_probability(p, short))


@mistake("nce-preferred-for-z")
def nce_preferred_for_z():
    """CD-1 needs no Z: its step from sigmoids is that from ratios of masses of any scale."""
    joint = Joint(MACHINE)
    p_h = hidden_probabilities(DATA, MACHINE)
    on = np.prod(np.where(joint.h, p_h[:, None, :], 1 - p_h[:, None, :]), axis=2)  # rows, hidden
    p_v = visible_probabilities(joint.h, MACHINE)
    visible = np.prod(np.where(joint.v[:, None], p_v, 1 - p_v), axis=2)  # visible, hidden
    after = np.mean(on @ visible.T, axis=0)
    model = np.einsum("s,sj,si->ji", after, hidden_probabilities(joint.v, MACHINE), joint.v)
    mass = 1000 * np.exp(joint.log_mass.astype(float))
    where = [int(np.flatnonzero((joint.v == row).all(axis=1))[0]) for row in DATA]
    hidden_given = mass / mass.sum(axis=1, keepdims=True)
    moved = np.mean(hidden_given[where], axis=0) @ (mass / mass.sum(axis=0)).T
    unit_given = hidden_given @ joint.h
    first = unit_given[where].T @ DATA / len(DATA)
    truth = first - np.einsum("s,sj,si->ji", moved, unit_given, joint.v)
    return data_phase() - model, data_phase() - exact_moments(MACHINE).product, truth


@mistake("rbm-cd-called-the-gradient")
def rbm_cd_called_the_gradient():
    """The mean CD-1 step: the model phase one Gibbs step away from the data."""
    joint = Joint(MACHINE)
    p_h = joint.p / joint.p_visible[:, None]  # given v, all hidden states
    where = [int(np.flatnonzero((joint.v == row).all(axis=1))[0]) for row in DATA]
    p_v = joint.p / joint.p.sum(axis=0)  # given h, all visible states
    after = np.mean([p_v @ p_h[i] for i in where], axis=0)
    model = np.einsum("s,sj,si->ji", after, hidden_probabilities(joint.v, MACHINE), joint.v)
    right = data_phase() - exact_moments(MACHINE).product
    return right, data_phase() - model, slope_in_weights(mean_log_probability)
