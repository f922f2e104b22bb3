"""What an interval is wanted for: a linear combination of the parameters, or a smooth function."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from skgm.inference._models._fit import restricted_fit
from skgm.inference._models._null import Restriction
from skgm.inference._models._protocol import LikelihoodModel, ModelFit

__all__ = ["FunctionTarget", "LinearTarget", "read_targets"]

_STRIDES = 3  # attempts at a restricted fit; the search tries a nearer value after that
_MAX_STEPS = 60
_CONVERGED = 1e-10  # length of the Newton step, in standard errors
_LONGEST = 2.0  # of the same
_STEP = 0.02  # of numerical derivatives of a function, in standard errors


class LinearTarget:
    """A linear combination of the parameters, (k,)."""

    def __init__(self, combination: np.ndarray) -> None:
        self.combination = combination
        entries = np.flatnonzero(combination)
        alone = len(entries) == 1 and combination[entries[0]] == 1
        self.single = entries if alone else None

    def value(self, params: np.ndarray) -> float:
        """Return the combination."""
        return float(self.combination @ params)

    def gradient(self, params: np.ndarray) -> np.ndarray:
        """Return its coefficients."""
        return self.combination

    def edge(self, model: LikelihoodModel) -> float:
        """Return the lower end of the space of a single parameter."""
        return -np.inf if self.single is None else float(model.lower[self.single[0]])

    def fit(self, model: LikelihoodModel, value: float, origin: np.ndarray) -> ModelFit:
        """Return the maximum where the combination has this value."""
        restriction = Restriction(
            self.combination[None, :], np.array([value]), {}, fixed_entries=self.single
        )
        return restricted_fit(model, restriction, origin, _STRIDES)


class FunctionTarget:
    """A smooth function of the parameters, from a dict to a number.

    Parameters
    ----------
    label : str
        Its name, for messages.
    function : callable
        From ``{name: value}`` to a number.
    names : list of str
        The k parameters.
    errors : ndarray of shape (k,)
        Their standard errors, the units of the numerical derivatives.
    """

    def __init__(
        self,
        label: str,
        function: Callable[[Mapping[str, float]], Any],
        names: list[str],
        errors: np.ndarray,
    ) -> None:
        self.label, self.function, self.names, self.errors = label, function, names, errors

    def value(self, params: np.ndarray) -> float:
        """Return the function, NaN where it is not defined."""
        value = np.asarray(self.function(dict(zip(self.names, params.tolist()))), dtype=float)
        if value.size != 1:
            raise TypeError(
                f"of[{self.label!r}] must return one number; got an array of shape {value.shape}."
            )
        return float(value.ravel()[0])

    def gradient(self, params: np.ndarray) -> np.ndarray:
        """Return the gradient, by central differences with Richardson's extrapolation."""

        def difference(shift: np.ndarray) -> float:
            return self.value(params + shift) - self.value(params - shift)

        steps = np.diag(_STEP * self.errors)
        slopes = [(8 * difference(h / 2) - difference(h)) / (6 * h.sum()) for h in steps]
        return np.array(slopes)

    def edge(self, model: LikelihoodModel) -> float:
        """Return -inf: the range of a function is not known."""
        return -np.inf

    def fit(self, model: LikelihoodModel, value: float, origin: np.ndarray) -> ModelFit:
        """Return the maximum where the function has this value, by Newton on the Lagrangian.

        Raises
        ------
        ValueError
            No such maximum was reached.
        """
        params = origin
        for _ in range(_MAX_STEPS):
            step, is_maximum = self._newton_step(model, params, value)
            length = float(np.linalg.norm(step))
            if not np.isfinite(length):
                break
            if length < _CONVERGED and is_maximum:
                return ModelFit(params, model.loglik(params))
            step *= min(1.0, _LONGEST / length) * self.errors
            for _ in range(20):
                if np.isfinite(model.loglik(params + step)):
                    break
                step = step / 2
            params = params + step
        raise ValueError("The restricted estimate was not found.")

    def _newton_step(
        self, model: LikelihoodModel, params: np.ndarray, value: float
    ) -> tuple[np.ndarray, bool]:
        """Return the step in standard errors, and whether the point is a maximum if it is zero."""
        scale = self.errors
        slope = self.gradient(params) * scale
        score = model.score(params) * scale
        multiplier = float(slope @ score) / float(slope @ slope)
        curvature = model.observed_information(params) * scale * scale[:, None]
        curvature = curvature + multiplier * self._hessian(params)
        k = len(params)
        system = np.block([[curvature, slope[:, None]], [slope[None, :], np.zeros((1, 1))]])
        wanted = np.append(score, value - self.value(params))
        if not (np.isfinite(system).all() and np.isfinite(wanted).all()):
            raise ValueError("The function is not defined here.")
        step = np.linalg.lstsq(system, wanted, rcond=None)[0][:k]
        tangent = np.linalg.svd(slope[None, :])[2][1:]  # (k - 1, k), orthogonal to the slope
        inner = np.linalg.eigvalsh(tangent @ curvature @ tangent.T) if k > 1 else np.ones(1)
        return step, bool(inner.min() > 0)

    def _hessian(self, params: np.ndarray) -> np.ndarray:
        """Return the Hessian in standard errors: it sets the speed, not the result."""
        steps = np.diag(_STEP * self.errors)
        columns = [self.gradient(params + h) - self.gradient(params - h) for h in steps]
        hessian = np.array(columns) * self.errors / (2 * _STEP)
        return (hessian + hessian.T) / 2


def read_targets(of: Any, model: LikelihoodModel, fit: ModelFit) -> dict[str, Any]:
    """Return what intervals are wanted for, by label.

    Parameters
    ----------
    of : None, str, list of str, callable or dict
        As in `confidence_intervals`.
    model : LikelihoodModel
        Names the parameters.
    fit : ModelFit
        Its maximum.

    Raises
    ------
    ValueError
        Unknown names, or coefficients that are all zero.
    """
    if of is None:
        of = model.names
    if callable(of):
        of = {getattr(of, "__name__", "function"): of}
    if isinstance(of, str):
        of = [of]
    wanted = of if isinstance(of, Mapping) else {name: {name: 1.0} for name in of}
    targets: dict[str, Any] = {}
    for label, terms in wanted.items():
        if callable(terms):
            errors = np.sqrt(np.diagonal(model.covariance(fit.params)))
            targets[label] = FunctionTarget(label, terms, model.names, errors)
            _refuse_flat(targets[label], fit.params)
        else:
            targets[label] = LinearTarget(_coefficients(label, terms, model.names))
    return targets


def _refuse_flat(target: FunctionTarget, params: np.ndarray) -> None:
    try:
        slope = target.gradient(params)
    except KeyError as error:
        raise ValueError(
            f"of[{target.label!r}] asks for the unknown parameter {error}; this model has "
            f"{', '.join(target.names)}."
        ) from error
    if not np.isfinite(slope).all() or not slope.any():
        raise ValueError(
            f"of[{target.label!r}] must be a smooth function of the parameters near the estimate; "
            f"its gradient there is {slope}."
        )


def _coefficients(label: str, terms: Mapping[str, float], names: list[str]) -> np.ndarray:
    unknown = [name for name in terms if name not in names]
    if unknown or not terms:
        raise ValueError(
            f"of names unknown parameters {unknown}; this model has {', '.join(names)}."
        )
    vector = np.zeros(len(names))
    for name, coefficient in terms.items():
        vector[names.index(name)] = float(coefficient)
    if not (np.isfinite(vector).all() and vector.any()):
        raise ValueError(f"of[{label!r}] must have finite coefficients, not all zero.")
    return vector
