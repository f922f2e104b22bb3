"""
Noise close to the data is good, noise far away fails
=====================================================

What noise-contrastive estimation learns depends on the noise. It is often said that noise close
to the data leaves nothing to learn. This is wrong: noise like the data is nearly the best choice.
Noise that is too far away fails.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from skgm import NCEDensity

warnings.simplefilter("ignore", ConvergenceWarning)  # far noise cannot certify the normalizer
X = np.random.default_rng(0).normal(size=(2000, 1))
best = np.sqrt(0.5 / len(X))  # standard error of the maximum-likelihood estimate of -1/2
noises = {"like the data": (0, 1), "wide": (0, 4), "shifted": (2.5, 1), "far": (6, 1)}


def fit(mean, sd, sampling):
    options = {"noise_ratio": 1, "max_normalizer_samples": 1000, "random_state": 0}
    return NCEDensity("quadratic", stats.norm(mean, sd), noise_sampling=sampling, **options).fit(X)


# %%
# `separation_` is the sum of h (1 - h), h being the probability that a row is data, relative to
# that of noise like the data. With independent noise, noise like the data doubles the variance of
# maximum likelihood (at one noise row per data row); with quasi-Monte-Carlo noise hardly anything
# is lost, unless the noise is far.
print(f"{'noise':15s} {'separation_':>11s} {'iid':>7s} {'qmc':>7s}  (standard error / MLE's)")
for name, noise in noises.items():
    fits = [fit(*noise, sampling) for sampling in ("iid", "qmc")]
    shown = " ".join(f"{density.standard_errors()['x0^2'] / best:7.2f}" for density in fits)
    print(f"{name:15s} {fits[1].separation_:11.4f} {shown}")

# %%
# The same as a curve: noise of the data's spread, moved away from it.
shifts = np.linspace(0, 3.5, 8)
grid = np.linspace(-5, 10, 300)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(grid, stats.norm.pdf(grid), "gray", lw=2, label="data")
for name, noise in noises.items():
    left.plot(grid, stats.norm.pdf(grid, *noise), "--", label=name)
left.set(xlabel="x", ylabel="density", ylim=(0, 0.65), title="Four choices of noise")
left.legend(ncols=2, loc="upper right")
for sampling in ("iid", "qmc"):
    curve = [fit(shift, 1, sampling).standard_errors()["x0^2"] / best for shift in shifts]
    right.semilogy(shifts, curve, "o-", label=sampling)
right.set(xlabel="distance of the noise in standard deviations", ylabel="standard error / MLE's")
right.set_title("Noise near the data costs little")
right.legend()
plt.show()
