import numpy as np

from tests.testing.broken import breaks
from tests.testing.reference import ReferenceGaussian


@breaks("check_weights_are_repetitions")
class RootOfWeights(ReferenceGaussian):
    def _moments(self, X, weight):
        return super()._moments(X, None if weight is None else np.sqrt(weight))


@breaks("check_weights_move_the_fit", "check_weights_are_repetitions")
class InverseWeights(ReferenceGaussian):
    def _moments(self, X, weight):
        inverse = None if weight is None else np.divide(1, weight, weight * 0, where=weight > 0)
        return super()._moments(X, inverse)


@breaks("check_unit_weights_change_nothing")
class EqualWeightsWiden(ReferenceGaussian):
    def _moments(self, X, weight):
        count, mean, scatter = super()._moments(X, weight)
        equal = weight is not None and np.ptp(weight) == 0
        return count, mean, scatter * (1 + 1 / len(X)) if equal else scatter


@breaks("check_zero_weight_rows_are_absent")
class ZeroWeightIsSmallWeight(ReferenceGaussian):
    def _moments(self, X, weight):
        return super()._moments(X, None if weight is None else np.maximum(weight, 1e-3))


@breaks("check_bad_weights_raise")
class AnyWeights(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        if sample_weight is not None and len(sample_weight) == len(X):
            sample_weight = np.abs(np.nan_to_num(sample_weight))
        return super().fit(X, y, sample_weight)
