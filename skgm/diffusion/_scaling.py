"""Scales rows: transforms skewed columns, then maps every class to about N(0, I).

Directions in which the table does not vary (constant columns, columns determined by others) are
separated. The network does not see them, and they keep a very narrow normal distribution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skgm._numerics.moments import Moments

__all__ = [
    "Scaler",
    "Summary",
    "bend",
    "choose_bends",
    "fit_scaler",
    "log_slopes",
    "log_slopes_gradient",
    "unbend",
]

# A standard deviation below this, relative to the mean, is rounding of a constant.
_CONSTANT = 1e-12
# An eigenvalue of the correlations below this is rounding: the columns are linearly dependent.
_DEPENDENT = 1e-11
# The inverse of a smaller size overflows; the square of a smaller spread underflows.
_SMALLEST, _SMALLEST_SPREAD = 1e-290, 1e-150
# Standard deviation given to a direction without variation, relative to the column's size.
_RIDGE = 2.0**-13


@dataclass(frozen=True)
class Scaler:
    """Maps u = (bent x - location) forward' and back, one per class.

    Attributes
    ----------
    location : ndarray of shape (k, d)
        Mean of each class; one row without classes.
    forward, backward : ndarray of shape (k, d, d)
        Matrix of each class, and its inverse.
    n_active : int
        The first `n_active` scaled columns vary; the others are the narrow directions.
    bends : ndarray of shape (4, d), default=None
        How columns are bent first, for all classes alike; None: not at all.
    """

    location: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    n_active: int
    bends: np.ndarray | None = None

    @property
    def log_det(self) -> np.ndarray:
        """Logarithm of |det forward|, (k,): of the affine part of the map."""
        return np.linalg.slogdet(self.forward)[1]

    def log_volume(self, X: np.ndarray, code: int = 0) -> np.ndarray:
        """Return the logarithm of |det du/dx| at rows of one class, (n,)."""
        return np.asarray(self.log_det[code] + log_slopes(X, self.bends).sum(axis=1))

    def pull_back(self, gradient: np.ndarray, X: np.ndarray, code: int = 0) -> np.ndarray:
        """Return the gradient of a log-density in x at rows X from that in u, (n, d)."""
        result = gradient @ self.forward[code]
        if self.bends is None:
            return np.asarray(result)
        slope = np.exp(log_slopes(X, self.bends))
        return np.asarray(result * slope + log_slopes_gradient(X, self.bends))

    def scale(self, X: np.ndarray, code: int = 0) -> np.ndarray:
        """Return rows of one class scaled, (n, d) float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            return (bend(X, self.bends) - self.location[code]) @ self.forward[code].T

    def unscale(self, u: np.ndarray, code: int = 0) -> np.ndarray:
        """Return scaled rows of one class in the original units, (n, d) float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            bent = np.asarray(u, np.float64) @ self.backward[code].T + self.location[code]
            return unbend(bent, self.bends)

    def scale_each(self, X: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
        """Return rows scaled, each by the map of its class."""
        return _each(self.scale, X, codes)

    def unscale_each(self, u: np.ndarray, codes: np.ndarray | None) -> np.ndarray:
        """Return scaled rows in the original units, each by the map of its class."""
        return _each(self.unscale, u, codes)


def _each(
    function: Callable[..., np.ndarray], rows: np.ndarray, codes: np.ndarray | None
) -> np.ndarray:
    if codes is None:
        return np.asarray(function(rows))
    result = np.empty(rows.shape)
    for code in np.unique(codes):
        mine = codes == code
        result[mine] = function(rows[mine], code)
    return result


@dataclass(frozen=True, eq=False)
class Summary:
    """What a fit keeps of its rows: the moments of each class and the range of the columns.

    Attributes
    ----------
    moments : tuple of Moments
        Of each class, of bent rows with the noise of discrete values; one without classes.
    bounds : ndarray of shape (2, d)
        Smallest and largest value of each column, not bent.
    """

    moments: tuple[Moments, ...]
    bounds: np.ndarray

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        codes: np.ndarray | None,
        weight: np.ndarray | None,
        n_classes: int,
        bends: np.ndarray | None,
        noise_variance: np.ndarray | None,
    ) -> "Summary":
        """Summarize rows with these codes of classes and weights.

        A class without rows, which `partial_fit` may see later, counts for next to nothing.
        """

        def moments(mine: Any) -> Moments:
            part = None if weight is None else weight[mine]
            if not rows.shape[1]:  # a table of categories alone
                n = float(len(rows[mine]) if part is None else part.sum())
                return Moments(n, np.zeros(0), np.zeros(0), np.zeros((0, 0)))
            found = Moments.from_chunk(bend(rows[mine], bends), part, joint=True)
            if noise_variance is None:
                return found
            scatter = found.scatter + found.n * np.diag(noise_variance)
            return Moments(found.n, found.mean, found.mean_error, scatter)

        every = moments(slice(None))
        bounds = np.array([rows.min(axis=0), rows.max(axis=0)])
        if codes is None:
            return cls((every,), bounds)
        tiny = 1e-9 / every.n
        absent = Moments(1e-9, every.mean, every.mean_error, every.scatter * tiny)
        masks = [codes == code for code in range(n_classes)]
        return cls(tuple(moments(mine) if mine.any() else absent for mine in masks), bounds)

    def __add__(self, other: "Summary") -> "Summary":
        """Return the summary of both sets of rows together."""
        moments = tuple(mine + theirs for mine, theirs in zip(self.moments, other.moments))
        (low, high), (low_2, high_2) = self.bounds, other.bounds
        return Summary(moments, np.array([np.minimum(low, low_2), np.maximum(high, high_2)]))

    def check_spread(self) -> None:
        """Raise if the squares of a column that varies underflow."""
        low, high = self.bounds
        spread, size = high - low, np.abs(self.bounds).max(axis=0)
        small = (spread > _CONSTANT * size) & (spread < _SMALLEST_SPREAD)
        if small.any():
            place = int(np.argmax(small))
            raise ValueError(
                f"The squares of a column of X underflow: its values lie between {low[place]:g} "
                f"and {high[place]:g}. Rescale it before fitting (for example with "
                "sklearn.preprocessing.StandardScaler)."
            )

    @property
    def shares(self) -> np.ndarray:
        """Share of each class in the rows."""
        mass = np.array([part.n for part in self.moments])
        return mass / mass.sum()


def fit_scaler(classes: Sequence[Moments], kind: str, bends: np.ndarray | None = None) -> Scaler:
    """Return the maps for the moments of each class, of bent rows.

    "standard" divides every column by its standard deviation. "whiten" also removes the
    correlations. "shrink" and "auto" whiten by a covariance that is shrunk towards uncorrelated
    columns according to the sampling error of its estimate (oracle approximating shrinkage), and so
    lie between "standard" (short tables) and "whiten" (long ones). A class of n rows takes a share
    d / (d + n) of its covariance from all classes together.
    """
    n = sum(moments.n for moments in classes)
    within = np.sum([moments.scatter for moments in classes], axis=0) / n
    location = np.array([moments.mean + moments.mean_error for moments in classes])
    if not np.isfinite(within).all() or not np.isfinite(location).all():
        raise ValueError(
            "The squares of X overflow. Rescale the columns before fitting, for example to unit "
            "variance."
        )
    # no more rows than columns leave directions empty too, but that says nothing of the columns
    dependent = kind != "standard" and n > len(within) > 0
    basis, narrow = _split_directions(within, location, dependent=dependent)
    r = len(basis)
    pooled = _shrunk(_in_basis(basis, within), n, kind)
    forward = []
    for moments in classes:
        covariance = pooled
        if len(classes) > 1:
            borrowed = r / (r + moments.n) if r else 0.0
            own = _in_basis(basis, moments.scatter / moments.n)
            own = np.diag(own.diagonal()) if kind == "standard" else own
            covariance = (1 - borrowed) * own + borrowed * pooled
        forward.append(np.vstack([_inverse_root(covariance) @ basis, narrow]))
    matrices = np.array(forward)
    return Scaler(location, matrices, np.linalg.inv(matrices), r, bends)


def _split_directions(
    within: np.ndarray, location: np.ndarray, *, dependent: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that map x - mean to unit variance, (r, d), and to the rest, (d - r, d)."""
    d = len(within)
    variance = within.diagonal()
    size = np.abs(location).max(axis=0)
    varies = np.sqrt(variance) > _CONSTANT * size  # of a column of zeros too: not above 0
    ridge = _RIDGE * np.where(size > _SMALLEST, size, 1.0)
    narrow = np.eye(d)[~varies] / ridge[~varies, None]
    basis = np.eye(d)[varies] / np.sqrt(variance[varies, None])
    if dependent and len(basis):
        values, vectors = np.linalg.eigh(_in_basis(basis, within))
        zero = values < _DEPENDENT
        if zero.any():
            narrow = np.vstack([narrow, vectors[:, zero].T @ basis / _RIDGE])
            basis = (vectors[:, ~zero] / np.sqrt(values[~zero])).T @ basis
    return basis, narrow


