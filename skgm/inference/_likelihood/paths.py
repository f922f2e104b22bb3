r"""Follows the profile path of a function of the parameters, from the estimate outwards.

The profile interval of psi = f(theta) is the range of f over the parameters that the likelihood
does not reject. Its ends lie on the path of points where f is extreme among parameters of equal
likelihood,

.. math:: \nabla \ell(\theta) + \nu \nabla f(\theta) = 0,

which starts at the estimate with :math:`\nu = 0`. A predictor goes along the tangent of the path, a
corrector returns to it by Newton's method, and the walk ends where the signed root of the statistic
reaches its quantile. Each point is near the last, so that no other stationary point is taken for
an end. The path and its points are those of any increasing function of f.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize

from skgm._numerics.differences import gradient, hessian
from skgm._numerics.roots import find_root

__all__ = [
    "PathEnd",
    "Surface",
    "follow_path",
    "search_inside",
    "search_level",
    "search_ring",
]

Function = Callable[[np.ndarray], np.ndarray]
Expansion = tuple[np.ndarray, np.ndarray, np.ndarray]

# Coordinates are whitened: one unit is one standard error at the estimate, in any direction.
_UNIT = 10.0  # of the differences of f: steps of .016 standard errors for slopes
# Distance at which f is compared with a straight line, where it may be taken for one, and shares
# of the steps to try.
_STENCIL, _STRAIGHT, _SCALES = 0.125, 0.1, (1.0, 0.25, 0.0625, 2.0**-6, 2.0**-8)
_ITERATIONS, _REFRESH = 12, 3  # Newton steps; curvatures are taken at every third
# The error left after a Newton step, in standard errors: on the way, and at the end; a step below
# the noise may stall.
_ROUGH, _EXACT, _NOISE = 1e-3, 1e-10, 1e-5
_NEAR = 0.05  # a correction as small as that leads to no other path
_EASY = 4  # iterations after which the next step may be longer
_SHORTEST = 1e-7
_LEVEL, _FAR = 1e-6, 4.0  # rise of the root per doubling of the distance that counts as none
_SETTLED, _SHRINKING = 1e-10, -0.3  # changes of f that tell a limit from a way to infinity
_FLAT = 1e-3  # of the slope of f at the estimate: f has an extreme of its own
# Growth per standard error, as a share, that tells a pole where the sign changes, and elsewhere.
_STEEP, _STEEPEST = 20.0, 1e4
_EPS = np.finfo(np.float64).eps
_VISIBLE = 2**15 * _EPS  # changes of f whose differences have four digits
_INVISIBLE = 2**12 * _EPS  # of f per standard error: its differences are rounding
_ANGLES = 48
_LARGEST, _SMALLEST = 1e300, 1e-300
_LARGEST_SHARE = 1e4  # of the value where a path was lost: the function has a pole


class Surface(NamedTuple):
    """Log-likelihoods of d columns, and a function of their parameters, about the estimates.

    Coordinates v, (d, k), are zero at the estimates, in units in which minus the Hessian of the
    log-likelihood is the identity there.

    Attributes
    ----------
    height : callable
        From v to the log-likelihood less its maximum, (d,).
    slope : callable
        From v to its gradient, (d, k).
    expansion : callable
        From v to height, slope, and minus the Hessian, (d, k, k).
    value : callable
        From v to the function, (d,); NaN where it is not defined.
    shape : tuple of int
        (d, k).
    params : callable
        From v to the parameters, (d, k).
    linear : ndarray of shape (d, k), default=None
        The gradient of the function, if it is linear in v.
    """

    height: Function
    slope: Function
    expansion: Callable[[np.ndarray], Expansion]
    value: Function
    shape: tuple[int, int]
    params: Function
    linear: np.ndarray | None = None


class PathEnd(NamedTuple):
    """Where the paths of d columns end.

    Attributes
    ----------
    value : ndarray of shape (d,)
        The function there; NaN where the path was lost.
    point : ndarray of shape (d, k)
        Coordinates of the last point.
    reached : ndarray of bool, shape (d,)
        Whether the root of the statistic reached its quantile. Elsewhere the path went on to
        infinity or to an extreme of the function, whose value is the end.
    pole : ndarray of bool, shape (d,)
        Whether the function jumps there from one infinity to the other.
    """

    value: np.ndarray
    point: np.ndarray
    reached: np.ndarray
    pole: np.ndarray


class _Points(NamedTuple):
    """Points of the path, and what is known there."""

    v: np.ndarray
    value: np.ndarray
    root: np.ndarray
    tangent: np.ndarray


def follow_path(
    surface: Surface,
    sign: float,
    quantile: float,
    root: Function | None = None,
    max_steps: int = 250,
) -> PathEnd:
    """Return where the function is largest (sign 1) or smallest (sign -1) in the interval.

    Parameters
    ----------
    surface : Surface
        The log-likelihood and the function.
    sign : float
        Direction, 1 or -1.
    quantile : float
        Of the normal distribution: where the walk ends.
    root : callable, default=None
        From points v of the path to the distance, (d,), that is compared with the quantile; the
        root of the likelihood-ratio statistic by default.
    max_steps : int, default=250
        Steps after which the path is given up.

    Returns
    -------
    end : PathEnd
    """
    with np.errstate(all="ignore"):
        return _Walk(surface, sign, quantile, root).run(max_steps)


def search_ring(surface: Surface, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the range, (d,) each, of a function over a region of two parameters, by its rim.

    The rim, where the root of the likelihood-ratio statistic is at its quantile, is met once by
    each ray from the estimate. It needs no derivatives: for likelihoods with kinks.
    """

    def excess(point: np.ndarray) -> np.ndarray:
        return np.nan_to_num(-surface.height(point), nan=np.inf) - quantile**2 / 2

    found = [_best_on_rays(surface, excess, surface.value, sign) for sign in (-1.0, 1.0)]
    return found[0][0], found[1][0]


