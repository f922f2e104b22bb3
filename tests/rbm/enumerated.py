"""A small machine by brute force: every joint state is listed, and nothing of skgm.rbm is used."""

import itertools

import numpy as np

from skgm.rbm._energy import RBMParameters

__all__ = ["Joint", "machine"]


def machine(k, m, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return RBMParameters(
        scale * rng.standard_normal((k, m)),
        scale * rng.standard_normal(k),
        scale * rng.standard_normal(m),
    )


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


class Joint:
    """All pairs (v, h): `log_mass` and, normalized, `p`, both of shape (2**m, 2**k)."""

    def __init__(self, parameters):
        W, c, b = (np.longdouble(a) for a in vars(parameters).values())
        self.v, self.h = states(len(b)), states(len(c))
        self.log_mass = np.array(
            [
                [sum(b * v) + sum(c * h) + sum(h[j] * sum(W[j] * v) for j in range(len(c)))]
                for v in self.v
                for h in self.h
            ]
        ).reshape(len(self.v), len(self.h))
        largest = self.log_mass.max()
        total = np.exp(self.log_mass - largest).sum()
        self.log_partition = float(largest + np.log(total))
        self.p = (np.exp(self.log_mass - largest) / total).astype(np.float64)
        self.p_visible = self.p.sum(axis=1)
