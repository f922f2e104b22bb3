"""Location-scale families, and those whose logarithm is one: a kernel says everything."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from skgm.inference.families._base import Parameter, Params
from skgm.inference.families._location_scale_search import (
    KernelMeans,
    climb,
    kernel_means,
    latest_means,
    one_dimension,
    weighted_quantiles,
)
from skgm.inference.families._rows import Rows
from skgm.inference.families._smooth import SmoothFamily

__all__ = ["REGULAR", "LocationScaleFamily", "location_and_scale", "refuse_constant_columns"]

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
    r"""Columnwise family whose density is that of (t(x) - location) / scale, t being x or log x.

    .. math:: \log p(x) = g(z) - \log s + \log|t'(x)|, \quad z = \{t(x) - m\} / s

    A subclass writes `kernel` (g and its first two derivatives), `unit_information` (of location
    and scale, at scale one), `unit_cdf` and `unit_draws`. One whose parameters are not location
    and scale themselves also overrides `location_scale`, its inverse and its derivatives. The
    statistics are the rows of t(x), so that logarithms are taken once.
    """

    statistics_type = Rows
    logarithmic = False

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
        """Return location and scale of t(x)."""
        return params["loc"], params["scale"]

    def from_location_scale(self, location: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Return parameters from location and scale of t(x)."""
        return {"loc": location, "scale": scale}

    def location_scale_slopes(self, params: Params) -> tuple[np.ndarray, np.ndarray] | None:
        """Return d(location, scale)/d theta (d, 2, k) and second derivatives (d, 2, k, k).

        None where the parameters are location and scale.
        """
        return None

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Rows:
        """Keep the rows of t(x)."""
        if not self.logarithmic:
            return Rows.from_chunk(X, weight)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Rows.of(np.log(X, dtype=np.float64), weight)

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for constant columns."""
        refuse_constant_columns(self.name, statistics, names)

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
        """Return the restricted estimate, searched from `near`."""
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
        base: Any = 0.0
        if self.logarithmic:
            base = statistics.weight.dot(one_dimension(statistics.X)[0]) / statistics.n
        if statistics.X.shape[1] == 1:
            numbers = {name: np.asarray(value).item() for name, value in params.items()}
            plain = KernelMeans._make(mean.item() for mean in means)
            try:
                height = plain.g - math.log(s.item()) - float(base)
                return height, *self._turned(plain, s.item(), numbers)
            except (ArithmeticError, ValueError):  # past what numbers can square: arrays can say so
                means = KernelMeans._make(np.reshape(mean, -1) for mean in means)
        return means.g - np.log(s) - base, *self._turned(means, s, params)

    def _turned(self, means: KernelMeans, s: Any, params: Mapping[str, Any]) -> Any:
        unit = -1 / (s * s)
        slope = -means.g1 / s, (-1 - means.zg1) / s
        curvature = (
            means.g2 * unit,
            (means.g1 + means.zg2) * unit,
            (1 + 2 * means.zg1 + means.zzg2) * unit,
        )
        return self.turned(slope, curvature, params)

    def turned(self, slope: Pair, curvature: Triple, params: Mapping[str, Any]) -> Any:
        """Return slopes and curvatures (aa, ab, bb) in the parameters of the family.

        From those in location and scale; arrays or numbers. One whose parameters are others
        overrides it with `location_scale_slopes`.
        """
        return slope, curvature

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, k, k)."""
        _, s = self.location_scale(params)
        unit = self.unit_information(params) / (s**2)[:, None, None]
        slopes = self.location_scale_slopes(params)
        if slopes is None:
            return unit
        return np.einsum("dai,dab,dbj->dij", slopes[0], unit, slopes[0])

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
        slopes, at_estimate = (self.location_scale_slopes(p) for p in (params, estimate))
        if slopes is not None and at_estimate is not None:
            phi = np.einsum("dai,da->di", at_estimate[0], phi)
            jacobian = np.einsum("dai,dab,dbj->dij", at_estimate[0], jacobian, slopes[0])
        offset = len(self.parameters) - phi.shape[1]  # shapes come first and are held
        kept = np.asarray(free) - offset
        return phi[:, kept], jacobian[:, kept[:, None], kept]

    def log_density(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return log densities, (n, d), -inf outside the support."""
        z, s = self._standardise(X, params)
        log_density = self.kernel(z, params)[0] - np.log(s)
        if not self.logarithmic:
            return log_density
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(X > 0, log_density - np.log(np.maximum(X, 0)), -np.inf)

    def cdf(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return P(x <= X), (n, d)."""
        return self.unit_cdf(self._standardise(X, params)[0], params)

    def score(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the scores, (n, d, k)."""
        z, s = self._standardise(X, params)
        _, g1, _ = self.kernel(z, params)
        return self._to_theta(np.stack([-g1 / s, -(1 + z * g1) / s], axis=-1), params)

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        z, s = self._standardise(X, params)
        _, g1, _ = self.kernel(z, params)
        if not self.logarithmic:
            return g1 / s
        inside = X > 0
        with np.errstate(invalid="ignore"):
            return np.where(inside, (g1 / s - 1) / np.where(inside, X, 1.0), 0.0)

    def sample(self, params: Params, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n_samples, d) draws."""
        m, s = self.location_scale(params)
        t = m + s * self.unit_draws(params, (n_samples, len(s)), rng)
        return np.exp(t) if self.logarithmic else t

    def _t(self, X: np.ndarray) -> np.ndarray:
        if not self.logarithmic:
            return X
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(np.maximum(X, 0))

    def _standardise(self, X: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray]:
        m, s = self.location_scale(params)
        return (self._t(X) - m) / s, np.asarray(s)

    def _to_theta(self, slope: np.ndarray, params: Params) -> np.ndarray:
        slopes = self.location_scale_slopes(params)
        return slope if slopes is None else np.einsum("...da,dak->...dk", slope, slopes[0])


def _mean_distance(statistics: Rows, location: np.ndarray) -> np.ndarray:
    return statistics.weight @ np.abs(statistics.X - location) / statistics.n


def refuse_constant_columns(name: str, statistics: Any, names: list[str]) -> None:
    """Raise for columns whose rows are all equal: the likelihood is unbounded there."""
    varies = (statistics.X[0] != statistics.X).any(axis=0)
    if not varies.all():
        constant = [names[j] for j in np.flatnonzero(~varies)]
        raise ValueError(
            f"The {name} family has no estimate for constant columns ({', '.join(constant)}; "
            f"n_samples = {statistics.n:g}): the likelihood grows without bound as the spread of "
            "the fitted distribution shrinks. Drop them or collect more rows."
        )
