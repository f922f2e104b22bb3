"""
A classifier of data and noise becomes a density
================================================

A classifier learns to tell the data from noise with a known density. The noise density times the
learned ratio is a normalized density, with a standard error of its normalizer.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from skgm import NCEDensity, ScoreMatchingGaussian

train, _ = make_moons(1500, noise=0.08, random_state=0)
test, _ = make_moons(3000, noise=0.08, random_state=1)

# %%
# The noise is one Gaussian, a poor choice on purpose: the boosted trees learn the whole shape.
one = NCEDensity(noise="gaussian", random_state=0).fit(train)
default = NCEDensity(random_state=0).fit(train)
noise = ScoreMatchingGaussian().fit(train)

# %%
# A score with its two errors: of the test rows, and of log Z, which certifies that the density
# integrates to one.
print(f"noise alone: {noise.score(test):.3f} nats a row")
for name, density in (("Gaussian noise", one), ("mixture noise", default)):
    error = density.score_error(test)
    print(
        f"{name}: {error.mean:.3f} ± {error.sampling_se:.3f} (rows) "
        f"± {error.normalizer_se:.4f} (log Z); separation {density.separation_:.2f}"
    )

# %%
# Noise, ratio, density. A grid agrees that the integral is one.
x, y = np.linspace(-1.8, 2.8, 150), np.linspace(-1.3, 1.8, 150)
grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
integral = np.exp(one.score_samples(grid)).sum() * (x[1] - x[0]) * (y[1] - y[0])
print(f"integral over the grid: {integral:.4f}")
panels = {
    "noise q": np.exp(noise.score_samples(grid)),
    "critic: log p / q": np.clip(one.log_ratio(grid), -6, None),
    "density p": np.exp(one.score_samples(grid)),
}
fig, axes = plt.subplots(1, 4, figsize=(12, 3), sharey=True, layout="constrained")
for axis, (title, values) in zip(axes, panels.items(), strict=False):
    axis.pcolormesh(x, y, values.reshape(150, 150), rasterized=True)
    axis.set_title(title)
axes[3].plot(*one.sample(800, random_state=0).T, ".", markersize=2)
axes[3].set_title("800 draws")
fig.supxlabel("first column", fontsize="medium")
axes[0].set_ylabel("second column")
plt.show()
