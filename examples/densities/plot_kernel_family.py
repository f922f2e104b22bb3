"""
The score field of two moons, without a normalizer
==================================================

A kernel exponential family is a Gaussian times the exponential of a smooth function. Score
matching fits this function without the normalizer, and gives its gradient field as well.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from skgm import KernelExpFamily, ScoreMatchingGaussian

train, _ = make_moons(1000, noise=0.1, random_state=0)
test, _ = make_moons(3000, noise=0.1, random_state=1)

# %%
# Bandwidth and ridge are chosen by the held-out likelihood; 100 rows carry the kernels.
kernel = KernelExpFamily(random_state=0).fit(train)
gaussian = ScoreMatchingGaussian().fit(train)
print(f"bandwidth {kernel.bandwidth_:.2f}, ridge {kernel.alpha_:g}")
print(f"Gaussian: {gaussian.score(test):.3f} nats a row")
print(
    f"kernel family: {kernel.score(test):.3f} nats a row ± {kernel.log_normalizer_se_:.4f} (log Z)"
)

# %%
# The density, the arrows of its score function, which point uphill, and draws.
x, y = np.linspace(-1.8, 2.8, 140), np.linspace(-1.2, 1.7, 140)
grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
coarse = np.stack(np.meshgrid(x[::8], y[::8]), axis=-1).reshape(-1, 2)
arrows = kernel.score_function(coarse)
arrows /= 1 + np.linalg.norm(arrows, axis=1, keepdims=True)  # directions; short near the ridges

fig, axes = plt.subplots(1, 3, figsize=(12, 3.2), sharey=True, layout="constrained")
for axis, title, density in zip(axes, ("Gaussian", "kernel family"), (gaussian, kernel)):
    axis.pcolormesh(x, y, np.exp(density.score_samples(grid)).reshape(140, 140), rasterized=True)
    axis.set_title(title)
axes[1].quiver(*coarse.T, *arrows.T, color="white", scale=30)
axes[1].set_title("kernel family and its score field")
axes[2].plot(*kernel.sample(1000, random_state=0).T, ".", markersize=2)
axes[2].set_title("1000 draws")
fig.supxlabel("first column", fontsize="medium")
axes[0].set_ylabel("second column")
plt.show()
