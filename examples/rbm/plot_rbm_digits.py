"""
Digits: filters, samples, and halves filled in
==============================================

A restricted Boltzmann machine scores binary images, draws them, and fills in missing halves.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from skgm import BernoulliRBMCD, FilterDisplay

digits = load_digits()
train, test, gray, gray_test, y_train, y_test = train_test_split(
    (digits.data > 7).astype(float), digits.data / 16, digits.target, test_size=500, random_state=0
)

# %%
# How many hidden units? The held-out log-likelihood says; up to 25 of them, it is exact.
sizes = {"n_components": [4, 16]}
search = GridSearchCV(BernoulliRBMCD(random_state=0), sizes, cv=3, refit=False).fit(train)
for size, score in zip([4, 16], search.cv_results_["mean_test_score"]):
    print(f"{size:3d} hidden units: {score:.2f} nats per image")

# With 100, log Z is estimated.
machine = BernoulliRBMCD(100, random_state=0).fit(train)
low, high = machine.log_partition().interval
print(f"100 hidden units: {machine.score(test):.2f} +- {(high - low) / 2:.2f} nats per image")

# %%
# As features, hidden units should be rarely on: here for one image in twenty.
sparse = BernoulliRBMCD(200, sparsity_target=0.05, sparsity_cost=1.0, random_state=0)
classifier = GridSearchCV(LogisticRegression(max_iter=2000), {"C": [1, 30]}, cv=3)
models = {"gray pixels": classifier, "hidden units": make_pipeline(sparse, classifier)}
for name, model in models.items():
    print(f"{name}: accuracy {model.fit(gray, y_train).score(gray_test, y_test):.3f}")

# %%
# Upper halves are given, lower halves drawn.
upper = test[:12].copy()
upper[:, 32:] = np.nan
images = {
    "samples": machine.sample(12, random_state=0),
    "true": test[:12],
    "lower half drawn": machine.impute(upper, random_state=0),
}
fig, axes = plt.subplots(4, 12, figsize=(9, 3.4), layout="constrained")
FilterDisplay.from_estimator(machine, n_units=12, ax=axes[0])
axes[0, 0].set_title("filters", loc="left", fontsize=9)
for row, (name, pictures) in zip(axes[1:], images.items()):
    row[0].set_title(name, loc="left", fontsize=9)
    for ax, picture in zip(row, pictures):
        ax.imshow(picture.reshape(8, 8), cmap="gray_r")
        ax.axis("off")
plt.show()
