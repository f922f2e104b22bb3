"""Estimates score-matching losses of a callable or a fitted estimator on a table."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

from skgm._random import as_generator
from skgm._sklearn import check_sample_weight
from skgm.score_matching._bounds import (
    WEIGHTS,
    boundary_weight,
    check_bounds,
    check_inside_bounds,
)

__all__ = [
    "LossEstimate",
    "along",
    "average",
    "count",
    "denoising_loss",
    "denoising_rows",
    "derivatives",
    "evaluate",
    "explicit_loss",
    "explicit_rows",
    "finite",
    "generalized_loss",
    "generalized_rows",
    "implicit_loss",
    "implicit_rows",
    "sliced_loss",
    "sliced_rows",
    "table",
]


# What the losses share: a score function evaluated on a table, its derivatives, averages.

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
    if callable(X) or hasattr(X, "score_function"):
        raise TypeError(
            "X must be a table of rows, and is a score function. Score functions come first: "
            "implicit_loss(score, X), explicit_loss(score, score_data, X)."
        )
    if np.ma.is_masked(X):
        raise ValueError("Input X contains masked entries. Drop such rows or impute them.")
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
            f"{name} must be a callable, or a fitted estimator with score_function; got "
            f"{type(score).__name__}. Score functions come first, the table X after them."
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


Function = Callable[[np.ndarray], np.ndarray]


def explicit_loss(
    score: Any, score_data: Any, X: Any, *, sample_weight: Any = None
) -> LossEstimate:
    r"""Return half the mean squared distance of two score functions.

    .. math::
        \tfrac12 \mathrm{E}\|\psi(x) - \nabla_x \log p_{data}(x)\|^2

    Computable where the score function of the data is known: in simulations, and between two
    models. It exceeds :func:`implicit_loss` by a constant that does not depend on the model.

    Parameters
    ----------
    score, score_data : callable or fitted estimator
        ``function(X)`` returns the gradient of the log-density at each row, (n_samples,
        n_features); of an estimator, its `score_function` is taken.
    X : array-like of shape (n_samples, n_features)
        Rows from the data distribution.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights in the mean.

    Returns
    -------
    loss : LossEstimate
        Value, standard error and values per row.

    References
    ----------
    Hyvarinen, A. (2005). Estimation of non-normalized statistical models by score matching.
    JMLR 6, equation 2.

    Examples
    --------
    >>> from skgm.score_matching import explicit_loss
    >>> float(explicit_loss(lambda X: -X, lambda X: -X / 2, [[2.0], [4.0]]))
    1.25
    """
    X, weight = table(X, sample_weight)
    model, data = evaluate(score, X, "score"), evaluate(score_data, X, "score_data")
    return average(explicit_rows(model, data), weight)


def implicit_loss(
    score: Any, X: Any, *, divergence: Function | None = None, sample_weight: Any = None
) -> LossEstimate:
    r"""Return the loss that needs no score function of the data.

    .. math::
        \mathrm{E}\left[\tfrac12 \|\psi(x)\|^2 + \mathrm{div}\,\psi(x)\right]

    Equal to :func:`explicit_loss` up to a constant, if the density of the data times the score
    function vanishes in the tails. On a half-line or a box it does not: use
    :func:`generalized_loss`.

    Parameters
    ----------
    score : callable or fitted estimator
        As in :func:`explicit_loss`.
    X : array-like of shape (n_samples, n_features)
        Rows from the data distribution.
    divergence : callable, default=None
        ``function(X)`` returns the trace of the Jacobian of `score` at each row, (n_samples,).
        None takes central differences, two evaluations of `score` per column, good to about ten
        digits.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights in the mean.

    Returns
    -------
    loss : LossEstimate
        Value, standard error and values per row.

    References
    ----------
    Hyvarinen, A. (2005). Estimation of non-normalized statistical models by score matching.
    JMLR 6, theorem 1.

    Examples
    --------
    >>> from skgm.score_matching import implicit_loss
    >>> round(float(implicit_loss(lambda X: -X, [[2.0], [4.0]])), 6)
    4.0
    """
    X, weight = table(X, sample_weight)
    psi = evaluate(score, X, "score")
    if divergence is None:
        trace = derivatives(score, X).sum(axis=1)
    else:
        trace = finite(divergence(X), (len(X),), "divergence")
    return average(implicit_rows(psi, trace), weight)


def denoising_loss(
    score: Any,
    X: Any,
    noise_scale: float,
    *,
    n_noise: int = 1,
    antithetic: bool = True,
    sample_weight: Any = None,
    random_state: Any = None,
) -> LossEstimate:
    r"""Return the loss against the score function of noised rows.

    .. math::
        \tfrac12 \mathrm{E}\|\psi(x + \sigma e) + e / \sigma\|^2, \quad e \sim N(0, I)

    Its minimizer is the score function of the data *after* the noise. No derivative of `score` is
    needed. The model-free part of the square enters by its expectation, so that the variance
    does not explode as the noise vanishes.

    Parameters
    ----------
    score : callable or fitted estimator
        As in :func:`explicit_loss`.
    X : array-like of shape (n_samples, n_features)
        Rows from the data distribution.
    noise_scale : float
        Standard deviation of the noise, in the units of X.
    n_noise : int, default=1
        Draws of the noise per row.
    antithetic : bool, default=True
        Use each draw with both signs.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights in the mean.
    random_state : None, int, RandomState or Generator, default=None
        Draws the noise.

    Returns
    -------
    loss : LossEstimate
        Value, standard error (noise included) and values per row.

    References
    ----------
    Vincent, P. (2011). A connection between score matching and denoising autoencoders. Neural
    Computation 23, equation 11.

    Examples
    --------
    >>> from skgm.score_matching import denoising_loss
    >>> loss = denoising_loss(lambda X: -X, [[0.0], [1.0]], 0.5, random_state=0)
    >>> loss.per_row.shape
    (2,)
    """
    X, weight = table(X, sample_weight)
    if not isinstance(noise_scale, numbers.Real) or not 0 < float(noise_scale) < np.inf:
        raise ValueError(f"noise_scale must be a finite number > 0; got {noise_scale!r}.")
    rng, scale = as_generator(random_state), float(noise_scale)
    signs = (1.0, -1.0) if antithetic else (1.0,)
    total = np.zeros(len(X))
    for _ in range(count(n_noise, "n_noise")):
        noise = rng.standard_normal(X.shape)
        for sign in signs:
            psi = evaluate(score, X + sign * scale * noise, "score")
            total += denoising_rows(psi, sign * noise, scale)
    return average(total / (n_noise * len(signs)), weight)


def sliced_loss(
    score: Any,
    X: Any,
    *,
    jvp: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    n_projections: int = 1,
    projection: str = "rademacher",
    variance_reduced: bool = True,
    sample_weight: Any = None,
    random_state: Any = None,
) -> LossEstimate:
    r"""Return the implicit loss with its divergence sampled along random directions.

    .. math::
        \mathrm{E}\left[\tfrac12 \|\psi(x)\|^2 + v^\top J_\psi(x)\, v\right], \quad
        \mathrm{E}[v v^\top] = I

    Unbiased for :func:`implicit_loss` at the price of one Jacobian-vector product per direction
    instead of one per column.

    Parameters
    ----------
    score : callable or fitted estimator
        As in :func:`explicit_loss`.
    X : array-like of shape (n_samples, n_features)
        Rows from the data distribution.
    jvp : callable, default=None
        ``function(X, V)`` returns the Jacobian of `score` at each row times the row of V,
        (n_samples, n_features). None takes central differences.
    n_projections : int, default=1
        Directions per row.
    projection : {"rademacher", "normal"}, default="rademacher"
        Entries +-1, which have the least variance, or standard normal.
    variance_reduced : bool, default=True
        False replaces the square of the score by that of its projection, as in the first form of
        the method; for comparison.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights in the mean.
    random_state : None, int, RandomState or Generator, default=None
        Draws the directions.

    Returns
    -------
    loss : LossEstimate
        Value, standard error (directions included) and values per row.

    References
    ----------
    Song, Y. et al. (2019). Sliced score matching. UAI, equations 7 and 8.

    Examples
    --------
    >>> from skgm.score_matching import sliced_loss
    >>> round(float(sliced_loss(lambda X: -X, [[2.0], [4.0]], random_state=0)), 6)
    4.0
    """
    X, weight = table(X, sample_weight)
    if projection not in ("rademacher", "normal"):
        raise ValueError(f"projection must be 'rademacher' or 'normal'; got {projection!r}.")
    rng, psi = as_generator(random_state), evaluate(score, X, "score")
    total = np.zeros(len(X))
    for _ in range(count(n_projections, "n_projections")):
        direction = rng.standard_normal(X.shape)
        if projection == "rademacher":
            direction = np.sign(direction)
        slope = along(score, X, direction) if jvp is None else jvp(X, direction)
        slope = finite(slope, X.shape, "jvp")
        total += sliced_rows(psi, slope, direction, variance_reduced=variance_reduced)
    return average(total / n_projections, weight)


def generalized_loss(
    score: Any,
    X: Any,
    *,
    bounds: Any = "positive",
    weight: Any = "min",
    weight_cap: float = 3.0,
    derivative: Function | None = None,
    sample_weight: Any = None,
) -> LossEstimate:
    r"""Return the implicit loss on a domain with boundaries.

    .. math::
        \mathrm{E} \sum_j \left[\tfrac12 h_j \psi_j^2 + h_j \partial_j \psi_j
        + h_j' \psi_j\right]

    The weight h vanishes at the boundary, where the density of the data does not: so the
    integration by parts behind :func:`implicit_loss` holds again.

    Parameters
    ----------
    score : callable or fitted estimator
        As in :func:`explicit_loss`.
    X : array-like of shape (n_samples, n_features)
        Rows from the data distribution, inside the bounds.
    bounds : "positive" or (lower, upper), default="positive"
        Scalars or arrays of shape (n_features,); infinite where there is none.
    weight : {"min", "minlog", "power"} or callable, default="min"
        h as a function of the distance t to the nearer boundary: min(t, cap), min(log(1 + t),
        cap), or t ** cap. A callable returns (h(t), h'(t)), vectorized, with h(0) = 0.
    weight_cap : float, default=3.0
        The cap, in the units of X.
    derivative : callable, default=None
        ``function(X)`` returns d psi_j / d x_j, (n_samples, n_features). None takes central
        differences.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights in the mean.

    Returns
    -------
    loss : LossEstimate
        Value, standard error and values per row.

    References
    ----------
    Yu, S., Drton, M. & Shojaie, A. (2019). Generalized score matching for non-negative data. JMLR
    20, equation 7.

    Examples
    --------
    >>> from skgm.score_matching import generalized_loss
    >>> round(float(generalized_loss(lambda X: -X, [[1.0], [2.0]])), 6)
    -0.75
    """
    X, row_weight = table(X, sample_weight)
    lower, upper = check_bounds(bounds, X.shape[1])
    check_inside_bounds(X, lower, upper)
    if not callable(weight) and weight not in WEIGHTS:
        raise ValueError(f"weight must be one of {sorted(WEIGHTS)} or a callable; got {weight!r}.")
    h, slope = boundary_weight(X, lower, upper, weight, weight_cap)
    psi = evaluate(score, X, "score")
    if derivative is None:
        own = derivatives(score, X, lower, upper)
    else:
        own = finite(derivative(X), X.shape, "derivative")
    return average(generalized_rows(psi, own, h, slope), row_weight)


# Computes score-matching losses row by row, in the half convention, from arrays.
#
# `score` is the score function of the model, grad_x log p, at the rows. The conventions of the
# literature differ by a factor of two; here all losses carry the same 1/2, so that they differ by
# constants (eq. sm-equivalence).


def explicit_rows(score: np.ndarray, score_data: np.ndarray) -> np.ndarray:
    """Return half the squared distance of two score functions, (n,) (eq. sm-explicit)."""
    return 0.5 * ((score - score_data) ** 2).sum(axis=1)


def implicit_rows(score: np.ndarray, divergence: np.ndarray | float) -> np.ndarray:
    """Return half the squared score plus its divergence, (n,) (eq. sm-implicit)."""
    return 0.5 * (score**2).sum(axis=1) + divergence


def denoising_rows(score: np.ndarray, noise: np.ndarray, scale: float) -> np.ndarray:
    """Return 1/2 ||score + noise / scale||^2, (n,), noise averaged where it can be.

    `score` is taken at x + scale * noise (eq. sm-denoising): -noise / scale is the score function
    of the noised row given the clean one. The square of it does not depend on the model; its
    expectation, d / (2 scale^2), stands in for it, which leaves the mean as it is and the
    variance bounded as the scale goes to zero.
    """
    n_columns = score.shape[1]
    cross = (score * noise).sum(axis=1) / scale
    return 0.5 * (score**2).sum(axis=1) + cross + n_columns / (2 * scale**2)


def sliced_rows(
    score: np.ndarray, slope: np.ndarray, direction: np.ndarray, *, variance_reduced: bool
) -> np.ndarray:
    """Return the loss along one random direction per row, (n,) (eq. sm-sliced).

    `slope` is J v, the Jacobian of the score function times the direction v, where E v v' = I.
    With `variance_reduced` the square of the score is exact and only the trace of J is sampled.
    """
    square = (score**2).sum(axis=1) if variance_reduced else (score * direction).sum(axis=1) ** 2
    return 0.5 * square + (direction * slope).sum(axis=1)


def generalized_rows(
    score: np.ndarray, derivative: np.ndarray, weight: np.ndarray, weight_slope: np.ndarray
) -> np.ndarray:
    """Return sum_j h_j psi_j^2 / 2 + h_j d_j psi_j + h_j' psi_j, (n,) (eq. sm-generalized).

    `derivative` holds d psi_j / d x_j, `weight` and `weight_slope` hold h_j(x_j) and h_j'(x_j);
    all (n, d).
    """
    values = weight * (0.5 * score**2 + derivative) + weight_slope * score
    return values.sum(axis=1)
