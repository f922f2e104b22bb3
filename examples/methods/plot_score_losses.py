"""
Explicit and implicit score matching differ by a constant
=========================================================

The explicit loss compares a model's score function with that of the data, which nobody knows.
The implicit loss needs only the rows, and is the same function of the parameters up to a constant.
"""

import matplotlib.pyplot as plt
import numpy as np

from skgm.score_matching import denoising_loss, explicit_loss, implicit_loss

X = np.random.default_rng(0).normal(1.0, 2.0, size=(20_000, 1))
true_score = lambda x: -(x - 1.0) / 4.0  # noqa: E731 -- of N(1, 4): known here, because made

# %%
# One parameter, the precision of N(1, 1 / k). Half the mean square of the data's score function
# is the constant between the two curves.
precisions = np.linspace(0.05, 0.6, 45)
curves = {"explicit": [], "implicit": [], "denoising, noise 1": []}
for k in precisions:
    score = lambda x, k=k: -k * (x - 1.0)  # noqa: E731
    curves["explicit"].append(float(explicit_loss(score, true_score, X)))
    curves["implicit"].append(float(implicit_loss(score, X)))
    noised = denoising_loss(score, X, 1.0, n_noise=4, random_state=0)
    curves["denoising, noise 1"].append(float(noised) - 0.5)  # its constant is 1 / (2 sigma^2)
constant = 0.5 * np.mean(true_score(X) ** 2)
gap = np.array(curves["explicit"]) - curves["implicit"]
print(f"constant {constant:.4f}; explicit - implicit: {gap.min():.4f} to {gap.max():.4f}")

# %%
# Both have their minimum at the true precision, 1/4. The denoising loss fits blurred rows, whose
# precision is 1 / (4 + 1).
for name, values in curves.items():
    print(f"{name:20} minimum at {precisions[np.argmin(values)]:.3f}")

fig, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in curves.items():
    (line,) = axis.plot(precisions, values, label=name)
    axis.axvline(precisions[np.argmin(values)], color=line.get_color(), linestyle=":", linewidth=1)
axis.set(xlabel="precision k of the model N(1, 1 / k)", ylabel="loss")
axis.set_title("The denoising loss fits the blurred rows")
axis.legend()
plt.show()
