"""
Fill in missing values, and ask what if
=======================================

A joint density determines each column given the others. After a power transform, a normal density
has skewed margins and curved regressions. Conditional draws come back in the original units.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.preprocessing import PowerTransformer

from skgm import ConditionalDisplay, ScoreMatchingGaussian, make_density_pipeline

x, y = "alcohol", "color_intensity"
wine = load_wine(as_frame=True).data[[x, y, "flavanoids"]]

# %%
# Hide 40% of the color intensities, fit to the complete rows, and draw the missing values.
hidden = np.random.default_rng(0).random(len(wine)) < 0.4
holes = wine.copy()
holes.loc[hidden, y] = np.nan
model = make_density_pipeline(PowerTransformer(), ScoreMatchingGaussian()).fit(holes.dropna())
filled = model.impute(holes, random_state=0)

# %%
# Draws keep the spread of the column. The same value in every missing entry would reduce it.
typical = holes[y].fillna(holes[y].median())
for name, column in {"true": wine[y], "drawn": filled[y], "median in each hole": typical}.items():
    print(f"standard deviation, {name}: {column.std():.2f}")

# %%
# What if only the alcohol content is known? The band holds 90% of the conditional draws.
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
groups = {"complete": (~hidden, "0.65"), "drawn": (hidden, "C1")}
for label, (rows, color) in groups.items():
    left.plot(filled.loc[rows, x], filled.loc[rows, y], "o", ms=4, color=color, label=label)
left.set(xlabel="alcohol (%)", ylabel="color intensity", title="Holes filled")
left.legend(frameon=False, loc="upper left")
ConditionalDisplay.from_estimator(model, wine, (x, y), n_samples=2000, random_state=0, ax=right)
right.set(xlabel="alcohol (%)", ylabel="color intensity", title="Given the alcohol content alone")
plt.show()
