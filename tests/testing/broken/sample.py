import numpy as np

from tests.testing.broken import breaks
from tests.testing.reference import ReferenceExponential, ReferenceGaussian


@breaks(
    "check_sample_shape",
    "check_pandas_in_pandas_out",
    "check_polars_in_polars_out",
    "check_integer_columns",
    "check_dtypes_of_pandas_come_back",
    "check_dtypes_of_polars_come_back",
    "check_dtypes_of_arrow_come_back",
)
class SampleIsTuple(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        return rows if given is not None else (rows, np.zeros(len(rows)))


@breaks("check_sample_dtype")
class AlwaysFloat64(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        rows = super().sample(n_samples, random_state, given=given)
        return rows.astype(np.float64) if isinstance(rows, np.ndarray) else rows


@breaks("check_sample_inside_support")
class SlightlyNegative(ReferenceExponential):
    def _draw(self, n_samples, rng):
        rows = super()._draw(n_samples, rng)
        rows[0, 0] = -0.001
        return rows


@breaks(
    "check_sample_seeded",
    "check_sample_accepts_generators",
    "check_workers_change_nothing",
    "check_pickle",
    "check_given_completions_differ",
    "check_impute_is_one_completion",
    "check_given_in_other_forms",
)
class SampleIgnoresSeed(ReferenceGaussian):
    def _draw(self, n_samples, rng):
        return super()._draw(n_samples, np.random.default_rng())


@breaks("check_sample_accepts_generators")
class NoGenerators(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        if isinstance(random_state, np.random.Generator):
            raise ValueError("random_state must be an int")
        return super().sample(n_samples, random_state, given=given)


@breaks("check_unseeded_samples_differ")
class AlwaysTheSameDraws(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        random_state = self.random_state if random_state is None else random_state
        return super().sample(n_samples, random_state, given=given)


@breaks("check_sample_rows_exchangeable")
class SortedRows(ReferenceGaussian):
    def _draw(self, n_samples, rng):
        rows = super()._draw(n_samples, rng)
        return rows[np.argsort(rows[:, 0] > self.mean_[0])]  # by component, say


@breaks("check_sample_leaves_estimator_unchanged")
class KeepsItsDraws(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        self.last_rows_ = super().sample(n_samples, random_state, given=given)
        return self.last_rows_


@breaks("check_sample_validates_n_samples", "check_given_in_other_forms")
class AnyNumberOfRows(ReferenceGaussian):
    def sample(self, n_samples=1, random_state=None, *, given=None):
        return super().sample(max(int(n_samples), 1), random_state, given=given)


@breaks("check_samples_follow_density")
class TooWideDraws(ReferenceGaussian):
    def _draw(self, n_samples, rng):
        return self.mean_ + 1.15 * (super()._draw(n_samples, rng) - self.mean_)

    def _draw_given(self, given, n_samples, rng):
        return ReferenceGaussian._draw_given(self._plain(), given, n_samples, rng)

    def _plain(self):
        plain = ReferenceGaussian()
        vars(plain).update(vars(self))
        return plain


@breaks("check_pickle")
class RoundedByPickle(ReferenceGaussian):
    def __getstate__(self):
        state = dict(super().__getstate__())
        if "mean_" in state:
            state["mean_"] = np.round(state["mean_"], 4)
        return state
