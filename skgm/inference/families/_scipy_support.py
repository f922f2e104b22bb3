"""What a distribution of scipy.stats says of its shapes and its support."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Shape", "at_infinity", "common_ends", "describe_ends", "irregular_end", "shapes_of"]

_NUDGE = 1e-4
_REGULAR = 2.0  # density ~ distance^(power - 1) at an end that moves: power > 2, after Smith

_FAR = 1e6  # a shape beyond it, or below its inverse, has run away
_LEVEL = 1e-6  # of the mean log-likelihood per factor e of such a shape: it is at its limit


class Shape(NamedTuple):
    """A shape parameter: its name, open space, kind, link and values well inside."""

    name: str
    low: float
    high: float
    integral: bool
    link: str
    examples: tuple[float, ...]


def shapes_of(distribution: Any) -> list[Shape]:
    """Return the shapes of a distribution; positive where it does not say."""
    names = [name.strip() for name in (distribution.shapes or "").split(",") if name.strip()]
    try:
        known = {info.name: info for info in distribution._shape_info()}
    except (AttributeError, NotImplementedError):  # a distribution of the user's own
        known = {}
    return [_shape(name, known.get(name)) for name in names]


def _shape(name: str, info: Any) -> Shape:
    low, high = (0.0, np.inf) if info is None else (float(end) for end in info.domain)
    low = 0.0 if 0 < low < 1e-300 else low
    integral = info is not None and bool(info.integrality)
    if np.isfinite(low) and np.isfinite(high):
        examples = tuple(low + share * (high - low) for share in (0.3, 0.55, 0.8))
        link = "logit" if (low, high) == (0, 1) else "identity"
        return Shape(name, low, high, integral, link, examples)
    if np.isfinite(low):
        examples = (low + 0.7, low + 1.6, low + 3.1)
        return Shape(name, low, np.inf, integral, "log" if low == 0 else "identity", examples)
    return Shape(name, -np.inf, high, integral, "identity", (-0.4, 0.3, 1.2))


def common_ends(
    distribution: Any, shapes: list[Shape], fixed: Mapping[str, float]
) -> tuple[float, float]:
    """Return the ends of the standard support that no shape moves; infinite where there is none."""
    found = []
    for k in range(3):
        # apart from each other, where shapes must be ordered
        values = [fixed.get(s.name, s.examples[k] + 0.1 * i) for i, s in enumerate(shapes)]
        with np.errstate(all="ignore"):
            low, high = distribution.support(*values)
        if not (np.isnan(low) or np.isnan(high)):
            found.append((float(low), float(high)))
    lows, highs = {low for low, _ in found}, {high for _, high in found}
    return (
        lows.pop() if len(lows) == 1 else -np.inf,
        highs.pop() if len(highs) == 1 else np.inf,
    )


def describe_ends(low: float, high: float, discrete: bool) -> str:
    """Return in words what every value in the support is."""
    kind = "whole numbers" if discrete else "numbers"
    if np.isfinite(low) and np.isfinite(high):
        return f"{kind} from {low:g} to {high:g}" if discrete else f"{kind} in ({low:g}, {high:g})"
    if np.isfinite(low):
        return f"{kind} {'>=' if discrete else '>'} {low:g}"
    if np.isfinite(high):
        return f"{kind} {'<=' if discrete else '<'} {high:g}"
    return "whole numbers" if discrete else "finite numbers"


def at_infinity(family: Any, statistics: Any, params: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return in which columns, (d,), a positive shape ran away to where the likelihood is level.

    The others can still be at their best there, by the envelope theorem, though the likelihood
    need not have a curvature in them: a Burr law tends to a Pareto law with a free threshold.
    """
    theta = family.pack(params)
    is_shape = np.array([p.link == "log" and p.name != "scale" for p in family.parameters])
    with np.errstate(all="ignore"):
        far = is_shape & ~((theta < _FAR) & (theta > 1 / _FAR))
        slope = np.abs(family.mean_score(statistics, params) * theta)
        curvature = np.nan_to_num(family.observed_information(statistics, params))
    level = far.any(axis=1) & (~far | (slope < _LEVEL)).all(axis=1)
    return np.asarray(level & (np.linalg.eigvalsh(curvature)[:, 0] <= 0))


def irregular_end(family: Any, params: Mapping[str, np.ndarray], free: list[str]) -> float | None:
    """Return an end of the support that moves with the free parameters and carries density.

    Parameters
    ----------
    family : ScipyFamily
        Its `ends` and `log_density` are asked.
    params : mapping of str to ndarray of shape (d,)
        The estimate.
    free : list of str
        The parameters that were estimated.

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
                moves |= np.isfinite(end) & (other != end)
        if moves.any() and family.discrete:
            return float(end[moves][0])
        power = _power(family, params, end, side)
        bad = moves & ~(power > _REGULAR)
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
