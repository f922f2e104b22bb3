"""Linear critics: statistics, units, noise, separation and telescoping, own models."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from scipy.special import expit, logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer

from skgm import NCEDensity
from skgm._numerics.distributions import BernoulliNoise, GaussianMixtureNoise, UniformNoise
from skgm.nce._parametric import draw_noise, fit_parametric_critic
from skgm.nce._statistics import is_linear_critic, make_statistics, own_model


def gaussian(mean, covariance):
    mean = np.atleast_1d(np.asarray(mean, dtype=float))
    factor = np.linalg.cholesky(np.atleast_2d(covariance))
    return GaussianMixtureNoise(np.ones(1), mean[None], factor[None])


@pytest.fixture(scope="module")
def table():
    return np.random.default_rng(0).normal([1.0, 100.0], [1.0, 3.0], size=(2000, 2))


def fit(critic, X, noise, ratio=1.0, weight=None, seed=0, **options):
    rng = np.random.default_rng(seed)
    columns = [f"x{j}" for j in range(X.shape[1])]
    form = make_statistics(critic, X, weight, columns, rng)
    return fit_parametric_critic(X, weight, noise, form, noise_ratio=ratio, rng=rng, **options)


def matched(X):
    return gaussian(X.mean(axis=0), np.cov(X.T, bias=True))


def test_quadratic_is_close_to_maximum_likelihood_in_units_of_x(table):
    critic = fit("quadratic", table, matched(table))
    precision = np.linalg.inv(np.cov(table.T, bias=True))
    mean = table.mean(axis=0)
    natural = [*precision @ mean, -precision[0, 0] / 2, -precision[0, 1], -precision[1, 1] / 2]
    logdet = np.linalg.slogdet(precision)[1]
    log_z = 0.5 * mean @ precision @ mean - 0.5 * logdet + np.log(2 * np.pi)
    truth, errors = [*natural, log_z], np.sqrt(np.diag(critic.covariance("model").matrix))
    # scrambled nets: the noise adds less than a fifth of a standard error to the MLE's own
    assert np.abs((critic.reported - truth) / errors).max() < 0.5
    assert critic.names == ["x0", "x1", "x0^2", "x0 x1", "x1^2", "log_normalizer"]
    assert critic.separation > 0.99


@pytest.mark.parametrize(
    "critic",
    ["linear", "quadratic", "poly3", "poly4", "rff", SplineTransformer(include_bias=False), np.abs],
    ids=str,
)
def test_ratio_density_and_gradient_agree(critic, table):
    found = fit(critic, table, matched(table))
    at = table[:5]
    log_q = found.noise.log_density(at)
    assert_allclose(found.log_density(at) - log_q, found.log_ratio(at), rtol=1e-9, atol=1e-9)
    step = 1e-4 * np.eye(2)
    numeric = np.stack(
        [(found.log_density(at + h) - found.log_density(at - h)) / 2e-4 for h in step], axis=1
    )
    assert_allclose(found.score_function(at), numeric, rtol=1e-3, atol=1e-4)


def test_density_integrates_to_one():
    X = np.random.default_rng(1).normal(2.0, 0.5, size=(3000, 1))
    grid = np.linspace(-1, 5, 2001)[:, None]
    for critic in ("quadratic", "poly4", "rff", lambda x: np.hstack([x, x**2])):
        found = fit(critic, X, gaussian(2.1, 0.4), ratio=4)
        total = np.trapezoid(np.exp(found.log_density(grid)), grid[:, 0])
        assert_allclose(total, 1, atol=0.02)


def test_statistics_are_recognized(table):
    from sklearn.linear_model import LogisticRegression

    assert is_linear_critic("quadratic")
    assert is_linear_critic("rff")
    assert is_linear_critic(np.abs)
    assert is_linear_critic(PolynomialFeatures())
    assert not is_linear_critic(LogisticRegression())
    assert not is_linear_critic("auto")
    poly = make_statistics(PolynomialFeatures(include_bias=False), table, None, ["a", "b"], None)
    assert poly.names == ["a", "b", "a^2", "a b", "b^2"]
    with pytest.raises(ValueError, match="include_bias"):
        make_statistics(PolynomialFeatures(), table, None, ["a", "b"], None)
    with pytest.raises(ValueError, match="non-finite"):
        make_statistics(lambda x: np.where(x > 2, np.nan, x), table, None, ["a", "b"], None)
    with pytest.raises(ValueError, match="shape"):
        make_statistics(lambda x: x[:3], table, None, ["a", "b"], None)
    with pytest.raises(ValueError, match="critic must be one of"):
        make_statistics("cubic", table, None, ["a", "b"], None)
    with pytest.raises(ValueError, match="statistics"):
        make_statistics("poly4", np.random.default_rng(0).normal(size=(50, 30)), None, [], None)


def test_columns_of_few_values_get_no_collinear_powers():
    X = np.random.default_rng(0).integers(0, 2, size=(300, 3)).astype(float)
    form = make_statistics("quadratic", X, None, ["a", "b", "c"], None)
    assert form.names == ["a", "b", "c", "a b", "a c", "b c"]


def test_noise_rows():
    noise, rng = gaussian(0.0, 1.0), np.random.default_rng(0)
    rows = draw_noise(noise, 500, "auto", rng)
    assert rows.scramble is not None
    assert 500 <= len(rows.X) < 1000
    assert draw_noise(noise, 500, "iid", rng).scramble is None

    class Plain:
        def sample(self, n, rng):
            return rng.normal(size=(n, 1))

    assert len(draw_noise(Plain(), 70.4, "auto", rng).X) == 70
    with pytest.raises(ValueError, match="inverse map"):
        draw_noise(Plain(), 70, "qmc", rng)


def test_rows_outside_the_noise_are_refused():
    X = np.linspace(0, 3, 40)[:, None]
    with pytest.raises(ValueError, match="Row 27 of X lies where the noise has no density"):
        fit("quadratic", X, UniformNoise(np.zeros(1), np.full(1, 2.05)))


def test_far_noise_is_answered_by_telescoping():
    """128 nats; five standard errors of one run."""
    X = np.random.default_rng(3).normal(16.0, size=(5000, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        critic = fit("linear", X, gaussian(0.0, 1.0))
    assert critic.separation < 0.02
    assert len(critic.bridges.bridges) > 5
    error = np.sqrt(critic.covariance("model").matrix[0, 0])
    assert abs(critic.coef[0] - 16) < 5 * error < 2
    assert critic.bridges.overlap > 0.5


def test_weights_across_bridges():
    """Whole ones are repetitions; halves are half as many rows, with twice the variance."""
    X, noise = np.random.default_rng(3).normal(9.0, size=(1500, 1)), gaussian(0.0, 1.0)
    times = np.random.default_rng(4).integers(0, 3, size=1500)
    weighted = fit("linear", X, noise, weight=times.astype(float))
    repeated = fit("linear", np.repeat(X, times, axis=0), noise)
    assert_allclose(weighted.theta, repeated.theta, rtol=1e-7)
    halves = fit("linear", X, noise, weight=np.full(1500, 0.5))
    ones = fit("linear", X, noise)
    ratio = halves.covariance("model").matrix[0, 0] / ones.covariance("model").matrix[0, 0]
    assert_allclose(ratio, 2, rtol=0.25)


def test_a_model_of_its_own_is_told_from_nearer_noise():
    """Its parameters do not depend on the noise, and its errors are nearly the MLE's."""
    X = np.random.default_rng(3).normal(16.0, size=(5000, 1))
    critic = fit("quadratic", X, gaussian(0.0, 1.0))
    assert critic.bridges is None
    assert critic.separation < 0.02
    errors = np.sqrt(np.diag(critic.covariance("model").matrix))
    assert_allclose(errors[1] / np.sqrt(0.5 / 5000), 1, atol=0.2)
    assert (np.abs(critic.reported[:2] - [16.0, -0.5]) < 4 * errors[:2]).all()
    at = X[:4]
    log_q = critic.noise.log_density(at)
    assert_allclose(critic.log_ratio(at), critic.log_density(at) - log_q, rtol=1e-12)
    narrow = np.random.default_rng(4).normal(0.0, 1e-3, size=(3000, 1))
    assert_allclose(fit("quadratic", narrow, gaussian(0.0, 1.0)).coef[1], -0.5e6, rtol=0.1)


