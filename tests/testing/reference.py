"""Small densities that keep the whole contract; the broken ones are made from them."""

import numpy as np
from scipy import special

from skgm.base import DensityEstimator, DensityTags, transactional
from skgm.tables._validation import check_support, column_names, inside_support


class ReferenceGaussian(DensityEstimator):
    """A multivariate normal, by maximum likelihood."""

    def __init__(self, random_state=None):
        self.random_state = random_state  # without effect: the fit is not random

    def __density_tags__(self):
        return DensityTags(equivariance="affine")

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        return self._set(*self._moments(X, weight))

    @transactional
    def partial_fit(self, X, y=None, sample_weight=None):
        before = (self.count_, self.mean_, self.scatter_) if hasattr(self, "mean_") else None
        X, weight = self._begin_fit(X, sample_weight)
        moments = self._moments(X, weight)
        return self._set(*(moments if before is None else self._merge(before, moments)))

    def _moments(self, X, weight):
        weight = np.ones(len(X)) if weight is None else weight
        mean = np.average(X, axis=0, weights=weight)
        centered = X.astype(np.float64) - mean
        return weight.sum(), mean, (centered * weight[:, None]).T @ centered

    def _merge(self, one, other):
        count = one[0] + other[0]
        shift = other[1] - one[1]
        scatter = one[2] + other[2] + np.outer(shift, shift) * one[0] * other[0] / count
        return count, one[1] + shift * other[0] / count, scatter

    def _set(self, count, mean, scatter):
        self.count_, self.mean_, self.scatter_ = count, mean, scatter
        self.covariance_ = self._regularized(scatter / count)
        return self

    def _regularized(self, covariance):
        values = np.linalg.eigvalsh(covariance)
        too_small = values[0] <= 1e-10 * values[-1]
        ridge = 1e-8 * (values[-1] or 1.0) if too_small else 0.0
        return covariance + ridge * np.eye(len(covariance))

    def score_samples(self, X):
        X = self._begin_scoring(X).astype(np.float64)
        factor = np.linalg.cholesky(np.linalg.inv(self.covariance_))
        whitened = (X - self.mean_) @ factor
        log_norm = np.log(np.diag(factor)).sum() - X.shape[1] * np.log(2 * np.pi) / 2
        return log_norm - (whitened**2).sum(axis=1) / 2

    def score_function(self, X):
        X = self._begin_scoring(X)
        return -(X - self.mean_) @ np.linalg.inv(self.covariance_)

    def _draw(self, n_samples, rng):
        normal = rng.standard_normal((n_samples, len(self.mean_)))
        return self.mean_ + normal @ np.linalg.cholesky(self.covariance_).T

    def _draw_given(self, given, n_samples, rng):
        rows = np.repeat(given, n_samples, axis=0)
        drawn = self._draw(len(rows), rng)
        for seen in np.unique(~np.isnan(rows), axis=0):
            same = (np.isnan(rows) != seen).all(axis=1)
            gain = self.covariance_[:, seen] @ np.linalg.inv(self.covariance_[seen][:, seen])
            drawn[same] += (rows[same][:, seen] - drawn[same][:, seen]) @ gain.T
        return drawn  # joint draws, moved onto the observed values


class ReferenceExponential(DensityEstimator):
    """Independent exponential columns, by maximum likelihood."""

    def __density_tags__(self):
        return DensityTags("non-negative", independent_columns=True, equivariance="scale")

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        self._check(X)
        self.scale_ = np.average(X, axis=0, weights=weight)
        return self

    def _check(self, X):
        check_support(X, "non-negative", column_names(self, X.shape[1]), model="Reference")

    def score_samples(self, X):
        X = self._begin_scoring(X).astype(np.float64)
        return np.where(X >= 0, -X / self.scale_ - np.log(self.scale_), -np.inf).sum(axis=1)

    def _draw(self, n_samples, rng):
        return rng.exponential(self.scale_, (n_samples, len(self.scale_)))


class ReferenceMapped(DensityEstimator):
    """A multivariate normal for the logs, or the logits, of the columns."""

    def __init__(self, support="positive"):
        self.support = support

    def __density_tags__(self):
        equivariance = "scale" if self.support == "positive" else "none"
        return DensityTags(self.support, equivariance=equivariance)

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        check_support(X, self.support, column_names(self, X.shape[1]), model="Reference")
        self.normal_ = ReferenceGaussian().fit(self._forward(X), sample_weight=weight)
        return self

    def _forward(self, X):
        X = X.astype(np.float64)
        return np.log(X) if self.support == "positive" else special.logit(X)

    def score_samples(self, X):
        X = self._begin_scoring(X).astype(np.float64)
        inside = inside_support(X, self.support)
        X = np.where(inside, X, 0.5)
        log_slope = -np.log(X) if self.support == "positive" else -np.log(X) - np.log1p(-X)
        log_density = self.normal_.score_samples(self._forward(X)) + log_slope.sum(axis=1)
        return np.where(inside.all(axis=1), log_density, -np.inf)

    def score_function(self, X):
        X = self._begin_scoring(X).astype(np.float64)
        inner = self.normal_.score_function(self._forward(X))
        if self.support == "positive":
            return (inner - 1) / X
        return (inner - 1 + 2 * X) / (X * (1 - X))

    def _draw(self, n_samples, rng):
        normal = self.normal_._draw(n_samples, rng)
        return np.exp(normal) if self.support == "positive" else special.expit(normal)


class ReferenceStates(DensityEstimator):
    """Frequencies of the states of binary columns, each counted once more than it was seen."""

    def __density_tags__(self):
        return DensityTags("binary")

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        check_support(X, "binary", column_names(self, X.shape[1]), model="Reference")
        counts = 1.0 + np.bincount(self._state(X), weights=weight, minlength=2 ** X.shape[1])
        self.frequency_ = counts / counts.sum()
        return self

    def _state(self, X):
        return (X @ 2 ** np.arange(X.shape[1])).astype(int)

    def score_samples(self, X):
        X = self._begin_scoring(X)
        inside = inside_support(X, "binary")
        log_mass = np.log(self.frequency_)[self._state(np.where(inside, X, 0))]
        return np.where(inside.all(axis=1), log_mass, -np.inf)

    def _draw(self, n_samples, rng):
        state = rng.choice(len(self.frequency_), n_samples, p=self.frequency_)
        return (state[:, None] >> np.arange(self.n_features_in_) & 1).astype(np.float64)
