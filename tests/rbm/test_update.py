"""The update kernel against enumeration of every state of a tiny machine."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgm.rbm._energy import RBMParameters
from skgm.rbm._update import QUIET, ContrastiveUpdate, UpdateRule

M, K = 4, 3


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(**QUIET):
        yield


RATE = 2.0**-6  # a power of two: dividing the step by it loses no digit


def machine(m=M, k=K, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return RBMParameters(
        scale * rng.standard_normal((k, m)),
        scale * rng.standard_normal(k),
        scale * rng.standard_normal(m),
    )


def states(d):
    return np.array(list(itertools.product([0.0, 1.0], repeat=d)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bernoulli(outcomes, p):
    """Probability of each outcome (s, d) under each row of p (n, d): (n, s)."""
    return np.prod(np.where(outcomes[None] == 1, p[:, None], 1 - p[:, None]), axis=2)


def hidden(v, p):
    return sigmoid(v @ p.components.T + p.intercept_hidden)


def visible(h, p):
    return sigmoid(h @ p.components + p.intercept_visible)


def gibbs_matrix(p):
    """Probability of each visible state after one step from each visible state."""
    up = bernoulli(states(p.n_hidden), hidden(states(p.n_visible), p))
    return up @ bernoulli(states(p.n_visible), visible(states(p.n_hidden), p))


def moments(shares, p):
    """<v h'>, <h>, <v> under a distribution over visible states, stacked as one matrix."""
    v = states(p.n_visible)
    ones = np.ones((len(v), 1))
    return (np.hstack([v, ones]) * shares[:, None]).T @ np.hstack([hidden(v, p), ones])


def shares_of(rows):
    codes = (rows @ 2 ** np.arange(rows.shape[1])[::-1]).astype(int)
    return np.bincount(codes, minlength=2 ** rows.shape[1]) / len(rows)


def stationary(p):
    v, h = states(p.n_visible), states(p.n_hidden)
    log_p = (h @ p.components @ v.T) + (h @ p.intercept_hidden)[:, None] + v @ p.intercept_visible
    joint = np.exp(log_p - log_p.max())
    return joint.sum(axis=0) / joint.sum()


def kernel(p, rule, batch_size=8, n_chains=8, centers=None, seed=0):
    center_visible, center_hidden = centers or (np.zeros(p.n_visible), np.zeros(p.n_hidden))
    chains = np.random.default_rng(seed).integers(0, 2, size=(n_chains, p.n_hidden))
    return ContrastiveUpdate(p, rule, batch_size, chains, center_visible, center_hidden)


def as_matrix(p):
    """[[W', b], [c, 0]], the layout of `moments`."""
    top = np.column_stack([p.components.T, p.intercept_visible])
    return np.vstack([top, np.append(p.intercept_hidden, 0.0)])


def mean_steps(k, p, rows, n_updates, *, rate=RATE, before=None):
    """Mean and standard error of (step / rate), from the same parameters every time."""
    rng = np.random.Generator(np.random.SFC64(1))
    start = k.matrix.copy()
    centered = k.centered(rows)
    steps = np.empty((n_updates, *start.shape))
    for i in range(n_updates):
        k.matrix[:] = start
        if before is not None:
            before(k)
        k.batch(len(rows))[:] = centered
        k.update(len(rows), rate, rng)
        steps[i] = (start.astype(float) - k.matrix) / rate
    return steps.mean(axis=0), steps.std(axis=0) / np.sqrt(n_updates)


ROWS = np.random.default_rng(3).integers(0, 2, size=(5, M)).astype(float)


def assert_within_error(mean, error, truth):
    """Twenty entries, 4.5 standard errors; 1e-4 is the float32 rounding of a step."""
    assert (np.abs(mean - truth) < 4.5 * error + 1e-4).all()


@pytest.mark.parametrize("n_steps", [1, 2, 3])
@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_expected_step_of_cd_is_the_difference_of_moments(n_rows, n_steps):
    p = machine()
    data = shares_of(ROWS[:n_rows])
    model = data @ np.linalg.matrix_power(gibbs_matrix(p), n_steps)
    k = kernel(p, UpdateRule(persistent=False, n_gibbs_steps=n_steps))
    mean, error = mean_steps(k, p, ROWS[:n_rows], 1000)
    assert_within_error(mean, error, moments(data, p) - moments(model, p))


