"""
Lifetimes of which some have not ended
======================================

Of forty pumps some still run on the day of the report: what is known of their lifetimes is that
they are longer. A fit takes them as they are. Left out, they would make pumps look worse.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from skgm import fit_family, goodness_of_fit

rng = np.random.default_rng(3)
lifetime = 9000 * rng.weibull(2.2, size=40)  # hours
in_service = rng.uniform(3000, 14000, size=40)  # hours from installation to the report
failed = lifetime <= in_service
hours = np.minimum(lifetime, in_service)

# %%
# `event` says which lifetimes ended. (``upper=`` also takes failures found at an inspection, which
# lie between two looks.) A shape above one is wear: old pumps fail more often than new ones.
pumps = fit_family(hours, "weibull", event=failed)
print(pumps.summary())

# %%
# The median, as other functions of the parameters, has an interval by its name. A fit to the
# failures alone is far too low.
low, high = pumps.confidence_intervals(of="median")["median"]
print(f"median {pumps.quantile(0.5):.0f} hours, 95% interval {low:.0f} to {high:.0f}")
print(f"of the failures alone: {fit_family(hours[failed], 'weibull').quantile(0.5):.0f} hours")

# %%
# Does the family fit? The test compares the fit with the estimate of Kaplan and Meier, which knows
# of no family. Drawn tables are censored like this one.
simple = fit_family(hours, "exponential", event=failed)
for fit in (pumps, simple):
    print(fit.family, goodness_of_fit(fit, hours[:, None], event=failed, random_state=0).pvalue)

# %%
# The curve of the fit runs through the steps of that estimate, and goes on where no pump is so old.
curve = stats.ecdf(stats.CensoredData(hours[failed], right=hours[~failed])).sf
grid = np.linspace(0, 15000, 200)
fig, axis = plt.subplots(figsize=(7, 4), layout="constrained")
steps = np.append(0, curve.quantiles), np.append(1, curve.probabilities)
axis.step(*steps, where="post", color="0.5", label="Kaplan and Meier")
axis.plot(hours[~failed], curve.evaluate(hours[~failed]), "|", color="0.3", label="still running")
axis.plot(grid, pumps.survival(grid[:, None]), color="C0", label="Weibull fit")
axis.plot(grid, simple.survival(grid[:, None]), ":", color="C1", label="exponential fit")
axis.plot([low, high], [0.5, 0.5], color="C0", linewidth=3, alpha=0.4, label="median, 95% interval")
axis.set(xlabel="time in service [hours]", ylabel="share of pumps that still run", ylim=(0, 1.02))
axis.legend()
plt.show()
