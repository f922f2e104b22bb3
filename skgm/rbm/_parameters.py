"""The three arrays of a restricted Boltzmann machine, and the machines derived from them."""

from dataclasses import dataclass

import numpy as np

__all__ = ["RBMParameters"]


@dataclass(frozen=True, eq=False)
class RBMParameters:
    """Weights and intercepts, in scikit-learn's layout.

    Attributes
    ----------
    components : ndarray of shape (k, m)
        Weights; row j belongs to hidden unit j.
    intercept_hidden : ndarray of shape (k,)
        Log-odds of the hidden units where the visible ones are zero.
    intercept_visible : ndarray of shape (m,)
        Log-odds of the visible units where the hidden ones are zero.
    """

    components: np.ndarray
    intercept_hidden: np.ndarray
    intercept_visible: np.ndarray

    @property
    def n_hidden(self) -> int:
        return self.components.shape[0]

    @property
    def n_visible(self) -> int:
        return self.components.shape[1]

    def as_float64(self) -> "RBMParameters":
        """Return the same parameters in float64."""
        return RBMParameters(
            np.asarray(self.components, dtype=np.float64),
            np.asarray(self.intercept_hidden, dtype=np.float64),
            np.asarray(self.intercept_visible, dtype=np.float64),
        )

    def transposed(self) -> "RBMParameters":
        """Return the machine whose hidden layer is the visible one, and the other way round."""
        return RBMParameters(self.components.T, self.intercept_visible, self.intercept_hidden)

    def between(self, base: np.ndarray, beta: float) -> "RBMParameters":
        """Return the machine at inverse temperature beta on the way from a base without weights.

        The base, beta = 0, has independent visible units with log-odds `base`, (m,).
        """
        return RBMParameters(
            beta * self.components,
            beta * self.intercept_hidden,
            (1 - beta) * base + beta * self.intercept_visible,
        )

    def clamped(self, known: np.ndarray, values: np.ndarray) -> "RBMParameters":
        """Return the machine of the other visible units where those of `known` have `values`.

        `known` is boolean, (m,); `values` holds the known units, (known.sum(),).
        """
        return RBMParameters(
            self.components[:, ~known],
            self.intercept_hidden + self.components[:, known] @ values,
            self.intercept_visible[~known],
        )
