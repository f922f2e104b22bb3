"""Scales on which an estimate is closer to normal, and Wald intervals on them.

A variance or a rate gets its interval on the log scale, a proportion on the logit scale, a
correlation on Fisher's z scale; the interval is mapped back, so it stays inside the range.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

__all__ = [
    "LINKS",
    "Link",
    "wald_interval",
]


@dataclass(frozen=True)
class Link:
    """A monotone map to the whole line, its derivative, and its inverse."""

    name: str
    forward: Any
    derivative: Any
    inverse: Any


LINKS = {
    "identity": Link("identity", np.asarray, np.ones_like, np.asarray),
    "log": Link("log", np.log, np.reciprocal, np.exp),
    "logit": Link("logit", special.logit, lambda p: 1 / (p * (1 - p)), special.expit),
    "asinh": Link("asinh", np.arcsinh, lambda x: 1 / np.sqrt(1 + x**2), np.sinh),
    "atanh": Link("atanh", np.arctanh, lambda r: 1 / (1 - r**2), np.tanh),
}


def wald_interval(
    estimate: Any, standard_error: Any, level: float, *, link: str = "identity", df: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return estimate -+ quantile * standard error on the scale of `link`, mapped back.

    Parameters
    ----------
    estimate, standard_error : array-like
        On the natural scale; the delta method moves the error to the scale of `link`.
    level : float
        Confidence level in (0, 1).
    link : {"identity", "log", "logit", "asinh", "atanh"}, default="identity"
        Scale of the interval.
    df : float, default=None
        Degrees of freedom of Student's t; None for the normal quantile.

    Returns
    -------
    low, high : ndarray
        Of the shape of `estimate`; NaN where the link is not defined at the estimate.
    """
    scale = LINKS[link]
    upper = (1 + level) / 2
    quantile = stats.norm.ppf(upper) if df is None else stats.t.ppf(upper, df)
    estimate = np.asarray(estimate, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        center = scale.forward(estimate)
        half_width = quantile * np.asarray(standard_error) * scale.derivative(estimate)
        low, high = scale.inverse(center - half_width), scale.inverse(center + half_width)
    return low, high
