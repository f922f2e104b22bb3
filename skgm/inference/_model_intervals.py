"""Confidence intervals on the likelihood of another package's model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import stats

from skgm.inference._links import wald_interval
from skgm.inference._model_fit import full_fit
from skgm.inference._model_protocol import Fit, LikelihoodModel, covariance_of
from skgm.inference._model_search import IntervalSearch
from skgm.inference._model_tests import refuse_unconverged, robust_covariance
from skgm.inference._results import ConfidenceIntervals, parameter_labels
from skgm.inference._statsmodels import is_statsmodels_result, likelihood_model

__all__ = ["confidence_intervals"]


def confidence_intervals(
    model: Any, level: float = 0.95, method: str = "auto", *, of: Any = None, **options: Any
) -> ConfidenceIntervals:
    r"""Return confidence intervals of the parameters of a fitted model, also of statsmodels.

    .. math:: \{\psi : 2 [\ell(\hat\theta) - \ell(\tilde\theta_\psi)] \le \chi^2_{1, \alpha}\}

    is the profile interval of a parameter :math:`\psi`, with :math:`\tilde\theta_\psi` the estimate
    when it is held fixed: it needs no symmetry, does not depend on how the parameter is written,
    and stays inside the parameter space. statsmodels itself offers Wald intervals only.

    Parameters
    ----------
    model : fitted estimator or statsmodels result
        An estimator of this package, whose own `confidence_intervals` is called; or the result of
        fitting OLS, WLS, GLS, GLM, Logit, Probit, Poisson, NegativeBinomial or any
        GenericLikelihoodModel.
    level : float, default=0.95
        Confidence level in (0, 1).
    method : str, default="auto"
        For statsmodels results: "profile", "score" (the values that a score test does not reject),
        "wald", "robust" (sandwich times n / (n - k), Student's t with n - k degrees of freedom),
        "exact" (Student's t, linear models only); "auto" is "exact" for linear models and
        "profile" for all others.
    of : str, list of str or dict, default=None
        For statsmodels results: names of the parameters to look at (None: all of them), or a dict
        from labels to linear combinations, each a dict from parameter names to coefficients:
        ``{"difference": {"x1": 1, "x2": -1}}``.
    **options : dict
        Passed on to the method of an estimator of this package, such as `X` for "robust".

    Returns
    -------
    intervals : ConfidenceIntervals
        Frozen; maps a name to ``(low, high)``.

    Raises
    ------
    ValueError
        A method that the model lacks; an unknown name; a fit that did not converge, is regularised
        or has no likelihood; an estimate that is infinite or on the edge of its space; a
        likelihood that is not smooth; an interval without an end.
    TypeError
        A model of another kind.

    Notes
    -----
    The estimate is refined by Newton steps from that of statsmodels, which may have stopped early.
    Variances of linear models and dispersions of GLMs are nuisance parameters and are profiled out
    by maximum likelihood.

    References
    ----------
    D. J. Venzon and S. H. Moolgavkar, "A method for computing profile-likelihood-based confidence
    intervals", Applied Statistics 37, 1988.

    Examples
    --------
    >>> import numpy as np
    >>> import statsmodels.api as sm
    >>> from skgm import confidence_intervals
    >>> dose = np.repeat([0.0, 1.0, 2.0, 3.0], 5)
    >>> died = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 1, 1])
    >>> fit = sm.Logit(died, sm.add_constant(dose)).fit(disp=0)
    >>> print(confidence_intervals(fit, of="x1").to_frame().round(2))
               estimate   low  high   method
    parameter
    x1             2.15  0.92  4.33  profile
    """
    if is_statsmodels_result(model):
        if options:
            raise TypeError(f"A statsmodels result takes no {sorted(options)}: its data are in it.")
        return _model_intervals(model, level, method, of)
    own = getattr(model, "confidence_intervals", None)
    if own is None:
        raise TypeError(
            "model must be a fitted estimator with confidence_intervals or a statsmodels result; "
            f"got {type(model).__name__}."
        )
    chosen = options if of is None else options | {"of": of}
    return own(level, method, **chosen)


def _model_intervals(result: Any, level: float, method: str, of: Any) -> ConfidenceIntervals:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1); got {level!r}.")
    if method not in ("auto", *_METHODS):
        raise ValueError(
            f"method must be one of auto, {', '.join(_METHODS)} for a statsmodels result; got "
            f"{method!r}."
        )
    refuse_unconverged(result)
    model = likelihood_model(result)
    combinations = _combinations(of, model.names)
    if method == "exact" and not model.is_linear:
        raise ValueError("method='exact' is for linear models; use 'profile'.")
    chosen = ("exact" if model.is_linear else "profile") if method == "auto" else method
    fit = full_fit(model)
    estimate, low, high = {}, {}, {}
    with np.errstate(all="ignore"):
        for label, combination in combinations.items():
            estimate[label] = float(combination @ fit.params)
            low[label], high[label] = _METHODS[chosen](model, fit, combination, level)
    methods = dict.fromkeys(estimate, chosen)
    labels = {label: parameter_labels(label, 0.0, []) for label in estimate}
    return ConfidenceIntervals(estimate, low, high, level, method, methods, labels)


def _combinations(of: Any, names: list[str]) -> dict[str, np.ndarray]:
    """Return the linear combinations of the parameters that intervals are wanted for."""
    if of is None:
        of = names
    if isinstance(of, str):
        of = [of]
    wanted = dict(of) if isinstance(of, Mapping) else {name: {name: 1.0} for name in of}
    vectors = {}
    for label, terms in wanted.items():
        unknown = [name for name in terms if name not in names]
        if unknown or not terms:
            raise ValueError(
                f"of names unknown parameters {unknown}; this model has {', '.join(names)}."
            )
        vectors[label] = np.zeros(len(names))
        for name, coefficient in terms.items():
            vectors[label][names.index(name)] = float(coefficient)
        if not (np.isfinite(vectors[label]).all() and vectors[label].any()):
            raise ValueError(f"of[{label!r}] must have finite coefficients, not all zero.")
    return vectors


Interval = tuple[float, float]


def _from_covariance(
    covariance: np.ndarray, fit: Fit, combination: np.ndarray, level: float, df: Any = None
) -> Interval:
    error = np.sqrt(combination @ covariance @ combination)
    low, high = wald_interval(combination @ fit.params, error, level, df=df)
    return float(low), float(high)


def _wald(model: LikelihoodModel, fit: Fit, combination: np.ndarray, level: float) -> Interval:
    covariance = covariance_of(model.observed_information(fit.params))
    return _from_covariance(covariance, fit, combination, level)


def _small_sample(
    model: LikelihoodModel, fit: Fit, covariance: np.ndarray, combination: np.ndarray, level: float
) -> Interval:
    """Return the interval with variance times n / (n - k) and Student's t on n - k."""
    df = model.n - len(fit.params)
    if df <= 0:
        raise ValueError(
            f"The interval needs more observations ({model.n:g}) than parameters "
            f"({len(fit.params)})."
        )
    return _from_covariance(covariance * model.n / df, fit, combination, level, df)


