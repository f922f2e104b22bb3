"""Computes forms of log p: statistics T(x) of linear critics, and models of the user's own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from scipy.special import comb
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skgm._numerics.blocks import by_blocks
from skgm.nce._contrast import LARGEST

__all__ = [
    "Form",
    "FourierStatistics",
    "FunctionStatistics",
    "OwnModel",
    "PolynomialStatistics",
    "Statistics",
    "is_linear_critic",
    "make_statistics",
    "monomials",
    "own_model",
    "polynomial_statistics",
]


class Form(ABC):
    """phi(x; theta), of which log p = phi + c.

    Attributes
    ----------
    names : list of str
        Names of the parameters.
    differentiable : bool
        Whether phi is smooth in x.
    tilts_noise : bool
        Whether phi + c is log p - log q instead: features that are bounded, say, have no density
        of their own.
    ridge : float
        Least ridge: of features that are nearly collinear, 1/n, a prior variance of one.
    """

    names: list[str]
    differentiable: bool = True
    tilts_noise: bool = False
    ridge: float = 0.0

    @abstractmethod
    def phi(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return phi of each row, (n,)."""

    @abstractmethod
    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of phi with respect to x, (n, d)."""

    def reporting_map(self) -> np.ndarray:
        """Return M, (p + 1, p + 1), from fitted (theta, c) to reported (theta, log Z = -c)."""
        return np.diag(np.append(np.ones(len(self.names)), -1.0))


class Statistics(Form):
    """phi(x) = T(x)'theta."""

    @abstractmethod
    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the statistics of each row, (n, p)."""

    def phi(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return T(x)'coef of each row, (n,)."""
        return by_blocks(lambda part: self.transform(part) @ coef, X)


_DEGREES = {"linear": 1, "quadratic": 2, "poly2": 2, "poly3": 3, "poly4": 4}
_MOST_FEATURES = 100
_ROWS_PER_FEATURE = 20


def is_linear_critic(critic: Any) -> bool:
    """Tell whether a critic is a set of statistics, and not a classifier."""
    if isinstance(critic, str):
        return critic in _DEGREES or critic == "rff"
    scores = hasattr(critic, "decision_function") or hasattr(critic, "predict_proba")
    return not scores and (callable(critic) or hasattr(critic, "transform"))


def make_statistics(
    critic: Any,
    X: np.ndarray,
    weight: np.ndarray | None,
    columns: list[str],
    rng: np.random.Generator,
) -> Statistics:
    """Return the statistics that `critic` stands for, fitted to the rows of X.

    Parameters
    ----------
    critic : str, transformer or callable
        "linear", "quadratic", "poly3", "poly4"; "rff"; a transformer, which is cloned and fitted;
        or a callable from rows (n, d) to statistics (n, p).
    X : ndarray of shape (n, d)
        Training rows.
    weight : ndarray of shape (n,) or None
        Their weights.
    columns : list of str
        Names of the columns.
    rng : numpy.random.Generator
        Of random features.

    Raises
    ------
    ValueError
        An unknown name, or statistics that are not finite, of the wrong shape or constant.
    """
    if isinstance(critic, str) and critic in _DEGREES:
        powers = polynomial_statistics(X, weight, _DEGREES[critic], columns)
        powers.tilts_noise = _DEGREES[critic] % 2 == 1  # odd powers have no density of their own
        return powers
    if isinstance(critic, str) and critic == "rff":
        return _fourier(X, weight, rng)
    if isinstance(critic, str):
        allowed = ", ".join(map(repr, [*_DEGREES, "rff"]))
        raise ValueError(f"critic must be one of {allowed} to be linear; got {critic!r}.")
    if hasattr(critic, "transform"):
        return _of_transformer(critic, X, weight, columns)
    return FunctionStatistics(critic, X, None)


class FourierStatistics(Statistics):
    """Random Fourier features sqrt(2 / p) cos(x'frequency + phase).

    Parameters
    ----------
    frequency : ndarray of shape (d, p)
        In units of 1 / x.
    phase : ndarray of shape (p,)
        Offsets.
    ridge : float
        See :class:`Form`.
    """

    tilts_noise = True

    def __init__(self, frequency: np.ndarray, phase: np.ndarray, ridge: float) -> None:
        self.frequency, self.phase, self.ridge = frequency, phase, ridge
        self.names = [f"rff{j}" for j in range(len(phase))]

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the features of each row, (n, p)."""
        return np.sqrt(2 / len(self.phase)) * np.cos(X @ self.frequency + self.phase)

    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of T(x)'coef with respect to x, (n, d)."""
        inner = -np.sqrt(2 / len(self.phase)) * np.sin(X @ self.frequency + self.phase)
        return (inner * coef) @ self.frequency.T


