"""
What twelve numbers say about a shape parameter
===============================================

The malic acid of twelve wines follows a Weibull distribution. What do twelve numbers say about
its shape, and about the share of wines above 5 g/l? Several methods answer differently.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine

from skgm import MLEDensity, ProfileDisplay

wine = load_wine(as_frame=True)
acid = wine.data.loc[wine.target == 2, ["malic_acid"]][::4]
fit = MLEDensity("weibull").fit(acid)
print(fit.summary())

# %%
# Each curve is a signed root: how many standard deviations the data are from a value of the shape.
# The Wald curve is a straight line through the estimate, the likelihood curve is not. r* corrects
# for the small sample: it lies to the left, because the estimated shape is biased upwards.
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
display = ProfileDisplay.from_estimator(fit, "shape", ax=left)
left.set_title(f"Weibull shape, {len(acid)} wines")
for method, (low, high) in display.intervals_.items():
    print(f"{method:8s} {low:.2f} to {high:.2f}")


# The share of wines above 5 g/l is a function of both parameters. Its interval by the profile is
# the range of its values over the parameters that the likelihood does not reject. The delta method
# gives the same length to both sides, and so includes negative shares. Both are drawn for
# increasing numbers of wines.
def share(p):
    return np.exp(-((5 / p["scale"]) ** p["shape"]))


cultivar = wine.data.loc[wine.target == 2, ["malic_acid"]].sample(frac=1, random_state=0)
flat = {"solid_capstyle": "butt"}
sizes = np.array([6, 9, 13, 19, 28, 40])
for method, color, shift in (("wald", "C3", 0.97), ("profile", "C0", 1.03)):
    for n in sizes:
        few = MLEDensity("weibull").fit(cultivar[:n])
        interval = few.confidence_intervals(method=method, of={"share": share})
        label = method if n == sizes[0] else None
        right.plot([n * shift] * 2, interval["share"], color=color, lw=2, label=label, **flat)
        right.plot(n * shift, interval.estimate["share"], "o", color=color, ms=4)
right.axhline(0, color="gray", lw=0.8, ls=":")
right.set(title="Share of wines above 5 g/l", xlabel="number of wines", xscale="log")
right.set_xticks(sizes, labels=[str(n) for n in sizes])
right.set_xticks([], minor=True)
right.legend(loc="upper right", frameon=False)
plt.show()