def _exact(model: LikelihoodModel, fit: Fit, combination: np.ndarray, level: float) -> Interval:
    covariance = covariance_of(model.observed_information(fit.params))
    return _small_sample(model, fit, covariance, combination, level)


def _robust(model: LikelihoodModel, fit: Fit, combination: np.ndarray, level: float) -> Interval:
    covariance = robust_covariance(model, fit.params)
    return _small_sample(model, fit, covariance, combination, level)


def _profile(model: LikelihoodModel, fit: Fit, combination: np.ndarray, level: float) -> Interval:
    def distance(restricted: Fit) -> float:
        return float(np.sqrt(2 * max(fit.loglik - restricted.loglik, 0.0)))

    return _invert(model, fit, combination, level, distance)


def _score(model: LikelihoodModel, fit: Fit, combination: np.ndarray, level: float) -> Interval:
    def distance(restricted: Fit) -> float:
        score = model.score(restricted.params)
        covariance = covariance_of(model.expected_information(restricted.params))
        return float(np.sqrt(score @ covariance @ score))

    return _invert(model, fit, combination, level, distance)


def _invert(
    model: LikelihoodModel,
    fit: Fit,
    combination: np.ndarray,
    level: float,
    distance: Callable[[Fit], float],
) -> Interval:
    """Return where the root of a test statistic, on both sides, reaches the normal quantile."""
    quantile = float(stats.norm.ppf((1 + level) / 2))
    covariance = covariance_of(model.observed_information(fit.params))
    width = float(np.sqrt(combination @ covariance @ combination)) * quantile
    search = IntervalSearch(model, fit, combination, distance, quantile)
    return search.end(-width), search.end(width)


_METHODS: dict[str, Callable[[LikelihoodModel, Fit, np.ndarray, float], Interval]] = {
    "profile": _profile,
    "score": _score,
    "wald": _wald,
    "robust": _robust,
    "exact": _exact,
}