def _in_basis(basis: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(basis @ matrix @ basis.T)


def _shrunk(correlation: np.ndarray, n: float, kind: str) -> np.ndarray:
    """Return (1 - share) correlation + share I; the share is 1, or 0, or for `n` rows the best."""
    r = len(correlation)
    identity = np.diag(correlation.diagonal())
    if kind == "standard" or r < 2:
        return identity
    if kind == "whiten" and n > r:
        return correlation
    square, trace = float(np.sum(correlation**2)), float(np.trace(correlation))
    excess = (n + 1) * (square - trace**2 / r)
    wanted = square + trace**2
    share = 1.0 if excess <= wanted else wanted / excess
    return (1 - share) * correlation + share * identity


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric inverse square root: the whitening that moves columns least."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


# Bent columns: one smooth increasing map per column, after which the table is closer to normal.
#
# A whitened table with skewed columns, or columns in curved relations (an area and a radius), is
# far from N(0, I): the Gaussian has mass away from the curve, and a short table does not suffice
# for the network to correct that. The map is the inverse hyperbolic sine about a center c with
# width w,
#
#     v = c + w asinh((x - c) / w),    log dv/dx = -log(1 + ((x - c) / w)^2) / 2,
#
# (Johnson, "Systems of frequency curves generated by methods of translation", 1949), a logarithm
# away from c and the identity for wide w. Beyond the range of the training table it continues along
# its tangent, so that samples do not overflow.
#
# Centers and widths maximize the likelihood of the Gaussian model (a network of zeros), column by
# column given the others. A column is bent if that gains .05 nats per row more than two parameters
# cost in the Bayesian information criterion; smaller gains the network learns better by itself.
# Columns in which one value is frequent are not bent, as the density at such a value can be raised
# without limit.

_FEWEST = 50  # rows: shorter tables are not bent
_VALUES, _MOST_ROWS, _LEAST_ROWS = 128_000, 2000, 500  # used of long tables
_POINT_MASS = 0.1  # share of the rows with one value, beyond which a column is not bent
_SWEEPS = 3
_LEAST_GAIN = 0.05  # nats per row beyond the criterion; chosen on a table of power plants
_WIDTHS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # both in robust standard deviations of a column
_CENTERS = (-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def bend(X: np.ndarray, bends: np.ndarray | None) -> np.ndarray:
    """Return rows with their columns bent, (n, d) float64; NaN stays.

    `bends` is (4, d): center, width (infinite for a column left alone), and the ends of the range
    beyond which the map is a straight line. None is no bend at all.
    """
    X = np.asarray(X, np.float64)
    if bends is None:
        return X
    center, width, low, high = bends
    inside = np.clip(X, low, high)
    with np.errstate(over="ignore", invalid="ignore"):
        curved = _curve(inside, center, width) + (X - inside) * np.exp(_log_slope(inside, bends))
    return np.where(np.isinf(width), X, curved)


def unbend(V: np.ndarray, bends: np.ndarray | None) -> np.ndarray:
    """Return the rows of which `bend` makes V, (n, d) float64."""
    V = np.asarray(V, np.float64)
    if bends is None:
        return V
    center, width, low, high = bends
    bent = np.isfinite(width)
    w, c = np.where(bent, width, 1.0), np.where(bent, center, 0.0)
    ends = np.where(bent, bend(bends[2:], bends), 0.0)
    inside = np.clip(V, *ends)
    with np.errstate(over="ignore", invalid="ignore"):
        X = np.clip(c + w * np.sinh((inside - c) / w), low, high)
        X = X + (V - inside) * np.exp(-_log_slope(X, bends))
    return np.where(bent, X, V)


def log_slopes(X: np.ndarray, bends: np.ndarray | None) -> np.ndarray:
    """Return the logarithms of the slopes of the maps at rows, (n, d)."""
    X = np.asarray(X, np.float64)
    if bends is None:
        return np.zeros(X.shape)
    return _log_slope(np.clip(X, *bends[2:]), bends)


def log_slopes_gradient(X: np.ndarray, bends: np.ndarray | None) -> np.ndarray:
    """Return the derivatives of the logarithms of the slopes at rows, (n, d)."""
    X = np.asarray(X, np.float64)
    if bends is None:
        return np.zeros(X.shape)
    center, width, low, high = bends
    a = (np.clip(X, low, high) - center) / width
    inside = np.clip(X, low, high) == X
    return np.where(inside, -a / (1 + a**2) / width, 0.0)


def _curve(X: np.ndarray, center: np.ndarray, width: np.ndarray) -> np.ndarray:
    w = np.where(np.isinf(width), 1.0, width)
    return np.asarray(center + w * np.arcsinh((X - center) / w))


def _log_slope(X: np.ndarray, bends: np.ndarray) -> np.ndarray:
    return np.asarray(-np.log(np.hypot(1.0, (X - bends[0]) / bends[1])))


def choose_bends(
    X: np.ndarray,
    codes: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
) -> np.ndarray | None:
    """Return the bends that gain likelihood enough, (4, d); None where no column is bent.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training rows.
    codes : ndarray of shape (n,), default=None
        Classes; the Gaussian has a mean for each.
    weight : ndarray of shape (n,), default=None
        Positive weights of the rows.
    allowed : ndarray of shape (d,), default=None
        Which columns may be bent; by default all.
    """
    X = np.asarray(X, np.float64)
    d = X.shape[1]
    weight = np.ones(len(X)) if weight is None else np.asarray(weight, np.float64)
    if weight.sum() < _FEWEST:
        return None
    columns = [
        j for j in range(d) if (allowed is None or allowed[j]) and not _has_mass(X[:, j], weight)
    ]
    if not columns:
        return None
    ends = np.array([X.min(axis=0), X.max(axis=0)])
    codes = np.zeros(len(X), dtype=np.intp) if codes is None else codes
    X, codes, weight = _thinned(X, codes, weight)
    grids = [_grid(X[:, j], weight) for j in columns]
    with np.errstate(over="ignore", under="ignore"):  # the scaling reports overflow
        best = _climb(X, codes, weight, columns, grids)
    bends = np.array([np.zeros(d), np.full(d, np.inf), *ends])
    for j, grid, choice in zip(columns, grids, best):
        bends[:2, j] = grid[choice]
    return bends if np.isfinite(bends[1]).any() else None


def _has_mass(column: np.ndarray, weight: np.ndarray) -> bool:
    _, which = np.unique(column, return_inverse=True)
    return bool(np.bincount(which, weight).max() > _POINT_MASS * weight.sum())


def _thinned(
    X: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of a short table, and evenly spaced ones, in order of values, of a long."""
    most = int(np.clip(_VALUES // X.shape[1], _LEAST_ROWS, _MOST_ROWS))
    total = float(weight.sum())
    if total <= most:
        return X, codes, weight
    order = np.lexsort(np.column_stack([X, codes]).T)
    places = np.cumsum(weight[order]) / total
    index = order[np.searchsorted(places, (np.arange(most) + 0.5) / most)]
    return X[index], codes[index], np.ones(most)


def _grid(column: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the bends tried of a column, (m, 2): center and width; the first is none."""
    order = np.argsort(column)
    share = np.cumsum(weight[order]) / weight.sum()
    low, middle, high = column[order][np.searchsorted(share, (0.16, 0.5, 0.84))]
    unit = (high - low) / 2
    pairs = [(middle + c * unit, w * unit) for w in _WIDTHS for c in _CENTERS]
    return np.array([(0.0, np.inf), *pairs])


def _climb(
    X: np.ndarray,
    codes: np.ndarray,
    weight: np.ndarray,
    columns: list[int],
    grids: list[np.ndarray],
) -> np.ndarray:
    """Return which of its bends every column has at the maximum, climbed column by column.

    The start is the best bend of each column by itself: two columns on one curve would otherwise
    stop where one of them bends alone, after the other.
    """
    n, d = float(weight.sum()), X.shape[1]
    current = np.column_stack([_standard(X[:, [j]], codes, weight)[0] for j in range(d)])
    tried = [_candidates(X[:, j], grid, codes, weight) for j, grid in zip(columns, grids)]
    for _, log_volume in tried:
        log_volume[1:] -= np.log(n) + _LEAST_GAIN * n  # two parameters, half of log n each
    best = np.array([log_volume.argmax() for _, log_volume in tried])
    for j, (values, _), choice in zip(columns, tried, best):
        current[:, j] = values[:, choice]
    for _ in range(_SWEEPS):
        before = best.copy()
        for place, j in enumerate(columns):
            values, log_volume = tried[place]
            others = np.delete(current, j, axis=1)
            residual = np.maximum(_unexplained(values, others, n), 1e-12)
            best[place] = (log_volume - 0.5 * n * np.log(residual)).argmax()
            current[:, j] = values[:, best[place]]
        if np.array_equal(before, best):
            break
    return best


def _candidates(
    column: np.ndarray, grid: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return a column under each of its bends, standardized, and what that does to volumes."""
    center, width = grid.T
    repeated = np.repeat(column[:, None], len(grid), axis=1)
    infinite = np.full(len(grid), np.inf)
    bends = np.array([center, width, -infinite, infinite])
    curved = np.where(np.isinf(width), repeated, _curve(repeated, center, width))
    values, scale = _standard(curved, codes, weight)
    volume = weight @ _log_slope(repeated, bends) - weight.sum() * np.log(scale)
    return values, volume


def _standard(
    values: np.ndarray, codes: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return columns, each row times the root of its weight, of mean 0 within classes, norm 1."""
    mass = np.bincount(codes, weight)
    sums = np.zeros((len(mass), values.shape[1]))
    np.add.at(sums, codes, weight[:, None] * values)
    centered = values - (sums / np.maximum(mass, 1e-300)[:, None])[codes]
    centered *= np.sqrt(weight)[:, None]
    scale = np.sqrt((centered**2).sum(axis=0) / weight.sum())
    scale = np.where(scale > 1e-12 * np.abs(values).max(axis=0), scale, np.inf)
    return centered / (scale * np.sqrt(weight.sum())), scale


def _unexplained(values: np.ndarray, others: np.ndarray, n: float) -> np.ndarray:
    """Return the share of the variance of each column that a ridge on the others leaves."""
    d = others.shape[1]
    if not d:
        return np.ones(values.shape[1])
    gram = others.T @ others + d / n * np.eye(d)  # a prior worth as many rows as columns
    products = others.T @ values
    return np.asarray(1 - np.einsum("ij,ij->j", products, np.linalg.solve(gram, products)))