def search_level(
    surface: Surface, sign: float, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the greatest height, (d,), where a function of two parameters is `wanted`, and where.

    The function is larger there than at the estimate (sign 1), or smaller; the height is -inf where
    no ray from the estimate meets the value. As `search_ring`, it needs no derivatives.
    """

    def excess(point: np.ndarray) -> np.ndarray:
        return np.nan_to_num(sign * (surface.value(point) - wanted), nan=np.inf)

    def height(point: np.ndarray) -> np.ndarray:
        gap = np.abs(surface.value(point) - wanted)
        off = ~(gap <= 1e-6 * np.abs(wanted - surface.value(0 * point)))
        return np.where(off, -np.inf, surface.height(point))

    return _best_on_rays(surface, excess, height, 1.0)


def _best_on_rays(
    surface: Surface, excess: Function, objective: Function, sign: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest (sign 1) or smallest objective where `excess` is zero, and where it is."""
    d = surface.shape[0]

    def rim(angle: np.ndarray) -> np.ndarray:
        ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        outer = np.ones(d)
        for _ in range(12):
            inside = excess(outer[:, None] * ray) < 0
            if not inside.any():
                break
            outer = np.where(inside, 2 * outer, outer)
        radius = find_root(
            lambda r: np.minimum(excess(r[:, None] * ray), 1e300), np.zeros(d), outer
        )
        return radius[:, None] * ray

    with np.errstate(all="ignore"):
        angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
        values = sign * np.array([objective(rim(np.full(d, angle))) for angle in angles])
        best = angles[np.argmax(values, axis=0)]
        for j, angle in enumerate(best if np.isfinite(values).any() else ()):
            found = optimize.minimize_scalar(
                lambda a, j=j: -sign * objective(rim(np.full(d, a)))[j],
                bounds=(angle - angles[1], angle + angles[1]),
                method="bounded",
                options={"xatol": 1e-8},
            )
            best[j] = found.x if -found.fun > values[:, j].max() else best[j]
        points = rim(best)
        return objective(points), points


def search_inside(
    surface: Surface, sign: float, quantile: float, start: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Return the largest (sign 1) or smallest value of the function in the region, (d,), or NaN.

    Sequential quadratic programming from the points `start`, where a path was lost, in the columns
    that are `wanted`: an extreme that the function has inside the region, for one.
    """
    values = np.full(surface.shape[0], np.nan)
    for j in np.flatnonzero(wanted):
        values[j] = _search_column(surface, sign, quantile, start, int(j))
    return values


def _search_column(
    surface: Surface, sign: float, quantile: float, start: np.ndarray, j: int
) -> float:
    def at(function: Function, x: np.ndarray) -> float:
        points = start.copy()
        points[j] = x
        return float(function(points)[j])

    def room(x: np.ndarray) -> float:
        return quantile**2 / 2 + at(surface.height, x)

    unit = sign * (abs(at(surface.value, start[j])) or 1.0)
    found = optimize.minimize(
        lambda x: -at(surface.value, x) / unit,
        start[j],
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": room}],
        options={"ftol": 1e-12},
    )
    if not (np.isfinite(found.fun) and room(found.x) > -1e-6):
        return np.nan
    if -found.fun > _LARGEST_SHARE:
        return sign * np.inf
    return -unit * float(found.fun) if found.success else np.nan


class _Walk:
    """The walk along the paths of all columns at once, each with steps of its own."""

    def __init__(
        self, surface: Surface, sign: float, quantile: float, root: Function | None
    ) -> None:
        self.corrector = _Corrector(surface, root)
        self.surface, self.sign, self.quantile = surface, sign, quantile
        d, k = surface.shape
        center = np.zeros((d, k))
        self.start_value = surface.value(center)
        slope = _Shape(surface, center).slope(center)
        tangent = sign * slope / np.linalg.norm(slope, axis=1, keepdims=True)
        self.start_slope = self._plain_slope(center)
        start = self.corrector.root_at(center)
        self.here = _Points(center, self.start_value, start, tangent)
        self.bend = np.zeros((d, k))  # d tangent / d arc length
        self.step = np.full(d, min(1.0, 0.75 * quantile))
        self.change, self.far = np.full(d, np.nan), np.full(d, np.nan)
        self.endless = np.zeros(d, dtype=bool)
        self.level = np.zeros(d, dtype=bool)
        self.active = np.isfinite(tangent).all(axis=1) & (start < quantile)
        self.result = np.full(d, np.nan)
        self.reached, self.pole = np.zeros(d, dtype=bool), np.zeros(d, dtype=bool)

    def run(self, max_steps: int) -> PathEnd:
        """Walk until every column has its end."""
        for _ in range(max_steps):
            if not self.active.any():
                break
            self._advance()
        self._give_up(self.active)
        return PathEnd(self.result, self.here.v, self.reached, self.pole)

    def _advance(self) -> None:
        """Take one step along the path, or shorten the step where that fails."""
        here, step = self.here, self.step[:, None]
        found, easy, good = self._at(self.step)
        crossed = self.active & good & (found.root >= self.quantile)
        if crossed.any():
            found, ended = self._finish(found, crossed)
            self.reached |= ended
            self._end_at(ended, found.value)
            good &= ~crossed | ended
        moved = good & (self.active | self.reached)
        self._note_level(found, moved & ~self.reached)
        bend = (found.tangent - here.tangent) / step
        self.bend = _choose(moved, bend, self.bend / 2)
        self.here = _Points(*(_choose(moved, new, old) for new, old in zip(found, here)))
        self.step = self.step * np.where(good, np.where(easy, 2.0, 1.0), 0.4)
        shortest = np.where(self.level, 0.02, _SHORTEST)
        scale = 1 + np.linalg.norm(self.here.v, axis=1)
        self._give_up(self.active & ~(self.step > shortest * scale))

    def _at(
        self, length: np.ndarray, exact: bool = False
    ) -> tuple[_Points, np.ndarray, np.ndarray]:
        """Return the points of the path at these arc lengths from here, easy or not, good or not.

        A good one is near its prediction, and f has gone on or is level.
        """
        here, length = self.here, length[:, None]
        ahead = here.v + length * here.tangent + length**2 / 2 * self.bend
        error = _EXACT if exact else np.clip(0.02 * length[:, 0], _EXACT, _ROUGH)
        found, easy, good = self.corrector.to_plane(ahead, here.tangent, ~self.active, error)
        rise = self.sign * (found.value - here.value)
        close = np.linalg.norm(found.v - ahead, axis=1) <= 0.5 * length[:, 0] + _NEAR
        straight = np.einsum("dk,dk->d", found.tangent, here.tangent) > 0.5
        good &= close & straight & (rise >= -4 * _EPS * np.abs(here.value))
        return found, easy, good

    def _finish(self, beyond: _Points, crossed: np.ndarray) -> tuple[_Points, np.ndarray]:
        """Return the points between here and `beyond` at the quantile, and where they are found."""
        here = self.here
        if self.corrector.root is None:
            share = (self.quantile - here.root) / (beyond.root - here.root)
            start = here.v + share[:, None] * (beyond.v - here.v)
            level = np.full(len(start), self.quantile)
            found, _, good = self.corrector.to_level(start, here.tangent, ~crossed, level)
            near = np.linalg.norm(found.v - start, axis=1) <= self.step
            good &= near
        else:
            found, good = self._bracket(beyond, crossed)
        rounding = 8 * _EPS * np.abs(beyond.value)
        good &= crossed & (self.sign * (found.value - here.value) >= -rounding)
        good &= self.sign * (beyond.value - found.value) >= -rounding
        return _Points(*(_choose(good, new, old) for new, old in zip(found, beyond))), good

    def _bracket(self, beyond: _Points, crossed: np.ndarray) -> tuple[_Points, np.ndarray]:
        """Return where another root reaches the quantile, by false position and bisection."""
        low, high = np.zeros_like(self.step), self.step.copy()
        low_gap, high_gap = self.here.root - self.quantile, beyond.root - self.quantile
        found, good = beyond, crossed.copy()
        for count in range(80):
            share = np.clip(low_gap / (low_gap - high_gap), 0.01, 0.99)
            middle = low + (high - low) * np.where(count % 3 == 2, 0.5, share)
            found, _, fine = self._at(middle, exact=True)
            good &= fine
            gap = found.root - self.quantile
            below = gap < 0
            low, low_gap = np.where(below, middle, low), np.where(below, gap, low_gap)
            high, high_gap = np.where(below, high, middle), np.where(below, high_gap, gap)
            if (~good | (np.abs(gap) < 1e-11) | (high - low < 1e-12)).all():
                break
        return found, good

    def _note_level(self, found: _Points, moved: np.ndarray) -> None:
        """End the walks on which the likelihood no longer falls: at the limit of f, or infinity."""
        far = np.linalg.norm(found.v, axis=1)
        rise = np.abs(found.root - self.here.root) / self.step * far
        self.level |= moved & (far > _FAR) & (rise < _LEVEL)
        # the change of f as the distance doubles goes as a power of it: below zero f has a limit
        change = np.abs(found.value - self.here.value) / self.step * far
        power = np.log(change / self.change) / np.log(far / self.far)
        self.endless = np.where(moved, power > _SHRINKING, self.endless)
        settled = change <= _SETTLED * np.abs(found.value - self.start_value)
        invisible = change <= _INVISIBLE * np.abs(found.value) * far
        self._end_at(moved & (self.level & settled | invisible), found.value)
        endless = moved & self.level & self.endless & (far > 64 * _FAR) & ~settled
        self._end_at(endless, np.full_like(change, self.sign * np.inf))
        self.change, self.far = np.where(moved, change, self.change), np.where(moved, far, self.far)

    def _end_at(self, where: np.ndarray, value: np.ndarray) -> None:
        self.result = np.where(where, value, self.result)
        self.active = self.active & ~where

    def _give_up(self, stuck: np.ndarray) -> None:
        """Say what the end is where no step leads on: a limit, an extreme of f, or not known."""
        if not stuck.any():
            return
        value, size = self.here.value, np.abs(self.here.value)
        outward = self.sign * value > 0
        self._end_at(stuck & outward & (size > _LARGEST), np.full_like(value, self.sign * np.inf))
        self._end_at(stuck & ~outward & (size < _SMALLEST), np.zeros_like(value))
        slope = np.linalg.norm(self._plain_slope(self.here.v), axis=1)
        steep = self._at_pole(stuck & self.active & outward)
        self._end_at(steep, np.full_like(value, self.sign * np.inf))
        most = np.linalg.norm(self.start_slope, axis=1)
        settled = slope <= np.maximum(_FLAT * most, _INVISIBLE * size)
        self._end_at(
            stuck & self.active & self.level & self.endless, np.full_like(value, self.sign * np.inf)
        )
        self._end_at(stuck & self.active & (settled | self.level), value)
        self.active = self.active & ~stuck

    def _at_pole(self, growing: np.ndarray) -> np.ndarray:
        """Return where f, which grows, jumps a little further on to infinity of either sign.

        Differences are taken to the back: those to both sides would reach over the pole.
        """
        v, value = self.here.v, self.here.value
        rise = np.abs(value - self.surface.value(v - _SHORTEST * self.here.tangent))
        growth = (rise / np.abs(value) / _SHORTEST)[:, None]
        beyond = [self.surface.value(v + k / growth * self.here.tangent) for k in (1.5, 3, 10)]
        grown = growing & (np.abs(value) > np.abs(self.start_value))
        jumps = grown & (self.sign * np.array(beyond) < 0).any(axis=0) & (growth[:, 0] > _STEEP)
        self.pole |= jumps
        return jumps | growing & (growth[:, 0] > _STEEPEST)

    def _plain_slope(self, v: np.ndarray) -> np.ndarray:
        if self.surface.linear is not None:
            return self.surface.linear
        return gradient(self.surface.value, v, np.full(v.shape, _UNIT * _SCALES[2]))


class _Corrector:
    """Newton's method for points of the path.

    They solve T'g = 0, g being the slope of the log-likelihood and T the tangents of a level set
    of f, and one equation more that says which point. With a = grad f, F its Hessian, J minus that
    of the log-likelihood and nu = -a'g / a'a, the step s solves T'(J - nu F) s = T'g. A function
    of f has a and F multiplied by its slope, and a multiple of a a' added to F, which T removes:
    the steps are the same.
    """

    def __init__(self, surface: Surface, root: Function | None) -> None:
        self.surface, self.root = surface, root

    def to_plane(
        self, start: np.ndarray, normal: np.ndarray, skip: np.ndarray, error: Any
    ) -> tuple[_Points, np.ndarray, np.ndarray]:
        """Return the points in the planes through `start` that are orthogonal to `normal`."""

        def equation(v: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return normal, np.einsum("dk,dk->d", normal, start - v)

        return self._solve(start, normal, skip, equation, error)

    def to_level(
        self, start: np.ndarray, tangent: np.ndarray, skip: np.ndarray, level: np.ndarray
    ) -> tuple[_Points, np.ndarray, np.ndarray]:
        """Return the points where the root of the likelihood-ratio statistic equals `level`."""

        def equation(v: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return g, -(level**2) / 2 - self.surface.height(v)

        return self._solve(start, tangent, skip, equation, _EXACT)

    def _solve(
        self,
        start: np.ndarray,
        forward: np.ndarray,
        skip: np.ndarray,
        equation: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
        error: Any,
    ) -> tuple[_Points, np.ndarray, np.ndarray]:
        """Return points, in which columns they were easy to find, and whether they were found."""
        v, direction = start.copy(), forward
        size = np.full(len(v), np.inf)
        done, easy, good = skip.copy(), np.zeros_like(skip), np.zeros_like(skip)
        function = _Shape(self.surface, v)
        for count in range(_ITERATIONS):
            a = function.slope(v)
            if count % _REFRESH == 0:
                _, g, J = self.surface.expansion(v)
                F = function.curvature(v)
            else:
                g = self.surface.slope(v)
            rows, gaps, definite = _stationarity(g, a, J, F)
            last, gap = equation(v, g)
            move = _solved(rows, last, np.concatenate([gaps, gap[:, None]], axis=1))
            before, size = size, np.linalg.norm(move, axis=1)
            v = np.where((done | ~np.isfinite(size))[:, None], v, v + move)
            left = size * np.where(before < np.inf, np.minimum(size / before, 1.0), 1.0)
            reach = 1 + np.linalg.norm(v, axis=1)
            small = (left < error * reach) | (size < _NOISE * reach) & (size > before / 3)
            now = ~done & small & (size < np.inf)
            easy, good = easy | now & (count < _EASY), good | now & definite
            onward = _solved(rows, forward, np.eye(v.shape[1])[-1:].repeat(len(v), axis=0))
            direction = _choose(now, onward, direction)
            done = done | now | ~(size < np.inf)
            if done.all():
                break
        direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
        points = _Points(v, self.surface.value(v), self.root_at(v), direction)
        good &= np.isfinite(points.value) & np.isfinite(points.root)
        return points, easy, good & np.isfinite(direction).all(axis=1)

    def root_at(self, v: np.ndarray) -> np.ndarray:
        """Return the distance that is compared with the quantile, (d,)."""
        if self.root is not None:
            return self.root(v)
        return np.sqrt(-2 * np.minimum(self.surface.height(v), 0.0))


def _stationarity(
    g: np.ndarray, a: np.ndarray, J: np.ndarray, F: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return T'H, T'g, and where T'HT is positive definite: a maximum among points of equal f."""
    usable = np.isfinite(a).all(axis=1) & np.isfinite(g).all(axis=1) & (a != 0).any(axis=1)
    usable &= np.isfinite(J).all(axis=(1, 2)) & np.isfinite(F).all(axis=(1, 2))
    a = np.where(usable[:, None], a, 1.0)
    nu = -np.einsum("dk,dk->d", a, g) / np.einsum("dk,dk->d", a, a)
    T = np.linalg.qr(a[:, :, None], mode="complete")[0][:, :, 1:].transpose(0, 2, 1)
    rows = np.where(usable[:, None, None], T @ (J - nu[:, None, None] * F), np.nan)
    definite = usable
    if a.shape[1] > 1:
        inner = rows @ T.transpose(0, 2, 1)
        inner = np.where(usable[:, None, None], inner + inner.transpose(0, 2, 1), 0.0)
        definite = usable & (np.linalg.eigvalsh(inner)[:, 0] > 0)
    return rows, np.einsum("dij,dj->di", T, g), definite


def _solved(rows: np.ndarray, last: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return solutions (d, k) of k - 1 rows and a last one, NaN where there is none."""
    matrix = np.concatenate([rows, last[:, None, :]], axis=1)
    size = np.abs(matrix).max(axis=2)  # rows have units of their own
    usable = np.isfinite(matrix).all(axis=(1, 2)) & (size > 0).all(axis=1)
    matrix = np.where(usable[:, None, None], matrix / size[:, :, None], np.eye(size.shape[1]))
    try:
        found = np.linalg.solve(matrix, (vector / size)[..., None])[..., 0]
    except np.linalg.LinAlgError:  # one of them is singular
        found = np.einsum("dij,dj->di", np.linalg.pinv(matrix), vector / size)
    return np.where(usable[:, None], found, np.nan)


class _Shape:
    """An increasing function of f near points v that is nearly straight there, to differentiate.

    It is f or log |f|, and differences have steps in which it is nearly straight: near a pole, or
    where f changes by orders of magnitude within a standard error.
    """

    def __init__(self, surface: Surface, v: np.ndarray) -> None:
        self.surface, self.linear = surface, surface.linear
        self.unit, self.by_log = np.full(v.shape, _UNIT), np.zeros(len(v), dtype=bool)
        if self.linear is not None:
            return
        plain, middle = surface.value, surface.value(v)
        self.sign = np.sign(middle)
        open_columns = np.ones(len(v), dtype=bool)
        for scale in _SCALES:
            steps = [_STENCIL * scale * e for e in np.eye(v.shape[1])]
            sides = np.array([[plain(v - e), plain(v + e)] for e in steps])  # (k, 2, d)
            # and to the corners, where mixed differences go
            corner = np.sign(sides[:, 1] - sides[:, 0]).T * _STENCIL * scale
            sides = np.concatenate([sides, [[plain(v - corner), plain(v + corner)]]])
            one_sign = (sides * middle > 0).all(axis=(0, 1))
            bend = _bend(sides - middle)
            bend_log = np.where(one_sign, _bend(np.log(np.abs(sides / middle))), np.inf)
            self.by_log = np.where(open_columns, 2 * bend_log < bend, self.by_log)
            self.unit = np.where(open_columns[:, None], _UNIT * scale, self.unit)
            open_columns &= ~(np.minimum(bend, bend_log) < _STRAIGHT)
            # shorter steps than these would see the rounding of f
            open_columns &= ~(np.abs(sides - middle).max(axis=(0, 1)) < _VISIBLE * np.abs(middle))
            if not open_columns.any():
                break

    def __call__(self, v: np.ndarray) -> np.ndarray:
        value = self.surface.value(v)
        if not self.by_log.any():
            return value
        return np.where(self.by_log, self.sign * np.log(np.abs(value)), value)

    def slope(self, v: np.ndarray) -> np.ndarray:
        """Return the gradient, (d, k)."""
        return gradient(self, v, self.unit) if self.linear is None else self.linear

    def curvature(self, v: np.ndarray) -> np.ndarray:
        """Return the Hessian, (d, k, k)."""
        d, k = v.shape
        if self.linear is not None or k == 1:
            return np.zeros((d, k, k))
        return hessian(self, v, self.unit)


def _bend(rises: np.ndarray) -> np.ndarray:
    """Return second over first differences, (d,), of rises (k, 2, d) to both sides."""
    bend = np.abs(rises.sum(axis=1)).max(axis=0) / np.abs(np.diff(rises, axis=1)).max(axis=(0, 1))
    return np.where(np.isnan(bend), np.inf, bend)


def _choose(mask: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return np.where(mask[:, None] if new.ndim == 2 else mask, new, old)
