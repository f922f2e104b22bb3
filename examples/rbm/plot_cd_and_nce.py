"""
Contrastive divergence beside noise-contrastive estimation
==========================================================

A Boltzmann machine of six visible units is fitted by maximum likelihood (which lists all states),
by CD-1 and PCD with one Gibbs sweep per update, and by noise-contrastive estimation (NCE).
"""

from itertools import product
from time import process_time

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from skgm import NCEDensity

(i, j), zero = np.triu_indices(6, 1), np.zeros(21)  # pairs; where each search begins


def features(X, theta=None):
    return np.column_stack([X, X[:, i] * X[:, j]])


def by_chains(X, rng, from_data, n_updates):
    theta, chains, J = zero, X[:100], np.zeros((6, 6))
    for k in range(n_updates):
        batch = X[rng.integers(len(X), size=100)]
        chains, J[i, j], J[j, i] = np.array(batch if from_data else chains), theta[6:], theta[6:]
        for unit in range(6):
            chains[:, unit] = rng.random(100) < expit(theta[unit] + chains @ J[unit])
        theta = theta + 0.5 * (1 - k / n_updates) * (features(batch) - features(chains)).mean(0)
    return theta


states, errors = np.array(list(product([0.0, 1.0], repeat=6))), {}
truth = np.random.default_rng(0).normal(-0.2, 0.8, 21)
F, p = features(states), np.exp(features(states) @ truth)
nce = NCEDensity(log_phi=lambda X, t: features(X) @ t, gradient=features, theta0=zero)
methods = {"NCE": lambda X, _: np.array(list(nce.fit(X).params_.values()))[:-1]}
methods["ML"] = lambda X, _: minimize(lambda t: logsumexp(F @ t) - features(X).mean(0) @ t, zero).x
for (name, from_data), n in product({"CD-1": True, "PCD": False}.items(), [100, 300, 1000]):
    methods[f"{name}\n{n}"] = lambda X, rng, d=from_data, n=n: by_chains(X, rng, d, n)
for rng in np.random.default_rng(0).spawn(15):
    X = states[rng.choice(64, size=2000, p=p / p.sum())]
    for name, fit in methods.items():
        start, theta = process_time(), fit(X, rng)
        errors.setdefault(name, []).append([*theta - truth, process_time() - start])
runs = np.array(list(errors.values()))  # (methods, repetitions, parameters and seconds)
variance, squares = runs.var(axis=1)[:, :-1].mean(1), (runs**2).mean(axis=1)[:, :-1].mean(1)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
left.bar(list(errors), squares, label="bias²")
left.bar(list(errors), variance, label="variance")
left.set(title="Mean squared error of a parameter", xlabel="method, updates of the chains")
right.bar(list(errors), runs[..., -1].mean(axis=1), color="0.6")
right.set(title="Seconds per fit (ML by a numerical gradient)")
left.legend()
plt.show()
