"""Finds what a smaller parametric model restricts in the larger one that it is nested in."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from skgm.inference.families import Family, get_family
from skgm.inference.families._base import SpecialCase, same

__all__ = ["NestedNull", "find_case", "fixed_values", "limit_case", "nested_null"]


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


def find_case(small: str, large: Family) -> SpecialCase | None:
    """Return how the family called `small` is nested in the family `large`, or None."""
    return next((case for case in large.special_cases if case.small == small), None)


def limit_case(large: Family, name: str) -> SpecialCase | None:
    """Return the family that `large` becomes where its parameter `name` is infinite, or None."""
    cases = (case for case in large.special_cases if np.isinf(case.null.get(name, 0.0)))
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
        case = SpecialCase(family.name, {}, {n: (n, same) for n in shapes})
    else:
        found = find_case(family.name, wider)
        if found is None and find_case(wider.name, family) is not None:
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
    case: SpecialCase, fixed: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
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
