"""Which parametric model is a special case of which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from skgm.inference import MLEDensity
from skgm.inference.families import get_family

__all__ = ["Nesting", "find_nesting"]


@dataclass(frozen=True)
class _Case:
    """The family `small` is the family `large` at the values of `null`.

    `shared` maps those parameters of `large` that mean the same in `small` to their names there.
    """

    small: str
    large: str
    null: Mapping[str, Any]
    words: str
    shared: Mapping[str, str] = field(default_factory=dict)


# Explicit: a family's name says nothing about its limits.
_CASES = (
    _Case("exponential", "gamma", {"shape": 1.0}, "shape = 1"),
    _Case("exponential", "weibull", {"shape": 1.0}, "shape = 1"),
    _Case("rayleigh", "weibull", {"shape": 2.0}, "shape = 2"),
    _Case("cauchy", "student_t", {"df": 1.0}, "df = 1", {"loc": "loc", "scale": "scale"}),
    _Case("normal", "student_t", {"df": np.inf}, "df = inf", {"loc": "mu", "scale": "sigma"}),
    _Case("geometric", "negative_binomial", {"size": 1.0}, "size = 1"),
    _Case("poisson", "negative_binomial", {"size": np.inf}, "size = inf", {"mu": "mu"}),
    _Case("normal", "multivariate_normal", {"covariance": 0.0}, "no covariances", {"mean": "mu"}),
)


class Nesting(NamedTuple):
    """How two models are related, in a word and in a sentence."""

    kind: str | None
    note: str = ""


def find_nesting(a: Any, b: Any) -> Nesting:
    """Return whether one of two densities is a special case of the other.

    Parameters
    ----------
    a, b : object
        Densities; only two :class:`skgm.MLEDensity` can be nested.

    Returns
    -------
    nesting : Nesting
        Kind "a in b", "b in a", "same model" (family and fixed values agree) or None.
    """
    if not (isinstance(a, MLEDensity) and isinstance(b, MLEDensity)):
        return Nesting(None)
    in_b, in_a = _restriction(a, b), _restriction(b, a)
    if "" in (in_b, in_a):
        note = "a and b are the same model, so only the rows they were fitted to tell them apart"
        return Nesting("same model", note)
    if in_b is not None:
        return Nesting("a in b", _sentence("a", a, "b", b, in_b))
    if in_a is not None:
        return Nesting("b in a", _sentence("b", b, "a", a, in_a))
    return Nesting(None)


def _sentence(small: str, small_model: Any, large: str, large_model: Any, words: str) -> str:
    names = [get_family(model.family).name for model in (small_model, large_model)]
    edge = ", on the edge of the parameter space" if "inf" in words else ""
    return (
        f"{small} ({names[0]}) is nested in {large} ({names[1]}): {words}{edge}; "
        f"on the rows they were fitted to, likelihood_ratio_test of {large} tests that"
    )


def _restriction(small: MLEDensity, large: MLEDensity) -> str | None:
    """Return in words what makes `large` equal to `small`; None: nothing, "": it is already."""
    family, wider = get_family(small.family), get_family(large.family)
    held, wider_held = _fixed(small), _fixed(large)
    if _same(family, wider):
        names = {name: name for name in (*held, *wider_held)}
        case: _Case | None = _Case(family.name, wider.name, {}, "", names)
    else:
        pair = (family.name, wider.name)
        case = next((c for c in _CASES if (c.small, c.large) == pair), None)
    if case is None:
        return None
    shared = {k: held[v] for k, v in case.shared.items() if v in held}
    implied = dict(case.null) | shared
    if not all(_agree(implied.get(key), value) for key, value in wider_held.items()):
        return None
    words = [] if set(case.null) <= set(wider_held) else [case.words]
    words += [f"{k} = {v}" for k, v in shared.items() if k not in wider_held]
    own = set(held) - set(case.shared.values())
    words += [f"{k} of the {family.name} = {held[k]}" for k in sorted(own)]
    return ", ".join(words)


def _same(family: Any, other: Any) -> bool:
    """Whether two family objects are one family, with equal settings if they have any."""
    return type(family) is type(other) and repr(vars(family)) == repr(vars(other))


def _fixed(model: MLEDensity) -> dict[str, Any]:
    """Return the values that the constructor fixes, by the family's own names."""
    fixed, family = getattr(model, "fixed", None) or {}, get_family(model.family)
    own = {name: name for name in getattr(family, "constants", ())}
    own |= getattr(family, "constant_aliases", {})
    for parameter in family.parameters:
        aliases = (parameter.name, *getattr(parameter, "aliases", ()))
        own |= dict.fromkeys(aliases, parameter.name)
    # scipy's loc=0 and scale=1, of families that have none, fix nothing
    return {own[name]: value for name, value in fixed.items() if name in own}


def _agree(held: Any, wanted: Any) -> bool:
    if held is None:
        return False
    held, wanted = np.broadcast_arrays(np.asarray(held, float), np.asarray(wanted, float))
    return bool(np.array_equal(held, wanted, equal_nan=True))
