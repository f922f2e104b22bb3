import numpy as np

from tests.testing.broken import breaks
from tests.testing.reference import ReferenceExponential, ReferenceGaussian


@breaks("check_score_is_mean_of_score_samples")
class ScoreOfFirstRows(ReferenceGaussian):
    def score(self, X, y=None, sample_weight=None):
        if sample_weight is None:
            return super().score(X[:50], y)
        return super().score(X, y, sample_weight)


@breaks("check_score_is_float")
class ScoreIsArray(ReferenceGaussian):
    def score(self, X, y=None, sample_weight=None):
        return np.asarray(super().score(X, y, sample_weight))


@breaks("check_score_uses_weights")
class ScoreIgnoresWeights(ReferenceGaussian):
    def score(self, X, y=None, sample_weight=None):
        return super().score(X, y)


@breaks("check_score_samples_shape_and_dtype")
class ScoreSamplesInFloat32(ReferenceGaussian):
    def score_samples(self, X):
        return super().score_samples(X).astype(np.asarray(X).dtype)


@breaks(
    "check_score_samples_deterministic",
    "check_score_samples_batch_invariant",
    "check_score_samples_order_invariant",
    "check_score_function_is_gradient",
    "check_pickle",
    "check_fit_is_idempotent",
    "check_workers_change_nothing",
    "check_fit_resets_state",
    "check_y_is_ignored",
    "check_clone",
    "check_random_state_in_constructor",
    "check_failed_refit_leaves_estimator_usable",
    "check_unit_weights_change_nothing",
    "check_given_is_not_modified",
)
class FreshNoise(ReferenceGaussian):
    def score_samples(self, X):
        values = super().score_samples(X)
        return values + np.random.default_rng().uniform(-1e-6, 1e-6, len(values))


@breaks("check_score_samples_batch_invariant")
class DependsOnBatchSize(ReferenceGaussian):
    def score_samples(self, X):
        return super().score_samples(X) + 1e-7 * len(X)


@breaks(
    "check_score_samples_order_invariant",
    "check_density_integrates_to_one",
    "check_beats_independent_margins",
    "check_samples_follow_density",
    "check_given_follows_conditional_density",
)
class ChunksInWrongOrder(ReferenceGaussian):
    def score_samples(self, X):
        values = super().score_samples(X)
        return np.concatenate([values[100:], values[:100]])


@breaks(
    "check_score_samples_finite_inside_support",
    "check_beats_independent_margins",
    "check_weights_move_the_fit",
)
class ZeroBeyondTrainingRange(ReferenceGaussian):
    def score_samples(self, X):
        values = super().score_samples(X)
        spread = 3.2 * np.sqrt(np.diag(self.covariance_))
        beyond = (np.abs(np.asarray(X) - self.mean_) > spread).any(axis=1)
        return np.where(beyond, -np.inf, values)


@breaks("check_score_samples_never_nan")
class OverflowsFarAway(ReferenceGaussian):
    def score_samples(self, X):
        values = super().score_samples(X)
        return np.where(values < -1e150, np.nan, values)


@breaks("check_minus_infinity_outside_support")
class NegativeValuesAllowed(ReferenceExponential):
    def score_samples(self, X):
        X = self._begin_scoring(X)
        return (-X / self.scale_ - np.log(self.scale_)).sum(axis=1)


@breaks(
    "check_training_rows_beat_far_rows",
    "check_density_integrates_to_one",
    "check_beats_independent_margins",
    "check_samples_follow_density",
    "check_given_follows_conditional_density",
)
class LikelyFarAway(ReferenceGaussian):
    def score_samples(self, X):
        values = super().score_samples(X)
        return np.where((values < -1e3) & (values > -1e4), 0.0, values)
