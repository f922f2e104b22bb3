"""The smallest honest density, for tests of what the base class adds to it."""

import numpy as np
from scipy import stats

from skgm._random import RANDOM_STATE
from skgm._sklearn import fit_task
from skgm.base import DensityEstimator, DensityTags, transactional


class ToyNormal(DensityEstimator):
    """Independent normal columns; raises what `trouble` holds after it has begun to set state."""

    _parameter_constraints = {"trouble": "no_validation", "random_state": RANDOM_STATE}

    def __init__(self, trouble=None, random_state=None):
        self.trouble = trouble
        self.random_state = random_state

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            X, weight = self._begin_fit(X, sample_weight)
            self.mean_ = np.average(X, axis=0, weights=weight)
            if self.trouble is not None:
                raise self.trouble
            self.scale_ = np.sqrt(np.average((X - self.mean_) ** 2, axis=0, weights=weight))
        return self

    def score_samples(self, X):
        X = self._begin_scoring(X).astype(np.float64)
        return stats.norm.logpdf(X, self.mean_, self.scale_).sum(axis=1)

    def _draw(self, n_samples, rng):
        return rng.normal(self.mean_, self.scale_, size=(n_samples, self.n_features_in_))


class ToyConditional(ToyNormal):
    """The same, with conditional draws (independent columns: given values change nothing)."""

    def _draw_given(self, given, n_samples, rng):
        return self._draw(len(given) * n_samples, rng)


class ToyCounts(DensityEstimator):
    """Independent Poisson columns: a discrete support, so integer columns come back as such."""

    def __density_tags__(self):
        return DensityTags(support="counts", independent_columns=True)

    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        self.rate_ = np.average(X, axis=0, weights=weight)
        return self

    def score_samples(self, X):
        return stats.poisson.logpmf(self._begin_scoring(X), self.rate_).sum(axis=1)

    def _draw(self, n_samples, rng):
        return rng.poisson(self.rate_, size=(n_samples, self.n_features_in_))
