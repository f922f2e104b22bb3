"""What the tests and intervals need to know of somebody else's fitted likelihood model."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import qr, solve_triangular

from skgm._numerics.sandwich import inverse_information
from skgm.inference._likelihood.separation import Recession, find_recession

__all__ = [
    "LikelihoodModel",
    "Line",
    "ModelFit",
    "Slice",
]


class ModelFit(NamedTuple):
    """A maximum of the log-likelihood, restricted or not.

    Attributes
    ----------
    params : ndarray of shape (k,)
        Where it is; far out along the directions in which it is at infinity.
    loglik : float
        The maximum, or what the log-likelihood tends to.
    recession : Recession or None
        Those directions, where there are any.
    """

    params: np.ndarray
    loglik: float
    recession: Recession | None = None


class LikelihoodModel(ABC):
    """A log-likelihood with derivatives and the estimate that came with it.

    Nuisance parameters outside `names` (the variance of a linear model) are profiled out:
    `loglik` is the maximum over them, `score` its gradient, and the information is that of the
    parameters in `names` at the value that maximizes.

    Attributes
    ----------
    names : list of str
        Names of the k parameters.
    estimate : ndarray of shape (k,)
        As fitted by the other package.
    start : ndarray of shape (k,)
        Where searches begin: the estimate, or a point that is always allowed.
    lower : ndarray of shape (k,)
        Open lower ends of the parameter space.
    n : float
        Number of observations.
    row_weights : ndarray or None
        How many observations each row of `score_rows` stands for.
    design : ndarray of shape (n, k) or None
        Columns of the linear predictor, where that is all that the parameters enter by.
    is_linear : bool
        Normal errors of unknown variance about a linear mean: Student's t is exact.
    certain_at : float
        Linear predictor at which the outcome of a row is certain to rounding; infinite for a link
        with heavy tails, whose infinite estimates are refused.
    n_rows : int
        Number of rows, which may stand for several observations each.
    stated : Stated or None
        The robust covariance that the fit came with; None where its likelihood is to be trusted.
    """

    names: list[str]
    estimate: np.ndarray
    start: np.ndarray
    lower: np.ndarray
    n: float
    row_weights: np.ndarray | None = None
    design: np.ndarray | None = None
    is_linear: bool = False
    certain_at: float = 40.0
    n_rows: int
    stated: Any = None

    @abstractmethod
    def loglik(self, params: np.ndarray) -> float:
        """Return the log-likelihood; -inf outside the parameter space."""

    @abstractmethod
    def score(self, params: np.ndarray) -> np.ndarray:
        """Return the gradient, (k,)."""

    @abstractmethod
    def observed_information(self, params: np.ndarray) -> np.ndarray:
        """Return minus the Hessian, (k, k)."""

    def expected_information(self, params: np.ndarray) -> np.ndarray:
        """Return its expectation where the model offers it, else the observed one."""
        return self.observed_information(params)

    def curvature_weights(self, params: np.ndarray, *, expected: bool) -> np.ndarray | None:
        """Return w, (n,), where the information is X' diag(w) X; None where it is not."""
        return None

    def information_root(self, params: np.ndarray, *, expected: bool = False) -> Any:
        """Return F, (n, k), with F'F the information, or None.

        Through F, columns that are nearly collinear cost half the digits that they cost through
        the information itself.
        """
        weights = self.curvature_weights(params, expected=expected)
        if weights is None or self.design is None or not (weights >= 0).all():
            return None
        return self.design * np.sqrt(weights)[:, None]

    def covariance(self, params: np.ndarray, *, expected: bool = False) -> np.ndarray:
        """Return the inverse of the information, (k, k).

        Raises
        ------
        ValueError
            Not positive definite.
        """
        root = self.information_root(params, expected=expected)
        if root is not None:
            return _covariance_of_root(root)
        if expected:
            return inverse_information(self.expected_information(params), singular=_NOT_IDENTIFIED)
        return inverse_information(self.observed_information(params), singular=_NOT_IDENTIFIED)

    @abstractmethod
    def score_rows(self, params: np.ndarray) -> np.ndarray:
        """Return the contributions of the rows to the score, (n, k)."""

    def check_estimate_exists(self) -> None:  # noqa: B027 (most models have an estimate)
        """Raise where the full estimate lies on the edge of its space."""

    def is_extreme(self, params: np.ndarray) -> bool:
        """Tell whether fitted values are so near their ends that an estimate may be infinite."""
        return False

    def one_sided_rows(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return how the parameters move the rows, (n, k), and at which end each outcome lies.

        Ends as in :func:`is_separated`. None where no estimate can be infinite.
        """
        return None

    def recession(self, basis: np.ndarray) -> Recession | None:
        """Return the directions in the span of `basis` along which the likelihood has no end."""
        rows = self.one_sided_rows()
        return None if rows is None else find_recession(*rows, basis)


class Slice(LikelihoodModel):
    """A likelihood along the coordinates gamma of origin + basis @ gamma.

    Parameters
    ----------
    model : LikelihoodModel
    origin : ndarray of shape (k,)
    basis : ndarray of shape (k, m)
    """

    def __init__(self, model: LikelihoodModel, origin: np.ndarray, basis: np.ndarray) -> None:
        self.model, self.origin, self.basis = model, origin, basis
        self.names = [f"coordinate {j}" for j in range(basis.shape[1])]
        self.estimate = self.start = np.zeros(basis.shape[1])
        self.lower = np.full(basis.shape[1], -np.inf)
        self.n, self.n_rows, self.row_weights = model.n, model.n_rows, model.row_weights

    def _there(self, params: np.ndarray) -> np.ndarray:
        return self.origin + self.basis @ params

    def loglik(self, params: np.ndarray) -> float:
        """Return the log-likelihood."""
        return self.model.loglik(self._there(params))

    def score(self, params: np.ndarray) -> np.ndarray:
        """Return the gradient along the basis."""
        return self.basis.T @ self.model.score(self._there(params))

    def observed_information(self, params: np.ndarray) -> np.ndarray:
        """Return minus the Hessian along the basis."""
        return self.basis.T @ self.model.observed_information(self._there(params)) @ self.basis

    def expected_information(self, params: np.ndarray) -> np.ndarray:
        """Return the expected information along the basis."""
        return self.basis.T @ self.model.expected_information(self._there(params)) @ self.basis

    def score_rows(self, params: np.ndarray) -> np.ndarray:
        """Return the contributions of the rows to the score, (n, m)."""
        return self.model.score_rows(self._there(params)) @ self.basis

    def is_extreme(self, params: np.ndarray) -> bool:
        """Ask the model."""
        return self.model.is_extreme(self._there(params))


def _covariance_of_root(root: np.ndarray) -> np.ndarray:
    """Return the inverse of F'F by the QR decomposition of F."""
    length = np.linalg.norm(root, axis=0)
    if not np.isfinite(length).all() or (length <= 0).any():
        raise ValueError(_NOT_IDENTIFIED)
    triangle = qr(root / length, mode="r")[0][: root.shape[1]]
    smallest = np.linalg.svd(triangle, compute_uv=False)[-1]
    if len(root) < len(length) or smallest <= 64 * len(length) * np.finfo(np.float64).eps:
        raise ValueError(_NOT_IDENTIFIED)
    half = solve_triangular(triangle, np.eye(len(length))) / length[:, None]
    return half @ half.T


_NOT_IDENTIFIED = (
    "The information matrix is not positive definite, so standard errors and tests do not exist: "
    "columns of the design are collinear, or the data do not determine a parameter. Drop columns, "
    "or fix the parameter."
)


# The scale without ends on which parameters are searched: the line, log or logit of each.

_TINY = np.finfo(np.float64).tiny


class Line:
    """Maps arrays of parameters (..., k) to unconstrained coordinates and back.

    A parameter with a finite lower end moves as log(theta - low), one between two finite ends as
    the logit of its place between them, any other as it is.

    Parameters
    ----------
    parameters : tuple of Parameter
        In the order of the last axis.
    """

    def __init__(self, parameters: Any) -> None:
        self._ends = [(k, p.low, p.high) for k, p in enumerate(parameters) if np.isfinite(p.low)]

    def outward(self, theta: np.ndarray) -> np.ndarray:
        """Return the coordinates of parameters."""
        u = np.array(theta, dtype=np.float64)
        for k, low, high in self._ends:
            away = np.maximum(theta[..., k] - low, _TINY)
            u[..., k] = np.log(away)
            if np.isfinite(high):
                u[..., k] -= np.log(np.maximum(high - theta[..., k], _TINY))
        return u

    def inward(self, u: np.ndarray) -> np.ndarray:
        """Return the parameters at coordinates."""
        theta = np.array(u, dtype=np.float64)
        for k, low, high in self._ends:
            if np.isfinite(high):
                theta[..., k] = low + (high - low) / (1 + np.exp(-u[..., k]))
            else:
                theta[..., k] = low + np.exp(u[..., k])
        return theta

    def slopes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d theta / du and d^2 theta / du^2 at parameters, shaped as `theta`."""
        first, second = np.ones(theta.shape), np.zeros(theta.shape)
        for k, low, high in self._ends:
            away = theta[..., k] - low
            if np.isfinite(high):
                share = away / (high - low)
                first[..., k] = away * (1 - share)
                second[..., k] = first[..., k] * (1 - 2 * share)
            else:
                first[..., k] = second[..., k] = away
        return first, second

    def expand(self, u: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
        """Return parameter, d theta / du and d^2 theta / du^2 for each component of coordinates.

        Components are arrays of one shape, or numbers: quick where there is one column. Numbers
        too large raise an OverflowError.
        """
        places: list[tuple[Any, Any, Any]] = [(x, 1.0, 0.0) for x in u]
        exp: Any = math.exp if isinstance(u[0], float) else np.exp
        for k, low, high in self._ends:
            if high < np.inf:
                share = 1 / (1 + exp(-u[k]))
                slope = (high - low) * share * (1 - share)
                places[k] = (low + (high - low) * share, slope, slope * (1 - 2 * share))
            else:
                away = exp(u[k])
                places[k] = (low + away, away, away)
        return places