@pytest.mark.parametrize("critic", ["linear", "quadratic"])
def test_a_density_far_from_its_noise_is_normalized_and_sampled(critic):
    """Against the truth, up to the error of a slope: .3 standard deviations of the data."""
    X = np.random.default_rng(3).normal(16.0, size=(4000, 1))
    density = NCEDensity(critic, stats.norm(), noise_ratio=1, random_state=0).fit(X)
    draws = density.sample(2000, random_state=0)
    assert abs(draws.mean() - 16) < 0.9
    assert abs(draws.std() - 1) < 0.1
    grid = np.linspace(9, 23, 1001)[:, None]
    total = np.trapezoid(np.exp(density.score_samples(grid)), grid[:, 0])
    assert_allclose(total, 1, atol=4 * 0.01)


def test_hopeless_separation_warns_and_refuses_inference():
    X = np.random.default_rng(0).normal(50.0, size=(12, 2))
    with pytest.warns(ConvergenceWarning, match="almost without error"):
        critic = fit("quadratic", X, gaussian([0.0, 0.0], np.eye(2)))
    assert np.isfinite(critic.log_density(X)).all()
    with pytest.raises(ValueError, match="ridge"):
        critic.covariance("model")


def test_pickle_keeps_all_but_the_rows(table):
    critic = fit("quadratic", table, matched(table))
    copy = pickle.loads(pickle.dumps(critic))
    assert copy.contrast is None
    assert_allclose(copy.log_density(table), critic.log_density(table), rtol=0)
    assert_allclose(copy.covariance("robust").matrix, critic.covariance("robust").matrix, rtol=0)


