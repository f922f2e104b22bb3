"""
Is this synthetic table good, and is it safe?
=============================================

A report compares synthetic rows with real ones, and names what is wrong beyond chance. An audit
attacks the model for what it gives away of its training rows.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

from skgm import (
    DensityOutlierDetector,
    ExplanationDisplay,
    GaussianMixtureDensity,
    MLEDensity,
    TableReport,
    privacy_audit,
)

wine = load_wine(as_frame=True).data.iloc[:, [0, 1, 6, 9, 12]]
train, holdout = train_test_split(wine, test_size=0.4, random_state=0)

# %%
# Independent columns have the right margins. The report names the relations that they lost.
independent = MLEDensity("normal").fit(train)
report = TableReport(train, independent.sample(107, random_state=1).round(2), holdout)
for warning in report.warnings[:2]:
    print("-", warning)

# %%
# A mixture of Gaussians does better; ``report.to_html("report.html")`` writes it all as a page.
mixture = GaussianMixtureDensity(random_state=0).fit(train)
synthetic = mixture.sample(107, random_state=1).round(2).round({"proline": 0})
report = TableReport(train, synthetic, holdout, mixture, target="alcohol")
print(report)

# %%
# The audit attacks training and held-out rows alike: only the difference is given away.
audit = privacy_audit(mixture, train, holdout, n_attacks=100)
print(audit)

# %%
# A wine that resembles none: which of its values are odd, given the others?
odd = wine.iloc[[0]].assign(flavanoids=0.5)
detector = DensityOutlierDetector(mixture).fit(train)
fig, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
report.plot("margins", ax=axes[0])
report.plot("flavanoids", ax=axes[1])
ExplanationDisplay.from_estimator(detector, odd, ax=axes[2])
print("log-density of the odd wine:", np.round(detector.score_samples(odd), 1))
