"""Fit regressions of one column on the earlier ones, beside the trees of its factor.

Trees of a few hundred rows are coarse: they leave every cell a few per cent everywhere. A logistic
regression of categories, and a normal regression of numbers, are smooth and sure far from the
boundary. Rows held out say how much of each to take.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skgm.chain._splits import Splits

__all__ = ["LinearModel", "NormalModel"]

_FAR = 4.0  # standard deviations, beyond which a value counts no more
_ABSENT = -20.0  # logit of a category without rows
_LEAST = 1e-300  # probability whose logarithm is taken
_STEPS, _MOVED = 30, 1e-4  # Fisher's steps at most, and the step that is small enough
_RIDGE_OF_SCALE = 4.0  # rows that a log-scale without slopes counts for; one for the mean
_LOG_SD = (-3.0, 3.0)  # of a conditional distribution, over that of the column
_MARGIN = 1e-4  # share of the margin, so that no cell is impossible


@dataclass(frozen=True, eq=False)
class Features:
    """How features, (n, p), NaN for holes, are brought to one scale; holes are the center."""

    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, weight: np.ndarray) -> "Features":
        """Take weighted means and standard deviations of what is seen."""
        seen = ~np.isnan(features)
        mass = np.maximum(weight @ seen, _LEAST)
        center = weight @ np.where(seen, features, 0.0) / mass
        moved = np.where(seen, features - center, 0.0)
        scale = np.sqrt(weight @ moved**2 / mass)
        scale[scale == 0] = 1.0
        return cls(center, scale)

    def scaled(self, features: np.ndarray) -> np.ndarray:
        """Return scaled features, without holes, (n, p)."""
        scaled = np.nan_to_num((features - self.center) / self.scale)
        return np.asarray(np.clip(scaled, -_FAR, _FAR))


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Probabilities of cells from features by logistic regression.

    Attributes
    ----------
    features : Features
        Their scale.
    coef, intercept : ndarrays of shape (p, n_cells) and (n_cells,)
        Of the logits.
    """

    features: Features
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
        scale = Features.of(features, weight)
        coef, intercept = np.zeros((features.shape[1], n_cells)), np.full(n_cells, _ABSENT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # held-out rows judge it as it is
            model = LogisticRegression(max_iter=200).fit(scale.scaled(features), cells, weight)
        two = len(used) == 2
        coef[:, used[1:] if two else used] = model.coef_.T
        intercept[used] = [0.0, model.intercept_[0]] if two else model.intercept_
        return cls(scale, coef, intercept)

    def log_odds(self, features: np.ndarray, splits: Splits) -> np.ndarray:
        """Return the log-odds of going right at every split, (n, n_splits)."""
        logits = self.features.scaled(features) @ self.coef + self.intercept
        return _log_odds(softmax(logits, axis=1), splits)


@dataclass(frozen=True, eq=False)
class NormalModel:
    """Probabilities of the cells of a number, by a regression of its mean and its log-scale.

    With N_i(c) the probability that the normal distribution of row i gives cell c, the model is
    m(c) N_i(c) / mean_i N_i(c), up to a factor for each row: a normal distribution says how cells
    depend on the features, and the margin m how values are spread, with its gaps and lumps.

    Attributes
    ----------
    features : Features
        Their scale.
    edges : ndarray of shape (n_cells - 1,)
        Ends of cells, where the column has mean zero and variance one.
    mean, log_scale : ndarrays of shape (1 + p,)
        Intercept and slopes.
    mass, tilt : ndarrays of shape (n_cells,)
        m, and m over the mean of N_i.
    """

    features: Features
    edges: np.ndarray
    mean: np.ndarray
    log_scale: np.ndarray
    mass: np.ndarray
    tilt: np.ndarray

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        x: np.ndarray,
        edges: np.ndarray,
        mass: np.ndarray,
        weight: np.ndarray,
    ) -> "NormalModel | None":
        """Fit it to values, (n,), cut at edges into cells of a mass; None where all are the same.

        Fisher's scoring: the mean by weighted least squares, then one step of the log-scale g,
        whose log-likelihood -g - r/2 has the slope r - 1 and the expected information 2.
        """
        middle = np.average(x, weights=weight)
        spread = np.sqrt(np.average((x - middle) ** 2, weights=weight))
        if not spread > 0:
            return None
        y, scale = (x - middle) / spread, Features.of(features, weight)
        design = _design(scale.scaled(features))
        ridge = np.diag(np.append(1e-6, np.ones(features.shape[1])))
        mean, slopes = np.zeros((2, design.shape[1]))
        for _ in range(_STEPS):
            precision = np.exp(-2 * np.clip(design @ slopes, *_LOG_SD))
            w = weight * precision
            mean = np.linalg.solve((design.T * w) @ design + w.mean() * ridge, design.T @ (w * y))
            surprise = weight * ((y - design @ mean) ** 2 * precision - 1)
            penalty = _RIDGE_OF_SCALE * ridge
            information = 2 * (design.T * weight) @ design + penalty
            step = np.linalg.solve(information, design.T @ surprise - penalty @ slopes)
            slopes = slopes + np.clip(step, -0.5, 0.5)
            if np.abs(step).max() < _MOVED:
                break
        plain = cls(scale, (edges - middle) / spread, mean, slopes, mass, np.ones(len(mass)))
        base = weight @ plain._normal_shares(features) / weight.sum()
        return replace(plain, tilt=mass / (base + _MARGIN * mass))

    def _normal_shares(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each cell under the normal distributions, (n, n_cells)."""
        design = _design(self.features.scaled(features))
        sd = np.exp(np.clip(design @ self.log_scale, *_LOG_SD))
        ends = np.concatenate([[-np.inf], self.edges, [np.inf]])
        z = (ends - (design @ self.mean)[:, None]) / sd[:, None]
        low, high = z[:, :-1], z[:, 1:]
        flip = low > 0  # the upper tail by symmetry, where it keeps its digits
        return np.asarray(ndtr(np.where(flip, -low, high)) - ndtr(np.where(flip, -high, low)))

    def log_odds(self, features: np.ndarray, splits: Splits) -> np.ndarray:
        """Return the log-odds of going right at every split, (n, n_splits)."""
        share = self._normal_shares(features) * self.tilt
        share /= np.maximum(share.sum(axis=1, keepdims=True), _LEAST)
        return _log_odds((1 - _MARGIN) * share + _MARGIN * self.mass, splits)


def _design(scaled: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(scaled)), scaled])


def _log_odds(share: np.ndarray, splits: Splits) -> np.ndarray:
    """Return the log-odds of going right at every split, (n, n_splits), of shares of cells."""
    # sums of few cells, not differences of cumulative ones, which lose small probabilities
    cell = np.arange(share.shape[1])[:, None]
    left = share @ ((cell >= splits.low) & (cell < splits.middle))
    right = share @ ((cell >= splits.middle) & (cell < splits.high))
    return np.asarray(np.log(np.maximum(right, _LEAST)) - np.log(np.maximum(left, _LEAST)))
