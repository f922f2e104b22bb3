"""Log-likelihoods about their maxima, as the profile paths of functions see them.

A fitted family and a fitted model of another package are both a log-likelihood about its maximum,
a `Surface`; `profile_ends` follows the profile path of a function on either.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from skgm._numerics.differences import gradient
from skgm._warnings import warn_user
from skgm.inference._likelihood.model import LikelihoodModel, Line, ModelFit
from skgm.inference._likelihood.paths import (
    Function,
    Surface,
    follow_path,
    search_inside,
    search_level,
    search_ring,
)

__all__ = [
    "family_surface",
    "model_surface",
    "profile_at",
    "profile_ends",
]

Params = Mapping[str, np.ndarray]
OfParameters = Callable[[Mapping[str, Any]], Any]

_SPACING = 10.0  # of numerical derivatives of a function, in standard errors times the usual step
_AWAY, _ENDLESS = 1e3, 1e6  # a parameter that may be infinite is on its way there, and is there


def profile_ends(
    surface: Surface,
    level: float,
    root: Function | None = None,
    edges: Sequence[Surface] = (),
    *,
    only_reached: bool = False,
    at_edge: Function | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the profile paths downwards and upwards end at a confidence level, (d,) each.

    Parameters
    ----------
    surface : Surface
        The log-likelihood and the function.
    level : float
        Confidence level.
    root : callable, default=None
        As in `follow_path`.
    edges : sequence of Surface, default=()
        The same with a parameter held at an edge of its space. A path that reaches the edge goes
        on along it.
    only_reached : bool, default=False
        Whether an end is refused at which the likelihood has not fallen enough: the path runs to
        an edge of the space that is not among `edges`, and might go on along it.
    at_edge : callable, default=None
        From parameters, (d, k), to the limits of the function, (d,), where a parameter is its upper
        end to rounding, so that the path ended for want of digits; NaN elsewhere.

    Raises
    ------
    ValueError
        The function does not depend on the parameters, or a path was lost: the function or the
        likelihood is not smooth, or the likelihood has several maxima.
    """
    quantile = float(special.ndtri((1 + level) / 2))
    center = np.zeros(surface.shape)
    slope = surface.linear
    if slope is None:
        slope = gradient(surface.value, center, np.full(center.shape, _SPACING))
    if not slope.any(axis=1).all():
        raise ValueError("of does not depend on the parameters at the estimate.")
    found = [follow_path(surface, sign, quantile, root) for sign in (-1.0, 1.0)]
    ends = [end.value for end in found]
    if any(end.pole.any() for end in found):
        warn_user(_POLE)
    for end in found if only_reached else ():
        if (lost := ~end.reached).any():
            j = int(np.flatnonzero(lost)[0])
            raise ValueError(
                f"An end of the profile interval of the function was not found for column number "
                f"{j}: on the way the parameters run to an edge of their space, "
                f"{np.round(surface.params(end.point)[j], 6).tolist()}. Fix a parameter, or use "
                "method='wald'."
            )
    if at_edge is not None:
        ends = _limits_at_edges(surface, found, ends, at_edge)
    for edge in edges:
        for side, (sign, end) in enumerate(zip((-1.0, 1.0), found)):
            ran_away = ~end.reached & (surface.params(end.point) > _AWAY).any(axis=1)
            if ran_away.any():
                other = follow_path(edge, sign, quantile).value
                # what grows with the parameter that is infinite there has no end
                other = np.where(np.abs(other) > _ENDLESS, sign * np.inf, other)
                further = (np.fmin, np.fmax)[side](ends[side], other)
                ends[side] = np.where(ran_away, further, ends[side])
    if root is None and np.isnan(ends).any():
        ends = _found_otherwise(surface, quantile, ends, [end.point for end in found])
    _check_found(ends)
    return ends[0], ends[1]


