"""Evaluates and maximizes the objective of noise-contrastive estimation (eq. nce-objective)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import null_space
from scipy.special import expit, log_expit

from skgm._numerics.blocks import by_blocks, row_blocks
from skgm._numerics.newton import Damping, Stopping, halve, maximize_within, minimum_norm

__all__ = [
    "LARGEST",
    "Block",
    "Contrast",
    "LinearContrast",
    "LinearFit",
    "ModelContrast",
    "Rows",
    "maximize",
    "nce_curvature",
    "nce_gradient",
    "nce_objective",
    "total_weight",
]


# The objective of noise-contrastive estimation and its derivatives.
#
# Data x_i (of total weight n) are told from m noise rows y_j, drawn from a density q that is known.
# With nu = m / n and the logit G = log p - log q - log nu, where log p = phi + c has a free
# constant c, the posterior probability that a row is data is h = 1 / (1 + exp(-G)). The density of
# the data is then q nu h / (1 - h).
#
# All functions take logits and gradients g = d log p / d theta, whose component for c is one, so
# that they serve linear and other models.


def total_weight(n_rows: int, weight: np.ndarray | None) -> float:
    """Return n, the number of rows that the weights stand for."""
    return float(n_rows if weight is None else weight.sum())


def nce_objective(
    logit_data: np.ndarray, logit_noise: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """Return J, the mean log-likelihood of the labels per data row (eq. nce-objective).

    Both sums are needed: the first alone rises without end in c. The logits contain log nu.

    Parameters
    ----------
    logit_data : ndarray of shape (n,)
        log p - log q - log nu at the data.
    logit_noise : ndarray of shape (m,)
        The same at the noise.
    weight : ndarray of shape (n,), default=None
        A weight w counts its data row w times.

    Returns
    -------
    objective : float
        To be maximized; negative.
    """
    of_data, of_noise = log_expit(logit_data), log_expit(-logit_noise)
    total = of_data.sum() if weight is None else weight @ of_data
    return float((total + of_noise.sum()) / total_weight(len(of_data), weight))


def nce_gradient(
    logit_data: np.ndarray,
    logit_noise: np.ndarray,
    gradient_data: np.ndarray,
    gradient_noise: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    n: float | None = None,
) -> np.ndarray:
    """Return dJ/d theta (eq. nce-gradient).

    Parameters
    ----------
    logit_data, logit_noise : ndarray of shape (n,) and (m,)
        As in :func:`nce_objective`.
    gradient_data, gradient_noise : ndarray of shape (n, k) and (m, k)
        Gradients of log p with respect to theta, one for c.
    weight : ndarray of shape (n,), default=None
        Weights of the data.
    n : float, default=None
        Total weight of all data rows, where these are a part of them.

    Returns
    -------
    gradient : ndarray of shape (k,)
    """
    pull = expit(-logit_data) if weight is None else weight * expit(-logit_data)
    total = pull @ gradient_data - expit(logit_noise) @ gradient_noise
    return total / (total_weight(len(logit_data), weight) if n is None else n)


def nce_curvature(
    logit_data: np.ndarray,
    logit_noise: np.ndarray,
    gradient_data: np.ndarray,
    gradient_noise: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    n: float | None = None,
) -> np.ndarray:
    """Return minus the Hessian of J, positive semi-definite (eq. nce-hessian).

    Exact where log p is linear in theta; elsewhere what is left out has mean zero at the truth, as
    in Fisher's scoring. In either case the estimate of I in eq. nce-covariance.

    Parameters
    ----------
    logit_data, logit_noise, gradient_data, gradient_noise, weight, n
        As in :func:`nce_gradient`.

    Returns
    -------
    curvature : ndarray of shape (k, k)
    """
    spread = expit(logit_data) * expit(-logit_data)
    spread = spread if weight is None else weight * spread
    noise_spread = expit(logit_noise) * expit(-logit_noise)
    total = (gradient_data * spread[:, None]).T @ gradient_data
    total += (gradient_noise * noise_spread[:, None]).T @ gradient_noise
    return total / (total_weight(len(logit_data), weight) if n is None else n)


# Data and noise rows under a model, linear in its parameters or not.

LARGEST = 1e140  # of statistics and gradients: sums of their squares must not overflow


class Rows(NamedTuple):
    """The data, the noise, and what is known of them.

    Attributes
    ----------
    log_q_data, log_q_noise : ndarray of shape (n,) and (m,)
        Log-density of the noise at data and noise.
    log_nu : float
        Log of m over the total weight of the data.
    weight : ndarray of shape (n,) or None
        Weights of the data.
    scramble : ndarray of int, shape (m,), or None
        Which independent scramble each noise row belongs to; None for independent noise.
    multiplicity : float
        How many rows of data a weight of one stands for: above one where large weights were
        divided by a common factor. Only standard errors depend on it.
    """

    log_q_data: np.ndarray
    log_q_noise: np.ndarray
    log_nu: float
    weight: np.ndarray | None = None
    scramble: np.ndarray | None = None
    multiplicity: float = 1.0

    @property
    def n(self) -> float:
        """Total weight of the data."""
        return total_weight(len(self.log_q_data), self.weight)


class Block(NamedTuple):
    """A block of data rows and one of noise rows, either of which may be empty.

    The fields are the arguments of :func:`nce_gradient` and :func:`nce_curvature`.
    """

    logit_data: np.ndarray
    logit_noise: np.ndarray
    gradient_data: np.ndarray
    gradient_noise: np.ndarray
    weight: np.ndarray | None

    def pulls(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (1 - h) g at the data, (n, k), and h g at the noise, (m, k)."""
        of_data = expit(-self.logit_data)[:, None] * self.gradient_data
        return of_data, expit(self.logit_noise)[:, None] * self.gradient_noise