@pytest.mark.parametrize(("n_rows", "n_chains"), [(5, 3), (1, 8), (8, 1), (4, 4)])
def test_expected_step_from_exact_chains_is_the_likelihood_gradient(n_rows, n_chains):
    """Any number of rows against any number of chains: neither divides by the other's count."""
    p = machine()
    data = shares_of(np.resize(ROWS, (n_rows, M)))
    rng = np.random.default_rng(5)
    exact = stationary(p)

    def restart(k):
        v = states(M)[rng.choice(2**M, size=n_chains, p=exact)]
        k._state[:] = 1
        k.chains = rng.random((n_chains, K)) < hidden(v, p)

    k = kernel(p, UpdateRule(), n_chains=n_chains)
    mean, error = mean_steps(k, p, np.resize(ROWS, (n_rows, M)), 1000, before=restart)
    assert_within_error(mean, error, moments(data, p) - moments(exact, p))


def log_likelihood(matrix, rows):
    p = RBMParameters(matrix[:-1, :-1].T, matrix[-1, :-1], matrix[:-1, -1])
    return np.log(stationary(p))[(rows @ 2 ** np.arange(M)[::-1]).astype(int)].mean()


def test_difference_of_moments_is_the_gradient_of_the_likelihood():
    """What the test above compares with, against finite differences."""
    p = machine()
    matrix, step = as_matrix(p), 1e-5
    numeric = np.zeros_like(matrix)
    for index in np.ndindex(matrix.shape):
        shift = np.zeros_like(matrix)
        shift[index] = step
        up, down = (log_likelihood(matrix + s * shift, ROWS) for s in (1, -1))
        numeric[index] = (up - down) / (2 * step)
    assert_allclose(moments(shares_of(ROWS), p) - moments(stationary(p), p), numeric, atol=1e-9)


def test_persistent_chains_reach_the_model():
    """At rate 0, 6,000 updates of 32 chains; 4.5 standard errors, over blocks of 100 updates."""
    p = machine()
    k = kernel(p, UpdateRule(n_gibbs_steps=2), n_chains=32)
    rng = np.random.Generator(np.random.SFC64(2))
    k.batch(1)[:] = k.centered(ROWS[:1])
    shares = np.empty((6000, K))
    for i in range(len(shares)):
        k.update(1, 0.0, rng)
        shares[i] = k.chains.mean(axis=0)
    blocks = shares[100:].reshape(59, 100, K).mean(axis=1)
    truth = stationary(p) @ hidden(states(M), p)
    assert (np.abs(blocks.mean(axis=0) - truth) < 4.5 * blocks.std(axis=0) / np.sqrt(59)).all()
    assert set(np.unique(k.chains)) <= {0.0, 1.0}


def test_centering_is_the_gradient_in_shifted_units():
    """In the intercepts of v - mu and h - lambda, the step is the plain gradient there."""
    p = machine()
    mu, lam = np.array([0.2, 0.9, 0.5, 0.3]), np.array([0.5, 0.1, 0.7])
    data = shares_of(ROWS)
    model = data @ gibbs_matrix(p)
    k = kernel(p, UpdateRule(persistent=False), centers=(mu, lam))
    plain = kernel(p, UpdateRule(persistent=False))
    assert_allclose(as_matrix(k.parameters), as_matrix(plain.parameters), atol=1e-6)
    mean, error = mean_steps(k, p, ROWS, 1000)
    left, right = np.eye(M + 1), np.eye(K + 1)
    left[:-1, -1], right[-1, :-1] = -mu, -lam  # (v, 1) -> (v - mu, 1)
    assert_within_error(mean, error, left @ (moments(data, p) - moments(model, p)) @ right)


@pytest.mark.parametrize("probability", [1e-7, 3e-6, 1e-3, 0.2, 0.5, 0.9, 1 - 3e-6, 1.0])
def test_probabilities_are_kept_to_24_bits(probability):
    """All 2^24 outcomes of a draw, counted: the share of units that are on."""
    k = kernel(machine(1, 1), UpdateRule(), n_chains=2**15)
    inverse = np.full((2**16, 1), np.float32(1 / probability))

    class Bits:
        bit_generator = None

        def random_raw(self, size):
            words = np.zeros(size, dtype=np.uint64)
            words.view(np.uint16)[: 2**16] = np.arange(2**16)
            words[-1] = self.low
            return words

    source = Bits()
    source.bit_generator = source
    out, total = np.empty_like(inverse), 0
    for source.low in range(256):
        noise = k._draw_noise(inverse, inverse[:0], source)[0]
        k._draw(inverse, noise, np.zeros(1, np.float32), out)
        total += int(out.sum())
    # two levels of 2^-24 for the counting, three roundings of float32 for noise and odds
    assert abs(total / 2**24 - probability) <= 2 * 2.0**-24 + 3 * 2.0**-23 * probability
    if probability == 1.0:
        assert total == 2**24


