"""
From noise to two moons, step by step
=====================================

A diffusion model learns in which direction the data lie from a noisy row. From this it draws rows
and computes their density. The figures show the learned field between noise and data.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.mixture import GaussianMixture

from skgm import DDPM, DiffusionDisplay

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
# Rows at five noise levels with the score field there. At high noise it points to the center, at
# low noise towards the moons. Below are training rows at the same noise levels.
display = DiffusionDisplay.from_estimator(density, n_samples=400, random_state=0)
DiffusionDisplay.from_estimator(density, X[:400], kind="forward", random_state=0)
plt.show()

# %%
# The paths of the rows. The flow is deterministic, so paths do not cross at the same time.
DiffusionDisplay.from_estimator(density, kind="trajectory", n_samples=80, random_state=0)
plt.show()

# %%
# The density itself, and rows drawn from it beside the training rows.
fine = np.stack(np.meshgrid(np.linspace(-1.7, 2.7, 60), np.linspace(-1.2, 1.7, 45)), axis=-1)
log_density = density.score_samples(fine.reshape(-1, 2)).reshape(fine.shape[:2])
fig, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained", sharex=True, sharey=True)
axes[0].contourf(*fine.transpose(2, 0, 1), np.exp(log_density), levels=12)
axes[1].scatter(*display.positions_[-1].T, s=4)
axes[2].scatter(*X[:400].T, s=4, color="C1")
for axis, title in zip(axes, ("density", "drawn rows", "training rows"), strict=True):
    axis.set_title(title)
plt.show()
