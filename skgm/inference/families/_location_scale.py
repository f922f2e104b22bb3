"""Location-scale families, and those whose logarithm is one: a kernel says everything."""

from abc import abstractmethod
from typing import Any

import numpy as np

from skgm.inference.families._base import Params
from skgm.inference.families._rows import Rows
from skgm.inference.families._smooth import SmoothFamily

__all__ = ["LocationScaleFamily"]


class LocationScaleFamily(SmoothFamily):
    r"""Columnwise family whose density is that of (t(x) - location) / scale, t being x or log x.

    .. math:: \log p(x) = g(z) - \log s + \log|t'(x)|, \quad z = \{t(x) - m\} / s

    A subclass writes `kernel` (g and its first two derivatives), `unit_information` (of location
    and scale, at scale one), `unit_cdf` and `unit_draws`. One whose parameters are not location
    and scale themselves also overrides `location_scale` and its derivatives. Shape parameters
    beyond these two make it another family.
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

    def location_scale_slopes(self, params: Params) -> tuple[np.ndarray, np.ndarray] | None:
        """Return d(location, scale)/d theta (d, 2, k) and second derivatives (d, 2, k, k).

        None where the parameters are location and scale.
        """
        return None

    def summarize(self, X: np.ndarray, weight: np.ndarray | None) -> Rows:
        """Keep the rows."""
        return Rows.from_chunk(X, weight)

    def start(self, statistics: Rows) -> dict[str, np.ndarray]:
        """Return the median and the mean distance from it, as location and scale.

        A scale too large is a safe start; one too small leaves rows far out, where exponential
        tails rise steeply.
        """
        t = self._t(statistics.X)
        (middle,) = weighted_quantiles(t, statistics.weight, (0.5,))
        return self.from_location_scale(middle, statistics.mean(np.abs(t - middle)))

    def from_location_scale(self, location: np.ndarray, scale: np.ndarray) -> dict[str, np.ndarray]:
        """Return parameters from location and scale of t(x)."""
        return {"loc": location, "scale": scale}

    def check_statistics(self, statistics: Rows, names: list[str]) -> None:
        """Raise for columns where half of the weight or more lies on one value."""
        X = statistics.X
        constant = [names[j] for j in np.flatnonzero(X.min(axis=0) == X.max(axis=0))]
        if constant:
            raise ValueError(
                f"The {self.name} family has no estimate for constant columns "
                f"({', '.join(constant)}; n_samples = {statistics.n:g}): the likelihood grows "
                "without bound as the scale shrinks. Drop them or collect more rows."
            )

    def log_likelihood(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the total log-likelihood per column, (d,)."""
        return statistics.n * statistics.mean(self.log_density(statistics.X, params))

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

    def mean_score(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return the mean over rows of the score, (d, k)."""
        z, s = self._standardise(statistics.X, params)
        _, g1, _ = self.kernel(z, params)
        slope = np.stack([-statistics.mean(g1), -1 - statistics.mean(z * g1)], axis=-1)
        return self._to_theta(slope / s[:, None], params)

    def observed_information(self, statistics: Rows, params: Params) -> np.ndarray:
        """Return minus the mean Hessian, (d, k, k)."""
        z, s = self._standardise(statistics.X, params)
        _, g1, g2 = self.kernel(z, params)
        mean = statistics.mean
        m1, z1, m2, z2, zz2 = mean(g1), mean(z * g1), mean(g2), mean(z * g2), mean(z * z * g2)
        hessian = np.array([[m2, m1 + z2], [m1 + z2, 1 + 2 * z1 + zz2]]) / s**2
        hessian = np.moveaxis(hessian, -1, 0)
        slopes = self.location_scale_slopes(params)
        if slopes is None:
            return -hessian
        first, second = slopes
        score = np.stack([-m1, -1 - z1], axis=-1) / s[:, None]
        turned = np.einsum("dai,dab,dbj->dij", first, hessian, first)
        return -turned - np.einsum("da,daij->dij", score, second)

    def information(self, params: Params) -> np.ndarray:
        """Return the expected information per observation, (d, k, k)."""
        _, s = self.location_scale(params)
        unit = self.unit_information(params) / (s**2)[:, None, None]
        slopes = self.location_scale_slopes(params)
        if slopes is None:
            return unit
        return np.einsum("dai,dab,dbj->dij", slopes[0], unit, slopes[0])

    def canonical(
        self, statistics: Rows, estimate: Params, params: Params
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the tangent exponential parameter: means of g'(z) / s times (1, z at estimate)."""
        z, s = self._standardise(statistics.X, params)
        _, g1, g2 = self.kernel(z, params)
        pull = self._standardise(statistics.X, estimate)[0]
        mean, unit = statistics.mean, 1 / s
        phi = np.stack([mean(g1) * unit, mean(pull * g1) * unit], axis=-1)
        turn = g1 + z * g2
        jacobian = -np.array(
            [[mean(g2), mean(turn)], [mean(pull * g2), mean(pull * turn)]]
        ) * unit**2
        jacobian = np.moveaxis(jacobian, -1, 0)
        slopes = self.location_scale_slopes(params)
        return phi, jacobian if slopes is None else jacobian @ slopes[0]

    def score_function(self, X: np.ndarray, params: Params) -> np.ndarray:
        """Return the gradient of the log-density with respect to x, (n, d)."""
        z, s = self._standardise(X, params)
        _, g1, _ = self.kernel(z, params)
        if not self.logarithmic:
            return g1 / s
        inside = X > 0
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


def weighted_quantiles(
    X: np.ndarray, weight: np.ndarray, levels: tuple[float, ...]
) -> list[np.ndarray]:
    """Return quantiles of the columns of X, (d,) each; a weight w counts as w repetitions."""
    order = np.argsort(X, axis=0)
    cumulative = np.cumsum(weight[order], axis=0)
    ranks = [np.argmax(cumulative >= level * cumulative[-1], axis=0) for level in levels]
    columns = np.arange(X.shape[1])
    return [X[order[rank, columns], columns] for rank in ranks]
