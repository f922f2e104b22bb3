"""Intervals of smooth functions of the parameters: by the delta method and by the profile."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import special

from skgm.inference._likelihood.fit import restricted_fit
from skgm.inference._likelihood.model import LikelihoodModel, Line, ModelFit
from skgm.inference._likelihood.nulls import Restriction

__all__ = [
    "FunctionTarget",
    "LinearTarget",
    "delta_interval",
    "function_interval",
    "function_value",
    "profile_function_interval",
    "read_targets",
]

Params = Mapping[str, np.ndarray]
Function = Callable[[Mapping[str, Any]], Any]
Interval = tuple[np.ndarray, np.ndarray]

_STEP, _MAX_ITERATIONS = 2e-3, 60


def function_interval(
    fit: Any, function: Function, method: str, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value, low and high of a function of the parameters of a fit, by `method`.

    Parameters
    ----------
    fit : Fit
        The fitted family.
    function : callable
        From a dict of parameters to one number per column.
    method : {"profile", "wald"}
        The profile likelihood, or the delta method.
    level : float
        Confidence level.

    Returns
    -------
    value, low, high : ndarray of shape (d,)

    Raises
    ------
    ValueError
        Another method; a joint family, whose functions have no profile here.
    """
    family, n = fit.family, fit.statistics.n
    if not callable(function):
        raise ValueError(f"of must be a function or a dict of functions; got {function!r}.")
    if method not in ("profile", "wald") or (family.joint and method == "profile"):
        allowed = "'wald'" if family.joint else "'profile' or 'wald'"
        raise ValueError(
            f"method must be 'auto', {allowed} for functions of the parameters of the "
            f"{family.name} family; got {method!r}."
        )
    if family.joint:
        return _joint_delta(family, function, fit.params, n, level)
    value = function_value(function, family.full(fit.params))
    if method == "wald":
        return value, *delta_interval(family, function, fit.statistics, fit.params, level)
    return value, *profile_function_interval(family, function, fit.statistics, fit.params, level)


