"""
The free energy shows overfitting when log Z is unknown
=======================================================

If log Z is unknown, the *difference* of free energies between rows is still exact. A growing gap
between training rows and other rows shows overfitting, at the cost of two matrix products. Here a
callback records it beside the likelihood, which is exact for 14 units.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgm import BernoulliRBMCD

X = (load_digits().data > 7).astype(float)
train, held_out = train_test_split(X, train_size=200, random_state=0)


class FreeEnergyGap:
    """A scikit-learn callback: what is recorded after each epoch."""

    def __init__(self):
        self.gaps, self.likelihoods = [], []

    def setup(self, estimator, context):
        """Before the fit."""

    def teardown(self, estimator, context):
        """After it."""

    def on_fit_task_begin(self, estimator, context):
        """Before an epoch."""

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        """After an epoch, with a copy of the estimator that is usable now."""
        if context.task_name != "epoch" or not fitted_estimator:
            return
        free_energy = fitted_estimator.free_energy
        self.gaps.append(free_energy(held_out).mean() - free_energy(train).mean())
        self.likelihoods.append([fitted_estimator.score(rows) for rows in (train, held_out)])


# %%
# 200 rows are few for 14 hidden units. Weight decay keeps the gap small, and the likelihood of
# other rows does not fall again.
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for decay, color in ((0.0, "C3"), (0.01, "C0")):
    monitor = FreeEnergyGap()
    machine = BernoulliRBMCD(14, weight_decay=decay, n_iter=250, random_state=0)
    machine.set_callbacks(monitor).fit(train)
    left.plot(monitor.gaps, color=color, label=f"weight decay {decay:g}")
    for curve, style in zip(zip(*monitor.likelihoods, strict=True), (":", "-"), strict=True):
        right.plot(curve, color=color, ls=style)
    print(f"weight decay {decay:g}: held-out log-likelihood {machine.score(held_out):.2f}")
left.set(xlabel="epoch", ylabel="nats", title="Free-energy gap: held out - training")
left.legend(frameon=False)
right.set(xlabel="epoch", title="Log-likelihood, training (dotted), held out", ylim=(-26, -13))
plt.show()
