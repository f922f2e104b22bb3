"""Ends of intervals: where a signed root of a test statistic crosses a normal quantile."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from operator import itemgetter
from typing import Any

import numpy as np
from scipy import special
from sklearn.exceptions import ConvergenceWarning

from skgm._numerics.roots import find_root
from skgm._warnings import warn_user
from skgm.inference._likelihood.model import Line
from skgm.inference._likelihood.paths import follow_path
from skgm.inference._likelihood.surfaces import family_surface

__all__ = [
    "Profile",
    "followed",
    "invert",
    "may_follow",
    "profile_interval",
    "score_interval",
]

Params = Mapping[str, np.ndarray]
Root = Callable[[np.ndarray], np.ndarray]
_MAX_STEPS = 1100  # doublings that cross the whole range of float64
_HUGE = np.finfo(np.float64).max
_ENOUGH_STEPS = 40  # doublings, or halvings, that numerical derivatives can follow
_JUMP, _LEAP = 1e-3, 0.1  # so near to an end the root is its quantile, but for this
_PATH_STEPS, _AT_EDGE = 60, 1e-6  # an end nearer to an edge, relative to the estimate, is it
_MOST_FITS = 100  # restricted estimates of one interval; those of families with formulas are few


class Profile:
    """The restricted estimates of a family along one parameter; each search starts at the last."""

    def __init__(self, family: Any, name: str, statistics: Any, params: Params) -> None:
        self.family, self.name = family, name
        self.statistics, self.params = statistics, params
        self.highest = family.log_likelihood(statistics, params)
        self._near: Params = params
        self._fits = 0
        self.careful = False  # search from the estimate as well: there may be several maxima

    @property
    def index(self) -> int:
        """Position of the parameter among those of the family."""
        return [parameter.name for parameter in self.family.parameters].index(self.name)

    def at(self, value: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the restricted estimate at `value`, and the fall of the log-likelihood, (d,).

        Raises
        ------
        ValueError
            The search for an end takes too many restricted estimates, of numerical derivatives.
        """
        self._fits += 1
        if self._fits > _MOST_FITS and self.family.rounding:
            raise ValueError(
                f"The search for an interval of {self.name!r} of the {self.family.name} family was "
                f"given up after {_MOST_FITS} restricted estimates: the likelihood is not smooth "
                "enough, or nearly flat. Fix a parameter, or use method='wald'."
            )
        null = {**self.family.no_restriction(self.statistics), self.name: value}
        try:
            found, fall = self._best(null, self._near)
        except (ValueError, np.linalg.LinAlgError):
            if self._near is self.params:
                raise
            found, fall = self._best(null, self.params)  # the last point may be far from this one
        if self.careful:
            with suppress(ValueError, ArithmeticError, np.linalg.LinAlgError):
                other, less = self._best(null, self.params)
                if np.nansum(less) < np.nansum(fall):
                    found, fall = other, less
        if np.isfinite(fall).all():
            self._near = found
        return found, np.where(np.isfinite(fall), np.maximum(fall, 0.0), np.inf)

    def _best(self, null: Params, near: Params) -> tuple[dict[str, np.ndarray], np.ndarray]:
        with np.errstate(all="ignore"):
            found = self.family.restricted_near(self.statistics, null, near)
            return found, self.highest - self.family.log_likelihood(self.statistics, found)

    def root(self, value: np.ndarray) -> np.ndarray:
        """Return the signed root of the likelihood-ratio statistic, positive below the estimate."""
        fall = self.at(value)[1]
        return np.sign(self.params[self.name] - value) * np.sqrt(2 * fall)


def may_follow(profile: Profile) -> bool:
    """Whether ends may be followed by Newton's method from an estimate inside the space."""
    family, params = profile.family, profile.params
    if not family.one_maximum or family.joint:
        return False
    return not any(p.on_boundary(params[p.name]).any() for p in family.parameters)


