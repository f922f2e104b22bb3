"""The fast way to the ends of likelihood intervals: one Newton iteration for end and nuisances.

At an end the log-likelihood has fallen by r^2 / 2 and its slope along the nuisance parameters is
zero: k equations in k unknowns (Venzon and Moolgavkar, "A method for computing profile-likelihood
based confidence intervals", Applied Statistics 37, 1988). Five or six steps, where a bracketing
search would maximise over the nuisances a dozen times. It may fail far from a quadratic; the
caller then brackets.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from skgm.inference._inversion import Profile, may_follow
from skgm.inference._line import Line

__all__ = ["followed"]

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
        self.centre = self._split(self.line.outward(theta))
        slopes = [place[1] for place in self.line.expand(self.centre)]
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
        root = quantile if self.one else np.full(len(self.centre[0]), quantile)
        bend: list[Any] = [0.0] * len(self.centre)
        values = []
        for wanted in (root, -root):
            start = [c - wanted * d + b for c, d, b in zip(self.centre, self.direction, bend)]
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
            u = [c + (x - c) * longer for x, c in zip(u, self.centre)]
        return None

    def _on_its_side(self, u: list[Any], root: Any) -> bool:
        return _all((self.centre[self.index] - u[self.index]) * root > 0)

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
