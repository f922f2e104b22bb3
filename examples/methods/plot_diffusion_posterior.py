"""
One denoising step is a normal distribution in closed form
==========================================================

A diffusion model goes from noise to data. Each step is an inference: where was the row one step
earlier, given where it is now and given the data? The answer is a normal distribution in closed
form. Here it is compared with a simulation that does not use the formula.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

from skgm.diffusion import (
    NoiseSchedule,
    forward_marginal,
    forward_step,
    posterior_mean,
    posterior_variance,
)

schedule = NoiseSchedule.cosine(20)
x_0, levels, n = 1.0, (2, 8, 14, 19), 1_000_000
rng = np.random.default_rng(0)

# %%
# Simulate pairs: noise up to level t - 1, one more step, and keep the pairs whose second member is
# near the value that is given. Their first members are draws from the posterior.
fig, axes = plt.subplots(1, len(levels), figsize=(11, 3), layout="constrained")
print(" t   coefficients' sum   mean (formula, simulation)   variance (formula, simulation)")
for axis, t in zip(axes, levels, strict=True):
    mean, variance = forward_marginal(np.full((n, 1), x_0), t - 1, schedule)
    above = mean + np.sqrt(variance) * rng.standard_normal((n, 1))
    mean, variance = forward_step(above, t, schedule)
    x = mean + np.sqrt(variance) * rng.standard_normal((n, 1))
    share = float(schedule.alpha_bar_at(t))
    x_t = np.sqrt(share) * x_0 + np.sqrt(1 - share)  # one standard deviation off
    kept = above[np.abs(x - x_t) < 0.02 * np.sqrt(1 - share)]

    center = posterior_mean([[x_t]], [[x_0]], t, schedule).item()
    spread = float(posterior_variance(t, schedule))
    total = posterior_mean([[1.0]], [[1.0]], t, schedule).item()
    print(
        f"{t:2d} {total:15.4f} {center:20.4f} {kept.mean():8.4f} {spread:22.4f} {kept.var():8.4f}"
    )

    grid = np.linspace(center - 4 * spread**0.5, center + 4 * spread**0.5, 200)
    axis.hist(kept, bins=30, density=True, color="0.8", label="simulated")
    axis.plot(grid, norm.pdf(grid, center, spread**0.5), label="formula")
    axis.axvline(x_t, color="C1", ls=":", label="$x_t$")
    axis.set(title=f"t = {t}", xlabel="$x_{t-1}$", yticks=[])
axes[0].legend(frameon=False, fontsize=8)
plt.show()

# %%
# The mean is a combination of the row and the data whose coefficients sum to less than one: no
# interpolation. The variance is smaller than that of the step, and vanishes at t = 1.
