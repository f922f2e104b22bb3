"""
From noise to two moons
=======================

A diffusion model learns one thing, which way the data are from a noisy row, and from it draws rows
and computes their density. On the way from noise to data the field shows what it knows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from skgm import DDPM

X, _ = make_moons(1000, noise=0.1, random_state=0)
unseen, _ = make_moons(1000, noise=0.1, random_state=1)
density = DDPM(max_iter=3000, random_state=0).fit(X)

# %%
# Held-out log-density in nats per row, on the same scale as that of any other density. The bound
# belongs to the chain of 50 random steps, the other to the deterministic flow.
mixture = GaussianMixture(8, random_state=0).fit(X)
bound, error = density.elbo(unseen, return_se=True)
print(f"diffusion, flow             {density.score(unseen):7.3f}")
print(f"diffusion, bound of a chain {bound:7.3f} +- {error:.3f}")
print(f"mixture of 8 normals        {mixture.score(unseen):7.3f}")

# %%
# Five moments of the way, and at each the score of the noisy rows: far out it points to the centre,
# near the data across the moons.
path = density.sample(400, random_state=0, n_steps=40, return_trajectory=True)
levels = [1000, 500, 250, 100, 20]
steps = [0, 12, 22, 32, 40]
fig, axes = plt.subplots(1, 5, figsize=(13, 3), layout="constrained", sharex=True, sharey=True)
grid = np.stack(np.meshgrid(np.linspace(-2, 3, 16), np.linspace(-1.7, 2.2, 13)), axis=-1)
for axis, step, t in zip(axes, steps, levels, strict=True):
    arrows = density.score_function(grid.reshape(-1, 2), t=t)
    arrows /= np.linalg.norm(arrows, axis=1, keepdims=True) + 1e-9
    axis.quiver(*grid.reshape(-1, 2).T, *arrows.T, color="0.5", scale=28, width=0.005)
    axis.scatter(*path[step].T, s=4, color="C0")
    axis.set(title=f"step {step} of 40", xlim=(-2, 3), ylim=(-1.7, 2.2))
plt.show()

# %%
# The density itself, and rows drawn from it beside the training rows.
fine = np.stack(np.meshgrid(np.linspace(-1.7, 2.7, 60), np.linspace(-1.2, 1.7, 45)), axis=-1)
log_density = density.score_samples(fine.reshape(-1, 2)).reshape(fine.shape[:2])
fig, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained", sharex=True, sharey=True)
axes[0].contourf(*fine.transpose(2, 0, 1), np.exp(log_density), levels=12)
axes[1].scatter(*path[-1].T, s=4)
axes[2].scatter(*X[:400].T, s=4, color="C1")
for axis, title in zip(axes, ("density", "drawn rows", "training rows"), strict=True):
    axis.set_title(title)
plt.show()
