"""
Digits: filters, samples, halves filled in
==========================================

A restricted Boltzmann machine of black and white digits. It is a density, so that it can be scored,
sampled from and asked for the other half; its hidden units are features for a classifier.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skgm import BernoulliRBMCD

digits = load_digits()
X = (digits.data > 7).astype(float)
train, test, y_train, y_test = train_test_split(X, digits.target, test_size=500, random_state=0)

# %%
# How many hidden units? The held-out log-likelihood says. It is exact: up to 25 hidden units, all
# their states are listed.
sizes = {"n_components": [4, 16]}
search = GridSearchCV(BernoulliRBMCD(random_state=0), sizes, cv=3, refit=False).fit(train)
for size, score in zip(sizes["n_components"], search.cv_results_["mean_test_score"], strict=True):
    print(f"{size:3d} hidden units: {score:.2f} nats per image")

# %%
# With 64, log Z is estimated, with an interval.
machine = BernoulliRBMCD(64, random_state=0).fit(train)
low, high = machine.log_partition().interval
print(f" 64 hidden units: {machine.score(test):.2f} +- {(high - low) / 2:.2f} nats per image")

# %%
# The features beat the pixels they are made of.
classifier = LogisticRegression(max_iter=2000)
on_pixels = classifier.fit(train, y_train).score(test, y_test)
on_features = make_pipeline(machine, classifier).fit(train, y_train).score(test, y_test)
print(f"accuracy on pixels {on_pixels:.3f}, on hidden units {on_features:.3f}")

# %%
# Upper halves are given, lower halves drawn.
upper = test[:12].copy()
upper[:, 32:] = np.nan
images = {
    "filters": machine.components_[:12],
    "samples": machine.sample(12, random_state=0),
    "true": test[:12],
    "lower half drawn": machine.impute(upper, random_state=0),
}
fig, axes = plt.subplots(4, 12, figsize=(9, 3.4), layout="constrained")
for row, (name, pictures) in zip(axes, images.items(), strict=True):
    row[0].set_title(name, loc="left", fontsize=9)
    for ax, picture in zip(row, pictures, strict=True):
        ax.imshow(picture.reshape(8, 8), cmap="RdBu_r" if name == "filters" else "gray_r")
        ax.axis("off")
plt.show()
