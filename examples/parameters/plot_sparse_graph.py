"""
Score matching finds a sparse graph of thirty columns
=====================================================

Each of thirty columns depends on a few others given the rest. ScoreMatchingGaussianCV chooses its
penalty by extended BIC and refits the selected graph, so its entries are not shrunk. The
graphical lasso, with cross-validation, keeps many pairs that are independent.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.covariance import GraphicalLassoCV
from sklearn.exceptions import ConvergenceWarning

from skgm import GraphDisplay, ScoreMatchingGaussianCV

p, n, rng = 30, 400, np.random.default_rng(3)
upper = np.triu(rng.uniform(size=(p, p)) < 2.5 / p, 1)  # 2.5 neighbors a column
values = np.where(upper, rng.choice([-1, 1], size=(p, p)) * rng.uniform(0.3, 0.5, size=(p, p)), 0)
precision = values + values.T
precision += np.diag(0.3 + np.maximum(np.abs(precision).sum(axis=1), 0.5))
X = rng.multivariate_normal(np.zeros(p), np.linalg.inv(precision), size=n)

# %%
# Both see the same rows.
ours = ScoreMatchingGaussianCV().fit(X)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    lasso = GraphicalLassoCV().fit(X)
truth = upper | upper.T
found = {
    "truth": precision,
    "ScoreMatchingGaussianCV": ours.precision_,
    "GraphicalLassoCV": lasso.precision_,
}
print(f"{'':26}edges  found  false     F1")
for name, matrix in found.items():
    graph = (matrix != 0) & ~np.eye(p, dtype=bool)
    hits, edges = (graph & truth).sum() // 2, graph.sum() // 2
    f1 = 2 * hits / (edges + truth.sum() // 2)
    print(f"{name:26}{edges:5}{hits:7}{edges - hits:7}{f1:7.2f}")

# %%
# The columns stand on a circle. Edges in red do not exist in the truth; the width of an edge is
# its partial correlation.
fig, axes = plt.subplots(1, 3, figsize=(12, 4.4), layout="constrained")
for axis, (name, matrix) in zip(axes, found.items()):
    GraphDisplay.from_precision(matrix, reference=truth, ax=axis)
    axis.set_title(name)
plt.show()
