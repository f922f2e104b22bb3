"""
Fill in missing values by diffusion
===================================

A diffusion model draws missing values given the observed ones, categories included, as often as
you ask. First it is compared on a table with scikit-learn's IterativeImputer, which needs
numbers. Then it draws the lower half of digits.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits, load_iris
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer

from skgm import DDPM

iris = load_iris(as_frame=True)
table = iris.data.set_axis(["sepal length", "sepal width", "petal length", "petal width"], axis=1)
table["species"] = pd.Categorical.from_codes(iris.target, iris.target_names)
rng = np.random.default_rng(0)
order = rng.permutation(150)
train, whole = table.iloc[order[:75]], table.iloc[order[75:]]
holes = whole.mask(rng.random(whole.shape) < 0.4)

# %%
# Errors of the measurements in standard deviations; the species of rows that had lost it.
numbers = train.assign(species=train["species"].cat.codes)
given = holes.assign(species=holes["species"].cat.codes.replace(-1, np.nan))
imputer = IterativeImputer(sample_posterior=True, random_state=0).fit(numbers)
other = pd.DataFrame(imputer.transform(given), whole.index, whole.columns)
other["species"] = iris.target_names[np.rint(other["species"]).clip(0, 2).astype(int)]
drawn = DDPM(random_state=0).fit(train).impute(holes, random_state=0)
lost, kinds = holes.isna(), {"diffusion": drawn, "IterativeImputer": other}
for name, rows in kinds.items():
    error = (rows.iloc[:, :4] - whole.iloc[:, :4]).abs() / train.iloc[:, :4].std()
    error = np.nanmean(error.where(lost.iloc[:, :4]))
    right = (rows["species"].astype(str) == whole["species"])[lost["species"]].mean()
    print(f"{name:17s} mean error {error:.2f}, species right {right:.0%}")

# %%
# Petals drawn where a measurement was lost, over the true ones. Right, digits.
X, y = load_digits(return_X_y=True)
asked = X[[600 + np.flatnonzero(y[600:] == k)[0] for k in (0, 4, 9)]]
halves = np.where(np.arange(64) < 32, asked, np.nan)
digits = DDPM(max_iter=1000, random_state=0).fit(X[:600]).sample(3, 0, given=halves)
pictures = np.concatenate([asked[:, None], halves[:, None], digits.reshape(3, 3, 64)], axis=1)
fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for axis, (name, rows) in zip(axes, kinds.items(), strict=False):
    axis.plot(*whole[["petal length", "petal width"]].T.to_numpy(), ".", color="0.75")
    hit = lost["petal length"] | lost["petal width"]
    axis.plot(*rows.loc[hit, ["petal length", "petal width"]].T.to_numpy(), "o", ms=5)
    axis.set(title=name, xlabel="petal length (cm)", ylabel="petal width (cm)")
pictures = np.pad(pictures.reshape(3, 5, 8, 8), [(0, 0), (0, 0), (0, 2), (0, 2)])
pictures = pictures.swapaxes(1, 2).reshape(30, 50)
axes[2].imshow(pictures, cmap="gray_r", vmin=0, vmax=16)
axes[2].set(title="digit, its upper half, three completions", xticks=[], yticks=[])
plt.show()