def profile_at(
    surface: Surface, wanted: np.ndarray, edges: Sequence[Surface] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest likelihood at which the function has certain values, and where that is.

    The profile path is followed to the value, so that it lies inside an interval of `profile_ends`
    exactly where the likelihood has not fallen further than at its end.

    Parameters
    ----------
    surface : Surface
        The log-likelihood and the function.
    wanted : ndarray of shape (d,)
        The values; NaN where a column is not restricted.
    edges : sequence of Surface, default=()
        As in `profile_ends`.

    Returns
    -------
    height : ndarray of shape (d,)
        The log-likelihood less its maximum.
    params : ndarray of shape (d, k)
        The parameters there.

    Raises
    ------
    ValueError
        The function does not reach the value on its path, or the path was lost.
    """
    center = np.zeros(surface.shape)
    start, params = surface.value(center), surface.params(center)
    height = np.zeros(len(start))
    for sign in (-1.0, 1.0):
        wrong_side = ~(sign * (wanted - start) > 0)
        missing, limit = ~wrong_side, start
        for one in (surface, *edges) if missing.any() else ():
            end = _path_to(one, sign, wanted, start, ~missing)
            found = missing & end.reached
            height = np.where(found, one.height(end.point), height)
            params = np.where(found[:, None], one.params(end.point), params)
            missing, limit = missing & ~found, end.value
        lost = missing & np.isnan(limit)
        if lost.any() and surface.shape[1] == 2:
            top, point = search_level(surface, sign, wanted)
            lost &= np.isfinite(top)
            height = np.where(lost, top, height)
            params = np.where(lost[:, None], surface.params(point), params)
            missing = missing & ~lost
        if missing.any():
            j = int(np.flatnonzero(missing)[0])
            raise ValueError(
                f"The function does not take the value {wanted[j]:g} of the null on the way of the "
                f"profile likelihood from its estimate {start[j]:g}"
                + (f": it ends at {limit[j]:g}." if np.isfinite(limit[j]) else ".")
                + " Test a value that it can have, or use wald_test."
            )
    return height, params


def _path_to(
    surface: Surface, sign: float, wanted: np.ndarray, start: np.ndarray, skip: np.ndarray
) -> Any:
    """Return the ends of the paths on which the function goes from `start` to `wanted`."""
    gap = np.where(skip, 1.0, np.abs(wanted - start))

    def share(v: np.ndarray) -> np.ndarray:
        return np.where(skip, np.inf, sign * (surface.value(v) - start) / gap)

    return follow_path(surface, sign, 1.0, share)


def _check_found(ends: list[np.ndarray]) -> None:
    for word, values in zip(("lower", "upper"), ends):
        if np.isnan(values).any():
            raise ValueError(
                f"The {word} end of the profile interval of the function was not found at this "
                f"level for column number {int(np.flatnonzero(np.isnan(values))[0])}: the function "
                "or the likelihood is not smooth there. Use method='wald', a lower level, or a "
                "smoother function."
            )


def _limits_at_edges(
    surface: Surface, found: list[Any], ends: list[np.ndarray], at_edge: Function
) -> list[np.ndarray]:
    """Return the ends, the function's limits where a path ended for want of digits."""
    limits = []
    for word, sign, end, value in zip(("lower", "upper"), (-1.0, 1.0), found, ends):
        limit = at_edge(surface.params(end.point))
        rounded = ~end.reached & ~np.isnan(limit)
        limit = np.where(np.isinf(limit), sign * np.inf, limit)
        if (rounded & ~np.isclose(limit, value, rtol=1e-9, atol=1e-9)).any():
            warn_user(_NO_DIGITS.format(word))
        limits.append(np.where(rounded, limit, value))
    return limits


def _found_otherwise(
    surface: Surface, quantile: float, ends: list[np.ndarray], points: list[np.ndarray]
) -> list[np.ndarray]:
    """Return the ends, those that are NaN by a search without paths."""
    if surface.shape[1] == 2:
        found = list(search_ring(surface, quantile))
    else:
        sides = zip((-1.0, 1.0), points, ends)
        found = [
            search_inside(surface, sign, quantile, point, np.isnan(end))
            for sign, point, end in sides
        ]
    return [np.where(np.isnan(end), other, end) for end, other in zip(ends, found)]


def family_surface(
    family: Any,
    function: OfParameters,
    statistics: Any,
    params: Params,
    edge: Params | None = None,
) -> Surface:
    """Return the log-likelihood of a columnwise family about its estimate, with a function.

    With `edge`, the restricted estimate on an edge, it is that of the parameters which are free
    there, about them.
    """
    n, names = statistics.n, [p.name for p in family.parameters]
    free = [k for k, p in enumerate(family.parameters) if edge is None or not p.may_be_infinite]
    line, start = Line([family.parameters[k] for k in free]), family.pack(edge or params)
    center = line.outward(start[:, free])
    highest = family.log_likelihood(statistics, params)

    def at(theta: np.ndarray) -> dict[str, np.ndarray]:
        full = start.copy()
        full[:, free] = theta
        return {name: full[:, k] for k, name in enumerate(names)}

    def height(u: np.ndarray) -> np.ndarray:
        return family.log_likelihood(statistics, at(line.inward(u))) - highest

    def slope(u: np.ndarray) -> np.ndarray:
        theta = line.inward(u)
        return n * family.mean_score(statistics, at(theta))[:, free] * line.slopes(theta)[0]

    def expansion(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        theta = line.inward(u)
        mean, score, information = family.expansion(statistics, at(theta))
        information = information[:, free][:, :, free]
        return n * mean - highest, *_on_line(line, theta, n * score[:, free], n * information)

    def value(u: np.ndarray) -> np.ndarray:
        return _tried(function, family.full(at(line.inward(u))))

    def whole(u: np.ndarray) -> np.ndarray:
        return family.pack(at(line.inward(u)))

    return _whitened(height, slope, expansion, value, whole, center)


def model_surface(model: LikelihoodModel, fit: ModelFit, target: Any) -> Surface:
    """Return the log-likelihood of one model about its maximum, with a target, as one column."""
    line = Line([_Space(low) for low in model.lower.tolist()])
    center = line.outward(fit.params[None])

    def height(u: np.ndarray) -> np.ndarray:
        return np.array([model.loglik(line.inward(u)[0]) - fit.loglik])

    def slope(u: np.ndarray) -> np.ndarray:
        theta = line.inward(u)
        return model.score(theta[0]) * line.slopes(theta)[0]

    def expansion(u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        theta = line.inward(u)
        score = model.score(theta[0])[None]
        information = model.observed_information(theta[0])[None]
        return height(u), *_on_line(line, theta, score, information)

    def value(u: np.ndarray) -> np.ndarray:
        try:
            return np.array([target.value(line.inward(u)[0])])
        except (ValueError, ArithmeticError):
            return np.array([np.nan])

    combination = getattr(target, "combination", None)
    if combination is not None and np.isfinite(model.lower[combination != 0]).any():
        combination = None  # not linear on the line
    return _whitened(height, slope, expansion, value, line.inward, center, combination)


class _Space(NamedTuple):
    """The space of one parameter of a model: open at its lower end, endless above."""

    low: float
    high: float = np.inf


def _on_line(
    line: Line, theta: np.ndarray, score: np.ndarray, information: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and minus Hessian on the scale without ends, by the chain rule."""
    first, second = line.slopes(theta)
    curvature = information * first[:, :, None] * first[:, None, :]
    k = np.arange(theta.shape[1])
    curvature[:, k, k] -= score * second
    return score * first, curvature


def _whitened(
    height: Function,
    slope: Function,
    expansion: Any,
    value: Function,
    params: Function,
    center: np.ndarray,
    combination: np.ndarray | None = None,
) -> Surface:
    """Return a surface in coordinates u = center + C v, C'JC being the identity there."""
    with np.errstate(all="ignore"):
        _, _, curvature = expansion(center)
    C = _inverse_root(curvature)
    turned = C.transpose(0, 2, 1)

    def at(v: np.ndarray) -> np.ndarray:
        return center + np.einsum("dij,dj->di", C, v)

    def expand(v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        top, g, J = expansion(at(v))
        return top, np.einsum("dij,dj->di", turned, g), turned @ J @ C

    return Surface(
        lambda v: height(at(v)),
        lambda v: np.einsum("dij,dj->di", turned, slope(at(v))),
        expand,
        lambda v: value(at(v)),
        center.shape,
        lambda v: params(at(v)),
        None if combination is None else turned @ combination,
    )


def _inverse_root(curvature: np.ndarray) -> np.ndarray:
    """Return C, (d, k, k), with C C' the inverse of the curvature."""
    diagonal = np.diagonal(curvature, axis1=1, axis2=2)
    if not (np.isfinite(curvature).all() and (diagonal > 0).all()):
        raise ValueError(_FLAT)
    unit = 1 / np.sqrt(diagonal)
    roots, vectors = np.linalg.eigh(curvature * unit[:, :, None] * unit[:, None, :])
    if not (roots[:, 0] > 64 * unit.shape[1] * np.finfo(np.float64).eps).all():
        raise ValueError(_FLAT)
    return unit[:, :, None] * vectors / np.sqrt(roots)[:, None, :]


_POLE = (
    "The function has a pole among the parameters that the likelihood does not reject: it jumps "
    "from one infinity to the other there, and values of the other sign are not rejected either. "
    "The interval holds the values on the estimate's side; take the interval of its reciprocal to "
    "see all of them."
)
_NO_DIGITS = (
    "The {} end of the interval of the function lies where a parameter is the end of its space to "
    "rounding; the function's limit there is given, which is too wide. Model the complement "
    "(1 - x) instead: numbers near zero keep their digits."
)
_FLAT = (
    "Profile intervals of functions do not exist: the likelihood is flat at the estimate in some "
    "direction. Fix a parameter, or use method='wald'."
)


def _tried(function: OfParameters, params: Params) -> np.ndarray:
    """Return the function at parameters that it may not allow, NaN there."""
    d = len(next(iter(params.values())))
    given = {k: float(v[0]) for k, v in params.items()} if d == 1 else dict(params)
    try:
        return np.broadcast_to(np.asarray(function(given), dtype=np.float64), (d,))
    except (ValueError, ArithmeticError):
        return np.full(d, np.nan)
