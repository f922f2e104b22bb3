"""Intervals of functions of the parameters: by the profile likelihood and by the delta method."""

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
from scipy import special

from skgm._numerics.differences import gradient
from skgm.inference._likelihood.fit import restricted_fit
from skgm.inference._likelihood.model import LikelihoodModel, Line, ModelFit
from skgm.inference._likelihood.nulls import Restriction, did_you_mean
from skgm.inference._likelihood.paths import Surface
from skgm.inference._likelihood.surfaces import family_surface, profile_ends

__all__ = [
    "NEARLY_INFINITE",
    "FunctionTarget",
    "LinearTarget",
    "delta_errors",
    "fitted_value",
    "function_interval",
    "function_label",
    "function_null",
    "function_slopes",
    "function_surfaces",
    "function_value",
    "hazard",
    "named_functions",
    "profile_function_interval",
    "read_targets",
]

Params = Mapping[str, np.ndarray]
OfParameters = Callable[[Mapping[str, Any]], Any]
Interval = tuple[np.ndarray, np.ndarray]

_STEP = 2e-3
_STRIDES = 3  # attempts at a restricted fit; the search tries a nearer value after that
_ROUNDED = 1e-14  # distance from an upper end, relative, at which parameters have no digits left
NEARLY_INFINITE = 1e10  # an infinite parameter: likelihoods there differ by rounding
_SPACING = 10.0  # of numerical derivatives of a function, in standard errors times _STEP


