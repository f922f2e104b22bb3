"""Increasing functions of one variable with their inverses and slopes: pure formulas.

Every member works element by element on arrays (n, d). None guards its domain: the caller masks
what lies outside `domain` or `image`, which are open intervals, scalars or one value per column.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

__all__ = ["FUNCTIONS", "Function", "box_cox", "yeo_johnson"]

_LINE = (-np.inf, np.inf)


@dataclass(frozen=True)
class Function:
    """An increasing bijection from the interval `domain` onto the interval `image`.

    Attributes
    ----------
    forward, inverse : callable
        f and its inverse.
    log_slope : callable
        log f'(x).
    bend : callable
        d/dx log f'(x).
    domain, image : tuple of (low, high)
        Open intervals; floats, or arrays with one value per column.
    """

    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    log_slope: Callable[[Any], Any]
    bend: Callable[[Any], Any]
    domain: tuple[Any, Any] = _LINE
    image: tuple[Any, Any] = _LINE


# Zero is left out of the domain of sqrt: its slope, and so the density there, is infinite.
FUNCTIONS: dict[Any, Function] = {
    np.log: Function(np.log, np.exp, lambda x: -np.log(x), lambda x: -1 / x, domain=(0.0, np.inf)),
    np.log1p: Function(
        np.log1p,
        np.expm1,
        lambda x: -np.log1p(x),
        lambda x: -1 / (1 + x),
        domain=(-1.0, np.inf),
    ),
    np.exp: Function(np.exp, np.log, lambda x: x, np.ones_like, image=(0.0, np.inf)),
    np.expm1: Function(np.expm1, np.log1p, lambda x: x, np.ones_like, image=(-1.0, np.inf)),
    np.sqrt: Function(
        np.sqrt,
        np.square,
        lambda x: -np.log(2) - np.log(x) / 2,
        lambda x: -0.5 / x,
        domain=(0.0, np.inf),
        image=(0.0, np.inf),
    ),
}


def box_cox(power: np.ndarray) -> Function:
    """Return x -> (x**power - 1) / power on x > 0, one power per column (0: the logarithm)."""
    with np.errstate(divide="ignore"):
        bound = -1 / power
    return Function(
        lambda x: special.boxcox(x, power),
        lambda z: special.inv_boxcox(z, power),
        lambda x: (power - 1) * np.log(x),
        lambda x: (power - 1) / x,
        domain=(0.0, np.inf),
        image=(np.where(power > 0, bound, -np.inf), np.where(power < 0, bound, np.inf)),
    )


def yeo_johnson(power: np.ndarray) -> Function:
    """Return the Yeo-Johnson transform, one power per column: Box-Cox of 1 + |x| on each side."""
    with np.errstate(divide="ignore"):
        low, high = 1 / (2 - power), -1 / power

    def both_sides(formula: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        return lambda x: np.where(x >= 0, formula(x, power), -formula(-x, 2 - power))

    return Function(
        both_sides(special.boxcox1p),
        both_sides(special.inv_boxcox1p),
        lambda x: np.sign(x) * (power - 1) * np.log1p(np.abs(x)),
        lambda x: (power - 1) / (1 + np.abs(x)),
        image=(np.where(power > 2, low, -np.inf), np.where(power < 0, high, np.inf)),
    )
