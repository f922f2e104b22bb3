"""Location-scale families: a kernel says everything."""

import math
import weakref
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np

from skgm._numerics.newton import Local, Value, halve, maximize
from skgm.inference._likelihood.model import Line
from skgm.inference.families._base import Family, Parameter, Params
from skgm.inference.families._statistics import Rows

__all__ = [
    "REGULAR",
    "KernelMeans",
    "LocationScaleFamily",
    "SmoothFamily",
    "check_no_constant_columns",
    "climb",
    "kernel_means",
    "latest_means",
    "location_and_scale",
    "one_dimension",
    "weighted_quantiles",
]


# The search for location and scale: Newton steps from one pass over the rows each.

_MAX_ITERATIONS = 200
# Searches with numerical derivatives that converge take fewer than thirty steps; one that still
# climbs after sixty follows a ridge to infinity.
_MAX_STEPS = 60
# Decrements, in units of the mean log-likelihood. Newton squares the error, so that a step below
# _LAST leaves an error below rounding; below _BLIND the likelihood cannot see the gain.
_LAST, _BLIND = 1e-15, 1e-11
_SMALLEST_STEP = 1e-10
_LONGEST_STEP, _LONGEST_TURN = 2.0, 3.0
_LOST = (
    "The {} family has no estimate for column number {}: the likelihood still rises where the "
    "search ended. Check for constant, tied or extreme values, or fix a parameter."
)


class KernelMeans(NamedTuple):
    """Means over rows, (d,) each, of g, g', z g', g'', z g'' and z^2 g''."""

    g: np.ndarray
    g1: np.ndarray
    zg1: np.ndarray
    g2: np.ndarray
    zg2: np.ndarray
    zzg2: np.ndarray


def kernel_means(
    family: Any, statistics: Rows, params: Any, location: np.ndarray, scale: np.ndarray
) -> KernelMeans:
    """Return the means of the kernel of `family` and of its derivatives, in one pass.

    A family that needs fewer sums over the rows writes `means` itself.
    """
    z = statistics.X - location
    z /= scale
    g, g1, g2 = family.kernel(z, params)
    weight = statistics.weight
    first = weight @ g, weight @ g1
    g1 *= z
    middle = weight @ g1, weight @ g2
    g2 *= z
    mixed = weight @ g2
    g2 *= z
    return KernelMeans._make(
        total / statistics.n for total in (*first, *middle, mixed, weight @ g2)
    )


def one_dimension(X: np.ndarray, *params: Any) -> tuple[Any, ...]:
    """Return one column as a vector and its parameters as numbers, others as they are.

    Sums over a vector then are numbers, and take half the time.
    """
    if X.shape[1] > 1:
        return X, *params
    return X[:, 0], *[np.asarray(value).item() for value in params]


# The last result of `latest_means`: one tuple, replaced as a whole.
_latest: list[Any] = [None]


def latest_means(
    family: Any, statistics: Rows, params: Any, location: np.ndarray, scale: np.ndarray
) -> KernelMeans:
    """Return `kernel_means`, at once where the last call asked for the same.

    r* asks for value, gradient, curvature and canonical parameter at one point after the other:
    the same pass over the rows gives them all.
    """
    things = (family, statistics.X, statistics.weight)
    key = tuple(np.asarray(value).tobytes() for value in params.values())
    known = _latest[0]
    if known is not None and known[1] == key:
        same = [reference() is thing for reference, thing in zip(known[0], things)]
        if all(same):
            return known[2]
    means = family.means(statistics, params, location, scale)
    _latest[0] = (tuple(map(weakref.ref, things)), key, means)
    return means