STATES = np.array(list(itertools.product([0.0, 1.0], repeat=4)))


def draw_states(log_phi, n, rng):
    p = np.exp(log_phi - logsumexp(log_phi))
    return STATES[rng.choice(len(STATES), size=n, p=p)]


def pairwise(X, theta):
    pairs = [X[:, i] * X[:, j] for i, j in itertools.combinations(range(4), 2)]
    return X @ theta[:4] + np.stack(pairs, axis=1) @ theta[4:]


def fit_own(log_phi, X, theta0, gradient=None, ratio=5.0):
    rng = np.random.default_rng(5)
    model = own_model(log_phi, theta0, gradient, X, differentiable=False)
    noise = BernoulliNoise(X.mean(axis=0))
    return fit_parametric_critic(X, None, noise, model, noise_ratio=ratio, rng=rng)


def test_ising_model_by_enumeration():
    """Own model, numerical gradient: parameters and log Z within 4 standard errors."""
    rng = np.random.default_rng(0)
    theta = np.array([0.5, -0.5, 0.2, -1.0, 1.0, 0.0, -0.7, 0.4, 0.8, 0.0])
    X = draw_states(pairwise(STATES, theta), 3000, rng)
    critic = fit_own(pairwise, X, np.zeros(10))
    errors = np.sqrt(np.diag(critic.covariance("model").matrix))
    truth = [*theta, logsumexp(pairwise(STATES, theta))]
    assert (np.abs(critic.reported - truth) < 4 * errors).all()
    assert errors.max() < 0.4
    # at its own estimate the constant agrees with enumeration far better than with the truth
    own = logsumexp(pairwise(STATES, critic.coef))
    assert abs(critic.log_normalizer - own) < 0.05
    linear = fit(
        lambda x: np.stack([pairwise(x, e) for e in np.eye(10)], axis=1),
        X,
        BernoulliNoise(X.mean(axis=0)),
        ratio=5.0,
    )
    errors_of_linear = np.sqrt(np.diag(linear.covariance("model").matrix))
    assert_allclose(errors_of_linear, errors, rtol=0.1)


def free_energy(X, theta):
    W, b, c = theta[:4], theta[4:8], theta[8]
    return X @ b + np.logaddexp(0, c + X @ W)


def free_energy_gradient(X, theta):
    h = 1 / (1 + np.exp(-(theta[8] + X @ theta[:4])))
    return np.column_stack([h[:, None] * X, X, h])


def test_rbm_free_energy_by_enumeration():
    """One hidden unit; the weights are known up to h -> 1 - h, the density is not."""
    rng = np.random.default_rng(1)
    theta = np.array([3.0, -3.0, 2.5, 2.0, -1.0, 1.0, -1.0, -0.5, -1.0])
    X = draw_states(free_energy(STATES, theta), 5000, rng)
    start = theta + rng.normal(scale=0.3, size=9)
    critic = fit_own(free_energy, X, start, free_energy_gradient)
    assert critic.fit.converged
    own = logsumexp(free_energy(STATES, critic.coef))
    errors = np.sqrt(np.diag(critic.covariance("model").matrix))
    assert abs(critic.log_normalizer - own) < 0.05
    assert abs(critic.log_normalizer - logsumexp(free_energy(STATES, theta))) < 4 * errors[-1]
    truth = free_energy(STATES, theta) - logsumexp(free_energy(STATES, theta))
    assert np.abs(np.exp(critic.log_density(STATES)) - np.exp(truth)).max() < 0.02


