import numpy as np

from skgm.base import DensityTags
from tests.testing.broken import breaks
from tests.testing.reference import ReferenceGaussian


@breaks("check_tags_are_valid")
class MisspeltTag(ReferenceGaussian):
    def __density_tags__(self):
        return DensityTags(equivariance="location scale")


@breaks("check_log_density_kind")
class UnknownKind(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.log_density_kind_ = "approximate"
        return self


@breaks("check_density_integrates_to_one")
class NotNormalized(ReferenceGaussian):
    def score_samples(self, X):
        return super().score_samples(X) + 0.02


@breaks("check_score_function_shape")
class ScoreFunctionIsList(ReferenceGaussian):
    def score_function(self, X):
        return super().score_function(X).tolist()


@breaks("check_score_function_is_gradient")
class ScoreFunctionOfEnergy(ReferenceGaussian):
    def score_function(self, X):
        return -super().score_function(X)


@breaks("check_equivariance")
class AbsoluteRidge(ReferenceGaussian):
    def _regularized(self, covariance):
        return covariance + 0.01 * np.eye(len(covariance))


@breaks("check_beats_independent_margins")
class ForgetsCorrelation(ReferenceGaussian):
    def __density_tags__(self):
        return DensityTags(equivariance="location-scale")

    def _regularized(self, covariance):
        return super()._regularized(np.diag(np.diag(covariance)))
