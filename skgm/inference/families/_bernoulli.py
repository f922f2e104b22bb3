"""The Bernoulli family: columns of zeros and ones."""

import numpy as np

from skgm.inference.families._base import Params
from skgm.inference.families._binomial import Binomial

__all__ = ["Bernoulli"]


class Bernoulli(Binomial):
    r"""Bernoulli distribution with success probability p, per column: one binomial trial.

    .. math:: \log p(x) = x \log p + (1 - x) \log(1 - p), \quad x \in \{0, 1\}

    Notes
    -----
    A column of zeros (ones) has the legitimate estimate p = 0 (p = 1), on the boundary: the other
    value then has log-density -inf, standard errors and Wald intervals are refused, and score
    (Wilson), profile and exact (Clopper-Pearson) intervals are one-sided.

    Examples
    --------
    >>> import numpy as np
    >>> from skgm.inference import MLEDensity
    >>> model = MLEDensity("bernoulli").fit(np.array([[0.0]] * 10))
    >>> low, high = model.confidence_intervals()["p"]
    >>> low, round(high, 3)
    (0.0, 0.278)
    """

    name = "bernoulli"
    aliases = ()
    support = "binary"
    constants = ()

    def __init__(self) -> None:
        super().__init__(n=1)

    def given(self, **constants: float) -> "Bernoulli":
        """Refuse: a Bernoulli trial has no constants."""
        raise ValueError(f"The bernoulli family has no constants to give; got {constants}.")

    def describe_support(self) -> str:
        """Return in words what every value must be."""
        return "0 or 1"

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        p = params["p"]
        return (rng.random((n_samples, len(p))) < p).astype(np.float64)
