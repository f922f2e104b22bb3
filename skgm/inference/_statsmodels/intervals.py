"""Confidence intervals on the likelihood of another package's model."""

from collections.abc import Callable
from typing import Any

import numpy as np

from skgm.inference._likelihood.fit import full_fit
from skgm.inference._likelihood.functions import (
    LinearTarget,
    read_targets,
)
from skgm.inference._likelihood.model import LikelihoodModel, ModelFit
from skgm.inference._likelihood.surfaces import model_surface, profile_ends
from skgm.inference._likelihood.wald import wald_interval
from skgm.inference._results import ConfidenceIntervals, parameter_labels, takes_level
from skgm.inference._statsmodels.adapters import is_statsmodels_result, likelihood_model
from skgm.inference._statsmodels.covariance import check_likelihood_holds, residual_df, robust_law
from skgm.inference._statsmodels.separated import (
    check_covariance_finite,
    finite_problem,
    infinite_interval,
    signs_of_infinity,
    targets_at_infinity,
)
from skgm.inference._statsmodels.tests import check_converged

__all__ = [
    "confidence_intervals",
]


@takes_level
def confidence_intervals(
    model: Any,
    level: float = 0.95,
    method: str = "auto",
    *,
    of: Any = None,
    groups: Any = None,
    simultaneous: bool = False,
    **options: Any,
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
        "profile" for all others. For results fitted with `cov_type`, "auto", "wald" and "robust"
        all take the covariance that the result came with; the other methods are refused.
    of : str, list of str, callable or dict, default=None
        For statsmodels results: names of the parameters to look at (None: all of them); a smooth
        function from a dict of parameters to a number; or a dict from labels to such functions or
        to linear combinations: ``{"difference": {"x1": 1, "x2": -1}, "ratio": lambda p: p["x1"] /
        p["x2"]}``. Intervals of functions are by "profile" or by the delta method ("wald",
        "robust").
    groups : array-like of shape (n_rows,), default=None
        For statsmodels results: clusters of rows that may depend on each other. "robust" (and
        "auto") then sums the scores within clusters, with statsmodels' small-sample factor and
        Student's t with one degree of freedom less than there are clusters.
    simultaneous : bool, default=False
        Whether all intervals together hold their parameters with probability `level`: each of k is
        formed at 1 - (1 - level) / k (Bonferroni).
    **options : dict
        Passed on to the method of an estimator of this package, such as `X` for "robust".

    Returns
    -------
    intervals : ConfidenceIntervals
        Frozen; maps a name to ``(low, high)``.

    Raises
    ------
    ValueError
        A method that the model lacks; an unknown name; a fit that did not converge, is regularized
        or has no likelihood; an estimate on the edge of its space; a likelihood that is not
        smooth.
    TypeError
        A model of another kind.

    Notes
    -----
    Where a combination of the columns separates the outcomes perfectly, some coefficients are
    infinite: their profile intervals have one finite end (or none, and the estimate is NaN, where
    the likelihood does not determine the sign). The other coefficients keep all their intervals.

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
    >>> low, high = confidence_intervals(fit, of="x1")["x1"]
    >>> round(low, 2), round(high, 2)
    (0.52, 3.45)
    """
    if is_statsmodels_result(model):
        if options:
            raise TypeError(f"A statsmodels result takes no {sorted(options)}: its data are in it.")
        return _model_intervals(model, level, method, of, groups, simultaneous)
    if groups is not None:
        raise TypeError("groups is for statsmodels results; use method='robust' or 'bootstrap'.")
    own = getattr(model, "confidence_intervals", None)
    if own is None:
        raise TypeError(
            "model must be a fitted estimator with confidence_intervals or a statsmodels result; "
            f"got {type(model).__name__}."
        )
    chosen = options if of is None else options | {"of": of}
    if simultaneous:
        chosen = chosen | {"simultaneous": True}
    return own(level, method, **chosen)


def _model_intervals(
    result: Any, level: float, method: str, of: Any, groups: Any, simultaneous: bool
) -> ConfidenceIntervals:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1); got {level!r}.")
    if method not in ("auto", "robust", *_METHODS):
        raise ValueError(
            f"method must be one of auto, robust, {', '.join(_METHODS)} for a statsmodels result; "
            f"got {method!r}."
        )
    check_converged(result)
    model = likelihood_model(result)
    method = _robust_method(method, model, groups)
    fit = full_fit(model)
    check_covariance_finite(model, fit)
    estimate, low, high, methods = {}, {}, {}, {}
    with np.errstate(all="ignore"):
        read = read_targets if fit.recession is None else targets_at_infinity
        targets = read(of, model, fit)
        each = 1 - (1 - level) / len(targets) if simultaneous else level
        for label, target in targets.items():
            used = methods[label] = _choose(method, label, target, model)
            signs = signs_of_infinity(model, fit, target)
            if signs and used != "profile":
                raise ValueError(
                    f"The estimate of {label!r} is infinite: a combination of the columns "
                    f"separates the outcomes perfectly, so it has no {used} interval. Use "
                    "method='profile', or ask for the finite coefficients by of=."
                )
            if signs:
                found = infinite_interval(model, fit, target, signs, each)
            else:
                found = _finite_interval(model, fit, target, each, used, groups)
            estimate[label], low[label], high[label] = found
    labels = {label: parameter_labels(label, 0.0, []) for label in estimate}
    return ConfidenceIntervals(estimate, low, high, level, method, methods, labels, simultaneous)


def _finite_interval(
    model: LikelihoodModel, fit: ModelFit, target: Any, level: float, method: str, groups: Any
) -> tuple[float, float, float]:
    """Return estimate, low and high of a target that is finite at the maximum."""
    model, fit, target = finite_problem(model, fit, target)
    if method == "robust":
        covariance, df = robust_law(model, fit.params, groups)
        ends = _from_covariance(covariance, fit, target, level, df)
    else:
        ends = _METHODS[method](model, fit, target, level)
    return target.value(fit.params), *ends


def _robust_method(method: str, model: LikelihoodModel, groups: Any) -> str:
    """Return "robust" where the result or the caller says that the likelihood does not hold."""
    if groups is None and model.stated is None:
        return method
    if method in ("auto", "robust") or (groups is None and method == "wald"):
        return "robust"
    if groups is not None:
        raise ValueError(f"groups is for method='robust' (or 'auto'); got method={method!r}.")
    check_likelihood_holds(model, f"method={method!r}", "Use method='robust'")
    return method


def _choose(method: str, label: str, target: Any, model: LikelihoodModel) -> str:
    """Return the method for one target: Student's t where it is exact, else the profile."""
    exact = model.is_linear and isinstance(target, LinearTarget)
    if method == "exact" and not exact:
        raise ValueError(
            f"method='exact' is for linear combinations of the parameters of linear models, not "
            f"for {label!r}; use 'profile'."
        )
    if method == "auto":
        return "exact" if exact else "profile"
    return method


Interval = tuple[float, float]
_AT_EDGE = 1e-6  # an end nearer to an edge, relative to the estimate, is the edge


def _from_covariance(
    covariance: np.ndarray, fit: ModelFit, target: Any, level: float, df: Any = None
) -> Interval:
    slope = target.gradient(fit.params)  # the delta method
    error = np.sqrt(slope @ covariance @ slope)
    low, high = wald_interval(target.value(fit.params), error, level, df=df)
    return float(low), float(high)


def _wald(model: LikelihoodModel, fit: ModelFit, target: Any, level: float) -> Interval:
    covariance = model.covariance(fit.params)
    return _from_covariance(covariance, fit, target, level)


def _exact(model: LikelihoodModel, fit: ModelFit, target: Any, level: float) -> Interval:
    covariance, df = model.covariance(fit.params), residual_df(model)
    return _from_covariance(covariance * model.n / df, fit, target, level, df)


def _profile(model: LikelihoodModel, fit: ModelFit, target: Any, level: float) -> Interval:
    return _follow(model, model_surface(model, fit, target), target, level, None)


def _score(model: LikelihoodModel, fit: ModelFit, target: Any, level: float) -> Interval:
    surface = model_surface(model, fit, target)

    def root(v: np.ndarray) -> np.ndarray:
        params = surface.params(v)[0]
        score = model.score(params)
        covariance = model.covariance(params, expected=True)
        return np.sqrt(np.array([score @ covariance @ score]))

    return _follow(model, surface, target, level, root)


def _follow(model: LikelihoodModel, surface: Any, target: Any, level: float, root: Any) -> Interval:
    """Return where the root of a test statistic reaches the normal quantile on both sides."""
    low, high = (float(end[0]) for end in profile_ends(surface, level, root))
    edge = target.edge(model)
    center = target.value(surface.params(np.zeros(surface.shape))[0])
    if low - edge < _AT_EDGE * (center - edge):
        low = edge
    return low, high


_METHODS: dict[str, Callable[[LikelihoodModel, ModelFit, np.ndarray, float], Interval]] = {
    "profile": _profile,
    "score": _score,
    "wald": _wald,
    "exact": _exact,
}
