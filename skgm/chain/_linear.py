"""A logistic regression of the categories of a column, beside the trees of its factor.

Trees of a few hundred rows are coarse: they leave every category a few per cent everywhere. A
logistic regression is smooth and sure far from the boundary. Rows held out say how much of each to
take.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skgm.chain._splits import Splits

__all__ = ["LinearModel"]

_FAR = 4.0  # standard deviations, beyond which a value counts no more
_ABSENT = -20.0  # logit of a category without rows
_LEAST = 1e-300  # probability whose logarithm is taken


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Probabilities of cells from features, (n, p), NaN for holes.

    Attributes
    ----------
    center, scale : ndarrays of shape (p,)
        Of the features; holes count as the center.
    coef, intercept : ndarrays of shape (p, n_cells) and (n_cells,)
        Of the logits.
    """

    center: np.ndarray
    scale: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray

    @classmethod
    def fit(
        cls, features: np.ndarray, cells: np.ndarray, n_cells: int, weight: np.ndarray
    ) -> "LinearModel | None":
        """Fit it to cells, (n,); None where they are all the same, or hardly repeat."""
        used = np.unique(cells)
        if len(used) < 2 or 2 * len(used) > len(cells):
            return None
        seen = ~np.isnan(features)
        mass = np.maximum(weight @ seen, _LEAST)
        center = weight @ np.where(seen, features, 0.0) / mass
        moved = np.where(seen, features - center, 0.0)
        scale = np.sqrt(weight @ moved**2 / mass)
        scale[scale == 0] = 1.0
        empty = cls(center, scale, np.zeros((features.shape[1], n_cells)), np.zeros(n_cells))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out rows judge it as it is
            model = LogisticRegression(max_iter=200).fit(empty._scaled(features), cells, weight)
        coef, intercept = empty.coef, np.full(n_cells, _ABSENT)
        two = len(used) == 2
        coef[:, used[1:] if two else used] = model.coef_.T
        intercept[used] = [0.0, model.intercept_[0]] if two else model.intercept_
        return cls(center, scale, coef, intercept)

    def _scaled(self, features: np.ndarray) -> np.ndarray:
        scaled = np.nan_to_num((features - self.center) / self.scale)
        return np.asarray(np.clip(scaled, -_FAR, _FAR))

    def log_odds(self, features: np.ndarray, splits: Splits) -> np.ndarray:
        """Return the log-odds of going right at every split, (n, n_splits)."""
        share = softmax(self._scaled(features) @ self.coef + self.intercept, axis=1)
        # sums of few cells, not differences of cumulative ones, which lose small probabilities
        cell = np.arange(len(self.intercept))[:, None]
        left = share @ ((cell >= splits.low) & (cell < splits.middle))
        right = share @ ((cell >= splits.middle) & (cell < splits.high))
        return np.log(np.maximum(right, _LEAST)) - np.log(np.maximum(left, _LEAST))