def invert(
    root: Root,
    profile: Profile,
    level: float,
    method: str,
    lost: Any = None,
    known: Any = (None, None),
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values between which `root` lies within the normal quantiles of `level`.

    Parameters
    ----------
    root : callable
        From values (d,) of the parameter to roots (d,) that fall as the value rises.
    profile : Profile
        The parameter, its family and its estimate.
    level : float
        Confidence level.
    method : str
        For the message where an end is not found.
    lost : callable, default=None
        Returns the end that a search for it did not find, of families with numerical derivatives,
        from the profile, the side (0 or 1) and the end of the space there; an error where it is
        None.
    known : pair of ndarray of shape (d,) or None
        Ends that are known already.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the root never reaches the quantile on that side.
    """
    quantile = special.ndtri((1 + level) / 2)
    space = profile.family.parameter(profile.name)
    estimate = profile.params[profile.name]
    scale = _typical_width(profile)

    def below(value: np.ndarray) -> np.ndarray:
        return _bounded(root(value)) - quantile

    def above(value: np.ndarray) -> np.ndarray:
        return -_bounded(root(value)) - quantile

    width, rounding = profile.family.rounding * scale, profile.family.rounding
    ends = list(known)
    for side, bound in enumerate(profile.family.space_of(profile.name, estimate)):
        if ends[side] is not None:
            continue
        excess, step = ((below, -scale), (above, scale))[side]
        profile.careful = False
        try:
            may = side == 1 and space.may_be_infinite
            end = _search(excess, estimate, bound, step, may, width)
            if rounding and quantile > _SAFE_QUANTILE:
                profile.careful = True
                if _is_jump(excess, end, estimate, bound):
                    end = _search(excess, estimate, bound, step, may, width)
                    if _is_jump(excess, end, estimate, bound):
                        raise ValueError(_LOST.format(method, profile.name, profile.family.name))
        except ValueError:
            if lost is None or not rounding:
                raise
            end = lost(profile, side, bound)
        ends[side] = end
    return ends[0], ends[1]


_LOST = (
    "The {} interval of {!r} was not found: restricted estimates of the {} family are lost on the "
    "way. Fix a parameter, or use method='wald'."
)


def _is_jump(excess: Root, end: np.ndarray, estimate: np.ndarray, bound: float) -> bool:
    """Return whether the statistic leaps over its quantile at an end, where numbers fail."""
    inside = np.isfinite(end) & (end != bound) & (estimate != bound)
    start = np.where(inside, end, estimate)
    before = excess(start + _JUMP * (estimate - start))
    return bool(np.any(inside & (before < -_LEAP)))


def end_of_space(profile: Profile, side: int, bound: float) -> np.ndarray:
    """Return the end of the space for an end that was not found, with a warning."""
    warn_user(
        f"The {('lower', 'upper')[side]} end of the interval of {profile.name!r} of the "
        f"{profile.family.name} family was not found: on the way other parameters run to an edge "
        f"of their space. It is given as {bound:g}, the end of the space, which is wide enough.",
        ConvergenceWarning,
    )
    return np.full_like(profile.params[profile.name], bound)


def _path_ends(profile: Profile, level: float) -> list[np.ndarray | None]:
    """Return the ends of the profile interval that the profile path reaches; None for others."""
    quantile, found = float(special.ndtri((1 + level) / 2)), []
    function = itemgetter(profile.name)
    with suppress(ValueError, ArithmeticError, np.linalg.LinAlgError), np.errstate(all="ignore"):
        surface = family_surface(profile.family, function, profile.statistics, profile.params)
        ends = [follow_path(surface, sign, quantile, max_steps=_PATH_STEPS) for sign in (-1.0, 1.0)]
        found = [end.value if end.reached.all() else None for end in ends]
        edge, estimate = profile.family.parameter(profile.name).low, profile.params[profile.name]
        if found[0] is not None:
            at_edge = found[0] - edge < _AT_EDGE * (estimate - edge)
            found[0] = np.where(at_edge, edge, found[0])
    return found or [None, None]


def _bounded(root: np.ndarray) -> np.ndarray:
    return np.clip(np.where(np.isnan(root), np.inf, root), -_HUGE, _HUGE)


def _typical_width(profile: Profile) -> np.ndarray:
    """Return one standard error, or another positive step at a boundary estimate."""
    family, estimate, n = profile.family, profile.params[profile.name], profile.statistics.n
    with np.errstate(all="ignore"):
        try:
            width = family.model_standard_errors(profile.statistics, profile.params)[profile.name]
        except np.linalg.LinAlgError:  # another parameter lies on its boundary
            width = np.full(np.shape(estimate), np.nan)
    usable = np.isfinite(width) & (width > 0)
    size = np.where(np.isfinite(estimate), np.abs(estimate), 1.0)
    return np.where(usable, width, np.maximum(size, 1.0) / n)


def _search(
    excess: Root,
    estimate: np.ndarray,
    bound: float,
    scale: np.ndarray,
    may_be_infinite: bool,
    width: np.ndarray,
) -> np.ndarray:
    """Return where `excess` turns positive between the estimate and the bound."""

    def at(step: int) -> np.ndarray:
        if np.isfinite(bound):
            # standard errors at first, then halve the distance to the end of the space
            near = estimate + scale * (np.exp2(step) - 1)
            inside = (near - bound) * np.sign(estimate - bound) > np.abs(estimate - bound) / 2
            return np.where(inside, near, bound + (estimate - bound) * 0.5**step)
        with np.errstate(over="ignore"):  # an end past the largest float is refused below
            return estimate + scale * (np.exp2(step) - 1)

    endless = np.zeros(np.shape(estimate), dtype=bool)
    if may_be_infinite:
        endless = ~(excess(np.full(np.shape(estimate), bound)) > 0)
    waiting = (estimate != bound) & ~endless
    inner, outer = _step_back(excess, estimate, scale), estimate
    outer = np.where(endless, inner, outer)
    for step in range(1, _ENOUGH_STEPS if np.any(width) else _MAX_STEPS):
        if not waiting.any():
            break
        inner, outer = (
            np.where(waiting & (step > 1), outer, inner),
            np.where(waiting, at(step), outer),
        )
        if not np.isfinite(outer[waiting]).all():
            break
        waiting &= (excess(outer) <= 0) & (outer != bound)
    endless |= waiting  # the root stays below its quantile as far as numbers go
    outer = np.where(endless, inner, outer)
    open_ended = endless | (excess(outer) <= 0)
    return np.where(open_ended, bound, find_root(excess, inner, outer, width=width))


def _step_back(excess: Root, estimate: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return starting points inside the interval: the estimate, where it lies inside.

    The root of a corrected statistic need not vanish at the estimate; at low levels the interval
    may leave the estimate out.
    """
    inner, step = estimate, scale / 4
    for _ in range(60):
        outside = excess(inner) > 0
        if not outside.any():
            break
        inner, step = np.where(outside, inner - step, inner), step * 1.5
    return inner


# The fast way to the ends of likelihood intervals: one Newton iteration for end and nuisances.
#
# At an end the log-likelihood has fallen by r^2 / 2 and its slope along the nuisance parameters is
# zero: k equations in k unknowns (Venzon and Moolgavkar, "A method for computing profile-likelihood
# based confidence intervals", Applied Statistics 37, 1988). Five or six steps, where a bracketing
# search would maximize over the nuisances a dozen times. It may fail far from a quadratic; the
# caller then brackets.

Correction = Callable[[np.ndarray, Mapping[str, np.ndarray]], np.ndarray]

_MAX_ITERATIONS = 40
# Steps in standard errors of the estimate. Newton squares the error, so that after a step of
# 1e-6 what is left is rounding.
_LAST_STEP, _LONGEST_STEP = 1e-6, 2.0
_QUADRATIC, _LAST_ERROR = 0.05, 1e-11  # steps that tell what the next would be; when it may miss
_NEAR = 0.03  # the error after such a step is about 1e-3: enough to see a correction
_ROOT_TOLERANCE = 1e-10
_SMALL_BEND = 0.5  # in standard errors: a larger one is more than a quadratic's error
_SAFE_QUANTILE = 0.5  # below it a corrected end may lie on the other side of the estimate


def followed(
    profile: Profile, level: float, correction: Correction | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return both ends of an interval by Newton's method from the estimate; None if that fails.

    Parameters
    ----------
    profile : Profile
        The parameter, its family, statistics and estimate.
    level : float
        Confidence level.
    correction : callable, default=None
        From roots (d,) and parameters there to what is added to the root of the likelihood ratio
        before it is compared with the quantile. It varies slowly along the interval.
    """
    quantile = float(special.ndtri((1 + level) / 2))
    if not may_follow(profile) or (correction is not None and quantile < _SAFE_QUANTILE):
        return None
    try:
        with np.errstate(all="ignore"):
            return _LikelihoodEnds(profile, correction).both(quantile)
    except (ArithmeticError, NotImplementedError):  # one's own family may have no `mean_score`
        return None


class _LikelihoodEnds:
    """Ends of the likelihood intervals of one parameter, columns at once.

    Coordinates are lists of k components: arrays (d,), or numbers where there is one column,
    which take a fraction of the time of arrays of one.

    Parameters
    ----------
    profile : Profile
        The parameter, its family, statistics and estimate.
    correction : callable or None
        As in `followed`.
    """

    def __init__(self, profile: Profile, correction: Correction | None) -> None:
        self.profile, self.correction = profile, correction
        family, statistics, params = profile.family, profile.statistics, profile.params
        self.line, self.index = Line(family.parameters), profile.index
        self.names = [parameter.name for parameter in family.parameters]
        theta = family.pack(params)
        self.one = len(theta) == 1
        highest = profile.highest / statistics.n
        self.highest = highest.item() if self.one else highest
        self.center = self._split(self.line.outward(theta))
        slopes = [place[1] for place in self.line.expand(self.center)]
        information = self._entries(family.observed_information(statistics, params))
        covariance = _inverse(_scaled(information, slopes))
        variance = [row[i] for i, row in enumerate(covariance)]
        if not all(_all((v > 0) & (v < np.inf)) for v in variance):
            raise ArithmeticError("the likelihood is flat at the estimate")
        root: Any = math.sqrt if self.one else np.sqrt
        self.error = [root(v / statistics.n) for v in variance]
        width = root(variance[self.index] * statistics.n)
        self.direction = [row[self.index] / width for row in covariance]

    def _entries(self, matrices: np.ndarray) -> list[Any]:
        """Return the entries of matrices (d, k, k)."""
        return matrices[0].tolist() if self.one else list(matrices.transpose(1, 2, 0))

    def _split(self, values: np.ndarray) -> list[Any]:
        """Return the components of an array (d, k)."""
        return values[0].tolist() if self.one else list(values.T)

    def both(self, quantile: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the parameter at the ends where the (corrected) root is +-quantile.

        None where an end is not found. How far the first end lies from a quadratic's is, but for
        its odd part, how far the second does: that one starts there.
        """
        root = quantile if self.one else np.full(len(self.center[0]), quantile)
        bend: list[Any] = [0.0] * len(self.center)
        values = []
        for wanted in (root, -root):
            start = [c - wanted * d + b for c, d, b in zip(self.center, self.direction, bend)]
            if self.correction is None:
                found = self._find(start, wanted)
            else:
                found = self._find_corrected(start, wanted, self.correction)
            if found is None or not self._on_its_side(found, wanted):
                return None
            bend = [x - y for x, y in zip(found, start)]
            bend = [b * (np.abs(b) < _SMALL_BEND * e) for b, e in zip(bend, self.error)]
            values.append(self._params(found)[self.names[self.index]])
        return values[0], values[1]

    def _find(self, u: list[Any], root: Any) -> list[Any] | None:
        """Return the coordinates where the signed root equals `root`; None if not found."""
        before = np.inf
        for _ in range(_MAX_ITERATIONS):
            u, size = self._move(u, root)
            if not _all(np.isfinite(size)):
                return None
            # the error after a step, were it to go on as it did, is C step^2
            share = size / before
            left = size * share * share
            if _all((size < _LAST_STEP) | (before < _QUADRATIC) & (left < _LAST_ERROR)):
                return u
            before = size
        return None

    def _find_corrected(
        self, u: list[Any], wanted: Any, correction: Correction
    ) -> list[Any] | None:
        """Return the coordinates where root + correction equals `wanted`; None if not found.

        Root and coordinates are sought together: a secant step of the one, a Newton step of the
        other.
        """
        root, before = wanted, None
        for _ in range(_MAX_ITERATIONS):
            u, size = self._move(u, root)
            if not _all(np.isfinite(size)):
                return None
            if not _all(size <= _NEAR):
                continue
            added = correction(_column(root), self._params(u))
            gap = root + (added.item() if self.one else added) - wanted
            if not _all(np.isfinite(gap)):
                return None
            if _all((np.abs(gap) < _ROOT_TOLERANCE) & (size < _LAST_STEP)):
                return u
            rate = 1.0 if before is None else (gap - before[1]) / (root - before[0])
            before = root, gap
            root = root - gap / np.where((rate > 0.5) & (rate < 2), rate, 1.0)
            if not _all(root * wanted > 0):
                return None
            longer = root / before[0]
            u = [c + (x - c) * longer for x, c in zip(u, self.center)]
        return None

    def _on_its_side(self, u: list[Any], root: Any) -> bool:
        return _all((self.center[self.index] - u[self.index]) * root > 0)

    def _params(self, u: list[Any]) -> dict[str, np.ndarray]:
        """Return the parameters (d,) at coordinates."""
        places = self.line.expand(u)
        return {name: _column(place[0]) for name, place in zip(self.names, places)}

    def _move(self, u: list[Any], root: Any) -> tuple[list[Any], Any]:
        """Return coordinates after one step, and its size in standard errors."""
        target = self.highest - root * root / (2 * self.profile.statistics.n)
        step = self._step(u, target)
        size: Any = sum(abs(s / error) for s, error in zip(step, self.error))
        short = 1.0 if _all(size < _LONGEST_STEP) else np.minimum(1.0, _LONGEST_STEP / size)
        return [x + s * short for x, s in zip(u, step)], size

    def _step(self, u: list[Any], target: Any) -> list[Any]:
        family, j, k = self.profile.family, self.index, len(u)
        places = self.line.expand(u)
        params = {name: _column(place[0]) for name, place in zip(self.names, places)}
        height, gradient, information = family.expansion(self.profile.statistics, params)
        g, h = self._split(gradient), self._entries(information)
        fall = (height.item() if self.one else height) - target
        slopes = [place[1] for place in places]
        matrix = _scaled(h, slopes, -1.0)
        for i, place in enumerate(places):
            matrix[i][i] = matrix[i][i] + g[i] * place[2]
        matrix[j] = [a * b for a, b in zip(g, slopes)]
        residual = [-fall if i == j else -g[i] * slopes[i] for i in range(k)]
        return _solve(matrix, residual)


def _all(condition: Any) -> bool:
    return bool(condition.all()) if isinstance(condition, np.ndarray) else bool(condition)


def _column(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else np.array([value])


def _scaled(matrix: list[Any], slopes: list[Any], sign: float = 1.0) -> list[list[Any]]:
    return [[sign * x * a * b for x, b in zip(row, slopes)] for row, a in zip(matrix, slopes)]


def _inverse(matrix: list[list[Any]]) -> list[list[Any]]:
    """Return the entries of the inverses; by hand for k < 3, where LAPACK is slow."""
    if len(matrix) == 1:
        return [[_ratio(1.0, matrix[0][0])]]
    if len(matrix) == 2:
        (a, b), (c, d) = matrix
        unit = _ratio(1.0, a * d - b * c)
        return [[d * unit, -b * unit], [-c * unit, a * unit]]
    inverse = np.linalg.inv(_stacked(matrix))
    columns = inverse.transpose(1, 2, 0)
    return columns[..., 0].tolist() if inverse.shape[0] == 1 else list(columns)


def _stacked(matrix: list[list[Any]]) -> np.ndarray:
    k = len(matrix)
    return np.moveaxis(np.array(matrix).reshape(k, k, -1), -1, 0)


def _solve(matrix: list[list[Any]], vector: list[Any]) -> list[Any]:
    """Return the k components of the solutions, NaN where singular; by hand for k < 3."""
    if len(vector) == 1:
        return [_ratio(vector[0], matrix[0][0])]
    if len(vector) == 2:
        (a, b), (c, d) = matrix
        x, y = vector
        determinant = a * d - b * c
        return [_ratio(d * x - b * y, determinant), _ratio(a * y - c * x, determinant)]
    try:
        columns = np.array(vector).reshape(len(vector), -1).T[..., None]
        solved = np.linalg.solve(_stacked(matrix), columns)[..., 0]
    except np.linalg.LinAlgError:
        return [np.nan * x for x in vector]
    return solved[0].tolist() if np.ndim(vector[0]) == 0 else list(solved.T)


def _ratio(a: Any, b: Any) -> Any:
    return a / b if isinstance(b, np.ndarray) or b else np.nan


# Likelihood-ratio and score tests of any columnwise family turned into intervals, by search.


def profile_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` whose likelihood-ratio statistic is below its quantile.

    Parameters
    ----------
    family : Family
        Its `log_likelihood` and `restricted_estimate` define the profile.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the profile never falls far enough on that side.
    """
    profile = Profile(family, name, statistics, params)
    found = followed(profile, level)
    if found is None:
        known = _path_ends(profile, level) if family.rounding else (None, None)
        return invert(profile.root, profile, level, "profile", lost=end_of_space, known=known)
    return found


def score_interval(
    family: Any, name: str, statistics: Any, params: Params, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of `name` around the estimate that the score test does not reject.

    Parameters
    ----------
    family : Family
        One that defines `mean_score`.
    name : str
        The parameter.
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The maximum-likelihood estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
        An end of the parameter space where the statistic never grows large enough on that side, as
        in small samples.
    """
    profile = Profile(family, name, statistics, params)

    def root(value: np.ndarray) -> np.ndarray:
        try:
            restricted, _ = profile.at(value)
            with np.errstate(all="ignore"):
                size = _score_size(family, statistics, restricted)
        except (ArithmeticError, np.linalg.LinAlgError):  # beyond what can be computed
            size = np.full(np.shape(value), np.inf)
        return np.sign(params[name] - value) * size

    estimate = params[name]
    low, high = invert(root, profile, level, "score", lost=end_of_space)
    ends = []
    for end, bound in zip((low, high), family.space_of(name, params[name])):
        # an end beyond which nothing can be computed is none: the search ran until numbers failed
        lost = np.isfinite(end) & (end != bound)
        if lost.any():
            beyond = np.where(lost, end + 1e-6 * (end - estimate), estimate)
            with suppress(ValueError):
                lost &= ~np.isfinite(root(beyond))
        ends.append(np.where(lost, bound, end))
    return ends[0], ends[1]


def _score_size(family: Any, statistics: Any, restricted: Params) -> np.ndarray:
    """Return the root of n U' I^-1 U, (d,), U being the mean score; infinite where it is lost."""
    slope = family.mean_score(statistics, restricted)
    information = family.model_information(statistics, restricted)
    usable = np.isfinite(information).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
    safe = np.where(usable[:, None, None], information, np.eye(slope.shape[1]))
    solved = np.linalg.solve(safe, slope[..., None])[..., 0]
    statistic = statistics.n * np.einsum("dk,dk->d", slope, solved)
    return np.where(usable, np.sqrt(np.maximum(statistic, 0.0)), np.inf)