def test_the_gradient_of_either_side_of_a_kink_is_right():
    """|x - theta|, with rows nearer to theta than the step of the differences, on both sides."""
    X = np.array([[0.5 - 1e-6], [0.5 + 1e-6], [0.5], [2.0]])

    def distance(X, theta):
        return -np.abs(X[:, 0] - theta[0])

    def slope(X, theta):
        return np.where(theta[0] <= X, 1.0, -1.0)

    model = own_model(distance, [0.5], slope, X)
    assert_array_equal(model.gradient(X, model.start)[:, 0], [-1, 1, 1, 1])
    with pytest.raises(ValueError, match=r"disagrees .* at row 0"):
        own_model(distance, [0.5], lambda X, theta: 1.1 * slope(X, theta), X)


def test_own_models_are_checked():
    X = np.random.default_rng(0).normal(size=(50, 1))

    def log_phi(X, theta):
        return -theta[0] * X[:, 0] ** 2

    assert own_model(log_phi, {"precision": 1.0}, None, X).names == ["precision"]
    with pytest.raises(ValueError, match="theta0"):
        own_model(log_phi, None, None, X)
    with pytest.raises(ValueError, match="vector of finite"):
        own_model(log_phi, [np.nan], None, X)
    with pytest.raises(ValueError, match="one number per row"):
        own_model(lambda X, theta: X, [1.0], None, X)
    with pytest.raises(ValueError, match="not finite at theta0"):
        own_model(lambda X, theta: np.full(len(X), np.inf), [1.0], None, X)
    with pytest.raises(ValueError, match="disagrees with differences"):
        own_model(log_phi, [1.0], lambda X, theta: X**2, X)
    with pytest.raises(ValueError, match="disagrees with differences"):
        own_model(log_phi, [1.0], lambda X, theta: np.full_like(X, np.nan), X)
    for words in (["a"], {"a": "b"}):
        with pytest.raises(ValueError, match="theta0 must be a vector"):
            own_model(log_phi, words, None, X)
    with pytest.raises(ValueError, match="one column per parameter"):
        own_model(log_phi, [1.0], lambda X, theta: X[:, 0] ** 2, X)


def test_a_kink_does_not_stop_the_search():
    """The location of a Laplace distribution: its score jumps at every row."""
    X = np.random.default_rng(0).laplace(3.0, size=(2000, 1))
    model = own_model(lambda X, theta: -np.abs(X[:, 0] - theta[0]), [2.0], None, X)
    rng = np.random.default_rng(1)
    critic = fit_parametric_critic(X, None, gaussian(3.0, 2.5), model, noise_ratio=4, rng=rng)
    error = np.sqrt(critic.covariance("model").matrix[0, 0])
    assert abs(critic.coef[0] - 3) < 4 * error
    assert error < 1.5 / np.sqrt(2000)  # the median's: one over the root of n
    assert abs(critic.log_normalizer - np.log(2)) < 0.1


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.3])
def test_a_hidden_unit_is_found_from_poor_starts(spread):
    """As good as from the truth; undamped, most of these starts end thousands of nats below."""
    rng = np.random.default_rng(1)
    theta = np.array([3.0, -3.0, 2.5, 2.0, -1.0, 1.0, -1.0, -0.5, -1.0])
    X = draw_states(free_energy(STATES, theta), 5000, rng)
    best = fit_own(free_energy, X, theta, free_energy_gradient).fit.objective
    for _ in range(4):
        start = spread * rng.normal(size=9)
        found = fit_own(free_energy, X, start, free_energy_gradient).fit
        assert found.converged
        assert abs(found.objective - best) * len(X) < 0.05


def exponential(X, theta):
    return np.where((X[:, 0] >= 0) & (X[:, 0] < 4), -theta[0] * X[:, 0], -np.inf)


