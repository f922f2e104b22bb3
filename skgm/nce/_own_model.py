"""Wraps a user's unnormalized model log_phi(X, theta), with or without its gradient."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from skgm.nce._statistics import Form

__all__ = [
    "OwnModel",
    "own_model",
]

_STEP = np.finfo(np.float64).eps ** (1 / 3)


class OwnModel(Form):
    """phi given by a function of rows and parameters.

    Parameters
    ----------
    log_phi : callable
        From X, (n, d), and theta, (p,), to (n,).
    start : ndarray of shape (p,)
        Where the search begins.
    names : list of str
        Names of the parameters.
    gradient : callable or None
        From X and theta to the derivatives with respect to theta, (n, p); None for central
        differences.
    differentiable : bool
        Whether log_phi is smooth in x.
    """

    def __init__(
        self,
        log_phi: Callable[[np.ndarray, np.ndarray], Any],
        start: np.ndarray,
        names: list[str],
        gradient: Callable[[np.ndarray, np.ndarray], Any] | None = None,
        *,
        differentiable: bool = True,
    ) -> None:
        self.log_phi, self.start, self.names = log_phi, start, names
        self.own_gradient, self.differentiable = gradient, differentiable

    def phi(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return log_phi of each row, (n,), checked for its shape."""
        value = np.asarray(self.log_phi(X, coef), dtype=np.float64)
        if value.shape != (len(X),):
            raise ValueError(
                f"log_phi must return one number per row, shape ({len(X)},); got {value.shape}."
            )
        return value

    def gradient(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return d phi / d theta, (n, p)."""
        if self.own_gradient is None:
            return self._by_differences(X, coef)
        value = np.asarray(self.own_gradient(X, coef), dtype=np.float64)
        if value.shape != (len(X), len(coef)):
            raise ValueError(
                f"gradient must return shape ({len(X)}, {len(coef)}), one column per parameter; "
                f"got {value.shape}."
            )
        return value

    def _by_differences(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # -inf less -inf, outside the support
            columns = [(up - down) / (2 * step) for up, down, step in self._around(X, coef)]
        return np.stack(columns, axis=1)

    def _around(
        self, X: np.ndarray, coef: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
        """Yield, for each parameter, phi at a step above and below, and the step."""
        for j, at in enumerate(coef):
            shift = np.zeros_like(coef)
            shift[j] = _STEP * max(1.0, abs(at))
            yield self.phi(X, coef + shift), self.phi(X, coef - shift), float(shift[j])

    def check_values(self, X: np.ndarray, coef: np.ndarray) -> None:
        """Refuse NaN and +inf at noise rows; -inf is outside the support of the model."""
        value = self.phi(X, coef)
        bad = np.isnan(value) | np.isposinf(value)
        if bad.any():
            row = int(np.argmax(bad))
            raise ValueError(
                f"log_phi is {value[row]} at theta0 and the noise row {X[row]}. Choose noise on "
                "the support of the data, or let log_phi return -inf outside it."
            )

    def check_gradient(self, X: np.ndarray, coef: np.ndarray) -> None:
        """Refuse a gradient of the user's that differences of log_phi contradict.

        It has to lie between those to either side: where a kink of log_phi is within a step, the
        derivative of either side is right.
        """
        if self.own_gradient is None:
            return
        given, middle = self.gradient(X, coef), self.phi(X, coef)
        with np.errstate(invalid="ignore"):
            pairs = [
                ((up - middle) / step, (middle - down) / step)
                for up, down, step in self._around(X, coef)
            ]
        sides = np.stack(pairs, axis=-1)  # (2, n, p)
        found = sides.mean(axis=0)
        slack = 1e-4 * np.maximum(np.abs(found).max(axis=0), 1e-3)
        near = (sides.min(axis=0) - slack <= given) & (given <= sides.max(axis=0) + slack)
        if not near.all():
            row, column = np.argwhere(~near)[0]
            raise ValueError(
                f"gradient disagrees with differences of log_phi for parameter "
                f"{self.names[column]!r} at row {row} and theta = {coef}: "
                f"{given[row, column]:.6g} against {found[row, column]:.6g}. Correct it, or leave "
                "it out."
            )

    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of phi with respect to x, (n, d), by central differences."""
        scale = np.maximum(np.abs(X), 1.0)
        gradient = np.empty_like(X)
        for j in range(X.shape[1]):
            up, down = X.copy(), X.copy()
            up[:, j] += _STEP * scale[:, j]
            down[:, j] -= _STEP * scale[:, j]
            gradient[:, j] = (self.phi(up, coef) - self.phi(down, coef)) / (up - down)[:, j]
        return gradient


def own_model(
    log_phi: Any,
    theta0: Any,
    gradient: Any,
    X: np.ndarray,
    *,
    differentiable: bool = True,
) -> OwnModel:
    """Return the model that the user's arguments describe, tried out on the rows of X.

    Parameters
    ----------
    log_phi : callable
        log_phi(X, theta) -> (n,).
    theta0 : array-like of shape (p,) or mapping of str to float
        Start of the search; the names of a mapping become the names of the parameters.
    gradient : callable or None
        gradient(X, theta) -> (n, p).
    X : ndarray of shape (n, d)
        Training rows.
    differentiable : bool, default=True
        Whether log_phi is smooth in x.

    Raises
    ------
    ValueError
        No or unusable `theta0`, wrong shapes, a non-finite value at the start, or a gradient that
        disagrees with differences of log_phi.
    """
    if theta0 is None:
        raise ValueError("log_phi needs theta0, the parameter values where the search begins.")
    names = [str(name) for name in theta0] if isinstance(theta0, Mapping) else None
    values = list(theta0.values()) if isinstance(theta0, Mapping) else theta0
    try:
        start = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        start = np.empty(0)
    if start.ndim != 1 or not start.size or not np.isfinite(start).all():
        raise ValueError(
            f"theta0 must be a vector of finite numbers, or a mapping from names to them; "
            f"got {theta0!r}."
        )
    names = names or [f"theta{j}" for j in range(len(start))]
    model = OwnModel(log_phi, start, names, gradient, differentiable=differentiable)
    few = X[:100]
    value = model.phi(few, start)
    if not np.isfinite(value).all():
        row = int(np.argmax(~np.isfinite(value)))
        raise ValueError(f"log_phi is not finite at theta0 and row {row} of X; start elsewhere.")
    model.check_gradient(few, start)
    return model
