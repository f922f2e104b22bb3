"""Densities for the tests of pipelines: known in closed form, written without skgm's formulas."""

import numpy as np
from scipy import stats

from skgm._sklearn import fit_task
from skgm.base import DensityEstimator, DensityTags, transactional


class FullNormal(DensityEstimator):
    """Multivariate normal by maximum likelihood; `ridge` only exists to be searched over."""

    _parameter_constraints = {"ridge": "no_validation"}

    def __init__(self, ridge=0.0):
        self.ridge = ridge

    def __density_tags__(self):
        return DensityTags(equivariance="affine" if self.ridge == 0 else "none")

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        with fit_task(self, X=X, y=y, sample_weight=sample_weight):
            X, weight = self._begin_fit(X, sample_weight, min_samples=2)
            X = X.astype(np.float64)
            self.location_ = np.average(X, axis=0, weights=weight)
            centered = X - self.location_
            total = len(X) if weight is None else weight.sum()
            weighted = centered if weight is None else centered * weight[:, None]
            tiny = 1e-9 * np.eye(X.shape[1])  # so that scikit-learn's checks of 15 rows run
            ridge = self.ridge * np.eye(X.shape[1])
            self.covariance_ = weighted.T @ centered / total + ridge
            if np.linalg.matrix_rank(self.covariance_) < X.shape[1]:
                self.covariance_ = self.covariance_ + tiny
        return self

    def score_samples(self, X):
        X = self._begin_scoring(X)
        centered = (X - self.location_).astype(np.float64)
        whitened = np.linalg.solve(np.linalg.cholesky(self.covariance_), centered.T)
        log_det = np.linalg.slogdet(self.covariance_)[1]
        return -0.5 * ((whitened**2).sum(axis=0) + log_det + X.shape[1] * np.log(2 * np.pi))

    def score_function(self, X):
        X = self._begin_scoring(X)
        return -np.linalg.solve(self.covariance_, (X - self.location_).T).T

    def _draw(self, n_samples, rng):
        return rng.multivariate_normal(self.location_, self.covariance_, size=n_samples)

    def _draw_given(self, given, n_samples, rng):
        rows = np.repeat(given, n_samples, axis=0)
        for row in rows:
            hole = np.isnan(row)
            if hole.any():
                row[hole] = rng.multivariate_normal(*self._conditional(row, hole))
        return rows

    def _conditional(self, row, hole):
        covariance, seen = self.covariance_, ~hole
        gain = covariance[np.ix_(hole, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
        mean = self.location_[hole] + gain @ (row[seen] - self.location_[seen])
        return mean, covariance[np.ix_(hole, hole)] - gain @ covariance[np.ix_(seen, hole)]


class Exponentials(DensityEstimator):
    """Independent exponential columns: a positive support."""

    def __density_tags__(self):
        return DensityTags(support="positive", independent_columns=True, equivariance="scale")

    def fit(self, X, y=None, sample_weight=None):
        X, weight = self._begin_fit(X, sample_weight)
        self.mean_ = np.average(X, axis=0, weights=weight)
        return self

    def score_samples(self, X):
        return stats.expon.logpdf(self._begin_scoring(X), scale=self.mean_).sum(axis=1)

    def _draw(self, n_samples, rng):
        return rng.exponential(self.mean_, size=(n_samples, self.n_features_in_))


class NoWeights(FullNormal):
    """A density whose fit takes no weights, and which has no Stein score."""

    score_function = property()

    def fit(self, X, y=None):
        return super().fit(X)
