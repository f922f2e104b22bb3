"""Maps columns with bounds to the whole line, and integrates there by the trapezoidal rule."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit, logsumexp

from skgm._numerics.importance import NotIntegrableError

__all__ = ["LineDensity", "LineMap", "grid_integral", "log_integrand"]

RowFunction = Callable[[np.ndarray], np.ndarray]

N_NODES = {1: 2001, 2: 301}
# Half-width of the nodes before the double-exponential map: 1e11 standard deviations, 1e-30.
REACH = 3.5
END_SHARE = 1e-6  # of the largest integrand, at the ends: then the integral does not exist


@dataclass(frozen=True)
class LineMap:
    """From u on the line to x between bounds: u, lower + exp(u), or a logistic curve.

    Attributes
    ----------
    lower, upper : ndarray of shape (d,)
        Bounds, infinite where there is none, of columns of scale one.
    """

    lower: np.ndarray
    upper: np.ndarray

    def _kinds(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        low, high = np.isfinite(self.lower), np.isfinite(self.upper)
        return low & ~high, high & ~low, low & high

    def forward(self, U: np.ndarray) -> np.ndarray:
        """Return the rows x(u), (n, d), inside the bounds."""
        above, below, both = self._kinds()
        X = np.array(U, dtype=np.float64)
        grown = np.exp(np.clip(U, -700, 700))
        X[:, above] = self.lower[above] + grown[:, above]
        X[:, below] = self.upper[below] - grown[:, below]
        low, width = self.lower[both], (self.upper - self.lower)[both]
        V = U[:, both]  # from the nearer end, so that neither end is rounded to
        X[:, both] = np.where(V < 0, low + width * expit(V), self.upper[both] - width * expit(-V))
        return X

    def backward(self, X: np.ndarray) -> np.ndarray:
        """Return the u of rows, (n, d); rows on a bound are taken as just inside."""
        above, below, both = self._kinds()
        tiny = 1e-12
        U = np.array(X, dtype=np.float64)
        U[:, above] = np.log(np.maximum(X[:, above] - self.lower[above], tiny))
        U[:, below] = np.log(np.maximum(self.upper[below] - X[:, below], tiny))
        width = (self.upper - self.lower)[both]
        up = np.maximum((X[:, both] - self.lower[both]) / width, tiny)
        down = np.maximum((self.upper[both] - X[:, both]) / width, tiny)
        U[:, both] = np.log(up / down)
        return U

    def log_slope(self, U: np.ndarray) -> np.ndarray:
        """Return log |dx/du| of every entry, (n, d)."""
        above, below, both = self._kinds()
        result = np.zeros(U.shape)
        one = above | below
        result[:, one] = U[:, one]
        with np.errstate(divide="ignore", invalid="ignore"):
            width = np.log((self.upper - self.lower)[both])
        result[:, both] = width + log_expit(U[:, both]) + log_expit(-U[:, both])
        return result

    def pull_back(self, U: np.ndarray, score: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to u of log p(x(u)) |dx/du|, given that of log p."""
        above, below, both = self._kinds()
        slope = np.exp(np.clip(self.log_slope(U), -700, 700)) * np.where(below, -1.0, 1.0)
        own = np.where(above | below, 1.0, np.where(both, -np.tanh(0.5 * U), 0.0))
        return score * slope + own


def _nodes(line: LineMap, j: int, n: int, center: float, spread: float) -> tuple[np.ndarray, ...]:
    """Return u of column j, and the logs of the steps du: sinh, twice on an open line."""
    v = np.linspace(-REACH, REACH, n)
    inner, log_inner = 0.5 * np.pi * np.sinh(v), np.log(0.5 * np.pi * np.cosh(v))
    if np.isfinite(line.lower[j]) or np.isfinite(line.upper[j]):
        u, log_step = 2 * inner, log_inner + np.log(2)  # the map of the bounds is exponential
    else:
        u, log_step = np.sinh(inner), log_inner + np.log(np.cosh(inner))
    return center + spread * u, log_step + np.log(spread * (v[1] - v[0]))


def grid_integral(
    log_kernel: RowFunction, line: LineMap, center: np.ndarray, spread: np.ndarray
) -> tuple[float, float]:
    """Return log of the integral of exp(log_kernel) over one or two columns, and its error.

    Parameters
    ----------
    log_kernel : callable
        From (n, d) to (n,).
    line : LineMap
        The domain.
    center, spread : ndarray of shape (d,)
        Location and scale of the rows in u.

    Raises
    ------
    NotIntegrableError
        The integrand does not fall off towards the ends, so that there is no integral.
    """
    d = len(center)
    axes = [_nodes(line, j, N_NODES[d], center[j], spread[j]) for j in range(d)]
    U = np.stack(np.meshgrid(*[u for u, _ in axes], indexing="ij"), axis=-1).reshape(-1, d)
    steps = np.stack(np.meshgrid(*[s for _, s in axes], indexing="ij"), axis=-1)
    values = log_integrand(log_kernel, line, U) + steps.reshape(-1, d).sum(axis=1)
    values = values.reshape(steps.shape[:-1])
    edges = max(_outermost(values, axis) for axis in range(d))
    values = np.where(np.isnan(values), -np.inf, values)
    largest = values.max()
    # the difference is taken first: next to a largest value of 1e60 the share is lost to rounding
    if not np.isfinite(largest) or largest - edges < -np.log(END_SHARE):
        raise NotIntegrableError("does not fall off towards the ends of its support")
    whole = float(logsumexp(values))
    coarse = float(logsumexp(values[(slice(None, None, 2),) * d]) + d * np.log(2))
    return whole, abs(float(np.expm1(coarse - whole)))


def _outermost(values: np.ndarray, axis: int) -> float:
    """Return the largest of the first and last values of all lines along an axis.

    NaN stands where parts of the log-density overflow, such as infinity minus infinity. What it
    hides is unknown, so that the values next to it count as the ends.
    """
    lines = np.moveaxis(values, axis, 0)
    known = ~np.isnan(lines)
    some = known.any(axis=0)
    ends = [known.argmax(axis=0), len(lines) - 1 - known[::-1].argmax(axis=0)]
    found = [np.take_along_axis(lines, end[None], axis=0)[0][some] for end in ends]
    return float(np.max(found, initial=-np.inf))


def log_integrand(log_kernel: RowFunction, line: LineMap, U: np.ndarray) -> np.ndarray:
    """Return the log-density of mapped columns up to its normalizer, NaN where parts overflow."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore", under="ignore"):
        return np.asarray(log_kernel(line.forward(U)) + line.log_slope(U).sum(axis=1))


@dataclass(frozen=True)
class LineDensity:
    """A density of one column, by the trapezoidal rule: its normalizer and its quantiles."""

    log_kernel: RowFunction
    line: LineMap
    center: float
    spread: float

    def log_normalizer(self) -> tuple[float, float]:
        """Return log Z and its error."""
        place = np.array([self.center]), np.array([self.spread])
        return grid_integral(self.log_kernel, self.line, *place)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """Return quantiles, (n,), by the inverse of the distribution function."""
        u, log_step = _nodes(self.line, 0, 8 * N_NODES[1], self.center, self.spread)
        values = log_integrand(self.log_kernel, self.line, u[:, None]) + log_step
        values = np.where(np.isnan(values), -np.inf, values)
        mass = np.exp(values - values.max())
        below = np.cumsum(mass) - 0.5 * mass
        inside = mass > 0
        found = np.interp(probability * mass.sum(), below[inside], u[inside])
        return self.line.forward(found[:, None])[:, 0]