@pytest.mark.parametrize("gradient", [None, lambda X, theta: -X])
def test_outside_the_support_of_a_model_nothing_is_learned(gradient):
    """An exponential distribution cut at 4, from noise that reaches beyond it on both sides."""
    X = np.random.default_rng(0).exponential(size=(3000, 1))
    X = X[X[:, 0] < 4]
    density = NCEDensity(
        log_phi=exponential,
        theta0={"rate": 0.5},
        gradient=gradient,
        noise="uniform",
        random_state=0,
    ).fit(X)
    assert abs(density.params_["rate"] - 1) < 4 * density.standard_errors()["rate"]
    log_z = np.log1p(-np.exp(-4 * density.params_["rate"])) - np.log(density.params_["rate"])
    assert abs(density.log_normalizer_ - log_z) < 4 * density.log_normalizer_se_
    assert np.isneginf(density.score_samples([[-0.1], [4.1]])).all()


def test_what_goes_wrong_away_from_the_start_is_told():
    X = np.random.default_rng(0).exponential(size=(300, 1))
    options = {"noise": stats.expon(0, 2), "random_state": 0}
    with pytest.raises(ValueError, match=r"log_phi is nan at theta0 and the noise row \["):
        NCEDensity(
            log_phi=lambda X, theta: np.where(X[:, 0] < 0, np.nan, -theta[0] * X[:, 0]),
            theta0=[1.0],
            noise="gaussian",
        ).fit(X)
    cubed = {"log_phi": lambda X, theta: -(theta[0] ** 3) * X[:, 0], "theta0": [0.5]}
    with pytest.raises(ValueError, match="disagrees with differences"):
        NCEDensity(**cubed, gradient=lambda X, theta: -0.75 * X, **options).fit(X)

    def breaks(X, theta):
        return -X * (1.0 if theta[0] == 0.5 else np.nan)

    with pytest.raises(ValueError, match="not finite at theta"):
        NCEDensity(
            log_phi=lambda X, theta: -theta[0] * X[:, 0], theta0=[0.5], gradient=breaks, **options
        ).fit(X)


def test_two_parameters_of_one_name_are_refused():
    rows = np.random.default_rng(0).normal(size=(100, 3))
    frame = pd.DataFrame(rows, columns=["a", "b", "a b"])
    with pytest.raises(ValueError, match="Two parameters would be named 'a b'"):
        NCEDensity("quadratic", random_state=0).fit(frame)
    frame.columns = ["a", "b", "log_normalizer"]
    with pytest.raises(ValueError, match="named 'log_normalizer'"):
        NCEDensity("quadratic", random_state=0).fit(frame)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_parameters_may_be_in_odd_units(unit):
    X = unit * np.random.default_rng(0).exponential(size=(1000, 1))
    density = NCEDensity(
        log_phi=lambda X, theta: -theta[0] * X[:, 0],
        theta0={"rate": 0.3 / unit},
        noise=stats.expon(0, 2 * unit),
        random_state=0,
    ).fit(X)
    error = density.standard_errors()["rate"]
    assert abs(density.params_["rate"] - 1 / unit) < 4 * error
    assert error < 0.05 / unit  # maximum likelihood: one over the root of n


@pytest.mark.slow
def test_three_hidden_units_are_found_from_small_random_weights():
    """As good as from the truth; scaled by the first curvature alone, this start fails."""
    rng = np.random.default_rng(1)
    states = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    W = rng.choice([-1.6, 1.6], (3, 8)) * rng.uniform(0.5, 1.5, (3, 8))
    truth = np.hstack([-W.sum(0) / 2, -W.sum(1) / 2, W.ravel()])

    def log_phi(V, theta):
        b, c, W = np.split(theta, [8, 11])
        on = np.logaddexp(0, V @ W.reshape(3, 8).T + c) - np.logaddexp(0, c)
        return V @ b + on.sum(axis=1)

    def gradient(V, theta):
        c, W = theta[8:11], theta[11:].reshape(3, 8)
        on = expit(V @ W.T + c)
        return np.hstack([V, on - expit(c), (on[..., None] * V[:, None]).reshape(len(V), -1)])

    log_p = log_phi(states, truth) - logsumexp(log_phi(states, truth))
    X = states[rng.choice(256, size=4000, p=np.exp(log_p))]
    starts = truth, 0.01 * rng.normal(size=35), rng.normal(size=35)
    heights = [fit_own(log_phi, X, start, gradient).fit.objective for start in starts]
    assert_allclose(heights, heights[0], atol=1e-6)
