"""One parameter of a family: its name, its space, and the intervals that it has."""

from dataclasses import dataclass

import numpy as np

__all__ = ["EXACT_TOO", "GENERAL", "Parameter"]

# Interval methods of families whose score is known, and of those with an exact law as well.
GENERAL = ("wald", "wald-transformed", "score", "profile", "robust", "bootstrap")
EXACT_TOO = ("wald", "wald-transformed", "score", "profile", "exact", "robust", "bootstrap")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family: its name, its space, and how its intervals are made.

    Attributes
    ----------
    name : str
        Key in ``params_``.
    low, high : float
        Ends of the parameter space; an estimate on an end is a boundary estimate.
    link : {"identity", "log", "logit", "atanh"}
        Scale of the transformed Wald interval.
    methods : tuple of str
        Interval methods that the family has for it.
    auto : str
        The one of them that "auto" takes.
    aliases : tuple of str
        Other names, among them scipy's; understood in `fixed` and in null hypotheses.
    may_be_infinite : bool
        Infinity is a legitimate estimate (the family then is its own limit) and upper end.
    """

    name: str
    low: float = -np.inf
    high: float = np.inf
    link: str = "identity"
    methods: tuple[str, ...] = ("wald", "wald-transformed", "profile", "robust")
    auto: str = "profile"
    aliases: tuple[str, ...] = ()
    may_be_infinite: bool = False

    def on_boundary(self, value: np.ndarray) -> np.ndarray:
        """Return which values lie on an end of the parameter space."""
        return (value <= self.low) | (value >= self.high)

    def describe_space(self) -> str:
        """Return the open parameter space in words."""
        if np.isfinite(self.low) and np.isfinite(self.high):
            return f"strictly between {self.low:g} and {self.high:g}"
        return f"a number > {self.low:g}" if np.isfinite(self.low) else "a finite number"
