"""Finds estimates on an edge of the parameter space, names the limit there, and free thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.sandwich import columnwise_meat, errors_from_information, errors_from_sandwich
from skgm._warnings import warn_user
from skgm.inference._likelihood.model import Line
from skgm.inference.families._numerical import NumericalFamily
from skgm.inference.families._statistics import Rows

__all__ = [
    "check_estimate_off_edge",
    "describe_irregular",
    "edge_errors",
    "infinite_estimates",
    "irregular_end",
    "limit_errors",
    "undetermined",
    "warn_edge_estimate",
]

Params = Mapping[str, np.ndarray]
# Information per row about a coordinate on the scale without ends, the others being unknown too.
# Numerical curvatures are right to about 1e-9; a search for an edge ends far below.
_FLAT = 1e-6
# Where a shape is huge the log-density loses digits, and its curvature is noise. Shapes beyond
# _FAR, or below its inverse, are moved by a factor of ten: an edge if the total log-likelihood,
# maximized over the other parameters, falls by less than _LEVEL.
_FAR, _LEVEL = 100.0, 1e-3


# Supports that move with the parameters: free thresholds.

_NUDGE = 1e-4
_REGULAR = 2.0  # density ~ distance^(power - 1) at an end that moves: power > 2, after Smith


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
    unit = _units(family, params)
    with np.errstate(all="ignore"):
        flat = _is_flat(family.observed_information(statistics, params), unit)
        if flat.any() and family.has_information:  # a density with a kink has no curvature there
            flat &= _is_flat(family.information(params), unit)
        far = _is_far(family, params)
        for j, k in np.argwhere(far & ~flat):
            flat[j, k] = _is_level(family, statistics, params, far[j], j, k)
    for k, p in enumerate(family.parameters):
        if p.tested_low:  # its lower end is a legitimate estimate
            flat[:, k] &= params[p.name] > p.low
    return {p.name: flat[:, k] for k, p in enumerate(family.parameters)}


def _units(family: Any, params: Params) -> np.ndarray:
    """Return the sizes of unit steps on the scale without ends, (d, k), in parameters."""
    base = getattr(family, "base", family)
    names = [p.name for p in base.parameters]
    places = np.array([names.index(p.name) for p in family.parameters])
    slope, _ = Line(family.parameters).slopes(family.pack(params))
    return np.where(_is_real(family), base.units(family.full(params))[:, places], slope)


def _is_real(family: Any) -> np.ndarray:
    return np.array([not np.isfinite([p.low, p.high]).any() for p in family.parameters])


def _is_flat(information: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Return where the information about a coordinate vanishes, the others being unknown."""
    with np.errstate(all="ignore"):
        scaled = information * unit[:, :, None] * unit[:, None, :]
        roots, vectors = np.linalg.eigh(np.nan_to_num(scaled))
        known = 1 / np.einsum("dij,dj->di", vectors**2, 1 / np.maximum(roots, 1e-300))
    return ~(known > _FLAT)


def _is_far(family: Any, params: Params) -> np.ndarray:
    """Return which shapes, (d, k), are so large or small that they may have run away."""
    line = Line(family.parameters).outward(family.pack(params))
    theta, bound = family.pack(params), np.log(_FAR)
    far = np.where(_is_real(family), np.abs(theta) > _FAR, np.abs(line) > bound)
    place = [p.name in ("loc", "scale", "mu", "sigma") for p in family.parameters]
    return far & ~np.array(place)


def _is_level(
    family: Any, statistics: Any, params: Params, far: np.ndarray, j: int, k: int
) -> bool:
    """Whether moving parameter k of column j outwards leaves its likelihood where it is.

    The others are left as they are, or moved along if they are `far` too (k,), or estimated anew.
    """
    if not isinstance(statistics, Rows):
        return False
    one = family.columns([j])
    column = Rows(statistics.n, statistics.X[:, [j]], statistics.weight)
    here = {name: value[[j]] for name, value in params.items()}
    alone = np.arange(len(far)) == k
    best = one.log_likelihood(column, here)
    for moving in (alone, far) if far.sum() > 1 else (alone,):
        there = _ten_times(one, here, moving)
        if (best - one.log_likelihood(column, there) < _LEVEL).all():
            return True
    if len(far) == 1:
        return False
    name = one.parameters[k].name
    null = {p.name: np.array([np.nan]) for p in one.parameters}
    null[name] = _ten_times(one, here, alone)[name]
    try:
        there = one.restricted_near(column, null, here)
    except (ValueError, np.linalg.LinAlgError):  # no maximum of the others out there
        return False
    return bool((best - one.log_likelihood(column, there) < _LEVEL).all())


