"""Which parametric model is a special case of which: an explicit table, and what it restricts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from skgm.inference.families import get_family

__all__ = ["NestedFamilies", "NestedNull", "find_case", "fixed_values", "limit_case", "nested_null"]

Translation = tuple[str, Callable[[Any], Any]]


def _same(value: Any) -> Any:
    return value


def _reciprocal(value: Any) -> Any:
    return 1 / np.asarray(value, dtype=np.float64)


def _root_two_times(value: Any) -> Any:
    return np.sqrt(2.0) * np.asarray(value, dtype=np.float64)


@dataclass(frozen=True)
class NestedFamilies:
    """The family `small` is the family `large` at the values of `null`.

    Attributes
    ----------
    small, large : str
        Names in the registry.
    null : dict of str to float
        Values of parameters of `large`; infinite ones lie on the edge of its parameter space.
    shared : dict of str to (str, callable)
        How the other parameters of `large` follow from those of `small`.
    """

    small: str
    large: str
    null: Mapping[str, float]
    shared: Mapping[str, Translation] = field(default_factory=dict)


# Explicit: a family's name says nothing about its limits. The geometric family, on 1, 2, ..., is
# no negative binomial, which starts at 0.
_CASES = (
    NestedFamilies("exponential", "gamma", {"shape": 1.0}, {"scale": ("rate", _reciprocal)}),
    NestedFamilies("exponential", "weibull", {"shape": 1.0}, {"scale": ("rate", _reciprocal)}),
    NestedFamilies("rayleigh", "weibull", {"shape": 2.0}, {"scale": ("scale", _root_two_times)}),
    NestedFamilies(
        "cauchy", "student_t", {"df": 1.0}, {"loc": ("loc", _same), "scale": ("scale", _same)}
    ),
    NestedFamilies(
        "normal", "student_t", {"df": np.inf}, {"loc": ("mu", _same), "scale": ("sigma", _same)}
    ),
    NestedFamilies("poisson", "negative_binomial", {"size": np.inf}, {"mu": ("mu", _same)}),
    # covariance: zero between columns; its diagonal is the square of sigma
    NestedFamilies(
        "normal",
        "multivariate_normal",
        {"covariance": 0.0},
        {"mean": ("mu", _same), "covariance": ("sigma", np.square)},
    ),
)


class NestedNull(NamedTuple):
    """What makes the larger model the smaller one.

    Attributes
    ----------
    null : dict of str to ndarray
        As in `score_test`: values by parameter of the larger model, NaN where free.
    n_restrictions : int
        Difference in the number of free parameters.
    """

    null: dict[str, np.ndarray]
    n_restrictions: int


def find_case(small: str, large: str) -> NestedFamilies | None:
    """Return how the family `small` is nested in the family `large`, or None."""
    return next((c for c in _CASES if (c.small, c.large) == (small, large)), None)


def limit_case(large: str, name: str) -> NestedFamilies | None:
    """Return the family that `large` becomes where its parameter `name` is infinite, or None."""
    cases = (c for c in _CASES if c.large == large and np.isinf(c.null.get(name, 0.0)))
    return next(cases, None)


def fixed_values(model: Any) -> dict[str, Any]:
    """Return what the constructor of `model` fixes, by the own names of its family's parameters.

    Known constants, such as the n of a binomial, are among them.
    """
    family = get_family(model.family)
    own = {name: name for name in family.constants} | dict(family.constant_aliases)
    for parameter in family.parameters:
        own |= dict.fromkeys((parameter.name, *parameter.aliases), parameter.name)
    fixed = getattr(model, "fixed", None) or {}
    # other names are scipy's location and scale where the family has none
    return {own[name]: value for name, value in fixed.items() if name in own}


def nested_null(big: Any, small: Any, n_features: int) -> NestedNull:
    """Return the restrictions that make the model `big` the model `small`.

    Parameters
    ----------
    big, small : MLEDensity
        Fitted or not; only their constructor parameters count.
    n_features : int
        Number of columns.

    Returns
    -------
    nested : NestedNull
        The null hypothesis, and how many parameters it costs.

    Raises
    ------
    ValueError
        `small` is not nested in `big`, or is the same model; the message says why.
    """
    family, wider = get_family(small.family), get_family(big.family)
    constants = [
        {k: v for k, v in fixed_values(m).items() if k in wider.constants} for m in (small, big)
    ]
    shapes = {
        p.name: (n_features,) * len(_entries(wider, p.name, n_features)) for p in wider.parameters
    }
    if family == wider and constants[0] == constants[1]:
        case = NestedFamilies(family.name, wider.name, {}, {n: (n, _same) for n in shapes})
    else:
        found = find_case(family.name, wider.name)
        if found is None and find_case(wider.name, family.name) is not None:
            raise ValueError(
                f"The null is a {family.name} model, of which the {wider.name} family is a special "
                "case: pass the larger model first, and the smaller one as null."
            )
        if found is None:
            raise ValueError(
                f"The {family.name} family is not known to be nested in the {wider.name} family, "
                "so no likelihood-ratio test compares them; use compare_densities on rows that "
                "neither was fitted to."
            )
        case = found
    implied = _implied(case, fixed_values(small), shapes)
    held = {
        k: np.broadcast_to(np.asarray(v, float), shapes[k]) for k, v in fixed_values(big).items()
    }
    null = {name: _beyond(name, value, held.get(name)) for name, value in implied.items()}
    count = sum(int(np.sum(~np.isnan(_free_part(value)))) for value in null.values())
    if count == 0:
        raise ValueError(
            "The null is the same model as the estimator: it has no fewer free parameters, so "
            "there is nothing to test. Fix a parameter, or name a smaller family."
        )
    return NestedNull({k: v for k, v in null.items() if not np.isnan(v).all()}, count)


def _entries(family: Any, name: str, n_features: int) -> tuple[np.ndarray, ...]:
    return family.free_entries(name, n_features)


def _implied(
    case: NestedFamilies, fixed: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Return what the small model says about the parameters of the large one, NaN where nothing."""
    implied = {name: np.full(shape, np.nan) for name, shape in shapes.items()}
    for name, (source, translate) in case.shared.items():
        if source in fixed:
            value = translate(np.asarray(fixed[source], dtype=np.float64))
            if case.null.get(name) == 0.0 and implied[name].ndim == 2:
                np.fill_diagonal(implied[name], value)
            else:
                implied[name][...] = value
    for name, value in case.null.items():
        if implied[name].ndim == 2:  # zero off the diagonal
            implied[name][~np.eye(len(implied[name]), dtype=bool)] = value
        else:
            implied[name][...] = value
    return implied


def _beyond(name: str, implied: np.ndarray, held: np.ndarray | None) -> np.ndarray:
    """Return what `implied` restricts beyond what the large model holds fixed already."""
    if held is None:
        return implied
    known = ~np.isnan(held)
    if not np.array_equal(held[known], implied[known]):
        raise ValueError(
            f"The null is not nested in the estimator, which fixes {name!r} at "
            f"{held[known][0]:g}; give the null the same fixed value."
        )
    return np.where(known, np.nan, implied)


def _free_part(value: np.ndarray) -> np.ndarray:
    return value[np.tril_indices(len(value))] if value.ndim == 2 else value
