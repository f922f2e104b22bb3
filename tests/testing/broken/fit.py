import copy

import numpy as np

from skgm._parallel import n_workers
from skgm.base import DensityTags, transactional
from tests.testing.broken import breaks
from tests.testing.reference import ReferenceGaussian


@breaks("check_fit_returns_self")
class FitReturnsNone(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)


@breaks("check_fit_learns_from_data", "check_equivariance", "check_weights_move_the_fit")
class LearnsNothing(ReferenceGaussian):
    def _set(self, count, mean, scatter):
        n_columns = len(mean)
        return super()._set(1.0, np.ones(n_columns), 4 * (0.2 * np.eye(n_columns) + 0.8))


@breaks("check_fit_is_idempotent")
class WarmStart(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        before = vars(self).get("mean_")
        super().fit(X, y, sample_weight)
        if before is not None and len(before) == len(self.mean_):
            self.mean_ = self.mean_ + 0.01
        return self


@breaks("check_workers_change_nothing")
class SumsByWorkers(ReferenceGaussian):
    def _set(self, count, mean, scatter):
        return super()._set(count, mean * (1 + 1e-12 * n_workers(None)), scatter)


@breaks("check_fit_resets_state")
class KeepsFirstScale(ReferenceGaussian):
    def __density_tags__(self):
        return DensityTags()

    @transactional
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        scale = vars(self).setdefault("first_scale_", np.trace(self.covariance_))
        self.covariance_ = self.covariance_ + 0.01 * scale * np.eye(len(self.mean_))
        return self


@breaks("check_y_is_ignored")
class UsesY(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X, None, sample_weight if y is None else 1.0 + y)


@breaks("check_X_is_not_modified")
class RoundsInPlace(ReferenceGaussian):
    def score_samples(self, X):
        if isinstance(X, np.ndarray) and X.flags.writeable:
            np.round(X, 10, out=X)
        return super().score_samples(X)


@breaks("check_clone")
class CloneIsFitted(ReferenceGaussian):
    def __sklearn_clone__(self):
        return copy.deepcopy(self)


@breaks("check_get_and_set_params")
class OverwritesParameter(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.random_state = None
        return self


@breaks("check_random_state_in_constructor")
class ConstructorTakesNoGenerator(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        if isinstance(self.random_state, np.random.Generator):
            raise ValueError("random_state must be an int")
        return super().fit(X, y, sample_weight)


@breaks("check_partial_fit_split_invariance")
class MeanOfMeans(ReferenceGaussian):
    def _merge(self, one, other):
        count, _, scatter = super()._merge(one, other)
        return count, (one[1] + other[1]) / 2, scatter


@breaks("check_failed_refit_leaves_estimator_usable")
class ForgetsBeforeItFits(ReferenceGaussian):
    def fit(self, X, y=None, sample_weight=None):
        vars(self).pop("mean_", None)
        return super().fit(X, y, sample_weight)


@breaks("check_grid_search", "check_score_is_mean_of_score_samples", "check_score_uses_weights")
class ScoreIsSum(ReferenceGaussian):
    def score(self, X, y=None, sample_weight=None):
        return super().score(X, y, sample_weight) * len(X)