def _ten_times(family: Any, params: Params, moving: np.ndarray) -> dict[str, np.ndarray]:
    """Return parameters of which some, (k,), are moved outwards by a factor of ten."""
    line = Line(family.parameters)
    u = line.outward(family.pack(params))
    out = np.where(_is_real(family), 9 * u, np.copysign(np.log(10), u))
    return dict(family.unpack(line.inward(u + np.where(moving, out, 0.0))))


def _describe(family: Any, params: Params, flat: Mapping[str, np.ndarray], columns: Any) -> str:
    """Return in words which parameters ran away in the first column where any did; "" if none."""
    if not flat or not np.any(list(flat.values())):
        return ""
    j = int(np.flatnonzero(np.any(list(flat.values()), axis=0))[0])
    names = [name for name, bad in flat.items() if bad[j]]
    shown = ", ".join(f"{name} = {params[name][j]:.4g}" for name in names)
    values = {name: float(params[name][j]) for name in names}
    limit = getattr(family, "base", family).describe_limit(values)
    return (
        f"the likelihood of column {columns[j]!r} in the {family.name} family is flat where the "
        f"search ended ({shown}): the estimate lies on, or runs towards, an edge of the parameter "
        f"space, where the family becomes {limit}"
    )


def describe_irregular(family: Any, params: Params) -> str:
    """Return in words which end of the support moves with an estimate irregularly; "" if none."""
    base = getattr(family, "base", family)
    base = getattr(base, "inner", base)
    if not hasattr(base, "common_support"):
        return ""
    free = [p.name for p in family.parameters]
    end = irregular_end(base, family.full(params), free)
    if end is None:
        return ""
    return (
        f"the support of the {family.name} family ends at {end:g} by the estimate and moves with "
        f"{', '.join(free)}, and its density does not vanish there fast enough for likelihood "
        "theory (the estimate is the maximum, but its errors are not normal)"
    )


def warn_edge_estimate(family: Any, statistics: Any, params: Params, columns: list[str]) -> None:
    """Warn that the estimate lies on an edge, so that it has no standard errors."""
    irregular = describe_irregular(family, params)
    if irregular:
        warn_user(
            f"{irregular[0].upper()}{irregular[1:]}. Estimate and log-likelihood stay; standard "
            "errors, intervals and tests do not exist. Fix a parameter to have them.",
            ConvergenceWarning,
        )
        return
    found = _describe(family, params, undetermined(family, statistics, params), columns)
    if found:
        warn_user(
            f"{found[0].upper()}{found[1:]}. Standard errors of these parameters do not exist; fit "
            "the smaller family, or fix one of them.",
            ConvergenceWarning,
        )


def check_estimate_off_edge(
    family: Any, statistics: Any, params: Params, columns: list[str], what: str
) -> None:
    """Raise where the estimate lies on an edge."""
    irregular = describe_irregular(family, params)
    if irregular:
        raise ValueError(f"{what} do not exist: {irregular}. Fix a parameter.")
    found = _describe(family, params, undetermined(family, statistics, params), columns)
    if found:
        raise ValueError(
            f"{what} do not exist: {found}. Fit the smaller family, fix one of them, or use "
            "likelihood_ratio_test."
        )


