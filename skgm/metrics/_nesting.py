"""Whether one of two parametric models is a special case of the other, in words."""

from typing import Any, NamedTuple

import numpy as np

from skgm.inference import MLEDensity
from skgm.inference._nesting import fixed_values, nested_null
from skgm.inference.families import get_family

__all__ = ["Nesting", "find_nesting"]


class Nesting(NamedTuple):
    """How two models are related, in a word and in a sentence."""

    kind: str | None
    note: str = ""


def find_nesting(a: Any, b: Any) -> Nesting:
    """Return whether one of two densities is a special case of the other.

    Parameters
    ----------
    a, b : object
        Densities; only two fitted :class:`skgm.MLEDensity` can be nested.

    Returns
    -------
    nesting : Nesting
        Kind "a in b", "b in a", "same model" (family and fixed values agree) or None.
    """
    if not (isinstance(a, MLEDensity) and isinstance(b, MLEDensity)):
        return Nesting(None)
    if _same_model(a, b):
        note = "a and b are the same model, so only the rows they were fitted to tell them apart"
        return Nesting("same model", note)
    for small, large, names in ((a, b, "ab"), (b, a, "ba")):
        words = _restriction(small, large)
        if words is not None:
            kinds = [get_family(model.family).name for model in (small, large)]
            note = (
                f"{names[0]} ({kinds[0]}) is nested in {names[1]} ({kinds[1]}): {words}; on the "
                f"rows they were fitted to, likelihood_ratio_test({names[1]}, X, {names[0]}) tests "
                "that"
            )
            return Nesting(f"{names[0]} in {names[1]}", note)
    return Nesting(None)


def _same_model(a: MLEDensity, b: MLEDensity) -> bool:
    """Whether family, its settings, and the fixed values agree."""
    if get_family(a.family) != get_family(b.family):
        return False
    held, others = fixed_values(a), fixed_values(b)
    return held.keys() == others.keys() and all(
        np.all(np.asarray(held[name]) == np.asarray(others[name])) for name in held
    )


def _restriction(small: MLEDensity, large: MLEDensity) -> str | None:
    """Return in words what makes `large` equal to `small`; None where nothing does."""
    try:
        null = nested_null(large, small, small.n_features_in_).null
    except ValueError:  # not nested
        return None
    words = ", ".join(_in_words(name, value) for name, value in null.items())
    return f"{words} (on the edge of the parameter space)" if "inf" in words else words


def _in_words(name: str, value: np.ndarray) -> str:
    if value.ndim == 2:
        diagonal = np.isnan(np.diag(value)).all()
        return "no covariances" if diagonal else "no covariances, variances given"
    known = value[~np.isnan(value)]
    if len(set(known)) == 1:
        return f"{name} = {known[0]:g}"
    return f"{name} = [{', '.join(f'{v:g}' for v in known)}]"