def test_bits_of_different_units_are_independent():
    """Pairs of neighbors in one draw: 2e5 pairs, standard error of the share 0.001."""
    k = kernel(machine(2, 1), UpdateRule(), n_chains=2000)
    rng, out = np.random.Generator(np.random.SFC64(4)), np.empty((2000, 2), np.float32)
    both = 0.0
    for _ in range(100):
        noise = k._draw_noise(out, out[:0], rng)[0]
        k._draw(np.full((2000, 2), 2.0, np.float32), noise, np.zeros(2, np.float32), out)
        both += out.prod(axis=1).mean() / 100
    assert abs(both - 0.25) < 0.0045


def test_bits_drawn_ahead_are_of_different_updates():
    """Shapes that change between updates; neighbors in time, 2e5 pairs as above."""
    p, rng = machine(2, 1), np.random.Generator(np.random.SFC64(5))
    chains, centers = np.zeros((1000, 1)), (np.zeros(2), np.zeros(1))
    k = ContrastiveUpdate(p, UpdateRule(), 8, chains, *centers, draw_ahead=True)
    hidden_layer, out = np.empty((1000, 2), np.float32), np.empty((2, 1000, 2), np.float32)
    both = 0.0
    for _ in range(100):
        for part in out:
            noise, rest = k._draw_noise(part, hidden_layer, rng)
            k._draw(np.full((1000, 2), 2.0, np.float32), noise, np.zeros(2, np.float32), part)
            assert rest.shape == (1000, 2)
            assert not np.array_equal(noise, rest)
        both += out.prod(axis=0).mean() / 100
    assert abs(both - 0.25) < 0.0045


def test_the_column_of_ones_stays_one():
    """After thousands of noisy updates, with momentum, decay and sparsity as well."""
    rule = UpdateRule(momentum=0.5, sparsity_cost=0.1)
    k = kernel(machine(), rule, centers=(np.full(M, 0.4), np.full(K, 0.5)))
    k.weight_decay = 0.01
    rng = np.random.Generator(np.random.SFC64(0))
    for _ in range(3000):
        k.batch(5)[:] = k.centered(ROWS)
        k.update(5, 0.05, rng)
    assert np.isfinite(k.matrix).all()
    assert_allclose(k.matrix[-1, -1], -1e4, rtol=0.01)
    assert_array_equal(k._state[:, -1], 1.0)


def run(rule, n_updates=3, rate=0.1, rows=ROWS, weight_decay=0.0):
    k = kernel(machine(), rule)
    k.weight_decay = weight_decay
    rng = np.random.Generator(np.random.SFC64(0))
    path = [as_matrix(k.parameters)]
    for _ in range(n_updates):
        k.batch(len(rows))[:] = k.centered(rows)
        k.update(len(rows), rate, rng)
        path.append(as_matrix(k.parameters))
    return path


def test_momentum_adds_a_share_of_the_last_step():
    """The first step is plain; a second one at rate 0 repeats its share."""
    k = kernel(machine(), UpdateRule(momentum=0.5))
    rng = np.random.Generator(np.random.SFC64(0))
    path = [as_matrix(k.parameters)]
    for rate in (0.1, 0.0, 0.0):
        k.batch(5)[:] = k.centered(ROWS)
        k.update(5, rate, rng)
        path.append(as_matrix(k.parameters))
    assert_allclose(path[1], run(UpdateRule())[1], atol=1e-6)
    assert_allclose(path[2] - path[1], 0.5 * (path[1] - path[0]), atol=1e-6)
    assert_allclose(path[3] - path[2], 0.25 * (path[1] - path[0]), atol=1e-6)


def test_weight_decay_shrinks_weights_and_not_intercepts():
    plain, decayed = run(UpdateRule())[1], run(UpdateRule(), weight_decay=0.5)[1]
    start = as_matrix(machine())
    assert_allclose(decayed[:-1, :-1], plain[:-1, :-1] - 0.05 * start[:-1, :-1], atol=1e-6)
    assert_allclose(decayed[-1], plain[-1], atol=1e-6)
    assert_allclose(decayed[:, -1], plain[:, -1], atol=1e-6)


def test_sparsity_pulls_with_the_input_of_each_hidden_unit():
    rule = UpdateRule(sparsity_target=0.1, sparsity_cost=0.5)
    plain, sparse = run(UpdateRule())[1], run(rule)[1]
    mean = 0.1 + 0.1 * (hidden(ROWS, machine()).mean(axis=0) - 0.1)
    truth = 0.1 * 0.5 * np.outer(np.append(ROWS.mean(axis=0), 1), np.append(0.1 - mean, 0))
    assert_allclose(sparse - plain, truth, atol=1e-6)
