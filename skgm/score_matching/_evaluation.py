"""What the losses share: a score function evaluated on a table, its derivatives, averages."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from skgm._sklearn import check_sample_weight

__all__ = [
    "LossEstimate",
    "along",
    "average",
    "count",
    "derivatives",
    "evaluate",
    "finite",
    "table",
]

# Central differences: the step that balances an error of step^2 against rounding / step.
STEP = np.finfo(np.float64).eps ** (1 / 3)


@dataclass(frozen=True)
class LossEstimate:
    """A score-matching loss, averaged over the rows of a table.

    Attributes
    ----------
    value : float
        The (weighted) mean; ``float(result)`` gives it as well.
    standard_error : float
        Of the mean, from the spread of the rows; NaN for a single row.
    per_row : ndarray of shape (n_samples,)
        The loss of each row, averaged over its own noise or projections.
    """

    value: float
    standard_error: float
    per_row: np.ndarray

    def __float__(self) -> float:
        return self.value


def table(X: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return X as float64 and its weights, or None."""
    X = check_array(X, dtype=np.float64, input_name="X")
    return X, None if sample_weight is None else check_sample_weight(sample_weight, X)


def count(value: Any, name: str) -> int:
    """Return a parameter that must be an integer >= 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1; got {value!r}.")
    return int(value)


def evaluate(score: Any, X: np.ndarray, name: str) -> np.ndarray:
    """Return the score function at the rows, of the shape of X; an estimator has one."""
    function = getattr(score, "score_function", score)
    if not callable(function):
        raise TypeError(
            f"{name} must be a callable, or a fitted estimator with score_function; got {score!r}."
        )
    return finite(function(X), X.shape, name)


def finite(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return values of a shape, all finite, or say what returned them."""
    values = np.asarray(values, dtype=np.float64)
    if values.shape != shape:
        raise ValueError(f"{name} must return an array of shape {shape}; got {values.shape}.")
    bad = ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"{name} returned {values[bad][0]} for row {np.argwhere(bad)[0][0]} of X.")
    return values


def derivatives(score: Any, X: np.ndarray, lower: Any = -np.inf, upper: Any = np.inf) -> np.ndarray:
    """Return d psi_j / d x_j, (n, d), by central differences that stay within the bounds."""
    room = 1e-4 * np.minimum(X - lower, upper - X)  # psi may have a pole at the boundary
    step = np.minimum(STEP * np.maximum(np.abs(X), 1.0), room)
    result = np.empty_like(X)
    for j in range(X.shape[1]):
        shift = np.zeros_like(X)
        shift[:, j] = step[:, j]
        forward, back = X + shift, X - shift
        rise = evaluate(score, forward, "score")[:, j] - evaluate(score, back, "score")[:, j]
        result[:, j] = rise / (forward[:, j] - back[:, j])
    return result


def along(score: Any, X: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Return the Jacobian of the score times a direction, (n, d), by central differences."""
    step = STEP * np.maximum(np.abs(X).max(axis=1, keepdims=True), 1.0)
    rise = evaluate(score, X + step * direction, "score")
    return (rise - evaluate(score, X - step * direction, "score")) / (2 * step)


def average(values: np.ndarray, weight: np.ndarray | None) -> LossEstimate:
    """Average; an integer weight counts as that many rows, in the standard error too."""
    weight = np.ones(len(values)) if weight is None else weight
    total = weight.sum()
    mean = float(weight @ values / total)
    spread = weight @ (values - mean) ** 2
    error = float(np.sqrt(spread / (total - 1) / total)) if total > 1 else float("nan")
    return LossEstimate(mean, error, values)
