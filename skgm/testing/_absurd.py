"""An estimator that satisfies scikit-learn's checks and is no density: the suite's yardstick."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skgm._sklearn import check_sample_weight

__all__ = ["AbsurdDensity"]


class AbsurdDensity(DensityMixin, BaseEstimator):
    """A "density" whose every value is absurd, with impeccable manners.

    `score_samples` is a million times the row sum, `score` is a random number, `sample` returns a
    text, and weights are looked at and thrown away. It is here to show what each suite sees.

    Examples
    --------
    >>> from skgm.testing._absurd import AbsurdDensity
    >>> AbsurdDensity().fit([[1.0], [2.0]]).sample()
    'not an array'
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "AbsurdDensity":
        """Validate, and learn nothing."""
        X = validate_data(self, X, dtype=[np.float64, np.float32])
        if sample_weight is not None:
            check_sample_weight(sample_weight, X)
        self.offset_ = np.random.default_rng().normal()
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return a million times the sum of each row."""
        check_is_fitted(self)
        return 1e6 * validate_data(self, X, reset=False).sum(axis=1)

    def score(self, X: Any, y: Any = None) -> float:
        """Return a random number, seeded by the number of rows."""
        check_is_fitted(self)
        return float(np.random.default_rng(len(validate_data(self, X, reset=False))).normal())

    def sample(self, n_samples: int = 1) -> str:
        """Return something that is no table."""
        check_is_fitted(self)
        return "not an array"
