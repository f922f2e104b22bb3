"""The Laplace family: median and mean distance from it, never a Hessian."""

from typing import Any

import numpy as np

from skgm.inference.families._base import Interval, Params
from skgm.inference.families._laplace_exact import location_limits, scale_limits
from skgm.inference.families._location_scale import LocationScaleFamily, location_and_scale
from skgm.inference.families._parameter import EXACT_TOO
from skgm.inference.families._rows import Rows

__all__ = ["Laplace"]


class Laplace(LocationScaleFamily):
    r"""Laplace distribution with location and scale, per column.

    .. math:: \log p(x) = -|z| - \log 2 - \log s, \quad z = (x - m) / s

    Notes
    -----
    The likelihood has a kink at every row: its Hessian in the location is zero almost everywhere
    and says nothing about the error of the median. Standard errors, the bread of sandwiches
    included, therefore come from the expected information diag(1, 1) / s^2, the variance of the
    score. Any point between the two middle rows maximises the likelihood of an even number of
    rows: their midpoint is returned. Two different rows are enough.

    Exact intervals are conditional on the ancillary shape of the sample; see
    ``_laplace_exact``.
    """

    name = "laplace"
    equivariance = "location-scale"
    parameters = location_and_scale(EXACT_TOO, "exact")
    one_maximum = False  # no search by derivatives

    def kernel(self, z: np.ndarray, params: Params) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return -abs(z) - log 2 and its derivatives off the kink."""
        return -np.abs(z) - np.log(2), -np.sign(z), np.zeros_like(z)

    def unit_information(self, params: Params) -> np.ndarray:
        """Return diag(1, 1)."""
        return np.eye(2)

    def unit_cdf(self, z: np.ndarray, params: Params) -> np.ndarray:
        """Return exp(z) / 2 below zero and 1 - exp(-z) / 2 above."""
        tail = np.exp(-np.abs(z)) / 2
        return np.where(z < 0, tail, 1 - tail)

    def unit_draws(
        self, params: Params, size: tuple[int, int], rng: np.random.Generator
    ) -> np.ndarray:
        """Return draws of z."""
        return rng.laplace(size=size)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the estimate."""
        location = _median(statistics)
        return {"loc": location, "scale": _mean_distance(statistics, location)}

    def restricted_near(
        self, statistics: Rows, null: Params, near: Params
    ) -> dict[str, np.ndarray]:
        """Return median and mean distance, or what `null` fixes."""
        location, scale = (np.asarray(null[name], dtype=np.float64) for name in ("loc", "scale"))
        free, shape = np.isnan(location), statistics.X.shape[1:]
        if free.any():
            location = np.where(free, _median(statistics), location)
        if np.isnan(scale).any():
            scale = np.where(np.isnan(scale), _mean_distance(statistics, location), scale)
        return {"loc": np.broadcast_to(location, shape), "scale": np.broadcast_to(scale, shape)}

    def restricted_estimate(self, statistics: Rows, null: Params) -> dict[str, np.ndarray]:
        """Return median and mean distance, or what `null` fixes."""
        return self.restricted_near(statistics, null, {})

    def observed_information(self, statistics: Any, params: Params) -> np.ndarray:
        """Return the expected information: the likelihood has no useful Hessian."""
        return self.information(params)

    def expansion(
        self, statistics: Rows, params: Params
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean log-likelihood, mean score and expected information."""
        height = self.log_likelihood(statistics, params) / statistics.n
        return height, self.mean_score(statistics, params), self.information(params)

    def canonical_free(
        self, statistics: Rows, estimate: Params, params: Params, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Refuse: r* needs derivatives that a kinked likelihood lacks."""
        raise NotImplementedError("The laplace family has exact intervals in the place of r*.")

    def exact_interval(self, name: str, statistics: Rows, params: Params, level: float) -> Interval:
        """Return the conditional interval, which covers exactly."""
        limits = location_limits if name == "loc" else scale_limits
        return limits(statistics, level)


def _median(statistics: Rows) -> np.ndarray:
    X, weight = statistics.X, statistics.weight
    if (weight == weight[0]).all():
        return np.median(X, axis=0)
    order = np.argsort(X, axis=0)
    cumulative = np.cumsum(weight[order], axis=0)
    half = cumulative[-1] / 2
    columns = np.arange(X.shape[1])
    low = X[order[np.argmax(cumulative >= half, axis=0), columns], columns]
    high = X[order[np.argmax(cumulative > half, axis=0), columns], columns]
    return low + (high - low) / 2


def _mean_distance(statistics: Rows, location: np.ndarray) -> np.ndarray:
    return statistics.weight @ np.abs(statistics.X - location) / statistics.n
