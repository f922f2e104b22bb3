"""
Contrastive divergence beside noise-contrastive estimation
==========================================================

Four ways to fit a model whose normaliser is a sum over :math:`2^d` states: maximum likelihood,
which lists them; CD-1 and PCD, which take a Gibbs step per update; and noise-contrastive
estimation (NCE), which tells data from coins and has no chain at all. All states can be listed
here, so that every error in the figure is exact.
"""

import time
import warnings
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from sklearn.exceptions import ConvergenceWarning

from skgm import BernoulliRBMCD, NCEDensity

COLORS = {"maximum likelihood": "k", "CD-1": "C0", "PCD": "C1", "NCE": "C3"}


def timed(function, *args):
    start = time.process_time()
    return function(*args), time.process_time() - start


def drawn(states, log_phi, n, rng):
    """Rows of the model, exactly, and its log-probabilities."""
    log_p = log_phi - logsumexp(log_phi)
    return states[rng.choice(len(states), size=n, p=np.exp(log_p))], log_p


# %%
# A fully visible Boltzmann machine: the log-probability is linear in its 21 parameters.
d, (left, right) = 6, np.triu_indices(6, 1)
spins = np.array(list(product([0.0, 1.0], repeat=d)))
truth = np.random.default_rng(0).normal(-0.2, 0.8, d + len(left))


def features(X, theta=None):
    return np.column_stack([X, X[:, left] * X[:, right]])


def log_phi(X, theta):
    return features(X) @ theta


def by_likelihood(X):
    listed, observed = features(spins), features(X).mean(axis=0)

    def minus(theta):
        log_z = logsumexp(listed @ theta)
        return log_z - observed @ theta, np.exp(listed @ theta - log_z) @ listed - observed

    return minimize(minus, np.zeros_like(truth), jac=True).x


def by_chains(X, persistent, n_updates, rng):
    """CD-1 on visible units: one sweep from the batch, or from where the chains were (PCD)."""
    theta, chains = np.zeros_like(truth), X[:100]
    for k in range(n_updates):
        batch = X[rng.integers(len(X), size=100)]
        model, J = np.array(chains if persistent else batch), np.zeros((d, d))
        J[left, right] = J[right, left] = theta[d:]
        for i in range(d):
            model[:, i] = rng.random(100) < expit(theta[i] + model @ J[i])
        rate = 0.5 * (1 - k / n_updates)
        theta = theta + rate * (features(batch).mean(axis=0) - features(model).mean(axis=0))
        chains = model
    return theta


def by_noise(X):
    start = np.zeros_like(truth)
    density = NCEDensity(log_phi=log_phi, gradient=features, theta0=start, random_state=0).fit(X)
    return np.array(list(density.params_.values()))[:-1]


updates, visible = [30, 100, 300, 1000], {}
for seed in range(15):
    rng = np.random.default_rng(seed)
    X, log_p = drawn(spins, log_phi(spins, truth), 2000, rng)
    runs = {("maximum likelihood", 0): timed(by_likelihood, X), ("NCE", 0): timed(by_noise, X)}
    for k in updates:
        runs["CD-1", k] = timed(by_chains, X, False, k, rng)
        runs["PCD", k] = timed(by_chains, X, True, k, rng)
    for key, run in runs.items():
        visible.setdefault(key, []).append(run)

print(f"{'method':20s} {'updates':>7s} {'bias':>6s} {'sd':>6s} {'seconds':>8s}")
points = {}
for (name, k), found in visible.items():
    errors = np.array([theta for theta, _ in found]) - truth
    seconds = np.mean([s for _, s in found])
    variance = errors.var(axis=0, ddof=1).mean()
    bias = np.sqrt(max((errors.mean(axis=0) ** 2).mean() - variance / len(errors), 0))
    points.setdefault(name, []).append((seconds, np.sqrt((errors**2).mean()), bias))
    print(f"{name:20s} {k or '':>7} {bias:6.3f} {np.sqrt(variance):6.3f} {seconds:8.3f}")

# %%
# A small restricted Boltzmann machine, told from noise through its free energy. Hidden units can
# change places, so that parameters cannot be compared; the divergence from the truth can.
d, k = 10, 3
units = np.array(list(product([0.0, 1.0], repeat=d)))
rng = np.random.default_rng(0)
W = rng.normal(0, 2, (d, k))
machine = np.concatenate([W.ravel(), rng.normal(0, 0.3, d) - W.sum(axis=1) / 2, -W.sum(axis=0) / 2])


def parts(theta):
    return theta[: d * k].reshape(d, k), theta[d * k : -k], theta[-k:]


def minus_free_energy(X, theta):
    W, b, c = parts(theta)
    return X @ b + np.logaddexp(0, c + X @ W).sum(axis=1)


def slope(X, theta):
    W, _, c = parts(theta)
    h = expit(c + X @ W)
    return np.hstack([(X[:, :, None] * h[:, None]).reshape(len(X), -1), X, h])


def rbm_by_noise(X, seed):
    mean = X.mean(axis=0)
    start = np.random.default_rng(seed).normal(0, 0.3, d * k)
    theta0 = np.concatenate([start, np.log(mean / (1 - mean)), np.zeros(k)])
    model = NCEDensity(log_phi=minus_free_energy, gradient=slope, theta0=theta0, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of log Z where the tail is heavy
        return model.fit(X)


hidden = {}
for seed in range(5):
    rng = np.random.default_rng(seed)
    X, log_p = drawn(units, minus_free_energy(units, machine), 2000, rng)
    fits = {"NCE": timed(rbm_by_noise, X, seed)}
    fits["maximum likelihood"] = timed(BernoulliRBMCD(k, method="exact", random_state=seed).fit, X)
    for method, n_iter in product(["cd", "pcd"], [1, 4, 16, 64]):
        rbm = BernoulliRBMCD(k, method=method, n_iter=n_iter, random_state=seed)
        fits["CD-1" if method == "cd" else "PCD", n_iter] = timed(rbm.fit, X)
    for key, (density, seconds) in fits.items():
        divergence = np.exp(log_p) @ (log_p - density.score_samples(units))
        hidden.setdefault(key, []).append((seconds, divergence))
density = fits["NCE"][0]
theta = np.array(list(density.params_.values()))[:-1]
exact = logsumexp(minus_free_energy(units, theta))
print(f"\nlog Z of the last machine: {density.log_normalizer_:.4f} from noise, {exact:.4f} listed")

# %%
# Left: the error of a parameter against the time of a fit, and the part of it that is bias. Chains
# need hundreds of updates to lose their bias, and then arrive at the error of maximum likelihood;
# NCE is next to it in one go, with a standard error for each parameter and for log Z. Right: with
# hidden units its objective is no longer convex: it takes longest and gains nothing over chains.
fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
for name, color in COLORS.items():
    seconds, error, bias = np.transpose(points[name])
    axes[0].loglog(seconds, error, "o-", color=color, label=name)
    axes[0].loglog(seconds, np.maximum(bias, 0.004), "v:", color=color, mfc="w")
    keys = [key for key in hidden if key == name or key[0] == name]
    middle = np.array([np.median(hidden[key], axis=0) for key in keys])
    axes[1].loglog(*np.concatenate([hidden[key] for key in keys]).T, ".", color=color, alpha=0.4)
    axes[1].loglog(*middle.T, "o-", color=color, label=name)
axes[0].set(title="Visible units: error (o) and its bias (v)", ylabel="root mean squared error")
axes[1].set(title="With hidden units", ylabel="divergence from the truth, nats per row")
for axis in axes:
    axis.set(xlabel="seconds per fit")
axes[1].legend(frameon=False)
plt.show()
