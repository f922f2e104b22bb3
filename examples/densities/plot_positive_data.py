"""
Positive data: a Gaussian that knows its bounds is not biased
=============================================================

Suppose that rows of a Gaussian with a negative entry are never observed. An ordinary Gaussian fit
is then biased with any number of rows. The normalizer of the right model is an orthant
probability, which generalized score matching does not need.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgm import ScoreMatchingGaussian

PRECISION = np.array([[1.0, -0.4, 0.0], [-0.4, 1.0, 0.3], [0.0, 0.3, 1.0]])


def positive_rows(n, rng):
    rows = rng.multivariate_normal(np.zeros(3), np.linalg.inv(PRECISION), size=20 * n)
    return rows[(rows > 0).all(axis=1)][:n]


# %%
# The largest error of the precision, from 500 to 32,000 rows.
sizes = [500, 2000, 8000, 32000]
fits = {
    "naive": ScoreMatchingGaussian(),
    'bounds="positive"': ScoreMatchingGaussian(bounds="positive"),
}
errors = {name: [] for name in fits}
rng = np.random.default_rng(0)
for n in sizes:
    X = positive_rows(n, rng)
    for name, estimator in fits.items():
        errors[name].append(np.abs(estimator.fit(X).precision_ - PRECISION).max())
for name, values in errors.items():
    print(f"{name:20}", " ".join(f"{value:6.3f}" for value in values))

# %%
# Its intervals cover the truth; its draws are positive.
bounded = fits['bounds="positive"']
intervals = bounded.confidence_intervals(X=X)
low, high = intervals["precision"]
print("entries covered:", int(((low <= PRECISION) & (high >= PRECISION)).sum()), "of 9")

fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, values in errors.items():
    axes[0].loglog(sizes, values, "o-", label=name)
axes[0].set(xlabel="rows", ylabel="largest error of the precision")
axes[0].set_title("Only the bounded fit comes near the truth")
axes[0].legend()
for name, estimator in fits.items():
    draws = estimator.sample(20_000, random_state=0)[:, 0]
    axes[1].hist(draws, bins=60, density=True, histtype="step", label=name)
axes[1].hist(X[:, 0], bins=60, density=True, alpha=0.3, color="gray", label="data")
axes[1].set(xlabel="first column", ylabel="density", title="Its draws are positive")
axes[1].legend()
plt.show()