def climb(
    family: Any,
    statistics: Rows,
    params: Any,
    location: np.ndarray,
    scale: np.ndarray,
    free: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum in location and log scale that is uphill from a starting point.

    Newton steps. Where the curvature is not positive definite: the step of Fisher scoring, or, of
    one coordinate, its absolute value; both lead uphill. Steps are halved until they climb.

    Parameters
    ----------
    family : LocationScaleFamily
        Its kernel and `unit_information` are used.
    statistics : Rows
        The rows.
    params : dict of str to ndarray
        Shape parameters of the kernel, if it has any.
    location, scale : ndarray of shape (d,)
        Starting point.
    free : pair of bool arrays
        Whether location and scale move.

    Returns
    -------
    location, scale : ndarray of shape (d,)
        The maximum.

    Raises
    ------
    ValueError
        Where the search does not converge: the likelihood has no maximum there.
    """
    expected = family.unit_information(params)
    free = (np.broadcast_to(free[0], location.shape), np.broadcast_to(free[1], scale.shape))
    means = family.means(statistics, params, location, scale)
    height = means.g - np.log(scale)
    active = free[0] | free[1]
    for _ in range(_MAX_ITERATIONS):
        step, turn, decrement = _step(means, expected, free)
        step, turn = np.where(active, step, 0.0), np.where(active, turn, 0.0)
        moved = location + scale * step, scale * np.exp(turn)
        active = active & ~(decrement < _LAST)
        if not active.any():
            return moved
        left = np.flatnonzero(active)
        if len(left) < len(active) / 2:  # go on with these columns alone
            part = Rows(statistics.n, statistics.X[:, left], statistics.weight)
            shapes = {k: np.broadcast_to(v, active.shape)[left] for k, v in params.items()}
            some_free = (free[0][left], free[1][left])
            found = climb(family, part, shapes, location[left], scale[left], some_free)
            for whole, some in zip(moved, found):
                whole[left] = some
            return moved
        length = 1.0
        while True:
            means = family.means(statistics, params, *moved)
            reached = means.g - np.log(moved[1])
            worse = active & ~(reached >= height) & ~(decrement < _BLIND)
            if not worse.any():
                break
            length /= 2
            if length < _SMALLEST_STEP:
                raise ValueError(_LOST.format(family.name, int(np.flatnonzero(worse)[0])))
            moved = (
                np.where(worse, location + scale * length * step, moved[0]),
                np.where(worse, scale * np.exp(length * turn), moved[1]),
            )
        (location, scale), height = moved, reached
    raise ValueError(_LOST.format(family.name, int(np.flatnonzero(active)[0])))


def _step(
    means: KernelMeans, expected: np.ndarray, free: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return steps of location (in units of the scale) and log scale, and the decrement."""
    ga, gb = -means.g1, -1 - means.zg1
    a, b, c = -means.g2, -means.g1 - means.zg2, -means.zg1 - means.zzg2
    both = free[0] & free[1]
    convex = (a > 0) & (c > 0) & (~both | (a * c > b * b))
    if not convex.all():
        a, b, c = (
            np.where(convex, own, np.where(both, expected[..., i, j], np.abs(own)))
            for own, i, j in ((a, 0, 0), (b, 0, 1), (c, 1, 1))
        )
    b = np.where(both, b, 0.0)
    ga, gb = np.where(free[0], ga, 0.0), np.where(free[1], gb, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if both.all():
            determinant = a * c - b * b
            step, turn = (c * ga - b * gb) / determinant, (a * gb - b * ga) / determinant
        else:
            determinant = np.where(both, a * c - b * b, 1.0)
            step = np.where(both, (c * ga - b * gb) / determinant, ga / a)
            turn = np.where(both, (a * gb - b * ga) / determinant, gb / c)
            step, turn = np.where(free[0], step, 0.0), np.where(free[1], turn, 0.0)
    longest = np.maximum(1.0, np.abs(turn) / _LONGEST_TURN)
    if not both.all():  # near a lowest point of the location the curvature is no guide
        longest = np.maximum(longest, np.where(convex, 0.0, np.abs(step)) / _LONGEST_STEP)
    return step / longest, turn / longest, ga * step + gb * turn


def weighted_quantiles(
    X: np.ndarray, weight: np.ndarray, levels: tuple[float, ...]
) -> list[np.ndarray]:
    """Return quantiles of the columns of X, (d,) each; a weight w counts as w repetitions."""
    if (weight == weight[0]).all():
        places = [max(int(np.ceil(level * len(X))) - 1, 0) for level in levels]
        parted = np.partition(X, sorted(set(places)), axis=0)
        return [parted[place] for place in places]
    order = np.argsort(X, axis=0)
    cumulative = np.cumsum(weight[order], axis=0)
    ranks = [np.argmax(cumulative >= level * cumulative[-1], axis=0) for level in levels]
    columns = np.arange(X.shape[1])
    return [X[order[rank, columns], columns] for rank in ranks]


# Families without closed-form estimates: Newton's method on a scale without ends.


class SmoothFamily(Family):
    """A columnwise family that gives value, slope and curvature of its mean log-likelihood.

    Beyond those of :class:`Family` (but `restricted_estimate`), a subclass writes `start`,
    `mean_score` and `observed_information`. Parameters whose `low` is finite are moved on the
    scale log(theta - low), those between two finite ends on the logit scale, the others as they
    are, in units of the curvature.
    """

    @abstractmethod
    def start(self, statistics: Any) -> dict[str, np.ndarray]:
        """Return a rough estimate, (d,) each, strictly inside the parameter space."""

    def restricted_estimate(self, statistics: Any, null: Params) -> dict[str, np.ndarray]:
        return self.restricted_near(statistics, null, self.start(statistics))

    def restricted_near(self, statistics: Any, null: Params, near: Params) -> dict[str, np.ndarray]:
        """Return the restricted estimate, searched from `near`."""
        line = Line(self.parameters)
        theta = self.pack(near)
        held = self.pack(null, len(theta))
        free = np.isnan(held)
        theta = np.where(free, theta, held)

        def value(u: np.ndarray) -> np.ndarray:
            with np.errstate(all="ignore"):
                params = self.unpack(line.inward(u))
                return self.log_likelihood(statistics, params) / statistics.n

        def derivatives(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            with np.errstate(all="ignore"):
                point = line.inward(u)
                params = self.unpack(point)
                slope, turn = line.slopes(point)
                _, gradient, curvature = self.expansion(statistics, params)
                curvature = curvature * slope[:, :, None] * slope[:, None, :]
                k = np.arange(len(self.parameters))
                curvature[:, k, k] -= gradient * turn
                return gradient * slope, curvature

        maximum = maximize(
            value,
            derivatives,
            line.outward(theta),
            free,
            search=_never_down,
            max_iter=_MAX_STEPS,
        )
        # what is held keeps its digits: it does not go through the scale and back
        found = self.unpack(np.where(free, line.inward(maximum.point), theta))
        return self.settle(statistics, null, found, maximum.converged)

    def settle(
        self, statistics: Any, null: Params, found: dict[str, np.ndarray], converged: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the estimate from the point where the search ended; refuse what did not converge.

        A family whose likelihood may rise towards the edge of its space overrides it.
        """
        if not converged.all():
            column = int(np.flatnonzero(~converged)[0])
            raise ValueError(
                f"The {self.name} family has no estimate for column number {column}: the "
                "likelihood still rises where the search ended. Check for constant, tied or "
                "extreme values, or fix a parameter."
            )
        return found


def _never_down(
    value: Value, point: np.ndarray, height: np.ndarray, local: Local
) -> tuple[np.ndarray, np.ndarray]:
    """Take steps as `halve` does, but no unseen one that leads down.

    On a plateau (between the middle rows of a Laplace column) a Newton step follows rounding errors
    over any distance.
    """
    moved, reached = halve(value, point, height, local)
    if local.blind.any():
        low = height - 1e-9 * np.maximum(np.abs(height), 1.0)
        down = local.blind & ~(value(moved) >= low)
        moved = np.where(down[:, None], point, moved)
    return moved, reached


Pair = tuple[Any, Any]
Triple = tuple[Any, Any, Any]
# Interval methods of a regular family of continuous distributions.
REGULAR = (
    "wald",
    "wald-transformed",
    "score",
    "profile",
    "bartlett",
    "rstar",
    "robust",
    "bootstrap",
)


def location_and_scale(
    methods: tuple[str, ...] = REGULAR, auto: str = "rstar"
) -> tuple[Parameter, ...]:
    """Return the parameters loc and scale."""
    return (
        Parameter("loc", methods=methods, auto=auto),
        Parameter("scale", low=0.0, link="log", methods=methods, auto=auto),
    )


class LocationScaleFamily(SmoothFamily):
    r"""Columnwise family whose density is that of (x - location) / scale.

    .. math:: \log p(x) = g(z) - \log s, \quad z = (x - m) / s

    A subclass writes `kernel` (g and its first two derivatives), `unit_information` (of location
    and scale, at scale one), `unit_cdf` and `unit_draws`. A family whose logarithm is of this kind
    is a `Transformed` one.
    """

    statistics_type = Rows
    unit_mean: float = 0.0  # of z
    symmetric: bool = False  # whether z and -z have one law

    @abstractmethod
    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return g(z), g'(z) and g''(z)."""

    @abstractmethod
    def unit_information(self, params: Params) -> np.ndarray:
        """Return the information of (location, scale) at scale one, (2, 2) or (d, 2, 2)."""

    @abstractmethod
    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return the distribution function of z."""

    @abstractmethod
    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z."""

    def location_scale(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Return location and scale."""
        return params["loc"], params["scale"]

    def from_location_scale(self, location: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Return parameters from location and scale."""
        return {"loc": location, "scale": scale}

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Rows:
        """Keep the rows."""
        return Rows.from_chunk(X, weight)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for constant columns."""
        check_no_constant_columns(self.name, statistics, names)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the median and the mean distance from it, as location and scale."""
        (middle,) = weighted_quantiles(statistics.X, statistics.weight, (0.5,))
        return self.from_location_scale(middle, _mean_distance(statistics, middle))

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        """Return the estimate with the entries of `null` held fixed; NaN marks the free ones.

        Where the location is held, the scale starts at the mean distance from it: a scale too
        large is a safe start.
        """
        start = self.start(statistics)
        location, scale = self.location_scale(start)
        held = np.broadcast_to(self.location_scale(null)[0], location.shape)
        away = ~np.isnan(held)
        if away.any():
            location = np.where(away, held, location)
            scale = np.where(away, _mean_distance(statistics, location), scale)
            start = {**start, **self.from_location_scale(location, scale)}
        return self.restricted_near(statistics, null, start)

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        return self._merge(null, *self._search(statistics, null, near))

    def _search(
        self, statistics: Rows, null: Params, near: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return location and scale where the likelihood is highest."""
        location, scale = self.location_scale(near)
        held_location, held_scale = self.location_scale(null)
        free = (np.isnan(held_location), np.isnan(held_scale))
        location = np.where(free[0], location, held_location)
        scale = np.where(free[1], scale, held_scale)
        return climb(self, statistics, near, location, scale, free)

    def _merge(
        self, null: Params, location: np.ndarray, scale: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return parameters from location and scale; what is held keeps its digits."""
        found = self.from_location_scale(location, scale)
        return {
            name: np.where(np.isnan(null[name]), value, null[name]) for name, value in found.items()
        }

    def kernel_means(self, statistics: Rows, params: Params) -> KernelMeans:
        """Return the means over rows that value, gradient and curvature are made of."""
        return latest_means(self, statistics, params, *self.location_scale(params))

    def means(
        self, statistics: Rows, params: Params, location: np.ndarray, scale: np.ndarray
    ) -> KernelMeans:
        """Return the means over rows of the kernel and its derivatives; see `kernel_means`."""
        return kernel_means(self, statistics, params, location, scale)

    def log_likelihood(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        return statistics.n * np.reshape(self._derivatives(statistics, params)[0], -1)

    def mean_score(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, k)."""
        return self._expansion(statistics, params)[1]

    def observed_information(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, k, k)."""
        return self._expansion(statistics, params)[2]

    def expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and observed information, in one pass."""
        return self._expansion(statistics, params)

    def _expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        height, slope, (aa, ab, bb) = self._derivatives(statistics, params)
        if isinstance(height, float):
            return np.array([height]), np.array([slope]), np.array([[[aa, ab], [ab, bb]]])
        information = np.stack([aa, ab, ab, bb], axis=-1).reshape(-1, 2, 2)
        return height, np.stack(slope, axis=-1), information

    def _derivatives(self, statistics: Rows, params: Params) -> tuple[Any, Pair, Triple]:
        """Return height, slopes and the entries of minus the Hessian: numbers for one column."""
        means, s = self.kernel_means(statistics, params), self.location_scale(params)[1]
        if statistics.X.shape[1] == 1:
            plain = KernelMeans._make(mean.item() for mean in means)
            try:
                height = plain.g - math.log(s.item())
                return height, *_derivatives_at(plain, s.item())
            except (ArithmeticError, ValueError):  # past what numbers can square: arrays can say so
                means = KernelMeans._make(np.reshape(mean, -1) for mean in means)
        return means.g - np.log(s), *_derivatives_at(means, s)

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, k, k)."""
        _, s = self.location_scale(params)
        return self.unit_information(params) / (s**2)[:, None, None]

    def standard_errors(self, params: Params, n: float) -> dict[str, np.ndarray]:
        """Return the model's standard errors: those at scale one, times the scale."""
        errors = np.asarray(params["scale"])[:, None] * self.unit_errors(params, n)
        return {"loc": errors[:, 0], "scale": errors[:, 1]}

    def unit_errors(self, params: Params, n: float) -> np.ndarray:
        """Return the standard errors of location and scale, at scale one, (2,) or (d, 2)."""
        unit = self.unit_information(params)
        aa, ab, bb = unit[..., 0, 0], unit[..., 0, 1], unit[..., 1, 1]
        return np.sqrt(np.stack([bb, aa], axis=-1) / (n * (aa * bb - ab * ab))[..., None])

    def canonical(
        self, statistics: Rows, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the tangent exponential parameter (d, k) and its Jacobian (d, k, k)."""
        return self.canonical_free(statistics, estimate, params, np.arange(len(self.parameters)))

    def canonical_free(
        self, statistics: Rows, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `canonical` where only the parameters at the positions `free` are free.

        phi_j is the mean of g'(z) / s times V_j, V_j = dt / d theta_j at the estimate with z held:
        one and z at the estimate, for location and scale.
        """
        m, s = self.location_scale(params)
        m_hat, s_hat = self.location_scale(estimate)
        _, g1, zg1, g2, zg2, zzg2 = self.kernel_means(statistics, params)
        # z at the estimate is a + b z
        a, b = (m - m_hat) / s_hat, s / s_hat
        phi = np.empty((*s.shape, 2))
        phi[:, 0], phi[:, 1] = g1 / s, (a * g1 + b * zg1) / s
        jacobian = np.empty((*s.shape, 2, 2))
        jacobian[:, 0, 0], jacobian[:, 0, 1] = g2, g1 + zg2
        jacobian[:, 1, 0] = a * g2 + b * zg2
        jacobian[:, 1, 1] = a * (g1 + zg2) + b * (zg1 + zzg2)
        jacobian *= (-1 / (s * s))[:, None, None]
        offset = len(self.parameters) - phi.shape[1]  # shapes come first and are held
        kept = np.asarray(free) - offset
        return phi[:, kept], jacobian[:, kept[:, None], kept]

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf outside the support."""
        z, s = self._standardize(X, params)
        return self.kernel(z, params)[0] - np.log(s)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return self.unit_cdf(self._standardize(X, params)[0], params)

    def log_tails(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        if not self.symmetric:
            return super().log_tails(X, params)
        z = self._standardize(X, params)[0]
        return np.log(self.unit_cdf(z, params)), np.log(self.unit_cdf(-z, params))

    def mean(self, params: Params) -> np.ndarray:
        m, s = self.location_scale(params)
        return m + s * self.unit_mean

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, k)."""
        z, s = self._standardize(X, params)
        _, g1, _ = self.kernel(z, params)
        return np.stack([-g1 / s, -(1 + z * g1) / s], axis=-1)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        z, s = self._standardize(X, params)
        _, g1, _ = self.kernel(z, params)
        return g1 / s

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        m, s = self.location_scale(params)
        return m + s * self.unit_draws(params, (n_samples, len(s)), rng)

    def _standardize(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        m, s = self.location_scale(params)
        return (X - m) / s, np.asarray(s)


def _derivatives_at(means: KernelMeans, s: Any) -> tuple[Pair, Triple]:
    """Return slopes and curvatures (aa, ab, bb) in location and scale, arrays or numbers."""
    unit = -1 / (s * s)
    slope = -means.g1 / s, (-1 - means.zg1) / s
    return slope, (
        means.g2 * unit,
        (means.g1 + means.zg2) * unit,
        (1 + 2 * means.zg1 + means.zzg2) * unit,
    )


def _mean_distance(statistics: Rows, location: np.ndarray) -> np.ndarray:
    return statistics.weight @ np.abs(statistics.X - location) / statistics.n


def check_no_constant_columns(name: str, statistics: Any, names: list[str]) -> None:
    """Raise for columns whose rows are all equal: the likelihood is unbounded there."""
    varies = (statistics.X[0] != statistics.X).any(axis=0)
    if not varies.all():
        constant = [names[j] for j in np.flatnonzero(~varies)]
        raise ValueError(
            f"The {name} family has no estimate for constant columns ({', '.join(constant)}; "
            f"n_samples = {statistics.n:g}): the likelihood grows without bound as the spread of "
            "the fitted distribution shrinks. Drop them or collect more rows."
        )
