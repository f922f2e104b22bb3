import numpy as np

from tests.testing.broken import breaks
from tests.testing.reference import ReferenceGaussian


@breaks("check_given_keeps_observed_values")
class RoundsGiven(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        if isinstance(given, np.ndarray):
            given = np.round(given, 6)
        return super().sample(n_samples, random_state, given=given)


@breaks(
    "check_given_is_not_modified",
    "check_given_keeps_observed_values",
    "check_given_completions_differ",
    "check_impute_is_one_completion",
)
class FillsInPlace(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        if isinstance(given, np.ndarray):
            given[np.isnan(given)] = 0.0
        return rows


@breaks("check_given_completions_differ", "check_given_follows_conditional_density")
class FillsInTheMean(ReferenceGaussian):
    def _draw_given(self, given, n_samples, rng):
        return np.tile(self.mean_, (len(given) * n_samples, 1))


@breaks("check_given_follows_conditional_density")
class IgnoresObservedValues(ReferenceGaussian):
    def _draw_given(self, given, n_samples, rng):
        return self._draw(len(given) * n_samples, rng)


@breaks("check_impute_is_one_completion")
class ImputesUnseeded(ReferenceGaussian):
    def impute(self, X, random_state=None):
        return self.sample(1, given=X)


@breaks("check_bad_given_raises")
class InfiniteGiven(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        if isinstance(given, np.ndarray):
            given = np.where(np.isinf(given), 1e6, given)
        return super().sample(n_samples, random_state, given=given)