def _joint_delta(
    family: Any, function: Function, params: Params, n: float, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value and delta interval, (1,) each, for a family of the whole row."""
    covariance = np.linalg.inv(family.information(params)) / n
    steps = iter(np.sqrt(np.diagonal(covariance) * n) * _STEP)
    gradient = []
    for name, value in params.items():
        for entry in zip(*family.free_entries(name, len(next(iter(params.values()))))):
            step, moved = next(steps), np.zeros_like(value)
            moved[entry] = moved[entry[::-1]] = step
            sides = [_number(function, {**params, name: value + s * moved}) for s in (-1, 1)]
            gradient.append((sides[1] - sides[0]) / (2 * step))
    slope = np.array(gradient)
    value = np.array([_number(function, dict(params))])
    half = special.ndtri((1 + level) / 2) * np.sqrt(slope @ covariance @ slope)
    return value, value - half, value + half


def _number(function: Function, params: Params) -> float:
    value = np.asarray(function(params), dtype=np.float64)
    if value.size != 1 or not np.isfinite(value).all():
        raise ValueError(
            f"of must return one finite number from a dict of parameters; got {value!r}."
        )
    return float(value.reshape(()))


def function_value(function: Function, params: Params) -> np.ndarray:
    """Return the function of the parameters, one value per column.

    Raises
    ------
    ValueError
        The function fails, or does not return one finite number per column.
    """
    d = len(next(iter(params.values())))
    # one column: numbers, as in `params_`, so that math.log and the like work
    given = {k: float(v[0]) for k, v in params.items()} if d == 1 else dict(params)
    value = np.asarray(function(given), dtype=np.float64)
    if value.shape not in ((), (d,)) or np.isnan(value).any():
        raise ValueError(
            f"of must return one number per column, shape ({d},), from a dict of parameters; got "
            f"{value!r}."
        )
    return np.broadcast_to(value, (d,))


def delta_interval(
    family: Any, function: Function, statistics: Any, params: Params, level: float
) -> Interval:
    """Return value -+ quantile * standard error, the error by the delta method.

    Parameters
    ----------
    family : Family
        A columnwise family.
    function : callable
        From a dict of parameters, (d,) each, to values (d,).
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)
    """
    line, theta = Line(family.parameters), family.pack(params)
    on_line = _on_line(family, function)
    gradient = _gradient(on_line, line.outward(theta), _row_errors(family, statistics, params))
    gradient = gradient / line.slopes(theta)[0]
    covariance = np.linalg.inv(_information(family, statistics, params)) / statistics.n
    error = np.sqrt(np.einsum("da,dab,db->d", gradient, covariance, gradient))
    half = special.ndtri((1 + level) / 2) * error
    value = function_value(function, family.full(params))
    return value - half, value + half


def profile_function_interval(
    family: Any, function: Function, statistics: Any, params: Params, level: float
) -> Interval:
    """Return the range of the function over the parameters that the likelihood does not reject.

    That is the profile-likelihood interval. Its ends solve grad f = m grad l with
    2 (l(estimate) - l) at its chi-square quantile, by Newton's method on a scale without ends.

    Parameters
    ----------
    family : Family
        A columnwise family that defines `mean_score`.
    function : callable
        From a dict of parameters, (d,) each, to values (d,).
    statistics : object
        The family's statistics.
    params : dict of str to ndarray of shape (d,)
        The estimate.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray of shape (d,)

    Raises
    ------
    ValueError
        The search does not converge: the function is not smooth, or has its extreme inside.
    """
    drop = special.ndtri((1 + level) / 2) ** 2 / (2 * statistics.n)
    problem = _Region(family, function, statistics, params, drop)
    return problem.end(-1.0), problem.end(1.0)


class _Region:
    """The parameters whose mean log-likelihood lies within `drop` of the highest."""

    def __init__(
        self, family: Any, function: Function, statistics: Any, params: Params, drop: float
    ) -> None:
        self.family, self.statistics, self.drop = family, statistics, drop
        self.function = _on_line(family, function)
        self.line = Line(family.parameters)
        self.center = self.line.outward(family.pack(params))
        self.scale = _row_errors(family, statistics, params)
        self.highest = family.log_likelihood(statistics, params) / statistics.n
        self.information = self._curvature(self.center)

    def _params(self, u: np.ndarray) -> dict[str, np.ndarray]:
        return self.family.unpack(self.line.inward(u))

    def _height(self, u: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            height = self.family.log_likelihood(self.statistics, self._params(u))
        return height / self.statistics.n - self.highest

    def _slope(self, u: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            theta = self.line.inward(u)
            slope = self.family.mean_score(self.statistics, self.family.unpack(theta))
            return slope * self.line.slopes(theta)[0]

    def _curvature(self, u: np.ndarray) -> np.ndarray:
        """Return minus the Hessian on the line, from differences of the slope."""
        return -_differences(self._slope, u, self.scale)

    def end(self, sign: float) -> np.ndarray:
        """Return the largest (sign 1) or smallest (sign -1) value of the function."""
        gradient = sign * _gradient(self.function, self.center, self.scale)
        solved = np.linalg.solve(self.information, gradient[..., None])[..., 0]
        size = np.sqrt(np.einsum("da,da->d", gradient, solved))
        if not (size > 0).all():
            raise ValueError("of does not depend on the parameters at the estimate.")
        root = np.sqrt(2 * self.drop)
        offset, multiplier = root * solved / size[:, None], size / root
        before = 1.0
        for fraction in (0.25, 0.5, 0.75, 1.0):  # follow the end outwards: each start is near
            growth = fraction / before
            start = self.center + growth * offset, multiplier / growth
            u, multiplier = self._solve(*start, sign, fraction**2 * self.drop)
            offset, before = u - self.center, fraction
        return self.function(u)

    def _solve(
        self, u: np.ndarray, multiplier: np.ndarray, sign: float, drop: float
    ) -> tuple[np.ndarray, np.ndarray]:
        k = u.shape[1]
        for _ in range(_MAX_ITERATIONS):
            residual, jacobian = self._system(u, multiplier, sign, drop)
            step = -np.linalg.solve(jacobian, residual[..., None])[..., 0]
            size = np.abs(step[:, :k] / self.scale).max(axis=1)
            shrink = 1 / np.maximum(1.0, size)[:, None]
            u, multiplier = u + shrink * step[:, :k], multiplier + (shrink * step)[:, k]
            if not np.isfinite(u).all():
                break
            if (size * np.sqrt(self.statistics.n) < 1e-9).all():
                return u, multiplier
        raise ValueError(
            "The profile interval of the function does not exist or was not found at this level; "
            "use method='wald', a lower level, or a smoother function."
        )

    def _system(
        self, u: np.ndarray, multiplier: np.ndarray, sign: float, drop: float
    ) -> tuple[np.ndarray, np.ndarray]:
        d, k = u.shape
        slope = self._slope(u)
        gradient = sign * _gradient(self.function, u, self.scale)
        bend = sign * _differences(lambda v: _gradient(self.function, v, self.scale), u, self.scale)
        residual = np.empty((d, k + 1))
        residual[:, :k] = gradient + multiplier[:, None] * slope
        residual[:, k] = self._height(u) + drop
        jacobian = np.zeros((d, k + 1, k + 1))
        jacobian[:, :k, :k] = bend - multiplier[:, None, None] * self._curvature(u)
        jacobian[:, :k, k] = jacobian[:, k, :k] = slope
        return residual, jacobian


def _on_line(family: Any, function: Function) -> Callable[[np.ndarray], np.ndarray]:
    line = Line(family.parameters)

    def on_line(u: np.ndarray) -> np.ndarray:
        return function_value(function, family.full(family.unpack(line.inward(u))))

    return on_line


def _information(family: Any, statistics: Any, params: Params) -> np.ndarray:
    """Return the information that standard errors come from, per observation, (d, k, k)."""
    if family.has_information:
        return family.information(params)
    return family.observed_information(statistics, params)


def _row_errors(family: Any, statistics: Any, params: Params) -> np.ndarray:
    """Return one row's standard error of each coordinate on the line, (d, k): a natural step."""
    slope, _ = Line(family.parameters).slopes(family.pack(params))
    information = _information(family, statistics, params)
    diagonal = np.diagonal(information, axis1=1, axis2=2) * slope**2
    return 1 / np.sqrt(np.maximum(diagonal, np.finfo(np.float64).tiny))