def irregular_end(
    family: Any, params: Mapping[str, np.ndarray], free: list[str], least: float = _REGULAR
) -> float | None:
    """Return an end of the support that moves with the free parameters and carries density.

    Parameters
    ----------
    family : ScipyFamily
        Its `ends` and `log_density` are asked.
    params : mapping of str to ndarray of shape (d,)
        The estimate.
    free : list of str
        The parameters that were estimated.
    least : float, default=2
        The least power of the distance from such an end at which it counts as regular: 2 for
        standard errors, 1 for a maximum of the likelihood.

    Returns
    -------
    end : float or None
        None where every end stays, or the density vanishes there faster than linearly.
    """
    if not free:
        return None
    shape = np.shape(params[free[0]])
    ends = [
        np.broadcast_to(np.asarray(end, dtype=np.float64), shape) for end in family.ends(params)
    ]
    for side, end in zip((1.0, -1.0), ends, strict=True):
        moves = np.zeros(end.shape, dtype=bool)
        for name in free:
            nudged = {**params, name: params[name] + _NUDGE * np.maximum(np.abs(params[name]), 1)}
            other = family.ends(nudged)[0 if side > 0 else 1]
            with np.errstate(invalid="ignore"):
                # NaN where the nudge leaves the parameter space
                moves |= np.isfinite(end) & ~np.isnan(other) & (other != end)
        if moves.any() and family.discrete:
            return float(end[moves][0])
        power = _power(family, params, end, side)
        bad = moves & ~(power > least)
        if bad.any():
            return float(end[bad][0])
    return None


def _power(
    family: Any, params: Mapping[str, np.ndarray], end: np.ndarray, side: float
) -> np.ndarray:
    """Return one plus the slope of the log-density over the log-distance from an end."""
    scale = np.asarray({**family.fixed, **params}.get("scale", 1.0))
    near, nearer = 1e-4 * scale, 1e-6 * scale
    with np.errstate(all="ignore"):
        rows = np.stack([end + side * near, end + side * nearer])
        high, low = family.log_density(rows, params)
        slope = (high - low) / np.log(near / nearer)
    return np.where(np.isneginf(low), np.inf, 1 + slope)


# Standard errors where an estimate is infinite: those of the family in the limit.


def infinite_estimates(family: Any, params: Params) -> dict[str, np.ndarray]:
    """Return, by parameter that may be infinite, in which columns (d,) its estimate is."""
    found = {p.name: np.isposinf(params[p.name]) for p in family.parameters if p.may_be_infinite}
    return {name: where for name, where in found.items() if where.any()}


def limit_errors(
    family: Any,
    statistics: Any,
    params: Params,
    cov: str,
    rows: tuple[np.ndarray, np.ndarray | None] | None = None,
) -> dict[str, np.ndarray]:
    """Return standard errors with infinite parameters known: there the family is a smaller one.

    Parameters
    ----------
    family : Family
        Negative binomial or Student's t, or one of these with parameters fixed.
    statistics : object
        Its statistics.
    params : dict of str to ndarray of shape (d,)
        The estimate.
    cov : {"model", "observed", "robust"}
        The kind of covariance.
    rows : tuple of ndarray, default=None
        The table and its weights, for "robust".

    Returns
    -------
    errors : dict of str to ndarray of shape (d,)
        NaN where the estimate is infinite.
    """
    infinite = infinite_estimates(family, params)
    if cov == "model":
        information = family.information(params)
    else:
        information = family.observed_information(statistics, params)
    information = np.array(information)
    for k, parameter in enumerate(family.parameters):
        where = infinite.get(parameter.name)
        if where is not None:  # the score in it vanishes, and with it its row and column
            information[where, k], information[where, :, k] = 0.0, 0.0
            information[where, k, k] = 1.0
    if cov == "robust":
        assert rows is not None
        meat = columnwise_meat(lambda part: family.score(part, params), *rows)
        errors = errors_from_sandwich(information, meat, statistics.n)
    else:
        errors = errors_from_information(information, statistics.n)
    return {
        p.name: np.where(infinite.get(p.name, False), np.nan, errors[:, k])
        for k, p in enumerate(family.parameters)
    }


def edge_errors(
    family: Any, statistics: Any, params: Params, edge: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return standard errors with parameters on an edge known, NaN for these."""
    with np.errstate(all="ignore"):  # the slopes at an edge
        information = np.array(family.observed_information(statistics, params))
    for k, p in enumerate(family.parameters):
        where = edge[p.name]
        information[where, k], information[where, :, k] = 0.0, 0.0
        information[where, k, k] = 1.0
    errors = errors_from_information(information, statistics.n)
    return {
        p.name: np.where(edge[p.name], np.nan, errors[:, k])
        for k, p in enumerate(family.parameters)
    }