def function_interval(
    fit: Any, function: OfParameters, method: str, level: float
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
    family = fit.family
    if not callable(function):
        raise ValueError(f"of must be a function or a dict of functions; got {function!r}.")
    if method not in ("profile", "wald") or (family.joint and method == "profile"):
        allowed = "'wald'" if family.joint else "'profile' or 'wald'"
        raise ValueError(
            f"method must be 'auto', {allowed} for functions of the parameters of the "
            f"{family.name} family; got {method!r}."
        )
    value = fitted_value(fit, function)
    if method == "wald":
        half = special.ndtri((1 + level) / 2) * delta_errors(fit, function)
        return value, value - half, value + half
    return value, *profile_function_interval(family, function, fit.statistics, fit.params, level)


def fitted_value(fit: Any, function: OfParameters) -> np.ndarray:
    """Return the function at the estimate, (d,), (1,) of a family of the whole row."""
    if fit.family.joint:
        return np.array([_number(function, dict(fit.params))])
    return function_value(function, fit.family.full(fit.params))


def _joint_errors(family: Any, function: OfParameters, params: Params, n: float) -> np.ndarray:
    """Return the standard error, (1,), for a family of the whole row."""
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
    return np.atleast_1d(np.sqrt(slope @ covariance @ slope))


def _number(function: OfParameters, params: Params) -> float:
    value = _called(function, params)
    if value.size != 1 or not np.isfinite(value).all():
        raise ValueError(
            f"of must return one finite number from a dict of parameters; got {value!r}."
        )
    return float(value.reshape(()))


def _called(function: OfParameters, given: Mapping[str, Any]) -> np.ndarray:
    """Return what the function makes of a dict of parameters."""
    try:
        return np.asarray(function(given), dtype=np.float64)
    except KeyError as error:
        name = error.args[0] if error.args else None
        if name in given:
            raise
        raise ValueError(
            f"of asks for the unknown parameter {name!r}; the parameters are {', '.join(given)}."
            f"{did_you_mean(name, given)}"
        ) from error


def function_value(function: OfParameters, params: Params) -> np.ndarray:
    """Return the function of the parameters, one value per column.

    Raises
    ------
    ValueError
        The function fails, or does not return one finite number per column.
    """
    d = len(next(iter(params.values())))
    # one column: numbers, as in `params_`, so that math.log and the like work
    given = {k: float(v[0]) for k, v in params.items()} if d == 1 else dict(params)
    value = _called(function, given)
    if value.shape not in ((), (d,)) or np.isnan(value).any():
        raise ValueError(
            f"of must return one number per column, shape ({d},), from a dict of parameters; got "
            f"{value!r}."
        )
    return np.broadcast_to(value, (d,))


def function_slopes(family: Any, function: OfParameters, fit: Any, params: Params) -> np.ndarray:
    """Return the gradient of a function of the parameters of columns, (d, k), at `params`.

    Differences have the steps of the standard errors there; `fit` holds the statistics.
    """
    line, theta = Line(family.parameters), family.pack(params)

    def on_line(u: np.ndarray) -> np.ndarray:
        return function_value(function, family.full(family.unpack(line.inward(u))))

    with np.errstate(all="ignore"):
        first = line.slopes(theta)[0]
        information = family.model_information(fit.statistics, params)
        diagonal = np.abs(np.diagonal(information, axis1=1, axis2=2)) * first**2
        unit = 1 / np.sqrt(np.maximum(diagonal, np.finfo(np.float64).tiny))
        return gradient(on_line, line.outward(theta), unit) / first


def delta_errors(fit: Any, function: OfParameters) -> np.ndarray:
    """Return standard errors of a function of the parameters, (d,), by the delta method.

    That is from the observed information, as those of the parameters in Wald intervals and tests.
    """
    if fit.family.joint:
        return _joint_errors(fit.family, function, fit.params, fit.statistics.n)
    slope = function_slopes(fit.family, function, fit, fit.params)
    information = fit.family.observed_information(fit.statistics, fit.params)
    covariance = np.linalg.inv(information) / fit.statistics.n
    return np.sqrt(np.einsum("da,dab,db->d", slope, covariance, slope))


def profile_function_interval(
    family: Any, function: OfParameters, statistics: Any, params: Params, level: float
) -> Interval:
    """Return the range of the function over the parameters that the likelihood does not reject.

    That is the profile-likelihood interval.

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
        The path to an end was lost: the function is not smooth.
    """
    function_value(function, family.full(params))  # a function that fails says so
    surface, edges = function_surfaces(family, function, statistics, params)

    def at_edge(theta: np.ndarray) -> np.ndarray:
        high = np.array([parameter.high for parameter in family.parameters])
        near = theta > high - _ROUNDED * np.abs(high)  # false where there is no end
        there = family.full(family.unpack(np.where(near, high, theta)))
        with np.errstate(all="ignore"):
            limit = _limit_value(function, there)
        return np.where(near.any(axis=1), limit, np.nan)

    return profile_ends(
        surface, level, edges=edges, only_reached=bool(family.rounding), at_edge=at_edge
    )


def function_surfaces(
    family: Any, function: OfParameters, statistics: Any, params: Params
) -> tuple[Surface, list[Surface]]:
    """Return the likelihood with a function about its maximum, and at infinite parameters."""
    edges = []
    for parameter in family.parameters:
        if parameter.may_be_infinite and len(family.parameters) > 1:
            null = {**family.no_restriction(statistics), parameter.name: np.inf}
            with np.errstate(all="ignore"):
                there = family.restricted_near(statistics, null, params)
            there[parameter.name] = np.full_like(params[parameter.name], NEARLY_INFINITE)
            edges.append(family_surface(family, function, statistics, params, there))
    return family_surface(family, function, statistics, params), edges


def _limit_value(function: OfParameters, params: Params) -> np.ndarray:
    """Return the function on an edge of the space, infinite where it is not defined there."""
    d = len(next(iter(params.values())))
    given = {k: v[0] for k, v in params.items()} if d == 1 else dict(params)
    try:
        value = np.broadcast_to(np.asarray(function(given), dtype=np.float64), (d,))
    except (ValueError, ArithmeticError):
        return np.full(d, np.inf)
    return np.where(np.isnan(value), np.inf, value)


# Functions of the parameters that have names.

_NAMED = ("mean", "median", ("quantile", 0.9), ("cdf", 5.0), ("survival", 5.0), ("hazard", 5.0))


def named_functions(of: Any, family: Any) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """Return functions from ``params_`` to one number per column, by name.

    Parameters
    ----------
    of : callable, str, tuple, list of these or dict of str to these
        As in `confidence_intervals`.
    family : Family
        The fitted family.

    Returns
    -------
    functions : dict of str to callable

    Raises
    ------
    ValueError
        An unknown name; a function that the family lacks, or whose values jump.
    """
    if isinstance(of, Mapping):
        return {name: _named(part, family) for name, part in of.items()}
    parts = of if isinstance(of, list) else [of]
    labels = [part if isinstance(part, str) else "of" for part in parts]
    labels = [
        f"{part[0]}({part[1]:g})" if _is_pair(part) else label for part, label in zip(parts, labels)
    ]
    if len(set(labels)) < len(labels):
        raise ValueError(
            f"of holds several functions of the same name, {labels}; give a dict from names to "
            "functions."
        )
    return {label: _named(part, family) for label, part in zip(labels, parts)}


def function_label(function: Any) -> str:
    """Return the name of a function in a table of intervals; "of" for one without a name."""
    name = getattr(function, "__name__", "<lambda>")
    return "of" if name == "<lambda>" else name


def _is_pair(part: Any) -> bool:
    pair = isinstance(part, tuple) and len(part) == 2 and isinstance(part[0], str)
    return pair and isinstance(part[1], Real)


def _named(part: Any, family: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function of the parameters from its name, or as it is."""
    if callable(part):
        return part
    name, at = part if _is_pair(part) else ("quantile", 0.5) if part == "median" else (part, 0.0)
    known = name in ("quantile", "cdf", "survival", "hazard") and (
        part == "median" or _is_pair(part)
    )
    if (not known and part != "mean") or (name == "quantile" and not 0 < at < 1):
        raise ValueError(
            f"of must be a function, one of {', '.join(map(repr, _NAMED))} (with other numbers, "
            f"quantiles being those of probabilities in (0, 1)), or a list or dict of these; got "
            f"{part!r}."
        )
    if family.joint or (family.discrete and name == "quantile"):
        why = "its columns depend on each other" if family.joint else "its quantiles jump"
        raise ValueError(f"{part!r} of the {family.name} family has no interval here: {why}.")

    def function(params: Mapping[str, Any]) -> Any:
        arrays = {key: np.atleast_1d(value) for key, value in params.items()}
        if name == "mean":
            return family.mean(arrays)
        place = np.full((1, len(next(iter(arrays.values())))), float(at))
        if name == "quantile":
            return family.quantile(place, arrays)[0]
        below = family.cdf(place, arrays)[0]
        if name == "survival":
            above = np.exp(family.log_tails(place, arrays)[1][0])
            return np.where(np.isnan(above), 1 - below, above)
        if name == "cdf":
            return below
        return hazard(family, place, arrays, below)[0]

    return function


def hazard(family: Any, X: np.ndarray, params: Params, below: np.ndarray) -> np.ndarray:
    """Return f / (1 - F), of counts P(x = X) / P(x >= X), at rows X, (n, d); `below` is F there.

    The tail is taken as a logarithm where the family knows it, so that digits are kept far out.
    """
    log_density = family.log_density(X, params)
    log_above = family.log_tails(X, params)[1]
    log_above = np.where(np.isnan(log_above), np.log1p(-below), log_above)
    counted = [one.discrete for one in getattr(family, "families", [family])]
    log_above = np.where(counted, np.logaddexp(log_above, log_density), log_above)
    return np.where(np.isneginf(log_density), 0.0, np.exp(log_density - log_above))


def function_null(null: Any, labels: list[str], parts: list[Any]) -> Any:
    """Return the value, or values by column, that the null gives to the one function.

    Parameters
    ----------
    null : float, array-like or mapping
        The value, or a dict from the function's label, or from what was given as `of`, to it.
    labels, parts : list
        Names of the functions, and what the user gave for them.

    Raises
    ------
    ValueError
        Several functions, another label, or a value that is no number.
    """
    if len(labels) != 1:
        raise ValueError(
            f"A null about functions holds one of them; got {', '.join(labels)}. Test one after "
            "the other."
        )
    if isinstance(null, Mapping):
        if len(null) != 1 or next(iter(null)) not in (labels[0], parts[0]):
            raise ValueError(
                f"null must give a value to {labels[0]!r}, the function in of, alone; got "
                f"{dict(null)!r}."
            )
        null = next(iter(null.values()))
    try:
        wanted = np.asarray(null, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"null must hold numbers for of; got {null!r}.") from error
    if np.isinf(wanted).any() or np.isnan(wanted).all():
        raise ValueError(f"null must be finite (NaN: not restricted) for of; got {null!r}.")
    return wanted


# What an interval of a model is wanted for: a linear combination of the parameters, or a smooth
# function of them.


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
        """Return the gradient, by central differences."""

        def value(points: np.ndarray) -> np.ndarray:
            return np.array([self.value(points[0])])

        return gradient(value, params[None], _SPACING * self.errors[None])[0]

    def edge(self, model: LikelihoodModel) -> float:
        """Return -inf: the range of a function is not known."""
        return -np.inf


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
        of = {function_label(of): of}
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
            f"{did_you_mean(unknown[0], names) if unknown else ''}"
        )
    vector = np.zeros(len(names))
    for name, coefficient in terms.items():
        vector[names.index(name)] = float(coefficient)
    if not (np.isfinite(vector).all() and vector.any()):
        raise ValueError(f"of[{label!r}] must have finite coefficients, not all zero.")
    return vector