def _gradient(
    function: Callable[[np.ndarray], np.ndarray], u: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    return _differences(lambda v: function(v)[:, None], u, scale)[:, 0]


def _differences(
    function: Callable[[np.ndarray], np.ndarray], u: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Return the Jacobian (d, m, k) by central differences, twice extrapolated."""
    columns = []
    for k in range(u.shape[1]):
        direction = np.zeros_like(u)
        direction[:, k] = scale[:, k] * _STEP * 8
        levels = []
        for halving in (1.0, 0.5, 0.25):
            rise = function(u + halving * direction) - function(u - halving * direction)
            levels.append(rise / (2 * halving * direction[:, k][:, None]))
        first = [(4 * b - a) / 3 for a, b in pairwise(levels)]
        columns.append((16 * first[1] - first[0]) / 15)
    return np.stack(columns, axis=-1)


# What an interval is wanted for: a linear combination of the parameters, or a smooth function.

_STRIDES = 3  # attempts at a restricted fit; the search tries a nearer value after that
_MAX_STEPS = 60
_CONVERGED = 1e-10  # length of the Newton step, in standard errors
_LONGEST = 2.0  # of the same
_SPACING = 0.02  # of numerical derivatives of a function, in standard errors


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

        steps = np.diag(_SPACING * self.errors)
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
        steps = np.diag(_SPACING * self.errors)
        columns = [self.gradient(params + h) - self.gradient(params - h) for h in steps]
        hessian = np.array(columns) * self.errors / (2 * _SPACING)
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
            _check_not_flat(targets[label], fit.params)
        else:
            targets[label] = LinearTarget(_coefficients(label, terms, model.names))
    return targets


def _check_not_flat(target: FunctionTarget, params: np.ndarray) -> None:
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
