"""Draws from a table of probabilities in constant time per draw, however many classes it has."""

import numpy as np

__all__ = ["AliasTable"]


class AliasTable:
    """Walker's alias method, with Vose's construction.

    Class i keeps a column of height 1 of the unit-width histogram; what its probability (times the
    number of classes) lacks of 1 is filled from one other class, its alias. A draw picks a column
    and then, by one uniform number, the class or its alias.

    Parameters
    ----------
    probabilities : ndarray of shape (n_classes,)
        Non-negative, with a positive sum; normalised here.

    Attributes
    ----------
    keep : ndarray of shape (n_classes,)
        Probability of staying with the column that was picked.
    alias : ndarray of shape (n_classes,)
        The class that fills the rest of the column.
    """

    def __init__(self, probabilities: np.ndarray) -> None:
        share = np.asarray(probabilities, dtype=np.float64)
        share = share * (len(share) / share.sum())
        self.keep, self.alias = np.ones(len(share)), np.arange(len(share))
        rest = share.tolist()  # plain floats: the loop below is then five times faster
        small = np.flatnonzero(share < 1.0).tolist()
        large = np.flatnonzero(share >= 1.0).tolist()
        while small and large:
            poor, rich = small.pop(), large[-1]
            self.keep[poor], self.alias[poor] = rest[poor], rich
            rest[rich] -= 1.0 - rest[poor]
            if rest[rich] < 1.0:
                small.append(large.pop())
        # What is left over is a full column, up to rounding, and has kept its 1.

    @property
    def probabilities(self) -> np.ndarray:
        """The probabilities of the classes as the table draws them, (n_classes,)."""
        filled = np.bincount(self.alias, weights=1.0 - self.keep, minlength=len(self.keep))
        return (self.keep + filled) / len(self.keep)

    def draw(self, n_draws: int, rng: np.random.Generator) -> np.ndarray:
        """Return `n_draws` independent classes, (n_draws,)."""
        column = rng.integers(len(self.keep), size=n_draws)
        return np.where(rng.random(n_draws) < self.keep[column], column, self.alias[column])
