"""Families of distributions that :class:`skgm.inference.MLEDensity` fits.

The classes of the registry resolve on first use.
"""

from importlib import import_module
from typing import Any

from skgm._numerics.moments import Moments
from skgm.inference.families._base import ExponentialFamily, Family, Parameter
from skgm.inference.families._numerical import NumericalFamily
from skgm.inference.families._registry import HOMES, all_families, get_family, load_family
from skgm.inference.families._scipy import ScipyFamily
from skgm.inference.families._statistics import Sums, reduce_chunks

_BUILT = {  # families that are built from another one
    "Hurdle": "_hurdle",
    "ZeroInflated": "_zero_inflated",
    "ZeroOneInflated": "_hurdle",
}
_NAMES = {home.split(".")[1]: name for name, home in HOMES.items()}  # of classes, to families

__all__ = [
    "FAMILIES",
    "ExponentialFamily",
    "Family",
    "Moments",
    "NumericalFamily",
    "Parameter",
    "ScipyFamily",
    "Sums",
    "get_family",
    "reduce_chunks",
    *_BUILT,
    *_NAMES,
]


def __getattr__(name: str) -> Any:
    if name == "FAMILIES":
        return all_families()
    if name in _BUILT:
        return getattr(import_module(f"skgm.inference.families.{_BUILT[name]}"), name)
    if name in _NAMES:
        return type(load_family(_NAMES[name]))
    raise AttributeError(f"module 'skgm.inference.families' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
