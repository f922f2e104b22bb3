"""
One restricted Boltzmann machine, fitted in four ways
=====================================================

The methods are maximum likelihood (ML), PCD, CD-1 and noise-contrastive estimation (NCE). Hidden
units can be exchanged, so compare distributions and not weights; here exactly, over all 256 rows.
"""

from itertools import product
from time import process_time

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit, log_softmax

from skgm import BernoulliRBMCD, NCEDensity

rng, states = np.random.default_rng(1), np.array(list(product([0.0, 1.0], repeat=8)))
W = rng.choice([-1.6, 1.6], (3, 8)) * rng.uniform(0.5, 1.5, (3, 8))
truth = np.hstack([-W.sum(0) / 2, -W.sum(1) / 2, W.ravel()]) + rng.normal(0, 0.2, 35)


def log_phi(V, theta):  # minus the free energy, 0 for a row of zeros: then flips leave log Z alone
    b, c, W = np.split(theta, [8, 11])
    return V @ b + (np.logaddexp(0, V @ W.reshape(3, 8).T + c) - np.logaddexp(0, c)).sum(axis=1)


def gradient(V, theta):
    on = expit(V @ theta[11:].reshape(3, 8).T + theta[8:11])
    return np.hstack([V, on - expit(theta[8:11]), (on[..., None] * V[:, None]).reshape(len(V), -1)])


# %%
# Five tables drawn exactly: some variance is left in the bias. NCE starts at the weights of CD-1.
methods = {"ML": "exact", "PCD": "pcd", "CD-1": "cd", "NCE": None}
log_p, log_q, seconds, ranges = log_softmax(log_phi(states, truth)), {}, {}, []
for k, (name, method) in product(range(5), methods.items()):
    X, start = np.random.default_rng(k).choice(states, 5000, p=np.exp(log_p)), process_time()
    if method:
        model = BernoulliRBMCD(3, method=method, random_state=k).fit(X)
        theta = np.r_[model.intercept_visible_, model.intercept_hidden_, model.components_.ravel()]
    else:
        model = NCEDensity(log_phi=log_phi, gradient=gradient, noise="bernoulli", random_state=k)
        ranges += [model.set_params(theta0=theta).fit(X).confidence_intervals()["log_normalizer"]]
    seconds.setdefault(name, []).append(process_time() - start)
    log_q.setdefault(name, []).append(log_softmax(model.score_samples(states)))
mean = np.mean(list(log_q.values()), axis=1)
variance = -np.log(np.exp(mean).sum(axis=1))  # divergence of the tables' estimates from their mean
bias = (np.exp(log_p) * (log_p - mean)).sum(axis=1) - variance
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
labels = [f"{name}\n{np.mean(times):.2f} s" for name, times in seconds.items()]
left.bar(labels, bias, label="bias")
left.bar(labels, variance, bottom=bias, label="variance")
left.set(title="Divergence from the truth, nats per row", xlabel="seconds per fit (NCE after CD-1)")
left.legend(loc="upper left")
right.vlines(list("12345"), *np.transpose(ranges), lw=4)
right.axhline(-log_p[0], color="gray", ls="--")
right.set(title="log Z: intervals by NCE, truth dashed", xlabel="table")
plt.show()
