"""Numerical fits that ran towards an edge of the parameter space, where the likelihood is flat."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._warnings import warn_user
from skgm.inference._line import Line
from skgm.inference.families._numerical import NumericalFamily

__all__ = ["refuse_edge_estimate", "undetermined", "warn_edge_estimate"]

Params = Mapping[str, np.ndarray]
# Information per row about a coordinate on the scale without ends, the others being unknown too.
# Numerical curvatures are right to about 1e-9; a search for an edge ends far below.
_FLAT = 1e-6


def undetermined(family: Any, statistics: Any, params: Params) -> dict[str, np.ndarray]:
    """Return per parameter the columns, (d,), in which the rows hardly tell it at the estimate.

    Empty for families with formulas, which know their edges.

    Parameters
    ----------
    family : Family
        With numerical derivatives, or with some of the parameters of such a family fixed.
    statistics : object
        Its statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.

    Returns
    -------
    undetermined : dict of str to ndarray of bool
    """
    if not isinstance(getattr(family, "base", family), NumericalFamily):
        return {}
    theta = family.pack(params)
    slope, _ = Line(family.parameters).slopes(theta)
    units = getattr(family, "base", family).units(family.full(params))
    real = [not np.isfinite([p.low, p.high]).any() for p in family.parameters]
    unit = np.where(real, units[:, _places(family)], slope)
    with np.errstate(all="ignore"):
        information = family.observed_information(statistics, params)
        roots, vectors = np.linalg.eigh(
            np.nan_to_num(information * unit[:, :, None] * unit[:, None, :])
        )
        information = 1 / np.einsum("dij,dj->di", vectors**2, 1 / np.maximum(roots, 1e-300))
    return {p.name: ~(information[:, k] > _FLAT) for k, p in enumerate(family.parameters)}


def _places(family: Any) -> np.ndarray:
    base = getattr(family, "base", family)
    names = [p.name for p in base.parameters]
    return np.array([names.index(p.name) for p in family.parameters])


def _describe(family: Any, params: Params, flat: Mapping[str, np.ndarray], columns: Any) -> str:
    """Return in words which parameters ran away in the first column where any did; "" if none."""
    if not flat or not np.any(list(flat.values())):
        return ""
    j = int(np.flatnonzero(np.any(list(flat.values()), axis=0))[0])
    names = [name for name, bad in flat.items() if bad[j]]
    shown = ", ".join(f"{name} = {params[name][j]:.4g}" for name in names)
    return (
        f"the likelihood of column {columns[j]!r} in the {family.name} family is flat where the "
        f"search ended ({shown}): the estimate lies on, or runs towards, an edge of the parameter "
        "space, where the family becomes a smaller one"
    )


def warn_edge_estimate(family: Any, statistics: Any, params: Params, columns: list[str]) -> None:
    """Warn that the estimate lies on an edge, so that it has no standard errors."""
    found = _describe(family, params, undetermined(family, statistics, params), columns)
    if found:
        warn_user(
            f"{found[0].upper()}{found[1:]}. Standard errors of these parameters do not exist; fit "
            "the smaller family, or fix one of them.",
            ConvergenceWarning,
        )


def refuse_edge_estimate(
    family: Any, statistics: Any, params: Params, columns: list[str], what: str
) -> None:
    """Raise where the estimate lies on an edge."""
    found = _describe(family, params, undetermined(family, statistics, params), columns)
    if found:
        raise ValueError(
            f"{what} do not exist: {found}. Fit the smaller family, fix one of them, or use "
            "likelihood_ratio_test."
        )
