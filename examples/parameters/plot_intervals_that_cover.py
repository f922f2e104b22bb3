"""
Textbook intervals miss too often; these cover
==============================================

A 95% interval should hold the true value in 95 of 100 samples. For a proportion or a standard
deviation the textbook interval (estimate ± 1.96 standard errors) does not. The coverages below
are exact, not simulated.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from skgm import MLEDensity

n, level = 20, 0.95
p = np.linspace(0.01, 0.99, 393)
sizes = np.array([4, 5, 6, 8, 10, 14, 20, 30, 45, 70, 100])


# %%
# Twenty zeros and ones have 21 outcomes: one fit for each. The coverage at a proportion *p* is the
# probability of the outcomes whose interval holds it. (Wald's interval is a point at 0 and at n.)
def proportion_coverage(method):
    coverage = np.zeros_like(p)
    for ones in range(n + 1):
        fit = MLEDensity("bernoulli").fit(np.repeat([[1.0], [0.0]], [ones, n - ones], axis=0))
        is_point = method == "wald" and ones in (0, n)
        low, high = (ones / n,) * 2 if is_point else fit.confidence_intervals(level, method)["p"]
        coverage += stats.binom.pmf(ones, n, p) * ((low <= p) & (p <= high))
    return coverage


# %%
# The ends of an interval for a normal spread are the same multiples of the estimate in every sample
# of *m* rows, and the sum of squares over the variance is chi-square on *m* - 1 degrees of freedom.
def spread_coverage(method, m):
    fit = MLEDensity("normal").fit(np.arange(m)[:, None])
    low, high = np.divide(fit.confidence_intervals(level, method)["sigma"], fit.params_["sigma"])
    largest = m / low**2 if low > 0 else np.inf
    return stats.chi2.cdf(largest, m - 1) - stats.chi2.cdf(m / high**2, m - 1)


fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
colors = {"wald": "C3", "profile": "gray", "score": "C0", "exact": "C2"}
for method in ("wald", "score", "exact"):
    left.plot(p, proportion_coverage(method), color=colors[method], label=method, lw=1.3)
for method in ("wald", "profile", "exact"):
    coverage = [spread_coverage(method, m) for m in sizes]
    right.plot(sizes, coverage, "o-", ms=4, color=colors[method], label=method)
for axes in (left, right):
    axes.axhline(level, color="gray", lw=0.8, ls=":")
    axes.legend(loc="lower center", ncols=3, frameon=False)
left.set(title=f"Proportion, {n} rows", xlabel="true proportion", ylabel="coverage")
right.set(title="Standard deviation of a normal sample", xlabel="number of rows", xscale="log")
right.set_xticks([4, 6, 10, 20, 50, 100], labels=["4", "6", "10", "20", "50", "100"])
right.set_xticks([], minor=True)
left.set_ylim(0.6, 1.01)
plt.show()
