"""
Intervals for a model with an unknown normalizer
================================================

A pairwise Ising model is easy to write down except for its normalizing constant, a sum over
:math:`2^d` states. In noise-contrastive estimation the constant is one more parameter, with a
standard error.
"""

from itertools import combinations, product

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp

from skgm import NCEDensity

d = 5
pairs = list(combinations(range(d), 2))
names = [f"b{i}" for i in range(d)] + [f"J{i}{j}" for i, j in pairs]


def features(X):
    return np.column_stack([X, *(X[:, i] * X[:, j] for i, j in pairs)])


def log_phi(X, theta):
    return features(X) @ theta


# %%
# Data from a known model, drawn exactly: with five spins the 32 states can be listed.
rng = np.random.default_rng(0)
theta = np.append(rng.normal(-0.5, 0.5, d), rng.normal(0.3, 0.8, len(pairs)))
states = np.array(list(product([0.0, 1.0], repeat=d)))
log_z = logsumexp(log_phi(states, theta))
X = states[rng.choice(len(states), size=3000, p=np.exp(log_phi(states, theta) - log_z))]

# %%
# The estimate knows nothing of that list. `theta0` names the parameters and starts the search;
# derivatives are taken numerically. For zeros and ones the noise is independent coins.
density = NCEDensity(log_phi=log_phi, theta0=dict.fromkeys(names, 0.0), random_state=0).fit(X)
intervals = density.confidence_intervals()
print(intervals.to_frame().round(3))
low, high = intervals["log_normalizer"]
print(f"\nlog Z = {log_z:.3f} by enumeration; 95% interval {low:.3f} to {high:.3f}")

# %%
# Fifteen intervals at 95% and one for log Z: about one in twenty misses.
truth = dict(zip([*names, "log_normalizer"], [*theta, log_z]))
fig, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
for k, name in enumerate(truth):
    axis.plot([k, k], intervals[name], "C0", lw=4, alpha=0.5)
    axis.plot(k, truth[name], "x", color="gray")
axis.set_xticks(range(len(truth)), list(truth), rotation=60)
hits = sum(intervals[name][0] <= value <= intervals[name][1] for name, value in truth.items())
axis.set(ylabel="95% interval, truth x", title=f"{hits} of {len(truth)} intervals hold the truth")
plt.show()
