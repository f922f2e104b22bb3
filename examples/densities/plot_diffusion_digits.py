"""
Handwritten digits, drawn class by class
========================================

A diffusion model is fitted to half of scikit-learn's digits, and draws new digits of each class.
Samples can fail in ways that the eye does not see: they may repeat training rows, or have less
variance than the data.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from skgm import DDPM

X, y = load_digits(return_X_y=True)
train, test, labels, truth = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
model = DDPM(class_conditional=True, random_state=0).fit(train, labels)
drawn = model.sample(y=labels, random_state=0)

# %%
# Drawn digits, and below each the nearest training digit. They are similar, but not copies. Blank
# pixels are a little above or below zero; only the picture is clipped.
shown = [int(np.flatnonzero(labels == k)[0]) for k in range(10)]
nearest = train[cdist(drawn[shown], train).argmin(axis=1)]
figure, axes = plt.subplots(2, 10, figsize=(9, 2.2), layout="constrained")
for axis, image in zip(axes.flat, [*drawn[shown], *nearest]):
    axis.imshow(np.clip(image, 0, 16).reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
    axis.set(xticks=[], yticks=[])

# %%
# The variance within classes, by direction. Drawn digits have the variance of the data, within
# sampling error. A network that is trained without calibration (``max_iter=2000``) has too little.
raw = DDPM(class_conditional=True, max_iter=2000, random_state=0).fit(train, labels)
means = np.array([train[labels == k].mean(axis=0) for k in range(10)])[labels]
directions = np.linalg.svd(train - means, full_matrices=False)[2]
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
rows = {
    "training rows": train,
    "drawn": drawn,
    "drawn, max_iter=2000": raw.sample(y=labels, random_state=0),
}
for (name, table), style in zip(rows.items(), ("0.5", "C0.", "C1.")):
    axis.semilogy((((table - means) @ directions.T) ** 2).mean(axis=0), style, label=name)
axis.set(xlabel="direction", ylabel="variance within classes", ylim=(1e-2, None))
axis.set_title("Without calibration draws have too little variance")
axis.legend()

# %%
# Without memory, half of the drawn digits would be nearer to a training row. A classifier that is
# trained on drawn digits reads real digits nearly as well as one trained on real digits.
copies = np.mean(cdist(drawn, train).min(axis=1) < cdist(drawn, test).min(axis=1))
print(f"nearer to a training row: {copies:.0%}")
for name, table in list(rows.items())[:2]:
    print(f"read rightly after {name}: {SVC().fit(table, labels).score(test, truth):.1%}")
plt.show()
