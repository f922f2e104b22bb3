"""
Half of the entries are missing, and the groups are still found
===============================================================

Half of the entries are missing, and few rows are complete. Filling in means creates false
structure. A mixture of Gaussians integrates over the missing values and still finds the groups.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import SimpleImputer

from skgm import GaussianMixtureDensity

rng = np.random.default_rng(0)
group = rng.integers(3, size=900)
centers = np.array([[0.0, 0.0, 0.0], [4.0, 4.0, -4.0], [8.0, 0.0, 4.0]])
X = centers[group] + rng.normal(size=(900, 3)) @ np.array([[1, 0.8, 0], [0, 0.6, 0.5], [0, 0, 0.8]])
holes = np.where(rng.random(X.shape) < 0.5, np.nan, X)
complete = holes[~np.isnan(holes).any(axis=1)]

tables = {
    f"{len(complete)} complete rows": complete,
    "holes filled with means": SimpleImputer().fit_transform(holes),
    "holes as they are": holes,
}
fits = {name: GaussianMixtureDensity(random_state=0).fit(table) for name, table in tables.items()}
for name, fit in fits.items():
    print(f"{name:>24}: {fit.n_components_} components, {fit.score(X):7.2f} nats per complete row")

# %%
# Imputed rows are draws given what was observed, so groups stay apart.

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
axes[0].scatter(*X[:, :2].T, s=4, color="0.5")
axes[0].set_title("the truth")
means = tables["holes filled with means"]
axes[1].scatter(*means[:, :2].T, s=4, color="C3")
axes[1].set_title("filled with means")
imputed = fits["holes as they are"].impute(holes, random_state=0)
axes[2].scatter(*imputed[:, :2].T, s=4, color="C0")
axes[2].set_title("drawn by the mixture")
figure.supxlabel("first column", fontsize="medium")
axes[0].set_ylabel("second column")
plt.show()
