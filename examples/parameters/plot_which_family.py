"""
Which family fits a column of positive numbers?
===============================================

Six families may describe a column of positive numbers. Information criteria rank them, a plot
shows whether the best one fits, and a test asks whether a parameter is needed.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer

from skgm import MLEDensity, QQDisplay, information_criteria, likelihood_ratio_test

column = load_breast_cancer(as_frame=True).data[["texture error"]]
names = ["exponential", "weibull", "gamma", "gumbel", "inverse_gaussian", "lognormal"]
fits = {name: MLEDensity(name).fit(column) for name in names}
criteria = {name: information_criteria(fit, column) for name, fit in fits.items()}
best = min(names, key=lambda name: criteria[name].aic)

# %%
# A difference of AIC is in units of twice the log-likelihood; two or three mean little, tens
# decide. TIC charges for parameters as the data count them, which also holds for wrong families.
for name in sorted(names, key=lambda name: criteria[name].aic):
    aic, tic = (getattr(criteria[name], c) - getattr(criteria[best], c) for c in ("aic", "tic"))
    print(f"{name:17s} AIC + {aic:6.1f}   TIC + {tic:6.1f}")

# %%
# The exponential family is the gamma family with shape one: that is a hypothesis, and has a test.
print(likelihood_ratio_test(MLEDensity("gamma"), column, MLEDensity("exponential")))

# %%
# The best of several families may still be wrong. If the family is right, the quantile residuals of
# the rows are standard normal and keep to the band.
fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, layout="constrained")
for axis, name in zip(axes, ("weibull", "gamma", best), strict=True):
    display = QQDisplay.from_estimator(fits[name], column, ax=axis)
    excess = criteria[name].aic - criteria[best].aic
    axis.set_title(f"{name}: AIC + {excess:.0f}, {display.outside_:.0%} outside")
axes[1].set_ylabel("")
axes[2].set_ylabel("")
plt.show()
