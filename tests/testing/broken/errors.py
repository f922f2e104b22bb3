import numpy as np

from tests.testing.broken import breaks
from tests.testing.reference import ReferenceExponential, ReferenceGaussian


@breaks("check_unfitted_raises")
class UnfittedAttributeError(ReferenceGaussian):
    def score_samples(self, X):
        if "mean_" not in vars(self):
            raise AttributeError("mean_")
        return super().score_samples(X)


@breaks("check_nan_raises")
class NanIsZero(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        if isinstance(X, np.ndarray):
            X = np.where(np.isnan(X), 0.0, X)
        return super().fit(X, y, sample_weight)


@breaks("check_infinity_raises", "check_errors_name_columns")
class InfinityIsImpossible(ReferenceGaussian):
    def score_samples(self, X):
        if not isinstance(X, np.ndarray):
            return super().score_samples(X)
        infinite = np.isinf(X).any(axis=1)
        values = super().score_samples(np.where(np.isinf(X), 0.0, X))
        return np.where(infinite, -np.inf, values)


@breaks("check_fit_outside_support_raises")
class FitsNegativeValues(ReferenceExponential):
    def _check(self, X):
        pass


@breaks("check_empty_table_raises")
class EmptyIsFine(ReferenceGaussian):
    def score_samples(self, X):
        return super().score_samples(X) if len(X) else np.empty(0)


@breaks("check_wrong_shape_raises")
class DropsSurplusColumns(ReferenceGaussian):
    def score_samples(self, X):
        if isinstance(X, np.ndarray) and X.ndim == 2 and hasattr(self, "mean_"):
            X = X[:, : len(self.mean_)]
        return super().score_samples(X)


@breaks("check_one_row")
class OneRowHasNoVariance(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        if self.count_ == 1:
            self.covariance_ = np.full_like(self.covariance_, np.nan)
        return self


@breaks("check_constant_column")
class ConstantColumnIsSingular(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        if self.count_ > 1 and (np.diag(self.scatter_) < 1e-20).any():
            raise np.linalg.LinAlgError("Singular matrix")
        return self


@breaks("check_duplicated_column")
class DuplicateIsSingular(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        if len(self.mean_) == 2 and self.count_ > 1 and self.scatter_[0, 0] == self.scatter_[0, 1]:
            raise np.linalg.LinAlgError("Singular matrix")
        return self
