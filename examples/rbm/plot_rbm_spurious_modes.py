"""
Contrastive divergence cannot see a mode far from the data
==========================================================

Contrastive divergence removes probability only where its short chains from the data go. Here a
machine starts with a mode far from the data, which these chains never reach. All 4096 states can
be listed, so every probability in the figure is exact.
"""

from itertools import product

import matplotlib.pyplot as plt
import numpy as np

from skgm import BernoulliRBMCD

rng = np.random.default_rng(0)
shapes = np.array([[1] * 6 + [0] * 6, [0] * 3 + [1] * 6 + [0] * 3, [0] * 8 + [1] * 4])
rows = shapes[np.repeat([0, 1, 2], [400, 400, 200])] ^ (rng.random((1000, 12)) < 0.03)
data = rows[:800]  # the third shape is no part of the data
states = np.array(list(product([0, 1], repeat=12)))
nearest = np.abs(states[:, None] - shapes).sum(axis=2)
place = np.where(nearest.min(axis=1) <= 2, nearest.argmin(axis=1), 3)
names = ["first shape", "second shape", "spurious mode", "elsewhere"]


def shares(machine):
    """Exact probabilities of the four places."""
    return np.bincount(place, np.exp(machine.score_samples(states)), minlength=4)


# %%
# The machine starts with all three shapes, and learns from the data alone, by either method. The
# chains of PCD go on from where they were: some are in the third mode, and raise its energy. Chains
# of CD-1 start at the data and never get there.
histories = {}
for method in ("cd", "pcd"):
    machine = BernoulliRBMCD(8, method="exact", weight_decay=1e-3, random_state=0).fit(rows)
    machine.set_params(method=method, learning_rate=0.05)
    history = [shares(machine)]
    for _ in range(100):
        history.append(shares(machine.partial_fit(data)))
    histories[method] = np.array(history)
    drawn = np.abs(machine.sample(1000, random_state=0)[:, None] - shapes).sum(axis=2)
    print(f"{method}: {(drawn[:, 2] <= 2).sum()} of 1000 rows drawn are in the spurious mode")

fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
for method, history in histories.items():
    left.plot(history[:, 2], label=method.upper())
left.set(xlabel="passes over the data", title="Probability of the spurious mode", yscale="log")
left.legend(frameon=False)
bars = {"at first": histories["cd"][0], "CD-1": histories["cd"][-1], "PCD": histories["pcd"][-1]}
bottom = np.zeros(len(bars))
for name, height in zip(names, np.transpose(list(bars.values())), strict=True):
    right.bar(list(bars), height, bottom=bottom, label=name, width=0.6)
    bottom += height
right.set(title="Where the probability lies", ylim=(0, 1))
right.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