def _fourier(
    X: np.ndarray, weight: np.ndarray | None, rng: np.random.Generator
) -> FourierStatistics:
    """Features of the kernel exp(-|z|^2 / d) of standardized columns, as in SVC(gamma='scale')."""
    n = len(X) if weight is None else min(weight.sum(), len(X))
    p = int(np.clip(n // _ROWS_PER_FEATURE, 10, _MOST_FEATURES))
    center = np.average(X, axis=0, weights=weight)
    scale = np.sqrt(np.average((X - center) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)
    frequency = rng.normal(scale=np.sqrt(2 / X.shape[1]), size=(X.shape[1], p)) / scale[:, None]
    phase = rng.uniform(0, 2 * np.pi, size=p) - center @ frequency
    return FourierStatistics(frequency, phase, 1 / n)


class FunctionStatistics(Statistics):
    """Statistics computed by a function of the rows.

    Parameters
    ----------
    function : callable
        From (n, d) to (n, p) or (n,).
    X : ndarray of shape (n, d)
        Training rows, on which it is checked.
    names : list of str or None
        Names of the statistics.
    """

    def __init__(
        self,
        function: Callable[[np.ndarray], Any],
        X: np.ndarray,
        names: list[str] | None,
        *,
        differentiable: bool = True,
    ) -> None:
        self.function, self.differentiable = function, differentiable
        self.step = 1e-5 * np.where(np.ptp(X, axis=0) > 0, np.ptp(X, axis=0), 1.0)
        values = by_blocks(self.transform, X)
        largest = np.abs(values).max(initial=0.0)
        if largest > LARGEST:
            raise ValueError(
                f"critic gives statistics as large as {largest:.1g}, whose squares overflow. "
                "Rescale the columns or the statistics."
            )
        self.names = names or [f"T{j}" for j in range(values.shape[1])]
        constant = np.ptp(values, axis=0) == 0
        if constant.any() or not len(self.names):
            which = self.names[int(np.argmax(constant))] if constant.any() else "none at all"
            raise ValueError(
                f"critic gives a statistic that is constant on the training rows ({which}): the "
                "free constant of the density has it already. Drop it (for PolynomialFeatures: "
                "include_bias=False)."
            )

    def transform(self, X: np.ndarray) -> np.ndarray:
        values = np.asarray(self.function(X), dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or len(values) != len(X):
            raise ValueError(
                f"critic must give statistics of shape (n_samples, p); got {values.shape} for "
                f"{len(X)} rows."
            )
        finite = np.isfinite(values)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise ValueError(
                f"critic gives a non-finite statistic ({values[row, column]} in column {column}) "
                f"at the row {X[row]}, of the data or of the noise. Choose noise on the support "
                "of the data, or statistics that are finite everywhere."
            )
        return values

    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of T(x)'coef with respect to x, (n, d), by central differences."""
        gradient = np.empty_like(X)
        for j, size in enumerate(self.step):
            shift = np.zeros(X.shape[1])
            shift[j] = size
            difference = self.transform(X + shift) - self.transform(X - shift)
            gradient[:, j] = difference @ coef / (2 * size)
        return gradient


def _of_transformer(
    critic: Any, X: np.ndarray, weight: np.ndarray | None, columns: list[str]
) -> FunctionStatistics:
    fitted = clone(critic)
    weighting = {}
    if weight is not None and has_fit_parameter(fitted, "sample_weight"):
        weighting = {"sample_weight": weight}
    fitted.fit(X, **weighting)
    try:
        names = [str(name) for name in fitted.get_feature_names_out(np.array(columns, object))]
    except (AttributeError, ValueError):
        names = None
    found = FunctionStatistics(fitted.transform, X, names)
    found.tilts_noise = True  # kernel features, splines and the like have no density of their own
    return found


# Monomials of the columns as statistics, computed in standardized columns.

_MOST_STATISTICS = 2000


def monomials(n_columns: int, degree: int, distinct: np.ndarray) -> np.ndarray:
    """Return the exponents of all monomials up to a degree, (p, n_columns), lower degrees first.

    A column with u distinct values has u - 1 linearly independent powers (zeros and ones: one), so
    higher ones are left out.
    """
    rows = [
        np.bincount(chosen, minlength=n_columns)
        for total in range(1, degree + 1)
        for chosen in combinations_with_replacement(range(n_columns), total)
    ]
    exponents = np.array(rows, dtype=np.int64).reshape(-1, n_columns)
    return exponents[(exponents < distinct).all(axis=1)]


def _recipe(exponents: np.ndarray) -> list[tuple[int, tuple[int, ...]]]:
    """Return, for each monomial, an earlier one that divides it (-1: none) and columns to times."""
    place: dict[tuple[int, ...], int] = {}
    recipe = []
    for k, powers in enumerate(exponents.tolist()):
        factors = tuple(j for j, power in enumerate(powers) for _ in range(power))
        start = place.get(factors[:-1], -1)
        recipe.append((start, factors if start < 0 else factors[-1:]))
        place[factors] = k
    return recipe


def _monomials_of(z: np.ndarray, recipe: list[tuple[int, tuple[int, ...]]]) -> np.ndarray:
    """Return the monomials of the rows of z, (n, p), one after the other."""
    columns = np.ascontiguousarray(z.T)
    out = np.empty((len(recipe), len(z)))
    for value, (start, factors) in zip(out, recipe):
        value[:] = out[start] if start >= 0 else 1.0
        for j in factors:
            value *= columns[j]
    return out.T


class PolynomialStatistics(Statistics):
    """Monomials of z = (x - center) / scale, whose coefficients are told in units of x.

    Parameters
    ----------
    exponents : ndarray of int, shape (p, d)
        One row per monomial.
    center, scale : ndarray of shape (d,)
        Of the columns.
    columns : list of str
        Names of the columns.
    """

    def __init__(
        self, exponents: np.ndarray, center: np.ndarray, scale: np.ndarray, columns: list[str]
    ) -> None:
        self.exponents, self.center, self.scale = exponents, center, scale
        self._recipe = _recipe(exponents)
        self.names = [_name(row, columns) for row in exponents]

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the statistics of each row, (n, p), in standardized columns."""
        return _monomials_of((X - self.center) / self.scale, self._recipe)

    def slope(self, X: np.ndarray, coef: np.ndarray) -> np.ndarray:
        """Return the gradient of T(x)'coef with respect to x, (n, d)."""
        z = (X - self.center) / self.scale
        gradient = np.zeros_like(z)
        for j in range(z.shape[1]):
            present = self.exponents[:, j] > 0
            lower = self.exponents[present].copy()
            factor = lower[:, j] * coef[present]
            lower[:, j] -= 1
            gradient[:, j] = _monomials_of(z, _recipe(lower)) @ factor / self.scale[j]
        return gradient

    def reporting_map(self) -> np.ndarray:
        """Return M, (p + 1, p + 1): M theta are coefficients of monomials of x, and log Z.

        By the binomial theorem a monomial of z = (x - center) / scale is a combination of those of
        x, T_z = B (T_x - b) with the monomials b of `center`, so that theta'T_z + c is
        (B'theta)'T_x + c - b'B'theta.

        Raises
        ------
        ValueError
            Coefficients in units of x that overflow.
        """
        low, high = self.exponents[None, :, :], self.exponents[:, None, :]
        ways = comb(high, low) * (low <= high)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            shift = (-self.center) ** np.maximum(high - low, 0)
            B = np.prod(ways * shift / self.scale**high, axis=2)
            b = np.prod(self.center**self.exponents, axis=1)
            p = len(B)
            out = np.zeros((p + 1, p + 1))
            out[:p, :p] = B.T
            out[p, :p], out[p, p] = b @ B.T, -1.0
        if not np.isfinite(out).all() or not np.diagonal(out).all():
            raise ValueError(
                "The coefficients of the polynomial critic, in units of X, are beyond the range of "
                f"floating-point numbers: columns have standard deviations from "
                f"{self.scale.min():.1g} to {self.scale.max():.1g}. Standardize the columns, for "
                "example with sklearn.preprocessing.StandardScaler."
            )
        return out


def polynomial_statistics(
    X: np.ndarray, weight: np.ndarray | None, degree: int, columns: list[str]
) -> PolynomialStatistics:
    """Return the monomials up to a degree, standardized by the rows of X.

    Raises
    ------
    ValueError
        More than a few thousand statistics.
    """
    count = comb(X.shape[1] + degree, degree, exact=True) - 1
    if count > _MOST_STATISTICS:
        raise ValueError(
            f"A polynomial critic of degree {degree} on {X.shape[1]} columns has {count} "
            f"statistics; at most {_MOST_STATISTICS} are fitted. Use a lower degree, fewer "
            "columns, critic='rff' or a classifier."
        )
    center = np.average(X, axis=0, weights=weight)
    scale = np.sqrt(np.average((X - center) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 0, scale, 1.0)
    distinct = np.array([len(np.unique(column[: degree * 50])) for column in X.T])
    few = distinct <= degree
    distinct[few] = [len(np.unique(column)) for column in X[:, few].T]
    return PolynomialStatistics(monomials(X.shape[1], degree, distinct), center, scale, columns)


def _name(exponents: np.ndarray, columns: list[str]) -> str:
    parts = [
        columns[j] if power == 1 else f"{columns[j]}^{power}"
        for j, power in enumerate(exponents)
        if power
    ]
    return " ".join(parts)


# A model of the user's own, log_phi(X, theta), with or without its gradient.

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