class Contrast(ABC):
    """Noise-contrastive estimation of one model on given rows; theta ends with c.

    Sums over rows are taken block by block, so that no table of gradients of all rows is needed.

    Attributes
    ----------
    rows : Rows
        Data and noise.
    concave : bool
        Whether the objective is, so that Newton's steps need no damping.
    """

    rows: Rows
    concave: bool = False

    @abstractmethod
    def log_density(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log p at the data, (n,), and at the noise, (m,)."""

    @abstractmethod
    def at(self, theta: np.ndarray, of_data: bool, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return log p, (b,), and d log p / d theta, (b, k), at some rows of data or noise."""

    def logits(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return log p - log q - log nu at data and noise."""
        data, noise = self.log_density(theta)
        rows = self.rows
        return data - rows.log_q_data - rows.log_nu, noise - rows.log_q_noise - rows.log_nu

    def blocks(self, theta: np.ndarray) -> Iterator[Block]:
        """Yield logits and gradients at the rows, block by block."""
        rows = self.rows
        for part in row_blocks(max(len(rows.log_q_data), len(rows.log_q_noise))):
            logit_data, of_data = self._logit_at(theta, True, part)
            logit_noise, of_noise = self._logit_at(theta, False, part)
            weight = None if rows.weight is None else rows.weight[part]
            yield Block(logit_data, logit_noise, of_data, of_noise, weight)

    def _logit_at(
        self, theta: np.ndarray, of_data: bool, part: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        log_q = (self.rows.log_q_data if of_data else self.rows.log_q_noise)[part]
        if not len(log_q):  # a model of the user's need not take an empty table
            return log_q, np.empty((0, len(theta)))
        log_p, gradient = self.at(theta, of_data, part)
        return log_p - log_q - self.rows.log_nu, gradient

    def objective(self, theta: np.ndarray) -> float:
        """Return J at theta, (k,)."""
        return nce_objective(*self.logits(theta), self.rows.weight)

    def derivatives(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return dJ/d theta, (k,), and minus its Hessian, (k, k)."""
        gradient, curvature = np.zeros(len(theta)), np.zeros((len(theta), len(theta)))
        for block in self.blocks(theta):
            gradient += nce_gradient(*block, n=self.rows.n)
            curvature += nce_curvature(*block, n=self.rows.n)
        return gradient, curvature

    def pulls(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (1 - h) g at the data, (n, k), and h g at the noise, (m, k)."""
        data, noise = zip(*(block.pulls() for block in self.blocks(theta)))
        return np.concatenate(data), np.concatenate(noise)

    def overlap(self, theta: np.ndarray) -> float:
        """Return the sum of h (1 - h), relative to its value for noise like the data, n m/(n + m).

        Near zero where data and noise are told apart without error: nothing is left to estimate.
        """
        (data, noise), weight = self.logits(theta), self.rows.weight
        of_data, of_noise = expit(data) * expit(-data), expit(noise) * expit(-noise)
        total = (of_data.sum() if weight is None else weight @ of_data) + of_noise.sum()
        n, m = self.rows.n, len(noise)
        return float(total / (n * m / (n + m)))


class LinearContrast(Contrast):
    """log p = T(x)'theta + c, from tables of statistics, kept or computed again for each block.

    Parameters
    ----------
    rows : Rows
        The rest.
    data, noise : ndarray of shape (n, p) and (m, p)
        Statistics at the data and at the noise; with `transform` the rows, (n, d) and (m, d).
    transform : callable, default=None
        From rows, (b, d), to statistics, (b, p), for tables too large to keep their statistics.
    """

    concave = True

    def __init__(
        self,
        rows: Rows,
        data: np.ndarray,
        noise: np.ndarray,
        transform: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.rows, self._transform = rows, transform
        self.data, self.noise = data, noise
        if transform is None:
            self.data, self.noise = _with_ones(data), _with_ones(noise)

    def log_density(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self._transform is None:
            return self.data @ theta, self.noise @ theta
        transform = self._transform
        data, noise = (
            by_blocks(lambda X: transform(X) @ theta[:-1] + theta[-1], table)
            for table in (self.data, self.noise)
        )
        return data, noise

    def at(self, theta: np.ndarray, of_data: bool, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return T'theta + c, and the statistics with a column of ones."""
        table = (self.data if of_data else self.noise)[part]
        if self._transform is not None:
            table = _with_ones(self._transform(table))
        return table @ theta, table


def _with_ones(table: np.ndarray) -> np.ndarray:
    return np.concatenate([table, np.ones((len(table), 1))], axis=1)


class ModelContrast(Contrast):
    """log p = log_phi(X, theta) + c, for a model of the user's own.

    Parameters
    ----------
    rows : Rows
        The rest.
    data, noise : ndarray of shape (n, d) and (m, d)
        The rows themselves.
    log_phi : callable
        From X, (n, d), and theta, (p,), to (n,).
    gradient : callable
        From X and theta to (n, p).
    """

    def __init__(
        self,
        rows: Rows,
        data: np.ndarray,
        noise: np.ndarray,
        log_phi: Callable[[np.ndarray, np.ndarray], np.ndarray],
        gradient: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> None:
        self.rows, self.data, self.noise = rows, data, noise
        self._log_phi, self._gradient = log_phi, gradient

    def log_density(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own, c = theta[:-1], theta[-1]
        data, noise = (
            by_blocks(lambda X: self._log_phi(X, own) + c, table)
            for table in (self.data, self.noise)
        )
        return data, noise

    def at(self, theta: np.ndarray, of_data: bool, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return log_phi + c, and the model's gradient with a column of ones."""
        X = (self.data if of_data else self.noise)[part]
        value = self._log_phi(X, theta[:-1])
        gradient = self._finite_gradient(X, theta[:-1], value)
        return value + theta[-1], _with_ones(gradient)

    def _finite_gradient(self, X: np.ndarray, theta: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Return the gradient, (n, p), zero outside the support of the model."""
        gradient = self._gradient(X, theta)
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(gradient) <= LARGEST).all(axis=1)
        if not bad.any():
            return gradient
        inside = np.flatnonzero(bad & ~np.isneginf(value))
        if len(inside):
            row = inside[0]
            finite = np.isfinite(gradient[row]).all()
            what = f"is above {LARGEST:g}" if finite else "is not finite"
            raise ValueError(
                f"The gradient of log_phi {what} at theta = {theta} and the row {X[row]}, of the "
                "data or of the noise. Correct it, rescale the parameters, or start elsewhere "
                "(theta0)."
            )
        return np.where(bad[:, None], 0.0, gradient)


# The maximum of the objective, by Newton's method, under linear restrictions if asked.

# Where the log-likelihood could rise by less than this per parameter, a step that does not keep its
# promise ends the search: at the maximum, statistically.
_NEGLIGIBLE = 0.01

Restriction = tuple[np.ndarray, np.ndarray]


class LinearFit(NamedTuple):
    """A maximum of the objective.

    Attributes
    ----------
    theta : ndarray of shape (k,)
        Coefficients, and the constant c at the end.
    objective : float
        J there.
    n_iter : int
        Number of Newton steps.
    converged : bool
        Whether the last step was small.
    overlap : float
        See :meth:`Contrast.overlap`.
    """

    theta: np.ndarray
    objective: float
    n_iter: int
    converged: bool
    overlap: float

    @property
    def coef(self) -> np.ndarray:
        """Coefficients of the statistics."""
        return self.theta[:-1]

    @property
    def intercept(self) -> float:
        """The constant c, minus the log-normalizer."""
        return float(self.theta[-1])


def maximize(
    contrast: Contrast,
    start: np.ndarray,
    *,
    alpha: float = 0.0,
    restriction: Restriction | None = None,
    tol: float = 1e-12,
    max_iter: int = 100,
    observe: Callable[[int, float], Any] | None = None,
) -> LinearFit:
    """Maximize J - alpha |coef|^2 / 2 by Newton steps (damped Fisher scoring if not linear).

    Parameters
    ----------
    contrast : Contrast
        Model and rows.
    start : ndarray of shape (k,)
        Where to begin.
    alpha : float, default=0
        Ridge on all but c; per data row, so that weights count as repetitions.
    restriction : (R, q), default=None
        Stay where R theta = q, of shapes (r, k) and (r,); `start` need not be there.
    tol : float, default=1e-12
        On the Newton decrement, half the gain that a step promises.
    max_iter : int, default=100
        Most steps.
    observe : callable, default=None
        Called with the step's number and the objective.

    Returns
    -------
    fit : LinearFit
    """
    basis, theta = _feasible(np.array(start, dtype=np.float64), restriction)
    ridge = np.append(np.full(len(theta) - 1, alpha), 0.0)
    negligible = _NEGLIGIBLE * len(theta) / contrast.rows.n

    def derivatives(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient, curvature = contrast.derivatives(theta)
        return gradient - ridge * theta, curvature + np.diag(ridge)

    found = maximize_within(
        _penalized(contrast, ridge),
        derivatives,
        theta,
        basis,
        stop=Stopping(last=tol, blind=tol, stuck=negligible, short=negligible),
        invert=minimum_norm,
        search=halve if contrast.concave else Damping(),
        max_iter=max_iter,
        observe=None if observe is None else lambda i, height: observe(i, float(height[0])),
    )
    overlap = contrast.overlap(found.point)
    return LinearFit(found.point, found.height, found.n_iter, found.converged, overlap)


def _penalized(contrast: Contrast, ridge: np.ndarray) -> Callable[[np.ndarray], float]:
    def value(theta: np.ndarray) -> float:
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is not taken
            penalty = 0.5 * float(ridge @ theta**2) if ridge.any() else 0.0
            height = contrast.objective(theta) - penalty
        return height if np.isfinite(height) else -np.inf

    return value


def _feasible(start: np.ndarray, restriction: Restriction | None) -> tuple[np.ndarray, np.ndarray]:
    """Return a basis of the directions that the restriction leaves, and the nearest start."""
    if restriction is None:
        return np.eye(len(start)), start
    matrix, target = restriction
    return null_space(matrix), start + np.linalg.pinv(matrix) @ (target - matrix @ start)
