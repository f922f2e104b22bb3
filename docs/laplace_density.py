"""Independent Laplace columns: a complete density estimator."""

import numpy as np

from skgm.base import DensityEstimator, DensityTags, transactional

__all__ = ["LaplaceDensity"]


def weighted_median(X, weight):
    """Return the median of each column of X, every row counted `weight` times."""
    order = np.argsort(X, axis=0)
    excess = np.cumsum(weight[order], axis=0) - weight.sum() / 2
    rows = np.take_along_axis(X, order, axis=0)
    reached, passed = (e.argmax(axis=0)[None] for e in (excess >= 0, excess > 0))
    middle = [np.take_along_axis(rows, index, axis=0)[0] for index in (reached, passed)]
    return (middle[0] + middle[1]) / 2


class LaplaceDensity(DensityEstimator):
    """Laplace columns by maximum likelihood: the median, and the mean deviation from it."""

    _parameter_constraints = {"min_scale": [float]}

    def __init__(self, min_scale=1e-12):
        self.min_scale = min_scale

    def __density_tags__(self):
        return DensityTags(independent_columns=True, equivariance="location-scale")

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        """Fit to X, (n_samples, n_features)."""
        X, weight = self._begin_fit(X, sample_weight)
        weight = np.ones(len(X)) if weight is None else weight
        self.location_ = weighted_median(X, weight)
        deviation = np.average(np.abs(X - self.location_), axis=0, weights=weight)
        self.scale_ = np.maximum(deviation, self.min_scale)
        return self

    def score_samples(self, X):
        """Return the log-density of each row."""
        X = self._begin_scoring(X).astype(np.float64)
        scaled = np.abs(X - self.location_) / self.scale_
        return -(scaled + np.log(2 * self.scale_)).sum(axis=1)

    def score_function(self, X):
        """Return the gradient of the log-density with respect to X."""
        X = self._begin_scoring(X)
        return -np.sign(X - self.location_) / self.scale_

    def _draw(self, n_samples, rng):
        return rng.laplace(self.location_, self.scale_, (n_samples, self.n_features_in_))
