"""
A synthetic copy of a medical table, judged by two classifiers
==============================================================

Records of tumours hold numbers, whole numbers and categories. A diffusion model is fitted to half
of them, and draws a table with the same columns and dtypes. One classifier tries to tell drawn
records from unseen ones; another learns the diagnosis from drawn records only.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from skgm import DDPM

cancer = load_breast_cancer(as_frame=True)
table = cancer.data[["mean radius", "mean area", "mean texture", "mean concavity", "worst texture"]]
table.columns = ["radius", "area", "texture", "concavity", "worst"]
table = table.astype({"area": int})
table["worst"] = pd.qcut(table["worst"], 4, labels=["smooth", "fair", "rough", "coarse"])
table["diagnosis"] = np.array(["malignant", "benign"])[cancer.target]
order = np.random.default_rng(0).permutation(len(table))
train, unseen = table.iloc[order[:284]], table.iloc[order[284:]]

density = DDPM(clip=True, random_state=0).fit(train)
drawn = density.sample(len(train), random_state=0)
print(drawn.head(4))
print(f"Unseen records: at least {density.score(unseen):.1f} nats of log-probability each")

# %%
# The judges. A table whose columns are shuffled has every column right, and nothing else.
shuffled = train.apply(lambda column: column.sample(frac=1, random_state=len(column.name)).values)
forest = RandomForestClassifier(100, min_samples_leaf=3, random_state=0)
truth = pd.get_dummies(unseen.drop(columns="diagnosis"))
for name, rows in {"real": train, "drawn": drawn, "shuffled": shuffled}.items():
    numbers = pd.get_dummies(rows.drop(columns="diagnosis"))
    origin, both = np.repeat([0, 1], [len(numbers), len(truth)]), pd.concat([numbers, truth])
    area = cross_val_score(forest, both, origin, scoring="roc_auc", cv=5).mean()
    accuracy = forest.fit(numbers, rows["diagnosis"]).score(truth, unseen["diagnosis"])
    print(f"{name:9s} told from unseen: AUC {area:.2f}; diagnosis learned from it: {accuracy:.2f}")

# %%
# Below the diagonal unseen records, above it drawn ones, on it both; malignant ones are dark.
names = ["radius", "area", "texture", "concavity"]
fig, axes = plt.subplots(4, 4, figsize=(9, 8), layout="constrained")
for (i, j), axis in np.ndenumerate(axes):
    for rows, colors, shown in ((unseen, ["C0", "C5"], i > j), (drawn, ["C1", "C3"], i < j)):
        if shown:
            color = np.take(colors, rows["diagnosis"] == "malignant")
            axis.scatter(rows[names[j]], rows[names[i]], s=5, c=color)
        elif i == j:
            axis.hist(rows[names[i]], 12, histtype="step", color=colors[0], lw=2, density=True)
    axis.set(xlabel=names[j] if i == 3 else "", ylabel=names[i] if j == 0 else "")
plt.show()
